/* XENVIF with a backend that means harm: what it may cost is its own VIF, and nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/sched.h"

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/netif.h>
#include <xen/io/ring.h>

#define BACKEND "/local/domain/0/backend/hostile/1"
#define RING_PAGE 4096u
#define PAGES_MAX 4096u
#define HELD_MAX (2u * 256u) /* what a backend may keep of one ring before the frontend gives it up */

static struct capture *lan;

/* The backend of VIF 1. Its handles live from its start to its end. */
static struct {
    struct xs_handle *xs;
    xenevtchn_handle *events;
    xengnttab_handle *grants;
    evtchn_port_t port;
    netif_rx_sring_t *rx;
    void *page[PAGES_MAX];
    unsigned pages;
    int16_t length; /* of the frames that its pages are kept of */
    RING_IDX taken;
    volatile bool storm, stormed;
} hostile;

static void put(const char *directory, const char *node, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, node);
    ck_assert(xs_write(hostile.xs, XBT_NULL, path, value, (unsigned)strlen(value)));
}

static void make_vif(void *unused)
{
    struct xs_permissions front[] = {{stack.domain.domid, XS_PERM_NONE}, {0, XS_PERM_READ}};
    struct xs_permissions back[] = {{0, XS_PERM_NONE}, {stack.domain.domid, XS_PERM_READ}};
    const char *frontend = stack_path("device/vif/1");

    (void)unused;
    hostile.xs = xs_open(0);
    hostile.events = xenevtchn_open(NULL, 0);
    hostile.grants = xengnttab_open(NULL, 0);
    ck_assert(xs_mkdir(hostile.xs, XBT_NULL, BACKEND));
    ck_assert(xs_set_permissions(hostile.xs, XBT_NULL, BACKEND, back, 2));
    put(BACKEND, "frontend", frontend);
    put(BACKEND, "online", "1");
    put(BACKEND, "feature-rx-copy", "1");
    put(BACKEND, "state", "2");
    ck_assert(xs_mkdir(hostile.xs, XBT_NULL, frontend));
    ck_assert(xs_set_permissions(hostile.xs, XBT_NULL, frontend, front, 2));
    put(frontend, "backend-id", "0");
    put(frontend, "handle", "1");
    put(frontend, "mac", "00:16:3e:5a:00:01");
    put(frontend, "mtu", "1500");
    put(frontend, "state", "1");
    put(frontend, "backend", BACKEND);
}

static unsigned front_number(const char *node)
{
    char value[32];

    ck_assert(stack_store_read(stack_path("device/vif/1/%s", node), value, sizeof(value)));
    return (unsigned)strtoul(value, NULL, 10);
}

static unsigned event_channel, rx_reference;

static void connect_vif(void *unused)
{
    int port = xenevtchn_bind_interdomain(hostile.events, stack.domain.domid, event_channel);

    (void)unused;
    ck_assert_int_ge(port, 0);
    hostile.port = (evtchn_port_t)port;
    hostile.rx = xengnttab_map_grant_ref(hostile.grants, stack.domain.domid, rx_reference, PROT_READ | PROT_WRITE);
    ck_assert_ptr_nonnull(hostile.rx);
    hostile.taken = 0;
    put(BACKEND, "state", "4");
}

static void disconnect_vif(void *unused)
{
    (void)unused;
    if (hostile.rx == NULL)
        return;
    ck_assert_int_eq(xengnttab_unmap(hostile.grants, hostile.rx, 1), 0);
    (void)xenevtchn_unbind(hostile.events, hostile.port);
    hostile.rx = NULL;
}

static void release_pages(void *unused)
{
    (void)unused;
    while (hostile.pages != 0)
        ck_assert_int_eq(xengnttab_unmap(hostile.grants, hostile.page[--hostile.pages], 1), 0);
}

static void end_vif(void *unused)
{
    release_pages(unused);
    disconnect_vif(unused);
    (void)xs_rm(hostile.xs, XBT_NULL, stack_path("device/vif/1"));
    (void)xs_rm(hostile.xs, XBT_NULL, BACKEND);
    xengnttab_close(hostile.grants);
    xenevtchn_close(hostile.events);
    xs_close(hostile.xs);
}

static void begin(void)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_in_dom0(make_vif, NULL);
    stack_store_await(stack_path("device/vif/1/state"), "4", 20000);
    event_channel = front_number("event-channel");
    rx_reference = front_number("rx-ring-ref");
    stack_in_dom0(connect_vif, NULL);
    ck_assert_int_eq(stack_wait_link(1, true), STATUS_SUCCESS);
}

/* ---- events without end ---- */

static void raise_events(void *unused)
{
    (void)unused;
    while (hostile.storm)
        ck_assert_int_eq(xenevtchn_notify(hostile.events, hostile.port), 0);
    hostile.stormed = true;
}

static void start_storm(void *unused)
{
    (void)unused;
    hostile.storm = true;
    hostile.stormed = false;
    (void)task_create("storm", raise_events, NULL);
}

/* How far a thread comes, beside a backend that takes most of the time itself, in so much of the machine's time. */
static unsigned work_for(uint64_t nanoseconds)
{
    uint64_t end = clock_now() + nanoseconds;
    unsigned done = 0;

    for (; clock_now() < end; done++)
        (void)KeQueryInterruptTime();
    return done;
}

static void storm(void *unused)
{
    const uint64_t time = UINT64_C(50000000);
    unsigned calm, stormy;

    (void)unused;
    begin();
    calm = work_for(time);
    stack_in_dom0(start_storm, NULL);
    stormy = work_for(time);
    stack_carry(0, lan, lan);
    hostile.storm = false;
    while (!hostile.stormed)
        stack_sleep_us(100);
    stack_in_dom0(end_vif, NULL);
    ck_assert_msg(stormy >= calm / 40, "a thread has done %u of %u", stormy, calm);
}

START_TEST(fb17_event_storm)
{
    struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                    .wait = true,
                                    .vifs = 1,
                                    .vcpus = 1,
                                    .quiet = true,
                                    .engine = ENGINE_DETERMINISTIC};

    options.policy = POLICY_RANDOM;
    stack_run(&options, storm, NULL);
}
END_TEST

/* ---- pages that are kept ---- */

/* Maps the page of each request and answers it with a frame; how many there were. */
static void answer_all(void *unused)
{
    RING_IDX end = __atomic_load_n(&hostile.rx->req_prod, __ATOMIC_ACQUIRE);

    (void)unused;
    for (; hostile.taken != end && hostile.pages < PAGES_MAX; hostile.taken++) {
        union netif_rx_sring_entry *entry = &hostile.rx->ring[hostile.taken % 256];
        netif_rx_request_t request = entry->req;
        netif_rx_response_t response = {.id = request.id, .status = hostile.length};
        void *page = xengnttab_map_grant_ref(hostile.grants, stack.domain.domid, request.gref, PROT_READ | PROT_WRITE);

        ck_assert_ptr_nonnull(page);
        hostile.page[hostile.pages++] = page;
        entry->rsp = response;
    }
    __atomic_store_n(&hostile.rx->rsp_prod, hostile.taken, __ATOMIC_RELEASE);
    ck_assert_int_eq(xenevtchn_notify(hostile.events, hostile.port), 0);
}

static bool is_given_up(void *unused)
{
    char state[16];

    (void)unused;
    return stack_store_read(stack_path("device/vif/1/state"), state, sizeof(state)) && strcmp(state, "4") != 0;
}

static void keep_pages(void *unused)
{
    char text[256];
    unsigned kept;

    (void)unused;
    hostile.length = 2000;
    begin();
    for (unsigned tries = 0; tries < 40 && !is_given_up(NULL); tries++) {
        stack_in_dom0(answer_all, NULL);
        stack_sleep_us(1000);
    }
    ck_assert_msg(is_given_up(NULL), "%u pages are gone and the frontend goes on", hostile.pages);
    kept = hostile.pages;
    ck_assert_uint_gt(kept, HELD_MAX);
    ck_assert_uint_le(kept, HELD_MAX + 256 + 1);
    ck_assert(stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
    ck_assert_msg(strstr(text, "still mapped") != NULL, "%s", text);
    stack_carry(0, lan, lan);

    /* The backend is back, with all the pages: there is no connection for it. */
    stack_in_dom0(disconnect_vif, NULL);
    stack_store_write(BACKEND "/state", "6");
    stack_store_await(stack_path("device/vif/1/state"), "6", 20000);
    stack_store_write(BACKEND "/state", "2");
    stack_store_await(stack_path("device/vif/1/state"), "1", 20000);
    stack_sleep_us(5000000);
    stack_store_await(stack_path("device/vif/1/state"), "1", 1);
    ck_assert(stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
    ck_assert_msg(strstr(text, "do not let go") != NULL, "%s", text);
    stack_carry(0, lan, lan);

    /* It lets go: there is. */
    stack_in_dom0(release_pages, NULL);
    stack_store_await(stack_path("device/vif/1/state"), "4", 20000);
    event_channel = front_number("event-channel");
    rx_reference = front_number("rx-ring-ref");
    stack_in_dom0(connect_vif, NULL);
    ck_assert_int_eq(stack_wait_link(1, true), STATUS_SUCCESS);
    stack_in_dom0(end_vif, NULL);
}

START_TEST(kept_pages)
{
    struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                    .wait = true,
                                    .vifs = 1,
                                    .quiet = true,
                                    .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, keep_pages, NULL);
}
END_TEST

/* Of a small frame the client has a copy: the page is never the guest's again, and may stay mapped. */
static void keep_pages_of_small_frames(void *unused)
{
    char text[256];

    (void)unused;
    hostile.length = 10; /* so small that the client, which nobody reads from, is not given it */
    begin();
    for (unsigned tries = 0; tries < 200 && hostile.pages < 4 * HELD_MAX; tries++) {
        stack_in_dom0(answer_all, NULL);
        stack_sleep_us(1000);
    }
    ck_assert_uint_ge(hostile.pages, 4 * HELD_MAX);
    stack_store_await(stack_path("device/vif/1/state"), "4", 1);
    ck_assert(!stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
    stack_carry(0, lan, lan);
    stack_in_dom0(end_vif, NULL);
}

START_TEST(kept_pages_of_small_frames)
{
    struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                    .wait = true,
                                    .vifs = 1,
                                    .quiet = true,
                                    .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, keep_pages_of_small_frames, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIF of a hostile backend");
    TCase *tcase = tcase_create("hostile");

    lan = stack_capture(STACK_LAN);
    tcase_add_test(tcase, fb17_event_storm);
    tcase_add_test(tcase, kept_pages);
    tcase_add_test(tcase, kept_pages_of_small_frames);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
