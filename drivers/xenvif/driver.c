#include <ntddk.h>

#include <initguid.h>
#include <wdmguid.h>

#include "cache_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"
#include "vif_interface.h"

#include <ndisguid.h>

#include "driver.h"
#include "fdo.h"
#include "log.h"
#include "pdo.h"
#include "registry.h"
#include "version.h"

static struct {
    PDRIVER_OBJECT Object;
    HANDLE ParametersKey; /* NULL: there is none */
} Driver;

VOID DeviceSetPnpState(_Inout_ PXENVIF_DEVICE Device, _In_ XENVIF_PNP_STATE State)
{
    Device->PreviousPnpState = Device->PnpState;
    Device->PnpState = State;
}

VOID DeviceRestorePnpState(_Inout_ PXENVIF_DEVICE Device, _In_ XENVIF_PNP_STATE State)
{
    if (Device->PnpState == State)
        Device->PnpState = Device->PreviousPnpState;
}

PDRIVER_OBJECT DriverGetObject(VOID)
{
    return Driver.Object;
}

PAGED_FUNCTION ULONG DriverQueryParameter(_In_z_ PCWSTR Name, _In_ ULONG Default)
{
    ULONG Value;

    PAGED_CODE();

    if (Driver.ParametersKey == NULL || !NT_SUCCESS(RegistryQueryDword(Driver.ParametersKey, Name, &Value)))
        return Default;

    return Value;
}

PAGED_FUNCTION NTSTATUS DriverOpenParametersKey(_In_z_ PCWSTR Name, _In_ BOOLEAN Make, _Out_ PHANDLE Key)
{
    PAGED_CODE();

    if (Driver.ParametersKey == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;

    return Make ? RegistryCreateKey(Driver.ParametersKey, Name, KEY_READ | KEY_WRITE, Key)
                : RegistryOpenKey(Driver.ParametersKey, Name, KEY_READ | KEY_WRITE, Key);
}

NTSTATUS DriverCompleteIrp(_Inout_ PIRP Irp, _In_ NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);

    return Status;
}

static NTSTATUS NTAPI DriverDispatchPnp(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PXENVIF_DEVICE Device = DeviceObject->DeviceExtension;

    return (Device->Type == XENVIF_DEVICE_FDO) ? FdoDispatchPnp((PXENVIF_FDO)Device, Irp)
                                               : PdoDispatchPnp((PXENVIF_PDO)Device, Irp);
}

static NTSTATUS NTAPI DriverDispatchPower(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PXENVIF_DEVICE Device = DeviceObject->DeviceExtension;

    return (Device->Type == XENVIF_DEVICE_FDO) ? FdoDispatchPower((PXENVIF_FDO)Device, Irp)
                                               : PdoDispatchPower((PXENVIF_PDO)Device, Irp);
}

/* WMI has nothing to ask of us: the bus passes it on, and a child, which is the end of its stack, ends it. */
static NTSTATUS NTAPI DriverDispatchSystemControl(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PXENVIF_DEVICE Device = DeviceObject->DeviceExtension;

    if (Device->Type == XENVIF_DEVICE_FDO)
        return FdoForward((PXENVIF_FDO)Device, Irp);

    return DriverCompleteIrp(Irp, Irp->IoStatus.Status);
}

static PAGED_FUNCTION NTSTATUS NTAPI DriverAddDevice(_In_ PDRIVER_OBJECT DriverObject,
                                                     _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PAGED_CODE();

    UNREFERENCED_PARAMETER(DriverObject);

    return FdoCreate(PhysicalDeviceObject);
}

static PAGED_FUNCTION VOID NTAPI DriverUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    PAGED_CODE();

    UNREFERENCED_PARAMETER(DriverObject);

    if (Driver.ParametersKey != NULL)
        RegistryCloseKey(Driver.ParametersKey);

    Driver.ParametersKey = NULL;
    Driver.Object = NULL;
}

/* A service without parameters has the defaults. */
static PAGED_FUNCTION VOID DriverOpenParameters(_In_ PCUNICODE_STRING RegistryPath)
{
    HANDLE ServiceKey;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryOpenPath(RegistryPath, KEY_READ, &ServiceKey);
    if (!NT_SUCCESS(Status)) {
        Warning("the service key cannot be opened (%08x)", Status);
        return;
    }

    Status = RegistryOpenKey(ServiceKey, L"Parameters", KEY_READ, &Driver.ParametersKey);
    if (!NT_SUCCESS(Status))
        Driver.ParametersKey = NULL;

    RegistryCloseKey(ServiceKey);
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;

    Status = XenTouch(MODULE_NAME, MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER);
    if (!NT_SUCCESS(Status))
        return Status;

    Driver.Object = DriverObject;
    DriverOpenParameters(RegistryPath);

    DriverObject->DriverExtension->AddDevice = DriverAddDevice;
    DriverObject->DriverUnload = DriverUnload;
    DriverObject->MajorFunction[IRP_MJ_PNP] = DriverDispatchPnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = DriverDispatchPower;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = DriverDispatchSystemControl;

    Info("version %s", VERSION_STR);

    return STATUS_SUCCESS;
}
