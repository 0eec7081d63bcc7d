/*
 * What a client may be spared of a received frame: its tag and its checksums.
 *
 * A backend says of a frame that its checksum is blank, which means that the data never left a machine and is right
 * (NETRXF_csum_blank), that somebody has seen that it is right (NETRXF_data_validated), or nothing. A large frame
 * counts as blank whatever it says: nothing is taken from its checksum (field bug FB4).
 */
#include "bug.h"
#include "receiver_ring.h"

/* The tag that is taken out (IEEE 802.1Q); a service tag stays, as the client could not tell it. */
#define TAG_PROTOCOL 0x8100
#define TAG_OFFSET 12

VOID ReceiverRemoveTag(_Inout_ PRECEIVER_PACKET Packet)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    PUCHAR Header = First->Address + First->Offset;

    if (!Packet->Layout.Tagged || Header[TAG_OFFSET] != (UCHAR)(TAG_PROTOCOL >> 8) ||
        Header[TAG_OFFSET + 1] != (UCHAR)TAG_PROTOCOL)
        return;

    Packet->TagControlInformation = (USHORT)((Header[TAG_OFFSET + 2] << 8) | Header[TAG_OFFSET + 3]);

    RtlMoveMemory(Header + PACKET_TAG_SIZE, Header, TAG_OFFSET);
    First->Offset += PACKET_TAG_SIZE;
    First->Length -= PACKET_TAG_SIZE;
    Packet->Length -= PACKET_TAG_SIZE;
    PacketShift(&Packet->Layout, -PACKET_TAG_SIZE);
}

/* Whether the client wants to be told of the checksum that the packet's transport has. */
static BOOLEAN ReceiverWantsChecksum(_In_ XENVIF_VIF_OFFLOAD_OPTIONS Options, _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    if (Layout->Info.TcpHeader.Length != 0)
        return (Layout->IpVersion == 4) ? Options.OffloadIpVersion4TcpChecksum : Options.OffloadIpVersion6TcpChecksum;

    if (Layout->Info.UdpHeader.Length != 0)
        return (Layout->IpVersion == 4) ? Options.OffloadIpVersion4UdpChecksum : Options.OffloadIpVersion6UdpChecksum;

    return FALSE;
}

/* Adds the transport's pseudo-header, header and data, over all pages of the frame. */
static VOID ReceiverSumTransport(_In_ PRECEIVER_PACKET Packet, _Inout_ PCHECKSUM Checksum)
{
    const XENVIF_PACKET_LAYOUT *Layout = &Packet->Layout;
    PXENVIF_BUFFER Buffer = ReceiverFirstBuffer(Packet);
    BOOLEAN Tcp = Layout->Info.TcpHeader.Length != 0;
    ULONG Offset = Tcp ? Layout->Info.TcpHeader.Offset : Layout->Info.UdpHeader.Offset;
    ULONG Remaining = Layout->TransportLength;

    PacketAddPseudoHeader(Checksum, Buffer->Address + Buffer->Offset, Layout);

    for (; Buffer != NULL && Remaining != 0; Buffer = ReceiverNextBuffer(Packet, Buffer)) {
        ULONG Length = min(Buffer->Length - Offset, Remaining);

        ChecksumAdd(Checksum, Buffer->Address + Buffer->Offset + Offset, Length);
        Remaining -= Length;
        Offset = 0;
    }
}

static PUCHAR ReceiverHeader(_In_ PRECEIVER_PACKET Packet)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);

    return First->Address + First->Offset;
}

/* Calculates the TCP or UDP checksum and stores it. */
static VOID ReceiverFillChecksum(_Inout_ PRECEIVER_PACKET Packet)
{
    PUCHAR Field = ReceiverHeader(Packet) + PacketChecksumOffset(&Packet->Layout);
    CHECKSUM Checksum;

    ChecksumStore(Field, 0);
    ChecksumInitialize(&Checksum);
    ReceiverSumTransport(Packet, &Checksum);
    ChecksumStore(Field, PacketChecksumValue(&Checksum, &Packet->Layout));
}

BOOLEAN ReceiverIsBlank(_In_ const RECEIVER_PACKET *Packet)
{
    return Packet->GsoType != XEN_NETIF_GSO_TYPE_NONE || (Packet->SlotFlags & NETRXF_csum_blank) != 0;
}

/* What is known of the transport's checksum, which is filled in if it is blank and the client needs it. */
static PACKET_VERDICT ReceiverJudgeTransport(_In_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                                             _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    BOOLEAN Wanted = ReceiverWantsChecksum(Options, &Packet->Layout);
    CHECKSUM Checksum;

    if (ReceiverIsBlank(Packet)) {
        if (!Wanted || Options.NeedChecksumValue || Receiver->CalculateChecksums)
            ReceiverFillChecksum(Packet);

        return Wanted ? PACKET_SUCCEEDED : PACKET_NOT_VALIDATED;
    }

    if (!Wanted)
        return PACKET_NOT_VALIDATED;

    if (Packet->SlotFlags & NETRXF_data_validated)
        return PACKET_SUCCEEDED;

    if (PacketLacksChecksum(&Packet->Layout, ReceiverHeader(Packet)))
        return PacketJudgeLackOfChecksum(&Packet->Layout);

    ChecksumInitialize(&Checksum);
    ReceiverSumTransport(Packet, &Checksum);

    return (ChecksumFold(&Checksum) == 0xFFFF) ? PACKET_SUCCEEDED : PACKET_FAILED;
}

static PACKET_VERDICT ReceiverJudgeIp(_In_ PRECEIVER_PACKET Packet, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    const UCHAR *Ip = ReceiverHeader(Packet) + Packet->Layout.Info.IpHeader.Offset;

    if (Packet->Layout.IpVersion != 4 || !Options.OffloadIpVersion4HeaderChecksum)
        return PACKET_NOT_VALIDATED;

    return ChecksumVerifyIpVersion4(Ip) ? PACKET_SUCCEEDED : PACKET_FAILED;
}

VOID ReceiverJudgeChecksums(_In_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                            _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    PACKET_VERDICT Ip = ReceiverJudgeIp(Packet, Options);
    PACKET_VERDICT Transport = PACKET_NOT_VALIDATED;

    if (Packet->Layout.Info.TcpHeader.Length != 0 || Packet->Layout.Info.UdpHeader.Length != 0)
        Transport = ReceiverJudgeTransport(Receiver, Packet, Options);

    Packet->Flags = PacketChecksumFlags(&Packet->Layout, Ip, Transport);
}

VOID ReceiverJudgeSegments(_Inout_ PRECEIVER_PACKET Packet, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    BOOLEAN Wanted = ReceiverWantsChecksum(Options, &Packet->Layout);

    Packet->Flags = PacketChecksumFlags(
        &Packet->Layout, Options.OffloadIpVersion4HeaderChecksum ? PACKET_SUCCEEDED : PACKET_NOT_VALIDATED,
        Wanted ? PACKET_SUCCEEDED : PACKET_NOT_VALIDATED);
}
