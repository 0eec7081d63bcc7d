/*
 * Interlocked operations, ordered accesses and bit scans: their wdm.h pages, and of 8- and 16-bit and 128-bit operands
 * those of winnt.h and "Compiler intrinsics".
 */
#include "nttest.h"

/* Where the headers of mingw-w64's DDK (version 10) lack them, by the compiler's own. */
#if defined(__MINGW32__)

#define InterlockedIncrement16(_Addend) __atomic_add_fetch((_Addend), 1, __ATOMIC_SEQ_CST)
#define InterlockedDecrement16(_Addend) __atomic_sub_fetch((_Addend), 1, __ATOMIC_SEQ_CST)
#define InterlockedExchange16(_Target, _Value) __atomic_exchange_n((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedCompareExchange16(_Target, _Exchange, _Comperand)                                                   \
    __sync_val_compare_and_swap((_Target), (SHORT)(_Comperand), (SHORT)(_Exchange))
#define InterlockedAnd16(_Target, _Value) __atomic_fetch_and((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedOr16(_Target, _Value) __atomic_fetch_or((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedXor16(_Target, _Value) __atomic_fetch_xor((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedExchange8(_Target, _Value) __atomic_exchange_n((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedAnd8(_Target, _Value) __atomic_fetch_and((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedOr8(_Target, _Value) __atomic_fetch_or((_Target), (_Value), __ATOMIC_SEQ_CST)
#define InterlockedXor8(_Target, _Value) __atomic_fetch_xor((_Target), (_Value), __ATOMIC_SEQ_CST)

#define READ_ORDERED(_Source) __atomic_load_n((_Source), __ATOMIC_ACQUIRE)
#define WRITE_ORDERED(_Target, _Value) __atomic_store_n((_Target), (_Value), __ATOMIC_RELEASE)
#define Read8Acquire READ_ORDERED
#define Read16Acquire READ_ORDERED
#define Read64Acquire READ_ORDERED
#define ReadUCharAcquire READ_ORDERED
#define ReadUShortAcquire READ_ORDERED
#define ReadBooleanAcquire READ_ORDERED
#define ReadBooleanNoFence READ_ORDERED
#define Write8Release WRITE_ORDERED
#define Write16Release WRITE_ORDERED
#define Write64Release WRITE_ORDERED
#define WriteUCharRelease WRITE_ORDERED
#define WriteUShortRelease WRITE_ORDERED
#define WriteBooleanRelease WRITE_ORDERED
#define WriteBooleanNoFence WRITE_ORDERED

static BOOLEAN InterlockedCompareExchange128(LONG64 volatile *Destination, LONG64 ExchangeHigh, LONG64 ExchangeLow,
                                             LONG64 *ComparandResult)
{
    BOOLEAN Exchanged;

    __asm__ volatile("lock cmpxchg16b %1\n\tsete %0"
                     : "=q"(Exchanged), "+m"(*(unsigned __int128 volatile *)Destination), "+a"(ComparandResult[0]),
                       "+d"(ComparandResult[1])
                     : "b"(ExchangeLow), "c"(ExchangeHigh)
                     : "cc", "memory");
    return Exchanged;
}

#endif

#define LEAST32 (-0x7FFFFFFF - 1)
#define MOST64 0x7FFFFFFFFFFFFFFFLL
#define LEAST64 (-MOST64 - 1)

/* For the tables below: the routine's name is text before a macro of the headers replaces it. */
#define NUMBER(_What, _Actual, _Expected)                                                                              \
    TestExpectNumber(__FILE__, __LINE__, (_What), (LONGLONG)(_Actual), (LONGLONG)(_Expected))

/* ---- values ---- */

/* The new value is returned; arithmetic wraps. */
#define STEPS(X)                                                                                                       \
    X(InterlockedIncrement, LONG, 6, MAXLONG, LEAST32)                                                                 \
    X(InterlockedIncrement16, SHORT, 6, MAXSHORT, MINSHORT)                                                            \
    X(InterlockedIncrement64, LONG64, 6, MOST64, LEAST64)                                                              \
    X(InterlockedDecrement, LONG, 4, LEAST32, MAXLONG)                                                                 \
    X(InterlockedDecrement16, SHORT, 4, MINSHORT, MAXSHORT)                                                            \
    X(InterlockedDecrement64, LONG64, 4, LEAST64, MOST64)                                                              \
    X(InterlockedIncrementSizeT, SIZE_T, 6, ~(SIZE_T)0, 0)                                                             \
    X(InterlockedDecrementSizeT, SIZE_T, 4, 0, ~(SIZE_T)0)

#define STEP(_Routine, _Type, _Next, _Last, _Wrapped)                                                                  \
    {                                                                                                                  \
        _Type volatile Value = 5;                                                                                      \
                                                                                                                       \
        NUMBER(#_Routine " of 5", _Routine(&Value), _Next);                                                            \
        NUMBER(#_Routine ": the variable", Value, _Next);                                                              \
        Value = (_Type)(_Last);                                                                                        \
        NUMBER(#_Routine " of the last value", _Routine(&Value), (_Type)(_Wrapped));                                   \
        NUMBER(#_Routine ": the variable", Value, (_Type)(_Wrapped));                                                  \
    }

static VOID InterlockedStepsReturnTheNewValue(VOID)
{
    STEPS(STEP)
}

/* name, type, variable before, argument, returned, variable behind */
#define OPERATIONS(X)                                                                                                  \
    X(InterlockedExchange, LONG, 5, -9, 5, -9)                                                                         \
    X(InterlockedExchange8, CHAR, 5, -9, 5, -9)                                                                        \
    X(InterlockedExchange16, SHORT, 5, -9, 5, -9)                                                                      \
    X(InterlockedExchange64, LONG64, 5, LEAST64, 5, LEAST64)                                                           \
    X(InterlockedExchangeAdd, LONG, 5, -7, 5, -2)                                                                      \
    X(InterlockedExchangeAdd, LONG, MAXLONG, 1, MAXLONG, LEAST32)                                                      \
    X(InterlockedExchangeAdd64, LONG64, 0xFFFFFFFFLL, 1, 0xFFFFFFFFLL, 0x100000000LL)                                  \
    X(InterlockedExchangeAdd64, LONG64, MOST64, 1, MOST64, LEAST64)                                                    \
    X(InterlockedAdd, LONG, 5, -7, -2, -2)                                                                             \
    X(InterlockedAdd, LONG, MAXLONG, 1, LEAST32, LEAST32)                                                              \
    X(InterlockedAdd64, LONG64, 0xFFFFFFFFLL, 1, 0x100000000LL, 0x100000000LL)                                         \
    X(InterlockedAdd64, LONG64, MOST64, 1, LEAST64, LEAST64)                                                           \
    X(InterlockedAnd, LONG, 0x5A, 0x3C, 0x5A, 0x18)                                                                    \
    X(InterlockedAnd8, CHAR, 0x5A, 0x3C, 0x5A, 0x18)                                                                   \
    X(InterlockedAnd16, SHORT, 0x5A5A, 0x3C3C, 0x5A5A, 0x1818)                                                         \
    X(InterlockedAnd64, LONG64, 0x5A00000000LL, 0x3C00000000LL, 0x5A00000000LL, 0x1800000000LL)                        \
    X(InterlockedOr, LONG, 0x5A, 0x3C, 0x5A, 0x7E)                                                                     \
    X(InterlockedOr8, CHAR, 0x5A, 0x3C, 0x5A, 0x7E)                                                                    \
    X(InterlockedOr16, SHORT, 0x5A5A, 0x3C3C, 0x5A5A, 0x7E7E)                                                          \
    X(InterlockedOr64, LONG64, 0x5A00000000LL, 0x3C00000000LL, 0x5A00000000LL, 0x7E00000000LL)                         \
    X(InterlockedXor, LONG, 0x5A, 0x3C, 0x5A, 0x66)                                                                    \
    X(InterlockedXor8, CHAR, 0x5A, 0x3C, 0x5A, 0x66)                                                                   \
    X(InterlockedXor16, SHORT, 0x5A5A, 0x3C3C, 0x5A5A, 0x6666)                                                         \
    X(InterlockedXor64, LONG64, 0x5A00000000LL, 0x3C00000000LL, 0x5A00000000LL, 0x6600000000LL)

#define OPERATION(_Routine, _Type, _Before, _Argument, _Returned, _Behind)                                             \
    {                                                                                                                  \
        _Type volatile Value[3] = {0x11, _Before, 0x22};                                                               \
                                                                                                                       \
        NUMBER(#_Routine "(" #_Before ", " #_Argument ")", _Routine(&Value[1], _Argument), _Returned);                 \
        NUMBER(#_Routine ": the variable", Value[1], _Behind);                                                         \
        CHECK(Value[0] == 0x11 && Value[2] == 0x22); /* its neighbours are not touched */                              \
    }

/* Exchange, ExchangeAdd, And, Or and Xor return what was there before, Add what is there now. */
static VOID InterlockedOperationsReturnAsDocumented(VOID)
{
    OPERATIONS(OPERATION)
}

#define COMPARE_EXCHANGE(_Routine, _Type, _Before, _Exchange)                                                          \
    {                                                                                                                  \
        _Type volatile Value = _Before;                                                                                \
                                                                                                                       \
        NUMBER(#_Routine ", not equal", _Routine(&Value, _Exchange, _Exchange), _Before);                              \
        NUMBER(#_Routine ": the variable", Value, _Before);                                                            \
        NUMBER(#_Routine ", equal", _Routine(&Value, _Exchange, _Before), _Before);                                    \
        NUMBER(#_Routine ": the variable", Value, _Exchange);                                                          \
    }

/* The value before is returned either way; the exchange happens if it was the comparand. */
static VOID InterlockedCompareExchangeIfEqual(VOID)
{
    COMPARE_EXCHANGE(InterlockedCompareExchange, LONG, 5, -9)
    COMPARE_EXCHANGE(InterlockedCompareExchange16, SHORT, 5, -9)
    COMPARE_EXCHANGE(InterlockedCompareExchange64, LONG64, 0x100000005LL, 5)
}

static VOID InterlockedPointers(VOID)
{
    LONG First = 1;
    LONG Second = 2;
    PVOID volatile Pointer = &First;

    EXPECT_TRUE(InterlockedExchangePointer(&Pointer, &Second) == &First);
    EXPECT_TRUE(Pointer == &Second);
    EXPECT_TRUE(InterlockedCompareExchangePointer(&Pointer, NULL, &First) == &Second);
    EXPECT_TRUE(Pointer == &Second);
    EXPECT_TRUE(InterlockedCompareExchangePointer(&Pointer, NULL, &Second) == &Second);
    EXPECT_TRUE(Pointer == NULL);
    WritePointerRelease(&Pointer, &First);
    EXPECT_TRUE(ReadPointerAcquire(&Pointer) == &First);
}

/* Returns whether it exchanged; ComparandResult receives what was there in either case. */
static VOID InterlockedCompareExchange128Bits(VOID)
{
    LONG64 DECLSPEC_ALIGN(16) Value[2] = {1, 2};
    LONG64 Comparand[2] = {1, 3};

    EXPECT_EQUAL(InterlockedCompareExchange128(Value, 20, 10, Comparand), 0);
    EXPECT_TRUE(Value[0] == 1 && Value[1] == 2 && Comparand[0] == 1 && Comparand[1] == 2);
    EXPECT_EQUAL(InterlockedCompareExchange128(Value, 20, 10, Comparand), 1);
    EXPECT_TRUE(Value[0] == 10 && Value[1] == 20 && Comparand[0] == 1 && Comparand[1] == 2);
}

/* The value of the bit before is returned. */
static VOID InterlockedBitTests(VOID)
{
    LONG Bits = 0;
    LONG64 Bits64 = 0;

    EXPECT_EQUAL(InterlockedBitTestAndSet(&Bits, 31), 0);
    EXPECT_EQUAL(InterlockedBitTestAndSet(&Bits, 31), 1);
    EXPECT_EQUAL(InterlockedBitTestAndSet(&Bits, 0), 0);
    EXPECT_EQUAL(Bits, (LONG)0x80000001);
    EXPECT_EQUAL(InterlockedBitTestAndReset(&Bits, 31), 1);
    EXPECT_EQUAL(InterlockedBitTestAndReset(&Bits, 31), 0);
    EXPECT_EQUAL(Bits, 1);
    EXPECT_EQUAL(InterlockedBitTestAndComplement(&Bits, 4), 0);
    EXPECT_EQUAL(InterlockedBitTestAndComplement(&Bits, 0), 1);
    EXPECT_EQUAL(Bits, 16);
    EXPECT_EQUAL(InterlockedBitTestAndSet64(&Bits64, 63), 0);
    EXPECT_EQUAL(InterlockedBitTestAndSet64(&Bits64, 63), 1);
    EXPECT_EQUAL(Bits64, LEAST64);
    EXPECT_EQUAL(InterlockedBitTestAndReset64(&Bits64, 63), 1);
    EXPECT_EQUAL(InterlockedBitTestAndReset64(&Bits64, 63), 0);
    EXPECT_EQUAL(Bits64, 0);
}

/* read, write, type, value */
#define ACCESSES(X)                                                                                                    \
    X(Read8Acquire, Write8Release, CHAR, -8)                                                                           \
    X(Read16Acquire, Write16Release, SHORT, -16)                                                                       \
    X(ReadAcquire, WriteRelease, LONG, LEAST32)                                                                        \
    X(Read64Acquire, Write64Release, LONG64, LEAST64)                                                                  \
    X(ReadUCharAcquire, WriteUCharRelease, UCHAR, 0xFF)                                                                \
    X(ReadUShortAcquire, WriteUShortRelease, USHORT, 0xFFFF)                                                           \
    X(ReadULongAcquire, WriteULongRelease, ULONG, 0xFFFFFFFFUL)                                                        \
    X(ReadULong64Acquire, WriteULong64Release, ULONG64, 0xFFFFFFFFFFFFFFFFULL)                                         \
    X(ReadBooleanAcquire, WriteBooleanRelease, BOOLEAN, TRUE)                                                          \
    X(ReadBooleanNoFence, WriteBooleanNoFence, BOOLEAN, TRUE)

#define ACCESS(_Read, _Write, _Type, _Value)                                                                           \
    {                                                                                                                  \
        _Type volatile Value[3] = {0, 0, 0};                                                                           \
                                                                                                                       \
        _Write(&Value[1], (_Type)(_Value));                                                                            \
        NUMBER(#_Write ": the variable", Value[1], (_Type)(_Value));                                                   \
        NUMBER(#_Read, _Read(&Value[1]), (_Type)(_Value));                                                             \
        CHECK(Value[0] == 0 && Value[2] == 0);                                                                         \
    }

static VOID OrderedAccesses(VOID)
{
    ACCESSES(ACCESS)
}

/* ---- bit scans ---- */

static VOID BitScans(VOID)
{
    ULONG Index = 99;

    EXPECT_TRUE(_BitScanForward(&Index, 0x80000010) != 0);
    EXPECT_EQUAL(Index, 4);
    EXPECT_TRUE(_BitScanReverse(&Index, 0x80000010) != 0);
    EXPECT_EQUAL(Index, 31);
    EXPECT_TRUE(_BitScanForward(&Index, 1) != 0);
    EXPECT_EQUAL(Index, 0);
    EXPECT_TRUE(_BitScanReverse(&Index, 1) != 0);
    EXPECT_EQUAL(Index, 0);
    EXPECT_TRUE(_BitScanForward64(&Index, 0x8000000100000000ULL) != 0);
    EXPECT_EQUAL(Index, 32);
    EXPECT_TRUE(_BitScanReverse64(&Index, 0x8000000100000000ULL) != 0);
    EXPECT_EQUAL(Index, 63);
}

/* Of no bits: 0. What the index is then, the page doesn't say. */
static VOID BitScansOfZero(VOID)
{
    ULONG Index = 99;

    EXPECT_EQUAL(_BitScanForward(&Index, 0), 0);
    EXPECT_EQUAL(_BitScanReverse(&Index, 0), 0);
    EXPECT_EQUAL(_BitScanForward64(&Index, 0), 0);
    EXPECT_EQUAL(_BitScanReverse64(&Index, 0), 0);
}

/* ---- levels ---- */

static VOID InterlockedAtHighLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    InterlockedStepsReturnTheNewValue();
    InterlockedOperationsReturnAsDocumented();
    InterlockedCompareExchangeIfEqual();
    InterlockedPointers();
    InterlockedCompareExchange128Bits();
    InterlockedBitTests();
    OrderedAccesses();
    BitScans();
    KeLowerIrql(Irql);
}

/* ---- atomicity ---- */

#define WORKERS 3
#define TURNS 40

typedef struct _COUNTERS {
    LONG64 DECLSPEC_ALIGN(16) Pair[2];
    LONG volatile Up, Down, Added, ExchangeAdded, Compared, Or, Xor, BitSet, Complement;
    SHORT volatile Up16, Down16, Compared16, Or16, Xor16;
    CHAR volatile Or8, Xor8;
    LONG64 volatile Up64, Down64, Added64, ExchangeAdded64, Compared64, Or64, Xor64, BitSet64;
    SIZE_T volatile UpSize, DownSize;
    LONG volatile Exchanged; /* each value that is put in comes out once: sums are kept */
    LONG volatile SumIn, SumOut;
    SHORT volatile Exchanged16;
    CHAR volatile Exchanged8;
    LONG64 volatile Exchanged64;
    PVOID volatile Pointer;
    PVOID volatile ComparedPointer;
    LONG volatile Number; /* of workers so far */
} COUNTERS;

static VOID CountOnce(COUNTERS *All, LONG Mine, LONG Turn)
{
    LONG64 Comparand[2];
    LONG64 Old64;
    LONG Old;
    SHORT Old16;
    PVOID OldPointer;
    LONG Value = Mine * TURNS + Turn + 1;

    (VOID) InterlockedIncrement(&All->Up);
    (VOID) InterlockedIncrement16(&All->Up16);
    (VOID) InterlockedIncrement64(&All->Up64);
    (VOID) InterlockedIncrementSizeT(&All->UpSize);
    (VOID) InterlockedDecrement(&All->Down);
    (VOID) InterlockedDecrement16(&All->Down16);
    (VOID) InterlockedDecrement64(&All->Down64);
    (VOID) InterlockedDecrementSizeT(&All->DownSize);
    (VOID) InterlockedAdd(&All->Added, 3);
    (VOID) InterlockedAdd64(&All->Added64, 3);
    (VOID) InterlockedExchangeAdd(&All->ExchangeAdded, 3);
    (VOID) InterlockedExchangeAdd64(&All->ExchangeAdded64, 3);
    do {
        Old = ReadAcquire(&All->Compared);
    } while (InterlockedCompareExchange(&All->Compared, Old + 1, Old) != Old);
    do {
        Old16 = Read16Acquire(&All->Compared16);
    } while (InterlockedCompareExchange16(&All->Compared16, (SHORT)(Old16 + 1), Old16) != Old16);
    do {
        Old64 = Read64Acquire(&All->Compared64);
    } while (InterlockedCompareExchange64(&All->Compared64, Old64 + 1, Old64) != Old64);
    do {
        OldPointer = ReadPointerAcquire(&All->ComparedPointer);
    } while (InterlockedCompareExchangePointer(&All->ComparedPointer, (PUCHAR)OldPointer + 1, OldPointer) !=
             OldPointer);
    Comparand[0] = Comparand[1] = 0;
    while (!InterlockedCompareExchange128(All->Pair, Comparand[1] - 1, Comparand[0] + 1, Comparand))
        continue;

    /* Each worker has a bit of its own, which the others leave alone. */
    CHECK((InterlockedOr(&All->Or, 1 << Mine) & (1 << Mine)) == 0);
    CHECK((InterlockedAnd(&All->Or, ~(1 << Mine)) & (1 << Mine)) != 0);
    CHECK((InterlockedOr16(&All->Or16, (SHORT)(1 << Mine)) & (1 << Mine)) == 0);
    CHECK((InterlockedAnd16(&All->Or16, (SHORT) ~(1 << Mine)) & (1 << Mine)) != 0);
    CHECK((InterlockedOr8(&All->Or8, (CHAR)(1 << Mine)) & (1 << Mine)) == 0);
    CHECK((InterlockedAnd8(&All->Or8, (CHAR) ~(1 << Mine)) & (1 << Mine)) != 0);
    CHECK((InterlockedOr64(&All->Or64, 1LL << (40 + Mine)) & (1LL << (40 + Mine))) == 0);
    CHECK((InterlockedAnd64(&All->Or64, ~(1LL << (40 + Mine))) & (1LL << (40 + Mine))) != 0);
    CHECK(((InterlockedXor(&All->Xor, 1 << Mine) >> Mine) & 1) == (Turn & 1));
    CHECK(((InterlockedXor16(&All->Xor16, (SHORT)(1 << Mine)) >> Mine) & 1) == (Turn & 1));
    CHECK(((InterlockedXor8(&All->Xor8, (CHAR)(1 << Mine)) >> Mine) & 1) == (Turn & 1));
    CHECK(((InterlockedXor64(&All->Xor64, 1LL << (40 + Mine)) >> (40 + Mine)) & 1) == (Turn & 1));
    CHECK(!InterlockedBitTestAndSet(&All->BitSet, Mine));
    CHECK(InterlockedBitTestAndReset(&All->BitSet, Mine));
    CHECK(!InterlockedBitTestAndSet64(&All->BitSet64, 40 + Mine));
    CHECK(InterlockedBitTestAndReset64(&All->BitSet64, 40 + Mine));
    CHECK(InterlockedBitTestAndComplement(&All->Complement, Mine) == (Turn & 1));

    (VOID) InterlockedExchangeAdd(&All->SumIn, 5 * Value);
    Old = InterlockedExchange(&All->Exchanged, Value);
    Old += InterlockedExchange16(&All->Exchanged16, (SHORT)Value);
    Old += InterlockedExchange8(&All->Exchanged8, (CHAR)Value);
    Old += (LONG)InterlockedExchange64(&All->Exchanged64, Value);
    Old += (LONG)(LONG_PTR)InterlockedExchangePointer(&All->Pointer, (PVOID)(LONG_PTR)Value);
    (VOID) InterlockedExchangeAdd(&All->SumOut, Old);
}

static VOID NTAPI CountWithOthers(PVOID Context)
{
    COUNTERS *All = Context;
    LONG Mine = InterlockedIncrement(&All->Number) - 1;
    LONG Turn;

    for (Turn = 0; Turn < TURNS; Turn++)
        CountOnce(All, Mine, Turn);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Whatever the threads do at the same time: each operation is one. */
static VOID InterlockedNoUpdateIsLost(VOID)
{
    COUNTERS *All = TestAllocate(sizeof(*All));
    PVOID Thread[WORKERS];
    LONG Index;

    REQUIRE(All != NULL);
    for (Index = 0; Index < WORKERS; Index++)
        Thread[Index] = TestStart(CountWithOthers, All);
    for (Index = 0; Index < WORKERS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(All->Up, WORKERS * TURNS);
    EXPECT_EQUAL(All->Up16, WORKERS * TURNS);
    EXPECT_EQUAL(All->Up64, WORKERS * TURNS);
    EXPECT_EQUAL(All->UpSize, WORKERS * TURNS);
    EXPECT_EQUAL(All->Down, -WORKERS * TURNS);
    EXPECT_EQUAL(All->Down16, -WORKERS * TURNS);
    EXPECT_EQUAL(All->Down64, -WORKERS * TURNS);
    EXPECT_EQUAL(All->DownSize, -WORKERS * TURNS);
    EXPECT_EQUAL(All->Added, 3 * WORKERS * TURNS);
    EXPECT_EQUAL(All->Added64, 3 * WORKERS * TURNS);
    EXPECT_EQUAL(All->ExchangeAdded, 3 * WORKERS * TURNS);
    EXPECT_EQUAL(All->ExchangeAdded64, 3 * WORKERS * TURNS);
    EXPECT_EQUAL(All->Compared, WORKERS * TURNS);
    EXPECT_EQUAL(All->Compared16, WORKERS * TURNS);
    EXPECT_EQUAL(All->Compared64, WORKERS * TURNS);
    EXPECT_EQUAL((LONG_PTR)All->ComparedPointer, WORKERS * TURNS);
    EXPECT_EQUAL(All->Pair[0], WORKERS * TURNS);
    EXPECT_EQUAL(All->Pair[1], -WORKERS * TURNS);
    EXPECT_EQUAL(All->SumOut + All->Exchanged + All->Exchanged16 + All->Exchanged8 + All->Exchanged64 +
                     (LONG_PTR)All->Pointer - All->SumIn,
                 0);
    TestFree(All);
}

/* ---- order ---- */

/* What was written before a release is there for whoever reads the released value by an acquire. */
typedef struct _MESSAGE {
    LONG Text;
    CHAR volatile Flag8;
    SHORT volatile Flag16;
    LONG volatile Flag;
    LONG64 volatile Flag64;
    UCHAR volatile FlagUChar;
    USHORT volatile FlagUShort;
    ULONG volatile FlagULong;
    ULONG64 volatile FlagULong64;
    BOOLEAN volatile FlagBoolean;
    PVOID volatile FlagPointer;
} MESSAGE;

#define MESSAGES(X)                                                                                                    \
    X(Read8Acquire, Write8Release, Flag8, 1)                                                                           \
    X(Read16Acquire, Write16Release, Flag16, 2)                                                                        \
    X(ReadAcquire, WriteRelease, Flag, 3)                                                                              \
    X(Read64Acquire, Write64Release, Flag64, 4)                                                                        \
    X(ReadUCharAcquire, WriteUCharRelease, FlagUChar, 5)                                                               \
    X(ReadUShortAcquire, WriteUShortRelease, FlagUShort, 6)                                                            \
    X(ReadULongAcquire, WriteULongRelease, FlagULong, 7)                                                               \
    X(ReadULong64Acquire, WriteULong64Release, FlagULong64, 8)                                                         \
    X(ReadBooleanAcquire, WriteBooleanRelease, FlagBoolean, 9)

#define SEND(_Read, _Write, _Flag, _Text)                                                                              \
    Message->Text = _Text;                                                                                             \
    _Write(&Message->_Flag, 1);                                                                                        \
    while (_Read(&Message->_Flag) != 0)                                                                                \
        YieldProcessor();

#define RECEIVE(_Read, _Write, _Flag, _Text)                                                                           \
    while (_Read(&Message->_Flag) == 0)                                                                                \
        YieldProcessor();                                                                                              \
    CHECK(Message->Text == _Text);                                                                                     \
    Message->Text = 0;                                                                                                 \
    _Write(&Message->_Flag, 0);

static VOID NTAPI Receive(PVOID Context)
{
    MESSAGE *Message = Context;

    MESSAGES(RECEIVE)
    while (ReadPointerAcquire(&Message->FlagPointer) == NULL)
        YieldProcessor();
    CHECK(Message->Text == 10);
    Message->Text = 0;
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID OrderedAccessesPassMessages(VOID)
{
    MESSAGE *Message = TestAllocate(sizeof(*Message));
    PVOID Thread;

    REQUIRE(Message != NULL);
    Thread = TestStart(Receive, Message);
    MESSAGES(SEND)
    Message->Text = 10;
    WritePointerRelease(&Message->FlagPointer, Message);
    TestJoin(Thread);
    EXPECT_EQUAL(Message->Text, 0);
    TestFree(Message);
}

/* ---- broken rules ---- */

/* The operand must be aligned to 16 bytes; the processor faults if it isn't. */
static VOID InterlockedMisaligned128(VOID)
{
    LONG64 DECLSPEC_ALIGN(16) Value[3] = {0, 0, 0};
    LONG64 Comparand[2] = {0, 0};

    (VOID) InterlockedCompareExchange128(&Value[1], 1, 1, Comparand);
}

TEST_TABLE(rtl_interlocked){
    TEST(InterlockedStepsReturnTheNewValue, 0),
    TEST(InterlockedOperationsReturnAsDocumented, 0),
    TEST(InterlockedCompareExchangeIfEqual, 0),
    TEST(InterlockedPointers, 0),
    TEST(InterlockedCompareExchange128Bits, 0),
    TEST(InterlockedBitTests, 0),
    TEST(OrderedAccesses, 0),
    TEST(BitScans, 0),
    TEST(BitScansOfZero, 0),
    TEST(InterlockedAtHighLevel, 0),
    TEST(InterlockedNoUpdateIsLost, TEST_SCHEDULES),
    TEST(OrderedAccessesPassMessages, TEST_SCHEDULES),
    TEST_VIOLATION(InterlockedMisaligned128, "misaligned", 0),
    TEST_END,
};
