#include "store.h"

#include "bug.h"
#include "clock.h"
#include "evtchn.h"
#include "interface.h"
#include "pool.h"
#include "store_private.h"
#include "text.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/hvm/params.h>

/* How long StoreDrain waits at most, in units of 100 ns. */
#define STORE_DRAIN_TIMEOUT CLOCK_SECONDS(5)

/* How long the rest of a message may take that had begun to come in before a resume. */
#define STORE_REST_TIMEOUT CLOCK_MILLISECONDS(100)

/* A channel that cannot be opened after a resume is tried again so often, after such pauses. */
#define STORE_PORT_ATTEMPTS 16
#define STORE_PORT_PAUSE CLOCK_SECONDS(1)

/* Path as segments: prefix, slash, node, NUL. */
#define STORE_PATH_SEGMENTS 4

/* "b" or another letter, five digits, NUL. */
#define STORE_PERMISSION_SIZE 8

/* Puts Prefix/Node and its NUL in STORE_PATH_SEGMENTS segments. */
static NTSTATUS StorePath(_In_opt_ PCSTR Prefix, _In_ PCSTR Node, _Out_ STORE_SEGMENT *Segments)
{
    PCSTR Start = Prefix != NULL ? Prefix : Node;
    SIZE_T Limit = *Start == '/' ? XENSTORE_ABS_PATH_MAX : XENSTORE_REL_PATH_MAX;
    SIZE_T Length;

    Segments[0].Data = Prefix != NULL ? Prefix : "";
    Segments[0].Length = TextLength(Segments[0].Data, Limit + 1);
    Segments[1].Data = "/";
    Segments[1].Length = Prefix != NULL ? 1 : 0;
    Segments[2].Data = Node;
    Segments[2].Length = TextLength(Node, Limit + 1);
    Segments[3].Data = "";
    Segments[3].Length = 1;

    Length = Segments[0].Length + Segments[1].Length + Segments[2].Length;
    return Length < Limit ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

/* A request whose payload is a path and perhaps Length bytes more. */
static NTSTATUS StorePathRequest(_In_ PINTERFACE Interface, _In_ ULONG Type,
                                 _In_opt_ PXENBUS_STORE_TRANSACTION Transaction, _In_opt_ PCSTR Prefix, _In_ PCSTR Node,
                                 _In_reads_opt_(Length) PCSTR Data, _In_ SIZE_T Length, _Outptr_opt_ PSTR *Response)
{
    STORE_SEGMENT Segments[STORE_PATH_SEGMENTS + 1];
    NTSTATUS Status;

    Status = StorePath(Prefix, Node, Segments);
    if (!NT_SUCCESS(Status))
        return Status;

    Segments[STORE_PATH_SEGMENTS].Data = Data;
    Segments[STORE_PATH_SEGMENTS].Length = Length;

    return StoreExecute(Interface->Context, Type, Transaction, Segments,
                        Data != NULL ? STORE_PATH_SEGMENTS + 1 : STORE_PATH_SEGMENTS, Response);
}

static VOID NTAPI StoreFree(_In_ PINTERFACE Interface, _In_ PSTR Buffer)
{
    UNREFERENCED_PARAMETER(Interface);

    PoolFree(Buffer, STORE_TAG);
}

static NTSTATUS NTAPI StoreReadNode(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                    _In_opt_ PSTR Prefix, _In_ PSTR Node, _Outptr_ PSTR *Buffer)
{
    *Buffer = NULL;

    return StorePathRequest(Interface, XS_READ, Transaction, Prefix, Node, NULL, 0, Buffer);
}

static NTSTATUS NTAPI StorePrintf(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                  _In_opt_ PSTR Prefix, _In_ PSTR Node, _In_ PCSTR Format, ...)
{
    va_list Arguments;
    PSTR Value;
    NTSTATUS Status;

    /* On the stack it would be a sixth of all there is. */
    Value = PoolAllocate(XENSTORE_PAYLOAD_MAX, STORE_TAG);
    if (Value == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    va_start(Arguments, Format);
    Status = TextVPrint(Value, XENSTORE_PAYLOAD_MAX, Format, Arguments);
    va_end(Arguments);

    if (NT_SUCCESS(Status))
        Status = StorePathRequest(Interface, XS_WRITE, Transaction, Prefix, Node, Value,
                                  TextLength(Value, XENSTORE_PAYLOAD_MAX), NULL);

    PoolFree(Value, STORE_TAG);
    return Status;
}

static NTSTATUS NTAPI StoreRemove(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                  _In_opt_ PSTR Prefix, _In_ PSTR Node)
{
    return StorePathRequest(Interface, XS_RM, Transaction, Prefix, Node, NULL, 0, NULL);
}

static NTSTATUS NTAPI StoreDirectory(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                     _In_opt_ PSTR Prefix, _In_ PSTR Node, _Outptr_ PSTR *Buffer)
{
    *Buffer = NULL;

    return StorePathRequest(Interface, XS_DIRECTORY, Transaction, Prefix, Node, NULL, 0, Buffer);
}

static CHAR StorePermissionLetter(_In_ XENBUS_STORE_PERMISSION_MASK Mask)
{
    static const CHAR Letters[] = {'n', 'r', 'w', 'b'};

    return Letters[Mask & (XENBUS_STORE_PERM_READ | XENBUS_STORE_PERM_WRITE)];
}

/* Prints permissions one after the other, each with its NUL; *Length is what they take of the Size bytes. */
static NTSTATUS StorePrintPermissions(_Out_writes_(Size) PCHAR Text, _In_ SIZE_T Size,
                                      _In_reads_(Count) const XENBUS_STORE_PERMISSION *Permissions, _In_ ULONG Count,
                                      _Out_ PSIZE_T Length)
{
    ULONG Index;

    *Length = 0;

    for (Index = 0; Index < Count; Index++) {
        NTSTATUS Status = TextPrint(Text + *Length, Size - *Length, "%c%u",
                                    StorePermissionLetter(Permissions[Index].Mask), Permissions[Index].Domain);

        if (!NT_SUCCESS(Status))
            return Status;
        *Length += TextLength(Text + *Length, Size - *Length) + 1;
    }

    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI StorePermissionsSet(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                          _In_opt_ PSTR Prefix, _In_ PSTR Node,
                                          _In_reads_(NumberPermissions) PXENBUS_STORE_PERMISSION Permissions,
                                          _In_ ULONG NumberPermissions)
{
    SIZE_T Length;
    SIZE_T Size;
    PCHAR Text;
    NTSTATUS Status;

    if (NumberPermissions == 0)
        return STATUS_INVALID_PARAMETER;

    if (NumberPermissions > XENSTORE_PAYLOAD_MAX / STORE_PERMISSION_SIZE)
        return STATUS_BUFFER_OVERFLOW;

    Size = (SIZE_T)NumberPermissions * STORE_PERMISSION_SIZE;
    Text = PoolAllocate(Size, STORE_TAG);
    if (Text == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = StorePrintPermissions(Text, Size, Permissions, NumberPermissions, &Length);
    if (NT_SUCCESS(Status))
        Status = StorePathRequest(Interface, XS_SET_PERMS, Transaction, Prefix, Node, Text, Length, NULL);

    PoolFree(Text, STORE_TAG);
    return Status;
}

static NTSTATUS NTAPI StoreTransactionStart(_In_ PINTERFACE Interface, _Outptr_ PXENBUS_STORE_TRANSACTION *Transaction)
{
    static const STORE_SEGMENT Verdict = {"F", STORE_VERDICT_SIZE};
    PXENBUS_STORE_CONTEXT Context = Interface->Context;
    PXENBUS_STORE_TRANSACTION New;
    NTSTATUS Status;
    KIRQL Irql;

    *Transaction = NULL;

    New = PoolAllocate(sizeof(XENBUS_STORE_TRANSACTION), STORE_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = StoreCreateRequest(XS_TRANSACTION_END, 0, &Verdict, 1, &New->Request);
    if (!NT_SUCCESS(Status))
        goto fail1;

    StoreMakeTransactionStart(New->Request);

    Status = StoreExecuteRequest(Context, NULL, &New->Request);
    if (!NT_SUCCESS(Status))
        goto fail2;

    New->Id = New->Request->Id;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    /* A request that a resume has come upon is made once more: it is the next daemon that has begun this one. */
    New->Active = (Context->Resumes == New->Request->Resumes);
    InsertTailList(&Context->Transactions, &New->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    *Transaction = New;
    return STATUS_SUCCESS;

fail2:
    if (New->Request != NULL)
        StoreFreeRequest(New->Request);

fail1:
    PoolFree(New, STORE_TAG);
    return Status;
}

static NTSTATUS NTAPI StoreTransactionEnd(_In_ PINTERFACE Interface, _In_ PXENBUS_STORE_TRANSACTION Transaction,
                                          _In_ BOOLEAN Commit)
{
    PXENBUS_STORE_CONTEXT Context = Interface->Context;
    NTSTATUS Status;
    KIRQL Irql;

    StoreMakeTransactionEnd(Transaction->Request, Transaction->Id, Commit);

    Status = StoreExecuteRequest(Context, Transaction, &Transaction->Request);

    /* One that went in a suspend has ended as a transaction ends that is given up. */
    if (Status == STATUS_RETRY && !Commit)
        Status = STATUS_SUCCESS;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    RemoveEntryList(&Transaction->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    if (Transaction->Request != NULL)
        StoreFreeRequest(Transaction->Request);
    PoolFree(Transaction, STORE_TAG);
    return Status;
}

static NTSTATUS NTAPI StoreWatchAdd(_In_ PINTERFACE Interface, _In_opt_ PSTR Prefix, _In_ PSTR Node, _In_ PKEVENT Event,
                                    _Outptr_ PXENBUS_STORE_WATCH *Watch)
{
    return StoreAddWatch(Interface->Context, Prefix, Node, Event, Watch);
}

static NTSTATUS NTAPI StoreWatchRemove(_In_ PINTERFACE Interface, _In_ PXENBUS_STORE_WATCH Watch)
{
    return StoreRemoveWatch(Interface->Context, Watch);
}

static VOID NTAPI StorePoll(_In_ PINTERFACE Interface)
{
    StorePollRing(Interface->Context);
}

static NTSTATUS NTAPI StoreAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_STORE_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI StoreRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_STORE_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_STORE_INTERFACE_V2 StoreInterfaceV2 = {
    .StoreAcquire = StoreAcquire,
    .StoreRelease = StoreRelease,
    .StoreFree = StoreFree,
    .StoreRead = StoreReadNode,
    .StorePrintf = StorePrintf,
    .StorePermissionsSet = StorePermissionsSet,
    .StoreRemove = StoreRemove,
    .StoreDirectory = StoreDirectory,
    .StoreTransactionStart = StoreTransactionStart,
    .StoreTransactionEnd = StoreTransactionEnd,
    .StoreWatchAdd = StoreWatchAdd,
    .StoreWatchRemove = StoreWatchRemove,
    .StorePoll = StorePoll,
};

NTSTATUS StoreGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                           _In_ ULONG Size)
{
    switch (Version) {
    case 2:
        return InterfaceFill(Interface, Size, &StoreInterfaceV2, sizeof(StoreInterfaceV2), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI StoreDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1, _In_opt_ PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    StorePollRing(Argument);
}

_Function_class_(KSERVICE_ROUTINE)
static BOOLEAN NTAPI StoreEvent(_In_opt_ PKINTERRUPT Interrupt, _In_opt_ PVOID Argument)
{
    PXENBUS_STORE_CONTEXT Context = Argument;

    UNREFERENCED_PARAMETER(Interrupt);

    KeInsertQueueDpc(&Context->Dpc, NULL, NULL);
    return TRUE;
}

/* Maps the ring, where the toolstack says that it is. IRQL <= DISPATCH_LEVEL. */
static NTSTATUS StoreMapRing(_In_ PXENBUS_STORE_CONTEXT Context)
{
    ULONGLONG Frame;
    NTSTATUS Status;

    Status = XenHvmQueryParameter(HVM_PARAM_STORE_PFN, &Frame);
    if (NT_SUCCESS(Status) && Frame == 0)
        Status = STATUS_NO_SUCH_DEVICE;
    if (!NT_SUCCESS(Status))
        goto fail1;

    Context->Address.QuadPart = (LONGLONG)(Frame << PAGE_SHIFT);

    Context->Ring = MmMapIoSpace(Context->Address, PAGE_SIZE, MmCached);
    if (Context->Ring == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail1;
    }

    return STATUS_SUCCESS;

fail1:
    Error("no ring (%08x)", Status);
    return Status;
}

static VOID StoreUnmapRing(_In_ PXENBUS_STORE_CONTEXT Context)
{
    MmUnmapIoSpace(Context->Ring, PAGE_SIZE);
    Context->Ring = NULL;
}

/* Opens the channel at the port that the toolstack has made. IRQL <= DISPATCH_LEVEL. */
static NTSTATUS StoreOpenChannel(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PXENBUS_EVTCHN_CHANNEL Channel;
    ULONGLONG Port;
    NTSTATUS Status;
    KIRQL Irql;

    EvtchnBindLostPorts();

    Status = XenHvmQueryParameter(HVM_PARAM_STORE_EVTCHN, &Port);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Channel = XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Open, XENBUS_EVTCHN_TYPE_FIXED, StoreEvent, Context,
                                 (ULONG)Port, FALSE);
    if (Channel == NULL) {
        Status = STATUS_UNSUCCESSFUL;
        goto fail1;
    }

    KeAcquireSpinLock(&Context->Lock, &Irql);
    Context->Channel = Channel;
    (VOID) XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Unmask, Channel, FALSE, TRUE);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return STATUS_SUCCESS;

fail1:
    return Status;
}

static VOID StoreCloseChannel(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PXENBUS_EVTCHN_CHANNEL Channel;
    KIRQL Irql;

    /* The daemon is notified under the lock: nobody uses the channel once it is gone from here. */
    KeAcquireSpinLock(&Context->Lock, &Irql);
    Channel = Context->Channel;
    Context->Channel = NULL;
    KeReleaseSpinLock(&Context->Lock, Irql);

    if (Channel != NULL)
        XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Close, Channel);
}

/* Lets the channel be opened after a pause, unless it has been tried often enough. Lock is held. */
static VOID StoreOpenLater(_In_ PXENBUS_STORE_CONTEXT Context)
{
    LARGE_INTEGER Pause;

    if (Context->PortAttempts == 0)
        return;

    Pause.QuadPart = -(LONGLONG)STORE_PORT_PAUSE;
    (VOID) KeSetTimer(&Context->PortTimer, Pause, &Context->PortDpc);
}

/* At DISPATCH_LEVEL: a resume comes before it or after it. */
_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI StorePortDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                               _In_opt_ PVOID Argument2)
{
    PXENBUS_STORE_CONTEXT Context = Argument;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    /* A resume has opened it meanwhile, or the store goes. */
    if (Context->Channel != NULL || ReadULongAcquire(&Context->PortAttempts) == 0)
        return;

    Status = StoreOpenChannel(Context);

    KeAcquireSpinLockAtDpcLevel(&Context->Lock);

    if (NT_SUCCESS(Status)) {
        /* What has been written to the ring since the resume, nobody has been told of. */
        StoreNotify(Context);
        StorePollLocked(Context);
    } else if (Context->PortAttempts != 0) {
        Context->PortAttempts--;
        StoreOpenLater(Context);
    }

    KeReleaseSpinLockFromDpcLevel(&Context->Lock);

    if (NT_SUCCESS(Status))
        Warning("XenStore has an event channel again");
    else if (ReadULongAcquire(&Context->PortAttempts) == 0)
        Critical("XenStore has no event channel until the next resume (%08x)", Status);
}

/* No attempt is made any more, or under way. PASSIVE_LEVEL. */
static VOID StoreEndPort(_In_ PXENBUS_STORE_CONTEXT Context)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    Context->PortAttempts = 0;
    KeReleaseSpinLock(&Context->Lock, Irql);

    (VOID) KeCancelTimer(&Context->PortTimer);
    KeFlushQueuedDpcs();
}

NTSTATUS StoreEnable(_In_ PXENBUS_STORE_CONTEXT Context, _In_ const XENBUS_EVTCHN_INTERFACE *Evtchn)
{
    NTSTATUS Status;

    Context->EvtchnInterface = *Evtchn;

    Status = XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Acquire);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = StoreMapRing(Context);
    if (!NT_SUCCESS(Status))
        goto fail1;

    StoreConnectRing(Context);

    Status = StoreOpenChannel(Context);
    if (!NT_SUCCESS(Status)) {
        Error("no event channel (%08x)", Status);
        goto fail2;
    }

    UsersEnable(&Context->Users);
    return STATUS_SUCCESS;

fail2:
    KeFlushQueuedDpcs();
    StoreUnmapRing(Context);

fail1:
    XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Release);
    return Status;
}

static BOOLEAN StoreIsIdle(_In_ PXENBUS_STORE_CONTEXT Context)
{
    BOOLEAN Idle;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    StorePollLocked(Context);
    Idle = IsListEmpty(&Context->Queued) && IsListEmpty(&Context->Pending) && Context->Receiver.Have == 0;
    KeReleaseSpinLock(&Context->Lock, Irql);

    return Idle;
}

NTSTATUS StoreDrain(_In_ PXENBUS_STORE_CONTEXT Context)
{
    ULONGLONG Deadline = ClockNow() + STORE_DRAIN_TIMEOUT;
    KIRQL Irql;

    while (!StoreIsIdle(Context)) {
        if (ClockNow() >= Deadline || ClockIsLate()) {
            KeAcquireSpinLock(&Context->Lock, &Irql);
            Error("the store daemon does not answer");
            StoreReportRequests(Context);
            KeReleaseSpinLock(&Context->Lock, Irql);
            return STATUS_IO_TIMEOUT;
        }

        YieldProcessor();
        KeStallExecutionProcessor(10);
    }

    return STATUS_SUCCESS;
}

/* No client is left. What clients gave up may still be under way: it may make something that must be undone. */
static VOID StoreFinish(_In_ PXENBUS_STORE_CONTEXT Context)
{
    KIRQL Irql;

    if (!IsListEmpty(&Context->Watches)) {
        Critical("%s is still watched", CONTAINING_RECORD(Context->Watches.Flink, XENBUS_STORE_WATCH, ListEntry)->Path);
        BUG("a client has released STORE with a watch");
    }
    if (!IsListEmpty(&Context->Transactions))
        BUG("a client has released STORE with a transaction");

    if (!NT_SUCCESS(StoreDrain(Context))) {
        KeAcquireSpinLock(&Context->Lock, &Irql);
        StoreFailAll(Context, STATUS_CANCELLED);
        KeReleaseSpinLock(&Context->Lock, Irql);
    }
}

ULONG StoreCountUsers(_In_ PXENBUS_STORE_CONTEXT Context)
{
    return UsersCount(&Context->Users);
}

VOID StoreDisable(_In_ PXENBUS_STORE_CONTEXT Context)
{
    UsersDisable(&Context->Users);
    StoreEndRestore(Context);
    StoreFinish(Context);
    StoreEndPort(Context);

    StoreCloseChannel(Context);
    KeFlushQueuedDpcs();

    StoreUnmapRing(Context);
    XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Release);
}

/*
 * What the old daemon has written is read to its end. A message that it had only begun is finished if daemon and place
 * are the same as before, else its rest never comes.
 */
static VOID StoreReadRest(_In_ PXENBUS_STORE_CONTEXT Context)
{
    ULONGLONG Deadline = ClockNow() + STORE_REST_TIMEOUT;
    ULONG Filled = ReadULongAcquire((ULONG volatile *)&Context->Ring->rsp_prod) - Context->ResponseConsumer;

    /* A ring that was made anew has nothing old in it. */
    if (Context->Broken || Filled > XENSTORE_RING_SIZE)
        return;

    for (;;) {
        StorePollRing(Context);
        if (Context->Receiver.Have == 0 || ClockNow() >= Deadline)
            break;

        YieldProcessor();
        KeStallExecutionProcessor(10);
    }

    if (Context->Receiver.Have != 0)
        Warning("%u bytes of a message of the old store daemon are dropped", Context->Receiver.Have);
}

static VOID StoreMoveList(_Inout_ PLIST_ENTRY From, _Inout_ PLIST_ENTRY To)
{
    while (!IsListEmpty(From))
        InsertTailList(To, RemoveHeadList(From));
}

/*
 * A daemon that has seen no end of this domain, because it was resumed in its place, still has its transactions and its
 * watches. One that is new has none, and one that is old does not know the request. Requests wait meanwhile.
 */
static VOID StoreReset(_In_ PXENBUS_STORE_CONTEXT Context)
{
    const STORE_SEGMENT Nothing = {"", 1};
    LIST_ENTRY Waiting;
    NTSTATUS Status;
    KIRQL Irql;

    InitializeListHead(&Waiting);

    KeAcquireSpinLock(&Context->Lock, &Irql);
    StoreMoveList(&Context->Queued, &Waiting);
    KeReleaseSpinLock(&Context->Lock, Irql);

    Status = StoreExecute(Context, XS_RESET_WATCHES, NULL, &Nothing, 1, NULL);
    if (!NT_SUCCESS(Status))
        Info("watches and transactions are not reset (%08x)", Status);

    KeAcquireSpinLock(&Context->Lock, &Irql);
    StoreMoveList(&Waiting, &Context->Queued);
    KeReleaseSpinLock(&Context->Lock, Irql);
}

VOID StoreResume(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PLIST_ENTRY ListEntry;
    ULONGLONG Frame;
    NTSTATUS Status;
    KIRQL Irql;

    StoreCloseChannel(Context);
    StoreReadRest(Context);

    if (NT_SUCCESS(XenHvmQueryParameter(HVM_PARAM_STORE_PFN, &Frame)) &&
        (LONGLONG)(Frame << PAGE_SHIFT) != Context->Address.QuadPart) {
        StoreUnmapRing(Context);
        if (!NT_SUCCESS(StoreMapRing(Context)))
            BUG("no store ring after a resume");
    }

    KeAcquireSpinLock(&Context->Lock, &Irql);

    Context->Held = FALSE;
    Context->Resumes++;
    for (ListEntry = Context->Transactions.Flink; ListEntry != &Context->Transactions; ListEntry = ListEntry->Flink)
        CONTAINING_RECORD(ListEntry, XENBUS_STORE_TRANSACTION, ListEntry)->Active = FALSE;

    StoreConnectRing(Context);
    StoreRestartRequests(Context);

    KeReleaseSpinLock(&Context->Lock, Irql);

    Status = StoreOpenChannel(Context);
    if (!NT_SUCCESS(Status)) {
        Critical("XenStore has no event channel after a resume (%08x)", Status);

        KeAcquireSpinLock(&Context->Lock, &Irql);
        Context->PortAttempts = STORE_PORT_ATTEMPTS;
        StoreOpenLater(Context);
        KeReleaseSpinLock(&Context->Lock, Irql);
    }

    StoreReset(Context);
    StoreRestoreWatches(Context);
}

VOID StoreHold(_In_ PXENBUS_STORE_CONTEXT Context)
{
    KIRQL Irql;

    /* What is not answered by then is asked again, of whoever is there. */
    if (!NT_SUCCESS(StoreDrain(Context)))
        Warning("requests are under way");

    KeAcquireSpinLock(&Context->Lock, &Irql);
    Context->Held = TRUE;
    KeReleaseSpinLock(&Context->Lock, Irql);
}

VOID StoreGoOn(_In_ PXENBUS_STORE_CONTEXT Context)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    Context->Held = FALSE;
    StorePollLocked(Context);
    KeReleaseSpinLock(&Context->Lock, Irql);
}

NTSTATUS StoreInitialize(_Outptr_ PXENBUS_STORE_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_STORE_CONTEXT), STORE_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "STORE");
    KeInitializeSpinLock(&(*Context)->Lock);
    KeInitializeDpc(&(*Context)->Dpc, StoreDpc, *Context);
    KeInitializeTimer(&(*Context)->PortTimer);
    KeInitializeDpc(&(*Context)->PortDpc, StorePortDpc, *Context);
    InitializeListHead(&(*Context)->Queued);
    InitializeListHead(&(*Context)->Pending);
    InitializeListHead(&(*Context)->Transactions);
    InitializeListHead(&(*Context)->Watches);
    StoreInitializeRestore(*Context);
    return STATUS_SUCCESS;
}

VOID StoreTeardown(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PoolFree(Context, STORE_TAG);
}
