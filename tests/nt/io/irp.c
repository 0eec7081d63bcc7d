/*
 * IRPs on their way down and up: IoAllocateIrp, IoInitializeIrp, IoReuseIrp, the stack locations, IoCallDriver,
 * IoCompleteRequest, IoSetCompletionRoutine(Ex), IoMarkIrpPending, IoForwardIrpSynchronously; "Completing IRPs",
 * "Implementing an IoCompletion Routine", "Rules for WDM Drivers".
 */
#include "nttest.h"

#define DEPTH 3

/* What the bottom of the stack does with a request. */
typedef enum _BOTTOM {
    COMPLETES,
    PENDS,
    PENDS_UNMARKED,
    MARKS_AND_COMPLETES,
    ANSWERS_FALSELY,
    RAISES,
    COMPLETES_TWICE,
    COMPLETES_PENDING
} BOTTOM;

/* A stack of DEPTH device objects; number 0 is the bottom. */
typedef struct _LAYER {
    struct _TOWER *Tower;
    PDEVICE_OBJECT Lower; /* NULL: the bottom */
    UCHAR Number;
} LAYER;

typedef struct _TOWER {
    PDEVICE_OBJECT Device[DEPTH];
    BOTTOM Bottom;
    NTSTATUS Status; /* the bottom's */
    PIRP Waiting;    /* of PENDS */
    KEVENT Given;
    BOOLEAN Skips;              /* the layers above pass on without a location of their own */
    BOOLEAN Unrouted;           /* the layers above copy the location and set no completion routine */
    NTSTATUS Answer[DEPTH + 1]; /* of the completion routine of a layer; DEPTH: of the sender */
    /* what was seen */
    UCHAR Down[DEPTH];
    UCHAR Up[DEPTH + 1];
    UCHAR Downs;
    UCHAR Ups;
    BOOLEAN PendingReturned[DEPTH + 1];
    PDEVICE_OBJECT Owner[DEPTH + 1];
    KIRQL Irql;
    PIRP Seen;
    ULONG_PTR Parameter;
} TOWER;

static DRIVER_DISPATCH TowerDispatch;
static IO_COMPLETION_ROUTINE LayerCompleted;
static IO_COMPLETION_ROUTINE SenderCompleted;

static NTSTATUS NTAPI LayerCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    LAYER *Layer = Context;
    TOWER *Tower = Layer->Tower;

    Tower->Up[Tower->Ups++] = Layer->Number;
    Tower->PendingReturned[Layer->Number] = Irp->PendingReturned;
    Tower->Owner[Layer->Number] = DeviceObject;
    if (Tower->Answer[Layer->Number] != STATUS_MORE_PROCESSING_REQUIRED && Irp->PendingReturned)
        IoMarkIrpPending(Irp);
    return Tower->Answer[Layer->Number];
}

static NTSTATUS NTAPI SenderCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    TOWER *Tower = Context;

    Tower->Up[Tower->Ups++] = DEPTH;
    Tower->PendingReturned[DEPTH] = Irp->PendingReturned;
    Tower->Owner[DEPTH] = DeviceObject;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS AtBottom(TOWER *Tower, PIRP Irp)
{
    KIRQL Irql;

    switch (Tower->Bottom) {
    case PENDS:
        IoMarkIrpPending(Irp);
        Tower->Waiting = Irp;
        (VOID) KeSetEvent(&Tower->Given, IO_NO_INCREMENT, FALSE);
        return STATUS_PENDING;
    case PENDS_UNMARKED:
        (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
        return STATUS_PENDING;
    case MARKS_AND_COMPLETES:
        IoMarkIrpPending(Irp);
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    case ANSWERS_FALSELY:
        (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
        return STATUS_UNSUCCESSFUL;
    case RAISES:
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    case COMPLETES_TWICE:
        (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    case COMPLETES_PENDING:
        return TestComplete(Irp, STATUS_PENDING, 0);
    default:
        return TestComplete(Irp, Tower->Status, 0);
    }
}

static NTSTATUS NTAPI TowerDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LAYER *Layer = TestExtension(DeviceObject);
    TOWER *Tower = Layer->Tower;
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    Tower->Down[Tower->Downs++] = Layer->Number;
    Tower->Irql = KeGetCurrentIrql();
    Tower->Seen = Irp;
    Tower->Parameter = (ULONG_PTR)Stack->Parameters.Others.Argument1;
    CHECK(Stack->DeviceObject == DeviceObject);
    CHECK(Stack->MajorFunction == IRP_MJ_INTERNAL_DEVICE_CONTROL);
    if (Layer->Lower == NULL)
        return AtBottom(Tower, Irp);
    if (Tower->Skips) {
        IoSkipCurrentIrpStackLocation(Irp);
        return IoCallDriver(Layer->Lower, Irp);
    }
    IoCopyCurrentIrpStackLocationToNext(Irp);
    if (!Tower->Unrouted)
        IoSetCompletionRoutine(Irp, LayerCompleted, Layer, TRUE, TRUE, TRUE);
    return IoCallDriver(Layer->Lower, Irp);
}

static BOOLEAN Build(TOWER *Tower, BOTTOM Bottom)
{
    UCHAR Index;

    RtlZeroMemory(Tower, sizeof(*Tower));
    Tower->Bottom = Bottom;
    KeInitializeEvent(&Tower->Given, SynchronizationEvent, FALSE);
    for (Index = 0; Index < DEPTH; Index++) {
        LAYER *Layer;

        Tower->Device[Index] = TestCreateDevice(NULL, sizeof(LAYER), TowerDispatch);
        if (Tower->Device[Index] == NULL)
            return FALSE;
        Layer = TestExtension(Tower->Device[Index]);
        Layer->Tower = Tower;
        Layer->Number = Index;
        if (Index > 0)
            Layer->Lower = IoAttachDeviceToDeviceStack(Tower->Device[Index], Tower->Device[0]);
    }
    return TRUE;
}

static VOID Demolish(TOWER *Tower)
{
    UCHAR Index;

    for (Index = DEPTH; Index-- > 0;) {
        if (Index > 0)
            IoDetachDevice(Tower->Device[Index - 1]);
        IoDeleteDevice(Tower->Device[Index]);
    }
}

static PIRP Request(TOWER *Tower)
{
    PIRP Irp = IoAllocateIrp(Tower->Device[DEPTH - 1]->StackSize, FALSE);

    CHECK(Irp != NULL);
    if (Irp == NULL)
        return NULL;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoGetNextIrpStackLocation(Irp)->Parameters.Others.Argument1 = (PVOID)(ULONG_PTR)0x1234;
    IoSetCompletionRoutine(Irp, SenderCompleted, Tower, TRUE, TRUE, TRUE);
    return Irp;
}

static NTSTATUS SendToTop(TOWER *Tower, PIRP Irp)
{
    return IoCallDriver(Tower->Device[DEPTH - 1], Irp);
}

/* ---- allocation ---- */

static VOID IrpAllocated(VOID)
{
    PIRP Irp = IoAllocateIrp(DEPTH, FALSE);

    REQUIRE(Irp != NULL);
    EXPECT_EQUAL(Irp->Type, IO_TYPE_IRP);
    EXPECT_EQUAL(Irp->StackCount, DEPTH);
    EXPECT_TRUE(Irp->MdlAddress == NULL);
    EXPECT_TRUE(Irp->AssociatedIrp.SystemBuffer == NULL);
    EXPECT_FALSE(Irp->Cancel);
    EXPECT_TRUE(Irp->CancelRoutine == NULL);
    EXPECT_EQUAL(IoGetNextIrpStackLocation(Irp)->Control, 0);
    EXPECT_TRUE(Irp->Size >= IoSizeOfIrp(DEPTH)); /* the pages promise room for so many locations */
    EXPECT_EQUAL(IoSizeOfIrp(DEPTH) - IoSizeOfIrp(DEPTH - 1), sizeof(IO_STACK_LOCATION));
    EXPECT_EQUAL(IoSizeOfIrp(0), sizeof(IRP));
    IoFreeIrp(Irp);
    Irp = IoAllocateIrp(DEPTH, TRUE);
    REQUIRE(Irp != NULL);
    EXPECT_EQUAL(Irp->StackCount, DEPTH);
    IoFreeIrp(Irp);
}

typedef PIRP(NTAPI *ALLOCATE_IRP_EX)(PDEVICE_OBJECT, CCHAR, BOOLEAN);

static ALLOCATE_IRP_EX AllocateIrpEx(VOID)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, L"IoAllocateIrpEx");
    return (ALLOCATE_IRP_EX)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
}

static VOID IrpAllocatedForADevice(VOID)
{
    ALLOCATE_IRP_EX Allocate = AllocateIrpEx();
    TOWER Tower;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(Allocate != NULL);
    REQUIRE(Build(&Tower, COMPLETES));
    Irp = Allocate(Tower.Device[DEPTH - 1], Tower.Device[DEPTH - 1]->StackSize, FALSE);
    REQUIRE(Irp != NULL);
    EXPECT_EQUAL(Irp->StackCount, DEPTH);
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS);
    EXPECT_EQUAL(Tower.Downs, DEPTH);
    IoFreeIrp(Irp);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Irp = Allocate(NULL, 1, FALSE); /* the device is optional */
    EXPECT_TRUE(Irp != NULL);
    if (Irp != NULL)
        IoFreeIrp(Irp);
    Irp = Allocate(NULL, 1, TRUE); /* charged to the process, which is the system's */
    EXPECT_TRUE(Irp != NULL);
    if (Irp != NULL)
        IoFreeIrp(Irp);
    KeLowerIrql(Irql);
    Demolish(&Tower);
}

/* The driver's own memory, of IoSizeOfIrp bytes; the driver frees it. */
static VOID IrpInOwnMemory(VOID)
{
    USHORT Size = IoSizeOfIrp(DEPTH);
    TOWER Tower;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    Irp = TestAllocate(Size);
    REQUIRE(Irp != NULL);
    RtlFillMemory(Irp, Size, 0xA5);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoInitializeIrp(Irp, Size, DEPTH);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Irp->Type, IO_TYPE_IRP);
    EXPECT_EQUAL(Irp->Size, Size);
    EXPECT_EQUAL(Irp->StackCount, DEPTH);
    EXPECT_TRUE(Irp->MdlAddress == NULL);
    EXPECT_FALSE(Irp->Cancel);
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS);
    EXPECT_EQUAL(Tower.Ups, DEPTH);
    EXPECT_EQUAL(Tower.Up[DEPTH - 1], DEPTH);
    TestFree(Irp);
    Demolish(&Tower);
}

/* "The IoInitializeIrp routine should not be used on IRPs allocated by IoAllocateIrp." */
static VOID IrpOfIoAllocateIrpInitialized(VOID)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    IoInitializeIrp(Irp, IoSizeOfIrp(1), 1);
}

/* A driver's IRP goes down again and again; IoReuseIrp sets the status it is given. */
static VOID IrpReused(VOID)
{
    TOWER Tower;
    KIRQL Irql;
    ULONG Round;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    Irp = Request(&Tower);
    REQUIRE(Irp != NULL);
    for (Round = 0; Round < 3; Round++) {
        Tower.Downs = Tower.Ups = 0;
        EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS);
        EXPECT_EQUAL(Tower.Ups, DEPTH);
        (VOID) IoCancelIrp(Irp);
        EXPECT_TRUE(Irp->Cancel);
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
        IoReuseIrp(Irp, STATUS_NOT_SUPPORTED);
        KeLowerIrql(Irql);
        EXPECT_STATUS(Irp->IoStatus.Status, STATUS_NOT_SUPPORTED);
        EXPECT_FALSE(Irp->Cancel);
        EXPECT_EQUAL(Irp->StackCount, DEPTH);
        IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
        IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    }
    IoFreeIrp(Irp);
    Demolish(&Tower);
}

static VOID IrpReusedInFlight(VOID)
{
    TOWER Tower;
    PIRP Irp;

    REQUIRE(Build(&Tower, PENDS));
    Irp = Request(&Tower);
    REQUIRE(SendToTop(&Tower, Irp) == STATUS_PENDING);
    IoReuseIrp(Irp, STATUS_SUCCESS);
}

static VOID IrpFreedInFlight(VOID)
{
    TOWER Tower;
    PIRP Irp;

    REQUIRE(Build(&Tower, PENDS));
    Irp = Request(&Tower);
    REQUIRE(SendToTop(&Tower, Irp) == STATUS_PENDING);
    IoFreeIrp(Irp);
}

/* ---- stack locations ---- */

static VOID IrpLocations(VOID)
{
    PIRP Irp = IoAllocateIrp(DEPTH, FALSE);
    PIO_STACK_LOCATION First;
    PIO_STACK_LOCATION Next;

    REQUIRE(Irp != NULL);
    First = IoGetNextIrpStackLocation(Irp);
    IoSetNextIrpStackLocation(Irp);
    EXPECT_TRUE(IoGetCurrentIrpStackLocation(Irp) == First);
    Next = IoGetNextIrpStackLocation(Irp);
    EXPECT_TRUE(Next == First - 1);

    /* A copy takes the parameters, not the completion routine. */
    First->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    First->MinorFunction = 0x5A;
    First->Parameters.Others.Argument4 = First;
    First->Control = SL_INVOKE_ON_SUCCESS | SL_PENDING_RETURNED;
    First->Context = First;
    Next->Control = 0xFF;
    Next->Context = NULL;
    IoCopyCurrentIrpStackLocationToNext(Irp);
    EXPECT_EQUAL(Next->MajorFunction, IRP_MJ_INTERNAL_DEVICE_CONTROL);
    EXPECT_EQUAL(Next->MinorFunction, 0x5A);
    EXPECT_TRUE(Next->Parameters.Others.Argument4 == First);
    EXPECT_EQUAL(Next->Control, 0);
    EXPECT_TRUE(Next->Context == NULL);

    /* Skipped: the next driver gets the location that this one had. */
    IoSkipCurrentIrpStackLocation(Irp);
    EXPECT_TRUE(IoGetNextIrpStackLocation(Irp) == First);

    /* The flag only, until the location is passed. */
    IoSetNextIrpStackLocation(Irp);
    First->Control = 0;
    IoMarkIrpPending(Irp);
    EXPECT_EQUAL(First->Control, SL_PENDING_RETURNED);

    /* The completion routine goes into the next location, with the flags that say when. */
    IoSetCompletionRoutine(Irp, SenderCompleted, Irp, FALSE, TRUE, FALSE);
    EXPECT_TRUE(Next->CompletionRoutine == SenderCompleted);
    EXPECT_TRUE(Next->Context == Irp);
    EXPECT_EQUAL(Next->Control, SL_INVOKE_ON_ERROR);
    IoSetCompletionRoutine(Irp, SenderCompleted, Irp, TRUE, FALSE, TRUE);
    EXPECT_EQUAL(Next->Control, SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_CANCEL);
    IoSkipCurrentIrpStackLocation(Irp);
    IoFreeIrp(Irp);
}

/* Macros over memory: their pages allow any level. */
static VOID IrpLocationsAtHighLevel(VOID)
{
    PIRP Irp = IoAllocateIrp(DEPTH, FALSE);
    PIO_STACK_LOCATION Next;
    KIRQL Irql;

    REQUIRE(Irp != NULL);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Next = IoGetNextIrpStackLocation(Irp);
    IoSetNextIrpStackLocation(Irp);
    EXPECT_TRUE(IoGetCurrentIrpStackLocation(Irp) == Next);
    IoMarkIrpPending(Irp);
    EXPECT_EQUAL(Next->Control, SL_PENDING_RETURNED);
    IoSkipCurrentIrpStackLocation(Irp);
    EXPECT_TRUE(IoGetNextIrpStackLocation(Irp) == Next);
    EXPECT_TRUE(Irp->Size >= IoSizeOfIrp(DEPTH));
    KeLowerIrql(Irql);
    IoFreeIrp(Irp);
}

/* Each driver sees the parameters; a skipping one leaves its location, and its place in the way up, to the next. */
static VOID IrpThroughAStack(VOID)
{
    TOWER Tower;
    UCHAR Index;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    EXPECT_EQUAL(Tower.Device[DEPTH - 1]->StackSize, DEPTH);
    Irp = Request(&Tower);
    REQUIRE(Irp != NULL);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS);
    EXPECT_TRUE(Tower.Seen == Irp);
    EXPECT_EQUAL(Tower.Irql, PASSIVE_LEVEL);
    EXPECT_EQUAL(Tower.Parameter, 0x1234);
    EXPECT_EQUAL(Tower.Downs, DEPTH);
    EXPECT_EQUAL(Tower.Ups, DEPTH);
    for (Index = 0; Index < DEPTH; Index++) {
        EXPECT_EQUAL(Tower.Down[Index], DEPTH - 1 - Index); /* top first */
        EXPECT_EQUAL(Tower.Up[Index], Index + 1);           /* the lowest driver that set one first */
    }
    /* A completion routine is given the device object of its own driver; a sender without a location, NULL. */
    EXPECT_TRUE(Tower.Owner[1] == Tower.Device[1]);
    EXPECT_TRUE(Tower.Owner[2] == Tower.Device[2]);
    EXPECT_TRUE(Tower.Owner[DEPTH] == NULL);
    EXPECT_FALSE(Tower.PendingReturned[1] || Tower.PendingReturned[2] || Tower.PendingReturned[DEPTH]);
    IoReuseIrp(Irp, STATUS_NOT_SUPPORTED);

    Tower.Downs = Tower.Ups = 0;
    Tower.Parameter = 0;
    Tower.Skips = TRUE;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoGetNextIrpStackLocation(Irp)->Parameters.Others.Argument1 = (PVOID)(ULONG_PTR)0x4321;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS);
    EXPECT_EQUAL(Tower.Downs, DEPTH);
    EXPECT_EQUAL(Tower.Parameter, 0x4321);
    EXPECT_EQUAL(Tower.Ups, 1); /* the sender's routine, in the one location that all shared */
    EXPECT_EQUAL(Tower.Up[0], DEPTH);
    IoFreeIrp(Irp);
    Demolish(&Tower);
}

static VOID IrpAtDispatchLevel(VOID)
{
    TOWER Tower;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Irp = Request(&Tower);
    if (Irp != NULL) {
        EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS); /* IoCallDriver and IoCompleteRequest in it */
        EXPECT_EQUAL(Tower.Irql, DISPATCH_LEVEL);
        EXPECT_EQUAL(Tower.Ups, DEPTH);
        IoFreeIrp(Irp);
    }
    KeLowerIrql(Irql);
    Demolish(&Tower);
}

/* PoCallDriver, which Windows Vista made an IoCallDriver, passes any request. */
static VOID IrpByPoCallDriver(VOID)
{
    TOWER Tower;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    Tower.Status = STATUS_DEVICE_BUSY;
    Irp = Request(&Tower);
    REQUIRE(Irp != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_STATUS(PoCallDriver(Tower.Device[DEPTH - 1], Irp), STATUS_DEVICE_BUSY);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Tower.Downs, DEPTH);
    EXPECT_STATUS(Irp->IoStatus.Status, STATUS_DEVICE_BUSY);
    IoFreeIrp(Irp);
    Demolish(&Tower);
}

/* No location is left: "a bug check occurs". */
static VOID IrpWithoutALocation(VOID)
{
    TOWER Tower;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    Irp = IoAllocateIrp(1, FALSE);
    REQUIRE(Irp != NULL);
    IoSetNextIrpStackLocation(Irp); /* the sender's own, which leaves none for the driver */
    (VOID) IoCallDriver(Tower.Device[0], Irp);
}

/* ---- completion ---- */

static const struct {
    NTSTATUS Status;
    BOOLEAN Cancelled; /* IoCancelIrp has been called for it */
    BOOLEAN OnSuccess, OnError, OnCancel;
    BOOLEAN Called;
} CompletionTable[] = {
    {STATUS_SUCCESS, FALSE, TRUE, FALSE, FALSE, TRUE},
    {STATUS_SUCCESS, FALSE, FALSE, TRUE, TRUE, FALSE},
    {STATUS_SUCCESS, TRUE, FALSE, FALSE, TRUE, TRUE},
    {STATUS_SUCCESS, TRUE, FALSE, TRUE, FALSE, FALSE},
    {STATUS_DEVICE_BUSY, FALSE, FALSE, TRUE, FALSE, TRUE},
    {STATUS_DEVICE_BUSY, FALSE, TRUE, FALSE, TRUE, FALSE},
    {STATUS_CANCELLED, TRUE, FALSE, FALSE, TRUE, TRUE},
    {STATUS_CANCELLED, TRUE, TRUE, FALSE, FALSE, FALSE},
    {STATUS_CANCELLED, FALSE, FALSE, TRUE, FALSE, TRUE},
    {STATUS_BUFFER_OVERFLOW, FALSE, FALSE, TRUE, FALSE, TRUE},
    {STATUS_SOME_NOT_MAPPED, FALSE, TRUE, FALSE, FALSE, TRUE},
};

typedef struct _FLAGGED {
    TOWER *Tower;
    ULONG Row;
    BOOLEAN Extended; /* IoSetCompletionRoutineEx */
} FLAGGED;

/* Passes on with a completion routine under the row's flags. */
static NTSTATUS NTAPI FlaggedDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    FLAGGED *Flagged = *(FLAGGED **)TestExtension(DeviceObject);
    LAYER *Layer = TestExtension(Flagged->Tower->Device[DEPTH - 1]);
    ULONG Row = Flagged->Row;

    IoCopyCurrentIrpStackLocationToNext(Irp);
    if (Flagged->Extended)
        CHECK(IoSetCompletionRoutineEx(DeviceObject, Irp, LayerCompleted, Layer, CompletionTable[Row].OnSuccess,
                                       CompletionTable[Row].OnError, CompletionTable[Row].OnCancel) == STATUS_SUCCESS);
    else
        IoSetCompletionRoutine(Irp, LayerCompleted, Layer, CompletionTable[Row].OnSuccess, CompletionTable[Row].OnError,
                               CompletionTable[Row].OnCancel);
    return IoCallDriver(Flagged->Tower->Device[0], Irp);
}

static VOID CompletionFlags(BOOLEAN Extended)
{
    TOWER Tower;
    FLAGGED Flagged;
    PDEVICE_OBJECT Sender;
    ULONG Row;

    REQUIRE(Build(&Tower, COMPLETES));
    Sender = TestCreateDevice(NULL, sizeof(FLAGGED *), FlaggedDispatch);
    REQUIRE(Sender != NULL);
    *(FLAGGED **)TestExtension(Sender) = &Flagged;
    Flagged.Tower = &Tower;
    Flagged.Extended = Extended;
    for (Row = 0; Row < ARRAYSIZE(CompletionTable); Row++) {
        PIRP Irp = IoAllocateIrp(2, FALSE);

        REQUIRE(Irp != NULL);
        Flagged.Row = Row;
        Tower.Status = CompletionTable[Row].Status;
        Tower.Ups = Tower.Downs = 0;
        IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
        IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
        if (CompletionTable[Row].Cancelled)
            CHECK(!IoCancelIrp(Irp));
        CHECK(IoCallDriver(Sender, Irp) == CompletionTable[Row].Status);
        EXPECT_EQUAL(Tower.Ups, CompletionTable[Row].Called ? 2 : 1);
        CHECK(Irp->IoStatus.Status == CompletionTable[Row].Status);
        IoFreeIrp(Irp);
    }
    IoDeleteDevice(Sender);
    Demolish(&Tower);
}

static VOID CompletionRoutineFlags(VOID)
{
    CompletionFlags(FALSE);
}

static VOID CompletionRoutineExFlags(VOID)
{
    CompletionFlags(TRUE);
}

/* IoSetCompletionRoutineEx at DISPATCH_LEVEL, and a routine that takes the IRP back. */
static VOID CompletionRoutineExTakesBack(VOID)
{
    TOWER Tower;
    NTSTATUS Set;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    Irp = Request(&Tower);
    REQUIRE(Irp != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Set = IoSetCompletionRoutineEx(Tower.Device[DEPTH - 1], Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Set, STATUS_SUCCESS);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_SUCCESS);
    EXPECT_EQUAL(Tower.Up[Tower.Ups - 1], DEPTH);
    IoFreeIrp(Irp);
    Demolish(&Tower);
}

/* STATUS_MORE_PROCESSING_REQUIRED stops the way up; the driver completes the IRP again when it has finished with it. */
static VOID CompletionStoppedAndResumed(VOID)
{
    TOWER Tower;
    PIRP Irp;

    REQUIRE(Build(&Tower, PENDS));
    Irp = Request(&Tower);
    REQUIRE(Irp != NULL);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_PENDING);
    EXPECT_EQUAL(Tower.Ups, 0);
    Tower.Answer[1] = STATUS_MORE_PROCESSING_REQUIRED;
    (VOID) TestComplete(Tower.Waiting, STATUS_DEVICE_BUSY, 7);
    EXPECT_EQUAL(Tower.Ups, 1);
    EXPECT_EQUAL(Tower.Up[0], 1);
    EXPECT_STATUS(Irp->IoStatus.Status, STATUS_DEVICE_BUSY);
    IoMarkIrpPending(Irp); /* the layer's dispatch routine returned STATUS_PENDING */
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    EXPECT_EQUAL(Tower.Ups, DEPTH);
    EXPECT_EQUAL(Tower.Up[1], 2);
    EXPECT_EQUAL(Tower.Up[2], DEPTH);
    EXPECT_STATUS(Irp->IoStatus.Status, STATUS_SUCCESS);
    EXPECT_EQUAL(Irp->IoStatus.Information, 7);
    IoFreeIrp(Irp);
    Demolish(&Tower);
}

/* Irp->PendingReturned says that the next lower driver has marked the IRP. */
static VOID CompletionPendingReturned(VOID)
{
    TOWER Tower;
    PIRP Irp;

    REQUIRE(Build(&Tower, PENDS));
    Irp = Request(&Tower);
    REQUIRE(Irp != NULL);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_PENDING);
    (VOID) TestComplete(Tower.Waiting, STATUS_SUCCESS, 0);
    EXPECT_TRUE(Tower.PendingReturned[1]);
    EXPECT_TRUE(Tower.PendingReturned[2]); /* each routine marked its own location */
    EXPECT_TRUE(Tower.PendingReturned[DEPTH]);
    IoReuseIrp(Irp, STATUS_NOT_SUPPORTED);

    /* Without completion routines in between, the mark goes up by itself. */
    Tower.Unrouted = TRUE;
    Tower.Ups = Tower.Downs = 0;
    Tower.PendingReturned[DEPTH] = FALSE;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    EXPECT_STATUS(SendToTop(&Tower, Irp), STATUS_PENDING);
    (VOID) TestComplete(Tower.Waiting, STATUS_SUCCESS, 0);
    EXPECT_EQUAL(Tower.Ups, 1);
    EXPECT_TRUE(Tower.PendingReturned[DEPTH]);
    IoFreeIrp(Irp);
    Demolish(&Tower);
}

static NTSTATUS NTAPI ForwardDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    TOWER *Tower = *(TOWER **)TestExtension(DeviceObject);
    NTSTATUS Status;

    if (!IoForwardIrpSynchronously(Tower->Device[0], Irp))
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    Status = Irp->IoStatus.Status; /* the driver has it back */
    return TestComplete(Irp, Status == STATUS_SUCCESS ? STATUS_ALERTED : Status, 3);
}

static VOID NTAPI CompleteWaiting(PVOID Context)
{
    TOWER *Tower = Context;

    (VOID) KeWaitForSingleObject(&Tower->Given, Executive, KernelMode, FALSE, NULL);
    SleepMilliseconds(20);
    (VOID) TestComplete(Tower->Waiting, STATUS_SUCCESS, 0);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Returns when the lower drivers have finished, whether at once or later; FALSE without a location for them. */
static VOID ForwardSynchronously(VOID)
{
    PDEVICE_OBJECT Sender;
    PVOID Thread;
    TOWER Tower;
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(Build(&Tower, COMPLETES));
    Sender = TestCreateDevice(NULL, sizeof(TOWER *), ForwardDispatch);
    REQUIRE(Sender != NULL);
    *(TOWER **)TestExtension(Sender) = &Tower;

    Irp = IoAllocateIrp(2, FALSE);
    REQUIRE(Irp != NULL);
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    EXPECT_STATUS(IoCallDriver(Sender, Irp), STATUS_ALERTED);
    EXPECT_EQUAL(Tower.Downs, 1);
    IoReuseIrp(Irp, STATUS_NOT_SUPPORTED);

    Tower.Bottom = PENDS;
    Tower.Downs = 0;
    Thread = TestStart(CompleteWaiting, &Tower);
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_STATUS(IoCallDriver(Sender, Irp), STATUS_ALERTED);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Irp->IoStatus.Information, 3);
    TestJoin(Thread);
    IoFreeIrp(Irp);

    Irp = IoAllocateIrp(1, FALSE);
    REQUIRE(Irp != NULL);
    Tower.Downs = 0;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SenderCompleted, &Tower, TRUE, TRUE, TRUE);
    EXPECT_STATUS(IoCallDriver(Sender, Irp), STATUS_INVALID_DEVICE_REQUEST);
    EXPECT_EQUAL(Tower.Downs, 0);
    IoFreeIrp(Irp);
    IoDeleteDevice(Sender);
    Demolish(&Tower);
}

/* ---- what breaks the rules ---- */

static VOID Misbehave(BOTTOM Bottom)
{
    TOWER Tower;

    REQUIRE(Build(&Tower, Bottom));
    (VOID) SendToTop(&Tower, Request(&Tower));
}

static VOID PendingWithoutMark(VOID)
{
    Misbehave(PENDS_UNMARKED);
}

static VOID MarkWithoutPending(VOID)
{
    Misbehave(MARKS_AND_COMPLETES);
}

static VOID ReturnedAnotherStatus(VOID)
{
    Misbehave(ANSWERS_FALSELY);
}

static VOID ReturnedAtAnotherIrql(VOID)
{
    Misbehave(RAISES);
}

static VOID CompletedTwice(VOID)
{
    Misbehave(COMPLETES_TWICE);
}

static VOID CompletedWithPending(VOID)
{
    Misbehave(COMPLETES_PENDING);
}

TEST_TABLE(io_irp){
    TEST(IrpAllocated, 0),
    TEST(IrpAllocatedForADevice, 0),
    TEST(IrpInOwnMemory, 0),
    TEST_VIOLATION(IrpOfIoAllocateIrpInitialized, "irp-initialize", 0),
    TEST(IrpReused, 0),
    TEST_VIOLATION(IrpReusedInFlight, "irp-reuse", 0),
    TEST_VIOLATION(IrpFreedInFlight, "irp-free-in-flight", 0),
    TEST(IrpLocations, 0),
    TEST(IrpLocationsAtHighLevel, 0),
    TEST(IrpThroughAStack, 0),
    TEST(IrpAtDispatchLevel, 0),
    TEST(IrpByPoCallDriver, 0),
    TEST_VIOLATION(IrpWithoutALocation, "irp-stack", 0x35),
    TEST(CompletionRoutineFlags, 0),
    TEST(CompletionRoutineExFlags, 0),
    TEST(CompletionRoutineExTakesBack, 0),
    TEST(CompletionStoppedAndResumed, 0),
    TEST(CompletionPendingReturned, 0),
    TEST(ForwardSynchronously, TEST_SCHEDULES),
    TEST_VIOLATION(PendingWithoutMark, "irp-pending-not-marked", 0),
    TEST_VIOLATION(MarkWithoutPending, "irp-marked-not-pending", 0),
    TEST_VIOLATION(ReturnedAnotherStatus, "irp-status", 0),
    TEST_VIOLATION(ReturnedAtAnotherIrql, "irp-irql-changed", 0),
    TEST_VIOLATION(CompletedTwice, "irp-double-completion", 0x44),
    TEST_VIOLATION(CompletedWithPending, "irp-complete-pending", 0),
    TEST_END,
};
