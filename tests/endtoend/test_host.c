/*
 * The main job on each host that the machine can be, in each of its forms, and what a guest lives through on each:
 * interfaces that go and come, suspension, migration. Some hosts, some machines; `make hosts` has them all.
 */
#include <stdlib.h>
#include <string.h>

#include "common/hosts.h"
#include "common/process.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <xen/sched.h>

#define LAN "tests/captures/lan-wire.pcap"
#define FEW "tests/captures/few-wire.pcap"
#define SUSPENDED_NS UINT64_C(2000000)
#define SEEDS 3

static struct capture *few;

static bool all_of_them(void)
{
    return getenv("PVSIM_HOSTS") != NULL;
}

/* ---- the main job ---- */

/*
 * As it is, and with what the other end-to-end tests have: all that netback offers, other boards, sleep and migration
 * before it, another schedule.
 */
static const char *const jobs[] = {
    "",
    "--vcpus 4 --batch 16 --backend-features all,queues=4",
    "--board c000,e1000,hda",
    "--through sleep,hibernate,slow,migrate",
    "--vcpus 4 --policy pct --seed 3",
};

#define JOBS ((int)(sizeof(jobs) / sizeof(jobs[0])))

START_TEST(main_job)
{
    unsigned host = (unsigned)_i % HOSTS;
    const char *options = jobs[(unsigned)_i / HOSTS];
    const char *capture = *options == '\0' && (all_of_them() || host_has(host, HOST_VIRIDIAN)) ? LAN : FEW;
    char name[HOST_NAME_MAX], line[512];
    struct process_result result;

    if (!host_is_tried(host))
        return;
    result = pvsim("run --host %s %s --tx %s --rx %s", host_name(host, name), options, capture, capture);
    ck_assert_msg(result.status == 0, "%s %s: exit status %d\n%s", name, options, result.status, result.error);
    ck_assert_msg(strncmp(last_line(result.output, line, sizeof(line)), "PASS tx=", 8) == 0 &&
                      strstr(line, " lost=0 corrupt=0 leaks=0") != NULL,
                  "%s %s: %s", name, options, line);
    process_free(&result);
}
END_TEST

/* ---- a guest's life ---- */

enum form { CANCELLED, SLOW, FORCED, RESTORED, FORMS };

static void suspend_and_go_on(void *argument)
{
    enum form form = *(const enum form *)argument;
    struct toolstack *toolstack = toolstack_open(&stack_logger);
    unsigned domid = stack.domain.domid;

    ck_assert_ptr_nonnull(toolstack);
    if (form == FORCED)
        ck_assert_int_eq(xen_domain_shutdown(domid, SHUTDOWN_suspend), 0);
    else
        ck_assert_msg(toolstack_domain_request(toolstack, domid, "suspend", TOOLSTACK_CONTROL_TIMEOUT_MS), "%s",
                      toolstack_error(toolstack));
    while (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend || !xen_domain_stands(domid))
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    (void)task_park(clock_now() + SUSPENDED_NS, "a while");
    if (form == RESTORED) {
        stack_restore_now(toolstack);
    } else {
        ck_assert_int_eq(xen_domain_resume(domid, form == CANCELLED), 0);
        ck_assert_msg(toolstack_domain_resumed(toolstack, domid), "%s", toolstack_error(toolstack));
    }
    toolstack_close(toolstack);
}

/*
 * Whatever it has been through, everything comes through both ways. The guest connects anew where it has been told that
 * all is new: not after one that is cancelled, nor after one that was forced on it, of which it knows nothing.
 */
static void live(void *unused)
{
    (void)unused;
    stack_carry(0, few, few);
    stack_detach(0);
    stack_attach(0);
    stack_wait_connected(0);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, few, few);
    for (enum form form = CANCELLED; form < FORMS; form++) {
        unsigned connections = stack_netback_connections(0);

        stack_in_dom0(suspend_and_go_on, &form);
        if (form == SLOW || form == RESTORED)
            connections++;
        stack_wait_connections(0, connections);
        stack_carry(0, few, few);
    }
}

START_TEST(life)
{
    static const unsigned vcpus[] = {2, 1, 4};
    char name[HOST_NAME_MAX];
    struct stack_options options = {
        .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
        .vifs = 1,
        .wait = true,
        .host = host_name((unsigned)_i, name),
    };

    if (!host_is_tried((unsigned)_i))
        return;
    for (unsigned i = 0; i < (all_of_them() ? 3 : 1); i++) {
        options.vcpus = vcpus[all_of_them() ? i : (unsigned)_i % 3];
        options.policy = POLICY_FIFO;
        options.seed = 1;
        stack_run(&options, live, NULL);
        options.policy = POLICY_PCT;
        for (; all_of_them() && options.seed <= SEEDS; options.seed++)
            stack_run(&options, live, NULL);
    }
}
END_TEST

/* ---- what is none ---- */

START_TEST(unknown_host)
{
    static const char *const bad[] = {"xen-5.0", "xen-4.18", "xen-4.17,grant-v2", "xen-4.17,", "viridian"};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct process_result result = pvsim("run --host %s --tx " FEW, bad[i]);

        ck_assert_int_eq(result.status, 2);
        ck_assert_uint_eq(line_count(result.error), 1);
        ck_assert_ptr_nonnull(strstr(result.error, "--host takes xen-4.13, xen-4.17 or xen-4.19"));
        ck_assert_ptr_nonnull(strstr(result.error, bad[i]));
        process_free(&result);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *tcase = tcase_create("host");

    few = stack_capture(FEW);
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, main_job, 0, HOSTS * JOBS);
    tcase_add_loop_test(tcase, life, 0, HOSTS);
    tcase_add_test(tcase, unknown_host);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
