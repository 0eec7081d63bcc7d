/*
 * Inside of the receiver: what receiver.c (lifetime, delivery, returns), receiver_ring.c (shared ring, frames from
 * slots), receiver_packet.c (a frame's shape and headers), receiver_offload.c (tag, checksums) and
 * receiver_segment.c (large frames that are cut here) share.
 */
#ifndef XENVIF_RECEIVER_RING_H
#define XENVIF_RECEIVER_RING_H

#include "buffer.h"
#include "cache_interface.h"
#include "granter.h"
#include "hasher.h"
#include "mac.h"
#include "packet.h"
#include "poller.h"
#include "queue.h"
#include "receiver.h"
#include "ring.h"
#include "segment.h"
#include "statistics.h"
#include "vif.h"

/* A frame, from its first slot until the client has returned it. */
typedef struct _RECEIVER_PACKET {
    PXENVIF_RECEIVER Receiver;
    LIST_ENTRY ListEntry;         /* of one of the receiver's lists; Flink alone counts in Returned */
    LIST_ENTRY Buffers;           /* its pages in order; data is Length bytes at Offset of each */
    ULONG Length;                 /* of the frame */
    USHORT SlotFlags;             /* of the first slot */
    UCHAR GsoType;                /* XEN_NETIF_GSO_TYPE_*: as the extra info says, as is, until it is inspected, */
    USHORT MaximumSegmentSize;    /* and afterwards, if the client gets it whole; 0: it is no large one */
    USHORT TagControlInformation; /* of the tag that was taken out */
    BOOLEAN Large;                /* it counts as a large packet */
    XENVIF_PACKET_LAYOUT Layout;
    XENVIF_PACKET_CHECKSUM_FLAGS Flags;
    XENVIF_PACKET_HASH Hash;   /* what the backend says, else our own */
    SEGMENTATION Segmentation; /* Count other than 0: the client gets it in segments, */
    ULONG Segment;             /* this is the next, and its payload begins at */
    PXENVIF_BUFFER Cursor;     /* this page, so many bytes into its data */
    ULONG CursorOffset;
} RECEIVER_PACKET, *PRECEIVER_PACKET;

/* The frame that is being put together. It may take several polls. */
typedef struct _RECEIVER_ASSEMBLY {
    BOOLEAN Started;
    BOOLEAN More;            /* another slot of data follows */
    BOOLEAN Extra;           /* the next slot is extra info */
    BOOLEAN Bad;             /* the backend is at fault: the frame is dropped when it ends */
    BOOLEAN Starved;         /* no resources here: likewise */
    ULONG Slots;             /* of data, so far */
    ULONG Extras;            /* of extra info, so far */
    PRECEIVER_PACKET Packet; /* NULL if it cannot be had, or the frame is dropped */
} RECEIVER_ASSEMBLY;

/* Frames that are copied in a turn, at most. A poll has as many turns as make a ring. */
#define RECEIVER_TURN 64

/*
 * Small frames that the next turn will copy, which the backend's processor has: they are fetched a few lines at a time
 * while frames are given to the client, since a processor waits for few lines at a time. Addresses are for this alone:
 * nothing says that the pages are there still.
 */
typedef struct _RECEIVER_AHEAD {
    ULONG Count;
    ULONG Next;
    ULONG Offset; /* in the next one */
    struct {
        const UCHAR *Address;
        ULONG Length;
    } Frames[RECEIVER_TURN];
} RECEIVER_AHEAD;

/* The client has asked for no more for now; the ring is low, and there are no pages. */
#define RECEIVER_AWAITS_ROOM 1
#define RECEIVER_AWAITS_PAGES 2

struct _XENVIF_RECEIVER {
    PXENVIF_FRONTEND Frontend;
    ULONG Index; /* of the queue */
    PXENVIF_MAC Mac;
    PXENVIF_POLLER Poller;
    PXENVIF_VIF Vif;
    PXENVIF_STATISTICS Statistics;
    PXENBUS_CACHE_INTERFACE_V2 CacheInterface;

    /* Guarded by the granter's lock. */
    PXENVIF_GRANTER Granter;
    KIRQL CacheIrql; /* saved by the packet cache's own acquisition of the lock */
    PXENBUS_CACHE PacketCache;
    LIST_ENTRY Packets; /* free ones that the cache is spared until the connection ends */
    XENVIF_BUFFER_POOL Buffers;
    BOOLEAN Running; /* the ring is in use */
    BOOLEAN Broken;  /* the backend has broken the protocol: the ring is not read again */
    PXENVIF_BUFFER RingBuffer;
    PRING_HEADER Ring;
    ULONG RequestProducer;
    ULONG RequestPushed; /* what the backend has been told of RequestProducer */
    ULONG ResponseConsumer;
    PXENVIF_BUFFER Slots[RING_ENTRIES]; /* the pages on the ring, by request ID, which is the place on the ring */
    RECEIVER_ASSEMBLY Assembly;
    ULONG Copied;       /* frames in this turn */
    BOOLEAN Withheld;   /* pages that have come back wait for more of them, and the timer is set */
    LIST_ENTRY Ready;   /* frames that are complete, as the backend gave them */
    LONG Loaned;        /* frames that the client has: without those of Given, and with those of Returned */
    LONG LoanedAtPause; /* as many as it had when it asked for a pause */
    ULONG Generation;   /* of the connection */
    ULONG64 Requests;
    ULONG64 Responses;
    ULONG64 Notifications;
    ULONG64 Suppressed;

    /* The poll's alone, or the frontend thread's while there are no polls. */
    LIST_ENTRY Deliver; /* frames that the client is to be given */
    LONG Given;         /* frames that it has been given, and that are not in Loaned yet */
    RECEIVER_AHEAD Ahead;

    /*
     * Frames that the client has returned, the last one first, until somebody with the lock takes all of them: a poll,
     * or, if one is awaited, whoever returns it. Anybody puts one there, without the lock; because nobody takes a
     * single one, an entry that comes back meanwhile does no harm.
     */
    PVOID Returned;
    LONG Awaited; /* RECEIVER_AWAITS_*: why frames must not lie there until the next poll; set with the lock */

    KTIMER Timer;
    KDPC TimerDpc;
    ULONG OffloadOptions;
    ULONG BackfillSize;

    /* The registry's; constant. */
    BOOLEAN AllowLarge;
    BOOLEAN CalculateChecksums;
    BOOLEAN AlwaysPullUp;
    ULONG IpAlignOffset;
};

/* Makes sure of a poll after Milliseconds. IRQL <= DISPATCH_LEVEL. */
VOID ReceiverSetTimer(_Inout_ PXENVIF_RECEIVER Receiver, _In_ ULONG Milliseconds);

/* With the lock: gives back a page that is granted no more, a list of them, a frame with its pages. */
VOID ReceiverPutBuffer(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PXENVIF_BUFFER Buffer);
VOID ReceiverPutBuffers(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PLIST_ENTRY List);
VOID ReceiverPutPacket(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PRECEIVER_PACKET Packet);

/* With the lock: a frame without pages; NULL without memory. */
PRECEIVER_PACKET ReceiverGetPacket(_Inout_ PXENVIF_RECEIVER Receiver);

/* Whether frames have been returned that nobody has reclaimed. Any IRQL. */
static inline BOOLEAN ReceiverHasReturns(_In_ PXENVIF_RECEIVER Receiver)
{
    return ReadPointerAcquire(&Receiver->Returned) != NULL;
}

/* With the lock: takes frames that have been returned, if there are any, and their pages. */
VOID ReceiverReclaim(_Inout_ PXENVIF_RECEIVER Receiver);

/* With the lock: a page; NULL at the cap or without memory. */
PXENVIF_BUFFER ReceiverGetBuffer(_Inout_ PXENVIF_RECEIVER Receiver);

/*
 * With the lock: puts pages that have come back on the ring, if that is low, before the next poll does. Each by itself
 * would cost a notification, an interrupt and a DPC. On an empty ring the first is put at once, since no poll comes
 * without it; the others when with them the ring has enough for a frame of any length, or as many as a large one has
 * have come together. Fewer wait for the timer: the backend's next frame may need just them.
 */
VOID ReceiverUsePages(_Inout_ PXENVIF_RECEIVER Receiver);

/* With the lock: puts pages on the ring wherever there is room, and tells the backend if it is to be told. */
VOID ReceiverRingFill(_Inout_ PXENVIF_RECEIVER Receiver);

/*
 * With the lock: takes responses off the ring, a turn's or a ring's worth at most, and frames to Ready. TRUE: it was a
 * turn, there may be more, and the backend may not have been told of all pages that were put there.
 */
BOOLEAN ReceiverRingPoll(_Inout_ PXENVIF_RECEIVER Receiver);

/*
 * With the lock, when the client has all frames that were taken off the ring: asks for the event of the next response.
 * Backends see by that what has been taken, and let a flow change its queue. TRUE: there is one already.
 */
BOOLEAN ReceiverRingSleep(_Inout_ PXENVIF_RECEIVER Receiver);

/* With the lock: takes all pages off a ring that is no longer in use, and gives up the frame in the making. */
VOID ReceiverRingClear(_Inout_ PXENVIF_RECEIVER Receiver);

/* Bytes that are to be free ahead of a frame in its first page. */
ULONG ReceiverHeadroom(_In_ PXENVIF_RECEIVER Receiver);

/* What holds for all frames of one poll, whatever changes meanwhile. */
typedef struct _RECEIVER_TERMS {
    ULONG Headroom;                     /* as of ReceiverHeadroom */
    ULONG FrameSize;                    /* of the longest frame that is no large one, without its tag */
    XENVIF_VIF_OFFLOAD_OPTIONS Options; /* what the client wants */
    const XENVIF_HASHER *Hasher;        /* of our own; NULL: the backend's hashes count */
} RECEIVER_TERMS;

/*
 * Brings a frame in shape and parses it. DISPATCH_LEVEL, without the lock. FALSE: it is to be dropped, and *Reason is
 * the counter.
 */
BOOLEAN ReceiverInspect(_Inout_ PXENVIF_RECEIVER Receiver, _In_ const RECEIVER_TERMS *Terms,
                        _Inout_ PRECEIVER_PACKET Packet, _Out_ XENVIF_VIF_STATISTIC *Reason);

/*
 * Does for such a frame, which is to go to the client, what the client has asked for: flags, and a checksum if it needs
 * one; or makes it ready to be split. FALSE: it cannot be split. Likewise.
 */
BOOLEAN ReceiverFinish(_In_ PXENVIF_RECEIVER Receiver, _In_ const RECEIVER_TERMS *Terms,
                       _Inout_ PRECEIVER_PACKET Packet);

/* Takes a tag out of a frame that has one. */
VOID ReceiverRemoveTag(_Inout_ PRECEIVER_PACKET Packet);

/* Whether the frame's checksum counts as blank. */
BOOLEAN ReceiverIsBlank(_In_ const RECEIVER_PACKET *Packet);

/* Sets the checksum flags, of a frame that the client gets as it is or of the segments of one. */
VOID ReceiverJudgeChecksums(_In_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                            _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options);
VOID ReceiverJudgeSegments(_Inout_ PRECEIVER_PACKET Packet, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options);

/* Of a TCP frame: the bytes behind its headers, and whether a client with these options gets it in one piece. */
ULONG ReceiverPayloadLength(_In_ const RECEIVER_PACKET *Packet);
BOOLEAN ReceiverMayStayWhole(_In_ PRECEIVER_PACKET Packet, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options);

/* Makes a large frame ready to be cut into frames of Limit bytes at most. FALSE: it cannot be. */
BOOLEAN ReceiverPrepareSplit(_Inout_ PRECEIVER_PACKET Packet, _In_ ULONG Limit);

/*
 * Puts the next segments of such a frame, which is at the head of Deliver, before it; and takes it away when they are
 * the last. By the poll, without the lock. FALSE: there are no pages for a single one.
 */
BOOLEAN ReceiverSplit(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet);

/* The pages of a frame. */
static inline PXENVIF_BUFFER ReceiverFirstBuffer(_In_ PRECEIVER_PACKET Packet)
{
    return CONTAINING_RECORD(Packet->Buffers.Flink, XENVIF_BUFFER, ListEntry);
}

static inline PXENVIF_BUFFER ReceiverNextBuffer(_In_ PRECEIVER_PACKET Packet, _In_ PXENVIF_BUFFER Buffer)
{
    if (Buffer->ListEntry.Flink == &Packet->Buffers)
        return NULL;

    return CONTAINING_RECORD(Buffer->ListEntry.Flink, XENVIF_BUFFER, ListEntry);
}

#endif /* XENVIF_RECEIVER_RING_H */
