/*
 * void fiber_swap_stack(void **saved_stack_pointer, void *stack_pointer)
 *
 * Saves the callee-saved registers of the System V ABI on the current stack and goes on with another one. Floating-point
 * control words are not saved: nothing in the machine changes them.
 *
 * fiber_first_entry is where a new fiber starts: r12 holds its struct fiber.
 */
        .text
        .globl  fiber_swap_stack
        .hidden fiber_swap_stack
        .type   fiber_swap_stack, @function
fiber_swap_stack:
        .cfi_startproc
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        .cfi_adjust_cfa_offset 48
        .cfi_rel_offset r15, 0
        .cfi_rel_offset r14, 8
        .cfi_rel_offset r13, 16
        .cfi_rel_offset r12, 24
        .cfi_rel_offset rbx, 32
        .cfi_rel_offset rbp, 40
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -48
        .cfi_same_value r15
        .cfi_same_value r14
        .cfi_same_value r13
        .cfi_same_value r12
        .cfi_same_value rbx
        .cfi_same_value rbp
        ret
        .cfi_endproc
        .size   fiber_swap_stack, . - fiber_swap_stack

        .globl  fiber_first_entry
        .hidden fiber_first_entry
        .type   fiber_first_entry, @function
fiber_first_entry:
        .cfi_startproc
        .cfi_undefined rip
        xorl    %ebp, %ebp
        movq    %r12, %rdi
        call    fiber_main
        ud2
        .cfi_endproc
        .size   fiber_first_entry, . - fiber_first_entry

        .section .note.GNU-stack, "", @progbits
