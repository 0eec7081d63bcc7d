/*
 * Critical and guarded regions: KeEnterCriticalRegion, KeEnterGuardedRegion, KeAreApcsDisabled, KeAreAllApcsDisabled,
 * "Disabling APCs".
 */
#include "nttest.h"

/* Normal kernel APCs are off in a critical region, special ones are not. */
static VOID RegionCritical(VOID)
{
    EXPECT_FALSE(KeAreApcsDisabled());
    EXPECT_FALSE(KeAreAllApcsDisabled());
    KeEnterCriticalRegion();
    EXPECT_TRUE(KeAreApcsDisabled());
    EXPECT_FALSE(KeAreAllApcsDisabled());
    KeLeaveCriticalRegion();
    EXPECT_FALSE(KeAreApcsDisabled());
}

static VOID RegionGuarded(VOID)
{
    KeEnterGuardedRegion();
    EXPECT_TRUE(KeAreApcsDisabled());
    EXPECT_TRUE(KeAreAllApcsDisabled());
    KeLeaveGuardedRegion();
    EXPECT_FALSE(KeAreApcsDisabled());
    EXPECT_FALSE(KeAreAllApcsDisabled());
}

static VOID RegionsNest(VOID)
{
    KeEnterCriticalRegion();
    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    KeEnterGuardedRegion();
    KeLeaveGuardedRegion();
    EXPECT_TRUE(KeAreAllApcsDisabled());
    KeLeaveGuardedRegion();
    EXPECT_FALSE(KeAreAllApcsDisabled());
    EXPECT_TRUE(KeAreApcsDisabled());
    KeLeaveCriticalRegion();
    EXPECT_TRUE(KeAreApcsDisabled());
    KeLeaveCriticalRegion();
    EXPECT_FALSE(KeAreApcsDisabled());
}

static VOID RegionAtApcLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_TRUE(KeAreAllApcsDisabled()); /* by the level */
    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    EXPECT_TRUE(KeAreApcsDisabled());
    KeLeaveGuardedRegion();
    KeLeaveCriticalRegion();
    KeLowerIrql(Irql);
    EXPECT_FALSE(KeAreApcsDisabled());
    EXPECT_FALSE(KeAreAllApcsDisabled());
}

static VOID RegionAskedAtDispatchLevel(VOID)
{
    KIRQL Irql;

    KeEnterCriticalRegion();
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(KeAreApcsDisabled());
    EXPECT_TRUE(KeAreAllApcsDisabled());
    KeLowerIrql(Irql);
    KeLeaveCriticalRegion();
}

static VOID NTAPI AskElsewhere(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    CHECK(!KeAreApcsDisabled());
    CHECK(!KeAreAllApcsDisabled());
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* A region is one thread's. */
static VOID RegionOfOneThread(VOID)
{
    PVOID Thread;

    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    Thread = TestStart(AskElsewhere, NULL);
    EXPECT_STATUS(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    KeLeaveGuardedRegion();
    KeLeaveCriticalRegion();
    TestJoin(Thread);
}

/* ---- broken rules ---- */

static VOID RegionLeftTooOften(VOID)
{
    KeEnterCriticalRegion();
    KeLeaveCriticalRegion();
    KeLeaveCriticalRegion();
}

static VOID RegionGuardedLeftTooOften(VOID)
{
    KeLeaveGuardedRegion();
}

static VOID NTAPI EndInside(PVOID Guarded)
{
    if (Guarded != NULL)
        KeEnterGuardedRegion();
    else
        KeEnterCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID RegionAtTheEndOfAThread(VOID)
{
    TestJoin(TestStart(EndInside, NULL));
}

static VOID RegionGuardedAtTheEndOfAThread(VOID)
{
    TestJoin(TestStart(EndInside, (PVOID)1));
}

TEST_TABLE(ke_region){
    TEST(RegionCritical, 0),
    TEST(RegionGuarded, 0),
    TEST(RegionsNest, 0),
    TEST(RegionAtApcLevel, 0),
    TEST(RegionAskedAtDispatchLevel, 0),
    TEST(RegionOfOneThread, TEST_SCHEDULES),
    TEST_VIOLATION(RegionLeftTooOften, "critical-region", 0),
    TEST_VIOLATION(RegionGuardedLeftTooOften, "critical-region", 0),
    TEST_VIOLATION(RegionAtTheEndOfAThread, "critical-region", 0x20),
    TEST_VIOLATION(RegionGuardedAtTheEndOfAThread, "critical-region", 0x20),
    TEST_END,
};
