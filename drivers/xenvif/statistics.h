/*
 * The counters of a VIF, as the client queries them (XENVIF_VIF_STATISTIC).
 *
 * A frame that the client asked to send, in a form that can be sent and not refused for a full queue, ends in exactly
 * one of: DROPPED (no connection, or the backend said so), BACKEND_ERRORS (the backend refused it), FRONTEND_ERRORS (no
 * resources here), or UNICAST, MULTICAST or BROADCAST packets (the backend took it). A frame that the backend delivered
 * ends in exactly one of: BACKEND_ERRORS (it breaks the protocol or is no frame), FRONTEND_ERRORS (no resources here),
 * DROPPED (the filter or the link keeps it out), or UNICAST, MULTICAST or BROADCAST packets (the client was given it).
 * The counters by protocol and checksum count the frames of the last kind.
 *
 * Those are counted at the end of the poll that gave them to the client: a client that asks from its callback, or from
 * elsewhere while the poll goes on, does not see those of this poll yet.
 */
#ifndef XENVIF_STATISTICS_H
#define XENVIF_STATISTICS_H

#include <ntddk.h>

#include "packet.h"
#include "vif_interface.h"

typedef struct _XENVIF_STATISTICS {
    LONG64 Value[XENVIF_VIF_STATISTIC_COUNT];
} XENVIF_STATISTICS, *PXENVIF_STATISTICS;

/* Any IRQL, from any processor. */
VOID StatisticsAdd(_Inout_ PXENVIF_STATISTICS Statistics, _In_ XENVIF_VIF_STATISTIC Index, _In_ ULONG Count);

/* STATUS_INVALID_PARAMETER: no such counter. Any IRQL. */
NTSTATUS StatisticsQuery(_In_ PXENVIF_STATISTICS Statistics, _In_ XENVIF_VIF_STATISTIC Index, _Out_ PULONGLONG Value);

/*
 * Counts a packet of Length bytes, as the client has it, that the backend took, or that the client was given, in a
 * batch of the caller's own: zeroed counters, which StatisticsFlush adds to those of the VIF, once for all packets that
 * are done with together. Large: it is one of TCP that is larger than a frame. Any IRQL.
 */
VOID StatisticsCountSent(_Inout_ PXENVIF_STATISTICS Batch, _In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ ULONG Length,
                         _In_ XENVIF_PACKET_CHECKSUM_FLAGS Flags, _In_ BOOLEAN Large);
VOID StatisticsCountReceived(_Inout_ PXENVIF_STATISTICS Batch, _In_ const XENVIF_PACKET_LAYOUT *Layout,
                             _In_ ULONG Length, _In_ XENVIF_PACKET_CHECKSUM_FLAGS Flags, _In_ BOOLEAN Large);

VOID StatisticsFlush(_Inout_ PXENVIF_STATISTICS Statistics, _In_ const XENVIF_STATISTICS *Batch);

#endif /* XENVIF_STATISTICS_H */
