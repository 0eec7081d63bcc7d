/*
 * The life of a request. It lives in pool, not on its maker's stack: a maker that gives up leaves it behind, because
 * half of it may be on the ring, and an answer that comes late must find it. What a late answer has made in the daemon,
 * a watch or a transaction, is undone then.
 */
#include "bug.h"
#include "clock.h"
#include "pool.h"
#include "store_private.h"
#include "text.h"
#include "xen.h"

#include <xen/errno.h>

/*
 * How long a maker waits: as long as a user would, or where nothing else can run, as long as the system bears
 * (ClockIsLate), and a moment in any case.
 */
#define STORE_SLEEP_TIMEOUT CLOCK_SECONDS(60)
#define STORE_SPIN_TIMEOUT CLOCK_SECONDS(5)
#define STORE_SPIN_MOMENT CLOCK_MILLISECONDS(1)

/* While it sleeps, how often the ring is looked at and the log told. */
#define STORE_REPORT_PERIOD CLOCK_SECONDS(10)

/* While it spins, the longest pause between two looks, in microseconds, and how often the daemon is told again. */
#define STORE_SPIN_PAUSE 50
#define STORE_SPIN_PERIOD CLOCK_MILLISECONDS(100)

typedef struct _STORE_ERROR {
    PCSTR Name;
    USHORT Errno;
} STORE_ERROR;

/* The names by which the daemon reports errors (xsd_errors in xen/io/xs_wire.h). */
static const STORE_ERROR StoreErrors[] = {
    {"EINVAL", XEN_EINVAL},       {"EACCES", XEN_EACCES},   {"EEXIST", XEN_EEXIST}, {"EISDIR", XEN_EISDIR},
    {"ENOENT", XEN_ENOENT},       {"ENOMEM", XEN_ENOMEM},   {"ENOSPC", XEN_ENOSPC}, {"EIO", XEN_EIO},
    {"ENOTEMPTY", XEN_ENOTEMPTY}, {"ENOSYS", XEN_ENOSYS},   {"EROFS", XEN_EROFS},   {"EBUSY", XEN_EBUSY},
    {"EAGAIN", XEN_EAGAIN},       {"EISCONN", XEN_EISCONN}, {"E2BIG", XEN_E2BIG},   {"EPERM", XEN_EPERM},
};

static NTSTATUS StoreErrorStatus(_In_ PCSTR Name)
{
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(StoreErrors); Index++) {
        if (TextEqual(StoreErrors[Index].Name, Name, FALSE))
            return XenErrnoToStatus(StoreErrors[Index].Errno);
    }

    Warning("the store daemon reports '%s'", Name);
    return STATUS_UNSUCCESSFUL;
}

VOID StoreFreeRequest(_In_ PSTORE_REQUEST Request)
{
    ASSERT(Request->Response == NULL); /* its maker has it */
    PoolFree(Request, STORE_TAG);
}

NTSTATUS StoreCreateRequest(_In_ ULONG Type, _In_ ULONG TransactionId, _In_reads_(Count) const STORE_SEGMENT *Segments,
                            _In_ ULONG Count, _Outptr_ PSTORE_REQUEST *Request)
{
    SIZE_T Length = 0;
    PCHAR Payload;
    ULONG Index;

    *Request = NULL;

    for (Index = 0; Index < Count; Index++) {
        if (Segments[Index].Length > XENSTORE_PAYLOAD_MAX - Length)
            return STATUS_BUFFER_OVERFLOW;
        Length += Segments[Index].Length;
    }

    *Request = PoolAllocate(FIELD_OFFSET(STORE_REQUEST, Payload) + Length, STORE_TAG);
    if (*Request == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    KeInitializeEvent(&(*Request)->Done, NotificationEvent, TRUE);
    (*Request)->State = STORE_REQUEST_DONE;
    (*Request)->Header.type = Type;
    (*Request)->Header.tx_id = TransactionId;
    (*Request)->Header.len = (ULONG)Length;
    (*Request)->Length = sizeof((*Request)->Header) + (ULONG)Length;

    Payload = (*Request)->Payload;
    for (Index = 0; Index < Count; Index++) {
        RtlCopyMemory(Payload, Segments[Index].Data, Segments[Index].Length);
        Payload += Segments[Index].Length;
    }

    return STATUS_SUCCESS;
}

static VOID StoreQueueRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request)
{
    Request->Header.req_id = ++Context->LastRequestId;
    Request->State = STORE_REQUEST_QUEUED;
    Request->Written = 0;
    Request->Submitted = ClockNow();
    (VOID) KeResetEvent(&Request->Done);
    InsertTailList(&Context->Queued, &Request->ListEntry);
}

/* The last that is done with a request under the lock: its maker may free it as soon as the lock is released. */
static VOID StoreFinishRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request)
{
    Request->State = STORE_REQUEST_DONE;

    if (Request->Restored != NULL)
        StoreFinishRestore(Context, Request->Restored, Request->Status);
    Request->Restored = NULL;

    if (Request->Abandoned)
        StoreFreeRequest(Request);
    else
        (VOID) KeSetEvent(&Request->Done, IO_NO_INCREMENT, FALSE);
}

VOID StoreMakeTransactionStart(_Inout_ PSTORE_REQUEST Request)
{
    Request->Header.type = XS_TRANSACTION_START;
    Request->Header.tx_id = 0;
    Request->Header.len = 1;
    Request->Length = sizeof(Request->Header) + 1;
    Request->Payload[0] = '\0';
}

VOID StoreMakeTransactionEnd(_Inout_ PSTORE_REQUEST Request, _In_ ULONG Id, _In_ BOOLEAN Commit)
{
    Request->Header.type = XS_TRANSACTION_END;
    Request->Header.tx_id = Id;
    Request->Header.len = STORE_VERDICT_SIZE;
    Request->Length = sizeof(Request->Header) + STORE_VERDICT_SIZE;
    Request->Payload[0] = Commit ? 'T' : 'F';
    Request->Payload[1] = '\0';
}

static NTSTATUS StoreParseTransaction(_In_ PCSTR Text, _Out_ PULONG Id)
{
    if (NT_SUCCESS(TextToUlong(Text, 10, Id)) && *Id != 0)
        return STATUS_SUCCESS;

    Error("'%s' is no transaction", Text);
    return STATUS_DATA_ERROR;
}

/*
 * A late answer, and not an error, to a request whose maker has gone. TRUE: the request has been sent out again, as its
 * own undoing.
 */
static BOOLEAN StoreUndo(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request, _In_ PCSTR Payload)
{
    Warning("a late answer to request %u of type %u", Request->Header.req_id, Request->Header.type);

    switch (Request->Header.type) {
    case XS_TRANSACTION_START:
        if (!NT_SUCCESS(StoreParseTransaction(Payload, &Request->Id)))
            return FALSE;
        StoreMakeTransactionEnd(Request, Request->Id, FALSE);
        StoreQueueRequest(Context, Request);
        return TRUE;

    case XS_WATCH:
        /* The payload of both is the same: path and token. */
        Request->Header.type = XS_UNWATCH;
        StoreQueueRequest(Context, Request);
        return TRUE;

    default:
        return FALSE;
    }
}

/* Copies an answer to pool, closed by two NULs so that it can be read as a string and as a list. */
static NTSTATUS StoreKeepResponse(_In_ PSTORE_REQUEST Request, _In_reads_(Length) const CHAR *Payload,
                                  _In_ ULONG Length)
{
    if (!Request->Keep)
        return STATUS_SUCCESS;

    Request->Response = PoolAllocate((SIZE_T)Length + 2, STORE_TAG);
    if (Request->Response == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlCopyMemory(Request->Response, Payload, Length);
    return STATUS_SUCCESS;
}

VOID StoreCompleteRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request, _In_ ULONG Type,
                          _In_reads_(Length) PCSTR Payload, _In_ ULONG Length)
{
    ASSERT(Request->State == STORE_REQUEST_PENDING);

    RemoveEntryList(&Request->ListEntry);

    if (Type == XS_ERROR) {
        Request->Status = StoreErrorStatus(Payload);
    } else if (Type != Request->Header.type) {
        Error("request %u of type %u has an answer of type %u", Request->Header.req_id, Request->Header.type, Type);
        Request->Status = STATUS_DATA_ERROR;
    } else if (Request->Abandoned) {
        if (StoreUndo(Context, Request, Payload))
            return;
    } else if (Type == XS_TRANSACTION_START) {
        Request->Status = StoreParseTransaction(Payload, &Request->Id);
        Request->Resumes = Context->Resumes;
    } else {
        Request->Status = StoreKeepResponse(Request, Payload, Length);
    }

    StoreFinishRequest(Context, Request);
}

VOID StoreFailRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request, _In_ NTSTATUS Status)
{
    RemoveEntryList(&Request->ListEntry);
    Request->Status = Status;
    StoreFinishRequest(Context, Request);
}

VOID StoreFailAll(_In_ PXENBUS_STORE_CONTEXT Context, _In_ NTSTATUS Status)
{
    while (!IsListEmpty(&Context->Pending))
        StoreFailRequest(Context, CONTAINING_RECORD(Context->Pending.Flink, STORE_REQUEST, ListEntry), Status);

    while (!IsListEmpty(&Context->Queued))
        StoreFailRequest(Context, CONTAINING_RECORD(Context->Queued.Flink, STORE_REQUEST, ListEntry), Status);
}

VOID StoreRestartRequests(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PLIST_ENTRY ListEntry;
    PLIST_ENTRY Next;

    /* Pending ones are older than queued ones: put them ahead, the newest first. */
    while (!IsListEmpty(&Context->Pending)) {
        ListEntry = RemoveTailList(&Context->Pending);
        InsertHeadList(&Context->Queued, ListEntry);
        CONTAINING_RECORD(ListEntry, STORE_REQUEST, ListEntry)->State = STORE_REQUEST_QUEUED;
    }

    for (ListEntry = Context->Queued.Flink; ListEntry != &Context->Queued; ListEntry = Next) {
        PSTORE_REQUEST Request = CONTAINING_RECORD(ListEntry, STORE_REQUEST, ListEntry);

        Next = ListEntry->Flink;
        Request->Written = 0;
        if (Request->Header.tx_id != 0)
            StoreFailRequest(Context, Request, STATUS_RETRY);
    }
}

static VOID StoreReportList(_In_ PLIST_ENTRY List)
{
    ULONGLONG Now = ClockNow();
    PLIST_ENTRY ListEntry;

    for (ListEntry = List->Flink; ListEntry != List; ListEntry = ListEntry->Flink) {
        PSTORE_REQUEST Request = CONTAINING_RECORD(ListEntry, STORE_REQUEST, ListEntry);

        Warning("request %u: type %u, transaction %u, %u of %u bytes sent, %llu ms old%s", Request->Header.req_id,
                Request->Header.type, Request->Header.tx_id, Request->Written, Request->Length,
                (Now - Request->Submitted) / CLOCK_MILLISECONDS(1), Request->Abandoned ? ", given up" : "");
    }
}

VOID StoreReportRequests(_In_ PXENBUS_STORE_CONTEXT Context)
{
    Warning("request ring %u to %u, answer ring %u to %u", ReadULongAcquire((ULONG volatile *)&Context->Ring->req_cons),
            Context->RequestProducer, Context->ResponseConsumer,
            ReadULongAcquire((ULONG volatile *)&Context->Ring->rsp_prod));
    StoreReportList(&Context->Pending);
    StoreReportList(&Context->Queued);
}

/*
 * Looks at the ring and at the request, and with Remind notifies the daemon in case that it has missed an event: right
 * after a resume it may not have been there to take one. The lock is also what keeps a request from being freed while
 * it is finished.
 */
static BOOLEAN StorePollFor(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request, _In_ BOOLEAN Remind)
{
    BOOLEAN Done;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    if (Request->State != STORE_REQUEST_DONE)
        StorePollLocked(Context);
    Done = (Request->State == STORE_REQUEST_DONE);
    if (!Done && Remind)
        StoreNotify(Context);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return Done;
}

static BOOLEAN StoreSpinFor(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request)
{
    ULONGLONG Start = ClockNow();
    ULONGLONG Remind = Start + STORE_SPIN_PERIOD;
    ULONG Round;

    for (Round = 0;; Round++) {
        ULONGLONG Now = ClockNow();

        if (StorePollFor(Context, Request, Now >= Remind))
            return TRUE;
        if (Now - Start >= STORE_SPIN_TIMEOUT || (Now - Start >= STORE_SPIN_MOMENT && ClockIsLate()))
            return FALSE;
        if (Now >= Remind)
            Remind = Now + STORE_SPIN_PERIOD;

        /* The answer may be near: look often at first. */
        YieldProcessor();
        if (Round >= 16)
            KeStallExecutionProcessor(min(Round / 16, STORE_SPIN_PAUSE));
    }
}

static BOOLEAN StoreSleepFor(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request)
{
    ULONGLONG Waited;
    LARGE_INTEGER Period;
    KIRQL Irql;

    Period.QuadPart = -(LONGLONG)STORE_REPORT_PERIOD;

    for (Waited = 0; Waited < STORE_SLEEP_TIMEOUT;) {
        NTSTATUS Status = KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, &Period);

        /* An event that was lost must not cost a request. */
        if (StorePollFor(Context, Request, TRUE)) {
            if (Status == STATUS_TIMEOUT)
                Warning("the answer to request %u was there before its event", Request->Header.req_id);
            return TRUE;
        }

        /* It was answered, and a resume has sent it once more. */
        if (Status != STATUS_TIMEOUT)
            continue;
        Waited += STORE_REPORT_PERIOD;

        KeAcquireSpinLock(&Context->Lock, &Irql);
        Warning("the store daemon does not answer");
        StoreReportRequests(Context);
        KeReleaseSpinLock(&Context->Lock, Irql);
    }

    return FALSE;
}

/*
 * The maker gives up. FALSE: the answer has come in the last moment. What the maker knows the request by is cleared
 * under the lock: a resume must not take it for the maker's any more.
 */
static BOOLEAN StoreAbandon(_In_ PXENBUS_STORE_CONTEXT Context, _Inout_ PSTORE_REQUEST *Maker)
{
    PSTORE_REQUEST Request = *Maker;
    BOOLEAN Abandoned = TRUE;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);

    if (Request->State == STORE_REQUEST_DONE) {
        Abandoned = FALSE;
    } else {
        Error("request %u of type %u is given up", Request->Header.req_id, Request->Header.type);
        StoreReportRequests(Context);

        *Maker = NULL;
        Request->Abandoned = TRUE;
        Request->Restored = NULL;
        if (Request->State == STORE_REQUEST_QUEUED && Request->Written == 0)
            StoreFailRequest(Context, Request, STATUS_IO_TIMEOUT);
    }

    KeReleaseSpinLock(&Context->Lock, Irql);

    return Abandoned;
}

VOID StoreSubmitRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                        _In_ PSTORE_REQUEST Request)
{
    StoreQueueRequest(Context, Request);

    if (Transaction != NULL && !Transaction->Active)
        StoreFailRequest(Context, Request, STATUS_RETRY);
    else if (Context->Broken)
        StoreFailRequest(Context, Request, STATUS_DATA_ERROR);
    else
        StorePollLocked(Context);
}

NTSTATUS StoreAwaitRequest(_In_ PXENBUS_STORE_CONTEXT Context, _Inout_ PSTORE_REQUEST *Request)
{
    BOOLEAN Done =
        KeGetCurrentIrql() < DISPATCH_LEVEL ? StoreSleepFor(Context, *Request) : StoreSpinFor(Context, *Request);

    if (!Done && StoreAbandon(Context, Request))
        return STATUS_IO_TIMEOUT;

    return (*Request)->Status;
}

NTSTATUS StoreExecuteRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                             _Inout_ PSTORE_REQUEST *Request)
{
    KIRQL Irql;

    if (KeGetCurrentIrql() > DISPATCH_LEVEL)
        BUG("the store is used above DISPATCH_LEVEL");

    KeAcquireSpinLock(&Context->Lock, &Irql);
    StoreSubmitRequest(Context, Transaction, *Request);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return StoreAwaitRequest(Context, Request);
}

NTSTATUS StoreExecute(_In_ PXENBUS_STORE_CONTEXT Context, _In_ ULONG Type,
                      _In_opt_ PXENBUS_STORE_TRANSACTION Transaction, _In_reads_(Count) const STORE_SEGMENT *Segments,
                      _In_ ULONG Count, _Outptr_opt_ PSTR *Response)
{
    PSTORE_REQUEST Request;
    NTSTATUS Status;

    if (Response != NULL)
        *Response = NULL;

    Status = StoreCreateRequest(Type, Transaction != NULL ? Transaction->Id : 0, Segments, Count, &Request);
    if (!NT_SUCCESS(Status))
        return Status;

    Request->Keep = (Response != NULL);

    Status = StoreExecuteRequest(Context, Transaction, &Request);
    if (NT_SUCCESS(Status) && Response != NULL) {
        *Response = Request->Response;
        Request->Response = NULL;
    }

    if (Request != NULL)
        StoreFreeRequest(Request);
    return Status;
}
