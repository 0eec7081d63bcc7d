/* A filter that lets everything through and writes down what it saw, for the tests of the PnP manager. */
#define TOY_DRIVER
#include <ntddk.h>

#include "../toybus/toy.h"

typedef struct _TOY_FILTER {
    PDEVICE_OBJECT Lower;
} TOY_FILTER, *PTOY_FILTER;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;
static DRIVER_ADD_DEVICE AddDevice;
static DRIVER_DISPATCH DispatchPnp;
static DRIVER_DISPATCH DispatchPass;

static NTSTATUS NTAPI DispatchPass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(((PTOY_FILTER)DeviceObject->DeviceExtension)->Lower, Irp);
}

static NTSTATUS NTAPI DispatchPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PTOY_FILTER Filter = DeviceObject->DeviceExtension;
    UCHAR MinorFunction = IoGetCurrentIrpStackLocation(Irp)->MinorFunction;
    NTSTATUS Status;

    ToyNote('U', MinorFunction, 0);
    if (MinorFunction != IRP_MN_REMOVE_DEVICE)
        return DispatchPass(DeviceObject, Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Filter->Lower, Irp);
    IoDetachDevice(Filter->Lower);
    IoDeleteDevice(DeviceObject);
    return Status;
}

static NTSTATUS NTAPI AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PTOY_FILTER Filter;
    NTSTATUS Status;

    ToyNote('U', TOY_ADD_DEVICE, 0);
    Status = IoCreateDevice(DriverObject, sizeof(TOY_FILTER), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;
    Filter = DeviceObject->DeviceExtension;
    Filter->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Filter->Lower == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ToyNote('U', TOY_UNLOAD, 0);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status = ToyFind(RegistryPath);
    ULONG Index;

    if (!NT_SUCCESS(Status))
        return Status;
    for (Index = 0; Index <= IRP_MJ_MAXIMUM_FUNCTION; Index++)
        DriverObject->MajorFunction[Index] = DispatchPass;
    DriverObject->MajorFunction[IRP_MJ_PNP] = DispatchPnp;
    DriverObject->DriverUnload = DriverUnload;
    DriverObject->DriverExtension->AddDevice = AddDevice;
    return STATUS_SUCCESS;
}
