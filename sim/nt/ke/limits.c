/*
 * Limits of time and stack. Time at raised IRQL is looked at with each switch point of the vCPU: code that makes no
 * kernel call at all is beyond this.
 */
#include "nt/ke/ke.h"

#define TICK_NS 15625000u /* the clock interrupt's, in which Bug Check 0x133 counts */

/* By the machine's virtual clock. */
static const struct machine_limits defaults = {
    .isr = 500000000,
    .dpc = 500000000,
    .dispatch = 2000000000,
};

static uint64_t limit(uint64_t configured, uint64_t by_default)
{
    if (configured != LIMIT_DEFAULT)
        return configured;
    return machine->config.clock != CLOCK_WALL && machine->config.engine == ENGINE_DETERMINISTIC ? by_default : 0;
}

static uint64_t ticks(uint64_t nanoseconds)
{
    return (nanoseconds + TICK_NS - 1) / TICK_NS;
}

static bool is_over(uint64_t since, uint64_t now, uint64_t bound)
{
    return bound != 0 && now > since && now - since > bound;
}

/* Parameters of Bug Check 0x133 for one routine. */
#define ONE(took, bound) ((const uint64_t[4]){0, ticks(took), ticks(bound), 0})

_Noreturn static void report_isr(const struct vcpu *vcpu, uint64_t took, uint64_t bound)
{
    nt_violation_code(DPC_WATCHDOG_VIOLATION, ONE(took, bound), "isr-time",
                      "the service routine of vector 0x%02x has been running for %llu us, the limit is %llu us",
                      vcpu->isr_vector, (unsigned long long)took / 1000, (unsigned long long)bound / 1000);
}

_Noreturn static void report_dpc(const struct vcpu *vcpu, uint64_t took, uint64_t bound)
{
    char name[128];

    loader_describe(name, sizeof(name), vcpu->dpc_routine);
    nt_violation_code(DPC_WATCHDOG_VIOLATION, ONE(took, bound), "dpc-time",
                      "the DPC routine %s has been running for %llu us, the limit is %llu us", name,
                      (unsigned long long)took / 1000, (unsigned long long)bound / 1000);
}

void ke_limits_look(struct vcpu *vcpu)
{
    const struct machine_limits *limits = &machine->config.limits;
    uint64_t isr = limit(limits->isr, defaults.isr);
    uint64_t dpc = limit(limits->dpc, defaults.dpc);
    uint64_t dispatch = limit(limits->dispatch, defaults.dispatch);
    uint64_t now;

    if ((isr | dpc | dispatch) == 0)
        return;
    now = clock_now();
    if (vcpu->dispatch_since == 0)
        vcpu->dispatch_since = now;
    if (machine->failure != NULL)
        return;
    if (vcpu->isr_depth != 0 && is_over(vcpu->isr_since, now, isr))
        report_isr(vcpu, now - vcpu->isr_since, isr);
    if (vcpu->isr_depth == 0 && vcpu->dpc_routine != NULL && is_over(vcpu->dpc_since, now, dpc))
        report_dpc(vcpu, now - vcpu->dpc_since, dpc);
    if (is_over(vcpu->dispatch_since, now, dispatch)) {
        const uint64_t parameter[4] = {1, ticks(dispatch), 0, 0};

        nt_violation_code(DPC_WATCHDOG_VIOLATION, parameter, "dispatch-time",
                          "vCPU %u has been at DISPATCH_LEVEL or above for %llu us, the limit is %llu us", vcpu->index,
                          (unsigned long long)(now - vcpu->dispatch_since) / 1000, (unsigned long long)dispatch / 1000);
    }
}

/* What has begun ends its time at `since` and the bound; what has not, begins no sooner than now. */
static uint64_t sooner(uint64_t until, bool begun, uint64_t since, uint64_t bound)
{
    uint64_t over = (begun ? since : clock_now()) + bound + 1;

    return bound != 0 && over < until ? over : until;
}

uint64_t ke_limits_next(const struct vcpu *vcpu)
{
    const struct machine_limits *limits = &machine->config.limits;
    uint64_t until = CLOCK_NEVER;

    until = sooner(until, vcpu->isr_depth != 0, vcpu->isr_since, limit(limits->isr, defaults.isr));
    until = sooner(until, vcpu->dpc_routine != NULL, vcpu->dpc_since, limit(limits->dpc, defaults.dpc));
    return sooner(until, vcpu->dispatch_since != 0, vcpu->dispatch_since, limit(limits->dispatch, defaults.dispatch));
}

void ke_limits_restart(void)
{
    uint64_t now = clock_now();

    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        struct vcpu *vcpu = machine->vcpu[index];

        vcpu->isr_since = now;
        vcpu->dpc_since = now;
        vcpu->dispatch_since = 0;
    }
}

static ULONG ticks_left(uint64_t since, uint64_t now, uint64_t bound)
{
    return bound != 0 && now - since < bound ? (ULONG)ticks(bound - (now - since)) : 0;
}

/* In ticks of the clock interrupt, as Bug Check 0x133 counts; Windows gives no unit. */
NTSTATUS NTAPI KeQueryDpcWatchdogInformation(PKDPC_WATCHDOG_INFORMATION WatchdogInformation)
{
    uint64_t one = limit(machine->config.limits.dpc, defaults.dpc);
    uint64_t all = limit(machine->config.limits.dispatch, defaults.dispatch);
    const struct vcpu *vcpu;
    uint64_t now;

    NT_CALL_ANY();
    vcpu = ke_vcpu();
    now = clock_now();
    if (vcpu->irql < DISPATCH_LEVEL && vcpu->dpc_routine == NULL)
        return STATUS_UNSUCCESSFUL;
    WatchdogInformation->DpcTimeLimit = (ULONG)ticks(one);
    WatchdogInformation->DpcTimeCount = ticks_left(vcpu->dpc_routine != NULL ? vcpu->dpc_since : now, now, one);
    WatchdogInformation->DpcWatchdogLimit = (ULONG)ticks(all);
    WatchdogInformation->DpcWatchdogCount =
        ticks_left(vcpu->dispatch_since != 0 ? vcpu->dispatch_since : now, now, all);
    WatchdogInformation->Reserved = 0;
    return STATUS_SUCCESS;
}

/* ---- stacks ---- */

void ke_check_stack(const struct fiber *fiber, const char *kind, const char *name)
{
    size_t left;

    if (machine->failure != NULL || !fiber_stack_is_low(fiber, &left))
        return;
    nt_violation("stack-low", "the %s%sstack of %s had only %zu of %zu bytes left at its deepest; a driver leaves %u",
                 kind, kind[0] != '\0' ? " " : "", name, left, fiber->stack_size, FIBER_STACK_RESERVE);
}
