/*
 * netback's busy polling: having emptied the rings it looks at them for a while before it asks for events. When that is
 * over is a matter of the virtual clock.
 */
#include "common/backend.h"

#include "common/inet.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "packet.h"
#include "vif.h"

/* Netback's answer to all that was sent; how long it took (us). */
static uint64_t await_answers(struct netfront *front)
{
    uint64_t start = clock_now();

    while (ring_load(&front->tx->rsp_prod) != front->tx_prod) {
        ck_assert_uint_lt(clock_now() - start, NETFRONT_PATIENCE * UINT64_C(1000000));
        sched_point(POINT_PAUSE);
    }
    return (clock_now() - start) / 1000;
}

#define SIZE 60u

/* So many frames are to come, and netback looks for them as long as it can. */
static void expect_frames(unsigned frames)
{
    static uint32_t length[RING_SLOTS];

    for (unsigned i = 0; i < frames; i++)
        length[i] = SIZE;
    backend_make_frames(&backend_received, length, frames);
    backend_options.busy_poll_us = NETBACK_BUSY_POLL_MAX_US;
}

/* The frontend that is to send them, to which netback has gone to sleep. */
static struct netfront *begin_sending(unsigned frames)
{
    struct netfront *front;

    expect_frames(frames);
    front = backend_begin();
    netfront_connect(front, true);
    netfront_pause(2);
    return front;
}

GUEST_TEST(looks_for_more_before_it_sleeps)
{
    enum { FRAMES = 9, ROW = 4 };
    const uint16_t size = SIZE;
    struct netfront *front = begin_sending(FRAMES);
    uint64_t events = backend_statistics()->tx.ring.events;

    for (unsigned i = 0; i < FRAMES; i++) {
        bool first = i % ROW == 0;

        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
        ck_assert_uint_eq(netfront_tx_push(front), first); /* it is not to be told of more */
        ck_assert_uint_lt(await_answers(front), NETBACK_BUSY_POLL_MAX_US);
        ck_assert_uint_eq(backend_statistics()->tx.ring.events - events, i / ROW + 1);
        ck_assert_uint_ne(ring_load(&front->tx->req_event), front->tx_prod + 1);
        if (i % ROW != ROW - 1)
            continue;
        netfront_pause(2); /* it has given up, and sleeps */
        ck_assert_uint_eq(ring_load(&front->tx->req_event), front->tx_prod + 1);
    }
    netfront_tx_drain(front);
    backend_assert_good(FRAMES);
}

/* The same of requests for the frames that it has. */
GUEST_TEST(looks_for_requests_before_it_sleeps)
{
    enum { FRAMES = 10, ROW = 5 };
    static uint32_t length[FRAMES];
    struct netfront *front;
    uint64_t events;

    for (unsigned i = 0; i < FRAMES; i++)
        length[i] = i % ROW == 2 ? 10000 : 100; /* three slots, and one */
    backend_make_frames(&backend_sent, length, FRAMES);
    backend_options.busy_poll_us = NETBACK_BUSY_POLL_MAX_US;
    front = backend_begin();
    netfront_connect(front, true);
    port_capture_go(backend_end);
    netfront_pause(2);
    events = backend_statistics()->rx.ring.events;
    for (unsigned i = 0; i < FRAMES; i++) {
        uint64_t start = clock_now();

        ck_assert_uint_eq(ring_load(&front->rx->req_event) == front->rx_prod + 1, i % ROW == 0);
        netfront_rx_post(front, i % ROW == 2 ? 3 : 1);
        while (ring_load(&front->rx->rsp_prod) != front->rx_prod) {
            ck_assert_uint_lt(clock_now() - start, NETBACK_BUSY_POLL_MAX_US * 1000);
            sched_point(POINT_PAUSE);
        }
        ck_assert(netfront_rx_frame(front, 0));
        ck_assert_uint_eq(front->frame_length, length[i]);
        ck_assert_mem_eq(front->frame, backend_sent.frame[i].data, length[i]);
        ck_assert_uint_eq(backend_statistics()->rx.ring.events - events, i / ROW + 1);
        if (i % ROW == ROW - 1)
            netfront_pause(2); /* it has given up, and sleeps */
    }
}

/* A frame of the second of two queues. */
static void steer_to_second(struct port_frame *frame, uint8_t *data)
{
    struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .source_port = 1, .payload = 100};
    struct packet packet;

    do {
        kind.source_port++;
        frame->length = (uint32_t)inet_make(data, &kind);
        packet_parse(data, frame->length, &packet);
    } while (packet_flow(data, &packet) % 2 == 0);
    frame->data = data;
}

/* It does not wait for a queue without requests while another one has both frames and requests. */
GUEST_TEST(looks_for_requests_when_nothing_else_goes_on)
{
    enum { FRAMES = VIF_BUDGET + 10 };
    static uint8_t data[2][200];
    static uint32_t length[FRAMES];
    struct netfront *front, *second;
    uint64_t start;

    for (unsigned i = 0; i < FRAMES; i++)
        length[i] = 5000; /* dropped: the frontend takes one slot a frame */
    backend_make_frames(&backend_sent, length, FRAMES);
    steer_to_second(&backend_sent.frame[0], data[0]);
    steer_to_second(&backend_sent.frame[FRAMES - 1], data[1]); /* the turn before has used up its budget */
    backend_features.max_queues = 2;
    backend_options.busy_poll_us = NETBACK_BUSY_POLL_MAX_US;
    front = backend_begin();
    front->sg = false;
    netfront_add_queues(front, 2);
    second = netfront_queue(front, 1);
    netfront_connect(front, true);
    port_capture_go(backend_end);
    netfront_pause(2);
    start = clock_now();
    netfront_rx_post(second, 2);
    while (ring_load(&second->rx->rsp_prod) != 2) {
        ck_assert_uint_lt(clock_now() - start, NETBACK_BUSY_POLL_MAX_US * 1000 / 2);
        sched_point(POINT_PAUSE);
    }
    ck_assert_uint_eq(backend_statistics()->rx.drops, FRAMES - 2);
}

static void send_frames(struct netfront *front, unsigned first, unsigned count)
{
    const uint16_t size = SIZE;

    for (unsigned i = first; i < first + count; i++)
        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
    (void)netfront_tx_push(front);
    (void)await_answers(front);
}

static uint64_t events_sent(void)
{
    return backend_statistics()->tx.ring.notifications_sent;
}

/* Does an event follow, without netback's having given up? `events`: so many there were before. */
static bool is_told(uint64_t events)
{
    uint64_t start = clock_now();

    while (events_sent() == events && clock_now() - start < NETBACK_BUSY_POLL_MAX_US * UINT64_C(250))
        sched_point(POINT_PAUSE);
    return events_sent() != events;
}

/* Who sends more has its event when half a ring has been answered, ... */
GUEST_TEST(puts_off_events_while_more_comes)
{
    enum { ROW = 40, FRAMES = (RING_SLOTS / 2 / ROW + 1) * ROW };
    struct netfront *front = begin_sending(FRAMES);
    uint64_t events = events_sent();

    for (unsigned i = 0; i < FRAMES; i += ROW) {
        send_frames(front, i, ROW);
        ck_assert_int_eq(is_told(events), i + ROW == FRAMES);
    }
    netfront_tx_drain(front);
    backend_assert_good(FRAMES);
}

/* ... or when nothing more comes. */
GUEST_TEST(tells_when_it_gives_up)
{
    enum { ROW = 2, FRAMES = 2 * ROW };
    struct netfront *front = begin_sending(FRAMES);
    uint64_t events = events_sent();

    for (unsigned i = 0; i < FRAMES; i += ROW) {
        send_frames(front, i, ROW);
        ck_assert(!is_told(events));
    }
    netfront_pause(2);
    ck_assert_uint_eq(events_sent(), events + 1);
    netfront_tx_drain(front);
    backend_assert_good(FRAMES);
}

/* Who is ahead of netback has its event at once: there is room for more. */
GUEST_TEST(tells_who_waits_for_room)
{
    enum { FRAMES = VIF_BUDGET + 10 };
    struct netfront *front = begin_sending(FRAMES);
    uint64_t events = events_sent();

    send_frames(front, 0, FRAMES);
    ck_assert(is_told(events));
    netfront_tx_drain(front);
    backend_assert_good(FRAMES);
}

/* Who sends nothing more before it is told is told at once, but for a try now and then. */
GUEST_TEST(puts_off_no_events_in_vain)
{
    enum { FIRST = 2, FRAMES = 1 + FIRST + 1 + 2 * FIRST + 1 };
    struct netfront *front = begin_sending(FRAMES);

    for (unsigned i = 0; i < FRAMES; i++) {
        bool tried = i == 0 || i == 1 + FIRST || i == 1 + FIRST + 1 + 2 * FIRST;
        uint64_t events = events_sent();

        ring_store(&front->tx->rsp_event, i + 1);
        send_frames(front, i, 1);
        ck_assert_msg(is_told(events) != tried, "frame %u: %s", i, tried ? "told at once" : "not told");
        netfront_pause(2);
        ck_assert_uint_eq(events_sent(), events + 1);
    }
    netfront_tx_drain(front);
    backend_assert_good(FRAMES);
}

/* So many frames are to come, by either queue. Returns the first one's frontend. */
static struct netfront *begin_two_queues(unsigned frames, struct netfront **other)
{
    struct netfront *front;

    backend_features.max_queues = 2;
    expect_frames(frames);
    front = backend_begin();
    netfront_add_queues(front, 2);
    *other = netfront_queue(front, 1);
    netfront_connect(front, true);
    return front;
}

/* While it looks at one ring it sees the others. */
GUEST_TEST(looks_at_all_rings_before_it_sleeps)
{
    const uint16_t size = SIZE;
    struct netfront *front, *other;

    front = begin_two_queues(2, &other);
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    ck_assert(netfront_tx_push(front));
    (void)await_answers(front);
    netfront_tx_frame(other, backend_received.frame[1].data, &size, 1);
    ck_assert(netfront_tx_push(other)); /* this one was asleep */
    ck_assert_uint_lt(await_answers(other), NETBACK_BUSY_POLL_MAX_US / 2);
    netfront_tx_drain(front);
    netfront_tx_drain(other);
    backend_assert_good(2);
}

/* What comes by another ring ends the wait for more by this one. */
GUEST_TEST(puts_off_no_event_for_another_ring)
{
    struct netfront *front, *other;
    const uint16_t size = SIZE;
    uint64_t events;

    front = begin_two_queues(2, &other);
    netfront_pause(3);
    events = events_sent();
    send_frames(front, 0, 1);
    ck_assert(!is_told(events));
    netfront_tx_frame(other, backend_received.frame[1].data, &size, 1);
    (void)netfront_tx_push(other);
    (void)await_answers(other);
    ck_assert(is_told(events));
    netfront_tx_drain(front);
    netfront_tx_drain(other);
    backend_assert_good(2);
}

/* A frame that is never completed, or of which no event tells, is no reason to give up for the others. */
GUEST_TEST(looks_on_beside_what_does_not_go_on)
{
    enum { FRAMES = 3 };
    const uint16_t size = SIZE;
    struct netfront *front, *other;

    front = begin_two_queues(FRAMES, &other);
    netfront_tx_request(other, 0, size, NETTXF_more_data);
    ck_assert(netfront_tx_push(other));
    netfront_pause(3); /* it has seen that, and sleeps */
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    ck_assert(netfront_tx_push(front));
    (void)await_answers(front);
    netfront_tx_frame(front, backend_received.frame[1].data, &size, 1);
    ck_assert(!netfront_tx_push(front));
    (void)await_answers(front);
    netfront_pause(3);
    backend_assert_good(2);
}

GUEST_TEST(finds_what_no_event_tells_of)
{
    const uint16_t size = SIZE;
    struct netfront *front, *other;

    front = begin_two_queues(2, &other);
    netfront_pause(3);
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    ck_assert(netfront_tx_push(front));
    (void)await_answers(front);
    netfront_tx_frame(other, backend_received.frame[1].data, &size, 1);
    ring_store(&other->tx->req_prod, other->tx_prod);
    ck_assert_uint_lt(await_answers(other), NETBACK_BUSY_POLL_MAX_US / 2);
    backend_assert_good(2);
}

/* Who sends a frame before it gives up, each time, does not keep it from other events. */
GUEST_TEST(looks_for_other_events_in_between)
{
    enum { FRAMES = 20 }; /* twice as many as there are turns, and more */
    const uint16_t size = SIZE;
    struct netfront *front = begin_sending(FRAMES);
    uint64_t events;
    unsigned sent = 0;

    netfront_tx_frame(front, backend_received.frame[sent++].data, &size, 1);
    ck_assert(netfront_tx_push(front));
    (void)await_answers(front);
    events = backend_statistics()->tx.ring.events;
    netfront_kick(front);
    while (backend_statistics()->tx.ring.events == events) {
        uint64_t start = clock_now();

        ck_assert_uint_lt(sent, FRAMES);
        while (clock_now() - start < NETBACK_BUSY_POLL_MAX_US * 500)
            sched_point(POINT_PAUSE);
        netfront_tx_frame(front, backend_received.frame[sent++].data, &size, 1);
        (void)netfront_tx_push(front);
        (void)await_answers(front);
    }
    ck_assert_uint_gt(sent, 2);
    backend_assert_good(sent);
}

int main(void)
{
    Suite *suite = suite_create("busy polling");
    TCase *tcase = tcase_create("busy polling");

    tcase_add_test(tcase, looks_for_more_before_it_sleeps);
    tcase_add_test(tcase, looks_for_requests_before_it_sleeps);
    tcase_add_test(tcase, looks_for_requests_when_nothing_else_goes_on);
    tcase_add_test(tcase, looks_at_all_rings_before_it_sleeps);
    tcase_add_test(tcase, looks_on_beside_what_does_not_go_on);
    tcase_add_test(tcase, finds_what_no_event_tells_of);
    tcase_add_test(tcase, looks_for_other_events_in_between);
    tcase_add_test(tcase, puts_off_events_while_more_comes);
    tcase_add_test(tcase, tells_when_it_gives_up);
    tcase_add_test(tcase, tells_who_waits_for_room);
    tcase_add_test(tcase, puts_off_no_events_in_vain);
    tcase_add_test(tcase, puts_off_no_event_for_another_ring);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
