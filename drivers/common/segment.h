/*
 * Cutting a TCP packet that is larger than a frame into segments: the headers of each one of them.
 *
 * A large packet is its headers, from Ethernet's to TCP's with all options, and a payload. Segment k of it has the same
 * headers but for the lengths, IPv4's identification, which counts up from the packet's own, TCP's sequence number, FIN
 * and PSH, which only the last one has, CWR, which only the first one has (RFC 3168 section 6.1.2), and the checksums.
 * These are made afresh: nothing depends on what the packet's own were, nor on its lengths (field bug FB4).
 *
 * The payload stays where it is: whoever copies it adds it to the segment's checksum on the way. Any IRQL; nothing is
 * allocated.
 */
#ifndef DRIVER_SEGMENT_H
#define DRIVER_SEGMENT_H

#include <ntddk.h>

#include "checksum.h"

typedef struct _SEGMENTATION {
    const UCHAR *Headers; /* the caller's, for as long as segments are made */
    ULONG HeadersLength;
    ULONG IpOffset;
    ULONG TcpOffset;
    UCHAR IpVersion;
    ULONG PayloadLength;
    ULONG SegmentSize; /* payload of each segment but the last */
    ULONG Count;       /* of segments; a packet without payload is one */
} SEGMENTATION, *PSEGMENTATION;

/*
 * Describes a packet: its HeadersLength bytes of headers, in which the IP header of version IpVersion (4 or 6) and the
 * TCP header begin at the offsets given, and PayloadLength bytes behind them. FALSE: it cannot be cut this way: the
 * headers are not where they should be, the segment size is 0, or a segment would be too long for IP.
 */
BOOLEAN SegmentationInitialize(_Out_ PSEGMENTATION Segmentation, _In_reads_(HeadersLength) const UCHAR *Headers,
                               _In_ ULONG HeadersLength, _In_ UCHAR IpVersion, _In_ ULONG IpOffset,
                               _In_ ULONG TcpOffset, _In_ ULONG PayloadLength, _In_ ULONG SegmentSize);

/* Bytes of payload of segment Index, and where they begin in the packet's. */
ULONG SegmentPayload(_In_ const SEGMENTATION *Segmentation, _In_ ULONG Index, _Out_ PULONG Offset);

/*
 * Makes the headers of segment Index (less than Count), all but TCP's checksum, which is 0. Checksum has then the
 * pseudo-header and the TCP header in it: the payload is added next.
 */
VOID SegmentBegin(_In_ const SEGMENTATION *Segmentation, _In_ ULONG Index,
                  _Out_writes_all_(Segmentation->HeadersLength) PUCHAR Headers, _Out_ PCHECKSUM Checksum);

/* Stores the checksum, with all of the payload in it. */
VOID SegmentEnd(_In_ const SEGMENTATION *Segmentation, _Inout_ PUCHAR Headers, _In_ const CHECKSUM *Checksum);

/*
 * Sets the length in an IP header: TransportLength bytes follow HeaderLength bytes of IP header, options or extension
 * headers included. An IPv4 header's checksum is stored too.
 */
VOID SegmentSetIpLength(_Inout_ PUCHAR IpHeader, _In_ UCHAR IpVersion, _In_ ULONG HeaderLength,
                        _In_ ULONG TransportLength);

#endif /* DRIVER_SEGMENT_H */
