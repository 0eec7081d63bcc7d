/*
 * Mutexes: "Introduction to Mutex Objects", KeInitializeMutex, KeReleaseMutex, KeReadStateMutex; guarded mutexes. (Fast
 * mutexes are in ex/fast_mutex.c.)
 */
#include "nttest.h"

#define THREADS 4
#define ROUNDS 10

static NTSTATUS TryWait(PVOID Object)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};

    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Zero);
}

/* The owner may take it again, and is the owner until it has given it back as often. */
static VOID MutexRecursion(VOID)
{
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    EXPECT_EQUAL(KeReadStateMutex(&Mutex), 1);
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_EQUAL(KeReadStateMutex(&Mutex), 0);
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForMutexObject(&Mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_TRUE(KeReleaseMutex(&Mutex, FALSE) != 0);
    EXPECT_TRUE(KeReleaseMutex(&Mutex, FALSE) != 0);
    EXPECT_EQUAL(KeReadStateMutex(&Mutex), 0);
    EXPECT_EQUAL(KeReleaseMutex(&Mutex, FALSE), 0); /* zero: it is free now */
    EXPECT_EQUAL(KeReadStateMutex(&Mutex), 1);
}

static VOID MutexAtDispatchLevel(VOID)
{
    KMUTEX Mutex;
    KIRQL Irql;

    KeInitializeMutex(&Mutex, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_EQUAL(KeReadStateMutex(&Mutex), 1);
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_EQUAL(KeReleaseMutex(&Mutex, FALSE), 0);
    KeLowerIrql(Irql);
}

/* Its owner gets no normal kernel APC. */
static VOID MutexDisablesApcs(VOID)
{
    KMUTEX Mutex, Other;

    KeInitializeMutex(&Mutex, 0);
    KeInitializeMutex(&Other, 0);
    EXPECT_FALSE(KeAreApcsDisabled());
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_TRUE(KeAreApcsDisabled());
    EXPECT_FALSE(KeAreAllApcsDisabled());
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Other), STATUS_SUCCESS);
    (VOID) KeReleaseMutex(&Mutex, FALSE);
    (VOID) KeReleaseMutex(&Mutex, FALSE);
    EXPECT_TRUE(KeAreApcsDisabled()); /* by the other one */
    (VOID) KeReleaseMutex(&Other, FALSE);
    EXPECT_FALSE(KeAreApcsDisabled());
}

/* Wait TRUE: a wait follows at once. */
static VOID MutexReleaseThenWait(VOID)
{
    KMUTEX Mutex;

    KeInitializeMutex(&Mutex, 0);
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_EQUAL(KeReleaseMutex(&Mutex, TRUE), 0);
    EXPECT_STATUS(TryWait(&Mutex), STATUS_SUCCESS);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    EXPECT_EQUAL(KeReleaseMutex(&Mutex, FALSE), 0);
}

static VOID GuardedMutexAtApcLevel(VOID)
{
    KGUARDED_MUTEX Mutex;
    KIRQL Irql, Inner;

    KeRaiseIrql(APC_LEVEL, &Irql);
    KeRaiseIrql(DISPATCH_LEVEL, &Inner);
    KeInitializeGuardedMutex(&Mutex);
    KeLowerIrql(Inner);
    KeAcquireGuardedMutex(&Mutex);
    KeReleaseGuardedMutex(&Mutex);
    EXPECT_TRUE(KeTryToAcquireGuardedMutex(&Mutex));
    KeReleaseGuardedMutex(&Mutex);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
    EXPECT_FALSE(KeAreAllApcsDisabled());
}

typedef struct _SHARED {
    KMUTEX Mutex;
    KGUARDED_MUTEX Guarded;
    LONG volatile Inside;
    LONG volatile Total;
    BOOLEAN volatile Owned;
} SHARED;

static VOID NTAPI TryAnothers(PVOID Context)
{
    SHARED *Shared = Context;

    CHECK(TryWait(&Shared->Mutex) == STATUS_TIMEOUT);
    CHECK(KeWaitForSingleObject(&Shared->Mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(!Shared->Owned);
    CHECK(KeReleaseMutex(&Shared->Mutex, FALSE) == 0);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID MutexOneOwner(VOID)
{
    SHARED Shared = {.Owned = TRUE};
    PVOID Thread;

    KeInitializeMutex(&Shared.Mutex, 0);
    EXPECT_STATUS(TryWait(&Shared.Mutex), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Shared.Mutex), STATUS_SUCCESS);
    Thread = TestStart(TryAnothers, &Shared);
    SleepMilliseconds(20);
    EXPECT_TRUE(KeReleaseMutex(&Shared.Mutex, FALSE) != 0); /* one of two: still owned */
    SleepMilliseconds(20);
    Shared.Owned = FALSE;
    EXPECT_EQUAL(KeReleaseMutex(&Shared.Mutex, FALSE), 0);
    TestJoin(Thread);
    EXPECT_EQUAL(KeReadStateMutex(&Shared.Mutex), 1);
}

static VOID Alone(SHARED *Shared)
{
    LONG Before = Shared->Total;

    CHECK(InterlockedIncrement(&Shared->Inside) == 1);
    KeStallExecutionProcessor(1);
    Shared->Total = Before + 1; /* wrong if anybody else got in */
    CHECK(InterlockedDecrement(&Shared->Inside) == 0);
}

static VOID NTAPI TakeTurns(PVOID Context)
{
    SHARED *Shared = Context;
    LONG Turn;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        CHECK(KeWaitForSingleObject(&Shared->Mutex, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        Alone(Shared);
        CHECK(KeReleaseMutex(&Shared->Mutex, FALSE) == 0);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI TakeGuardedTurns(PVOID Context)
{
    SHARED *Shared = Context;
    LONG Turn;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        KeAcquireGuardedMutex(&Shared->Guarded);
        CHECK(KeAreAllApcsDisabled());
        Alone(Shared);
        KeReleaseGuardedMutex(&Shared->Guarded);
        CHECK(!KeAreAllApcsDisabled());
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID RunContest(PKSTART_ROUTINE Routine)
{
    SHARED Shared = {.Total = 0};
    PVOID Thread[THREADS];
    LONG Index;

    KeInitializeMutex(&Shared.Mutex, 0);
    KeInitializeGuardedMutex(&Shared.Guarded);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(Routine, &Shared);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared.Total, THREADS * ROUNDS);
}

static VOID MutexExcludes(VOID)
{
    RunContest(TakeTurns);
}

static VOID GuardedMutexExcludes(VOID)
{
    RunContest(TakeGuardedTurns);
}

static VOID NTAPI TryGuarded(PVOID Context)
{
    SHARED *Shared = Context;

    CHECK(!KeTryToAcquireGuardedMutex(&Shared->Guarded));
    CHECK(!KeAreAllApcsDisabled());
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID GuardedMutexTry(VOID)
{
    SHARED Shared = {.Total = 0};

    KeInitializeGuardedMutex(&Shared.Guarded);
    EXPECT_TRUE(KeTryToAcquireGuardedMutex(&Shared.Guarded));
    EXPECT_TRUE(KeAreAllApcsDisabled());
    TestJoin(TestStart(TryGuarded, &Shared));
    KeReleaseGuardedMutex(&Shared.Guarded);
    EXPECT_FALSE(KeAreAllApcsDisabled());
}

/* ---- broken rules ---- */

static KMUTEX Broken;

static VOID MutexReleasedByNobody(VOID)
{
    KeInitializeMutex(&Broken, 0);
    (VOID) KeReleaseMutex(&Broken, FALSE);
}

static VOID MutexReleasedOnceTooOften(VOID)
{
    KeInitializeMutex(&Broken, 0);
    (VOID) TryWait(&Broken);
    (VOID) KeReleaseMutex(&Broken, FALSE);
    (VOID) KeReleaseMutex(&Broken, FALSE);
}

static VOID NTAPI TakeAndWait(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    (VOID) TryWait(&Broken);
    SleepMilliseconds(1000);
    (VOID) KeReleaseMutex(&Broken, FALSE);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID MutexReleasedByAnother(VOID)
{
    KeInitializeMutex(&Broken, 0);
    (VOID) TestStart(TakeAndWait, NULL);
    SleepMilliseconds(50);
    (VOID) KeReleaseMutex(&Broken, FALSE);
}

static VOID NTAPI TakeAndEnd(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    (VOID) TryWait(&Broken);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID MutexHeldAtTheEnd(VOID)
{
    KeInitializeMutex(&Broken, 0);
    TestJoin(TestStart(TakeAndEnd, NULL));
}

TEST_TABLE(ke_mutex){
    TEST(MutexRecursion, 0),
    TEST(MutexAtDispatchLevel, 0),
    TEST(MutexDisablesApcs, 0),
    TEST(MutexReleaseThenWait, 0),
    TEST(GuardedMutexAtApcLevel, 0),
    TEST(MutexOneOwner, TEST_SCHEDULES),
    TEST(MutexExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(GuardedMutexExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(GuardedMutexTry, TEST_SCHEDULES),
    TEST_VIOLATION(MutexReleasedByNobody, "mutex-not-owner", 0),
    TEST_VIOLATION(MutexReleasedOnceTooOften, "mutex-not-owner", 0),
    TEST_VIOLATION(MutexReleasedByAnother, "mutex-not-owner", 0),
    TEST_VIOLATION(MutexHeldAtTheEnd, "mutex-held-at-exit", 0),
    TEST_END,
};
