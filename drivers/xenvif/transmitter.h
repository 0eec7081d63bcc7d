/*
 * The transmit side of a queue: from the client's packet to requests on the ring, and back to the client.
 *
 * A packet is queued, put on the ring as soon as there is room, and returned to the client exactly once, from the
 * poller's DPC or, when the ring goes, from the frontend's thread; never from within TransmitterQueuePacket. The queue
 * is bounded.
 *
 * What the client leaves to us (a tag, checksums, the cutting of a large packet) is done by the backend where it has
 * the feature, and here where it has not: what is offered to the client does not depend on the backend.
 *
 * What the backend gets to see of a packet is its bytes and nothing else (field bug FB19). A page of the packet is
 * granted in place only when the packet covers it all; every other piece, and the headers always, are copied into pages
 * of our own whose rest is zero. The registry's TransmitterAlwaysCopy (DWORD) has everything copied. Grants are
 * read-only. That of a page of the packet lasts from the request to its response; those of our own pages last as long
 * as the connection, so that a frame that is copied takes none: such a page shows what was sent in it last.
 *
 * Lock: the granter's. It guards the private indices of the ring, the table of slots, the lists of packets and the pool
 * of copies. It is a leaf but for what the bus takes below it.
 */
#ifndef XENVIF_TRANSMITTER_H
#define XENVIF_TRANSMITTER_H

#include <ntddk.h>

#include "steering.h"
#include "vif_interface.h"

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_QUEUE XENVIF_QUEUE, *PXENVIF_QUEUE;
typedef struct _XENVIF_TRANSMITTER XENVIF_TRANSMITTER, *PXENVIF_TRANSMITTER;
typedef struct _XENVIF_BUFFER XENVIF_BUFFER, *PXENVIF_BUFFER;

_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS TransmitterInitialize(_In_ PXENVIF_QUEUE Queue, _Outptr_ PXENVIF_TRANSMITTER *Transmitter);

/* What a backend takes of us; a mask. */
#define TRANSMITTER_GATHER 0x01      /* packets of several slots: feature-sg */
#define TRANSMITTER_CHECKSUM_V4 0x02 /* blank checksums: unless feature-no-csum-offload */
#define TRANSMITTER_CHECKSUM_V6 0x04 /* feature-ipv6-csum-offload */
#define TRANSMITTER_LARGE_V4 0x08    /* TCP packets that it cuts: feature-gso-tcpv4 */
#define TRANSMITTER_LARGE_V6 0x10    /* feature-gso-tcpv6 */

/* Makes the ring and grants it to Domain, whose backend has Features (TRANSMITTER_*). */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS TransmitterConnect(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ USHORT Domain, _In_ ULONG Features);

/* Packets are queued from here on, to be sent when the ring is enabled. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID TransmitterAccept(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* From here on packets are refused; those in the queue are returned as dropped. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID TransmitterRefuse(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* The ring is in use from here on: both sides are connected. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID TransmitterEnable(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* The ring is not touched from here on. IRQL <= DISPATCH_LEVEL; may be called again. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID TransmitterDisable(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Takes the ring away and returns the packets that are on it: as the backend's answers say where it gave them, else as
 * dropped. Packets with a page that the backend still has mapped are held back (TransmitterRetryHeld). The poller is
 * disabled. There is a ring. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID TransmitterDisconnect(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* What becomes of a packet with a page that the backend still has mapped. */
typedef enum _TRANSMITTER_PATIENCE {
    TRANSMITTER_WAIT,    /* it is held back */
    TRANSMITTER_ABANDON, /* it is returned as an error if there is memory to note its grants */
    TRANSMITTER_LOSE     /* it is returned as an error; grants that there is no memory for stand for good */
} TRANSMITTER_PATIENCE;

/*
 * Tries to return the packets that are held back. The pages of those that are given up are in the backend's sight until
 * it lets go. PASSIVE_LEVEL. How many are still held.
 */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG TransmitterRetryHeld(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ TRANSMITTER_PATIENCE Patience);

/* TRUE: backends hold on to so many pages that no more are to be granted. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN TransmitterIsOverheld(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Tries to free pages in quarantine. PASSIVE_LEVEL. How many grants still stand. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG TransmitterRetryGrants(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* What has become of the addresses that the backend was sent for its filter. */
typedef enum _TRANSMITTER_MULTICAST_STATE {
    TRANSMITTER_MULTICAST_KNOWN,   /* it has answered for each */
    TRANSMITTER_MULTICAST_PENDING, /* it has not yet */
    TRANSMITTER_MULTICAST_REFUSED  /* it has not taken one of them, on this connection */
} TRANSMITTER_MULTICAST_STATE;

/*
 * Has the backend's multicast filter let Address in (Add) or no longer. FALSE: there is no room on the ring; room is
 * kept, and the frontend's thread woken when it is there. IRQL <= DISPATCH_LEVEL.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN TransmitterSendMulticast(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ const ETHERNET_ADDRESS *Address,
                                 _In_ BOOLEAN Add);

/* IRQL <= DISPATCH_LEVEL. The frontend's thread is woken when this changes. */
_IRQL_requires_max_(DISPATCH_LEVEL)
TRANSMITTER_MULTICAST_STATE TransmitterQueryMulticast(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* All packets must have been returned. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID TransmitterTeardown(_In_ PXENVIF_TRANSMITTER Transmitter);

/* The reference of the ring's page, between TransmitterConnect and TransmitterDisconnect. */
ULONG TransmitterRingReference(_In_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Takes responses off the ring, puts packets on it, returns packets. DISPATCH_LEVEL, by the poller. How many responses
 * have been taken in all; it wraps.
 */
_IRQL_requires_(DISPATCH_LEVEL)
ULONG TransmitterPoll(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * As of the interface, to the queue that the packet belongs to. IRQL <= DISPATCH_LEVEL. STATUS_DEVICE_BUSY: the queue
 * is full; it moves when packets come back. With it, and with any other failure, what waited for More goes too.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS TransmitterQueuePacket(_In_ PXENVIF_FRONTEND Frontend, _In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length,
                                _In_ XENVIF_VIF_OFFLOAD_OPTIONS OffloadOptions, _In_ USHORT MaximumSegmentSize,
                                _In_ USHORT TagControlInformation, _In_opt_ PXENVIF_PACKET_HASH Hash, _In_ BOOLEAN More,
                                _In_opt_ PVOID Cookie);

/*
 * Sends a frame of our own, the first Length bytes of Buffer, as a packet among the client's; it counts as one. Less
 * than a page, so that the backend gets a copy, which it may keep without keeping Buffer. The buffer is the
 * transmitter's from here on, whatever the status is. As of TransmitterQueuePacket.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS TransmitterSendFrame(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENVIF_BUFFER Buffer, _In_ ULONG Length);

/*
 * Puts nothing on the ring from here on; TransmitterSteer ends it. IRQL <= DISPATCH_LEVEL. The frontend's thread is
 * woken when nothing is on the ring any more.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID TransmitterHold(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/* Whether nothing is on the ring. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN TransmitterIsIdle(_Inout_ PXENVIF_TRANSMITTER Transmitter);

/*
 * Has packets steered otherwise from now on: among the first Count of the frontend's transmitters, by Mapping. Those
 * that wait go where they belong now. PASSIVE_LEVEL, by the frontend's thread; no order is broken if nothing is on the
 * rings.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID TransmitterSteer(_In_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count, _In_ const STEERING_MAPPING *Mapping);

/* The same for every backend. Any IRQL. */
VOID TransmitterQueryOffloadOptions(_Out_ PXENVIF_VIF_OFFLOAD_OPTIONS Options);
VOID TransmitterQueryLargePacketSize(_In_ UCHAR Version, _Out_ PULONG Size);
ULONG TransmitterQueryRingSize(VOID);

/* Prints indices and counts, from a debug callback. */
VOID TransmitterDebug(_In_ PXENVIF_TRANSMITTER Transmitter);

#endif /* XENVIF_TRANSMITTER_H */
