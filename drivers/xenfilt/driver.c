#include "driver.h"

#include "filter.h"
#include "log.h"
#include "registry.h"
#include "text.h"
#include "version.h"
#include "xen.h"

typedef struct _XENFILT_DRIVER {
    PDRIVER_OBJECT DriverObject;
    PXENFILT_EMULATED_CONTEXT Emulated; /* NULL: this driver filters nothing */
    HANDLE ParametersKey;
} XENFILT_DRIVER;

static XENFILT_DRIVER Driver;

DRIVER_UNLOAD DriverUnload;
DRIVER_ADD_DEVICE DriverAddDevice;
_Dispatch_type_(IRP_MJ_PNP) DRIVER_DISPATCH DriverDispatch;

PDRIVER_OBJECT DriverGetObject(VOID)
{
    return Driver.DriverObject;
}

PXENFILT_EMULATED_CONTEXT DriverGetEmulated(VOID)
{
    return Driver.Emulated;
}

PAGED_FUNCTION XENFILT_KIND DriverGetKind(_In_ PCWSTR HardwareId)
{
    XENFILT_KIND Kind = XENFILT_KIND_NONE;
    PSTR Value;

    PAGED_CODE();

    if (!NT_SUCCESS(RegistryQueryString(Driver.ParametersKey, HardwareId, &Value)))
        return XENFILT_KIND_NONE;

    if (TextEqual(Value, "PCI", TRUE))
        Kind = XENFILT_KIND_PCI;
    else if (TextEqual(Value, "IDE", TRUE))
        Kind = XENFILT_KIND_IDE;
    else
        Warning("'%s' is no kind of bus: PCI and IDE are", Value);

    RegistryFree(Value);
    return Kind;
}

_Use_decl_annotations_ NTSTATUS NTAPI DriverDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_PNP:
        return FilterDispatchPnp(DeviceObject->DeviceExtension, Irp);

    case IRP_MJ_POWER:
        return FilterDispatchPower(DeviceObject->DeviceExtension, Irp);

    default:
        return FilterDispatchOther(DeviceObject->DeviceExtension, Irp);
    }
}

/* A device that is not filtered, for whatever reason, works without: an error here would keep it from starting. */
_Use_decl_annotations_ PAGED_FUNCTION NTSTATUS NTAPI DriverAddDevice(PDRIVER_OBJECT DriverObject,
                                                                     PDEVICE_OBJECT PhysicalDeviceObject)
{
    PAGED_CODE();

    UNREFERENCED_PARAMETER(DriverObject);

    if (Driver.Emulated != NULL)
        FilterAddBus(PhysicalDeviceObject);

    return STATUS_SUCCESS;
}

_Use_decl_annotations_ PAGED_FUNCTION VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    PAGED_CODE();

    UNREFERENCED_PARAMETER(DriverObject);

    if (Driver.Emulated != NULL) {
        EmulatedTeardown(Driver.Emulated);
        RegistryCloseKey(Driver.ParametersKey);
    }

    RtlZeroMemory(&Driver, sizeof(Driver));
}

PAGED_FUNCTION static NTSTATUS DriverInitialize(_In_ PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryCreateParameters(RegistryPath, &Driver.ParametersKey);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = EmulatedInitialize(&Driver.Emulated);
    if (!NT_SUCCESS(Status))
        RegistryCloseKey(Driver.ParametersKey);

    return Status;
}

/*
 * Always succeeds: a filter that does not load keeps every device of its classes from starting. On a machine without
 * Xen, beside a xen.sys of another version, or without memory, it stays out of every stack.
 */
_Use_decl_annotations_ NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Major;
    NTSTATUS Status;

    Driver.DriverObject = DriverObject;
    DriverObject->DriverUnload = DriverUnload;
    DriverObject->DriverExtension->AddDevice = DriverAddDevice;

    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = DriverDispatch;

    Status = XenTouch("XENFILT", MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER);
    if (!NT_SUCCESS(Status))
        return STATUS_SUCCESS;

    Status = DriverInitialize(RegistryPath);
    if (NT_SUCCESS(Status))
        Info("version " VERSION_STR);
    else
        Error("no emulated device is told of (%08x)", Status);

    return STATUS_SUCCESS;
}
