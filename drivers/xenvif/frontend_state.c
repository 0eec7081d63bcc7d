/*
 * The steps of the frontend. Each looks at what is wanted (Target), where we are (State) and where the backend is
 * (BackendState), does the one thing that follows, and says whether to look again. None waits.
 *
 * What a backend leaves out is taken as said: Closed where Closing is awaited (field bug FB2), a directory that has
 * vanished for one that is closed (FB3), silence for an answer once its time is over (FB1).
 */
#include "bug.h"
#include "frontend_state.h"
#include "pdo.h"

static VOID FrontendSetState(_Inout_ PXENVIF_FRONTEND Frontend, _In_ FRONTEND_STATE State, _In_ ULONG Milliseconds)
{
    BOOLEAN Ended = Frontend->State == FRONTEND_CONNECTED && State != FRONTEND_CONNECTED;

    Frontend->State = State;
    Frontend->Deadline = (Milliseconds != 0) ? FrontendLater(Milliseconds) : 0;

    /* At once, since the steps may go as far as the next connection before they pause. */
    if (Ended)
        FrontendUpdateLink(Frontend);
}

/* TRUE once when the backend's time is over. */
static BOOLEAN FrontendIsLate(_Inout_ PXENVIF_FRONTEND Frontend)
{
    if (Frontend->Deadline == 0 || FrontendNow() < Frontend->Deadline)
        return FALSE;

    Frontend->Deadline = 0;

    return TRUE;
}

/* Writes our state; if that cannot be done it is tried again later, and the step is not taken. */
static BOOLEAN FrontendTellState(_Inout_ PXENVIF_FRONTEND Frontend, _In_ XenbusState State)
{
    NTSTATUS Status;

    Status = FrontendWriteState(Frontend, State);
    if (NT_SUCCESS(Status))
        return TRUE;

    Warning("vif %u: state %s cannot be written (%08x)", Frontend->Number, FrontendStateName(State), Status);
    Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);

    return FALSE;
}

/* No connection can be made for now: packets do not wait for one. */
static VOID FrontendGiveUp(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Text, _In_ ULONG Value)
{
    FrontendReportError(Frontend, Text, Value);
    Frontend->Failed = TRUE;
}

/* Takes rings, grants and channels back, whatever the backend does with them. */
static VOID FrontendDisconnect(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN Broken;
    ULONG Index;
    KIRQL Irql;

    for (Index = 0; Index < Frontend->Active; Index++)
        QueueDisconnect(Frontend->Queues[Index]);
    Frontend->Active = 0;
    ControllerDisconnect(Frontend->Controller);
    (VOID) InterlockedExchange(&Frontend->Hashing, FALSE);
    FrontendUnpublish(Frontend);

    KeAcquireSpinLock(&Frontend->Lock, &Irql);
    Broken = (Frontend->Broken != FALSE);
    Frontend->Broken = FALSE;
    KeReleaseSpinLock(&Frontend->Lock, Irql);

    if (!Broken)
        return;

    /* It would do it again. It may try when it has been restarted, or when someone here asks for it. */
    FrontendGiveUp(Frontend, Frontend->BrokenReason, Frontend->BrokenValue);
    Frontend->Parked = TRUE;
    Frontend->ParkedState = Frontend->BackendState;
}

/* Stops traffic. The rings stay as they are until the backend has let go of them. */
static VOID FrontendQuiesce(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    for (Index = 0; Index < Frontend->Active; Index++)
        QueueDisable(Frontend->Queues[Index]);
}

static BOOLEAN FrontendIsClosed(_In_ XenbusState State)
{
    return State == XenbusStateUnknown || State == XenbusStateClosed || State == XenbusStateInitialising;
}

/* The end of a connection, or of an attempt at one. The backend is asked to let go, unless it has. */
static BOOLEAN FrontendBeginClose(_Inout_ PXENVIF_FRONTEND Frontend)
{
    XenbusState Backend = Frontend->BackendState;
    BOOLEAN Connected = Frontend->State == FRONTEND_CONNECTED;

    FrontendQuiesce(Frontend);

    if (Connected && Frontend->Target == FRONTEND_CONNECT) {
        Frontend->Moved = TRUE;
        AnnouncerBegin(Frontend->Announcer);
    }

    if (ReadAcquire(&Frontend->Broken) != FALSE)
        FrontendGiveUp(Frontend, Frontend->BrokenReason, Frontend->BrokenValue);

    /* A backend that is back at InitWait has forgotten the connection that we had. */
    if (FrontendIsClosed(Backend) || (Connected && Backend == XenbusStateInitWait)) {
        FrontendDisconnect(Frontend);
        (VOID) FrontendTellState(Frontend, XenbusStateClosed);
        FrontendSetState(Frontend, FRONTEND_CLOSED, 0);
        return TRUE;
    }

    /* If it cannot be said the backend's time runs all the same. */
    (VOID) FrontendTellState(Frontend, XenbusStateClosing);
    Frontend->InitWaitIsClosed = Backend != XenbusStateInitWait;
    FrontendSetState(Frontend, FRONTEND_CLOSING, FRONTEND_CLOSE_TIME);

    return TRUE;
}

/* Whether the toolstack has closed the backend for good. */
static BOOLEAN FrontendIsDetached(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->BackendState == XenbusStateClosed && FrontendReadBackendNumber(Frontend, "online", 1) == 0;
}

static BOOLEAN FrontendStepClosed(_Inout_ PXENVIF_FRONTEND Frontend)
{
    (VOID) InterlockedExchange(&Frontend->Resumed, FALSE);

    if (Frontend->Target == FRONTEND_DOWN || Frontend->Ejected || Frontend->RetryAt != 0)
        return FALSE;

    if (Frontend->Parked && Frontend->ParkedState == Frontend->BackendState)
        return FALSE;

    Frontend->Parked = FALSE;

    if (FrontendIsDetached(Frontend)) {
        Info("vif %u: detached by the toolstack", Frontend->Number);
        (VOID) FrontendTellState(Frontend, XenbusStateClosed);
        Frontend->Ejected = TRUE;
        PdoEject(Frontend->Pdo);
        return FALSE;
    }

    switch (Frontend->BackendState) {
    case XenbusStateUnknown:
        /* As long as there is none nobody is late; but packets need not wait. */
        Frontend->Failed = TRUE;
        return FALSE;

    case XenbusStateInitialising:
    case XenbusStateInitWait:
    case XenbusStateClosed:
        if (!FrontendTellState(Frontend, XenbusStateInitialising))
            return FALSE;
        FrontendSetState(Frontend, FRONTEND_INITIALISING, FRONTEND_CONNECT_TIME);
        return TRUE;

    default:
        /* It still has the connection of someone before us. */
        return FrontendBeginClose(Frontend);
    }
}

/* How many queues a connection is to have. A backend that says nothing of several has one (field bug FB5). */
static ULONG FrontendCountQueues(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Offered = FrontendReadBackendNumber(Frontend, "multi-queue-max-queues", 0);
    ULONG Count = min(max(Offered, 1), (ULONG)FRONTEND_MAXIMUM_QUEUES);

    Frontend->MultiQueue = Offered != 0;

    Count = min(Count, max(Frontend->MaximumQueues, 1));
    Count = min(Count, KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));

    WriteULongRelease(&Frontend->RingCount, Count);

    return Count;
}

/* What the backend takes of us; what it does not speak of has xen/io/netif.h's default. */
static ULONG FrontendReadFeatures(_Inout_ PXENVIF_FRONTEND Frontend)
{
    static const struct {
        PCSTR Node;
        BOOLEAN Denies; /* it says what the backend does not do */
        ULONG Feature;
    } Nodes[] = {
        {"feature-sg", FALSE, TRANSMITTER_GATHER},
        {"feature-no-csum-offload", TRUE, TRANSMITTER_CHECKSUM_V4},
        {"feature-ipv6-csum-offload", FALSE, TRANSMITTER_CHECKSUM_V6},
        {"feature-gso-tcpv4", FALSE, TRANSMITTER_LARGE_V4},
        {"feature-gso-tcpv6", FALSE, TRANSMITTER_LARGE_V6},
    };
    ULONG Features = 0;
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(Nodes); Index++)
        if ((FrontendReadBackendNumber(Frontend, Nodes[Index].Node, 0) == 0) == Nodes[Index].Denies)
            Features |= Nodes[Index].Feature;

    return Features;
}

static BOOLEAN FrontendStepInitialising(_Inout_ PXENVIF_FRONTEND Frontend)
{
    if (Frontend->Target == FRONTEND_DOWN || FrontendIsDetached(Frontend)) {
        (VOID) FrontendTellState(Frontend, XenbusStateClosed);
        FrontendSetState(Frontend, FRONTEND_CLOSED, 0);
        return TRUE;
    }

    if (ReadAcquire(&Frontend->Resumed) != FALSE) {
        FrontendSetState(Frontend, FRONTEND_CLOSED, 0);
        return TRUE;
    }

    switch (Frontend->BackendState) {
    case XenbusStateInitWait:
        (VOID) FrontendCountQueues(Frontend);
        FrontendSetState(Frontend, FRONTEND_PREPARED, 0);
        return TRUE;

    case XenbusStateUnknown:
    case XenbusStateInitialising:
    case XenbusStateClosed:
        if (FrontendIsLate(Frontend))
            FrontendGiveUp(Frontend, "the backend does not reach InitWait, its state is", Frontend->BackendState);
        return FALSE;

    default:
        return FrontendBeginClose(Frontend);
    }
}

/* Makes rings and channels for Count queues, or for as many as can be had. */
static NTSTATUS FrontendConnectQueues(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count)
{
    NTSTATUS Status = STATUS_SUCCESS;

    Count = FrontendMakeQueues(Frontend, Count);

    for (Frontend->Active = 0; Frontend->Active < Count; Frontend->Active++) {
        Status = QueueConnect(Frontend->Queues[Frontend->Active], Frontend->BackendDomain, Frontend->Split,
                              Frontend->TransmitFeatures);
        if (!NT_SUCCESS(Status))
            break;
    }

    if (Frontend->Active == 0)
        return Status;

    if (Frontend->Active < Count)
        Warning("vif %u: %u queues instead of %u (%08x)", Frontend->Number, Frontend->Active, Count, Status);

    WriteULongRelease(&Frontend->RingCount, Frontend->Active);
    FrontendSteer(Frontend);

    return STATUS_SUCCESS;
}

static VOID FrontendDisconnectQueues(_Inout_ PXENVIF_FRONTEND Frontend)
{
    while (Frontend->Active != 0) {
        Frontend->Active--;
        QueueDisconnect(Frontend->Queues[Frontend->Active]);
    }
}

/* Tells the backend of the rings that there are, with a control ring if it has one. */
static NTSTATUS FrontendAnnounce(_Inout_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Control)
{
    NTSTATUS Status;

    if (Control) {
        Status = ControllerConnect(Frontend->Controller, Frontend->BackendDomain);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    Status = FrontendPublish(Frontend);
    if (!NT_SUCCESS(Status))
        ControllerDisconnect(Frontend->Controller);

    return Status;
}

/* Makes rings and channels and publishes them: fewer, if they leave too little for what comes after them. */
static NTSTATUS FrontendConnect(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN Control;
    NTSTATUS Status;
    ULONG Count;

    Frontend->Unread = FALSE;

    /* A backend that does not say is one of those that do nothing else. */
    if (FrontendReadBackendNumber(Frontend, "feature-rx-copy", 1) == 0)
        return STATUS_NOT_SUPPORTED;

    /* Of the backend that is there now: since we were prepared, one may have gone and another come. */
    Frontend->Split = FrontendReadBackendNumber(Frontend, "feature-split-event-channels", 0) != 0;
    Frontend->TransmitFeatures = FrontendReadFeatures(Frontend);
    Control = FrontendReadBackendNumber(Frontend, "feature-ctrl-ring", 0) != 0;
    FrontendPrepareMulticast(Frontend);
    Count = FrontendCountQueues(Frontend);

    /* What it does not do must not be asked of it because we could not read that. */
    if (Frontend->Unread)
        return FrontendIsResumed(Frontend) ? STATUS_CANCELLED : STATUS_INSUFFICIENT_RESOURCES;

    for (;; Count /= 2) {
        Status = FrontendConnectQueues(Frontend, Count);
        if (!NT_SUCCESS(Status))
            return Status;

        Count = Frontend->Active;
        Status = FrontendAnnounce(Frontend, Control);
        if (NT_SUCCESS(Status))
            return STATUS_SUCCESS;

        FrontendDisconnectQueues(Frontend);
        if (Status != STATUS_INSUFFICIENT_RESOURCES || Count == 1)
            return Status;

        Warning("vif %u: too little is left beside %u queues", Frontend->Number, Count);
    }
}

static BOOLEAN FrontendIsOverheld(_In_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    for (Index = 0; Index < Frontend->QueueCount; Index++)
        if (QueueIsOverheld(Frontend->Queues[Index]))
            return TRUE;

    return FALSE;
}

static BOOLEAN FrontendStepPrepared(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status;

    if (Frontend->Target == FRONTEND_DOWN) {
        (VOID) FrontendTellState(Frontend, XenbusStateClosed);
        FrontendSetState(Frontend, FRONTEND_CLOSED, 0);
        return TRUE;
    }

    if (Frontend->BackendState != XenbusStateInitWait || ReadAcquire(&Frontend->Resumed) != FALSE) {
        FrontendSetState(Frontend, FRONTEND_CLOSED, 0);
        return TRUE;
    }

    if (Frontend->Target != FRONTEND_CONNECT || Frontend->RetryAt != 0)
        return FALSE;

    if (FrontendIsOverheld(Frontend)) {
        FrontendGiveUp(Frontend, "backends do not let go of our pages; the limit is", GRANTER_HELD_CAP);
        Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);
        return FALSE;
    }

    Status = FrontendConnect(Frontend);
    if (Status == STATUS_CANCELLED) {
        /* What it was made for is gone: that is no failure. */
        Frontend->RetryAt = FrontendIsResumed(Frontend) ? 0 : FrontendLater(FRONTEND_RETRY_TIME);
        FrontendSetState(Frontend, FRONTEND_CLOSED, 0);
        return TRUE;
    }
    if (!NT_SUCCESS(Status)) {
        FrontendGiveUp(Frontend, "no connection can be made, the status is", (ULONG)Status);
        Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);
        return FALSE;
    }

    FrontendSetState(Frontend, FRONTEND_CONNECTING, FRONTEND_CONNECT_TIME);

    return TRUE;
}

/* Whether the connection is to end, for reasons on our side. */
static BOOLEAN FrontendIsOver(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->Target != FRONTEND_CONNECT || ReadAcquire(&Frontend->Resumed) != FALSE ||
           ReadAcquire(&Frontend->Broken) != FALSE || Frontend->Multicast.Stale;
}

/*
 * Lets traffic move, unless the domain has been suspended since the connection was made: its rings are dead then, and a
 * grant would be of the new domain to the old one's backend. FrontendSuspendLate runs while no processor is at
 * DISPATCH_LEVEL, so that it comes before all of this or after it.
 */
static VOID FrontendStartTraffic(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    if (ReadAcquire(&Frontend->Resumed) == FALSE)
        for (Index = 0; Index < Frontend->Active; Index++)
            QueueEnable(Frontend->Queues[Index]);

    KeLowerIrql(Irql);
}

/* Both sides are Connected: from here on, and not before, traffic moves (field bug FB6). */
static VOID FrontendConnected(_Inout_ PXENVIF_FRONTEND Frontend)
{
    FrontendSetState(Frontend, FRONTEND_CONNECTED, 0);
    Frontend->Failed = FALSE;

    /* Frames may be there already, and are let in only when the link is up. */
    FrontendUpdateLink(Frontend);

    FrontendStartTraffic(Frontend);
    FrontendSendHash(Frontend);

    FrontendClearError(Frontend);

    Info("vif %u: connected to %s (domain %u, queues %u%s, features %02x)", Frontend->Number, Frontend->BackendPath,
         Frontend->BackendDomain, Frontend->Active, Frontend->Split ? ", split channels" : "",
         Frontend->TransmitFeatures);
}

static BOOLEAN FrontendStepConnecting(_Inout_ PXENVIF_FRONTEND Frontend)
{
    if (FrontendIsOver(Frontend))
        return FrontendBeginClose(Frontend);

    switch (Frontend->BackendState) {
    case XenbusStateConnected:
        FrontendConnected(Frontend);
        return TRUE;

    case XenbusStateInitWait:
    case XenbusStateInitialised:
        /* What is published stays: it may wake up. */
        if (FrontendIsLate(Frontend))
            FrontendGiveUp(Frontend, "the backend does not connect, its state is", Frontend->BackendState);
        return FALSE;

    default:
        return FrontendBeginClose(Frontend);
    }
}

static BOOLEAN FrontendStepConnected(_Inout_ PXENVIF_FRONTEND Frontend)
{
    if (FrontendIsOver(Frontend))
        return FrontendBeginClose(Frontend);

    switch (Frontend->BackendState) {
    case XenbusStateConnected:
    case XenbusStateReconfiguring:
    case XenbusStateReconfigured:
        return FALSE;

    default:
        Info("vif %u: the backend is %s", Frontend->Number, FrontendStateName(Frontend->BackendState));
        return FrontendBeginClose(Frontend);
    }
}

static BOOLEAN FrontendStepClosing(_Inout_ PXENVIF_FRONTEND Frontend)
{
    XenbusState Backend = Frontend->BackendState;

    if (Backend == XenbusStateClosing || FrontendIsClosed(Backend) ||
        (Frontend->InitWaitIsClosed && Backend == XenbusStateInitWait)) {
        Trace("vif %u: the backend is %s", Frontend->Number, FrontendStateName(Backend));
    } else if (FrontendIsLate(Frontend)) {
        FrontendGiveUp(Frontend, "the backend does not answer Closing, its state is", Backend);
    } else {
        return FALSE;
    }

    (VOID) FrontendTellState(Frontend, XenbusStateClosed);
    FrontendSetState(Frontend, FRONTEND_FINISHING, FRONTEND_CLOSE_TIME);

    return TRUE;
}

static BOOLEAN FrontendStepFinishing(_Inout_ PXENVIF_FRONTEND Frontend)
{
    XenbusState Backend = Frontend->BackendState;
    BOOLEAN Late = FALSE;

    if (!FrontendIsClosed(Backend) && Backend != XenbusStateInitWait) {
        Late = FrontendIsLate(Frontend);
        if (!Late)
            return FALSE;
    }

    FrontendDisconnect(Frontend);
    FrontendSetState(Frontend, FRONTEND_CLOSED, 0);

    if (Late) {
        FrontendGiveUp(Frontend, "the backend does not close, its state is", Backend);
        Frontend->Parked = TRUE;
        Frontend->ParkedState = Backend;
    }

    return TRUE;
}

BOOLEAN FrontendStep(_Inout_ PXENVIF_FRONTEND Frontend)
{
    switch (Frontend->State) {
    case FRONTEND_CLOSED:
        return FrontendStepClosed(Frontend);
    case FRONTEND_INITIALISING:
        return FrontendStepInitialising(Frontend);
    case FRONTEND_PREPARED:
        return FrontendStepPrepared(Frontend);
    case FRONTEND_CONNECTING:
        return FrontendStepConnecting(Frontend);
    case FRONTEND_CONNECTED:
        return FrontendStepConnected(Frontend);
    case FRONTEND_CLOSING:
        return FrontendStepClosing(Frontend);
    default:
        return FrontendStepFinishing(Frontend);
    }
}
