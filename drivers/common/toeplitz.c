#include "compat.h"
#include "toeplitz.h"

/* The last window begins with the last bit of the input, and ends with the key. */
C_ASSERT(TOEPLITZ_KEY_SIZE == TOEPLITZ_INPUT_SIZE + sizeof(ULONG));

/* The 32 bits of the key from bit Offset on, the most significant bit of its first byte being number 0. */
static ULONG ToeplitzWindow(_In_ const UCHAR *Key, _In_ ULONG Offset)
{
    ULONG64 Bits = 0;
    ULONG Index;

    for (Index = 0; Index < 5; Index++)
        Bits = (Bits << 8) | Key[Offset / 8 + Index];

    return (ULONG)(Bits >> (8 - Offset % 8));
}

VOID ToeplitzInitialize(_Out_ PTOEPLITZ Toeplitz, _In_reads_(TOEPLITZ_KEY_SIZE) const UCHAR *Key)
{
    ULONG Nibble;

    for (Nibble = 0; Nibble < RTL_NUMBER_OF(Toeplitz->Table); Nibble++) {
        ULONG Value;
        ULONG Bit;

        for (Value = 0; Value < 16; Value++) {
            Toeplitz->Table[Nibble][Value] = 0;

            for (Bit = 0; Bit < 4; Bit++)
                if (Value & (8u >> Bit))
                    Toeplitz->Table[Nibble][Value] ^= ToeplitzWindow(Key, 4 * Nibble + Bit);
        }
    }
}

ULONG ToeplitzHash(_In_ const TOEPLITZ *Toeplitz, _In_reads_(Length) const UCHAR *Input, _In_ ULONG Length)
{
    ULONG Hash = 0;
    ULONG Index;

    for (Index = 0; Index < Length; Index++)
        Hash ^= Toeplitz->Table[2 * Index][Input[Index] >> 4] ^ Toeplitz->Table[2 * Index + 1][Input[Index] & 0x0F];

    return Hash;
}
