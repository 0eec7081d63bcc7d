/*
 * The parts of the event-channel provider: evtchn.c has the channels and the methods, evtchn_dispatch.c what happens in
 * and around the interrupt, evtchn_interrupt.c the interrupts themselves.
 *
 * An interrupt routine takes no lock. It finds a channel by EvtchnFindChannel, in an array by port, and says by its
 * source's Sequence, odd while it runs, that it may hold one. Who takes a channel out of the array waits with
 * EvtchnSynchronize until every interrupt routine that may have seen it is through, and only then closes the port
 * and frees the channel.
 */
#ifndef XENBUS_EVTCHN_PRIVATE_H
#define XENBUS_EVTCHN_PRIVATE_H

#include "compat.h"

#include "evtchn.h"
#include "evtchn_abi.h"
#include "users.h"

#include <xen/xen.h>
#include <xen/event_channel.h>

/* Channels by port: buckets, each made when the first port in it is opened. */
#define EVTCHN_BUCKET_PORTS 1024u
#define EVTCHN_BUCKETS (EVTCHN_FIFO_NR_CHANNELS / EVTCHN_BUCKET_PORTS)

C_ASSERT(EVTCHN_FIFO_NR_CHANNELS >= SHARED_INFO_PORTS);

struct _XENBUS_EVTCHN_CHANNEL {
    LIST_ENTRY ListEntry; /* in XENBUS_EVTCHN_CONTEXT.Channels */
    XENBUS_EVTCHN_TYPE Type;
    PKSERVICE_ROUTINE Function;
    PVOID Argument;
    BOOLEAN Mask;
    BOOLEAN Active; /* FALSE: the port went in a suspend */
    ULONG Port;
    ULONG volatile Processor; /* index of the one that it is bound to */
    LONG volatile Count;
    LONG volatile Waiters;
    LONG volatile Held; /* masked for a while, because it fired too often */

    /* The interrupt's: how often the channel fired since WindowStart. */
    ULONGLONG WindowStart;
    ULONG WindowEvents;
};

/* An interrupt, and the processor whose events it brings. */
typedef struct _EVTCHN_SOURCE {
    struct _XENBUS_EVTCHN_CONTEXT *Context;
    ULONG Index;
    BOOLEAN Message;
    PKINTERRUPT Interrupt;
    ULONG Vector;
    LONG volatile Sequence;
    LONG volatile More; /* events are left for the DPC to go on with */
    KDPC Dpc;
} EVTCHN_SOURCE, *PEVTCHN_SOURCE;

typedef struct _EVTCHN_PROCESSOR {
    ULONG VcpuId;
    PEVTCHN_SOURCE Source; /* its own interrupt, of which Xen knows, or NULL */
} EVTCHN_PROCESSOR, *PEVTCHN_PROCESSOR;

struct _XENBUS_EVTCHN_CONTEXT {
    INTERFACE_USERS Users;
    PXENBUS_SHARED_INFO_CONTEXT SharedInfo;
    EVTCHN_ABI Abi;
    PEVTCHN_FIFO Fifo; /* NULL: the two-level ABI was chosen at the start */
    PVOID volatile *volatile Bucket[EVTCHN_BUCKETS];

    /* Guards Channels, and makes changes of a channel's processor one at a time. Taken up to DISPATCH_LEVEL. */
    KSPIN_LOCK Lock;
    LIST_ENTRY Channels;

    /* One that a resume made dead, and that its owner has closed: for when there is no memory to open the next with. */
    PXENBUS_EVTCHN_CHANNEL volatile Spare;

    PEVTCHN_PROCESSOR Processor;
    ULONG ProcessorCount;
    ULONG Boot; /* index of the processor that is vCPU 0, where events go unless bound elsewhere */

    PEVTCHN_SOURCE Source; /* the line first, if there is one */
    ULONG SourceCount;
    ULONGLONG CallbackVia;

    /* The domain may be moved at any time, and shared info is then gone: only the line looks at it, having asked Xen.
     */
    LONG volatile Asleep;

    /* Guards Waiters; nothing else is taken under it. */
    KSPIN_LOCK WaitLock;
    LIST_ENTRY Waiters;
    KDPC WaitDpc;

    KDPC HoldDpc;
    KTIMER HoldTimer;
    KDPC HoldTimerDpc;
};

/* ---- evtchn_table.c ---- */

/* The channel of a port, or NULL. Any IRQL. */
PXENBUS_EVTCHN_CHANNEL EvtchnFindChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Port);

/*
 * Puts a channel in the place of its port. Called with the context's lock held. STATUS_SHARING_VIOLATION: there is one;
 * STATUS_INSUFFICIENT_RESOURCES: no memory for the place.
 */
_Must_inspect_result_ NTSTATUS EvtchnAddChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context,
                                                _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* Takes it out again. Any IRQL. */
VOID EvtchnRemoveChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

VOID EvtchnFreeTable(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/* ---- evtchn_dispatch.c ---- */

VOID EvtchnDispatchInitialize(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/* Nothing raises events any more: waits until what was queued is done. PASSIVE_LEVEL. */
VOID EvtchnDispatchTeardown(_In_ PXENBUS_EVTCHN_CONTEXT Context);

VOID EvtchnSourceInitialize(_In_ PXENBUS_EVTCHN_CONTEXT Context, _Out_ PEVTCHN_SOURCE Source);
KSERVICE_ROUTINE EvtchnInterrupt;

/* Waits until no interrupt routine that began before the call still runs. Below the interrupts' IRQL. */
VOID EvtchnSynchronize(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/* Has Xen raise a port if it is pending, unless it is masked: whoever unmasks it does that. Any IRQL. */
VOID EvtchnRaise(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Port);

/* An event was taken: steps the count and wakes those who wait for it. Any IRQL up to the interrupts'. */
VOID EvtchnCount(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* Has those who wait for the channel's count look at the channel again. Any IRQL. */
VOID EvtchnWakeWaiters(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* Counts an event of a channel that nobody has to unmask; TRUE if there are too many. In the interrupt. */
BOOLEAN EvtchnFiresTooOften(_In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* Masks the channel, until a timer unmasks it. Any IRQL up to the interrupts'. */
VOID EvtchnHold(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

NTSTATUS EvtchnWaitForCount(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONG Count,
                            _In_opt_ PLARGE_INTEGER Timeout);

/* ---- evtchn_interrupt.c ---- */

_Must_inspect_result_ NTSTATUS EvtchnConnectInterrupts(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                                                       _In_ const XENBUS_RESOURCES *Resources, _In_ BOOLEAN UseUpcall);
VOID EvtchnDisconnectInterrupts(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/* Tells a new Xen of the interrupts that are connected. HIGH_LEVEL. */
VOID EvtchnResumeInterrupts(_In_ PXENBUS_EVTCHN_CONTEXT Context);

#endif /* XENBUS_EVTCHN_PRIVATE_H */
