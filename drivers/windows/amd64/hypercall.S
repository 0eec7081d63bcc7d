/*
 * The gate to Xen in a .sys: ULONG_PTR HypercallGate(ULONG Op, ULONG_PTR A1, ..., ULONG_PTR A5), drivers/xen/gate.h.
 *
 * Windows passes arguments in rcx, rdx, r8, r9 and on the stack and keeps rdi and rsi; Xen takes the number in rax and
 * arguments in rdi, rsi, rdx, r10, r8, and may change the argument registers. The hypercall page is not used: its code
 * would be written by the hypervisor, which memory integrity forbids. The instruction is vmcall or vmmcall, by the
 * processor's vendor, found out at the first call: CPUID itself costs an exit. Two processors that find out at once
 * write the same.
 */
#define GATE_UNKNOWN 0
#define GATE_VMCALL  1
#define GATE_VMMCALL 2

        .data
        .p2align 2
GateInstruction:
        .long   GATE_UNKNOWN

        .text
        .p2align 4
        .globl  HypercallGate
        .def    HypercallGate
        .scl    2
        .type   32
        .endef
        .seh_proc HypercallGate
HypercallGate:
        pushq   %rbx
        .seh_pushreg %rbx
        pushq   %rdi
        .seh_pushreg %rdi
        pushq   %rsi
        .seh_pushreg %rsi
        .seh_endprologue

        /* Out of the way of CPUID, which changes eax, ebx, ecx and edx. */
        movl    %ecx, %r11d
        movq    %rdx, %rdi
        movq    %r8, %rsi

        cmpl    $GATE_UNKNOWN, GateInstruction(%rip)
        jne     .Lknown

        xorl    %eax, %eax
        xorl    %ecx, %ecx
        cpuid
        movl    $GATE_VMMCALL, %eax
        cmpl    $0x68747541, %ebx       /* "Auth", of AuthenticAMD */
        je      .Lfound
        cmpl    $0x6f677948, %ebx       /* "Hygo", of HygonGenuine */
        je      .Lfound
        movl    $GATE_VMCALL, %eax
.Lfound:
        movl    %eax, GateInstruction(%rip)

.Lknown:
        movq    %r9, %rdx
        movq    64(%rsp), %r10          /* A4: three pushes, the return address, four home slots */
        movq    72(%rsp), %r8           /* A5 */
        cmpl    $GATE_VMMCALL, GateInstruction(%rip)
        movl    %r11d, %eax             /* leaves the flags */
        je      .Lvmmcall
        vmcall
        jmp     .Ldone
.Lvmmcall:
        vmmcall
.Ldone:
        popq    %rsi
        popq    %rdi
        popq    %rbx
        ret
        .seh_endproc
