/*
 * Interlocked operations, ordered accesses and barriers.
 *
 * Each is a kernel routine, sequentially consistent and a switch point of the simulated machine; the Acquire, Release
 * and NoFence spellings are the full one. Callable at any IRQL. 64-bit, pointer and 128-bit operands are aligned to
 * their size.
 */

#ifndef PVSIM_WDM_INTERLOCKED_H
#define PVSIM_WDM_INTERLOCKED_H

#include <wdm/base.h>

NTKERNELAPI LONG NTAPI InterlockedIncrement(_Inout_ LONG volatile *Addend);
NTKERNELAPI LONG NTAPI InterlockedDecrement(_Inout_ LONG volatile *Addend);
NTKERNELAPI LONG NTAPI InterlockedExchange(_Inout_ LONG volatile *Target, _In_ LONG Value);
NTKERNELAPI LONG NTAPI InterlockedExchangeAdd(_Inout_ LONG volatile *Addend, _In_ LONG Value);
NTKERNELAPI LONG NTAPI InterlockedCompareExchange(_Inout_ LONG volatile *Destination, _In_ LONG Exchange,
                                                  _In_ LONG Comperand);
NTKERNELAPI LONG NTAPI InterlockedAnd(_Inout_ LONG volatile *Destination, _In_ LONG Value);
NTKERNELAPI LONG NTAPI InterlockedOr(_Inout_ LONG volatile *Destination, _In_ LONG Value);
NTKERNELAPI LONG NTAPI InterlockedXor(_Inout_ LONG volatile *Destination, _In_ LONG Value);
NTKERNELAPI LONG NTAPI InterlockedAdd(_Inout_ LONG volatile *Addend, _In_ LONG Value);

NTKERNELAPI LONG64 NTAPI InterlockedIncrement64(_Inout_ LONG64 volatile *Addend);
NTKERNELAPI LONG64 NTAPI InterlockedDecrement64(_Inout_ LONG64 volatile *Addend);
NTKERNELAPI LONG64 NTAPI InterlockedExchange64(_Inout_ LONG64 volatile *Target, _In_ LONG64 Value);
NTKERNELAPI LONG64 NTAPI InterlockedExchangeAdd64(_Inout_ LONG64 volatile *Addend, _In_ LONG64 Value);
NTKERNELAPI LONG64 NTAPI InterlockedCompareExchange64(_Inout_ LONG64 volatile *Destination, _In_ LONG64 Exchange,
                                                      _In_ LONG64 Comperand);
NTKERNELAPI LONG64 NTAPI InterlockedAnd64(_Inout_ LONG64 volatile *Destination, _In_ LONG64 Value);
NTKERNELAPI LONG64 NTAPI InterlockedOr64(_Inout_ LONG64 volatile *Destination, _In_ LONG64 Value);
NTKERNELAPI LONG64 NTAPI InterlockedXor64(_Inout_ LONG64 volatile *Destination, _In_ LONG64 Value);
NTKERNELAPI LONG64 NTAPI InterlockedAdd64(_Inout_ LONG64 volatile *Addend, _In_ LONG64 Value);

NTKERNELAPI SHORT NTAPI InterlockedIncrement16(_Inout_ SHORT volatile *Addend);
NTKERNELAPI SHORT NTAPI InterlockedDecrement16(_Inout_ SHORT volatile *Addend);
NTKERNELAPI SHORT NTAPI InterlockedExchange16(_Inout_ SHORT volatile *Target, _In_ SHORT Value);
NTKERNELAPI SHORT NTAPI InterlockedCompareExchange16(_Inout_ SHORT volatile *Destination, _In_ SHORT Exchange,
                                                     _In_ SHORT Comperand);
NTKERNELAPI SHORT NTAPI InterlockedAnd16(_Inout_ SHORT volatile *Destination, _In_ SHORT Value);
NTKERNELAPI SHORT NTAPI InterlockedOr16(_Inout_ SHORT volatile *Destination, _In_ SHORT Value);
NTKERNELAPI SHORT NTAPI InterlockedXor16(_Inout_ SHORT volatile *Destination, _In_ SHORT Value);

NTKERNELAPI CHAR NTAPI InterlockedExchange8(_Inout_ CHAR volatile *Target, _In_ CHAR Value);
NTKERNELAPI CHAR NTAPI InterlockedAnd8(_Inout_ CHAR volatile *Destination, _In_ CHAR Value);
NTKERNELAPI CHAR NTAPI InterlockedOr8(_Inout_ CHAR volatile *Destination, _In_ CHAR Value);
NTKERNELAPI CHAR NTAPI InterlockedXor8(_Inout_ CHAR volatile *Destination, _In_ CHAR Value);

NTKERNELAPI PVOID NTAPI KxInterlockedExchangePointer(_Outptr_ PVOID volatile *Target, _In_ PVOID Value);
NTKERNELAPI PVOID NTAPI KxInterlockedCompareExchangePointer(_Outptr_ PVOID volatile *Target, _In_ PVOID Exchange,
                                                            _In_ PVOID Comperand);
NTKERNELAPI BOOLEAN NTAPI InterlockedCompareExchange128(_Inout_ LONG64 volatile *Destination, _In_ LONG64 ExchangeHigh,
                                                        _In_ LONG64 ExchangeLow, _Inout_ LONG64 *ComparandResult);

/* Bit numbers may pass the first word, as on x64: Base is the start of a bit array. Return the bit's old value. */
NTKERNELAPI BOOLEAN NTAPI InterlockedBitTestAndSet(_Inout_ LONG volatile *Base, _In_ LONG Bit);
NTKERNELAPI BOOLEAN NTAPI InterlockedBitTestAndReset(_Inout_ LONG volatile *Base, _In_ LONG Bit);
NTKERNELAPI BOOLEAN NTAPI InterlockedBitTestAndComplement(_Inout_ LONG volatile *Base, _In_ LONG Bit);
NTKERNELAPI BOOLEAN NTAPI InterlockedBitTestAndSet64(_Inout_ LONG64 volatile *Base, _In_ LONG64 Bit);
NTKERNELAPI BOOLEAN NTAPI InterlockedBitTestAndReset64(_Inout_ LONG64 volatile *Base, _In_ LONG64 Bit);

/* Windows declares the pointer forms on `PVOID volatile *` and lets any pointer to a pointer in. */
#define InterlockedExchangePointer(target, value)                                                                      \
    KxInterlockedExchangePointer((PVOID volatile *)(target), (PVOID)(value))
#define InterlockedCompareExchangePointer(target, exchange, comperand)                                                 \
    KxInterlockedCompareExchangePointer((PVOID volatile *)(target), (PVOID)(exchange), (PVOID)(comperand))

#define InterlockedIncrementAcquire InterlockedIncrement
#define InterlockedIncrementRelease InterlockedIncrement
#define InterlockedIncrementNoFence InterlockedIncrement
#define InterlockedDecrementAcquire InterlockedDecrement
#define InterlockedDecrementRelease InterlockedDecrement
#define InterlockedDecrementNoFence InterlockedDecrement
#define InterlockedExchangeAcquire InterlockedExchange
#define InterlockedExchangeRelease InterlockedExchange
#define InterlockedExchangeNoFence InterlockedExchange
#define InterlockedExchangeAddAcquire InterlockedExchangeAdd
#define InterlockedExchangeAddRelease InterlockedExchangeAdd
#define InterlockedExchangeAddNoFence InterlockedExchangeAdd
#define InterlockedCompareExchangeAcquire InterlockedCompareExchange
#define InterlockedCompareExchangeRelease InterlockedCompareExchange
#define InterlockedCompareExchangeNoFence InterlockedCompareExchange
#define InterlockedAndAcquire InterlockedAnd
#define InterlockedAndRelease InterlockedAnd
#define InterlockedAndNoFence InterlockedAnd
#define InterlockedOrAcquire InterlockedOr
#define InterlockedOrRelease InterlockedOr
#define InterlockedOrNoFence InterlockedOr
#define InterlockedXorAcquire InterlockedXor
#define InterlockedXorRelease InterlockedXor
#define InterlockedXorNoFence InterlockedXor
#define InterlockedAddAcquire InterlockedAdd
#define InterlockedAddRelease InterlockedAdd
#define InterlockedAddNoFence InterlockedAdd
#define InterlockedIncrementAcquire64 InterlockedIncrement64
#define InterlockedIncrementRelease64 InterlockedIncrement64
#define InterlockedIncrementNoFence64 InterlockedIncrement64
#define InterlockedDecrementAcquire64 InterlockedDecrement64
#define InterlockedDecrementRelease64 InterlockedDecrement64
#define InterlockedDecrementNoFence64 InterlockedDecrement64
#define InterlockedExchangeAcquire64 InterlockedExchange64
#define InterlockedExchangeRelease64 InterlockedExchange64
#define InterlockedExchangeNoFence64 InterlockedExchange64
#define InterlockedExchangeAddAcquire64 InterlockedExchangeAdd64
#define InterlockedExchangeAddRelease64 InterlockedExchangeAdd64
#define InterlockedExchangeAddNoFence64 InterlockedExchangeAdd64
#define InterlockedCompareExchangeAcquire64 InterlockedCompareExchange64
#define InterlockedCompareExchangeRelease64 InterlockedCompareExchange64
#define InterlockedCompareExchangeNoFence64 InterlockedCompareExchange64
#define InterlockedAndAcquire64 InterlockedAnd64
#define InterlockedAndRelease64 InterlockedAnd64
#define InterlockedAndNoFence64 InterlockedAnd64
#define InterlockedOrAcquire64 InterlockedOr64
#define InterlockedOrRelease64 InterlockedOr64
#define InterlockedOrNoFence64 InterlockedOr64
#define InterlockedXorAcquire64 InterlockedXor64
#define InterlockedXorRelease64 InterlockedXor64
#define InterlockedXorNoFence64 InterlockedXor64
#define InterlockedAddAcquire64 InterlockedAdd64
#define InterlockedAddRelease64 InterlockedAdd64
#define InterlockedAddNoFence64 InterlockedAdd64
#define InterlockedIncrementAcquire16 InterlockedIncrement16
#define InterlockedIncrementRelease16 InterlockedIncrement16
#define InterlockedIncrementNoFence16 InterlockedIncrement16
#define InterlockedDecrementAcquire16 InterlockedDecrement16
#define InterlockedDecrementRelease16 InterlockedDecrement16
#define InterlockedDecrementNoFence16 InterlockedDecrement16
#define InterlockedExchangeAcquire16 InterlockedExchange16
#define InterlockedExchangeRelease16 InterlockedExchange16
#define InterlockedExchangeNoFence16 InterlockedExchange16
#define InterlockedCompareExchangeAcquire16 InterlockedCompareExchange16
#define InterlockedCompareExchangeRelease16 InterlockedCompareExchange16
#define InterlockedCompareExchangeNoFence16 InterlockedCompareExchange16
#define InterlockedAndAcquire16 InterlockedAnd16
#define InterlockedAndRelease16 InterlockedAnd16
#define InterlockedAndNoFence16 InterlockedAnd16
#define InterlockedOrAcquire16 InterlockedOr16
#define InterlockedOrRelease16 InterlockedOr16
#define InterlockedOrNoFence16 InterlockedOr16
#define InterlockedXorAcquire16 InterlockedXor16
#define InterlockedXorRelease16 InterlockedXor16
#define InterlockedXorNoFence16 InterlockedXor16
#define InterlockedExchangePointerAcquire InterlockedExchangePointer
#define InterlockedExchangePointerRelease InterlockedExchangePointer
#define InterlockedExchangePointerNoFence InterlockedExchangePointer
#define InterlockedCompareExchangePointerAcquire InterlockedCompareExchangePointer
#define InterlockedCompareExchangePointerRelease InterlockedCompareExchangePointer
#define InterlockedCompareExchangePointerNoFence InterlockedCompareExchangePointer
#define InterlockedBitTestAndSetAcquire InterlockedBitTestAndSet
#define InterlockedBitTestAndSetRelease InterlockedBitTestAndSet
#define InterlockedBitTestAndSetNoFence InterlockedBitTestAndSet
#define InterlockedBitTestAndResetAcquire InterlockedBitTestAndReset
#define InterlockedBitTestAndResetRelease InterlockedBitTestAndReset
#define InterlockedBitTestAndResetNoFence InterlockedBitTestAndReset

/* The compiler intrinsics of the same names. */
#define _InterlockedIncrement InterlockedIncrement
#define _InterlockedDecrement InterlockedDecrement
#define _InterlockedExchange InterlockedExchange
#define _InterlockedExchangeAdd InterlockedExchangeAdd
#define _InterlockedCompareExchange InterlockedCompareExchange
#define _InterlockedAnd InterlockedAnd
#define _InterlockedOr InterlockedOr
#define _InterlockedXor InterlockedXor
#define _InterlockedAdd InterlockedAdd
#define _InterlockedIncrement64 InterlockedIncrement64
#define _InterlockedDecrement64 InterlockedDecrement64
#define _InterlockedExchange64 InterlockedExchange64
#define _InterlockedExchangeAdd64 InterlockedExchangeAdd64
#define _InterlockedCompareExchange64 InterlockedCompareExchange64
#define _InterlockedAnd64 InterlockedAnd64
#define _InterlockedOr64 InterlockedOr64
#define _InterlockedXor64 InterlockedXor64
#define _InterlockedAdd64 InterlockedAdd64
#define _InterlockedIncrement16 InterlockedIncrement16
#define _InterlockedDecrement16 InterlockedDecrement16
#define _InterlockedExchange16 InterlockedExchange16
#define _InterlockedCompareExchange16 InterlockedCompareExchange16
#define _InterlockedAnd16 InterlockedAnd16
#define _InterlockedOr16 InterlockedOr16
#define _InterlockedXor16 InterlockedXor16
#define _InterlockedExchange8 InterlockedExchange8
#define _InterlockedAnd8 InterlockedAnd8
#define _InterlockedOr8 InterlockedOr8
#define _InterlockedXor8 InterlockedXor8
#define _InterlockedExchangePointer InterlockedExchangePointer
#define _InterlockedCompareExchangePointer InterlockedCompareExchangePointer
#define _InterlockedCompareExchange128 InterlockedCompareExchange128
#define _interlockedbittestandset InterlockedBitTestAndSet
#define _interlockedbittestandreset InterlockedBitTestAndReset
#define _interlockedbittestandset64 InterlockedBitTestAndSet64
#define _interlockedbittestandreset64 InterlockedBitTestAndReset64
#define InterlockedIncrementSizeT(addend) ((SIZE_T)InterlockedIncrement64((LONG64 volatile *)(addend)))
#define InterlockedDecrementSizeT(addend) ((SIZE_T)InterlockedDecrement64((LONG64 volatile *)(addend)))

/* Ordered accesses of every width. ReadXNoFence and WriteXNoFence are atomic; here they are ordered as well. */
NTKERNELAPI CHAR NTAPI Read8Acquire(_In_ CHAR const volatile *Source);
NTKERNELAPI SHORT NTAPI Read16Acquire(_In_ SHORT const volatile *Source);
NTKERNELAPI LONG NTAPI ReadAcquire(_In_ LONG const volatile *Source);
NTKERNELAPI LONG64 NTAPI Read64Acquire(_In_ LONG64 const volatile *Source);
NTKERNELAPI UCHAR NTAPI ReadUCharAcquire(_In_ UCHAR const volatile *Source);
NTKERNELAPI USHORT NTAPI ReadUShortAcquire(_In_ USHORT const volatile *Source);
NTKERNELAPI ULONG NTAPI ReadULongAcquire(_In_ ULONG const volatile *Source);
NTKERNELAPI ULONG64 NTAPI ReadULong64Acquire(_In_ ULONG64 const volatile *Source);
NTKERNELAPI PVOID NTAPI KxReadPointerAcquire(_Outptr_ PVOID const volatile *Source);
NTKERNELAPI VOID NTAPI Write8Release(_Inout_ CHAR volatile *Destination, _In_ CHAR Value);
NTKERNELAPI VOID NTAPI Write16Release(_Inout_ SHORT volatile *Destination, _In_ SHORT Value);
NTKERNELAPI VOID NTAPI WriteRelease(_Inout_ LONG volatile *Destination, _In_ LONG Value);
NTKERNELAPI VOID NTAPI Write64Release(_Inout_ LONG64 volatile *Destination, _In_ LONG64 Value);
NTKERNELAPI VOID NTAPI WriteUCharRelease(_Inout_ UCHAR volatile *Destination, _In_ UCHAR Value);
NTKERNELAPI VOID NTAPI WriteUShortRelease(_Inout_ USHORT volatile *Destination, _In_ USHORT Value);
NTKERNELAPI VOID NTAPI WriteULongRelease(_Inout_ ULONG volatile *Destination, _In_ ULONG Value);
NTKERNELAPI VOID NTAPI WriteULong64Release(_Inout_ ULONG64 volatile *Destination, _In_ ULONG64 Value);
NTKERNELAPI VOID NTAPI KxWritePointerRelease(_Outptr_ PVOID volatile *Destination, _In_ PVOID Value);

#define ReadPointerAcquire(source) KxReadPointerAcquire((PVOID const volatile *)(source))
#define WritePointerRelease(destination, value) KxWritePointerRelease((PVOID volatile *)(destination), (PVOID)(value))
#define Read8NoFence Read8Acquire
#define Read8Raw Read8Acquire
#define Write8NoFence Write8Release
#define Write8Raw Write8Release
#define Read16NoFence Read16Acquire
#define Read16Raw Read16Acquire
#define Write16NoFence Write16Release
#define Write16Raw Write16Release
#define ReadNoFence ReadAcquire
#define ReadRaw ReadAcquire
#define WriteNoFence WriteRelease
#define WriteRaw WriteRelease
#define Read64NoFence Read64Acquire
#define Read64Raw Read64Acquire
#define Write64NoFence Write64Release
#define Write64Raw Write64Release
#define ReadUCharNoFence ReadUCharAcquire
#define ReadUCharRaw ReadUCharAcquire
#define WriteUCharNoFence WriteUCharRelease
#define WriteUCharRaw WriteUCharRelease
#define ReadUShortNoFence ReadUShortAcquire
#define ReadUShortRaw ReadUShortAcquire
#define WriteUShortNoFence WriteUShortRelease
#define WriteUShortRaw WriteUShortRelease
#define ReadULongNoFence ReadULongAcquire
#define ReadULongRaw ReadULongAcquire
#define WriteULongNoFence WriteULongRelease
#define WriteULongRaw WriteULongRelease
#define ReadULong64NoFence ReadULong64Acquire
#define ReadULong64Raw ReadULong64Acquire
#define WriteULong64NoFence WriteULong64Release
#define WriteULong64Raw WriteULong64Release
#define ReadPointerNoFence ReadPointerAcquire
#define ReadPointerRaw ReadPointerAcquire
#define WritePointerNoFence WritePointerRelease
#define WritePointerRaw WritePointerRelease
#define ReadBooleanAcquire(source) ((BOOLEAN)ReadUCharAcquire(source))
#define ReadBooleanNoFence(source) ((BOOLEAN)ReadUCharAcquire(source))
#define WriteBooleanRelease(destination, value) WriteUCharRelease(destination, (UCHAR)(value))
#define WriteBooleanNoFence(destination, value) WriteUCharRelease(destination, (UCHAR)(value))

/* Full barriers are a switch point; the compiler barriers are just that. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxMemoryBarrier(VOID);
#define KeMemoryBarrier() KxMemoryBarrier()
#define MemoryBarrier() KxMemoryBarrier()
#define FastFence() KxMemoryBarrier()
#define MemoryFence() KxMemoryBarrier()
#define KeMemoryBarrierWithoutFence() __asm__ volatile("" : : : "memory")
#define _ReadWriteBarrier() __asm__ volatile("" : : : "memory")
#define _ReadBarrier() __asm__ volatile("" : : : "memory")
#define _WriteBarrier() __asm__ volatile("" : : : "memory")
#define LoadFence() __asm__ volatile("lfence" : : : "memory")
#define StoreFence() __asm__ volatile("sfence" : : : "memory")

/* Hints that the line of an address will be read, or written, soon. */
#define PF_TEMPORAL_LEVEL_1 3
#define PF_TEMPORAL_LEVEL_2 2
#define PreFetchCacheLine(level, address) __builtin_prefetch((address), 0, (level))
#define PrefetchForWrite(address) __asm__ volatile("prefetchw %0" : : "m"(*(const volatile CHAR *)(address)))

/* The pause of a spin loop: gives the other processors their turn. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxYieldProcessor(VOID);
#define YieldProcessor() KxYieldProcessor()

#endif
