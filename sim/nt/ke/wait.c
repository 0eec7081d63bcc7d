/* Waiting: dispatcher objects, wait blocks, waking. */
#include "machine/stacks.h"
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

static NTSTATUS wait_for(const char *routine, const void *caller, ULONG count, PVOID *objects, WAIT_TYPE type,
                         KWAIT_REASON reason, BOOLEAN alertable, const LARGE_INTEGER *timeout, PKWAIT_BLOCK blocks)
{
    struct _KTHREAD *thread;
    NTSTATUS status;

    if (ke_vcpu() == NULL)
        fail("internal", "%s outside a guest thread", routine);
    if (timeout == NULL || timeout->QuadPart != 0)
        lock_check_wait(objects[0], timeout, routine);
    if (ke_irql() > APC_LEVEL && (timeout == NULL || timeout->QuadPart != 0))
        nt_violation("wait-at-dispatch", "%s at IRQL %u with a time-out that is not zero; the caller is at %p", routine,
                     ke_irql(), caller);
    thread = ke_thread();
    if (thread == ke_vcpu()->idle && (timeout == NULL || timeout->QuadPart != 0))
        nt_violation("wait-at-dispatch", "%s in the idle thread", routine);

    /* At DISPATCH_LEVEL the thread is borrowed and may itself be about to wait: use blocks of this call only. */
    PKWAIT_BLOCK saved_blocks = thread->wait_blocks;
    ULONG saved_count = thread->wait_count;
    WAIT_TYPE saved_type = thread->wait_type;

    thread->wait_blocks = blocks;
    thread->wait_count = count;
    thread->wait_type = type;
    for (ULONG index = 0; index < count; index++) {
        check_object(objects[index], routine);
        blocks[index].Object = objects[index];
        blocks[index].Thread = thread;
        blocks[index].WaitKey = (USHORT)index;
        blocks[index].WaitType = (UCHAR)type;
        if (timeout == NULL && ((DISPATCHER_HEADER *)objects[index])->Type == MutantObject &&
            ((PKMUTANT)objects[index])->OwnerThread != thread)
            lock_order(objects[index], LOCK_MUTEX, caller);
    }
    thread->wait_caller = caller;
    thread->wait_stack = stacks_wanted() ? stacks_capture(caller) : 0;
    status = try_at_once(thread);
    if (status == STATUS_PENDING && timeout != NULL && timeout->QuadPart == 0)
        status = STATUS_TIMEOUT;
    if (status != STATUS_PENDING) {
        thread->wait_blocks = saved_blocks;
        thread->wait_count = saved_count;
        thread->wait_type = saved_type;
        return status;
    }

    thread->wait_alertable = alertable;
    thread->wait_reason = reason;
    thread->state = THREAD_WAITING;
    for (ULONG index = 0; index < count; index++) {
        pool_note_inside(objects[index]);
        InsertTailList(&((DISPATCHER_HEADER *)objects[index])->WaitListHead, &blocks[index].WaitListEntry);
    }
    if (timeout != NULL)
        deadline_set(&thread->wait_deadline, due_time(timeout) + delay_draw(DELAY_TIMER), wait_timed_out, thread);
    ke_thread_wait(thread);
    sched_point(POINT_CALL);
    return thread->wait_status;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout)
{
    KWAIT_BLOCK block;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WaitMode);
    return wait_for("KeWaitForSingleObject", __builtin_return_address(0), 1, &Object, WaitAny, WaitReason, Alertable,
                    Timeout, &block);
}

NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                                        KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray)
{
    KWAIT_BLOCK builtin[THREAD_WAIT_OBJECTS];

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WaitMode);
    if (Count == 0 || Count > MAXIMUM_WAIT_OBJECTS || (WaitBlockArray == NULL && Count > THREAD_WAIT_OBJECTS)) {
        const uint64_t parameter[4] = {Count, 0, 0, 0};

        nt_violation_code(MAXIMUM_WAIT_OBJECTS_EXCEEDED, parameter, "wait-objects",
                          "KeWaitForMultipleObjects with %u objects and %s wait block array", Count,
                          WaitBlockArray != NULL ? "a" : "no");
    }
    return wait_for("KeWaitForMultipleObjects", __builtin_return_address(0), Count, Object, WaitType, WaitReason,
                    Alertable, Timeout, WaitBlockArray != NULL ? WaitBlockArray : builtin);
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval)
{
    struct _KTHREAD *thread;

    NT_CALL(APC_LEVEL);
    UNREFERENCED_PARAMETER(WaitMode);
    thread = ke_thread();
    thread->wait_count = 0;
    thread->wait_blocks = NULL;
    thread->wait_type = WaitAny;
    thread->wait_alertable = Alertable;
    thread->wait_reason = DelayExecution;
    thread->wait_caller = __builtin_return_address(0);
    thread->state = THREAD_WAITING;
    deadline_set(&thread->wait_deadline, due_time(Interval) + delay_draw(DELAY_TIMER), wait_timed_out, thread);
    ke_thread_wait(thread);
    sched_point(POINT_CALL);
    return STATUS_SUCCESS;
}

void ke_wait_noted(void *object, const struct ke_wait_note *note)
{
    ke_thread()->wait_note = note;
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
    ke_thread()->wait_note = NULL;
}
