#include "range_set.h"

#include "bug.h"
#include "interface.h"
#include "pool.h"
#include "text.h"
#include "users.h"

#define RANGE_SET_TAG POOL_TAG('R', 'N', 'G', 'S')

#define RANGE_SET_NAME_LENGTH 64

/* Spare nodes kept beyond those that are owed to outstanding takes. */
#define RANGE_SET_SLACK 32

struct _XENBUS_RANGE_SET_CONTEXT {
    INTERFACE_USERS Users;
};

typedef struct _RANGE {
    LIST_ENTRY ListEntry;
    LONGLONG Start;
    LONGLONG End; /* inclusive */
} RANGE, *PRANGE;

/*
 * The ranges are disjoint, not adjacent, and in ascending order. Numbers that were taken come back at a time when
 * there may be no memory for a node to hold them, and the caller could only leak them. So each take sets a node aside
 * (Outstanding counts them): putting back what was taken, in the pieces in which it was taken, does not fail. What
 * comes back is told from what is new by the bounds, Low to High, of all that was ever in the set.
 */
struct _XENBUS_RANGE_SET {
    KSPIN_LOCK Lock;
    LIST_ENTRY Ranges;
    LIST_ENTRY Spares;
    ULONG SpareCount;
    ULONG Outstanding;
    BOOLEAN Used; /* Low and High are valid */
    LONGLONG Low;
    LONGLONG High;
    CHAR Name[RANGE_SET_NAME_LENGTH];
};

static BOOLEAN RangeSetWraps(_In_ LONGLONG Start, _In_ ULONGLONG Count)
{
    return Count - 1 > (ULONGLONG)MAXLONGLONG - (ULONGLONG)Start;
}

static LONGLONG RangeSetEnd(_In_ LONGLONG Start, _In_ ULONGLONG Count)
{
    return (LONGLONG)((ULONGLONG)Start + (Count - 1));
}

/* How many numbers a range holds, less one: the count of the full range does not fit. */
static ULONGLONG RangeSetSpan(_In_ const RANGE *Range)
{
    return (ULONGLONG)Range->End - (ULONGLONG)Range->Start;
}

static VOID RangeSetSpare(_In_ PXENBUS_RANGE_SET RangeSet, _In_ PRANGE Range)
{
    InsertTailList(&RangeSet->Spares, &Range->ListEntry);
    RangeSet->SpareCount++;
}

/* Makes sure of Count spare nodes. */
static NTSTATUS RangeSetReserve(_In_ PXENBUS_RANGE_SET RangeSet, _In_ ULONG Count)
{
    while (RangeSet->SpareCount < Count) {
        PRANGE Range = PoolAllocate(sizeof(RANGE), RANGE_SET_TAG);

        if (Range == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;

        RangeSetSpare(RangeSet, Range);
    }

    return STATUS_SUCCESS;
}

static PRANGE RangeSetTakeSpare(_In_ PXENBUS_RANGE_SET RangeSet)
{
    PRANGE Range;

    ASSERT(RangeSet->SpareCount != 0);

    Range = CONTAINING_RECORD(RemoveHeadList(&RangeSet->Spares), RANGE, ListEntry);
    RangeSet->SpareCount--;
    return Range;
}

/* Frees what is set aside beyond Keep. */
static VOID RangeSetTrim(_In_ PXENBUS_RANGE_SET RangeSet, _In_ ULONG Keep)
{
    while (RangeSet->SpareCount > Keep)
        PoolFree(RangeSetTakeSpare(RangeSet), RANGE_SET_TAG);
}

/* The first range that ends at Start or later, or the list head. */
static PLIST_ENTRY RangeSetFind(_In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start)
{
    PLIST_ENTRY ListEntry;

    for (ListEntry = RangeSet->Ranges.Flink; ListEntry != &RangeSet->Ranges; ListEntry = ListEntry->Flink) {
        if (CONTAINING_RECORD(ListEntry, RANGE, ListEntry)->End >= Start)
            break;
    }

    return ListEntry;
}

static PRANGE RangeSetNeighbour(_In_ PXENBUS_RANGE_SET RangeSet, _In_ PLIST_ENTRY ListEntry)
{
    return ListEntry == &RangeSet->Ranges ? NULL : CONTAINING_RECORD(ListEntry, RANGE, ListEntry);
}

static VOID RangeSetRemoveNode(_In_ PXENBUS_RANGE_SET RangeSet, _In_ PRANGE Range)
{
    RemoveEntryList(&Range->ListEntry);
    RangeSetSpare(RangeSet, Range);
}

/* Adds a range; it needs a spare node if it touches no other. */
static NTSTATUS RangeSetInsert(_In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start, _In_ LONGLONG End)
{
    PLIST_ENTRY ListEntry = RangeSetFind(RangeSet, Start);
    PRANGE Next = RangeSetNeighbour(RangeSet, ListEntry);
    PRANGE Previous = RangeSetNeighbour(RangeSet, ListEntry->Blink);
    BOOLEAN JoinPrevious;
    BOOLEAN JoinNext;
    NTSTATUS Status;

    if (Next != NULL && Next->Start <= End)
        return STATUS_INVALID_PARAMETER;

    /* Previous ends below Start and Next starts above End, so neither sum wraps. */
    JoinPrevious = (Previous != NULL && Previous->End + 1 == Start);
    JoinNext = (Next != NULL && End + 1 == Next->Start);

    if (JoinPrevious && JoinNext) {
        Previous->End = Next->End;
        RangeSetRemoveNode(RangeSet, Next);
    } else if (JoinPrevious) {
        Previous->End = End;
    } else if (JoinNext) {
        Next->Start = Start;
    } else {
        PRANGE Range;

        Status = RangeSetReserve(RangeSet, 1);
        if (!NT_SUCCESS(Status))
            return Status;

        Range = RangeSetTakeSpare(RangeSet);
        Range->Start = Start;
        Range->End = End;
        InsertTailList(ListEntry, &Range->ListEntry);
    }

    return STATUS_SUCCESS;
}

static NTSTATUS RangeSetPutLocked(_In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start, _In_ LONGLONG End)
{
    BOOLEAN New = !RangeSet->Used || Start > RangeSet->High || End < RangeSet->Low;
    NTSTATUS Status;

    if (New) {
        Status = RangeSetReserve(RangeSet, RangeSet->Outstanding + 1);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    Status = RangeSetInsert(RangeSet, Start, End);
    if (!NT_SUCCESS(Status))
        return Status;

    if (New) {
        if (!RangeSet->Used || Start < RangeSet->Low)
            RangeSet->Low = Start;
        if (!RangeSet->Used || End > RangeSet->High)
            RangeSet->High = End;
        RangeSet->Used = TRUE;
    } else if (RangeSet->Outstanding != 0) {
        --RangeSet->Outstanding;
    }

    RangeSetTrim(RangeSet, RangeSet->Outstanding + RANGE_SET_SLACK);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI RangeSetPut(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start,
                                  _In_ ULONGLONG Count)
{
    KIRQL Irql;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Interface);

    if (Count == 0 || RangeSetWraps(Start, Count))
        return STATUS_INVALID_PARAMETER;

    KeAcquireSpinLock(&RangeSet->Lock, &Irql);

    Status = RangeSetPutLocked(RangeSet, Start, RangeSetEnd(Start, Count));

    KeReleaseSpinLock(&RangeSet->Lock, Irql);

    if (!NT_SUCCESS(Status))
        Error("%s: cannot add %llu from %lld (%08x)", RangeSet->Name, Count, Start, Status);

    return Status;
}

static NTSTATUS RangeSetPopLocked(_In_ PXENBUS_RANGE_SET RangeSet, _In_ ULONGLONG Count, _Out_ PLONGLONG Start)
{
    PLIST_ENTRY ListEntry;

    for (ListEntry = RangeSet->Ranges.Flink; ListEntry != &RangeSet->Ranges; ListEntry = ListEntry->Flink) {
        PRANGE Range = CONTAINING_RECORD(ListEntry, RANGE, ListEntry);

        if (RangeSetSpan(Range) < Count - 1)
            continue;

        *Start = Range->Start;
        if (RangeSetSpan(Range) == Count - 1)
            RangeSetRemoveNode(RangeSet, Range);
        else
            Range->Start = RangeSetEnd(Range->Start, Count) + 1;

        return STATUS_SUCCESS;
    }

    return STATUS_INSUFFICIENT_RESOURCES;
}

static NTSTATUS NTAPI RangeSetPop(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet, _In_ ULONGLONG Count,
                                  _Out_ PLONGLONG Start)
{
    KIRQL Irql;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Interface);

    *Start = 0;

    if (Count == 0)
        return STATUS_INVALID_PARAMETER;

    KeAcquireSpinLock(&RangeSet->Lock, &Irql);

    Status = RangeSetReserve(RangeSet, RangeSet->Outstanding + 1);
    if (NT_SUCCESS(Status))
        Status = RangeSetPopLocked(RangeSet, Count, Start);
    if (NT_SUCCESS(Status))
        RangeSet->Outstanding++;

    KeReleaseSpinLock(&RangeSet->Lock, Irql);

    return Status;
}

/* A range that is taken whole leaves its node, which is enough for the way back. */
static BOOLEAN RangeSetIsWhole(_In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start, _In_ LONGLONG End)
{
    PRANGE Range = RangeSetNeighbour(RangeSet, RangeSetFind(RangeSet, Start));

    return Range != NULL && Range->Start == Start && Range->End == End;
}

static NTSTATUS RangeSetGetLocked(_In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start, _In_ LONGLONG End)
{
    PRANGE Range = RangeSetNeighbour(RangeSet, RangeSetFind(RangeSet, Start));

    if (Range == NULL || Range->Start > Start || Range->End < End)
        return STATUS_INSUFFICIENT_RESOURCES;

    if (Range->Start == Start && Range->End == End) {
        RangeSetRemoveNode(RangeSet, Range);
    } else if (Range->Start == Start) {
        Range->Start = End + 1;
    } else if (Range->End == End) {
        Range->End = Start - 1;
    } else {
        PRANGE Upper = RangeSetTakeSpare(RangeSet);

        Upper->Start = End + 1;
        Upper->End = Range->End;
        Range->End = Start - 1;
        InsertHeadList(&Range->ListEntry, &Upper->ListEntry);
    }

    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI RangeSetGet(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet, _In_ LONGLONG Start,
                                  _In_ ULONGLONG Count)
{
    KIRQL Irql;
    NTSTATUS Status = STATUS_SUCCESS;

    UNREFERENCED_PARAMETER(Interface);

    if (Count == 0 || RangeSetWraps(Start, Count))
        return STATUS_INVALID_PARAMETER;

    KeAcquireSpinLock(&RangeSet->Lock, &Irql);

    /* One node for the way back, one in case that the range has to be split. */
    if (!RangeSetIsWhole(RangeSet, Start, RangeSetEnd(Start, Count)))
        Status = RangeSetReserve(RangeSet, RangeSet->Outstanding + 2);
    if (NT_SUCCESS(Status))
        Status = RangeSetGetLocked(RangeSet, Start, RangeSetEnd(Start, Count));
    if (NT_SUCCESS(Status))
        RangeSet->Outstanding++;

    KeReleaseSpinLock(&RangeSet->Lock, Irql);

    return Status;
}

static NTSTATUS NTAPI RangeSetCreate(_In_ PINTERFACE Interface, _In_ PCSTR Name, _Outptr_ PXENBUS_RANGE_SET *RangeSet)
{
    PXENBUS_RANGE_SET New;

    UNREFERENCED_PARAMETER(Interface);

    *RangeSet = NULL;

    New = PoolAllocate(sizeof(XENBUS_RANGE_SET), RANGE_SET_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    KeInitializeSpinLock(&New->Lock);
    InitializeListHead(&New->Ranges);
    InitializeListHead(&New->Spares);
    (VOID) TextPrint(New->Name, sizeof(New->Name), "%s", Name);

    *RangeSet = New;
    return STATUS_SUCCESS;
}

static VOID NTAPI RangeSetDestroy(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet)
{
    UNREFERENCED_PARAMETER(Interface);

    if (!IsListEmpty(&RangeSet->Ranges)) {
        PRANGE Range = CONTAINING_RECORD(RangeSet->Ranges.Flink, RANGE, ListEntry);

        Critical("%s still holds %lld to %lld", RangeSet->Name, Range->Start, Range->End);
        BUG("a range set that is not empty is destroyed");
    }

    RangeSetTrim(RangeSet, 0);
    PoolFree(RangeSet, RANGE_SET_TAG);
}

static NTSTATUS NTAPI RangeSetAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_RANGE_SET_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI RangeSetRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_RANGE_SET_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_RANGE_SET_INTERFACE_V1 RangeSetInterfaceV1 = {
    .RangeSetAcquire = RangeSetAcquire,
    .RangeSetRelease = RangeSetRelease,
    .RangeSetCreate = RangeSetCreate,
    .RangeSetPut = RangeSetPut,
    .RangeSetPop = RangeSetPop,
    .RangeSetGet = RangeSetGet,
    .RangeSetDestroy = RangeSetDestroy,
};

NTSTATUS RangeSetGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                              _In_ ULONG Size)
{
    switch (Version) {
    case 1:
        return InterfaceFill(Interface, Size, &RangeSetInterfaceV1, sizeof(RangeSetInterfaceV1), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

NTSTATUS RangeSetInitialize(_Outptr_ PXENBUS_RANGE_SET_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_RANGE_SET_CONTEXT), RANGE_SET_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "RANGE_SET");
    UsersEnable(&(*Context)->Users);
    return STATUS_SUCCESS;
}

VOID RangeSetTeardown(_In_ PXENBUS_RANGE_SET_CONTEXT Context)
{
    UsersDisable(&Context->Users);
    PoolFree(Context, RANGE_SET_TAG);
}
