/* EVENT_CHANNEL_OP and the bits of the 2-level ABI (public/event_channel.h, public/xen.h: struct shared_info). */
#include "xen/xen_guest.h"

#define WORD_BITS (8 * sizeof(xen_ulong_t))

static volatile struct shared_info *shared;

/* Domain 0's end of a channel. */
struct far_end {
    int port;
    unsigned notified;
    uint32_t last;
};

static void notify(void *argument, uint32_t port)
{
    struct far_end *end = argument;

    end->notified++;
    end->last = port;
}

static bool is_pending(evtchn_port_t port)
{
    return (shared->evtchn_pending[port / WORD_BITS] >> (port % WORD_BITS) & 1) != 0;
}

static void clear_pending(evtchn_port_t port)
{
    shared->evtchn_pending[port / WORD_BITS] &= ~(UINT64_C(1) << (port % WORD_BITS));
}

static void mask(evtchn_port_t port)
{
    shared->evtchn_mask[port / WORD_BITS] |= UINT64_C(1) << (port % WORD_BITS);
}

static bool is_masked(evtchn_port_t port)
{
    return (shared->evtchn_mask[port / WORD_BITS] >> (port % WORD_BITS) & 1) != 0;
}

static bool is_selected(unsigned vcpu, evtchn_port_t port)
{
    return (shared->vcpu_info[vcpu].evtchn_pending_sel >> (port / WORD_BITS) & 1) != 0;
}

/* As the upcall handler does before it looks. */
static void take_upcall(unsigned vcpu)
{
    shared->vcpu_info[vcpu].evtchn_upcall_pending = 0;
    shared->vcpu_info[vcpu].evtchn_pending_sel = 0;
}

static void assert_quiet(unsigned vcpu)
{
    ck_assert_uint_eq(shared->vcpu_info[vcpu].evtchn_upcall_pending, 0);
    ck_assert_uint_eq(shared->vcpu_info[vcpu].evtchn_pending_sel, 0);
}

static void assert_upcall(unsigned vcpu, evtchn_port_t port)
{
    ck_assert_uint_eq(shared->vcpu_info[vcpu].evtchn_upcall_pending, 1);
    ck_assert_uint_eq(shared->vcpu_info[vcpu].evtchn_pending_sel, UINT64_C(1) << (port / WORD_BITS));
}

/* A port of the guest that domain 0 has bound; the guest has seen nothing of it yet. */
static evtchn_port_t connect_dom0(struct far_end *end)
{
    evtchn_port_t port = port_for(0);

    memset(end, 0, sizeof(*end));
    end->port = xen_evtchn_bind_interdomain(XEN_DOM0, 1, port, notify, end);
    ck_assert_int_gt(end->port, 0);
    return port;
}

static evtchn_port_t ipi_for(unsigned vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &bind), 0);
    return bind.port;
}

static int64_t bind_vcpu(evtchn_port_t port, unsigned vcpu)
{
    struct evtchn_bind_vcpu bind = {.port = port, .vcpu = vcpu};

    return call_evtchn(EVTCHNOP_bind_vcpu, &bind);
}

static int64_t bind_virq(uint32_t virq, unsigned vcpu, evtchn_port_t *port)
{
    struct evtchn_bind_virq bind = {.virq = virq, .vcpu = vcpu};
    int64_t result = call_evtchn(EVTCHNOP_bind_virq, &bind);

    *port = bind.port;
    return result;
}

/* ---- allocation and status ---- */

XEN_TEST(unbound)
{
    evtchn_port_t port = port_for(0);
    evtchn_port_t second = port_for(5);
    struct evtchn_status status = port_status(port);

    ck_assert_uint_ne(port, second);
    ck_assert_uint_eq(status.status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(status.u.unbound.dom, 0);
    ck_assert_uint_eq(status.vcpu, 0);
    ck_assert_uint_eq(port_status(second).u.unbound.dom, 5);
    ck_assert_uint_eq(port_status(port_for(DOMID_SELF)).u.unbound.dom, 1);
    ck_assert_int_eq(port_send(port), 0); /* nobody there: dropped */
    ck_assert_int_eq(port_close(port), 0);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_closed);
    ck_assert_xen_error(port_close(port), XEN_EINVAL);
    ck_assert_xen_error(port_send(port), XEN_EINVAL);
    ck_assert_uint_eq(port_for(0), port); /* free for the next */
}

XEN_TEST(toolstack_ports)
{
    evtchn_port_t store = (evtchn_port_t)param(HVM_PARAM_STORE_EVTCHN);
    evtchn_port_t console = (evtchn_port_t)param(HVM_PARAM_CONSOLE_EVTCHN);

    ck_assert_uint_ne(store, console);
    ck_assert_uint_eq(port_status(store).status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(port_status(store).u.unbound.dom, 0);
    ck_assert_uint_eq(port_status(console).status, EVTCHNSTAT_unbound);
}

XEN_TEST(alloc_errors)
{
    struct evtchn_alloc_unbound alloc = {.dom = 0, .remote_dom = DOMID_SELF};

    ck_assert_xen_error(call_evtchn(EVTCHNOP_alloc_unbound, &alloc), XEN_EPERM);
    alloc.dom = NO_DOMAIN;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_alloc_unbound, &alloc), XEN_ESRCH);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_alloc_unbound, NULL), XEN_EFAULT);
    ck_assert_xen_error(call_evtchn(99, &alloc), XEN_ENOSYS);
}

/* Ports end at what the toolstack allows (1,023); everything is usable again when they are closed. */
XEN_TEST(port_limit)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    evtchn_port_t first = port_for(0);
    evtchn_port_t last = first;
    int64_t result;

    while ((result = call_evtchn(EVTCHNOP_alloc_unbound, &alloc)) == 0) {
        ck_assert_uint_eq(alloc.port, last + 1);
        last = alloc.port;
    }
    ck_assert_int_eq(result, -XEN_ENOSPC);
    ck_assert_uint_eq(last, 1023);
    ck_assert_int_eq(port_close(500), 0);
    ck_assert_uint_eq(port_for(0), 500);
    for (evtchn_port_t port = first; port <= last; port++)
        ck_assert_int_eq(port_close(port), 0);
    ck_assert_uint_eq(port_for(0), first);
}

XEN_TEST(status_errors)
{
    struct evtchn_status status = {.dom = 0, .port = 1};

    ck_assert_xen_error(call_evtchn(EVTCHNOP_status, &status), XEN_EPERM);
    status.dom = NO_DOMAIN;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_status, &status), XEN_ESRCH);
    status.dom = DOMID_SELF;
    status.port = 1u << 20;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_status, &status), XEN_EINVAL);
    ck_assert_uint_eq(port_status(0).status, EVTCHNSTAT_closed); /* never given out */
    ck_assert_xen_error(port_close(0), XEN_EINVAL);
    ck_assert_xen_error(port_close(1u << 20), XEN_EINVAL);
    ck_assert_xen_error(port_send(UINT32_MAX), XEN_EINVAL);
    ck_assert_xen_error(port_unmask(UINT32_MAX), XEN_EINVAL);
    for (unsigned operation = EVTCHNOP_bind_interdomain; operation <= EVTCHNOP_set_priority; operation++)
        ck_assert_xen_error(call_evtchn(operation, (void *)(uintptr_t)BAD_POINTER), XEN_EFAULT);
}

/* A port for a physical interrupt, of which this domain has none: it can be bound, and never fires. */
XEN_TEST(pirq)
{
    struct evtchn_bind_pirq bind = {.pirq = 10};
    struct evtchn_bind_vcpu vcpu = {.vcpu = 1};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_pirq, &bind), 0);
    ck_assert_uint_eq(port_status(bind.port).status, EVTCHNSTAT_pirq);
    ck_assert_uint_eq(port_status(bind.port).u.pirq, 10);
    vcpu.port = bind.port;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_vcpu, &vcpu), 0);
    ck_assert_uint_eq(port_status(bind.port).vcpu, 1);
    ck_assert_xen_error(port_send(bind.port), XEN_EINVAL);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_pirq, &bind), XEN_EEXIST);
    ck_assert_int_eq(port_close(bind.port), 0);
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_pirq, &bind), 0);
    bind.pirq = 56;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_pirq, &bind), XEN_EINVAL);
    bind.pirq = UINT32_MAX;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_pirq, &bind), XEN_EINVAL);
}

/* ---- bits ---- */

XEN_TEST(send_sets_bits)
{
    evtchn_port_t port;

    shared = map_shared_info();
    port = ipi_for(0);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_ipi);
    assert_quiet(0);
    ck_assert(!is_pending(port));
    ck_assert_int_eq(port_send(port), 0);
    ck_assert(is_pending(port));
    assert_upcall(0, port);
    assert_quiet(1);

    /* Still pending: another event makes no difference, not even to a selector that was taken. */
    take_upcall(0);
    ck_assert_int_eq(port_send(port), 0);
    assert_quiet(0);
    clear_pending(port);
    ck_assert_int_eq(port_send(port), 0);
    assert_upcall(0, port);
}

/* A port in another word of the bitmap sets another selector bit. */
XEN_TEST(selector)
{
    evtchn_port_t port;
    evtchn_port_t high;

    shared = map_shared_info();
    while ((port = port_for(0)) < 899)
        ;
    high = ipi_for(1);
    ck_assert_uint_eq(high, 900);
    ck_assert_int_eq(port_send(high), 0);
    ck_assert(is_pending(900));
    assert_upcall(1, 900);
    ck_assert(is_selected(1, 900));
    assert_quiet(0);
}

XEN_TEST(masked)
{
    evtchn_port_t port;

    shared = map_shared_info();
    port = ipi_for(0);
    mask(port);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert(is_pending(port));
    assert_quiet(0); /* pending, but nobody is told */
    ck_assert_int_eq(port_unmask(port), 0);
    ck_assert(!is_masked(port));
    ck_assert(is_pending(port));
    assert_upcall(0, port); /* now they are */

    /* Unmasking what was not masked, or what is not pending, tells nobody. */
    take_upcall(0);
    ck_assert_int_eq(port_unmask(port), 0);
    assert_quiet(0);
    clear_pending(port);
    mask(port);
    ck_assert_int_eq(port_unmask(port), 0);
    ck_assert(!is_masked(port));
    assert_quiet(0);
}

/* The upcall flag is of the vCPU: a second port of the same word adds nothing, one of another word its selector bit. */
XEN_TEST(two_ports)
{
    evtchn_port_t first;
    evtchn_port_t second;
    evtchn_port_t far;

    shared = map_shared_info();
    first = ipi_for(0);
    second = ipi_for(0);
    while (port_for(0) < 2 * WORD_BITS)
        ;
    far = ipi_for(0);
    ck_assert_int_eq(port_send(first), 0);
    ck_assert_int_eq(port_send(second), 0);
    ck_assert_int_eq(port_send(far), 0);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 1);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_pending_sel,
                      UINT64_C(1) << (first / WORD_BITS) | UINT64_C(1) << (far / WORD_BITS));
    ck_assert(is_pending(first) && is_pending(second) && is_pending(far));
}

/* Closing takes the pending bit away, so that the port's next owner does not see it. */
XEN_TEST(close_clears)
{
    evtchn_port_t port;

    shared = map_shared_info();
    port = ipi_for(0);
    mask(port);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_int_eq(port_close(port), 0);
    ck_assert(!is_pending(port));
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_closed);
    ck_assert_int_eq(port_unmask(port), 0); /* of a closed port: nothing happens */
    assert_quiet(0);
}

/* ---- binding to vCPUs ---- */

XEN_TEST(bind_to_vcpu)
{
    struct far_end end;
    evtchn_port_t port;
    evtchn_port_t ipi;

    shared = map_shared_info();
    port = connect_dom0(&end);
    take_upcall(0);
    clear_pending(port);
    ck_assert_uint_eq(port_status(port).vcpu, 0);
    ck_assert_int_eq(bind_vcpu(port, 1), 0);
    ck_assert_uint_eq(port_status(port).vcpu, 1);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)end.port), 0);
    assert_upcall(1, port);
    assert_quiet(0);

    ck_assert_xen_error(bind_vcpu(port, GUEST_VCPUS), XEN_ENOENT);
    ck_assert_xen_error(bind_vcpu(1u << 20, 0), XEN_EINVAL);
    ipi = ipi_for(1);
    ck_assert_xen_error(bind_vcpu(ipi, 0), XEN_EINVAL); /* an IPI's binding is for good */
    ck_assert_int_eq(port_close(ipi), 0);
    ck_assert_xen_error(bind_vcpu(ipi, 0), XEN_EINVAL);
    ck_assert_xen_error(bind_vcpu(0, 0), XEN_EINVAL);
}

XEN_TEST(ipi)
{
    struct evtchn_bind_ipi bind = {.vcpu = GUEST_VCPUS};
    evtchn_port_t port;

    shared = map_shared_info();
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_ipi, &bind), XEN_ENOENT);
    port = ipi_for(1);
    ck_assert_uint_eq(port_status(port).vcpu, 1);
    ck_assert_int_eq(port_send(port), 0);
    assert_upcall(1, port);
}

/* ---- between domains ---- */

XEN_TEST(interdomain)
{
    struct far_end end;
    evtchn_port_t port;
    struct evtchn_status status;

    shared = map_shared_info();
    port = connect_dom0(&end);
    status = port_status(port);
    ck_assert_uint_eq(status.status, EVTCHNSTAT_interdomain);
    ck_assert_uint_eq(status.u.interdomain.dom, 0);
    ck_assert_uint_eq(status.u.interdomain.port, end.port);
    ck_assert_uint_eq(end.notified, 1); /* whoever binds is told once, for what was sent before */
    ck_assert_uint_eq(end.last, end.port);
    ck_assert(!is_pending(port));

    /* From here to there: once, and again when that port is unmasked. */
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, (uint32_t)end.port), 0);
    ck_assert_uint_eq(end.notified, 1);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(end.notified, 2);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(end.notified, 2);
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, (uint32_t)end.port), 0);
    ck_assert_uint_eq(end.notified, 3);
    ck_assert(!is_pending(port));
    assert_quiet(0);

    /* From there to here. */
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)end.port), 0);
    ck_assert(is_pending(port));
    assert_upcall(0, port);
    ck_assert_uint_eq(end.notified, 3);
}

/* The guest binds to a port of domain 0's: its own is pending at once. */
XEN_TEST(bind_to_dom0)
{
    struct far_end end = {0};
    struct evtchn_bind_interdomain bind = {.remote_dom = 0};

    shared = map_shared_info();
    end.port = xen_evtchn_alloc_unbound(XEN_DOM0, 1, notify, &end);
    ck_assert_int_gt(end.port, 0);
    bind.remote_port = (evtchn_port_t)end.port;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_interdomain, &bind), 0);
    ck_assert(is_pending(bind.local_port));
    assert_upcall(0, bind.local_port);
    ck_assert_uint_eq(end.notified, 0);
    ck_assert_int_eq(port_send(bind.local_port), 0);
    ck_assert_uint_eq(end.notified, 1);

    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_interdomain, &bind), XEN_EINVAL); /* taken */
    bind.remote_port = 1u << 20;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_interdomain, &bind), XEN_EINVAL);
    bind.remote_dom = NO_DOMAIN;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_interdomain, &bind), XEN_ESRCH);
    /* A port for another domain is not for us. */
    bind.remote_dom = 0;
    bind.remote_port = (evtchn_port_t)xen_evtchn_alloc_unbound(XEN_DOM0, 5, notify, &end);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_bind_interdomain, &bind), XEN_EINVAL);
    /* Nor is the guest's port for domain 3 for domain 0. */
    ck_assert_int_eq(xen_evtchn_bind_interdomain(XEN_DOM0, 1, port_for(3), notify, &end), -XEN_EINVAL);
}

XEN_TEST(loopback)
{
    evtchn_port_t first;
    struct evtchn_bind_interdomain bind = {.remote_dom = DOMID_SELF};

    shared = map_shared_info();
    first = port_for(DOMID_SELF);
    bind.remote_port = first;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_interdomain, &bind), 0);
    ck_assert_uint_ne(bind.local_port, first);
    ck_assert(is_pending(bind.local_port));
    ck_assert_int_eq(bind_vcpu(first, 1), 0);
    ck_assert_int_eq(port_send(bind.local_port), 0);
    assert_upcall(1, first);
    ck_assert_int_eq(port_close(first), 0);
    ck_assert_uint_eq(port_status(bind.local_port).status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(port_status(bind.local_port).u.unbound.dom, 1);
}

/* The end that stays awaits a new connection from the same domain. */
XEN_TEST(close_here)
{
    struct far_end end;
    evtchn_port_t port = connect_dom0(&end);
    struct evtchn_bind_interdomain bind = {.remote_dom = 0};

    ck_assert_int_eq(port_close(port), 0);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_closed);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)end.port), 0); /* unbound: dropped */
    bind.remote_port = (evtchn_port_t)end.port;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_interdomain, &bind), 0);
    ck_assert_int_eq(port_close(bind.local_port), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)end.port), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)end.port), -XEN_EINVAL);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)end.port), -XEN_EINVAL);
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, (uint32_t)end.port), -XEN_EINVAL);
}

XEN_TEST(close_there)
{
    struct far_end end;
    struct far_end again = {0};
    evtchn_port_t port = connect_dom0(&end);

    ck_assert_int_eq(bind_vcpu(port, 1), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)end.port), 0);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(port_status(port).u.unbound.dom, 0);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(end.notified, 1);
    again.port = xen_evtchn_bind_interdomain(XEN_DOM0, 1, port, notify, &again);
    ck_assert_int_gt(again.port, 0);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_interdomain);
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, (uint32_t)again.port), 0);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(again.notified, 2);
    ck_assert_uint_eq(end.notified, 1);
}

XEN_TEST(dom0_errors)
{
    struct far_end end = {0};

    ck_assert_int_eq(xen_evtchn_bind_interdomain(XEN_DOM0, NO_DOMAIN, 1, notify, &end), -XEN_ESRCH);
    ck_assert_int_eq(xen_evtchn_bind_interdomain(XEN_DOM0, 1, 1u << 20, notify, &end), -XEN_EINVAL);
    ck_assert_int_eq(xen_evtchn_alloc_unbound(NO_DOMAIN, 1, notify, &end), -XEN_ESRCH);
    ck_assert_int_eq(xen_evtchn_send(1, 1), -XEN_ESRCH); /* the guest speaks for itself */
    ck_assert_int_eq(xen_evtchn_bind_virq(XEN_DOM0, NR_VIRQS, notify, &end), -XEN_EINVAL);
    ck_assert_int_gt(xen_evtchn_bind_virq(XEN_DOM0, VIRQ_CONSOLE, notify, &end), 0);
    ck_assert_int_eq(xen_evtchn_bind_virq(XEN_DOM0, VIRQ_CONSOLE, notify, &end), -XEN_EEXIST);
}

/* ---- VIRQs ---- */

XEN_TEST(virq_binding)
{
    evtchn_port_t timer[GUEST_VCPUS];
    evtchn_port_t other;

    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
        ck_assert_int_eq(bind_virq(VIRQ_TIMER, vcpu, &timer[vcpu]), 0);
        ck_assert_uint_eq(port_status(timer[vcpu]).status, EVTCHNSTAT_virq);
        ck_assert_uint_eq(port_status(timer[vcpu]).vcpu, vcpu);
        ck_assert_uint_eq(port_status(timer[vcpu]).u.virq, VIRQ_TIMER);
    }
    ck_assert_xen_error(bind_virq(VIRQ_TIMER, 0, &other), XEN_EEXIST); /* one channel a vCPU */
    ck_assert_xen_error(bind_vcpu(timer[0], 1), XEN_EINVAL);           /* and it stays there */
    ck_assert_xen_error(port_send(timer[0]), XEN_EINVAL);              /* Xen's to send */
    ck_assert_xen_error(bind_virq(NR_VIRQS, 0, &other), XEN_EINVAL);
    ck_assert_xen_error(bind_virq(VIRQ_TIMER, GUEST_VCPUS, &other), XEN_ENOENT);
    ck_assert_xen_error(bind_virq(VIRQ_DOM_EXC, 1, &other), XEN_EINVAL); /* a global one: on vCPU 0 first */
    ck_assert_int_eq(bind_virq(VIRQ_DOM_EXC, 0, &other), 0);
    ck_assert_int_eq(bind_vcpu(other, 1), 0);
    ck_assert_int_eq(port_close(timer[1]), 0);
    ck_assert_int_eq(bind_virq(VIRQ_TIMER, 1, &timer[1]), 0); /* free again */
}

XEN_TEST(virq_timer)
{
    evtchn_port_t port;
    struct vcpu_set_singleshot_timer timer = {.flags = 0};
    struct xen_hvm_get_time now;

    shared = map_shared_info();
    ck_assert_int_eq(bind_virq(VIRQ_TIMER, 0, &port), 0);
    stay_on(0);
    ck_assert_int_eq(call_hvm(HVMOP_get_time, &now), 0);
    timer.timeout_abs_ns = now.now + 20000000;
    ck_assert_int_eq(call_vcpu(VCPUOP_set_singleshot_timer, 0, &timer), 0);
    ck_assert(!is_pending(port));
    sleep_us(100000);
    ck_assert(is_pending(port));
    assert_upcall(0, port);
    clear_pending(port);
    take_upcall(0);
    sleep_us(100000);
    ck_assert(!is_pending(port)); /* once */

    /* Stopped in time, it does not fire. */
    ck_assert_int_eq(call_hvm(HVMOP_get_time, &now), 0);
    timer.timeout_abs_ns = now.now + 20000000;
    ck_assert_int_eq(call_vcpu(VCPUOP_set_singleshot_timer, 0, &timer), 0);
    ck_assert_int_eq(call_vcpu(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
    sleep_us(100000);
    ck_assert(!is_pending(port));

    timer.timeout_abs_ns = now.now;
    timer.flags = VCPU_SSHOTTMR_future;
    ck_assert_xen_error(call_vcpu(VCPUOP_set_singleshot_timer, 0, &timer), XEN_ETIME); /* in the past */
    ck_assert(!is_pending(port));
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_set_timer_op, now.now, 0, 0, 0, 0), 0); /* the same, unconditionally */
    ck_assert(is_pending(port));
}

XEN_TEST(periodic_timer)
{
    evtchn_port_t port;
    struct vcpu_set_periodic_timer timer = {.period_ns = 999999};

    shared = map_shared_info();
    ck_assert_int_eq(bind_virq(VIRQ_TIMER, 1, &port), 0);
    ck_assert_xen_error(call_vcpu(VCPUOP_set_periodic_timer, 1, &timer), XEN_EINVAL); /* at least a millisecond */
    timer.period_ns = 5000000;
    ck_assert_int_eq(call_vcpu(VCPUOP_set_periodic_timer, 1, &timer), 0);
    for (unsigned i = 0; i < 3; i++) {
        sleep_us(50000);
        ck_assert(is_pending(port));
        assert_upcall(1, port);
        clear_pending(port);
        take_upcall(1);
    }
    ck_assert_int_eq(call_vcpu(VCPUOP_stop_periodic_timer, 1, NULL), 0);
    clear_pending(port);
    sleep_us(50000);
    ck_assert(!is_pending(port));
}

/* ---- reset ---- */

XEN_TEST(reset)
{
    struct evtchn_reset reset = {.dom = 0};
    struct far_end end;
    evtchn_port_t port;
    evtchn_port_t ipi;

    shared = map_shared_info();
    port = connect_dom0(&end);
    ipi = ipi_for(0);
    mask(ipi);
    ck_assert_int_eq(port_send(ipi), 0);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_reset, &reset), XEN_EPERM);
    reset.dom = NO_DOMAIN;
    ck_assert_xen_error(call_evtchn(EVTCHNOP_reset, &reset), XEN_ESRCH);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_interdomain);
    reset.dom = DOMID_SELF;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_reset, &reset), 0);
    ck_assert_uint_eq(port_status(port).status, EVTCHNSTAT_closed);
    ck_assert_uint_eq(port_status(ipi).status, EVTCHNSTAT_closed);
    ck_assert(!is_pending(ipi));
    ck_assert_uint_eq(port_status((evtchn_port_t)param(HVM_PARAM_STORE_EVTCHN)).status, EVTCHNSTAT_closed);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)end.port), 0); /* domain 0's end is unbound */
}

/* ---- poll ---- */

static void NTAPI send_later(PVOID context)
{
    stay_on(1);
    sleep_us(2000);
    ck_assert_int_eq(port_send(*(evtchn_port_t *)context), 0);
}

XEN_TEST(poll)
{
    evtchn_port_t port;
    evtchn_port_t bad = 1u << 20;
    struct sched_poll op = {.nr_ports = 1};
    uint64_t before;
    PKTHREAD thread;

    shared = map_shared_info();
    stay_on(0);
    port = ipi_for(0);
    mask(port); /* polling needs no upcall */
    op.ports.p = &port;
    thread = thread_start(send_later, &port);
    while (!is_pending(port))
        ck_assert_int_eq(call_sched(SCHEDOP_poll, &op), 0); /* may come back early */
    thread_join(thread);
    assert_quiet(0);

    before = KeQueryInterruptTime();
    ck_assert_int_eq(call_sched(SCHEDOP_poll, &op), 0); /* pending: at once */
    ck_assert_uint_lt(KeQueryInterruptTime() - before, 10000);
    op.ports.p = &bad;
    ck_assert_xen_error(call_sched(SCHEDOP_poll, &op), XEN_EINVAL);
    op.ports.p = (evtchn_port_t *)(uintptr_t)BAD_POINTER;
    ck_assert_xen_error(call_sched(SCHEDOP_poll, &op), XEN_EFAULT);
    op.nr_ports = 129;
    ck_assert_xen_error(call_sched(SCHEDOP_poll, &op), XEN_EINVAL);
}

int main(void)
{
    Suite *suite = suite_create("event channels");
    TCase *tcase = tcase_create("ports");

    tcase_add_test(tcase, unbound);
    tcase_add_test(tcase, toolstack_ports);
    tcase_add_test(tcase, alloc_errors);
    tcase_add_test(tcase, port_limit);
    tcase_add_test(tcase, status_errors);
    tcase_add_test(tcase, pirq);
    tcase_add_test(tcase, reset);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("bits");
    tcase_add_test(tcase, send_sets_bits);
    tcase_add_test(tcase, selector);
    tcase_add_test(tcase, masked);
    tcase_add_test(tcase, two_ports);
    tcase_add_test(tcase, close_clears);
    tcase_add_test(tcase, poll);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("vCPUs");
    tcase_add_test(tcase, bind_to_vcpu);
    tcase_add_test(tcase, ipi);
    tcase_add_test(tcase, virq_binding);
    tcase_add_test(tcase, virq_timer);
    tcase_add_test(tcase, periodic_timer);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("between domains");
    tcase_add_test(tcase, interdomain);
    tcase_add_test(tcase, bind_to_dom0);
    tcase_add_test(tcase, loopback);
    tcase_add_test(tcase, close_here);
    tcase_add_test(tcase, close_there);
    tcase_add_test(tcase, dom0_errors);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
