/* Work items of the executive: "System Worker Threads", ExInitializeWorkItem, ExQueueWorkItem. */
#include "nttest.h"

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* in favour of IoQueueWorkItem, for drivers with a device  \
                                                            */
#endif

typedef struct _WORK {
    WORK_QUEUE_ITEM Item;
    KEVENT Done;
    PKTHREAD Thread;
    KIRQL Irql;
    LONG volatile Runs;
    struct _WORK *WaitsFor;
} WORK;

static VOID NTAPI DoWork(PVOID Parameter)
{
    WORK *Work = Parameter;

    Work->Thread = KeGetCurrentThread();
    Work->Irql = KeGetCurrentIrql();
    (VOID) InterlockedIncrement(&Work->Runs);
    SleepMilliseconds(1); /* it may wait */
    if (Work->WaitsFor != NULL)
        (VOID) KeWaitForSingleObject(&Work->WaitsFor->Done, Executive, KernelMode, FALSE, NULL);
    (VOID) KeSetEvent(&Work->Done, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI QueueIt(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ExQueueWorkItem(&((WORK *)DeferredContext)->Item, DelayedWorkQueue);
}

/* From a DPC at DISPATCH_LEVEL into a system thread at PASSIVE_LEVEL, once each time; then it may be queued again. */
static VOID ExWorkItemRuns(VOID)
{
    WORK *Work = TestAllocate(sizeof(*Work));
    KDPC *Dpc = TestAllocate(sizeof(*Dpc));
    LONG Turn;

    REQUIRE(Work != NULL && Dpc != NULL);
    KeInitializeEvent(&Work->Done, SynchronizationEvent, FALSE);
    KeInitializeDpc(Dpc, QueueIt, Work);
    for (Turn = 1; Turn <= 3; Turn++) {
        ExInitializeWorkItem(&Work->Item, DoWork, Work);
        (VOID) KeInsertQueueDpc(Dpc, NULL, NULL);
        (VOID) KeWaitForSingleObject(&Work->Done, Executive, KernelMode, FALSE, NULL);
        EXPECT_EQUAL(Work->Runs, Turn);
        EXPECT_EQUAL(Work->Irql, PASSIVE_LEVEL);
        EXPECT_TRUE(Work->Thread != KeGetCurrentThread());
    }
    KeFlushQueuedDpcs();
    TestFree(Dpc);
    TestFree(Work);
}

/* Every queue that a driver may name has its threads. */
static VOID ExWorkItemQueues(VOID)
{
    static const WORK_QUEUE_TYPE Queues[] = {CriticalWorkQueue, DelayedWorkQueue};
    WORK *Work = TestAllocate(sizeof(*Work));
    ULONG Index;

    REQUIRE(Work != NULL);
    KeInitializeEvent(&Work->Done, SynchronizationEvent, FALSE);
    for (Index = 0; Index < RTL_NUMBER_OF(Queues); Index++) {
        ExInitializeWorkItem(&Work->Item, DoWork, Work);
        ExQueueWorkItem(&Work->Item, Queues[Index]);
        (VOID) KeWaitForSingleObject(&Work->Done, Executive, KernelMode, FALSE, NULL);
    }
    EXPECT_EQUAL(Work->Runs, (LONG)RTL_NUMBER_OF(Queues));
    TestFree(Work);
}

/* An item that waits for a later one does not keep it from running. */
static VOID ExWorkItemWaitsForAnother(VOID)
{
    WORK *Work = TestAllocate(2 * sizeof(*Work));
    ULONG Index;

    REQUIRE(Work != NULL);
    for (Index = 0; Index < 2; Index++) {
        KeInitializeEvent(&Work[Index].Done, NotificationEvent, FALSE);
        ExInitializeWorkItem(&Work[Index].Item, DoWork, &Work[Index]);
    }
    Work[0].WaitsFor = &Work[1];
    ExQueueWorkItem(&Work[0].Item, DelayedWorkQueue);
    ExQueueWorkItem(&Work[1].Item, DelayedWorkQueue);
    (VOID) KeWaitForSingleObject(&Work[0].Done, Executive, KernelMode, FALSE, NULL);
    EXPECT_EQUAL(Work[1].Runs, 1);
    TestFree(Work);
}

/* ---- broken rules ---- */

static WORK Broken;

static VOID ExWorkItemQueuedTwice(VOID)
{
    ULONG Index;
    KIRQL Irql;

    KeInitializeEvent(&Broken.Done, SynchronizationEvent, FALSE);
    ExInitializeWorkItem(&Broken.Item, DoWork, &Broken);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    /* A worker on another processor may take it between two of the calls, but not between all. */
    for (Index = 0; Index < 1000; Index++)
        ExQueueWorkItem(&Broken.Item, DelayedWorkQueue);
}

static VOID NTAPI ReturnRaised(PVOID Parameter)
{
    KIRQL Irql;

    UNREFERENCED_PARAMETER(Parameter);
    KeRaiseIrql(APC_LEVEL, &Irql);
}

static VOID ExWorkItemReturnsRaised(VOID)
{
    ExInitializeWorkItem(&Broken.Item, ReturnRaised, NULL);
    ExQueueWorkItem(&Broken.Item, DelayedWorkQueue);
    SleepMilliseconds(100);
}

TEST_TABLE(ex_work_item){
    TEST(ExWorkItemRuns, TEST_SCHEDULES),
    TEST(ExWorkItemQueues, 0),
    TEST(ExWorkItemWaitsForAnother, TEST_SCHEDULES),
    TEST_VIOLATION(ExWorkItemQueuedTwice, "work-item-queued-twice", 0xE4),
    TEST_VIOLATION(ExWorkItemReturnsRaised, "irql-changed", 0xE1),
    TEST_END,
};
