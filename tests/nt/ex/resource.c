/* Executive resources: "Introduction to ERESOURCE Routines", ExInitializeResourceLite, ExAcquireResourceSharedLite, ...
 */
#include "nttest.h"

#define THREADS 4
#define ROUNDS 9

typedef struct _SHARED {
    ERESOURCE Resource;
    LONG volatile Writers;
    LONG volatile Readers;
    LONG volatile Total;
    LONG volatile Got;
    LONG volatile GotStarving;
    KEVENT Inside;
    KEVENT Leave;
} SHARED;

static SHARED *Prepare(VOID)
{
    SHARED *Shared = TestAllocate(sizeof(*Shared));

    if (Shared == NULL)
        return NULL;
    CHECK(ExInitializeResourceLite(&Shared->Resource) == STATUS_SUCCESS);
    KeInitializeEvent(&Shared->Inside, NotificationEvent, FALSE);
    KeInitializeEvent(&Shared->Leave, NotificationEvent, FALSE);
    return Shared;
}

static VOID Finish(SHARED *Shared)
{
    EXPECT_STATUS(ExDeleteResourceLite(&Shared->Resource), STATUS_SUCCESS);
    TestFree(Shared);
}

/* ---- exclusion ---- */

static VOID NTAPI TakeTurns(PVOID Context)
{
    SHARED *Shared = Context;
    LONG Before;
    LONG Turn;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        if (Turn % 3 == 0) {
            (VOID) ExEnterCriticalRegionAndAcquireResourceExclusive(&Shared->Resource);
            CHECK(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
            Before = Shared->Total;
            CHECK(InterlockedIncrement(&Shared->Writers) == 1);
            CHECK(Shared->Readers == 0);
            KeStallExecutionProcessor(1);
            Shared->Total = Before + 1; /* wrong if anybody else got in */
            CHECK(InterlockedDecrement(&Shared->Writers) == 0);
            ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
        } else {
            (VOID) ExEnterCriticalRegionAndAcquireResourceShared(&Shared->Resource);
            CHECK(!ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
            CHECK(ExIsResourceAcquiredSharedLite(&Shared->Resource) != 0);
            (VOID) InterlockedIncrement(&Shared->Readers);
            CHECK(Shared->Writers == 0);
            KeStallExecutionProcessor(1);
            CHECK(Shared->Writers == 0);
            (VOID) InterlockedDecrement(&Shared->Readers);
            ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
        }
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID ResourceExcludes(VOID)
{
    SHARED *Shared = Prepare();
    PVOID Thread[THREADS];
    LONG Index;

    REQUIRE(Shared != NULL);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(TakeTurns, Shared);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared->Total, THREADS * ROUNDS / 3);
    Finish(Shared);
}

static VOID NTAPI FindItOwned(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    CHECK(!ExAcquireResourceExclusiveLite(&Shared->Resource, FALSE));
    CHECK(!ExAcquireResourceSharedLite(&Shared->Resource, FALSE));
    CHECK(!ExAcquireSharedStarveExclusive(&Shared->Resource, FALSE));
    CHECK(!ExIsResourceAcquiredExclusiveLite(&Shared->Resource)); /* by this thread, that is */
    CHECK(ExIsResourceAcquiredSharedLite(&Shared->Resource) == 0);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI FindItShared(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    CHECK(!ExAcquireResourceExclusiveLite(&Shared->Resource, FALSE));
    CHECK(ExAcquireResourceSharedLite(&Shared->Resource, FALSE));
    ExReleaseResourceLite(&Shared->Resource);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* The owner may acquire it again, shared too; nobody else may until it has been released as often. */
static VOID ResourceOwnership(VOID)
{
    SHARED *Shared = Prepare();

    REQUIRE(Shared != NULL);
    KeEnterCriticalRegion();
    EXPECT_FALSE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 0);
    EXPECT_TRUE(ExAcquireResourceExclusiveLite(&Shared->Resource, TRUE));
    EXPECT_TRUE(ExAcquireResourceExclusiveLite(&Shared->Resource, FALSE));
    EXPECT_TRUE(ExAcquireResourceSharedLite(&Shared->Resource, FALSE));
    EXPECT_TRUE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 3); /* how often, shared or exclusive */
    TestJoin(TestStart(FindItOwned, Shared));
    ExReleaseResourceLite(&Shared->Resource);
    ExReleaseResourceLite(&Shared->Resource);
    TestJoin(TestStart(FindItOwned, Shared));
    ExReleaseResourceLite(&Shared->Resource);
    EXPECT_FALSE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    KeLeaveCriticalRegion();
    Finish(Shared);
}

static VOID ResourceConverted(VOID)
{
    SHARED *Shared = Prepare();

    REQUIRE(Shared != NULL);
    KeEnterCriticalRegion();
    EXPECT_TRUE(ExAcquireResourceExclusiveLite(&Shared->Resource, TRUE));
    ExConvertExclusiveToSharedLite(&Shared->Resource);
    EXPECT_FALSE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 1);
    TestJoin(TestStart(FindItShared, Shared));
    ExReleaseResourceLite(&Shared->Resource);
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 0);
    KeLeaveCriticalRegion();
    Finish(Shared);
}

/* Who waits for shared access comes in by the conversion. */
static VOID NTAPI WaitShared(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    CHECK(ExAcquireResourceSharedLite(&Shared->Resource, TRUE));
    (VOID) InterlockedIncrement(&Shared->Got);
    ExReleaseResourceLite(&Shared->Resource);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID ResourceConvertedLetsIn(VOID)
{
    SHARED *Shared = Prepare();
    PVOID Thread;

    REQUIRE(Shared != NULL);
    KeEnterCriticalRegion();
    EXPECT_TRUE(ExAcquireResourceExclusiveLite(&Shared->Resource, TRUE));
    Thread = TestStart(WaitShared, Shared);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Shared->Got, 0);
    ExConvertExclusiveToSharedLite(&Shared->Resource);
    TestJoin(Thread); /* it has got in while we are */
    EXPECT_EQUAL(Shared->Got, 1);
    ExReleaseResourceLite(&Shared->Resource);
    KeLeaveCriticalRegion();
    Finish(Shared);
}

/* ---- who comes first ---- */

static VOID NTAPI WaitExclusive(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    CHECK(ExAcquireResourceExclusiveLite(&Shared->Resource, TRUE));
    CHECK(Shared->GotStarving == 1); /* the one that does not queue behind us was faster */
    CHECK(Shared->Got == 0);         /* the one that does was not */
    ExReleaseResourceLite(&Shared->Resource);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI WaitStarving(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    CHECK(ExAcquireSharedStarveExclusive(&Shared->Resource, TRUE));
    (VOID) InterlockedIncrement(&Shared->GotStarving);
    ExReleaseResourceLite(&Shared->Resource);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/*
 * A request for shared access waits behind those that wait for exclusive access, unless its thread has the resource
 * already; ExAcquireSharedStarveExclusive does not.
 */
static VOID ResourceStarvesExclusive(VOID)
{
    SHARED *Shared = Prepare();
    PVOID Exclusive;
    PVOID Starving;
    PVOID Waiting;

    REQUIRE(Shared != NULL);
    KeEnterCriticalRegion();
    EXPECT_TRUE(ExAcquireResourceSharedLite(&Shared->Resource, TRUE));
    Exclusive = TestStart(WaitExclusive, Shared);
    SleepMilliseconds(20);
    Starving = TestStart(WaitStarving, Shared);
    TestJoin(Starving); /* past the one that waits */
    EXPECT_EQUAL(Shared->GotStarving, 1);
    Waiting = TestStart(WaitShared, Shared);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Shared->Got, 0);
    EXPECT_TRUE(ExAcquireResourceSharedLite(&Shared->Resource, FALSE)); /* an owner may, again */
    ExReleaseResourceLite(&Shared->Resource);
    ExReleaseResourceLite(&Shared->Resource);
    KeLeaveCriticalRegion();
    TestJoin(Exclusive);
    TestJoin(Waiting);
    EXPECT_EQUAL(Shared->Got, 1);
    Finish(Shared);
}

/* ---- critical regions and levels ---- */

static VOID ResourceCriticalRegion(VOID)
{
    SHARED *Shared = Prepare();

    REQUIRE(Shared != NULL);
    EXPECT_FALSE(KeAreApcsDisabled());
    (VOID) ExEnterCriticalRegionAndAcquireResourceExclusive(&Shared->Resource);
    EXPECT_TRUE(KeAreApcsDisabled());
    EXPECT_TRUE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
    EXPECT_FALSE(KeAreApcsDisabled());
    (VOID) ExEnterCriticalRegionAndAcquireResourceShared(&Shared->Resource);
    EXPECT_TRUE(KeAreApcsDisabled());
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 1);
    EXPECT_FALSE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
    EXPECT_FALSE(KeAreApcsDisabled());
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 0);
    Finish(Shared);
}

static VOID ResourceAtApcLevel(VOID)
{
    SHARED *Shared = Prepare();
    KIRQL Irql;

    REQUIRE(Shared != NULL);
    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_TRUE(ExAcquireResourceExclusiveLite(&Shared->Resource, TRUE));
    ExReleaseResourceLite(&Shared->Resource);
    EXPECT_TRUE(ExAcquireResourceSharedLite(&Shared->Resource, TRUE));
    ExReleaseResourceLite(&Shared->Resource);
    EXPECT_TRUE(ExAcquireSharedStarveExclusive(&Shared->Resource, TRUE));
    ExReleaseResourceLite(&Shared->Resource);
    (VOID) ExEnterCriticalRegionAndAcquireResourceExclusive(&Shared->Resource);
    ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
    (VOID) ExEnterCriticalRegionAndAcquireResourceShared(&Shared->Resource);
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 1);
    ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
    Finish(Shared);
}

/* What does not wait may be called at DISPATCH_LEVEL. */
static VOID ResourceAtDispatchLevel(VOID)
{
    SHARED *Shared = Prepare();
    PERESOURCE Another = TestAllocate(sizeof(*Another));
    KIRQL Irql;

    REQUIRE(Shared != NULL && Another != NULL);
    KeEnterCriticalRegion();
    EXPECT_TRUE(ExAcquireResourceExclusiveLite(&Shared->Resource, TRUE));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(ExIsResourceAcquiredExclusiveLite(&Shared->Resource));
    ExConvertExclusiveToSharedLite(&Shared->Resource);
    EXPECT_EQUAL(ExIsResourceAcquiredSharedLite(&Shared->Resource), 1);
    ExReleaseResourceLite(&Shared->Resource);
    EXPECT_STATUS(ExInitializeResourceLite(Another), STATUS_SUCCESS);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(APC_LEVEL);
    EXPECT_STATUS(ExDeleteResourceLite(Another), STATUS_SUCCESS);
    KeLowerIrql(Irql);
    KeLeaveCriticalRegion();
    (VOID) ExEnterCriticalRegionAndAcquireResourceShared(&Shared->Resource);
    KeRaiseIrql(APC_LEVEL, &Irql);
    ExReleaseResourceAndLeaveCriticalRegion(&Shared->Resource);
    KeLowerIrql(Irql);
    EXPECT_FALSE(KeAreApcsDisabled());
    TestFree(Another);
    Finish(Shared);
}

/* ---- broken rules ---- */

static ERESOURCE Broken;

static VOID ResourceWithApcs(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    (VOID) ExAcquireResourceExclusiveLite(&Broken, TRUE);
}

static VOID ResourceSharedWithApcs(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    (VOID) ExAcquireResourceSharedLite(&Broken, TRUE);
}

static VOID ResourceStarvingWithApcs(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    (VOID) ExAcquireSharedStarveExclusive(&Broken, TRUE);
}

static VOID ResourceNotOwned(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    KeEnterCriticalRegion();
    ExReleaseResourceLite(&Broken);
}

static VOID ResourceNotOwnedInRegion(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    KeEnterCriticalRegion();
    ExReleaseResourceAndLeaveCriticalRegion(&Broken);
}

static VOID ResourceConvertedShared(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    KeEnterCriticalRegion();
    (VOID) ExAcquireResourceSharedLite(&Broken, TRUE);
    ExConvertExclusiveToSharedLite(&Broken);
}

static VOID ResourceSharedThenExclusive(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    KeEnterCriticalRegion();
    (VOID) ExAcquireResourceSharedLite(&Broken, TRUE);
    (VOID) ExAcquireResourceExclusiveLite(&Broken, TRUE);
}

static VOID ResourceDeletedOwned(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    KeEnterCriticalRegion();
    (VOID) ExAcquireResourceSharedLite(&Broken, TRUE);
    (VOID) ExDeleteResourceLite(&Broken);
}

static VOID ResourceInitializedTwice(VOID)
{
    (VOID) ExInitializeResourceLite(&Broken);
    (VOID) ExInitializeResourceLite(&Broken);
}

static VOID ResourceNotInitialized(VOID)
{
    RtlZeroMemory(&Broken, sizeof(Broken));
    KeEnterCriticalRegion();
    (VOID) ExAcquireResourceSharedLite(&Broken, TRUE);
}

TEST_TABLE(ex_resource){
    TEST(ResourceExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(ResourceOwnership, TEST_SCHEDULES),
    TEST(ResourceConverted, TEST_SCHEDULES),
    TEST(ResourceConvertedLetsIn, TEST_SCHEDULES),
    TEST(ResourceStarvesExclusive, TEST_SCHEDULES),
    TEST(ResourceCriticalRegion, 0),
    TEST(ResourceAtApcLevel, 0),
    TEST(ResourceAtDispatchLevel, 0),
    TEST_VIOLATION(ResourceWithApcs, "apcs-enabled", 0xC4),
    TEST_VIOLATION(ResourceSharedWithApcs, "apcs-enabled", 0xC4),
    TEST_VIOLATION(ResourceStarvingWithApcs, "apcs-enabled", 0xC4),
    TEST_VIOLATION(ResourceNotOwned, "resource-not-owned", 0xE3),
    TEST_VIOLATION(ResourceNotOwnedInRegion, "resource-not-owned", 0xE3),
    TEST_VIOLATION(ResourceConvertedShared, "resource-not-owned", 0),
    TEST_VIOLATION(ResourceSharedThenExclusive, "resource-deadlock", 0),
    TEST_VIOLATION(ResourceDeletedOwned, "resource-deleted-owned", 0xC4),
    TEST_VIOLATION(ResourceInitializedTwice, "resource-initialised-twice", 0xC4),
    TEST_VIOLATION(ResourceNotInitialized, "resource-not-initialised", 0xC4),
    TEST_END,
};
