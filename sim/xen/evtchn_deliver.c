/*
 * Delivery of events: how a guest's vCPUs are told (public/hvm/params.h, HVM_PARAM_CALLBACK_IRQ; public/hvm/hvm_op.h,
 * HVMOP_set_evtchn_upcall_vector), by which ABI its ports are shown to it, and the callbacks of domains whose code is
 * the host's.
 */
#include "xen/hypervisor.h"
#include "xen/platform.h"

/* ---- telling a vCPU ---- */

static void raise_vector(struct xen_vcpu *vcpu, uint8_t vector)
{
    if (vector < XEN_FIRST_DEVICE_VECTOR) {
        /* A local APIC would take it and the guest's kernel would see one of its own traps' vectors. */
        log_line(LOG_WARNING, "xen", "event upcall of vCPU %u on vector %#x: below the vectors that devices can have",
                 vcpu->index, vector);
        return;
    }
    vcpu_raise_vector(vcpu->index, vector);
}

static void set_gsi(struct callback_via *via, bool asserted)
{
    via->asserted = asserted;
    vcpu_set_line(via->gsi, asserted);
}

static bool upcall_is_pending(const struct xen_vcpu *vcpu)
{
    return __atomic_load_n(&vcpu->info->evtchn_upcall_pending, __ATOMIC_ACQUIRE) != 0;
}

void evtchn_inject(struct xen_vcpu *vcpu)
{
    struct domain *domain = vcpu->domain;

    if (vcpu->upcall_vector != 0)
        raise_vector(vcpu, vcpu->upcall_vector);
    else if (domain->via.type == VIA_VECTOR)
        raise_vector(vcpu, domain->via.vector);
    else if (domain->via.type == VIA_GSI && vcpu->index == 0)
        set_gsi(&domain->via, upcall_is_pending(vcpu));
    xen_poll_wake(vcpu, 0);
}

/*
 * The line follows vCPU 0's upcall-pending flag down when the guest clears it; nothing tells Xen of that, so it looks
 * when the vCPU is entered. A callback vector, unlike one of the local APIC, is given again as long as the flag is set.
 */
void xen_evtchn_sync_line(void)
{
    struct domain *domain = xen_state()->guest;
    int current = vcpu_current_index();

    if (domain == NULL)
        return;
    if (domain->via.type == VIA_GSI && domain->via.asserted && !upcall_is_pending(&domain->vcpu[0]))
        set_gsi(&domain->via, false);
    if (domain->via.type == VIA_VECTOR && current >= 0 && (unsigned)current < domain->vcpus &&
        domain->vcpu[current].upcall_vector == 0 && upcall_is_pending(&domain->vcpu[current]))
        raise_vector(&domain->vcpu[current], domain->via.vector);
}

static struct callback_via decode_via(uint64_t value)
{
    struct callback_via via = {.type = VIA_NONE};

    if (value == 0)
        return via;
    switch ((value & HVM_PARAM_CALLBACK_IRQ_TYPE_MASK) >> 56) {
    case HVM_PARAM_CALLBACK_TYPE_GSI:
        /* Xen looks at the low byte only; GSI 0 means none. */
        via.gsi = (uint8_t)value;
        if (via.gsi != 0 && via.gsi < XEN_GSI_COUNT)
            via.type = VIA_GSI;
        break;
    case HVM_PARAM_CALLBACK_TYPE_PCI_INTX:
        via.gsi = pci_intx_gsi((unsigned)(value >> 11) & 31, (unsigned)value & 3);
        via.type = VIA_GSI;
        break;
    case HVM_PARAM_CALLBACK_TYPE_VECTOR:
        via.vector = (uint8_t)value;
        via.type = VIA_VECTOR;
        break;
    default:
        break;
    }
    return via;
}

void evtchn_set_callback(struct domain *domain, uint64_t value)
{
    if (domain->via.type == VIA_GSI && domain->via.asserted)
        set_gsi(&domain->via, false);
    domain->via = decode_via(value);
    log_line(LOG_DEBUG, "xen", "callback via %s %u",
             domain->via.type == VIA_GSI      ? "GSI"
             : domain->via.type == VIA_VECTOR ? "vector"
                                              : "nothing",
             domain->via.type == VIA_VECTOR ? domain->via.vector : domain->via.gsi);
    /* What became pending while there was no way to tell of it is told now. */
    for (unsigned i = 0; i < domain->vcpus; i++)
        if (upcall_is_pending(&domain->vcpu[i]))
            evtchn_inject(&domain->vcpu[i]);
}

void evtchn_mark_upcall(struct xen_vcpu *vcpu)
{
    if ((__atomic_fetch_or(&vcpu->info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST) & 1) == 0)
        evtchn_inject(vcpu);
}

void evtchn_mark_all_pending(struct xen_vcpu *vcpu)
{
    __atomic_store_n(&vcpu->info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->info->evtchn_pending_sel, ~(xen_ulong_t)0, __ATOMIC_SEQ_CST);
    evtchn_inject(vcpu);
}

/* ---- domains whose code is the host's ---- */

/* The event device masks a port when it has told of it, until the owner is ready for more. */
static void fire(struct evtchn *channel, uint32_t port)
{
    channel->pending = false;
    channel->masked = true;
    if (channel->notify != NULL)
        channel->notify(channel->argument, port);
}

static bool device_set_pending(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    (void)domain;
    if (channel->masked)
        channel->pending = true;
    else
        fire(channel, port);
    return false; /* no vCPU of theirs polls */
}

static void device_clear_pending(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    (void)domain;
    (void)port;
    channel->pending = false;
}

static void device_unmask(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    (void)domain;
    channel->masked = false;
    if (channel->pending)
        fire(channel, port);
}

static bool device_is_pending(const struct domain *domain, uint32_t port)
{
    (void)domain;
    (void)port;
    return false;
}

static const struct evtchn_abi evtchn_device = {
    .ports = EVTCHN_FIFO_NR_CHANNELS,
    .set_pending = device_set_pending,
    .clear_pending = device_clear_pending,
    .unmask = device_unmask,
    .is_pending = device_is_pending,
};

/* ---- any domain ---- */

const struct evtchn_abi *evtchn_abi(const struct domain *domain)
{
    if (!domain->guest)
        return &evtchn_device;
    return domain->fifo != NULL ? &evtchn_fifo : &evtchn_two_level;
}

void evtchn_set_pending(struct domain *domain, uint32_t port)
{
    eventlog_add(EVENT_EVTCHN, domain->domid, port, EVTCHN_CHANGE_PENDING);
    if (!evtchn_abi(domain)->set_pending(domain, port, evtchn_find(domain, port)))
        return;
    for (unsigned i = 0; i < domain->vcpus; i++)
        xen_poll_wake(&domain->vcpu[i], port);
}

void evtchn_unmask(struct domain *domain, uint32_t port)
{
    evtchn_abi(domain)->unmask(domain, port, evtchn_find(domain, port));
}

int xen_evtchn_unmask(unsigned domid, uint32_t port)
{
    struct domain *domain = domain_find_host(domid);
    const struct evtchn *channel;

    if (domain == NULL)
        return -XEN_ESRCH;
    channel = evtchn_find(domain, port);
    if (channel == NULL || channel->state == EVTCHNSTAT_closed)
        return -XEN_EINVAL;
    evtchn_unmask(domain, port);
    return 0;
}
