#include "pdo.h"

#include "log.h"

#include <wdmguid.h>

PAGED_FUNCTION static NTSTATUS PdoQueryCapabilities(_In_ PIO_STACK_LOCATION Location)
{
    PDEVICE_CAPABILITIES Capabilities = Location->Parameters.DeviceCapabilities.Capabilities;
    ULONG Index;

    PAGED_CODE();

    if (Capabilities->Version != 1 || Capabilities->Size < sizeof(DEVICE_CAPABILITIES))
        return STATUS_UNSUCCESSFUL;

    Capabilities->DeviceD1 = 0;
    Capabilities->DeviceD2 = 0;
    Capabilities->LockSupported = 0;
    Capabilities->EjectSupported = 0;
    Capabilities->Removable = 1;
    Capabilities->DockDevice = 0;
    Capabilities->UniqueID = 1;
    Capabilities->SilentInstall = 1;
    Capabilities->RawDeviceOK = 0;
    Capabilities->SurpriseRemovalOK = 1;
    Capabilities->HardwareDisabled = 0;
    Capabilities->NoDisplayInUI = 0;

    Capabilities->Address = MAXULONG;
    Capabilities->UINumber = MAXULONG;

    Capabilities->DeviceState[PowerSystemUnspecified] = PowerDeviceUnspecified;
    Capabilities->DeviceState[PowerSystemWorking] = PowerDeviceD0;
    for (Index = PowerSystemSleeping1; Index < PowerSystemMaximum; Index++)
        Capabilities->DeviceState[Index] = PowerDeviceD3;

    Capabilities->SystemWake = PowerSystemUnspecified;
    Capabilities->DeviceWake = PowerDeviceUnspecified;
    Capabilities->D1Latency = 0;
    Capabilities->D2Latency = 0;
    Capabilities->D3Latency = 0;
    return STATUS_SUCCESS;
}

PAGED_FUNCTION static NTSTATUS PdoQueryBusInformation(_Inout_ PIRP Irp)
{
    PPNP_BUS_INFORMATION Information;

    PAGED_CODE();

    /* The PnP manager frees it. */
    Information = ExAllocatePoolWithTag(PagedPool, sizeof(PNP_BUS_INFORMATION), POOL_TAG('B', 'U', 'S', 'I'));
    if (Information == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Information->BusTypeGuid = GUID_BUS_TYPE_INTERNAL;
    Information->LegacyBusType = PNPBus;
    Information->BusNumber = 0;

    Irp->IoStatus.Information = (ULONG_PTR)Information;
    return STATUS_SUCCESS;
}

PAGED_FUNCTION static NTSTATUS PdoQueryTargetRelation(_In_ PXENBUS_PDO Pdo, _Inout_ PIRP Irp)
{
    PDEVICE_RELATIONS Relations;

    PAGED_CODE();

    /* The PnP manager frees it, and gives the reference back. */
    Relations = ExAllocatePoolWithTag(PagedPool, sizeof(DEVICE_RELATIONS), POOL_TAG('R', 'E', 'L', 'S'));
    if (Relations == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    ObReferenceObject(Pdo->Device.DeviceObject);
    Relations->Count = 1;
    Relations->Objects[0] = Pdo->Device.DeviceObject;

    Irp->IoStatus.Information = (ULONG_PTR)Relations;
    return STATUS_SUCCESS;
}

/* The answer is a string in paged pool. */
PAGED_FUNCTION static NTSTATUS PdoAnswerText(_Inout_ PIRP Irp, _In_ NTSTATUS Status, _In_opt_ PWSTR Text)
{
    PAGED_CODE();

    /* What the bus does not know it leaves as it is. */
    if (Status == STATUS_NOT_SUPPORTED)
        return Irp->IoStatus.Status;

    if (NT_SUCCESS(Status))
        Irp->IoStatus.Information = (ULONG_PTR)Text;

    return Status;
}

PAGED_FUNCTION static NTSTATUS PdoAnswerId(_In_ PXENBUS_PDO Pdo, _Inout_ PIRP Irp, _In_ PIO_STACK_LOCATION Location)
{
    PWSTR Id;
    NTSTATUS Status = PdoQueryId(Pdo, Location->Parameters.QueryId.IdType, &Id);

    PAGED_CODE();

    return PdoAnswerText(Irp, Status, Id);
}

PAGED_FUNCTION static NTSTATUS PdoAnswerDeviceText(_In_ PXENBUS_PDO Pdo, _Inout_ PIRP Irp,
                                                   _In_ PIO_STACK_LOCATION Location)
{
    PWSTR Text;
    NTSTATUS Status = PdoQueryText(Pdo, Location->Parameters.QueryDeviceText.DeviceTextType, &Text);

    PAGED_CODE();

    return PdoAnswerText(Irp, Status, Text);
}

/* What lies on a child lies on the bus as well: its stack is told. */
PAGED_FUNCTION static NTSTATUS PdoNotifyUsage(_In_ PXENBUS_PDO Pdo, _In_ PIO_STACK_LOCATION Location)
{
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(Pdo->Fdo->Device.DeviceObject);
    NTSTATUS Status;

    PAGED_CODE();

    Status = DeviceSendPnp(Top, Location, NULL);
    ObDereferenceObject(Top);

    return Status;
}

PAGED_FUNCTION static NTSTATUS PdoEnter(_In_ PXENBUS_PDO Pdo, _In_ XENBUS_PNP_STATE State)
{
    PAGED_CODE();

    DeviceSetPnpState(&Pdo->Device, State);
    return STATUS_SUCCESS;
}

PAGED_FUNCTION static NTSTATUS PdoLeave(_In_ PXENBUS_PDO Pdo, _In_ XENBUS_PNP_STATE State)
{
    PAGED_CODE();

    DeviceRestorePnpState(&Pdo->Device, State);
    return STATUS_SUCCESS;
}

PAGED_FUNCTION static NTSTATUS PdoRemoveDevice(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp)
{
    PAGED_CODE();

    /* A device that is still there is only back at its start. */
    DeviceDrain(&Pdo->Device);
    DeviceReset(&Pdo->Device);
    Pdo->PowerState = PowerDeviceD3;

    Irp->IoStatus.Status = STATUS_SUCCESS;
    PdoRemove(Pdo);

    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

/* The answer to a PnP IRP other than REMOVE_DEVICE. */
PAGED_FUNCTION static NTSTATUS PdoAnswerPnp(_In_ PXENBUS_PDO Pdo, _Inout_ PIRP Irp, _In_ PIO_STACK_LOCATION Location)
{
    NTSTATUS Status;

    PAGED_CODE();

    switch (Location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        Pdo->PowerState = PowerDeviceD0;
        return PdoEnter(Pdo, XENBUS_PNP_STARTED);

    case IRP_MN_QUERY_STOP_DEVICE:
        return PdoEnter(Pdo, XENBUS_PNP_STOP_PENDING);

    case IRP_MN_CANCEL_STOP_DEVICE:
        return PdoLeave(Pdo, XENBUS_PNP_STOP_PENDING);

    case IRP_MN_STOP_DEVICE:
        return PdoEnter(Pdo, XENBUS_PNP_STOPPED);

    case IRP_MN_QUERY_REMOVE_DEVICE:
        return PdoEnter(Pdo, XENBUS_PNP_REMOVE_PENDING);

    case IRP_MN_CANCEL_REMOVE_DEVICE:
        return PdoLeave(Pdo, XENBUS_PNP_REMOVE_PENDING);

    case IRP_MN_SURPRISE_REMOVAL:
        return PdoEnter(Pdo, XENBUS_PNP_SURPRISE_REMOVED);

    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (Location->Parameters.QueryDeviceRelations.Type == TargetDeviceRelation)
            return PdoQueryTargetRelation(Pdo, Irp);
        return Irp->IoStatus.Status;

    case IRP_MN_QUERY_INTERFACE:
        return PdoQueryInterface(Pdo, Location, &Status) ? Status : Irp->IoStatus.Status;

    case IRP_MN_QUERY_CAPABILITIES:
        return PdoQueryCapabilities(Location);

    case IRP_MN_QUERY_ID:
        return PdoAnswerId(Pdo, Irp, Location);

    case IRP_MN_QUERY_DEVICE_TEXT:
        return PdoAnswerDeviceText(Pdo, Irp, Location);

    case IRP_MN_QUERY_BUS_INFORMATION:
        return PdoQueryBusInformation(Irp);

    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        return PdoNotifyUsage(Pdo, Location);

    default:
        /*
         * Children have no resources, no eject and no lock: their absence is told by leaving the status as it came
         * (IRP_MN_QUERY_RESOURCES, _QUERY_RESOURCE_REQUIREMENTS, _FILTER_RESOURCE_REQUIREMENTS, _EJECT, _SET_LOCK,
         * _QUERY_PNP_DEVICE_STATE, _READ_CONFIG, _WRITE_CONFIG).
         */
        return Irp->IoStatus.Status;
    }
}

PAGED_FUNCTION NTSTATUS PdoDispatchPnp(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    PAGED_CODE();

    Trace("%s: minor function %02x", Pdo->Class, Location->MinorFunction);

    if (Location->MinorFunction == IRP_MN_REMOVE_DEVICE)
        return PdoRemoveDevice(Pdo, Irp);

    return DeviceComplete(&Pdo->Device, Irp, PdoAnswerPnp(Pdo, Irp, Location));
}

NTSTATUS PdoDispatchPower(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = Irp->IoStatus.Status;

    switch (Location->MinorFunction) {
    case IRP_MN_SET_POWER:
        if (Location->Parameters.Power.Type == DevicePowerState) {
            if (Location->Parameters.Power.State.DeviceState == PowerDeviceD0 && Pdo->Fdo->Failed) {
                Status = STATUS_DEVICE_POWER_FAILURE; /* the bus is off, and stays so */
                break;
            }
            Pdo->PowerState = Location->Parameters.Power.State.DeviceState;
            (VOID) PoSetPowerState(Pdo->Device.DeviceObject, DevicePowerState, Location->Parameters.Power.State);
        }
        Status = STATUS_SUCCESS;
        break;

    case IRP_MN_QUERY_POWER:
        Status = STATUS_SUCCESS;
        break;

    default:
        break;
    }

    return DeviceComplete(&Pdo->Device, Irp, Status);
}

NTSTATUS PdoDispatchOther(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp)
{
    NTSTATUS Status;

    /* WMI passes by; a child without a driver of its own can do nothing else. */
    if (IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_SYSTEM_CONTROL)
        Status = Irp->IoStatus.Status;
    else
        Status = STATUS_INVALID_DEVICE_REQUEST;

    return DeviceComplete(&Pdo->Device, Irp, Status);
}
