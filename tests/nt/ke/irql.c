/*
 * Levels: "Managing Hardware Priorities", KeGetCurrentIrql, KeRaiseIrql, KeLowerIrql, KeRaiseIrqlToDpcLevel.
 */
#include "nttest.h"

static VOID IrqlRaiseAndLower(VOID)
{
    KIRQL First, Second;

    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(APC_LEVEL, &First);
    EXPECT_EQUAL(First, PASSIVE_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &Second);
    EXPECT_EQUAL(Second, APC_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Second);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(First);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* The level that there is already is allowed, both ways. */
static VOID IrqlRaiseToTheSame(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(PASSIVE_LEVEL, &Irql);
    EXPECT_EQUAL(Irql, PASSIVE_LEVEL);
    KeLowerIrql(PASSIVE_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID IrqlToDpcLevel(VOID)
{
    KIRQL Irql;

    EXPECT_EQUAL(Irql = KeRaiseIrqlToDpcLevel(), PASSIVE_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    EXPECT_EQUAL(KeRaiseIrqlToDpcLevel(), DISPATCH_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID IrqlUpToHighLevel(VOID)
{
    KIRQL Irql, Inner;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), HIGH_LEVEL);
    KeRaiseIrql(HIGH_LEVEL, &Inner);
    EXPECT_EQUAL(Inner, HIGH_LEVEL);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID NTAPI CountRun(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    (VOID) InterlockedIncrement((LONG volatile *)Context);
}

/* What a level holds off on its processor comes when the level is lowered. */
static VOID IrqlHoldsDpcsOff(VOID)
{
    LONG volatile Runs = 0;
    KDPC Dpc;
    KIRQL Irql;

    StayOn(0);
    KeInitializeDpc(&Dpc, CountRun, (PVOID)&Runs);
    KeSetTargetProcessorDpc(&Dpc, 0);
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeStallExecutionProcessor(20);
    EXPECT_EQUAL(Runs, 0);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Runs, 1);
    MoveFreely();
}

typedef struct _RAISED {
    KEVENT Go;
    BOOLEAN volatile Up;
    LONG volatile Runs;
} RAISED;

static VOID NTAPI WantProcessor(PVOID Context)
{
    RAISED *Raised = Context;

    StayOn(0);
    (VOID) KeWaitForSingleObject(&Raised->Go, Executive, KernelMode, FALSE, NULL);
    CHECK(!Raised->Up);
    (VOID) InterlockedIncrement(&Raised->Runs);
    MoveFreely();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* At DISPATCH_LEVEL no other thread gets the processor, however important it is and however long that lasts. */
static VOID IrqlHoldsThreadsOff(VOID)
{
    RAISED Raised = {.Runs = 0};
    PVOID Thread;
    ULONG Round;
    KIRQL Irql;

    StayOn(0);
    KeInitializeEvent(&Raised.Go, NotificationEvent, FALSE);
    Thread = TestStart(WantProcessor, &Raised);
    REQUIRE(Thread != NULL);
    (VOID) KeSetPriorityThread(Thread, HIGH_PRIORITY);
    SleepMilliseconds(20);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Raised.Up = TRUE;
    (VOID) KeSetEvent(&Raised.Go, IO_NO_INCREMENT, FALSE); /* it is ready now */
    for (Round = 0; Round < 50; Round++) {
        KeStallExecutionProcessor(1000); /* longer than any time slice, all in all */
        CHECK(KeGetCurrentProcessorNumberEx(NULL) == 0);
    }
    Raised.Up = FALSE;
    KeLowerIrql(Irql);
    TestJoin(Thread);
    EXPECT_EQUAL(Raised.Runs, 1);
    MoveFreely();
}

/* ---- broken rules ---- */

static VOID IrqlRaisedDownwards(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeRaiseIrql(APC_LEVEL, &Irql);
}

static VOID IrqlLoweredUpwards(VOID)
{
    KeLowerIrql(DISPATCH_LEVEL);
}

TEST_TABLE(ke_irql){
    TEST(IrqlRaiseAndLower, 0),
    TEST(IrqlRaiseToTheSame, 0),
    TEST(IrqlToDpcLevel, 0),
    TEST(IrqlUpToHighLevel, 0),
    TEST(IrqlHoldsDpcsOff, TEST_SCHEDULES),
    TEST(IrqlHoldsThreadsOff, TEST_SCHEDULES),
    TEST_VIOLATION(IrqlRaisedDownwards, "irql-raise", IRQL_NOT_GREATER_OR_EQUAL),
    TEST_VIOLATION(IrqlLoweredUpwards, "irql-lower", IRQL_NOT_LESS_OR_EQUAL),
    TEST_END,
};
