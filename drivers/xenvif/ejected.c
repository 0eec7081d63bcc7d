#include "compat.h"

#include <xen/io/xenbus.h>

#include "ejected.h"
#include "fdo.h"
#include "log.h"
#include "pool.h"
#include "text.h"

#define EJECTED_TAG POOL_TAG('V', 'e', 'j', 'e')

#define EJECTED_NAME_LENGTH 12

typedef struct _EJECTED_DEVICE {
    LIST_ENTRY ListEntry;
    CHAR Name[EJECTED_NAME_LENGTH];
    BOOLEAN Closed; /* the store says so, or has no state; FALSE: it is to be told yet */
} EJECTED_DEVICE, *PEJECTED_DEVICE;

static PAGED_FUNCTION VOID EjectedPath(_In_z_ PCSTR Name, _Out_writes_(Size) PSTR Path, _In_ ULONG Size)
{
    PAGED_CODE();

    (VOID) TextPrint(Path, Size, FDO_CHILDREN_PATH "/%s", Name);
}

/* The state of the device in the store; XenbusStateUnknown: there is none. An error: the store has not said. */
static PAGED_FUNCTION NTSTATUS EjectedReadState(_In_ PXENBUS_STORE_INTERFACE_V2 Store, _In_z_ PCSTR Path,
                                                _Out_ PULONG State)
{
    PSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    *State = XenbusStateUnknown;

    Status = XENBUS_STORE_CALL(Store, Read, NULL, (PSTR)Path, (PSTR) "state", &Text);
    if (!NT_SUCCESS(Status))
        return (Status == STATUS_OBJECT_NAME_NOT_FOUND) ? STATUS_SUCCESS : Status;

    if (!NT_SUCCESS(TextToUlong(Text, 10, State)))
        *State = XenbusStateUnknown;
    XENBUS_STORE_CALL(Store, Free, Text);

    return STATUS_SUCCESS;
}

/* A device that was never started has not been closed. */
static PAGED_FUNCTION NTSTATUS EjectedClose(_Inout_ PEJECTED_DEVICE Device, _In_ PXENBUS_STORE_INTERFACE_V2 Store)
{
    CHAR Path[32];
    ULONG State;
    NTSTATUS Status;

    PAGED_CODE();

    EjectedPath(Device->Name, Path, sizeof(Path));

    Status = EjectedReadState(Store, Path, &State);
    if (NT_SUCCESS(Status) && State != XenbusStateUnknown && State != XenbusStateClosed)
        Status = XENBUS_STORE_CALL(Store, Printf, NULL, Path, (PSTR) "state", (PSTR) "%u", XenbusStateClosed);

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

PAGED_FUNCTION NTSTATUS EjectedAdd(_Inout_ PLIST_ENTRY List, _In_ PXENBUS_STORE_INTERFACE_V2 Store, _In_z_ PCSTR Name)
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
    InsertTailList(List, &Device->ListEntry);

    Status = EjectedClose(Device, Store);
    if (!NT_SUCCESS(Status))
        Warning("vif %s: Closed cannot be written (%08x)", Name, Status);

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION BOOLEAN EjectedIsOver(_In_ PXENBUS_STORE_INTERFACE_V2 Store, _Inout_ PEJECTED_DEVICE Device,
                                            _In_opt_ PCSTR Names)
{
    CHAR Path[32];
    ULONG State;

    PAGED_CODE();

    if (Names == NULL || !TextListHas(Names, Device->Name, FALSE))
        return TRUE;

    /* What is in the store is the old device's as long as it has not been closed. */
    if (!Device->Closed) {
        (VOID) EjectedClose(Device, Store);
        return FALSE;
    }

    EjectedPath(Device->Name, Path, sizeof(Path));

    return NT_SUCCESS(EjectedReadState(Store, Path, &State)) && State != XenbusStateUnknown &&
           State != XenbusStateClosed;
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
