#include "compat.h"

#include <ndisguid.h>
#include <ntddndis.h>

#include "log.h"
#include "pool.h"
#include "twin.h"

#define TWIN_TAG POOL_TAG('V', 't', 'w', 'i')

/* What the name of an interface of a PCI device begins with. */
static const WCHAR TwinPrefix[] = L"\\??\\PCI#";

static PAGED_FUNCTION BOOLEAN TwinIsOnPci(_In_z_ PCWSTR Link)
{
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; TwinPrefix[Index] != L'\0'; Index++)
        if (RtlUpcaseUnicodeChar(Link[Index]) != TwinPrefix[Index])
            return FALSE;

    return TRUE;
}

/* The link behind Link in the list, which an empty one ends. */
static PAGED_FUNCTION PCWSTR TwinNextLink(_In_z_ PCWSTR Link)
{
    PAGED_CODE();

    while (*Link != L'\0')
        Link++;

    return Link + 1;
}

static PAGED_FUNCTION NTSTATUS TwinAsk(_In_ PDEVICE_OBJECT Device, _In_ PFILE_OBJECT File,
                                       _Out_ PETHERNET_ADDRESS Address)
{
    ULONG Oid = OID_802_3_PERMANENT_ADDRESS;
    IO_STATUS_BLOCK StatusBlock;
    KEVENT Event;
    PIRP Irp;
    NTSTATUS Status;

    PAGED_CODE();

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    RtlZeroMemory(&StatusBlock, sizeof(StatusBlock));

    Irp = IoBuildDeviceIoControlRequest(IOCTL_NDIS_QUERY_GLOBAL_STATS, Device, &Oid, sizeof(Oid), Address,
                                        sizeof(ETHERNET_ADDRESS), FALSE, &Event, &StatusBlock);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    /* NDIS looks into the file object for whom it answers; the routine above leaves it out. */
    IoGetNextIrpStackLocation(Irp)->FileObject = File;

    Status = IoCallDriver(Device, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = StatusBlock.Status;
    }

    if (NT_SUCCESS(Status) && StatusBlock.Information != sizeof(ETHERNET_ADDRESS))
        Status = STATUS_INVALID_BUFFER_SIZE;

    return Status;
}

static PAGED_FUNCTION NTSTATUS TwinQueryAddress(_In_z_ PCWSTR Link, _Out_ PETHERNET_ADDRESS Address)
{
    UNICODE_STRING Name;
    PFILE_OBJECT File;
    PDEVICE_OBJECT Device;
    NTSTATUS Status;

    PAGED_CODE();

    RtlInitUnicodeString(&Name, Link);

    Status = IoGetDeviceObjectPointer(&Name, FILE_READ_DATA, &File, &Device);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = TwinAsk(Device, File, Address);
    ObDereferenceObject(File);

    return Status;
}

static PAGED_FUNCTION ULONG TwinCount(_In_ PCWSTR Links)
{
    ULONG Count = 0;
    PCWSTR Link;

    PAGED_CODE();

    for (Link = Links; *Link != L'\0'; Link = TwinNextLink(Link))
        if (TwinIsOnPci(Link))
            Count++;

    return Count;
}

/* There is room for all of them. A card that does not answer is none of Windows's; one that could not be asked may be.
 */
static PAGED_FUNCTION NTSTATUS TwinQueryAll(_Inout_ PTWIN_LIST List, _In_ PCWSTR Links)
{
    PCWSTR Link;
    NTSTATUS Status;

    PAGED_CODE();

    for (Link = Links; *Link != L'\0'; Link = TwinNextLink(Link)) {
        if (!TwinIsOnPci(Link))
            continue;

        Status = TwinQueryAddress(Link, &List->Addresses[List->Count]);
        if (NT_SUCCESS(Status))
            List->Count++;
        else if (Status == STATUS_INSUFFICIENT_RESOURCES)
            return Status;
        else
            Warning("a network card on the PCI bus does not tell its address (%08x)", Status);
    }

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS TwinListCreate(_Out_ PTWIN_LIST List)
{
    PWSTR Links;
    ULONG Count;
    NTSTATUS Status;

    PAGED_CODE();

    RtlZeroMemory(List, sizeof(TWIN_LIST));

    Status = IoGetDeviceInterfaces(&GUID_DEVINTERFACE_NET, NULL, 0, &Links);
    if (!NT_SUCCESS(Status))
        return Status;

    Count = TwinCount(Links);
    if (Count != 0) {
        List->Addresses = PoolAllocate((SIZE_T)Count * sizeof(ETHERNET_ADDRESS), TWIN_TAG);
        Status = (List->Addresses != NULL) ? TwinQueryAll(List, Links) : STATUS_INSUFFICIENT_RESOURCES;
    }

    ExFreePool(Links);

    if (!NT_SUCCESS(Status))
        TwinListDestroy(List);

    return Status;
}

PAGED_FUNCTION VOID TwinListDestroy(_Inout_ PTWIN_LIST List)
{
    PAGED_CODE();

    if (List->Addresses != NULL)
        PoolFree(List->Addresses, TWIN_TAG);

    RtlZeroMemory(List, sizeof(TWIN_LIST));
}

BOOLEAN TwinListHas(_In_ const TWIN_LIST *List, _In_ const ETHERNET_ADDRESS *Address)
{
    ULONG Index;

    for (Index = 0; Index < List->Count; Index++)
        if (RtlEqualMemory(&List->Addresses[Index], Address, sizeof(ETHERNET_ADDRESS)))
            return TRUE;

    return FALSE;
}

PAGED_FUNCTION NTSTATUS TwinWatch(_In_ PDRIVER_OBJECT Driver, _In_ PDRIVER_NOTIFICATION_CALLBACK_ROUTINE Changed,
                                  _In_opt_ PVOID Context, _Outptr_ PVOID *Watch)
{
    PAGED_CODE();

    return IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange,
                                          PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES,
                                          (PVOID)&GUID_DEVINTERFACE_NET, Driver, Changed, Context, Watch);
}

PAGED_FUNCTION VOID TwinStopWatching(_In_ PVOID Watch)
{
    PAGED_CODE();

    (VOID) IoUnregisterPlugPlayNotificationEx(Watch);
}
