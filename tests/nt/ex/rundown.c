/* Run-down protection: "Run-Down Protection", ExInitializeRundownProtection, ExAcquireRundownProtection, ... */
#include "nttest.h"

#define THREADS 4

typedef struct _OBJECT {
    EX_RUNDOWN_REF Reference;
    LONG volatile Gone;
    LONG volatile Uses;
    LONG volatile Down;
} OBJECT;

static OBJECT *Prepare(VOID)
{
    OBJECT *Object = TestAllocate(sizeof(*Object));

    if (Object != NULL)
        ExInitializeRundownProtection(&Object->Reference);
    return Object;
}

static VOID NTAPI UseIt(PVOID Context)
{
    OBJECT *Object = Context;

    while (ExAcquireRundownProtection(&Object->Reference)) {
        CHECK(!Object->Gone);
        SleepMilliseconds(1); /* most of the time somebody is inside */
        CHECK(!Object->Gone);
        (VOID) InterlockedIncrement(&Object->Uses);
        ExReleaseRundownProtection(&Object->Reference);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* When the wait is over nobody is inside, and nobody gets in; until the reference is for a new object. */
static VOID RundownWaitsForAll(VOID)
{
    OBJECT *Object = Prepare();
    PVOID Thread[THREADS];
    LONG Index;

    REQUIRE(Object != NULL);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(UseIt, Object);
    while (ReadAcquire(&Object->Uses) == 0)
        SleepMilliseconds(1);
    ExWaitForRundownProtectionRelease(&Object->Reference);
    Object->Gone = TRUE;
    EXPECT_FALSE(ExAcquireRundownProtection(&Object->Reference));
    EXPECT_FALSE(ExAcquireRundownProtectionEx(&Object->Reference, 3));
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    ExRundownCompleted(&Object->Reference);
    EXPECT_FALSE(ExAcquireRundownProtection(&Object->Reference));
    ExWaitForRundownProtectionRelease(&Object->Reference); /* again: at once */
    ExReInitializeRundownProtection(&Object->Reference);
    EXPECT_TRUE(ExAcquireRundownProtection(&Object->Reference));
    ExReleaseRundownProtection(&Object->Reference);
    TestFree(Object);
}

/* With no reference out, the wait is none; nor is it for an object that was run down. */
static VOID RundownAtOnce(VOID)
{
    OBJECT *Object = Prepare();

    REQUIRE(Object != NULL);
    EXPECT_TRUE(ExAcquireRundownProtection(&Object->Reference));
    ExReleaseRundownProtection(&Object->Reference);
    ExWaitForRundownProtectionRelease(&Object->Reference);
    EXPECT_FALSE(ExAcquireRundownProtection(&Object->Reference));
    ExWaitForRundownProtectionRelease(&Object->Reference);
    EXPECT_FALSE(ExAcquireRundownProtection(&Object->Reference));
    ExReInitializeRundownProtection(&Object->Reference);
    EXPECT_TRUE(ExAcquireRundownProtection(&Object->Reference));
    ExReleaseRundownProtection(&Object->Reference);
    TestFree(Object);
}

static VOID NTAPI RunItDown(PVOID Context)
{
    OBJECT *Object = Context;

    ExWaitForRundownProtectionRelease(&Object->Reference);
    (VOID) InterlockedIncrement(&Object->Down);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* References count: the rundown waits for as many releases, by whichever routine, as were acquired. */
static VOID RundownCounts(VOID)
{
    OBJECT *Object = Prepare();
    PVOID Thread;

    REQUIRE(Object != NULL);
    EXPECT_TRUE(ExAcquireRundownProtectionEx(&Object->Reference, 5));
    EXPECT_TRUE(ExAcquireRundownProtection(&Object->Reference));
    Thread = TestStart(RunItDown, Object);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Object->Down, 0);
    EXPECT_FALSE(ExAcquireRundownProtection(&Object->Reference)); /* from the beginning of the wait on */
    ExReleaseRundownProtectionEx(&Object->Reference, 3);
    ExReleaseRundownProtection(&Object->Reference);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Object->Down, 0);
    ExReleaseRundownProtectionEx(&Object->Reference, 2);
    TestJoin(Thread);
    EXPECT_EQUAL(Object->Down, 1);
    TestFree(Object);
}

static VOID RundownAtDispatchLevel(VOID)
{
    OBJECT *Object = Prepare();
    KIRQL Irql;

    REQUIRE(Object != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(ExAcquireRundownProtection(&Object->Reference));
    EXPECT_TRUE(ExAcquireRundownProtectionEx(&Object->Reference, 2));
    ExReleaseRundownProtectionEx(&Object->Reference, 2);
    ExReleaseRundownProtection(&Object->Reference);
    KeLowerIrql(Irql);
    TestFree(Object);
}

static VOID RundownAtApcLevel(VOID)
{
    OBJECT *Object = TestAllocate(sizeof(*Object));
    KIRQL Irql;

    REQUIRE(Object != NULL);
    KeRaiseIrql(APC_LEVEL, &Irql);
    ExInitializeRundownProtection(&Object->Reference);
    ExWaitForRundownProtectionRelease(&Object->Reference);
    ExRundownCompleted(&Object->Reference);
    EXPECT_FALSE(ExAcquireRundownProtection(&Object->Reference));
    ExReInitializeRundownProtection(&Object->Reference);
    EXPECT_TRUE(ExAcquireRundownProtection(&Object->Reference));
    ExReleaseRundownProtection(&Object->Reference);
    KeLowerIrql(Irql);
    TestFree(Object);
}

/* ---- broken rules ---- */

static EX_RUNDOWN_REF Broken;

static VOID RundownOverReleased(VOID)
{
    ExInitializeRundownProtection(&Broken);
    ExReleaseRundownProtection(&Broken);
}

static VOID RundownOverReleasedByCount(VOID)
{
    ExInitializeRundownProtection(&Broken);
    (VOID) ExAcquireRundownProtectionEx(&Broken, 2);
    ExReleaseRundownProtectionEx(&Broken, 3);
}

static VOID RundownReinitializedEarly(VOID)
{
    ExInitializeRundownProtection(&Broken);
    ExReInitializeRundownProtection(&Broken);
}

static VOID RundownCompletedEarly(VOID)
{
    ExInitializeRundownProtection(&Broken);
    (VOID) ExAcquireRundownProtection(&Broken);
    ExRundownCompleted(&Broken);
}

TEST_TABLE(ex_rundown){
    TEST(RundownWaitsForAll, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(RundownAtOnce, 0),
    TEST(RundownCounts, TEST_SCHEDULES),
    TEST(RundownAtDispatchLevel, 0),
    TEST(RundownAtApcLevel, 0),
    TEST_VIOLATION(RundownOverReleased, "rundown-over-release", 0),
    TEST_VIOLATION(RundownOverReleasedByCount, "rundown-over-release", 0),
    TEST_VIOLATION(RundownReinitializedEarly, "rundown", 0),
    TEST_VIOLATION(RundownCompletedEarly, "rundown", 0),
    TEST_END,
};
