/* The store's ring page: docs/misc/xenstore-ring.txt. A guest that is slow, wrong or hostile. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/guest_ring.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/machine.h"
#include "store/store.h"
#include "xen/xen.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>
#include <xenstore.h>

static struct xs_handle *xs;

static void setup(void)
{
    struct machine_config config = machine_default_config();

    machine_create(&config);
    xs = xs_open(0);
}

static void teardown(void)
{
    xs_close(xs);
    machine_destroy();
}

/* The ring still serves the guest. */
static void assert_alive(struct guest_ring *ring)
{
    struct guest_reply reply;

    ck_assert_int_eq(guest_request(ring, XS_GET_DOMAIN_PATH, 0, "1", 2, &reply), 0);
    ck_assert_str_eq(reply.payload, "/local/domain/1");
}

/* The daemon has given the guest up: it neither reads nor writes. */
static void assert_ignored(struct guest_ring *ring, uint32_t error)
{
    struct xsd_sockmsg header = {.type = XS_GET_DOMAIN_PATH, .len = 2};
    uint32_t consumer;

    store_pump();
    ck_assert_uint_eq(ring->interface->error, error);
    ring->interface->req_prod = ring->interface->req_cons;
    consumer = ring->interface->req_cons;
    guest_ring_put(ring, &header, sizeof(header));
    guest_ring_put(ring, "1", 2);
    store_pump();
    ck_assert_uint_eq(ring->interface->req_cons, consumer);
    ck_assert(xs_is_domain_introduced(xs, ring->domid)); /* the daemon and its other clients live */
}

START_TEST(features_are_advertised)
{
    struct guest_ring ring = guest_ring_create();

    ck_assert_uint_eq(ring.interface->server_features,
                      XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
    ck_assert_uint_eq(ring.interface->connection, XENSTORE_CONNECTED);
    ck_assert_uint_eq(ring.interface->error, XENSTORE_ERROR_NONE);
    assert_alive(&ring);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    struct guest_ring ring = guest_ring_create();
    struct xsd_sockmsg header = {.type = XS_GET_DOMAIN_PATH, .req_id = 7, .len = 2};
    struct guest_reply *reply;

    for (unsigned i = 0; i < sizeof(header); i++) {
        ck_assert(!guest_has_message(&ring));
        guest_ring_put(&ring, (char *)&header + i, 1);
    }
    ck_assert(!guest_has_message(&ring));
    guest_ring_put(&ring, "1", 1);
    ck_assert(!guest_has_message(&ring));
    guest_ring_put(&ring, "", 1);
    reply = guest_receive(&ring);
    ck_assert_str_eq(reply->payload, "/local/domain/1");
    free(reply);
}
END_TEST

START_TEST(requests_and_replies_longer_than_the_ring)
{
    struct guest_ring ring = guest_ring_create();
    struct xs_permissions owner = {1, XS_PERM_NONE};
    struct guest_reply reply;
    char payload[2 + 2000] = "k";

    ck_assert(xs_mkdir(xs, XBT_NULL, "/local/domain/1"));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/local/domain/1", &owner, 1));
    for (size_t i = 2; i < sizeof(payload); i++)
        payload[i] = (char)('a' + i % 26);
    for (unsigned round = 0; round < 5; round++) { /* the indices pass the ring's end at different places */
        ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, payload, sizeof(payload), NULL), 0);
        ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "k", 2, &reply), 0);
        ck_assert_uint_eq(reply.header.len, sizeof(payload) - 2);
        ck_assert_mem_eq(reply.payload, payload + 2, sizeof(payload) - 2);
    }
}
END_TEST

START_TEST(replies_wait_for_room)
{
    struct guest_ring ring = guest_ring_create();
    struct xsd_sockmsg header = {.type = XS_GET_DOMAIN_PATH, .req_id = 7, .len = 2};
    unsigned sent = 0, got = 0;

    /* The guest sends and does not read, until the daemon no longer takes anything. */
    for (unsigned round = 0; round < 300; round++) {
        if (XENSTORE_RING_SIZE - (ring.interface->req_prod - ring.interface->req_cons) < sizeof(header) + 2)
            break;
        guest_ring_put(&ring, &header, sizeof(header));
        guest_ring_put(&ring, "1", 2);
        sent++;
        store_pump();
    }
    ck_assert_uint_ge(sent, 60);
    ck_assert_uint_lt(sent, 300);
    while (guest_has_message(&ring)) {
        struct guest_reply *reply = guest_receive(&ring);

        ck_assert_str_eq(reply->payload, "/local/domain/1");
        free(reply);
        got++;
    }
    ck_assert_uint_eq(got, sent);
}
END_TEST

START_TEST(indices_may_begin_anywhere)
{
    struct guest_ring ring = guest_ring_create();

    ring.interface->req_cons = ring.interface->req_prod = UINT32_MAX - 9;
    ring.interface->rsp_cons = ring.interface->rsp_prod = UINT32_MAX - 20;
    for (unsigned i = 0; i < 100; i++)
        assert_alive(&ring);
}
END_TEST

START_TEST(request_index_out_of_range)
{
    struct guest_ring ring = guest_ring_create();

    ring.interface->req_prod = ring.interface->req_cons + XENSTORE_RING_SIZE + 1;
    assert_ignored(&ring, XENSTORE_ERROR_RINGIDX);
}
END_TEST

START_TEST(response_index_out_of_range)
{
    struct guest_ring ring = guest_ring_create();
    struct xsd_sockmsg header = {.type = XS_GET_DOMAIN_PATH, .len = 2};

    ring.interface->rsp_cons = ring.interface->rsp_prod + 5;
    guest_ring_put(&ring, &header, sizeof(header));
    guest_ring_put(&ring, "1", 2);
    assert_ignored(&ring, XENSTORE_ERROR_RINGIDX);
}
END_TEST

START_TEST(payload_too_long)
{
    struct guest_ring ring = guest_ring_create();
    struct xsd_sockmsg header = {.type = XS_WRITE, .len = XENSTORE_PAYLOAD_MAX + 1};

    guest_ring_put(&ring, &header, sizeof(header));
    assert_ignored(&ring, XENSTORE_ERROR_PROTO);
}
END_TEST

START_TEST(an_ignored_guest_loses_watches_and_transactions)
{
    struct guest_ring ring = guest_ring_create();
    struct xs_permissions readable = {0, XS_PERM_READ};

    ck_assert(xs_mkdir(xs, XBT_NULL, "/seen"));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/seen", &readable, 1));
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "/seen\0t", 8, NULL), 0);
    ck_assert_str_eq(guest_event(&ring), "/seen t");
    ring.interface->req_prod = ring.interface->req_cons + XENSTORE_RING_SIZE + 1;
    store_pump();
    ck_assert(xs_write(xs, XBT_NULL, "/seen", "1", 1));
    ck_assert(!guest_has_message(&ring));
}
END_TEST

START_TEST(reconnection_resets_the_ring)
{
    struct guest_ring ring = guest_ring_create();
    struct xsd_sockmsg header = {.type = XS_WRITE, .len = 100};
    struct xs_permissions readable = {0, XS_PERM_READ};

    ck_assert(xs_mkdir(xs, XBT_NULL, "/seen"));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/seen", &readable, 1));
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "/seen\0t", 8, NULL), 0);
    ck_assert_str_eq(guest_event(&ring), "/seen t");
    guest_ring_put(&ring, &header, sizeof(header)); /* half a request */
    store_pump();
    ring.interface->connection = XENSTORE_RECONNECT;
    store_pump();
    ck_assert_uint_eq(ring.interface->connection, XENSTORE_CONNECTED);
    assert_alive(&ring);
    ck_assert(xs_write(xs, XBT_NULL, "/seen", "1", 1));
    ck_assert_ptr_null(guest_event(&ring));
    /* It is the way back from an error too. */
    ring.interface->req_prod = ring.interface->req_cons + XENSTORE_RING_SIZE + 1;
    store_pump();
    ck_assert_uint_eq(ring.interface->error, XENSTORE_ERROR_RINGIDX);
    ring.interface->connection = XENSTORE_RECONNECT;
    store_pump();
    ck_assert_uint_eq(ring.interface->error, XENSTORE_ERROR_NONE);
    assert_alive(&ring);
}
END_TEST

START_TEST(introduced_again_it_begins_anew)
{
    struct guest_ring ring = guest_ring_create();
    struct xsd_sockmsg header = {.type = XS_WRITE, .len = 100};
    struct xs_permissions readable = {0, XS_PERM_READ};
    uint64_t pfn;
    int port = xen_evtchn_toolstack_alloc(ring.domid, XEN_DOM0);

    ck_assert_int_gt(port, 0);
    ck_assert_int_eq(xen_hvm_param_get(ring.domid, HVM_PARAM_STORE_PFN, &pfn), 0);
    ck_assert(xs_mkdir(xs, XBT_NULL, "/seen"));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/seen", &readable, 1));
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "/seen\0t", 8, NULL), 0);
    ck_assert_str_eq(guest_event(&ring), "/seen t");
    guest_ring_put(&ring, &header, sizeof(header));
    store_pump();
    ck_assert(xs_introduce_domain(xs, ring.domid, pfn, (unsigned)port));
    assert_alive(&ring);
    ck_assert(xs_write(xs, XBT_NULL, "/seen", "1", 1));
    ck_assert_ptr_null(guest_event(&ring));
}
END_TEST

/* Fill the ring with events that the guest does not read, and leave `waiting` more of them behind. */
static void let_events_wait(struct guest_ring *ring, unsigned waiting)
{
    struct xs_permissions readable = {0, XS_PERM_READ};
    char path[32];
    unsigned count = 0;

    ck_assert(xs_write(xs, XBT_NULL, "/seen", "", 0));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/seen", &readable, 1));
    ck_assert_int_eq(guest_request(ring, XS_WATCH, 0, "/seen\0t", 8, NULL), 0);
    ck_assert_str_eq(guest_event(ring), "/seen t");
    while (XENSTORE_RING_SIZE - (ring->interface->rsp_prod - ring->interface->rsp_cons) >= 64) {
        snprintf(path, sizeof(path), "/seen/%u", count++);
        ck_assert(xs_write(xs, XBT_NULL, path, "", 0));
    }
    for (unsigned i = 0; i < waiting + 3; i++) { /* some go into what room is left, one perhaps in part */
        snprintf(path, sizeof(path), "/seen/last-%u", i);
        ck_assert(xs_write(xs, XBT_NULL, path, "", 0));
    }
}

/* Read all events; how many of them begin with the prefix. */
static unsigned count_events(struct guest_ring *ring, const char *prefix, bool *late)
{
    unsigned count = 0;

    for (const char *event; (event = guest_event(ring)) != NULL;) {
        count += strncmp(event, prefix, strlen(prefix)) == 0;
        if (strcmp(event, "/seen/late t") == 0)
            *late = true;
    }
    return count;
}

START_TEST(events_that_wait_too_long_are_dropped)
{
    struct guest_ring ring = guest_ring_create();
    bool late = false;

    let_events_wait(&ring, 20);
    clock_charge(UINT64_C(19000000000));
    ck_assert(xs_write(xs, XBT_NULL, "/seen/late", "", 0)); /* has its own time */
    clock_charge(UINT64_C(2000000000));
    ck_assert_uint_le(count_events(&ring, "/seen/last-", &late), 4);
    ck_assert(late);
    ck_assert(xs_write(xs, XBT_NULL, "/seen/new", "", 0));
    ck_assert_str_eq(guest_event(&ring), "/seen/new t");
    assert_alive(&ring);
}
END_TEST

START_TEST(events_wait_their_time)
{
    struct guest_ring ring = guest_ring_create();
    bool late = false;

    if (_i)
        store_quota()->watch_event = 0; /* for ever */
    let_events_wait(&ring, 20);
    clock_charge(_i ? UINT64_C(3600000000000) : UINT64_C(19000000000));
    ck_assert_uint_eq(count_events(&ring, "/seen/last-", &late), 23);
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
    struct guest_ring ring = guest_ring_create();
    uint32_t state = 12345u + (uint32_t)_i;

    for (unsigned round = 0; round < 2000; round++) {
        uint32_t word[8];

        for (unsigned i = 0; i < 8; i++) {
            state = state * 1664525u + 1013904223u;
            /* Small numbers mostly, so that headers are often valid. */
            word[i] = state >> 28 ? (state >> 8) % 24 : state;
        }
        guest_ring_put(&ring, word, 1 + state % sizeof(word));
        if ((state >> 16) % 64 == 0)
            ring.interface->connection = XENSTORE_RECONNECT;
        if ((state >> 16) % 4 == 0)
            ring.interface->rsp_cons = ring.interface->rsp_prod;
        store_pump();
    }
    ring.interface->connection = XENSTORE_RECONNECT;
    store_pump();
    assert_alive(&ring);
    {
        char *answer = xs_control_command(xs, "check", NULL, 0);

        ck_assert_ptr_nonnull(answer);
        free(answer);
    }
}
END_TEST

static Suite *suite(void)
{
    const TTest *const tests[] = {
        features_are_advertised,
        a_request_may_come_byte_by_byte,
        requests_and_replies_longer_than_the_ring,
        replies_wait_for_room,
        indices_may_begin_anywhere,
        request_index_out_of_range,
        response_index_out_of_range,
        payload_too_long,
        an_ignored_guest_loses_watches_and_transactions,
        reconnection_resets_the_ring,
        introduced_again_it_begins_anew,
    };
    Suite *suite = suite_create("store-ring");
    TCase *tcase = tcase_create("ring");

    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
#ifdef MACHINE_THREAD_SANITIZER
    (void)events_that_wait_too_long_are_dropped; /* the parallel engine's clock is the host's: nobody moves it on */
#else
    tcase_add_test(tcase, events_that_wait_too_long_are_dropped);
#endif
    tcase_add_loop_test(tcase, events_wait_their_time, 0, 2);
    tcase_add_loop_test(tcase, random_bytes_do_no_harm, 0, 20);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
