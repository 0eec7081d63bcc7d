/*
 * HVM hypercalls (xen/hvm/hvm_op.h, xen/hvm/params.h).
 */
#include "hypercall.h"

#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

NTSTATUS NTAPI XenHvmQueryParameter(_In_ ULONG Index, _Out_ PULONGLONG Value)
{
    xen_hvm_param_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.domid = DOMID_SELF;
    Operation.index = Index;

    Status = HypercallStatus(Hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_param, (ULONG_PTR)&Operation));
    if (!NT_SUCCESS(Status))
        return Status;

    *Value = Operation.value;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenHvmSetParameter(_In_ ULONG Index, _In_ ULONGLONG Value)
{
    xen_hvm_param_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.domid = DOMID_SELF;
    Operation.index = Index;
    Operation.value = Value;

    return HypercallStatus(Hypercall2(__HYPERVISOR_hvm_op, HVMOP_set_param, (ULONG_PTR)&Operation));
}

NTSTATUS NTAPI XenHvmSetEvtchnUpcallVector(_In_ ULONG VcpuId, _In_ UCHAR Vector)
{
    xen_hvm_evtchn_upcall_vector_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.vcpu = VcpuId;
    Operation.vector = Vector;

    return HypercallStatus(Hypercall2(__HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, (ULONG_PTR)&Operation));
}
