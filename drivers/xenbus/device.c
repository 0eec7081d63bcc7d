#include "device.h"

#include "bug.h"

VOID DeviceInitialize(_Out_ PXENBUS_DEVICE Device, _In_ XENBUS_DEVICE_KIND Kind, _In_ PDEVICE_OBJECT DeviceObject)
{
    Device->Kind = Kind;
    Device->DeviceObject = DeviceObject;
    Device->PnpState = XENBUS_PNP_ADDED;
    Device->PreviousPnpState = XENBUS_PNP_ADDED;
    ExInitializeRundownProtection(&Device->Irps);
}

BOOLEAN DeviceEnter(_Inout_ PXENBUS_DEVICE Device)
{
    return ExAcquireRundownProtection(&Device->Irps);
}

VOID DeviceLeave(_Inout_ PXENBUS_DEVICE Device)
{
    ExReleaseRundownProtection(&Device->Irps);
}

PAGED_FUNCTION VOID DeviceDrain(_Inout_ PXENBUS_DEVICE Device)
{
    PAGED_CODE();

    DeviceLeave(Device);
    ExWaitForRundownProtectionRelease(&Device->Irps);
}

PAGED_FUNCTION VOID DeviceReset(_Inout_ PXENBUS_DEVICE Device)
{
    PAGED_CODE();

    Device->PnpState = XENBUS_PNP_ADDED;
    Device->PreviousPnpState = XENBUS_PNP_ADDED;
    ExReInitializeRundownProtection(&Device->Irps);
}

VOID DeviceSetPnpState(_Inout_ PXENBUS_DEVICE Device, _In_ XENBUS_PNP_STATE State)
{
    Device->PreviousPnpState = Device->PnpState;
    Device->PnpState = State;
}

VOID DeviceRestorePnpState(_Inout_ PXENBUS_DEVICE Device, _In_ XENBUS_PNP_STATE State)
{
    if (Device->PnpState == State)
        Device->PnpState = Device->PreviousPnpState;
}

NTSTATUS DeviceComplete(_In_ PXENBUS_DEVICE Device, _In_ PIRP Irp, _In_ NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    DeviceLeave(Device);

    return Status;
}

NTSTATUS DevicePass(_In_ PXENBUS_DEVICE Device, _In_ PDEVICE_OBJECT Lower, _In_ PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Lower, Irp);
    DeviceLeave(Device);

    return Status;
}

PAGED_FUNCTION NTSTATUS DeviceSendPnp(_In_ PDEVICE_OBJECT Target, _In_ const IO_STACK_LOCATION *Location,
                                      _Out_opt_ PULONG_PTR Information)
{
    IO_STATUS_BLOCK IoStatus;
    PIO_STACK_LOCATION Next;
    KEVENT Event;
    PIRP Irp;
    NTSTATUS Status;

    PAGED_CODE();

    if (Information != NULL)
        *Information = 0;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    RtlZeroMemory(&IoStatus, sizeof(IoStatus));

    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, Target, NULL, 0, NULL, &Event, &IoStatus);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Next = IoGetNextIrpStackLocation(Irp);
    Next->MinorFunction = Location->MinorFunction;
    Next->Parameters = Location->Parameters;

    /* Who does not know a PnP IRP leaves this as it is. */
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    Status = IoCallDriver(Target, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = IoStatus.Status;
    }

    if (NT_SUCCESS(Status) && Information != NULL)
        *Information = IoStatus.Information;

    return Status;
}
