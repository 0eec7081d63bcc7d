#include "bug.h"
#include "cache_interface.h"
#include "parent.h"
#include "pdo_private.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"

#include <wdmguid.h>

static PAGED_FUNCTION NTSTATUS PdoPnpStart(_Inout_ PXENVIF_PDO Pdo)
{
    POWER_STATE PowerState;
    LONG Changes;
    NTSTATUS Status;

    PAGED_CODE();

    if (PdoIsMissing(Pdo))
        return STATUS_NO_SUCH_DEVICE;

    Status = PdoReadAddress(Pdo);
    if (!NT_SUCCESS(Status))
        return Status;

    /* Said of the start before: also by a look for twins that ended after the device had been removed. */
    (VOID) InterlockedExchange(&Pdo->Failed, FALSE);

    Status = FdoCheckTwin(Pdo->Fdo, &Pdo->Address, &Changes);
    if (Status == STATUS_PNP_REBOOT_REQUIRED) {
        Error("vif %u: an emulated card has the same address: not started before it is unplugged", Pdo->Number);
        PdoKeepTwinSettings(Pdo);
    }

    if (!NT_SUCCESS(Status))
        return Status;

    Status = PdoStart(Pdo);
    if (!NT_SUCCESS(Status))
        return Status;

    PowerState.DeviceState = PowerDeviceD0;
    (VOID) PoSetPowerState(Pdo->Device.DeviceObject, DevicePowerState, PowerState);
    Pdo->Device.PowerState = PowerDeviceD0;
    DeviceSetPnpState(&Pdo->Device, XENVIF_PNP_STARTED);
    FdoHasStarted(Pdo->Fdo, Changes);

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION NTSTATUS PdoPnpStop(_Inout_ PXENVIF_PDO Pdo)
{
    PAGED_CODE();

    PdoStop(Pdo);
    Pdo->Device.PowerState = PowerDeviceD3;
    DeviceSetPnpState(&Pdo->Device, XENVIF_PNP_STOPPED);

    return STATUS_SUCCESS;
}

/* The client may still hold packets: what they lie in goes with the remove that follows. */
static PAGED_FUNCTION NTSTATUS PdoPnpSurpriseRemoval(_Inout_ PXENVIF_PDO Pdo)
{
    PAGED_CODE();

    if (Pdo->Frontend != NULL)
        FrontendPowerDown(Pdo->Frontend);

    Pdo->Device.PowerState = PowerDeviceD3;
    DeviceSetPnpState(&Pdo->Device, XENVIF_PNP_SURPRISE_REMOVED);

    return STATUS_SUCCESS;
}

/*
 * A device that is still there stays a child, unstarted, until the bus itself goes; one that is no longer reported goes
 * now. The IRP is completed here, with the device object perhaps deleted already: the PnP manager's reference keeps it.
 */
static PAGED_FUNCTION NTSTATUS PdoPnpRemove(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PAGED_CODE();

    PdoStop(Pdo);
    Pdo->Device.PowerState = PowerDeviceD3;

    if (PdoIsMissing(Pdo) && !PdoIsReported(Pdo)) {
        FdoRemoveChild(Pdo->Fdo, Pdo);
        PdoDelete(Pdo);
    } else {
        DeviceSetPnpState(&Pdo->Device, XENVIF_PNP_NOT_STARTED);
    }

    return DriverCompleteIrp(Irp, STATUS_SUCCESS);
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryRelations(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PDEVICE_RELATIONS Relations;

    PAGED_CODE();

    if (IoGetCurrentIrpStackLocation(Irp)->Parameters.QueryDeviceRelations.Type != TargetDeviceRelation)
        return Irp->IoStatus.Status;

    Relations = ExAllocatePoolWithTag(PagedPool, sizeof(DEVICE_RELATIONS), PDO_TAG);
    if (Relations == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    ObReferenceObject(Pdo->Device.DeviceObject);
    Relations->Count = 1;
    Relations->Objects[0] = Pdo->Device.DeviceObject;
    Irp->IoStatus.Information = (ULONG_PTR)Relations;

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryInterface(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    const GUID *Type = StackLocation->Parameters.QueryInterface.InterfaceType;
    USHORT Version = StackLocation->Parameters.QueryInterface.Version;
    USHORT Size = StackLocation->Parameters.QueryInterface.Size;
    PINTERFACE Interface = StackLocation->Parameters.QueryInterface.Interface;

    PAGED_CODE();

    if (!PdoOffers(Type, Version))
        return Irp->IoStatus.Status;

    if (IsEqualGUID(Type, &GUID_XENVIF_VIF_INTERFACE))
        return VifGetInterface(Pdo->Vif, Version, Interface, Size);

    return ParentQueryInterface(FdoGetLowerDevice(Pdo->Fdo), Type, Version, Size,
                                StackLocation->Parameters.QueryInterface.InterfaceSpecificData, Interface);
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryCapabilities(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PDEVICE_CAPABILITIES Capabilities = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceCapabilities.Capabilities;
    ULONG State;

    PAGED_CODE();

    if (Capabilities->Version != 1)
        return STATUS_UNSUCCESSFUL;

    Capabilities->DeviceD1 = FALSE;
    Capabilities->DeviceD2 = FALSE;
    Capabilities->LockSupported = FALSE;
    Capabilities->EjectSupported = TRUE;
    Capabilities->Removable = TRUE;
    Capabilities->DockDevice = FALSE;
    Capabilities->UniqueID = TRUE;
    Capabilities->SilentInstall = TRUE;
    Capabilities->RawDeviceOK = FALSE;
    Capabilities->SurpriseRemovalOK = TRUE;
    Capabilities->HardwareDisabled = FALSE;
    Capabilities->NoDisplayInUI = FALSE;
    Capabilities->Address = Pdo->Number;
    Capabilities->UINumber = Pdo->Number;
    Capabilities->SystemWake = PowerSystemUnspecified;
    Capabilities->DeviceWake = PowerDeviceUnspecified;
    Capabilities->D1Latency = 0;
    Capabilities->D2Latency = 0;
    Capabilities->D3Latency = 0;

    for (State = 0; State < PowerSystemMaximum; State++)
        Capabilities->DeviceState[State] = PowerDeviceD3;
    Capabilities->DeviceState[PowerSystemUnspecified] = PowerDeviceUnspecified;
    Capabilities->DeviceState[PowerSystemWorking] = PowerDeviceD0;

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryBusInformation(_Inout_ PIRP Irp)
{
    PPNP_BUS_INFORMATION Information;

    PAGED_CODE();

    Information = ExAllocatePoolWithTag(PagedPool, sizeof(PNP_BUS_INFORMATION), PDO_TAG);
    if (Information == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Information->BusTypeGuid = GUID_BUS_TYPE_INTERNAL;
    Information->LegacyBusType = PNPBus;
    Information->BusNumber = 0;
    Irp->IoStatus.Information = (ULONG_PTR)Information;

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryId(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PWSTR Id;
    NTSTATUS Status;

    PAGED_CODE();

    Status = PdoQueryId(Pdo, IoGetCurrentIrpStackLocation(Irp)->Parameters.QueryId.IdType, &Id);
    if (NT_SUCCESS(Status))
        Irp->IoStatus.Information = (ULONG_PTR)Id;

    /* An ID that we do not have leaves the IRP as it was. */
    return (Status == STATUS_NOT_SUPPORTED) ? Irp->IoStatus.Status : Status;
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryText(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PWSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    Status = PdoQueryText(Pdo, IoGetCurrentIrpStackLocation(Irp)->Parameters.QueryDeviceText.DeviceTextType, &Text);
    if (NT_SUCCESS(Status))
        Irp->IoStatus.Information = (ULONG_PTR)Text;

    return (Status == STATUS_NOT_SUPPORTED) ? Irp->IoStatus.Status : Status;
}

static PAGED_FUNCTION NTSTATUS PdoPnpQueryState(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PAGED_CODE();

    if (PdoIsMissing(Pdo))
        Irp->IoStatus.Information |= PNP_DEVICE_REMOVED;
    if (ReadAcquire(&Pdo->Failed) != FALSE)
        Irp->IoStatus.Information |= PNP_DEVICE_FAILED;

    return STATUS_SUCCESS;
}

/* The user has had the device taken out, with all that stood on it. It stays out; the toolstack may take it. */
static PAGED_FUNCTION NTSTATUS PdoPnpEject(_Inout_ PXENVIF_PDO Pdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = FdoEject(Pdo->Fdo, Pdo->Name, &Pdo->Address);
    if (!NT_SUCCESS(Status))
        return Status;

    Info("vif %u: ejected", Pdo->Number);
    PdoSetMissing(Pdo);

    return STATUS_SUCCESS;
}

/* Minor functions that change the device's state; TRUE with the answer in *Status. */
static PAGED_FUNCTION BOOLEAN PdoPnpChange(_Inout_ PXENVIF_PDO Pdo, _In_ UCHAR MinorFunction, _Out_ PNTSTATUS Status)
{
    PAGED_CODE();

    *Status = STATUS_SUCCESS;

    switch (MinorFunction) {
    case IRP_MN_START_DEVICE:
        *Status = PdoPnpStart(Pdo);
        return TRUE;

    case IRP_MN_QUERY_STOP_DEVICE:
        DeviceSetPnpState(&Pdo->Device, XENVIF_PNP_STOP_PENDING);
        return TRUE;

    case IRP_MN_CANCEL_STOP_DEVICE:
        DeviceRestorePnpState(&Pdo->Device, XENVIF_PNP_STOP_PENDING);
        return TRUE;

    case IRP_MN_STOP_DEVICE:
        *Status = PdoPnpStop(Pdo);
        return TRUE;

    case IRP_MN_QUERY_REMOVE_DEVICE:
        DeviceSetPnpState(&Pdo->Device, XENVIF_PNP_REMOVE_PENDING);
        return TRUE;

    case IRP_MN_CANCEL_REMOVE_DEVICE:
        DeviceRestorePnpState(&Pdo->Device, XENVIF_PNP_REMOVE_PENDING);
        return TRUE;

    case IRP_MN_SURPRISE_REMOVAL:
        *Status = PdoPnpSurpriseRemoval(Pdo);
        return TRUE;

    case IRP_MN_EJECT:
        *Status = PdoPnpEject(Pdo);
        return TRUE;

    default:
        return FALSE;
    }
}

/*
 * Minor functions that ask for something. What is not here (resources and requirements, of which there are none; locks;
 * configuration space; paging) is completed as it came, which says that nobody in the stack has it.
 */
static PAGED_FUNCTION NTSTATUS PdoPnpQuery(_Inout_ PXENVIF_PDO Pdo, _In_ UCHAR MinorFunction, _Inout_ PIRP Irp)
{
    PAGED_CODE();

    switch (MinorFunction) {
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        return PdoPnpQueryRelations(Pdo, Irp);

    case IRP_MN_QUERY_INTERFACE:
        return PdoPnpQueryInterface(Pdo, Irp);

    case IRP_MN_QUERY_CAPABILITIES:
        return PdoPnpQueryCapabilities(Pdo, Irp);

    case IRP_MN_QUERY_BUS_INFORMATION:
        return PdoPnpQueryBusInformation(Irp);

    case IRP_MN_QUERY_ID:
        return PdoPnpQueryId(Pdo, Irp);

    case IRP_MN_QUERY_DEVICE_TEXT:
        return PdoPnpQueryText(Pdo, Irp);

    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        return PdoPnpQueryState(Pdo, Irp);

    default:
        return Irp->IoStatus.Status;
    }
}

NTSTATUS PdoDispatchPnp(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    UCHAR MinorFunction = IoGetCurrentIrpStackLocation(Irp)->MinorFunction;
    NTSTATUS Status;

    PAGED_CODE();

    if (MinorFunction == IRP_MN_REMOVE_DEVICE)
        return PdoPnpRemove(Pdo, Irp);

    if (!PdoPnpChange(Pdo, MinorFunction, &Status))
        Status = PdoPnpQuery(Pdo, MinorFunction, Irp);

    return DriverCompleteIrp(Irp, Status);
}

/* The frontend follows the device's state: it is closed outside D0. */
static PAGED_FUNCTION VOID PdoSetDevicePower(_Inout_ PXENVIF_PDO Pdo, _In_ POWER_STATE PowerState)
{
    BOOLEAN Up = PowerState.DeviceState == PowerDeviceD0;

    PAGED_CODE();

    if (Pdo->Device.PowerState == PowerState.DeviceState)
        return;

    if (Pdo->Frontend != NULL && Up)
        FrontendPowerUp(Pdo->Frontend);
    else if (Pdo->Frontend != NULL)
        FrontendPowerDown(Pdo->Frontend);

    Pdo->Device.PowerState = PowerState.DeviceState;
    (VOID) PoSetPowerState(Pdo->Device.DeviceObject, DevicePowerState, PowerState);
}

NTSTATUS PdoDispatchPower(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);

    PAGED_CODE();

    switch (StackLocation->MinorFunction) {
    case IRP_MN_SET_POWER:
        if (StackLocation->Parameters.Power.Type != DevicePowerState)
            return DriverCompleteIrp(Irp, STATUS_SUCCESS);
        if (StackLocation->Parameters.Power.State.DeviceState == PowerDeviceD0 && FdoHasFailed(Pdo->Fdo))
            return DriverCompleteIrp(Irp, STATUS_DEVICE_POWER_FAILURE); /* the bus is off, and stays so */
        PdoSetDevicePower(Pdo, StackLocation->Parameters.Power.State);
        return DriverCompleteIrp(Irp, STATUS_SUCCESS);

    case IRP_MN_QUERY_POWER:
        return DriverCompleteIrp(Irp, STATUS_SUCCESS);

    default:
        /* The device wakes nobody. */
        return DriverCompleteIrp(Irp, Irp->IoStatus.Status);
    }
}
