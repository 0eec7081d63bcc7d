#include "bug.h"
#include "fdo_private.h"
#include "irp.h"
#include "pdo.h"

/* Passes a request on that nobody refuses. */
static NTSTATUS FdoForwardSuccess(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;

    return FdoForward(Fdo, Irp);
}

static PAGED_FUNCTION NTSTATUS FdoPnpStart(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    POWER_STATE PowerState;
    NTSTATUS Status;

    PAGED_CODE();

    Status = IrpForwardAndWait(Fdo->LowerDeviceObject, Irp);
    if (NT_SUCCESS(Status))
        Status = FdoStart(Fdo);

    if (NT_SUCCESS(Status)) {
        PowerState.DeviceState = PowerDeviceD0;
        (VOID) PoSetPowerState(Fdo->Device.DeviceObject, DevicePowerState, PowerState);
        Fdo->Device.PowerState = PowerDeviceD0;
        Fdo->Failed = FALSE;
        DeviceSetPnpState(&Fdo->Device, XENVIF_PNP_STARTED);
    }

    return DriverCompleteIrp(Irp, Status);
}

/* The stack below must have gone back first: until then our children must not hope. */
static PAGED_FUNCTION NTSTATUS FdoPnpCancel(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp, _In_ XENVIF_PNP_STATE Pending)
{
    PAGED_CODE();

    Irp->IoStatus.Status = STATUS_SUCCESS;
    (VOID) IrpForwardAndWait(Fdo->LowerDeviceObject, Irp);
    DeviceRestorePnpState(&Fdo->Device, Pending);

    return DriverCompleteIrp(Irp, STATUS_SUCCESS);
}

static PAGED_FUNCTION NTSTATUS FdoPnpStop(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    PAGED_CODE();

    FdoStop(Fdo);
    DeviceSetPnpState(&Fdo->Device, XENVIF_PNP_STOPPED);

    return FdoForwardSuccess(Fdo, Irp);
}

static PAGED_FUNCTION NTSTATUS FdoPnpSurpriseRemoval(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    PAGED_CODE();

    FdoStop(Fdo);
    DeviceSetPnpState(&Fdo->Device, XENVIF_PNP_SURPRISE_REMOVED);

    return FdoForwardSuccess(Fdo, Irp);
}

static PAGED_FUNCTION NTSTATUS FdoPnpRemove(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    /* Only when the thread is no more: it may ask. */
    FdoStop(Fdo);
    FdoWithdrawUnplug(Fdo);
    DeviceSetPnpState(&Fdo->Device, XENVIF_PNP_REMOVED);

    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCopyCurrentIrpStackLocationToNext(Irp);
    Status = IoCallDriver(Fdo->LowerDeviceObject, Irp);

    /* Gives back what FdoDispatchPnp took for this IRP, and waits for the others. */
    IoReleaseRemoveLockAndWait(&Fdo->RemoveLock, Irp);
    FdoDestroy(Fdo);

    return Status;
}

static PAGED_FUNCTION NTSTATUS FdoPnpQueryRelations(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    PDEVICE_RELATIONS Relations = (PDEVICE_RELATIONS)Irp->IoStatus.Information;
    NTSTATUS Status;

    PAGED_CODE();

    if (StackLocation->Parameters.QueryDeviceRelations.Type != BusRelations)
        return FdoForward(Fdo, Irp);

    Status = FdoAddRelations(Fdo, &Relations);
    if (!NT_SUCCESS(Status))
        return DriverCompleteIrp(Irp, Status);

    Irp->IoStatus.Information = (ULONG_PTR)Relations;

    return FdoForwardSuccess(Fdo, Irp);
}

/* What the stack below says of itself holds; the bus adds nothing to it. */
static PAGED_FUNCTION NTSTATUS FdoPnpOther(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    PAGED_CODE();

    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_QUERY_STOP_DEVICE:
        /* A child whose own stack has not agreed to stop would find its bus gone. */
        if (FdoHasStartedChild(Fdo))
            return DriverCompleteIrp(Irp, STATUS_DEVICE_BUSY);
        DeviceSetPnpState(&Fdo->Device, XENVIF_PNP_STOP_PENDING);
        return FdoForwardSuccess(Fdo, Irp);

    case IRP_MN_CANCEL_STOP_DEVICE:
        return FdoPnpCancel(Fdo, Irp, XENVIF_PNP_STOP_PENDING);

    case IRP_MN_QUERY_REMOVE_DEVICE:
        DeviceSetPnpState(&Fdo->Device, XENVIF_PNP_REMOVE_PENDING);
        return FdoForwardSuccess(Fdo, Irp);

    case IRP_MN_CANCEL_REMOVE_DEVICE:
        return FdoPnpCancel(Fdo, Irp, XENVIF_PNP_REMOVE_PENDING);

    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        if (!Fdo->Failed)
            return FdoForward(Fdo, Irp);
        Irp->IoStatus.Information |= PNP_DEVICE_FAILED;
        return FdoForwardSuccess(Fdo, Irp);

    default:
        return FdoForward(Fdo, Irp);
    }
}

NTSTATUS FdoDispatchPnp(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = IoAcquireRemoveLock(&Fdo->RemoveLock, Irp);
    if (!NT_SUCCESS(Status))
        return DriverCompleteIrp(Irp, Status);

    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        Status = FdoPnpStart(Fdo, Irp);
        break;

    case IRP_MN_STOP_DEVICE:
        Status = FdoPnpStop(Fdo, Irp);
        break;

    case IRP_MN_SURPRISE_REMOVAL:
        Status = FdoPnpSurpriseRemoval(Fdo, Irp);
        break;

    case IRP_MN_REMOVE_DEVICE:
        return FdoPnpRemove(Fdo, Irp);

    case IRP_MN_QUERY_DEVICE_RELATIONS:
        Status = FdoPnpQueryRelations(Fdo, Irp);
        break;

    default:
        Status = FdoPnpOther(Fdo, Irp);
        break;
    }

    /* The tag is a number by now: the IRP may be complete and gone. */
    IoReleaseRemoveLock(&Fdo->RemoveLock, Irp);

    return Status;
}
