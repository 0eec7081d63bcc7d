/*
 * Threads and the dispatcher: 32 priorities, ready queues, preemption, quantum, affinity. Public routines of threads
 * that belong to the process structure are in nt/ps.
 */
#include <stdio.h>
#include <string.h>

#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

#define QUANTUM_NS 10000000u /* of virtual time */

struct _KTHREAD *ke_thread(void)
{
    const struct vcpu *vcpu = ke_vcpu();

    return vcpu != NULL ? vcpu->current : NULL;
}

bool ke_affinity_allows(const struct _KTHREAD *thread, unsigned vcpu)
{
    return (thread->affinity[vcpu / 64] >> (vcpu % 64) & 1) != 0;
}

/* ---- ready queues ---- */

static void enqueue(struct _KTHREAD *thread, bool at_head)
{
    struct ke_state *ke = machine->ke;

    thread->state = THREAD_READY;
    if (at_head)
        InsertHeadList(&ke->ready[thread->priority], &thread->ready_entry);
    else
        InsertTailList(&ke->ready[thread->priority], &thread->ready_entry);
    ke->ready_mask |= 1u << thread->priority;
    point_look();
}

static void dequeue(struct _KTHREAD *thread)
{
    struct ke_state *ke = machine->ke;

    RemoveEntryList(&thread->ready_entry);
    if (IsListEmpty(&ke->ready[thread->priority]))
        ke->ready_mask &= ~(1u << thread->priority);
}

/* The best ready thread for a vCPU of at least `floor` priority; stays in its queue. */
static struct _KTHREAD *best_ready(const struct vcpu *vcpu, KPRIORITY floor)
{
    struct ke_state *ke = machine->ke;
    uint32_t mask = ke->ready_mask;

    while (mask != 0) {
        int priority = 31 - __builtin_clz(mask);

        if (priority < floor)
            return NULL;
        for (PLIST_ENTRY entry = ke->ready[priority].Flink; entry != &ke->ready[priority]; entry = entry->Flink) {
            struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, ready_entry);

            if (ke_affinity_allows(thread, vcpu->index))
                return thread;
        }
        mask &= ~(1u << priority);
    }
    return NULL;
}

/* Have a suitable vCPU come for a thread that was put into a ready queue. */
static void call_vcpu_for(const struct _KTHREAD *thread)
{
    struct vcpu *idle[MACHINE_MAX_VCPUS];
    struct vcpu *weakest = NULL;
    unsigned count = 0;
    unsigned last = 0; /* where it ran last, if that is idle */

    for (unsigned index = 0; index < ke_processors(); index++) {
        struct vcpu *vcpu = machine->vcpu[index];

        if (!ke_affinity_allows(thread, index) || vcpu->preempt)
            continue;
        if (vcpu->current == vcpu->idle) {
            if ((int)index == thread->vcpu)
                last = count;
            idle[count++] = vcpu;
        } else if (vcpu->current->priority < thread->priority &&
                   (weakest == NULL || vcpu->current->priority < weakest->current->priority)) {
            weakest = vcpu;
        }
    }
    if (count > 0)
        weakest = idle[count > 1 ? policy_pick(count, last) : 0];
    if (weakest == NULL)
        return;
    weakest->preempt = true;
    ke_vcpu_attend(weakest);
}

void ke_ready(struct _KTHREAD *thread, KPRIORITY increment)
{
    /* The increment is the boost that Windows gives a woken thread; it decays at once here, priorities stay as set. */
    (void)increment;
    enqueue(thread, false);
    call_vcpu_for(thread);
}

/* ---- switching ---- */

void ke_reap(void)
{
    struct _KTHREAD *dead = machine->ke->dead;

    if (dead == NULL || dead == ke_thread())
        return;
    machine->ke->dead = NULL;
    fiber_destroy(&dead->fiber);
    ob_dereference(dead);
}

static void swap_to(struct vcpu *vcpu, struct _KTHREAD *next)
{
    struct _KTHREAD *previous = vcpu->current;

    ke_check_stack(&previous->fiber, "", previous->name);
    previous->irql = vcpu->irql;
    vcpu->current = next;
    vcpu->irql = next->irql;
    next->state = THREAD_RUNNING;
    next->vcpu = (int)vcpu->index;
    next->quantum_end = clock_now() + QUANTUM_NS;
    if (!IsListEmpty(&next->apcs[KernelMode]))
        vcpu->attention = true;
    point_look();
    eventlog_add(EVENT_THREAD, vcpu->index, next->id, 0);
    runner_switch_fiber(&previous->fiber, &next->fiber);
    ke_reap();
}

static struct _KTHREAD *take_next(struct vcpu *vcpu)
{
    struct _KTHREAD *next = best_ready(vcpu, 0);

    vcpu->preempt = false;
    if (next == NULL)
        return vcpu->idle;
    dequeue(next);
    return next;
}

void ke_thread_wait(struct _KTHREAD *thread)
{
    struct vcpu *vcpu = ke_vcpu();

    if (thread->state == THREAD_READY) {
        /* Woken again before it could leave. */
        dequeue(thread);
        thread->state = THREAD_RUNNING;
        return;
    }
    swap_to(vcpu, take_next(vcpu));
}

static bool affinity_lost(const struct vcpu *vcpu)
{
    return vcpu->current != vcpu->idle && !ke_affinity_allows(vcpu->current, vcpu->index);
}

void ke_preempt(void)
{
    struct vcpu *vcpu = ke_vcpu();
    struct _KTHREAD *current = vcpu->current;
    struct _KTHREAD *next;
    bool turn_over = false;

    vcpu->preempt = false;
    if (current == vcpu->idle) {
        next = best_ready(vcpu, 0);
    } else if (affinity_lost(vcpu)) {
        next = best_ready(vcpu, 0);
        if (next == NULL)
            next = vcpu->idle;
    } else {
        turn_over = clock_now() >= current->quantum_end || policy_toss(2);
        next = best_ready(vcpu, turn_over ? current->priority : current->priority + 1);
    }
    if (next == NULL) {
        if (turn_over)
            current->quantum_end = clock_now() + QUANTUM_NS;
        return;
    }
    if (next != vcpu->idle)
        dequeue(next);
    if (current != vcpu->idle) {
        enqueue(current, !turn_over);
        if (!ke_affinity_allows(current, vcpu->index))
            call_vcpu_for(current);
    }
    swap_to(vcpu, next);
}

void ke_yield_to_affinity(void)
{
    struct vcpu *vcpu = ke_vcpu();
    struct _KTHREAD *current = vcpu->current;

    if (!affinity_lost(vcpu))
        return;
    if (ke_irql() >= DISPATCH_LEVEL) {
        vcpu->preempt = true; /* it goes as soon as the IRQL allows that */
        ke_vcpu_attend(vcpu);
        return;
    }
    enqueue(current, true);
    call_vcpu_for(current);
    swap_to(vcpu, take_next(vcpu));
}

/* ---- life ---- */

static void thread_main(void *argument)
{
    struct _KTHREAD *thread = argument;

    ke_reap();
    sched_point(POINT_CALL);
    if (thread->host_routine != NULL)
        thread->host_routine(thread->start_context);
    else
        KERNEL_CALLOUT(thread->start_routine, thread->start_context);
    if (ke_irql() != PASSIVE_LEVEL)
        nt_violation("irql-changed", "the start routine of thread %s returned at IRQL %u", thread->name, ke_irql());
    ke_thread_exit(STATUS_SUCCESS);
}

static void thread_initialise(struct _KTHREAD *thread, const char *name)
{
    struct ke_state *ke = machine->ke;

    thread->id = ++ke->threads_created;
    thread->Header.Type = ThreadObject;
    InitializeListHead(&thread->Header.WaitListHead);
    InitializeListHead(&thread->mutants);
    lock_list_init(&thread->locks);
    InitializeListHead(&thread->apcs[KernelMode]);
    InitializeListHead(&thread->apcs[UserMode]);
    InitializeListHead(&thread->irps);
    thread->apc_queueable = true;
    InsertTailList(&ke->threads, &thread->all_entry);
    thread->priority = 8;
    thread->vcpu = -1;
    for (unsigned index = 0; index < ke_processors(); index++)
        thread->affinity[index / 64] |= UINT64_C(1) << (index % 64);
    snprintf(thread->name, sizeof(thread->name), "%s", name);
    fiber_create(&thread->fiber, thread->name, FIBER_STACK_SIZE, thread_main, thread);
}

struct _KTHREAD *ke_thread_create(const char *name, PKSTART_ROUTINE start, void (*host)(void *), PVOID context,
                                  KPRIORITY priority)
{
    struct _KTHREAD *thread = ob_create(OB_THREAD, sizeof(*thread), NULL);

    thread_initialise(thread, name);
    thread->start_routine = start;
    thread->host_routine = host;
    thread->start_context = context;
    thread->priority = priority;
    ob_reference(thread); /* its own, until it has ended */
    ke_ready(thread, 0);
    return thread;
}

struct _KTHREAD *ke_thread_create_host(const char *name, void (*routine)(void *), void *argument)
{
    return ke_thread_create(name, NULL, routine, argument, 8);
}

void ke_thread_set_priority(struct _KTHREAD *thread, KPRIORITY priority)
{
    if (thread->state == THREAD_READY) {
        dequeue(thread);
        thread->priority = priority;
        enqueue(thread, false);
        call_vcpu_for(thread);
        return;
    }
    thread->priority = priority;
    if (thread->state == THREAD_RUNNING && machine->ke->ready_mask != 0) {
        struct vcpu *vcpu = machine->vcpu[thread->vcpu];

        vcpu->preempt = true;
        ke_vcpu_attend(vcpu);
    }
}

void ke_thread_bind(struct _KTHREAD *thread, unsigned vcpu)
{
    for (unsigned word = 0; word < RTL_NUMBER_OF(thread->affinity); word++)
        thread->affinity[word] = 0;
    thread->affinity[vcpu / 64] = UINT64_C(1) << (vcpu % 64);
    if (thread->state == THREAD_READY)
        call_vcpu_for(thread);
}

_Noreturn void ke_thread_exit(NTSTATUS status)
{
    struct vcpu *vcpu = ke_vcpu();
    struct _KTHREAD *thread = vcpu->current;

    ke_abandon_mutants(thread);
    lock_check_exit();
    if (thread->critical_region != 0 || thread->guarded_region != 0) {
        const int64_t disabled = lock_apc_disable_count(thread) - (int64_t)thread->guarded_region;
        const uint64_t parameter[4] = {0, (uint64_t)disabled, ke_irql(), 0}; /* no APC: none needs to be pending */

        nt_violation_code(KERNEL_APC_PENDING_DURING_EXIT, parameter, "critical-region",
                          "thread %s ends in a critical or guarded region", thread->name);
    }
    io_cancel_thread_irps();
    ke_apc_rundown(thread);
    lock_list_free(&thread->locks);
    thread->exit_status = status;
    RemoveEntryList(&thread->all_entry);
    ke_signal(&thread->Header, 1, 0);
    thread->state = THREAD_TERMINATED;

    vcpu = ke_vcpu();
    machine->ke->dead = thread;
    swap_to(vcpu, take_next(vcpu));
    fail("internal", "thread %s runs after its end", thread->name);
}

/* ---- reports ---- */

void ke_census(struct census *census)
{
    struct ke_state *ke = machine->ke;

    for (PLIST_ENTRY entry = ke->threads.Flink; entry != &ke->threads; entry = entry->Flink) {
        const struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, all_entry);

        if (thread->of_kernel)
            continue;
        census_item(census, "thread", 1, (const void *)(uintptr_t)thread->start_routine, "%s", thread->name);
    }
    for (PLIST_ENTRY entry = ke->timers.Flink; entry != &ke->timers; entry = entry->Flink) {
        const KTIMER *timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);

        census_item(census, "timer", 1,
                    timer->Dpc != NULL ? (const void *)(uintptr_t)timer->Dpc->DeferredRoutine : NULL,
                    "KTIMER, period %u ms", timer->Period);
    }
    for (unsigned index = 0; index < machine->config.vcpus; index++)
        census_item(census, "dpc", machine->vcpu[index]->dpc_depth, NULL, "queued on vCPU %u", index);
    for (PLIST_ENTRY entry = ke->bugcheck_callbacks.Flink; entry != &ke->bugcheck_callbacks; entry = entry->Flink)
        census_item(
            census, "bugcheck callback", 1,
            (const void *)(uintptr_t)CONTAINING_RECORD(entry, KBUGCHECK_CALLBACK_RECORD, Entry)->CallbackRoutine,
            "KeRegisterBugCheckCallback");
    for (PLIST_ENTRY entry = ke->bugcheck_reason_callbacks.Flink; entry != &ke->bugcheck_reason_callbacks;
         entry = entry->Flink)
        census_item(
            census, "bugcheck callback", 1,
            (const void *)(uintptr_t)CONTAINING_RECORD(entry, KBUGCHECK_REASON_CALLBACK_RECORD, Entry)->CallbackRoutine,
            "KeRegisterBugCheckReasonCallback");
    for (PLIST_ENTRY entry = ke->processor_callbacks.Flink; entry != &ke->processor_callbacks; entry = entry->Flink)
        census_item(census, "processor callback", 1, NULL, "KeRegisterProcessorChangeCallback");
}
