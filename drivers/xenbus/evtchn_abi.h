/*
 * How events are told apart from one another: the ABI between Xen and the event-channel provider, of which Xen has two.
 *
 * Its routines may be called at any IRQL, on any processor, and take no lock. Ports are below
 * PortCount.
 */
#ifndef XENBUS_EVTCHN_ABI_H
#define XENBUS_EVTCHN_ABI_H

#include "compat.h"

#include "shared_info.h"

/* One pending port of a poll; TRUE if something was done. */
typedef BOOLEAN(NTAPI *EVTCHN_ABI_EVENT)(_In_ PVOID Argument, _In_ ULONG Port);

typedef struct _EVTCHN_ABI {
    PVOID Context;
    ULONG PortCount;

    /* Whether a processor can have events of its own. */
    BOOLEAN (*IsProcessorSupported)(_In_ PVOID Context, _In_ ULONG Index);

    /* Takes the processor's sign that events may be pending; TRUE if it was set. By one dispatcher at a time. */
    BOOLEAN (*TakeUpcall)(_In_ PVOID Context, _In_ ULONG Index);

    /* Calls Event once for each port that is pending, not masked and told to the processor. */
    BOOLEAN (*Poll)(_In_ PVOID Context, _In_ ULONG Index, _In_ EVTCHN_ABI_EVENT Event, _In_ PVOID Argument);

    VOID (*Ack)(_In_ PVOID Context, _In_ ULONG Port);

    /* TRUE if the port was masked already. */
    BOOLEAN (*Mask)(_In_ PVOID Context, _In_ ULONG Port);

    /*
     * FALSE: the port is unmasked. TRUE: an event was pending; the port is masked, and the event acknowledged and
     * the caller's. On the processor that the port is bound to.
     */
    BOOLEAN (*Unmask)(_In_ PVOID Context, _In_ ULONG Port);

    /* Makes the port pending as an event would, without raising it. */
    VOID (*SetPending)(_In_ PVOID Context, _In_ ULONG Port);
} EVTCHN_ABI, *PEVTCHN_ABI;

/* The two-level ABI, in the shared info page, which must be enabled. */
VOID EvtchnTwoLevelGetAbi(_In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo, _Out_ PEVTCHN_ABI Abi);

#endif /* XENBUS_EVTCHN_ABI_H */
