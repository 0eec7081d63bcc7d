/*
 * Power of the bus. We are the policy owner: a change of the system's state is followed, once the stack below has seen
 * it, by one of the device's, and ends with it. The bus has no state of its own to save: its children close and
 * reopen their devices themselves.
 */
#include "bug.h"
#include "fdo_private.h"

static DEVICE_POWER_STATE FdoDeviceState(_In_ SYSTEM_POWER_STATE SystemState)
{
    return (SystemState == PowerSystemWorking) ? PowerDeviceD0 : PowerDeviceD3;
}

/*
 * A device that was to come back from D3 and has not is off for good: the PnP manager takes it away, and its children
 * go with it.
 */
static VOID FdoNotChanged(_Inout_ PXENVIF_FDO Fdo, _In_ UCHAR MinorFunction, _In_ POWER_STATE PowerState)
{
    if (MinorFunction != IRP_MN_SET_POWER || PowerState.DeviceState != PowerDeviceD0)
        return;

    Fdo->Failed = TRUE;
    IoInvalidateDeviceState(Fdo->PhysicalDeviceObject);
}

/* The device has changed, or has answered: so has the system's IRP, which has waited for it. */
static VOID NTAPI FdoDeviceDone(_In_ PDEVICE_OBJECT DeviceObject, _In_ UCHAR MinorFunction, _In_ POWER_STATE PowerState,
                                _In_opt_ PVOID Context, _In_ PIO_STATUS_BLOCK IoStatus)
{
    PIRP Irp = Context;
    PXENVIF_FDO Fdo = IoGetCurrentIrpStackLocation(Irp)->DeviceObject->DeviceExtension;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (!NT_SUCCESS(IoStatus->Status))
        FdoNotChanged(Fdo, MinorFunction, PowerState);

    (VOID) DriverCompleteIrp(Irp, IoStatus->Status);
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);
}

/* The stack below has seen a system power IRP. */
static NTSTATUS NTAPI FdoSystemForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    PXENVIF_FDO Fdo = Context;
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    POWER_STATE PowerState;
    NTSTATUS Status = Irp->IoStatus.Status;

    UNREFERENCED_PARAMETER(DeviceObject);

    PowerState.DeviceState = FdoDeviceState(StackLocation->Parameters.Power.State.SystemState);

    if (NT_SUCCESS(Status))
        Status = PoRequestPowerIrp(Fdo->PhysicalDeviceObject, StackLocation->MinorFunction, PowerState, FdoDeviceDone,
                                   Irp, NULL);
    if (NT_SUCCESS(Status))
        return STATUS_MORE_PROCESSING_REQUIRED;

    FdoNotChanged(Fdo, StackLocation->MinorFunction, PowerState);
    Irp->IoStatus.Status = Status;
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);

    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS FdoSystemPower(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;

    IoMarkIrpPending(Irp);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, FdoSystemForwarded, Fdo, TRUE, TRUE, TRUE);
    (VOID) IoCallDriver(Fdo->LowerDeviceObject, Irp);

    return STATUS_PENDING;
}

/* The stack below has powered the device up. */
static NTSTATUS NTAPI FdoDeviceForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    PXENVIF_FDO Fdo = Context;
    POWER_STATE PowerState = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (Irp->PendingReturned)
        IoMarkIrpPending(Irp);

    if (NT_SUCCESS(Irp->IoStatus.Status)) {
        Fdo->Device.PowerState = PowerState.DeviceState;
        (VOID) PoSetPowerState(Fdo->Device.DeviceObject, DevicePowerState, PowerState);
    }

    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);

    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS FdoSetDevicePower(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    POWER_STATE PowerState = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State;
    NTSTATUS Status;

    Irp->IoStatus.Status = STATUS_SUCCESS;

    if (PowerState.DeviceState < Fdo->Device.PowerState) {
        IoCopyCurrentIrpStackLocationToNext(Irp);
        IoSetCompletionRoutine(Irp, FdoDeviceForwarded, Fdo, TRUE, TRUE, TRUE);

        return IoCallDriver(Fdo->LowerDeviceObject, Irp);
    }

    Fdo->Device.PowerState = PowerState.DeviceState;
    (VOID) PoSetPowerState(Fdo->Device.DeviceObject, DevicePowerState, PowerState);

    Status = FdoForward(Fdo, Irp);
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);

    return Status;
}

NTSTATUS FdoDispatchPower(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    BOOLEAN Set = StackLocation->MinorFunction == IRP_MN_SET_POWER;
    BOOLEAN Query = StackLocation->MinorFunction == IRP_MN_QUERY_POWER;
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Fdo->RemoveLock, Irp);
    if (!NT_SUCCESS(Status))
        return DriverCompleteIrp(Irp, Status);

    /* Each of these gives the lock back when the IRP is done with. */
    if ((Set || Query) && StackLocation->Parameters.Power.Type == SystemPowerState)
        return FdoSystemPower(Fdo, Irp);

    if (Set)
        return FdoSetDevicePower(Fdo, Irp);

    if (Query)
        Irp->IoStatus.Status = STATUS_SUCCESS;

    Status = FdoForward(Fdo, Irp);
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);

    return Status;
}
