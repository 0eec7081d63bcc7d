/*
 * Event channels: ports, their bindings, and EVENT_CHANNEL_OP (public/event_channel.h).
 */
#include <string.h>

#include "xen/hypervisor.h"

#define BUCKET_CHANNELS 128u
#define RESET_CONTINUED 14   /* EVTCHNOP_reset as Xen has it done in pieces; anybody may say so */
#define EVTCHN_RESERVED 0xFF /* state of port 0 */

/* ---- the table ---- */

static struct evtchn *slot(struct domain *domain, uint32_t port)
{
    return &domain->bucket[port / BUCKET_CHANNELS][port % BUCKET_CHANNELS];
}

struct evtchn *evtchn_find(struct domain *domain, uint32_t port)
{
    return port < domain->buckets * BUCKET_CHANNELS ? slot(domain, port) : NULL;
}

static void add_bucket(struct domain *domain)
{
    domain->bucket = image_realloc(domain->bucket, (domain->buckets + 1) * sizeof(*domain->bucket));
    domain->bucket[domain->buckets++] = image_alloc(BUCKET_CHANNELS * sizeof(struct evtchn));
}

void evtchn_init(struct domain *domain)
{
    add_bucket(domain);
    domain->bucket[0][0].state = EVTCHN_RESERVED;
}

static bool is_bound(const struct evtchn *channel)
{
    return channel->state != EVTCHNSTAT_closed && channel->state != EVTCHN_RESERVED;
}

bool evtchn_is_pending(struct domain *domain, uint32_t port)
{
    return is_bound(slot(domain, port)) && evtchn_abi(domain)->is_pending(domain, port);
}

/* The lowest free port, or an error. */
static int evtchn_alloc_port(struct domain *domain)
{
    const struct evtchn_abi *abi = evtchn_abi(domain);
    uint32_t limit = domain->config.event_channels + 1;
    uint32_t port;

    if (domain->dying)
        return -XEN_EINVAL;
    if (limit > abi->ports)
        limit = abi->ports;
    for (port = 1; port < domain->buckets * BUCKET_CHANNELS && port < limit; port++)
        if (slot(domain, port)->state == EVTCHNSTAT_closed && (abi->is_busy == NULL || !abi->is_busy(domain, port)))
            return (int)port;
    if (port >= limit)
        return -XEN_ENOSPC;
    add_bucket(domain);
    return (int)port;
}

/* Everything but the queue that the port was on. */
static void channel_clear(struct evtchn *channel)
{
    *channel = (struct evtchn){.last_vcpu = channel->last_vcpu, .last_priority = channel->last_priority};
}

static struct evtchn *claim_port(struct domain *domain, uint32_t port, uint8_t state)
{
    const struct evtchn_abi *abi = evtchn_abi(domain);
    struct evtchn *channel = slot(domain, port);

    channel_clear(channel);
    channel->state = state;
    if (abi->bind != NULL)
        abi->bind(domain, port, channel);
    eventlog_add(EVENT_EVTCHN, domain->domid, port, EVTCHN_CHANGE_BOUND);
    return channel;
}

/* ---- binding ---- */

static int alloc_unbound(struct domain *domain, domid_t remote, xen_notify_t notify, void *argument)
{
    int port = evtchn_alloc_port(domain);
    struct evtchn *channel;

    if (port < 0)
        return port;
    channel = claim_port(domain, (uint32_t)port, EVTCHNSTAT_unbound);
    channel->remote_domid = remote;
    channel->notify = notify;
    channel->argument = argument;
    return port;
}

static int bind_interdomain(struct domain *domain, domid_t remote_domid, uint32_t remote_port, xen_notify_t notify,
                            void *argument)
{
    struct domain *remote = domain_find_any(domain, remote_domid);
    struct evtchn *far;
    struct evtchn *near;
    int port;

    if (remote == NULL)
        return -XEN_ESRCH;
    port = evtchn_alloc_port(domain);
    if (port < 0)
        return port;
    far = evtchn_find(remote, remote_port);
    if (far == NULL || far->state != EVTCHNSTAT_unbound || far->remote_domid != domain->domid)
        return -XEN_EINVAL;

    near = claim_port(domain, (uint32_t)port, EVTCHNSTAT_interdomain);
    near->remote_domid = remote->domid;
    near->remote_port = remote_port;
    near->notify = notify;
    near->argument = argument;
    far->state = EVTCHNSTAT_interdomain;
    far->remote_domid = domain->domid;
    far->remote_port = (uint32_t)port;
    eventlog_add(EVENT_EVTCHN, remote->domid, remote_port, EVTCHN_CHANGE_BOUND);
    /* What the remote end sent while unbound was dropped: make up for it. */
    evtchn_set_pending(domain, (uint32_t)port);
    return port;
}

static bool virq_is_global(uint32_t virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF && virq != VIRQ_XENPMU;
}

static int bind_virq(struct domain *domain, uint32_t virq, uint32_t vcpu_index, xen_notify_t notify, void *argument)
{
    struct xen_vcpu *vcpu;
    struct evtchn *channel;
    int port;

    if (virq >= NR_VIRQS)
        return -XEN_EINVAL;
    if (virq_is_global(virq) && vcpu_index != 0)
        return -XEN_EINVAL;
    vcpu = domain_vcpu(domain, vcpu_index);
    if (vcpu == NULL)
        return -XEN_ENOENT;
    if (vcpu->virq_port[virq] != 0)
        return -XEN_EEXIST;
    port = evtchn_alloc_port(domain);
    if (port < 0)
        return port;
    channel = claim_port(domain, (uint32_t)port, EVTCHNSTAT_virq);
    channel->virq = virq;
    channel->vcpu = (uint16_t)vcpu_index;
    channel->notify = notify;
    channel->argument = argument;
    vcpu->virq_port[virq] = (uint32_t)port;
    return port;
}

static int bind_ipi(struct domain *domain, uint32_t vcpu_index)
{
    int port;

    if (domain_vcpu(domain, vcpu_index) == NULL)
        return -XEN_ENOENT;
    port = evtchn_alloc_port(domain);
    if (port < 0)
        return port;
    claim_port(domain, (uint32_t)port, EVTCHNSTAT_ipi)->vcpu = (uint16_t)vcpu_index;
    return port;
}

/*
 * A physical interrupt that an emulated device's could be routed to, so that no one need have one to bind it: the port
 * is there, and as no such routing is (the domain has no PIRQs emulated), it never fires.
 */
static int bind_pirq(struct domain *domain, uint32_t pirq)
{
    int port;

    if (pirq >= XEN_PIRQS)
        return -XEN_EINVAL;
    if (!domain->guest) /* no interrupt of the host's is passed through */
        return -XEN_EPERM;
    if (domain->pirq_port[pirq] != 0)
        return -XEN_EEXIST;
    port = evtchn_alloc_port(domain);
    if (port < 0)
        return port;
    claim_port(domain, (uint32_t)port, EVTCHNSTAT_pirq)->pirq = pirq;
    domain->pirq_port[pirq] = (uint32_t)port;
    return port;
}

/* ---- closing ---- */

static int close_port(struct domain *domain, uint32_t port)
{
    struct evtchn *channel = evtchn_find(domain, port);
    struct domain *remote;
    struct evtchn *far;

    if (channel == NULL)
        return -XEN_EINVAL;
    switch (channel->state) {
    case EVTCHNSTAT_unbound:
    case EVTCHNSTAT_ipi:
        break;
    case EVTCHNSTAT_virq:
        for (unsigned i = 0; i < domain->vcpus; i++)
            if (domain->vcpu[i].virq_port[channel->virq] == port)
                domain->vcpu[i].virq_port[channel->virq] = 0;
        break;
    case EVTCHNSTAT_pirq:
        domain->pirq_port[channel->pirq] = 0;
        break;
    case EVTCHNSTAT_interdomain:
        /* The other end waits for a new connection from here. */
        remote = domain_find(channel->remote_domid);
        far = slot(remote, channel->remote_port);
        far->state = EVTCHNSTAT_unbound;
        far->remote_domid = domain->domid;
        far->remote_port = 0;
        break;
    default: /* closed, reserved */
        return -XEN_EINVAL;
    }
    evtchn_abi(domain)->clear_pending(domain, port, channel);
    channel_clear(channel);
    eventlog_add(EVENT_EVTCHN, domain->domid, port, EVTCHN_CHANGE_CLOSED);
    return 0;
}

void evtchn_close_all(struct domain *domain)
{
    for (uint32_t port = 1; port < domain->buckets * BUCKET_CHANNELS; port++) {
        (void)close_port(domain, port); /* refuses what is closed */
        memset(slot(domain, port), 0, sizeof(struct evtchn));
    }
    evtchn_fifo_destroy(domain);
}

void evtchn_destroy(struct domain *domain)
{
    evtchn_close_all(domain);
    for (uint32_t i = 0; i < domain->buckets; i++)
        image_free(domain->bucket[i]);
    image_free(domain->bucket);
    domain->bucket = NULL;
    domain->buckets = 0;
}

/* ---- raising ---- */

static int send_port(struct domain *domain, uint32_t port)
{
    struct evtchn *channel = evtchn_find(domain, port);

    if (channel == NULL)
        return -XEN_EINVAL;
    switch (channel->state) {
    case EVTCHNSTAT_interdomain:
        evtchn_set_pending(domain_find(channel->remote_domid), channel->remote_port);
        return 0;
    case EVTCHNSTAT_ipi:
        evtchn_set_pending(domain, port);
        return 0;
    case EVTCHNSTAT_unbound: /* nobody there yet: dropped */
        return 0;
    default:
        return -XEN_EINVAL;
    }
}

void evtchn_raise_virq(struct xen_vcpu *vcpu, uint32_t virq)
{
    if (vcpu->virq_port[virq] != 0)
        evtchn_set_pending(vcpu->domain, vcpu->virq_port[virq]);
}

/* ---- sub-operations that carry a structure ---- */

static int64_t op_alloc_unbound(struct domain *caller, uint64_t arg)
{
    struct evtchn_alloc_unbound op;
    struct domain *domain;
    int error;
    int port;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    error = domain_find_controlled(caller, op.dom, &domain);
    if (error != 0)
        return error;
    port = alloc_unbound(domain, op.remote_dom == DOMID_SELF ? caller->domid : op.remote_dom, NULL, NULL);
    if (port < 0)
        return port;
    op.port = (uint32_t)port;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_bind_interdomain(struct domain *domain, uint64_t arg)
{
    struct evtchn_bind_interdomain op;
    int port;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    port = bind_interdomain(domain, op.remote_dom, op.remote_port, NULL, NULL);
    if (port < 0)
        return port;
    op.local_port = (uint32_t)port;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_bind_virq(struct domain *domain, uint64_t arg)
{
    struct evtchn_bind_virq op;
    int port;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    port = bind_virq(domain, op.virq, op.vcpu, NULL, NULL);
    if (port < 0)
        return port;
    op.port = (uint32_t)port;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_bind_ipi(struct domain *domain, uint64_t arg)
{
    struct evtchn_bind_ipi op;
    int port;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    port = bind_ipi(domain, op.vcpu);
    if (port < 0)
        return port;
    op.port = (uint32_t)port;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_bind_pirq(struct domain *domain, uint64_t arg)
{
    struct evtchn_bind_pirq op;
    int port;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    port = bind_pirq(domain, op.pirq);
    if (port < 0)
        return port;
    op.port = (uint32_t)port;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_status(struct domain *caller, uint64_t arg)
{
    struct evtchn_status op;
    struct domain *domain;
    const struct evtchn *channel;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    domain = domain_find_any(caller, op.dom);
    if (domain == NULL)
        return -XEN_ESRCH;
    channel = evtchn_find(domain, op.port);
    if (channel == NULL)
        return -XEN_EINVAL;
    if (!domain_may_control(caller, domain))
        return -XEN_EPERM;
    op.status = channel->state == EVTCHN_RESERVED ? EVTCHNSTAT_closed : channel->state;
    op.vcpu = channel->vcpu;
    switch (channel->state) {
    case EVTCHNSTAT_unbound:
        op.u.unbound.dom = channel->remote_domid;
        break;
    case EVTCHNSTAT_interdomain:
        op.u.interdomain.dom = channel->remote_domid;
        op.u.interdomain.port = channel->remote_port;
        break;
    case EVTCHNSTAT_virq:
        op.u.virq = channel->virq;
        break;
    case EVTCHNSTAT_pirq:
        op.u.pirq = channel->pirq;
        break;
    default:
        break;
    }
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_bind_vcpu(struct domain *domain, uint64_t arg)
{
    struct evtchn_bind_vcpu op;
    struct evtchn *channel;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (domain_vcpu(domain, op.vcpu) == NULL)
        return -XEN_ENOENT;
    channel = evtchn_find(domain, op.port);
    if (channel == NULL)
        return -XEN_EINVAL;
    switch (channel->state) {
    case EVTCHNSTAT_virq:
        if (!virq_is_global(channel->virq))
            return -XEN_EINVAL;
        break;
    case EVTCHNSTAT_unbound:
    case EVTCHNSTAT_interdomain:
    case EVTCHNSTAT_pirq:
        break;
    default:
        return -XEN_EINVAL;
    }
    channel->vcpu = (uint16_t)op.vcpu;
    return 0;
}

static int64_t op_unmask(struct domain *domain, uint64_t arg)
{
    struct evtchn_unmask op;
    const struct evtchn *channel;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    channel = evtchn_find(domain, op.port);
    if (channel == NULL)
        return -XEN_EINVAL;
    if (is_bound(channel))
        evtchn_unmask(domain, op.port);
    return 0;
}

static int64_t op_reset(struct domain *caller, uint64_t arg)
{
    struct evtchn_reset op;
    struct domain *domain;
    int error;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    error = domain_find_controlled(caller, op.dom, &domain);
    if (error != 0)
        return error;
    if (domain != caller && domain->pauses == 0) /* only its own vCPUs may be under way meanwhile */
        return -XEN_EINVAL;
    evtchn_close_all(domain);
    return 0;
}

static int64_t op_init_control(struct domain *domain, uint64_t arg)
{
    struct evtchn_init_control op;
    int error;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    error = evtchn_fifo_init_control(domain, &op);
    if (error != 0)
        return error;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_set_priority(struct domain *domain, uint64_t arg)
{
    const struct evtchn_abi *abi = evtchn_abi(domain);
    struct evtchn_set_priority op;
    struct evtchn *channel;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    channel = evtchn_find(domain, op.port);
    if (channel == NULL)
        return -XEN_EINVAL;
    if (abi->set_priority == NULL)
        return -XEN_ENOSYS;
    return is_bound(channel) ? abi->set_priority(domain, channel, op.priority) : -XEN_EACCES;
}

int64_t evtchn_op(struct domain *domain, uint64_t cmd, uint64_t arg)
{
    union {
        struct evtchn_close close;
        struct evtchn_send send;
        struct evtchn_expand_array expand;
    } op;

    switch ((int)cmd) {
    case EVTCHNOP_alloc_unbound:
        return op_alloc_unbound(domain, arg);
    case EVTCHNOP_bind_interdomain:
        return op_bind_interdomain(domain, arg);
    case EVTCHNOP_bind_virq:
        return op_bind_virq(domain, arg);
    case EVTCHNOP_bind_ipi:
        return op_bind_ipi(domain, arg);
    case EVTCHNOP_close:
        return xen_copy_in(&op.close, arg, sizeof(op.close)) ? close_port(domain, op.close.port) : -XEN_EFAULT;
    case EVTCHNOP_send:
        return xen_copy_in(&op.send, arg, sizeof(op.send)) ? send_port(domain, op.send.port) : -XEN_EFAULT;
    case EVTCHNOP_status:
        return op_status(domain, arg);
    case EVTCHNOP_bind_vcpu:
        return op_bind_vcpu(domain, arg);
    case EVTCHNOP_unmask:
        return op_unmask(domain, arg);
    case EVTCHNOP_reset:
    case RESET_CONTINUED:
        return op_reset(domain, arg);
    case EVTCHNOP_bind_pirq:
        return op_bind_pirq(domain, arg);
    case EVTCHNOP_init_control:
        return op_init_control(domain, arg);
    case EVTCHNOP_expand_array:
        return xen_copy_in(&op.expand, arg, sizeof(op.expand)) ? evtchn_fifo_expand(domain, op.expand.array_gfn)
                                                               : -XEN_EFAULT;
    case EVTCHNOP_set_priority:
        return op_set_priority(domain, arg);
    default:
        return -XEN_ENOSYS;
    }
}

/* ---- on behalf of domains whose code is the host's ---- */

int xen_evtchn_alloc_unbound(unsigned domid, unsigned remote, xen_notify_t notify, void *argument)
{
    struct domain *domain = domain_find_host(domid);

    return domain != NULL ? alloc_unbound(domain, (domid_t)remote, notify, argument) : -XEN_ESRCH;
}

int xen_evtchn_bind_interdomain(unsigned domid, unsigned remote, uint32_t remote_port, xen_notify_t notify,
                                void *argument)
{
    struct domain *domain = domain_find_host(domid);

    return domain != NULL ? bind_interdomain(domain, (domid_t)remote, remote_port, notify, argument) : -XEN_ESRCH;
}

int xen_evtchn_bind_virq(unsigned domid, uint32_t virq, xen_notify_t notify, void *argument)
{
    struct domain *domain = domain_find_host(domid);

    return domain != NULL ? bind_virq(domain, virq, 0, notify, argument) : -XEN_ESRCH;
}

int xen_evtchn_send(unsigned domid, uint32_t port)
{
    struct domain *domain = domain_find_host(domid);

    return domain != NULL ? send_port(domain, port) : -XEN_ESRCH;
}

int xen_evtchn_close(unsigned domid, uint32_t port)
{
    struct domain *domain = domain_find_host(domid);

    return domain != NULL ? close_port(domain, port) : -XEN_ESRCH;
}

int xen_evtchn_toolstack_alloc(unsigned domid, unsigned remote)
{
    struct domain *domain = domain_find(domid);

    return domain != NULL ? alloc_unbound(domain, (domid_t)remote, NULL, NULL) : -XEN_ESRCH;
}

/* ---- census ---- */

static void census_port(struct census *census, const struct domain *domain, uint32_t port, const struct evtchn *channel)
{
    switch (channel->state) {
    case EVTCHNSTAT_unbound:
        census_item(census, "event channel", 1, NULL, "domain %u port %u, unbound, for domain %u", domain->domid, port,
                    channel->remote_domid);
        break;
    case EVTCHNSTAT_interdomain:
        census_item(census, "event channel", 1, NULL, "domain %u port %u, to domain %u", domain->domid, port,
                    channel->remote_domid);
        break;
    case EVTCHNSTAT_virq:
        census_item(census, "event channel", 1, NULL, "domain %u port %u, VIRQ %u", domain->domid, port, channel->virq);
        break;
    case EVTCHNSTAT_pirq:
        census_item(census, "event channel", 1, NULL, "domain %u port %u, PIRQ %u", domain->domid, port, channel->pirq);
        break;
    case EVTCHNSTAT_ipi:
        census_item(census, "event channel", 1, NULL, "domain %u port %u, IPI of vCPU %u", domain->domid, port,
                    channel->vcpu);
        break;
    default: /* closed, reserved */
        break;
    }
}

void evtchn_census(struct census *census)
{
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        for (uint32_t port = 0; port < domain->buckets * BUCKET_CHANNELS; port++)
            census_port(census, domain, port, slot(domain, port));
}
