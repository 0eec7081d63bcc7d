/*
 * Guest frames with nothing behind them, for Xen's pages (shared info, grant table) and foreign pages to appear at.
 *
 * They come from the platform device's memory BAR, a hole that exists for this, or, when the registry says
 * UseMemoryHole = 0 or the device has no such BAR, from RAM that is given back to Xen and asked for again afterwards.
 */
#ifndef XENBUS_HOLE_H
#define XENBUS_HOLE_H

#include "compat.h"

#include "range_set_interface.h"

typedef struct _XENBUS_HOLE XENBUS_HOLE, *PXENBUS_HOLE;

/* Count frames in a row from Frame. */
typedef struct _XENBUS_HOLE_AREA {
    PFN_NUMBER Frame;
    ULONG Count;
    PVOID Ram; /* where Windows has the frames mapped, if they come from RAM */
} XENBUS_HOLE_AREA, *PXENBUS_HOLE_AREA;

/*
 * Start and Length: the BAR; Length 0 means that RAM is used. PASSIVE_LEVEL. The hole takes a reference on RangeSet's
 * provider.
 */
_Must_inspect_result_ NTSTATUS HoleCreate(_In_ const XENBUS_RANGE_SET_INTERFACE *RangeSet, _In_ PHYSICAL_ADDRESS Start,
                                          _In_ ULONGLONG Length, _Outptr_ PXENBUS_HOLE *Hole);

/* All areas must have been freed. PASSIVE_LEVEL. */
VOID HoleDestroy(_In_ PXENBUS_HOLE Hole);

/*
 * Takes Count frames. IRQL <= DISPATCH_LEVEL. STATUS_INSUFFICIENT_RESOURCES: not that many in a row, or no memory.
 * The caller puts pages there with a hypercall and has taken them away again before it calls HoleFree.
 */
_Must_inspect_result_ NTSTATUS HoleAllocate(_In_ PXENBUS_HOLE Hole, _In_ ULONG Count, _Out_ PXENBUS_HOLE_AREA Area);
VOID HoleFree(_In_ PXENBUS_HOLE Hole, _In_ const XENBUS_HOLE_AREA *Area);

/*
 * After a resume, at any IRQL: puts a page of Xen's at the area's first frame again, without which the machine cannot
 * go on. A Xen that has no memory for it may have some a moment later; if not, this ends in a bug check.
 */
VOID HolePutAgain(_In_ const XENBUS_HOLE_AREA *Area, _In_ ULONG Space, _In_ ULONG_PTR Index);

/* Maps an area, after pages have been put there. IRQL <= DISPATCH_LEVEL. NULL: no address space. */
_Must_inspect_result_ PVOID HoleMap(_In_ PXENBUS_HOLE Hole, _In_ const XENBUS_HOLE_AREA *Area);
VOID HoleUnmap(_In_ PXENBUS_HOLE Hole, _In_ const XENBUS_HOLE_AREA *Area, _In_ PVOID Address);

#endif /* XENBUS_HOLE_H */
