/* Fast mutexes: "Fast Mutexes and Guarded Mutexes", ExInitializeFastMutex, ExAcquireFastMutex(Unsafe), ... */
#include "nttest.h"

#define THREADS 4
#define ROUNDS 10

typedef struct _SHARED {
    FAST_MUTEX Mutex;
    LONG volatile Inside;
    LONG volatile Total;
} SHARED;

static VOID NTAPI TakeTurns(PVOID Context)
{
    SHARED *Shared = Context;
    LONG Before;
    LONG Turn;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        ExAcquireFastMutex(&Shared->Mutex);
        CHECK(KeGetCurrentIrql() == APC_LEVEL);
        Before = Shared->Total;
        CHECK(InterlockedIncrement(&Shared->Inside) == 1);
        KeStallExecutionProcessor(1);
        Shared->Total = Before + 1; /* wrong if anybody else got in */
        CHECK(InterlockedDecrement(&Shared->Inside) == 0);
        ExReleaseFastMutex(&Shared->Mutex);
        CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID FastMutexExcludes(VOID)
{
    SHARED Shared = {.Total = 0};
    PVOID Thread[THREADS];
    LONG Index;

    ExInitializeFastMutex(&Shared.Mutex);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(TakeTurns, &Shared);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared.Total, THREADS * ROUNDS);
}

/* The level is APC_LEVEL from the acquisition on, and what it was before after the release. */
static VOID FastMutexLevels(VOID)
{
    FAST_MUTEX Mutex;
    KIRQL Irql;

    ExInitializeFastMutex(&Mutex);
    ExAcquireFastMutex(&Mutex);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    ExReleaseFastMutex(&Mutex);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(APC_LEVEL, &Irql);
    ExAcquireFastMutex(&Mutex);
    ExReleaseFastMutex(&Mutex);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    EXPECT_TRUE(ExTryToAcquireFastMutex(&Mutex));
    ExReleaseFastMutex(&Mutex);
    ExAcquireFastMutexUnsafe(&Mutex);
    ExReleaseFastMutexUnsafe(&Mutex);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
}

/* Initialising alone is allowed at DISPATCH_LEVEL. */
static VOID FastMutexInitializedAtDispatchLevel(VOID)
{
    FAST_MUTEX Mutex;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ExInitializeFastMutex(&Mutex);
    KeLowerIrql(Irql);
    EXPECT_TRUE(ExTryToAcquireFastMutex(&Mutex));
    ExReleaseFastMutex(&Mutex);
}

static VOID NTAPI TryIt(PVOID Context)
{
    SHARED *Shared = Context;

    CHECK(!ExTryToAcquireFastMutex(&Shared->Mutex));
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* The unsafe ones leave the IRQL alone: APCs are the caller's business. */
static VOID FastMutexTry(VOID)
{
    SHARED Shared = {.Total = 0};

    ExInitializeFastMutex(&Shared.Mutex);
    EXPECT_TRUE(ExTryToAcquireFastMutex(&Shared.Mutex));
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    ExReleaseFastMutex(&Shared.Mutex);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Shared.Mutex);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    TestJoin(TestStart(TryIt, &Shared));
    ExReleaseFastMutexUnsafe(&Shared.Mutex);
    KeLeaveCriticalRegion();
}

/* ---- broken rules ---- */

static FAST_MUTEX Broken;

static VOID FastMutexTwice(VOID)
{
    ExInitializeFastMutex(&Broken);
    ExAcquireFastMutex(&Broken);
    ExAcquireFastMutex(&Broken);
}

static VOID FastMutexReleasedByNobody(VOID)
{
    KIRQL Irql;

    ExInitializeFastMutex(&Broken);
    KeRaiseIrql(APC_LEVEL, &Irql);
    ExReleaseFastMutex(&Broken);
}

static VOID FastMutexUnsafeWithApcs(VOID)
{
    ExInitializeFastMutex(&Broken);
    ExAcquireFastMutexUnsafe(&Broken);
}

TEST_TABLE(ex_fast_mutex){
    TEST(FastMutexExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(FastMutexLevels, 0),
    TEST(FastMutexInitializedAtDispatchLevel, 0),
    TEST(FastMutexTry, TEST_SCHEDULES),
    TEST_VIOLATION(FastMutexTwice, "mutex-recursive", 0),
    TEST_VIOLATION(FastMutexReleasedByNobody, "mutex-not-owner", 0),
    TEST_VIOLATION(FastMutexUnsafeWithApcs, "apcs-enabled", 0),
    TEST_END,
};
