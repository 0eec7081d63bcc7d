#include "emulated.h"

#include "driver.h"
#include "interface.h"
#include "log.h"
#include "pool.h"
#include "text.h"
#include "users.h"
#include "xen.h"

#define EMULATED_TAG POOL_TAG('E', 'M', 'U', 'L')

#define EMULATED_ID_SIZE 200 /* Windows takes no longer ones (MAX_DEVICE_ID_LEN) */

/* Disks of an IDE channel: master and slave. */
#define EMULATED_CHANNEL_DISKS 2

#define EMULATED_NO_DISK MAXULONG

struct _XENFILT_EMULATED_DEVICE {
    LIST_ENTRY ListEntry;
    ULONG Disk; /* its index, or EMULATED_NO_DISK */
    CHAR DeviceId[EMULATED_ID_SIZE];
    CHAR InstanceId[EMULATED_ID_SIZE];
};

struct _XENFILT_EMULATED_CONTEXT {
    INTERFACE_USERS Users;
    KSPIN_LOCK Lock;
    LIST_ENTRY Devices;
};

/* Which disk of its channel an IDE device is: instance IDs end in path, target and unit ("...0.1.0"), in hexadecimal.
 */
static ULONG EmulatedDisk(_In_ ULONG Channel, _In_ PCSTR DeviceId, _In_ PCSTR InstanceId)
{
    ULONGLONG Part[3];
    PCSTR End = InstanceId;
    PCSTR Text = InstanceId;
    ULONG Index;

    static const CHAR Disk[] = "IDE\\Disk";
    CHAR Start[sizeof(Disk)];

    (VOID) TextPrint(Start, sizeof(Start), "%s", DeviceId);
    if (!TextEqual(Start, Disk, TRUE))
        return EMULATED_NO_DISK;

    for (; *End != '\0'; End++) {
        if (*End == '&')
            Text = End + 1;
    }

    for (Index = 0; Index < RTL_NUMBER_OF(Part); Index++) {
        if (!NT_SUCCESS(TextToUlonglongPrefix(Text, 16, &Part[Index], &End)))
            return EMULATED_NO_DISK;
        if (*End != (Index + 1 < RTL_NUMBER_OF(Part) ? '.' : '\0'))
            return EMULATED_NO_DISK;
        Text = End + 1;
    }

    if (Part[1] >= EMULATED_CHANNEL_DISKS)
        return EMULATED_NO_DISK;

    return Channel * EMULATED_CHANNEL_DISKS + (ULONG)Part[1];
}

NTSTATUS EmulatedAdd(_In_ PXENFILT_EMULATED_CONTEXT Context, _In_ XENFILT_KIND Kind, _In_ ULONG Channel,
                     _In_ PCSTR DeviceId, _In_ PCSTR InstanceId, _Outptr_ PXENFILT_EMULATED_DEVICE *Device)
{
    KIRQL Irql;

    *Device = PoolAllocate(sizeof(XENFILT_EMULATED_DEVICE), EMULATED_TAG);
    if (*Device == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (VOID) TextPrint((*Device)->DeviceId, sizeof((*Device)->DeviceId), "%s", DeviceId);
    (VOID) TextPrint((*Device)->InstanceId, sizeof((*Device)->InstanceId), "%s", InstanceId);
    (*Device)->Disk = Kind == XENFILT_KIND_IDE ? EmulatedDisk(Channel, DeviceId, InstanceId) : EMULATED_NO_DISK;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    InsertTailList(&Context->Devices, &(*Device)->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return STATUS_SUCCESS;
}

VOID EmulatedRemove(_In_ PXENFILT_EMULATED_CONTEXT Context, _In_ PXENFILT_EMULATED_DEVICE Device)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    RemoveEntryList(&Device->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    PoolFree(Device, EMULATED_TAG);
}

/* Whether Id is what Wanted asks for: the same, or one that says more ("PCI\VEN_10EC&DEV_8139" of "...&SUBSYS_..."). */
static BOOLEAN EmulatedMatches(_In_ PCSTR Id, _In_opt_ PCSTR Wanted)
{
    CHAR Start[EMULATED_ID_SIZE];
    SIZE_T Length;

    if (Wanted == NULL)
        return TRUE;

    Length = TextLength(Wanted, sizeof(Start));
    if (Length >= sizeof(Start) || TextLength(Id, sizeof(Start)) < Length)
        return FALSE;

    RtlCopyMemory(Start, Id, Length);
    Start[Length] = '\0';

    return (Id[Length] == '\0' || Id[Length] == '&') && TextEqual(Start, Wanted, TRUE);
}

static BOOLEAN EmulatedHasDevice(_In_opt_ PCSTR DeviceId, _In_opt_ PCSTR InstanceId)
{
    PXENFILT_EMULATED_CONTEXT Context = DriverGetEmulated();
    BOOLEAN Found = FALSE;
    PLIST_ENTRY ListEntry;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);

    for (ListEntry = Context->Devices.Flink; ListEntry != &Context->Devices; ListEntry = ListEntry->Flink) {
        PXENFILT_EMULATED_DEVICE Device = CONTAINING_RECORD(ListEntry, XENFILT_EMULATED_DEVICE, ListEntry);

        if (EmulatedMatches(Device->DeviceId, DeviceId) &&
            (InstanceId == NULL || TextEqual(Device->InstanceId, InstanceId, TRUE)))
            Found = TRUE;
    }

    KeReleaseSpinLock(&Context->Lock, Irql);

    return Found;
}

/*
 * The first argument of these three is the interface or its Context: clients of either reading are about, and there is
 * one context.
 */
static BOOLEAN NTAPI EmulatedIsDevicePresentVersion1(_In_ PVOID Context, _In_ PSTR DeviceID, _In_opt_ PSTR InstanceID)
{
    UNREFERENCED_PARAMETER(Context);

    return EmulatedHasDevice(DeviceID, InstanceID);
}

static BOOLEAN NTAPI EmulatedIsDevicePresent(_In_ PVOID Context, _In_opt_ PSTR DeviceID, _In_opt_ PSTR InstanceID,
                                             _Out_opt_ PXENBUS_EMULATED_ACTIVATION_STATUS IsForceActivated)
{
    UNREFERENCED_PARAMETER(Context);

    if (IsForceActivated != NULL) {
        switch (XenUnplugQueryPolicy()) {
        case XEN_UNPLUG_NEVER:
            *IsForceActivated = XENBUS_EMULATED_FORCE_ACTIVATED;
            break;

        case XEN_UNPLUG_ALWAYS:
            *IsForceActivated = XENBUS_EMULATED_FORCE_DEACTIVATED;
            break;

        default:
            *IsForceActivated = XENBUS_EMULATED_ACTIVATE_NEUTRAL;
            break;
        }
    }

    return EmulatedHasDevice(DeviceID, InstanceID);
}

static BOOLEAN NTAPI EmulatedIsDiskPresent(_In_ PVOID Context, _In_ ULONG Index)
{
    PXENFILT_EMULATED_CONTEXT Emulated = DriverGetEmulated();
    BOOLEAN Found = FALSE;
    PLIST_ENTRY ListEntry;
    KIRQL Irql;

    UNREFERENCED_PARAMETER(Context);

    if (Index == EMULATED_NO_DISK)
        return FALSE;

    KeAcquireSpinLock(&Emulated->Lock, &Irql);

    for (ListEntry = Emulated->Devices.Flink; ListEntry != &Emulated->Devices; ListEntry = ListEntry->Flink) {
        if (CONTAINING_RECORD(ListEntry, XENFILT_EMULATED_DEVICE, ListEntry)->Disk == Index)
            Found = TRUE;
    }

    KeReleaseSpinLock(&Emulated->Lock, Irql);

    return Found;
}

static NTSTATUS NTAPI EmulatedAcquire(_In_ PINTERFACE Interface)
{
    PXENFILT_EMULATED_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI EmulatedRelease(_In_ PINTERFACE Interface)
{
    PXENFILT_EMULATED_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENFILT_EMULATED_INTERFACE_V2 EmulatedInterfaceV2 = {
    .EmulatedAcquire = EmulatedAcquire,
    .EmulatedRelease = EmulatedRelease,
    .EmulatedIsDevicePresentVersion1 = EmulatedIsDevicePresentVersion1,
    .EmulatedIsDiskPresent = EmulatedIsDiskPresent,
};

static const XENFILT_EMULATED_INTERFACE_V3 EmulatedInterfaceV3 = {
    .EmulatedAcquire = EmulatedAcquire,
    .EmulatedRelease = EmulatedRelease,
    .EmulatedIsDevicePresent = EmulatedIsDevicePresent,
    .EmulatedIsDiskPresent = EmulatedIsDiskPresent,
};

NTSTATUS EmulatedGetInterface(_In_ PXENFILT_EMULATED_CONTEXT Context, _In_ ULONG Version,
                              _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size)
{
    switch (Version) {
    case 2:
        return InterfaceFill(Interface, Size, &EmulatedInterfaceV2, sizeof(EmulatedInterfaceV2), Version, Context);

    case 3:
        return InterfaceFill(Interface, Size, &EmulatedInterfaceV3, sizeof(EmulatedInterfaceV3), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

NTSTATUS EmulatedInitialize(_Outptr_ PXENFILT_EMULATED_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENFILT_EMULATED_CONTEXT), EMULATED_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "EMULATED");
    KeInitializeSpinLock(&(*Context)->Lock);
    InitializeListHead(&(*Context)->Devices);
    UsersEnable(&(*Context)->Users);
    return STATUS_SUCCESS;
}

VOID EmulatedTeardown(_In_ PXENFILT_EMULATED_CONTEXT Context)
{
    UsersDisable(&Context->Users);
    PoolFree(Context, EMULATED_TAG);
}
