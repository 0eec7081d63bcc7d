/*
 * The Internet checksum (RFC 1071) of data that lies in pieces, and of the pseudo-headers of TCP and UDP.
 */
#ifndef XENVIF_CHECKSUM_H
#define XENVIF_CHECKSUM_H

#include <ntddk.h>

#include "packet.h"

typedef struct _XENVIF_CHECKSUM {
    ULONG64 Sum;
    BOOLEAN Odd; /* an odd number of bytes has gone in: the next is the low half of a word */
} XENVIF_CHECKSUM, *PXENVIF_CHECKSUM;

VOID ChecksumInitialize(_Out_ PXENVIF_CHECKSUM Checksum);

/* Adds Length bytes, as following those that went in before. Any IRQL. */
VOID ChecksumAdd(_Inout_ PXENVIF_CHECKSUM Checksum, _In_reads_(Length) const UCHAR *Buffer, _In_ ULONG Length);

/*
 * Adds the pseudo-header of the TCP or UDP packet that Layout describes (RFC 9293 section 3.1, RFC 768, RFC 8200
 * section 8.1). Header is the start of the frame. An even number of bytes has gone in.
 */
VOID ChecksumAddPseudoHeader(_Inout_ PXENVIF_CHECKSUM Checksum, _In_ const UCHAR *Header,
                             _In_ const XENVIF_PACKET_LAYOUT *Layout);

/* The checksum in host order, to be stored with its high byte first. */
USHORT ChecksumFinish(_In_ const XENVIF_CHECKSUM *Checksum);

#endif /* XENVIF_CHECKSUM_H */
