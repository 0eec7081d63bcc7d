/*
 * The 2-level ABI of event channels: pending and mask bits of a guest in its shared info, selector words in vcpu_info
 * (public/xen.h, struct shared_info).
 */
#include "xen/hypervisor.h"

#define WORD_BITS (8 * sizeof(xen_ulong_t))

static xen_ulong_t bit_of(uint32_t number)
{
    return (xen_ulong_t)1 << (number % WORD_BITS);
}

/* Set the selector bit of an unmasked port, and the upcall if that was news. */
static void select_port(struct xen_vcpu *vcpu, uint32_t port)
{
    xen_ulong_t bit = bit_of(port / WORD_BITS);

    if ((__atomic_fetch_or(&vcpu->info->evtchn_pending_sel, bit, __ATOMIC_SEQ_CST) & bit) == 0)
        evtchn_mark_upcall(vcpu);
}

static bool set_pending(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    struct shared_info *shared = domain->shared;
    uint32_t word = port / WORD_BITS;

    if ((__atomic_fetch_or(&shared->evtchn_pending[word], bit_of(port), __ATOMIC_SEQ_CST) & bit_of(port)) != 0)
        return false; /* the guest has yet to look at it */
    if ((__atomic_load_n(&shared->evtchn_mask[word], __ATOMIC_SEQ_CST) & bit_of(port)) == 0)
        select_port(&domain->vcpu[channel->vcpu], port);
    return true;
}

static void clear_pending(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    (void)channel;
    __atomic_fetch_and(&domain->shared->evtchn_pending[port / WORD_BITS], ~bit_of(port), __ATOMIC_SEQ_CST);
}

static void unmask(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    struct shared_info *shared = domain->shared;
    uint32_t word = port / WORD_BITS;

    if ((__atomic_fetch_and(&shared->evtchn_mask[word], ~bit_of(port), __ATOMIC_SEQ_CST) & bit_of(port)) != 0 &&
        (__atomic_load_n(&shared->evtchn_pending[word], __ATOMIC_SEQ_CST) & bit_of(port)) != 0)
        select_port(&domain->vcpu[channel->vcpu], port);
}

static bool is_pending(const struct domain *domain, uint32_t port)
{
    return (__atomic_load_n(&domain->shared->evtchn_pending[port / WORD_BITS], __ATOMIC_SEQ_CST) & bit_of(port)) != 0;
}

const struct evtchn_abi evtchn_two_level = {
    .ports = EVTCHN_2L_NR_CHANNELS,
    .set_pending = set_pending,
    .clear_pending = clear_pending,
    .unmask = unmask,
    .is_pending = is_pending,
};
