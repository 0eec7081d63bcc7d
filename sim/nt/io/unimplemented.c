/* Routines of the I/O manager that pvsim declares and does not have: a driver that calls one stops the run with its
 * name. */
#include "nt/io/io_internal.h"

#define MISSING NT_UNIMPLEMENTED("this routine")

NTSTATUS NTAPI IoCreateDeviceSecure(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
                                    DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive,
                                    PCUNICODE_STRING DefaultSDDLString, const GUID *DeviceClassGuid,
                                    PDEVICE_OBJECT *DeviceObject)
{
    (void)DriverObject;
    (void)DeviceExtensionSize;
    (void)DeviceName;
    (void)DeviceType;
    (void)DeviceCharacteristics;
    (void)Exclusive;
    (void)DefaultSDDLString;
    (void)DeviceClassGuid;
    (void)DeviceObject;
    MISSING;
}

VOID NTAPI IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction)
{
    (void)DeviceObject;
    (void)Irp;
    (void)Key;
    (void)CancelFunction;
    MISSING;
}

VOID NTAPI IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable)
{
    (void)DeviceObject;
    (void)Cancelable;
    MISSING;
}

PKEVENT NTAPI IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    (void)EventName;
    (void)EventHandle;
    MISSING;
}

PKEVENT NTAPI IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    (void)EventName;
    (void)EventHandle;
    MISSING;
}

NTSTATUS NTAPI IoInitializeTimer(PDEVICE_OBJECT DeviceObject, PIO_TIMER_ROUTINE TimerRoutine, PVOID Context)
{
    (void)DeviceObject;
    (void)TimerRoutine;
    (void)Context;
    MISSING;
}

VOID NTAPI IoStartTimer(PDEVICE_OBJECT DeviceObject)
{
    (void)DeviceObject;
    MISSING;
}

VOID NTAPI IoStopTimer(PDEVICE_OBJECT DeviceObject)
{
    (void)DeviceObject;
    MISSING;
}

PVOID NTAPI IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize)
{
    (void)IoObject;
    (void)EntrySize;
    MISSING;
}

VOID NTAPI IoWriteErrorLogEntry(PVOID ElEntry)
{
    (void)ElEntry;
    MISSING;
}

VOID NTAPI IoFreeErrorLogEntry(PVOID ElEntry)
{
    (void)ElEntry;
    MISSING;
}

NTSTATUS NTAPI IoGetDeviceInterfaceAlias(PUNICODE_STRING SymbolicLinkName, const GUID *AliasInterfaceClassGuid,
                                         PUNICODE_STRING AliasSymbolicLinkName)
{
    (void)SymbolicLinkName;
    (void)AliasInterfaceClassGuid;
    (void)AliasSymbolicLinkName;
    MISSING;
}

NTSTATUS NTAPI IoWMIRegistrationControl(PDEVICE_OBJECT DeviceObject, ULONG Action)
{
    (void)DeviceObject;
    (void)Action;
    MISSING;
}

NTSTATUS NTAPI IoWMIWriteEvent(PVOID WnodeEventItem)
{
    (void)WnodeEventItem;
    MISSING;
}
