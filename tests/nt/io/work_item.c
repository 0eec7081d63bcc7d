/* I/O work items: IoAllocateWorkItem, IoInitializeWorkItem, IoQueueWorkItem(Ex). */
#include "nttest.h"

typedef struct _WORK {
    KEVENT Done;
    PIO_WORKITEM Item;
    PVOID Object;
    PVOID Context;
    KIRQL Irql;
    ULONG Runs;
    BOOLEAN Frees;
    BOOLEAN Again;
} WORK;

static IO_WORKITEM_ROUTINE Routine;
static IO_WORKITEM_ROUTINE_EX RoutineEx;
static DRIVER_DISPATCH Refuse;

static NTSTATUS NTAPI Refuse(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static VOID NTAPI Routine(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    WORK *Work = Context;

    Work->Object = DeviceObject;
    Work->Irql = KeGetCurrentIrql();
    Work->Runs++;
    if (Work->Again && Work->Runs == 1) {
        IoQueueWorkItem(Work->Item, Routine, DelayedWorkQueue, Work);
        return;
    }
    if (Work->Frees)
        IoFreeWorkItem(Work->Item);
    (VOID) KeSetEvent(&Work->Done, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI RoutineEx(PVOID IoObject, PVOID Context, PIO_WORKITEM IoWorkItem)
{
    WORK *Work = Context;

    Work->Object = IoObject;
    Work->Irql = KeGetCurrentIrql();
    Work->Runs++;
    CHECK(IoWorkItem == Work->Item);
    (VOID) KeSetEvent(&Work->Done, IO_NO_INCREMENT, FALSE);
}

static VOID Await(WORK *Work)
{
    (VOID) KeWaitForSingleObject(&Work->Done, Executive, KernelMode, FALSE, NULL);
}

/* Once, at PASSIVE_LEVEL, with the device object and the context; the queue's kind makes no difference to that. */
static VOID WorkItemRuns(VOID)
{
    static const WORK_QUEUE_TYPE Types[] = {DelayedWorkQueue, CriticalWorkQueue};
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Refuse);
    WORK Work = {.Runs = 0};
    ULONG Index;

    REQUIRE(DeviceObject != NULL);
    Work.Item = IoAllocateWorkItem(DeviceObject);
    REQUIRE(Work.Item != NULL);
    KeInitializeEvent(&Work.Done, SynchronizationEvent, FALSE);
    for (Index = 0; Index < ARRAYSIZE(Types); Index++) {
        IoQueueWorkItem(Work.Item, Routine, Types[Index], &Work);
        Await(&Work);
        EXPECT_EQUAL(Work.Runs, 2 * Index + 1);
        EXPECT_TRUE(Work.Object == DeviceObject);
        EXPECT_EQUAL(Work.Irql, PASSIVE_LEVEL);
        IoQueueWorkItemEx(Work.Item, RoutineEx, Types[Index], &Work);
        Await(&Work);
        EXPECT_EQUAL(Work.Runs, 2 * Index + 2);
        EXPECT_TRUE(Work.Object == DeviceObject);
        EXPECT_EQUAL(Work.Irql, PASSIVE_LEVEL);
    }
    IoFreeWorkItem(Work.Item);
    IoDeleteDevice(DeviceObject);
}

static VOID WorkItemAtDispatchLevel(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Refuse);
    WORK Work = {.Runs = 0};
    KIRQL Irql;

    REQUIRE(DeviceObject != NULL);
    KeInitializeEvent(&Work.Done, SynchronizationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Work.Item = IoAllocateWorkItem(DeviceObject);
    if (Work.Item != NULL)
        IoQueueWorkItem(Work.Item, Routine, DelayedWorkQueue, &Work);
    KeLowerIrql(Irql);
    REQUIRE(Work.Item != NULL);
    Await(&Work);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoQueueWorkItemEx(Work.Item, RoutineEx, DelayedWorkQueue, &Work);
    KeLowerIrql(Irql);
    Await(&Work);
    EXPECT_EQUAL(Work.Runs, 2);
    EXPECT_EQUAL(Work.Irql, PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoFreeWorkItem(Work.Item);
    KeLowerIrql(Irql);
    IoDeleteDevice(DeviceObject);
}

/* The routine may free the item, or queue it again. */
static VOID WorkItemFreedByItsRoutine(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Refuse);
    WORK Work = {.Frees = TRUE, .Again = TRUE};

    REQUIRE(DeviceObject != NULL);
    KeInitializeEvent(&Work.Done, SynchronizationEvent, FALSE);
    Work.Item = IoAllocateWorkItem(DeviceObject);
    REQUIRE(Work.Item != NULL);
    IoQueueWorkItem(Work.Item, Routine, DelayedWorkQueue, &Work);
    Await(&Work);
    EXPECT_EQUAL(Work.Runs, 2);
    IoDeleteDevice(DeviceObject);
}

/* In memory of IoSizeofWorkItem bytes, for a device or a driver object. */
static VOID WorkItemInOwnMemory(VOID)
{
    WORK Work = {.Runs = 0};
    KIRQL Irql;
    ULONG Size;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Size = IoSizeofWorkItem();
    KeLowerIrql(Irql);
    EXPECT_TRUE(Size > 0);
    EXPECT_EQUAL(IoSizeofWorkItem(), Size);
    KeInitializeEvent(&Work.Done, SynchronizationEvent, FALSE);
    Work.Item = TestAllocate(Size);
    REQUIRE(Work.Item != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoInitializeWorkItem(TestDriver(), Work.Item);
    KeLowerIrql(Irql);
    IoQueueWorkItemEx(Work.Item, RoutineEx, DelayedWorkQueue, &Work);
    Await(&Work);
    EXPECT_TRUE(Work.Object == TestDriver());
    SleepMilliseconds(20); /* the worker is done with it */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoUninitializeWorkItem(Work.Item);
    KeLowerIrql(Irql);
    TestFree(Work.Item);
}

static VOID WorkItemSizeAtHighLevel(VOID)
{
    ULONG Size = IoSizeofWorkItem();
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    EXPECT_TRUE(IoSizeofWorkItem() == Size);
    KeLowerIrql(Irql);
}

/* A worker on another processor may be quick enough to make one round of the next two legal, not all of them. */
#define ROUNDS 1000

static WORK Quick;

static VOID WorkItemQueuedTwice(VOID)
{
    KIRQL Irql;
    ULONG Round;

    KeInitializeEvent(&Quick.Done, SynchronizationEvent, FALSE);
    Quick.Item = IoAllocateWorkItem(TestCreateDevice(NULL, 0, Refuse));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql); /* whatever the number of processors, this one runs no worker */
    for (Round = 0; Round < ROUNDS; Round++) {
        IoQueueWorkItem(Quick.Item, Routine, DelayedWorkQueue, &Quick);
        IoQueueWorkItem(Quick.Item, Routine, DelayedWorkQueue, &Quick);
    }
}

static VOID WorkItemFreedInTheQueue(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Refuse);
    KIRQL Irql;
    ULONG Round;

    KeInitializeEvent(&Quick.Done, SynchronizationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    for (Round = 0; Round < ROUNDS; Round++) {
        Quick.Item = IoAllocateWorkItem(DeviceObject);
        IoQueueWorkItem(Quick.Item, Routine, DelayedWorkQueue, &Quick);
        IoFreeWorkItem(Quick.Item);
    }
}

static VOID WorkItemInitialisedFreed(VOID)
{
    PIO_WORKITEM Item = TestAllocate(IoSizeofWorkItem());

    IoInitializeWorkItem(TestDriver(), Item);
    IoFreeWorkItem(Item);
}

static VOID WorkItemAllocatedUninitialised(VOID)
{
    IoUninitializeWorkItem(IoAllocateWorkItem(TestCreateDevice(NULL, 0, Refuse)));
}

TEST_TABLE(io_work_item){
    TEST(WorkItemRuns, 0),
    TEST(WorkItemAtDispatchLevel, 0),
    TEST(WorkItemFreedByItsRoutine, 0),
    TEST(WorkItemInOwnMemory, 0),
    TEST(WorkItemSizeAtHighLevel, 0),
    TEST_VIOLATION(WorkItemQueuedTwice, "work-item-queued-twice", 0xE4),
    TEST_VIOLATION(WorkItemFreedInTheQueue, "work-item-freed-queued", 0xE4),
    TEST_VIOLATION(WorkItemInitialisedFreed, "work-item-free", 0),
    TEST_VIOLATION(WorkItemAllocatedUninitialised, "work-item-free", 0),
    TEST_END,
};
