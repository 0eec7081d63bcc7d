#include "compat.h"
#include "packet.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86DD
#define ETHERTYPE_TAG 0x8100
#define ETHERTYPE_SERVICE 0x88A8
#define ETHERTYPE_MINIMUM 0x0600 /* below: an IEEE 802.3 length */
#define LLC_SNAP_HEADER_SIZE 8

#define IPV4_HEADER_SIZE 20
#define IPV6_HEADER_SIZE 40
#define TCP_HEADER_SIZE 20
#define UDP_HEADER_SIZE 8

#define IPV4_ADDRESSES 12 /* source and destination, 4 bytes each */
#define IPV4_ADDRESSES_SIZE 8
#define IPV6_ADDRESSES 8 /* 16 bytes each */
#define IPV6_ADDRESSES_SIZE 32

#define TCP_CHECKSUM_OFFSET 16
#define UDP_CHECKSUM_OFFSET 6

#define IPV6_HOP_BY_HOP 0
#define IPV6_FRAGMENT 44
#define IPV6_AUTHENTICATION 51
#define IPV6_DESTINATION 60

typedef struct _PACKET_PARSER {
    const UCHAR *Header;
    ULONG Available;
    ULONG Length;
    ULONG Offset;  /* what has been understood so far */
    BOOLEAN Large; /* the length in the IP header counts for nothing */
    PXENVIF_PACKET_LAYOUT Layout;
} PACKET_PARSER, *PPACKET_PARSER;

static USHORT PacketUshort(_In_ const PACKET_PARSER *Parser, _In_ ULONG Offset)
{
    return (USHORT)((Parser->Header[Offset] << 8) | Parser->Header[Offset + 1]);
}

static BOOLEAN PacketHas(_In_ const PACKET_PARSER *Parser, _In_ ULONG Length)
{
    return Length <= Parser->Available - Parser->Offset;
}

/* Notes a header at the parser's place, and steps past it. */
static inline VOID PacketTake(_Inout_ PPACKET_PARSER Parser, _Out_ PXENVIF_PACKET_HEADER Header, _In_ ULONG Length)
{
    Header->Offset = Parser->Offset;
    Header->Length = Length;

    Parser->Offset += Length;
    Parser->Layout->Info.Length = Parser->Offset;
}

static inline VOID PacketParseTcp(_Inout_ PPACKET_PARSER Parser, _In_ ULONG TransportLength)
{
    ULONG HeaderLength;

    if (!PacketHas(Parser, TCP_HEADER_SIZE) || TransportLength < TCP_HEADER_SIZE)
        return;

    HeaderLength = (ULONG)(Parser->Header[Parser->Offset + 12] >> 4) * 4;
    if (HeaderLength < TCP_HEADER_SIZE || HeaderLength > TransportLength || !PacketHas(Parser, HeaderLength))
        return;

    Parser->Layout->TransportLength = TransportLength;
    PacketTake(Parser, &Parser->Layout->Info.TcpHeader, TCP_HEADER_SIZE);
    if (HeaderLength > TCP_HEADER_SIZE)
        PacketTake(Parser, &Parser->Layout->Info.TcpOptions, HeaderLength - TCP_HEADER_SIZE);
}

static inline VOID PacketParseUdp(_Inout_ PPACKET_PARSER Parser, _In_ ULONG TransportLength)
{
    ULONG UdpLength;

    if (!PacketHas(Parser, UDP_HEADER_SIZE) || TransportLength < UDP_HEADER_SIZE)
        return;

    UdpLength = PacketUshort(Parser, Parser->Offset + 4);
    if (UdpLength < UDP_HEADER_SIZE || UdpLength > TransportLength)
        return;

    Parser->Layout->TransportLength = UdpLength;
    PacketTake(Parser, &Parser->Layout->Info.UdpHeader, UDP_HEADER_SIZE);
}

static inline VOID PacketParseTransport(_Inout_ PPACKET_PARSER Parser, _In_ UCHAR Protocol, _In_ ULONG TransportLength)
{
    if (Parser->Layout->Info.IsAFragment)
        return;

    if (Protocol == PACKET_PROTOCOL_TCP)
        PacketParseTcp(Parser, TransportLength);
    else if (Protocol == PACKET_PROTOCOL_UDP)
        PacketParseUdp(Parser, TransportLength);
}

/* RFC 791 */
static VOID PacketParseIpVersion4(_Inout_ PPACKET_PARSER Parser)
{
    const UCHAR *Ip = Parser->Header + Parser->Offset;
    ULONG HeaderLength;
    ULONG TotalLength;

    if (!PacketHas(Parser, IPV4_HEADER_SIZE) || (Ip[0] >> 4) != 4)
        return;

    HeaderLength = (ULONG)(Ip[0] & 0x0F) * 4;
    TotalLength = Parser->Large ? Parser->Length - Parser->Offset : PacketUshort(Parser, Parser->Offset + 2);
    if (HeaderLength < IPV4_HEADER_SIZE || !PacketHas(Parser, HeaderLength) || TotalLength < HeaderLength ||
        TotalLength > Parser->Length - Parser->Offset)
        return;

    Parser->Layout->IpVersion = 4;
    Parser->Layout->Info.IsAFragment = (PacketUshort(Parser, Parser->Offset + 6) & 0x3FFF) != 0;

    PacketTake(Parser, &Parser->Layout->Info.IpHeader, IPV4_HEADER_SIZE);
    if (HeaderLength > IPV4_HEADER_SIZE)
        PacketTake(Parser, &Parser->Layout->Info.IpOptions, HeaderLength - IPV4_HEADER_SIZE);

    PacketParseTransport(Parser, Ip[9], TotalLength - HeaderLength);
}

/*
 * The length of the extension header at Offset in the headers of a packet, if it is one that can be stepped over;
 * otherwise 0. RFC 8200, section 4; the authentication header is RFC 4302's.
 */
static ULONG PacketExtensionLength(_In_ const PACKET_PARSER *Parser, _In_ UCHAR Protocol, _In_ ULONG Offset)
{
    ULONG Length;

    if (Offset + 8 > Parser->Available)
        return 0;

    switch (Protocol) {
    case IPV6_HOP_BY_HOP:
    case IPV6_DESTINATION:
        Length = ((ULONG)Parser->Header[Offset + 1] + 1) * 8;
        break;
    case IPV6_AUTHENTICATION:
        Length = ((ULONG)Parser->Header[Offset + 1] + 2) * 4;
        break;
    case IPV6_FRAGMENT:
        Length = 8;
        break;
    default:
        return 0;
    }

    return (Length <= Parser->Available - Offset) ? Length : 0;
}

/* RFC 8200. The extension headers count as the options of the IP header. */
static VOID PacketParseIpVersion6(_Inout_ PPACKET_PARSER Parser)
{
    const UCHAR *Ip = Parser->Header + Parser->Offset;
    ULONG PayloadLength;
    ULONG Options;
    ULONG Length;
    UCHAR Protocol;

    if (!PacketHas(Parser, IPV6_HEADER_SIZE) || (Ip[0] >> 4) != 6)
        return;

    PayloadLength = Parser->Length - Parser->Offset - IPV6_HEADER_SIZE;
    if (!Parser->Large && PacketUshort(Parser, Parser->Offset + 4) > PayloadLength)
        return;
    if (!Parser->Large)
        PayloadLength = PacketUshort(Parser, Parser->Offset + 4);

    Parser->Layout->IpVersion = 6;
    PacketTake(Parser, &Parser->Layout->Info.IpHeader, IPV6_HEADER_SIZE);

    Protocol = Ip[6];
    Options = 0;
    while ((Length = PacketExtensionLength(Parser, Protocol, Parser->Offset + Options)) != 0) {
        ULONG Offset = Parser->Offset + Options;

        /* Offset 0 and no more to come is an atomic fragment, a packet that is whole (RFC 6946). */
        if (Protocol == IPV6_FRAGMENT && (PacketUshort(Parser, Offset + 2) & 0xFFF9) != 0)
            Parser->Layout->Info.IsAFragment = TRUE;

        Protocol = Parser->Header[Offset];
        Options += Length;

        if (Parser->Layout->Info.IsAFragment)
            break; /* what follows need not be a header */
    }

    if (Options > PayloadLength)
        return;

    if (Options != 0)
        PacketTake(Parser, &Parser->Layout->Info.IpOptions, Options);

    PacketParseTransport(Parser, Protocol, PayloadLength - Options);
}

/* The Ethernet header with its tag if it has one; gives the type of what follows, 0 if that cannot be told. */
static USHORT PacketParseEthernet(_Inout_ PPACKET_PARSER Parser)
{
    ULONG Length = PACKET_ETHERNET_HEADER_SIZE;
    USHORT Type = PacketUshort(Parser, Length - 2);

    if ((Type == ETHERTYPE_TAG || Type == ETHERTYPE_SERVICE) && PacketHas(Parser, Length + PACKET_TAG_SIZE)) {
        Length += PACKET_TAG_SIZE;
        Type = PacketUshort(Parser, Length - 2);
        Parser->Layout->Tagged = TRUE;
    }

    PacketTake(Parser, &Parser->Layout->Info.EthernetHeader, Length);

    return Type;
}

/* IEEE 802.2 LLC with a SNAP header that carries an Ethernet type (RFC 1042). */
static USHORT PacketParseSnap(_Inout_ PPACKET_PARSER Parser)
{
    static const UCHAR Rfc1042[] = {0xAA, 0xAA, 0x03, 0x00, 0x00, 0x00};

    if (!PacketHas(Parser, LLC_SNAP_HEADER_SIZE) ||
        !RtlEqualMemory(Parser->Header + Parser->Offset, Rfc1042, sizeof(Rfc1042)))
        return 0;

    PacketTake(Parser, &Parser->Layout->Info.LLCSnapHeader, LLC_SNAP_HEADER_SIZE);

    return PacketUshort(Parser, Parser->Offset - 2);
}

VOID PacketParse(_In_reads_(Available) const UCHAR *Header, _In_ ULONG Available, _In_ ULONG Length, _In_ BOOLEAN Large,
                 _Out_ PXENVIF_PACKET_LAYOUT Layout)
{
    PACKET_PARSER Parser;
    USHORT Type;

    RtlZeroMemory(Layout, sizeof(XENVIF_PACKET_LAYOUT));

    Parser.Header = Header;
    Parser.Available = min(Available, PACKET_HEADER_LIMIT);
    Parser.Length = Length;
    Parser.Offset = 0;
    Parser.Large = Large;
    Parser.Layout = Layout;

    Layout->Type = EthernetAddressType((const ETHERNET_ADDRESS *)Header);

    Type = PacketParseEthernet(&Parser);
    if (Type < ETHERTYPE_MINIMUM)
        Type = PacketParseSnap(&Parser);

    if (Type == ETHERTYPE_IPV4)
        PacketParseIpVersion4(&Parser);
    else if (Type == ETHERTYPE_IPV6)
        PacketParseIpVersion6(&Parser);
}

static VOID PacketShiftHeader(_Inout_ PXENVIF_PACKET_HEADER Header, _In_ LONG Length)
{
    if (Header->Length != 0)
        Header->Offset += (ULONG)Length;
}

VOID PacketShift(_Inout_ PXENVIF_PACKET_LAYOUT Layout, _In_ LONG Length)
{
    PXENVIF_PACKET_INFO Info = &Layout->Info;

    Info->Length += (ULONG)Length;
    Info->EthernetHeader.Length += (ULONG)Length;

    PacketShiftHeader(&Info->LLCSnapHeader, Length);
    PacketShiftHeader(&Info->IpHeader, Length);
    PacketShiftHeader(&Info->IpOptions, Length);
    PacketShiftHeader(&Info->TcpHeader, Length);
    PacketShiftHeader(&Info->TcpOptions, Length);
    PacketShiftHeader(&Info->UdpHeader, Length);
}

VOID PacketAddPseudoHeader(_Inout_ PCHECKSUM Checksum, _In_ const UCHAR *Header,
                           _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    const UCHAR *Ip = Header + Layout->Info.IpHeader.Offset;
    UCHAR Protocol = (Layout->Info.TcpHeader.Length != 0) ? PACKET_PROTOCOL_TCP : PACKET_PROTOCOL_UDP;

    if (Layout->IpVersion == 4)
        ChecksumAddPseudoHeader(Checksum, Ip + IPV4_ADDRESSES, IPV4_ADDRESSES_SIZE, Protocol, Layout->TransportLength);
    else
        ChecksumAddPseudoHeader(Checksum, Ip + IPV6_ADDRESSES, IPV6_ADDRESSES_SIZE, Protocol, Layout->TransportLength);
}

ULONG PacketChecksumOffset(_In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    if (Layout->Info.TcpHeader.Length != 0)
        return Layout->Info.TcpHeader.Offset + TCP_CHECKSUM_OFFSET;

    return Layout->Info.UdpHeader.Offset + UDP_CHECKSUM_OFFSET;
}

USHORT PacketChecksumValue(_In_ const CHECKSUM *Checksum, _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    USHORT Value = ChecksumFinish(Checksum);

    return (Value == 0 && Layout->Info.TcpHeader.Length == 0) ? 0xFFFF : Value;
}

BOOLEAN PacketLacksChecksum(_In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ const UCHAR *Header)
{
    const UCHAR *Field = Header + PacketChecksumOffset(Layout);

    return Layout->Info.UdpHeader.Length != 0 && Field[0] == 0 && Field[1] == 0;
}

PACKET_VERDICT PacketJudgeLackOfChecksum(_In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    return (Layout->IpVersion == 4) ? PACKET_NOT_VALIDATED : PACKET_FAILED;
}

XENVIF_PACKET_CHECKSUM_FLAGS PacketChecksumFlags(_In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ PACKET_VERDICT Ip,
                                                 _In_ PACKET_VERDICT Transport)
{
    XENVIF_PACKET_CHECKSUM_FLAGS Flags;

    C_ASSERT(PACKET_SUCCEEDED == 0 && PACKET_FAILED == 1 && PACKET_NOT_VALIDATED == 2);

    /* Three flags each of IP, TCP and UDP (vif_interface.h), in the order of the verdicts. */
    Flags.Value = (ULONG)(Layout->IpVersion == 4) << Ip |
                  (ULONG)(Layout->Info.TcpHeader.Length != 0) << (3 + Transport) |
                  (ULONG)(Layout->Info.UdpHeader.Length != 0) << (6 + Transport);

    return Flags;
}

/* Where the addresses are: one behind the other, the source first (RFC 791, RFC 8200). */
#define PACKET_IPV4_ADDRESSES 12
#define PACKET_IPV4_ADDRESSES_SIZE 8
#define PACKET_IPV6_ADDRESSES 8
#define PACKET_IPV6_ADDRESSES_SIZE 32
#define PACKET_PORTS_SIZE 4

C_ASSERT(PACKET_IPV6_ADDRESSES_SIZE + PACKET_PORTS_SIZE == TOEPLITZ_INPUT_SIZE);

ULONG PacketHashInput(_In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ BOOLEAN Ports,
                      _Out_writes_to_(TOEPLITZ_INPUT_SIZE, return ) PUCHAR Input)
{
    const UCHAR *Ip = Header + Layout->Info.IpHeader.Offset;
    ULONG Length;

    if (Layout->IpVersion == 4) {
        Length = PACKET_IPV4_ADDRESSES_SIZE;
        RtlCopyMemory(Input, Ip + PACKET_IPV4_ADDRESSES, Length);
    } else {
        Length = PACKET_IPV6_ADDRESSES_SIZE;
        RtlCopyMemory(Input, Ip + PACKET_IPV6_ADDRESSES, Length);
    }

    if (!Ports)
        return Length;

    RtlCopyMemory(Input + Length, Header + Layout->Info.TcpHeader.Offset, PACKET_PORTS_SIZE);

    return Length + PACKET_PORTS_SIZE;
}
