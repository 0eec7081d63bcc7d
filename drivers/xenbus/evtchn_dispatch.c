/*
 * Events, from the interrupt to the channels' callbacks.
 *
 * Clients spin at DISPATCH_LEVEL for events, so callbacks run in the interrupt itself, with no DPC in between. Another
 * domain decides how many events there are; two bounds keep it from holding a processor:
 *
 *   - an interrupt looks for events EVTCHN_ROUNDS times and at EVTCHN_BUDGET ports at most, then leaves what is left to
 *     a DPC;
 *   - a channel that fires more than EVTCHN_HOLD_EVENTS times in EVTCHN_HOLD_WINDOW stays masked for a while. A channel
 *     that is masked for its client fires once for each unmask of the client's, and is not held.
 */
#include "evtchn_private.h"

#include "bug.h"
#include "clock.h"
#include "xen.h"

#define EVTCHN_ROUNDS 16
#define EVTCHN_BUDGET 2048

#define EVTCHN_HOLD_EVENTS 5000
#define EVTCHN_HOLD_WINDOW CLOCK_MILLISECONDS(10)

typedef struct _EVTCHN_WAITER {
    LIST_ENTRY ListEntry;
    KEVENT Event;
} EVTCHN_WAITER, *PEVTCHN_WAITER;

VOID EvtchnWakeWaiters(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    if (ReadAcquire(&Channel->Waiters) != 0)
        KeInsertQueueDpc(&Context->WaitDpc, NULL, NULL);
}

VOID EvtchnCount(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    /* The increment is a full barrier: either this sees the waiter, or the waiter sees the count. */
    InterlockedIncrement(&Channel->Count);
    EvtchnWakeWaiters(Context, Channel);
}

VOID EvtchnRaise(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Port)
{
    NTSTATUS Status;

    /* To unmask it is what makes Xen look. */
    if (Context->Abi.Mask(Context->Abi.Context, Port))
        return;

    Status = XenEventUnmask(Port);
    if (!NT_SUCCESS(Status))
        Error("port %u cannot be unmasked (%08x)", Port, Status);
}

BOOLEAN EvtchnFiresTooOften(_In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    ULONGLONG Now = KeQueryInterruptTime();

    if (Now - Channel->WindowStart >= EVTCHN_HOLD_WINDOW) {
        Channel->WindowStart = Now;
        Channel->WindowEvents = 0;
    }

    return ++Channel->WindowEvents > EVTCHN_HOLD_EVENTS;
}

VOID EvtchnHold(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    /* Masked first: the timer of an earlier hold unmasks what it finds held. */
    (VOID) Context->Abi.Mask(Context->Abi.Context, Channel->Port);
    InterlockedExchange(&Channel->Held, TRUE);
    KeInsertQueueDpc(&Context->HoldDpc, NULL, NULL);
}

/* One pending port. */
static BOOLEAN NTAPI EvtchnEvent(_In_ PVOID Argument, _In_ ULONG Port)
{
    PEVTCHN_SOURCE Source = Argument;
    PXENBUS_EVTCHN_CONTEXT Context = Source->Context;
    PEVTCHN_ABI Abi = &Context->Abi;
    PXENBUS_EVTCHN_CHANNEL Channel = EvtchnFindChannel(Context, Port);
    ULONG Processor;

    if (Channel == NULL) {
        (VOID) Abi->Mask(Abi->Context, Port);
        Abi->Ack(Abi->Context, Port);
        return FALSE;
    }

    /*
     * Ports of several processors share a word of bits, and one that has moved may be on the queue of where it was;
     * each is raised, and handled, where it is bound. While it moves it is left to whoever moves it.
     */
    Processor = ReadULongAcquire(&Channel->Processor);
    if (Processor != Source->Index) {
        if (Abi->PollTakes && Processor != INVALID_PROCESSOR_INDEX)
            EvtchnRaise(Context, Port);
        return FALSE;
    }

    if (Channel->Mask) {
        /* Masked since it was found pending: whoever moves or triggers the channel will unmask it and so raise it. */
        if (Abi->Mask(Abi->Context, Port))
            return FALSE;
    } else if (EvtchnFiresTooOften(Channel)) {
        EvtchnHold(Context, Channel);
        return TRUE;
    }

    Abi->Ack(Abi->Context, Port);
    EvtchnCount(Context, Channel);

    return Channel->Function(NULL, Channel->Argument);
}

static BOOLEAN EvtchnTakeUpcall(_In_ PEVTCHN_SOURCE Source)
{
    PEVTCHN_ABI Abi = &Source->Context->Abi;
    BOOLEAN Upcall = Abi->TakeUpcall(Abi->Context, Source->Index);

    return InterlockedExchange(&Source->More, FALSE) != FALSE || Upcall;
}

/*
 * In sleep an interrupt that is on its way when the domain is moved comes in the new place. A line stays up until its
 * upcall is taken, so that it is looked at where Xen still raises it.
 */
static BOOLEAN EvtchnMustWait(_In_ PEVTCHN_SOURCE Source)
{
    return ReadAcquire(&Source->Context->Asleep) != FALSE && (Source->Message || EvtchnIsForgotten());
}

/* The events of a source's processor. By one at a time: under the lock of the source's interrupt. */
static BOOLEAN EvtchnDispatch(_In_ PEVTCHN_SOURCE Source)
{
    PEVTCHN_ABI Abi = &Source->Context->Abi;
    BOOLEAN Done = FALSE;
    ULONG Budget = EVTCHN_BUDGET;
    ULONG Round;

    InterlockedIncrement(&Source->Sequence);

    if (EvtchnMustWait(Source)) {
        InterlockedIncrement(&Source->Sequence);
        return FALSE;
    }

    for (Round = 0; EvtchnTakeUpcall(Source) || Budget == 0; Round++) {
        if (Round == EVTCHN_ROUNDS || Budget == 0) {
            /* The upcall was taken, so that the line goes down: the rest must be remembered. */
            InterlockedExchange(&Source->More, TRUE);
            KeInsertQueueDpc(&Source->Dpc, NULL, NULL);
            break;
        }

        Done = TRUE;
        (VOID) Abi->Poll(Abi->Context, Source->Index, EvtchnEvent, Source, &Budget);
    }

    InterlockedIncrement(&Source->Sequence);
    return Done;
}

_Use_decl_annotations_ BOOLEAN NTAPI EvtchnInterrupt(PKINTERRUPT Interrupt, PVOID Argument)
{
    PEVTCHN_SOURCE Source = Argument;
    PEVTCHN_SOURCE Own = ReadPointerAcquire((PVOID *)&Source->Context->Processor[Source->Index].Source);

    UNREFERENCED_PARAMETER(Interrupt);

    /* The line brings vCPU 0's events only as long as that has no interrupt of its own. */
    if (Own != NULL && Own != Source)
        return FALSE;

    return EvtchnDispatch(Source);
}

_Function_class_(KSYNCHRONIZE_ROUTINE)
static BOOLEAN NTAPI EvtchnDispatchMore(_In_opt_ PVOID Argument)
{
    return EvtchnDispatch(Argument);
}

_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI EvtchnMoreDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                                _In_opt_ PVOID Argument2)
{
    PEVTCHN_SOURCE Source = Argument;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    (VOID) KeSynchronizeExecution(Source->Interrupt, EvtchnDispatchMore, Source);
}

VOID EvtchnSourceInitialize(_In_ PXENBUS_EVTCHN_CONTEXT Context, _Out_ PEVTCHN_SOURCE Source)
{
    RtlZeroMemory(Source, sizeof(EVTCHN_SOURCE));
    Source->Context = Context;
    KeInitializeDpc(&Source->Dpc, EvtchnMoreDpc, Source);
}

VOID EvtchnSynchronize(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    ULONG Index;

    KeMemoryBarrier();

    for (Index = 0; Index < Context->SourceCount; Index++) {
        LONG volatile *Sequence = &Context->Source[Index].Sequence;
        LONG Seen = ReadAcquire(Sequence);

        while ((Seen & 1) != 0 && ReadAcquire(Sequence) == Seen)
            YieldProcessor();
    }
}

VOID EvtchnSleep(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    InterlockedExchange(&Context->Asleep, TRUE);
    EvtchnSynchronize(Context);
}

VOID EvtchnGoOn(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    ULONG Index;

    if (EvtchnIsForgotten())
        return;

    InterlockedExchange(&Context->Asleep, FALSE);

    for (Index = 0; Index < Context->SourceCount; Index++) {
        PEVTCHN_SOURCE Source = &Context->Source[Index];

        if (Source->Interrupt != NULL &&
            ReadPointerAcquire((PVOID *)&Context->Processor[Source->Index].Source) == Source) {
            InterlockedExchange(&Source->More, TRUE);
            KeInsertQueueDpc(&Source->Dpc, NULL, NULL);
        }
    }
}

/* Channels fire too often: not before the timer are they looked at again. */
_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI EvtchnHoldDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                                _In_opt_ PVOID Argument2)
{
    PXENBUS_EVTCHN_CONTEXT Context = Argument;
    LARGE_INTEGER Timeout;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    Timeout.QuadPart = -(LONGLONG)EVTCHN_HOLD_WINDOW;
    (VOID) KeSetTimer(&Context->HoldTimer, Timeout, &Context->HoldTimerDpc);
}

_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI EvtchnHoldTimerDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                                     _In_opt_ PVOID Argument2)
{
    PXENBUS_EVTCHN_CONTEXT Context = Argument;
    PLIST_ENTRY ListEntry;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeAcquireSpinLockAtDpcLevel(&Context->Lock);

    for (ListEntry = Context->Channels.Flink; ListEntry != &Context->Channels; ListEntry = ListEntry->Flink) {
        PXENBUS_EVTCHN_CHANNEL Channel = CONTAINING_RECORD(ListEntry, XENBUS_EVTCHN_CHANNEL, ListEntry);

        if (InterlockedExchange(&Channel->Held, FALSE) == FALSE || !Channel->Active)
            continue;

        Warning("port %u has raised more than %u events in %llu ms: it was held back", Channel->Port,
                EVTCHN_HOLD_EVENTS, EVTCHN_HOLD_WINDOW / CLOCK_MILLISECONDS(1));
        (VOID) XenEventUnmask(Channel->Port);
    }

    KeReleaseSpinLockFromDpcLevel(&Context->Lock);
}

_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI EvtchnWaitDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                                _In_opt_ PVOID Argument2)
{
    PXENBUS_EVTCHN_CONTEXT Context = Argument;
    PLIST_ENTRY ListEntry;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeAcquireSpinLockAtDpcLevel(&Context->WaitLock);

    for (ListEntry = Context->Waiters.Flink; ListEntry != &Context->Waiters; ListEntry = ListEntry->Flink)
        (VOID) KeSetEvent(&CONTAINING_RECORD(ListEntry, EVTCHN_WAITER, ListEntry)->Event, IO_NO_INCREMENT, FALSE);

    KeReleaseSpinLockFromDpcLevel(&Context->WaitLock);
}

static BOOLEAN EvtchnHasMoved(_In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONG Count)
{
    return (LONG)((ULONG)ReadAcquire(&Channel->Count) - Count) > 0;
}

/* A channel that went in a suspend takes no events any more. FALSE: there is nothing to wait for. */
static BOOLEAN EvtchnMayMove(_In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONG Count, _Out_ PNTSTATUS Status)
{
    BOOLEAN Moved = EvtchnHasMoved(Channel, Count);

    *Status = Moved ? STATUS_SUCCESS : STATUS_CANCELLED;
    return !Moved && Channel->Active;
}

static NTSTATUS EvtchnSpinForCount(_In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONG Count, _In_ ULONGLONG Deadline)
{
    NTSTATUS Status;

    while (EvtchnMayMove(Channel, Count, &Status)) {
        if (ClockNow() >= Deadline)
            return STATUS_TIMEOUT;
        YieldProcessor();
    }

    return Status;
}

static NTSTATUS EvtchnSleepForCount(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel,
                                    _In_ ULONG Count, _In_ ULONGLONG Deadline, _In_ BOOLEAN Forever)
{
    EVTCHN_WAITER Waiter;
    NTSTATUS Status;
    KIRQL Irql;

    KeInitializeEvent(&Waiter.Event, SynchronizationEvent, FALSE);

    KeAcquireSpinLock(&Context->WaitLock, &Irql);
    InsertTailList(&Context->Waiters, &Waiter.ListEntry);
    KeReleaseSpinLock(&Context->WaitLock, Irql);

    InterlockedIncrement(&Channel->Waiters);

    while (EvtchnMayMove(Channel, Count, &Status)) {
        LARGE_INTEGER Timeout = ClockRemaining(Deadline);

        Status = KeWaitForSingleObject(&Waiter.Event, Executive, KernelMode, FALSE, Forever ? NULL : &Timeout);
        if (Status == STATUS_TIMEOUT) {
            Status = EvtchnHasMoved(Channel, Count) ? STATUS_SUCCESS : STATUS_TIMEOUT;
            break;
        }
    }

    InterlockedDecrement(&Channel->Waiters);

    KeAcquireSpinLock(&Context->WaitLock, &Irql);
    RemoveEntryList(&Waiter.ListEntry);
    KeReleaseSpinLock(&Context->WaitLock, Irql);

    return Status;
}

NTSTATUS EvtchnWaitForCount(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONG Count,
                            _In_opt_ PLARGE_INTEGER Timeout)
{
    if (KeGetCurrentIrql() < DISPATCH_LEVEL)
        return EvtchnSleepForCount(Context, Channel, Count, ClockDeadline(Timeout), Timeout == NULL);

    if (Timeout == NULL || Timeout->QuadPart == 0)
        BUG("EvtchnWait at DISPATCH_LEVEL needs a timeout that is not 0");

    return EvtchnSpinForCount(Channel, Count, ClockDeadline(Timeout));
}

VOID EvtchnDispatchInitialize(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    KeInitializeSpinLock(&Context->WaitLock);
    InitializeListHead(&Context->Waiters);
    KeInitializeDpc(&Context->WaitDpc, EvtchnWaitDpc, Context);

    KeInitializeDpc(&Context->HoldDpc, EvtchnHoldDpc, Context);
    KeInitializeTimer(&Context->HoldTimer);
    KeInitializeDpc(&Context->HoldTimerDpc, EvtchnHoldTimerDpc, Context);
}

VOID EvtchnDispatchTeardown(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    /* The hold DPC sets the timer: it must be through before the timer is stopped, and the timer's DPC after. */
    KeFlushQueuedDpcs();
    (VOID) KeCancelTimer(&Context->HoldTimer);
    KeFlushQueuedDpcs();
}
