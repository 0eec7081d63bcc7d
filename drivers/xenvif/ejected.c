#include "compat.h"

#include <xen/io/xenbus.h>

#include "ejected.h"
#include "fdo.h"
#include "log.h"
#include "mac.h"
#include "pool.h"
#include "text.h"

#define EJECTED_TAG POOL_TAG('V', 'e', 'j', 'e')

#define EJECTED_NAME_LENGTH 12

/* How often a transaction that somebody was faster than is started again. */
#define EJECTED_TRANSACTION_TRIES 16

/* What the store says of a device. */
typedef struct _EJECTED_IDENTITY {
    ULONG State;              /* XenbusStateUnknown: there is none */
    ETHERNET_ADDRESS Address; /* zero: there is none */
} EJECTED_IDENTITY, *PEJECTED_IDENTITY;

typedef struct _EJECTED_DEVICE {
    LIST_ENTRY ListEntry;
    CHAR Name[EJECTED_NAME_LENGTH];
    EJECTED_IDENTITY Identity; /* State: as it was seen first */
    BOOLEAN Seen;
    BOOLEAN Closed; /* the store says so, or has no state; FALSE: it is to be told yet */
    BOOLEAN Over;   /* what the store has is another device */
} EJECTED_DEVICE, *PEJECTED_DEVICE;

/* A node of the device's directory as text; NULL: there is none. An error: the store has not said. */
static PAGED_FUNCTION NTSTATUS EjectedRead(_In_ PXENBUS_STORE_INTERFACE_V2 Store,
                                           _In_opt_ PXENBUS_STORE_TRANSACTION Transaction, _In_z_ PCSTR Path,
                                           _In_z_ PCSTR Node, _Outptr_ PSTR *Text)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = XENBUS_STORE_CALL(Store, Read, Transaction, (PSTR)Path, (PSTR)Node, Text);
    if (NT_SUCCESS(Status))
        return STATUS_SUCCESS;

    *Text = NULL;

    return (Status == STATUS_OBJECT_NAME_NOT_FOUND) ? STATUS_SUCCESS : Status;
}

static PAGED_FUNCTION VOID EjectedPath(_In_z_ PCSTR Name, _Out_writes_(Size) PSTR Path, _In_ ULONG Size)
{
    PAGED_CODE();

    (VOID) TextPrint(Path, Size, FDO_CHILDREN_PATH "/%s", Name);
}

static PAGED_FUNCTION NTSTATUS EjectedReadIdentity(_In_ PXENBUS_STORE_INTERFACE_V2 Store,
                                                   _In_opt_ PXENBUS_STORE_TRANSACTION Transaction, _In_z_ PCSTR Path,
                                                   _Out_ PEJECTED_IDENTITY Identity)
{
    PSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    RtlZeroMemory(Identity, sizeof(EJECTED_IDENTITY));
    Identity->State = XenbusStateUnknown;

    Status = EjectedRead(Store, Transaction, Path, "state", &Text);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Text != NULL) {
        if (!NT_SUCCESS(TextToUlong(Text, 10, &Identity->State)))
            Identity->State = XenbusStateUnknown;
        XENBUS_STORE_CALL(Store, Free, Text);
    }

    Status = EjectedRead(Store, Transaction, Path, "mac", &Text);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Text != NULL) {
        if (!NT_SUCCESS(MacAddressFromText(Text, &Identity->Address)))
            RtlZeroMemory(&Identity->Address, sizeof(ETHERNET_ADDRESS));
        XENBUS_STORE_CALL(Store, Free, Text);
    }

    return STATUS_SUCCESS;
}

/* Whether the store still has the device that was ejected: nobody but us, and we no more, changes its state. */
static PAGED_FUNCTION BOOLEAN EjectedIsSame(_Inout_ PEJECTED_DEVICE Device, _In_ const EJECTED_IDENTITY *Identity)
{
    PAGED_CODE();

    if (!RtlEqualMemory(&Device->Identity.Address, &Identity->Address, sizeof(ETHERNET_ADDRESS)))
        return FALSE;

    if (!Device->Seen) {
        Device->Seen = TRUE;
        Device->Identity.State = Identity->State;
    }

    return Identity->State == Device->Identity.State || Identity->State == XenbusStateClosed;
}

/* Writes Closed if it is the device's directory still, and there is a state to replace. STATUS_RETRY: begin again. */
static PAGED_FUNCTION NTSTATUS EjectedCloseIn(_Inout_ PEJECTED_DEVICE Device, _In_ PXENBUS_STORE_INTERFACE_V2 Store,
                                              _In_ PXENBUS_STORE_TRANSACTION Transaction)
{
    EJECTED_IDENTITY Identity;
    BOOLEAN Write = FALSE;
    CHAR Path[32];
    NTSTATUS Status;

    PAGED_CODE();

    EjectedPath(Device->Name, Path, sizeof(Path));

    Status = EjectedReadIdentity(Store, Transaction, Path, &Identity);
    if (NT_SUCCESS(Status)) {
        Device->Over = !EjectedIsSame(Device, &Identity);
        Write = !Device->Over && Identity.State != XenbusStateUnknown && Identity.State != XenbusStateClosed;
    }

    /* A device that was never started has not been closed. */
    if (Write)
        Status = XENBUS_STORE_CALL(Store, Printf, Transaction, Path, (PSTR) "state", (PSTR) "%u", XenbusStateClosed);

    if (Write && NT_SUCCESS(Status))
        return XENBUS_STORE_CALL(Store, TransactionEnd, Transaction, TRUE);

    (VOID) XENBUS_STORE_CALL(Store, TransactionEnd, Transaction, FALSE);

    return Status;
}

static PAGED_FUNCTION NTSTATUS EjectedClose(_Inout_ PEJECTED_DEVICE Device, _In_ PXENBUS_STORE_INTERFACE_V2 Store)
{
    PXENBUS_STORE_TRANSACTION Transaction;
    NTSTATUS Status = STATUS_RETRY;
    ULONG Try;

    PAGED_CODE();

    for (Try = 0; Status == STATUS_RETRY && Try < EJECTED_TRANSACTION_TRIES; Try++) {
        Status = XENBUS_STORE_CALL(Store, TransactionStart, &Transaction);
        if (NT_SUCCESS(Status))
            Status = EjectedCloseIn(Device, Store, Transaction);
    }

    Device->Closed = NT_SUCCESS(Status);

    return Status;
}

static PAGED_FUNCTION PEJECTED_DEVICE EjectedFind(_In_ PLIST_ENTRY List, _In_z_ PCSTR Name)
{
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    for (ListEntry = List->Flink; ListEntry != List; ListEntry = ListEntry->Flink) {
        PEJECTED_DEVICE Device = CONTAINING_RECORD(ListEntry, EJECTED_DEVICE, ListEntry);

        if (TextEqual(Device->Name, Name, FALSE))
            return Device;
    }

    return NULL;
}

PAGED_FUNCTION NTSTATUS EjectedAdd(_Inout_ PLIST_ENTRY List, _In_ PXENBUS_STORE_INTERFACE_V2 Store, _In_z_ PCSTR Name,
                                   _In_ const ETHERNET_ADDRESS *Address)
{
    PEJECTED_DEVICE Device;
    NTSTATUS Status;

    PAGED_CODE();

    if (EjectedFind(List, Name) != NULL)
        return STATUS_SUCCESS;

    Device = PoolAllocate(sizeof(EJECTED_DEVICE), EJECTED_TAG);
    if (Device == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (VOID) TextPrint(Device->Name, sizeof(Device->Name), "%s", Name);
    Device->Identity.Address = *Address;
    InsertTailList(List, &Device->ListEntry);

    Status = EjectedClose(Device, Store);
    if (!NT_SUCCESS(Status))
        Warning("vif %s: Closed cannot be written (%08x)", Name, Status);

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION BOOLEAN EjectedIsOver(_In_ PXENBUS_STORE_INTERFACE_V2 Store, _Inout_ PEJECTED_DEVICE Device,
                                            _In_opt_ PCSTR Names)
{
    EJECTED_IDENTITY Identity;
    CHAR Path[32];

    PAGED_CODE();

    if (Names == NULL || !TextListHas(Names, Device->Name, FALSE))
        return TRUE;

    if (!Device->Closed)
        (VOID) EjectedClose(Device, Store);
    if (Device->Over || !Device->Closed)
        return Device->Over;

    EjectedPath(Device->Name, Path, sizeof(Path));

    return NT_SUCCESS(EjectedReadIdentity(Store, NULL, Path, &Identity)) && Identity.State != XenbusStateUnknown &&
           Identity.State != XenbusStateClosed;
}

static PAGED_FUNCTION VOID EjectedForget(_In_ PEJECTED_DEVICE Device)
{
    PAGED_CODE();

    RemoveEntryList(&Device->ListEntry);
    PoolFree(Device, EJECTED_TAG);
}

PAGED_FUNCTION BOOLEAN EjectedUpdate(_Inout_ PLIST_ENTRY List, _In_ PXENBUS_STORE_INTERFACE_V2 Store,
                                     _In_opt_ PCSTR Names)
{
    BOOLEAN Closed = TRUE;
    PLIST_ENTRY ListEntry;
    PLIST_ENTRY Next;

    PAGED_CODE();

    for (ListEntry = List->Flink; ListEntry != List; ListEntry = Next) {
        PEJECTED_DEVICE Device = CONTAINING_RECORD(ListEntry, EJECTED_DEVICE, ListEntry);

        Next = ListEntry->Flink;
        if (EjectedIsOver(Store, Device, Names))
            EjectedForget(Device);
        else if (!Device->Closed)
            Closed = FALSE;
    }

    return Closed;
}

PAGED_FUNCTION BOOLEAN EjectedHas(_In_ PLIST_ENTRY List, _In_z_ PCSTR Name)
{
    PAGED_CODE();

    return EjectedFind(List, Name) != NULL;
}

PAGED_FUNCTION VOID EjectedClear(_Inout_ PLIST_ENTRY List)
{
    PAGED_CODE();

    while (!IsListEmpty(List))
        EjectedForget(CONTAINING_RECORD(List->Flink, EJECTED_DEVICE, ListEntry));
}
