/*
 * KxTryCleanup(PKX_TRY const *Guard) of wdm/seh.h: keeps in Back of the KX_TRY what it needs to return later, then asks
 * ke_try_left(), which returns at once if the end of the body was reached. Else ke_try_back(Back) returns from it.
 */
        .text
        .globl  KxTryCleanup
        .type   KxTryCleanup, @function
KxTryCleanup:
        .cfi_startproc
        movq    (%rdi), %rdi
        movq    (%rsp), %rax
        leaq    8(%rsp), %rdx
        movq    %rax, 48(%rdi)
        movq    %rdx, 56(%rdi)
        movq    %rbx, 64(%rdi)
        movq    %rbp, 72(%rdi)
        movq    %r12, 80(%rdi)
        movq    %r13, 88(%rdi)
        movq    %r14, 96(%rdi)
        movq    %r15, 104(%rdi)
        jmp     ke_try_left
        .cfi_endproc
        .size   KxTryCleanup, . - KxTryCleanup

        .globl  ke_try_back
        .hidden ke_try_back
        .type   ke_try_back, @function
ke_try_back:
        .cfi_startproc
        .cfi_undefined rip
        movq    8(%rdi), %rsp
        movq    16(%rdi), %rbx
        movq    24(%rdi), %rbp
        movq    32(%rdi), %r12
        movq    40(%rdi), %r13
        movq    48(%rdi), %r14
        movq    56(%rdi), %r15
        jmp     *(%rdi)
        .cfi_endproc
        .size   ke_try_back, . - ke_try_back

        .section .note.GNU-stack, "", @progbits
