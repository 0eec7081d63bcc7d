/* UUIDs, random ones (RFC 4122 version 4) of the machine's seed. */
#include "machine/rng.h"
#include "nt/nt.h"

NTSTATUS NTAPI ExUuidCreate(GUID *Uuid)
{
    NT_CALL(PASSIVE_LEVEL);
    uint64_t high = rng_next(RNG_GUEST);
    uint64_t low = rng_next(RNG_GUEST);

    Uuid->Data1 = (ULONG)(high >> 32);
    Uuid->Data2 = (USHORT)(high >> 16);
    Uuid->Data3 = (USHORT)((high & 0x0FFF) | 0x4000);
    for (int i = 0; i < 8; i++)
        Uuid->Data4[i] = (UCHAR)(low >> (56 - 8 * i));
    Uuid->Data4[0] = (UCHAR)((Uuid->Data4[0] & 0x3F) | 0x80);
    return STATUS_SUCCESS;
}
