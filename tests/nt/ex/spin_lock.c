/* Reader-writer spin locks: "Reader/Writer Spin Locks", ExAcquireSpinLockExclusive, ExAcquireSpinLockShared, ... */
#include "nttest.h"

#if defined(__MINGW32__)
typedef volatile LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;
#define ExInitializeSpinLock(_Lock) (*(_Lock) = 0)
NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock);
NTKERNELAPI LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
#endif

/* Not in every import library: looked up. */
typedef LOGICAL NTAPI TRY_ACQUIRE(PEX_SPIN_LOCK SpinLock);

static TRY_ACQUIRE *TryRoutine(PCWSTR RoutineName)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, RoutineName);
    return (TRY_ACQUIRE *)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
}

#define THREADS 4
#define ROUNDS 9

typedef struct _SHARED {
    EX_SPIN_LOCK Lock;
    LONG volatile Writers;
    LONG volatile Readers;
    LONG volatile Total;
    LONG volatile Met;
    BOOLEAN AtDpcLevel;
} SHARED;

/* ---- exclusion ---- */

static VOID Write(SHARED *Shared)
{
    LONG Before = Shared->Total;

    CHECK(InterlockedIncrement(&Shared->Writers) == 1);
    CHECK(Shared->Readers == 0);
    KeStallExecutionProcessor(1);
    Shared->Total = Before + 1; /* wrong if anybody else got in */
    CHECK(InterlockedDecrement(&Shared->Writers) == 0);
}

static VOID Read(SHARED *Shared)
{
    (VOID) InterlockedIncrement(&Shared->Readers);
    CHECK(Shared->Writers == 0);
    KeStallExecutionProcessor(1);
    CHECK(Shared->Writers == 0);
    (VOID) InterlockedDecrement(&Shared->Readers);
}

static VOID NTAPI TakeTurns(PVOID Context)
{
    SHARED *Shared = Context;
    LONG Turn;
    KIRQL Irql;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        if (Shared->AtDpcLevel) {
            KeRaiseIrql(DISPATCH_LEVEL, &Irql);
            if (Turn % 3 == 0) {
                ExAcquireSpinLockExclusiveAtDpcLevel(&Shared->Lock);
                Write(Shared);
                ExReleaseSpinLockExclusiveFromDpcLevel(&Shared->Lock);
            } else {
                ExAcquireSpinLockSharedAtDpcLevel(&Shared->Lock);
                Read(Shared);
                ExReleaseSpinLockSharedFromDpcLevel(&Shared->Lock);
            }
            KeLowerIrql(Irql);
        } else if (Turn % 3 == 0) {
            Irql = ExAcquireSpinLockExclusive(&Shared->Lock);
            Write(Shared);
            ExReleaseSpinLockExclusive(&Shared->Lock, Irql);
        } else {
            Irql = ExAcquireSpinLockShared(&Shared->Lock);
            Read(Shared);
            ExReleaseSpinLockShared(&Shared->Lock, Irql);
        }
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Contest(BOOLEAN AtDpcLevel)
{
    SHARED *Shared = TestAllocate(sizeof(*Shared));
    PVOID Thread[THREADS];
    LONG Index;

    REQUIRE(Shared != NULL);
    Shared->AtDpcLevel = AtDpcLevel;
    ExInitializeSpinLock(&Shared->Lock);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(TakeTurns, Shared);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared->Total, THREADS * ROUNDS / 3);
    TestFree(Shared);
}

static VOID RwSpinLockExcludes(VOID)
{
    Contest(FALSE);
}

static VOID RwSpinLockExcludesAtDpcLevel(VOID)
{
    Contest(TRUE);
}

/* Two that hold it shared at the same time: each waits inside for the other. */
static VOID NTAPI MeetInside(PVOID Context)
{
    SHARED *Shared = Context;
    KIRQL Irql;

    StayOn(1);
    if (Shared->AtDpcLevel) {
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
        ExAcquireSpinLockSharedAtDpcLevel(&Shared->Lock);
    } else {
        Irql = ExAcquireSpinLockShared(&Shared->Lock);
    }
    (VOID) InterlockedIncrement(&Shared->Met);
    while (ReadAcquire(&Shared->Met) != 2)
        YieldProcessor();
    if (Shared->AtDpcLevel) {
        ExReleaseSpinLockSharedFromDpcLevel(&Shared->Lock);
        KeLowerIrql(Irql);
    } else {
        ExReleaseSpinLockShared(&Shared->Lock, Irql);
    }
    MoveFreely();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID ShareIt(BOOLEAN AtDpcLevel)
{
    SHARED *Shared = TestAllocate(sizeof(*Shared));
    PVOID Thread;
    KIRQL Irql;

    REQUIRE(Shared != NULL);
    Shared->AtDpcLevel = AtDpcLevel;
    ExInitializeSpinLock(&Shared->Lock);
    Thread = TestStart(MeetInside, Shared);
    StayOn(0);
    Irql = ExAcquireSpinLockShared(&Shared->Lock);
    (VOID) InterlockedIncrement(&Shared->Met);
    while (ReadAcquire(&Shared->Met) != 2)
        YieldProcessor();
    ExReleaseSpinLockShared(&Shared->Lock, Irql);
    MoveFreely();
    TestJoin(Thread);
    EXPECT_EQUAL(Shared->Met, 2);
    TestFree(Shared);
}

static VOID RwSpinLockReadersShare(VOID)
{
    ShareIt(FALSE);
    ShareIt(TRUE);
}

/* ---- levels ---- */

/* Acquiring raises to DISPATCH_LEVEL and returns the level before; releasing goes back to what it is given. */
static VOID RwSpinLockLevels(VOID)
{
    EX_SPIN_LOCK Lock;
    KIRQL Irql;
    KIRQL Old;

    ExInitializeSpinLock(&Lock);
    Irql = ExAcquireSpinLockExclusive(&Lock);
    EXPECT_EQUAL(Irql, PASSIVE_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ExReleaseSpinLockExclusive(&Lock, Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(APC_LEVEL, &Old);
    Irql = ExAcquireSpinLockShared(&Lock);
    EXPECT_EQUAL(Irql, APC_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ExReleaseSpinLockShared(&Lock, Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Old);
}

static VOID RwSpinLockAtDispatchLevel(VOID)
{
    EX_SPIN_LOCK Lock;
    KIRQL Irql;
    KIRQL Old;

    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    ExInitializeSpinLock(&Lock);
    Irql = ExAcquireSpinLockExclusive(&Lock);
    EXPECT_EQUAL(Irql, DISPATCH_LEVEL);
    ExReleaseSpinLockExclusive(&Lock, Irql);
    Irql = ExAcquireSpinLockShared(&Lock);
    EXPECT_EQUAL(Irql, DISPATCH_LEVEL);
    ExReleaseSpinLockShared(&Lock, Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ExAcquireSpinLockSharedAtDpcLevel(&Lock);
    EXPECT_TRUE(ExTryConvertSharedSpinLockExclusive(&Lock) != FALSE);
    ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
    KeLowerIrql(Old);
}

/* The routines for callers at DISPATCH_LEVEL or above leave the level alone. */
static VOID RwSpinLockAtHighLevel(VOID)
{
    TRY_ACQUIRE *TryExclusive = TryRoutine(L"ExTryAcquireSpinLockExclusiveAtDpcLevel");
    TRY_ACQUIRE *TryShared = TryRoutine(L"ExTryAcquireSpinLockSharedAtDpcLevel");
    LOGICAL Exclusive;
    LOGICAL Shared;
    EX_SPIN_LOCK Lock;
    KIRQL Inside[2];
    KIRQL Old;

    REQUIRE(TryExclusive != NULL && TryShared != NULL);
    ExInitializeSpinLock(&Lock);
    KeRaiseIrql(HIGH_LEVEL, &Old);
    ExAcquireSpinLockExclusiveAtDpcLevel(&Lock);
    Inside[0] = KeGetCurrentIrql();
    ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
    ExAcquireSpinLockSharedAtDpcLevel(&Lock);
    Inside[1] = KeGetCurrentIrql();
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
    Exclusive = TryExclusive(&Lock);
    if (Exclusive)
        ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
    Shared = TryShared(&Lock);
    if (Shared)
        ExReleaseSpinLockSharedFromDpcLevel(&Lock);
    KeLowerIrql(Old);
    EXPECT_EQUAL(Inside[0], HIGH_LEVEL);
    EXPECT_EQUAL(Inside[1], HIGH_LEVEL);
    EXPECT_TRUE(Exclusive);
    EXPECT_TRUE(Shared);
}

/* ---- trying ---- */

static VOID RwSpinLockTry(VOID)
{
    TRY_ACQUIRE *TryExclusive = TryRoutine(L"ExTryAcquireSpinLockExclusiveAtDpcLevel");
    TRY_ACQUIRE *TryShared = TryRoutine(L"ExTryAcquireSpinLockSharedAtDpcLevel");
    EX_SPIN_LOCK Lock;
    KIRQL Irql;

    REQUIRE(TryExclusive != NULL && TryShared != NULL);
    ExInitializeSpinLock(&Lock);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(TryExclusive(&Lock) != FALSE); /* a new lock is free */
    EXPECT_TRUE(TryExclusive(&Lock) == FALSE);
    EXPECT_TRUE(TryShared(&Lock) == FALSE);
    ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
    EXPECT_TRUE(TryShared(&Lock) != FALSE);
    EXPECT_TRUE(TryShared(&Lock) != FALSE);
    EXPECT_TRUE(TryExclusive(&Lock) == FALSE);
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
    EXPECT_TRUE(TryExclusive(&Lock) == FALSE);
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
    EXPECT_TRUE(TryExclusive(&Lock) != FALSE);
    ExReleaseSpinLockExclusiveFromDpcLevel(&Lock);
    KeLowerIrql(Irql);
}

/* Only the one reader that there is becomes the writer; if there are more, nothing changes. */
static VOID RwSpinLockConverts(VOID)
{
    TRY_ACQUIRE *TryShared = TryRoutine(L"ExTryAcquireSpinLockSharedAtDpcLevel");
    EX_SPIN_LOCK Lock;
    KIRQL Irql;

    REQUIRE(TryShared != NULL);
    ExInitializeSpinLock(&Lock);
    Irql = ExAcquireSpinLockShared(&Lock);
    EXPECT_TRUE(TryShared(&Lock) != FALSE);
    EXPECT_TRUE(ExTryConvertSharedSpinLockExclusive(&Lock) == FALSE);
    ExReleaseSpinLockSharedFromDpcLevel(&Lock);
    EXPECT_TRUE(ExTryConvertSharedSpinLockExclusive(&Lock) != FALSE);
    EXPECT_TRUE(TryShared(&Lock) == FALSE);
    ExReleaseSpinLockExclusive(&Lock, Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* ---- broken rules ---- */

static EX_SPIN_LOCK Broken;

static VOID RwSpinLockTwice(VOID)
{
    ExInitializeSpinLock(&Broken);
    (VOID) ExAcquireSpinLockExclusive(&Broken);
    (VOID) ExAcquireSpinLockExclusive(&Broken);
}

static VOID RwSpinLockSharedTwice(VOID)
{
    ExInitializeSpinLock(&Broken);
    (VOID) ExAcquireSpinLockShared(&Broken);
    (VOID) ExAcquireSpinLockShared(&Broken);
}

static VOID RwSpinLockSharedReleasedFree(VOID)
{
    KIRQL Irql;

    ExInitializeSpinLock(&Broken);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ExReleaseSpinLockShared(&Broken, Irql);
}

static VOID RwSpinLockReleasedFree(VOID)
{
    KIRQL Irql;

    ExInitializeSpinLock(&Broken);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ExReleaseSpinLockExclusive(&Broken, Irql);
}

static VOID RwSpinLockConvertedFree(VOID)
{
    KIRQL Irql;

    ExInitializeSpinLock(&Broken);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) ExTryConvertSharedSpinLockExclusive(&Broken);
}

TEST_TABLE(ex_spin_lock){
    TEST(RwSpinLockExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(RwSpinLockExcludesAtDpcLevel, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(RwSpinLockReadersShare, TEST_SCHEDULES | TEST_CPUS(2)),
    TEST(RwSpinLockLevels, 0),
    TEST(RwSpinLockAtDispatchLevel, 0),
    TEST(RwSpinLockAtHighLevel, 0),
    TEST(RwSpinLockTry, 0),
    TEST(RwSpinLockConverts, 0),
    TEST_VIOLATION(RwSpinLockTwice, "spinlock-recursive", 0x0F),
    TEST_VIOLATION(RwSpinLockSharedTwice, "spinlock-recursive", 0x0F),
    TEST_VIOLATION(RwSpinLockReleasedFree, "spinlock-not-owner", 0x10),
    TEST_VIOLATION(RwSpinLockSharedReleasedFree, "spinlock-not-owner", 0x10),
    TEST_VIOLATION(RwSpinLockConvertedFree, "spinlock-not-owner", 0x10),
    TEST_END,
};
