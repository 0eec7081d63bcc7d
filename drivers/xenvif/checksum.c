#include "compat.h"
#include "checksum.h"

#define IPV4_SOURCE 12 /* source and destination, 4 bytes each */
#define IPV4_ADDRESSES 8
#define IPV6_SOURCE 8 /* source and destination, 16 bytes each */
#define IPV6_ADDRESSES 32

VOID ChecksumInitialize(_Out_ PXENVIF_CHECKSUM Checksum)
{
    Checksum->Sum = 0;
    Checksum->Odd = FALSE;
}

VOID ChecksumAdd(_Inout_ PXENVIF_CHECKSUM Checksum, _In_reads_(Length) const UCHAR *Buffer, _In_ ULONG Length)
{
    ULONG Index = 0;

    if (Checksum->Odd && Length != 0) {
        Checksum->Sum += Buffer[0];
        Checksum->Odd = FALSE;
        Index = 1;
    }

    for (; Index + 1 < Length; Index += 2)
        Checksum->Sum += ((ULONG)Buffer[Index] << 8) | Buffer[Index + 1];

    if (Index < Length) {
        Checksum->Sum += (ULONG)Buffer[Index] << 8;
        Checksum->Odd = TRUE;
    }
}

VOID ChecksumAddPseudoHeader(_Inout_ PXENVIF_CHECKSUM Checksum, _In_ const UCHAR *Header,
                             _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    const UCHAR *Ip = Header + Layout->Info.IpHeader.Offset;

    if (Layout->IpVersion == 4)
        ChecksumAdd(Checksum, Ip + IPV4_SOURCE, IPV4_ADDRESSES);
    else
        ChecksumAdd(Checksum, Ip + IPV6_SOURCE, IPV6_ADDRESSES);

    Checksum->Sum += (Layout->Info.TcpHeader.Length != 0) ? PACKET_PROTOCOL_TCP : PACKET_PROTOCOL_UDP;
    Checksum->Sum += Layout->TransportLength;
}

USHORT ChecksumFinish(_In_ const XENVIF_CHECKSUM *Checksum)
{
    ULONG64 Sum = Checksum->Sum;

    while ((Sum >> 16) != 0)
        Sum = (Sum & 0xFFFF) + (Sum >> 16);

    return (USHORT)~Sum;
}
