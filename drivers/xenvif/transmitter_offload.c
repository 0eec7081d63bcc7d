/*
 * What a client asks for with a packet, and the headers that the packet gets for it.
 *
 * Everything that a client may ask for is offered whatever the backend can do: a tag and an IPv4 checksum are put into
 * the headers here in any case, the rest is left to the backend where it has the feature and done here where not. That
 * is decided when the packet's turn comes, because connections come and go.
 */
#include "bug.h"
#include "frontend.h"
#include "segment.h"
#include "transmitter_ring.h"

/* The tag that is put into a frame (IEEE 802.1Q). */
#define TAG_PROTOCOL 0x8100
#define TAG_OFFSET 12

/*
 * The limit of a large packet: with the longest headers that are understood, and a tag, it is as long as the ring can
 * say.
 */
#define TRANSMITTER_LARGE_SIZE (XEN_NETIF_MAX_TX_SIZE - PACKET_HEADER_LIMIT - PACKET_TAG_SIZE)

VOID TransmitterQueryOffloadOptions(_Out_ PXENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    Options->Value = 0;
    Options->OffloadTagManipulation = 1;
    Options->OffloadIpVersion4LargePacket = 1;
    Options->OffloadIpVersion4HeaderChecksum = 1;
    Options->OffloadIpVersion4TcpChecksum = 1;
    Options->OffloadIpVersion4UdpChecksum = 1;
    Options->OffloadIpVersion6LargePacket = 1;
    Options->OffloadIpVersion6TcpChecksum = 1;
    Options->OffloadIpVersion6UdpChecksum = 1;
}

VOID TransmitterQueryLargePacketSize(_In_ UCHAR Version, _Out_ PULONG Size)
{
    *Size = (Version == 4 || Version == 6) ? TRANSMITTER_LARGE_SIZE : 0;
}

static BOOLEAN TransmitterIsLarge(_In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    return Options.OffloadIpVersion4LargePacket || Options.OffloadIpVersion6LargePacket;
}

/* Whether values belong to options that were asked for. */
static NTSTATUS TransmitterCheckOptions(_In_ XENVIF_VIF_OFFLOAD_OPTIONS Options, _In_ USHORT MaximumSegmentSize,
                                        _In_ USHORT TagControlInformation)
{
    XENVIF_VIF_OFFLOAD_OPTIONS Offered;

    if ((Options.Value | MaximumSegmentSize | TagControlInformation) == 0)
        return STATUS_SUCCESS;

    TransmitterQueryOffloadOptions(&Offered);

    if ((Options.Value & ~Offered.Value) != 0)
        return STATUS_NOT_SUPPORTED;

    if (TransmitterIsLarge(Options) != (MaximumSegmentSize != 0))
        return STATUS_INVALID_PARAMETER;

    if (!Options.OffloadTagManipulation && TagControlInformation != 0)
        return STATUS_INVALID_PARAMETER;

    return STATUS_SUCCESS;
}

/* Whether the packet is what its options say that it is. */
static BOOLEAN TransmitterMatchesOptions(_In_ XENVIF_VIF_OFFLOAD_OPTIONS Options,
                                         _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    BOOLEAN Tcp = Layout->Info.TcpHeader.Length != 0;
    BOOLEAN Udp = Layout->Info.UdpHeader.Length != 0;
    BOOLEAN Version4 = Layout->IpVersion == 4;
    BOOLEAN Version6 = Layout->IpVersion == 6;

    if (Options.Value == 0)
        return TRUE;

    if (Options.OffloadTagManipulation && Layout->Tagged)
        return FALSE;

    /* A frame with a length in the place of a type cannot be larger than that length can say. */
    if (TransmitterIsLarge(Options) && Layout->Info.LLCSnapHeader.Length != 0)
        return FALSE;

    return !(Options.OffloadIpVersion4LargePacket && !(Version4 && Tcp)) &&
           !(Options.OffloadIpVersion4HeaderChecksum && !Version4) &&
           !(Options.OffloadIpVersion4TcpChecksum && !(Version4 && Tcp)) &&
           !(Options.OffloadIpVersion4UdpChecksum && !(Version4 && Udp)) &&
           !(Options.OffloadIpVersion6LargePacket && !(Version6 && Tcp)) &&
           !(Options.OffloadIpVersion6TcpChecksum && !(Version6 && Tcp)) &&
           !(Options.OffloadIpVersion6UdpChecksum && !(Version6 && Udp));
}

/* Whether the chain has the packet, all of it where it can be read. */
static NTSTATUS TransmitterCheckChain(_In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length)
{
    ULONGLONG Needed = (ULONGLONG)Offset + Length;

    for (; Needed != 0; Mdl = Mdl->Next) {
        if (Mdl == NULL)
            return STATUS_INVALID_PARAMETER;

        if (MmGetMdlByteCount(Mdl) == 0)
            continue;

        if (MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority | MdlMappingNoExecute) == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;

        Needed -= min(Needed, MmGetMdlByteCount(Mdl));
    }

    return STATUS_SUCCESS;
}

/*
 * Has the packet's first Length bytes in one piece: InPlace, where they are if they lie in its first MDL, with what
 * follows there, or else a copy. What is worked on is read once.
 */
static VOID TransmitterReadFront(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ ULONG Length, _In_ BOOLEAN InPlace)
{
    ULONG Size = MmGetMdlByteCount(Description->Mdl);

    if (InPlace && Description->Offset < Size && Size - Description->Offset >= Length) {
        Description->Header =
            (const UCHAR *)MmGetSystemAddressForMdlSafe(Description->Mdl, NormalPagePriority | MdlMappingNoExecute) +
            Description->Offset;
        Description->FrontLength = min(Size - Description->Offset, Description->Length);
    } else {
        TRANSMITTER_CURSOR Cursor;

        TransmitterCursorInitialize(&Cursor, Description->Mdl, Description->Offset, Length);
        TransmitterCopyNext(&Cursor, Description->Headers, Length);
        Description->Header = Description->Headers;
        Description->FrontLength = Length;
    }

    Description->FrontSource = Description->FrontLength;
}

/* Finds out what the packet's headers are. */
static NTSTATUS TransmitterParse(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ BOOLEAN InPlace)
{
    ULONG Available = min(Description->Length, PACKET_HEADER_LIMIT);

    if (Description->Length < PACKET_MINIMUM_SIZE || Description->Length > XEN_NETIF_MAX_TX_SIZE)
        return STATUS_INVALID_PARAMETER;

    TransmitterReadFront(Description, Available, InPlace);

    PacketParse(Description->Header, Available, Description->Length, Description->MaximumSegmentSize != 0,
                &Description->Layout);

    Description->HeadersLength = Description->Layout.Info.Length;
    if (!TransmitterMatchesOptions(Description->Options, &Description->Layout))
        return STATUS_INVALID_PARAMETER;

    Description->HeadersSource = Description->HeadersLength;

    return STATUS_SUCCESS;
}

static VOID TransmitterInsertTag(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ USHORT TagControlInformation)
{
    PUCHAR Tag = Description->Headers + TAG_OFFSET;

    RtlMoveMemory(Tag + PACKET_TAG_SIZE, Tag, Description->HeadersLength - TAG_OFFSET);
    Tag[0] = TAG_PROTOCOL >> 8;
    Tag[1] = (UCHAR)TAG_PROTOCOL;
    Tag[2] = (UCHAR)(TagControlInformation >> 8);
    Tag[3] = (UCHAR)TagControlInformation;

    Description->HeadersLength += PACKET_TAG_SIZE;
    Description->Layout.Tagged = TRUE;
    PacketShift(&Description->Layout, PACKET_TAG_SIZE);
}

/* Whether the frame, or each one that is cut from it, may be as long as it is. */
static NTSTATUS TransmitterCheckLength(_In_ const TRANSMITTER_DESCRIPTION *Description, _In_ ULONG Limit)
{
    ULONG Payload = Description->Length - Description->HeadersSource;
    ULONG Length = Description->HeadersLength + Payload;

    if (Length > XEN_NETIF_MAX_TX_SIZE)
        return STATUS_INVALID_PARAMETER;

    if (Description->MaximumSegmentSize != 0) {
        if (Payload > TRANSMITTER_LARGE_SIZE)
            return STATUS_INVALID_PARAMETER;

        Length = Description->HeadersLength + min(Payload, Description->MaximumSegmentSize);
    }

    if (Description->Layout.Tagged)
        Limit += PACKET_TAG_SIZE;

    return (Length <= Limit) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

/* The checksums that the client left to us and that no backend is asked for, and the lengths that it need not fill in.
 */
static VOID TransmitterMakeIpHeader(_Inout_ PTRANSMITTER_DESCRIPTION Description)
{
    PXENVIF_PACKET_INFO Info = &Description->Layout.Info;
    PUCHAR Ip = Description->Headers + Info->IpHeader.Offset;

    if (Description->MaximumSegmentSize != 0)
        SegmentSetIpLength(Ip, Description->Layout.IpVersion, Info->IpHeader.Length + Info->IpOptions.Length,
                           Description->Layout.TransportLength);
    else if (Description->Options.OffloadIpVersion4HeaderChecksum)
        ChecksumStoreIpVersion4(Ip);
}

/* The front is the headers, with all that is put into them but the transport's checksum. */
static VOID TransmitterMakeHeaders(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ USHORT TagControlInformation)
{
    if (Description->Options.OffloadTagManipulation)
        TransmitterInsertTag(Description, TagControlInformation);

    TransmitterMakeIpHeader(Description);

    Description->FrontLength = Description->HeadersLength;
    Description->FrontSource = Description->HeadersSource;
}

BOOLEAN TransmitterNeedsChecksum(_In_ const TRANSMITTER_DESCRIPTION *Description)
{
    XENVIF_VIF_OFFLOAD_OPTIONS Options = Description->Options;

    return Description->MaximumSegmentSize != 0 || Options.OffloadIpVersion4TcpChecksum ||
           Options.OffloadIpVersion4UdpChecksum || Options.OffloadIpVersion6TcpChecksum ||
           Options.OffloadIpVersion6UdpChecksum;
}

/* Adds the transport's pseudo-header, header and data. */
static VOID TransmitterSumTransport(_In_ const TRANSMITTER_DESCRIPTION *Description, _Inout_ PCHECKSUM Checksum)
{
    const XENVIF_PACKET_INFO *Info = &Description->Layout.Info;
    ULONG Offset = (Info->TcpHeader.Length != 0) ? Info->TcpHeader.Offset : Info->UdpHeader.Offset;
    ULONG HeaderLength = Description->HeadersLength - Offset;
    TRANSMITTER_CURSOR Cursor;

    PacketAddPseudoHeader(Checksum, Description->Headers, &Description->Layout);
    ChecksumAdd(Checksum, Description->Headers + Offset, HeaderLength);

    TransmitterCursorInitialize(&Cursor, Description->Mdl, Description->Offset + Description->HeadersSource,
                                Description->Length - Description->HeadersSource);
    TransmitterSumNext(&Cursor, Checksum, Description->Layout.TransportLength - HeaderLength);
}

VOID TransmitterMakeChecksum(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ BOOLEAN Blank)
{
    PUCHAR Field = Description->Headers + PacketChecksumOffset(&Description->Layout);
    CHECKSUM Checksum;

    ChecksumInitialize(&Checksum);

    if (Blank) {
        PacketAddPseudoHeader(&Checksum, Description->Headers, &Description->Layout);
        ChecksumStore(Field, ChecksumFold(&Checksum));
        return;
    }

    ChecksumStore(Field, 0);
    TransmitterSumTransport(Description, &Checksum);
    ChecksumStore(Field, PacketChecksumValue(&Checksum, &Description->Layout));
}

/* What there is to say of the transport's checksum that the client made itself. */
static PACKET_VERDICT TransmitterValidateTransport(_In_ const TRANSMITTER_DESCRIPTION *Description)
{
    CHECKSUM Checksum;

    if (PacketLacksChecksum(&Description->Layout, Description->Headers))
        return PacketJudgeLackOfChecksum(&Description->Layout);

    ChecksumInitialize(&Checksum);
    TransmitterSumTransport(Description, &Checksum);

    return (ChecksumFold(&Checksum) == 0xFFFF) ? PACKET_SUCCEEDED : PACKET_FAILED;
}

/* What is known of the checksums: those that are calculated from here on are right. */
static VOID TransmitterValidate(_Inout_ PTRANSMITTER_DESCRIPTION Description, _In_ BOOLEAN Validate)
{
    const XENVIF_PACKET_INFO *Info = &Description->Layout.Info;
    PACKET_VERDICT Ip = PACKET_NOT_VALIDATED;
    PACKET_VERDICT Transport = PACKET_NOT_VALIDATED;

    if (Description->MaximumSegmentSize != 0 || Description->Options.OffloadIpVersion4HeaderChecksum)
        Ip = PACKET_SUCCEEDED;
    else if (Validate && Description->Layout.IpVersion == 4)
        Ip = ChecksumVerifyIpVersion4(Description->Headers + Info->IpHeader.Offset) ? PACKET_SUCCEEDED : PACKET_FAILED;

    if (TransmitterNeedsChecksum(Description))
        Transport = PACKET_SUCCEEDED;
    else if (Validate && (Info->TcpHeader.Length != 0 || Info->UdpHeader.Length != 0))
        Transport = TransmitterValidateTransport(Description);

    Description->Flags = PacketChecksumFlags(&Description->Layout, Ip, Transport);
}

NTSTATUS TransmitterDescribe(_In_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_DESCRIPTION Description,
                             _In_ USHORT TagControlInformation)
{
    BOOLEAN Verbatim =
        Description->Options.Value == 0 && Description->Length < PAGE_SIZE && !Transmitter->ValidateChecksums;
    NTSTATUS Status;

    Status = TransmitterCheckOptions(Description->Options, Description->MaximumSegmentSize, TagControlInformation);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = TransmitterCheckChain(Description->Mdl, Description->Offset, Description->Length);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = TransmitterParse(Description, Verbatim);
    if (!NT_SUCCESS(Status))
        return Status;

    Description->Whole = Verbatim && Description->FrontLength == Description->Length;
    if (!Verbatim)
        TransmitterMakeHeaders(Description, TagControlInformation);

    TransmitterValidate(Description, Transmitter->ValidateChecksums);

    return TransmitterCheckLength(Description, MacQueryMaximumFrameSize(FrontendGetMac(Transmitter->Frontend)));
}
