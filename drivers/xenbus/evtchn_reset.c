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

static VOID EvtchnFindKeptPort(_In_ ULONG Parameter, _Out_ PEVTCHN_KEPT_PORT Kept)
{
    ULONGLONG Value = 0;

    RtlZeroMemory(Kept, sizeof(EVTCHN_KEPT_PORT));
    Kept->Parameter = Parameter;

    if (!NT_SUCCESS(XenHvmQueryParameter(Parameter, &Value)) || Value == 0 || Value > MAXULONG)
        return;

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

static VOID EvtchnBindKeptPort(_In_ const EVTCHN_KEPT_PORT *Kept)
{
    ULONG Filler[RESET_FILLERS];
    ULONG Count = EvtchnFillBelow(Kept->Port, Filler);
    ULONG Port = 0;
    ULONG Attempt;
    NTSTATUS Status;

    Status = EvtchnTryKeptPort(&Kept->Status, &Port);
    for (Attempt = 1; !NT_SUCCESS(Status) && Attempt < RESET_ATTEMPTS; Attempt++) {
        KeStallExecutionProcessor(RESET_PAUSE);
        Status = EvtchnTryKeptPort(&Kept->Status, &Port);
    }

    while (Count != 0)
        (VOID) XenEventClose(Filler[--Count]);

    if (NT_SUCCESS(Status) && Port != Kept->Port) {
        Info("port %u has become %u", Kept->Port, Port);
        Status = XenHvmSetParameter(Kept->Parameter, Port);
    }

    if (!NT_SUCCESS(Status))
        Critical("port %u, to domain %u, cannot be bound again (%08x)", Kept->Port, Kept->Status.RemoteDomain, Status);
}

NTSTATUS EvtchnResetPorts(VOID)
{
    EVTCHN_KEPT_PORT Kept[2];
    ULONG First;
    ULONG Index;
    NTSTATUS Status;

    EvtchnFindKeptPort(HVM_PARAM_STORE_EVTCHN, &Kept[0]);
    EvtchnFindKeptPort(HVM_PARAM_CONSOLE_EVTCHN, &Kept[1]);

    Status = XenEventReset();
    if (!NT_SUCCESS(Status)) {
        Error("the event channels are not reset (%08x)", Status);
        return Status;
    }

    /* The lower number first: filling up to the higher one would take it. */
    First = Kept[0].Port <= Kept[1].Port ? 0 : 1;
    for (Index = 0; Index < RTL_NUMBER_OF(Kept); Index++) {
        const EVTCHN_KEPT_PORT *This = &Kept[First ^ Index];

        if (This->Port != 0)
            EvtchnBindKeptPort(This);
    }

    return STATUS_SUCCESS;
}
