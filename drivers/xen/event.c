/*
 * Event-channel hypercalls (xen/event_channel.h).
 */
#include "hypercall.h"

#include <xen/event_channel.h>

static NTSTATUS EventOperation(_In_ ULONG Command, _Inout_ PVOID Operation)
{
    return HypercallStatus(Hypercall2(__HYPERVISOR_event_channel_op, Command, (ULONG_PTR)Operation));
}

NTSTATUS NTAPI XenEventAllocateUnbound(_In_ USHORT RemoteDomain, _Out_ PULONG Port)
{
    evtchn_alloc_unbound_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.dom = DOMID_SELF;
    Operation.remote_dom = RemoteDomain;

    Status = EventOperation(EVTCHNOP_alloc_unbound, &Operation);
    if (!NT_SUCCESS(Status))
        return Status;

    *Port = Operation.port;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenEventBindInterDomain(_In_ USHORT RemoteDomain, _In_ ULONG RemotePort, _Out_ PULONG Port)
{
    evtchn_bind_interdomain_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.remote_dom = RemoteDomain;
    Operation.remote_port = RemotePort;

    Status = EventOperation(EVTCHNOP_bind_interdomain, &Operation);
    if (!NT_SUCCESS(Status))
        return Status;

    *Port = Operation.local_port;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenEventBindVirq(_In_ ULONG Virq, _In_ ULONG VcpuId, _Out_ PULONG Port)
{
    evtchn_bind_virq_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.virq = Virq;
    Operation.vcpu = VcpuId;

    Status = EventOperation(EVTCHNOP_bind_virq, &Operation);
    if (!NT_SUCCESS(Status))
        return Status;

    *Port = Operation.port;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenEventBindVcpu(_In_ ULONG Port, _In_ ULONG VcpuId)
{
    evtchn_bind_vcpu_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.port = Port;
    Operation.vcpu = VcpuId;

    return EventOperation(EVTCHNOP_bind_vcpu, &Operation);
}

NTSTATUS NTAPI XenEventClose(_In_ ULONG Port)
{
    evtchn_close_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.port = Port;

    return EventOperation(EVTCHNOP_close, &Operation);
}

NTSTATUS NTAPI XenEventSend(_In_ ULONG Port)
{
    evtchn_send_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.port = Port;

    return EventOperation(EVTCHNOP_send, &Operation);
}

NTSTATUS NTAPI XenEventUnmask(_In_ ULONG Port)
{
    evtchn_unmask_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.port = Port;

    return EventOperation(EVTCHNOP_unmask, &Operation);
}

NTSTATUS NTAPI XenEventQueryStatus(_In_ ULONG Port, _Out_ PXEN_EVENT_STATUS EventStatus)
{
    evtchn_status_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.dom = DOMID_SELF;
    Operation.port = Port;

    Status = EventOperation(EVTCHNOP_status, &Operation);
    if (!NT_SUCCESS(Status))
        return Status;

    RtlZeroMemory(EventStatus, sizeof(XEN_EVENT_STATUS));
    EventStatus->VcpuId = Operation.vcpu;

    switch (Operation.status) {
    case EVTCHNSTAT_closed:
        EventStatus->Type = XEN_EVENT_CLOSED;
        break;
    case EVTCHNSTAT_unbound:
        EventStatus->Type = XEN_EVENT_UNBOUND;
        EventStatus->RemoteDomain = Operation.u.unbound.dom;
        break;
    case EVTCHNSTAT_interdomain:
        EventStatus->Type = XEN_EVENT_INTER_DOMAIN;
        EventStatus->RemoteDomain = Operation.u.interdomain.dom;
        EventStatus->RemotePort = Operation.u.interdomain.port;
        break;
    case EVTCHNSTAT_pirq:
        EventStatus->Type = XEN_EVENT_PHYSICAL_IRQ;
        EventStatus->Number = Operation.u.pirq;
        break;
    case EVTCHNSTAT_virq:
        EventStatus->Type = XEN_EVENT_VIRQ;
        EventStatus->Number = Operation.u.virq;
        break;
    case EVTCHNSTAT_ipi:
        EventStatus->Type = XEN_EVENT_IPI;
        break;
    default:
        return STATUS_UNSUCCESSFUL;
    }

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenEventReset(VOID)
{
    evtchn_reset_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.dom = DOMID_SELF;

    return EventOperation(EVTCHNOP_reset, &Operation);
}

NTSTATUS NTAPI XenEventInitControl(_In_ ULONG VcpuId, _In_ PFN_NUMBER Frame, _In_ ULONG Offset, _Out_ PUCHAR LinkBits)
{
    evtchn_init_control_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.control_gfn = Frame;
    Operation.offset = Offset;
    Operation.vcpu = VcpuId;

    Status = EventOperation(EVTCHNOP_init_control, &Operation);
    if (!NT_SUCCESS(Status))
        return Status;

    *LinkBits = Operation.link_bits;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenEventExpandArray(_In_ PFN_NUMBER Frame)
{
    evtchn_expand_array_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.array_gfn = Frame;

    return EventOperation(EVTCHNOP_expand_array, &Operation);
}

NTSTATUS NTAPI XenEventSetPriority(_In_ ULONG Port, _In_ ULONG Priority)
{
    evtchn_set_priority_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.port = Port;
    Operation.priority = Priority;

    return EventOperation(EVTCHNOP_set_priority, &Operation);
}
