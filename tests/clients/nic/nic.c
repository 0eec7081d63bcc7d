/* The function driver of an emulated network card: it starts it, and does nothing with it. */
#include <ntddk.h>

#define NIC_TAG ((ULONG)'N' | (ULONG)'i' << 8 | (ULONG)'c' << 16 | (ULONG)' ' << 24)

typedef struct _NIC {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock;
} NIC, *PNIC;

DRIVER_INITIALIZE DriverEntry;

static NTSTATUS NicPass(PNIC Nic, PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Nic->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Nic->RemoveLock, Irp);
    return Status;
}

static NTSTATUS NicStart(PNIC Nic, PIRP Irp)
{
    NTSTATUS Status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(Nic->LowerDeviceObject, Irp))
        Status = Irp->IoStatus.Status;
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Nic->RemoveLock, Irp);
    return Status;
}

static NTSTATUS NicRemove(PNIC Nic, PIRP Irp)
{
    NTSTATUS Status;

    IoReleaseRemoveLockAndWait(&Nic->RemoveLock, Irp);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Nic->LowerDeviceObject, Irp);
    IoDetachDevice(Nic->LowerDeviceObject);
    IoDeleteDevice(Nic->DeviceObject);
    return Status;
}

static NTSTATUS NTAPI NicDispatch(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    PNIC Nic = DeviceObject->DeviceExtension;
    NTSTATUS Status = IoAcquireRemoveLock(&Nic->RemoveLock, Irp);

    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }
    if (Location->MajorFunction != IRP_MJ_PNP)
        return NicPass(Nic, Irp);
    switch (Location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return NicStart(Nic, Irp);
    case IRP_MN_REMOVE_DEVICE:
        return NicRemove(Nic, Irp);
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return NicPass(Nic, Irp);
    default:
        return NicPass(Nic, Irp);
    }
}

static NTSTATUS NTAPI NicAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    NTSTATUS Status;
    PNIC Nic;

    Status = IoCreateDevice(DriverObject, sizeof(NIC), NULL, FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;
    Nic = DeviceObject->DeviceExtension;
    Nic->DeviceObject = DeviceObject;
    IoInitializeRemoveLock(&Nic->RemoveLock, NIC_TAG, 0, 0);
    Nic->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Nic->LowerDeviceObject == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI NicUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Major;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = NicAddDevice;
    DriverObject->DriverUnload = NicUnload;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = NicDispatch;
    return STATUS_SUCCESS;
}
