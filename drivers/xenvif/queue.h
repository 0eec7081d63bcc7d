/*
 * A queue of a VIF: a transmitter, a receiver and the poller that drives both.
 *
 * Queue i of a VIF is bound to processor (VIF + i) modulo the number of processors until the client's hash mapping says
 * otherwise. A queue outlives its connections: the client may hold frames of one that is not in use any more.
 */
#ifndef XENVIF_QUEUE_H
#define XENVIF_QUEUE_H

#include <ntddk.h>

#include "poller.h"
#include "receiver.h"
#include "transmitter.h"

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_QUEUE XENVIF_QUEUE, *PXENVIF_QUEUE;

_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS QueueInitialize(_In_ PXENVIF_FRONTEND Frontend, _In_ ULONG Index, _Outptr_ PXENVIF_QUEUE *Queue);

/* Disconnected, all packets sent have been returned and all frames received given back. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID QueueTeardown(_In_ PXENVIF_QUEUE Queue);

/* Makes rings and channels towards Domain. Features: TRANSMITTER_*, of the backend. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS QueueConnect(_Inout_ PXENVIF_QUEUE Queue, _In_ USHORT Domain, _In_ BOOLEAN Split, _In_ ULONG Features);

/* Traffic moves from here on. DISPATCH_LEVEL. */
_IRQL_requires_(DISPATCH_LEVEL)
VOID QueueEnable(_Inout_ PXENVIF_QUEUE Queue);

/* The rings are left alone from here on. DISPATCH_LEVEL, also with every other processor held; may be called again. */
_IRQL_requires_(DISPATCH_LEVEL)
VOID QueueHalt(_Inout_ PXENVIF_QUEUE Queue);

/* Likewise, and nobody looks at the rings any more when it returns. PASSIVE_LEVEL; may be called again. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID QueueDisable(_Inout_ PXENVIF_QUEUE Queue);

/* Takes rings, grants and channels back, whatever the backend does with them. PASSIVE_LEVEL; may be called again. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID QueueDisconnect(_Inout_ PXENVIF_QUEUE Queue);

/* The processor that the queue is to be polled on; by default its own. Polling is disabled meanwhile. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID QueueSetProcessor(_Inout_ PXENVIF_QUEUE Queue, _In_opt_ const PROCESSOR_NUMBER *Processor);

/* TRUE: backends hold on to so many pages that no more are to be granted. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN QueueIsOverheld(_Inout_ PXENVIF_QUEUE Queue);

/* Tries to free pages in quarantine. PASSIVE_LEVEL. How many grants still stand. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG QueueRetryGrants(_Inout_ PXENVIF_QUEUE Queue);

/* Prints indices and counts, from a debug callback. */
VOID QueueDebug(_In_ PXENVIF_QUEUE Queue);

/* Constant during the queue's life. Any IRQL. */
PXENVIF_FRONTEND QueueGetFrontend(_In_ PXENVIF_QUEUE Queue);
ULONG QueueGetIndex(_In_ PXENVIF_QUEUE Queue);
PXENVIF_POLLER QueueGetPoller(_In_ PXENVIF_QUEUE Queue);
PXENVIF_TRANSMITTER QueueGetTransmitter(_In_ PXENVIF_QUEUE Queue);
PXENVIF_RECEIVER QueueGetReceiver(_In_ PXENVIF_QUEUE Queue);

#endif /* XENVIF_QUEUE_H */
