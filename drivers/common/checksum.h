/*
 * The Internet checksum (RFC 1071) of data that lies in pieces, and what TCP, UDP and IPv4 make of it.
 *
 * Values are in host order; a checksum field has the high byte first. Any IRQL; nothing is allocated.
 */
#ifndef DRIVER_CHECKSUM_H
#define DRIVER_CHECKSUM_H

#include <ntddk.h>

typedef struct _CHECKSUM {
    ULONG64 Sum; /* of 16-bit words as they lie in memory */
    BOOLEAN Odd; /* an odd number of bytes has gone in: the next is the second one of its word */
} CHECKSUM, *PCHECKSUM;

VOID ChecksumInitialize(_Out_ PCHECKSUM Checksum);

/* Adds Length bytes, as following those that went in before. */
VOID ChecksumAdd(_Inout_ PCHECKSUM Checksum, _In_reads_bytes_(Length) const VOID *Buffer, _In_ ULONG Length);

/*
 * Adds a pseudo-header (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1): Addresses are source and destination as
 * they follow one another in the IP header, 2 * 4 or 2 * 16 bytes; Length is that of the transport's header and data. A
 * packet with extension headers has the same one, with the protocol that comes after them. An even number of bytes has
 * gone in.
 */
VOID ChecksumAddPseudoHeader(_Inout_ PCHECKSUM Checksum, _In_reads_bytes_(AddressesLength) const VOID *Addresses,
                             _In_ ULONG AddressesLength, _In_ UCHAR Protocol, _In_ ULONG Length);

/* The one's complement sum itself: what a checksum field holds that others complete, and 0xFFFF if a sum is right. */
USHORT ChecksumFold(_In_ const CHECKSUM *Checksum);

/* The checksum: the complement of the sum. */
USHORT ChecksumFinish(_In_ const CHECKSUM *Checksum);

/* Stores a value in a field, which may lie at any address. */
VOID ChecksumStore(_Out_writes_(2) PUCHAR Field, _In_ USHORT Value);

/* Calculates and stores the checksum of an IPv4 header with its options, whose length is the one that it says. */
VOID ChecksumStoreIpVersion4(_Inout_ PUCHAR Header);

/* Whether such a header's checksum is right. */
BOOLEAN ChecksumVerifyIpVersion4(_In_ const UCHAR *Header);

#endif /* DRIVER_CHECKSUM_H */
