/* Driver and device of the guest agent. */
#include <ntddk.h>

#include <initguid.h>

#include "agent.h"

VOID AgentComplete(_Inout_ PAGENT Agent, _Inout_ PIRP Irp, _In_ NTSTATUS Status, _In_ ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Agent->RemoveLock, Irp);
}

NTSTATUS AgentForward(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Agent->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Agent->RemoveLock, Irp);

    return Status;
}

static NTSTATUS NTAPI AgentForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    (VOID) KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);

    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Lets the bus have an IRP first; it is then ours to complete. */
NTSTATUS AgentForwardAndWait(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);

    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, AgentForwarded, &Event, TRUE, TRUE, TRUE);

    if (IoCallDriver(Agent->LowerDeviceObject, Irp) == STATUS_PENDING)
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    return Irp->IoStatus.Status;
}

static NTSTATUS AgentQueryStore(_Inout_ PAGENT Agent)
{
    KEVENT Event;
    IO_STATUS_BLOCK StatusBlock;
    PIO_STACK_LOCATION StackLocation;
    NTSTATUS Status;
    PIRP Irp;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);

    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, Agent->LowerDeviceObject, NULL, 0, NULL, &Event, &StatusBlock);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    StackLocation = IoGetNextIrpStackLocation(Irp);
    StackLocation->MinorFunction = IRP_MN_QUERY_INTERFACE;
    StackLocation->Parameters.QueryInterface.InterfaceType = &GUID_XENBUS_STORE_INTERFACE;
    StackLocation->Parameters.QueryInterface.Size = sizeof(XENBUS_STORE_INTERFACE);
    StackLocation->Parameters.QueryInterface.Version = XENBUS_STORE_INTERFACE_VERSION_MAX;
    StackLocation->Parameters.QueryInterface.Interface = &Agent->Store.Interface;
    StackLocation->Parameters.QueryInterface.InterfaceSpecificData = NULL;
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    Status = IoCallDriver(Agent->LowerDeviceObject, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = StatusBlock.Status;
    }

    return Status;
}

static NTSTATUS AgentStart(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    Status = AgentForwardAndWait(Agent, Irp);
    if (NT_SUCCESS(Status))
        Status = AgentQueryStore(Agent);
    if (NT_SUCCESS(Status))
        Status = AgentListen(Agent);
    if (NT_SUCCESS(Status))
        Agent->PowerState = PowerDeviceD0;

    AgentComplete(Agent, Irp, Status, 0);

    return Status;
}

static NTSTATUS AgentRemove(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    AgentIgnore(Agent);
    AgentEndThread(Agent);
    AgentRefuse(Agent);

    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Agent->LowerDeviceObject, Irp);

    IoReleaseRemoveLockAndWait(&Agent->RemoveLock, Irp);
    IoDetachDevice(Agent->LowerDeviceObject);
    IoDeleteDevice(Agent->DeviceObject);

    return Status;
}

static NTSTATUS AgentPnp(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return AgentStart(Agent, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return AgentRemove(Agent, Irp);

    case IRP_MN_STOP_DEVICE:
        AgentIgnore(Agent);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return AgentForward(Agent, Irp);

    case IRP_MN_QUERY_REMOVE_DEVICE: /* who waits has the device open: it is told in time to close it */
    case IRP_MN_SURPRISE_REMOVAL:
        if (IoGetCurrentIrpStackLocation(Irp)->MinorFunction == IRP_MN_SURPRISE_REMOVAL)
            AgentIgnore(Agent);
        AgentRefuse(Agent);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return AgentForward(Agent, Irp);

    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return AgentForward(Agent, Irp);

    default:
        return AgentForward(Agent, Irp);
    }
}

static NTSTATUS AgentControl(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = STATUS_SUCCESS;

    if (StackLocation->Parameters.DeviceIoControl.IoControlCode != IOCTL_AGENT_WAIT)
        Status = STATUS_INVALID_DEVICE_REQUEST;
    else if (StackLocation->Parameters.DeviceIoControl.OutputBufferLength < sizeof(ULONG))
        Status = STATUS_BUFFER_TOO_SMALL;
    if (NT_SUCCESS(Status))
        return AgentWait(Agent, Irp);

    AgentComplete(Agent, Irp, Status, 0);

    return Status;
}

static NTSTATUS NTAPI AgentDispatch(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PAGENT Agent = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Agent->RemoveLock, Irp);
    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        Irp->IoStatus.Information = 0;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }

    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_PNP:
        return AgentPnp(Agent, Irp);

    case IRP_MJ_POWER:
        return AgentPower(Agent, Irp);

    case IRP_MJ_DEVICE_CONTROL:
        return AgentControl(Agent, Irp);

    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        AgentComplete(Agent, Irp, STATUS_SUCCESS, 0);
        return STATUS_SUCCESS;

    default:
        return AgentForward(Agent, Irp);
    }
}

static NTSTATUS NTAPI AgentAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(AGENT_DEVICE_NAME);
    PDEVICE_OBJECT DeviceObject;
    PAGENT Agent;
    NTSTATUS Status;

    Status = IoCreateDevice(DriverObject, sizeof(AGENT), &Name, AGENT_DEVICE_TYPE, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;

    Agent = DeviceObject->DeviceExtension;
    RtlZeroMemory(Agent, sizeof(AGENT));
    Agent->DeviceObject = DeviceObject;
    Agent->PhysicalDeviceObject = PhysicalDeviceObject;
    Agent->PowerState = PowerDeviceD3;
    IoInitializeRemoveLock(&Agent->RemoveLock, AGENT_TAG, 0, 0);
    KeInitializeEvent(&Agent->Wake, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Agent->Quiet, NotificationEvent, TRUE);
    KeInitializeSpinLock(&Agent->Lock);

    Agent->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Agent->LowerDeviceObject == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;

    return STATUS_SUCCESS;
}

static VOID NTAPI AgentUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Major;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverExtension->AddDevice = AgentAddDevice;
    DriverObject->DriverUnload = AgentUnload;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = AgentDispatch;

    return STATUS_SUCCESS;
}
