#include "compat.h"
#include "statistics.h"

/* The counters of one direction follow one another in the same order as the other's. */
C_ASSERT(XENVIF_RECEIVER_BROADCAST_OCTETS - XENVIF_RECEIVER_UNICAST_PACKETS ==
         XENVIF_TRANSMITTER_BROADCAST_OCTETS - XENVIF_TRANSMITTER_UNICAST_PACKETS);
C_ASSERT(XENVIF_RECEIVER_UDP_CHECKSUM_NOT_VALIDATED - XENVIF_RECEIVER_TAGGED_PACKETS ==
         XENVIF_TRANSMITTER_UDP_CHECKSUM_NOT_VALIDATED - XENVIF_TRANSMITTER_TAGGED_PACKETS);

/* Places relative to UNICAST_PACKETS and to TAGGED_PACKETS. */
#define STATISTICS_MULTICAST (XENVIF_TRANSMITTER_MULTICAST_PACKETS - XENVIF_TRANSMITTER_UNICAST_PACKETS)
#define STATISTICS_BROADCAST (XENVIF_TRANSMITTER_BROADCAST_PACKETS - XENVIF_TRANSMITTER_UNICAST_PACKETS)
#define STATISTICS_OF(_Name) (XENVIF_TRANSMITTER_##_Name - XENVIF_TRANSMITTER_TAGGED_PACKETS)
#define STATISTICS_LAST_CHECKSUM (STATISTICS_OF(UDP_CHECKSUM_NOT_VALIDATED) - STATISTICS_OF(IPV4_CHECKSUM_SUCCEEDED))

VOID StatisticsAdd(_Inout_ PXENVIF_STATISTICS Statistics, _In_ XENVIF_VIF_STATISTIC Index, _In_ ULONG Count)
{
    (VOID) InterlockedExchangeAdd64(&Statistics->Value[Index], Count);
}

NTSTATUS StatisticsQuery(_In_ PXENVIF_STATISTICS Statistics, _In_ XENVIF_VIF_STATISTIC Index, _Out_ PULONGLONG Value)
{
    if ((ULONG)Index >= XENVIF_VIF_STATISTIC_COUNT)
        return STATUS_INVALID_PARAMETER;

    *Value = (ULONGLONG)InterlockedExchangeAdd64(&Statistics->Value[Index], 0);

    return STATUS_SUCCESS;
}

static VOID StatisticsIncrement(_Inout_ PXENVIF_STATISTICS Batch, _In_ XENVIF_VIF_STATISTIC Tagged, _In_ ULONG Place)
{
    Batch->Value[(ULONG)Tagged + Place]++;
}

static VOID StatisticsCountType(_Inout_ PXENVIF_STATISTICS Batch, _In_ XENVIF_VIF_STATISTIC Unicast,
                                _In_ ETHERNET_ADDRESS_TYPE Type, _In_ ULONG Length)
{
    ULONG Index = Unicast;

    if (Type == ETHERNET_ADDRESS_MULTICAST)
        Index += STATISTICS_MULTICAST;
    else if (Type == ETHERNET_ADDRESS_BROADCAST)
        Index += STATISTICS_BROADCAST;

    Batch->Value[Index]++;
    Batch->Value[Index + 1] += Length;
}

static VOID StatisticsCountProtocols(_Inout_ PXENVIF_STATISTICS Batch, _In_ XENVIF_VIF_STATISTIC Tagged,
                                     _In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ BOOLEAN Large)
{
    if (Layout->Tagged)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(TAGGED_PACKETS));
    if (Layout->Info.LLCSnapHeader.Length != 0)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(LLC_SNAP_PACKETS));
    if (Layout->IpVersion == 4)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(IPV4_PACKETS));
    if (Layout->IpVersion == 6)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(IPV6_PACKETS));
    if (Layout->Info.TcpHeader.Length != 0)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(TCP_PACKETS));
    if (Layout->Info.UdpHeader.Length != 0)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(UDP_PACKETS));
    if (Large)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(GSO_PACKETS));
}

static VOID StatisticsCountChecksums(_Inout_ PXENVIF_STATISTICS Batch, _In_ XENVIF_VIF_STATISTIC Tagged,
                                     _In_ XENVIF_PACKET_CHECKSUM_FLAGS Flags)
{
    ULONG Left;
    ULONG Bit;

    /* The flags are in the order of the counters. */
    for (Left = Flags.Value & ((2u << STATISTICS_LAST_CHECKSUM) - 1); _BitScanForward(&Bit, Left); Left &= Left - 1)
        StatisticsIncrement(Batch, Tagged, STATISTICS_OF(IPV4_CHECKSUM_SUCCEEDED) + Bit);
}

VOID StatisticsCountSent(_Inout_ PXENVIF_STATISTICS Batch, _In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ ULONG Length,
                         _In_ XENVIF_PACKET_CHECKSUM_FLAGS Flags, _In_ BOOLEAN Large)
{
    StatisticsCountType(Batch, XENVIF_TRANSMITTER_UNICAST_PACKETS, Layout->Type, Length);
    StatisticsCountProtocols(Batch, XENVIF_TRANSMITTER_TAGGED_PACKETS, Layout, Large);
    StatisticsCountChecksums(Batch, XENVIF_TRANSMITTER_TAGGED_PACKETS, Flags);
}

VOID StatisticsCountReceived(_Inout_ PXENVIF_STATISTICS Batch, _In_ const XENVIF_PACKET_LAYOUT *Layout,
                             _In_ ULONG Length, _In_ XENVIF_PACKET_CHECKSUM_FLAGS Flags, _In_ BOOLEAN Large)
{
    StatisticsCountType(Batch, XENVIF_RECEIVER_UNICAST_PACKETS, Layout->Type, Length);
    StatisticsCountProtocols(Batch, XENVIF_RECEIVER_TAGGED_PACKETS, Layout, Large);
    StatisticsCountChecksums(Batch, XENVIF_RECEIVER_TAGGED_PACKETS, Flags);
}

VOID StatisticsFlush(_Inout_ PXENVIF_STATISTICS Statistics, _In_ const XENVIF_STATISTICS *Batch)
{
    ULONG Index;

    for (Index = 0; Index < XENVIF_VIF_STATISTIC_COUNT; Index++)
        if (Batch->Value[Index] != 0)
            (VOID) InterlockedExchangeAdd64(&Statistics->Value[Index], Batch->Value[Index]);
}
