/*
 * Inside of the transmitter: what transmitter.c (queue, packets, completion) and transmitter_ring.c (fragments, slots,
 * shared ring) share. All of it is guarded by the granter's lock unless said otherwise.
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
#include "statistics.h"
#include "transmitter.h"
#include "vif.h"

/* What every backend takes, however little it says. */
#define TRANSMITTER_MAXIMUM_SLOTS XEN_NETIF_NR_SLOTS_MIN

/* A page, or a part of one, that a request names. */
typedef struct _TRANSMITTER_FRAGMENT {
    PXENVIF_BUFFER Buffer;      /* a copy; or NULL: */
    PXENBUS_GNTTAB_ENTRY Grant; /* the packet's own page, granted in place */
    USHORT Offset;
    USHORT Length;
} TRANSMITTER_FRAGMENT, *PTRANSMITTER_FRAGMENT;

typedef struct _TRANSMITTER_PACKET {
    LIST_ENTRY ListEntry; /* of one of the transmitter's lists */
    PMDL Mdl;
    ULONG Offset;
    ULONG Length;
    PVOID Cookie;
    XENVIF_PACKET_LAYOUT Layout;
    STEERING_FLOW Flow;
    UCHAR Status;        /* XENVIF_TRANSMITTER_PACKET_STATUS; 0 as long as nothing is against the packet */
    BOOLEAN Failed;      /* Status is an error for want of resources here, not the backend's */
    ULONG FragmentCount; /* 0: not made yet */
    ULONG Unanswered;    /* requests on the ring */
    TRANSMITTER_FRAGMENT Fragments[TRANSMITTER_MAXIMUM_SLOTS];
} TRANSMITTER_PACKET, *PTRANSMITTER_PACKET;

/* Whose request has an ID; Packet is NULL while the ID is free. */
typedef struct _TRANSMITTER_SLOT {
    PTRANSMITTER_PACKET Packet;
    ULONG Fragment;
} TRANSMITTER_SLOT;

struct _XENVIF_TRANSMITTER {
    PXENVIF_FRONTEND Frontend;
    PXENVIF_POLLER Poller;
    PXENVIF_VIF Vif;
    PXENVIF_STATISTICS Statistics;
    PXENBUS_CACHE_INTERFACE_V2 CacheInterface;

    PXENVIF_GRANTER Granter;
    KIRQL CacheIrql; /* saved by the packet cache's own acquisition of the lock */
    PXENBUS_CACHE PacketCache;
    XENVIF_BUFFER_POOL Buffers;
    BOOLEAN AlwaysCopy;

    BOOLEAN Accepting; /* packets are queued */
    BOOLEAN Running;   /* the ring is in use */
    BOOLEAN Broken;    /* the backend has broken the protocol: the ring is not read again */
    BOOLEAN Gather;
    BOOLEAN Holding; /* nothing is put on the ring: packets are about to be steered otherwise */

    LIST_ENTRY Queue; /* to be put on the ring */
    ULONG QueueLength;
    LIST_ENTRY Sent; /* on the ring */
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

    ULONG64 Requests;
    ULONG64 Responses;
    ULONG64 Notifications;
    ULONG64 Suppressed;
};

/* Empties the table of slots and the indices, for a new ring. */
VOID TransmitterRingReset(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Copies up to Size bytes from the start of a packet whose MDLs are mapped. Any IRQL up to DISPATCH_LEVEL, without the
 * lock. How many bytes.
 */
ULONG TransmitterCopyHeader(_In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length,
                            _Out_writes_to_(Size, return ) PUCHAR Header, _In_ ULONG Size);

/* Acquires and releases the lock, at any IRQL up to DISPATCH_LEVEL. */
KIRQL TransmitterLock(_Inout_ PXENVIF_TRANSMITTER Transmitter);
VOID TransmitterUnlock(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ KIRQL Irql);

/* Gives back what was made ready for the packet that is the next to go to the ring. */
VOID TransmitterUnprepare(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Takes an object for a packet like Description, on no list; NULL: there is no memory. */
PTRANSMITTER_PACKET TransmitterGetPacket(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                         _In_ const TRANSMITTER_PACKET *Description);

/* Returns the packets that are done with. DISPATCH_LEVEL, with the lock, which is let go meanwhile. */
VOID TransmitterReturnDone(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Puts on the ring what there is room for, and tells the backend. Packets that cannot be sent go to Done. */
VOID TransmitterRingFill(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Takes all responses off the ring, and asks for an event for the ones to come. Packets go to Done or Held. */
VOID TransmitterRingPoll(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Ends the grants of a packet's fragments and gives its copies back. FALSE: the backend has a page of the client's
 * mapped. The fragments that are done with are gone either way.
 */
BOOLEAN TransmitterReleaseFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

/* Moves a packet that is on no list, and of which nothing is on the ring, to Done, or to Held if it must wait. */
VOID TransmitterFinish(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet);

#endif /* XENVIF_TRANSMITTER_RING_H */
