/*
 * Inside of the transmitter: what transmitter.c (queue, packets, completion), transmitter_offload.c (a packet's headers
 * and checksums), transmitter_chain.c (the client's MDLs), transmitter_segment.c (large packets that are cut here) and
 * transmitter_ring.c (fragments, slots, shared ring) share. All of it is guarded by the granter's lock unless said
 * otherwise.
 */
#ifndef XENVIF_TRANSMITTER_RING_H
#define XENVIF_TRANSMITTER_RING_H

#include "buffer.h"
#include "cache_interface.h"
#include "granter.h"
#include "mac.h"
#include "packet.h"
#include "poller.h"
#include "queue.h"
#include "ring.h"
#include "segment.h"
#include "statistics.h"
#include "transmitter.h"
#include "vif.h"

/* What every backend takes, however little it says. */
#define TRANSMITTER_MAXIMUM_SLOTS XEN_NETIF_NR_SLOTS_MIN

/* A place in a packet: Offset bytes into Mdl, Length bytes before the end. */
typedef struct _TRANSMITTER_CURSOR {
    PMDL Mdl;
    ULONG Offset;
    ULONG Length;
} TRANSMITTER_CURSOR, *PTRANSMITTER_CURSOR;

/* Bytes of a packet that lie in one page. */
typedef struct _TRANSMITTER_PIECE {
    PUCHAR Address;
    PFN_NUMBER Pfn;
    ULONG PageOffset;
    ULONG Length;
} TRANSMITTER_PIECE, *PTRANSMITTER_PIECE;

/* A page, or a part of one, that a request names. */
typedef struct _TRANSMITTER_FRAGMENT {
    PXENVIF_BUFFER Buffer;      /* a copy; or NULL: */
    PXENBUS_GNTTAB_ENTRY Grant; /* the packet's own page, granted in place */
    USHORT Offset;
    USHORT Length;
} TRANSMITTER_FRAGMENT, *PTRANSMITTER_FRAGMENT;

/*
 * What the client has given, and the headers that go out for it: whatever is put into them is put into a copy, of which
 * HeadersLength bytes stand for the first HeadersSource bytes of the client's packet.
 *
 * The first FrontSource bytes of the client's packet go out as the FrontLength bytes at Header; the rest goes out as it
 * lies in the chain. The front is the headers. Of a packet of less than a page into which nothing is put it is whatever
 * lies in one piece, and stays where it is.
 */
typedef struct _TRANSMITTER_DESCRIPTION {
    PMDL Mdl;
    ULONG Offset;
    ULONG Length;
    PVOID Cookie;
    PXENVIF_BUFFER Frame; /* a frame of our own; NULL: it is the client's */
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
    USHORT MaximumSegmentSize; /* other than 0: it is a large packet */
    XENVIF_PACKET_HASH Hash;
    STEERING_FLOW Flow;
    XENVIF_PACKET_CHECKSUM_FLAGS Flags; /* for the counters */
    XENVIF_PACKET_LAYOUT Layout;        /* of Header */
    BOOLEAN Whole;                      /* less than a page, all of it front, and nothing is put into it */
    const UCHAR *Header;                /* Headers, or where the client has them */
    ULONG FrontSource;
    ULONG FrontLength;
    ULONG HeadersSource;
    ULONG HeadersLength;
    UCHAR Headers[PACKET_HEADER_LIMIT + PACKET_TAG_SIZE];
} TRANSMITTER_DESCRIPTION, *PTRANSMITTER_DESCRIPTION;

typedef struct _TRANSMITTER_PACKET {
    LIST_ENTRY ListEntry; /* of one of the transmitter's lists; on the ring it is on none */
    UCHAR Status;         /* XENVIF_TRANSMITTER_PACKET_STATUS; 0 as long as nothing is against the packet */
    BOOLEAN Failed;       /* Status is an error for want of resources here, not the backend's */
    BOOLEAN Prepared;     /* made ready for this connection, as the fields below say */
    BOOLEAN Posted;       /* all of it has been put on the ring */
    BOOLEAN Blank;        /* the checksum is left to the backend */
    BOOLEAN Hashed;       /* its hash goes along */
    UCHAR GsoType;        /* XEN_NETIF_GSO_TYPE_*: so is the cutting into segments */
    BOOLEAN Cut;          /* it is cut into segments here */
    ULONG Unanswered;     /* requests on the ring */
    ULONG FragmentCount;
    TRANSMITTER_FRAGMENT Fragments[TRANSMITTER_MAXIMUM_SLOTS];
    TRANSMITTER_DESCRIPTION Description;
    SEGMENTATION Segmentation; /* if it is cut: how, */
    ULONG Segment;             /* the next segment, */
    TRANSMITTER_CURSOR Cursor; /* and where its payload begins */
} TRANSMITTER_PACKET, *PTRANSMITTER_PACKET;

/* Whose request has an ID; it is free while it is neither a packet's nor of the filter. */
typedef struct _TRANSMITTER_SLOT {
    PTRANSMITTER_PACKET Packet;
    BOOLEAN Multicast;     /* it changes the backend's multicast filter */
    PXENVIF_BUFFER Buffer; /* of a segment or a whole packet, which is not among the packet's fragments */
} TRANSMITTER_SLOT, *PTRANSMITTER_SLOT;

struct _XENVIF_TRANSMITTER {
    PXENVIF_FRONTEND Frontend;
    PXENVIF_POLLER Poller;
    PXENVIF_VIF Vif;
    PXENVIF_STATISTICS Statistics;
    PXENBUS_CACHE_INTERFACE_V2 CacheInterface;

    PXENVIF_GRANTER Granter;
    KIRQL CacheIrql; /* saved by the packet cache's own acquisition of the lock */
    PXENBUS_CACHE PacketCache;
    LIST_ENTRY Packets; /* free ones that the cache is spared until the connection ends */
    XENVIF_BUFFER_POOL Buffers;
    BOOLEAN AlwaysCopy;
    BOOLEAN ValidateChecksums;

    BOOLEAN Accepting; /* packets are queued */
    BOOLEAN Running;   /* the ring is in use */
    BOOLEAN Broken;    /* the backend has broken the protocol: the ring is not read again */
    BOOLEAN Holding;   /* nothing is put on the ring: packets are about to be steered otherwise */
    ULONG Features;    /* TRANSMITTER_*: of this connection's backend */

    LIST_ENTRY Queue; /* to be put on the ring */
    ULONG QueueLength;
    LONG Delayed;    /* packets that More holds back; written with the lock, looked at without it */
    LIST_ENTRY Held; /* done with, but for pages that the backend has still mapped */
    ULONG HeldCount;
    LIST_ENTRY Done; /* to be returned to the client */

    PXENVIF_BUFFER RingBuffer;
    PRING_HEADER Ring;
    ULONG RequestProducer;
    ULONG RequestPushed; /* what the backend has been told of RequestProducer */
    ULONG ResponseConsumer;
    TRANSMITTER_SLOT Slots[RING_ENTRIES];
    USHORT FreeIds[RING_ENTRIES];
    ULONG FreeIdCount;
    ULONG Extras; /* slots of extra info on the ring, whose answers have no ID */

    ULONG MulticastUnanswered; /* requests for the backend's filter */
    BOOLEAN MulticastWaits;    /* one waits for room, which packets must leave to it */
    BOOLEAN MulticastRefused;

    ULONG64 Requests;
    ULONG64 Responses;
    ULONG64 Notifications;
    ULONG64 Suppressed;
};

/* Empties the table of slots and the indices, for a new ring. */
VOID TransmitterRingReset(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Fills in the rest of a description of which the client's words are there: checks them, parses, and makes the headers,
 * but for a checksum that the backend may be left. Any IRQL up to DISPATCH_LEVEL, without the lock. As of
 * TransmitterQueuePacket.
 */
NTSTATUS TransmitterDescribe(_In_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_DESCRIPTION Description,
                             _In_ USHORT TagControlInformation);

/* Whether TCP's or UDP's checksum is left to us; and puts it in, or, Blank, what the backend is to complete. */
BOOLEAN TransmitterNeedsChecksum(_In_ const TRANSMITTER_DESCRIPTION *Description);
VOID TransmitterMakeChecksum(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ BOOLEAN Blank);

/* Reads on from a place in a chain: the next piece of at most Limit bytes (FALSE at the end), or so many bytes. */
VOID TransmitterCursorInitialize(_Out_ PTRANSMITTER_CURSOR Cursor, _In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length);
BOOLEAN TransmitterNextPiece(_Inout_ PTRANSMITTER_CURSOR Cursor, _In_ ULONG Limit, _Out_ PTRANSMITTER_PIECE Piece);
VOID TransmitterCopyNext(_Inout_ PTRANSMITTER_CURSOR Cursor, _Out_writes_(Length) PUCHAR Target, _In_ ULONG Length);
VOID TransmitterSumNext(_Inout_ PTRANSMITTER_CURSOR Cursor, _Inout_ PCHECKSUM Checksum, _In_ ULONG Length);

/* Slots that the ring has room for, of packets. */
ULONG TransmitterRoom(_In_ PXENVIF_TRANSMITTER Transmitter);

/* Slots of extra info that each frame of a packet needs. */
ULONG TransmitterCountExtras(_In_ const TRANSMITTER_PACKET *Packet);

/*
 * Puts one frame of a packet on the ring: Count fragments, of which the first has the headers. Segment: the fragments
 * are not the packet's own, and their copies go with the answers. There is room.
 */
VOID TransmitterPostFrame(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                          _In_reads_(Count) const TRANSMITTER_FRAGMENT *Fragments, _In_ ULONG Count,
                          _In_ BOOLEAN Segment);

/*
 * Takes a buffer for a copy; has the backend see what is in its first Length bytes, and zeroes; gives it back. It stays
 * granted when it is given back, for the next copy: until TransmitterFreeBuffers, which frees what is not in use, but
 * for the pages that the backend has mapped.
 */
PXENVIF_BUFFER TransmitterGetBuffer(_Inout_ PXENVIF_TRANSMITTER Transmitter);
_Must_inspect_result_ NTSTATUS TransmitterGrantBuffer(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                                      _Inout_ PXENVIF_BUFFER Buffer, _In_ ULONG Length);
VOID TransmitterPutBuffer(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ PXENVIF_BUFFER Buffer);
VOID TransmitterFreeBuffers(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Makes a large packet ready to be cut here. STATUS_INVALID_PARAMETER: it cannot be. */
NTSTATUS TransmitterPrepareSegments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/* Puts segments on the ring, as many as there is room for. Packet->Posted: those were the last. Or no resources. */
NTSTATUS TransmitterPostSegments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/*
 * Ends what is on a ring that is no longer in use, before it is reset: the copies in its slots, and the packets of
 * which all was on it, as dropped. Fragments stay with their packets.
 */
VOID TransmitterRingClear(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Acquires and releases the lock, at any IRQL up to DISPATCH_LEVEL. */
KIRQL TransmitterLock(_Inout_ PXENVIF_TRANSMITTER Transmitter);
VOID TransmitterUnlock(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ KIRQL Irql);

/* Gives back what was made ready for the packet that is the next to go to the ring. */
VOID TransmitterUnprepare(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Takes an object for a packet like Description, on no list (NULL: there is no memory); gives one back. */
PTRANSMITTER_PACKET TransmitterGetPacket(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                         _In_ const TRANSMITTER_DESCRIPTION *Description);
VOID TransmitterPutPacket(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ PTRANSMITTER_PACKET Packet);

/* Whether the packet at the head of the queue is one that is being cut, and some of its segments are out. */
BOOLEAN TransmitterIsCutting(_In_ PXENVIF_TRANSMITTER Transmitter);

/* Whether nothing is on the ring, and nothing more has to be. */
BOOLEAN TransmitterIsQuiet(_In_ PXENVIF_TRANSMITTER Transmitter);

/* Returns the packets that are done with. DISPATCH_LEVEL, with the lock, which is let go meanwhile. */
VOID TransmitterReturnDone(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Takes a packet that is on no list: it goes on the ring at once, or, if it cannot, to the end of the queue. */
VOID TransmitterRingTake(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/* Puts on the ring what there is room for; tells the backend; both. Packets that cannot be sent go to Done. */
VOID TransmitterRingPost(_Inout_ PXENVIF_TRANSMITTER Transmitter);
VOID TransmitterRingPush(_Inout_ PXENVIF_TRANSMITTER Transmitter);
VOID TransmitterRingFill(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Whether there is room now for a request that waits for it, of the backend's filter. */
BOOLEAN TransmitterHasMulticastRoom(_In_ PXENVIF_TRANSMITTER Transmitter);

/* Takes the responses off the ring that are there. Packets go to Done or Held. */
VOID TransmitterRingPoll(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Takes responses and fills the ring until the backend has nothing more to say, and asks for an event for the responses
 * to come. Nothing, if the ring is not in use.
 */
VOID TransmitterRingServe(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Ends the grants of a packet's fragments and gives its copies back. FALSE: the backend has a page of the client's
 * mapped. The fragments that are done with are gone either way.
 */
BOOLEAN TransmitterReleaseFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/* Takes a packet out of the queue: what is on the ring of it is waited for, in its slots. */
VOID TransmitterDequeue(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/* A packet that is done with, but for a page that the backend has still mapped, goes to Held. */
VOID TransmitterHoldBack(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/* Moves a packet that is on no list, and of which nothing is on the ring, to Done, or to Held if it must wait. */
static inline VOID TransmitterFinish(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    if (Packet->FragmentCount == 0 || TransmitterReleaseFragments(Transmitter, Packet))
        InsertTailList(&Transmitter->Done, &Packet->ListEntry);
    else
        TransmitterHoldBack(Transmitter, Packet);
}

/* The same; the packet is dropped, unless something is against it already. */
VOID TransmitterDrop(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

#endif /* XENVIF_TRANSMITTER_RING_H */
