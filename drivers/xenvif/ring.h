/*
 * Access to the shared rings of xen/io/netif.h: io/ring.h gives the layout, this the access.
 *
 * Whatever the backend can write is read once, atomically, into a value of our own. Indices run freely modulo 2^32; a
 * ring has RING_ENTRIES entries. req_prod and rsp_event are ours to write, rsp_prod and req_event the backend's.
 */
#ifndef XENVIF_RING_H
#define XENVIF_RING_H

#include "compat.h"

#include <xen/xen.h>
#include <xen/io/netif.h>

#define RING_ENTRIES 256
#define RING_INDEX(_Index) ((_Index) & (RING_ENTRIES - 1))

C_ASSERT(__CONST_RING_SIZE(netif_tx, PAGE_SIZE) == RING_ENTRIES);
C_ASSERT(__CONST_RING_SIZE(netif_rx, PAGE_SIZE) == RING_ENTRIES);

/* What both rings begin with. */
typedef struct _RING_HEADER {
    ULONG RequestProducer;
    ULONG RequestEvent;
    ULONG ResponseProducer;
    ULONG ResponseEvent;
} RING_HEADER, *PRING_HEADER;

C_ASSERT(FIELD_OFFSET(struct netif_tx_sring, req_prod) == FIELD_OFFSET(RING_HEADER, RequestProducer));
C_ASSERT(FIELD_OFFSET(struct netif_tx_sring, req_event) == FIELD_OFFSET(RING_HEADER, RequestEvent));
C_ASSERT(FIELD_OFFSET(struct netif_tx_sring, rsp_prod) == FIELD_OFFSET(RING_HEADER, ResponseProducer));
C_ASSERT(FIELD_OFFSET(struct netif_tx_sring, rsp_event) == FIELD_OFFSET(RING_HEADER, ResponseEvent));
C_ASSERT(FIELD_OFFSET(struct netif_tx_sring, ring) == FIELD_OFFSET(struct netif_rx_sring, ring));

/* Makes an empty ring of a zeroed page: the first request and the first response are to be notified. */
static inline VOID RingInitialize(_Out_ PRING_HEADER Ring)
{
    WriteULongNoFence(&Ring->RequestEvent, 1);
    WriteULongNoFence(&Ring->ResponseEvent, 1);
}

/* The responses made so far; whatever they say is visible once this has been read. */
static inline ULONG RingResponseProducer(_In_ PRING_HEADER Ring)
{
    return ReadULongAcquire(&Ring->ResponseProducer);
}

/*
 * Publishes the requests up to New, Old being what was published before. TRUE: the backend sleeps and asked to be
 * notified. The fence orders the index against the backend's wish, which it writes before it looks at the index again.
 */
static inline BOOLEAN RingPushRequests(_Inout_ PRING_HEADER Ring, _In_ ULONG Old, _In_ ULONG New)
{
    WriteULongRelease(&Ring->RequestProducer, New);
    KeMemoryBarrier();

    return New - ReadULongAcquire(&Ring->RequestEvent) < New - Old;
}

/*
 * Asks for an event when response number Event - 1 is made. The caller must look at RingResponseProducer again before
 * it sleeps: the response may have been made before the wish was seen.
 */
static inline VOID RingRequestEvent(_Inout_ PRING_HEADER Ring, _In_ ULONG Event)
{
    WriteULongNoFence(&Ring->ResponseEvent, Event);
    KeMemoryBarrier();
}

/* The entry at an index; Size is that of an entry. */
static inline PVOID RingEntry(_In_ PRING_HEADER Ring, _In_ ULONG Index, _In_ ULONG Size)
{
    return (PUCHAR)Ring + FIELD_OFFSET(struct netif_tx_sring, ring) + RING_INDEX(Index) * Size;
}

#endif /* XENVIF_RING_H */
