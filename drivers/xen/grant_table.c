/*
 * Grant-table hypercalls (xen/grant_table.h).
 */
#include "hypercall.h"

#include <xen/grant_table.h>

static NTSTATUS GrantOperation(_In_ ULONG Command, _Inout_ PVOID Operations, _In_ ULONG Count)
{
    return HypercallStatus(Hypercall3(__HYPERVISOR_grant_table_op, Command, (ULONG_PTR)Operations, Count));
}

/* The status that an operation carries beside the result of the call. */
static NTSTATUS GrantStatus(_In_ SHORT Status)
{
    switch (Status) {
    case GNTST_okay:
        return STATUS_SUCCESS;
    case GNTST_bad_domain:
        return STATUS_NOT_FOUND;
    case GNTST_bad_gntref:
    case GNTST_bad_handle:
        return STATUS_INVALID_HANDLE;
    case GNTST_bad_virt_addr:
    case GNTST_bad_dev_addr:
    case GNTST_bad_page:
    case GNTST_bad_copy_arg:
        return STATUS_INVALID_PARAMETER;
    case GNTST_no_device_space:
        return STATUS_INSUFFICIENT_RESOURCES;
    case GNTST_permission_denied:
        return STATUS_ACCESS_DENIED;
    case GNTST_address_too_big:
        return STATUS_INTEGER_OVERFLOW;
    case GNTST_eagain:
        return STATUS_RETRY;
    default:
        return STATUS_UNSUCCESSFUL;
    }
}

NTSTATUS NTAPI XenGrantTableQuerySize(_Out_ PULONG CurrentFrames, _Out_ PULONG MaximumFrames)
{
    gnttab_query_size_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.dom = DOMID_SELF;

    Status = GrantOperation(GNTTABOP_query_size, &Operation, 1);
    if (NT_SUCCESS(Status))
        Status = GrantStatus(Operation.status);
    if (!NT_SUCCESS(Status))
        return Status;

    *CurrentFrames = Operation.nr_frames;
    *MaximumFrames = Operation.max_nr_frames;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenGrantTableQueryVersion(_Out_ PULONG Version)
{
    gnttab_get_version_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.dom = DOMID_SELF;

    Status = GrantOperation(GNTTABOP_get_version, &Operation, 1);
    if (!NT_SUCCESS(Status))
        return Status;

    *Version = Operation.version;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenGrantTableSetVersion(_In_ ULONG Version)
{
    gnttab_set_version_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.version = Version;

    return GrantOperation(GNTTABOP_set_version, &Operation, 1);
}

NTSTATUS NTAPI XenGrantTableCopy(_In_ ULONG Count, _Inout_updates_(Count) struct gnttab_copy *Operations)
{
    return GrantOperation(GNTTABOP_copy, Operations, Count);
}

NTSTATUS NTAPI XenGrantTableMapForeignPage(_In_ USHORT Domain, _In_ ULONG Reference, _In_ PHYSICAL_ADDRESS Address,
                                           _In_ BOOLEAN ReadOnly, _Out_ PULONG Handle)
{
    gnttab_map_grant_ref_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.dom = Domain;
    Operation.ref = Reference;
    Operation.flags = GNTMAP_host_map | (ReadOnly ? GNTMAP_readonly : 0);
    Operation.host_addr = (ULONGLONG)Address.QuadPart;

    Status = GrantOperation(GNTTABOP_map_grant_ref, &Operation, 1);
    if (NT_SUCCESS(Status))
        Status = GrantStatus(Operation.status);
    if (!NT_SUCCESS(Status))
        return Status;

    *Handle = Operation.handle;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenGrantTableUnmapForeignPage(_In_ ULONG Handle, _In_ PHYSICAL_ADDRESS Address)
{
    gnttab_unmap_grant_ref_t Operation;
    NTSTATUS Status;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.handle = Handle;
    Operation.host_addr = (ULONGLONG)Address.QuadPart;

    Status = GrantOperation(GNTTABOP_unmap_grant_ref, &Operation, 1);
    if (NT_SUCCESS(Status))
        Status = GrantStatus(Operation.status);

    return Status;
}
