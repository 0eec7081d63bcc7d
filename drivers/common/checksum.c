#include "compat.h"
#include "checksum.h"

#define IPV4_CHECKSUM 10

VOID ChecksumInitialize(_Out_ PCHECKSUM Checksum)
{
    Checksum->Sum = 0;
    Checksum->Odd = FALSE;
}

/* The sum of a sum's 16-bit halves, until there is one. */
static USHORT ChecksumReduce(_In_ ULONG64 Sum)
{
    while ((Sum >> 16) != 0)
        Sum = (Sum & 0xFFFF) + (Sum >> 16);

    return (USHORT)Sum;
}

/* The words lie with their high byte first, and a processor of ours reads the low byte first. */
static USHORT ChecksumSwap(_In_ USHORT Value)
{
    return (USHORT)((Value << 8) | (Value >> 8));
}

/*
 * Sums 8 bytes at a time in the processor's order: the order of bytes does not matter to a one's complement sum but for
 * the result's own (RFC 1071, section 2). Half words cannot overflow 64 bits before 2^31 of them have gone in.
 */
VOID ChecksumAdd(_Inout_ PCHECKSUM Checksum, _In_reads_bytes_(Length) const VOID *Buffer, _In_ ULONG Length)
{
    const UCHAR *Bytes = Buffer;
    ULONG Left = Length;
    ULONG64 Sum = 0;
    ULONG64 Words;
    USHORT Value;

    for (; Left >= sizeof(Words); Left -= sizeof(Words)) {
        RtlCopyMemory(&Words, Bytes, sizeof(Words));
        Sum += (Words & 0xFFFFFFFF) + (Words >> 32);
        Bytes += sizeof(Words);
    }

    if (Left != 0) {
        Words = 0;
        RtlCopyMemory(&Words, Bytes, Left);
        Sum += (Words & 0xFFFFFFFF) + (Words >> 32);
    }

    /* After an odd number of bytes each one here lies in the other half of its word. */
    Value = ChecksumReduce(Sum);
    Checksum->Sum += Checksum->Odd ? ChecksumSwap(Value) : Value;
    Checksum->Odd ^= (BOOLEAN)(Length & 1);
}

VOID ChecksumAddPseudoHeader(_Inout_ PCHECKSUM Checksum, _In_reads_bytes_(AddressesLength) const VOID *Addresses,
                             _In_ ULONG AddressesLength, _In_ UCHAR Protocol, _In_ ULONG Length)
{
    ChecksumAdd(Checksum, Addresses, AddressesLength);
    Checksum->Sum += ChecksumSwap(Protocol);
    Checksum->Sum += ChecksumSwap((USHORT)(Length >> 16));
    Checksum->Sum += ChecksumSwap((USHORT)Length);
}

USHORT ChecksumFold(_In_ const CHECKSUM *Checksum)
{
    return ChecksumSwap(ChecksumReduce(Checksum->Sum));
}

USHORT ChecksumFinish(_In_ const CHECKSUM *Checksum)
{
    return (USHORT)~ChecksumFold(Checksum);
}

VOID ChecksumStore(_Out_writes_(2) PUCHAR Field, _In_ USHORT Value)
{
    Field[0] = (UCHAR)(Value >> 8);
    Field[1] = (UCHAR)Value;
}

static USHORT ChecksumOfIpVersion4(_In_ const UCHAR *Header)
{
    CHECKSUM Checksum;

    ChecksumInitialize(&Checksum);
    ChecksumAdd(&Checksum, Header, (ULONG)(Header[0] & 0x0F) * 4);

    return ChecksumFinish(&Checksum);
}

VOID ChecksumStoreIpVersion4(_Inout_ PUCHAR Header)
{
    ChecksumStore(Header + IPV4_CHECKSUM, 0);
    ChecksumStore(Header + IPV4_CHECKSUM, ChecksumOfIpVersion4(Header));
}

BOOLEAN ChecksumVerifyIpVersion4(_In_ const UCHAR *Header)
{
    return ChecksumOfIpVersion4(Header) == 0;
}
