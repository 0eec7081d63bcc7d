/* Cancellation: IoCancelIrp, IoSetCancelRoutine, the cancel spin lock and cancel-safe queues (IoCsq...). */
#include "nttest.h"

#define REQUESTS 3

typedef struct _QUEUE {
    IO_CSQ Csq;
    LIST_ENTRY List;
    KSPIN_LOCK Lock;
    ULONG Cancelled;
    PIRP LastCancelled;
    ULONG_PTR InsertContext;
    NTSTATUS InsertAnswer;
    BOOLEAN Extended;
    PIO_CSQ_IRP_CONTEXT Context; /* for the next insertion */
} QUEUE;

static IO_COMPLETION_ROUTINE TakeBack;
static DRIVER_CANCEL CancelRoutine;
static DRIVER_CANCEL OtherRoutine;
static DRIVER_DISPATCH Pend;
static DRIVER_DISPATCH Enqueue;

static NTSTATUS NTAPI TakeBack(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    ++*(ULONG *)Context;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static PIRP Request(ULONG *Back)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    CHECK(Irp != NULL);
    if (Irp == NULL)
        return NULL;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, TakeBack, Back, TRUE, TRUE, TRUE);
    return Irp;
}

/* ---- one IRP ---- */

/* What the cancel routine saw. */
static struct {
    ULONG Calls;
    KIRQL Irql;
    KIRQL CancelIrql;
    BOOLEAN Cancel;
    BOOLEAN RoutineGone;
    PDEVICE_OBJECT DeviceObject;
} Seen;

static VOID NTAPI CancelRoutine(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    Seen.Calls++;
    Seen.Irql = KeGetCurrentIrql();
    Seen.CancelIrql = Irp->CancelIrql;
    Seen.Cancel = Irp->Cancel;
    Seen.RoutineGone = Irp->CancelRoutine == NULL;
    Seen.DeviceObject = DeviceObject;
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    (VOID) TestComplete(Irp, STATUS_CANCELLED, 0);
}

static VOID NTAPI OtherRoutine(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
}

static NTSTATUS NTAPI Pend(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    IoMarkIrpPending(Irp);
    (VOID) IoSetCancelRoutine(Irp, CancelRoutine);
    return STATUS_PENDING;
}

/* The routine is called at DISPATCH_LEVEL, with the lock held that it releases to Irp->CancelIrql. */
static VOID CancelCallsTheRoutine(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Pend);
    ULONG Back = 0;
    BOOLEAN Result;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(DeviceObject != NULL);
    RtlZeroMemory(&Seen, sizeof(Seen));
    Irp = Request(&Back);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_PENDING);
    EXPECT_TRUE(IoCancelIrp(Irp));
    EXPECT_EQUAL(Seen.Calls, 1);
    EXPECT_EQUAL(Seen.Irql, DISPATCH_LEVEL);
    EXPECT_EQUAL(Seen.CancelIrql, PASSIVE_LEVEL);
    EXPECT_TRUE(Seen.Cancel);
    EXPECT_TRUE(Seen.RoutineGone);
    EXPECT_TRUE(Seen.DeviceObject == DeviceObject);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    EXPECT_EQUAL(Back, 1);
    EXPECT_STATUS(Irp->IoStatus.Status, STATUS_CANCELLED);
    IoReuseIrp(Irp, STATUS_NOT_SUPPORTED);

    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, TakeBack, &Back, TRUE, TRUE, TRUE);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_PENDING);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Result = IoCancelIrp(Irp);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Result);
    EXPECT_EQUAL(Seen.CancelIrql, DISPATCH_LEVEL);
    EXPECT_EQUAL(Back, 2);
    IoFreeIrp(Irp);
    IoDeleteDevice(DeviceObject);
}

/* Without a routine the IRP is only marked: FALSE. */
static VOID CancelWithoutARoutine(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Pend);
    ULONG Back = 0;
    PIRP Irp;

    REQUIRE(DeviceObject != NULL);
    Irp = Request(&Back);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_PENDING);
    EXPECT_TRUE(IoSetCancelRoutine(Irp, NULL) == CancelRoutine);
    EXPECT_FALSE(IoCancelIrp(Irp));
    EXPECT_TRUE(Irp->Cancel);
    EXPECT_EQUAL(Back, 0);
    (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
    EXPECT_EQUAL(Back, 1);
    IoFreeIrp(Irp);
    IoDeleteDevice(DeviceObject);
}

/* Returns the routine before, NULL if there was none; any IRQL up to DISPATCH_LEVEL, with or without the lock. */
static VOID CancelRoutineSet(VOID)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);
    KIRQL Irql;

    REQUIRE(Irp != NULL);
    EXPECT_TRUE(IoSetCancelRoutine(Irp, CancelRoutine) == NULL);
    EXPECT_TRUE(Irp->CancelRoutine == CancelRoutine);
    IoAcquireCancelSpinLock(&Irql);
    EXPECT_TRUE(IoSetCancelRoutine(Irp, OtherRoutine) == CancelRoutine);
    IoReleaseCancelSpinLock(Irql);
    EXPECT_TRUE(IoSetCancelRoutine(Irp, NULL) == OtherRoutine);
    EXPECT_TRUE(IoSetCancelRoutine(Irp, NULL) == NULL);
    IoFreeIrp(Irp);
}

static VOID CompletedWithACancelRoutine(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, Pend);
    ULONG Back = 0;
    PIRP Irp = Request(&Back);

    (VOID) IoCallDriver(DeviceObject, Irp);
    (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
}

/* ---- the lock ---- */

typedef struct _CONTEST {
    LONG volatile Inside;
    LONG volatile Rounds;
} CONTEST;

static VOID NTAPI Contend(PVOID Context)
{
    CONTEST *Contest = Context;
    ULONG Round;
    KIRQL Irql;

    for (Round = 0; Round < 50; Round++) {
        IoAcquireCancelSpinLock(&Irql);
        CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
        CHECK(Irql == PASSIVE_LEVEL);
        CHECK(InterlockedIncrement(&Contest->Inside) == 1);
        Contest->Rounds = Contest->Rounds + 1;
        CHECK(InterlockedDecrement(&Contest->Inside) == 0);
        IoReleaseCancelSpinLock(Irql);
        CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID CancelSpinLockExcludes(VOID)
{
    CONTEST Contest = {0, 0};
    PVOID Thread[REQUESTS];
    ULONG Index;
    KIRQL Irql;
    KIRQL Old;

    for (Index = 0; Index < REQUESTS; Index++)
        Thread[Index] = TestStart(Contend, &Contest);
    for (Index = 0; Index < REQUESTS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Contest.Rounds, 50 * REQUESTS);

    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    IoAcquireCancelSpinLock(&Irql);
    EXPECT_EQUAL(Irql, DISPATCH_LEVEL);
    IoReleaseCancelSpinLock(Irql);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Old);
}

/* ---- cancel-safe queues ---- */

static VOID NTAPI CsqInsert(PIO_CSQ Csq, PIRP Irp)
{
    QUEUE *Queue = CONTAINING_RECORD(Csq, QUEUE, Csq);

    InsertTailList(&Queue->List, &Irp->Tail.Overlay.ListEntry);
}

static NTSTATUS NTAPI CsqInsertEx(PIO_CSQ Csq, PIRP Irp, PVOID InsertContext)
{
    QUEUE *Queue = CONTAINING_RECORD(Csq, QUEUE, Csq);

    Queue->InsertContext = (ULONG_PTR)InsertContext;
    if (NT_SUCCESS(Queue->InsertAnswer))
        InsertTailList(&Queue->List, &Irp->Tail.Overlay.ListEntry);
    return Queue->InsertAnswer;
}

static VOID NTAPI CsqRemove(PIO_CSQ Csq, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

/* PeekContext: the parameter that the IRP must have, NULL: any. */
static PIRP NTAPI CsqPeek(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext)
{
    QUEUE *Queue = CONTAINING_RECORD(Csq, QUEUE, Csq);
    PLIST_ENTRY Entry = Irp != NULL ? Irp->Tail.Overlay.ListEntry.Flink : Queue->List.Flink;

    for (; Entry != &Queue->List; Entry = Entry->Flink) {
        PIRP Next = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.ListEntry);

        if (PeekContext == NULL || IoGetCurrentIrpStackLocation(Next)->Parameters.Others.Argument1 == PeekContext)
            return Next;
    }
    return NULL;
}

static VOID NTAPI CsqAcquire(PIO_CSQ Csq, PKIRQL Irql)
{
    KeAcquireSpinLock(&CONTAINING_RECORD(Csq, QUEUE, Csq)->Lock, Irql);
}

static VOID NTAPI CsqRelease(PIO_CSQ Csq, KIRQL Irql)
{
    KeReleaseSpinLock(&CONTAINING_RECORD(Csq, QUEUE, Csq)->Lock, Irql);
}

static VOID NTAPI CsqComplete(PIO_CSQ Csq, PIRP Irp)
{
    QUEUE *Queue = CONTAINING_RECORD(Csq, QUEUE, Csq);

    Queue->Cancelled++;
    Queue->LastCancelled = Irp;
    (VOID) TestComplete(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS NTAPI Enqueue(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    QUEUE *Queue = *(QUEUE **)TestExtension(DeviceObject);
    NTSTATUS Status;

    if (!Queue->Extended) {
        IoCsqInsertIrp(&Queue->Csq, Irp, Queue->Context); /* marks it */
        return STATUS_PENDING;
    }
    Status = IoCsqInsertIrpEx(&Queue->Csq, Irp, Queue->Context, (PVOID)(ULONG_PTR)0x77);
    return NT_SUCCESS(Status) ? STATUS_PENDING : TestComplete(Irp, Status, 0);
}

static PDEVICE_OBJECT QueueDevice(QUEUE *Queue, BOOLEAN Extended)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, sizeof(Queue), Enqueue);

    if (DeviceObject == NULL)
        return NULL;
    *(QUEUE **)TestExtension(DeviceObject) = Queue;
    RtlZeroMemory(Queue, sizeof(*Queue));
    InitializeListHead(&Queue->List);
    KeInitializeSpinLock(&Queue->Lock);
    Queue->Extended = Extended;
    if (Extended)
        EXPECT_STATUS(
            IoCsqInitializeEx(&Queue->Csq, CsqInsertEx, CsqRemove, CsqPeek, CsqAcquire, CsqRelease, CsqComplete),
            STATUS_SUCCESS);
    else
        EXPECT_STATUS(IoCsqInitialize(&Queue->Csq, CsqInsert, CsqRemove, CsqPeek, CsqAcquire, CsqRelease, CsqComplete),
                      STATUS_SUCCESS);
    return DeviceObject;
}

static VOID CsqCancelledAndRemoved(VOID)
{
    ULONG Back[REQUESTS] = {0};
    PDEVICE_OBJECT DeviceObject;
    PIRP Irp[REQUESTS];
    QUEUE Queue;
    ULONG Index;

    DeviceObject = QueueDevice(&Queue, FALSE);
    REQUIRE(DeviceObject != NULL);
    for (Index = 0; Index < REQUESTS; Index++)
        Irp[Index] = Request(&Back[Index]);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[0]), STATUS_PENDING);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[1]), STATUS_PENDING);
    EXPECT_TRUE(IoCancelIrp(Irp[0]));
    EXPECT_EQUAL(Back[0], 1);
    EXPECT_TRUE(Queue.LastCancelled == Irp[0]);
    EXPECT_STATUS(Irp[0]->IoStatus.Status, STATUS_CANCELLED);

    EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue.Csq, NULL) == Irp[1]);
    EXPECT_FALSE(IoCancelIrp(Irp[1])); /* once removed it cannot be cancelled */
    (VOID) TestComplete(Irp[1], STATUS_SUCCESS, 0);
    EXPECT_EQUAL(Back[1], 1);

    EXPECT_FALSE(IoCancelIrp(Irp[2])); /* before it comes into the queue: noticed there */
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[2]), STATUS_PENDING);
    EXPECT_EQUAL(Back[2], 1);
    EXPECT_STATUS(Irp[2]->IoStatus.Status, STATUS_CANCELLED);
    EXPECT_EQUAL(Queue.Cancelled, 2);
    EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue.Csq, NULL) == NULL);
    for (Index = 0; Index < REQUESTS; Index++)
        IoFreeIrp(Irp[Index]);
    IoDeleteDevice(DeviceObject);
}

/* The driver's peek routine, with its context, says which IRP is next. */
static VOID CsqPeekContext(VOID)
{
    ULONG Back = 0;
    PDEVICE_OBJECT DeviceObject;
    PIRP Irp[REQUESTS];
    QUEUE Queue;
    ULONG Index;

    DeviceObject = QueueDevice(&Queue, FALSE);
    REQUIRE(DeviceObject != NULL);
    for (Index = 0; Index < REQUESTS; Index++) {
        Irp[Index] = Request(&Back);
        IoGetNextIrpStackLocation(Irp[Index])->Parameters.Others.Argument1 = (PVOID)(ULONG_PTR)(Index + 1);
        EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[Index]), STATUS_PENDING);
    }
    EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue.Csq, (PVOID)(ULONG_PTR)2) == Irp[1]);
    EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue.Csq, (PVOID)(ULONG_PTR)2) == NULL);
    EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue.Csq, NULL) == Irp[0]); /* the oldest, as the queue is kept */
    EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue.Csq, NULL) == Irp[2]);
    for (Index = 0; Index < REQUESTS; Index++) {
        (VOID) TestComplete(Irp[Index], STATUS_SUCCESS, 0);
        IoFreeIrp(Irp[Index]);
    }
    EXPECT_EQUAL(Back, REQUESTS);
    IoDeleteDevice(DeviceObject);
}

/* A certain IRP, by the context that it was inserted with; NULL if it has been cancelled. */
static VOID CsqRemovedByContext(VOID)
{
    IO_CSQ_IRP_CONTEXT Context[2];
    ULONG Back = 0;
    PDEVICE_OBJECT DeviceObject;
    PIRP Irp[2];
    QUEUE Queue;
    ULONG Index;

    DeviceObject = QueueDevice(&Queue, FALSE);
    REQUIRE(DeviceObject != NULL);
    for (Index = 0; Index < 2; Index++) {
        Irp[Index] = Request(&Back);
        Queue.Context = &Context[Index];
        EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[Index]), STATUS_PENDING);
    }
    EXPECT_TRUE(IoCsqRemoveIrp(&Queue.Csq, &Context[1]) == Irp[1]);
    EXPECT_TRUE(IoCsqRemoveIrp(&Queue.Csq, &Context[1]) == NULL);
    (VOID) TestComplete(Irp[1], STATUS_SUCCESS, 0);
    EXPECT_TRUE(IoCancelIrp(Irp[0]));
    EXPECT_TRUE(IoCsqRemoveIrp(&Queue.Csq, &Context[0]) == NULL);
    EXPECT_EQUAL(Back, 2);
    for (Index = 0; Index < 2; Index++)
        IoFreeIrp(Irp[Index]);
    IoDeleteDevice(DeviceObject);
}

/* The insert routine may refuse: its status is returned, and the IRP is neither marked nor cancelable. */
static VOID CsqExRefusesInsertion(VOID)
{
    ULONG Back = 0;
    PDEVICE_OBJECT DeviceObject;
    QUEUE Queue;
    PIRP Irp;

    DeviceObject = QueueDevice(&Queue, TRUE);
    REQUIRE(DeviceObject != NULL);
    Queue.InsertAnswer = STATUS_DEVICE_BUSY;
    Irp = Request(&Back);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_DEVICE_BUSY);
    EXPECT_EQUAL(Queue.InsertContext, 0x77);
    EXPECT_EQUAL(Back, 1);
    EXPECT_FALSE(Irp->PendingReturned);
    EXPECT_TRUE(Irp->CancelRoutine == NULL);
    IoReuseIrp(Irp, STATUS_NOT_SUPPORTED);

    Queue.InsertAnswer = STATUS_SUCCESS;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, TakeBack, &Back, TRUE, TRUE, TRUE);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_PENDING);
    EXPECT_TRUE(IoCancelIrp(Irp));
    EXPECT_EQUAL(Back, 2);
    IoFreeIrp(Irp);
    IoDeleteDevice(DeviceObject);
}

/* All of them at DISPATCH_LEVEL. */
static VOID CsqAtDispatchLevel(VOID)
{
    IO_CSQ_IRP_CONTEXT Context;
    ULONG Back = 0;
    PDEVICE_OBJECT DeviceObject[2];
    QUEUE Queue[2];
    ULONG Index;
    KIRQL Irql;
    PIRP Irp;

    for (Index = 0; Index < 2; Index++) {
        DeviceObject[Index] = QueueDevice(&Queue[Index], Index == 1);
        REQUIRE(DeviceObject[Index] != NULL);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    CHECK(IoCsqInitialize(&Queue[0].Csq, CsqInsert, CsqRemove, CsqPeek, CsqAcquire, CsqRelease, CsqComplete) ==
          STATUS_SUCCESS);
    CHECK(IoCsqInitializeEx(&Queue[1].Csq, CsqInsertEx, CsqRemove, CsqPeek, CsqAcquire, CsqRelease, CsqComplete) ==
          STATUS_SUCCESS);
    for (Index = 0; Index < 2; Index++) {
        Irp = Request(&Back);
        EXPECT_STATUS(IoCallDriver(DeviceObject[Index], Irp), STATUS_PENDING);
        EXPECT_TRUE(IoCsqRemoveNextIrp(&Queue[Index].Csq, NULL) == Irp);
        (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
        IoFreeIrp(Irp);
        Irp = Request(&Back);
        Queue[Index].Context = &Context;
        EXPECT_STATUS(IoCallDriver(DeviceObject[Index], Irp), STATUS_PENDING);
        EXPECT_TRUE(IoCsqRemoveIrp(&Queue[Index].Csq, &Context) == Irp);
        (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
        IoFreeIrp(Irp);
    }
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Back, 4);
    for (Index = 0; Index < 2; Index++)
        IoDeleteDevice(DeviceObject[Index]);
}

/* One thread cancels while another takes out: each IRP ends once, whoever was first. */
typedef struct _RACE {
    QUEUE *Queue;
    ULONG Removed;
} RACE;

static VOID NTAPI RemoveAll(PVOID Context)
{
    RACE *Race = Context;
    PIRP Irp;

    while ((Irp = IoCsqRemoveNextIrp(&Race->Queue->Csq, NULL)) != NULL) {
        Race->Removed++;
        (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID CsqCancelRacesRemoval(VOID)
{
    ULONG Back[16] = {0};
    PDEVICE_OBJECT DeviceObject;
    PIRP Irp[16];
    PVOID Thread;
    QUEUE Queue;
    RACE Race;
    ULONG Index;

    DeviceObject = QueueDevice(&Queue, FALSE);
    REQUIRE(DeviceObject != NULL);
    for (Index = 0; Index < ARRAYSIZE(Irp); Index++) {
        Irp[Index] = Request(&Back[Index]);
        CHECK(IoCallDriver(DeviceObject, Irp[Index]) == STATUS_PENDING);
    }
    Race.Queue = &Queue;
    Race.Removed = 0;
    Thread = TestStart(RemoveAll, &Race);
    for (Index = ARRAYSIZE(Irp); Index-- > 0;)
        (VOID) IoCancelIrp(Irp[Index]);
    TestJoin(Thread);
    EXPECT_EQUAL(Race.Removed + Queue.Cancelled, ARRAYSIZE(Irp));
    for (Index = 0; Index < ARRAYSIZE(Irp); Index++) {
        CHECK(Back[Index] == 1);
        IoFreeIrp(Irp[Index]);
    }
    IoDeleteDevice(DeviceObject);
}

TEST_TABLE(io_cancel){
    TEST(CancelCallsTheRoutine, 0),
    TEST(CancelWithoutARoutine, 0),
    TEST(CancelRoutineSet, 0),
    TEST_VIOLATION(CompletedWithACancelRoutine, "irp-complete-cancelable", 0),
    TEST(CancelSpinLockExcludes, TEST_SCHEDULES),
    TEST(CsqCancelledAndRemoved, 0),
    TEST(CsqPeekContext, 0),
    TEST(CsqRemovedByContext, 0),
    TEST(CsqExRefusesInsertion, 0),
    TEST(CsqAtDispatchLevel, 0),
    TEST(CsqCancelRacesRemoval, TEST_SCHEDULES),
    TEST_END,
};
