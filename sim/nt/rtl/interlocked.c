/*
 * Interlocked operations, ordered accesses. Each is a switch point, then one sequentially consistent access.
 */
#include "nt/ke/ke.h"

#define DEFINE_INCREMENT(name, type)                                                                                   \
    type NTAPI name(type volatile *Addend)                                                                             \
    {                                                                                                                  \
        ke_light_point(POINT_INTERLOCKED);                                                                             \
        return (type)__atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);                                                  \
    }
#define DEFINE_DECREMENT(name, type)                                                                                   \
    type NTAPI name(type volatile *Addend)                                                                             \
    {                                                                                                                  \
        ke_light_point(POINT_INTERLOCKED);                                                                             \
        return (type)__atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);                                                  \
    }
#define DEFINE_FETCH(name, type, operation)                                                                            \
    type NTAPI name(type volatile *Destination, type Value)                                                            \
    {                                                                                                                  \
        ke_light_point(POINT_INTERLOCKED);                                                                             \
        return (type)__atomic_##operation(Destination, Value, __ATOMIC_SEQ_CST);                                       \
    }
#define DEFINE_COMPARE_EXCHANGE(name, type)                                                                            \
    type NTAPI name(type volatile *Destination, type Exchange, type Comperand)                                         \
    {                                                                                                                  \
        ke_light_point(POINT_INTERLOCKED);                                                                             \
        __atomic_compare_exchange_n(Destination, &Comperand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);         \
        return Comperand;                                                                                              \
    }

DEFINE_INCREMENT(InterlockedIncrement, LONG)
DEFINE_DECREMENT(InterlockedDecrement, LONG)
DEFINE_FETCH(InterlockedExchange, LONG, exchange_n)
DEFINE_FETCH(InterlockedExchangeAdd, LONG, fetch_add)
DEFINE_COMPARE_EXCHANGE(InterlockedCompareExchange, LONG)
DEFINE_FETCH(InterlockedAnd, LONG, fetch_and)
DEFINE_FETCH(InterlockedOr, LONG, fetch_or)
DEFINE_FETCH(InterlockedXor, LONG, fetch_xor)
DEFINE_FETCH(InterlockedAdd, LONG, add_fetch)

DEFINE_INCREMENT(InterlockedIncrement64, LONG64)
DEFINE_DECREMENT(InterlockedDecrement64, LONG64)
DEFINE_FETCH(InterlockedExchange64, LONG64, exchange_n)
DEFINE_FETCH(InterlockedExchangeAdd64, LONG64, fetch_add)
DEFINE_COMPARE_EXCHANGE(InterlockedCompareExchange64, LONG64)
DEFINE_FETCH(InterlockedAnd64, LONG64, fetch_and)
DEFINE_FETCH(InterlockedOr64, LONG64, fetch_or)
DEFINE_FETCH(InterlockedXor64, LONG64, fetch_xor)
DEFINE_FETCH(InterlockedAdd64, LONG64, add_fetch)

DEFINE_INCREMENT(InterlockedIncrement16, SHORT)
DEFINE_DECREMENT(InterlockedDecrement16, SHORT)
DEFINE_FETCH(InterlockedExchange16, SHORT, exchange_n)
DEFINE_COMPARE_EXCHANGE(InterlockedCompareExchange16, SHORT)
DEFINE_FETCH(InterlockedAnd16, SHORT, fetch_and)
DEFINE_FETCH(InterlockedOr16, SHORT, fetch_or)
DEFINE_FETCH(InterlockedXor16, SHORT, fetch_xor)

DEFINE_FETCH(InterlockedExchange8, CHAR, exchange_n)
DEFINE_FETCH(InterlockedAnd8, CHAR, fetch_and)
DEFINE_FETCH(InterlockedOr8, CHAR, fetch_or)
DEFINE_FETCH(InterlockedXor8, CHAR, fetch_xor)

PVOID NTAPI KxInterlockedExchangePointer(PVOID volatile *Target, PVOID Value)
{
    ke_light_point(POINT_INTERLOCKED);
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

PVOID NTAPI KxInterlockedCompareExchangePointer(PVOID volatile *Target, PVOID Exchange, PVOID Comperand)
{
    ke_light_point(POINT_INTERLOCKED);
    __atomic_compare_exchange_n(Target, &Comperand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comperand;
}

/* Every x64 processor that Windows 10 runs on has CMPXCHG16B; the operand is aligned to 16 bytes or this faults there.
 */
BOOLEAN NTAPI InterlockedCompareExchange128(LONG64 volatile *Destination, LONG64 ExchangeHigh, LONG64 ExchangeLow,
                                            LONG64 *ComparandResult)
{
    BOOLEAN exchanged;

    if ((uintptr_t)Destination % 16 != 0)
        nt_violation("misaligned", "InterlockedCompareExchange128: the operand is not aligned to 16 bytes");
    ke_light_point(POINT_INTERLOCKED);
    __asm__ volatile("lock cmpxchg16b %1\n\tsete %0"
                     : "=q"(exchanged), "+m"(*(unsigned __int128 volatile *)Destination), "+a"(ComparandResult[0]),
                       "+d"(ComparandResult[1])
                     : "b"(ExchangeLow), "c"(ExchangeHigh)
                     : "cc", "memory");
    return exchanged;
}

/* Bit numbers are signed and reach before and behind the word given, as with BTS and a register. */
static LONG volatile *word_of(LONG volatile *base, LONG64 bit)
{
    return base + (bit >> 5);
}

BOOLEAN NTAPI InterlockedBitTestAndSet(LONG volatile *Base, LONG Bit)
{
    ULONG mask = 1u << (Bit & 31);

    ke_light_point(POINT_INTERLOCKED);
    return (__atomic_fetch_or(word_of(Base, Bit), (LONG)mask, __ATOMIC_SEQ_CST) & (LONG)mask) != 0;
}

BOOLEAN NTAPI InterlockedBitTestAndReset(LONG volatile *Base, LONG Bit)
{
    ULONG mask = 1u << (Bit & 31);

    ke_light_point(POINT_INTERLOCKED);
    return (__atomic_fetch_and(word_of(Base, Bit), (LONG)~mask, __ATOMIC_SEQ_CST) & (LONG)mask) != 0;
}

BOOLEAN NTAPI InterlockedBitTestAndComplement(LONG volatile *Base, LONG Bit)
{
    ULONG mask = 1u << (Bit & 31);

    ke_light_point(POINT_INTERLOCKED);
    return (__atomic_fetch_xor(word_of(Base, Bit), (LONG)mask, __ATOMIC_SEQ_CST) & (LONG)mask) != 0;
}

BOOLEAN NTAPI InterlockedBitTestAndSet64(LONG64 volatile *Base, LONG64 Bit)
{
    ULONG64 mask = 1ull << (Bit & 63);

    ke_light_point(POINT_INTERLOCKED);
    return (__atomic_fetch_or(Base + (Bit >> 6), (LONG64)mask, __ATOMIC_SEQ_CST) & (LONG64)mask) != 0;
}

BOOLEAN NTAPI InterlockedBitTestAndReset64(LONG64 volatile *Base, LONG64 Bit)
{
    ULONG64 mask = 1ull << (Bit & 63);

    ke_light_point(POINT_INTERLOCKED);
    return (__atomic_fetch_and(Base + (Bit >> 6), (LONG64)~mask, __ATOMIC_SEQ_CST) & (LONG64)mask) != 0;
}

#define DEFINE_READ(name, type)                                                                                        \
    type NTAPI name(type const volatile *Source)                                                                       \
    {                                                                                                                  \
        ke_light_point(POINT_INTERLOCKED);                                                                             \
        return __atomic_load_n(Source, __ATOMIC_ACQUIRE);                                                              \
    }
#define DEFINE_WRITE(name, type)                                                                                       \
    VOID NTAPI name(type volatile *Destination, type Value)                                                            \
    {                                                                                                                  \
        ke_light_point(POINT_INTERLOCKED);                                                                             \
        __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);                                                        \
    }

DEFINE_READ(Read8Acquire, CHAR)
DEFINE_READ(Read16Acquire, SHORT)
DEFINE_READ(ReadAcquire, LONG)
DEFINE_READ(Read64Acquire, LONG64)
DEFINE_READ(ReadUCharAcquire, UCHAR)
DEFINE_READ(ReadUShortAcquire, USHORT)
DEFINE_READ(ReadULongAcquire, ULONG)
DEFINE_READ(ReadULong64Acquire, ULONG64)
DEFINE_WRITE(Write8Release, CHAR)
DEFINE_WRITE(Write16Release, SHORT)
DEFINE_WRITE(WriteRelease, LONG)
DEFINE_WRITE(Write64Release, LONG64)
DEFINE_WRITE(WriteUCharRelease, UCHAR)
DEFINE_WRITE(WriteUShortRelease, USHORT)
DEFINE_WRITE(WriteULongRelease, ULONG)
DEFINE_WRITE(WriteULong64Release, ULONG64)

PVOID NTAPI KxReadPointerAcquire(PVOID const volatile *Source)
{
    ke_light_point(POINT_INTERLOCKED);
    return __atomic_load_n(Source, __ATOMIC_ACQUIRE);
}

VOID NTAPI KxWritePointerRelease(PVOID volatile *Destination, PVOID Value)
{
    ke_light_point(POINT_INTERLOCKED);
    __atomic_store_n(Destination, Value, __ATOMIC_RELEASE);
}
