/*
 * The Viridian interface that Xen offers a guest with viridian=1 in its configuration, as libxl sets it up then: the
 * groups base, freq, time_ref_count, apic_assist and crash_ctl. CPUID leaves 0x40000000 to 0x40000006 and the
 * model-specific registers behind them (Hypervisor Top Level Functional Specification).
 *
 * The local APIC's registers as MSRs are not among them: the board has no register-level APIC, and the simulated
 * kernel's HAL needs none. Nor can hypercalls of that interface be made: their page is written as Xen writes it, and
 * nothing executes it.
 */
#include <string.h>

#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/profile.h"
#include "xen/viridian.h"

enum { EAX, EBX, ECX, EDX };

#define LEAF_LAST UINT32_C(0x40000006)
#define SPINLOCK_RETRIES 2047u
#define NS_PER_TICK 100u /* of the partition's reference counter */
#define TSC_FREQUENCY (XEN_TSC_KHZ * UINT64_C(1000))
#define APIC_FREQUENCY UINT64_C(100000000)
#define PAGE_ENABLED UINT64_C(1)
#define CRASH_NOTIFY (UINT64_C(1) << 63)

/* Leaf 3: what the partition may use. */
#define ACCESS_REFERENCE_COUNTER (1u << 1)
#define ACCESS_INTERRUPT_CONTROL (1u << 4)
#define ACCESS_HYPERCALL (1u << 5)
#define ACCESS_VP_INDEX (1u << 6)
#define ACCESS_FREQUENCIES (1u << 11)
#define FEATURE_ADD_PROCESSORS (1u << 3)
#define FEATURE_CRASH (1u << 10)
/* Leaf 4: what it had better do. */
#define RECOMMEND_APIC_MSRS (1u << 3)
#define RECOMMEND_RELAXED_TIMING (1u << 5)
/* Leaf 6: what the processor's virtualisation has in use. */
#define HARDWARE_MSR_BITMAPS (1u << 1)
#define HARDWARE_NESTED_PAGING (1u << 3)

enum {
    MSR_GUEST_OS_ID = 0x40000000,
    MSR_HYPERCALL = 0x40000001,
    MSR_VP_INDEX = 0x40000002,
    MSR_TIME_REF_COUNT = 0x40000020,
    MSR_TSC_FREQUENCY = 0x40000022,
    MSR_APIC_FREQUENCY = 0x40000023,
    MSR_VP_ASSIST_PAGE = 0x40000073,
    MSR_CRASH_P0 = 0x40000100,
    MSR_CRASH_P4 = 0x40000104,
    MSR_CRASH_CTL = 0x40000105,
};

static void text(uint32_t *out, const char *four)
{
    memcpy(out, four, sizeof(*out));
}

/* The part of the guest's identity that says which of a vendor's systems it is: 4 for Windows NT. */
static unsigned guest_os(const struct domain *domain)
{
    return (uint8_t)(domain->viridian.guest_os_id >> 40);
}

void viridian_cpuid(uint32_t leaf, uint32_t out[4])
{
    const struct domain *domain = xen_state()->guest;

    switch (leaf) {
    case 0x40000000:
        out[EAX] = LEAF_LAST;
        text(&out[EBX], "Micr");
        text(&out[ECX], "osof");
        text(&out[EDX], "t Hv");
        break;
    case 0x40000001:
        text(&out[EAX], "Hv#1");
        break;
    case 0x40000002: /* only to who has told what it is: the version of Windows Server 2008's hypervisor */
        if (domain->viridian.guest_os_id == 0)
            break;
        out[EAX] = 0x1772;
        out[EBX] = 6u << 16;
        break;
    case 0x40000003:
        out[EAX] = ACCESS_REFERENCE_COUNTER | ACCESS_INTERRUPT_CONTROL | ACCESS_HYPERCALL | ACCESS_VP_INDEX |
                   ACCESS_FREQUENCIES;
        out[EDX] = FEATURE_CRASH | (xen_profile()->unlimited_processors ? FEATURE_ADD_PROCESSORS : 0);
        break;
    case 0x40000004:
        if (domain->viridian.guest_os_id == 0 || guest_os(domain) < 4)
            break;
        out[EAX] = RECOMMEND_RELAXED_TIMING | RECOMMEND_APIC_MSRS;
        out[EBX] = SPINLOCK_RETRIES;
        break;
    case 0x40000005:
        out[EAX] = xen_profile()->unlimited_processors ? UINT32_MAX : 0;
        break;
    case 0x40000006:
        out[EAX] = HARDWARE_MSR_BITMAPS | HARDWARE_NESTED_PAGING;
        break;
    default:
        break;
    }
}

bool viridian_msr_read(uint32_t msr, uint64_t *value)
{
    struct domain *domain = xen_state()->guest;
    const struct xen_vcpu *vcpu = domain_current_vcpu(domain);

    switch (msr) {
    case MSR_GUEST_OS_ID:
        *value = domain->viridian.guest_os_id;
        return true;
    case MSR_HYPERCALL:
        *value = domain->viridian.hypercall_page;
        return true;
    case MSR_VP_INDEX:
        *value = vcpu->index;
        return true;
    case MSR_TIME_REF_COUNT:
        *value = clock_now() / NS_PER_TICK;
        return true;
    case MSR_TSC_FREQUENCY:
        *value = TSC_FREQUENCY;
        return true;
    case MSR_APIC_FREQUENCY:
        *value = APIC_FREQUENCY;
        return true;
    case MSR_VP_ASSIST_PAGE:
        *value = vcpu->viridian_assist_page;
        return true;
    case MSR_CRASH_CTL:
        *value = CRASH_NOTIFY;
        return true;
    default:
        if (msr >= MSR_CRASH_P0 && msr <= MSR_CRASH_P4) {
            *value = vcpu->viridian_crash[msr - MSR_CRASH_P0];
            return true;
        }
        log_line(LOG_WARNING, "xen", "rdmsr %#x: no such register of the Viridian interface here", msr);
        return false;
    }
}

/* NULL with a word in the log: the frame is no memory of the guest's. */
static uint8_t *page_of(const struct domain *domain, uint64_t value)
{
    uint32_t backing = physmap_own_page(domain, value >> GUEST_PAGE_SHIFT);

    if (backing != BACKING_NONE)
        return backing_page(backing);
    log_line(LOG_WARNING, "xen", "Viridian page: nothing of the guest's own lies at the frame");
    return NULL;
}

/* Bit 31 of the operation tells these hypercalls from Xen's own: or eax, 0x80000000; vmcall; ret. */
static void write_hypercall_page(const struct domain *domain, uint64_t value)
{
    static const uint8_t code[] = {0x0D, 0, 0, 0, 0x80, 0x0F, 0x01, 0xC1, 0xC3};
    uint8_t *page = (value & PAGE_ENABLED) != 0 ? page_of(domain, value) : NULL;

    if (page == NULL)
        return;
    memset(page, 0xCC, GUEST_PAGE_SIZE);
    memcpy(page, code, sizeof(code));
}

static void crashed(struct domain *domain, const struct xen_vcpu *vcpu)
{
    log_line(LOG_WARNING, "xen", "the guest reports a crash: %#llx %#llx %#llx %#llx %#llx",
             (unsigned long long)vcpu->viridian_crash[0], (unsigned long long)vcpu->viridian_crash[1],
             (unsigned long long)vcpu->viridian_crash[2], (unsigned long long)vcpu->viridian_crash[3],
             (unsigned long long)vcpu->viridian_crash[4]);
    domain->shutdown_code = SHUTDOWN_crash; /* of the shutdown to come */
}

bool viridian_msr_write(uint32_t msr, uint64_t value)
{
    struct domain *domain = xen_state()->guest;
    struct xen_vcpu *vcpu = domain_current_vcpu(domain);
    uint8_t *page;

    switch (msr) {
    case MSR_GUEST_OS_ID:
        domain->viridian.guest_os_id = value;
        return true;
    case MSR_HYPERCALL:
        domain->viridian.hypercall_page = value;
        write_hypercall_page(domain, value);
        return true;
    case MSR_VP_INDEX:
        return true; /* Xen takes it and goes on */
    case MSR_VP_ASSIST_PAGE:
        vcpu->viridian_assist_page = value;
        page = (value & PAGE_ENABLED) != 0 ? page_of(domain, value) : NULL;
        if (page != NULL)
            memset(page, 0, GUEST_PAGE_SIZE);
        return true;
    case MSR_CRASH_CTL:
        if ((value & CRASH_NOTIFY) != 0)
            crashed(domain, vcpu);
        return true;
    default:
        if (msr >= MSR_CRASH_P0 && msr <= MSR_CRASH_P4) {
            vcpu->viridian_crash[msr - MSR_CRASH_P0] = value;
            return true;
        }
        log_line(LOG_WARNING, "xen", "wrmsr %#x: no such register of the Viridian interface here", msr);
        return false;
    }
}
