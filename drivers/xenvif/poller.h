/*
 * The poller: event channels to the backend, and the DPCs that look at the rings when events arrive.
 *
 * There is one channel for both rings, or one for each where the backend has feature-split-event-channels. A channel is
 * masked from its event until its DPC has looked at the rings for the last time and found nothing, so that an event
 * costs at most one interrupt for one round of bounded work, whatever the backend does (field bug FB17). Each queue has
 * a poller, all of whose DPCs run on one processor: no two of them run at once, and packets stay in order.
 *
 * A backend that raises an event for each round would have the DPC run again and again, and threads never (XSA-391).
 * Rounds without responses are therefore limited in a time; beyond it, and when Windows' DPC watchdog has counted half
 * of what it bears, the channel stays masked until a timer goes on with it.
 */
#ifndef XENVIF_POLLER_H
#define XENVIF_POLLER_H

#include <ntddk.h>

#include "evtchn_interface.h"

/* Which rings something is about; a mask. */
#define POLLER_TRANSMIT 0x1
#define POLLER_RECEIVE 0x2

typedef struct _XENVIF_POLLER XENVIF_POLLER, *PXENVIF_POLLER;

/*
 * Looks at the rings in Work, at DISPATCH_LEVEL. TRUE: there is more to do, the DPC is to run again. Responses: how
 * many have been taken off these rings so far, by whomever; it wraps.
 */
typedef BOOLEAN(NTAPI *XENVIF_POLLER_FUNCTION)(_In_ PVOID Context, _In_ ULONG Work, _Out_ PULONG Responses);

/* Processor is the one that the DPCs run on. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PollerInitialize(_In_ PXENBUS_EVTCHN_INTERFACE_V9 Evtchn, _In_ const PROCESSOR_NUMBER *Processor,
                          _In_ XENVIF_POLLER_FUNCTION Function, _In_ PVOID Context, _Outptr_ PXENVIF_POLLER *Poller);

/*
 * Moves DPCs and channels to another processor. Disabled meanwhile, by whoever calls. PASSIVE_LEVEL.
 * STATUS_INVALID_PARAMETER: there is no such processor.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PollerSetProcessor(_Inout_ PXENVIF_POLLER Poller, _In_ const PROCESSOR_NUMBER *Processor);

/* Opens the channel or channels towards Domain, masked. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PollerConnect(_Inout_ PXENVIF_POLLER Poller, _In_ USHORT Domain, _In_ BOOLEAN Split);

/* From here on events count. The rings are looked at once without one. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PollerEnable(_Inout_ PXENVIF_POLLER Poller);

/* Looks at the rings soon, on the poller's processor. IRQL <= DISPATCH_LEVEL. Without effect while disabled. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PollerKick(_Inout_ PXENVIF_POLLER Poller, _In_ ULONG Work);

/* Notifies the backend of requests. DISPATCH_LEVEL, between PollerConnect and PollerDisconnect. */
_IRQL_requires_(DISPATCH_LEVEL)
VOID PollerSend(_In_ PXENVIF_POLLER Poller, _In_ ULONG Work);

/* The local port of the channel for one of the rings. Between PollerConnect and PollerDisconnect. */
ULONG PollerPort(_In_ PXENVIF_POLLER Poller, _In_ ULONG Work);

/* Whether each ring has a channel of its own. */
BOOLEAN PollerIsSplit(_In_ PXENVIF_POLLER Poller);

/* From here on no DPC begins to look at the rings. Any IRQL up to DISPATCH_LEVEL; may be called again. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PollerHalt(_Inout_ PXENVIF_POLLER Poller);

/* Halts, and returns when no DPC looks at the rings any more. PASSIVE_LEVEL; may be called again. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PollerDisable(_Inout_ PXENVIF_POLLER Poller);

/* Closes the channels. PASSIVE_LEVEL, disabled. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PollerDisconnect(_Inout_ PXENVIF_POLLER Poller);

_IRQL_requires_(PASSIVE_LEVEL)
VOID PollerTeardown(_In_ PXENVIF_POLLER Poller);

#endif /* XENVIF_POLLER_H */
