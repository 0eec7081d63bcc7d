#include "bug.h"
#include "driver.h"
#include "fdo.h"
#include "frontend_state.h"
#include "pdo.h"
#include "pool.h"
#include "text.h"

#define FRONTEND_TAG POOL_TAG('V', 'f', 'r', 'o')

/* The nodes of our own that someone else changes. */
static PCSTR const FrontendWatched[] = {"backend", "disconnect", "speed", "mtu"};

C_ASSERT(RTL_NUMBER_OF(FrontendWatched) == FRONTEND_WATCHES);

ULONGLONG FrontendNow(VOID)
{
    return KeQueryInterruptTime();
}

ULONGLONG FrontendLater(_In_ ULONG Milliseconds)
{
    return FrontendNow() + (ULONGLONG)Milliseconds * 10000;
}

/* Lets packets be queued, or refuses them and returns those that are. */
static VOID FrontendSetAccepting(_Inout_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Accepting)
{
    ULONG Index;

    if (Frontend->Accepting == Accepting)
        return;

    Frontend->Accepting = Accepting;

    for (Index = 0; Index < Frontend->QueueCount; Index++)
        if (Accepting)
            TransmitterAccept(QueueGetTransmitter(Frontend->Queues[Index]));
        else
            TransmitterRefuse(QueueGetTransmitter(Frontend->Queues[Index]));
}

/* What was asked for last has been done, as far as anyone waits for it. */
static VOID FrontendSettle(_Inout_ PXENVIF_FRONTEND Frontend)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Frontend->Lock, &Irql);

    WriteULongRelease(&Frontend->Settled, Frontend->Request);

    /* If more has been asked for since, whoever waits sleeps until that has been done too. */
    if (Frontend->Request == Frontend->Requested)
        (VOID) KeSetEvent(&Frontend->SettledEvent, IO_NO_INCREMENT, FALSE);

    KeReleaseSpinLock(&Frontend->Lock, Irql);
}

/* Takes the notes that power and client have left. */
static VOID FrontendReadRequest(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN New;
    KIRQL Irql;

    KeAcquireSpinLock(&Frontend->Lock, &Irql);

    New = Frontend->Request != Frontend->Requested;

    if (New) {
        Frontend->Request = Frontend->Requested;

        /* Whoever asks may expect another try. */
        Frontend->Parked = FALSE;
        Frontend->Failed = FALSE;
        Frontend->RetryAt = 0;
    }

    if (!Frontend->Powered)
        Frontend->Target = FRONTEND_DOWN;
    else
        Frontend->Target = Frontend->Enabled ? FRONTEND_CONNECT : FRONTEND_READY;

    KeReleaseSpinLock(&Frontend->Lock, Irql);

    /* What wants a connection after that tells the neighbours of it by itself. */
    if (Frontend->Target != FRONTEND_CONNECT)
        Frontend->Moved = FALSE;

    /* A client that enables the VIF need not wait for more than a place to leave its packets. */
    if (New && Frontend->Target == FRONTEND_CONNECT) {
        FrontendSetAccepting(Frontend, TRUE);
        FrontendSettle(Frontend);
    }
}

VOID FrontendUpdateLink(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN Connected = Frontend->State == FRONTEND_CONNECTED;
    BOOLEAN Link = Connected && FrontendReadLink(Frontend);
    BOOLEAN Accepting;
    BOOLEAN Changed;

    /* Packets are queued across a reconnection, but not for a cable that is out. */
    Accepting = Frontend->Target == FRONTEND_CONNECT && !Frontend->Failed && (Link || !Connected);

    /* Who sees the link up may send; who is refused, or gets back what waits, has been told that it is down. */
    if (Accepting)
        FrontendSetAccepting(Frontend, TRUE);

    Changed = MacUpdate(Frontend->Mac, Link, (Frontend->TransmitFeatures & TRANSMITTER_GATHER) || !Connected);
    if (Changed && Frontend->Target == FRONTEND_CONNECT)
        VifMacStateChange(Frontend->Vif);

    if (!Accepting)
        FrontendSetAccepting(Frontend, FALSE);
}

/* Tries again to end grants that the backend held on to. TRUE: some still stand. */
static BOOLEAN FrontendRetryGrants(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Count = 0;
    ULONG Index;

    for (Index = 0; Index < Frontend->QueueCount; Index++)
        Count += QueueRetryGrants(Frontend->Queues[Index]);

    return Count + ControllerRetryGrants(Frontend->Controller) != 0;
}

/* Whether packets that wait for the backend to let go of their pages are to wait on. */
static TRANSMITTER_PATIENCE FrontendPatience(_In_ PXENVIF_FRONTEND Frontend)
{
    if (Frontend->HeldDeadline == 0 || FrontendNow() < Frontend->HeldDeadline)
        return TRANSMITTER_WAIT;

    return (Frontend->HeldTries < FRONTEND_HELD_TRIES) ? TRANSMITTER_ABANDON : TRANSMITTER_LOSE;
}

/* There was no memory to give up what is held back: it is tried again, but not for ever. */
static VOID FrontendWaitForMemory(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count)
{
    if (Frontend->HeldTries == 0)
        Warning("vif %u: the backend keeps pages of %u packets, and there is no memory to note which: waiting for it",
                Frontend->Number, Count);

    Frontend->HeldTries++;
    Frontend->HeldDeadline = FrontendLater(FRONTEND_RETRY_TIME);
}

/*
 * Tries to return packets that wait for the backend to let go of their pages. When the client waits for them in turn,
 * patience ends with a deadline. TRUE: there are some.
 */
static BOOLEAN FrontendRetryHeld(_Inout_ PXENVIF_FRONTEND Frontend)
{
    TRANSMITTER_PATIENCE Patience;
    ULONG Count = 0;
    ULONG Index;

    if (Frontend->Target == FRONTEND_CONNECT)
        Frontend->HeldDeadline = 0;

    Patience = FrontendPatience(Frontend);

    for (Index = 0; Index < Frontend->QueueCount; Index++)
        Count += TransmitterRetryHeld(QueueGetTransmitter(Frontend->Queues[Index]), Patience);

    if (Count != 0 && Patience != TRANSMITTER_WAIT) {
        FrontendWaitForMemory(Frontend, Count);
        return TRUE;
    }

    if (Count == 0)
        Frontend->HeldDeadline = 0;
    else if (Frontend->Target != FRONTEND_CONNECT && Frontend->HeldDeadline == 0)
        Frontend->HeldDeadline = FrontendLater(FRONTEND_HELD_TIME);

    if (Frontend->HeldDeadline == 0)
        Frontend->HeldTries = 0;

    return Count != 0;
}

/* Whether nothing of what power or client wants to be over is going on any more. */
static BOOLEAN FrontendIsQuiet(_In_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Held)
{
    switch (Frontend->Target) {
    case FRONTEND_DOWN:
        return Frontend->State == FRONTEND_CLOSED && !Held;
    case FRONTEND_READY:
        return Frontend->State <= FRONTEND_PREPARED && !Held;
    default:
        return FALSE;
    }
}

/* Drops the frames that the client has not been given. */
static VOID FrontendFlush(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    for (Index = 0; Index < Frontend->QueueCount; Index++)
        ReceiverFlush(QueueGetReceiver(Frontend->Queues[Index]));
}

/* Has the neighbours told of where the adapter's addresses are. FALSE: to be called again. */
static BOOLEAN FrontendAnnounceAddresses(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN Read = AnnouncerUpdate(Frontend->Announcer);

    if (!Frontend->Moved || Frontend->State != FRONTEND_CONNECTED)
        return Read;

    /* A cable that is out makes the network stack do it when it is in again. */
    if (!Frontend->Accepting || AnnouncerSend(Frontend->Announcer))
        Frontend->Moved = FALSE;

    return Read && !Frontend->Moved;
}

/* Goes as far as it can without waiting. TRUE: something is to be tried again even if nobody wakes the thread. */
static BOOLEAN FrontendAdvance(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN Announced;
    BOOLEAN Held;
    BOOLEAN Granted;

    if (FrontendNow() >= Frontend->RetryAt)
        Frontend->RetryAt = 0;

    do {
        FrontendReadRequest(Frontend);
        FrontendLookAtBackend(Frontend);
    } while (FrontendStep(Frontend));

    FrontendServeHash(Frontend);
    FrontendContinueSteering(Frontend);
    FrontendUpdateMulticast(Frontend);
    Announced = FrontendAnnounceAddresses(Frontend);

    FrontendUpdateLink(Frontend);

    Held = FrontendRetryHeld(Frontend);
    Granted = FrontendRetryGrants(Frontend);

    if (FrontendIsQuiet(Frontend, Held)) {
        FrontendFlush(Frontend);
        FrontendSettle(Frontend);
    }

    return Held || Granted || !Announced;
}

/* How long the thread may sleep; FALSE: until it is woken. */
static BOOLEAN FrontendTimeout(_In_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Retry, _Out_ PLARGE_INTEGER Timeout)
{
    ULONGLONG Now = FrontendNow();
    ULONGLONG Earliest = (ULONGLONG)-1;

    if (Retry)
        Earliest = Now + (ULONGLONG)FRONTEND_RETRY_TIME * 10000;
    if (Frontend->Deadline != 0)
        Earliest = min(Earliest, Frontend->Deadline);
    if (Frontend->RetryAt != 0)
        Earliest = min(Earliest, Frontend->RetryAt);
    if (Frontend->HeldDeadline != 0)
        Earliest = min(Earliest, Frontend->HeldDeadline);
    if (Frontend->SteerDeadline != 0)
        Earliest = min(Earliest, Frontend->SteerDeadline);

    if (Earliest == (ULONGLONG)-1)
        return FALSE;

    /* A relative time of 0 is the past already. */
    Timeout->QuadPart = (Earliest > Now) ? -(LONGLONG)(Earliest - Now) : 0;

    return TRUE;
}

static NTSTATUS NTAPI FrontendThread(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
{
    PXENVIF_FRONTEND Frontend = Context;

    /* Whoever wakes the thread first knows that it has been made. */
    BOOLEAN Retry = FALSE;

    for (;;) {
        LARGE_INTEGER Timeout;

        (VOID) ThreadWait(Self, FrontendTimeout(Frontend, Retry, &Timeout) ? &Timeout : NULL);
        if (ThreadIsAlerted(Self))
            break;

        Retry = FrontendAdvance(Frontend);
    }

    AnnouncerStop(Frontend->Announcer);
    FrontendForgetBackend(Frontend);

    return STATUS_SUCCESS;
}

VOID FrontendWake(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ThreadWake(Frontend->Thread);
}

VOID FrontendBreak(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Reason, _In_ ULONG Value)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Frontend->Lock, &Irql);

    /* The first one is the one to tell of: the rest may follow from it. */
    if (!Frontend->Broken) {
        Frontend->Broken = TRUE;
        Frontend->BrokenReason = Reason;
        Frontend->BrokenValue = Value;
    }

    KeReleaseSpinLock(&Frontend->Lock, Irql);

    FrontendWake(Frontend);
}

/* Notes a request; gives its number. */
static ULONG FrontendNote(_Inout_ PXENVIF_FRONTEND Frontend, _Inout_ PBOOLEAN Note, _In_ BOOLEAN Value)
{
    ULONG Request;
    KIRQL Irql;

    KeAcquireSpinLock(&Frontend->Lock, &Irql);

    *Note = Value;
    Request = ++Frontend->Requested;
    KeClearEvent(&Frontend->SettledEvent);

    KeReleaseSpinLock(&Frontend->Lock, Irql);

    FrontendWake(Frontend);

    return Request;
}

static PAGED_FUNCTION VOID FrontendWait(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Request)
{
    PAGED_CODE();

    /* The event is set while nothing is left to be done: it says so of this request and of any later one. */
    while ((LONG)(ReadULongAcquire(&Frontend->Settled) - Request) < 0)
        (VOID) KeWaitForSingleObject(&Frontend->SettledEvent, Executive, KernelMode, FALSE, NULL);
}

PAGED_FUNCTION VOID FrontendPowerUp(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    (VOID) FrontendNote(Frontend, &Frontend->Powered, TRUE);
}

PAGED_FUNCTION VOID FrontendPowerDown(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    FrontendWait(Frontend, FrontendNote(Frontend, &Frontend->Powered, FALSE));
}

PAGED_FUNCTION VOID FrontendEnable(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    FrontendWait(Frontend, FrontendNote(Frontend, &Frontend->Enabled, TRUE));
}

PAGED_FUNCTION VOID FrontendDisable(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    FrontendWait(Frontend, FrontendNote(Frontend, &Frontend->Enabled, FALSE));
}

/*
 * The domain has been suspended and runs again: rings, grants and event channels are of another life. They are left
 * alone from here on; the thread does what takes waiting. DISPATCH_LEVEL, every other processor held.
 */
static VOID NTAPI FrontendSuspendLate(_In_opt_ PVOID Argument)
{
    PXENVIF_FRONTEND Frontend = Argument;
    ULONG Index;

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++)
        QueueHalt(Frontend->Queues[Index]);

    (VOID) InterlockedExchange(&Frontend->Resumed, TRUE);
    FrontendWake(Frontend);
}

static VOID NTAPI FrontendDebug(_In_opt_ PVOID Argument, _In_ BOOLEAN Crashing)
{
    PXENVIF_FRONTEND Frontend = Argument;
    ULONG Index;

    XENBUS_DEBUG_CALL(&Frontend->Parent->Debug, Printf, "vif %u: state %u target %u backend %s queues %u%s",
                      Frontend->Number, Frontend->State, Frontend->Target, FrontendStateName(Frontend->BackendState),
                      Frontend->Active, Crashing ? " (crashing)" : "");

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++)
        QueueDebug(Frontend->Queues[Index]);
}

static PAGED_FUNCTION VOID FrontendRemoveWatches(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count)
{
    PAGED_CODE();

    while (Count-- != 0) {
        (VOID) XENBUS_STORE_CALL(&Frontend->Parent->Store, WatchRemove, Frontend->Watches[Count]);
        Frontend->Watches[Count] = NULL;
    }
}

static PAGED_FUNCTION NTSTATUS FrontendAddWatches(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Index < FRONTEND_WATCHES; Index++) {
        Status = XENBUS_STORE_CALL(&Frontend->Parent->Store, WatchAdd, Frontend->Path, (PSTR)FrontendWatched[Index],
                                   ThreadGetEvent(Frontend->Thread), &Frontend->Watches[Index]);
        if (!NT_SUCCESS(Status))
            goto fail;
    }

    return STATUS_SUCCESS;

fail:
    Error("vif %u: no watch of %s (%08x)", Frontend->Number, FrontendWatched[Index], Status);
    FrontendRemoveWatches(Frontend, Index);

    return Status;
}

static PAGED_FUNCTION VOID FrontendStopThread(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    ThreadAlert(Frontend->Thread);
    (VOID) ThreadJoin(Frontend->Thread);
    Frontend->Thread = NULL;
}

/* Makes one more queue. It is as the client wants it once others can see it. */
static PAGED_FUNCTION NTSTATUS FrontendMakeQueue(_Inout_ PXENVIF_FRONTEND Frontend)
{
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
    PXENVIF_QUEUE Queue;
    NTSTATUS Status;

    PAGED_CODE();

    Status = QueueInitialize(Frontend, Frontend->QueueCount, &Queue);
    if (!NT_SUCCESS(Status))
        return Status;

    Frontend->Queues[Frontend->QueueCount] = Queue;
    WriteULongRelease(&Frontend->QueueCount, Frontend->QueueCount + 1);
    KeMemoryBarrier();

    Options.Value = (USHORT)ReadULongAcquire(&Frontend->ReceiverOptions);
    ReceiverSetOffloadOptions(QueueGetReceiver(Queue), Options);
    ReceiverSetBackfillSize(QueueGetReceiver(Queue), ReadULongAcquire(&Frontend->ReceiverBackfill));

    if (Frontend->Accepting)
        TransmitterAccept(QueueGetTransmitter(Queue));

    return STATUS_SUCCESS;
}

PAGED_FUNCTION ULONG FrontendMakeQueues(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count)
{
    NTSTATUS Status = STATUS_SUCCESS;

    PAGED_CODE();

    while (NT_SUCCESS(Status) && Frontend->QueueCount < Count)
        Status = FrontendMakeQueue(Frontend);

    if (!NT_SUCCESS(Status))
        Warning("vif %u: %u queues instead of %u (%08x)", Frontend->Number, Frontend->QueueCount, Count, Status);

    return min(Count, Frontend->QueueCount);
}

static PAGED_FUNCTION VOID FrontendUnmakeQueues(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    while (Frontend->QueueCount != 0) {
        Frontend->QueueCount--;
        QueueTeardown(Frontend->Queues[Frontend->QueueCount]);
        Frontend->Queues[Frontend->QueueCount] = NULL;
    }
}

/* What packets go through. */
static PAGED_FUNCTION NTSTATUS FrontendMakeModules(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = MacInitialize(Frontend, &Frontend->Mac);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = SteeringInitialize(&Frontend->Steering);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = ControllerInitialize(Frontend, &Frontend->Controller);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Status = AnnouncerInitialize(Frontend, &Frontend->Announcer);
    if (!NT_SUCCESS(Status))
        goto fail4;

    /* There is always one; the others are made when it is known how many there are to be. */
    Status = FrontendMakeQueue(Frontend);
    if (!NT_SUCCESS(Status))
        goto fail5;

    Frontend->RingCount = 1;

    return STATUS_SUCCESS;

fail5:
    AnnouncerTeardown(Frontend->Announcer);

fail4:
    ControllerTeardown(Frontend->Controller);

fail3:
    SteeringTeardown(Frontend->Steering);

fail2:
    MacTeardown(Frontend->Mac);

fail1:
    return Status;
}

static PAGED_FUNCTION VOID FrontendUnmakeModules(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    FrontendUnmakeQueues(Frontend);
    AnnouncerTeardown(Frontend->Announcer);
    ControllerTeardown(Frontend->Controller);
    SteeringTeardown(Frontend->Steering);
    MacTeardown(Frontend->Mac);
}

/* Who else knows of the frontend. */
static PAGED_FUNCTION NTSTATUS FrontendRegister(_Inout_ PXENVIF_FRONTEND Frontend)
{
    CHAR Prefix[16];
    NTSTATUS Status;

    PAGED_CODE();

    (VOID) TextPrint(Prefix, sizeof(Prefix), "XENVIF %u", Frontend->Number);

    Status = XENBUS_DEBUG_CALL(&Frontend->Parent->Debug, Register, Prefix, FrontendDebug, Frontend,
                               &Frontend->DebugCallback);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_SUSPEND_CALL(&Frontend->Parent->Suspend, Register, SUSPEND_CALLBACK_LATE, FrontendSuspendLate,
                                 Frontend, &Frontend->SuspendCallback);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = FrontendAddWatches(Frontend);
    if (!NT_SUCCESS(Status))
        goto fail3;

    return STATUS_SUCCESS;

fail3:
    XENBUS_SUSPEND_CALL(&Frontend->Parent->Suspend, Deregister, Frontend->SuspendCallback);

fail2:
    XENBUS_DEBUG_CALL(&Frontend->Parent->Debug, Deregister, Frontend->DebugCallback);

fail1:
    return Status;
}

static PAGED_FUNCTION VOID FrontendDeregister(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    FrontendRemoveWatches(Frontend, FRONTEND_WATCHES);
    XENBUS_SUSPEND_CALL(&Frontend->Parent->Suspend, Deregister, Frontend->SuspendCallback);
    XENBUS_DEBUG_CALL(&Frontend->Parent->Debug, Deregister, Frontend->DebugCallback);
}

PAGED_FUNCTION NTSTATUS FrontendInitialize(_In_ PXENVIF_PDO Pdo, _In_ PXENVIF_PARENT Parent, _In_ PXENVIF_VIF Vif,
                                           _In_ ULONG Number, _Outptr_ PXENVIF_FRONTEND *Frontend)
{
    PXENVIF_FRONTEND New;
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_FRONTEND), FRONTEND_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Number = Number;
    New->Pdo = Pdo;
    New->Parent = Parent;
    New->Vif = Vif;
    New->MaximumQueues = DriverQueryParameter(L"FrontendMaxQueues", FRONTEND_MAXIMUM_QUEUES);
    New->DisableToeplitz = DriverQueryParameter(L"FrontendDisableToeplitz", 0) != 0;
    New->Multicast.Disabled = DriverQueryParameter(L"TransmitterDisableMulticastControl", 0) != 0;
    KeInitializeSpinLock(&New->Lock);
    KeInitializeEvent(&New->SettledEvent, NotificationEvent, FALSE);
    (VOID) TextPrint(New->Path, sizeof(New->Path), "device/vif/%u", Number);
    (VOID) TextPrint(New->ErrorPath, sizeof(New->ErrorPath), "error/device/vif/%u", Number);

    Status = FrontendMakeModules(New);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = ThreadCreate(FrontendThread, New, &New->Thread);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = FrontendRegister(New);
    if (!NT_SUCCESS(Status))
        goto fail3;

    *Frontend = New;

    return STATUS_SUCCESS;

fail3:
    FrontendStopThread(New);

fail2:
    FrontendUnmakeModules(New);

fail1:
    Error("vif %u: (%08x)", Number, Status);
    PoolFree(New, FRONTEND_TAG);

    return Status;
}

PAGED_FUNCTION VOID FrontendTeardown(_In_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    FrontendDeregister(Frontend);
    FrontendStopThread(Frontend);
    FrontendClearError(Frontend);
    FrontendUnmakeModules(Frontend);

    PoolFree(Frontend, FRONTEND_TAG);
}

VOID FrontendRetireGranter(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENVIF_GRANTER Granter)
{
    FdoRetireGranter(PdoGetFdo(Frontend->Pdo), Granter);
}

ULONG FrontendGetNumber(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Number;
}

PXENVIF_PDO FrontendGetPdo(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Pdo;
}

PXENVIF_PARENT FrontendGetParent(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Parent;
}

PXENVIF_VIF FrontendGetVif(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Vif;
}

PXENVIF_STATISTICS FrontendGetStatistics(_In_ PXENVIF_FRONTEND Frontend)
{
    return &Frontend->Statistics;
}

PXENVIF_MAC FrontendGetMac(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Mac;
}

PXENVIF_STEERING FrontendGetSteering(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Steering;
}

ULONG FrontendGetQueueCount(_In_ PXENVIF_FRONTEND Frontend)
{
    return ReadULongAcquire(&Frontend->QueueCount);
}

const XENVIF_HASHER *FrontendGetHasher(_In_ PXENVIF_FRONTEND Frontend)
{
    return &Frontend->Hasher;
}

PXENVIF_TRANSMITTER FrontendGetTransmitter(_In_ PXENVIF_FRONTEND Frontend, _In_ ULONG Index)
{
    return QueueGetTransmitter(Frontend->Queues[Index]);
}

BOOLEAN FrontendIsResumed(_In_ PXENVIF_FRONTEND Frontend)
{
    return ReadAcquire(&Frontend->Resumed) != FALSE;
}

BOOLEAN FrontendIsHashing(_In_ PXENVIF_FRONTEND Frontend)
{
    return ReadAcquire(&Frontend->Hashing) != FALSE;
}

BOOLEAN FrontendWantsHash(_In_ PXENVIF_FRONTEND Frontend)
{
    return ReadAcquire(&Frontend->Hash.Toeplitz) != FALSE;
}

ULONG FrontendGetRingCount(_In_ PXENVIF_FRONTEND Frontend)
{
    return ReadULongAcquire(&Frontend->RingCount);
}

VOID FrontendSetReceiverOffloadOptions(_Inout_ PXENVIF_FRONTEND Frontend, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    ULONG Index;

    WriteULongRelease(&Frontend->ReceiverOptions, Options.Value);
    KeMemoryBarrier();

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++)
        ReceiverSetOffloadOptions(QueueGetReceiver(Frontend->Queues[Index]), Options);
}

VOID FrontendSetReceiverBackfillSize(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Size)
{
    ULONG Index;

    WriteULongRelease(&Frontend->ReceiverBackfill, Size);
    KeMemoryBarrier();

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++)
        ReceiverSetBackfillSize(QueueGetReceiver(Frontend->Queues[Index]), Size);
}
