/* A function driver that hands what its bus gives it to a test; see probe_ioctl.h. */
#include <ntddk.h>

#include <initguid.h>

#include "store_interface.h"
#include "vif_interface.h"

#include "probe_ioctl.h"

#define PROBE_NAME_LENGTH 32

typedef struct _PROBE {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock; /* held by each IRP until it is completed or forwarded */
    PROBE_EARLY Early;
} PROBE, *PPROBE;

#define PROBE_TAG 0x626F7250U /* Prob */

static NTSTATUS NTAPI ProbeForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    (VOID) KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);

    return STATUS_MORE_PROCESSING_REQUIRED;
}

typedef union _PROBE_PARAMETERS {
    struct {
        const GUID *Guid;
        PINTERFACE Interface;
    } QueryInterface;
    BUS_QUERY_ID_TYPE IdType;
} PROBE_PARAMETERS;

/* Sends a PnP IRP of our own; its status, and its Information. */
static NTSTATUS ProbeAsk(_In_ PDEVICE_OBJECT Lower, _In_ UCHAR MinorFunction, _In_ const PROBE_PARAMETERS *Parameters,
                         _Out_ PULONG_PTR Information)
{
    PIO_STACK_LOCATION StackLocation;
    KEVENT Event;
    NTSTATUS Status;
    PIRP Irp;

    *Information = 0;

    Irp = IoAllocateIrp(Lower->StackSize, FALSE);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    StackLocation = IoGetNextIrpStackLocation(Irp);
    StackLocation->MajorFunction = IRP_MJ_PNP;
    StackLocation->MinorFunction = MinorFunction;
    if (MinorFunction == IRP_MN_QUERY_INTERFACE) {
        StackLocation->Parameters.QueryInterface.InterfaceType = Parameters->QueryInterface.Guid;
        StackLocation->Parameters.QueryInterface.Interface = Parameters->QueryInterface.Interface;
        StackLocation->Parameters.QueryInterface.Size = Parameters->QueryInterface.Interface->Size;
        StackLocation->Parameters.QueryInterface.Version = Parameters->QueryInterface.Interface->Version;
    } else {
        StackLocation->Parameters.QueryId.IdType = Parameters->IdType;
    }
    IoSetCompletionRoutine(Irp, ProbeForwarded, &Event, TRUE, TRUE, TRUE);

    (VOID) IoCallDriver(Lower, Irp);
    (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    Status = Irp->IoStatus.Status;
    *Information = Irp->IoStatus.Information;
    IoFreeIrp(Irp);

    return Status;
}

static NTSTATUS ProbeQueryInterface(_In_ PDEVICE_OBJECT Lower, _In_ const GUID *Guid, _In_ USHORT Version,
                                    _In_ USHORT Size, _Out_ PINTERFACE Interface)
{
    PROBE_PARAMETERS Parameters;
    ULONG_PTR Information;

    Interface->Size = Size;
    Interface->Version = Version;
    Interface->Context = NULL;
    Interface->InterfaceReference = NULL;
    Interface->InterfaceDereference = NULL;
    Parameters.QueryInterface.Guid = Guid;
    Parameters.QueryInterface.Interface = Interface;

    return ProbeAsk(Lower, IRP_MN_QUERY_INTERFACE, &Parameters, &Information);
}

/* Ours to free. */
static NTSTATUS ProbeQueryId(_In_ PDEVICE_OBJECT Lower, _In_ BUS_QUERY_ID_TYPE Type, _Outptr_ PWSTR *Id)
{
    PROBE_PARAMETERS Parameters;
    ULONG_PTR Information;
    NTSTATUS Status;

    Parameters.IdType = Type;
    Status = ProbeAsk(Lower, IRP_MN_QUERY_ID, &Parameters, &Information);
    *Id = (PWSTR)Information;

    return Status;
}

/* Asks for the interface while the PDO is not started. */
static VOID ProbeEarly(_Inout_ PPROBE Probe)
{
    XENVIF_VIF_INTERFACE Vif;
    XENBUS_STORE_INTERFACE Store;

    Probe->Early.AcquireStatus = STATUS_PENDING;

    Probe->Early.QueryStatus =
        ProbeQueryInterface(Probe->LowerDeviceObject, &GUID_XENVIF_VIF_INTERFACE, 10, sizeof(Vif), &Vif.Interface);
    if (NT_SUCCESS(Probe->Early.QueryStatus)) {
        Probe->Early.AcquireStatus = XENVIF_VIF_CALL(&Vif, Acquire);
        if (NT_SUCCESS(Probe->Early.AcquireStatus))
            XENVIF_VIF_CALL(&Vif, Release);
        return;
    }

    Probe->Early.QueryStatus =
        ProbeQueryInterface(Probe->LowerDeviceObject, &GUID_XENBUS_STORE_INTERFACE, 2, sizeof(Store), &Store.Interface);
    if (!NT_SUCCESS(Probe->Early.QueryStatus))
        return;

    Probe->Early.AcquireStatus = XENBUS_STORE_CALL(&Store, Acquire);
    if (NT_SUCCESS(Probe->Early.AcquireStatus))
        XENBUS_STORE_CALL(&Store, Release);
}

static ULONG ProbeIdLength(_In_ PCWSTR Id, _In_ BUS_QUERY_ID_TYPE Type)
{
    BOOLEAN Many = Type == BusQueryHardwareIDs || Type == BusQueryCompatibleIDs;
    ULONG Length = 0;

    for (;;) {
        while (Id[Length] != 0)
            Length++;
        Length++;
        if (!Many || Id[Length] == 0)
            break;
    }

    return (Length + (Many ? 1 : 0)) * sizeof(WCHAR);
}

static NTSTATUS ProbeControlId(_Inout_ PPROBE Probe, _Inout_ PVOID Buffer, _In_ ULONG OutputLength,
                               _Out_ PULONG_PTR Information)
{
    BUS_QUERY_ID_TYPE Type = (BUS_QUERY_ID_TYPE) * (PULONG)Buffer;
    NTSTATUS Status;
    ULONG Length;
    PWSTR Id;

    Status = ProbeQueryId(Probe->LowerDeviceObject, Type, &Id);
    if (!NT_SUCCESS(Status))
        return Status;

    Length = ProbeIdLength(Id, Type);
    Status = STATUS_BUFFER_TOO_SMALL;
    if (Length <= OutputLength) {
        RtlCopyMemory(Buffer, Id, Length);
        *Information = Length;
        Status = STATUS_SUCCESS;
    }
    ExFreePool(Id);

    return Status;
}

static NTSTATUS ProbeControlInterface(_Inout_ PPROBE Probe, _Inout_ PVOID Buffer, _Out_ PULONG_PTR Information)
{
    PROBE_QUERY Query = *(PPROBE_QUERY)Buffer;
    PPROBE_INTERFACE Answer = Buffer;

    if (Query.Size < sizeof(INTERFACE) || Query.Size > PROBE_INTERFACE_MAX)
        return STATUS_INVALID_PARAMETER;

    RtlFillMemory(Answer->Content, sizeof(Answer->Content), PROBE_FILL);
    Answer->Status =
        ProbeQueryInterface(Probe->LowerDeviceObject, &Query.Guid, Query.Version, Query.Size, &Answer->Header);
    *Information = sizeof(PROBE_INTERFACE);

    return STATUS_SUCCESS;
}

/* Functions of their own, so that each is a frame of the stack. */
static __attribute__((noinline)) VOID ProbeCrashByCode(VOID)
{
    KeBugCheckEx(PROBE_CRASH_CODE, 1, 2, 3, 4);
}

static __attribute__((noinline)) ULONG ProbeCrashByRead(_In_ volatile ULONG *Nowhere)
{
    return *Nowhere;
}

static __attribute__((noinline)) VOID ProbeCrashByRule(VOID)
{
    PVOID Pool = ExAllocatePoolWithTag(NonPagedPoolNx, 16, PROBE_TAG);

    if (Pool == NULL)
        return;

    ExFreePoolWithTag(Pool, PROBE_TAG);
    ExFreePoolWithTag(Pool, PROBE_TAG);
}

static NTSTATUS ProbeCrash(_In_ PROBE_CRASH Kind)
{
    switch (Kind) {
    case PROBE_CRASH_BUGCHECK:
        ProbeCrashByCode();
        break;

    case PROBE_CRASH_READ:
        (VOID) ProbeCrashByRead((volatile ULONG *)(ULONG_PTR)0x5000);
        break;

    case PROBE_CRASH_RULE:
        ProbeCrashByRule();
        break;
    }

    return STATUS_UNSUCCESSFUL;
}

static NTSTATUS ProbeControl(_Inout_ PPROBE Probe, _Inout_ PIRP Irp, _Out_ PULONG_PTR Information)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    ULONG InputLength = StackLocation->Parameters.DeviceIoControl.InputBufferLength;
    ULONG OutputLength = StackLocation->Parameters.DeviceIoControl.OutputBufferLength;
    PVOID Buffer = Irp->AssociatedIrp.SystemBuffer;

    *Information = 0;

    switch (StackLocation->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_PROBE_QUERY_INTERFACE:
        if (InputLength < sizeof(PROBE_QUERY) || OutputLength < sizeof(PROBE_INTERFACE))
            return STATUS_BUFFER_TOO_SMALL;
        return ProbeControlInterface(Probe, Buffer, Information);

    case IOCTL_PROBE_QUERY_ID:
        if (InputLength < sizeof(ULONG))
            return STATUS_BUFFER_TOO_SMALL;
        return ProbeControlId(Probe, Buffer, OutputLength, Information);

    case IOCTL_PROBE_EARLY:
        if (OutputLength < sizeof(PROBE_EARLY))
            return STATUS_BUFFER_TOO_SMALL;
        *(PPROBE_EARLY)Buffer = Probe->Early;
        *Information = sizeof(PROBE_EARLY);
        return STATUS_SUCCESS;

    case IOCTL_PROBE_CRASH:
        if (InputLength < sizeof(ULONG))
            return STATUS_BUFFER_TOO_SMALL;
        return ProbeCrash((PROBE_CRASH) * (PULONG)Buffer);

    case IOCTL_PROBE_PRINT:
        if (InputLength < sizeof(PROBE_PRINT))
            return STATUS_BUFFER_TOO_SMALL;
        (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, ((PPROBE_PRINT)Buffer)->Level, "%s", ((PPROBE_PRINT)Buffer)->Text);
        return STATUS_SUCCESS;

    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS ProbeComplete(_Inout_ PPROBE Probe, _Inout_ PIRP Irp, _In_ NTSTATUS Status, _In_ ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Probe->RemoveLock, Irp);

    return Status;
}

static NTSTATUS ProbeForward(_Inout_ PPROBE Probe, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Probe->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Probe->RemoveLock, Irp);

    return Status;
}

static NTSTATUS ProbeStart(_Inout_ PPROBE Probe, _Inout_ PIRP Irp)
{
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, ProbeForwarded, &Event, TRUE, TRUE, TRUE);
    (VOID) IoCallDriver(Probe->LowerDeviceObject, Irp);
    (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    return ProbeComplete(Probe, Irp, Irp->IoStatus.Status, 0);
}

static NTSTATUS ProbeRemove(_Inout_ PPROBE Probe, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Probe->LowerDeviceObject, Irp);

    IoReleaseRemoveLockAndWait(&Probe->RemoveLock, Irp);
    IoDetachDevice(Probe->LowerDeviceObject);
    IoDeleteDevice(Probe->DeviceObject);

    return Status;
}

static NTSTATUS ProbePnp(_Inout_ PPROBE Probe, _Inout_ PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return ProbeStart(Probe, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return ProbeRemove(Probe, Irp);

    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return ProbeForward(Probe, Irp);

    default:
        return ProbeForward(Probe, Irp);
    }
}

static NTSTATUS NTAPI ProbeDispatch(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PPROBE Probe = DeviceObject->DeviceExtension;
    ULONG_PTR Information = 0;
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Probe->RemoveLock, Irp);
    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        Irp->IoStatus.Information = 0;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }

    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_PNP:
        return ProbePnp(Probe, Irp);

    case IRP_MJ_DEVICE_CONTROL:
        Status = ProbeControl(Probe, Irp, &Information);
        return ProbeComplete(Probe, Irp, Status, Information);

    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        return ProbeComplete(Probe, Irp, STATUS_SUCCESS, 0);

    default:
        return ProbeForward(Probe, Irp);
    }
}

static NTSTATUS NTAPI ProbeAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    WCHAR Name[PROBE_NAME_LENGTH] = L"\\Device\\Probe";
    UNICODE_STRING DeviceName;
    PDEVICE_OBJECT DeviceObject;
    PPROBE Probe;
    PWSTR Instance;
    NTSTATUS Status;
    ULONG Index;

    Status = ProbeQueryId(PhysicalDeviceObject, BusQueryInstanceID, &Instance);
    if (!NT_SUCCESS(Status))
        return Status;

    DeviceName.Buffer = Name;
    DeviceName.Length = sizeof(L"\\Device\\Probe") - sizeof(WCHAR);
    DeviceName.MaximumLength = sizeof(Name);
    for (Index = 0; Instance[Index] != 0 && DeviceName.Length < DeviceName.MaximumLength; Index++) {
        Name[DeviceName.Length / sizeof(WCHAR)] = Instance[Index];
        DeviceName.Length += sizeof(WCHAR);
    }
    ExFreePool(Instance);

    Status = IoCreateDevice(DriverObject, sizeof(PROBE), &DeviceName, PROBE_DEVICE_TYPE, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;

    Probe = DeviceObject->DeviceExtension;
    RtlZeroMemory(Probe, sizeof(PROBE));
    Probe->DeviceObject = DeviceObject;
    IoInitializeRemoveLock(&Probe->RemoveLock, PROBE_TAG, 0, 0);

    Probe->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Probe->LowerDeviceObject == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    ProbeEarly(Probe);

    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;

    return STATUS_SUCCESS;
}

static VOID NTAPI ProbeUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Major;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverExtension->AddDevice = ProbeAddDevice;
    DriverObject->DriverUnload = ProbeUnload;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = ProbeDispatch;

    return STATUS_SUCCESS;
}
