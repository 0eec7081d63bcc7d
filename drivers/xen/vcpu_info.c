/*
 * The vcpu_info of vCPUs that the shared info page has no room for. Xen takes a place for one once in a domain's life,
 * and writes there until the domain ends: the pages belong to the module, so that whoever uses them can go and come
 * again.
 */
#include "driver.h"
#include "insist.h"
#include "log.h"
#include "ram.h"

#include <xen/xen.h>

#define INFOS_PER_PAGE ((ULONG)(PAGE_SIZE / sizeof(struct vcpu_info)))

C_ASSERT(PAGE_SIZE / sizeof(struct vcpu_info) <= 64);

static PFN_NUMBER PageFrame(_In_ PVOID Address)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress(Address).QuadPart >> PAGE_SHIFT);
}

static NTSTATUS PageAllocate(_Inout_ PXEN_VCPU_INFO_PAGE Page)
{
    PHYSICAL_ADDRESS Highest;

    Highest.QuadPart = MAXLONGLONG;

    Page->Address = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    if (Page->Address == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlZeroMemory(Page->Address, PAGE_SIZE);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenVcpuPlaceInfo(_In_ ULONG VcpuId, _Outptr_ PVOID *Info)
{
    ULONG Slot = VcpuId - XEN_LEGACY_MAX_VCPUS;
    PXEN_VCPU_INFO_PAGE Page;
    ULONG Offset;
    ULONG64 Bit;
    NTSTATUS Status;

    *Info = NULL;

    if (VcpuId < XEN_LEGACY_MAX_VCPUS || Slot / INFOS_PER_PAGE >= XEN_VCPU_INFO_PAGES)
        return STATUS_INVALID_PARAMETER;

    Page = &XenGetContext()->VcpuInfoPage[Slot / INFOS_PER_PAGE];
    Offset = Slot % INFOS_PER_PAGE * (ULONG)sizeof(struct vcpu_info);
    Bit = 1ull << Slot % INFOS_PER_PAGE;

    if (Page->Address == NULL) {
        Status = PageAllocate(Page);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    Status = XenVcpuRegisterInfo(VcpuId, PageFrame(Page->Address), Offset);

    /* Refused as the second time in this domain: it is where it was. In a domain that was moved it is the first. */
    if ((Status == STATUS_INVALID_PARAMETER || Status == STATUS_DEVICE_BUSY) && (Page->Placed & Bit) != 0)
        Status = STATUS_SUCCESS;

    if (!NT_SUCCESS(Status))
        return Status;

    Page->Placed |= Bit;
    *Info = (PUCHAR)Page->Address + Offset;
    return STATUS_SUCCESS;
}

/* Gives the page that Xen has hold of away, and has Xen put another in its place. */
static NTSTATUS PageExchange(_In_ PFN_NUMBER Frame)
{
    NTSTATUS Status;

    Status = Insist(RamReturn, &Frame);
    if (!NT_SUCCESS(Status))
        return Status;

    return Insist(RamAskFor, &Frame);
}

PAGED_FUNCTION VOID VcpuInfoTeardown(_Inout_updates_(XEN_VCPU_INFO_PAGES) PXEN_VCPU_INFO_PAGE Pages)
{
    ULONG Index;
    NTSTATUS Status;

    PAGED_CODE();

    for (Index = 0; Index < XEN_VCPU_INFO_PAGES; Index++) {
        PXEN_VCPU_INFO_PAGE Page = &Pages[Index];

        if (Page->Address == NULL)
            continue;

        Status = Page->Placed != 0 ? PageExchange(PageFrame(Page->Address)) : STATUS_SUCCESS;
        if (NT_SUCCESS(Status))
            MmFreeContiguousMemory(Page->Address);
        else
            Critical("the page of vcpu_info at frame %llx is lost to Windows (%08x)",
                     (ULONGLONG)PageFrame(Page->Address), Status);
    }
}
