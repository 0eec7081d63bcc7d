/*
 * Reset of the domain's event channels, but for the two that the toolstack made before the guest ran: nobody in the
 * guest could tell the store or the console of another port.
 */
#include "evtchn_abi.h"

#include "log.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/hvm/params.h>

/* Ports that are taken, to get at the number of old: more than a toolstack makes. */
#define RESET_FILLERS 64

/* Xen may be short of memory for a port, and have some a moment later. The pause is in microseconds. */
#define RESET_ATTEMPTS 100u
#define RESET_PAUSE 50u

typedef struct _EVTCHN_KEPT_PORT {
    ULONG Parameter; /* that names it */
    ULONG Port;      /* 0: there is none */
    XEN_EVENT_STATUS Status;
} EVTCHN_KEPT_PORT, *PEVTCHN_KEPT_PORT;

#define KEPT_PORTS 2

/*
 * Those that could not be bound again, whose parameters are 0 until they are: another channel may have the number by
 * then. Used at a reset, and by the store when it opens its channel: never by two at once. One device is active, so
 * that there is one set of ports to this driver.
 */
static EVTCHN_KEPT_PORT EvtchnLost[KEPT_PORTS];

static VOID EvtchnFindKeptPort(_In_ ULONG Parameter, _In_ const EVTCHN_KEPT_PORT *Lost, _Out_ PEVTCHN_KEPT_PORT Kept)
{
    ULONGLONG Value = 0;

    RtlZeroMemory(Kept, sizeof(EVTCHN_KEPT_PORT));
    Kept->Parameter = Parameter;

    if (!NT_SUCCESS(XenHvmQueryParameter(Parameter, &Value)) || Value > MAXULONG)
        return;

    if (Value == 0) {
        if (Lost->Port != 0)
            *Kept = *Lost;
        return;
    }

    if (!NT_SUCCESS(XenEventQueryStatus((ULONG)Value, &Kept->Status)))
        return;

    if (Kept->Status.Type == XEN_EVENT_INTER_DOMAIN || Kept->Status.Type == XEN_EVENT_UNBOUND)
        Kept->Port = (ULONG)Value;
}

/* Takes the free ports below Wanted, so that Wanted is what Xen gives next if it is free; how many. */
static ULONG EvtchnFillBelow(_In_ ULONG Wanted, _Out_writes_(RESET_FILLERS) PULONG Filler)
{
    ULONG Count = 0;

    while (Count < RESET_FILLERS) {
        ULONG Port;

        if (!NT_SUCCESS(XenEventAllocateUnbound(DOMID_SELF, &Port)))
            break;

        if (Port >= Wanted) {
            (VOID) XenEventClose(Port);
            break;
        }

        Filler[Count++] = Port;
    }

    return Count;
}

static NTSTATUS EvtchnTryKeptPort(_In_ const XEN_EVENT_STATUS *Old, _Out_ PULONG Port)
{
    if (Old->Type == XEN_EVENT_INTER_DOMAIN)
        return XenEventBindInterDomain(Old->RemoteDomain, Old->RemotePort, Port);

    return XenEventAllocateUnbound(Old->RemoteDomain, Port);
}

/* Lost: its parameter does not name it. */
static NTSTATUS EvtchnBindKeptPort(_In_ const EVTCHN_KEPT_PORT *Kept, _In_ ULONG Attempts, _In_ BOOLEAN Lost)
{
    ULONG Filler[RESET_FILLERS];
    ULONG Count = EvtchnFillBelow(Kept->Port, Filler);
    ULONG Port = 0;
    ULONG Attempt;
    NTSTATUS Status;

    Status = EvtchnTryKeptPort(&Kept->Status, &Port);
    for (Attempt = 1; !NT_SUCCESS(Status) && Attempt < Attempts; Attempt++) {
        KeStallExecutionProcessor(RESET_PAUSE);
        Status = EvtchnTryKeptPort(&Kept->Status, &Port);
    }

    while (Count != 0)
        (VOID) XenEventClose(Filler[--Count]);

    if (NT_SUCCESS(Status) && (Port != Kept->Port || Lost)) {
        if (Port != Kept->Port)
            Info("port %u has become %u", Kept->Port, Port);
        Status = XenHvmSetParameter(Kept->Parameter, Port);
        if (!NT_SUCCESS(Status))
            (VOID) XenEventClose(Port);
    }

    return Status;
}

VOID EvtchnBindLostPorts(VOID)
{
    ULONG Index;

    for (Index = 0; Index < KEPT_PORTS; Index++) {
        PEVTCHN_KEPT_PORT Lost = &EvtchnLost[Index];
        ULONGLONG Value;

        if (Lost->Port == 0 || !NT_SUCCESS(XenHvmQueryParameter(Lost->Parameter, &Value)))
            continue;

        /* In a new place it names the toolstack's new one. */
        if (Value != 0 || NT_SUCCESS(EvtchnBindKeptPort(Lost, 1, TRUE)))
            Lost->Port = 0;
    }
}

/* At a reset. What is lost is remembered, if the parameter can say so. */
static VOID EvtchnKeepPort(_In_ const EVTCHN_KEPT_PORT *Kept, _Inout_ PEVTCHN_KEPT_PORT Lost)
{
    BOOLEAN WasLost = Lost->Port != 0;
    NTSTATUS Status;

    Lost->Port = 0;
    if (Kept->Port == 0)
        return;

    Status = EvtchnBindKeptPort(Kept, RESET_ATTEMPTS, WasLost);
    if (NT_SUCCESS(Status))
        return;

    Critical("port %u, to domain %u, cannot be bound again (%08x)", Kept->Port, Kept->Status.RemoteDomain, Status);

    Status = XenHvmSetParameter(Kept->Parameter, 0);
    if (NT_SUCCESS(Status))
        *Lost = *Kept;
}

NTSTATUS EvtchnResetPorts(VOID)
{
    EVTCHN_KEPT_PORT Kept[KEPT_PORTS];
    ULONG First;
    ULONG Index;
    NTSTATUS Status;

    EvtchnFindKeptPort(HVM_PARAM_STORE_EVTCHN, &EvtchnLost[0], &Kept[0]);
    EvtchnFindKeptPort(HVM_PARAM_CONSOLE_EVTCHN, &EvtchnLost[1], &Kept[1]);

    Status = XenEventReset();
    if (!NT_SUCCESS(Status)) {
        Error("the event channels are not reset (%08x)", Status);
        return Status;
    }

    /* The lower number first: filling up to the higher one would take it. */
    First = Kept[0].Port <= Kept[1].Port ? 0 : 1;
    for (Index = 0; Index < KEPT_PORTS; Index++)
        EvtchnKeepPort(&Kept[First ^ Index], &EvtchnLost[First ^ Index]);

    return STATUS_SUCCESS;
}
