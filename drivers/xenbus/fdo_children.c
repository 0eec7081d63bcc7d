/*
 * The devices on the bus: one for each supported class that the store shows under "device", and one for each synthetic
 * class.
 */
#include "fdo.h"

#include "clock.h"
#include "log.h"
#include "pdo.h"
#include "pool.h"
#include "text.h"

/* When the store could not be read, how soon it is tried again. */
#define CHILD_RETRY_PERIOD CLOCK_SECONDS(1)

/* Whether there is a child of a class, one that has vanished and is not deleted yet included. */
PAGED_FUNCTION static BOOLEAN FdoHasChild(_In_ PXENBUS_FDO Fdo, _In_ PCSTR Class)
{
    BOOLEAN Found = FALSE;
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    ExAcquireFastMutex(&Fdo->Mutex);

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink) {
        if (TextEqual(PdoGetClass(CONTAINING_RECORD(ListEntry, XENBUS_PDO, ListEntry)), Class, TRUE))
            Found = TRUE;
    }

    ExReleaseFastMutex(&Fdo->Mutex);

    return Found;
}

PAGED_FUNCTION static BOOLEAN FdoIsWanted(_In_ PXENBUS_FDO Fdo, _In_ PCSTR Class, _In_ PCSTR StoreClasses)
{
    PAGED_CODE();

    if (Fdo->SyntheticClasses != NULL && TextListHas(Fdo->SyntheticClasses, Class, TRUE))
        return TRUE;

    return Fdo->SupportedClasses != NULL && TextListHas(Fdo->SupportedClasses, Class, TRUE) &&
           TextListHas(StoreClasses, Class, TRUE);
}

/*
 * Marks children that are no longer wanted; TRUE if the PnP manager has to be told. One that it never knew of is moved
 * to Unknown instead.
 */
PAGED_FUNCTION static BOOLEAN FdoMissChildren(_In_ PXENBUS_FDO Fdo, _In_ PCSTR StoreClasses,
                                              _Inout_ PLIST_ENTRY Unknown)
{
    BOOLEAN Changed = FALSE;
    PLIST_ENTRY ListEntry;
    PLIST_ENTRY Next;

    PAGED_CODE();

    ExAcquireFastMutex(&Fdo->Mutex);

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = Next) {
        PXENBUS_PDO Pdo = CONTAINING_RECORD(ListEntry, XENBUS_PDO, ListEntry);

        Next = ListEntry->Flink;
        if (FdoIsWanted(Fdo, PdoGetClass(Pdo), StoreClasses))
            continue;

        if (!Pdo->Reported) {
            PdoUnlink(Pdo);
            InsertTailList(Unknown, &Pdo->ListEntry);
        } else if (!Pdo->Missing) {
            Info("%s has vanished", PdoGetClass(Pdo));
            Pdo->Missing = TRUE;
            Changed = TRUE;
        }
    }

    ExReleaseFastMutex(&Fdo->Mutex);

    return Changed;
}

/* Makes the children of List that are wanted and not there; TRUE if there was one. */
PAGED_FUNCTION static BOOLEAN FdoMakeChildren(_In_ PXENBUS_FDO Fdo, _In_opt_ PCSTR List, _In_ PCSTR StoreClasses)
{
    BOOLEAN Changed = FALSE;
    PCSTR Class;

    PAGED_CODE();

    if (List == NULL)
        return FALSE;

    for (Class = TextListFirst(List); Class != NULL; Class = TextListNext(Class)) {
        /* One that has vanished must be gone before one with the same ID may come: its deletion calls for a rescan. */
        if (!FdoIsWanted(Fdo, Class, StoreClasses) || FdoHasChild(Fdo, Class))
            continue;

        if (NT_SUCCESS(PdoCreate(Fdo, Class)))
            Changed = TRUE;
    }

    return Changed;
}

/* Brings the children in line with the store; *Changed tells whether they were not. By one thread at a time. */
PAGED_FUNCTION static NTSTATUS FdoScan(_In_ PXENBUS_FDO Fdo, _Out_ PBOOLEAN Changed)
{
    static const CHAR Empty[] = "\0";
    LIST_ENTRY Unknown;
    PSTR Buffer;
    PCSTR StoreClasses;
    NTSTATUS Status;

    PAGED_CODE();

    *Changed = FALSE;
    InitializeListHead(&Unknown);

    /* If there is no such directory there are no devices; if it cannot be read, that says nothing. */
    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, Directory, NULL, NULL, "device", &Buffer);
    if (!NT_SUCCESS(Status) && Status != STATUS_OBJECT_NAME_NOT_FOUND)
        return Status;

    StoreClasses = NT_SUCCESS(Status) ? Buffer : Empty;

    if (FdoMissChildren(Fdo, StoreClasses, &Unknown))
        *Changed = TRUE;
    if (FdoMakeChildren(Fdo, Fdo->SupportedClasses, StoreClasses))
        *Changed = TRUE;
    if (FdoMakeChildren(Fdo, Fdo->SyntheticClasses, StoreClasses))
        *Changed = TRUE;

    while (!IsListEmpty(&Unknown))
        PdoDelete(CONTAINING_RECORD(RemoveHeadList(&Unknown), XENBUS_PDO, ListEntry));

    if (Buffer != NULL)
        XENBUS_STORE_CALL(&Fdo->StoreInterface, Free, Buffer);
    return STATUS_SUCCESS;
}

_Function_class_(DRIVER_THREAD_FUNCTION)
PAGED_FUNCTION static NTSTATUS NTAPI FdoChildThread(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;
    BOOLEAN Retry = FALSE;
    LARGE_INTEGER Timeout;

    PAGED_CODE();

    Timeout.QuadPart = -(LONGLONG)CHILD_RETRY_PERIOD;

    for (;;) {
        BOOLEAN Changed;
        NTSTATUS Status;

        (VOID) ThreadWait(Self, Retry ? &Timeout : NULL);
        if (ThreadIsAlerted(Self))
            break;

        Status = FdoScan(Fdo, &Changed);
        Retry = !NT_SUCCESS(Status);

        if (Retry)
            Warning("the devices cannot be listed (%08x)", Status);
        else if (Changed)
            IoInvalidateDeviceRelations(Fdo->PhysicalDeviceObject, BusRelations);
    }

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS FdoChildrenBegin(_In_ PXENBUS_FDO Fdo)
{
    BOOLEAN Changed;
    NTSTATUS Status;

    PAGED_CODE();

    /*
     * The PnP manager asks for the children right after a start: have them by then. If it is power alone that has come
     * back, it has to be told.
     */
    Status = FdoScan(Fdo, &Changed);
    if (!NT_SUCCESS(Status))
        Warning("the devices cannot be listed yet (%08x)", Status);
    else if (Changed && Fdo->Device.PnpState == XENBUS_PNP_STARTED)
        IoInvalidateDeviceRelations(Fdo->PhysicalDeviceObject, BusRelations);

    Status = ThreadCreate(FdoChildThread, Fdo, &Fdo->ChildThread);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, WatchAdd, NULL, "device", ThreadGetEvent(Fdo->ChildThread),
                               &Fdo->ChildWatch);
    if (!NT_SUCCESS(Status))
        goto fail2;

    return STATUS_SUCCESS;

fail2:
    ThreadAlert(Fdo->ChildThread);
    (VOID) ThreadJoin(Fdo->ChildThread);
    Fdo->ChildThread = NULL;

fail1:
    Error("no watch for devices (%08x)", Status);
    return Status;
}

PAGED_FUNCTION VOID FdoChildrenEnd(_In_ PXENBUS_FDO Fdo)
{
    PDRIVER_THREAD Thread = Fdo->ChildThread;

    PAGED_CODE();

    (VOID) XENBUS_STORE_CALL(&Fdo->StoreInterface, WatchRemove, Fdo->ChildWatch);
    Fdo->ChildWatch = NULL;

    /* A child that is being deleted wakes the thread: under the mutex there is one or there is none. */
    ExAcquireFastMutex(&Fdo->Mutex);
    Fdo->ChildThread = NULL;
    ExReleaseFastMutex(&Fdo->Mutex);

    ThreadAlert(Thread);
    (VOID) ThreadJoin(Thread);
}

PAGED_FUNCTION VOID FdoChildrenRescan(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    ExAcquireFastMutex(&Fdo->Mutex);
    if (Fdo->ChildThread != NULL)
        ThreadWake(Fdo->ChildThread);
    ExReleaseFastMutex(&Fdo->Mutex);
}

PAGED_FUNCTION static ULONG FdoCountChildren(_In_ PXENBUS_FDO Fdo)
{
    PLIST_ENTRY ListEntry;
    ULONG Count = 0;

    PAGED_CODE();

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink)
        Count++;

    return Count;
}

PAGED_FUNCTION static NTSTATUS FdoReportLocked(_In_ PXENBUS_FDO Fdo, _In_opt_ const DEVICE_RELATIONS *Old,
                                               _Outptr_ PDEVICE_RELATIONS *Relations)
{
    ULONG OldCount = Old != NULL ? Old->Count : 0;
    SIZE_T Size = FIELD_OFFSET(DEVICE_RELATIONS, Objects) +
                  ((SIZE_T)OldCount + FdoCountChildren(Fdo) + 1) * sizeof(PDEVICE_OBJECT);
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    /* The PnP manager frees it. */
    *Relations = ExAllocatePoolWithTag(PagedPool, Size, POOL_TAG('R', 'E', 'L', 'S'));
    if (*Relations == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlZeroMemory(*Relations, Size);
    if (OldCount != 0)
        RtlCopyMemory((*Relations)->Objects, Old->Objects, OldCount * sizeof(PDEVICE_OBJECT));
    (*Relations)->Count = OldCount;

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink) {
        PXENBUS_PDO Pdo = CONTAINING_RECORD(ListEntry, XENBUS_PDO, ListEntry);

        if (PdoReport(Pdo))
            (*Relations)->Objects[(*Relations)->Count++] = PdoGetDeviceObject(Pdo);
    }

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS FdoChildrenReport(_In_ PXENBUS_FDO Fdo, _Inout_ PIRP Irp)
{
    PDEVICE_RELATIONS Old = (PDEVICE_RELATIONS)Irp->IoStatus.Information;
    PDEVICE_RELATIONS Relations;
    NTSTATUS Status;

    PAGED_CODE();

    ExAcquireFastMutex(&Fdo->Mutex);
    Status = FdoReportLocked(Fdo, Old, &Relations);
    ExReleaseFastMutex(&Fdo->Mutex);

    if (!NT_SUCCESS(Status))
        return Status;

    if (Old != NULL)
        ExFreePool(Old);

    Irp->IoStatus.Information = (ULONG_PTR)Relations;
    return STATUS_SUCCESS;
}

/* Whether no child is such as Applies says. All are looked at. */
PAGED_FUNCTION static BOOLEAN FdoNoChild(_In_ PXENBUS_FDO Fdo, _In_ BOOLEAN (*Applies)(_In_ PXENBUS_PDO Pdo))
{
    BOOLEAN None = TRUE;
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    ExAcquireFastMutex(&Fdo->Mutex);

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink) {
        if (Applies(CONTAINING_RECORD(ListEntry, XENBUS_PDO, ListEntry)))
            None = FALSE;
    }

    ExReleaseFastMutex(&Fdo->Mutex);

    return None;
}

static BOOLEAN FdoChildIsBusy(_In_ PXENBUS_PDO Pdo)
{
    return !PdoIsIdle(Pdo);
}

PAGED_FUNCTION BOOLEAN FdoChildrenAreIdle(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    return FdoNoChild(Fdo, FdoChildIsBusy);
}

PAGED_FUNCTION BOOLEAN FdoChildrenAreStopped(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    return FdoNoChild(Fdo, PdoIsStarted);
}

static BOOLEAN FdoChildIsOn(_In_ PXENBUS_PDO Pdo)
{
    if (!PdoNeedsPower(Pdo))
        return FALSE;

    Warning("%s has not been powered down", PdoGetClass(Pdo));
    return TRUE;
}

PAGED_FUNCTION BOOLEAN FdoChildrenAreOff(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    return FdoNoChild(Fdo, FdoChildIsOn);
}

PAGED_FUNCTION VOID FdoChildrenDestroy(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    for (;;) {
        PXENBUS_PDO Pdo = NULL;

        ExAcquireFastMutex(&Fdo->Mutex);
        if (!IsListEmpty(&Fdo->Children)) {
            Pdo = CONTAINING_RECORD(Fdo->Children.Flink, XENBUS_PDO, ListEntry);
            PdoUnlink(Pdo);
        }
        ExReleaseFastMutex(&Fdo->Mutex);

        if (Pdo == NULL)
            break;
        PdoDelete(Pdo);
    }
}
