/*
 * What a frame is: its kind of destination and where its headers lie.
 *
 * The input is a frame's first bytes in memory that nobody else writes (a frame is parsed from a private copy, or after
 * the backend's grant has been revoked); nothing of their content is trusted. A header that is not there whole, or that
 * contradicts the frame's length, is as good as absent.
 */
#ifndef XENVIF_PACKET_H
#define XENVIF_PACKET_H

#include <ntddk.h>

#include "checksum.h"
#include "toeplitz.h"
#include "vif_interface.h"

/* As many bytes of a frame's start as any header is looked for in. */
#define PACKET_HEADER_LIMIT 256

#define PACKET_ETHERNET_HEADER_SIZE 14
#define PACKET_TAG_SIZE 4
#define PACKET_MINIMUM_SIZE PACKET_ETHERNET_HEADER_SIZE

#define PACKET_PROTOCOL_TCP 6
#define PACKET_PROTOCOL_UDP 17

typedef struct _XENVIF_PACKET_LAYOUT {
    XENVIF_PACKET_INFO Info;    /* what a client is told; the header lengths are 0 where there is no header */
    ETHERNET_ADDRESS_TYPE Type; /* of the destination */
    BOOLEAN Tagged;             /* an 802.1Q or 802.1ad tag is in the frame */
    UCHAR IpVersion;            /* 4, 6, or 0 */
    ULONG TransportLength;      /* bytes of the TCP or UDP header and what follows, without Ethernet padding; or 0 */
} XENVIF_PACKET_LAYOUT, *PXENVIF_PACKET_LAYOUT;

/*
 * Parses a frame of Length bytes whose first Available (at least PACKET_MINIMUM_SIZE, at most Length) are at Header.
 * IP fragments have no transport header, and neither has IPv6 with a routing header: their checksums cannot be told
 * from what is here. Large: IP reaches to the end of the frame, whatever its length field says. Any IRQL.
 */
VOID PacketParse(_In_reads_(Available) const UCHAR *Header, _In_ ULONG Available, _In_ ULONG Length, _In_ BOOLEAN Large,
                 _Out_ PXENVIF_PACKET_LAYOUT Layout);

/* Notes that Length bytes have come into (or, negative, have gone out of) the Ethernet header. Any IRQL. */
VOID PacketShift(_Inout_ PXENVIF_PACKET_LAYOUT Layout, _In_ LONG Length);

/*
 * Adds the pseudo-header of the TCP or UDP packet that Layout describes. Header is the start of the frame. An even
 * number of bytes has gone in. Any IRQL.
 */
VOID PacketAddPseudoHeader(_Inout_ PCHECKSUM Checksum, _In_ const UCHAR *Header,
                           _In_ const XENVIF_PACKET_LAYOUT *Layout);

/* Where in the frame that checksum is. Any IRQL. */
ULONG PacketChecksumOffset(_In_ const XENVIF_PACKET_LAYOUT *Layout);

/* The value of a UDP or TCP checksum field: UDP's 0 would say that there is none (RFC 768). Any IRQL. */
USHORT PacketChecksumValue(_In_ const CHECKSUM *Checksum, _In_ const XENVIF_PACKET_LAYOUT *Layout);

/*
 * What the Toeplitz hash of an IP packet is made of: source and destination address, and, Ports, those of TCP, whose
 * header is there. How many bytes. Any IRQL.
 */
ULONG PacketHashInput(_In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ BOOLEAN Ports,
                      _Out_writes_to_(TOEPLITZ_INPUT_SIZE, return ) PUCHAR Input);

/* What is known of a checksum. */
typedef enum _PACKET_VERDICT { PACKET_SUCCEEDED, PACKET_FAILED, PACKET_NOT_VALIDATED } PACKET_VERDICT;

/* Whether a packet with a transport header is UDP without a checksum, and what that means: IPv6 does not admit it. */
BOOLEAN PacketLacksChecksum(_In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ const UCHAR *Header);
PACKET_VERDICT PacketJudgeLackOfChecksum(_In_ const XENVIF_PACKET_LAYOUT *Layout);

/* The flags that say it, of those headers that there are. */
XENVIF_PACKET_CHECKSUM_FLAGS PacketChecksumFlags(_In_ const XENVIF_PACKET_LAYOUT *Layout, _In_ PACKET_VERDICT Ip,
                                                 _In_ PACKET_VERDICT Transport);

#endif /* XENVIF_PACKET_H */
