/*
 * Power of the bus. The FDO owns its power policy: a system power IRP makes it ask for the device power IRP that goes
 * with it, D0 for a working system and D3 for any other. What coming and going of power takes is done in a work item,
 * at PASSIVE_LEVEL, while the device power IRP is pending.
 */
#include "fdo.h"

#include "log.h"

static DEVICE_POWER_STATE FdoDeviceStateFor(_In_ SYSTEM_POWER_STATE State)
{
    return State == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
}

/*
 * The device has not come back from D3: the PnP manager takes it away, and its children go with it. They close their
 * own devices first, which takes a store that answers; what a bus with clients has of Xen is all there.
 */
static VOID FdoNotBack(_In_ PXENBUS_FDO Fdo)
{
    Fdo->Failed = TRUE;
    if (Fdo->Held && !EvtchnIsForgotten())
        FdoGoOn(Fdo);
    IoInvalidateDeviceState(Fdo->PhysicalDeviceObject);
}

/* Ends a power IRP that is this device's again and was marked pending. */
static VOID FdoEndPowerIrp(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PoStartNextPowerIrp(Irp);
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    DeviceLeave(&Fdo->Device);
}

_Function_class_(REQUEST_POWER_COMPLETE)
static VOID NTAPI FdoDevicePowerDone(_In_ PDEVICE_OBJECT DeviceObject, _In_ UCHAR MinorFunction,
                                     _In_ POWER_STATE PowerState, _In_opt_ PVOID Context,
                                     _In_ PIO_STATUS_BLOCK IoStatus)
{
    PIRP SystemIrp = Context;
    PDEVICE_OBJECT Self = IoGetCurrentIrpStackLocation(SystemIrp)->DeviceObject;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(MinorFunction);
    UNREFERENCED_PARAMETER(PowerState);

    SystemIrp->IoStatus.Status = IoStatus->Status;
    FdoEndPowerIrp(Self->DeviceExtension, SystemIrp);
}

/* The lower drivers have handled a system power IRP. */
_Function_class_(IO_COMPLETION_ROUTINE)
static NTSTATUS NTAPI FdoSystemPowerForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;
    POWER_STATE State;
    NTSTATUS Status = Irp->IoStatus.Status;

    UNREFERENCED_PARAMETER(DeviceObject);

    State.DeviceState = FdoDeviceStateFor(IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State.SystemState);
    if (NT_SUCCESS(Status))
        Status = PoRequestPowerIrp(Fdo->PhysicalDeviceObject, IRP_MN_SET_POWER, State, FdoDevicePowerDone, Irp, NULL);

    if (!NT_SUCCESS(Status)) {
        Error("system power IRP (%08x)", Status);
        if (State.DeviceState == PowerDeviceD0)
            FdoNotBack(Fdo);
        Irp->IoStatus.Status = Status;
        FdoEndPowerIrp(Fdo, Irp);
    }

    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS FdoSetSystemPower(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    SYSTEM_POWER_STATE State = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State.SystemState;

    if (State != PowerSystemWorking) {
        Fdo->Asleep = (State <= PowerSystemHibernate);
        Fdo->Hibernating = (State == PowerSystemHibernate);
    }

    IoMarkIrpPending(Irp);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, FdoSystemPowerForwarded, Fdo, TRUE, TRUE, TRUE);
    (VOID) PoCallDriver(Fdo->LowerDeviceObject, Irp);

    return STATUS_PENDING;
}

/* The lower drivers have the power on. */
_Function_class_(IO_WORKITEM_ROUTINE)
static VOID NTAPI FdoPowerUpWork(_In_ PDEVICE_OBJECT DeviceObject, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;
    PIRP Irp = Fdo->PowerIrp;
    POWER_STATE State;
    NTSTATUS Status;

    Fdo->PowerIrp = NULL;

    Status = Fdo->Held ? FdoWake(Fdo) : FdoPowerUp(Fdo);
    if (NT_SUCCESS(Status)) {
        Fdo->Asleep = FALSE;
        Fdo->Hibernating = FALSE;
        Fdo->Failed = FALSE;
        State.DeviceState = PowerDeviceD0;
        (VOID) PoSetPowerState(DeviceObject, DevicePowerState, State);
    } else {
        FdoNotBack(Fdo);
    }

    Irp->IoStatus.Status = Status;
    FdoEndPowerIrp(Fdo, Irp);
}

_Function_class_(IO_COMPLETION_ROUTINE)
static NTSTATUS NTAPI FdoPowerUpForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (!NT_SUCCESS(Irp->IoStatus.Status)) {
        FdoNotBack(Fdo);
        FdoEndPowerIrp(Fdo, Irp);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }

    Fdo->PowerIrp = Irp;
    IoQueueWorkItem(Fdo->PowerWorkItem, FdoPowerUpWork, DelayedWorkQueue, Fdo);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* The lower drivers have the power off. */
_Function_class_(IO_COMPLETION_ROUTINE)
static NTSTATUS NTAPI FdoPowerDownForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    FdoEndPowerIrp(Context, Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Under another Xen the pages that this one has of the domain will be there, and only a bus that stays can tell. */
static BOOLEAN FdoMustRemember(_In_ PXENBUS_FDO Fdo)
{
    return Fdo->Hibernating && Fdo->Balloon != NULL && BalloonGetSize(Fdo->Balloon) != 0;
}

_Function_class_(IO_WORKITEM_ROUTINE)
static VOID NTAPI FdoPowerDownWork(_In_ PDEVICE_OBJECT DeviceObject, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;
    PIRP Irp = Fdo->PowerIrp;

    Fdo->PowerIrp = NULL;

    if (Fdo->Watchdog != NULL)
        WatchdogHold(Fdo->Watchdog);

    /*
     * Children go first. One that did not is still using the bus, and so is one that keeps an interface through D3 (as
     * XENVIF does): the bus does better to stay than to go under it. Xen keeps what the bus has there either way.
     */
    if (Fdo->Hibernating)
        FdoBalloonEnd(Fdo);
    if (FdoChildrenAreOff(Fdo) && !FdoHasClients(Fdo) && !FdoMustRemember(Fdo))
        FdoPowerDown(Fdo);
    else if (Fdo->Asleep)
        FdoHold(Fdo);

    (VOID) PoSetPowerState(DeviceObject, DevicePowerState, IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State);

    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, FdoPowerDownForwarded, Fdo, TRUE, TRUE, TRUE);
    (VOID) PoCallDriver(Fdo->LowerDeviceObject, Irp);
}

/* Power comes from the lower drivers first, and goes here first. */
static NTSTATUS FdoSetDevicePower(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp, _In_ DEVICE_POWER_STATE State)
{
    IoMarkIrpPending(Irp);

    if (State == PowerDeviceD0) {
        IoCopyCurrentIrpStackLocationToNext(Irp);
        IoSetCompletionRoutine(Irp, FdoPowerUpForwarded, Fdo, TRUE, TRUE, TRUE);
        (VOID) PoCallDriver(Fdo->LowerDeviceObject, Irp);
    } else {
        Fdo->PowerIrp = Irp;
        IoQueueWorkItem(Fdo->PowerWorkItem, FdoPowerDownWork, DelayedWorkQueue, Fdo);
    }

    return STATUS_PENDING;
}

static NTSTATUS FdoPassPower(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PoStartNextPowerIrp(Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    Status = PoCallDriver(Fdo->LowerDeviceObject, Irp);
    DeviceLeave(&Fdo->Device);

    return Status;
}

/* Whether a change of the device's state means work: it is started, and not in that state already. */
static BOOLEAN FdoPowerChanges(_In_ PXENBUS_FDO Fdo, _In_ DEVICE_POWER_STATE State)
{
    if (!Fdo->Active || Fdo->Resources == NULL)
        return FALSE;

    return (State == PowerDeviceD0) != (Fdo->Powered && !Fdo->Held);
}

NTSTATUS FdoDispatchPower(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    Trace("minor function %02x", Location->MinorFunction);

    if (Location->MinorFunction != IRP_MN_SET_POWER)
        return FdoPassPower(Fdo, Irp);

    if (Location->Parameters.Power.Type == SystemPowerState)
        return FdoSetSystemPower(Fdo, Irp);

    if (FdoPowerChanges(Fdo, Location->Parameters.Power.State.DeviceState))
        return FdoSetDevicePower(Fdo, Irp, Location->Parameters.Power.State.DeviceState);

    return FdoPassPower(Fdo, Irp);
}
