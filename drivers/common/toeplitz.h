/*
 * The Toeplitz hash, as receive-side scaling and xen/io/netif.h define it, by a table that is made once for a key: two
 * look-ups a byte of input.
 */
#ifndef DRIVER_TOEPLITZ_H
#define DRIVER_TOEPLITZ_H

#include <ntddk.h>

/* Bytes of a key, and of the longest input for which it suffices: IPv6 addresses and ports. */
#define TOEPLITZ_KEY_SIZE 40
#define TOEPLITZ_INPUT_SIZE 36

typedef struct _TOEPLITZ {
    ULONG Table[2 * TOEPLITZ_INPUT_SIZE][16]; /* what each value of each half byte of the input contributes */
} TOEPLITZ, *PTOEPLITZ;

/* Makes the table of a key. Any IRQL. */
VOID ToeplitzInitialize(_Out_ PTOEPLITZ Toeplitz, _In_reads_(TOEPLITZ_KEY_SIZE) const UCHAR *Key);

/*
 * The hash of addresses and ports as they follow one another in a packet: source and destination address, then, for
 * TCP, source and destination port. Length is at most TOEPLITZ_INPUT_SIZE. Any IRQL.
 */
ULONG ToeplitzHash(_In_ const TOEPLITZ *Toeplitz, _In_reads_(Length) const UCHAR *Input, _In_ ULONG Length);

#endif /* DRIVER_TOEPLITZ_H */
