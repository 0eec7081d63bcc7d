/* Calls of routines that the drivers do without; the bugcheck's second parameter has a bit for each that failed. */
#include "planted.h"

#include <wdmsec.h>

static IO_COMPLETION_ROUTINE FallibleDone;

static NTSTATUS NTAPI FallibleDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    return STATUS_CONTINUE_COMPLETION;
}

static ULONG TryEvents(VOID)
{
    UNICODE_STRING First = RTL_CONSTANT_STRING(L"\\BaseNamedObjects\\PlantedFirst");
    UNICODE_STRING Second = RTL_CONSTANT_STRING(L"\\BaseNamedObjects\\PlantedSecond");
    HANDLE Handle;
    ULONG Failed = 0;

    if (IoCreateNotificationEvent(&First, &Handle) == NULL)
        Failed |= 0x01;
    if (IoCreateSynchronizationEvent(&Second, &Handle) == NULL)
        Failed |= 0x02;
    if (ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE) == STATUS_INSUFFICIENT_RESOURCES)
        Failed |= 0x04;
    return Failed;
}

static NTSTATUS NTAPI FallibleSetting(LPCGUID SettingGuid, PVOID Value, ULONG ValueLength, PVOID Context)
{
    UNREFERENCED_PARAMETER(SettingGuid);
    UNREFERENCED_PARAMETER(Value);
    UNREFERENCED_PARAMETER(ValueLength);
    UNREFERENCED_PARAMETER(Context);
    return STATUS_SUCCESS;
}

static ULONG TrySetting(VOID)
{
    static const GUID Setting = {0x6E616C50, 0x7474, 0x4553, {1, 2, 3, 4, 5, 6, 7, 8}};
    PVOID Handle;

    return PoRegisterPowerSettingCallback(NULL, &Setting, FallibleSetting, NULL, &Handle) ==
                   STATUS_INSUFFICIENT_RESOURCES
               ? 0x100
               : 0;
}

static ULONG TryFiles(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Device\\PlantedNoSuchDevice");
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK Result;
    HANDLE Handle;
    ULONG Failed = 0;

    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (ZwCreateFile(&Handle, GENERIC_READ, &Attributes, &Result, NULL, 0, 0, FILE_OPEN, 0, NULL, 0) ==
        STATUS_INSUFFICIENT_RESOURCES)
        Failed |= 0x200;
    if (ZwOpenFile(&Handle, GENERIC_READ, &Attributes, &Result, 0, 0) == STATUS_INSUFFICIENT_RESOURCES)
        Failed |= 0x400;
    return Failed;
}

static ULONG TryDevice(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING Descriptor = RTL_CONSTANT_STRING(L"D:P(A;;GA;;;SY)");
    PDEVICE_OBJECT DeviceObject;
    ULONG Failed = 0;
    PIRP Irp;

    if (IoCreateDeviceSecure(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Descriptor, NULL, &DeviceObject) ==
        STATUS_INSUFFICIENT_RESOURCES)
        return 0x20;
    if (PoRegisterDeviceForIdleDetection(DeviceObject, 10, 10, PowerDeviceD3) == NULL)
        Failed |= 0x40;
    Irp = IoAllocateIrp(1, FALSE);
    if (Irp != NULL && IoSetCompletionRoutineEx(DeviceObject, Irp, FallibleDone, NULL, TRUE, TRUE, TRUE) ==
                           STATUS_INSUFFICIENT_RESOURCES)
        Failed |= 0x80;
    return Failed;
}

VOID PlantedFallible(PDRIVER_OBJECT DriverObject)
{
    ULONG Failed = TryEvents() | TryDevice(DriverObject) | TrySetting() | TryFiles();

    if (IoAllocateErrorLogEntry(DriverObject, sizeof(IO_ERROR_LOG_PACKET)) == NULL)
        Failed |= 0x08;
    if (MmGetPhysicalMemoryRanges() == NULL)
        Failed |= 0x10;
    KeBugCheckEx(PLANTED_BUG, BugFallible, Failed, 0, 0);
}
