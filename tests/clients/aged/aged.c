/*
 * A client of XENBUS or XENVIF that was built for the interfaces of one revision, which its INF has put into its
 * software key: it starts if its device gives it each of them in that version.
 */
#include <initguid.h>
#include <ntddk.h>

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "revision.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"
#include "vif_interface.h"

#define AGED_TAG ((ULONG)'A' | (ULONG)'g' << 8 | (ULONG)'e' << 16 | (ULONG)'d' << 24)
#define AGED_INTERFACES_MAX 10

/* Room for any interface: a header, and more methods than any has. */
typedef union _AGED_INTERFACE {
    INTERFACE Header;
    PVOID Room[64];
} AGED_INTERFACE;

typedef struct _AGED_REVISION {
    ULONG Revision;
    USHORT Version[AGED_INTERFACES_MAX]; /* in the order of the lists below */
} AGED_REVISION;

/* The last column of the bus's table is EMULATED, which is xenfilt's. */
#define AGED_XENBUS_ROW(_Revision, _Suspend, _SharedInfo, _Evtchn, _Debug, _Store, _RangeSet, _Cache, _Gnttab,         \
                        _Unplug, _Console, _Emulated)                                                                  \
    {_Revision, {_Suspend, _SharedInfo, _Evtchn, _Debug, _Store, _RangeSet, _Cache, _Gnttab, _Unplug, _Console}},
#define AGED_XENVIF_ROW(_Revision, ...) {_Revision, {__VA_ARGS__}},

static const AGED_REVISION XenbusRevisions[] = {XENBUS_REVISION_TABLE(AGED_XENBUS_ROW)};
static const AGED_REVISION XenvifRevisions[] = {XENVIF_REVISION_TABLE(AGED_XENVIF_ROW)};

static const GUID *const XenbusInterfaces[] = {
    &GUID_XENBUS_SUSPEND_INTERFACE, &GUID_XENBUS_SHARED_INFO_INTERFACE, &GUID_XENBUS_EVTCHN_INTERFACE,
    &GUID_XENBUS_DEBUG_INTERFACE,   &GUID_XENBUS_STORE_INTERFACE,       &GUID_XENBUS_RANGE_SET_INTERFACE,
    &GUID_XENBUS_CACHE_INTERFACE,   &GUID_XENBUS_GNTTAB_INTERFACE,      &GUID_XENBUS_UNPLUG_INTERFACE,
    &GUID_XENBUS_CONSOLE_INTERFACE,
};
static const GUID *const XenvifInterfaces[] = {
    &GUID_XENBUS_CACHE_INTERFACE,   &GUID_XENVIF_VIF_INTERFACE,    &GUID_XENBUS_STORE_INTERFACE,
    &GUID_XENBUS_SUSPEND_INTERFACE, &GUID_XENBUS_UNPLUG_INTERFACE,
};

typedef struct _AGED {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT PhysicalDeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock;
} AGED, *PAGED;

DRIVER_INITIALIZE DriverEntry;

static NTSTATUS AgedQueryInterface(PAGED Aged, const GUID *Guid, USHORT Version)
{
    PIO_STACK_LOCATION Location;
    AGED_INTERFACE Interface;
    IO_STATUS_BLOCK Block;
    NTSTATUS Status;
    KEVENT Event;
    PIRP Irp;

    RtlZeroMemory(&Interface, sizeof(Interface));
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, Aged->LowerDeviceObject, NULL, 0, NULL, &Event, &Block);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Location = IoGetNextIrpStackLocation(Irp);
    Location->MinorFunction = IRP_MN_QUERY_INTERFACE;
    Location->Parameters.QueryInterface.InterfaceType = Guid;
    Location->Parameters.QueryInterface.Size = sizeof(Interface);
    Location->Parameters.QueryInterface.Version = Version;
    Location->Parameters.QueryInterface.Interface = &Interface.Header;
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    Status = IoCallDriver(Aged->LowerDeviceObject, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = Block.Status;
    }
    return Status;
}

static NTSTATUS AgedQueryAll(PAGED Aged, const AGED_REVISION *Row, const GUID *const *Interfaces, ULONG Count)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    for (Index = 0; NT_SUCCESS(Status) && Index < Count; Index++)
        Status = AgedQueryInterface(Aged, Interfaces[Index], Row->Version[Index]);
    return Status;
}

static NTSTATUS AgedReadRevision(PAGED Aged, PULONG Revision)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"Revision");
    union {
        KEY_VALUE_PARTIAL_INFORMATION Information;
        UCHAR Room[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    } Value;
    NTSTATUS Status;
    ULONG Length;
    HANDLE Key;

    Status = IoOpenDeviceRegistryKey(Aged->PhysicalDeviceObject, PLUGPLAY_REGKEY_DRIVER, KEY_READ, &Key);
    if (!NT_SUCCESS(Status))
        return Status;
    Status = ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, &Value, sizeof(Value), &Length);
    (VOID) ZwClose(Key);
    if (NT_SUCCESS(Status))
        RtlCopyMemory(Revision, Value.Information.Data, sizeof(*Revision));
    return Status;
}

static NTSTATUS AgedCheck(PAGED Aged)
{
    ULONG Revision;
    NTSTATUS Status = AgedReadRevision(Aged, &Revision);
    ULONG Index;

    if (!NT_SUCCESS(Status))
        return Status;
    for (Index = 0; Index < RTL_NUMBER_OF(XenbusRevisions); Index++)
        if (XenbusRevisions[Index].Revision == Revision)
            return AgedQueryAll(Aged, &XenbusRevisions[Index], XenbusInterfaces, RTL_NUMBER_OF(XenbusInterfaces));
    for (Index = 0; Index < RTL_NUMBER_OF(XenvifRevisions); Index++)
        if (XenvifRevisions[Index].Revision == Revision)
            return AgedQueryAll(Aged, &XenvifRevisions[Index], XenvifInterfaces, RTL_NUMBER_OF(XenvifInterfaces));
    return STATUS_REVISION_MISMATCH;
}

static NTSTATUS AgedComplete(PAGED Aged, PIRP Irp, NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Aged->RemoveLock, Irp);
    return Status;
}

static NTSTATUS AgedPass(PAGED Aged, PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Aged->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Aged->RemoveLock, Irp);
    return Status;
}

static NTSTATUS AgedStart(PAGED Aged, PIRP Irp)
{
    NTSTATUS Status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(Aged->LowerDeviceObject, Irp))
        Status = Irp->IoStatus.Status;
    if (NT_SUCCESS(Status))
        Status = AgedCheck(Aged);
    return AgedComplete(Aged, Irp, Status);
}

static NTSTATUS AgedRemove(PAGED Aged, PIRP Irp)
{
    NTSTATUS Status;

    IoReleaseRemoveLockAndWait(&Aged->RemoveLock, Irp);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Aged->LowerDeviceObject, Irp);
    IoDetachDevice(Aged->LowerDeviceObject);
    IoDeleteDevice(Aged->DeviceObject);
    return Status;
}

static NTSTATUS NTAPI AgedDispatch(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    PAGED Aged = DeviceObject->DeviceExtension;
    NTSTATUS Status = IoAcquireRemoveLock(&Aged->RemoveLock, Irp);

    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }
    if (Location->MajorFunction != IRP_MJ_PNP)
        return AgedPass(Aged, Irp);
    switch (Location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return AgedStart(Aged, Irp);
    case IRP_MN_REMOVE_DEVICE:
        return AgedRemove(Aged, Irp);
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return AgedPass(Aged, Irp);
    default:
        return AgedPass(Aged, Irp);
    }
}

static NTSTATUS NTAPI AgedAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    NTSTATUS Status;
    PAGED Aged;

    Status = IoCreateDevice(DriverObject, sizeof(AGED), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;
    Aged = DeviceObject->DeviceExtension;
    Aged->DeviceObject = DeviceObject;
    Aged->PhysicalDeviceObject = PhysicalDeviceObject;
    IoInitializeRemoveLock(&Aged->RemoveLock, AGED_TAG, 0, 0);
    Aged->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Aged->LowerDeviceObject == NULL) {
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI AgedUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Major;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = AgedAddDevice;
    DriverObject->DriverUnload = AgedUnload;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = AgedDispatch;
    return STATUS_SUCCESS;
}
