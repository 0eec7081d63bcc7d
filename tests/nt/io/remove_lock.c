/* Remove locks: IoInitializeRemoveLock, IoAcquireRemoveLock, IoReleaseRemoveLock, IoReleaseRemoveLockAndWait. */
#include "nttest.h"

typedef struct _HELD {
    IO_REMOVE_LOCK Lock;
    BOOLEAN volatile Drained;
    ULONG Tags[2];
} HELD;

static VOID NTAPI HoldAWhile(PVOID Context)
{
    HELD *Held = Context;

    SleepMilliseconds(40);
    CHECK(!Held->Drained);
    CHECK(IoAcquireRemoveLock(&Held->Lock, &Held->Tags[1]) == STATUS_DELETE_PENDING); /* somebody waits for the end */
    IoReleaseRemoveLock(&Held->Lock, &Held->Tags[0]);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* The wait lasts until all who hold the lock have released it, and nobody gets it meanwhile or afterwards. */
static VOID RemoveLockDrains(VOID)
{
    HELD *Held = TestAllocate(sizeof(*Held)); /* freed: a lock is never initialised again */
    PVOID Thread;

    REQUIRE(Held != NULL);
    IoInitializeRemoveLock(&Held->Lock, TEST_TAG, 0, 0);
    EXPECT_STATUS(IoAcquireRemoveLock(&Held->Lock, &Held->Tags[0]), STATUS_SUCCESS);
    EXPECT_STATUS(IoAcquireRemoveLock(&Held->Lock, Held), STATUS_SUCCESS);
    Thread = TestStart(HoldAWhile, Held);
    IoReleaseRemoveLockAndWait(&Held->Lock, Held);
    Held->Drained = TRUE;
    EXPECT_STATUS(IoAcquireRemoveLock(&Held->Lock, NULL), STATUS_DELETE_PENDING);
    TestJoin(Thread);
    TestFree(Held);
}

/* Held by nobody else, the wait ends at once. */
static VOID RemoveLockHeldByNobody(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, Lock), STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(Lock, Lock);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, Lock), STATUS_DELETE_PENDING);
    TestFree(Lock);
}

/* Any number of times, with any tag, also the same one, and with NULL. */
static VOID RemoveLockTags(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, Lock), STATUS_SUCCESS);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, Lock), STATUS_SUCCESS);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, NULL), STATUS_SUCCESS);
    IoReleaseRemoveLock(Lock, NULL);
    IoReleaseRemoveLock(Lock, Lock);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, &Lock->Common), STATUS_SUCCESS);
    IoReleaseRemoveLock(Lock, Lock);
    IoReleaseRemoveLockAndWait(Lock, &Lock->Common);
    TestFree(Lock);
}

static VOID RemoveLockAtDispatchLevel(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));
    KIRQL Irql;

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, &Irql), STATUS_SUCCESS);
    EXPECT_STATUS(IoAcquireRemoveLock(Lock, Lock), STATUS_SUCCESS);
    IoReleaseRemoveLock(Lock, &Irql);
    KeLowerIrql(Irql);
    IoReleaseRemoveLockAndWait(Lock, Lock);
    TestFree(Lock);
}

/* The routines under the macros, with the size of the lock. */
static VOID RemoveLockRoutines(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));
    KIRQL Irql;

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLockEx(Lock, TEST_TAG, 0, 0, sizeof(*Lock));
    EXPECT_STATUS(IoAcquireRemoveLockEx(Lock, Lock, __FILE__, __LINE__, sizeof(*Lock)), STATUS_SUCCESS);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_STATUS(IoAcquireRemoveLockEx(Lock, &Irql, __FILE__, __LINE__, sizeof(*Lock)), STATUS_SUCCESS);
    IoReleaseRemoveLockEx(Lock, &Irql, sizeof(*Lock));
    KeLowerIrql(Irql);
    IoReleaseRemoveLockAndWaitEx(Lock, Lock, sizeof(*Lock));
    EXPECT_STATUS(IoAcquireRemoveLockEx(Lock, Lock, __FILE__, __LINE__, sizeof(*Lock)), STATUS_DELETE_PENDING);
    TestFree(Lock);
}

static VOID RemoveLockReleasedTooOften(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
    IoReleaseRemoveLock(Lock, NULL);
}

/* "The driver must have called IoAcquireRemoveLock with this Tag before." */
static VOID RemoveLockReleasedWithAnotherTag(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
    (VOID) IoAcquireRemoveLock(Lock, Lock);
    IoReleaseRemoveLockAndWait(Lock, NULL);
}

static VOID RemoveLockNotInitialised(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));

    REQUIRE(Lock != NULL);
    RtlZeroMemory(Lock, sizeof(*Lock));
    (VOID) IoAcquireRemoveLock(Lock, NULL);
}

static VOID RemoveLockInitialisedTwice(VOID)
{
    PIO_REMOVE_LOCK Lock = TestAllocate(sizeof(*Lock));

    REQUIRE(Lock != NULL);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
    IoInitializeRemoveLock(Lock, TEST_TAG, 0, 0);
}

TEST_TABLE(io_remove_lock){
    TEST(RemoveLockDrains, TEST_SCHEDULES),
    TEST(RemoveLockHeldByNobody, 0),
    TEST(RemoveLockTags, 0),
    TEST(RemoveLockAtDispatchLevel, 0),
    TEST(RemoveLockRoutines, 0),
    TEST_VIOLATION(RemoveLockReleasedTooOften, "remove-lock-tag", 0xC4),
    TEST_VIOLATION(RemoveLockReleasedWithAnotherTag, "remove-lock-wait-tag", 0xC4),
    TEST_VIOLATION(RemoveLockNotInitialised, "remove-lock", 0),
    TEST_VIOLATION(RemoveLockInitialisedTwice, "remove-lock-initialised-twice", 0xC4),
    TEST_END,
};
