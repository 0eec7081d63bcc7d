/* Events and semaphores. */
#include "nt/ke/ke.h"

static void initialise(DISPATCHER_HEADER *header, UCHAR type, UCHAR size, LONG state)
{
    header->Lock = 0;
    header->Type = type;
    header->Size = size / sizeof(LONG);
    header->SignalState = state;
    InitializeListHead(&header->WaitListHead);
}

/* The caller of the "Wait" form promises to wait next; that promise needs no raised IRQL here, but its rule is kept. */
static void check_wait_form(BOOLEAN wait, const char *routine)
{
    if (wait && ke_irql() > APC_LEVEL)
        nt_violation_sub("irql", ke_irql(), 0, 0, "%s with Wait = TRUE at IRQL %u", routine, ke_irql());
}

VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    NT_CALL_ANY();
    initialise(&Event->Header, Type == NotificationEvent ? EventNotificationObject : EventSynchronizationObject,
               sizeof(*Event), State);
}

LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    LONG old;

    NT_CALL(DISPATCH_LEVEL);
    check_wait_form(Wait, "KeSetEvent");
    old = Event->Header.SignalState;
    ke_signal(&Event->Header, 1, Increment);
    sched_point(POINT_CALL);
    return old;
}

LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    LONG old;

    NT_CALL(DISPATCH_LEVEL);
    check_wait_form(Wait, "KePulseEvent");
    old = Event->Header.SignalState;
    ke_signal(&Event->Header, 1, Increment);
    Event->Header.SignalState = 0;
    sched_point(POINT_CALL);
    return old;
}

LONG NTAPI KeResetEvent(PRKEVENT Event)
{
    LONG old;

    NT_CALL(DISPATCH_LEVEL);
    old = Event->Header.SignalState;
    Event->Header.SignalState = 0;
    return old;
}

VOID NTAPI KeClearEvent(PRKEVENT Event)
{
    NT_CALL(DISPATCH_LEVEL);
    Event->Header.SignalState = 0;
}

LONG NTAPI KeReadStateEvent(PRKEVENT Event)
{
    NT_CALL(DISPATCH_LEVEL);
    return Event->Header.SignalState;
}

VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)
{
    NT_CALL_ANY();
    initialise(&Semaphore->Header, SemaphoreObject, sizeof(*Semaphore), Count);
    Semaphore->Limit = Limit;
}

LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait)
{
    LONG old;

    NT_CALL(DISPATCH_LEVEL);
    check_wait_form(Wait, "KeReleaseSemaphore");
    old = Semaphore->Header.SignalState;
    if (Adjustment <= 0 || Adjustment > Semaphore->Limit - old)
        ke_raise_status(STATUS_SEMAPHORE_LIMIT_EXCEEDED, __builtin_return_address(0));
    ke_signal(&Semaphore->Header, old + Adjustment, Increment);
    sched_point(POINT_CALL);
    return old;
}

LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore)
{
    NT_CALL(DISPATCH_LEVEL);
    return Semaphore->Header.SignalState;
}
