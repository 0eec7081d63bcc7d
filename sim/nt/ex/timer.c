/*
 * Timers that the system allocates (EX_TIMER). Each is a KTIMER with a DPC of its own, which calls the driver's
 * routine; a driver may also wait for it. A period that is no whole number of milliseconds is kept by setting the timer
 * again.
 */
#include "nt/ex/ex.h"
#include "nt/ke/ke.h"

#define MILLISECOND 10000 /* in units of 100 ns */

struct _EX_TIMER {
    KTIMER timer; /* first: drivers pass the EX_TIMER to the wait routines */
    KDPC dpc;
    LIST_ENTRY entry; /* ex_state.timers */
    PEXT_CALLBACK callback;
    PVOID context;
    ULONG attributes;
    LONGLONG period;   /* in units of 100 ns, kept by the DPC; 0: one-shot, or kept by the KTIMER */
    bool repeats;      /* has a period, whoever keeps it */
    uint64_t next_due; /* interrupt time at which it expires next; with a period of the DPC's */
    unsigned running;  /* calls of the routine under way */
    bool deleting;
    PEXT_DELETE_CALLBACK delete_callback;
    PVOID delete_context;
    KEVENT *deleted; /* of the thread that waits for the end, NULL if none does */
    const void *caller;
};

static void check(PEX_TIMER timer, const char *routine)
{
    LIST_ENTRY *timers = &machine->ex->timers;

    for (LIST_ENTRY *entry = timers->Flink; entry != timers; entry = entry->Flink) {
        const struct _EX_TIMER *other = CONTAINING_RECORD(entry, struct _EX_TIMER, entry);
        if (other != timer)
            continue;
        if (other->deleting)
            break;
        return;
    }
    nt_violation("ex-timer", "%s: %p is no timer of ExAllocateTimer, or was deleted", routine, (void *)timer);
}

/* The kernel keeps the list entry of a timer that is not set empty. */
static bool is_set(const struct _EX_TIMER *timer)
{
    return timer->timer.TimerListEntry.Flink != NULL;
}

/* The last act of a deletion, once the timer is not set, its DPC not queued and no call of its routine under way. */
static void finish_if_idle(PEX_TIMER timer)
{
    PEXT_DELETE_CALLBACK callback = timer->delete_callback;
    PVOID context = timer->delete_context;
    KEVENT *deleted = timer->deleted;

    if (is_set(timer) || timer->dpc.DpcData != NULL || timer->running != 0)
        return;
    RemoveEntryList(&timer->entry);
    ke_check_freed(timer, sizeof *timer);
    image_free(timer);
    if (callback != NULL)
        DRIVER_CALLOUT("timer deletion callback", callback, context);
    if (deleted != NULL)
        KeSetEvent(deleted, IO_NO_INCREMENT, FALSE);
}

/* Set the KTIMER again for the next period; what it has signalled stays signalled. */
static void set_again(PEX_TIMER timer)
{
    uint64_t now = KeQueryInterruptTime();
    LARGE_INTEGER due;
    LONG state = timer->timer.Header.SignalState;

    timer->next_due += (uint64_t)timer->period;
    due.QuadPart = timer->next_due > now ? -(LONGLONG)(timer->next_due - now) : 0;
    KeSetTimer(&timer->timer, due, &timer->dpc);
    if (state > 0)
        timer->timer.Header.SignalState = state;
}

static VOID NTAPI expired(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    PEX_TIMER timer = context;

    (void)dpc;
    (void)argument1;
    (void)argument2;
    timer->running++;
    if (timer->period != 0 && !is_set(timer)) /* it is if the driver has set it anew meanwhile */
        set_again(timer);
    if (timer->callback != NULL)
        DRIVER_CALLOUT("timer callback", timer->callback, timer, timer->context);
    timer->running--;
    if (timer->deleting)
        finish_if_idle(timer);
}

PEX_TIMER NTAPI ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes)
{
    const ULONG known = EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE | EX_TIMER_NOTIFICATION;

    NT_CALL(DISPATCH_LEVEL);
    if ((Attributes & (EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE)) == (EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE))
        nt_violation("ex-timer", "ExAllocateTimer: a timer is high-resolution or no-wake, not both");
    if (FAULT(POOL))
        return NULL;
    if ((Attributes & ~known) != 0)
        return NULL;
    PEX_TIMER timer = image_alloc(sizeof *timer);
    timer->callback = Callback;
    timer->context = CallbackContext;
    timer->attributes = Attributes;
    timer->caller = __builtin_return_address(0);
    KeInitializeTimerEx(&timer->timer,
                        (Attributes & EX_TIMER_NOTIFICATION) != 0 ? NotificationTimer : SynchronizationTimer);
    KeInitializeDpc(&timer->dpc, expired, timer);
    InsertTailList(&machine->ex->timers, &timer->entry);
    return timer;
}

static bool cancel(PEX_TIMER timer)
{
    timer->period = 0;
    timer->repeats = false;
    return KeCancelTimer(&timer->timer);
}

/*
 * Every timer here expires at its time to the clock's tick: the high resolution and the tolerance of a no-wake timer
 * ask for no more than that, or permit less.
 */
BOOLEAN NTAPI ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, PEXT_SET_PARAMETERS Parameters)
{
    LARGE_INTEGER due;

    NT_CALL(DISPATCH_LEVEL);
    check(Timer, __func__);
    if (Period < 0)
        nt_violation("ex-timer", "ExSetTimer: Period is %lld", (long long)Period);
    if (Parameters != NULL && (Parameters->Version != 0 || Parameters->Reserved != 0))
        nt_violation("ex-timer", "ExSetTimer: the parameters were not initialised by ExInitializeSetTimerParameters");
    if (Parameters != NULL && Parameters->NoWakeTolerance != 0 && (Timer->attributes & EX_TIMER_NO_WAKE) == 0)
        nt_violation("ex-timer", "ExSetTimer: NoWakeTolerance is for timers with EX_TIMER_NO_WAKE");
    if ((Timer->attributes & EX_TIMER_HIGH_RESOLUTION) != 0 && DueTime > 0)
        nt_violation("ex-timer", "ExSetTimer: DueTime of a high-resolution timer must be relative");

    bool was_set = cancel(Timer);
    due.QuadPart = DueTime;
    Timer->repeats = Period != 0;
    if (Period % MILLISECOND != 0) {
        LARGE_INTEGER system_time;
        KeQuerySystemTimePrecise(&system_time);
        LONGLONG delay = DueTime < 0 ? -DueTime : DueTime > system_time.QuadPart ? DueTime - system_time.QuadPart : 0;
        Timer->period = Period;
        Timer->next_due = KeQueryInterruptTime() + (uint64_t)delay;
        KeSetTimer(&Timer->timer, due, &Timer->dpc);
    } else if (Period / MILLISECOND > MAXLONG) {
        nt_violation("ex-timer", "ExSetTimer: Period is %lld", (long long)Period);
    } else {
        KeSetTimerEx(&Timer->timer, due, (LONG)(Period / MILLISECOND), &Timer->dpc);
    }
    return was_set;
}

BOOLEAN NTAPI ExCancelTimer(PEX_TIMER Timer, PVOID Parameters)
{
    NT_CALL(DISPATCH_LEVEL);
    check(Timer, __func__);
    if (Parameters != NULL)
        nt_violation("ex-timer", "ExCancelTimer: Parameters is reserved and must be NULL");
    return cancel(Timer);
}

/* With Wait, back when the timer is no more; without, it goes when it can. */
BOOLEAN NTAPI ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, PEXT_DELETE_PARAMETERS Parameters)
{
    bool cancelled = false;
    KEVENT deleted;

    NT_CALL(Wait ? APC_LEVEL : DISPATCH_LEVEL);
    check(Timer, __func__);
    if (Wait && !Cancel)
        nt_violation("ex-timer", "ExDeleteTimer: Wait is TRUE and Cancel is not");
    if (Parameters != NULL && (Parameters->Version != 0 || Parameters->Reserved != 0))
        nt_violation("ex-timer",
                     "ExDeleteTimer: the parameters were not initialised by ExInitializeDeleteTimerParameters");
    if (!Cancel && Timer->repeats)
        nt_violation("ex-timer", "ExDeleteTimer: a periodic timer that is not cancelled would never go");
    if (Wait)
        KeInitializeEvent(&deleted, NotificationEvent, FALSE);

    if (Cancel)
        cancelled = cancel(Timer);
    Timer->deleting = true;
    if (Parameters != NULL) {
        Timer->delete_callback = Parameters->DeleteCallback;
        Timer->delete_context = Parameters->DeleteContext;
    }
    Timer->deleted = Wait ? &deleted : NULL;
    finish_if_idle(Timer);
    if (Wait)
        KeWaitForSingleObject(&deleted, Executive, KernelMode, FALSE, NULL);
    return cancelled;
}

void ex_timer_census(struct census *census)
{
    LIST_ENTRY *timers = &machine->ex->timers;

    for (LIST_ENTRY *entry = timers->Blink; entry != timers; entry = entry->Blink)
        census_item(census, "executive timer", 1, CONTAINING_RECORD(entry, struct _EX_TIMER, entry)->caller,
                    "ExAllocateTimer");
}
