/*
 * Spin locks: "Introduction to Spin Locks", "Queued Spin Locks" and the routines' reference pages.
 */
#include "nttest.h"

#define THREADS 4
#define ROUNDS 10

typedef struct _SHARED {
    KSPIN_LOCK Lock;
    LONG volatile Inside;
    LONG volatile Total; /* not interlocked: the lock protects it */
    LONG volatile Done;
} SHARED;

/* With the lock. */
static VOID Alone(SHARED *Shared)
{
    LONG Before = Shared->Total;

    CHECK(InterlockedIncrement(&Shared->Inside) == 1);
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeStallExecutionProcessor(1);
    Shared->Total = Before + 1; /* wrong if anybody else got in */
    CHECK(InterlockedDecrement(&Shared->Inside) == 0);
}

static VOID ByAcquire(SHARED *Shared)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Shared->Lock, &Irql);
    CHECK(Irql == PASSIVE_LEVEL);
    Alone(Shared);
    KeReleaseSpinLock(&Shared->Lock, Irql);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
}

static VOID AtDpcLevel(SHARED *Shared)
{
    KIRQL Irql = KeRaiseIrqlToDpcLevel();

    KeAcquireSpinLockAtDpcLevel(&Shared->Lock);
    Alone(Shared);
    KeReleaseSpinLockFromDpcLevel(&Shared->Lock);
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(Irql);
}

static VOID ByTrying(SHARED *Shared)
{
    KIRQL Irql = KeRaiseIrqlToDpcLevel();

    while (!KeTryToAcquireSpinLockAtDpcLevel(&Shared->Lock))
        YieldProcessor();
    Alone(Shared);
    KeReleaseSpinLockFromDpcLevel(&Shared->Lock);
    KeLowerIrql(Irql);
}

static VOID Queued(SHARED *Shared)
{
    KLOCK_QUEUE_HANDLE Handle;

    KeAcquireInStackQueuedSpinLock(&Shared->Lock, &Handle);
    Alone(Shared);
    KeReleaseInStackQueuedSpinLock(&Handle);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
}

static VOID QueuedAtDpcLevel(SHARED *Shared)
{
    KLOCK_QUEUE_HANDLE Handle;
    KIRQL Irql = KeRaiseIrqlToDpcLevel();

    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Shared->Lock, &Handle);
    Alone(Shared);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle);
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(Irql);
}

typedef VOID HOLD(SHARED *Shared);

typedef struct _CONTEST {
    SHARED *Shared;
    HOLD *Even;
    HOLD *Odd;
} CONTEST;

static VOID NTAPI TakeTurns(PVOID Context)
{
    CONTEST *Contest = Context;
    LONG Turn;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        HOLD *Hold = (Turn % 2 == 0) ? Contest->Even : Contest->Odd;

        Hold(Contest->Shared);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID RunContest(HOLD *Even, HOLD *Odd)
{
    SHARED Shared = {.Total = 0};
    CONTEST Contest = {&Shared, Even, Odd};
    PVOID Thread[THREADS];
    LONG Index;

    KeInitializeSpinLock(&Shared.Lock);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(TakeTurns, &Contest);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared.Total, THREADS * ROUNDS);
}

static VOID SpinLockExcludes(VOID)
{
    RunContest(ByAcquire, AtDpcLevel);
}

static VOID SpinLockTryExcludes(VOID)
{
    RunContest(ByTrying, ByAcquire);
}

static VOID SpinLockQueuedExcludes(VOID)
{
    RunContest(Queued, QueuedAtDpcLevel);
}

/* Raising is part of the acquisition, and the old level comes back with the release. */
static VOID SpinLockRaises(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KSPIN_LOCK Lock;
    KIRQL Irql;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &Irql);
    EXPECT_EQUAL(Irql, PASSIVE_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    EXPECT_EQUAL(Irql = KeAcquireSpinLockRaiseToDpc(&Lock), PASSIVE_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, Irql);

    KeInitializeSpinLock(&Lock); /* a lock is always a queued one, or never */
    KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&Handle);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID SpinLockAtDispatchLevel(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KSPIN_LOCK Lock, Other;
    KIRQL Before, Irql;

    KeInitializeSpinLock(&Lock);
    KeInitializeSpinLock(&Other);
    Before = KeRaiseIrqlToDpcLevel();
    KeAcquireSpinLock(&Lock, &Irql);
    EXPECT_EQUAL(Irql, DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    EXPECT_EQUAL(KeAcquireSpinLockRaiseToDpc(&Lock), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, DISPATCH_LEVEL);
    KeAcquireInStackQueuedSpinLock(&Other, &Handle);
    KeReleaseInStackQueuedSpinLock(&Handle);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Before);
}

/* The routines that don't touch the level want DISPATCH_LEVEL or more. */
static VOID SpinLockAtHighLevel(VOID)
{
    KLOCK_QUEUE_HANDLE Handle;
    KSPIN_LOCK Lock, Other;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeInitializeSpinLock(&Lock);
    KeInitializeSpinLock(&Other);
    KeAcquireSpinLockAtDpcLevel(&Lock);
    EXPECT_EQUAL(KeGetCurrentIrql(), HIGH_LEVEL);
    EXPECT_FALSE(KeTestSpinLock(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    EXPECT_EQUAL(KeGetCurrentIrql(), HIGH_LEVEL);
    EXPECT_TRUE(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Other, &Handle);
    EXPECT_EQUAL(KeGetCurrentIrql(), HIGH_LEVEL);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle);
    EXPECT_EQUAL(KeGetCurrentIrql(), HIGH_LEVEL);
    KeLowerIrql(Irql);
}

static VOID SpinLockTestAndTry(VOID)
{
    KSPIN_LOCK Lock;
    KIRQL Irql;

    KeInitializeSpinLock(&Lock);
    EXPECT_TRUE(KeTestSpinLock(&Lock)); /* it is free */
    Irql = KeRaiseIrqlToDpcLevel();
    EXPECT_TRUE(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    EXPECT_FALSE(KeTestSpinLock(&Lock));
    KeReleaseSpinLockFromDpcLevel(&Lock);
    EXPECT_TRUE(KeTestSpinLock(&Lock));
    KeLowerIrql(Irql);
}

static VOID NTAPI TryWhileHeld(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SHARED *Shared = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    CHECK(!KeTestSpinLock(&Shared->Lock));
    CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&Shared->Lock));
    InterlockedExchange(&Shared->Done, 1);
}

/* An attempt does not wait: it returns FALSE when another processor has the lock. */
static VOID SpinLockTryAnothers(VOID)
{
    SHARED Shared = {.Done = 0};
    KDPC Dpc;
    KIRQL Irql;

    StayOn(0);
    KeInitializeSpinLock(&Shared.Lock);
    KeInitializeDpc(&Dpc, TryWhileHeld, &Shared);
    KeSetTargetProcessorDpc(&Dpc, 1);
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeAcquireSpinLock(&Shared.Lock, &Irql);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    while (ReadAcquire(&Shared.Done) == 0)
        YieldProcessor();
    KeReleaseSpinLock(&Shared.Lock, Irql);
    KeFlushQueuedDpcs();
    MoveFreely();
}

static VOID NTAPI BreakIn(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SHARED *Shared = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeAcquireSpinLockAtDpcLevel(&Shared->Lock);
    Alone(Shared);
    KeReleaseSpinLockFromDpcLevel(&Shared->Lock);
}

/* A lock that a thread and DPCs share: no DPC breaks in on the processor that holds it. */
static VOID SpinLockWithDpcs(VOID)
{
    SHARED Shared = {.Total = 0};
    KDPC Dpc[2];
    LONG Queued = 0;
    LONG Round, Index;

    KeInitializeSpinLock(&Shared.Lock);
    for (Index = 0; Index < 2; Index++) {
        KeInitializeDpc(&Dpc[Index], BreakIn, &Shared);
        KeSetTargetProcessorDpc(&Dpc[Index], (CCHAR)Index);
    }
    for (Round = 0; Round < ROUNDS; Round++) {
        for (Index = 0; Index < 2; Index++)
            Queued += KeInsertQueueDpc(&Dpc[Index], NULL, NULL);
        ByAcquire(&Shared);
    }
    KeFlushQueuedDpcs();
    EXPECT_TRUE(Shared.Total == ROUNDS + Queued);
}

/* Waiting processors get a queued lock in the order of their coming. */
typedef struct _LINE {
    KSPIN_LOCK Lock;
    LONG volatile Arrived;
    LONG volatile Order[3];
    LONG volatile Taken;
} LINE;

static VOID NTAPI StandInLine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LINE *Line = Context;
    KLOCK_QUEUE_HANDLE Handle;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedExchange(&Line->Arrived, (LONG)(LONG_PTR)Argument1);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Line->Lock, &Handle);
    Line->Order[Line->Taken++] = (LONG)(LONG_PTR)Argument1;
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle);
}

static VOID SpinLockQueuedInOrder(VOID)
{
    LINE Line = {.Arrived = 0};
    KLOCK_QUEUE_HANDLE Handle;
    KDPC Dpc[3];
    LONG Index;

    StayOn(0);
    KeInitializeSpinLock(&Line.Lock);
    KeAcquireInStackQueuedSpinLock(&Line.Lock, &Handle);
    for (Index = 0; Index < 3; Index++) {
        KeInitializeDpc(&Dpc[Index], StandInLine, &Line);
        KeSetTargetProcessorDpc(&Dpc[Index], (CCHAR)(Index + 1));
        KeSetImportanceDpc(&Dpc[Index], HighImportance);
        (VOID) KeInsertQueueDpc(&Dpc[Index], (PVOID)(LONG_PTR)(Index + 1), NULL);
        while (ReadAcquire(&Line.Arrived) != Index + 1)
            YieldProcessor();
        KeStallExecutionProcessor(20000); /* nothing tells when it stands in line: soon */
    }
    KeReleaseInStackQueuedSpinLock(&Handle);
    KeFlushQueuedDpcs();
    for (Index = 0; Index < 3; Index++)
        EXPECT_EQUAL(Line.Order[Index], Index + 1);
    MoveFreely();
}

/* ---- broken rules ---- */

static KSPIN_LOCK Broken;

static VOID SpinLockTwice(VOID)
{
    KIRQL Irql;

    KeInitializeSpinLock(&Broken);
    KeAcquireSpinLock(&Broken, &Irql);
    KeAcquireSpinLockAtDpcLevel(&Broken);
}

static VOID SpinLockRaisedTwice(VOID)
{
    KeInitializeSpinLock(&Broken);
    (VOID) KeAcquireSpinLockRaiseToDpc(&Broken);
    (VOID) KeAcquireSpinLockRaiseToDpc(&Broken);
}

static VOID SpinLockQueuedTwice(VOID)
{
    KLOCK_QUEUE_HANDLE First, Second;

    KeInitializeSpinLock(&Broken);
    KeAcquireInStackQueuedSpinLock(&Broken, &First);
    KeAcquireInStackQueuedSpinLock(&Broken, &Second);
}

static VOID SpinLockQueuedTwiceAtDpcLevel(VOID)
{
    KLOCK_QUEUE_HANDLE First, Second;

    KeInitializeSpinLock(&Broken);
    (VOID) KeRaiseIrqlToDpcLevel();
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Broken, &First);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Broken, &Second);
}

static VOID SpinLockReleasedWhileFree(VOID)
{
    KeInitializeSpinLock(&Broken);
    (VOID) KeRaiseIrqlToDpcLevel();
    KeReleaseSpinLock(&Broken, PASSIVE_LEVEL);
}

static VOID SpinLockReleasedWhileFreeAtDpcLevel(VOID)
{
    KeInitializeSpinLock(&Broken);
    (VOID) KeRaiseIrqlToDpcLevel();
    KeReleaseSpinLockFromDpcLevel(&Broken);
}

static VOID NTAPI ReleaseIt(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeReleaseSpinLockFromDpcLevel(&Broken);
}

static VOID SpinLockReleasedByAnother(VOID)
{
    KDPC Dpc;
    KIRQL Irql;

    StayOn(0);
    KeInitializeSpinLock(&Broken);
    KeInitializeDpc(&Dpc, ReleaseIt, NULL);
    KeSetTargetProcessorDpc(&Dpc, 1);
    KeAcquireSpinLock(&Broken, &Irql);
    (VOID) KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeStallExecutionProcessor(100000);
    KeReleaseSpinLock(&Broken, Irql);
}

static VOID SpinLockNotInitialised(VOID)
{
    KIRQL Irql;

    RtlFillMemory(&Broken, sizeof(Broken), 0xC7);
    KeAcquireSpinLock(&Broken, &Irql);
}

static VOID SpinLockReleasedUpwards(VOID)
{
    KIRQL Irql;

    KeInitializeSpinLock(&Broken);
    KeAcquireSpinLock(&Broken, &Irql);
    KeReleaseSpinLock(&Broken, HIGH_LEVEL);
}

TEST_TABLE(ke_spinlock){
    TEST(SpinLockExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(SpinLockTryExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(SpinLockQueuedExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(SpinLockRaises, 0),
    TEST(SpinLockAtDispatchLevel, 0),
    TEST(SpinLockAtHighLevel, 0),
    TEST(SpinLockTestAndTry, 0),
    TEST(SpinLockTryAnothers, TEST_SCHEDULES | TEST_CPUS(2)),
    TEST(SpinLockWithDpcs, TEST_SCHEDULES | TEST_CPUS(2)),
    TEST(SpinLockQueuedInOrder, TEST_CPUS(4)),
    TEST_VIOLATION(SpinLockTwice, "spinlock-recursive", 0xF),
    TEST_VIOLATION(SpinLockRaisedTwice, "spinlock-recursive", 0xF),
    TEST_VIOLATION(SpinLockQueuedTwice, "spinlock-recursive", 0xF),
    TEST_VIOLATION(SpinLockQueuedTwiceAtDpcLevel, "spinlock-recursive", 0xF),
    TEST_VIOLATION(SpinLockReleasedWhileFree, "spinlock-not-owner", 0x10),
    TEST_VIOLATION(SpinLockReleasedWhileFreeAtDpcLevel, "spinlock-not-owner", 0x10),
    TEST_VIOLATION(SpinLockReleasedByAnother, "spinlock-not-owner", 0x10),
    TEST_VIOLATION(SpinLockNotInitialised, "spinlock-not-initialised", 0xC4),
    TEST_VIOLATION(SpinLockReleasedUpwards, "irql-lower", 0xC4),
    TEST_END,
};
