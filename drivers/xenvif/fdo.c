#include "bug.h"
#include "fdo_private.h"
#include "pdo.h"
#include "pool.h"
#include "status.h"
#include "text.h"

/* When what could not be done is tried again, and for how long granters in retirement do so when the bus stops. */
#define FDO_RETRY_TIME 1000       /* ms */
#define FDO_RETIRED_PATIENCE 5000 /* ms */

PAGED_FUNCTION VOID FdoLock(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    (VOID) KeWaitForSingleObject(&Fdo->Mutex, Executive, KernelMode, FALSE, NULL);
}

PAGED_FUNCTION VOID FdoUnlock(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    (VOID) KeReleaseMutex(&Fdo->Mutex, FALSE);
}

PAGED_FUNCTION NTSTATUS FdoCreate(_In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PXENVIF_FDO Fdo;
    NTSTATUS Status;

    PAGED_CODE();

    Status = IoCreateDevice(DriverGetObject(), sizeof(XENVIF_FDO), NULL, FILE_DEVICE_BUS_EXTENDER,
                            FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Fdo = DeviceObject->DeviceExtension;
    RtlZeroMemory(Fdo, sizeof(XENVIF_FDO));
    Fdo->Device.Type = XENVIF_DEVICE_FDO;
    Fdo->Device.DeviceObject = DeviceObject;
    Fdo->Device.PnpState = XENVIF_PNP_NOT_STARTED;
    Fdo->Device.PowerState = PowerDeviceD3;
    Fdo->PhysicalDeviceObject = PhysicalDeviceObject;

    IoInitializeRemoveLock(&Fdo->RemoveLock, FDO_TAG, 0, 0);
    KeInitializeMutex(&Fdo->Mutex, 0);
    InitializeListHead(&Fdo->Children);
    InitializeListHead(&Fdo->Ejected);
    InitializeListHead(&Fdo->Retired);

    Fdo->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Fdo->LowerDeviceObject == NULL) {
        Status = STATUS_NO_SUCH_DEVICE;
        goto fail2;
    }

    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;

    return STATUS_SUCCESS;

fail2:
    IoDeleteDevice(DeviceObject);

fail1:
    Error("(%08x)", Status);

    return Status;
}

NTSTATUS FdoForward(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp)
{
    IoSkipCurrentIrpStackLocation(Irp);

    return IoCallDriver(Fdo->LowerDeviceObject, Irp);
}

PXENVIF_PARENT FdoGetParent(_In_ PXENVIF_FDO Fdo)
{
    return &Fdo->Parent;
}

BOOLEAN FdoHasFailed(_In_ PXENVIF_FDO Fdo)
{
    return Fdo->Failed;
}

PDEVICE_OBJECT FdoGetLowerDevice(_In_ PXENVIF_FDO Fdo)
{
    return Fdo->LowerDeviceObject;
}

PCSTR FdoGetVendor(_In_ PXENVIF_FDO Fdo)
{
    return Fdo->Vendor;
}

VOID FdoInvalidateRelations(_In_ PXENVIF_FDO Fdo)
{
    IoInvalidateDeviceRelations(Fdo->PhysicalDeviceObject, BusRelations);
}

/* The vendor in an ID such as XENBUS\VEN_XP0001&DEV_VIF&REV_09000008. */
static PAGED_FUNCTION NTSTATUS FdoParseVendor(_In_ PCWSTR Id, _Out_writes_(Size) PSTR Vendor, _In_ ULONG Size)
{
    static const WCHAR Before[] = L"XENBUS\\VEN_";
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Before[Index] != L'\0'; Index++)
        if (Id[Index] != Before[Index])
            return STATUS_OBJECT_NAME_INVALID;

    Id += Index;
    for (Index = 0; Id[Index] != L'\0' && Id[Index] != L'&'; Index++) {
        if (Index + 1 == Size || Id[Index] > 0x7E)
            return STATUS_OBJECT_NAME_INVALID;
        Vendor[Index] = (CHAR)Id[Index];
    }
    Vendor[Index] = '\0';

    return (Index != 0) ? STATUS_SUCCESS : STATUS_OBJECT_NAME_INVALID;
}

static PAGED_FUNCTION NTSTATUS FdoQueryVendor(_Inout_ PXENVIF_FDO Fdo)
{
    PWSTR Ids;
    ULONG Length;
    NTSTATUS Status;

    PAGED_CODE();

    Status = IoGetDeviceProperty(Fdo->PhysicalDeviceObject, DevicePropertyHardwareID, 0, NULL, &Length);
    if (Status != STATUS_BUFFER_TOO_SMALL)
        return NT_SUCCESS(Status) ? STATUS_OBJECT_NAME_INVALID : Status;

    /* Room for a NUL of our own. */
    Ids = PoolAllocate((SIZE_T)Length + sizeof(WCHAR), FDO_TAG);
    if (Ids == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = IoGetDeviceProperty(Fdo->PhysicalDeviceObject, DevicePropertyHardwareID, Length, Ids, &Length);
    if (NT_SUCCESS(Status))
        Status = FdoParseVendor(Ids, Fdo->Vendor, sizeof(Fdo->Vendor));

    PoolFree(Ids, FDO_TAG);

    return Status;
}

/* TRUE if Name is the number of a VIF as the toolstack writes it. */
static PAGED_FUNCTION BOOLEAN FdoParseNumber(_In_z_ PCSTR Name, _Out_ PULONG Number)
{
    PAGED_CODE();

    if (Name[0] == '0' && Name[1] != '\0')
        return FALSE;

    return NT_SUCCESS(TextToUlong(Name, 10, Number));
}

/*
 * Whether the toolstack wants a device: it has a backend, and is not being taken away. An error: the store has not
 * said.
 */
static PAGED_FUNCTION NTSTATUS FdoIsWanted(_In_ PXENVIF_FDO Fdo, _In_z_ PCSTR Name, _Out_ PBOOLEAN Wanted)
{
    PXENBUS_STORE_INTERFACE_V2 Store = &Fdo->Parent.Store;
    CHAR Path[32];
    PSTR Backend;
    PSTR Online;
    NTSTATUS Status;

    PAGED_CODE();

    *Wanted = FALSE;

    (VOID) TextPrint(Path, sizeof(Path), FDO_CHILDREN_PATH "/%s", Name);

    Status = XENBUS_STORE_CALL(Store, Read, NULL, Path, (PSTR) "backend", &Backend);
    if (!NT_SUCCESS(Status))
        return (Status == STATUS_OBJECT_NAME_NOT_FOUND) ? STATUS_SUCCESS : Status;

    *Wanted = TRUE;
    Status = XENBUS_STORE_CALL(Store, Read, NULL, Backend, (PSTR) "online", &Online);
    if (NT_SUCCESS(Status)) {
        *Wanted = !TextEqual(Online, "0", FALSE);
        XENBUS_STORE_CALL(Store, Free, Online);
    }

    XENBUS_STORE_CALL(Store, Free, Backend);

    return STATUS_SUCCESS;
}

/* With the mutex: looks behind After (a child, or the head) first, as the store mostly lists children in our order. */
static PAGED_FUNCTION PXENVIF_PDO FdoFindChild(_In_ PXENVIF_FDO Fdo, _In_ PLIST_ENTRY After, _In_z_ PCSTR Name)
{
    PLIST_ENTRY ListEntry = After;

    PAGED_CODE();

    do {
        ListEntry = ListEntry->Flink;

        if (ListEntry != &Fdo->Children && TextEqual(PdoGetName(PdoFromListEntry(ListEntry)), Name, FALSE))
            return PdoFromListEntry(ListEntry);
    } while (ListEntry != After);

    return NULL;
}

/* With the mutex: marks each of Names that is a child as one that this scan has seen. */
static PAGED_FUNCTION VOID FdoSeeChildren(_Inout_ PXENVIF_FDO Fdo, _In_ PCSTR Names)
{
    PLIST_ENTRY After = &Fdo->Children;
    PCSTR Name;

    PAGED_CODE();

    for (Name = TextListFirst(Names); Name != NULL; Name = TextListNext(Name)) {
        PXENVIF_PDO Pdo = FdoFindChild(Fdo, After, Name);

        if (Pdo == NULL)
            continue;

        PdoSetSeen(Pdo, Fdo->Scans);
        After = PdoGetListEntry(Pdo);
    }
}

/* With the mutex: marks children that this scan has not seen. A child that PnP never heard of goes at once. TRUE: some
 * were. */
static PAGED_FUNCTION BOOLEAN FdoDropChildren(_Inout_ PXENVIF_FDO Fdo)
{
    PLIST_ENTRY ListEntry = Fdo->Children.Flink;
    BOOLEAN Changed = FALSE;

    PAGED_CODE();

    while (ListEntry != &Fdo->Children) {
        PXENVIF_PDO Pdo = PdoFromListEntry(ListEntry);

        ListEntry = ListEntry->Flink;

        if (PdoIsMissing(Pdo) || PdoGetSeen(Pdo) == Fdo->Scans)
            continue;

        Info("vif %s has gone", PdoGetName(Pdo));
        PdoSetMissing(Pdo);

        if (PdoIsReported(Pdo)) {
            Changed = TRUE;
        } else {
            RemoveEntryList(PdoGetListEntry(Pdo));
            PdoDelete(Pdo);
        }
    }

    return Changed;
}

/* With the mutex: makes a child of Name if it is a VIF that the toolstack wants; *Pdo is NULL if it is none. */
static PAGED_FUNCTION NTSTATUS FdoMakeChild(_Inout_ PXENVIF_FDO Fdo, _In_z_ PCSTR Name, _Outptr_ PXENVIF_PDO *Pdo)
{
    BOOLEAN Wanted;
    ULONG Number;
    NTSTATUS Status;

    PAGED_CODE();

    *Pdo = NULL;

    if (!FdoParseNumber(Name, &Number))
        return STATUS_SUCCESS;

    Status = FdoIsWanted(Fdo, Name, &Wanted);
    if (!NT_SUCCESS(Status) || !Wanted)
        return Status;

    return PdoCreate(Fdo, Number, Pdo);
}

/*
 * A VIF cannot be taken up, or ("") none can be looked for: for now, or until something changes in the store. The first
 * of a scan is told, unless it is what the scan before has told.
 */
static PAGED_FUNCTION VOID FdoRefuse(_Inout_ PXENVIF_FDO Fdo, _In_ const FDO_REFUSAL *Before, _In_z_ PCSTR Name,
                                     _In_ NTSTATUS Status)
{
    PAGED_CODE();

    if (StatusIsForNow(Status))
        Fdo->ScanAgain = TRUE;

    if (!NT_SUCCESS(Fdo->Refusal.Status))
        return;

    Fdo->Refusal.Status = Status;
    (VOID) TextPrint(Fdo->Refusal.Name, sizeof(Fdo->Refusal.Name), "%s", Name);

    if (Status != Before->Status || !TextEqual(Fdo->Refusal.Name, Before->Name, FALSE))
        Warning(FDO_CHILDREN_PATH "/%s cannot be taken up (%08x)", Name, Status);
}

/* With the mutex: makes a child of each of Names that has none. TRUE: some were made. */
static PAGED_FUNCTION BOOLEAN FdoMakeChildren(_Inout_ PXENVIF_FDO Fdo, _In_ const FDO_REFUSAL *Before, _In_ PCSTR Names)
{
    PLIST_ENTRY After = &Fdo->Children;
    BOOLEAN Changed = FALSE;
    PCSTR Name;

    PAGED_CODE();

    for (Name = TextListFirst(Names); Name != NULL; Name = TextListNext(Name)) {
        PXENVIF_PDO Pdo = FdoFindChild(Fdo, After, Name);
        NTSTATUS Status;

        /* One of the same name that is on its way out must be gone first: FdoRemoveChild looks again. */
        if (Pdo != NULL) {
            After = PdoGetListEntry(Pdo);
            continue;
        }

        if (EjectedHas(&Fdo->Ejected, Name))
            continue;

        Status = FdoMakeChild(Fdo, Name, &Pdo);
        if (!NT_SUCCESS(Status)) {
            FdoRefuse(Fdo, Before, Name, Status);

            /* A store that is silent would be so for each of the others, and the mutex held as long. */
            if (Status == STATUS_IO_TIMEOUT)
                break;
            continue;
        }

        if (Pdo == NULL)
            continue;

        Info("vif %s has come", Name);
        InsertTailList(&Fdo->Children, PdoGetListEntry(Pdo));
        Changed = TRUE;
    }

    return Changed;
}

/*
 * Brings the children in line with the store. TRUE: they have changed. ScanAgain: something could not be found out or
 * done for now.
 */
static PAGED_FUNCTION BOOLEAN FdoScan(_Inout_ PXENVIF_FDO Fdo)
{
    PXENBUS_STORE_INTERFACE_V2 Store = &Fdo->Parent.Store;
    FDO_REFUSAL Before = Fdo->Refusal;
    BOOLEAN Changed;
    PSTR Names = NULL;
    NTSTATUS Status;

    PAGED_CODE();

    Fdo->ScanAgain = FALSE;
    Fdo->Refusal.Status = STATUS_SUCCESS;

    Status = XENBUS_STORE_CALL(Store, Directory, NULL, NULL, (PSTR)FDO_CHILDREN_PATH, &Names);
    if (!NT_SUCCESS(Status)) {
        Names = NULL;

        /* A store that does not answer has not taken the devices away. */
        if (Status != STATUS_OBJECT_NAME_NOT_FOUND) {
            FdoRefuse(Fdo, &Before, "", Status);
            return FALSE;
        }
    }

    FdoLock(Fdo);
    Fdo->Scans++;
    if (Names != NULL)
        FdoSeeChildren(Fdo, Names);
    Changed = FdoDropChildren(Fdo);
    if (!EjectedUpdate(&Fdo->Ejected, Store, Names))
        Fdo->ScanAgain = TRUE;
    if (Names != NULL && FdoMakeChildren(Fdo, &Before, Names))
        Changed = TRUE;
    FdoUnlock(Fdo);

    if (Names != NULL)
        XENBUS_STORE_CALL(Store, Free, Names);

    return Changed;
}

/* Lets granters in retirement try again. TRUE: there are some left. */
static PAGED_FUNCTION BOOLEAN FdoRetryRetired(_Inout_ PXENVIF_FDO Fdo)
{
    PLIST_ENTRY ListEntry;
    BOOLEAN Left;

    PAGED_CODE();

    FdoLock(Fdo);

    for (ListEntry = Fdo->Retired.Flink; ListEntry != &Fdo->Retired;) {
        PXENVIF_GRANTER Granter = CONTAINING_RECORD(ListEntry, XENVIF_GRANTER, ListEntry);
        PLIST_ENTRY Next = ListEntry->Flink;

        RemoveEntryList(ListEntry);
        if (!GranterTeardown(Granter))
            InsertTailList(Next, &Granter->ListEntry);

        ListEntry = Next;
    }

    Left = !IsListEmpty(&Fdo->Retired);

    FdoUnlock(Fdo);

    return Left;
}

static NTSTATUS NTAPI FdoThread(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
{
    PXENVIF_FDO Fdo = Context;
    LARGE_INTEGER Timeout;
    BOOLEAN Retired = FALSE;
    BOOLEAN Twins = FALSE;

    Timeout.QuadPart = -(LONGLONG)FDO_RETRY_TIME * 10000;

    for (;;) {
        BOOLEAN Again = Fdo->ScanAgain || Twins || Retired || ReadAcquire(&Fdo->RelationsDue) != FALSE;
        NTSTATUS Status = ThreadWait(Self, Again ? &Timeout : NULL);

        if (ThreadIsAlerted(Self))
            break;

        if (Status == STATUS_TIMEOUT && InterlockedExchange(&Fdo->RelationsDue, FALSE) != FALSE)
            FdoInvalidateRelations(Fdo);

        if ((Status != STATUS_TIMEOUT || Fdo->ScanAgain) && FdoScan(Fdo))
            FdoInvalidateRelations(Fdo);

        Twins = FdoLookForTwins(Fdo);
        FdoKeepSettings(Fdo);
        Retired = FdoRetryRetired(Fdo);
    }

    return STATUS_SUCCESS;
}

/* Lets others wake the thread, or no longer. */
static PAGED_FUNCTION VOID FdoSetScanner(_Inout_ PXENVIF_FDO Fdo, _In_opt_ PDRIVER_THREAD Thread)
{
    PAGED_CODE();

    FdoLock(Fdo);
    Fdo->Scanner = Thread;
    FdoUnlock(Fdo);
}

PAGED_FUNCTION VOID FdoWakeScanner(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    if (Fdo->Scanner != NULL)
        ThreadWake(Fdo->Scanner);
}

PAGED_FUNCTION NTSTATUS FdoEject(_Inout_ PXENVIF_FDO Fdo, _In_z_ PCSTR Name, _In_ const ETHERNET_ADDRESS *Address)
{
    NTSTATUS Status = STATUS_DEVICE_NOT_READY;

    PAGED_CODE();

    if (Fdo->Started) {
        FdoLock(Fdo);
        Status = EjectedAdd(&Fdo->Ejected, &Fdo->Parent.Store, Name, Address);
        FdoUnlock(Fdo);
    }

    return Status;
}

PAGED_FUNCTION VOID FdoRemoveChild(_Inout_ PXENVIF_FDO Fdo, _In_ PXENVIF_PDO Pdo)
{
    PAGED_CODE();

    FdoLock(Fdo);
    RemoveEntryList(PdoGetListEntry(Pdo));
    FdoWakeScanner(Fdo);
    FdoUnlock(Fdo);
}

PAGED_FUNCTION VOID FdoRetireGranter(_Inout_ PXENVIF_FDO Fdo, _In_ PXENVIF_GRANTER Granter)
{
    PAGED_CODE();

    FdoLock(Fdo);
    InsertTailList(&Fdo->Retired, &Granter->ListEntry);
    FdoWakeScanner(Fdo);
    FdoUnlock(Fdo);
}

PAGED_FUNCTION NTSTATUS FdoStart(_Inout_ PXENVIF_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = FdoQueryVendor(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = ParentConnect(&Fdo->Parent, Fdo->LowerDeviceObject);
    if (!NT_SUCCESS(Status))
        goto fail1;

    /* The PnP manager asks for the children as soon as the bus is started. */
    (VOID) FdoScan(Fdo);

    Status = ThreadCreate(FdoThread, Fdo, &Fdo->Thread);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = XENBUS_STORE_CALL(&Fdo->Parent.Store, WatchAdd, NULL, (PSTR)FDO_CHILDREN_PATH, ThreadGetEvent(Fdo->Thread),
                               &Fdo->Watch);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Status = FdoWatchTwins(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail4;

    FdoWatchAddresses(Fdo);

    FdoSetScanner(Fdo, Fdo->Thread);
    Fdo->Started = TRUE;

    return STATUS_SUCCESS;

fail4:
    (VOID) XENBUS_STORE_CALL(&Fdo->Parent.Store, WatchRemove, Fdo->Watch);
    Fdo->Watch = NULL;

fail3:
    ThreadAlert(Fdo->Thread);
    (VOID) ThreadJoin(Fdo->Thread);
    Fdo->Thread = NULL;

fail2:
    ParentDisconnect(&Fdo->Parent, FALSE);

fail1:
    Error("(%08x)", Status);

    return Status;
}

static PAGED_FUNCTION VOID FdoStopChildren(_Inout_ PXENVIF_FDO Fdo)
{
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    /* No mutex: no child comes or goes while its bus is being stopped. */
    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink)
        PdoStop(PdoFromListEntry(ListEntry));
}

/* The end for granters in retirement. TRUE: grants stand still. */
static PAGED_FUNCTION BOOLEAN FdoEndRetired(_Inout_ PXENVIF_FDO Fdo)
{
    LARGE_INTEGER Interval;
    ULONG Waited;

    PAGED_CODE();

    Interval.QuadPart = -(LONGLONG)FDO_RETRY_TIME * 10000;

    for (Waited = 0; FdoRetryRetired(Fdo); Waited += FDO_RETRY_TIME) {
        if (Waited >= FDO_RETIRED_PATIENCE) {
            Critical("a backend does not let go of pages, which are lost to this system");
            return TRUE;
        }

        (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }

    return FALSE;
}

PAGED_FUNCTION VOID FdoStop(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    if (!Fdo->Started)
        return;

    Fdo->Started = FALSE;

    FdoStopWatchingAddresses(Fdo);
    FdoStopWatchingTwins(Fdo);

    (VOID) XENBUS_STORE_CALL(&Fdo->Parent.Store, WatchRemove, Fdo->Watch);
    Fdo->Watch = NULL;

    FdoSetScanner(Fdo, NULL);
    ThreadAlert(Fdo->Thread);
    (VOID) ThreadJoin(Fdo->Thread);
    Fdo->Thread = NULL;

    FdoStopChildren(Fdo);
    ParentDisconnect(&Fdo->Parent, FdoEndRetired(Fdo));
}

PAGED_FUNCTION BOOLEAN FdoHasStartedChild(_Inout_ PXENVIF_FDO Fdo)
{
    PLIST_ENTRY ListEntry;
    BOOLEAN Started = FALSE;

    PAGED_CODE();

    FdoLock(Fdo);
    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink)
        if (PdoIsStarted(PdoFromListEntry(ListEntry)))
            Started = TRUE;
    FdoUnlock(Fdo);

    return Started;
}

PAGED_FUNCTION VOID FdoDestroy(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    EjectedClear(&Fdo->Ejected);

    while (!IsListEmpty(&Fdo->Children))
        PdoDelete(PdoFromListEntry(RemoveHeadList(&Fdo->Children)));

    IoDetachDevice(Fdo->LowerDeviceObject);
    IoDeleteDevice(Fdo->Device.DeviceObject);
}

/* With the mutex. */
static PAGED_FUNCTION ULONG FdoCountPresent(_In_ PXENVIF_FDO Fdo)
{
    PLIST_ENTRY ListEntry;
    ULONG Count = 0;

    PAGED_CODE();

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink)
        if (!PdoIsMissing(PdoFromListEntry(ListEntry)))
            Count++;

    return Count;
}

PAGED_FUNCTION NTSTATUS FdoAddRelations(_Inout_ PXENVIF_FDO Fdo, _Inout_ PDEVICE_RELATIONS *Relations)
{
    ULONG OldCount = (*Relations != NULL) ? (*Relations)->Count : 0;
    PDEVICE_RELATIONS New;
    PLIST_ENTRY ListEntry;
    ULONG Present;

    PAGED_CODE();

    FdoLock(Fdo);

    /* A child may be marked as missing at any time: there may be fewer of them in a moment, but never more. */
    Present = FdoCountPresent(Fdo);

    New = ExAllocatePoolWithTag(
        PagedPool, FIELD_OFFSET(DEVICE_RELATIONS, Objects) + ((SIZE_T)OldCount + Present + 1) * sizeof(PDEVICE_OBJECT),
        FDO_TAG);
    if (New == NULL) {
        /* Nobody asks again by himself. */
        (VOID) InterlockedExchange(&Fdo->RelationsDue, TRUE);
        FdoWakeScanner(Fdo);
        FdoUnlock(Fdo);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    New->Count = 0;
    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink) {
        PXENVIF_PDO Pdo = PdoFromListEntry(ListEntry);

        if (PdoReport(Pdo))
            New->Objects[New->Count++] = PdoGetDeviceObject(Pdo);
    }

    FdoUnlock(Fdo);

    if (OldCount != 0)
        RtlCopyMemory(&New->Objects[New->Count], (*Relations)->Objects, OldCount * sizeof(PDEVICE_OBJECT));
    New->Count += OldCount;

    if (*Relations != NULL)
        ExFreePool(*Relations);
    *Relations = New;

    return STATUS_SUCCESS;
}
