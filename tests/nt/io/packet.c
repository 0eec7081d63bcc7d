/*
 * What a device object brings along: its queue and StartIo (IoStartPacket, IoStartNextPacket(ByKey)), its DPC
 * (IoInitializeDpcRequest, IoRequestDpc), its timer (IoInitializeTimer, IoStartTimer, IoStopTimer); and entries of the
 * error log.
 */
#include "nttest.h"

#define REQUESTS 3

typedef struct _PORT {
    PIRP Started[REQUESTS];
    ULONG Starts;
    ULONG Cancelled;
    KIRQL Irql;
    PIRP Current;
    ULONG volatile Ticks;
    KIRQL TickIrql;
    PVOID TickContext;
    PIRP DpcIrp;
    PVOID DpcContext;
    KIRQL DpcIrql;
    ULONG Dpcs;
    ULONG Depth; /* of StartIo in StartIo */
    ULONG Deepest;
} PORT;

static DRIVER_DISPATCH Queue;
static DRIVER_STARTIO StartIo;
static DRIVER_STARTIO StartTheNext;
static DRIVER_DISPATCH QueueUncancellable;
static DRIVER_CANCEL CancelQueued;
static IO_COMPLETION_ROUTINE TakeBack;
static IO_TIMER_ROUTINE Tick;
static IO_DPC_ROUTINE DpcForIsr;

static NTSTATUS NTAPI TakeBack(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    ++*(ULONG *)Context;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static VOID NTAPI CancelQueued(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PORT *Port = TestExtension(DeviceObject);
    BOOLEAN Was = KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);

    CHECK(Was);
    Port->Cancelled++;
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    (VOID) TestComplete(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS NTAPI Queue(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    ULONG Key = (ULONG)(ULONG_PTR)IoGetCurrentIrpStackLocation(Irp)->Parameters.Others.Argument1;

    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, Key != 0 ? &Key : NULL, CancelQueued);
    return STATUS_PENDING;
}

static VOID NTAPI StartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PORT *Port = TestExtension(DeviceObject);
    KIRQL Irql;

    IoAcquireCancelSpinLock(&Irql);
    (VOID) IoSetCancelRoutine(Irp, NULL);
    IoReleaseCancelSpinLock(Irql);
    Port->Irql = KeGetCurrentIrql();
    Port->Current = DeviceObject->CurrentIrp;
    if (Port->Starts < REQUESTS)
        Port->Started[Port->Starts] = Irp;
    Port->Starts++;
}

static PIRP Request(ULONG Key, ULONG *Back)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);

    CHECK(Irp != NULL);
    if (Irp == NULL)
        return NULL;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoGetNextIrpStackLocation(Irp)->Parameters.Others.Argument1 = (PVOID)(ULONG_PTR)Key;
    IoSetCompletionRoutine(Irp, TakeBack, Back, TRUE, TRUE, TRUE);
    return Irp;
}

/* Completes the one that is being worked on, and starts the next. */
static VOID Finish(PDEVICE_OBJECT DeviceObject, PIRP Irp, BOOLEAN ByKey)
{
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    if (ByKey)
        IoStartNextPacketByKey(DeviceObject, TRUE, 15);
    else
        IoStartNextPacket(DeviceObject, TRUE);
    KeLowerIrql(Irql);
    (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
}

static VOID PacketsStartedInTurn(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, sizeof(PORT), Queue);
    ULONG Back = 0;
    PIRP Irp[REQUESTS];
    ULONG Index;
    KIRQL Irql;
    PORT *Port;

    REQUIRE(DeviceObject != NULL);
    Port = TestExtension(DeviceObject);
    TestDriver()->DriverStartIo = StartIo;
    for (Index = 0; Index < REQUESTS; Index++)
        Irp[Index] = Request(0, &Back);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[0]), STATUS_PENDING);
    EXPECT_EQUAL(Port->Starts, 1); /* nothing is being worked on: at once, at DISPATCH_LEVEL */
    EXPECT_EQUAL(Port->Irql, DISPATCH_LEVEL);
    EXPECT_TRUE(Port->Current == Irp[0]);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    CHECK(IoCallDriver(DeviceObject, Irp[1]) == STATUS_PENDING);
    KeLowerIrql(Irql);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[2]), STATUS_PENDING);
    EXPECT_EQUAL(Port->Starts, 1); /* the others wait */
    Finish(DeviceObject, Irp[0], FALSE);
    EXPECT_EQUAL(Port->Starts, 2);
    EXPECT_TRUE(Port->Started[1] == Irp[1]);
    EXPECT_TRUE(IoCancelIrp(Irp[2])); /* in the queue still */
    EXPECT_EQUAL(Port->Cancelled, 1);
    EXPECT_STATUS(Irp[2]->IoStatus.Status, STATUS_CANCELLED);
    Finish(DeviceObject, Irp[1], FALSE);
    EXPECT_EQUAL(Port->Starts, 2);
    EXPECT_TRUE(DeviceObject->CurrentIrp == NULL);
    EXPECT_EQUAL(Back, REQUESTS);
    TestDriver()->DriverStartIo = NULL;
    for (Index = 0; Index < REQUESTS; Index++)
        IoFreeIrp(Irp[Index]);
    IoDeleteDevice(DeviceObject);
}

/* The queue is in the order of keys; IoStartNextPacketByKey takes the first whose key is as high, or the lowest. */
static VOID PacketsStartedByKey(VOID)
{
    static const ULONG Keys[REQUESTS] = {5, 20, 10};
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, sizeof(PORT), Queue);
    ULONG Back = 0;
    PIRP Irp[REQUESTS];
    ULONG Index;
    KIRQL Irql;
    PORT *Port;

    REQUIRE(DeviceObject != NULL);
    Port = TestExtension(DeviceObject);
    TestDriver()->DriverStartIo = StartIo;
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    IoSetStartIoAttributes(DeviceObject, FALSE, FALSE); /* what is the case without the call */
    KeLowerIrql(Irql);
    for (Index = 0; Index < REQUESTS; Index++) {
        Irp[Index] = Request(Keys[Index], &Back);
        EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[Index]), STATUS_PENDING);
    }
    Finish(DeviceObject, Irp[0], TRUE);
    EXPECT_TRUE(Port->Started[1] == Irp[1]); /* 20 is the first from 15 up */
    Finish(DeviceObject, Irp[1], TRUE);
    EXPECT_TRUE(Port->Started[2] == Irp[2]); /* none is: the lowest */
    Finish(DeviceObject, Irp[2], TRUE);
    EXPECT_EQUAL(Back, REQUESTS);
    TestDriver()->DriverStartIo = NULL;
    for (Index = 0; Index < REQUESTS; Index++)
        IoFreeIrp(Irp[Index]);
    IoDeleteDevice(DeviceObject);
}

static VOID NTAPI StartTheNext(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PORT *Port = TestExtension(DeviceObject);

    if (++Port->Depth > Port->Deepest)
        Port->Deepest = Port->Depth;
    if (Port->Starts < REQUESTS)
        Port->Started[Port->Starts] = Irp;
    if (++Port->Starts > 1 && Port->Starts < REQUESTS)
        IoStartNextPacket(DeviceObject, FALSE);
    Port->Depth--;
}

static NTSTATUS NTAPI QueueUncancellable(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, NULL);
    return STATUS_PENDING;
}

/* IoStartNextPacket in StartIo calls StartIo there and then, or, where it is deferred, once StartIo has returned. */
static VOID StartIoInStartIo(BOOLEAN Deferred, ULONG Deepest)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, sizeof(PORT), QueueUncancellable);
    ULONG Back = 0;
    PIRP Irp[REQUESTS];
    ULONG Index;
    KIRQL Irql;
    PORT *Port;

    REQUIRE(DeviceObject != NULL);
    Port = TestExtension(DeviceObject);
    IoSetStartIoAttributes(DeviceObject, Deferred, FALSE);
    TestDriver()->DriverStartIo = StartTheNext;
    for (Index = 0; Index < REQUESTS; Index++) {
        Irp[Index] = Request(0, &Back);
        EXPECT_STATUS(IoCallDriver(DeviceObject, Irp[Index]), STATUS_PENDING);
    }
    EXPECT_EQUAL(Port->Starts, 1);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoStartNextPacket(DeviceObject, FALSE); /* the second, whose StartIo starts the third */
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Port->Starts, REQUESTS);
    EXPECT_TRUE(Port->Started[1] == Irp[1] && Port->Started[2] == Irp[2]);
    EXPECT_EQUAL(Port->Deepest, Deepest);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoStartNextPacket(DeviceObject, FALSE); /* none is left */
    KeLowerIrql(Irql);
    TestDriver()->DriverStartIo = NULL;
    for (Index = 0; Index < REQUESTS; Index++) {
        (VOID) TestComplete(Irp[Index], STATUS_SUCCESS, 0);
        IoFreeIrp(Irp[Index]);
    }
    EXPECT_EQUAL(Back, REQUESTS);
    IoDeleteDevice(DeviceObject);
}

static VOID PacketsStartedInStartIo(VOID)
{
    StartIoInStartIo(FALSE, 2);
}

static VOID PacketsDeferredInStartIo(VOID)
{
    StartIoInStartIo(TRUE, 1);
}

/* ---- DPC ---- */

static VOID NTAPI DpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    PORT *Port = TestExtension(DeviceObject);

    CHECK(Dpc == &DeviceObject->Dpc);
    Port->DpcIrp = Irp;
    Port->DpcContext = Context;
    Port->DpcIrql = KeGetCurrentIrql();
    Port->Dpcs++;
}

static VOID DpcOfADevice(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, sizeof(PORT), Queue);
    PIRP Irp = IoAllocateIrp(1, FALSE);
    KIRQL Irql;
    PORT *Port;

    REQUIRE(DeviceObject != NULL && Irp != NULL);
    Port = TestExtension(DeviceObject);
    StayOn(0);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    IoInitializeDpcRequest(DeviceObject, DpcForIsr);
    IoRequestDpc(DeviceObject, Irp, Port);
    IoRequestDpc(DeviceObject, NULL, NULL); /* it is queued already: once */
    CHECK(Port->Dpcs == 0);
    KeLowerIrql(Irql);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Port->Dpcs, 1);
    EXPECT_EQUAL(Port->DpcIrql, DISPATCH_LEVEL);
    EXPECT_TRUE(Port->DpcIrp == Irp);
    EXPECT_TRUE(Port->DpcContext == Port);
    MoveFreely();
    IoFreeIrp(Irp);
    IoDeleteDevice(DeviceObject);
}

/* ---- timer ---- */

static VOID NTAPI Tick(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    PORT *Port = TestExtension(DeviceObject);

    Port->TickIrql = KeGetCurrentIrql();
    Port->TickContext = Context;
    Port->Ticks++;
}

/* Once a second, at DISPATCH_LEVEL, while it is enabled. */
static VOID TimerOfADevice(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, sizeof(PORT), Queue);
    KIRQL Irql;
    PORT *Port;
    ULONG Ticks;

    REQUIRE(DeviceObject != NULL);
    Port = TestExtension(DeviceObject);
    EXPECT_STATUS(IoInitializeTimer(DeviceObject, Tick, Port), STATUS_SUCCESS);
    SleepMilliseconds(2500);
    EXPECT_EQUAL(Port->Ticks, 0); /* not before it is started */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoStartTimer(DeviceObject);
    KeLowerIrql(Irql);
    SleepMilliseconds(4500);
    EXPECT_TRUE(Port->Ticks >= 3 && Port->Ticks <= 5);
    EXPECT_EQUAL(Port->TickIrql, DISPATCH_LEVEL);
    EXPECT_TRUE(Port->TickContext == Port);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoStopTimer(DeviceObject);
    KeLowerIrql(Irql);
    SleepMilliseconds(100); /* one that was under way */
    Ticks = Port->Ticks;
    SleepMilliseconds(2500);
    EXPECT_EQUAL(Port->Ticks, Ticks);
    IoDeleteDevice(DeviceObject);
}

/* ---- error log ---- */

static VOID ErrorLogEntry(VOID)
{
    UCHAR Size = (UCHAR)(sizeof(IO_ERROR_LOG_PACKET) + 2 * sizeof(ULONG));
    PIO_ERROR_LOG_PACKET Packet;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Packet = IoAllocateErrorLogEntry(TestDriver(), Size);
    if (Packet != NULL)
        IoFreeErrorLogEntry(Packet); /* one that is not to be written after all */
    Packet = IoAllocateErrorLogEntry(TestDriver(), Size);
    if (Packet != NULL) {
        Packet->ErrorCode = STATUS_UNSUCCESSFUL;
        Packet->DumpDataSize = 3 * sizeof(ULONG);
        IoWriteErrorLogEntry(Packet); /* which frees it */
    }
    KeLowerIrql(Irql);
    EXPECT_TRUE(Packet != NULL);
    EXPECT_TRUE(IoAllocateErrorLogEntry(TestDriver(), 0xFF) == NULL); /* more than ERROR_LOG_MAXIMUM_SIZE */
}

TEST_TABLE(io_packet){
    TEST(PacketsStartedInTurn, 0),
    TEST(PacketsStartedByKey, 0),
    TEST(PacketsStartedInStartIo, 0),
    TEST(PacketsDeferredInStartIo, 0),
    TEST(DpcOfADevice, 0),
    TEST(TimerOfADevice, 0),
    TEST(ErrorLogEntry, 0),
    TEST_END,
};
