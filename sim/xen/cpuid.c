/*
 * Xen's CPUID leaves and model-specific registers as an HVM guest without Viridian enlightenments sees them
 * (public/arch-x86/cpuid.h).
 */
#include "xen/hypervisor.h"
#include "xen/platform.h"

#define LEAF_LAST 0x4FFFFFFFu             /* Xen answers all hypervisor leaves, beyond its own with zeros */
#define TIME_SCALE_MULTIPLIER 0x80000000u /* 1 GHz: ((ticks << 1) * 2^31) >> 32 is nanoseconds */
#define TIME_SCALE_SHIFT 1u

enum { EAX, EBX, ECX, EDX };

static void time_leaf(uint32_t subleaf, uint32_t out[4])
{
    switch (subleaf) {
    case 0:
        /* The TSC is the machine's clock: not emulated by trapping, reliable; mode "default"; never migrated. */
        out[EAX] = 1u << 1 | 1u << 2;
        out[ECX] = XEN_TSC_KHZ;
        break;
    case 1:
        /* Offset 0: guest and host TSC are one. */
        out[ECX] = TIME_SCALE_MULTIPLIER;
        out[EDX] = TIME_SCALE_SHIFT;
        break;
    case 2:
        out[EAX] = XEN_TSC_KHZ;
        break;
    default:
        break;
    }
}

static void hvm_leaf(uint32_t subleaf, uint32_t out[4])
{
    struct domain *domain = xen_state()->guest;

    if (subleaf != 0)
        return;
    /* The processor's APIC virtualisation is not claimed: the simulated APIC has no such registers. */
    out[EAX] = XEN_HVM_CPUID_IOMMU_MAPPINGS | XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT |
               XEN_HVM_CPUID_UPCALL_VECTOR;
    out[EBX] = domain_current_vcpu(domain)->index;
    out[ECX] = domain->domid;
}

bool xen_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    if (leaf < XEN_CPUID_FIRST_LEAF || leaf > LEAF_LAST)
        return false;
    if (xen_state()->guest == NULL) /* no toolstack has started Xen's guest: bare processor */
        return false;
    for (unsigned i = 0; i < 4; i++)
        out[i] = 0;
    switch (leaf - XEN_CPUID_FIRST_LEAF) {
    case 0:
        out[EAX] = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
        out[EBX] = XEN_CPUID_SIGNATURE_EBX;
        out[ECX] = XEN_CPUID_SIGNATURE_ECX;
        out[EDX] = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        out[EAX] = XEN_VERSION_MAJOR << 16 | XEN_VERSION_MINOR;
        break;
    case 2:
        out[EAX] = 1; /* hypercall pages */
        out[EBX] = XEN_HYPERCALL_MSR;
        break;
    case 3:
        time_leaf(subleaf, out);
        break;
    case 4:
        hvm_leaf(subleaf, out);
        break;
    default: /* leaf 5 is for PV guests */
        break;
    }
    return true;
}

bool xen_msr_read(uint32_t msr, uint64_t *value)
{
    if (msr != XEN_HYPERCALL_MSR || xen_state()->guest == NULL)
        return false;
    *value = 0; /* write-only in effect: what was written is not kept */
    return true;
}

bool xen_msr_write(uint32_t msr, uint64_t value)
{
    if (msr != XEN_HYPERCALL_MSR || xen_state()->guest == NULL)
        return false;
    /* The low bits choose one of the hypercall pages; there is one. */
    if (value % GUEST_PAGE_SIZE != 0) {
        log_line(LOG_INFO, "xen", "wrmsr %#x: hypercall page %llu of 1", msr,
                 (unsigned long long)(value % GUEST_PAGE_SIZE));
        return false;
    }
    return hypercall_page_install(value >> GUEST_PAGE_SHIFT);
}
