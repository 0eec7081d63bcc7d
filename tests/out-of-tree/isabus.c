/* isabus: a bus driver. The bus device, and the driver's routines. */
#include "isabus.h"

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD BusUnload;
static DRIVER_ADD_DEVICE BusAddDevice;
static DRIVER_DISPATCH DispatchPnp;
static DRIVER_DISPATCH DispatchPower;
static DRIVER_DISPATCH DispatchOther;

NTSTATUS Complete(PIRP Irp, NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS Pass(PBUS Bus, PIRP Irp)
{
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(Bus->Lower, Irp);
}

/* The number of slots is a setting of the INF, in the device's hardware key. */
static NTSTATUS ReadSlotCount(PBUS Bus)
{
    UCHAR Buffer[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    PKEY_VALUE_PARTIAL_INFORMATION Value = (PKEY_VALUE_PARTIAL_INFORMATION)Buffer;
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"Slots");
    HANDLE Key;
    ULONG Length;
    NTSTATUS Status;

    PAGED_CODE();
    Status = IoOpenDeviceRegistryKey(Bus->Pdo, PLUGPLAY_REGKEY_DEVICE, KEY_READ, &Key);
    if (!NT_SUCCESS(Status))
        return Status;
    Status = ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Value, sizeof(Buffer), &Length);
    (VOID) ZwClose(Key);
    if (!NT_SUCCESS(Status))
        return Status;
    if (Value->Type != REG_DWORD || Value->DataLength != sizeof(ULONG))
        return STATUS_OBJECT_TYPE_MISMATCH;
    RtlCopyMemory(&Bus->SlotCount, Value->Data, sizeof(ULONG));
    return Bus->SlotCount <= ISABUS_MAX_SLOTS ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static NTSTATUS StartBus(PBUS Bus, PIRP Irp)
{
    NTSTATUS Status;
    ULONG Number;

    PAGED_CODE();
    if (!IoForwardIrpSynchronously(Bus->Lower, Irp))
        return Complete(Irp, STATUS_UNSUCCESSFUL);
    Status = Irp->IoStatus.Status;
    if (NT_SUCCESS(Status))
        Status = ReadSlotCount(Bus);
    for (Number = 0; NT_SUCCESS(Status) && Number < Bus->SlotCount; Number++)
        if (Bus->Slot[Number] == NULL)
            Status = SlotCreate(Bus, Number);
    if (NT_SUCCESS(Status))
        (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "isabus: %u slots\n", Bus->SlotCount);
    return Complete(Irp, Status);
}

static NTSTATUS ReportSlots(PBUS Bus, PIRP Irp)
{
    PDEVICE_RELATIONS Relations;
    ULONG Number;

    PAGED_CODE();
    Relations = ExAllocatePoolWithTag(PagedPool, sizeof(DEVICE_RELATIONS) + Bus->SlotCount * sizeof(PDEVICE_OBJECT),
                                      ISABUS_TAG);
    if (Relations == NULL)
        return Complete(Irp, STATUS_INSUFFICIENT_RESOURCES);
    Relations->Count = 0;
    for (Number = 0; Number < Bus->SlotCount; Number++) {
        if (Bus->Slot[Number] == NULL)
            continue;
        ObReferenceObject(Bus->Slot[Number]);
        Relations->Objects[Relations->Count++] = Bus->Slot[Number];
    }
    Irp->IoStatus.Information = (ULONG_PTR)Relations;
    Irp->IoStatus.Status = STATUS_SUCCESS;
    return Pass(Bus, Irp);
}

static NTSTATUS RemoveBus(PBUS Bus, PIRP Irp)
{
    NTSTATUS Status;
    ULONG Number;

    PAGED_CODE();
    for (Number = 0; Number < Bus->SlotCount; Number++)
        if (Bus->Slot[Number] != NULL)
            IoDeleteDevice(Bus->Slot[Number]);
    IoReleaseRemoveLockAndWait(&Bus->RemoveLock, Irp);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Status = Pass(Bus, Irp);
    IoDetachDevice(Bus->Lower);
    IoDeleteDevice(Bus->Self);
    return Status;
}

static NTSTATUS BusPnp(PBUS Bus, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    switch (Location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return StartBus(Bus, Irp);
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (Location->Parameters.QueryDeviceRelations.Type == BusRelations)
            return ReportSlots(Bus, Irp);
        return Pass(Bus, Irp);
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return Pass(Bus, Irp);
    default:
        return Pass(Bus, Irp);
    }
}

static NTSTATUS NTAPI DispatchPnp(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PBUS Bus = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    if (Bus->Common.IsSlot)
        return SlotPnp(DeviceObject, Irp);
    Status = IoAcquireRemoveLock(&Bus->RemoveLock, Irp);
    if (!NT_SUCCESS(Status))
        return Complete(Irp, Status);
    if (IoGetCurrentIrpStackLocation(Irp)->MinorFunction == IRP_MN_REMOVE_DEVICE)
        return RemoveBus(Bus, Irp);
    Status = BusPnp(Bus, Irp);
    IoReleaseRemoveLock(&Bus->RemoveLock, Irp);
    return Status;
}

static NTSTATUS NTAPI DispatchPower(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PBUS Bus = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    PoStartNextPowerIrp(Irp);
    if (!Bus->Common.IsSlot)
        return Pass(Bus, Irp);
    if (Location->MinorFunction == IRP_MN_SET_POWER || Location->MinorFunction == IRP_MN_QUERY_POWER)
        return Complete(Irp, STATUS_SUCCESS);
    return Complete(Irp, Irp->IoStatus.Status);
}

static NTSTATUS NTAPI DispatchOther(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PBUS Bus = DeviceObject->DeviceExtension;

    if (Bus->Common.IsSlot)
        return Complete(Irp, Irp->IoStatus.Status);
    return Pass(Bus, Irp);
}

static NTSTATUS NTAPI BusAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PBUS Bus;
    NTSTATUS Status;

    PAGED_CODE();
    Status = IoCreateDevice(DriverObject, sizeof(BUS), NULL, FILE_DEVICE_BUS_EXTENDER, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;
    Bus = DeviceObject->DeviceExtension;
    Bus->Self = DeviceObject;
    Bus->Pdo = PhysicalDeviceObject;
    IoInitializeRemoveLock(&Bus->RemoveLock, ISABUS_TAG, 0, 0);
    Bus->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Bus->Lower == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI BusUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PAGED_CODE();
}

NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    UNREFERENCED_PARAMETER(RegistryPath);
    for (Index = 0; Index <= IRP_MJ_MAXIMUM_FUNCTION; Index++)
        DriverObject->MajorFunction[Index] = DispatchOther;
    DriverObject->MajorFunction[IRP_MJ_PNP] = DispatchPnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = DispatchPower;
    DriverObject->DriverExtension->AddDevice = BusAddDevice;
    DriverObject->DriverUnload = BusUnload;
    return STATUS_SUCCESS;
}
