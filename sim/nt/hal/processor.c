/*
 * The processor: CPUID, MSRs, time-stamp counter, interrupt flag, the hypercall instruction. The simulated processor is
 * an Intel-like one, mostly under a hypervisor; only what software asks of it is answered.
 */
#include <string.h>

#include "nt/ke/ke.h"
#include "xen/platform.h"
#include "xen/xen.h"

#define MSR_IA32_TSC 0x10u
#define MSR_IA32_APIC_BASE 0x1bu
#define MSR_EFER 0xc0000080u

#define HIGHEST_BASIC_LEAF 1u

#define FEATURE_EDX_TSC (1u << 4)
#define FEATURE_EDX_MSR (1u << 5)
#define FEATURE_EDX_APIC (1u << 9)
#define FEATURE_EDX_SSE (1u << 25)
#define FEATURE_EDX_SSE2 (1u << 26)
#define FEATURE_ECX_CX16 (1u << 13)
#define FEATURE_ECX_HYPERVISOR (1u << 31)

void hal_init(void)
{
    /* The processor has no state of its own beside its vCPU's. */
}

static void general_protection(const char *what, ULONG number)
{
    const uint64_t parameter[4] = {0xc0000096 /* STATUS_PRIVILEGED_INSTRUCTION */, 0, number, 0};

    nt_violation_code(KMODE_EXCEPTION_NOT_HANDLED, parameter, "general-protection", "%s of MSR %#x, which is not there",
                      what, number);
}

VOID NTAPI __cpuidex(int CPUInfo[4], int Leaf, int SubLeaf)
{
    uint32_t leaf = (uint32_t)Leaf;
    uint32_t out[4] = {0, 0, 0, 0};

    NT_INSTRUCTION(POINT_HYPERCALL); /* CPUID leaves the guest under a hypervisor */
    if (leaf >= 0x40000000u && leaf < 0x40010000u) {
        if (xen_cpuid(leaf, (uint32_t)SubLeaf, out) || xen_hypervisor_is_there()) {
            memcpy(CPUInfo, out, sizeof(out));
            return;
        }
        leaf = HIGHEST_BASIC_LEAF; /* as a processor answers for a leaf that it does not have */
    }
    if (leaf == 0) {
        out[0] = HIGHEST_BASIC_LEAF;
        memcpy(&out[1], "Genu", 4);
        memcpy(&out[3], "ineI", 4);
        memcpy(&out[2], "ntel", 4);
    } else if (leaf == 1) {
        out[0] = 0x000306e4;
        out[1] = ke_vcpu() != NULL ? ke_vcpu()->index << 25 : 0; /* initial APIC ID, two a vCPU as Xen numbers them */
        out[2] = FEATURE_ECX_CX16 | (xen_hypervisor_is_there() ? FEATURE_ECX_HYPERVISOR : 0);
        out[3] = FEATURE_EDX_TSC | FEATURE_EDX_MSR | FEATURE_EDX_APIC | FEATURE_EDX_SSE | FEATURE_EDX_SSE2;
    } else if (leaf == 0x80000000u) {
        out[0] = 0x80000001u;
    }
    memcpy(CPUInfo, out, sizeof(out));
}

VOID NTAPI __cpuid(int CPUInfo[4], int Leaf)
{
    __cpuidex(CPUInfo, Leaf, 0);
}

ULONG64 NTAPI KxReadTimeStampCounter(VOID)
{
    sched_point(POINT_CLOCK);
    return clock_now(); /* 1 GHz */
}

ULONG64 NTAPI __readmsr(ULONG Register)
{
    uint64_t value;

    NT_INSTRUCTION(POINT_HYPERCALL);
    switch (Register) {
    case MSR_IA32_TSC:
        return clock_now();
    case MSR_IA32_APIC_BASE:
        return 0xfee00800u | (ke_vcpu() != NULL && ke_vcpu()->index == 0 ? 0x100u : 0u);
    case MSR_EFER:
        return 0xd01; /* long mode, NX, SYSCALL */
    default:
        if (!xen_msr_read(Register, &value))
            general_protection("read", Register);
        return value;
    }
}

VOID NTAPI __writemsr(ULONG Register, ULONG64 Value)
{
    NT_INSTRUCTION(POINT_HYPERCALL);
    if (!xen_msr_write(Register, Value))
        general_protection("write", Register);
}

ULONG64 NTAPI __readcr8(VOID)
{
    return ke_irql();
}

VOID NTAPI __writecr8(ULONG64 Value)
{
    sched_point(POINT_IRQL);
    if (Value > HIGH_LEVEL)
        nt_violation_sub("irql-raise", ke_irql(), Value, 0, "CR8 written with %#llx", (unsigned long long)Value);
    ke_set_irql((KIRQL)Value);
}

VOID NTAPI _disable(VOID)
{
    ke_vcpu()->interrupts_off = true;
}

VOID NTAPI _enable(VOID)
{
    ke_vcpu()->interrupts_off = false;
    ke_set_irql(ke_irql()); /* delivers what has come up meanwhile */
}

VOID NTAPI __halt(VOID)
{
    KERNEL_SCOPE();

    if (ke_vcpu()->interrupts_off)
        nt_violation("halt", "HLT with interrupts off: the processor stops for good");
    (void)vcpu_wait_interrupt(CLOCK_NEVER);
    ke_set_irql(ke_irql());
}

/* What firmware does on the platform: the emulator behind it has the hypervisor end the domain. */
VOID NTAPI HalReturnToFirmware(FIRMWARE_REENTRY Routine)
{
    NT_CALL_ANY();
    switch (Routine) {
    case HalHaltRoutine:
    case HalPowerDownRoutine:
        xen_guest_ends(false);
        break;
    case HalRestartRoutine:
    case HalRebootRoutine:
        xen_guest_ends(true);
        break;
    default:
        nt_violation("firmware", "HalReturnToFirmware with %d, which is no routine of the firmware", Routine);
    }
}

ULONG_PTR NTAPI KxHypercall(ULONG Op, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4, ULONG_PTR A5)
{
    if (!xen_is_there())
        nt_violation_code(KMODE_EXCEPTION_NOT_HANDLED, (uint64_t[4]){0xc000001d /* STATUS_ILLEGAL_INSTRUCTION */},
                          "invalid-opcode", "hypercall %u on a machine without Xen", Op);
    return (ULONG_PTR)xen_hypercall(Op, A1, A2, A3, A4, A5);
}
