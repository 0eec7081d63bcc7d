/*
 * Compiler intrinsics of the Microsoft compiler.
 *
 * What only computes is inline. What touches the processor (CPUID, MSRs, the time-stamp counter, ports, CR8) is a
 * routine of the simulated machine. Include this after <cpuid.h> where both are needed; not together with
 * <x86intrin.h>.
 */

#ifndef PVSIM_INTRIN_H
#define PVSIM_INTRIN_H

#include <wdm/base.h>
#include <wdm/interlocked.h>

#undef __cpuid
#undef __rdtsc
NTKERNELAPI VOID NTAPI __cpuid(_Out_ int CPUInfo[4], _In_ int Leaf);
NTKERNELAPI VOID NTAPI __cpuidex(_Out_ int CPUInfo[4], _In_ int Leaf, _In_ int SubLeaf);
/* A builtin of clang by its own name, so another. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI ULONG64 NTAPI KxReadTimeStampCounter(VOID);
#define __rdtsc() KxReadTimeStampCounter()
NTKERNELAPI ULONG64 NTAPI __readmsr(_In_ ULONG Register);
NTKERNELAPI VOID NTAPI __writemsr(_In_ ULONG Register, _In_ ULONG64 Value);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI ULONG64 NTAPI __readcr8(VOID);
NTKERNELAPI VOID NTAPI __writecr8(_In_ ULONG64 Value);
NTKERNELAPI UCHAR NTAPI __inbyte(_In_ USHORT Port);
NTKERNELAPI USHORT NTAPI __inword(_In_ USHORT Port);
NTKERNELAPI ULONG NTAPI __indword(_In_ USHORT Port);
NTKERNELAPI VOID NTAPI __outbyte(_In_ USHORT Port, _In_ UCHAR Value);
NTKERNELAPI VOID NTAPI __outword(_In_ USHORT Port, _In_ USHORT Value);
NTKERNELAPI VOID NTAPI __outdword(_In_ USHORT Port, _In_ ULONG Value);
NTKERNELAPI VOID NTAPI __inbytestring(_In_ USHORT Port, _Out_ PUCHAR Buffer, _In_ ULONG Count);
NTKERNELAPI VOID NTAPI __inwordstring(_In_ USHORT Port, _Out_ PUSHORT Buffer, _In_ ULONG Count);
NTKERNELAPI VOID NTAPI __indwordstring(_In_ USHORT Port, _Out_ PULONG Buffer, _In_ ULONG Count);
NTKERNELAPI VOID NTAPI __outbytestring(_In_ USHORT Port, _In_ PUCHAR Buffer, _In_ ULONG Count);
NTKERNELAPI VOID NTAPI __outwordstring(_In_ USHORT Port, _In_ PUSHORT Buffer, _In_ ULONG Count);
NTKERNELAPI VOID NTAPI __outdwordstring(_In_ USHORT Port, _In_ PULONG Buffer, _In_ ULONG Count);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI _disable(VOID);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI _enable(VOID);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI __halt(VOID);

FORCEINLINE UCHAR _BitScanForward(_Out_ ULONG *Index, _In_ ULONG Mask)
{
    if (Mask == 0)
        return 0;
    *Index = (ULONG)__builtin_ctz(Mask);
    return 1;
}

FORCEINLINE UCHAR _BitScanReverse(_Out_ ULONG *Index, _In_ ULONG Mask)
{
    if (Mask == 0)
        return 0;
    *Index = 31 - (ULONG)__builtin_clz(Mask);
    return 1;
}

FORCEINLINE UCHAR _BitScanForward64(_Out_ ULONG *Index, _In_ ULONG64 Mask)
{
    if (Mask == 0)
        return 0;
    *Index = (ULONG)__builtin_ctzll(Mask);
    return 1;
}

FORCEINLINE UCHAR _BitScanReverse64(_Out_ ULONG *Index, _In_ ULONG64 Mask)
{
    if (Mask == 0)
        return 0;
    *Index = 63 - (ULONG)__builtin_clzll(Mask);
    return 1;
}

#define BitScanForward _BitScanForward
#define BitScanReverse _BitScanReverse
#define BitScanForward64 _BitScanForward64
#define BitScanReverse64 _BitScanReverse64

FORCEINLINE UCHAR _bittest(_In_ LONG const *Base, _In_ LONG Bit)
{
    return (UCHAR)((Base[Bit >> 5] >> (Bit & 31)) & 1);
}

FORCEINLINE UCHAR _bittestandset(_Inout_ LONG *Base, _In_ LONG Bit)
{
    UCHAR Old = _bittest(Base, Bit);

    Base[Bit >> 5] = (LONG)((ULONG)Base[Bit >> 5] | (1u << (Bit & 31)));
    return Old;
}

FORCEINLINE UCHAR _bittestandreset(_Inout_ LONG *Base, _In_ LONG Bit)
{
    UCHAR Old = _bittest(Base, Bit);

    Base[Bit >> 5] = (LONG)((ULONG)Base[Bit >> 5] & ~(1u << (Bit & 31)));
    return Old;
}

#define BitTest _bittest
#define BitTestAndSet _bittestandset
#define BitTestAndReset _bittestandreset
#define _byteswap_ushort(value) ((USHORT)__builtin_bswap16((USHORT)(value)))
#define _byteswap_ulong(value) ((ULONG)__builtin_bswap32((ULONG)(value)))
#define _byteswap_uint64(value) ((ULONG64)__builtin_bswap64((ULONG64)(value)))
#define __popcnt16(value) ((USHORT)__builtin_popcount((USHORT)(value)))
#define __popcnt(value) ((ULONG)__builtin_popcount((ULONG)(value)))
#define __popcnt64(value) ((ULONG64)__builtin_popcountll((ULONG64)(value)))
#define __lzcnt(value) ((ULONG)(value) ? (ULONG)__builtin_clz((ULONG)(value)) : 32u)
#define __lzcnt64(value) ((ULONG64)(value) ? (ULONG64)__builtin_clzll((ULONG64)(value)) : 64u)
#define _ReturnAddress() __builtin_return_address(0)
#define _AddressOfReturnAddress() ((PVOID)((PULONG_PTR)__builtin_frame_address(0) + 1))
#define __ud2() __builtin_trap()
#define __fastfail(code) KxFastFail(code)
DECLSPEC_NORETURN NTKERNELAPI VOID NTAPI KxFastFail(_In_ ULONG Code);

#ifndef __clang__
#undef _rotl
#undef _rotr
#endif
#define RotateLeft32(value, shift) (((ULONG)(value) << ((shift)&31)) | ((ULONG)(value) >> ((32 - (shift)) & 31)))
#define RotateRight32(value, shift) (((ULONG)(value) >> ((shift)&31)) | ((ULONG)(value) << ((32 - (shift)) & 31)))
#define RotateLeft64(value, shift) (((ULONG64)(value) << ((shift)&63)) | ((ULONG64)(value) >> ((64 - (shift)) & 63)))
#define RotateRight64(value, shift) (((ULONG64)(value) >> ((shift)&63)) | ((ULONG64)(value) << ((64 - (shift)) & 63)))
#ifndef _rotl
#define _rotl(value, shift) RotateLeft32(value, shift)
#define _rotr(value, shift) RotateRight32(value, shift)
#endif
#ifndef _rotl64
#define _rotl64(value, shift) RotateLeft64(value, shift)
#define _rotr64(value, shift) RotateRight64(value, shift)
#endif

FORCEINLINE ULONG64 UnsignedMultiplyHigh(_In_ ULONG64 Multiplier, _In_ ULONG64 Multiplicand)
{
    return (ULONG64)(((unsigned __int128)Multiplier * Multiplicand) >> 64);
}

FORCEINLINE ULONG64 UnsignedMultiply128(_In_ ULONG64 Multiplier, _In_ ULONG64 Multiplicand, _Out_ ULONG64 *HighProduct)
{
    unsigned __int128 Product = (unsigned __int128)Multiplier * Multiplicand;

    *HighProduct = (ULONG64)(Product >> 64);
    return (ULONG64)Product;
}
#define __umulh UnsignedMultiplyHigh
#define _umul128 UnsignedMultiply128

FORCEINLINE VOID __movsb(_Out_ PUCHAR Destination, _In_ const UCHAR *Source, _In_ SIZE_T Count)
{
    for (SIZE_T Index = 0; Index < Count; Index++)
        Destination[Index] = Source[Index];
}

FORCEINLINE VOID __stosb(_Out_ PUCHAR Destination, _In_ UCHAR Value, _In_ SIZE_T Count)
{
    __builtin_memset(Destination, Value, Count);
}

FORCEINLINE VOID __stosd(_Out_ PULONG Destination, _In_ ULONG Value, _In_ SIZE_T Count)
{
    for (SIZE_T Index = 0; Index < Count; Index++)
        Destination[Index] = Value;
}

FORCEINLINE VOID __stosq(_Out_ PULONG64 Destination, _In_ ULONG64 Value, _In_ SIZE_T Count)
{
    for (SIZE_T Index = 0; Index < Count; Index++)
        Destination[Index] = Value;
}

#endif
