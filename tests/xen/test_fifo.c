/*
 * FIFO event channels from the guest's side (public/event_channel.h): words, links and queues as Xen writes them,
 * priorities, a vCPU's queues, what happens before a page is there, and the way back to the 2-level ABI.
 */
#include "xen/xen_guest.h"

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED (1u << EVTCHN_FIFO_MASKED)
#define LINKED (1u << EVTCHN_FIFO_LINKED)
#define BUSY (1u << EVTCHN_FIFO_BUSY)
#define DEFAULT EVTCHN_FIFO_PRIORITY_DEFAULT
#define WORDS_PER_PAGE 1024u

static volatile struct shared_info *shared;
static volatile evtchn_fifo_control_block_t *control[GUEST_VCPUS];
static volatile event_word_t *words;

static int64_t init_control(unsigned vcpu, uint64_t gfn, uint32_t offset)
{
    struct evtchn_init_control op = {.control_gfn = gfn, .offset = offset, .vcpu = vcpu};
    int64_t result = call_evtchn(EVTCHNOP_init_control, &op);

    if (result == 0)
        ck_assert_uint_eq(op.link_bits, 17);
    return result;
}

static int64_t expand(uint64_t gfn)
{
    struct evtchn_expand_array op = {.array_gfn = gfn};

    return call_evtchn(EVTCHNOP_expand_array, &op);
}

static int64_t set_priority(evtchn_port_t port, uint32_t priority)
{
    struct evtchn_set_priority op = {.port = port, .priority = priority};

    return call_evtchn(EVTCHNOP_set_priority, &op);
}

static int64_t bind_vcpu(evtchn_port_t port, unsigned vcpu)
{
    struct evtchn_bind_vcpu op = {.port = port, .vcpu = vcpu};

    return call_evtchn(EVTCHNOP_bind_vcpu, &op);
}

static int64_t reset(void)
{
    struct evtchn_reset op = {.dom = DOMID_SELF};

    return call_evtchn(EVTCHNOP_reset, &op);
}

/* A port of the guest's own that it can raise: an IPI to vCPU 0. New ports are masked as a guest has it. */
static evtchn_port_t ipi_port(bool masked)
{
    struct evtchn_bind_ipi op = {.vcpu = 0};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &op), 0);
    if (masked)
        words[op.port] |= MASKED;
    return op.port;
}

/* A pair of ports of the guest's, of which the first tells the second. */
static evtchn_port_t loop_port(evtchn_port_t *sender)
{
    evtchn_port_t port = port_for(1);
    struct evtchn_bind_interdomain op = {.remote_dom = DOMID_SELF, .remote_port = port};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_interdomain, &op), 0);
    *sender = op.local_port;
    return port;
}

static void control_begin(void)
{
    shared = map_shared_info();
    for (unsigned i = 0; i < GUEST_VCPUS; i++) {
        uint8_t *page = pages_take(1, 0);

        control[i] = (volatile evtchn_fifo_control_block_t *)page;
        ck_assert_int_eq(init_control(i, frame_of(page), 0), 0);
    }
}

static void begin(void)
{
    uint8_t *array = pages_take(1, 0);

    control_begin();
    words = (volatile event_word_t *)array;
    ck_assert_int_eq(expand(frame_of(array)), 0);
    shared->vcpu_info[0].evtchn_upcall_pending = 0;
}

static void nothing_queued(unsigned vcpu)
{
    ck_assert_uint_eq(control[vcpu]->ready, 0);
    for (unsigned i = 0; i < EVTCHN_FIFO_MAX_QUEUES; i++)
        ck_assert_uint_eq(control[vcpu]->head[i], 0);
}

/* As a guest takes the head off a queue: the port, with its word no longer linked. */
static evtchn_port_t take(unsigned vcpu, unsigned priority)
{
    evtchn_port_t port = control[vcpu]->head[priority];
    event_word_t word = words[port];

    ck_assert_uint_ne(word & LINKED, 0);
    words[port] = word & ~(LINKED | EVTCHN_FIFO_LINK_MASK);
    control[vcpu]->head[priority] = word & EVTCHN_FIFO_LINK_MASK;
    return port;
}

/* ---- errors ---- */

XEN_TEST(init_control_errors)
{
    uint64_t gfn = frame_of(pages_take(1, 0));

    ck_assert_xen_error(expand(gfn), XEN_EOPNOTSUPP); /* not before a control block */
    ck_assert_xen_error(init_control(GUEST_VCPUS, gfn, 0), XEN_ENOENT);
    ck_assert_xen_error(init_control(0, gfn, GUEST_PAGE_SIZE - 64), XEN_EINVAL);
    ck_assert_xen_error(init_control(0, gfn, 4), XEN_EINVAL);
    ck_assert_xen_error(init_control(0, HOLE, 0), XEN_EINVAL);
    ck_assert_xen_error(init_control(0, UINT64_MAX, 0), XEN_EINVAL);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_init_control, NULL), XEN_EFAULT);
    ck_assert_xen_error(expand(gfn), XEN_EOPNOTSUPP); /* none of these has switched the domain */
    ck_assert_int_eq(init_control(0, gfn, GUEST_PAGE_SIZE - 72), 0);
    ck_assert_xen_error(init_control(0, gfn, 0), XEN_EINVAL); /* it has one */
    ck_assert_int_eq(init_control(1, gfn, 0), 0);
}

XEN_TEST(expand_errors)
{
    uint8_t *pages;

    control_begin();
    ck_assert_xen_error(expand(HOLE + 1), XEN_EINVAL);
    ck_assert_xen_error(expand(UINT64_MAX), XEN_EINVAL);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_expand_array, NULL), XEN_EFAULT);
    pages = pages_take(EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE, 0);
    ck_assert_uint_eq(EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE, 128);
    for (unsigned i = 0; i < 128; i++)
        ck_assert_int_eq(expand(frame_of(pages + i * GUEST_PAGE_SIZE)), 0);
    ck_assert_xen_error(expand(frame_of(pages)), XEN_ENOSPC);
}

XEN_TEST(priority_errors)
{
    evtchn_port_t port = port_for(0);

    ck_assert_xen_error(set_priority(port, 0), XEN_ENOSYS); /* the 2-level ABI has none */
    begin();
    ck_assert_xen_error(set_priority(port, EVTCHN_FIFO_PRIORITY_MIN + 1), XEN_EINVAL);
    ck_assert_xen_error(set_priority(100000, 0), XEN_EINVAL);
    ck_assert_xen_error(set_priority(0, 0), XEN_EACCES);
    ck_assert_int_eq(port_close(port), 0);
    ck_assert_xen_error(set_priority(port, 0), XEN_EACCES);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_set_priority, NULL), XEN_EFAULT);
    port = ipi_port(false);
    ck_assert_int_eq(set_priority(port, EVTCHN_FIFO_PRIORITY_MIN), 0);
    ck_assert_int_eq(set_priority(port, EVTCHN_FIFO_PRIORITY_MAX), 0);
}

/* ---- queues ---- */

XEN_TEST(first_event)
{
    evtchn_port_t port;

    begin();
    nothing_queued(0);
    port = ipi_port(false);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(words[port], PENDING | LINKED);
    ck_assert_uint_eq(control[0]->ready, 1u << DEFAULT);
    ck_assert_uint_eq(control[0]->head[DEFAULT], port);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 1);
    ck_assert_uint_eq(shared->evtchn_pending[port / 64], 0); /* the old bits are out of use */
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_pending_sel, 0);
    nothing_queued(1);
    /* Once more, before the guest has looked: nothing changes. */
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(words[port], PENDING | LINKED);
}

XEN_TEST(events_are_linked_in_their_order)
{
    evtchn_port_t port[4];

    begin();
    for (unsigned i = 0; i < 4; i++)
        port[i] = ipi_port(false);
    ck_assert_int_eq(port_send(port[2]), 0);
    ck_assert_int_eq(port_send(port[0]), 0);
    ck_assert_int_eq(port_send(port[3]), 0);
    ck_assert_uint_eq(words[port[2]], PENDING | LINKED | port[0]);
    ck_assert_uint_eq(words[port[0]], PENDING | LINKED | port[3]);
    ck_assert_uint_eq(words[port[3]], PENDING | LINKED);
    ck_assert_uint_eq(take(0, DEFAULT), port[2]);
    ck_assert_uint_eq(take(0, DEFAULT), port[0]);
    /* The queue is not empty: a new one goes to its end, and an upcall is not needed. */
    shared->vcpu_info[0].evtchn_upcall_pending = 0;
    control[0]->ready = 0;
    ck_assert_int_eq(port_send(port[1]), 0);
    ck_assert_uint_eq(words[port[3]], PENDING | LINKED | port[1]);
    ck_assert_uint_eq(control[0]->ready, 0);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 0);
    ck_assert_uint_eq(take(0, DEFAULT), port[3]);
    ck_assert_uint_eq(take(0, DEFAULT), port[1]);
    ck_assert_uint_eq(control[0]->head[DEFAULT], 0);
    /* It is now: head, ready bit and upcall again, and the emptied tail's word is left alone. */
    ck_assert_int_eq(port_send(port[0]), 0);
    ck_assert_uint_eq(control[0]->head[DEFAULT], port[0]);
    ck_assert_uint_eq(control[0]->ready, 1u << DEFAULT);
    ck_assert_uint_eq(words[port[1]] & (LINKED | EVTCHN_FIFO_LINK_MASK), 0);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 1);
}

/* The tail itself, raised again after the guest took it off. */
XEN_TEST(tail_again)
{
    evtchn_port_t port;

    begin();
    port = ipi_port(false);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(take(0, DEFAULT), port);
    words[port] &= ~PENDING;
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(control[0]->head[DEFAULT], port);
    ck_assert_uint_eq(words[port], PENDING | LINKED);
}

XEN_TEST(masked_events_wait)
{
    evtchn_port_t port;

    begin();
    port = ipi_port(true);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_uint_eq(words[port], PENDING | MASKED);
    nothing_queued(0);
    ck_assert_int_eq(port_unmask(port), 0);
    ck_assert_uint_eq(words[port], PENDING | LINKED);
    ck_assert_uint_eq(control[0]->head[DEFAULT], port);
    /* Unmasking what is not pending links nothing. */
    port = ipi_port(true);
    ck_assert_int_eq(port_unmask(port), 0);
    ck_assert_uint_eq(words[port], 0);
}

/* A word that the guest has marked busy or with a link of its own: Xen's link replaces both. */
XEN_TEST(link_replaces_busy)
{
    evtchn_port_t first;
    evtchn_port_t second;

    begin();
    first = ipi_port(false);
    second = ipi_port(false);
    ck_assert_int_eq(port_send(first), 0);
    words[first] |= BUSY | 77;
    ck_assert_int_eq(port_send(second), 0);
    ck_assert_uint_eq(words[first], PENDING | LINKED | second);
}

XEN_TEST(priorities)
{
    evtchn_port_t high;
    evtchn_port_t low;

    begin();
    high = ipi_port(false);
    low = ipi_port(false);
    ck_assert_int_eq(set_priority(high, EVTCHN_FIFO_PRIORITY_MAX), 0);
    ck_assert_int_eq(set_priority(low, EVTCHN_FIFO_PRIORITY_MIN), 0);
    ck_assert_int_eq(port_send(low), 0);
    ck_assert_int_eq(port_send(high), 0);
    ck_assert_uint_eq(control[0]->ready, 1u << 0 | 1u << 15);
    ck_assert_uint_eq(control[0]->head[0], high);
    ck_assert_uint_eq(control[0]->head[15], low);
    /* A change counts for events to come: the pending one stays where it is. */
    ck_assert_int_eq(set_priority(low, 3), 0);
    ck_assert_int_eq(port_send(low), 0);
    ck_assert_uint_eq(control[0]->head[3], 0);
    ck_assert_uint_eq(take(0, 15), low);
    ck_assert_int_eq(port_send(low), 0);
    ck_assert_uint_eq(control[0]->head[3], low);
}

/* A tail that moves to another queue must not have the next event of its old queue linked behind it. */
XEN_TEST(a_tail_that_moves)
{
    evtchn_port_t mover;
    evtchn_port_t other;

    begin();
    mover = ipi_port(false);
    other = ipi_port(false);
    ck_assert_int_eq(port_send(mover), 0);
    ck_assert_uint_eq(take(0, DEFAULT), mover);
    ck_assert_int_eq(set_priority(mover, 1), 0);
    ck_assert_int_eq(port_send(mover), 0);
    ck_assert_int_eq(port_send(other), 0);
    ck_assert_uint_eq(control[0]->head[1], mover);
    ck_assert_uint_eq(words[mover], PENDING | LINKED);
    ck_assert_uint_eq(control[0]->head[DEFAULT], other);
}

/* The same across closing and binding again: where the port was is not forgotten. */
XEN_TEST(a_tail_that_is_closed)
{
    evtchn_port_t mover;
    evtchn_port_t other;

    begin();
    mover = ipi_port(false);
    other = ipi_port(false);
    ck_assert_int_eq(set_priority(mover, 2), 0);
    ck_assert_int_eq(set_priority(other, 2), 0);
    ck_assert_int_eq(port_send(mover), 0);
    ck_assert_uint_eq(take(0, 2), mover);
    ck_assert_int_eq(port_close(mover), 0);
    ck_assert_uint_eq(ipi_port(false), mover);
    ck_assert_int_eq(port_send(mover), 0);
    ck_assert_uint_eq(control[0]->head[DEFAULT], mover); /* and the priority is the default */
    ck_assert_int_eq(port_send(other), 0);
    ck_assert_uint_eq(control[0]->head[2], other);
    ck_assert_uint_eq(words[mover], PENDING | LINKED);
}

XEN_TEST(bound_to_another_vcpu)
{
    evtchn_port_t sender;
    evtchn_port_t port;

    begin();
    port = loop_port(&sender);
    words[sender] |= MASKED;
    ck_assert_int_eq(bind_vcpu(port, 1), 0);
    ck_assert_int_eq(port_send(sender), 0);
    ck_assert_uint_eq(control[1]->head[DEFAULT], port);
    ck_assert_uint_eq(control[1]->ready, 1u << DEFAULT);
    ck_assert_uint_eq(shared->vcpu_info[1].evtchn_upcall_pending, 1);
    ck_assert_uint_eq(control[0]->head[DEFAULT] == port, 0);
}

/* ---- ports ---- */

/* A closed port that is still on a queue is nobody's until the guest has taken it off. */
XEN_TEST(linked_ports_are_not_given_away)
{
    evtchn_port_t port;
    evtchn_port_t next;

    begin();
    port = ipi_port(false);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_int_eq(port_close(port), 0);
    ck_assert_uint_eq(words[port], LINKED); /* not pending any more */
    next = ipi_port(false);
    ck_assert_uint_ne(next, port);
    ck_assert_uint_eq(take(0, DEFAULT), port);
    ck_assert_uint_eq(ipi_port(false), port);
}

XEN_TEST(events_before_their_page)
{
    evtchn_port_t port;
    uint8_t *array = pages_take(1, 0);

    control_begin();
    port = port_for(1);
    words = (volatile event_word_t *)array;
    {
        struct evtchn_bind_interdomain op = {.remote_dom = DOMID_SELF, .remote_port = port};

        ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_interdomain, &op), 0); /* makes the local end pending */
        nothing_queued(0);
        ck_assert_int_eq(expand(frame_of(array)), 0);
        ck_assert_uint_eq(words[op.local_port], PENDING | LINKED);
        ck_assert_uint_eq(control[0]->head[DEFAULT], op.local_port);
        ck_assert_uint_eq(words[port], 0);
    }
}

XEN_TEST(two_level_bits_go_over)
{
    evtchn_port_t sender;
    evtchn_port_t port = loop_port(&sender);

    ck_assert_int_eq(port_send(sender), 0);
    begin();
    ck_assert_uint_eq(words[port] & PENDING, PENDING);
    ck_assert_uint_eq(words[port] & LINKED, LINKED);
}

XEN_TEST(no_control_block)
{
    uint8_t *page = pages_take(2, 0);
    evtchn_port_t sender;
    evtchn_port_t port;

    shared = map_shared_info();
    ck_assert_int_eq(init_control(0, frame_of(page), 0), 0); /* vCPU 1 has none */
    ck_assert_int_eq(expand(frame_of(page + GUEST_PAGE_SIZE)), 0);
    words = (volatile event_word_t *)(page + GUEST_PAGE_SIZE);
    port = loop_port(&sender);
    ck_assert_int_eq(bind_vcpu(port, 1), 0);
    ck_assert_int_eq(port_send(sender), 0);
    ck_assert_uint_eq(words[port], PENDING); /* dropped: pending, and on no queue */
    ck_assert_uint_eq(shared->vcpu_info[1].evtchn_upcall_pending, 0);
}

XEN_TEST(reset_goes_back)
{
    uint8_t *page = pages_take(1, 0);
    evtchn_port_t port;
    struct evtchn_bind_ipi ipi = {.vcpu = 0};

    begin();
    port = ipi_port(false);
    ck_assert_int_eq(reset(), 0);
    ck_assert_xen_error(expand(frame_of(page)), XEN_EOPNOTSUPP);
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &ipi), 0);
    memset((void *)(uintptr_t)shared->evtchn_pending, 0, sizeof(shared->evtchn_pending));
    words[port] = 0;
    ck_assert_int_eq(port_send(ipi.port), 0);
    ck_assert_uint_ne(shared->evtchn_pending[0] & (xen_ulong_t)1 << ipi.port, 0);
    ck_assert_uint_eq(words[port], 0);
    ck_assert_int_eq(init_control(0, frame_of(page), 0), 0); /* and over again */
}

XEN_TEST(poll_for_a_word)
{
    evtchn_port_t port;
    evtchn_port_t ports[1];
    struct sched_poll poll = {.nr_ports = 1};

    begin();
    port = ipi_port(true);
    ports[0] = port;
    set_xen_guest_handle_raw(poll.ports, ports);
    ck_assert_int_eq(port_send(port), 0);
    ck_assert_int_eq(call_sched(SCHEDOP_poll, &poll), 0); /* pending, though masked */
    ck_assert_uint_eq(words[port], PENDING | MASKED);
}

/* The pages stay Xen's even when the guest gives them up. */
XEN_TEST(pages_given_up)
{
    uint8_t *array = pages_take(1, 0);
    uint64_t gfn = frame_of(array);
    xen_pfn_t list[1] = {gfn};
    struct xen_memory_reservation op = {.domid = DOMID_SELF, .nr_extents = 1};
    evtchn_port_t port;

    control_begin();
    ck_assert_int_eq(expand(gfn), 0);
    set_xen_guest_handle_raw(op.extent_start, list);
    ck_assert_int_eq(call_memory(XENMEM_decrease_reservation, &op), 1);
    port = port_for(0);
    ck_assert_int_eq(port_unmask(port), 0);
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 1);
    ck_assert_int_eq(reset(), 0);
    memset(array, 0x11, GUEST_PAGE_SIZE);
    ck_assert_uint_eq(array[GUEST_PAGE_SIZE - 1], 0x11);
}

/* A domain with more channels than the 2-level ABI can name gets at them by FIFO. */
static void many(void *argument)
{
    struct xen_domain_config config = xen_domain_default_config(GUEST_VCPUS);
    uint8_t *pages;
    evtchn_port_t port = 0;

    (void)argument;
    config.event_channels = 5000;
    ck_assert_int_eq(xen_domain_create(&config), 1);
    for (unsigned i = 0; i < 4096 - 3; i++) /* port 0, store, console */
        port = port_for(0);
    ck_assert_uint_eq(port, 4095);
    {
        struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};

        ck_assert_xen_error(call_evtchn(EVTCHNOP_alloc_unbound, &alloc), XEN_ENOSPC);
    }
    pages = pages_take(6, 0);
    ck_assert_int_eq(init_control(0, frame_of(pages), 0), 0);
    for (unsigned i = 1; i < 6; i++)
        ck_assert_int_eq(expand(frame_of(pages + i * GUEST_PAGE_SIZE)), 0);
    ck_assert_uint_eq(port_for(0), 4096);
}

START_TEST(beyond_the_2_level_limit)
{
    struct machine_config config = guest_config(GUEST_VCPUS);

    guest_run_with(&config, many, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fifo");
    TCase *tcase = tcase_create("fifo");

    tcase_add_test(tcase, init_control_errors);
    tcase_add_test(tcase, expand_errors);
    tcase_add_test(tcase, priority_errors);
    tcase_add_test(tcase, first_event);
    tcase_add_test(tcase, events_are_linked_in_their_order);
    tcase_add_test(tcase, tail_again);
    tcase_add_test(tcase, masked_events_wait);
    tcase_add_test(tcase, link_replaces_busy);
    tcase_add_test(tcase, priorities);
    tcase_add_test(tcase, a_tail_that_moves);
    tcase_add_test(tcase, a_tail_that_is_closed);
    tcase_add_test(tcase, bound_to_another_vcpu);
    tcase_add_test(tcase, linked_ports_are_not_given_away);
    tcase_add_test(tcase, events_before_their_page);
    tcase_add_test(tcase, two_level_bits_go_over);
    tcase_add_test(tcase, no_control_block);
    tcase_add_test(tcase, reset_goes_back);
    tcase_add_test(tcase, poll_for_a_word);
    tcase_add_test(tcase, pages_given_up);
    tcase_add_test(tcase, beyond_the_2_level_limit);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
