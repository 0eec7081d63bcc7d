/*
 * The names of a child: every one is made from the revision table in revision.h.
 *
 *     device ID      XENBUS\VEN_XP0001&DEV_VIF&REV_0900000C, the newest revision
 *     hardware IDs   one for each revision, newest first, then XENCLASS; the compatible IDs are the same
 *     instance ID    _, unique in the machine
 */
#include "pdo.h"

#include "bug.h"
#include "revision.h"
#include "text.h"
#include "version.h"

#define PDO_ID_LENGTH 64

#define PDO_ID_TAG POOL_TAG('P', 'D', 'O', 'I')

typedef struct _PDO_REVISION {
    ULONG Revision;
    USHORT Version[PDO_INTERFACE_COUNT];
} PDO_REVISION;

#define PDO_REVISION_ROW(_Revision, ...) {_Revision, {__VA_ARGS__}},

static const PDO_REVISION PdoRevisions[] = {XENBUS_REVISION_TABLE(PDO_REVISION_ROW)};

C_ASSERT(RTL_NUMBER_OF(PdoRevisions) <= PDO_MAXIMUM_REVISIONS);

PAGED_FUNCTION VOID PdoSetRevisions(_Inout_ PXENBUS_PDO Pdo)
{
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Index < RTL_NUMBER_OF(PdoRevisions); Index++)
        Pdo->Revision[Index] = PdoRevisions[Index].Revision;
    Pdo->RevisionCount = RTL_NUMBER_OF(PdoRevisions);
}

PAGED_FUNCTION BOOLEAN PdoOffers(_In_ PDO_INTERFACE_INDEX Interface, _In_ ULONG Version)
{
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Index < RTL_NUMBER_OF(PdoRevisions); Index++) {
        if (PdoRevisions[Index].Version[Interface] == Version)
            return TRUE;
    }

    return FALSE;
}

PAGED_FUNCTION static NTSTATUS PdoPrintHardwareId(_In_ PXENBUS_PDO Pdo, _In_ ULONG Revision, _Out_writes_(Size) PSTR Id,
                                                  _In_ SIZE_T Size)
{
    PAGED_CODE();

    return TextPrint(Id, Size, "XENBUS\\VEN_%s%s&DEV_%s&REV_%08X", VENDOR_PREFIX_STR, Pdo->Fdo->DeviceDigits,
                     Pdo->Class, Revision);
}

PAGED_FUNCTION static NTSTATUS PdoPrintDeviceId(_In_ PXENBUS_PDO Pdo, _Out_writes_(Size) PSTR Id, _In_ SIZE_T Size)
{
    PAGED_CODE();

    if (PDO_STABLE_DEVICE_ID)
        return TextPrint(Id, Size, "XENBUS\\VEN_%s&DEV_%s", VENDOR_PREFIX_STR, Pdo->Class);

    return PdoPrintHardwareId(Pdo, Pdo->Revision[Pdo->RevisionCount - 1], Id, Size);
}

PAGED_FUNCTION static PWSTR PdoAllocateText(_In_ ULONG Count)
{
    PWSTR Text;

    PAGED_CODE();

    /* The PnP manager frees it. */
    Text = ExAllocatePoolWithTag(PagedPool, (SIZE_T)Count * PDO_ID_LENGTH * sizeof(WCHAR), PDO_ID_TAG);
    if (Text != NULL)
        RtlZeroMemory(Text, (SIZE_T)Count * PDO_ID_LENGTH * sizeof(WCHAR));

    return Text;
}

/* Widens Text to To, its NUL included; where that ends. */
PAGED_FUNCTION static PWSTR PdoWiden(_Out_ PWSTR To, _In_ PCSTR Text)
{
    PAGED_CODE();

    do {
        *To++ = (WCHAR)(UCHAR)*Text;
    } while (*Text++ != '\0');

    return To;
}

PAGED_FUNCTION static NTSTATUS PdoQueryOne(_In_ PCSTR Text, _Outptr_ PWSTR *Wide)
{
    PAGED_CODE();

    ASSERT(TextLength(Text, PDO_ID_LENGTH) < PDO_ID_LENGTH);

    *Wide = PdoAllocateText(1);
    if (*Wide == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (VOID) PdoWiden(*Wide, Text);
    return STATUS_SUCCESS;
}

/* A list: each name with its NUL, and the NUL after all of them that the buffer was zeroed with. */
PAGED_FUNCTION static NTSTATUS PdoQueryHardwareIds(_In_ PXENBUS_PDO Pdo, _Outptr_ PWSTR *Ids)
{
    CHAR Id[PDO_ID_LENGTH];
    ULONG Index;
    PWSTR To;
    NTSTATUS Status;

    PAGED_CODE();

    *Ids = PdoAllocateText(Pdo->RevisionCount + 2);
    if (*Ids == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    To = *Ids;
    for (Index = Pdo->RevisionCount; Index != 0; Index--) {
        Status = PdoPrintHardwareId(Pdo, Pdo->Revision[Index - 1], Id, sizeof(Id));
        if (!NT_SUCCESS(Status))
            goto fail1;

        To = PdoWiden(To, Id);
    }

    (VOID) PdoWiden(To, "XENCLASS");
    return STATUS_SUCCESS;

fail1:
    ExFreePool(*Ids);
    *Ids = NULL;
    return Status;
}

PAGED_FUNCTION NTSTATUS PdoQueryId(_In_ PXENBUS_PDO Pdo, _In_ BUS_QUERY_ID_TYPE Type, _Outptr_ PWSTR *Id)
{
    CHAR Text[PDO_ID_LENGTH];
    NTSTATUS Status;

    PAGED_CODE();

    *Id = NULL;

    switch (Type) {
    case BusQueryDeviceID:
        Status = PdoPrintDeviceId(Pdo, Text, sizeof(Text));
        return NT_SUCCESS(Status) ? PdoQueryOne(Text, Id) : Status;

    case BusQueryInstanceID:
        return PdoQueryOne("_", Id);

    case BusQueryHardwareIDs:
    case BusQueryCompatibleIDs:
        return PdoQueryHardwareIds(Pdo, Id);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

PAGED_FUNCTION NTSTATUS PdoQueryText(_In_ PXENBUS_PDO Pdo, _In_ DEVICE_TEXT_TYPE Type, _Outptr_ PWSTR *Text)
{
    CHAR Description[PDO_ID_LENGTH];
    NTSTATUS Status;

    PAGED_CODE();

    *Text = NULL;

    switch (Type) {
    case DeviceTextDescription:
        Status = TextPrint(Description, sizeof(Description), "XENBUS %s", Pdo->Class);
        return NT_SUCCESS(Status) ? PdoQueryOne(Description, Text) : Status;

    case DeviceTextLocationInformation:
        return PdoQueryOne(Pdo->Class, Text);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}
