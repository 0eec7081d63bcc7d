/*
 * Which queue sends which packet: by the hash that the client gives, or one of our own over addresses and, for TCP,
 * ports, through the client's mapping of hash values if there is one. Packets of a flow stay in one queue, and so in
 * order.
 *
 * Senders look at it without a lock and look again under the lock of the transmitter that they have chosen; whoever
 * changes it holds the locks of all (TransmitterSteer).
 */
#ifndef XENVIF_STEERING_H
#define XENVIF_STEERING_H

#include "compat.h"

#include <ntddk.h>

#include "packet.h"
#include "vif_interface.h"

/* Entries of a mapping, at most: as many as Windows' receive-side scaling has (NDIS_RSS_INDIRECTION_TABLE). */
#define STEERING_MAXIMUM_MAPPING 128

/* Queue by hash value modulo Size, a power of two; Size 0: there is no mapping. */
typedef struct _STEERING_MAPPING {
    ULONG Size;
    ULONG Queue[STEERING_MAXIMUM_MAPPING];
} STEERING_MAPPING, *PSTEERING_MAPPING;

/* What a packet is steered by. */
typedef struct _STEERING_FLOW {
    BOOLEAN Hashed; /* the client has given Value */
    ULONG Value;
} STEERING_FLOW, *PSTEERING_FLOW;

#define STEERING_COUNT_MASK 0x1Fu

typedef struct _XENVIF_STEERING {
    ULONG State; /* the number of changes so far, and the number of queues in the lowest bits: read at once */
    ULONG MappingSize;
    ULONG Mapping[STEERING_MAXIMUM_MAPPING];
    TOEPLITZ Toeplitz;
} XENVIF_STEERING, *PXENVIF_STEERING;

/* One queue takes all. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS SteeringInitialize(_Outptr_ PXENVIF_STEERING *Steering);
_IRQL_requires_(PASSIVE_LEVEL)
VOID SteeringTeardown(_In_ PXENVIF_STEERING Steering);

/* What a client says of a packet's hash. Any IRQL. */
static inline VOID SteeringFlow(_In_opt_ PXENVIF_PACKET_HASH Hash, _Out_ PSTEERING_FLOW Flow)
{
    Flow->Hashed = Hash != NULL && Hash->Algorithm != XENVIF_PACKET_HASH_ALGORITHM_NONE;
    Flow->Value = Flow->Hashed ? Hash->Value : 0;
}

/* The queue of a packet, one of several, in the state that Version is the number of. IRQL <= DISPATCH_LEVEL. */
ULONG SteeringSelectOf(_In_ PXENVIF_STEERING Steering, _In_ ULONG Version, _In_ const STEERING_FLOW *Flow,
                       _In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout);

/*
 * The queue of a packet whose headers are at Header, and the number of the state that says so. IRQL <= DISPATCH_LEVEL.
 */
static inline ULONG SteeringSelect(_In_ PXENVIF_STEERING Steering, _In_ const STEERING_FLOW *Flow,
                                   _In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout,
                                   _Out_ PULONG Version)
{
    *Version = ReadULongAcquire(&Steering->State);

    if ((*Version & STEERING_COUNT_MASK) == 1)
        return 0;

    return SteeringSelectOf(Steering, *Version, Flow, Header, Layout);
}

/* Whether SteeringSelect would still say so. With the lock of any transmitter. */
static inline BOOLEAN SteeringIsCurrent(_In_ PXENVIF_STEERING Steering, _In_ ULONG Version)
{
    return ReadULongNoFence(&Steering->State) == Version;
}

/* Count queues are in use from now on. With the locks of all transmitters. */
VOID SteeringSet(_Inout_ PXENVIF_STEERING Steering, _In_ ULONG Count, _In_ const STEERING_MAPPING *Mapping);

#endif /* XENVIF_STEERING_H */
