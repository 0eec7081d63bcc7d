/*
 * The device of the cases that need one: where the driver was installed for a device, the function device object on it.
 * It passes everything on and does nothing itself but report the bus's children (bus.c); cases build on what lies under
 * it (TestDevice()).
 */
#include "bus.h"

#define START_WAIT_MS 5000

typedef struct _TEST_FDO {
    TEST_EXTENSION Head;
    PDEVICE_OBJECT Self;
    PDEVICE_OBJECT Pdo;
    PDEVICE_OBJECT Lower;
    IO_REMOVE_LOCK RemoveLock;
} TEST_FDO;

/* One device is enough: others are refused. */
static struct {
    TEST_FDO *Fdo;
    KEVENT Started;
} Device;

static DRIVER_ADD_DEVICE AddDevice;
static DRIVER_DISPATCH Dispatch;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT Pdo)
{
    PDEVICE_OBJECT Self;
    TEST_FDO *Fdo;
    NTSTATUS Status;

    if (TestBusOwns(Pdo))
        return TestBusAddDevice(Pdo);
    if (Device.Fdo != NULL)
        return STATUS_NO_SUCH_DEVICE;
    Status = IoCreateDevice(DriverObject, sizeof(TEST_FDO), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &Self);
    if (!NT_SUCCESS(Status))
        return Status;
    Fdo = Self->DeviceExtension;
    Fdo->Head.Dispatch = Dispatch;
    Fdo->Self = Self;
    Fdo->Pdo = Pdo;
    Fdo->Lower = IoAttachDeviceToDeviceStack(Self, Pdo);
    if (Fdo->Lower == NULL) {
        IoDeleteDevice(Self);
        return STATUS_NO_SUCH_DEVICE;
    }
    IoInitializeRemoveLock(&Fdo->RemoveLock, TEST_TAG, 0, 0);
    Self->Flags |= DO_POWER_PAGABLE;
    Self->Flags &= ~DO_DEVICE_INITIALIZING;
    Device.Fdo = Fdo;
    return STATUS_SUCCESS;
}

static NTSTATUS Start(TEST_FDO *Fdo, PIRP Irp)
{
    NTSTATUS Status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(Fdo->Lower, Irp))
        Status = Irp->IoStatus.Status;
    if (NT_SUCCESS(Status))
        (VOID) KeSetEvent(&Device.Started, IO_NO_INCREMENT, FALSE);
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);
    return Complete(Irp, Status);
}

static NTSTATUS Remove(TEST_FDO *Fdo, PIRP Irp)
{
    NTSTATUS Status;

    KeClearEvent(&Device.Started);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Fdo->Lower, Irp);
    IoReleaseRemoveLockAndWait(&Fdo->RemoveLock, Irp);
    IoDetachDevice(Fdo->Lower);
    Device.Fdo = NULL;
    IoDeleteDevice(Fdo->Self);
    return Status;
}

static NTSTATUS NTAPI Dispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    TEST_FDO *Fdo = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = IoAcquireRemoveLock(&Fdo->RemoveLock, Irp);

    if (!NT_SUCCESS(Status))
        return Complete(Irp, Status);
    switch (Stack->MajorFunction == IRP_MJ_PNP ? Stack->MinorFunction : 0xFF) {
    case IRP_MN_START_DEVICE:
        return Start(Fdo, Irp);
    case IRP_MN_REMOVE_DEVICE:
        return Remove(Fdo, Irp);
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (Stack->Parameters.QueryDeviceRelations.Type == BusRelations)
            TestBusRelations(Irp);
        break;
    default:
        break;
    }
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Fdo->Lower, Irp);
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);
    return Status;
}

VOID TestDeviceInitialize(PDRIVER_OBJECT DriverObject)
{
    KeInitializeEvent(&Device.Started, NotificationEvent, FALSE);
    DriverObject->DriverExtension->AddDevice = AddDevice;
}

BOOLEAN TestDeviceWait(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(START_WAIT_MS);

    return KeWaitForSingleObject(&Device.Started, Executive, KernelMode, FALSE, &Timeout) == STATUS_SUCCESS;
}

PDEVICE_OBJECT TestDevice(VOID)
{
    return Device.Fdo->Self;
}

PDEVICE_OBJECT TestPhysicalDevice(VOID)
{
    return Device.Fdo->Pdo;
}
