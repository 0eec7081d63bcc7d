/* vCPUs that the guest is given while it runs: under traffic and between suspends, and by pvsim vcpu-set. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "common/process.h"
#include "common/standing.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "nt/ke/ke.h"
#include "xen/xen.h"

#include <xen/sched.h>

/* ---- the drivers ---- */

static struct capture *lan;
static volatile bool carried;

static void plug(void *count)
{
    ke_processors_announce(*(const unsigned *)count);
}

static void add_processors(unsigned count)
{
    stack_in_dom0(plug, &count);
    while (!ke_processors_settled())
        stack_sleep_us(50);
    ck_assert_uint_eq(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), count);
    ck_assert_uint_eq(xen_domain_online_vcpus(stack.domain.domid), count);
}

static VOID NTAPI carry(PVOID unused)
{
    (void)unused;
    stack_carry(0, lan, lan);
    carried = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void suspend_and_go_on(void *restored)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);
    unsigned domid = stack.domain.domid;

    ck_assert_msg(toolstack_domain_request(toolstack, domid, "suspend", TOOLSTACK_CONTROL_TIMEOUT_MS), "%s",
                  toolstack_error(toolstack));
    while (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend || !xen_domain_stands(domid))
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    if (*(const bool *)restored) {
        stack_restore_now(toolstack);
    } else {
        ck_assert_int_eq(xen_domain_resume(domid, true), 0);
        ck_assert(toolstack_domain_resumed(toolstack, domid));
    }
    toolstack_close(toolstack);
}

static void carry_after(bool restored)
{
    stack_in_dom0(suspend_and_go_on, &restored);
    stack_wait_connected(0);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, lan, lan);
}

/* One by one while frames go both ways; then suspends, with all of them to be held. */
static void under_traffic(void *unused)
{
    unsigned count = stack.options->start_vcpus;
    PKTHREAD thread;

    (void)unused;
    ck_assert_uint_eq(xen_domain_online_vcpus(stack.domain.domid), count);
    carried = false;
    thread = stack_thread(carry, NULL);
    while (count < stack.options->vcpus) {
        stack_sleep_us(150);
        add_processors(++count);
    }
    ck_assert(!carried || engine_is_parallel()); /* they came while frames went */
    stack_join(thread);
    carry_after(false);
    carry_after(true);
    stack_detach(0); /* and made anew, by drivers that count what there is now */
    stack_attach(0);
    stack_wait_connected(0);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, lan, lan);
}

static const struct {
    unsigned start;
    unsigned all;
    enum machine_policy policy;
    const char *host;
} machines[] = {
    {1, 2, POLICY_FIFO, NULL},   {1, 4, POLICY_PCT, NULL},
    {2, 6, POLICY_RANDOM, NULL}, {2, 4, POLICY_PCT, "xen-4.17,no-vectors"},
    {31, 34, POLICY_FIFO, NULL}, /* beyond those that shared info has room for */
};

START_TEST(added_under_traffic)
{
    const struct stack_options options = {
        .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
        .vifs = 1,
        .wait = true,
        .vcpus = machines[_i].all,
        .start_vcpus = machines[_i].start,
        .policy = machines[_i].policy,
        .host = machines[_i].host,
    };

    stack_run(&options, under_traffic, NULL);
}
END_TEST

/* ---- the verb ---- */

static unsigned listed_vcpus(void)
{
    struct process_result result = VERB("list", "guest", standing_dir);
    unsigned vcpus = 0;

    ck_assert_int_eq(result.status, 0);
    ck_assert_int_eq(sscanf(result.output + strlen(STANDING_LIST_HEADER) + 40 + 6 + 6, " %u", &vcpus), 1);
    process_free(&result);
    return vcpus;
}

static void wait_for_vcpus(unsigned wanted)
{
    for (unsigned waited = 0; listed_vcpus() != wanted; waited += 20) {
        ck_assert_msg(waited < 60000, "%u vCPUs, not %u", listed_vcpus(), wanted);
        standing_sleep_ms(20);
    }
}

START_TEST(set)
{
    expect_complaint(pvsim("create --run-dir %s --vcpus 4 --maxvcpus 2", standing_dir), 2,
                     "--maxvcpus 2 is less than the 4 vCPUs");
    expect_complaint(pvsim("create --run-dir %s --maxvcpus 129", standing_dir), 2, "--maxvcpus takes");
    expect_result(pvsim("create --run-dir %s --maxvcpus 4 --vcpus 2", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    ck_assert_uint_eq(listed_vcpus(), 2);
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/1/availability"), "online");
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/3/availability"), "offline");
    expect_result(VERB("vcpu-set", "guest 3", standing_dir), 0, "", "");
    wait_for_vcpus(3);
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/2/availability"), "online");
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/3/availability"), "offline");
    expect_result(VERB("vcpu-set", "guest 2", standing_dir), 0, "",
                  "vCPUs are not taken from an HVM guest: Windows goes on with the 3 that it has; the others are "
                  "offline in the store alone\n");
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/2/availability"), "offline");
    ck_assert_uint_eq(listed_vcpus(), 3);
    expect_result(VERB("vcpu-set", "-i 1 4", standing_dir), 0, "", "");
    wait_for_vcpus(4);
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/1/state", "4");
    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    standing_wait_for_node("/local/domain/2/device/vif/1/state", "4");
    ck_assert_str_eq(standing_read("/local/domain/2/cpu/3/availability"), "online");
    ck_assert_uint_eq(listed_vcpus(), 4);
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

START_TEST(refused)
{
    expect_result(pvsim("create --run-dir %s --vcpus 2", standing_dir), 0, "", "");
    expect_complaint(VERB("vcpu-set", "guest", standing_dir), 2, "takes DOMAIN VCPUS");
    expect_complaint(VERB("vcpu-set", "guest x", standing_dir), 2, "Invalid argument: 'x'");
    expect_complaint(VERB("vcpu-set", "guest 0", standing_dir), 1, "Requested 0 VCPUs!");
    expect_complaint(VERB("vcpu-set", "guest 3", standing_dir), 1,
                     "You are overcommmitting! You have 2 physical CPUs and want 3 vCPUs!");
    expect_complaint(VERB("vcpu-set", "--ignore-host guest 3", standing_dir), 1,
                     "Requested 3 VCPUs, however maxcpus is 2!");
    expect_complaint(VERB("vcpu-set", "0 1", standing_dir), 1, "domain 0 is not the guest");
    expect_complaint(VERB("vcpu-set", "nobody 1", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_result(VERB("vcpu-set", "guest 2", standing_dir), 0, "", ""); /* as it has */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vcpus");
    TCase *traffic = tcase_create("traffic");
    TCase *verb = tcase_create("verb");
    int status;

    if (!standing_init())
        return 125;
    lan = stack_capture(STACK_LAN);
    tcase_set_timeout(traffic, 120);
    tcase_add_loop_test(traffic, added_under_traffic, 0, sizeof(machines) / sizeof(machines[0]));
    suite_add_tcase(suite, traffic);
    tcase_add_test(verb, set);
    tcase_add_test(verb, refused);
    standing_add(suite, verb);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
