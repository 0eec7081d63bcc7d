/* NUMA nodes, the DPC watchdog's numbers, extended processor state. */
#include "nttest.h"

#if defined(__MINGW32__) /* its driver headers (version 10) have the masks of extended state wrong */
TEST_TABLE(ke_processor_state){TEST_END};
#else

static ULONG Bits(KAFFINITY Mask)
{
    ULONG Count = 0;

    for (; Mask != 0; Mask &= Mask - 1)
        Count++;
    return Count;
}

/* ---- nodes ---- */

static VOID NodesHoldAllProcessors(VOID)
{
    USHORT Highest = KeQueryHighestNodeNumber();
    ULONG Processors = 0;

    CHECK(KeGetCurrentNodeNumber() <= Highest);
    for (ULONG Node = 0; Node <= Highest; Node++) {
        GROUP_AFFINITY Affinity;
        USHORT Count = 0;

        RtlFillMemory(&Affinity, sizeof(Affinity), 0xA5);
        KeQueryNodeActiveAffinity((USHORT)Node, &Affinity, &Count);
        CHECK(Bits(Affinity.Mask) == Count);
        Processors += Count;
    }
    EXPECT_TRUE(Processors == KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
    EXPECT_TRUE(Processors >= 1);
}

static VOID NodesWithOneAnswerOnly(VOID)
{
    GROUP_AFFINITY Affinity;
    USHORT Count = 0xFFFF;

    KeQueryNodeActiveAffinity(0, NULL, &Count);
    EXPECT_TRUE(Count >= 1 && Count != 0xFFFF);
    Affinity.Mask = 0;
    KeQueryNodeActiveAffinity(0, &Affinity, NULL);
    EXPECT_TRUE(Affinity.Mask != 0);
}

/* A node that is not there has no processors. */
static VOID NodeBeyondTheHighest(VOID)
{
    GROUP_AFFINITY Affinity = {.Mask = 1};
    USHORT Count = 1;

    KeQueryNodeActiveAffinity((USHORT)(KeQueryHighestNodeNumber() + 1), &Affinity, &Count);
    EXPECT_EQUAL(Count, 0);
    EXPECT_EQUAL(Affinity.Mask, 0);
}

static VOID NodesAtHighLevel(VOID)
{
    USHORT Highest, Current, Count = 0;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Highest = KeQueryHighestNodeNumber();
    Current = KeGetCurrentNodeNumber();
    KeQueryNodeActiveAffinity(Current, NULL, &Count);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Current <= Highest);
    EXPECT_TRUE(Count >= 1);
}

/* ---- the watchdog ---- */

static VOID WatchdogBelowDispatchLevel(VOID)
{
    KDPC_WATCHDOG_INFORMATION Information;

    EXPECT_STATUS(KeQueryDpcWatchdogInformation(&Information), STATUS_UNSUCCESSFUL);
}

static VOID WatchdogAtDispatchLevel(VOID)
{
    KDPC_WATCHDOG_INFORMATION Information;
    NTSTATUS Status;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = KeQueryDpcWatchdogInformation(&Information);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_TRUE(Information.DpcTimeCount <= Information.DpcTimeLimit);
    EXPECT_TRUE(Information.DpcWatchdogCount <= Information.DpcWatchdogLimit);
}

static struct {
    KDPC_WATCHDOG_INFORMATION Information;
    NTSTATUS Status;
} InDpc;

static VOID NTAPI AskInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InDpc.Status = KeQueryDpcWatchdogInformation(&InDpc.Information);
}

static VOID WatchdogInADpc(VOID)
{
    KDPC Dpc;

    KeInitializeDpc(&Dpc, AskInDpc, NULL);
    (VOID) KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    EXPECT_STATUS(InDpc.Status, STATUS_SUCCESS);
    EXPECT_TRUE(InDpc.Information.DpcTimeCount <= InDpc.Information.DpcTimeLimit);
}

static VOID WatchdogAtHighLevel(VOID)
{
    KDPC_WATCHDOG_INFORMATION Information;
    NTSTATUS Status;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Status = KeQueryDpcWatchdogInformation(&Information);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
}

/* ---- extended state ---- */

static VOID ChangeRegister(ULONG64 Value)
{
    __asm__ volatile("movq %0, %%xmm7" : : "r"(Value) : "xmm7");
}

static ULONG64 ReadRegister(VOID)
{
    ULONG64 Value;

    __asm__ volatile("movq %%xmm7, %0" : "=r"(Value));
    return Value;
}

/* What lies between is the only thing that may touch the registers; kernel routines may, by the calling convention. */
static VOID ExtendedStateComesBack(VOID)
{
    XSTATE_SAVE Save;
    NTSTATUS Status;
    ULONG64 After;

    ChangeRegister(0x1122334455667788);
    Status = KeSaveExtendedProcessorState(XSTATE_MASK_LEGACY, &Save);
    if (Status == STATUS_SUCCESS) {
        ChangeRegister(0);
        KeRestoreExtendedProcessorState(&Save);
    }
    After = ReadRegister();
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    OBSERVE("register after the restore", After); /* the routine that saves may change it before it saves */
    EXPECT_TRUE(After != 0);
}

/* The pages ask for the same IRQL and thread; features that the processor lacks are left out of the mask. */
static VOID ExtendedStateAtDispatchLevel(VOID)
{
    XSTATE_SAVE Outer, Inner;
    NTSTATUS First, Second;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    First = KeSaveExtendedProcessorState(XSTATE_MASK_LEGACY | XSTATE_MASK_AVX, &Outer);
    Second = KeSaveExtendedProcessorState(XSTATE_MASK_LEGACY, &Inner);
    if (Second == STATUS_SUCCESS)
        KeRestoreExtendedProcessorState(&Inner);
    if (First == STATUS_SUCCESS)
        KeRestoreExtendedProcessorState(&Outer);
    KeLowerIrql(Irql);
    EXPECT_STATUS(First, STATUS_SUCCESS);
    EXPECT_STATUS(Second, STATUS_SUCCESS);
}

static VOID ExtendedStateRestoredTwice(VOID)
{
    XSTATE_SAVE Save;

    (VOID) KeSaveExtendedProcessorState(XSTATE_MASK_LEGACY, &Save);
    KeRestoreExtendedProcessorState(&Save);
    KeRestoreExtendedProcessorState(&Save);
}

static VOID ExtendedStateRestoredAtAnotherIrql(VOID)
{
    XSTATE_SAVE Save;
    KIRQL Irql;

    (VOID) KeSaveExtendedProcessorState(XSTATE_MASK_LEGACY, &Save);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeRestoreExtendedProcessorState(&Save);
    KeLowerIrql(Irql);
}

TEST_TABLE(ke_processor_state){TEST(NodesHoldAllProcessors, 0),
                               TEST(NodesWithOneAnswerOnly, 0),
                               TEST(NodeBeyondTheHighest, 0),
                               TEST(NodesAtHighLevel, 0),
                               TEST(WatchdogBelowDispatchLevel, 0),
                               TEST(WatchdogAtDispatchLevel, 0),
                               TEST(WatchdogInADpc, 0),
                               TEST(WatchdogAtHighLevel, 0),
                               TEST(ExtendedStateComesBack, 0),
                               TEST(ExtendedStateAtDispatchLevel, 0),
                               TEST_VIOLATION(ExtendedStateRestoredTwice, "xstate-restore", 0xC4),
                               TEST_VIOLATION(ExtendedStateRestoredAtAnotherIrql, "xstate-restore", 0xC4),
                               TEST_END};
#endif
