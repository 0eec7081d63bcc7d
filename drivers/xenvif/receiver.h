/*
 * The receive side of a queue: pages on the ring, frames from them, and the client that is given the frames.
 *
 * Each request offers the backend one page, zeroed when it was granted. A small frame is copied out of it once, and the
 * page offered again as it is; for any other the grant is revoked first when the response comes, and the page looked at
 * afterwards: what is checked and parsed cannot change any more. A frame of several slots becomes a chain of
 * MDLs whose headers lie together in the first; a frame that fits into one page always becomes one MDL.
 *
 * The client gets frames in order, from the poller's DPC, and may keep them as long as it likes; the pages in existence
 * are bounded, so a client that keeps all of them stops the ring and nothing else. When it asks for a pause, frames
 * stay here and on the ring until enough of them come back (RECEIVER_PAUSE_RETURNS, or all) or the timer's DPC tries
 * again.
 *
 * A TCP frame that is larger than those of the link goes to the client whole if the client says that it takes such,
 * else in segments, which are made as the client gets them. Registry: ReceiverAllowGsoPackets (DWORD, 1) offers
 * backends to send such frames, ReceiverCalculateChecksums (0) has blank checksums filled in for every client,
 * ReceiverIpAlignOffset (0) is where frames begin behind the backfill, ReceiverAlwaysPullup (0) has as much of a frame
 * in its first page as goes there.
 *
 * Lock: the granter's. It guards the private indices of the ring, the slots, the frame that is being put together, the
 * finished frames and the pool of pages. It is a leaf but for what the bus takes below it. What a DPC works on alone
 * (frames between the ring and the client) needs none: no two polls run at once.
 */
#ifndef XENVIF_RECEIVER_H
#define XENVIF_RECEIVER_H

#include <ntddk.h>

#include "vif_interface.h"

typedef struct _XENVIF_QUEUE XENVIF_QUEUE, *PXENVIF_QUEUE;
typedef struct _XENVIF_RECEIVER XENVIF_RECEIVER, *PXENVIF_RECEIVER;

_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ReceiverInitialize(_In_ PXENVIF_QUEUE Queue, _Outptr_ PXENVIF_RECEIVER *Receiver);

/* Makes the ring, grants it to Domain and fills it. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ReceiverConnect(_Inout_ PXENVIF_RECEIVER Receiver, _In_ USHORT Domain);

/* The ring is in use from here on: both sides are connected. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ReceiverEnable(_Inout_ PXENVIF_RECEIVER Receiver);

/* The ring is not touched from here on. IRQL <= DISPATCH_LEVEL; may be called again. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ReceiverDisable(_Inout_ PXENVIF_RECEIVER Receiver);

/*
 * Takes the ring away. Frames that were complete stay, for the next connection. Pages that the backend still has mapped
 * go into quarantine. The poller is disabled, and there is a ring. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ReceiverDisconnect(_Inout_ PXENVIF_RECEIVER Receiver);

/* Drops the frames that the client has not been given. Disconnected. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ReceiverFlush(_Inout_ PXENVIF_RECEIVER Receiver);

/* TRUE: backends hold on to so many pages that no more are to be granted. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN ReceiverIsOverheld(_Inout_ PXENVIF_RECEIVER Receiver);

/* Tries to free pages in quarantine. PASSIVE_LEVEL. How many grants still stand. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG ReceiverRetryGrants(_Inout_ PXENVIF_RECEIVER Receiver);

/* The client must have returned all frames: their pages go. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ReceiverTeardown(_In_ PXENVIF_RECEIVER Receiver);

/* Whether backends may give us TCP frames that are larger than a frame of the link (ReceiverAllowGsoPackets). */
BOOLEAN ReceiverAllowsLarge(_In_ PXENVIF_RECEIVER Receiver);

/* The reference of the ring's page, between ReceiverConnect and ReceiverDisconnect. */
ULONG ReceiverRingReference(_In_ PXENVIF_RECEIVER Receiver);

/*
 * Takes frames off the ring and gives them to the client. DISPATCH_LEVEL, by the poller. How many responses it has
 * taken in all; it wraps. More: there are more.
 */
_IRQL_requires_(DISPATCH_LEVEL)
ULONG ReceiverPoll(_Inout_ PXENVIF_RECEIVER Receiver, _Out_ PBOOLEAN More);

/* As of the interface; Cookie knows the receiver. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ReceiverReturnPacket(_In_ PVOID Cookie);
VOID ReceiverSetOffloadOptions(_Inout_ PXENVIF_RECEIVER Receiver, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options);
VOID ReceiverSetBackfillSize(_Inout_ PXENVIF_RECEIVER Receiver, _In_ ULONG Size);
ULONG ReceiverQueryRingSize(VOID);

/* Prints indices and counts, from a debug callback. */
VOID ReceiverDebug(_In_ PXENVIF_RECEIVER Receiver);

#endif /* XENVIF_RECEIVER_H */
