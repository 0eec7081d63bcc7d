/*
 * countfilter: an upper filter that counts the requests of each device that it is attached to, passes them on, and says
 * on the debugger's output what it saw when the device goes.
 */
#include <ntddk.h>

#define COUNTFILTER_TAG 'FtnC'

typedef struct _FILTER {
    PDEVICE_OBJECT Lower;
    IO_REMOVE_LOCK RemoveLock;
    WCHAR HardwareIds[512]; /* the first is shown */
    volatile LONG Requests[IRP_MJ_MAXIMUM_FUNCTION + 1];
} FILTER, *PFILTER;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD FilterUnload;
static DRIVER_ADD_DEVICE FilterAddDevice;
static DRIVER_DISPATCH FilterPass;
static DRIVER_DISPATCH FilterPnp;
static DRIVER_DISPATCH FilterPower;

/* The remove lock is held until the lower driver has returned; the request may complete later. */
static NTSTATUS NTAPI FilterPass(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PFILTER Filter = DeviceObject->DeviceExtension;
    NTSTATUS Status = IoAcquireRemoveLock(&Filter->RemoveLock, Irp);

    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }
    (VOID) InterlockedIncrement(&Filter->Requests[IoGetCurrentIrpStackLocation(Irp)->MajorFunction]);
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Filter->Lower, Irp);
    IoReleaseRemoveLock(&Filter->RemoveLock, Irp);
    return Status;
}

static NTSTATUS NTAPI FilterPower(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PoStartNextPowerIrp(Irp);
    return FilterPass(DeviceObject, Irp);
}

static NTSTATUS FilterRemove(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PFILTER Filter = DeviceObject->DeviceExtension;
    NTSTATUS Status = IoAcquireRemoveLock(&Filter->RemoveLock, Irp);

    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }
    (VOID) InterlockedIncrement(&Filter->Requests[IRP_MJ_PNP]);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Filter->Lower, Irp);
    IoReleaseRemoveLockAndWait(&Filter->RemoveLock, Irp);
    (VOID)
        DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "countfilter: %ws: %d PnP, %d power, %d other requests\n",
                   Filter->HardwareIds, Filter->Requests[IRP_MJ_PNP], Filter->Requests[IRP_MJ_POWER],
                   Filter->Requests[IRP_MJ_CREATE] + Filter->Requests[IRP_MJ_CLEANUP] + Filter->Requests[IRP_MJ_CLOSE] +
                       Filter->Requests[IRP_MJ_DEVICE_CONTROL] + Filter->Requests[IRP_MJ_SYSTEM_CONTROL]);
    IoDetachDevice(Filter->Lower);
    IoDeleteDevice(DeviceObject);
    return Status;
}

static NTSTATUS NTAPI FilterPnp(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    if (IoGetCurrentIrpStackLocation(Irp)->MinorFunction == IRP_MN_REMOVE_DEVICE)
        return FilterRemove(DeviceObject, Irp);
    return FilterPass(DeviceObject, Irp);
}

static NTSTATUS NTAPI FilterAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PFILTER Filter;
    ULONG Length;
    NTSTATUS Status;

    PAGED_CODE();
    Status = IoCreateDevice(DriverObject, sizeof(FILTER), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;
    Filter = DeviceObject->DeviceExtension;
    IoInitializeRemoveLock(&Filter->RemoveLock, COUNTFILTER_TAG, 0, 0);
    Status = IoGetDeviceProperty(PhysicalDeviceObject, DevicePropertyHardwareID, sizeof(Filter->HardwareIds),
                                 Filter->HardwareIds, &Length);
    if (!NT_SUCCESS(Status))
        Filter->HardwareIds[0] = L'?';
    Filter->HardwareIds[RTL_NUMBER_OF(Filter->HardwareIds) - 1] = UNICODE_NULL;
    Filter->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Filter->Lower == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    DeviceObject->DeviceType = Filter->Lower->DeviceType;
    DeviceObject->Characteristics |= Filter->Lower->Characteristics;
    DeviceObject->Flags |= Filter->Lower->Flags & (DO_BUFFERED_IO | DO_DIRECT_IO | DO_POWER_PAGABLE);
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI FilterUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    PAGED_CODE();
}

NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    UNREFERENCED_PARAMETER(RegistryPath);
    for (Index = 0; Index <= IRP_MJ_MAXIMUM_FUNCTION; Index++)
        DriverObject->MajorFunction[Index] = FilterPass;
    DriverObject->MajorFunction[IRP_MJ_PNP] = FilterPnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = FilterPower;
    DriverObject->DriverExtension->AddDevice = FilterAddDevice;
    DriverObject->DriverUnload = FilterUnload;
    return STATUS_SUCCESS;
}
