/*
 * XENBUS_RANGE_SET: sets of numbers kept as ranges, for allocators of references, ports and frames. Provided by XENBUS.
 *
 * All methods may be called up to DISPATCH_LEVEL; a set has its own lock.
 */
#ifndef XENBUS_RANGE_SET_INTERFACE_H
#define XENBUS_RANGE_SET_INTERFACE_H

#include "interface_call.h"

/* {EE7E78A2-6847-48C5-B123-BB012F0EABF4} */
DEFINE_GUID(GUID_XENBUS_RANGE_SET_INTERFACE, 0xee7e78a2, 0x6847, 0x48c5, 0xb1, 0x23, 0xbb, 0x01, 0x2f, 0x0e, 0xab,
            0xf4);

#define XENBUS_RANGE_SET_INTERFACE_VERSION_MIN 1
#define XENBUS_RANGE_SET_INTERFACE_VERSION_MAX 1

/* Opaque, owned by the provider, released by RangeSetDestroy. */
typedef struct _XENBUS_RANGE_SET XENBUS_RANGE_SET, *PXENBUS_RANGE_SET;

typedef NTSTATUS(NTAPI *XENBUS_RANGE_SET_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_RANGE_SET_RELEASE)(_In_ PINTERFACE Interface);

/* Makes an empty set. Name is copied and used in the log. STATUS_INSUFFICIENT_RESOURCES: no memory. */
typedef NTSTATUS(NTAPI *XENBUS_RANGE_SET_CREATE)(_In_ PINTERFACE Interface, _In_ PCSTR Name,
                                                 _Outptr_ PXENBUS_RANGE_SET *RangeSet);

/*
 * Adds Start to Start + Count - 1. STATUS_INVALID_PARAMETER: Count is 0, the range wraps, or part of it is in the set
 * already (nothing is added). STATUS_INSUFFICIENT_RESOURCES: no memory.
 */
typedef NTSTATUS(NTAPI *XENBUS_RANGE_SET_PUT)(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet,
                                              _In_ LONGLONG Start, _In_ ULONGLONG Count);

/*
 * Takes Count numbers in a row out of the set, the lowest that there are; *Start is the first.
 * STATUS_INVALID_PARAMETER: Count is 0. STATUS_INSUFFICIENT_RESOURCES: no such run, or no memory.
 */
typedef NTSTATUS(NTAPI *XENBUS_RANGE_SET_POP)(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet,
                                              _In_ ULONGLONG Count, _Out_ PLONGLONG Start);

/*
 * Takes exactly Start to Start + Count - 1 out of the set. STATUS_INVALID_PARAMETER: Count is 0 or the range wraps.
 * STATUS_INSUFFICIENT_RESOURCES: not all of it is in the set (nothing is taken), or no memory, which is not needed
 * where the numbers next to it on both sides are not in the set.
 */
typedef NTSTATUS(NTAPI *XENBUS_RANGE_SET_GET)(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet,
                                              _In_ LONGLONG Start, _In_ ULONGLONG Count);

/* Releases the set, which must be empty: what it held belongs to the caller. */
typedef VOID(NTAPI *XENBUS_RANGE_SET_DESTROY)(_In_ PINTERFACE Interface, _In_ PXENBUS_RANGE_SET RangeSet);

struct _XENBUS_RANGE_SET_INTERFACE_V1 {
    INTERFACE Interface;
    XENBUS_RANGE_SET_ACQUIRE RangeSetAcquire;
    XENBUS_RANGE_SET_RELEASE RangeSetRelease;
    XENBUS_RANGE_SET_CREATE RangeSetCreate;
    XENBUS_RANGE_SET_PUT RangeSetPut;
    XENBUS_RANGE_SET_POP RangeSetPop;
    XENBUS_RANGE_SET_GET RangeSetGet;
    XENBUS_RANGE_SET_DESTROY RangeSetDestroy;
};

typedef struct _XENBUS_RANGE_SET_INTERFACE_V1 XENBUS_RANGE_SET_INTERFACE_V1, *PXENBUS_RANGE_SET_INTERFACE_V1;
typedef XENBUS_RANGE_SET_INTERFACE_V1 XENBUS_RANGE_SET_INTERFACE, *PXENBUS_RANGE_SET_INTERFACE;

#define XENBUS_RANGE_SET_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, RangeSet##_Method, ##__VA_ARGS__)

#endif /* XENBUS_RANGE_SET_INTERFACE_H */
