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

    /*
     * A port that has just been bound: it is there for the other routines, masked. Urgent: its events go before
     * others', as far as the ABI can. IRQL <= DISPATCH_LEVEL; no memory, or Xen's error.
     */
    _Must_inspect_result_ NTSTATUS (*Prepare)(_In_ PVOID Context, _In_ ULONG Port, _In_ BOOLEAN Urgent);

    /* Takes the processor's sign that events may be pending; TRUE if it was set. By one dispatcher at a time. */
    BOOLEAN (*TakeUpcall)(_In_ PVOID Context, _In_ ULONG Index);

    /*
     * Calls Event once for each port that is pending, not masked and told to the processor. *Budget is how many ports
     * it may look at, and is what is left of it: with none left some may be over, which the next poll finds.
     */
    BOOLEAN(*Poll)
    (_In_ PVOID Context, _In_ ULONG Index, _In_ EVTCHN_ABI_EVENT Event, _In_ PVOID Argument, _Inout_ PULONG Budget);

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

    /* TRUE: a port that Poll has found is not told to any processor any more; one of another's must be raised again. */
    BOOLEAN PollTakes;
} EVTCHN_ABI, *PEVTCHN_ABI;

/* The two-level ABI, in the shared info page, which must be enabled. */
VOID EvtchnTwoLevelGetAbi(_In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo, _Out_ PEVTCHN_ABI Abi);

/* The FIFO ABI. */
typedef struct _EVTCHN_FIFO EVTCHN_FIFO, *PEVTCHN_FIFO;

/*
 * Takes the domain over to the FIFO ABI, with a control block for each of the first Count processors. PASSIVE_LEVEL.
 * STATUS_NOT_IMPLEMENTED: Xen is too old. On failure the two-level ABI is in force.
 */
_Must_inspect_result_ NTSTATUS EvtchnFifoCreate(_In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo, _In_ ULONG Count,
                                                _Outptr_ PEVTCHN_FIFO *Fifo);

/* Goes back to the two-level ABI. Every port but the toolstack's is closed. PASSIVE_LEVEL. */
VOID EvtchnFifoDestroy(_In_ PEVTCHN_FIFO Fifo);

/*
 * EvtchnFifoCreate's work again after a resume, with every other processor held at HIGH_LEVEL. Every port but the
 * toolstack's is closed. On failure the two-level ABI is in force, and the structure stays until EvtchnFifoDestroy.
 */
_Must_inspect_result_ NTSTATUS EvtchnFifoResume(_In_ PEVTCHN_FIFO Fifo);

VOID EvtchnFifoGetAbi(_In_ PEVTCHN_FIFO Fifo, _Out_ PEVTCHN_ABI Abi);

/*
 * Closes every port of the domain and goes back to the two-level ABI. The store's and the console's ports, which only
 * the toolstack can make known to their other ends, are bound to those again, under their old numbers if that can be;
 * one that cannot be is in the log. Any IRQL; nobody else makes or closes a port meanwhile.
 */
_Must_inspect_result_ NTSTATUS EvtchnResetPorts(VOID);

#endif /* XENBUS_EVTCHN_ABI_H */
