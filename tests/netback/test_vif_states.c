/* netback's side of io/xenbus.h: negotiation, refusal with a reason, closing in every order, attach and detach. */
#include "common/backend.h"

#include <errno.h>

#include "dom0/heap.h"
#include "keys.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "nt/ke/ke.h"

#include <xen/io/xenbus.h>

/* ---- what libxl has made before the guest comes ---- */

static const struct {
    const char *path;
    unsigned owner;
    unsigned peer; /* the second entry's domain; 99: there is none */
} made[] = {
    {"/local/domain/1", 0, 1},
    {"/local/domain/1/device", 0, 1},
    {"/local/domain/1/control", 0, 1},
    {"/local/domain/1/memory", 0, 1},
    {"/local/domain/1/cpu", 0, 1},
    {"/local/domain/1/hvmloader", 0, 1},
    {"/local/domain/1/control/shutdown", 1, 99},
    {"/local/domain/1/control/feature-poweroff", 1, 99},
    {"/local/domain/1/control/feature-reboot", 1, 99},
    {"/local/domain/1/control/feature-suspend", 1, 99},
    {"/local/domain/1/control/feature-s3", 1, 99},
    {"/local/domain/1/control/feature-s4", 1, 99},
    {"/local/domain/1/control/sysrq", 1, 99},
    {"/local/domain/1/device/suspend/event-channel", 1, 99},
    {"/local/domain/1/data", 1, 99},
    {"/local/domain/1/drivers", 1, 99},
    {"/local/domain/1/feature", 1, 99},
    {"/local/domain/1/attr", 1, 99},
    {"/local/domain/1/error", 1, 99},
    {"/local/domain/1/control/platform-feature-xs_reset_watches", 0, 1},
    {"/local/domain/1/memory/target", 0, 1},
    {"/local/domain/1/store/ring-ref", 0, 1},
    {"/local/domain/1/console/port", 0, 1},
    {"/vm/00000000-1111-2222-3333-444444444444", 0, 1},
    {"/libxl/1/device", 0, 99},
    {"/local/domain/1/device/vif/0", 1, 0},
    {"/local/domain/1/device/vif/0/backend", 1, 0},
    {"/local/domain/1/device/vif/0/mtu", 0, 1},
    {"/local/domain/0/backend/vif/1/0", 0, 1},
    {"/local/domain/0/backend/vif/1/0/frontend", 0, 1},
    {"/libxl/1/device/vif/0", 0, 99},
};

/* Everyone else has no access; the peer may read. */
GUEST_TEST(nodes_and_their_permissions)
{
    struct xs_handle *xs = xs_open(0);

    backend_begin();
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        unsigned count = 0;
        struct xs_permissions *list = xs_get_permissions(xs, XBT_NULL, made[i].path, &count);

        ck_assert_msg(list != NULL, "%s is missing", made[i].path);
        ck_assert_msg(count == (made[i].peer == 99 ? 1 : 2), "%s has %u entries", made[i].path, count);
        ck_assert_msg(list[0].id == made[i].owner && list[0].perms == XS_PERM_NONE, "%s is domain %u's, %#x for others",
                      made[i].path, list[0].id, list[0].perms);
        ck_assert_msg(count == 1 || (list[1].id == made[i].peer && list[1].perms == XS_PERM_READ),
                      "%s: domain %u has %#x", made[i].path, list[count - 1].id, list[count - 1].perms);
        free(list);
    }
    xs_close(xs);
}

/* ---- negotiation ---- */

GUEST_TEST(offers_what_it_has)
{
    backend_begin();
    backend_assert_key(BACKEND_PATH "state", "2");
    backend_assert_key(BACKEND_PATH "feature-sg", "1");
    backend_assert_key(BACKEND_PATH "feature-rx-copy", "1");
    backend_assert_key(BACKEND_PATH "feature-rx-flip", "0");
    backend_assert_key(BACKEND_PATH "feature-no-csum-offload", "1");
    backend_assert_key(BACKEND_PATH "feature-split-event-channels", "0");
    backend_assert_key(BACKEND_PATH "multi-queue-max-queues", "1");
    backend_assert_key(BACKEND_PATH "feature-gso-tcpv4", "0");
    backend_assert_key(BACKEND_PATH "hotplug-status", "connected");
    backend_assert_key("/local/domain/1/device/vif/0/mac", "00:16:3e:01:02:03");
}

/* Each feature alone, and all but each: its key says so, and the others' keys say what they did. */
static void assert_each_key(bool on)
{
    static const struct {
        const char *name;
        const char *key;
        bool inverse;
    } features[] = {
        {"rx-copy", "feature-rx-copy", false},
        {"sg", "feature-sg", false},
        {"gso-tcpv4", "feature-gso-tcpv4", false},
        {"gso-tcpv6", "feature-gso-tcpv6", false},
        {"csum-offload", "feature-no-csum-offload", true},
        {"ipv6-csum-offload", "feature-ipv6-csum-offload", false},
        {"split-event-channels", "feature-split-event-channels", false},
        {"multicast-control", "feature-multicast-control", false},
        {"ctrl-ring", "feature-ctrl-ring", false},
    };
    enum { COUNT = sizeof(features) / sizeof(features[0]) };
    struct xs_handle *xs;

    backend_begin();
    xs = xs_open(0);
    for (unsigned one = 0; one < COUNT; one++) {
        char words[100], error[FEATURES_ERROR_MAX], key[128];

        if (on)
            snprintf(words, sizeof(words), "none,-rx-copy,%s,queues=3", features[one].name);
        else
            snprintf(words, sizeof(words), "all,-%s", features[one].name);
        ck_assert_msg(features_parse(words, &backend_features, error), "%s", error);
        backend_stop_netback();
        ck_assert(xs_write(xs, XBT_NULL, BACKEND_PATH "state", "1", 1));
        backend_start_netback();
        backend_await_key(BACKEND_PATH "state", "2"); /* with which the others are written */
        for (unsigned i = 0; i < COUNT; i++) {
            bool value = ((i == one) == on) != features[i].inverse;

            snprintf(key, sizeof(key), BACKEND_PATH "%s", features[i].key);
            backend_assert_key(key, value ? "1" : "0");
        }
        backend_assert_key(BACKEND_PATH "feature-rx-flip", "0");
        if (!on)
            backend_assert_key(BACKEND_PATH "carrier", "1");
        backend_assert_key(BACKEND_PATH "multi-queue-max-queues", on ? "3" : "16");
        backend_assert_key(BACKEND_PATH "feature-dynamic-multicast-control",
                           !on && features[one].name[0] != 'm' ? "1" : "0");
    }
    xs_close(xs);
}

GUEST_TEST(each_feature_alone)
{
    assert_each_key(true);
}

GUEST_TEST(all_features_but_one)
{
    assert_each_key(false);
}

GUEST_TEST(nobody_connects_where_neither_copy_nor_flip_is_offered)
{
    struct netfront *front;

    backend_features.rx_copy = false;
    front = backend_begin();
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
}

GUEST_TEST(the_carrier_is_told)
{
    struct netfront *front;

    backend_features.carrier = true;
    front = backend_begin();
    backend_assert_key(BACKEND_PATH "carrier", "1");
    netfront_connect(front, true);
    port_set_link(backend_end, false);
    backend_await_key(BACKEND_PATH "carrier", "0");
    ck_assert(backend_statistics()->connected);
    netfront_close(front);
    port_set_link(backend_end, true); /* nobody is connected: with the next offer */
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    backend_assert_key(BACKEND_PATH "carrier", "1");
    port_set_link(backend_end, false);
    netfront_connect(front, true);
    backend_await_key(BACKEND_PATH "carrier", "0"); /* what changed in between */
}

/* A frontend that was not offered them has one channel, whatever else it writes. */
GUEST_TEST(split_event_channels_that_are_not_offered)
{
    struct netfront *front = backend_begin();

    front->split = true;
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
}

GUEST_TEST(connects_and_carries_a_frame)
{
    const uint32_t length = 100;
    const uint16_t size = 100;
    struct netfront *front;

    backend_make_frames(&backend_received, &length, 1);
    front = backend_begin();
    netfront_connect(front, true);
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    ck_assert(netfront_tx_push(front));
    netfront_tx_drain(front);
    backend_assert_good(1);
    ck_assert(backend_statistics()->connected);
    ck_assert_uint_eq(backend_statistics()->tx.bytes, 100);
}

GUEST_TEST(nothing_moves_before_both_are_connected)
{
    const uint32_t length = 100;
    const uint16_t size = 100;
    struct netfront *front;
    struct xs_handle *xs = xs_open(0);

    backend_make_frames(&backend_received, &length, 1);
    backend_make_frames(&backend_sent, &length, 1);
    front = backend_begin();
    port_capture_go(backend_end);
    ck_assert(xs_rm(xs, XBT_NULL, BACKEND_PATH "hotplug-status"));
    netfront_connect(front, false);
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    netfront_tx_push(front);
    netfront_rx_post(front, 8);
    ck_assert(!netfront_wait_backend(front, XenbusStateConnected, true));
    ck_assert_uint_eq(ring_load(&front->tx->rsp_prod), 0);
    ck_assert_uint_eq(ring_load(&front->rx->rsp_prod), 0);
    /* What the frontend did too early is not lost either: the backend looks without an event. */
    ck_assert(xs_write(xs, XBT_NULL, BACKEND_PATH "hotplug-status", "connected", 9));
    netfront_wait_backend(front, XenbusStateConnected, false);
    netfront_tx_drain(front);
    backend_assert_good(1);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
}

GUEST_TEST(initialised_moves_nothing)
{
    struct netfront *front = backend_begin();

    netfront_set_state(front, XenbusStateInitialised);
    netfront_pause(5);
    backend_assert_key(BACKEND_PATH "state", "2");
    netfront_connect(front, true);
}

GUEST_TEST(missing_keys_close_with_a_reason)
{
    struct netfront *front = backend_begin();

    netfront_set_state(front, XenbusStateConnected);
    netfront_wait_backend(front, XenbusStateClosing, false);
    {
        char *reason = backend_read_key("/local/domain/0/error/backend/vif/1/0/error");

        ck_assert_ptr_nonnull(reason);
        free(reason);
    }
    /* The frontend that starts anew is served. */
    netfront_set_state(front, XenbusStateClosed);
    netfront_wait_backend(front, XenbusStateClosed, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    netfront_connect(front, true);
}

GUEST_TEST(bad_values_close_with_a_reason)
{
    struct netfront *front = backend_begin();

    front->queues = 2;
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
    netfront_set_state(front, XenbusStateClosed);
    netfront_wait_backend(front, XenbusStateClosed, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    front->queues = 1;
    front->rx_copy = false;
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    front->rx_copy = true;
    netfront_write(front, "feature-sg", "x");
    netfront_set_state(front, XenbusStateConnected);
    netfront_wait_backend(front, XenbusStateClosing, false);
}

GUEST_TEST(split_event_channels)
{
    const uint32_t length = 64;
    const uint16_t size = 64;
    struct netfront *front;

    backend_make_frames(&backend_received, &length, 1);
    backend_make_frames(&backend_sent, &length, 1);
    backend_features.split_event_channels = true;
    front = backend_begin();
    front->split = true;
    netfront_connect(front, true);
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    netfront_tx_push(front);
    netfront_tx_drain(front);
    netfront_rx_post(front, 1);
    port_capture_go(backend_end);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    ck_assert_uint_ge(backend_statistics()->tx.ring.events, 1);
    backend_assert_good(1);
}

/* ---- closing ---- */

GUEST_TEST(closes_and_reopens)
{
    const uint32_t length[2] = {60, 60};
    const uint16_t size = 60;
    struct netfront *front;

    backend_make_frames(&backend_received, length, 2);
    front = backend_begin();
    for (unsigned i = 0; i < 2; i++) {
        netfront_connect(front, true);
        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
        netfront_tx_push(front);
        netfront_tx_drain(front);
        netfront_close(front);
        ck_assert(!backend_statistics()->connected);
        netfront_set_state(front, XenbusStateInitialising);
        netfront_wait_backend(front, XenbusStateInitWait, false);
    }
    ck_assert_uint_eq(backend_statistics()->connections, 2);
    backend_assert_good(2);
    backend_assert_key(BACKEND_PATH "online", "1"); /* closing leaves the directory alone */
}

GUEST_TEST(closed_without_closing)
{
    struct netfront *front = backend_begin();

    netfront_connect(front, true);
    netfront_set_state(front, XenbusStateClosed);
    netfront_wait_backend(front, XenbusStateClosed, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    netfront_connect(front, true);
}

GUEST_TEST(initialising_out_of_connected)
{
    struct netfront *front = backend_begin();

    netfront_connect(front, true);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    netfront_connect(front, true);
    ck_assert_uint_eq(backend_statistics()->connections, 2);
}

/* The guest's side of a detach that the toolstack waits for. */
static void answer_detach(void *argument)
{
    struct netfront *front = argument;

    for (;;) {
        uint32_t state;

        if (key_read_number(front->xs, XBT_NULL, 99, &state, "%s/state", front->backend) && state == XenbusStateClosing)
            break;
        task_park(clock_now() + 1000000, "detach");
    }
    netfront_set_state(front, XenbusStateClosing);
    netfront_set_state(front, XenbusStateClosed);
}

GUEST_TEST(detach)
{
    struct netfront *front = backend_begin();

    netfront_connect(front, true);
    task_create("guest", answer_detach, front);
    ck_assert_msg(toolstack_network_detach(backend_toolstack, backend_domid, 0, 0, 1000, NULL), "%s",
                  toolstack_error(backend_toolstack));
    backend_assert_key("/local/domain/1/device/vif", NULL);
    backend_assert_key("/local/domain/0/backend", NULL);
    backend_assert_key("/local/domain/1/device", "");
    netfront_pause(5);
    ck_assert_uint_eq(netback_active(backend_netback), 0);
    ck_assert_uint_eq(backend_statistics()->connections, 1);
    ck_assert(!toolstack_network_detach(backend_toolstack, backend_domid, 0, 0, 1000, NULL));
    /* The same number again. */
    ck_assert_msg(backend_attach(1000), "%s", toolstack_error(backend_toolstack));
    netfront_connect(front, true);
    ck_assert_uint_eq(backend_statistics()->connections, 2);
}

/*
 * The toolstack removes the directory while netback answers the guest, a little later each time: what netback writes
 * must not make it anew, or the device would be there for ever.
 */
GUEST_TEST(directory_goes_under_an_answer)
{
    struct netfront *front = backend_begin();
    struct xs_handle *xs = xs_open(0);

    for (unsigned delay_us = 0; delay_us < 40; delay_us++) {
        netfront_connect(front, true);
        netfront_set_state(front, XenbusStateClosed);
        KeStallExecutionProcessor(delay_us);
        ck_assert(xs_rm(xs, XBT_NULL, front->backend));
        netfront_pause(5);
        backend_assert_key(BACKEND_PATH "state", NULL);
        ck_assert_uint_eq(netback_active(backend_netback), 0);
        ck_assert(xs_rm(xs, XBT_NULL, "/local/domain/1/device/vif/0"));
        ck_assert(xs_rm(xs, XBT_NULL, "/libxl/1/device/vif/0"));
        ck_assert_msg(backend_attach(1000), "%s", toolstack_error(backend_toolstack));
    }
    xs_close(xs);
}

GUEST_TEST(detach_before_the_guest_has_a_driver)
{
    backend_begin();
    ck_assert_msg(toolstack_network_detach(backend_toolstack, backend_domid, 0, 0, 1000, NULL), "%s",
                  toolstack_error(backend_toolstack));
    backend_assert_key("/local/domain/0/backend", NULL);
}

/* As xl has it: after a while it goes without the guest, and that is no failure. */
GUEST_TEST(detach_of_a_guest_that_does_not_answer)
{
    struct netfront *front = backend_begin();
    uint64_t before = clock_now();
    bool forced = false;

    netfront_connect(front, true);
    ck_assert_msg(toolstack_network_detach(backend_toolstack, backend_domid, 0, 0, 50, &forced), "%s",
                  toolstack_error(backend_toolstack));
    ck_assert(forced);
    ck_assert_uint_ge(clock_now() - before, UINT64_C(50000000));
    backend_assert_key("/local/domain/1/device/vif", NULL);
    backend_assert_key("/local/domain/0/backend", NULL);
    netfront_pause(5);
    ck_assert_uint_eq(netback_active(backend_netback), 0);
}

GUEST_TEST(detach_without_a_backend)
{
    struct xs_handle *xs = xs_open(0);
    bool forced = false;
    uint64_t before;

    backend_begin();
    backend_stop_netback();
    ck_assert(xs_write(xs, XBT_NULL, BACKEND_PATH "state", "4", 1)); /* as after a kill */
    before = clock_now();
    ck_assert(!toolstack_network_detach(backend_toolstack, backend_domid, 0, 0, 50, &forced));
    ck_assert(forced);
    ck_assert_uint_ge(clock_now() - before, UINT64_C(100000000)); /* both times */
    ck_assert_ptr_nonnull(strstr(toolstack_error(backend_toolstack), "was removed, and its backend"));
    backend_assert_key("/local/domain/0/backend", NULL);
    backend_assert_key("/libxl/1/device/vif", NULL);
}

GUEST_TEST(attach_without_a_backend)
{
    backend_begin();
    backend_stop_netback();
    {
        struct toolstack_vif vif = {.domid = backend_domid, .handle = 1};

        ck_assert(!toolstack_network_attach(backend_toolstack, &vif, 50));
        ck_assert(!toolstack_network_attach(backend_toolstack, &vif, 50)); /* there already */
    }
}

GUEST_TEST(backend_comes_back)
{
    const uint32_t length = 60;
    const uint16_t size = 60;
    struct netfront *front;

    backend_make_frames(&backend_received, &length, 1);
    front = backend_begin();
    netfront_connect(front, true);
    backend_stop_netback();
    netfront_wait_backend(front, XenbusStateClosed, false); /* it said so when it ended */
    netfront_set_state(front, XenbusStateClosed);
    backend_start_netback();
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    netfront_connect(front, true);
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    netfront_tx_push(front);
    netfront_tx_drain(front);
    backend_assert_good(1);
}

GUEST_TEST(backend_that_died_connected)
{
    struct netfront *front = backend_begin();
    struct xs_handle *xs = xs_open(0);

    netfront_connect(front, true);
    backend_stop_netback();
    ck_assert(xs_write(xs, XBT_NULL, BACKEND_PATH "state", "4", 1)); /* as after a kill */
    backend_start_netback();
    netfront_wait_backend(front, XenbusStateClosing, false);
    netfront_set_state(front, XenbusStateClosed);
    netfront_wait_backend(front, XenbusStateClosed, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    netfront_connect(front, true);
}

GUEST_TEST(destroy_removes_everything)
{
    struct netfront *front = backend_begin();

    netfront_connect(front, true);
    ck_assert_msg(toolstack_domain_destroy(backend_toolstack, backend_domid), "%s", toolstack_error(backend_toolstack));
    backend_assert_key("/local/domain/1", NULL);
    backend_assert_key("/local/domain/0/backend", NULL);
    backend_assert_key("/libxl", NULL);
    backend_assert_key("/vm", NULL);
    netfront_pause(5);
    ck_assert_uint_eq(netback_active(backend_netback), 0);
}

int main(void)
{
    const TTest *const tests[] = {
        nodes_and_their_permissions,
        offers_what_it_has,
        each_feature_alone,
        all_features_but_one,
        nobody_connects_where_neither_copy_nor_flip_is_offered,
        split_event_channels_that_are_not_offered,
        the_carrier_is_told,
        connects_and_carries_a_frame,
        nothing_moves_before_both_are_connected,
        initialised_moves_nothing,
        missing_keys_close_with_a_reason,
        bad_values_close_with_a_reason,
        split_event_channels,
        closes_and_reopens,
        closed_without_closing,
        initialising_out_of_connected,
        detach,
        directory_goes_under_an_answer,
        detach_before_the_guest_has_a_driver,
        detach_of_a_guest_that_does_not_answer,
        detach_without_a_backend,
        attach_without_a_backend,
        backend_comes_back,
        backend_that_died_connected,
        destroy_removes_everything,
    };
    Suite *suite = suite_create("vif-states");
    TCase *tcase = tcase_create("vif-states");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
