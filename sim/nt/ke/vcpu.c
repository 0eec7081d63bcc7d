/*
 * vCPUs: IRQL, interrupt delivery, the DPC stack, idling. The rules are those of Windows: an interrupt service routine
 * runs on top of whatever its vCPU executes and masks its own level and those below; DPCs run when the IRQL falls below
 * DISPATCH_LEVEL, on a stack of the vCPU's own, in the context of the thread that they interrupted, and nothing else
 * but interrupts runs on the vCPU until the queue is empty; then the dispatcher looks for a better thread.
 */
#include <stdio.h>
#include <string.h>

#include "machine/fiber.h"
#include "machine/runner.h"
#include "nt/ke/ke.h"
#include "xen/xen.h"

#define LINE_FIRST 0
#define LINE_COUNT 48u
#define STORM 2000u /* deliveries of one vector in a row, with nothing else in between */

static struct vcpu *vcpu_of(struct runner *runner)
{
    return CONTAINING_RECORD(runner, struct vcpu, runner);
}

struct vcpu *ke_vcpu(void)
{
    struct runner *current;

    if (machine == NULL || machine->sched == NULL)
        return NULL;
    current = runner_current();
    return current != NULL && current->is_vcpu ? vcpu_of(current) : NULL;
}

int vcpu_current_index(void)
{
    const struct vcpu *vcpu = ke_vcpu();

    return vcpu != NULL ? (int)vcpu->index : -1;
}

static bool has_pending_vector(const struct vcpu *vcpu)
{
    return (vcpu->pending[0] | vcpu->pending[1] | vcpu->pending[2] | vcpu->pending[3]) != 0;
}

static unsigned highest_vector(const struct vcpu *vcpu)
{
    for (int word = 3; word >= 0; word--)
        if (vcpu->pending[word] != 0)
            return (unsigned)word * 64 + 63 - (unsigned)__builtin_clzll(vcpu->pending[word]);
    return 0;
}

static bool has_dpcs(const struct vcpu *vcpu)
{
    return vcpu->dpc_queue.Next != NULL && !vcpu->dpc_held;
}

static bool has_dispatch_work(const struct vcpu *vcpu)
{
    return vcpu->timer_expired || has_dpcs(vcpu) || vcpu->threaded_waiting || vcpu->preempt;
}

static bool deliverable(const struct vcpu *vcpu)
{
    if (vcpu->suspended)
        return false;
    if (vcpu->nmi_pending)
        return true;
    if (vcpu->interrupts_off)
        return false;
    if (has_pending_vector(vcpu) && highest_vector(vcpu) >> 4 > vcpu->irql)
        return true;
    if (vcpu->irql >= DISPATCH_LEVEL || vcpu->dpc_active)
        return false;
    return has_dispatch_work(vcpu) || (vcpu->irql < APC_LEVEL && ke_apc_deliverable(vcpu->current));
}

/* ---- the parallel engine: what is pending, for those who hold no lock ---- */

static void note_work(struct vcpu *vcpu)
{
    uint32_t work = (has_dispatch_work(vcpu) ? 1u << DISPATCH_LEVEL : 0) | (vcpu->runner.held ? WORK_STOP : 0) |
                    (vcpu->nmi_pending ? WORK_NMI : 0);

    if (has_pending_vector(vcpu))
        work |= 1u << (highest_vector(vcpu) >> 4);
    __atomic_store_n(&vcpu->runner.work, work, __ATOMIC_RELAXED);
}

bool ke_wants_attention(const struct runner *runner)
{
    return ke_work_admitted(CONTAINING_RECORD(runner, struct vcpu, runner));
}

void ke_interrupt_for_stop(struct runner *runner)
{
    __atomic_fetch_or(&runner->work, WORK_STOP, __ATOMIC_RELAXED);
}

static void count_call(const struct vcpu *target)
{
    int index = vcpu_current_index();
    struct vcpu *caller = index >= 0 ? machine->vcpu[index] : NULL;

    if (caller != NULL && caller != target)
        __atomic_store_n(&caller->processor_calls, caller->processor_calls + 1, __ATOMIC_RELAXED);
}

uint64_t ke_processor_calls(void)
{
    uint64_t count = 0;

    for (unsigned index = 0; index < machine->config.vcpus; index++)
        count += __atomic_load_n(&machine->vcpu[index]->processor_calls, __ATOMIC_RELAXED);
    return count;
}

void ke_vcpu_attend(struct vcpu *vcpu)
{
    count_call(vcpu);
    if (engine_is_parallel()) { /* its IRQL is its own business: it looks for itself */
        note_work(vcpu);
        vcpu->attention = true;
        runner_wake(&vcpu->runner);
        return;
    }
    if (!deliverable(vcpu))
        return;
    vcpu->attention = true;
    point_look();
    runner_wake(&vcpu->runner);
}

static void late_vectors(void *argument)
{
    struct vcpu *vcpu = argument;

    for (unsigned word = 0; word < 4; word++) {
        vcpu->pending[word] |= vcpu->late[word];
        vcpu->late[word] = 0;
    }
    ke_vcpu_attend(vcpu);
}

/* --delay: the interrupt reaches its vCPU later. Clock and inter-processor interrupts have delays of their own. */
static bool raise_late(struct vcpu *vcpu, uint8_t vector)
{
    uint64_t delay = vector == KE_VECTOR_CLOCK || vector == KE_VECTOR_IPI ? 0 : delay_draw(DELAY_INTERRUPT);

    if (delay == 0)
        return false;
    vcpu->late[vector / 64] |= UINT64_C(1) << (vector % 64);
    if (!deadline_is_set(&vcpu->late_until))
        deadline_set(&vcpu->late_until, clock_now() + delay, late_vectors, vcpu);
    return true;
}

void vcpu_raise_vector(unsigned index, uint8_t vector)
{
    struct vcpu *vcpu = machine->vcpu[index];

    if (raise_late(vcpu, vector))
        return;
    vcpu->pending[vector / 64] |= UINT64_C(1) << (vector % 64);
    ke_vcpu_attend(vcpu);
}

void vcpu_clear_interrupts(void)
{
    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        struct vcpu *vcpu = machine->vcpu[index];

        memset(vcpu->pending, 0, sizeof(vcpu->pending));
        memset(vcpu->late, 0, sizeof(vcpu->late));
        vcpu->nmi_pending = false;
    }
}

void vcpu_raise_nmi(unsigned index)
{
    machine->vcpu[index]->nmi_pending = true;
    ke_vcpu_attend(machine->vcpu[index]);
}

void vcpu_bind_line(unsigned irq, uint8_t vector)
{
    machine->ke->line_vector[irq] = vector;
    if (vector != 0 && machine->ke->line_level[irq])
        vcpu_raise_vector(0, vector);
}

void vcpu_set_line(unsigned irq, bool asserted)
{
    struct ke_state *ke = machine->ke;

    if (irq >= LINE_COUNT)
        fail("internal", "there is no interrupt line %u", irq);
    ke->line_level[irq] = asserted;
    if (asserted && ke->line_vector[irq] != 0)
        vcpu_raise_vector(0, ke->line_vector[irq]);
}

void ke_line_end_of_interrupt(uint8_t vector)
{
    struct ke_state *ke = machine->ke;

    for (unsigned irq = LINE_FIRST; irq < LINE_COUNT; irq++) {
        if (ke->line_vector[irq] != vector)
            continue;
        xen_evtchn_sync_line();
        if (ke->line_level[irq])
            vcpu_raise_vector(0, vector);
    }
}

/* ---- delivery ---- */

static void wake_vcpu(void *argument)
{
    struct vcpu *vcpu = argument;

    runner_wake(&vcpu->runner);
}

/* At DISPATCH_LEVEL or above: let time pass, interrupts included. */
static void stall(struct vcpu *vcpu, uint64_t until)
{
    struct deadline deadline = {0};

    while (clock_now() < until) {
        deadline_set(&deadline, until, wake_vcpu, vcpu);
        runner_block("KeStallExecutionProcessor");
        deadline_cancel(&deadline);
        ke_attention();
    }
}

static void deliver_vector(struct vcpu *vcpu, uint8_t vector)
{
    KIRQL old = vcpu->irql;
    KIRQL level = vector >> 4;
    unsigned base = vcpu->locks.base;
    uint8_t outer = vcpu->isr_vector;
    struct fiber *fiber = runner_current()->fiber;
    struct fiber_exception exception = fiber->exception; /* the service routine may have a __try */

    vcpu->locks.base = vcpu->locks.count;
    vcpu->pending[vector / 64] &= ~(UINT64_C(1) << (vector % 64));
    vcpu->irql = level;
    ke_irql_changed(vcpu);
    if (vcpu->isr_depth++ == 0)
        vcpu->isr_since = clock_now();
    vcpu->isr_vector = vector;
    vcpu->interrupts++;
    eventlog_add(EVENT_INTERRUPT, vcpu->index, vector, 0);
    if (vector == KE_VECTOR_CLOCK) {
        vcpu->timer_expired = true;
    } else if (vector == KE_VECTOR_IPI) {
        ke_ipi_deliver(vcpu);
    } else {
        if (!hal_interrupt(vcpu->index, vector)) {
            machine->ke->spurious_interrupts++;
            log_line(LOG_WARNING, "ke", "interrupt vector %#x on vCPU %u is not connected", vector, vcpu->index);
        }
        ke_line_end_of_interrupt(vector);
    }
    if (vcpu->irql != level)
        nt_violation("irql-changed", "the service routine of vector %#x returned at IRQL %u, it was called at %u",
                     vector, vcpu->irql, level);
    fiber->exception = exception;
    vcpu->isr_depth--;
    vcpu->isr_vector = outer;
    vcpu->irql = old;
    vcpu->locks.base = base;
}

static void run_dpc(struct vcpu *vcpu, PKDPC dpc)
{
    /* The DPC may be queued again, or freed, by its own routine. */
    PKDEFERRED_ROUTINE routine = dpc->DeferredRoutine;
    PVOID context = dpc->DeferredContext;
    PVOID argument1 = dpc->SystemArgument1;
    PVOID argument2 = dpc->SystemArgument2;

    vcpu->running_dpc = dpc;
    vcpu->dpc_routine = (const void *)(uintptr_t)routine;
    vcpu->dpc_since = clock_now();
    eventlog_add(EVENT_DPC, vcpu->index, ++vcpu->dpcs, 0);
    DRIVER_CALLOUT("DPC routine", routine, dpc, context, argument1, argument2);
    vcpu->running_dpc = NULL;
    vcpu->dpc_routine = NULL;
    if (vcpu->irql != DISPATCH_LEVEL)
        nt_violation("irql-changed", "a DPC routine returned at IRQL %u, it was called at DISPATCH_LEVEL", vcpu->irql);
}

/* --delay: the processor is busy with the DPCs of others first. */
static void stand_behind_others(struct vcpu *vcpu)
{
    uint64_t delay = delay_draw(DELAY_DPC);

    if (delay != 0)
        stall(vcpu, clock_now() + delay);
}

/* The DPC stack of a vCPU: entered by retire(), empties the queue, goes back to what was interrupted. */
static void dpc_main(void *argument)
{
    struct vcpu *vcpu = argument;

    for (;;) {
        for (;;) {
            PKDPC dpc;

            if (vcpu->timer_expired) {
                vcpu->timer_expired = false;
                ke_timers_expire(vcpu);
            }
            dpc = ke_dpc_pop(vcpu, false);
            if (dpc == NULL)
                break;
            stand_behind_others(vcpu);
            run_dpc(vcpu, dpc);
            sched_point(POINT_CALL);
        }
        ke_threaded_dpcs_tell(vcpu);
        runner_switch_fiber(&vcpu->dpc_fiber, vcpu->dpc_return);
    }
}

static void retire(struct vcpu *vcpu)
{
    KIRQL old = vcpu->irql;

    vcpu->irql = DISPATCH_LEVEL;
    ke_irql_changed(vcpu);
    vcpu->dpc_active = true;
    vcpu->dpc_return = vcpu->runner.fiber;
    runner_switch_fiber(vcpu->dpc_return, &vcpu->dpc_fiber);
    vcpu->dpc_active = false;
    ke_check_stack(&vcpu->dpc_fiber, "DPC", vcpu->runner.name);
    vcpu->irql = old;
}

/*
 * A thread's turn ends with its quantum, which is known to the clock interrupt's resolution only: under the random
 * policies it may end at any switch point.
 */
static void check_quantum(struct vcpu *vcpu)
{
    if (machine->ke->ready_mask == 0 || vcpu->irql >= DISPATCH_LEVEL || vcpu->current == vcpu->idle)
        return;
    if (clock_now() >= vcpu->current->quantum_end || policy_toss(32)) {
        vcpu->preempt = true;
        vcpu->attention = true;
    }
}

/* No driver has asked for it (KeRegisterNmiCallback is not there), so that for Windows it is a defect of the hardware.
 */
static _Noreturn void take_nmi(struct vcpu *vcpu)
{
    static const uint64_t parameter[4] = {0x4F4454}; /* as its HAL has it */

    vcpu->nmi_pending = false;
    vcpu->irql = HIGH_LEVEL;
    ke_irql_changed(vcpu);
    ke_bugcheck(NMI_HARDWARE_FAILURE, parameter, "nmi", "a non-maskable interrupt reached processor %u", vcpu->index);
}

void ke_attention(void)
{
    struct vcpu *vcpu = ke_vcpu();
    unsigned in_a_row = 0;
    uint8_t last_vector = 0;

    ke_limits_check(vcpu);
    check_quantum(vcpu);
    if (!vcpu->attention)
        return;
    for (;;) {
        vcpu = ke_vcpu(); /* a thread comes back where it is scheduled */
        if (!deliverable(vcpu)) {
            vcpu->attention = false;
            if (engine_is_parallel())
                note_work(vcpu);
            return;
        }
        if (vcpu->nmi_pending)
            take_nmi(vcpu);
        if (has_pending_vector(vcpu) && highest_vector(vcpu) >> 4 > vcpu->irql) {
            uint8_t vector = (uint8_t)highest_vector(vcpu);

            in_a_row = vector == last_vector ? in_a_row + 1 : 1;
            last_vector = vector;
            if (in_a_row > STORM)
                hal_interrupt_storm(vcpu->index, vector, in_a_row);
            deliver_vector(vcpu, vector);
            continue;
        }
        in_a_row = 0;
        if (vcpu->timer_expired || has_dpcs(vcpu) || vcpu->threaded_waiting)
            retire(vcpu);
        else if (vcpu->preempt)
            ke_preempt();
        else
            ke_apc_deliver();
    }
}

void ke_attention_now(void)
{
    ke_vcpu()->attention = true;
    ke_attention();
}

void ke_idle_main(void *argument)
{
    struct vcpu *vcpu = argument;

    ke_reap();
    for (;;) {
        if (!vcpu->attention) {
            xen_vcpu_halted(vcpu->index, true);
            runner_block("idle");
            xen_vcpu_halted(vcpu->index, false);
        }
        ke_attention();
    }
}

/* ---- IRQL ---- */

KIRQL ke_irql(void)
{
    const struct vcpu *vcpu = ke_vcpu();

    return vcpu != NULL ? vcpu->irql : PASSIVE_LEVEL;
}

void ke_set_irql(KIRQL irql)
{
    struct vcpu *vcpu = ke_vcpu();

    if (vcpu == NULL)
        return;
    vcpu->irql = irql;
    ke_irql_changed(vcpu);
    if (engine_is_parallel() && !vcpu->runner.fiber->in_kernel) {
        if (ke_wants_attention(&vcpu->runner)) {
            KERNEL_SCOPE();

            ke_attention_now();
        }
        return;
    }
    if (deliverable(vcpu)) {
        vcpu->attention = true;
        ke_attention();
    }
}

KIRQL NTAPI KeGetCurrentIrql(VOID)
{
    return ke_irql();
}

KIRQL NTAPI KfRaiseIrql(KIRQL NewIrql)
{
    KIRQL old;

    NT_CALL_LIGHT(HIGH_LEVEL, POINT_IRQL);
    old = ke_irql();
    if (NewIrql < old || NewIrql > HIGH_LEVEL) {
        const uint64_t parameter[4] = {old, NewIrql, 0, 0};

        nt_violation_code(IRQL_NOT_GREATER_OR_EQUAL, parameter, "irql-raise", "raised from IRQL %u to %u", old,
                          NewIrql);
    }
    ke_vcpu()->irql_raiser = __builtin_return_address(0);
    ke_set_irql(NewIrql);
    return old;
}

KIRQL NTAPI KeRaiseIrqlToDpcLevel(VOID)
{
    struct vcpu *outside = ke_vcpu_outside();
    KIRQL old;

    if (outside != NULL && outside->irql <= DISPATCH_LEVEL) { /* less is admitted from here on */
        old = outside->irql;
        outside->irql_raiser = __builtin_return_address(0);
        outside->irql = DISPATCH_LEVEL;
        ke_irql_changed(outside);
        return old;
    }
    NT_CALL_LIGHT(DISPATCH_LEVEL, POINT_IRQL);
    old = ke_irql();
    ke_vcpu()->irql_raiser = __builtin_return_address(0);
    ke_set_irql(DISPATCH_LEVEL);
    return old;
}

VOID NTAPI KeLowerIrql(KIRQL NewIrql)
{
    struct vcpu *outside = ke_vcpu_outside();

    if (outside != NULL && NewIrql <= outside->irql && outside->locks.count == outside->locks.base) {
        ke_lower_outside(outside, NewIrql);
        return;
    }
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_IRQL);
    if (NewIrql > ke_irql()) {
        const uint64_t parameter[4] = {ke_irql(), NewIrql, 0, 0};

        nt_violation_code(IRQL_NOT_LESS_OR_EQUAL, parameter, "irql-lower", "\"lowered\" from IRQL %u to %u", ke_irql(),
                          NewIrql);
    }
    lock_check_lower(NewIrql, __func__);
    ke_set_irql(NewIrql);
}

uint64_t ke_quiet_until(const struct runner *runner)
{
    const struct vcpu *vcpu = CONTAINING_RECORD(runner, struct vcpu, runner);
    uint64_t until = ke_limits_next(vcpu);

    if (vcpu->attention)
        return 0;
    if (machine->ke->ready_mask != 0 && vcpu->current != vcpu->idle && vcpu->current->quantum_end < until)
        until = vcpu->current->quantum_end;
    return until;
}

void nt_call(const char *routine, const void *caller, unsigned min_irql, unsigned max_irql, enum sched_point point)
{
    struct vcpu *vcpu;

    if (machine == NULL)
        return;
    vcpu = ke_vcpu_quiet();
    if (vcpu != NULL && vcpu->irql <= max_irql && vcpu->irql >= min_irql && ke_point_passes(vcpu, point))
        return;
    vcpu = ke_vcpu_here();
    if (vcpu == NULL)
        return;
    if (vcpu->irql <= max_irql && vcpu->irql >= min_irql) {
        ke_light_point(point);
        return;
    }
    nt_violation_sub("irql", vcpu->irql, 0, 0, "%s called at IRQL %u, allowed are %u to %u; the caller is at %p",
                     routine, vcpu->irql, min_irql, max_irql, caller);
}

void ke_describe_context(char *buffer, size_t size)
{
    const struct vcpu *vcpu = ke_vcpu();

    if (vcpu == NULL)
        snprintf(buffer, size, "%s", runner_current() != NULL ? runner_current()->name : "the host");
    else
        snprintf(buffer, size, "vCPU %u, %s%s, IRQL %u", vcpu->index,
                 vcpu->isr_depth > 0 ? "service routine over "
                 : vcpu->dpc_active  ? "DPC over "
                                     : "thread ",
                 vcpu->current->name, vcpu->irql);
}

/* ---- stopping and spinning ---- */

void vcpu_suspend_current(void)
{
    struct vcpu *vcpu = ke_vcpu();

    vcpu->suspended = true;
    while (vcpu->suspended)
        runner_block("SCHEDOP_shutdown");
    vcpu->attention = true;
    point_look();
}

void vcpu_resume(unsigned index)
{
    struct vcpu *vcpu = machine->vcpu[index];

    vcpu->suspended = false;
    ke_limits_restart();
    runner_wake(&vcpu->runner);
}

void vcpu_hold(unsigned index)
{
    runner_hold(&machine->vcpu[index]->runner);
}

void vcpu_let_go(unsigned index)
{
    ke_limits_restart();
    runner_let_go(&machine->vcpu[index]->runner);
}

bool vcpu_stands(unsigned index)
{
    return runner_stands(&machine->vcpu[index]->runner);
}

bool vcpu_has_work(unsigned index)
{
    const struct vcpu *vcpu = machine->vcpu[index];

    return vcpu->runner.runnable || vcpu->runner.woken;
}

void vcpu_running(void)
{
    const struct vcpu *vcpu = machine->config.paged_strict ? ke_vcpu() : NULL;

    if (vcpu != NULL)
        ke_irql_changed(vcpu);
}

void vcpu_show_memory(void)
{
    mm_paged_show();
}

bool vcpu_wait_interrupt(uint64_t until)
{
    struct vcpu *vcpu = ke_vcpu();
    struct deadline deadline = {0};

    if (until != CLOCK_NEVER)
        deadline_set(&deadline, until, wake_vcpu, vcpu);
    while (!has_pending_vector(vcpu) && clock_now() < until)
        runner_block("an interrupt");
    return !deadline_cancel(&deadline) ? clock_now() < until || has_pending_vector(vcpu) : true;
}

VOID NTAPI KeStallExecutionProcessor(ULONG MicroSeconds)
{
    struct vcpu *vcpu;
    uint64_t until;

    NT_CALL_ANY();
    vcpu = ke_vcpu();
    until = clock_now() + (uint64_t)MicroSeconds * 1000;
    if (vcpu->irql < DISPATCH_LEVEL) {
        /* A stalling thread can be preempted: the vCPU must be looked up anew each time, so go by points. */
        while (clock_now() < until)
            sched_point(POINT_PAUSE);
        return;
    }
    stall(vcpu, until);
}

VOID NTAPI KxYieldProcessor(VOID)
{
    sched_point(POINT_PAUSE);
}

/* ---- start ---- */

static void vcpu_create(unsigned index)
{
    struct vcpu *vcpu = image_alloc(sizeof(*vcpu));
    struct _KTHREAD *idle = image_alloc(sizeof(*idle));
    char name[RUNNER_NAME_MAX];

    vcpu->index = index;
    snprintf(name, sizeof(name), "vCPU %u", index);
    runner_add(&vcpu->runner, true, name);

    snprintf(idle->name, sizeof(idle->name), "idle thread of vCPU %u", index);
    idle->state = THREAD_RUNNING;
    idle->priority = -1;
    lock_list_init(&idle->locks);
    lock_list_init(&vcpu->locks);
    idle->vcpu = (int)index;
    idle->Header.Type = ThreadObject;
    InitializeListHead(&idle->Header.WaitListHead);
    InitializeListHead(&idle->mutants);
    InitializeListHead(&idle->apcs[KernelMode]);
    InitializeListHead(&idle->apcs[UserMode]);
    InitializeListHead(&idle->irps);
    fiber_create(&idle->fiber, idle->name, FIBER_STACK_SIZE, ke_idle_main, vcpu);
    vcpu->idle = idle;
    vcpu->current = idle;
    vcpu->runner.fiber = &idle->fiber;
    vcpu->runner.why = "idle";
    fiber_create(&vcpu->dpc_fiber, vcpu->runner.name, FIBER_STACK_SIZE, dpc_main, vcpu);
    machine->vcpu[index] = vcpu;
}

void ke_init(void)
{
    struct ke_state *ke = image_alloc(sizeof(*ke));

    for (unsigned priority = 0; priority < ARRAYSIZE(ke->ready); priority++)
        InitializeListHead(&ke->ready[priority]);
    InitializeListHead(&ke->threads);
    InitializeListHead(&ke->timers);
    InitializeListHead(&ke->bugcheck_callbacks);
    InitializeListHead(&ke->bugcheck_reason_callbacks);
    InitializeListHead(&ke->processor_callbacks);
    ke->processors = machine->config.start_vcpus != 0 ? machine->config.start_vcpus : machine->config.vcpus;
    ke->announced = ke->processors;
    machine->ke = ke;
    lock_init();
    if (engine_is_parallel())
        ke_parallel_spin_init();
    for (unsigned index = 0; index < machine->config.vcpus; index++)
        vcpu_create(index);
}
