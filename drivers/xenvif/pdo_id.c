#include "bug.h"
#include "cache_interface.h"
#include "parent.h"
#include "pdo_private.h"
#include "pool.h"
#include "revision.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "text.h"
#include "unplug_interface.h"
#include "version.h"

/* Characters of one ID, the NUL included; the longest list has all revisions and one more. */
#define PDO_ID_LENGTH 64

typedef struct _PDO_REVISION {
    ULONG Revision;
    USHORT Cache;
    USHORT Vif;
    USHORT Store;
    USHORT Suspend;
    USHORT Unplug;
} PDO_REVISION;

#define PDO_REVISION_ROW(_Revision, _Cache, _Vif, _Store, _Suspend, _Unplug)                                           \
    {_Revision, _Cache, _Vif, _Store, _Suspend, _Unplug},

static const PDO_REVISION PdoRevisionTable[] = {XENVIF_REVISION_TABLE(PDO_REVISION_ROW)};

C_ASSERT(RTL_NUMBER_OF(PdoRevisionTable) <= PDO_MAXIMUM_REVISIONS);

/* Room for any interface of the bus that a revision names. */
typedef union _PDO_INTERFACE {
    INTERFACE Interface;
    XENBUS_CACHE_INTERFACE Cache;
    XENBUS_STORE_INTERFACE Store;
    XENBUS_SUSPEND_INTERFACE Suspend;
    XENBUS_UNPLUG_INTERFACE Unplug;
} PDO_INTERFACE;

/* An error: the bus lacks the interface. A query counts for nothing, so there is nothing to give back. */
static PAGED_FUNCTION NTSTATUS PdoAskBus(_In_ PXENVIF_PDO Pdo, _In_ const GUID *Type, _In_ USHORT Version)
{
    PDO_INTERFACE Interface;

    PAGED_CODE();

    return ParentQueryInterface(FdoGetLowerDevice(Pdo->Fdo), Type, Version, sizeof(Interface), NULL,
                                &Interface.Interface);
}

/* An error: an interface of the revision is not there. */
static PAGED_FUNCTION NTSTATUS PdoCheckRevision(_In_ PXENVIF_PDO Pdo, _In_ const PDO_REVISION *Row)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (Row->Vif < VIF_VERSION_MIN || Row->Vif > VIF_VERSION_MAX)
        return STATUS_NOT_SUPPORTED;

    Status = PdoAskBus(Pdo, &GUID_XENBUS_CACHE_INTERFACE, Row->Cache);
    if (NT_SUCCESS(Status))
        Status = PdoAskBus(Pdo, &GUID_XENBUS_STORE_INTERFACE, Row->Store);
    if (NT_SUCCESS(Status))
        Status = PdoAskBus(Pdo, &GUID_XENBUS_SUSPEND_INTERFACE, Row->Suspend);
    if (NT_SUCCESS(Status))
        Status = PdoAskBus(Pdo, &GUID_XENBUS_UNPLUG_INTERFACE, Row->Unplug);

    return Status;
}

PAGED_FUNCTION NTSTATUS PdoSetRevisions(_Inout_ PXENVIF_PDO Pdo)
{
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    Pdo->RevisionCount = 0;

    /* The table goes from the oldest to the newest. */
    for (Index = RTL_NUMBER_OF(PdoRevisionTable); Index-- != 0;) {
        Status = PdoCheckRevision(Pdo, &PdoRevisionTable[Index]);
        if (NT_SUCCESS(Status))
            Pdo->Revisions[Pdo->RevisionCount++] = PdoRevisionTable[Index].Revision;
        else if (Status == STATUS_INSUFFICIENT_RESOURCES)
            return Status;
    }

    if (Pdo->RevisionCount == 0)
        Error("vif %u: the bus has the interfaces of no revision", Pdo->Number);

    return STATUS_SUCCESS;
}

PAGED_FUNCTION BOOLEAN PdoOffers(_In_ const GUID *Type, _In_ USHORT Version)
{
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Index < RTL_NUMBER_OF(PdoRevisionTable); Index++) {
        const PDO_REVISION *Row = &PdoRevisionTable[Index];

        if ((Row->Vif == Version && IsEqualGUID(Type, &GUID_XENVIF_VIF_INTERFACE)) ||
            (Row->Cache == Version && IsEqualGUID(Type, &GUID_XENBUS_CACHE_INTERFACE)) ||
            (Row->Store == Version && IsEqualGUID(Type, &GUID_XENBUS_STORE_INTERFACE)) ||
            (Row->Suspend == Version && IsEqualGUID(Type, &GUID_XENBUS_SUSPEND_INTERFACE)) ||
            (Row->Unplug == Version && IsEqualGUID(Type, &GUID_XENBUS_UNPLUG_INTERFACE)))
            return TRUE;
    }

    return FALSE;
}

static PAGED_FUNCTION VOID PdoPrintRevision(_In_ PXENVIF_PDO Pdo, _In_ ULONG Revision,
                                            _Out_writes_(PDO_ID_LENGTH) PSTR Id)
{
    PAGED_CODE();

    (VOID) TextPrint(Id, PDO_ID_LENGTH, "XENVIF\\VEN_%s&DEV_NET&REV_%08X", FdoGetVendor(Pdo->Fdo), Revision);
}

/* A list of strings under construction, in wide characters, as the PnP manager takes it. */
typedef struct _PDO_LIST {
    PWSTR Text;
    ULONG Length; /* characters so far */
    ULONG Room;
} PDO_LIST, *PPDO_LIST;

static PAGED_FUNCTION NTSTATUS PdoListCreate(_Out_ PPDO_LIST List, _In_ ULONG Strings)
{
    PAGED_CODE();

    /* One character more: the NUL that closes the list. */
    List->Length = 0;
    List->Room = Strings * PDO_ID_LENGTH + 1;
    List->Text = ExAllocatePoolWithTag(PagedPool, List->Room * sizeof(WCHAR), PDO_TAG);
    if (List->Text == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlZeroMemory(List->Text, List->Room * sizeof(WCHAR));

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION VOID PdoListAppend(_Inout_ PPDO_LIST List, _In_z_ PCSTR String)
{
    PAGED_CODE();

    for (; *String != '\0'; String++)
        List->Text[List->Length++] = (UCHAR)*String;

    List->Text[List->Length++] = L'\0';

    ASSERT(List->Length < List->Room);
}

/* The newest revision, or the same whatever the revision is (revision.h). */
static PAGED_FUNCTION VOID PdoAppendDeviceId(_In_ PXENVIF_PDO Pdo, _Inout_ PPDO_LIST List)
{
    CHAR Id[PDO_ID_LENGTH];

    PAGED_CODE();

    if (PDO_STABLE_DEVICE_ID || Pdo->RevisionCount == 0)
        (VOID) TextPrint(Id, sizeof(Id), "XENVIF\\VEN_%s&DEV_NET", VENDOR_PREFIX_STR);
    else
        PdoPrintRevision(Pdo, Pdo->Revisions[0], Id);

    PdoListAppend(List, Id);
}

static PAGED_FUNCTION VOID PdoAppendHardwareIds(_In_ PXENVIF_PDO Pdo, _Inout_ PPDO_LIST List)
{
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Index < Pdo->RevisionCount; Index++) {
        CHAR Id[PDO_ID_LENGTH];

        PdoPrintRevision(Pdo, Pdo->Revisions[Index], Id);
        PdoListAppend(List, Id);
    }

    PdoListAppend(List, "XENDEVICE");
}

/*
 * The ID of the physical device that this one is part of: a card, which its address tells from every other, wherever it
 * is plugged in. In the form of an RFC 4122 ID of version 1, whose node is the address, with a time that is ours.
 */
static PAGED_FUNCTION VOID PdoAppendContainerId(_In_ PXENVIF_PDO Pdo, _Inout_ PPDO_LIST List)
{
    const UCHAR *Byte = Pdo->Address.Byte;
    CHAR Id[PDO_ID_LENGTH];

    PAGED_CODE();

    (VOID) TextPrint(Id, sizeof(Id), "{7d2b6c40-93e1-11ef-a4f5-%02x%02x%02x%02x%02x%02x}", Byte[0], Byte[1], Byte[2],
                     Byte[3], Byte[4], Byte[5]);
    PdoListAppend(List, Id);
}

static PAGED_FUNCTION BOOLEAN PdoHasId(_In_ PXENVIF_PDO Pdo, _In_ BUS_QUERY_ID_TYPE Type)
{
    PAGED_CODE();

    switch (Type) {
    case BusQueryDeviceID:
    case BusQueryHardwareIDs:
    case BusQueryCompatibleIDs:
    case BusQueryInstanceID:
        return TRUE;

    case BusQueryContainerID:
        return Pdo->HasAddress;

    default:
        return FALSE;
    }
}

PAGED_FUNCTION NTSTATUS PdoQueryId(_In_ PXENVIF_PDO Pdo, _In_ BUS_QUERY_ID_TYPE Type, _Outptr_ PWSTR *Id)
{
    PDO_LIST List;
    NTSTATUS Status;

    PAGED_CODE();

    if (!PdoHasId(Pdo, Type))
        return STATUS_NOT_SUPPORTED;

    Status = PdoListCreate(&List, Pdo->RevisionCount + 1);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Type == BusQueryDeviceID)
        PdoAppendDeviceId(Pdo, &List);
    else if (Type == BusQueryInstanceID)
        PdoListAppend(&List, Pdo->Name);
    else if (Type == BusQueryContainerID)
        PdoAppendContainerId(Pdo, &List);
    else
        PdoAppendHardwareIds(Pdo, &List);

    *Id = List.Text;

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS PdoQueryText(_In_ PXENVIF_PDO Pdo, _In_ DEVICE_TEXT_TYPE Type, _Outptr_ PWSTR *Text)
{
    CHAR String[PDO_ID_LENGTH];
    PDO_LIST List;
    NTSTATUS Status;

    PAGED_CODE();

    if (Type == DeviceTextDescription)
        (VOID) TextPrint(String, sizeof(String), "%s NET", VENDOR_NAME_STR);
    else if (Type == DeviceTextLocationInformation)
        (VOID) TextPrint(String, sizeof(String), "XENVIF %u", Pdo->Number);
    else
        return STATUS_NOT_SUPPORTED;

    Status = PdoListCreate(&List, 1);
    if (!NT_SUCCESS(Status))
        return Status;

    PdoListAppend(&List, String);
    *Text = List.Text;

    return STATUS_SUCCESS;
}
