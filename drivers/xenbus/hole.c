#include "hole.h"

#include "bug.h"
#include "insist.h"
#include "log.h"
#include "pool.h"
#include "ram.h"
#include "xen.h"

#define HOLE_TAG POOL_TAG('H', 'O', 'L', 'E')

struct _XENBUS_HOLE {
    XENBUS_RANGE_SET_INTERFACE RangeSetInterface;
    PXENBUS_RANGE_SET Frames; /* NULL: RAM is used */
    PFN_NUMBER First;
    ULONGLONG Count;
};

static PHYSICAL_ADDRESS HoleAddress(_In_ PFN_NUMBER Frame)
{
    PHYSICAL_ADDRESS Address;

    Address.QuadPart = (LONGLONG)Frame << PAGE_SHIFT;
    return Address;
}

static PFN_NUMBER HoleFrame(_In_ PVOID Address)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress(Address).QuadPart >> PAGE_SHIFT);
}

/* A page of Xen's, and the frame at which it is to be. */
typedef struct _HOLE_PLACE {
    PFN_NUMBER Frame;
    ULONG Space;
    ULONG_PTR Index;
} HOLE_PLACE;

static NTSTATUS HoleTryPut(_In_ const VOID *Argument)
{
    const HOLE_PLACE *Place = Argument;

    return XenMemoryAddToPhysMap(Place->Space, Place->Index, Place->Frame);
}

/* Asks Xen for RAM at Count frames in a row; returns how many it gave, from the first. */
static ULONG HolePopulate(_In_ PFN_NUMBER Frame, _In_ ULONG Count)
{
    ULONG Index;

    for (Index = 0; Index < Count; Index++) {
        PFN_NUMBER Next = Frame + Index;
        NTSTATUS Status = Insist(RamAskFor, &Next);

        if (!NT_SUCCESS(Status)) {
            Critical("Xen gives no page for frame %llx (%08x)", (ULONGLONG)Next, Status);
            break;
        }
    }

    return Index;
}

/* Gives the RAM at Count frames in a row back to Xen; on failure all of it is there again. */
static NTSTATUS HoleDepopulate(_In_ PFN_NUMBER Frame, _In_ ULONG Count)
{
    ULONG Index;

    for (Index = 0; Index < Count; Index++) {
        PFN_NUMBER Next = Frame + Index;
        NTSTATUS Status = RamReturn(&Next);

        if (!NT_SUCCESS(Status)) {
            Error("Xen does not take frame %llx (%08x)", (ULONGLONG)Next, Status);
            return HolePopulate(Frame, Index) == Index ? STATUS_INSUFFICIENT_RESOURCES : STATUS_NO_MEMORY;
        }
    }

    return STATUS_SUCCESS;
}

static NTSTATUS HoleAllocateRam(_In_ ULONG Count, _Out_ PXENBUS_HOLE_AREA Area)
{
    PHYSICAL_ADDRESS Highest;
    NTSTATUS Status;

    Highest.QuadPart = MAXLONGLONG;

    Area->Ram = MmAllocateContiguousMemory((SIZE_T)Count << PAGE_SHIFT, Highest);
    if (Area->Ram == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Area->Frame = HoleFrame(Area->Ram);
    Area->Count = Count;

    Status = HoleDepopulate(Area->Frame, Count);
    if (!NT_SUCCESS(Status))
        goto fail1;

    return STATUS_SUCCESS;

fail1:
    /* STATUS_NO_MEMORY: there are frames without RAM among them, which must not go back to Windows. */
    if (Status != STATUS_NO_MEMORY)
        MmFreeContiguousMemory(Area->Ram);

    return STATUS_INSUFFICIENT_RESOURCES;
}

static VOID HoleFreeRam(_In_ PVOID Ram, _In_ PFN_NUMBER Frame, _In_ ULONG Count)
{
    if (HolePopulate(Frame, Count) == Count)
        MmFreeContiguousMemory(Ram);
    else
        Critical("%u page(s) from frame %llx are lost to Windows", Count, (ULONGLONG)Frame);
}

NTSTATUS HoleAllocate(_In_ PXENBUS_HOLE Hole, _In_ ULONG Count, _Out_ PXENBUS_HOLE_AREA Area)
{
    LONGLONG Start;
    NTSTATUS Status;

    RtlZeroMemory(Area, sizeof(XENBUS_HOLE_AREA));

    if (Hole->Frames == NULL)
        return HoleAllocateRam(Count, Area);

    Status = XENBUS_RANGE_SET_CALL(&Hole->RangeSetInterface, Pop, Hole->Frames, Count, &Start);
    if (!NT_SUCCESS(Status))
        return Status;

    Area->Frame = (PFN_NUMBER)Start;
    Area->Count = Count;
    return STATUS_SUCCESS;
}

VOID HoleFree(_In_ PXENBUS_HOLE Hole, _In_ const XENBUS_HOLE_AREA *Area)
{
    NTSTATUS Status;

    if (Hole->Frames == NULL) {
        HoleFreeRam(Area->Ram, Area->Frame, Area->Count);
        return;
    }

    Status = XENBUS_RANGE_SET_CALL(&Hole->RangeSetInterface, Put, Hole->Frames, (LONGLONG)Area->Frame, Area->Count);
    if (!NT_SUCCESS(Status))
        BUG("frames that were taken from the hole do not fit back");
}

VOID HolePutAgain(_In_ const XENBUS_HOLE_AREA *Area, _In_ ULONG Space, _In_ ULONG_PTR Index)
{
    const HOLE_PLACE Place = {Area->Frame, Space, Index};
    NTSTATUS Status;

    Status = Insist(HoleTryPut, &Place);
    if (NT_SUCCESS(Status))
        return;

    Critical("page %u of space %u cannot be mapped after a resume (%08x)", (ULONG)Index, Space, Status);
    BUG("a page of Xen's is not there after a resume");
}

PVOID HoleMap(_In_ PXENBUS_HOLE Hole, _In_ const XENBUS_HOLE_AREA *Area)
{
    if (Hole->Frames == NULL)
        return Area->Ram;

    return MmMapIoSpace(HoleAddress(Area->Frame), (SIZE_T)Area->Count << PAGE_SHIFT, MmCached);
}

VOID HoleUnmap(_In_ PXENBUS_HOLE Hole, _In_ const XENBUS_HOLE_AREA *Area, _In_ PVOID Address)
{
    if (Hole->Frames != NULL)
        MmUnmapIoSpace(Address, (SIZE_T)Area->Count << PAGE_SHIFT);
}

NTSTATUS HoleCreate(_In_ const XENBUS_RANGE_SET_INTERFACE *RangeSet, _In_ PHYSICAL_ADDRESS Start, _In_ ULONGLONG Length,
                    _Outptr_ PXENBUS_HOLE *Hole)
{
    PXENBUS_HOLE New;
    NTSTATUS Status;

    *Hole = NULL;

    New = PoolAllocate(sizeof(XENBUS_HOLE), HOLE_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->RangeSetInterface = *RangeSet;
    New->First = (PFN_NUMBER)(Start.QuadPart >> PAGE_SHIFT);
    New->Count = Length >> PAGE_SHIFT;

    Status = XENBUS_RANGE_SET_CALL(&New->RangeSetInterface, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail1;

    if (New->Count == 0) {
        Info("no memory hole: RAM is used instead");
        goto done;
    }

    Status = XENBUS_RANGE_SET_CALL(&New->RangeSetInterface, Create, "hole", &New->Frames);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = XENBUS_RANGE_SET_CALL(&New->RangeSetInterface, Put, New->Frames, (LONGLONG)New->First, New->Count);
    if (!NT_SUCCESS(Status))
        goto fail3;

done:
    *Hole = New;
    return STATUS_SUCCESS;

fail3:
    XENBUS_RANGE_SET_CALL(&New->RangeSetInterface, Destroy, New->Frames);

fail2:
    XENBUS_RANGE_SET_CALL(&New->RangeSetInterface, Release);

fail1:
    PoolFree(New, HOLE_TAG);
    return Status;
}

VOID HoleDestroy(_In_ PXENBUS_HOLE Hole)
{
    if (Hole->Frames != NULL) {
        NTSTATUS Status;

        /* The set must be emptied before it goes, and it is only whole when every area is back. */
        Status = XENBUS_RANGE_SET_CALL(&Hole->RangeSetInterface, Get, Hole->Frames, (LONGLONG)Hole->First, Hole->Count);
        if (!NT_SUCCESS(Status))
            BUG("frames of the hole are still in use");

        XENBUS_RANGE_SET_CALL(&Hole->RangeSetInterface, Destroy, Hole->Frames);
    }

    XENBUS_RANGE_SET_CALL(&Hole->RangeSetInterface, Release);
    PoolFree(Hole, HOLE_TAG);
}
