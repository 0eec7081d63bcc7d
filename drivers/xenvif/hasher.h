/*
 * The hash of received frames, made here where the backend makes none: Toeplitz with the client's key, over what the
 * client's types say, as of ReceiverUpdateHashParameters.
 *
 * HasherSet and HasherClear are the frontend thread's, while no poller runs.
 */
#ifndef XENVIF_HASHER_H
#define XENVIF_HASHER_H

#include <ntddk.h>

#include "packet.h"
#include "toeplitz.h"
#include "vif_interface.h"

typedef struct _XENVIF_HASHER {
    ULONG Types; /* a mask of 1 << XENVIF_PACKET_HASH_TYPE_*; 0: nothing is hashed */
    TOEPLITZ Toeplitz;
} XENVIF_HASHER, *PXENVIF_HASHER;

VOID HasherSet(_Out_ PXENVIF_HASHER Hasher, _In_ ULONG Types, _In_reads_(TOEPLITZ_KEY_SIZE) const UCHAR *Key);
VOID HasherClear(_Inout_ PXENVIF_HASHER Hasher);
BOOLEAN HasherIsSet(_In_ const XENVIF_HASHER *Hasher);

/*
 * Hashes the frame whose headers are at Header: addresses and ports of TCP if the client wants that, else addresses if
 * it wants those. Otherwise *Hash stays as it is. Any IRQL.
 */
VOID HasherHash(_In_ const XENVIF_HASHER *Hasher, _In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout,
                _Inout_ PXENVIF_PACKET_HASH Hash);

#endif /* XENVIF_HASHER_H */
