/*
 * Xen's CPUID leaves and model-specific registers as an HVM guest sees them (public/arch-x86/cpuid.h). With Viridian
 * they begin where that interface leaves off.
 */
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/profile.h"
#include "xen/viridian.h"

#define LEAF_LAST 0x4FFFFFFFu             /* Xen answers all hypervisor leaves, beyond its own with zeros */
#define TIME_SCALE_MULTIPLIER 0x80000000u /* 1 GHz: ((ticks << 1) * 2^31) >> 32 is nanoseconds */
#define TIME_SCALE_SHIFT 1u

enum { EAX, EBX, ECX, EDX };

static void time_leaf(uint32_t subleaf, uint32_t out[4])
{
    switch (subleaf) {
    case 0:
        /* The TSC is the machine's clock: not emulated by trapping, reliable; mode "default". */
        out[EAX] = 1u << 1 | 1u << 2;
        out[ECX] = XEN_TSC_KHZ;
        out[EDX] = xen_state()->guest->incarnation;
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
    out[EAX] = XEN_HVM_CPUID_IOMMU_MAPPINGS | XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT;
    if (xen_profile()->upcall_vector_leaf && !machine->config.host.no_vectors)
        out[EAX] |= XEN_HVM_CPUID_UPCALL_VECTOR;
    out[EBX] = domain_current_vcpu(domain)->index;
    out[ECX] = domain->domid;
}

static void xen_leaf(uint32_t leaf, uint32_t first, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf - first) {
    case 0:
        out[EAX] = first + XEN_CPUID_MAX_NUM_LEAVES;
        out[EBX] = XEN_CPUID_SIGNATURE_EBX;
        out[ECX] = XEN_CPUID_SIGNATURE_ECX;
        out[EDX] = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        out[EAX] = XEN_VERSION_MAJOR << 16 | xen_profile()->minor;
        break;
    case 2:
        out[EAX] = 1; /* hypercall pages */
        out[EBX] = first == XEN_CPUID_FIRST_LEAF ? XEN_HYPERCALL_MSR : VIRIDIAN_XEN_MSR;
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
}

bool xen_is_there(void)
{
    return machine->config.host.xen_minor != XEN_MINOR_NONE;
}

bool xen_hypervisor_is_there(void)
{
    return xen_is_there() || machine->config.host.viridian;
}

bool xen_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct domain *domain = xen_state()->guest;

    if (leaf < XEN_CPUID_FIRST_LEAF || leaf > LEAF_LAST)
        return false;
    if (domain == NULL) /* no toolstack has started Xen's guest: bare processor */
        return false;
    if (!xen_is_there() && (!domain->config.viridian || leaf >= VIRIDIAN_XEN_FIRST_LEAF))
        return false;
    for (unsigned i = 0; i < 4; i++)
        out[i] = 0;
    if (!domain->config.viridian)
        xen_leaf(leaf, XEN_CPUID_FIRST_LEAF, subleaf, out);
    else if (leaf < VIRIDIAN_XEN_FIRST_LEAF)
        viridian_cpuid(leaf, out);
    else
        xen_leaf(leaf, VIRIDIAN_XEN_FIRST_LEAF, subleaf, out);
    return true;
}

/* The register that the hypercall page is made by? */
static bool is_hypercall_msr(uint32_t msr)
{
    return xen_is_there() && msr == (xen_state()->guest->config.viridian ? VIRIDIAN_XEN_MSR : XEN_HYPERCALL_MSR);
}

bool xen_msr_read(uint32_t msr, uint64_t *value)
{
    if (xen_state()->guest == NULL)
        return false;
    if (!is_hypercall_msr(msr))
        return xen_state()->guest->config.viridian && viridian_msr_read(msr, value);
    *value = 0; /* write-only in effect: what was written is not kept */
    return true;
}

bool xen_msr_write(uint32_t msr, uint64_t value)
{
    if (xen_state()->guest == NULL)
        return false;
    if (!is_hypercall_msr(msr))
        return xen_state()->guest->config.viridian && viridian_msr_write(msr, value);
    /* The low bits choose one of the hypercall pages; there is one. */
    if (value % GUEST_PAGE_SIZE != 0) {
        log_line(LOG_INFO, "xen", "wrmsr %#x: hypercall page %llu of 1", msr,
                 (unsigned long long)(value % GUEST_PAGE_SIZE));
        return false;
    }
    return hypercall_page_install(value >> GUEST_PAGE_SHIFT);
}
