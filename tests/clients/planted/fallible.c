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
    ULONG Failed = TryEvents() | TryDevice(DriverObject);

    if (IoAllocateErrorLogEntry(DriverObject, sizeof(IO_ERROR_LOG_PACKET)) == NULL)
        Failed |= 0x08;
    if (MmGetPhysicalMemoryRanges() == NULL)
        Failed |= 0x10;
    KeBugCheckEx(PLANTED_BUG, BugFallible, Failed, 0, 0);
}
