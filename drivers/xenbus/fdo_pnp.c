#include "fdo.h"

#include "irp.h"
#include "log.h"

static NTSTATUS FdoPass(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    return DevicePass(&Fdo->Device, Fdo->LowerDeviceObject, Irp);
}

static NTSTATUS FdoComplete(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp, _In_ NTSTATUS Status)
{
    return DeviceComplete(&Fdo->Device, Irp, Status);
}

/* Done here, and the lower drivers have their turn. */
static NTSTATUS FdoSucceedAndPass(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;
    return FdoPass(Fdo, Irp);
}

PAGED_FUNCTION static NTSTATUS FdoStartDevice(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = IrpForwardAndWait(Fdo->LowerDeviceObject, Irp);
    if (NT_SUCCESS(Status))
        Status = FdoStart(Fdo, IoGetCurrentIrpStackLocation(Irp));
    if (NT_SUCCESS(Status))
        DeviceSetPnpState(&Fdo->Device, XENBUS_PNP_STARTED);
    Fdo->Failed = !NT_SUCCESS(Status);

    return FdoComplete(Fdo, Irp, Status);
}

/* Somebody holds what would go with the bus's power, and no child is started that could let go of it. */
PAGED_FUNCTION static BOOLEAN FdoIsHeld(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    if (!FdoChildrenAreStopped(Fdo) || !FdoHasClients(Fdo))
        return FALSE;

    Warning("the bus stays: a client without a device holds interfaces of it");
    return TRUE;
}

PAGED_FUNCTION static NTSTATUS FdoQueryStop(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PAGED_CODE();

    /* A child that is started may hold what would go with the bus's power. */
    if (Fdo->UsageCount != 0 || !FdoChildrenAreIdle(Fdo) || FdoIsHeld(Fdo))
        return FdoComplete(Fdo, Irp, STATUS_DEVICE_BUSY);

    DeviceSetPnpState(&Fdo->Device, XENBUS_PNP_STOP_PENDING);
    return FdoSucceedAndPass(Fdo, Irp);
}

PAGED_FUNCTION static NTSTATUS FdoStopDevice(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PAGED_CODE();

    FdoStop(Fdo);

    DeviceSetPnpState(&Fdo->Device, XENBUS_PNP_STOPPED);
    return FdoSucceedAndPass(Fdo, Irp);
}

PAGED_FUNCTION static NTSTATUS FdoQueryRemove(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PAGED_CODE();

    if (Fdo->UsageCount != 0 || FdoIsHeld(Fdo))
        return FdoComplete(Fdo, Irp, STATUS_DEVICE_BUSY);

    /* Nobody would ask Xen for those pages again. */
    if (Fdo->Balloon != NULL && !BalloonCanEmpty(Fdo->Balloon)) {
        Warning("the bus stays: Xen would not give %llu pages back", BalloonGetSize(Fdo->Balloon));
        return FdoComplete(Fdo, Irp, STATUS_DEVICE_BUSY);
    }

    DeviceSetPnpState(&Fdo->Device, XENBUS_PNP_REMOVE_PENDING);
    return FdoSucceedAndPass(Fdo, Irp);
}

/* The lower drivers are back where they were before this device may be. */
PAGED_FUNCTION static NTSTATUS FdoCancel(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp, _In_ XENBUS_PNP_STATE State)
{
    PAGED_CODE();

    Irp->IoStatus.Status = STATUS_SUCCESS;
    (VOID) IrpForwardAndWait(Fdo->LowerDeviceObject, Irp);

    DeviceRestorePnpState(&Fdo->Device, State);
    return FdoComplete(Fdo, Irp, STATUS_SUCCESS);
}

PAGED_FUNCTION static NTSTATUS FdoSurpriseRemoval(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PAGED_CODE();

    DeviceSetPnpState(&Fdo->Device, XENBUS_PNP_SURPRISE_REMOVED);

    /* Children that are still started are removed before REMOVE_DEVICE comes: what they use stays until then. */
    if (FdoChildrenAreIdle(Fdo))
        FdoStop(Fdo);

    return FdoSucceedAndPass(Fdo, Irp);
}

PAGED_FUNCTION static NTSTATUS FdoRemoveDevice(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    DeviceDrain(&Fdo->Device);

    FdoStop(Fdo);

    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Fdo->LowerDeviceObject, Irp);

    FdoDestroy(Fdo);
    return Status;
}

PAGED_FUNCTION static NTSTATUS FdoQueryDeviceRelations(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp,
                                                       _In_ PIO_STACK_LOCATION Location)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (Location->Parameters.QueryDeviceRelations.Type != BusRelations || !Fdo->Active)
        return FdoPass(Fdo, Irp);

    Status = FdoChildrenReport(Fdo, Irp);
    if (!NT_SUCCESS(Status))
        return FdoComplete(Fdo, Irp, Status);

    return FdoSucceedAndPass(Fdo, Irp);
}

/* Asks for a message interrupt for each processor, beyond what the PCI bus has found. */
PAGED_FUNCTION static NTSTATUS FdoFilterRequirements(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PIO_RESOURCE_REQUIREMENTS_LIST Requirements;
    PIO_RESOURCE_REQUIREMENTS_LIST Extended;
    NTSTATUS Status;

    PAGED_CODE();

    if (!Fdo->Active || !Fdo->EvtchnOptions.UseUpcall)
        return FdoPass(Fdo, Irp);

    Status = IrpForwardAndWait(Fdo->LowerDeviceObject, Irp);
    if (!NT_SUCCESS(Status) && Status != STATUS_NOT_SUPPORTED)
        return FdoComplete(Fdo, Irp, Status);

    /* The list in the status block is the one in force, and who replaces it frees it. NULL: no resources. */
    Requirements = (PIO_RESOURCE_REQUIREMENTS_LIST)Irp->IoStatus.Information;
    if (Requirements == NULL)
        return FdoComplete(Fdo, Irp, Status);

    Status = ResourceAddMessages(Requirements, &Extended);
    if (!NT_SUCCESS(Status))
        return FdoComplete(Fdo, Irp, Status);

    ExFreePool(Requirements);

    Irp->IoStatus.Information = (ULONG_PTR)Extended;
    return FdoComplete(Fdo, Irp, STATUS_SUCCESS);
}

/* A paging, hibernation or dump file comes to lie on the bus, or goes: while there is one the bus must stay. */
PAGED_FUNCTION static NTSTATUS FdoUsageNotification(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp,
                                                    _In_ PIO_STACK_LOCATION Location)
{
    BOOLEAN InPath = Location->Parameters.UsageNotification.InPath;
    PDEVICE_OBJECT DeviceObject = Fdo->Device.DeviceObject;
    NTSTATUS Status;

    PAGED_CODE();

    Status = IrpForwardAndWait(Fdo->LowerDeviceObject, Irp);
    if (NT_SUCCESS(Status)) {
        if (InPath)
            Fdo->UsageCount++;
        else
            --Fdo->UsageCount;

        DeviceObject->Flags &= ~DO_POWER_PAGABLE;
        DeviceObject->Flags |= Fdo->LowerDeviceObject->Flags & DO_POWER_PAGABLE;

        IoInvalidateDeviceState(Fdo->PhysicalDeviceObject);
    }

    return FdoComplete(Fdo, Irp, Status);
}

PAGED_FUNCTION static NTSTATUS FdoQueryPnpDeviceState(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PAGED_CODE();

    if (Fdo->UsageCount == 0 && !Fdo->Failed)
        return FdoPass(Fdo, Irp);

    if (Fdo->UsageCount != 0)
        Irp->IoStatus.Information |= PNP_DEVICE_NOT_DISABLEABLE;
    if (Fdo->Failed)
        Irp->IoStatus.Information |= PNP_DEVICE_FAILED;

    return FdoSucceedAndPass(Fdo, Irp);
}

PAGED_FUNCTION NTSTATUS FdoDispatchPnp(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);

    PAGED_CODE();

    Trace("minor function %02x", Location->MinorFunction);

    switch (Location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return FdoStartDevice(Fdo, Irp);

    case IRP_MN_QUERY_STOP_DEVICE:
        return FdoQueryStop(Fdo, Irp);

    case IRP_MN_CANCEL_STOP_DEVICE:
        return FdoCancel(Fdo, Irp, XENBUS_PNP_STOP_PENDING);

    case IRP_MN_STOP_DEVICE:
        return FdoStopDevice(Fdo, Irp);

    case IRP_MN_QUERY_REMOVE_DEVICE:
        return FdoQueryRemove(Fdo, Irp);

    case IRP_MN_CANCEL_REMOVE_DEVICE:
        return FdoCancel(Fdo, Irp, XENBUS_PNP_REMOVE_PENDING);

    case IRP_MN_SURPRISE_REMOVAL:
        return FdoSurpriseRemoval(Fdo, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return FdoRemoveDevice(Fdo, Irp);

    case IRP_MN_QUERY_DEVICE_RELATIONS:
        return FdoQueryDeviceRelations(Fdo, Irp, Location);

    case IRP_MN_FILTER_RESOURCE_REQUIREMENTS:
        return FdoFilterRequirements(Fdo, Irp);

    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        return FdoUsageNotification(Fdo, Irp, Location);

    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        return FdoQueryPnpDeviceState(Fdo, Irp);

    default:
        /* The bus has nothing to add: interfaces, capabilities, IDs, texts, resources are the PCI bus's. */
        return FdoPass(Fdo, Irp);
    }
}
