/*
 * The parts of the store client: store_ring.c moves bytes and takes messages apart, store_request.c has the life of a
 * request, store_watch.c watches, store.c the methods.
 *
 * One spin lock, Lock, guards all of it, and is held while the ring is worked on; nothing but the hypercall that
 * notifies the daemon, pool, and KeSetEvent is called under it. Whoever wants progress takes it and calls
 * StorePollLocked: the event channel's DPC, a caller that has submitted a request, a caller that spins because it may
 * not sleep.
 */
#ifndef XENBUS_STORE_PRIVATE_H
#define XENBUS_STORE_PRIVATE_H

#include "compat.h"

#include "store.h"
#include "users.h"

#include <xen/io/xs_wire.h>

#define STORE_TAG POOL_TAG('S', 'T', 'O', 'R')

/* "T" or "F" and its NUL: how a transaction ends. */
#define STORE_VERDICT_SIZE 2

typedef enum _STORE_REQUEST_STATE {
    STORE_REQUEST_QUEUED,  /* in Queued: not all of it is on the ring */
    STORE_REQUEST_PENDING, /* in Pending: waits for its answer */
    STORE_REQUEST_DONE     /* in no list: not sent yet, or Status, Response and Id are valid */
} STORE_REQUEST_STATE;

/* Header and Payload are what goes over the wire. */
typedef struct _STORE_REQUEST {
    LIST_ENTRY ListEntry;
    STORE_REQUEST_STATE State;
    BOOLEAN Abandoned;            /* nobody waits for it; whoever makes it DONE frees it */
    PXENBUS_STORE_WATCH Restored; /* nobody waits for it yet: it registers this watch again after a resume */
    ULONGLONG Submitted;
    KEVENT Done; /* set: DONE */
    NTSTATUS Status;
    BOOLEAN Keep;  /* the maker wants the answer's payload */
    PSTR Response; /* closed by two NULs */
    ULONG Id;      /* of the transaction that was started, */
    ULONG Resumes; /* and Resumes when the daemon said so */
    ULONG Length;  /* of header and payload */
    ULONG Written;
    struct xsd_sockmsg Header;
    CHAR Payload[1];
} STORE_REQUEST, *PSTORE_REQUEST;

C_ASSERT(FIELD_OFFSET(STORE_REQUEST, Payload) == FIELD_OFFSET(STORE_REQUEST, Header) + sizeof(struct xsd_sockmsg));

typedef struct _STORE_SEGMENT {
    const CHAR *Data;
    SIZE_T Length;
} STORE_SEGMENT, *PSTORE_SEGMENT;

/* A message that comes in: its header, checked when it is complete, then its payload. */
typedef struct _STORE_RECEIVER {
    ULONG Have;
    struct xsd_sockmsg Header;
    CHAR Payload[XENSTORE_PAYLOAD_MAX + 1]; /* closed by a NUL that is not the daemon's */
} STORE_RECEIVER, *PSTORE_RECEIVER;

/*
 * What ends a transaction or a watch is made when it begins: giving back must not fail for lack of memory. The request
 * that begins it is sent again as its end. It is NULL when it was given up, and then undoes itself.
 */
struct _XENBUS_STORE_TRANSACTION {
    LIST_ENTRY ListEntry;
    ULONG Id;
    BOOLEAN Active; /* FALSE: it went in a suspend */
    PSTORE_REQUEST Request;
};

struct _XENBUS_STORE_WATCH {
    LIST_ENTRY ListEntry;
    ULONG Id; /* its token */
    PKEVENT Event;
    PSTR Path;
    PSTORE_REQUEST Request;
    ULONG Refusals; /* how often the daemon has refused it for a moment since the last resume */
};

struct _XENBUS_STORE_CONTEXT {
    INTERFACE_USERS Users;
    XENBUS_EVTCHN_INTERFACE EvtchnInterface;
    PXENBUS_EVTCHN_CHANNEL Channel;
    KDPC Dpc;

    KSPIN_LOCK Lock;
    PHYSICAL_ADDRESS Address;
    struct xenstore_domain_interface *Ring;
    ULONG RequestProducer; /* ours: the daemon's view is written, never read */
    ULONG ResponseConsumer;
    BOOLEAN Broken; /* the daemon broke the protocol: nothing more is said or believed */
    BOOLEAN Held;   /* requests wait */
    STORE_RECEIVER Receiver;

    LIST_ENTRY Queued;
    LIST_ENTRY Pending;
    LIST_ENTRY Transactions;
    LIST_ENTRY Watches;
    KTIMER PortTimer; /* runs: the channel is to be opened */
    KDPC PortDpc;
    ULONG volatile PortAttempts; /* that are left */
    KTIMER RestoreTimer;         /* runs: a watch that was refused for a moment is to be registered again */
    KDPC RestoreDpc;
    ULONG LastRequestId;
    ULONG LastWatchId;
    ULONG Resumes; /* what began before the last one is gone */
};

/* ---- store_ring.c; Lock is held unless it says otherwise ---- */

/* Writes and reads as much as goes, handles what is complete, and notifies the daemon if there is a reason. */
VOID StorePollLocked(_In_ PXENBUS_STORE_CONTEXT Context);

/* Tells the daemon to look at the ring. */
VOID StoreNotify(_In_ PXENBUS_STORE_CONTEXT Context);

/* Lock is not held. IRQL <= DISPATCH_LEVEL. */
VOID StorePollRing(_In_ PXENBUS_STORE_CONTEXT Context);

/* Takes the ring as it is, at a start or after a resume. */
VOID StoreConnectRing(_In_ PXENBUS_STORE_CONTEXT Context);

/* ---- store_request.c ---- */

/*
 * Sends a request of Type with the segments as payload, waits for the answer, and gives it. IRQL <= DISPATCH_LEVEL,
 * where it spins. *Response, if asked for, is freed with PoolFree and STORE_TAG.
 */
_Must_inspect_result_ NTSTATUS StoreExecute(_In_ PXENBUS_STORE_CONTEXT Context, _In_ ULONG Type,
                                            _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                            _In_reads_(Count) const STORE_SEGMENT *Segments, _In_ ULONG Count,
                                            _Outptr_opt_ PSTR *Response);

/* A request that can be sent more than once; freed with StoreFreeRequest. */
_Must_inspect_result_ NTSTATUS StoreCreateRequest(_In_ ULONG Type, _In_ ULONG TransactionId,
                                                  _In_reads_(Count) const STORE_SEGMENT *Segments, _In_ ULONG Count,
                                                  _Outptr_ PSTORE_REQUEST *Request);
VOID StoreFreeRequest(_In_ PSTORE_REQUEST Request);

/*
 * Sends a request and waits for the answer, as StoreExecute. STATUS_IO_TIMEOUT with *Request NULL: it was given up, and
 * is not the caller's any more.
 */
_Must_inspect_result_ NTSTATUS StoreExecuteRequest(_In_ PXENBUS_STORE_CONTEXT Context,
                                                   _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                                   _Inout_ PSTORE_REQUEST *Request);

/* The first half of it: sends the request. Lock is held. */
VOID StoreSubmitRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                        _In_ PSTORE_REQUEST Request);

/* The second half: waits for the answer, if it is not there already. */
NTSTATUS StoreAwaitRequest(_In_ PXENBUS_STORE_CONTEXT Context, _Inout_ PSTORE_REQUEST *Request);

/* Makes of a transaction's request, which has room for a verdict, the one that starts it or the one that ends it. */
VOID StoreMakeTransactionStart(_Inout_ PSTORE_REQUEST Request);
VOID StoreMakeTransactionEnd(_Inout_ PSTORE_REQUEST Request, _In_ ULONG Id, _In_ BOOLEAN Commit);

/* The answer to a pending request has come: Type is the answer's, Payload its Length bytes and a NUL. Lock is held. */
VOID StoreCompleteRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request, _In_ ULONG Type,
                          _In_reads_(Length) PCSTR Payload, _In_ ULONG Length);

/* Ends a request, which is in a list, without an answer. Lock is held. */
VOID StoreFailRequest(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PSTORE_REQUEST Request, _In_ NTSTATUS Status);

/* Ends every request. Lock is held. */
VOID StoreFailAll(_In_ PXENBUS_STORE_CONTEXT Context, _In_ NTSTATUS Status);

/* After a resume: what was under way begins again, except in transactions, which are gone. Lock is held. */
VOID StoreRestartRequests(_In_ PXENBUS_STORE_CONTEXT Context);

/* Logs what is under way. Lock is held. */
VOID StoreReportRequests(_In_ PXENBUS_STORE_CONTEXT Context);

/* ---- store_watch.c ---- */

_Must_inspect_result_ NTSTATUS StoreAddWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_opt_ PCSTR Prefix, _In_ PCSTR Node,
                                             _In_ PKEVENT Event, _Outptr_ PXENBUS_STORE_WATCH *Watch);
NTSTATUS StoreRemoveWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PXENBUS_STORE_WATCH Watch);

/* Registers every watch with a new daemon, whose answers are waited for by nobody. IRQL <= DISPATCH_LEVEL. */
VOID StoreRestoreWatches(_In_ PXENBUS_STORE_CONTEXT Context);

/* The daemon has answered. Lock is held. */
VOID StoreFinishRestore(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PXENBUS_STORE_WATCH Watch, _In_ NTSTATUS Status);

/* The timer by which watches are registered that were refused for a moment. And: no client is left. */
VOID StoreInitializeRestore(_In_ PXENBUS_STORE_CONTEXT Context);
VOID StoreEndRestore(_In_ PXENBUS_STORE_CONTEXT Context);

/* A watch has fired: Payload, Length bytes and a NUL, should be path and token. Lock is held. */
VOID StoreFireWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_reads_(Length) PCSTR Payload, _In_ ULONG Length);

#endif /* XENBUS_STORE_PRIVATE_H */
