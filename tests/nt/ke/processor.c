/*
 * Processors, their groups and numbers, the affinity of a thread, calls on every processor, and callbacks for
 * processors that come: the pages of KeGetCurrentProcessorNumberEx, KeQueryActiveProcessorCountEx,
 * KeSetSystemAffinityThreadEx, KeSetSystemGroupAffinityThread, KeIpiGenericCall and KeRegisterProcessorChangeCallback.
 */
#include "nttest.h"

#define CPUS 4
#define NO_GROUP 0xFFF0

static VOID ProcessorNumbers(VOID)
{
    PROCESSOR_NUMBER Number;
    ULONG Index;

    for (Index = 0; Index < KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS); Index++) {
        CHECK(KeGetProcessorNumberFromIndex(Index, &Number) == STATUS_SUCCESS);
        CHECK(Number.Group < KeQueryActiveGroupCount());
        CHECK(Number.Reserved == 0);
        CHECK(KeGetProcessorIndexFromNumber(&Number) == Index);
    }
    EXPECT_STATUS(KeGetProcessorNumberFromIndex(0, &Number), STATUS_SUCCESS);
    EXPECT_EQUAL(Number.Group, 0);
    EXPECT_EQUAL(Number.Number, 0);
}

static VOID ProcessorNumbersThatAreNotThere(VOID)
{
    PROCESSOR_NUMBER Number = {.Group = NO_GROUP};

    EXPECT_STATUS(KeGetProcessorNumberFromIndex(MAXULONG, &Number), STATUS_INVALID_PARAMETER);
    EXPECT_TRUE(KeGetProcessorIndexFromNumber(&Number) == INVALID_PROCESSOR_INDEX);
    Number.Group = 0;
    Number.Number = MAXUCHAR;
    EXPECT_TRUE(KeGetProcessorIndexFromNumber(&Number) == INVALID_PROCESSOR_INDEX);
    EXPECT_EQUAL(KeQueryActiveProcessorCountEx(NO_GROUP), 0);
    EXPECT_EQUAL(KeQueryMaximumProcessorCountEx(NO_GROUP), 0);
    EXPECT_EQUAL(KeQueryGroupAffinity(NO_GROUP), 0);
}

static ULONG BitsOf(KAFFINITY Mask)
{
    ULONG Count = 0;

    for (; Mask != 0; Mask &= Mask - 1)
        Count++;
    return Count;
}

static VOID ProcessorCounts(VOID)
{
    KAFFINITY Active = 0;
    ULONG InGroups = 0;
    USHORT Group;

    for (Group = 0; Group < KeQueryActiveGroupCount(); Group++) {
        CHECK(BitsOf(KeQueryGroupAffinity(Group)) == KeQueryActiveProcessorCountEx(Group));
        CHECK(KeQueryActiveProcessorCountEx(Group) <= KeQueryMaximumProcessorCountEx(Group));
        InGroups += KeQueryActiveProcessorCountEx(Group);
    }
    EXPECT_TRUE(KeQueryActiveGroupCount() >= 1);
    EXPECT_TRUE(KeQueryActiveGroupCount() <= KeQueryMaximumGroupCount());
    EXPECT_TRUE(InGroups == KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
    EXPECT_TRUE(InGroups <= KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS));
    /* Without a group they speak of the caller's, which is 0 here. */
    EXPECT_TRUE(KeQueryActiveProcessorCount(&Active) == BitsOf(Active));
    EXPECT_TRUE(KeQueryActiveProcessorCount(NULL) == BitsOf(Active));
    EXPECT_TRUE(KeQueryActiveProcessors() == Active);
    EXPECT_TRUE(KeQueryGroupAffinity(0) == Active);
    EXPECT_TRUE(KeQueryMaximumProcessorCount() >= KeQueryActiveProcessorCount(NULL));
}

static VOID ProcessorsAtHighLevel(VOID)
{
    ULONG Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    ULONG Maximum = KeQueryMaximumProcessorCount();
    ULONG MaximumEx = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    USHORT Groups = KeQueryActiveGroupCount();
    USHORT MaximumGroups = KeQueryMaximumGroupCount();
    KAFFINITY Active = KeQueryActiveProcessors();
    PROCESSOR_NUMBER Number;
    KAFFINITY Same;
    KIRQL Irql;

    StayOn(1);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    CHECK(KeGetCurrentProcessorNumberEx(&Number) == 1);
    CHECK(Number.Group == 0 && Number.Number == 1);
    CHECK(KeGetProcessorIndexFromNumber(&Number) == 1);
    CHECK(KeGetProcessorNumberFromIndex(1, &Number) == STATUS_SUCCESS);
    CHECK(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) == Count);
    CHECK(KeQueryActiveProcessorCount(&Same) == BitsOf(Same));
    CHECK(KeQueryMaximumProcessorCount() == Maximum);
    CHECK(KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS) == MaximumEx);
    CHECK(KeQueryActiveGroupCount() == Groups);
    CHECK(KeQueryMaximumGroupCount() == MaximumGroups);
    CHECK(KeQueryActiveProcessors() == Active);
    CHECK(KeQueryGroupAffinity(0) == Active);
    KeLowerIrql(Irql);
    MoveFreely();
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* ---- affinity ---- */

/* At once, not at the next wait, and as long as it is not taken back. */
static VOID AffinityMovesTheThread(VOID)
{
    PROCESSOR_NUMBER Number;
    KAFFINITY Previous;
    ULONG Processor, Look;

    for (Processor = 0; Processor < CPUS; Processor++) {
        Previous = KeSetSystemAffinityThreadEx((KAFFINITY)1 << Processor);
        /* 0: this thread had none of the system's. */
        EXPECT_TRUE(Previous == (Processor == 0 ? 0 : (KAFFINITY)1 << (Processor - 1)));
        EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(&Number), Processor);
        EXPECT_EQUAL(Number.Group, 0);
        EXPECT_EQUAL(Number.Number, Processor);
        EXPECT_EQUAL(KeGetCurrentProcessorNumber(), Processor);

        for (Look = 0; Look < 3; Look++) {
            SleepMilliseconds(1);
            CHECK(KeGetCurrentProcessorNumberEx(NULL) == Processor);
        }
    }
    KeRevertToUserAffinityThreadEx((KAFFINITY)1 << 1);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 1);
    KeRevertToUserAffinityThreadEx(0);
    EXPECT_EQUAL(KeSetSystemAffinityThreadEx((KAFFINITY)1 << 2), 0); /* it had none again */
    KeRevertToUserAffinityThreadEx(0);
}

static VOID AffinityWithoutResult(VOID)
{
    KeSetSystemAffinityThread((KAFFINITY)1 << 3);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 3);
    KeSetSystemAffinityThread((KAFFINITY)1 << 2);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 2);
    KeRevertToUserAffinityThread();
    EXPECT_EQUAL(KeSetSystemAffinityThreadEx((KAFFINITY)1), 0);
    KeRevertToUserAffinityThreadEx(0);
}

static VOID AffinityOfAGroup(VOID)
{
    GROUP_AFFINITY First = {.Mask = (KAFFINITY)1 << 2, .Group = 0};
    GROUP_AFFINITY Second = {.Mask = (KAFFINITY)1 << 1, .Group = 0};
    GROUP_AFFINITY None, Old;

    KeSetSystemGroupAffinityThread(&First, &None);
    EXPECT_EQUAL(None.Mask, 0); /* the thread had none of the system's */
    EXPECT_EQUAL(None.Group, 0);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 2);
    KeSetSystemGroupAffinityThread(&Second, &Old);
    EXPECT_TRUE(Old.Mask == First.Mask);
    EXPECT_EQUAL(Old.Group, 0);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 1);
    KeRevertToUserGroupAffinityThread(&Old);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 2);
    KeSetSystemGroupAffinityThread(&Second, NULL);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 1);
    KeRevertToUserGroupAffinityThread(&None);
    EXPECT_EQUAL(KeSetSystemAffinityThreadEx((KAFFINITY)1), 0);
    KeRevertToUserAffinityThreadEx(0);
}

/* At once up to APC_LEVEL; from DISPATCH_LEVEL when the IRQL is lowered below it. */
static VOID AffinityAtApcLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_EQUAL(KeSetSystemAffinityThreadEx((KAFFINITY)1 << 2), 0);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), 2);
    KeRevertToUserAffinityThreadEx(0);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
}

/* The processor before and after the IRQL is lowered. */
static VOID LowerAndExpect(KIRQL Irql, ULONG Before, ULONG After)
{
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), Before);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(KeGetCurrentProcessorNumberEx(NULL), After);
}

static VOID AffinityAtDispatchLevel(VOID)
{
    GROUP_AFFINITY Group = {.Mask = (KAFFINITY)1 << 2, .Group = 0};
    GROUP_AFFINITY Old;
    KIRQL Irql;

    KeSetSystemAffinityThread((KAFFINITY)1 << 0);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeSetSystemAffinityThread((KAFFINITY)1 << 3);
    LowerAndExpect(Irql, 0, 3);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(KeSetSystemAffinityThreadEx((KAFFINITY)1 << 1) == (KAFFINITY)1 << 3);
    LowerAndExpect(Irql, 3, 1);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeSetSystemGroupAffinityThread(&Group, &Old);
    LowerAndExpect(Irql, 1, 2);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeRevertToUserGroupAffinityThread(&Old);
    LowerAndExpect(Irql, 2, 1);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeRevertToUserAffinityThreadEx((KAFFINITY)1 << 3);
    LowerAndExpect(Irql, 1, 3);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeRevertToUserAffinityThread();
    KeLowerIrql(Irql);
    EXPECT_EQUAL(KeSetSystemAffinityThreadEx((KAFFINITY)1 << 2), 0); /* it had none again */
    KeRevertToUserAffinityThreadEx(0);
}

/* ---- calls on every processor ---- */

static struct {
    LONG volatile Inside;
    LONG volatile MostInside;
    LONG volatile Calls[CPUS];
    KIRQL volatile Irql;
} Everywhere;

static ULONG_PTR NTAPI ComeTogether(ULONG_PTR Context)
{
    ULONG Processor = KeGetCurrentProcessorNumberEx(NULL);

    CHECK(KeGetCurrentIrql() == Everywhere.Irql);
    CHECK(Processor < CPUS);
    (VOID) InterlockedIncrement(&Everywhere.Calls[Processor]);
    (VOID) InterlockedIncrement(&Everywhere.Inside);
    while (ReadAcquire(&Everywhere.Inside) < CPUS) /* it runs on all of them at the same time */
        YieldProcessor();
    return Context + Processor;
}

static VOID CallEverywhere(VOID)
{
    ULONG Processor;

    RtlZeroMemory(&Everywhere, sizeof(Everywhere));
    Everywhere.Irql = IPI_LEVEL;
    StayOn(2);
    EXPECT_EQUAL(KeIpiGenericCall(ComeTogether, 100), 102); /* the result of this processor's call */
    EXPECT_EQUAL(Everywhere.Inside, CPUS);
    for (Processor = 0; Processor < CPUS; Processor++)
        EXPECT_EQUAL(Everywhere.Calls[Processor], 1);
    MoveFreely();
}

static VOID IpiOnEveryProcessor(VOID)
{
    CallEverywhere();
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static LONG volatile RaisersStop;

static VOID NTAPI RaiseNowAndThen(PVOID Context)
{
    KIRQL Irql;

    StayOn((ULONG)(ULONG_PTR)Context);
    while (ReadAcquire(&RaisersStop) ==
           0) { /* above the level at which the interrupt of another processor could come */
        KeRaiseIrql(HIGH_LEVEL, &Irql);
        KeStallExecutionProcessor(3);
        KeLowerIrql(Irql);
    }
    MoveFreely();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* A processor that is above IPI_LEVEL comes when it is not any more. */
static VOID IpiWhileOthersAreRaised(VOID)
{
    PVOID Thread[2];
    ULONG Round;

    WriteRelease(&RaisersStop, 0);
    Thread[0] = TestStart(RaiseNowAndThen, (PVOID)(ULONG_PTR)0);
    Thread[1] = TestStart(RaiseNowAndThen, (PVOID)(ULONG_PTR)1);
    for (Round = 0; Round < 5; Round++)
        CallEverywhere();
    WriteRelease(&RaisersStop, 1);
    TestJoin(Thread[0]);
    TestJoin(Thread[1]);
}

/* Below IPI_LEVEL; a device's interrupt would do. */
static VOID IpiAtClockLevel(VOID)
{
    KIRQL Irql;

    RtlZeroMemory(&Everywhere, sizeof(Everywhere));
    Everywhere.Irql = IPI_LEVEL;
    KeRaiseIrql(CLOCK_LEVEL, &Irql);
    (VOID) KeIpiGenericCall(ComeTogether, 0);
    EXPECT_EQUAL(KeGetCurrentIrql(), CLOCK_LEVEL);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Everywhere.Inside, CPUS);
}

/* ---- processors that come ---- */

static struct {
    ULONG Starts;
    ULONG Completes;
    ULONG Failures;
    BOOLEAN Refuse;
} Change;

static VOID NTAPI Changed(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT ChangeContext, PNTSTATUS OperationStatus)
{
    CHECK(Context == (PVOID)&Change);
    CHECK(KeGetProcessorIndexFromNumber(&ChangeContext->ProcNumber) == ChangeContext->NtNumber);
    switch (ChangeContext->State) {
    case KeProcessorAddStartNotify:
        Change.Starts++;
        if (Change.Refuse)
            *OperationStatus = STATUS_INSUFFICIENT_RESOURCES;
        break;
    case KeProcessorAddCompleteNotify:
        CHECK(Change.Starts == KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
        Change.Completes++;
        break;
    default:
        Change.Failures++;
    }
}

/* Those that are there are announced first, each twice, before the registration returns. */
static VOID ProcessorChangeOfExisting(VOID)
{
    PVOID Handle;

    RtlZeroMemory(&Change, sizeof(Change));
    Handle = KeRegisterProcessorChangeCallback(Changed, &Change, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    REQUIRE(Handle != NULL);
    EXPECT_TRUE(Change.Starts == KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
    EXPECT_TRUE(Change.Completes == Change.Starts);
    EXPECT_EQUAL(Change.Failures, 0);
    KeDeregisterProcessorChangeCallback(Handle);
}

static VOID ProcessorChangeOfNewOnes(VOID)
{
    PVOID Handle;

    RtlZeroMemory(&Change, sizeof(Change));
    Handle = KeRegisterProcessorChangeCallback(Changed, &Change, 0);
    REQUIRE(Handle != NULL);
    EXPECT_EQUAL(Change.Starts + Change.Completes + Change.Failures, 0);
    KeDeregisterProcessorChangeCallback(Handle);
}

static VOID ProcessorChangeRefused(VOID)
{
    RtlZeroMemory(&Change, sizeof(Change));
    Change.Refuse = TRUE;
    EXPECT_TRUE(KeRegisterProcessorChangeCallback(Changed, &Change, KE_PROCESSOR_CHANGE_ADD_EXISTING) == NULL);
    EXPECT_TRUE(Change.Starts != 0);
    EXPECT_EQUAL(Change.Completes, 0);
}

/* ---- broken rules ---- */

static VOID AffinityToNoProcessor(VOID)
{
    KeSetSystemAffinityThread(0);
}

static VOID AffinityToNoProcessorOfAGroup(VOID)
{
    GROUP_AFFINITY None = {.Mask = 0};

    KeSetSystemGroupAffinityThread(&None, NULL);
}

TEST_TABLE(ke_processor){
    TEST(ProcessorNumbers, 0),
    TEST(ProcessorNumbersThatAreNotThere, 0),
    TEST(ProcessorCounts, 0),
    TEST(ProcessorsAtHighLevel, TEST_CPUS(2)),
    TEST(AffinityMovesTheThread, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(AffinityWithoutResult, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(AffinityOfAGroup, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(AffinityAtApcLevel, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(AffinityAtDispatchLevel, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(IpiOnEveryProcessor, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(IpiWhileOthersAreRaised, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(IpiAtClockLevel, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(ProcessorChangeOfExisting, 0),
    TEST(ProcessorChangeOfNewOnes, 0),
    TEST(ProcessorChangeRefused, 0),
    TEST_VIOLATION(AffinityToNoProcessor, "affinity", 0),
    TEST_VIOLATION(AffinityToNoProcessorOfAGroup, "affinity", 0),
    TEST_END,
};
