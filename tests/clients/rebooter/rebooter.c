/*
 * Does what the toolstack asks for by control/shutdown: "reboot" and "poweroff", at once. What it remembers of earlier
 * boots is written below the domain's data/rebooter: how often its driver was loaded since it was installed (boots, in
 * the registry), whether the volatile key of another boot was still there (volatile), and what its data section said
 * before anybody wrote to it (fresh).
 */
#include <ntddk.h>

#include <initguid.h>

#include "store_interface.h"

#define REBOOTER_TAG 0x746F6252U /* Rbot */
#define REBOOTER_FRESH 7u

typedef struct _REBOOTER {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock;
    XENBUS_STORE_INTERFACE StoreInterface;
    BOOLEAN Acquired;
    PXENBUS_STORE_WATCH Watch;
    KEVENT Changed;
    BOOLEAN Stopping;
    PKTHREAD Thread;
} REBOOTER, *PREBOOTER;

static ULONG RebooterData = REBOOTER_FRESH;
static ULONG RebooterFresh;
static ULONG RebooterBoots;
static BOOLEAN RebooterVolatile;

/* ---- the registry ---- */

static NTSTATUS RebooterCreateKey(_In_opt_ HANDLE Parent, _In_ PUNICODE_STRING Name, _In_ ULONG Options,
                                  _Out_ PHANDLE Key, _Out_ PULONG Disposition)
{
    OBJECT_ATTRIBUTES Attributes;

    InitializeObjectAttributes(&Attributes, Name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Parent, NULL);

    return ZwCreateKey(Key, KEY_ALL_ACCESS, &Attributes, 0, NULL, Options, Disposition);
}

/* 0: there is none. */
static ULONG RebooterNumber(_In_ HANDLE Key, _In_ PCWSTR ValueName)
{
    UCHAR Buffer[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    PKEY_VALUE_PARTIAL_INFORMATION Value = (PKEY_VALUE_PARTIAL_INFORMATION)Buffer;
    UNICODE_STRING Name;
    ULONG Length;

    RtlInitUnicodeString(&Name, ValueName);
    if (!NT_SUCCESS(ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Value, sizeof(Buffer), &Length)))
        return 0;

    return *(PULONG)Value->Data;
}

/* So many of the first boots end here. */
static VOID RebooterCount(_In_ HANDLE Key)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, L"Boots");
    RebooterBoots = RebooterNumber(Key, L"Boots") + 1;
    (VOID) ZwSetValueKey(Key, &Name, 0, REG_DWORD, &RebooterBoots, sizeof(RebooterBoots));

    if (RebooterBoots <= RebooterNumber(Key, L"Restless"))
        HalReturnToFirmware(HalRebootRoutine);
}

static NTSTATUS RebooterRemember(_In_ PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING Parameters;
    UNICODE_STRING Volatile;
    ULONG Disposition;
    HANDLE ServiceKey;
    HANDLE Key;
    HANDLE VolatileKey;
    NTSTATUS Status;

    RtlInitUnicodeString(&Parameters, L"Parameters");
    RtlInitUnicodeString(&Volatile, L"Volatile");

    Status = RebooterCreateKey(NULL, RegistryPath, REG_OPTION_NON_VOLATILE, &ServiceKey, &Disposition);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = RebooterCreateKey(ServiceKey, &Parameters, REG_OPTION_NON_VOLATILE, &Key, &Disposition);
    if (!NT_SUCCESS(Status))
        goto fail1;

    RebooterCount(Key);

    Status = RebooterCreateKey(Key, &Volatile, REG_OPTION_VOLATILE, &VolatileKey, &Disposition);
    if (!NT_SUCCESS(Status))
        goto fail2;

    RebooterVolatile = Disposition == REG_OPENED_EXISTING_KEY;
    (VOID) ZwClose(VolatileKey);

fail2:
    (VOID) ZwClose(Key);

fail1:
    (VOID) ZwClose(ServiceKey);

    return Status;
}

/* ---- the store ---- */

static NTSTATUS NTAPI RebooterForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    (VOID) KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);

    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS RebooterQueryStore(_Inout_ PREBOOTER Rebooter)
{
    PINTERFACE Interface = &Rebooter->StoreInterface.Interface;
    PIO_STACK_LOCATION StackLocation;
    KEVENT Event;
    NTSTATUS Status;
    PIRP Irp;

    Irp = IoAllocateIrp(Rebooter->LowerDeviceObject->StackSize, FALSE);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    StackLocation = IoGetNextIrpStackLocation(Irp);
    StackLocation->MajorFunction = IRP_MJ_PNP;
    StackLocation->MinorFunction = IRP_MN_QUERY_INTERFACE;
    StackLocation->Parameters.QueryInterface.InterfaceType = &GUID_XENBUS_STORE_INTERFACE;
    StackLocation->Parameters.QueryInterface.Size = sizeof(XENBUS_STORE_INTERFACE);
    StackLocation->Parameters.QueryInterface.Version = 2;
    StackLocation->Parameters.QueryInterface.Interface = Interface;
    IoSetCompletionRoutine(Irp, RebooterForwarded, &Event, TRUE, TRUE, TRUE);

    (VOID) IoCallDriver(Rebooter->LowerDeviceObject, Irp);
    (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    Status = Irp->IoStatus.Status;
    IoFreeIrp(Irp);

    return Status;
}

static VOID RebooterReport(_In_ PREBOOTER Rebooter)
{
    (VOID)
        XENBUS_STORE_CALL(&Rebooter->StoreInterface, Printf, NULL, "data/rebooter", "volatile", "%u", RebooterVolatile);
    (VOID) XENBUS_STORE_CALL(&Rebooter->StoreInterface, Printf, NULL, "data/rebooter", "fresh", "%u", RebooterFresh);
    (VOID) XENBUS_STORE_CALL(&Rebooter->StoreInterface, Printf, NULL, "data/rebooter", "boots", "%u", RebooterBoots);
}

static BOOLEAN RebooterIs(_In_ PCSTR Request, _In_ PCSTR Known)
{
    while (*Request != 0 && *Request == *Known) {
        Request++;
        Known++;
    }

    return *Request == *Known;
}

/* Takes the request, and does it; does not come back then. */
static VOID RebooterObey(_In_ PREBOOTER Rebooter)
{
    FIRMWARE_REENTRY Routine;
    PSTR Request;

    if (!NT_SUCCESS(XENBUS_STORE_CALL(&Rebooter->StoreInterface, Read, NULL, "control", "shutdown", &Request)))
        return;

    Routine = HalHaltRoutine;
    if (RebooterIs(Request, "reboot"))
        Routine = HalRebootRoutine;
    else if (RebooterIs(Request, "poweroff"))
        Routine = HalPowerDownRoutine;
    XENBUS_STORE_CALL(&Rebooter->StoreInterface, Free, Request);
    if (Routine == HalHaltRoutine)
        return;

    (VOID) XENBUS_STORE_CALL(&Rebooter->StoreInterface, Printf, NULL, "control", "shutdown", "");
    HalReturnToFirmware(Routine);
}

static VOID NTAPI RebooterThread(_In_ PVOID Context)
{
    PREBOOTER Rebooter = Context;

    RebooterReport(Rebooter);
    for (;;) {
        (VOID) KeWaitForSingleObject(&Rebooter->Changed, Executive, KernelMode, FALSE, NULL);
        if (Rebooter->Stopping)
            break;
        RebooterObey(Rebooter);
    }

    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS RebooterEnable(_Inout_ PREBOOTER Rebooter)
{
    HANDLE Handle;
    NTSTATUS Status;

    Status = RebooterQueryStore(Rebooter);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = XENBUS_STORE_CALL(&Rebooter->StoreInterface, Acquire);
    if (!NT_SUCCESS(Status))
        return Status;

    KeInitializeEvent(&Rebooter->Changed, SynchronizationEvent, FALSE);
    Status = XENBUS_STORE_CALL(&Rebooter->StoreInterface, WatchAdd, "control", "shutdown", &Rebooter->Changed,
                               &Rebooter->Watch);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Rebooter->Stopping = FALSE;
    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, RebooterThread, Rebooter);
    if (!NT_SUCCESS(Status))
        goto fail2;

    (VOID) ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, (PVOID *)&Rebooter->Thread, NULL);
    (VOID) ZwClose(Handle);
    Rebooter->Acquired = TRUE;

    return STATUS_SUCCESS;

fail2:
    (VOID) XENBUS_STORE_CALL(&Rebooter->StoreInterface, WatchRemove, Rebooter->Watch);

fail1:
    XENBUS_STORE_CALL(&Rebooter->StoreInterface, Release);

    return Status;
}

static VOID RebooterDisable(_Inout_ PREBOOTER Rebooter)
{
    if (!Rebooter->Acquired)
        return;
    Rebooter->Acquired = FALSE;

    Rebooter->Stopping = TRUE;
    (VOID) KeSetEvent(&Rebooter->Changed, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(Rebooter->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Rebooter->Thread);

    (VOID) XENBUS_STORE_CALL(&Rebooter->StoreInterface, WatchRemove, Rebooter->Watch);
    XENBUS_STORE_CALL(&Rebooter->StoreInterface, Release);
}

/* ---- the device ---- */

static NTSTATUS RebooterForward(_Inout_ PREBOOTER Rebooter, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Rebooter->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Rebooter->RemoveLock, Irp);

    return Status;
}

static NTSTATUS RebooterComplete(_Inout_ PREBOOTER Rebooter, _Inout_ PIRP Irp, _In_ NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Rebooter->RemoveLock, Irp);

    return Status;
}

static NTSTATUS RebooterStart(_Inout_ PREBOOTER Rebooter, _Inout_ PIRP Irp)
{
    NTSTATUS Status;
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, RebooterForwarded, &Event, TRUE, TRUE, TRUE);
    (VOID) IoCallDriver(Rebooter->LowerDeviceObject, Irp);
    (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    Status = Irp->IoStatus.Status;
    if (NT_SUCCESS(Status))
        Status = RebooterEnable(Rebooter);

    return RebooterComplete(Rebooter, Irp, Status);
}

static NTSTATUS RebooterRemove(_Inout_ PREBOOTER Rebooter, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    RebooterDisable(Rebooter);

    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Rebooter->LowerDeviceObject, Irp);

    IoReleaseRemoveLockAndWait(&Rebooter->RemoveLock, Irp);
    IoDetachDevice(Rebooter->LowerDeviceObject);
    IoDeleteDevice(Rebooter->DeviceObject);

    return Status;
}

static NTSTATUS RebooterPnp(_Inout_ PREBOOTER Rebooter, _Inout_ PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return RebooterStart(Rebooter, Irp);

    case IRP_MN_REMOVE_DEVICE:
        return RebooterRemove(Rebooter, Irp);

    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        RebooterDisable(Rebooter);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return RebooterForward(Rebooter, Irp);

    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return RebooterForward(Rebooter, Irp);

    default:
        return RebooterForward(Rebooter, Irp);
    }
}

static NTSTATUS NTAPI RebooterDispatch(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PREBOOTER Rebooter = DeviceObject->DeviceExtension;
    NTSTATUS Status;

    Status = IoAcquireRemoveLock(&Rebooter->RemoveLock, Irp);
    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        Irp->IoStatus.Information = 0;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }

    if (IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_PNP)
        return RebooterPnp(Rebooter, Irp);

    return RebooterForward(Rebooter, Irp);
}

static NTSTATUS NTAPI RebooterAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PREBOOTER Rebooter;
    NTSTATUS Status;

    Status = IoCreateDevice(DriverObject, sizeof(REBOOTER), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;

    Rebooter = DeviceObject->DeviceExtension;
    RtlZeroMemory(Rebooter, sizeof(REBOOTER));
    Rebooter->DeviceObject = DeviceObject;
    Rebooter->StoreInterface.Interface.Size = sizeof(XENBUS_STORE_INTERFACE);
    Rebooter->StoreInterface.Interface.Version = 2;
    IoInitializeRemoveLock(&Rebooter->RemoveLock, REBOOTER_TAG, 0, 0);

    Rebooter->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Rebooter->LowerDeviceObject == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }

    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;

    return STATUS_SUCCESS;
}

static VOID NTAPI RebooterUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Major;

    RebooterFresh = RebooterData;
    RebooterData++;

    DriverObject->DriverExtension->AddDevice = RebooterAddDevice;
    DriverObject->DriverUnload = RebooterUnload;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = RebooterDispatch;

    return RebooterRemember(RegistryPath);
}
