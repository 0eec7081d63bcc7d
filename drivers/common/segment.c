#include "compat.h"
#include "segment.h"

#define ETHERNET_HEADER_SIZE 14

#define IPV4_HEADER_SIZE 20
#define IPV4_TOTAL_LENGTH 2
#define IPV4_IDENTIFICATION 4
#define IPV4_ADDRESSES 12
#define IPV4_ADDRESSES_SIZE 8

#define IPV6_HEADER_SIZE 40
#define IPV6_PAYLOAD_LENGTH 4
#define IPV6_ADDRESSES 8
#define IPV6_ADDRESSES_SIZE 32

#define TCP_PROTOCOL 6
#define TCP_HEADER_SIZE 20
#define TCP_SEQUENCE 4
#define TCP_DATA_OFFSET 12
#define TCP_FLAGS 13
#define TCP_CHECKSUM 16

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_PSH 0x08
#define TCP_FLAG_CWR 0x80

/* The largest value of either version's length. */
#define IP_MAXIMUM_LENGTH 0xFFFF

static USHORT SegmentReadUshort(_In_ const UCHAR *Field)
{
    return (USHORT)((Field[0] << 8) | Field[1]);
}

static VOID SegmentWriteUshort(_Out_ PUCHAR Field, _In_ USHORT Value)
{
    Field[0] = (UCHAR)(Value >> 8);
    Field[1] = (UCHAR)Value;
}

/* Whether the headers are there whole, and TCP's is the last and says so. */
static BOOLEAN SegmentationHasHeaders(_In_ const SEGMENTATION *Segmentation)
{
    ULONG IpSize = (Segmentation->IpVersion == 4) ? IPV4_HEADER_SIZE : IPV6_HEADER_SIZE;
    ULONG TcpOffset = Segmentation->TcpOffset;
    const UCHAR *Headers = Segmentation->Headers;

    if (Segmentation->IpVersion != 4 && Segmentation->IpVersion != 6)
        return FALSE;

    if (Segmentation->IpOffset < ETHERNET_HEADER_SIZE || TcpOffset < Segmentation->IpOffset + IpSize ||
        Segmentation->HeadersLength < TcpOffset + TCP_HEADER_SIZE)
        return FALSE;

    if (Segmentation->IpVersion == 4 &&
        TcpOffset - Segmentation->IpOffset != (ULONG)(Headers[Segmentation->IpOffset] & 0x0F) * 4)
        return FALSE;

    return Segmentation->HeadersLength - TcpOffset == (ULONG)(Headers[TcpOffset + TCP_DATA_OFFSET] >> 4) * 4;
}

BOOLEAN SegmentationInitialize(_Out_ PSEGMENTATION Segmentation, _In_reads_(HeadersLength) const UCHAR *Headers,
                               _In_ ULONG HeadersLength, _In_ UCHAR IpVersion, _In_ ULONG IpOffset,
                               _In_ ULONG TcpOffset, _In_ ULONG PayloadLength, _In_ ULONG SegmentSize)
{
    Segmentation->Headers = Headers;
    Segmentation->HeadersLength = HeadersLength;
    Segmentation->IpOffset = IpOffset;
    Segmentation->TcpOffset = TcpOffset;
    Segmentation->IpVersion = IpVersion;
    Segmentation->PayloadLength = PayloadLength;
    Segmentation->SegmentSize = SegmentSize;
    Segmentation->Count = 0;

    if (SegmentSize == 0 || !SegmentationHasHeaders(Segmentation))
        return FALSE;

    if (HeadersLength - IpOffset + min(SegmentSize, PayloadLength) > IP_MAXIMUM_LENGTH)
        return FALSE;

    Segmentation->Count = (PayloadLength <= SegmentSize) ? 1 : (PayloadLength - 1) / SegmentSize + 1;

    return TRUE;
}

ULONG SegmentPayload(_In_ const SEGMENTATION *Segmentation, _In_ ULONG Index, _Out_ PULONG Offset)
{
    *Offset = Index * Segmentation->SegmentSize;

    return min(Segmentation->SegmentSize, Segmentation->PayloadLength - *Offset);
}

VOID SegmentSetIpLength(_Inout_ PUCHAR IpHeader, _In_ UCHAR IpVersion, _In_ ULONG HeaderLength,
                        _In_ ULONG TransportLength)
{
    if (IpVersion == 4) {
        SegmentWriteUshort(IpHeader + IPV4_TOTAL_LENGTH, (USHORT)(HeaderLength + TransportLength));
        ChecksumStoreIpVersion4(IpHeader);
    } else {
        SegmentWriteUshort(IpHeader + IPV6_PAYLOAD_LENGTH, (USHORT)(HeaderLength - IPV6_HEADER_SIZE + TransportLength));
    }
}

static VOID SegmentMakeTcpHeader(_In_ const SEGMENTATION *Segmentation, _In_ ULONG Index, _In_ ULONG Offset,
                                 _Inout_ PUCHAR Tcp)
{
    ULONG Sequence;

    Sequence =
        ((ULONG)SegmentReadUshort(Tcp + TCP_SEQUENCE) << 16 | SegmentReadUshort(Tcp + TCP_SEQUENCE + 2)) + Offset;
    SegmentWriteUshort(Tcp + TCP_SEQUENCE, (USHORT)(Sequence >> 16));
    SegmentWriteUshort(Tcp + TCP_SEQUENCE + 2, (USHORT)Sequence);

    if (Index != 0)
        Tcp[TCP_FLAGS] &= (UCHAR)~TCP_FLAG_CWR;
    if (Index + 1 != Segmentation->Count)
        Tcp[TCP_FLAGS] &= (UCHAR) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);

    SegmentWriteUshort(Tcp + TCP_CHECKSUM, 0);
}

VOID SegmentBegin(_In_ const SEGMENTATION *Segmentation, _In_ ULONG Index,
                  _Out_writes_all_(Segmentation->HeadersLength) PUCHAR Headers, _Out_ PCHECKSUM Checksum)
{
    PUCHAR Ip = Headers + Segmentation->IpOffset;
    PUCHAR Tcp = Headers + Segmentation->TcpOffset;
    ULONG TcpLength = Segmentation->HeadersLength - Segmentation->TcpOffset;
    ULONG Offset;
    ULONG Payload = SegmentPayload(Segmentation, Index, &Offset);

    RtlCopyMemory(Headers, Segmentation->Headers, Segmentation->HeadersLength);

    ChecksumInitialize(Checksum);

    if (Segmentation->IpVersion == 4) {
        SegmentWriteUshort(Ip + IPV4_IDENTIFICATION, (USHORT)(SegmentReadUshort(Ip + IPV4_IDENTIFICATION) + Index));
        ChecksumAddPseudoHeader(Checksum, Ip + IPV4_ADDRESSES, IPV4_ADDRESSES_SIZE, TCP_PROTOCOL, TcpLength + Payload);
    } else {
        ChecksumAddPseudoHeader(Checksum, Ip + IPV6_ADDRESSES, IPV6_ADDRESSES_SIZE, TCP_PROTOCOL, TcpLength + Payload);
    }

    SegmentSetIpLength(Ip, Segmentation->IpVersion, (ULONG)(Tcp - Ip), TcpLength + Payload);
    SegmentMakeTcpHeader(Segmentation, Index, Offset, Tcp);

    ChecksumAdd(Checksum, Tcp, TcpLength);
}

VOID SegmentEnd(_In_ const SEGMENTATION *Segmentation, _Inout_ PUCHAR Headers, _In_ const CHECKSUM *Checksum)
{
    ChecksumStore(Headers + Segmentation->TcpOffset + TCP_CHECKSUM, ChecksumFinish(Checksum));
}
