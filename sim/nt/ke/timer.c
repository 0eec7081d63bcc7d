/*
 * Kernel timers. Due timers are found by the clock interrupt of the processor that set them and expire at
 * DISPATCH_LEVEL there; their DPCs go to the DPC's target.
 */
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

static uint64_t due_ns(const KTIMER *timer)
{
    return timer->DueTime.QuadPart * 100;
}

static void clock_interrupt(void *argument)
{
    struct ke_state *ke = machine->ke;
    uint64_t now = clock_now();

    (void)argument;
    for (PLIST_ENTRY entry = ke->timers.Flink; entry != &ke->timers; entry = entry->Flink) {
        const KTIMER *timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);

        if (due_ns(timer) > now)
            break;
        vcpu_raise_vector(timer->Processor, KE_VECTOR_CLOCK);
    }
}

static void arm(void)
{
    struct ke_state *ke = machine->ke;
    const KTIMER *first;

    if (IsListEmpty(&ke->timers)) {
        deadline_cancel(&ke->timer_deadline);
        return;
    }
    first = CONTAINING_RECORD(ke->timers.Flink, KTIMER, TimerListEntry);
    if (due_ns(first) <= clock_now()) {
        /* Its clock interrupt is under way, or the timer was set for a time that has passed. */
        vcpu_raise_vector(first->Processor, KE_VECTOR_CLOCK);
        for (PLIST_ENTRY entry = ke->timers.Flink; entry != &ke->timers; entry = entry->Flink) {
            const KTIMER *timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);

            if (due_ns(timer) > clock_now()) {
                deadline_set(&ke->timer_deadline, due_ns(timer), clock_interrupt, NULL);
                return;
            }
        }
        return;
    }
    deadline_set(&ke->timer_deadline, due_ns(first), clock_interrupt, NULL);
}

static bool is_set(const KTIMER *timer)
{
    return timer->TimerListEntry.Flink != NULL;
}

static void check_timer(const KTIMER *timer, const char *routine)
{
    if ((timer->Header.Type != TimerNotificationObject && timer->Header.Type != TimerSynchronizationObject) ||
        timer->Header.WaitListHead.Flink == NULL)
        nt_violation("timer-not-initialised", "%s: %p is no initialised timer", routine, (const void *)timer);
}

static void insert(PKTIMER timer)
{
    struct ke_state *ke = machine->ke;
    PLIST_ENTRY entry = ke->timers.Blink;

    while (entry != &ke->timers && due_ns(CONTAINING_RECORD(entry, KTIMER, TimerListEntry)) > due_ns(timer))
        entry = entry->Blink;
    pool_note_inside(timer);
    InsertHeadList(entry, &timer->TimerListEntry);
}

static void take_out(PKTIMER timer)
{
    RemoveEntryList(&timer->TimerListEntry);
    timer->TimerListEntry.Flink = NULL;
    timer->TimerListEntry.Blink = NULL;
}

void ke_timers_expire(struct vcpu *vcpu)
{
    struct ke_state *ke = machine->ke;
    PLIST_ENTRY entry = ke->timers.Flink;

    while (entry != &ke->timers) {
        PKTIMER timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);
        PKDPC dpc = timer->Dpc;

        if (due_ns(timer) > clock_now())
            break;
        if (timer->Processor != vcpu->index) {
            entry = entry->Flink;
            continue;
        }
        take_out(timer);
        if (timer->Period != 0) {
            timer->DueTime.QuadPart += (ULONGLONG)timer->Period * 10000;
            insert(timer);
        }
        eventlog_add(EVENT_TIMER, ++ke->timer_expiries, 0, 0);
        ke_signal(&timer->Header, 1, 0);
        if (dpc != NULL)
            KeInsertQueueDpc(dpc, NULL, NULL);
        entry = ke->timers.Flink; /* switch points have passed: the list may be another */
    }
    arm();
}

static void initialise(PKTIMER Timer, TIMER_TYPE Type)
{
    struct ke_state *ke = machine->ke;

    for (PLIST_ENTRY entry = ke->timers.Flink; entry != &ke->timers; entry = entry->Flink)
        if (entry == &Timer->TimerListEntry)
            nt_violation("timer-in-use", "KeInitializeTimer: the timer at %p is set", (const void *)Timer);
    RtlZeroMemory(Timer, sizeof(*Timer));
    Timer->Header.Type = Type == NotificationTimer ? TimerNotificationObject : TimerSynchronizationObject;
    Timer->Header.Size = sizeof(*Timer) / sizeof(LONG);
    InitializeListHead(&Timer->Header.WaitListHead);
}

VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type)
{
    NT_CALL(DISPATCH_LEVEL);
    initialise(Timer, Type);
}

VOID NTAPI KeInitializeTimer(PKTIMER Timer)
{
    NT_CALL(DISPATCH_LEVEL);
    initialise(Timer, NotificationTimer);
}

BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)
{
    BOOLEAN was_set;
    ULONGLONG now;

    NT_CALL(DISPATCH_LEVEL);
    if (Period < 0)
        nt_violation("timer-period", "KeSetTimerEx with the period %d", Period);
    check_timer(Timer, "KeSetTimerEx");
    was_set = is_set(Timer);
    if (was_set)
        take_out(Timer);
    now = (clock_now() + 99) / 100;
    if (DueTime.QuadPart <= 0)
        Timer->DueTime.QuadPart = now + (ULONGLONG)-DueTime.QuadPart;
    else if ((ULONGLONG)DueTime.QuadPart <= CLOCK_BOOT_SYSTEM_TIME + now)
        Timer->DueTime.QuadPart = now;
    else
        Timer->DueTime.QuadPart = (ULONGLONG)DueTime.QuadPart - CLOCK_BOOT_SYSTEM_TIME;
    Timer->DueTime.QuadPart += (delay_draw(DELAY_TIMER) + 99) / 100;
    Timer->Header.SignalState = 0;
    Timer->Dpc = Dpc;
    Timer->Period = (ULONG)Period;
    Timer->Processor = ke_vcpu()->index;
    insert(Timer);
    arm();
    return was_set;
}

BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, 0, Dpc);
}

BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay, PKDPC Dpc)
{
    UNREFERENCED_PARAMETER(TolerableDelay); /* a tolerance, not a wish: expiring on time is always allowed */
    return KeSetTimerEx(Timer, DueTime, (LONG)Period, Dpc);
}

BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer)
{
    BOOLEAN was_set;

    NT_CALL(DISPATCH_LEVEL);
    check_timer(Timer, "KeCancelTimer");
    was_set = is_set(Timer);
    if (was_set) {
        take_out(Timer);
        arm();
    }
    return was_set;
}

BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer)
{
    NT_CALL(DISPATCH_LEVEL);
    return Timer->Header.SignalState > 0;
}

static bool inside(const void *address, const void *start, size_t size)
{
    return (const char *)address >= (const char *)start && (const char *)address < (const char *)start + size;
}

static void check_dpc_queue(const SINGLE_LIST_ENTRY *queue, const void *start, size_t size)
{
    for (PSINGLE_LIST_ENTRY entry = queue->Next; entry != NULL; entry = entry->Next)
        if (inside(entry, start, size)) {
            const uint64_t parameter[4] = {1, (uint64_t)(uintptr_t)CONTAINING_RECORD(entry, KDPC, DpcListEntry),
                                           (uint64_t)(uintptr_t)start, (uint64_t)(uintptr_t)start + size};

            nt_violation_code(TIMER_OR_DPC_INVALID, parameter, "freed-in-use",
                              "memory at %p (%zu bytes) is freed with a DPC in it that is queued", start, size);
        }
}

static void check_apcs(const struct _KTHREAD *thread, const void *start, size_t size)
{
    for (int mode = KernelMode; mode <= UserMode; mode++)
        for (PLIST_ENTRY entry = thread->apcs[mode].Flink; entry != &thread->apcs[mode]; entry = entry->Flink)
            if (inside(entry, start, size))
                nt_violation("freed-in-use",
                             "memory at %p (%zu bytes) is freed with an APC in it that is queued to thread %s", start,
                             size, thread->name);
}

void ke_check_freed(const void *start, size_t size)
{
    struct ke_state *ke = machine->ke;

    for (PLIST_ENTRY entry = ke->timers.Flink; entry != &ke->timers; entry = entry->Flink)
        if (inside(entry, start, size)) {
            const uint64_t parameter[4] = {0, (uint64_t)(uintptr_t)CONTAINING_RECORD(entry, KTIMER, TimerListEntry),
                                           (uint64_t)(uintptr_t)start, (uint64_t)(uintptr_t)start + size};

            nt_violation_code(TIMER_OR_DPC_INVALID, parameter, "freed-in-use",
                              "memory at %p (%zu bytes) is freed with a timer in it that is set", start, size);
        }
    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        check_dpc_queue(&machine->vcpu[index]->dpc_queue, start, size);
        check_dpc_queue(&machine->vcpu[index]->threaded_queue, start, size);
    }
    for (PLIST_ENTRY entry = ke->threads.Flink; entry != &ke->threads; entry = entry->Flink) {
        const struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, all_entry);

        check_apcs(thread, start, size);
        if (thread->state != THREAD_WAITING)
            continue;
        for (ULONG index = 0; index < thread->wait_count; index++)
            if (inside(thread->wait_blocks[index].Object, start, size))
                nt_violation("freed-in-use",
                             "memory at %p (%zu bytes) is freed with an object in it that thread %s waits for", start,
                             size, thread->name);
    }
}
