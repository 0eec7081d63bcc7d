/*
 * The distribution's unmodified xenstored and oxenstored, each started by pvsim dom0, in the place of the built-in
 * store: boot, connection, traffic, closing, opening again, suspension. Skipped (exit status 125) where they are not:
 * make xen-tools unpacks them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/process.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "nt/nt_init.h"
#include "store/conformance/daemon.h"

enum { XENSTORED, OXENSTORED, STORES };

#define DOMAINS 3 /* that the guest is, one after the other, in a test that moves or reboots it twice */

static const struct capture *lan;
static char *xenstored;
static char *oxenstored;
static char command[1024];

static void carry(void)
{
    stack_carry(0, lan, lan);
}

static void main_job(void *argument)
{
    (void)argument;
    carry();
    stack_detach(0);
    stack_attach(0);
    stack_wait_connected(0);
    carry();
}

static void ask(bool cancelled)
{
    struct stack_resumer resumer = {.cancelled = cancelled, .rounds = 1};

    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    stack_store_await(stack_path("control/shutdown"), "", 5000);
}

static void suspend(void *argument)
{
    (void)argument;
    for (unsigned round = 0; round < 2; round++) {
        ask(true);
        carry();
        ask(false);
        stack_wait_connections(0, round + 2);
        carry();
    }
}

static void with_xenstored(void)
{
    snprintf(command, sizeof(command), "'%.400s' -N -F %.200s/xenstored.pid", xenstored, scratch());
}

static void with_oxenstored(void)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%.200s/oxenstored.conf", scratch());
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "pid-file = %s/oxenstored.pid\n"
            "xenstored-kva = /proc/xen/xsd_kva\n"
            "xenstored-port = /proc/xen/xsd_port\n"
            "xenstored-log-file = %s/oxenstored.log\n"
            "access-log-file = %s/oxenstored-access.log\n",
            scratch(), scratch(), scratch());
    fclose(file);
    snprintf(command, sizeof(command), "'%.400s' --no-fork --config-file %s", oxenstored, path);
}

static void carry_main(void *unused)
{
    (void)unused;
    carry();
}

/* By a power cut, in domain 0. */
static void reboot(void *unused)
{
    (void)unused;
    for (unsigned round = 0; round < 2; round++) {
        ck_assert(nt_thread_run("carry", carry_main, NULL));
        stack_stop_now();
        stack_power_cycle_now();
    }
    ck_assert(nt_thread_run("carry", carry_main, NULL));
}

/* Of each domain that is gone oxenstored has the port of its ring: at XS_RELEASE it forgets that without closing it. */
static void run(int which, void (*scenario)(void *), bool from_dom0, unsigned domains)
{
    const struct stack_options options = {.from_dom0 = from_dom0,
                                          .vifs = 1,
                                          .drivers = STACK_XENVIF | STACK_NETCLIENT,
                                          .wait = true,
                                          .store = command,
                                          .store_keeps = which == OXENSTORED ? domains : 0};

    stack_run(&options, scenario, NULL);
}

static void (*const stores[STORES])(void) = {with_xenstored, with_oxenstored};

START_TEST(carries_closes_and_opens)
{
    stores[_i]();
    run(_i, main_job, false, 0);
}
END_TEST

START_TEST(suspends_and_resumes)
{
    stores[_i]();
    run(_i, suspend, false, DOMAINS);
}
END_TEST

START_TEST(reboots)
{
    stores[_i]();
    run(_i, reboot, true, DOMAINS);
}
END_TEST

/* ---- as a user has it ---- */

static void create(const char *store, const char *option, const char *value, int status, const char *line)
{
    char dir[256];
    const char *argv[] = {PVSIM_BUILD "/pvsim", "create", "--run-dir", dir, "--store", store, option, value, NULL};
    struct process_result result;

    snprintf(dir, sizeof(dir), "%.200s/run", scratch());
    result = process_run(argv);
    ck_assert_msg(result.status == status && strstr(result.error, line) != NULL, "status %d: %s", result.status,
                  result.error);
    process_free(&result);
}

START_TEST(machine_starts_its_store)
{
    char store[600];
    struct process_result result;

    snprintf(store, sizeof(store), "exec:exec '%.400s' -N -F $PVSIM_RUN_DIR/xenstored.pid", xenstored);
    create(store, NULL, NULL, 0, "");
    result = pvsim("dom0 --run-dir %.200s/run -- %s/dom0-program await /local/domain/1/device/vif/0/state 4", scratch(),
                   PVSIM_BUILD);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
#ifndef MACHINE_THREAD_SANITIZER /* on whose engine no machine can be saved */
    result = pvsim("save --run-dir %.200s/run guest %.200s/saved", scratch(), scratch());
    ck_assert_msg(result.status == 1 && strstr(result.error, "a machine whose store is a program beside it cannot be "
                                                             "saved") != NULL,
                  "status %d: %s", result.status, result.error);
    process_free(&result);
#endif
    result = pvsim("reboot --run-dir %.200s/run guest -w", scratch());
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    result = pvsim("dom0 --run-dir %.200s/run -- %s/dom0-program await /local/domain/2/device/vif/0/state 4", scratch(),
                   PVSIM_BUILD);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    result = pvsim("destroy --run-dir %.200s/run guest", scratch());
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
}
END_TEST

START_TEST(stores_that_do_not_come)
{
    create("exec:exit 3", NULL, NULL, 1, "the store 'exit 3' has ended: exit status 3");
    create("somewhere", NULL, NULL, 2, "--store takes builtin, external or exec:COMMAND, not 'somewhere'");
    create("external", "--backend-domid", "3", 2, "--backend-domid with --store external: ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("real/stores");
    TCase *tcase = tcase_create("stores");

    xenstored = xen_program("lib/xen-4.17/bin", "xenstored");
    oxenstored = xen_program("lib/xen-4.17/bin", "oxenstored");
    if (xenstored == NULL || oxenstored == NULL) {
        fprintf(stderr, "skipped: xen-utils: no xenstored or oxenstored of the package xen-utils-4.17 here; \"make "
                        "xen-tools\" unpacks them\n");
        return 125;
    }
    lan = stack_capture(STACK_LAN);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, carries_closes_and_opens, 0, STORES);
    tcase_add_loop_test(tcase, suspends_and_resumes, 0, STORES);
    tcase_add_loop_test(tcase, reboots, 0, STORES);
    tcase_add_test(tcase, machine_starts_its_store);
    tcase_add_test(tcase, stores_that_do_not_come);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
