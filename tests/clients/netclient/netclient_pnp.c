#include "netclient.h"

/* Passes an IRP on as it is. */
NTSTATUS NetClientForward(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Client->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Client->RemoveLock, Irp);

    return Status;
}

static NTSTATUS NTAPI NetClientForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    (VOID) KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);

    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Lets the bus have an IRP first; it is then ours to complete. */
static NTSTATUS NetClientForwardAndWait(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);

    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, NetClientForwarded, &Event, TRUE, TRUE, TRUE);

    if (IoCallDriver(Client->LowerDeviceObject, Irp) == STATUS_PENDING)
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    return Irp->IoStatus.Status;
}

static NTSTATUS NetClientPnpStart(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    Status = NetClientForwardAndWait(Client, Irp);
    if (NT_SUCCESS(Status))
        Status = NetClientStart(Client);
    if (NT_SUCCESS(Status))
        Client->PowerState = PowerDeviceD0;

    NetClientComplete(Client, Irp, Status, 0);

    return Status;
}

static NTSTATUS NetClientPnpRemove(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    UNICODE_STRING LinkName;
    NTSTATUS Status;

    NetClientStop(Client, STATUS_DELETE_PENDING);

    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCopyCurrentIrpStackLocationToNext(Irp);
    Status = IoCallDriver(Client->LowerDeviceObject, Irp);

    IoReleaseRemoveLockAndWait(&Client->RemoveLock, Irp);

    RtlInitUnicodeString(&LinkName, Client->LinkName);
    (VOID) IoDeleteSymbolicLink(&LinkName);
    IoDetachDevice(Client->LowerDeviceObject);
    IoDeleteDevice(Client->DeviceObject);

    return Status;
}

NTSTATUS NetClientPnp(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return NetClientPnpStart(Client, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return NetClientPnpRemove(Client, Irp);

    case IRP_MN_STOP_DEVICE:
        NetClientStop(Client, STATUS_CANCELLED);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return NetClientForward(Client, Irp);

    case IRP_MN_SURPRISE_REMOVAL:
        NetClientStop(Client, STATUS_DELETE_PENDING);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return NetClientForward(Client, Irp);

    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return NetClientForward(Client, Irp);

    default:
        return NetClientForward(Client, Irp);
    }
}

/* The device has changed, or has answered: the system's IRP has waited for it. */
static VOID NTAPI NetClientDeviceDone(_In_ PDEVICE_OBJECT DeviceObject, _In_ UCHAR MinorFunction,
                                      _In_ POWER_STATE PowerState, _In_opt_ PVOID Context,
                                      _In_ PIO_STATUS_BLOCK IoStatus)
{
    PIRP Irp = Context;
    PNETCLIENT Client = IoGetCurrentIrpStackLocation(Irp)->DeviceObject->DeviceExtension;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(MinorFunction);
    UNREFERENCED_PARAMETER(PowerState);

    NetClientComplete(Client, Irp, IoStatus->Status, 0);
}

/* The stack below has seen a system power IRP: we, who own the policy, let the device follow. */
static NTSTATUS NTAPI NetClientSystemForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    PNETCLIENT Client = Context;
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = Irp->IoStatus.Status;
    POWER_STATE PowerState;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (NT_SUCCESS(Status)) {
        PowerState.DeviceState =
            (StackLocation->Parameters.Power.State.SystemState == PowerSystemWorking) ? PowerDeviceD0 : PowerDeviceD3;
        Status = PoRequestPowerIrp(Client->PhysicalDeviceObject, StackLocation->MinorFunction, PowerState,
                                   NetClientDeviceDone, Irp, NULL);
        if (NT_SUCCESS(Status))
            return STATUS_MORE_PROCESSING_REQUIRED;

        Irp->IoStatus.Status = Status;
    }

    IoReleaseRemoveLock(&Client->RemoveLock, Irp);

    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS NetClientSystemPower(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;

    IoMarkIrpPending(Irp);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, NetClientSystemForwarded, Client, TRUE, TRUE, TRUE);
    (VOID) IoCallDriver(Client->LowerDeviceObject, Irp);

    return STATUS_PENDING;
}

/* Packets move in D0 only. Power IRPs come at PASSIVE_LEVEL: the device is DO_POWER_PAGABLE. */
static NTSTATUS NetClientSetDevicePower(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    POWER_STATE PowerState = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State;
    NTSTATUS Status;

    Irp->IoStatus.Status = STATUS_SUCCESS;

    if (PowerState.DeviceState != PowerDeviceD0) {
        NetClientDisable(Client);
        Client->PowerState = PowerState.DeviceState;
        (VOID) PoSetPowerState(Client->DeviceObject, DevicePowerState, PowerState);

        return NetClientForward(Client, Irp);
    }

    Status = NetClientForwardAndWait(Client, Irp);
    if (NT_SUCCESS(Status) && Client->PowerState != PowerDeviceD0) {
        if (NetClientFlag(&Client->Started))
            Status = NetClientEnable(Client);
        Client->PowerState = PowerDeviceD0;
        (VOID) PoSetPowerState(Client->DeviceObject, DevicePowerState, PowerState);
    }

    NetClientComplete(Client, Irp, Status, 0);

    return Status;
}

NTSTATUS NetClientPower(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    BOOLEAN Set = StackLocation->MinorFunction == IRP_MN_SET_POWER;
    BOOLEAN Query = StackLocation->MinorFunction == IRP_MN_QUERY_POWER;

    if ((Set || Query) && StackLocation->Parameters.Power.Type == SystemPowerState)
        return NetClientSystemPower(Client, Irp);

    if (Set)
        return NetClientSetDevicePower(Client, Irp);

    if (Query)
        Irp->IoStatus.Status = STATUS_SUCCESS;

    return NetClientForward(Client, Irp);
}
