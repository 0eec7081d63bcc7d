/*
 * Memory hypercalls (xen/memory.h).
 */
#include "hypercall.h"

#include <xen/memory.h>

C_ASSERT(sizeof(PFN_NUMBER) == sizeof(xen_pfn_t));

NTSTATUS NTAPI XenMemoryAddToPhysMap(_In_ ULONG Space, _In_ ULONG_PTR Index, _In_ PFN_NUMBER Frame)
{
    xen_add_to_physmap_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.domid = DOMID_SELF;
    Operation.space = Space;
    Operation.idx = Index;
    Operation.gpfn = Frame;

    return HypercallStatus(Hypercall2(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (ULONG_PTR)&Operation));
}

NTSTATUS NTAPI XenMemoryRemoveFromPhysMap(_In_ PFN_NUMBER Frame)
{
    xen_remove_from_physmap_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.domid = DOMID_SELF;
    Operation.gpfn = Frame;

    return HypercallStatus(Hypercall2(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, (ULONG_PTR)&Operation));
}

/* Both reservation calls return the number of extents done, and an error only if something was wrong with the call. */
static NTSTATUS ChangeReservation(_In_ ULONG Command, _In_ ULONG Order, _In_ ULONG Count,
                                  _In_reads_(Count) const PFN_NUMBER *Frames, _Out_ PULONG Done)
{
    xen_memory_reservation_t Operation;
    LONG_PTR Result;

    RtlZeroMemory(&Operation, sizeof(Operation));
    set_xen_guest_handle(Operation.extent_start, (xen_pfn_t *)(ULONG_PTR)Frames);
    Operation.nr_extents = Count;
    Operation.extent_order = Order;
    Operation.domid = DOMID_SELF;

    Result = Hypercall2(__HYPERVISOR_memory_op, Command, (ULONG_PTR)&Operation);
    if (Result < 0)
        return XenErrnoToStatus(Result);

    *Done = (ULONG)Result;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenMemoryDecreaseReservation(_In_ ULONG Order, _In_ ULONG Count,
                                            _In_reads_(Count) const PFN_NUMBER *Frames, _Out_ PULONG Done)
{
    return ChangeReservation(XENMEM_decrease_reservation, Order, Count, Frames, Done);
}

NTSTATUS NTAPI XenMemoryPopulatePhysMap(_In_ ULONG Order, _In_ ULONG Count, _In_reads_(Count) const PFN_NUMBER *Frames,
                                        _Out_ PULONG Done)
{
    return ChangeReservation(XENMEM_populate_physmap, Order, Count, Frames, Done);
}

static NTSTATUS QueryReservation(_In_ ULONG Command, _Out_ PULONGLONG Pages)
{
    struct xen_memory_domain Operation;
    LONG_PTR Result;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.domid = DOMID_SELF;

    Result = Hypercall2(__HYPERVISOR_memory_op, Command, (ULONG_PTR)&Operation);
    if (Result < 0)
        return XenErrnoToStatus(Result);

    *Pages = (ULONGLONG)Result;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenMemoryQueryReservation(_Out_ PULONGLONG Current, _Out_ PULONGLONG Maximum)
{
    ULONGLONG Pages = 0;
    NTSTATUS Status;

    Status = QueryReservation(XENMEM_current_reservation, &Pages);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = QueryReservation(XENMEM_maximum_reservation, Maximum);
    if (NT_SUCCESS(Status))
        *Current = Pages;

    return Status;
}
