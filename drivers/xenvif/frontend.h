/*
 * The frontend of one VIF: its conversation with the backend over the store, and the modules that move packets.
 *
 * One thread drives it. Whoever wants something of it (the device's power, the client's Enable and Disable, a resume, a
 * ring that the backend has broken) leaves a note and wakes the thread; so do watches of the store. The thread looks
 * at all there is, takes as many steps as it can without waiting, and sleeps until the next note or deadline. Nobody
 * waits for a backend anywhere else, so that a silent one costs its own device and nothing more (field bug FB1).
 *
 * It has as many queues as backend, registry (FrontendMaxQueues) and processors allow, each time that it connects.
 * Queues are made when they are first needed and stay until the frontend goes.
 *
 * A frontend lives from the start of the device to its stop. Locks: Lock, a leaf, guards the notes.
 */
#ifndef XENVIF_FRONTEND_H
#define XENVIF_FRONTEND_H

#include <ntddk.h>

#include "granter.h"
#include "hasher.h"
#include "mac.h"
#include "parent.h"
#include "queue.h"
#include "statistics.h"
#include "steering.h"
#include "vif.h"

/* Queues of a VIF, at most. */
#define FRONTEND_MAXIMUM_QUEUES 16

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_PDO XENVIF_PDO, *PXENVIF_PDO;

/*
 * Makes the frontend of device/vif/<Number> and starts its thread. The backend is not looked for before
 * FrontendPowerUp. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FrontendInitialize(_In_ PXENVIF_PDO Pdo, _In_ PXENVIF_PARENT Parent, _In_ PXENVIF_VIF Vif, _In_ ULONG Number,
                            _Outptr_ PXENVIF_FRONTEND *Frontend);

/* Powered down, and the client has returned all it had. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendTeardown(_In_ PXENVIF_FRONTEND Frontend);

/* The device is in D0: the backend is got ready, in the background. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendPowerUp(_Inout_ PXENVIF_FRONTEND Frontend);

/* The device leaves D0: returns when the frontend is closed, or the backend has not helped in time. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendPowerDown(_Inout_ PXENVIF_FRONTEND Frontend);

/*
 * The client wants packets: those that it sends are queued from when this returns, and the connection is made in the
 * background. PASSIVE_LEVEL, not by the frontend's thread.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendEnable(_Inout_ PXENVIF_FRONTEND Frontend);

/*
 * The client wants no more packets: returns when there is no connection, every packet to send has been returned, and no
 * callback runs. Bounded by the deadlines of the handshake. PASSIVE_LEVEL, not by the frontend's thread.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendDisable(_Inout_ PXENVIF_FRONTEND Frontend);

/* The backend has broken the protocol of a ring. Reason is a constant, Value the number that shows it. Any IRQL to
 * DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID FrontendBreak(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Reason, _In_ ULONG Value);

/* Has the thread look again. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID FrontendWake(_Inout_ PXENVIF_FRONTEND Frontend);

/* Hands a granter that still has grants standing to the FDO. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendRetireGranter(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENVIF_GRANTER Granter);

/* Reads a node of the frontend's own directory. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FrontendReadNode(_In_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _Outptr_ PSTR *Text);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendFreeNode(_In_ PXENVIF_FRONTEND Frontend, _In_ PSTR Text);

/*
 * The same of a node that may change while the device runs. STATUS_OBJECT_NAME_NOT_FOUND: there is none. Any other
 * failure: it cannot be read for a moment, and is to be taken as it was; the log says so once (Unread: not again), and
 * all is looked at again a while later. By the frontend's thread, or before there is one.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FrontendReadWatchedNode(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _Inout_ PBOOLEAN Unread,
                                 _Outptr_ PSTR *Text);

/* A number in such a node, as it was when it could be read last. */
typedef struct _FRONTEND_NUMBER {
    ULONG Value;
    BOOLEAN Unread;
} FRONTEND_NUMBER;

/* Reads it: Default if there is no node, or no number in it. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendUpdateNumber(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _In_ ULONG Default,
                          _Inout_ FRONTEND_NUMBER *Number);

/* What a client asks for, as of the interface. */
typedef enum _FRONTEND_HASH_REQUEST_TYPE {
    FRONTEND_HASH_SET_ALGORITHM,
    FRONTEND_HASH_QUERY_CAPABILITIES, /* gives Types */
    FRONTEND_HASH_SET_PARAMETERS,     /* Types and Key */
    FRONTEND_HASH_SET_MAPPING
} FRONTEND_HASH_REQUEST_TYPE;

typedef struct _FRONTEND_HASH_REQUEST {
    FRONTEND_HASH_REQUEST_TYPE Type;
    XENVIF_PACKET_HASH_ALGORITHM Algorithm;
    ULONG Types;
    const UCHAR *Key;
    const PROCESSOR_NUMBER *Mapping;
    ULONG Size;
    NTSTATUS Status; /* the frontend's */
    KEVENT Done;
} FRONTEND_HASH_REQUEST;

/* Carries a request out: bounded by the answers of the backend. PASSIVE_LEVEL, one at a time, not by the thread. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FrontendRequestHash(_Inout_ PXENVIF_FRONTEND Frontend, _Inout_ FRONTEND_HASH_REQUEST *Request);

/* Constant during the frontend's life. Any IRQL. */
ULONG FrontendGetNumber(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_PDO FrontendGetPdo(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_PARENT FrontendGetParent(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_VIF FrontendGetVif(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_STATISTICS FrontendGetStatistics(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_MAC FrontendGetMac(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_STEERING FrontendGetSteering(_In_ PXENVIF_FRONTEND Frontend);

/* The queues that there are, in use or not; there are never fewer later. Any IRQL. */
ULONG FrontendGetQueueCount(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_TRANSMITTER FrontendGetTransmitter(_In_ PXENVIF_FRONTEND Frontend, _In_ ULONG Index);

/* Whether the domain has been suspended since the connection was made: its rings and channels are dead. Any IRQL. */
BOOLEAN FrontendIsResumed(_In_ PXENVIF_FRONTEND Frontend);

/* What hashes the frames that the backend has not. Any IRQL. */
const XENVIF_HASHER *FrontendGetHasher(_In_ PXENVIF_FRONTEND Frontend);

/* Whether the backend may send frames with a hash. Any IRQL. */
BOOLEAN FrontendIsHashing(_In_ PXENVIF_FRONTEND Frontend);

/* Whether the client wants hashes: those that come all the same are not passed on. Any IRQL. */
BOOLEAN FrontendWantsHash(_In_ PXENVIF_FRONTEND Frontend);

/* The queues in use, or, while there is no connection, those that the next one will have, as far as can be told. */
ULONG FrontendGetRingCount(_In_ PXENVIF_FRONTEND Frontend);

/* As of the interface, for the receivers of all queues. IRQL <= DISPATCH_LEVEL. */
VOID FrontendSetReceiverOffloadOptions(_Inout_ PXENVIF_FRONTEND Frontend, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options);
VOID FrontendSetReceiverBackfillSize(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Size);

#endif /* XENVIF_FRONTEND_H */
