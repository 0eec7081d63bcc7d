#include <ntddk.h>

#include <initguid.h>

#include "vif_interface.h"

#include "netclient.h"

#include <ntstrsafe.h>

/* The version of XENVIF_VIF that the service's key names (VifVersion, REG_DWORD), or the newest. */
static ULONG Version;

ULONG NetClientVersion(VOID)
{
    return Version;
}

/* The flag as it is now, on whatever processor it was set. */
BOOLEAN NetClientFlag(_Inout_ LONG *Flag)
{
    return InterlockedCompareExchange(Flag, 0, 0) != 0;
}

/* Completes an IRP that holds the remove lock. */
VOID NetClientComplete(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp, _In_ NTSTATUS Status, _In_ ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, NT_SUCCESS(Status) ? IO_NETWORK_INCREMENT : IO_NO_INCREMENT);

    IoReleaseRemoveLock(&Client->RemoveLock, Irp);
}

/* TRUE: the caller is to run the pump. FALSE: whoever does will look again. */
BOOLEAN NetClientPumpEnter(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_PUMP Pump)
{
    BOOLEAN Entered;
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    Entered = !Pump->Running;
    if (Entered)
        Pump->Running = TRUE;
    else
        Pump->Again = TRUE;

    KeReleaseSpinLock(&Client->Lock, Irql);

    return Entered;
}

/* TRUE: the pump has stopped. FALSE: somebody came by meanwhile, and it is to go on. */
BOOLEAN NetClientPumpLeave(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_PUMP Pump)
{
    BOOLEAN Left;
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    Left = !Pump->Again;
    Pump->Again = FALSE;
    if (Left)
        Pump->Running = FALSE;

    KeReleaseSpinLock(&Client->Lock, Irql);

    return Left;
}

VOID NetClientCount(_Inout_ PNETCLIENT Client, _Inout_ ULONG64 *Counter)
{
    UNREFERENCED_PARAMETER(Client);

    (VOID) InterlockedExchangeAdd64((LONG64 volatile *)Counter, 1);
}

/* An IRP on the device's way; the lock is held until it is completed. */
static NTSTATUS NetClientBegin(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Client->RemoveLock, Irp);
    if (NT_SUCCESS(Status))
        return STATUS_SUCCESS;

    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);

    return Status;
}

static NTSTATUS NTAPI NetClientDispatchOpen(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PNETCLIENT Client = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = NetClientBegin(Client, Irp);
    if (!NT_SUCCESS(Status))
        return Status;

    NetClientComplete(Client, Irp, STATUS_SUCCESS, 0);

    return STATUS_SUCCESS;
}

/* The last handle of a file object has gone: nobody waits for its IRPs any more. */
static NTSTATUS NTAPI NetClientDispatchCleanup(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PNETCLIENT Client = DeviceObject->DeviceExtension;
    PFILE_OBJECT FileObject = IoGetCurrentIrpStackLocation(Irp)->FileObject;
    NTSTATUS Status;

    Status = NetClientBegin(Client, Irp);
    if (!NT_SUCCESS(Status))
        return Status;

    NetClientQueueFlush(Client, &Client->Reads, FileObject, STATUS_CANCELLED);
    NetClientQueueFlush(Client, &Client->Writes, FileObject, STATUS_CANCELLED);
    NetClientQueueFlush(Client, &Client->LinkWaits, FileObject, STATUS_CANCELLED);

    NetClientComplete(Client, Irp, STATUS_SUCCESS, 0);

    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI NetClientDispatchIo(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PNETCLIENT Client = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = NetClientBegin(Client, Irp);
    if (!NT_SUCCESS(Status))
        return Status;

    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_READ:
        return NetClientRead(Client, Irp);
    case IRP_MJ_WRITE:
        return NetClientWrite(Client, Irp);
    default:
        return NetClientControl(Client, Irp);
    }
}

static NTSTATUS NTAPI NetClientDispatchPnp(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PNETCLIENT Client = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = NetClientBegin(Client, Irp);

    return NT_SUCCESS(Status) ? NetClientPnp(Client, Irp) : Status;
}

static NTSTATUS NTAPI NetClientDispatchPower(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PNETCLIENT Client = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = NetClientBegin(Client, Irp);

    return NT_SUCCESS(Status) ? NetClientPower(Client, Irp) : Status;
}

static NTSTATUS NTAPI NetClientDispatchSystemControl(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PNETCLIENT Client = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = NetClientBegin(Client, Irp);

    return NT_SUCCESS(Status) ? NetClientForward(Client, Irp) : Status;
}

static NTSTATUS NTAPI NetClientQueried(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    (VOID) KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);

    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Asks the bus for the device's instance ID, which is the number of its VIF; freed with ExFreePool. */
static NTSTATUS NetClientQueryInstance(_In_ PDEVICE_OBJECT PhysicalDeviceObject, _Outptr_ PWSTR *Instance)
{
    PDEVICE_OBJECT Top;
    PIO_STACK_LOCATION StackLocation;
    KEVENT Event;
    NTSTATUS Status;
    PIRP Irp;

    Top = IoGetAttachedDeviceReference(PhysicalDeviceObject);

    Irp = IoAllocateIrp(Top->StackSize, FALSE);
    if (Irp == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto done;
    }

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    StackLocation = IoGetNextIrpStackLocation(Irp);
    StackLocation->MajorFunction = IRP_MJ_PNP;
    StackLocation->MinorFunction = IRP_MN_QUERY_ID;
    StackLocation->Parameters.QueryId.IdType = BusQueryInstanceID;
    IoSetCompletionRoutine(Irp, NetClientQueried, &Event, TRUE, TRUE, TRUE);

    (VOID) IoCallDriver(Top, Irp);
    (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    Status = Irp->IoStatus.Status;
    if (NT_SUCCESS(Status))
        *Instance = (PWSTR)Irp->IoStatus.Information;

    IoFreeIrp(Irp);

done:
    ObDereferenceObject(Top);

    return Status;
}

/* Makes "<Prefix>NetClient<n>". */
static NTSTATUS NetClientPrintName(_Out_writes_(NETCLIENT_NAME_LENGTH) PWSTR Name, _In_ PCWSTR Prefix,
                                   _In_ PCWSTR Instance)
{
    NTSTATUS Status;

    Status = RtlStringCchCopyW(Name, NETCLIENT_NAME_LENGTH, Prefix);
    if (NT_SUCCESS(Status))
        Status = RtlStringCchCatW(Name, NETCLIENT_NAME_LENGTH, L"NetClient");
    if (NT_SUCCESS(Status))
        Status = RtlStringCchCatW(Name, NETCLIENT_NAME_LENGTH, Instance);

    return Status;
}

static NTSTATUS NetClientInitialize(_Inout_ PNETCLIENT Client, _In_ PDEVICE_OBJECT DeviceObject)
{
    NTSTATUS Status;

    RtlZeroMemory(Client, sizeof(NETCLIENT));
    Client->DeviceObject = DeviceObject;
    Client->PowerState = PowerDeviceD3;
    IoInitializeRemoveLock(&Client->RemoveLock, NETCLIENT_TAG, 0, 0);
    ExInitializeRundownProtection(&Client->Rundown);
    ExWaitForRundownProtectionRelease(&Client->Rundown); /* nothing to be at work with, until it is enabled */
    KeInitializeSpinLock(&Client->Lock);
    InitializeListHead(&Client->Received);
    InitializeListHead(&Client->Returning);
    InitializeListHead(&Client->Spare);
    KeInitializeTimer(&Client->ReturnTimer);
    KeInitializeDpc(&Client->ReturnDpc, NetClientReturnDpc, Client);

    Status = NetClientQueueInitialize(&Client->Reads);
    if (NT_SUCCESS(Status))
        Status = NetClientQueueInitialize(&Client->Writes);
    if (NT_SUCCESS(Status))
        Status = NetClientQueueInitialize(&Client->LinkWaits);

    return Status;
}

static NTSTATUS NetClientCreateDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PCWSTR Instance,
                                      _Outptr_ PDEVICE_OBJECT *DeviceObject)
{
    WCHAR Name[NETCLIENT_NAME_LENGTH];
    UNICODE_STRING DeviceName;
    UNICODE_STRING LinkName;
    PNETCLIENT Client;
    NTSTATUS Status;

    Status = NetClientPrintName(Name, L"\\Device\\", Instance);
    if (!NT_SUCCESS(Status))
        goto fail1;

    RtlInitUnicodeString(&DeviceName, Name);
    Status = IoCreateDevice(DriverObject, sizeof(NETCLIENT), &DeviceName, NETCLIENT_DEVICE_TYPE,
                            FILE_DEVICE_SECURE_OPEN, FALSE, DeviceObject);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Client = (*DeviceObject)->DeviceExtension;
    Status = NetClientInitialize(Client, *DeviceObject);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = NetClientPrintName(Client->LinkName, L"\\DosDevices\\", Instance);
    if (!NT_SUCCESS(Status))
        goto fail2;

    RtlInitUnicodeString(&LinkName, Client->LinkName);
    Status = IoCreateSymbolicLink(&LinkName, &DeviceName);
    if (!NT_SUCCESS(Status))
        goto fail2;

    return STATUS_SUCCESS;

fail2:
    IoDeleteDevice(*DeviceObject);

fail1:
    return Status;
}

static NTSTATUS NTAPI NetClientAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    UNICODE_STRING LinkName;
    PNETCLIENT Client;
    PWSTR Instance;
    NTSTATUS Status;

    Status = NetClientQueryInstance(PhysicalDeviceObject, &Instance);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = NetClientCreateDevice(DriverObject, Instance, &DeviceObject);
    ExFreePool(Instance);
    if (!NT_SUCCESS(Status))
        return Status;

    Client = DeviceObject->DeviceExtension;
    Client->PhysicalDeviceObject = PhysicalDeviceObject;
    Client->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Client->LowerDeviceObject == NULL) {
        RtlInitUnicodeString(&LinkName, Client->LinkName);
        (VOID) IoDeleteSymbolicLink(&LinkName);
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    DeviceObject->Flags |= DO_DIRECT_IO | DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;

    return STATUS_SUCCESS;
}

static VOID NTAPI NetClientUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

/* A version that the VIF does not have is for the VIF to refuse. */
static NTSTATUS NetClientReadVersion(_In_ PUNICODE_STRING RegistryPath)
{
    RTL_QUERY_REGISTRY_TABLE Table[2];
    ULONG Default = XENVIF_VIF_INTERFACE_VERSION_MAX;
    PWSTR Path;
    NTSTATUS Status;

    Path = ExAllocatePoolWithTag(PagedPool, RegistryPath->Length + sizeof(WCHAR), NETCLIENT_TAG);
    if (Path == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlCopyMemory(Path, RegistryPath->Buffer, RegistryPath->Length);
    Path[RegistryPath->Length / sizeof(WCHAR)] = L'\0';

    RtlZeroMemory(Table, sizeof(Table));
    Table[0].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK;
    Table[0].Name = L"VifVersion";
    Table[0].EntryContext = &Version;
    Table[0].DefaultType = REG_DWORD | (REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT);
    Table[0].DefaultData = &Default;
    Table[0].DefaultLength = sizeof(Default);

    Status = RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, Path, Table, NULL, NULL);
    ExFreePoolWithTag(Path, NETCLIENT_TAG);

    return Status;
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;

    Status = NetClientReadVersion(RegistryPath);
    if (!NT_SUCCESS(Status))
        return Status;

    DriverObject->DriverExtension->AddDevice = NetClientAddDevice;
    DriverObject->DriverUnload = NetClientUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = NetClientDispatchOpen;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = NetClientDispatchOpen;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = NetClientDispatchCleanup;
    DriverObject->MajorFunction[IRP_MJ_READ] = NetClientDispatchIo;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = NetClientDispatchIo;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = NetClientDispatchIo;
    DriverObject->MajorFunction[IRP_MJ_PNP] = NetClientDispatchPnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = NetClientDispatchPower;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = NetClientDispatchSystemControl;

    return STATUS_SUCCESS;
}
