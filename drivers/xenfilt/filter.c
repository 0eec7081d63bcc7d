#include "filter_private.h"

#include "driver.h"
#include "irp.h"
#include "log.h"

PAGED_FUNCTION NTSTATUS FilterCreate(_In_ PDEVICE_OBJECT PhysicalDeviceObject, _In_ XENFILT_KIND Kind,
                                     _In_opt_ PXENFILT_FILTER Bus, _Outptr_ PXENFILT_FILTER *Filter)
{
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT Lower;
    NTSTATUS Status;

    PAGED_CODE();

    Status = IoCreateDevice(DriverGetObject(), sizeof(XENFILT_FILTER), NULL, FILE_DEVICE_UNKNOWN,
                            FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;

    *Filter = DeviceObject->DeviceExtension;
    RtlZeroMemory(*Filter, sizeof(XENFILT_FILTER));
    (*Filter)->DeviceObject = DeviceObject;
    (*Filter)->PhysicalDeviceObject = PhysicalDeviceObject;
    (*Filter)->Kind = Kind;
    (*Filter)->IsBus = (Bus == NULL);
    (*Filter)->Bus = Bus;
    IoInitializeRemoveLock(&(*Filter)->RemoveLock, FILTER_TAG, 0, 0);
    KeInitializeMutex(&(*Filter)->Mutex, 0);
    InitializeListHead(&(*Filter)->Children);

    Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Lower == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    (*Filter)->LowerDeviceObject = Lower;

    /* A filter looks like what it is above. */
    DeviceObject->DeviceType = Lower->DeviceType;
    DeviceObject->Characteristics = Lower->Characteristics;
    DeviceObject->Flags |= Lower->Flags & (DO_BUFFERED_IO | DO_DIRECT_IO | DO_POWER_PAGABLE | DO_POWER_INRUSH);
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID FilterDestroy(_In_ PXENFILT_FILTER Filter)
{
    PAGED_CODE();

    IoDetachDevice(Filter->LowerDeviceObject);
    IoDeleteDevice(Filter->DeviceObject);
}

static NTSTATUS FilterComplete(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp, _In_ NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Filter->RemoveLock, Irp);

    return Status;
}

static NTSTATUS FilterPass(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Filter->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Filter->RemoveLock, Irp);

    return Status;
}

static NTSTATUS FilterRefuse(_In_ PIRP Irp, _In_ NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);

    return Status;
}

PAGED_FUNCTION static NTSTATUS FilterBusRelations(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = IrpForwardAndWait(Filter->LowerDeviceObject, Irp);
    if (NT_SUCCESS(Status))
        FilterBusReported(Filter, (const DEVICE_RELATIONS *)Irp->IoStatus.Information);

    return FilterComplete(Filter, Irp, Status);
}

PAGED_FUNCTION static NTSTATUS FilterQueryId(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp, _In_ BUS_QUERY_ID_TYPE Type)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = IrpForwardAndWait(Filter->LowerDeviceObject, Irp);
    if (NT_SUCCESS(Status))
        FilterChildIdentified(Filter, Type, (PCWSTR)Irp->IoStatus.Information);

    return FilterComplete(Filter, Irp, Status);
}

PAGED_FUNCTION static NTSTATUS FilterUsageNotification(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = IrpForwardAndWait(Filter->LowerDeviceObject, Irp);
    if (NT_SUCCESS(Status)) {
        Filter->DeviceObject->Flags &= ~DO_POWER_PAGABLE;
        Filter->DeviceObject->Flags |= Filter->LowerDeviceObject->Flags & DO_POWER_PAGABLE;
    }

    return FilterComplete(Filter, Irp, Status);
}

PAGED_FUNCTION static NTSTATUS FilterRemoveBus(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    IoReleaseRemoveLockAndWait(&Filter->RemoveLock, Irp);

    FilterBusGone(Filter);

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Filter->LowerDeviceObject, Irp);

    FilterDestroy(Filter);
    return Status;
}

PAGED_FUNCTION static NTSTATUS FilterRemoveChild(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    PAGED_CODE();

    IoReleaseRemoveLockAndWait(&Filter->RemoveLock, Irp);

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Filter->LowerDeviceObject, Irp);

    FilterChildGone(Filter);
    return Status;
}

PAGED_FUNCTION static NTSTATUS FilterQueryInterface(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp,
                                                    _In_ PIO_STACK_LOCATION Location)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (!IsEqualGUID(Location->Parameters.QueryInterface.InterfaceType, &GUID_XENFILT_EMULATED_INTERFACE))
        return FilterPass(Filter, Irp);

    Status =
        EmulatedGetInterface(DriverGetEmulated(), Location->Parameters.QueryInterface.Version,
                             Location->Parameters.QueryInterface.Interface, Location->Parameters.QueryInterface.Size);

    return FilterComplete(Filter, Irp, Status);
}

PAGED_FUNCTION static NTSTATUS FilterBusPnp(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp,
                                            _In_ PIO_STACK_LOCATION Location)
{
    PAGED_CODE();

    switch (Location->MinorFunction) {
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (Location->Parameters.QueryDeviceRelations.Type == BusRelations)
            return FilterBusRelations(Filter, Irp);
        return FilterPass(Filter, Irp);

    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        return FilterUsageNotification(Filter, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return FilterRemoveBus(Filter, Irp);

    default:
        return FilterPass(Filter, Irp);
    }
}

PAGED_FUNCTION static NTSTATUS FilterChildPnp(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp,
                                              _In_ PIO_STACK_LOCATION Location)
{
    PAGED_CODE();

    switch (Location->MinorFunction) {
    case IRP_MN_QUERY_ID:
        return FilterQueryId(Filter, Irp, Location->Parameters.QueryId.IdType);

    case IRP_MN_QUERY_INTERFACE:
        return FilterQueryInterface(Filter, Irp, Location);

    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        return FilterUsageNotification(Filter, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return FilterRemoveChild(Filter, Irp);

    default:
        return FilterPass(Filter, Irp);
    }
}

PAGED_FUNCTION NTSTATUS FilterDispatchPnp(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status;

    PAGED_CODE();

    Status = IoAcquireRemoveLock(&Filter->RemoveLock, Irp);
    if (!NT_SUCCESS(Status))
        return FilterRefuse(Irp, Status);

    return Filter->IsBus ? FilterBusPnp(Filter, Irp, Location) : FilterChildPnp(Filter, Irp, Location);
}

NTSTATUS FilterDispatchPower(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Filter->RemoveLock, Irp);
    if (!NT_SUCCESS(Status))
        return FilterRefuse(Irp, Status);

    IoSkipCurrentIrpStackLocation(Irp);
    Status = PoCallDriver(Filter->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Filter->RemoveLock, Irp);

    return Status;
}

NTSTATUS FilterDispatchOther(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp)
{
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Filter->RemoveLock, Irp);
    if (!NT_SUCCESS(Status))
        return FilterRefuse(Irp, Status);

    return FilterPass(Filter, Irp);
}
