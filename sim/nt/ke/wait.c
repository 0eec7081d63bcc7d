/* Waiting: dispatcher objects, wait blocks, waking. */
#include "nt/verifier/stacks.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

static bool is_signalled(const DISPATCHER_HEADER *header, const struct _KTHREAD *thread)
{
    if (header->SignalState > 0)
        return true;
    return header->Type == MutantObject && ((const KMUTANT *)header)->OwnerThread == thread;
}

/* The thread's wait takes what the object gives. True if a mutex was abandoned by its last owner. */
static bool take(DISPATCHER_HEADER *header, struct _KTHREAD *thread)
{
    switch (header->Type) {
    case EventSynchronizationObject:
    case TimerSynchronizationObject:
        header->SignalState = 0;
        return false;
    case SemaphoreObject:
        header->SignalState--;
        return false;
    case MutantObject: {
        PKMUTANT mutant = (PKMUTANT)header;
        bool abandoned = mutant->Abandoned;

        if (--header->SignalState == 0) {
            mutant->OwnerThread = thread;
            mutant->Abandoned = FALSE;
            InsertTailList(&thread->mutants, &mutant->MutantListEntry);
            lock_thread_give(thread, mutant, LOCK_MUTEX, thread->wait_caller, thread->wait_stack);
            thread->mutex_regions += mutant->ApcDisable;
        }
        return abandoned;
    }
    default:
        return false;
    }
}

static void check_object(const DISPATCHER_HEADER *header, const char *routine)
{
    switch (header->Type) {
    case EventNotificationObject:
    case EventSynchronizationObject:
    case MutantObject:
    case SemaphoreObject:
    case ThreadObject:
    case TimerNotificationObject:
    case TimerSynchronizationObject:
        break;
    default:
        nt_violation("wait-object", "%s: %p is no dispatcher object (type %u)", routine, (const void *)header,
                     header->Type);
    }
    if (header->WaitListHead.Flink == NULL)
        nt_violation("wait-object", "%s: the object at %p has not been initialised", routine, (const void *)header);
}

static bool all_signalled(const struct _KTHREAD *thread)
{
    for (ULONG index = 0; index < thread->wait_count; index++)
        if (!is_signalled(thread->wait_blocks[index].Object, thread))
            return false;
    return true;
}

static NTSTATUS take_all(struct _KTHREAD *thread)
{
    NTSTATUS status = STATUS_WAIT_0;

    for (ULONG index = 0; index < thread->wait_count; index++)
        if (take(thread->wait_blocks[index].Object, thread) && status == STATUS_WAIT_0)
            status = STATUS_ABANDONED_WAIT_0 + (NTSTATUS)index;
    return status;
}

static void unlink_wait(struct _KTHREAD *thread)
{
    for (ULONG index = 0; index < thread->wait_count; index++)
        RemoveEntryList(&thread->wait_blocks[index].WaitListEntry);
    deadline_cancel(&thread->wait_deadline);
}

static void wake(struct _KTHREAD *thread, NTSTATUS status, KPRIORITY increment)
{
    unlink_wait(thread);
    thread->wait_status = status;
    eventlog_add(EVENT_WAKE, thread->id, (uint32_t)status, 0);
    ke_ready(thread, increment);
}

void ke_signal(DISPATCHER_HEADER *header, LONG state, KPRIORITY increment)
{
    PLIST_ENTRY entry;

    header->SignalState = state;
    entry = header->WaitListHead.Flink;
    while (header->SignalState > 0 && entry != &header->WaitListHead) {
        PKWAIT_BLOCK block = CONTAINING_RECORD(entry, KWAIT_BLOCK, WaitListEntry);
        struct _KTHREAD *thread = block->Thread;
        NTSTATUS status;

        if (thread->wait_type == WaitAll && !all_signalled(thread)) {
            entry = entry->Flink;
            continue;
        }
        if (thread->wait_type == WaitAll)
            status = take_all(thread);
        else if (take(header, thread))
            status = STATUS_ABANDONED_WAIT_0 + block->WaitKey;
        else
            status = STATUS_WAIT_0 + block->WaitKey;
        wake(thread, status, increment);
        entry = header->WaitListHead.Flink; /* the woken thread may have waited here more than once */
    }
}

void ke_wait_abort(struct _KTHREAD *thread, NTSTATUS status)
{
    wake(thread, status, 0);
}

static void wait_timed_out(void *argument)
{
    wake(argument, STATUS_TIMEOUT, 0);
}

/* Absolute time of the machine's clock for a Windows time-out. */
static uint64_t due_time(const LARGE_INTEGER *timeout)
{
    uint64_t now = clock_now();

    if (timeout->QuadPart <= 0)
        return now + (uint64_t)-timeout->QuadPart * 100;
    if ((uint64_t)timeout->QuadPart <= CLOCK_BOOT_SYSTEM_TIME)
        return now;
    return ((uint64_t)timeout->QuadPart - CLOCK_BOOT_SYSTEM_TIME) * 100;
}

static NTSTATUS try_at_once(struct _KTHREAD *thread)
{
    if (thread->wait_type == WaitAll)
        return all_signalled(thread) ? take_all(thread) : STATUS_PENDING;
    for (ULONG index = 0; index < thread->wait_count; index++) {
        DISPATCHER_HEADER *header = thread->wait_blocks[index].Object;

        if (is_signalled(header, thread))
            return (take(header, thread) ? STATUS_ABANDONED_WAIT_0 : STATUS_WAIT_0) + (NTSTATUS)index;
    }
    return STATUS_PENDING;
}

struct wait {
    ULONG count;
    PVOID *objects;
    WAIT_TYPE type;
    PKWAIT_BLOCK blocks;
    KWAIT_REASON reason;
    KPROCESSOR_MODE mode;
    BOOLEAN alertable;
    const LARGE_INTEGER *timeout;
    const void *caller;
    uint32_t stack; /* machine/stacks.h */
};

/* One round of a wait: until `due`, or until an APC comes between (STATUS_KERNEL_APC: the wait goes on). */
static NTSTATUS wait_once(const struct wait *wait, uint64_t due)
{
    struct _KTHREAD *thread = ke_thread();
    /* At DISPATCH_LEVEL the thread is borrowed and may itself be about to wait: use blocks of this call only. */
    PKWAIT_BLOCK saved_blocks = thread->wait_blocks;
    ULONG saved_count = thread->wait_count;
    WAIT_TYPE saved_type = thread->wait_type;
    NTSTATUS status = STATUS_PENDING;

    thread->wait_blocks = wait->blocks;
    thread->wait_count = wait->count;
    thread->wait_type = wait->type;
    for (ULONG index = 0; index < wait->count; index++) {
        wait->blocks[index].Object = wait->objects[index];
        wait->blocks[index].Thread = thread;
        wait->blocks[index].WaitKey = (USHORT)index;
        wait->blocks[index].WaitType = (UCHAR)wait->type;
    }
    thread->wait_caller = wait->caller;
    thread->wait_stack = wait->stack;
    if (wait->count != 0)
        status = try_at_once(thread);
    if (status == STATUS_PENDING)
        status = ke_alert_pending(thread, wait->mode, wait->alertable);
    if (status == STATUS_PENDING && wait->count != 0 && wait->timeout != NULL && wait->timeout->QuadPart == 0)
        status = STATUS_TIMEOUT;
    if (status != STATUS_PENDING) {
        thread->wait_blocks = saved_blocks;
        thread->wait_count = saved_count;
        thread->wait_type = saved_type;
        return status;
    }

    thread->wait_alertable = wait->alertable;
    thread->wait_mode = wait->mode;
    thread->wait_reason = wait->reason;
    thread->irql = ke_irql();
    thread->state = THREAD_WAITING;
    for (ULONG index = 0; index < wait->count; index++) {
        pool_note_inside(wait->objects[index]);
        InsertTailList(&((DISPATCHER_HEADER *)wait->objects[index])->WaitListHead, &wait->blocks[index].WaitListEntry);
    }
    if (wait->timeout != NULL)
        deadline_set(&thread->wait_deadline, due, wait_timed_out, thread);
    ke_thread_wait(thread);
    status = thread->wait_status;
    sched_point(POINT_CALL); /* APCs that woke it are delivered here, and may wait themselves */
    return status;
}

/* The caller is about to block: whether it may, and in which order that puts the mutexes among its locks. */
static void check_wait(const char *routine, const struct wait *wait)
{
    const void *object = wait->count != 0 ? wait->objects[0] : NULL;

    lock_check_wait(object, wait->timeout, routine);
    if (ke_irql() > APC_LEVEL)
        nt_violation_sub("wait-at-dispatch", ke_irql(), (uintptr_t)object, (uintptr_t)wait->timeout,
                         "%s at IRQL %u with a time-out that is not zero; the caller is at %p", routine, ke_irql(),
                         wait->caller);
    if (ke_thread() == ke_vcpu()->idle)
        nt_violation_sub("wait-at-dispatch", ke_irql(), (uintptr_t)object, (uintptr_t)wait->timeout,
                         "%s in the idle thread", routine);
    if (ke_thread()->in_threaded_dpc)
        nt_violation_sub("wait-at-dispatch", ke_irql(), (uintptr_t)object, (uintptr_t)wait->timeout,
                         "%s in the routine of a threaded DPC; the caller is at %p", routine, wait->caller);
    for (ULONG index = 0; wait->timeout == NULL && index < wait->count; index++) {
        const DISPATCHER_HEADER *header = wait->objects[index];

        if (header->Type == MutantObject && ((const KMUTANT *)header)->OwnerThread != ke_thread())
            lock_order(header, LOCK_MUTEX, wait->caller);
    }
}

static NTSTATUS wait_for(const char *routine, struct wait *wait)
{
    bool waits = wait->timeout == NULL || wait->timeout->QuadPart != 0;
    uint64_t due = wait->timeout != NULL ? due_time(wait->timeout) : 0;
    NTSTATUS status;

    if (ke_vcpu() == NULL)
        fail("internal", "%s outside a guest thread", routine);
    for (ULONG index = 0; index < wait->count; index++)
        check_object(wait->objects[index], routine);
    if (waits)
        check_wait(routine, wait);
    if (waits && wait->timeout != NULL)
        due += delay_draw(DELAY_TIMER);
    wait->stack = stacks_wanted() ? stacks_capture(wait->caller) : 0;
    do {
        ke_apcs_allowed();
        status = wait_once(wait, due);
    } while (status == STATUS_KERNEL_APC);
    return status;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout)
{
    KWAIT_BLOCK block;
    struct wait wait = {
        1, &Object, WaitAny, &block, WaitReason, WaitMode, Alertable, Timeout, __builtin_return_address(0), 0};

    NT_CALL(DISPATCH_LEVEL);
    return wait_for("KeWaitForSingleObject", &wait);
}

NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                                        KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray)
{
    KWAIT_BLOCK builtin[THREAD_WAIT_OBJECTS];
    struct wait wait = {Count,
                        Object,
                        WaitType,
                        WaitBlockArray != NULL ? WaitBlockArray : builtin,
                        WaitReason,
                        WaitMode,
                        Alertable,
                        Timeout,
                        __builtin_return_address(0),
                        0};

    NT_CALL(DISPATCH_LEVEL);
    if (Count == 0 || Count > MAXIMUM_WAIT_OBJECTS || (WaitBlockArray == NULL && Count > THREAD_WAIT_OBJECTS)) {
        const uint64_t parameter[4] = {Count, 0, 0, 0};

        nt_violation_code(MAXIMUM_WAIT_OBJECTS_EXCEEDED, parameter, "wait-objects",
                          "KeWaitForMultipleObjects with %u objects and %s wait block array", Count,
                          WaitBlockArray != NULL ? "a" : "no");
    }
    return wait_for("KeWaitForMultipleObjects", &wait);
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval)
{
    struct wait wait = {.type = WaitAny,
                        .reason = DelayExecution,
                        .mode = WaitMode,
                        .alertable = Alertable,
                        .timeout = Interval,
                        .caller = __builtin_return_address(0)};
    NTSTATUS status;

    NT_CALL(APC_LEVEL);
    status = wait_for("KeDelayExecutionThread", &wait);
    return status == STATUS_TIMEOUT ? STATUS_SUCCESS : status;
}

void ke_wait_noted(void *object, const struct ke_wait_note *note)
{
    struct _KTHREAD *thread = ke_thread();
    const struct ke_wait_note *outer = thread->wait_note; /* of the wait that an APC came between */

    thread->wait_note = note;
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
    thread->wait_note = outer;
}
