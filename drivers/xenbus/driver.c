#include "driver.h"

#include "device.h"
#include "fdo.h"
#include "log.h"
#include "pdo.h"
#include "registry.h"
#include "version.h"
#include "xen.h"

typedef struct _XENBUS_DRIVER {
    PDRIVER_OBJECT DriverObject;
    HANDLE ParametersKey;
} XENBUS_DRIVER;

static XENBUS_DRIVER Driver;

DRIVER_UNLOAD DriverUnload;
_Dispatch_type_(IRP_MJ_PNP) DRIVER_DISPATCH DriverDispatch;

PDRIVER_OBJECT DriverGetObject(VOID)
{
    return Driver.DriverObject;
}

HANDLE DriverGetParametersKey(VOID)
{
    return Driver.ParametersKey;
}

PAGED_FUNCTION BOOLEAN DriverGetSwitch(_In_ PCWSTR Name, _In_ BOOLEAN Default)
{
    ULONG Value;

    PAGED_CODE();

    if (!NT_SUCCESS(RegistryQueryDword(Driver.ParametersKey, Name, &Value)))
        return Default;

    return Value != 0;
}

_Use_decl_annotations_ NTSTATUS NTAPI DriverDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PXENBUS_DEVICE Device = DeviceObject->DeviceExtension;
    UCHAR Major = IoGetCurrentIrpStackLocation(Irp)->MajorFunction;

    if (!DeviceEnter(Device)) {
        Irp->IoStatus.Status = STATUS_DELETE_PENDING;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return STATUS_DELETE_PENDING;
    }

    if (Device->Kind == XENBUS_DEVICE_FDO) {
        PXENBUS_FDO Fdo = CONTAINING_RECORD(Device, XENBUS_FDO, Device);

        switch (Major) {
        case IRP_MJ_PNP:
            return FdoDispatchPnp(Fdo, Irp);

        case IRP_MJ_POWER:
            return FdoDispatchPower(Fdo, Irp);

        default:
            return FdoDispatchOther(Fdo, Irp);
        }
    } else {
        PXENBUS_PDO Pdo = CONTAINING_RECORD(Device, XENBUS_PDO, Device);

        switch (Major) {
        case IRP_MJ_PNP:
            return PdoDispatchPnp(Pdo, Irp);

        case IRP_MJ_POWER:
            return PdoDispatchPower(Pdo, Irp);

        default:
            return PdoDispatchOther(Pdo, Irp);
        }
    }
}

_Use_decl_annotations_ PAGED_FUNCTION VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    PAGED_CODE();

    UNREFERENCED_PARAMETER(DriverObject);

    RegistryCloseKey(Driver.ParametersKey);
    RtlZeroMemory(&Driver, sizeof(Driver));
}

_Use_decl_annotations_ NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Major;
    NTSTATUS Status;

    /* Nothing of xen.sys may be used before it has agreed, the log neither. */
    Status = XenTouch("XENBUS", MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = RegistryCreateParameters(RegistryPath, &Driver.ParametersKey);
    if (!NT_SUCCESS(Status)) {
        Error("no Parameters key (%08x)", Status);
        return Status;
    }

    Driver.DriverObject = DriverObject;
    DriverObject->DriverUnload = DriverUnload;
    DriverObject->DriverExtension->AddDevice = FdoAddDevice;

    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = DriverDispatch;

    Info("version " VERSION_STR);
    return STATUS_SUCCESS;
}
