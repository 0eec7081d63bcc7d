/*
 * What has a guest end, begin anew and sleep: pvsim shutdown and reboot with the guest's agent, pvsim trigger, each by
 * process as a user starts them.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"
#include "common/standing.h"

#define TIMEOUT "2s"
#define TIMEOUT_MS "2000"

static void create(void)
{
    expect_result(pvsim("create --run-dir %s --log info", standing_dir), 0, "", NULL);
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
}

static void wait_for_state(const char *letters)
{
    for (unsigned waited = 0; strcmp(standing_state(), letters) != 0; waited += 20) {
        ck_assert_msg(waited < 60000, "the state is %s, not %s", standing_state(), letters);
        standing_sleep_ms(20);
    }
}

/* ---- the agent ---- */

START_TEST(agent_shuts_down)
{
    create();
    standing_wait_for_node("/local/domain/1/control/feature-poweroff", "1");
    standing_wait_for_node("/local/domain/1/control/feature-reboot", "1");
    standing_wait_for_node("/local/domain/1/control/feature-s3", "1");
    expect_complaint(VERB("shutdown", "0", standing_dir), 1, "domain 0");
    expect_complaint(VERB("shutdown", "nobody", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_complaint(VERB("shutdown", "-x guest", standing_dir), 2, "unknown option -x");
    expect_complaint(VERB("shutdown", "--ignore-host guest", standing_dir), 2, "unknown option --ignore-host");
    expect_complaint(VERB("shutdown", "", standing_dir), 2, "You must specify -a or a domain id.");
    expect_result(VERB("shutdown", "--wait --all", standing_dir), 0, "", "Shutting down domain 1\n");
    standing_wait_for_end();
    ck_assert(standing_log_has("the toolstack asks for power off"));
    ck_assert(standing_log_has("domain 1 shuts down with reason 0"));
}
END_TEST

START_TEST(agent_reboots)
{
    create();
    expect_complaint(VERB("reboot", "0", standing_dir), 1, "domain 0");
    expect_complaint(VERB("reboot", "nobody", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_result(VERB("reboot", "-a", standing_dir), 0, "", "Rebooting domain 1\n");
    for (unsigned waited = 0; !standing_log_has("domain 1 shuts down with reason 1"); waited += 20) {
        ck_assert_uint_lt(waited, 60000);
        standing_sleep_ms(20);
    }
    ck_assert(standing_log_has("the toolstack asks for a reboot"));
    standing_wait_for_node("/local/domain/2/control/feature-reboot", "1");
}
END_TEST

/* A domain that was restored has a toolstack that nobody has told yet. */
START_TEST(agent_migrates)
{
    create();
    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    standing_wait_for_node("/local/domain/2/control/feature-poweroff", "1");
    expect_result(VERB("shutdown", "-w guest", standing_dir), 0, "", "Shutting down domain 2\n");
    standing_wait_for_end();
}
END_TEST

START_TEST(no_agent)
{
    expect_complaint(pvsim("create --run-dir %s --agent maybe", standing_dir), 2,
                     "--agent takes off or on, not 'maybe'");
    expect_result(pvsim("create --run-dir %s --agent off --toolstack-timeout " TIMEOUT, standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_result(VERB("shutdown", "guest", standing_dir), 1, "",
                  "Shutting down domain 1\n"
                  "pvsim: domain 1 did not take the request to poweroff within " TIMEOUT_MS " ms\n");
    expect_result(VERB("reboot", "guest", standing_dir), 1, "",
                  "Rebooting domain 1\n"
                  "pvsim: domain 1 did not take the request to reboot within " TIMEOUT_MS " ms\n");
    ck_assert_str_eq(standing_read("/local/domain/1/control/shutdown"), "");
    ck_assert_str_eq(standing_read("/local/domain/1/control/feature-poweroff"), "");
    expect_result(VERB("trigger", "guest power", standing_dir), 0, "", "");
    standing_wait_for_end();
}
END_TEST

/* ---- sleep ---- */

START_TEST(sleeps_and_wakes)
{
    create();
    expect_result(VERB("trigger", "guest s3resume", standing_dir), 0, "", ""); /* it is awake */
    expect_result(VERB("trigger", "guest sleep", standing_dir), 0, "", "");
    wait_for_state("------");
    ck_assert(standing_log_has("domain 1 sleeps"));
    expect_result(VERB("trigger", "guest s3resume", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");

    /* The agent is awake as well, and is asked for the same. */
    standing_wait_for_node("/local/domain/1/control/feature-s3", "1");
    standing_write("/local/domain/1/control/shutdown", "s3");
    wait_for_state("------");
    ck_assert_str_eq(standing_read("/local/domain/1/control/shutdown"), "");
    expect_result(VERB("trigger", "guest s3resume", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/control/feature-poweroff", "1");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/1/state", "4");
    expect_result(VERB("shutdown", "-w guest", standing_dir), 0, "", "Shutting down domain 1\n");
    standing_wait_for_end();
}
END_TEST

START_TEST(triggers)
{
    create();
    expect_complaint(VERB("trigger", "guest", standing_dir), 2, "takes DOMAIN NAME [VCPU]");
    expect_complaint(VERB("trigger", "guest crash", standing_dir), 2, "Invalid trigger \"crash\"");
    expect_complaint(VERB("trigger", "guest reset", standing_dir), 1,
                     "Send trigger 'reset' failed: Function not implemented");
    expect_complaint(VERB("trigger", "0 nmi", standing_dir), 1, "Send trigger 'nmi' failed: Invalid argument");
    expect_complaint(VERB("trigger", "guest init", standing_dir), 1,
                     "Send trigger 'init' failed: Function not implemented");
    expect_complaint(VERB("trigger", "guest power 2", standing_dir), 1, "domain 1 has no vCPU 2");
    expect_complaint(VERB("trigger", "guest power x", standing_dir), 1, "domain 1 has no vCPU x");
    expect_complaint(VERB("trigger", "0 power", standing_dir), 1, "Send trigger 'power' failed: Invalid argument");
    expect_result(VERB("trigger", "guest power 1", standing_dir), 0, "", "");
    standing_wait_for_end();
}
END_TEST

START_TEST(non_maskable_interrupt)
{
    create();
    expect_result(VERB("trigger", "guest nmi 1", standing_dir), 0, "", "");
    standing_wait_for_end();
    ck_assert(standing_log_has("NMI_HARDWARE_FAILURE"));
    ck_assert(standing_log_has("a non-maskable interrupt reached processor 1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power");
    TCase *tcase = tcase_create("power");
    int status;

    if (!standing_init())
        return 125;
    tcase_add_test(tcase, agent_shuts_down);
    tcase_add_test(tcase, agent_reboots);
    tcase_add_test(tcase, agent_migrates);
    tcase_add_test(tcase, no_agent);
    tcase_add_test(tcase, sleeps_and_wakes);
    tcase_add_test(tcase, triggers);
    tcase_add_test(tcase, non_maskable_interrupt);
    standing_add(suite, tcase);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
