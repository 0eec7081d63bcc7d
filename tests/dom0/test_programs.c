/*
 * Xen's own programs, unmodified, by pvsim dom0 against a running machine: lsevtchn, xl list. Skipped (exit status 125)
 * where they are not: make xen-tools unpacks them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen_guest.h"

#include "common/process.h"
#include "dom0/gate.h"
#include "store/conformance/daemon.h"
#include "store/store.h"

#define MS UINT64_C(1000000)

static char *lsevtchn;
static char *xl;
static pid_t child;
static int child_status;
static char output_path[256];
static char output[8192];

static void until_it_ends(void *argument)
{
    (void)argument;
    while (waitpid(child, &child_status, WNOHANG) == 0)
        task_park(clock_now() + 2 * MS, "the program beside");
    machine_stop();
}

/* The child: its output goes to the test. */
static void start(const char *script)
{
    int file = open(output_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execl(PVSIM_BUILD "/pvsim", "pvsim", "dom0", "--run-dir", scratch(), "--", "sh", "-c", script, (char *)NULL);
    _exit(127);
}

/* A script by pvsim dom0, beside a machine with a domain 1 that the store knows as "guest". Its output is in `output`.
 */
static void run_script(const char *script)
{
    struct machine_config config = guest_config(1);
    enum machine_result result;
    char path[256];
    size_t length;
    FILE *file;

    config.stay_up = true;
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(120000000000);
    snprintf(output_path, sizeof(output_path), "%s/output", scratch());
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), 1);
    snprintf(path, sizeof(path), "%s/xenstored.sock", scratch());
    ck_assert(store_listen(path, 0));
    snprintf(path, sizeof(path), "%s/dom0.sock", scratch());
    ck_assert(gate_open(path));
    ck_assert_int_gt(xen_evtchn_alloc_unbound(XEN_DOM0, 1, NULL, NULL), 0);
    (void)task_create("test", until_it_ends, NULL);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        start(script);
    result = machine_run();
    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s", machine_failure() ? machine_failure()->text : "");
    file = fopen(output_path, "r");
    ck_assert_ptr_nonnull(file);
    length = fread(output, 1, sizeof(output) - 1, file);
    output[length] = '\0';
    fclose(file);
    ck_assert_msg(child_status == 0, "wait status %#x: %s", (unsigned)child_status, output);
    machine_destroy();
}

START_TEST(event_channels)
{
    char script[512];

    snprintf(script, sizeof(script), "'%.400s'", lsevtchn);
    run_script(script);
    ck_assert_msg(strstr(output, "Interdomain (Waiting connection) - Remote Domain 1") != NULL, "%s", output);
}
END_TEST

START_TEST(list)
{
    char script[1024];

    snprintf(script, sizeof(script),
             "xenstore-write /local/domain/0/name Domain-0 /local/domain/1/name guest && '%.400s' list", xl);
    run_script(script);
    ck_assert_msg(strstr(output, "Name                                        ID   Mem VCPUs\tState\tTime(s)\n") !=
                      NULL,
                  "%s", output);
    ck_assert_msg(strstr(output, "Domain-0                                     0 ") != NULL, "%s", output);
    ck_assert_msg(strstr(output, "guest                                        1 ") != NULL, "%s", output);
}
END_TEST

/* The programs are here, and the folder of the xenstore-* tools is in PATH. */
static bool find_programs(void)
{
    char *store = xen_program("bin", "xenstore-write");
    char *path = NULL;

    lsevtchn = xen_program("lib/xen-4.17/bin", "lsevtchn");
    xl = xen_program("lib/xen-4.17/bin", "xl");
    if (store == NULL || lsevtchn == NULL || xl == NULL)
        return false;
    *strrchr(store, '/') = '\0';
    if (asprintf(&path, "%s:%s", store, getenv("PATH")) < 0)
        return false;
    setenv("PATH", path, 1);
    free(path);
    free(store);
    return true;
}

int main(void)
{
    Suite *suite = suite_create("dom0/programs");
    TCase *tcase = tcase_create("programs");

    if (!find_programs()) {
        fprintf(stderr, "skipped: xen-utils: no lsevtchn, xl or xenstore-write of the packages xenstore-utils and "
                        "xen-utils-4.17 here; \"make xen-tools\" unpacks them\n");
        return 125;
    }
    tcase_add_test(tcase, event_channels);
    tcase_add_test(tcase, list);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
