#include "bug.h"
#include "frontend_state.h"
#include "pool.h"
#include "text.h"

#define FRONTEND_TAG POOL_TAG('V', 's', 't', 'r')

/* How often a transaction that lost a race, or had no memory, is started again. */
#define FRONTEND_TRANSACTION_TRIES 16

/* Larger values are no domains (xen.h: DOMID_FIRST_RESERVED). */
#define FRONTEND_MAXIMUM_DOMAIN 0x7FEF

/* All that FrontendPublish may write, but for the directories of several queues. */
static PCSTR const FrontendNodes[] = {
    "tx-ring-ref",
    "rx-ring-ref",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
    "multi-queue-num-queues",
    "ctrl-ring-ref",
    "event-channel-ctrl",
    "request-rx-copy",
    "feature-rx-notify",
    "feature-sg",
    "feature-no-csum-offload",
    "feature-ipv6-csum-offload",
    "feature-gso-tcpv4",
    "feature-gso-tcpv6",
    "request-multicast-control",
};

static PXENBUS_STORE_INTERFACE_V2 FrontendStore(_In_ PXENVIF_FRONTEND Frontend)
{
    return &Frontend->Parent->Store;
}

static BOOLEAN FrontendIsAbsent(_In_ NTSTATUS Status)
{
    return Status == STATUS_OBJECT_NAME_NOT_FOUND || Status == STATUS_OBJECT_PATH_NOT_FOUND;
}

/*
 * Where a directory has been removed the store asks for the right to read the one above, which is not for us: that a
 * node may not be read says that there is none.
 */
static BOOLEAN FrontendIsMissing(_In_ NTSTATUS Status)
{
    return FrontendIsAbsent(Status) || Status == STATUS_ACCESS_DENIED;
}

/* What a transaction that is started again may get over: another one was faster, or memory was short. */
static BOOLEAN FrontendIsPassing(_In_ NTSTATUS Status)
{
    return Status == STATUS_RETRY || Status == STATUS_INSUFFICIENT_RESOURCES;
}

PCSTR FrontendStateName(_In_ XenbusState State)
{
    static PCSTR const Names[] = {"Unknown", "Initialising", "InitWait",      "Initialised", "Connected",
                                  "Closing", "Closed",       "Reconfiguring", "Reconfigured"};

    return ((ULONG)State < RTL_NUMBER_OF(Names)) ? Names[State] : "invalid";
}

NTSTATUS FrontendReadNode(_In_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _Outptr_ PSTR *Text)
{
    return XENBUS_STORE_CALL(FrontendStore(Frontend), Read, NULL, Frontend->Path, (PSTR)Node, Text);
}

VOID FrontendFreeNode(_In_ PXENVIF_FRONTEND Frontend, _In_ PSTR Text)
{
    XENBUS_STORE_CALL(FrontendStore(Frontend), Free, Text);
}

/* A node that can change cannot be read now. It is as it was; that is said once, and all is looked at again. */
static VOID FrontendKeepNode(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _Inout_ PBOOLEAN Unread,
                             _In_ NTSTATUS Status)
{
    if (!*Unread)
        Warning("vif %u: %s cannot be read (%08x)", Frontend->Number, Node, Status);

    *Unread = TRUE;
    Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);
}

static NTSTATUS FrontendReadChangingNode(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PSTR Prefix, _In_z_ PCSTR Node,
                                         _Inout_ PBOOLEAN Unread, _Outptr_ PSTR *Text)
{
    NTSTATUS Status;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Read, NULL, Prefix, (PSTR)Node, Text);

    if (NT_SUCCESS(Status) || FrontendIsMissing(Status))
        *Unread = FALSE;
    else
        FrontendKeepNode(Frontend, Node, Unread, Status);

    return FrontendIsMissing(Status) ? STATUS_OBJECT_NAME_NOT_FOUND : Status;
}

NTSTATUS FrontendReadWatchedNode(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _Inout_ PBOOLEAN Unread,
                                 _Outptr_ PSTR *Text)
{
    return FrontendReadChangingNode(Frontend, Frontend->Path, Node, Unread, Text);
}

/* The number that Text says, which is freed. */
static ULONG FrontendParseNumber(_In_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _In_ PSTR Text, _In_ ULONG Default)
{
    ULONG Value = Default;
    NTSTATUS Status;

    Status = TextToUlong(Text, 10, &Value);
    if (!NT_SUCCESS(Status))
        Warning("vif %u: %s is '%s', taken as %u", Frontend->Number, Node, Text, Default);

    FrontendFreeNode(Frontend, Text);

    return Value;
}

static VOID FrontendUpdateNumberAt(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PSTR Prefix, _In_z_ PCSTR Node,
                                   _In_ ULONG Default, _Inout_ FRONTEND_NUMBER *Number)
{
    PSTR Text;
    NTSTATUS Status;

    Status = FrontendReadChangingNode(Frontend, Prefix, Node, &Number->Unread, &Text);
    if (NT_SUCCESS(Status))
        Number->Value = FrontendParseNumber(Frontend, Node, Text, Default);
    else if (Status == STATUS_OBJECT_NAME_NOT_FOUND)
        Number->Value = Default;
}

VOID FrontendUpdateNumber(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _In_ ULONG Default,
                          _Inout_ FRONTEND_NUMBER *Number)
{
    FrontendUpdateNumberAt(Frontend, Frontend->Path, Node, Default, Number);
}

/* What cannot be read for a moment is not what it is by default: it is noted, and all is looked at again. */
static ULONG FrontendReadNumberAt(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PSTR Prefix, _In_z_ PCSTR Node,
                                  _In_ ULONG Default)
{
    PSTR Text;
    NTSTATUS Status;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Read, NULL, Prefix, (PSTR)Node, &Text);
    if (!NT_SUCCESS(Status)) {
        if (!FrontendIsMissing(Status)) {
            Warning("vif %u: %s cannot be read (%08x)", Frontend->Number, Node, Status);
            Frontend->Unread = TRUE;
            Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);
        }
        return Default;
    }

    return FrontendParseNumber(Frontend, Node, Text, Default);
}

ULONG FrontendReadBackendNumber(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _In_ ULONG Default)
{
    ASSERT(Frontend->BackendPath != NULL);

    return FrontendReadNumberAt(Frontend, Frontend->BackendPath, Node, Default);
}

BOOLEAN FrontendReadLink(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ASSERT(Frontend->BackendPath != NULL);

    FrontendUpdateNumber(Frontend, "disconnect", 0, &Frontend->Disconnect);
    FrontendUpdateNumberAt(Frontend, Frontend->BackendPath, "carrier", FRONTEND_DEFAULT_CARRIER, &Frontend->Carrier);

    return Frontend->Disconnect.Value == 0 && Frontend->Carrier.Value != 0;
}

VOID FrontendForgetBackend(_Inout_ PXENVIF_FRONTEND Frontend)
{
    if (Frontend->BackendPath == NULL)
        return;

    (VOID) XENBUS_STORE_CALL(FrontendStore(Frontend), WatchRemove, Frontend->BackendWatch);
    Frontend->BackendWatch = NULL;

    PoolFree(Frontend->BackendPath, FRONTEND_TAG);
    Frontend->BackendPath = NULL;
}

/* Takes Path as the backend's from now on, and watches all that is below it. */
static VOID FrontendAdoptBackend(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Path)
{
    ULONG Domain;
    NTSTATUS Status;

    Domain = FrontendReadNumberAt(Frontend, Frontend->Path, "backend-id", FRONTEND_MAXIMUM_DOMAIN + 1);
    if (Path[0] != '/' || Domain > FRONTEND_MAXIMUM_DOMAIN) {
        Warning("vif %u: no backend at '%s' in domain %u", Frontend->Number, Path, Domain);
        return;
    }

    Frontend->BackendPath = TextDuplicate(Path, FRONTEND_TAG);
    if (Frontend->BackendPath == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail1;
    }

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), WatchAdd, NULL, Frontend->BackendPath,
                               ThreadGetEvent(Frontend->Thread), &Frontend->BackendWatch);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Frontend->BackendDomain = (USHORT)Domain;
    Frontend->Carrier.Value = FRONTEND_DEFAULT_CARRIER; /* what another one's was says nothing of this one's */

    return;

fail2:
    PoolFree(Frontend->BackendPath, FRONTEND_TAG);
    Frontend->BackendPath = NULL;

fail1:
    Error("vif %u: no watch of %s (%08x)", Frontend->Number, Path, Status);
    Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);
}

/* The backend's state; what cannot be read now is as it was, and is read again: its watch has fired already. */
static XenbusState FrontendReadBackendState(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG State;
    PSTR Text;
    NTSTATUS Status;

    Status = FrontendReadChangingNode(Frontend, Frontend->BackendPath, "state", &Frontend->BackendStateUnread, &Text);
    if (Status == STATUS_OBJECT_NAME_NOT_FOUND)
        return XenbusStateUnknown;
    if (!NT_SUCCESS(Status))
        return Frontend->BackendState;

    Status = TextToUlong(Text, 10, &State);
    if (!NT_SUCCESS(Status) || State > XenbusStateReconfigured) {
        Warning("vif %u: %s/state is '%s'", Frontend->Number, Frontend->BackendPath, Text);
        State = XenbusStateUnknown;
    }

    FrontendFreeNode(Frontend, Text);

    return (XenbusState)State;
}

VOID FrontendLookAtBackend(_Inout_ PXENVIF_FRONTEND Frontend)
{
    BOOLEAN Changed;
    PSTR Path = NULL;
    NTSTATUS Status;

    Status = FrontendReadNode(Frontend, "backend", &Path);
    if (!NT_SUCCESS(Status) && !FrontendIsAbsent(Status)) {
        FrontendKeepNode(Frontend, "backend", &Frontend->BackendUnread, Status);
        return;
    }

    Frontend->BackendUnread = FALSE;
    if (!NT_SUCCESS(Status))
        Path = NULL;

    Changed = Path == NULL || Frontend->BackendPath == NULL || !TextEqual(Path, Frontend->BackendPath, FALSE);

    /* The rings are the old one's as long as there are any: for them it is gone. */
    if (Changed && Frontend->State > FRONTEND_PREPARED) {
        Frontend->BackendState = XenbusStateUnknown;
        goto done;
    }

    if (Changed) {
        Frontend->BackendState = XenbusStateUnknown;
        FrontendForgetBackend(Frontend);
        if (Path != NULL)
            FrontendAdoptBackend(Frontend, Path);
    }

    if (Frontend->BackendPath != NULL)
        Frontend->BackendState = FrontendReadBackendState(Frontend);

done:
    if (Path != NULL)
        FrontendFreeNode(Frontend, Path);
}

/* Whether the toolstack has taken the device's whole directory away. */
static BOOLEAN FrontendHasGone(_In_ PXENVIF_FRONTEND Frontend, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction)
{
    PSTR Text;
    NTSTATUS Status;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Read, Transaction, Frontend->Path, (PSTR) "state", &Text);
    if (NT_SUCCESS(Status))
        FrontendFreeNode(Frontend, Text);

    return FrontendIsAbsent(Status);
}

NTSTATUS FrontendWriteState(_In_ PXENVIF_FRONTEND Frontend, _In_ XenbusState State)
{
    /* A device that is no longer in the store must not come back as a directory with nothing but a state. */
    if (FrontendHasGone(Frontend, NULL))
        return STATUS_SUCCESS;

    return XENBUS_STORE_CALL(FrontendStore(Frontend), Printf, NULL, Frontend->Path, (PSTR) "state", "%u", State);
}

static NTSTATUS FrontendPrint(_In_ PXENVIF_FRONTEND Frontend, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                              _In_z_ PCSTR Node, _In_ ULONG Value)
{
    return XENBUS_STORE_CALL(FrontendStore(Frontend), Printf, Transaction, Frontend->Path, (PSTR)Node, "%u", Value);
}

/* Writes a node of a queue: of one that is alone in our directory itself, else in the queue's own below it. */
static NTSTATUS FrontendPrintQueueNode(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction,
                                       _In_ PXENVIF_QUEUE Queue, _In_z_ PCSTR Node, _In_ ULONG Value)
{
    CHAR Name[48];

    if (Frontend->Active == 1)
        return FrontendPrint(Frontend, Transaction, Node, Value);

    (VOID) TextPrint(Name, sizeof(Name), "queue-%u/%s", QueueGetIndex(Queue), Node);

    return FrontendPrint(Frontend, Transaction, Name, Value);
}

static NTSTATUS FrontendPrintChannels(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction,
                                      _In_ PXENVIF_QUEUE Queue)
{
    PXENVIF_POLLER Poller = QueueGetPoller(Queue);
    NTSTATUS Status;

    if (!PollerIsSplit(Poller))
        return FrontendPrintQueueNode(Frontend, Transaction, Queue, "event-channel",
                                      PollerPort(Poller, POLLER_TRANSMIT));

    Status =
        FrontendPrintQueueNode(Frontend, Transaction, Queue, "event-channel-tx", PollerPort(Poller, POLLER_TRANSMIT));
    if (!NT_SUCCESS(Status))
        return Status;

    return FrontendPrintQueueNode(Frontend, Transaction, Queue, "event-channel-rx", PollerPort(Poller, POLLER_RECEIVE));
}

static NTSTATUS FrontendPrintQueue(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction,
                                   _In_ PXENVIF_QUEUE Queue)
{
    NTSTATUS Status;

    Status = FrontendPrintQueueNode(Frontend, Transaction, Queue, "tx-ring-ref",
                                    TransmitterRingReference(QueueGetTransmitter(Queue)));
    if (!NT_SUCCESS(Status))
        return Status;

    Status = FrontendPrintQueueNode(Frontend, Transaction, Queue, "rx-ring-ref",
                                    ReceiverRingReference(QueueGetReceiver(Queue)));
    if (!NT_SUCCESS(Status))
        return Status;

    return FrontendPrintChannels(Frontend, Transaction, Queue);
}

/* What the receive side takes. */
static NTSTATUS FrontendPrintFeatures(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction)
{
    ULONG Large = ReceiverAllowsLarge(QueueGetReceiver(Frontend->Queues[0])) ? 1 : 0;
    const struct {
        PCSTR Node;
        ULONG Value;
    } Features[] = {
        {"request-rx-copy", 1},         {"feature-rx-notify", 1},         {"feature-sg", 1},
        {"feature-no-csum-offload", 0}, {"feature-ipv6-csum-offload", 1}, {"feature-gso-tcpv4", Large},
        {"feature-gso-tcpv6", Large},
    };
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    for (Index = 0; NT_SUCCESS(Status) && Index < RTL_NUMBER_OF(Features); Index++)
        Status = FrontendPrint(Frontend, Transaction, Features[Index].Node, Features[Index].Value);

    return Status;
}

static NTSTATUS FrontendPrintController(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction)
{
    NTSTATUS Status;

    Status = FrontendPrint(Frontend, Transaction, "ctrl-ring-ref", ControllerRingReference(Frontend->Controller));
    if (!NT_SUCCESS(Status))
        return Status;

    return FrontendPrint(Frontend, Transaction, "event-channel-ctrl", ControllerPort(Frontend->Controller));
}

static NTSTATUS FrontendPrintAll(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    for (Index = 0; NT_SUCCESS(Status) && Index < Frontend->Active; Index++)
        Status = FrontendPrintQueue(Frontend, Transaction, Frontend->Queues[Index]);

    if (NT_SUCCESS(Status) && Frontend->MultiQueue)
        Status = FrontendPrint(Frontend, Transaction, "multi-queue-num-queues", Frontend->Active);

    if (NT_SUCCESS(Status) && ControllerIsConnected(Frontend->Controller))
        Status = FrontendPrintController(Frontend, Transaction);

    if (NT_SUCCESS(Status) && Frontend->Multicast.Offered)
        Status = FrontendPrint(Frontend, Transaction, "request-multicast-control", Frontend->Multicast.Asked);

    if (NT_SUCCESS(Status))
        Status = FrontendPrintFeatures(Frontend, Transaction);

    return NT_SUCCESS(Status) ? FrontendPrint(Frontend, Transaction, "state", XenbusStateConnected) : Status;
}

NTSTATUS FrontendWriteMulticast(_In_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Asked)
{
    if (FrontendHasGone(Frontend, NULL))
        return STATUS_SUCCESS;

    return FrontendPrint(Frontend, NULL, "request-multicast-control", Asked);
}

/*
 * With our state, which makes the backend look: a store has all of it, or none. Where the answer to the commit does not
 * come it may have all of it: what there may be is taken back as what there is.
 */
NTSTATUS FrontendPublish(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status = STATUS_RETRY;
    ULONG Try;

    for (Try = 0; Status == STATUS_RETRY && Try < FRONTEND_TRANSACTION_TRIES; Try++) {
        PXENBUS_STORE_TRANSACTION Transaction;

        Status = XENBUS_STORE_CALL(FrontendStore(Frontend), TransactionStart, &Transaction);
        if (!NT_SUCCESS(Status))
            break;

        /*
         * The transaction is of the life in which it began: if we have been resumed before, the rings are not; if we
         * are from here on, it has to begin again.
         */
        if (FrontendIsResumed(Frontend) || FrontendHasGone(Frontend, Transaction))
            Status = STATUS_CANCELLED;
        else
            Status = FrontendPrintAll(Frontend, Transaction);

        if (NT_SUCCESS(Status)) {
            Frontend->Published = Frontend->Active;
            Status = XENBUS_STORE_CALL(FrontendStore(Frontend), TransactionEnd, Transaction, TRUE);
        } else {
            (VOID) XENBUS_STORE_CALL(FrontendStore(Frontend), TransactionEnd, Transaction, FALSE);
        }
    }

    return Status;
}

static VOID FrontendRemoveNode(_In_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node)
{
    NTSTATUS Status;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Remove, NULL, Frontend->Path, (PSTR)Node);
    if (!NT_SUCCESS(Status) && !FrontendIsAbsent(Status))
        Warning("vif %u: %s cannot be removed (%08x)", Frontend->Number, Node, Status);
}

VOID FrontendUnpublish(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Count = Frontend->Published;
    CHAR Name[16];
    ULONG Index;

    if (Count == 0)
        return;

    Frontend->Published = 0;

    /* Then our nodes have gone with it, and its parent directory is not ours to write to. */
    if (FrontendHasGone(Frontend, NULL))
        return;

    for (Index = 0; Index < RTL_NUMBER_OF(FrontendNodes); Index++)
        FrontendRemoveNode(Frontend, FrontendNodes[Index]);

    for (Index = 0; Count > 1 && Index < Count; Index++) {
        (VOID) TextPrint(Name, sizeof(Name), "queue-%u", Index);
        FrontendRemoveNode(Frontend, Name);
    }
}

VOID FrontendReportError(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Text, _In_ ULONG Value)
{
    NTSTATUS Status;

    if (Frontend->ErrorText == Text)
        return; /* as it has been all along */

    Error("vif %u: %s %u (%08x)", Frontend->Number, Text, Value, Value);

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Printf, NULL, Frontend->ErrorPath, (PSTR) "error", "%s %u",
                               Text, Value);
    if (NT_SUCCESS(Status))
        Frontend->ErrorText = Text;
    else
        Warning("vif %u: the error cannot be written (%08x)", Frontend->Number, Status);
}

/* Removes a directory of the error path if nothing is left in it. */
static NTSTATUS FrontendRemoveIfEmpty(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction,
                                      _In_z_ PCSTR Node)
{
    BOOLEAN Empty;
    PSTR List;
    NTSTATUS Status;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Directory, Transaction, NULL, (PSTR)Node, &List);
    if (!NT_SUCCESS(Status))
        return Status;

    Empty = TextListFirst(List) == NULL;
    FrontendFreeNode(Frontend, List);

    if (!Empty)
        return STATUS_DIRECTORY_NOT_EMPTY;

    return XENBUS_STORE_CALL(FrontendStore(Frontend), Remove, Transaction, NULL, (PSTR)Node);
}

/* Removes our error, and the directories that came to be with the first of all errors when it was the last. */
static NTSTATUS FrontendRemoveError(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENBUS_STORE_TRANSACTION Transaction)
{
    NTSTATUS Status;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Remove, Transaction, NULL, Frontend->ErrorPath);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = FrontendRemoveIfEmpty(Frontend, Transaction, "error/device/vif");
    if (NT_SUCCESS(Status))
        Status = FrontendRemoveIfEmpty(Frontend, Transaction, "error/device");

    return (Status == STATUS_DIRECTORY_NOT_EMPTY) ? STATUS_SUCCESS : Status;
}

/* Whether there may be an error of ours: one that an earlier life has left counts. */
static BOOLEAN FrontendHasError(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PSTR Text;
    NTSTATUS Status;

    if (Frontend->ErrorText != NULL)
        return TRUE;
    if (Frontend->ErrorAbsent)
        return FALSE;

    Status = XENBUS_STORE_CALL(FrontendStore(Frontend), Read, NULL, Frontend->ErrorPath, (PSTR) "error", &Text);
    if (NT_SUCCESS(Status))
        FrontendFreeNode(Frontend, Text);
    Frontend->ErrorAbsent = FrontendIsAbsent(Status);

    return NT_SUCCESS(Status);
}

VOID FrontendClearError(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status = STATUS_RETRY;
    ULONG Try;

    if (!FrontendHasError(Frontend))
        return;

    for (Try = 0; FrontendIsPassing(Status) && Try < FRONTEND_TRANSACTION_TRIES; Try++) {
        PXENBUS_STORE_TRANSACTION Transaction;

        Status = XENBUS_STORE_CALL(FrontendStore(Frontend), TransactionStart, &Transaction);
        if (!NT_SUCCESS(Status))
            continue;

        Status = FrontendRemoveError(Frontend, Transaction);
        if (NT_SUCCESS(Status))
            Status = XENBUS_STORE_CALL(FrontendStore(Frontend), TransactionEnd, Transaction, TRUE);
        else
            (VOID) XENBUS_STORE_CALL(FrontendStore(Frontend), TransactionEnd, Transaction, FALSE);
    }

    if (NT_SUCCESS(Status) || FrontendIsAbsent(Status))
        Frontend->ErrorText = NULL;
    else
        Warning("vif %u: the error cannot be removed (%08x)", Frontend->Number, Status);
}
