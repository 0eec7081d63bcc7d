/*
 * Bytes and messages. Nothing that the daemon writes is believed before it is checked: indices, the length in a header,
 * which request an answer is for. What breaks the framing cannot be mended, since the next header cannot be found.
 */
#include "log.h"
#include "store_private.h"
#include "xen.h"

/* Messages in one poll, so that a daemon that talks without end does not keep the lock. */
#define STORE_POLL_MESSAGES 64

typedef enum _STORE_PROGRESS {
    STORE_PROGRESS_NONE,
    STORE_PROGRESS_SOME,
    STORE_PROGRESS_NOTIFY /* and the daemon may be waiting for it */
} STORE_PROGRESS;

static VOID StoreBreak(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PCSTR What, _In_ ULONG Value)
{
    Critical("the store daemon breaks the protocol: %s (%u); XenStore is lost until the next start", What, Value);
    StoreReportRequests(Context);

    Context->Broken = TRUE;
    StoreFailAll(Context, STATUS_DATA_ERROR);
}

/* Copies Length bytes from or to a ring of XENSTORE_RING_SIZE bytes, from Index on. */
static VOID StoreCopyOut(_In_ const CHAR *Ring, _In_ ULONG Index, _Out_writes_(Length) PCHAR Buffer, _In_ ULONG Length)
{
    ULONG First = min(Length, XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(Index));

    RtlCopyMemory(Buffer, Ring + MASK_XENSTORE_IDX(Index), First);
    RtlCopyMemory(Buffer + First, Ring, Length - First);
}

static VOID StoreCopyIn(_In_ PCHAR Ring, _In_ ULONG Index, _In_reads_(Length) const CHAR *Buffer, _In_ ULONG Length)
{
    ULONG First = min(Length, XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(Index));

    RtlCopyMemory(Ring + MASK_XENSTORE_IDX(Index), Buffer, First);
    RtlCopyMemory(Ring, Buffer + First, Length - First);
}

/* Puts as much of a request on the ring as goes; how much that was. */
static ULONG StoreWriteRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request)
{
    ULONG Used = Context->RequestProducer - ReadULongAcquire((ULONG volatile *)&Context->Ring->req_cons);
    ULONG Length;

    if (Used > XENSTORE_RING_SIZE) {
        StoreBreak(Context, "bytes of requests not yet consumed", Used);
        return 0;
    }

    Length = min(Request->Length - Request->Written, XENSTORE_RING_SIZE - Used);
    if (Length == 0)
        return 0;

    StoreCopyIn(Context->Ring->req, Context->RequestProducer,
                (const CHAR *)Request + FIELD_OFFSET(STORE_REQUEST, Header) + Request->Written, Length);
    Request->Written += Length;
    Context->RequestProducer += Length;
    WriteULongRelease((ULONG volatile *)&Context->Ring->req_prod, Context->RequestProducer);
    return Length;
}

/* Puts as many requests on the ring as go, in their order. */
static STORE_PROGRESS StoreSend(_In_ PXENBUS_STORE_CONTEXT Context)
{
    STORE_PROGRESS Progress = STORE_PROGRESS_NONE;

    while (!IsListEmpty(&Context->Queued)) {
        PSTORE_REQUEST Request = CONTAINING_RECORD(Context->Queued.Flink, STORE_REQUEST, ListEntry);

        if (StoreWriteRequest(Context, Request) == 0)
            break;

        Progress = STORE_PROGRESS_NOTIFY;

        if (Request->Written == Request->Length) {
            RemoveEntryList(&Request->ListEntry);
            InsertTailList(&Context->Pending, &Request->ListEntry);
            Request->State = STORE_REQUEST_PENDING;
        }
    }

    return Progress;
}

/* Takes up to Length bytes off the ring to Buffer; *Taken is how many. */
static STORE_PROGRESS StoreRead(_In_ PXENBUS_STORE_CONTEXT Context, _Out_writes_(Length) PCHAR Buffer,
                                _In_ ULONG Length, _Out_ PULONG Taken)
{
    ULONG Consumer = Context->ResponseConsumer;
    ULONG Filled = ReadULongAcquire((ULONG volatile *)&Context->Ring->rsp_prod) - Consumer;

    *Taken = 0;

    if (Filled > XENSTORE_RING_SIZE) {
        StoreBreak(Context, "bytes of answers not yet consumed", Filled);
        return STORE_PROGRESS_NONE;
    }

    Length = min(Length, Filled);
    if (Length == 0)
        return STORE_PROGRESS_NONE;

    StoreCopyOut(Context->Ring->rsp, Consumer, Buffer, Length);
    Context->ResponseConsumer += Length;
    WriteULongRelease((ULONG volatile *)&Context->Ring->rsp_cons, Context->ResponseConsumer);
    *Taken = Length;

    /* If the daemon has filled the ring meanwhile, before it could see the room, it waits to be told. */
    KeMemoryBarrier();
    Filled = ReadULongAcquire((ULONG volatile *)&Context->Ring->rsp_prod) - Consumer;
    return Filled >= XENSTORE_RING_SIZE ? STORE_PROGRESS_NOTIFY : STORE_PROGRESS_SOME;
}

static PSTORE_REQUEST StoreFindPending(_In_ PXENBUS_STORE_CONTEXT Context, _In_ ULONG Id)
{
    PLIST_ENTRY ListEntry;

    for (ListEntry = Context->Pending.Flink; ListEntry != &Context->Pending; ListEntry = ListEntry->Flink) {
        PSTORE_REQUEST Request = CONTAINING_RECORD(ListEntry, STORE_REQUEST, ListEntry);

        if (Request->Header.req_id == Id)
            return Request;
    }

    return NULL;
}

/* A whole message is in the receiver. */
static VOID StoreHandleMessage(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PSTORE_RECEIVER Receiver = &Context->Receiver;
    PSTORE_REQUEST Request;

    Receiver->Payload[Receiver->Header.len] = '\0';

    if (Receiver->Header.type == XS_WATCH_EVENT) {
        StoreFireWatch(Context, Receiver->Payload, Receiver->Header.len);
        return;
    }

    Request = StoreFindPending(Context, Receiver->Header.req_id);
    if (Request == NULL) {
        Warning("an answer of type %u to request %u, which nobody has made", Receiver->Header.type,
                Receiver->Header.req_id);
        return;
    }

    StoreCompleteRequest(Context, Request, Receiver->Header.type, Receiver->Payload, Receiver->Header.len);
}

/* Reads on at the message that is coming in, and handles it when it is whole. */
static STORE_PROGRESS StoreReceive(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PSTORE_RECEIVER Receiver = &Context->Receiver;
    const ULONG HeaderLength = sizeof(Receiver->Header);
    STORE_PROGRESS Progress;
    ULONG Taken;

    if (Receiver->Have < HeaderLength) {
        Progress = StoreRead(Context, (PCHAR)&Receiver->Header + Receiver->Have, HeaderLength - Receiver->Have, &Taken);
        Receiver->Have += Taken;
        if (Receiver->Have < HeaderLength)
            return Progress;

        if (Receiver->Header.len > XENSTORE_PAYLOAD_MAX) {
            StoreBreak(Context, "length of a message", Receiver->Header.len);
            return STORE_PROGRESS_NONE;
        }
    } else {
        Progress = StoreRead(Context, Receiver->Payload + (Receiver->Have - HeaderLength),
                             HeaderLength + Receiver->Header.len - Receiver->Have, &Taken);
        Receiver->Have += Taken;
    }

    if (Receiver->Have == HeaderLength + Receiver->Header.len) {
        Receiver->Have = 0;
        StoreHandleMessage(Context);
    }

    return Progress;
}

/* Whether the ring is in a state in which it may be used. */
static BOOLEAN StoreIsConnected(_In_ PXENBUS_STORE_CONTEXT Context)
{
    ULONG Features;
    ULONG Code;

    if (Context->Broken || Context->Held)
        return FALSE;

    Features = ReadULongAcquire((ULONG volatile *)&Context->Ring->server_features);

    if ((Features & XENSTORE_SERVER_FEATURE_ERROR) != 0) {
        Code = ReadULongAcquire((ULONG volatile *)&Context->Ring->error);
        if (Code != XENSTORE_ERROR_NONE) {
            StoreBreak(Context, "error code in the ring", Code);
            return FALSE;
        }
    }

    return (Features & XENSTORE_SERVER_FEATURE_RECONNECTION) == 0 ||
           ReadULongAcquire((ULONG volatile *)&Context->Ring->connection) == XENSTORE_CONNECTED;
}

VOID StoreNotify(_In_ PXENBUS_STORE_CONTEXT Context)
{
    if (Context->Channel != NULL)
        XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Send, Context->Channel);
}

VOID StorePollLocked(_In_ PXENBUS_STORE_CONTEXT Context)
{
    BOOLEAN Notify = FALSE;
    ULONG Round;

    for (Round = 0; Round < STORE_POLL_MESSAGES; Round++) {
        STORE_PROGRESS Sent;
        STORE_PROGRESS Received;

        if (!StoreIsConnected(Context))
            break;

        Sent = StoreSend(Context);
        Received = Context->Broken ? STORE_PROGRESS_NONE : StoreReceive(Context);

        if (Sent == STORE_PROGRESS_NOTIFY || Received == STORE_PROGRESS_NOTIFY)
            Notify = TRUE;
        if (Sent == STORE_PROGRESS_NONE && Received == STORE_PROGRESS_NONE)
            break;
    }

    if (Notify)
        StoreNotify(Context);

    if (Round == STORE_POLL_MESSAGES)
        KeInsertQueueDpc(&Context->Dpc, NULL, NULL);
}

VOID StorePollRing(_In_ PXENBUS_STORE_CONTEXT Context)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    StorePollLocked(Context);
    KeReleaseSpinLock(&Context->Lock, Irql);
}

VOID StoreConnectRing(_In_ PXENBUS_STORE_CONTEXT Context)
{
    Context->Receiver.Have = 0;
    Context->Broken = FALSE;
    Context->RequestProducer = ReadULongAcquire((ULONG volatile *)&Context->Ring->req_prod);
    Context->ResponseConsumer = ReadULongAcquire((ULONG volatile *)&Context->Ring->rsp_cons);
}
