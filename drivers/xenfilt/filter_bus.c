#include "filter_private.h"

#include "driver.h"
#include "log.h"
#include "pool.h"

#define FILTER_ID_LENGTH 200 /* the longest that Windows takes, its NUL included */

/* A device that the bus reports, whether it has a filter at the moment or not. Under the bus's mutex. */
typedef struct _FILTER_CHILD {
    LIST_ENTRY ListEntry; /* in XENFILT_FILTER.Children */
    PDEVICE_OBJECT PhysicalDeviceObject;
    PXENFILT_FILTER Filter;
    PSTR DeviceId; /* NULL: not said yet */
    PSTR InstanceId;
    PXENFILT_EMULATED_DEVICE Emulated;
} FILTER_CHILD, *PFILTER_CHILD;

/* A list of the device's IDs; freed by PoolFree. */
PAGED_FUNCTION static NTSTATUS FilterQueryIds(_In_ PDEVICE_OBJECT PhysicalDeviceObject,
                                              _In_ DEVICE_REGISTRY_PROPERTY Property, _Outptr_ PWSTR *Ids)
{
    ULONG Length = 0;
    NTSTATUS Status;

    PAGED_CODE();

    *Ids = NULL;

    Status = IoGetDeviceProperty(PhysicalDeviceObject, Property, 0, NULL, &Length);
    if (Status != STATUS_BUFFER_TOO_SMALL)
        return NT_SUCCESS(Status) ? STATUS_NOT_FOUND : Status;

    /* With room for the end of a list that has none. */
    *Ids = PoolAllocate(Length + 2 * sizeof(WCHAR), FILTER_TAG);
    if (*Ids == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = IoGetDeviceProperty(PhysicalDeviceObject, Property, Length, *Ids, &Length);
    if (!NT_SUCCESS(Status)) {
        PoolFree(*Ids, FILTER_TAG);
        *Ids = NULL;
    }

    return Status;
}

PAGED_FUNCTION static XENFILT_KIND FilterKindByIds(_In_ PDEVICE_OBJECT PhysicalDeviceObject,
                                                   _In_ DEVICE_REGISTRY_PROPERTY Property)
{
    XENFILT_KIND Kind = XENFILT_KIND_NONE;
    PCWSTR Id;
    PWSTR Ids;

    PAGED_CODE();

    if (!NT_SUCCESS(FilterQueryIds(PhysicalDeviceObject, Property, &Ids)))
        return XENFILT_KIND_NONE;

    for (Id = Ids; *Id != L'\0' && Kind == XENFILT_KIND_NONE;) {
        Kind = DriverGetKind(Id);
        while (*Id++ != L'\0')
            ;
    }

    PoolFree(Ids, FILTER_TAG);
    return Kind;
}

PAGED_FUNCTION VOID FilterAddBus(_In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PXENFILT_FILTER Bus;
    XENFILT_KIND Kind;
    ULONG Length;
    NTSTATUS Status;

    PAGED_CODE();

    Kind = FilterKindByIds(PhysicalDeviceObject, DevicePropertyHardwareID);
    if (Kind == XENFILT_KIND_NONE)
        Kind = FilterKindByIds(PhysicalDeviceObject, DevicePropertyCompatibleIDs);
    if (Kind == XENFILT_KIND_NONE)
        return;

    Status = FilterCreate(PhysicalDeviceObject, Kind, NULL, &Bus);
    if (!NT_SUCCESS(Status)) {
        Error("a bus is not filtered (%08x)", Status);
        return;
    }

    /* The address of an IDE channel on its controller is its number. */
    if (Kind == XENFILT_KIND_IDE && !NT_SUCCESS(IoGetDeviceProperty(PhysicalDeviceObject, DevicePropertyAddress,
                                                                    sizeof(Bus->Channel), &Bus->Channel, &Length)))
        Bus->Channel = 0;

    Info("%s bus", Kind == XENFILT_KIND_PCI ? "PCI" : "IDE");
}

PAGED_FUNCTION static VOID FilterLock(_In_ PXENFILT_FILTER Bus)
{
    PAGED_CODE();

    (VOID) KeWaitForSingleObject(&Bus->Mutex, Executive, KernelMode, FALSE, NULL);
}

PAGED_FUNCTION static VOID FilterUnlock(_In_ PXENFILT_FILTER Bus)
{
    PAGED_CODE();

    (VOID) KeReleaseMutex(&Bus->Mutex, FALSE);
}

PAGED_FUNCTION static VOID FilterForget(_In_ PFILTER_CHILD Child)
{
    PAGED_CODE();

    RemoveEntryList(&Child->ListEntry);

    if (Child->Emulated != NULL)
        EmulatedRemove(DriverGetEmulated(), Child->Emulated);
    if (Child->DeviceId != NULL)
        PoolFree(Child->DeviceId, FILTER_TAG);
    if (Child->InstanceId != NULL)
        PoolFree(Child->InstanceId, FILTER_TAG);

    PoolFree(Child, FILTER_TAG);
}

PAGED_FUNCTION static BOOLEAN FilterIsReported(_In_opt_ const DEVICE_RELATIONS *Relations, _In_ PDEVICE_OBJECT Pdo)
{
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Relations != NULL && Index < Relations->Count; Index++) {
        if (Relations->Objects[Index] == Pdo)
            return TRUE;
    }

    return FALSE;
}

PAGED_FUNCTION static PFILTER_CHILD FilterFind(_In_ PXENFILT_FILTER Bus, _In_ PDEVICE_OBJECT Pdo)
{
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    for (ListEntry = Bus->Children.Flink; ListEntry != &Bus->Children; ListEntry = ListEntry->Flink) {
        PFILTER_CHILD Child = CONTAINING_RECORD(ListEntry, FILTER_CHILD, ListEntry);

        if (Child->PhysicalDeviceObject == Pdo)
            return Child;
    }

    return NULL;
}

PAGED_FUNCTION static PFILTER_CHILD FilterRemember(_In_ PXENFILT_FILTER Bus, _In_ PDEVICE_OBJECT Pdo)
{
    PFILTER_CHILD Child;

    PAGED_CODE();

    Child = PoolAllocate(sizeof(FILTER_CHILD), FILTER_TAG);
    if (Child == NULL)
        return NULL;

    Child->PhysicalDeviceObject = Pdo;
    InsertTailList(&Bus->Children, &Child->ListEntry);
    return Child;
}

PAGED_FUNCTION static VOID FilterReported(_In_ PXENFILT_FILTER Bus, _In_ PDEVICE_OBJECT Pdo)
{
    PFILTER_CHILD Child = FilterFind(Bus, Pdo);
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;

    PAGED_CODE();

    if (Child == NULL)
        Child = FilterRemember(Bus, Pdo);
    if (Child != NULL && Child->Filter != NULL)
        return;

    if (Child != NULL)
        Status = FilterCreate(Pdo, Bus->Kind, Bus, &Child->Filter);
    if (!NT_SUCCESS(Status))
        Error("a device is not filtered (%08x)", Status);
}

PAGED_FUNCTION VOID FilterBusReported(_In_ PXENFILT_FILTER Bus, _In_opt_ const DEVICE_RELATIONS *Relations)
{
    PLIST_ENTRY ListEntry;
    PLIST_ENTRY Next;
    ULONG Index;

    PAGED_CODE();

    FilterLock(Bus);

    /* The filter of one that is gone goes when the device is removed. */
    for (ListEntry = Bus->Children.Flink; ListEntry != &Bus->Children; ListEntry = Next) {
        PFILTER_CHILD Child = CONTAINING_RECORD(ListEntry, FILTER_CHILD, ListEntry);

        Next = ListEntry->Flink;
        if (!FilterIsReported(Relations, Child->PhysicalDeviceObject))
            FilterForget(Child);
    }

    for (Index = 0; Relations != NULL && Index < Relations->Count; Index++)
        FilterReported(Bus, Relations->Objects[Index]);

    FilterUnlock(Bus);
}

PAGED_FUNCTION VOID FilterBusGone(_In_ PXENFILT_FILTER Bus)
{
    PAGED_CODE();

    FilterLock(Bus);

    while (!IsListEmpty(&Bus->Children)) {
        PFILTER_CHILD Child = CONTAINING_RECORD(Bus->Children.Flink, FILTER_CHILD, ListEntry);

        /* One that was reported and that nobody has done anything with. */
        if (Child->Filter != NULL)
            FilterDestroy(Child->Filter);
        FilterForget(Child);
    }

    FilterUnlock(Bus);
}

PAGED_FUNCTION VOID FilterChildGone(_In_ PXENFILT_FILTER Child)
{
    PXENFILT_FILTER Bus = Child->Bus;
    PFILTER_CHILD Known;

    PAGED_CODE();

    FilterLock(Bus);

    Known = FilterFind(Bus, Child->PhysicalDeviceObject);
    if (Known != NULL && Known->Filter == Child)
        Known->Filter = NULL;

    FilterUnlock(Bus);

    FilterDestroy(Child);
}

PAGED_FUNCTION static PSTR FilterNarrow(_In_ PCWSTR Wide)
{
    ULONG Length = 0;
    ULONG Index;
    PSTR Text;

    PAGED_CODE();

    while (Length < FILTER_ID_LENGTH - 1 && Wide[Length] != L'\0')
        Length++;

    Text = PoolAllocate(Length + 1, FILTER_TAG);
    for (Index = 0; Text != NULL && Index < Length; Index++)
        Text[Index] = (CHAR)Wide[Index];

    return Text;
}

/* A device whose IDs are both known is entered, once. */
PAGED_FUNCTION static VOID FilterEnter(_In_ PXENFILT_FILTER Bus, _Inout_ PFILTER_CHILD Child)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (Child->DeviceId == NULL || Child->InstanceId == NULL || Child->Emulated != NULL)
        return;

    Status =
        EmulatedAdd(DriverGetEmulated(), Bus->Kind, Bus->Channel, Child->DeviceId, Child->InstanceId, &Child->Emulated);
    if (!NT_SUCCESS(Status))
        Error("%s\\%s will not be told of (%08x)", Child->DeviceId, Child->InstanceId, Status);
    else
        Trace("%s\\%s", Child->DeviceId, Child->InstanceId);
}

PAGED_FUNCTION VOID FilterChildIdentified(_In_ PXENFILT_FILTER Filter, _In_ BUS_QUERY_ID_TYPE Type, _In_opt_ PCWSTR Id)
{
    PXENFILT_FILTER Bus = Filter->Bus;
    PFILTER_CHILD Child;

    PAGED_CODE();

    if (Id == NULL)
        return;

    FilterLock(Bus);

    Child = FilterFind(Bus, Filter->PhysicalDeviceObject);
    if (Child != NULL) {
        if (Type == BusQueryDeviceID && Child->DeviceId == NULL)
            Child->DeviceId = FilterNarrow(Id);
        if (Type == BusQueryInstanceID && Child->InstanceId == NULL)
            Child->InstanceId = FilterNarrow(Id);
        FilterEnter(Bus, Child);
    }

    FilterUnlock(Bus);
}
