/*
 * The shared info page: vcpu_info of the first 32 vCPUs and its placement elsewhere, wall clock, time pages
 * (public/xen.h, public/vcpu.h).
 */
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include "xen/hypervisor.h"
#include "xen/platform.h"

#define NS_PER_S UINT64_C(1000000000)
#define UNIX_EPOCH_1601 UINT64_C(116444736000000000) /* in 100 ns since 1601 */
#define TIME_UPDATE_NS NS_PER_S                      /* Xen's calibration period */

_Static_assert(XEN_TSC_KHZ == 1000000, "the scale below is that of a 1 GHz TSC");
#define TSC_TO_SYSTEM_MUL 0x80000000u
#define TSC_SHIFT 1

/* Readers go by an even version that is the same before and after. */
static void version_begin(uint32_t *version)
{
    (void)__atomic_exchange_n(version, (__atomic_load_n(version, __ATOMIC_RELAXED) + 1) | 1, __ATOMIC_ACQ_REL);
}

static void version_end(uint32_t *version)
{
    __atomic_store_n(version, __atomic_load_n(version, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}

/* wc_sec and wc_nsec are UTC, since 1970, when system time was 0: the machine's power-on. */
static void wallclock_update(struct shared_info *shared)
{
    uint64_t boot = CLOCK_BOOT_SYSTEM_TIME - UNIX_EPOCH_1601;
    uint64_t seconds = boot / 10000000;

    version_begin(&shared->wc_version);
    __atomic_store_n(&shared->wc_sec, (uint32_t)seconds, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->wc_sec_hi, (uint32_t)(seconds >> 32), __ATOMIC_RELAXED);
    __atomic_store_n(&shared->wc_nsec, (uint32_t)(boot % 10000000) * 100, __ATOMIC_RELAXED);
    version_end(&shared->wc_version);
}

/* Write the fields under the version protocol, into the guest's page. */
static void time_write(struct vcpu_time_info *time, uint64_t now)
{
    version_begin(&time->version);
    __atomic_store_n(&time->tsc_timestamp, now, __ATOMIC_RELAXED);
    __atomic_store_n(&time->system_time, now, __ATOMIC_RELAXED);
    __atomic_store_n(&time->tsc_to_system_mul, TSC_TO_SYSTEM_MUL, __ATOMIC_RELAXED);
    __atomic_store_n(&time->tsc_shift, TSC_SHIFT, __ATOMIC_RELAXED);
    __atomic_store_n(&time->flags, 0, __ATOMIC_RELAXED); /* TSC_STABLE is only claimed with clocksource=tsc */
    version_end(&time->version);
}

/* The second copy is reached by a guest virtual address; one that has gone bad is passed over, as Xen does. */
static void time_write_area(struct xen_vcpu *vcpu)
{
    uint8_t *area = (uint8_t *)(uintptr_t)vcpu->time_area; /* wherever the guest said */
    uint8_t *area_version = (uint8_t *)(uintptr_t)(vcpu->time_area + offsetof(struct vcpu_time_info, version));
    struct vcpu_time_info time;
    uint32_t version;

    if (vcpu->time_area == 0 || !guest_copy_in(&version, area_version, sizeof(version)))
        return;
    memset(&time, 0, sizeof(time));
    time.version = (version + 1) | 1;
    if (!guest_copy_out(area_version, &time.version, sizeof(time.version)))
        return;
    time.tsc_timestamp = vcpu->time_updated;
    time.system_time = vcpu->time_updated;
    time.tsc_to_system_mul = TSC_TO_SYSTEM_MUL;
    time.tsc_shift = TSC_SHIFT;
    if (guest_copy_out(area, &time, sizeof(time))) {
        time.version++;
        (void)guest_copy_out(area_version, &time.version, sizeof(time.version));
    }
}

void xen_time_update(struct xen_vcpu *vcpu, bool force)
{
    uint64_t now = clock_now();

    if (!force && now - vcpu->time_updated < TIME_UPDATE_NS)
        return;
    vcpu->time_updated = now;
    time_write(&vcpu->info->time, now);
    time_write_area(vcpu);
}

static void point_at_shared_info(struct domain *domain)
{
    for (unsigned i = 0; i < domain->vcpus; i++) {
        struct xen_vcpu *vcpu = &domain->vcpu[i];

        memset(&vcpu->unplaced, 0, sizeof(vcpu->unplaced));
        vcpu->info = i < XEN_LEGACY_MAX_VCPUS ? &domain->shared->vcpu_info[i] : &vcpu->unplaced;
        vcpu->info_backing = BACKING_NONE;
        xen_time_update(vcpu, true);
    }
}

void shared_info_create(struct domain *domain)
{
    domain->shared_backing = backing_alloc();
    domain->shared = backing_page(domain->shared_backing);
    domain->shared_gfn = GFN_INVALID;
    wallclock_update(domain->shared);
    point_at_shared_info(domain);
}

void shared_info_destroy(struct domain *domain)
{
    if (domain->shared_gfn != GFN_INVALID)
        physmap_forget(domain, domain->shared_gfn);
    for (unsigned i = 0; i < domain->vcpus; i++)
        if (domain->vcpu[i].info_backing != BACKING_NONE)
            xen_page_drop(domain->vcpu[i].info_backing);
    xen_page_give_up_xen(domain->shared_backing);
}

int shared_info_place(struct xen_vcpu *vcpu, uint64_t gfn, uint32_t offset)
{
    struct vcpu_info *info;
    uint32_t backing;

    if (offset > GUEST_PAGE_SIZE - sizeof(*info) || offset % alignof(struct vcpu_info) != 0)
        return -XEN_EINVAL;
    if (vcpu->info_backing != BACKING_NONE) /* once in a domain's life */
        return -XEN_EINVAL;
    if (vcpu != domain_current_vcpu(vcpu->domain) && !vcpu->down)
        return -XEN_EINVAL;
    backing = physmap_own_page(vcpu->domain, gfn);
    if (backing == BACKING_NONE)
        return -XEN_EINVAL;

    xen_page_hold(backing);
    info = (struct vcpu_info *)((uint8_t *)backing_page(backing) + offset);
    if (vcpu->info == &vcpu->unplaced)
        memset(info, 0, sizeof(*info));
    else
        memcpy(info, vcpu->info, sizeof(*info));
    vcpu->info = info;
    vcpu->info_backing = backing;
    xen_time_update(vcpu, true);
    /* Whatever was pending while the structure moved must not be lost: a spurious upcall is the price. */
    evtchn_mark_all_pending(vcpu);
    return 0;
}
