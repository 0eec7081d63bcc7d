#include "compat.h"
#include "log.h"
#include "parent.h"

/* What all interfaces of the bus begin with (interface_layout.h asserts it). */
typedef struct _PARENT_INTERFACE {
    INTERFACE Interface;
    NTSTATUS(NTAPI *Acquire)(_In_ PINTERFACE Interface);
    VOID(NTAPI *Release)(_In_ PINTERFACE Interface);
} PARENT_INTERFACE, *PPARENT_INTERFACE;

typedef struct _PARENT_ENTRY {
    PCSTR Name;
    const GUID *Type;
    USHORT Version;
    USHORT Size;
    ULONG Offset;
} PARENT_ENTRY;

#define PARENT_ENTRY_OF(_Field, _Name, _Version)                                                                       \
    {                                                                                                                  \
#_Name, &GUID_XENBUS_##_Name##_INTERFACE, _Version, sizeof(((PXENVIF_PARENT)0)->_Field),                       \
            FIELD_OFFSET(XENVIF_PARENT, _Field)                                                                        \
    }

static const PARENT_ENTRY ParentEntries[] = {
    PARENT_ENTRY_OF(Debug, DEBUG, 1),   PARENT_ENTRY_OF(Suspend, SUSPEND, 1), PARENT_ENTRY_OF(Store, STORE, 2),
    PARENT_ENTRY_OF(Evtchn, EVTCHN, 9), PARENT_ENTRY_OF(Cache, CACHE, 2),     PARENT_ENTRY_OF(Gnttab, GNTTAB, 4),
};

static PPARENT_INTERFACE ParentInterface(_In_ PXENVIF_PARENT Parent, _In_ const PARENT_ENTRY *Entry)
{
    return (PPARENT_INTERFACE)((PUCHAR)Parent + Entry->Offset);
}

PAGED_FUNCTION NTSTATUS ParentQueryInterface(_In_ PDEVICE_OBJECT Device, _In_ const GUID *Type, _In_ USHORT Version,
                                             _In_ USHORT Size, _In_opt_ PVOID Data, _Out_ PINTERFACE Interface)
{
    KEVENT Event;
    IO_STATUS_BLOCK StatusBlock;
    PIRP Irp;
    PIO_STACK_LOCATION StackLocation;
    NTSTATUS Status;

    PAGED_CODE();

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    RtlZeroMemory(&StatusBlock, sizeof(StatusBlock));

    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, Device, NULL, 0, NULL, &Event, &StatusBlock);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    StackLocation = IoGetNextIrpStackLocation(Irp);
    StackLocation->MinorFunction = IRP_MN_QUERY_INTERFACE;
    StackLocation->Parameters.QueryInterface.InterfaceType = Type;
    StackLocation->Parameters.QueryInterface.Size = Size;
    StackLocation->Parameters.QueryInterface.Version = Version;
    StackLocation->Parameters.QueryInterface.Interface = Interface;
    StackLocation->Parameters.QueryInterface.InterfaceSpecificData = Data;

    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    Status = IoCallDriver(Device, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = StatusBlock.Status;
    }

    return Status;
}

static PAGED_FUNCTION NTSTATUS ParentAcquire(_Inout_ PXENVIF_PARENT Parent, _In_ const PARENT_ENTRY *Entry)
{
    PPARENT_INTERFACE Interface = ParentInterface(Parent, Entry);
    NTSTATUS Status;

    PAGED_CODE();

    Status = ParentQueryInterface(Parent->LowerDevice, Entry->Type, Entry->Version, Entry->Size, NULL,
                                  &Interface->Interface);
    if (NT_SUCCESS(Status))
        Status = Interface->Acquire(&Interface->Interface);

    if (!NT_SUCCESS(Status))
        Error("the bus does not give XENBUS_%s version %u (%08x)", Entry->Name, Entry->Version, Status);

    return Status;
}

/* Releases the first Count interfaces but Kept, the last first. */
static PAGED_FUNCTION VOID ParentRelease(_Inout_ PXENVIF_PARENT Parent, _In_ ULONG Count, _In_opt_ const VOID *Kept)
{
    PAGED_CODE();

    while (Count-- != 0) {
        PPARENT_INTERFACE Interface = ParentInterface(Parent, &ParentEntries[Count]);

        if (Interface != Kept)
            Interface->Release(&Interface->Interface);
    }

    RtlZeroMemory(Parent, sizeof(XENVIF_PARENT));
}

PAGED_FUNCTION NTSTATUS ParentConnect(_Out_ PXENVIF_PARENT Parent, _In_ PDEVICE_OBJECT LowerDevice)
{
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    RtlZeroMemory(Parent, sizeof(XENVIF_PARENT));
    Parent->LowerDevice = LowerDevice;

    for (Index = 0; Index < RTL_NUMBER_OF(ParentEntries); Index++) {
        Status = ParentAcquire(Parent, &ParentEntries[Index]);
        if (!NT_SUCCESS(Status))
            goto fail;
    }

    return STATUS_SUCCESS;

fail:
    ParentRelease(Parent, Index, NULL);

    return Status;
}

PAGED_FUNCTION VOID ParentDisconnect(_Inout_ PXENVIF_PARENT Parent, _In_ BOOLEAN KeepGrants)
{
    PAGED_CODE();

    ParentRelease(Parent, RTL_NUMBER_OF(ParentEntries), KeepGrants ? &Parent->Gnttab : NULL);
}
