/*
 * Whether there is a Xen, and what it says of itself (xen/arch-x86/cpuid.h, xen/version.h).
 */
#include "hypervisor.h"
#include "hypercall.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/version.h>

/* With Viridian enlightenments Xen's leaves are not the first of the range: it is searched in these steps. */
#define HYPERVISOR_FIRST_LEAF 0x40000000u
#define HYPERVISOR_LAST_LEAF 0x4000FF00u
#define HYPERVISOR_LEAF_STEP 0x100u

static VOID QueryCpuid(_In_ ULONG Leaf, _Out_ PCPUID_RESULT Result)
{
    int Registers[4];

    __cpuid(Registers, (int)Leaf);

    Result->Eax = (ULONG)Registers[0];
    Result->Ebx = (ULONG)Registers[1];
    Result->Ecx = (ULONG)Registers[2];
    Result->Edx = (ULONG)Registers[3];
}

VOID HypervisorQueryLeaf(_In_ ULONG Number, _Out_ PCPUID_RESULT Result)
{
    QueryCpuid(XenGetContext()->Hypervisor.BaseLeaf + Number, Result);
}

PAGED_FUNCTION VOID HypervisorInitialize(_Out_ PXEN_HYPERVISOR Hypervisor)
{
    CPUID_RESULT Result;
    ULONG Leaf;

    PAGED_CODE();

    RtlZeroMemory(Hypervisor, sizeof(XEN_HYPERVISOR));

    for (Leaf = HYPERVISOR_FIRST_LEAF; Leaf <= HYPERVISOR_LAST_LEAF; Leaf += HYPERVISOR_LEAF_STEP) {
        QueryCpuid(Leaf, &Result);

        /* A range that does not answer is no reason to stop: processors echo other leaves outside their ranges. */
        if (Result.Eax < Leaf + 2 || Result.Ebx != XEN_CPUID_SIGNATURE_EBX || Result.Ecx != XEN_CPUID_SIGNATURE_ECX ||
            Result.Edx != XEN_CPUID_SIGNATURE_EDX)
            continue;

        QueryCpuid(Leaf + 1, &Result);

        Hypervisor->BaseLeaf = Leaf;
        Hypervisor->Major = Result.Eax >> 16;
        Hypervisor->Minor = Result.Eax & 0xFFFF;
        Hypervisor->Present = TRUE;
        break;
    }
}

VOID NTAPI XenQueryVersion(_Out_ PULONG Major, _Out_ PULONG Minor)
{
    PXEN_HYPERVISOR Hypervisor = &XenGetContext()->Hypervisor;

    *Major = Hypervisor->Major;
    *Minor = Hypervisor->Minor;
}

NTSTATUS NTAPI XenQueryFeatures(_In_ ULONG Submap, _Out_ PULONG Mask)
{
    xen_feature_info_t Information;
    NTSTATUS Status;

    RtlZeroMemory(&Information, sizeof(Information));
    Information.submap_idx = Submap;

    Status = HypercallStatus(Hypercall2(__HYPERVISOR_xen_version, XENVER_get_features, (ULONG_PTR)&Information));
    if (!NT_SUCCESS(Status))
        return Status;

    *Mask = Information.submap;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenQueryDomainId(_Out_ PUSHORT DomainId)
{
    CPUID_RESULT Result;

    HypervisorQueryLeaf(0, &Result);
    if (Result.Eax < XenGetContext()->Hypervisor.BaseLeaf + 4)
        return STATUS_NOT_SUPPORTED;

    HypervisorQueryLeaf(4, &Result);
    if ((Result.Eax & XEN_HVM_CPUID_DOMID_PRESENT) == 0)
        return STATUS_NOT_SUPPORTED;

    *DomainId = (USHORT)Result.Ecx;

    return STATUS_SUCCESS;
}
