/* --backend and --backend-domid of pvsim create: by process, as a user has them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"

#define NETBACK PVSIM_BUILD "/pvsim-netback"

static char dir[160];

/* "Connected" at both ends. */
static void await_state(const char *state, unsigned domid)
{
    struct process_result result;

    result = pvsim("dom0 --run-dir %s -- %s/dom0-program await /local/domain/%u/backend/vif/1/0/state %s", dir,
                   PVSIM_BUILD, domid, state);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    result = pvsim("dom0 --run-dir %s -- %s/dom0-program await /local/domain/1/device/vif/0/state %s", dir, PVSIM_BUILD,
                   state);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
}

static void create(const char *backend, unsigned domid, int status, const char *line)
{
    char number[16];
    const char *argv[] = {PVSIM_BUILD "/pvsim", "create", "--run-dir", dir, "--backend", backend,
                          "--backend-domid",    number,   NULL};
    struct process_result result;

    snprintf(dir, sizeof(dir), "%s/run", scratch());
    snprintf(number, sizeof(number), "%u", domid);
    result = process_run(argv);
    ck_assert_msg(result.status == status && strstr(result.error, line) != NULL, "status %d: %s", result.status,
                  result.error);
    process_free(&result);
}

static void destroy(void)
{
    struct process_result result = pvsim("destroy --run-dir %s guest", dir);

    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
}

static pid_t start_netback(const char *domid)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(PVSIM_BUILD "/pvsim", "pvsim", "dom0", "--run-dir", dir, "--domid", domid, "--", NETBACK, "--domid", domid,
          (char *)NULL);
    _exit(127);
}

static void end_netback(pid_t pid, int signal)
{
    int status;

    ck_assert_int_eq(kill(pid, signal), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(signal == SIGKILL ? WIFSIGNALED(status) : status == 0, "wait status %#x", (unsigned)status);
}

/* What a backend writes when it takes the interface goes, so that the next one is seen to have come. */
static void forget_features(unsigned domid)
{
    struct process_result result =
        pvsim("dom0 --run-dir %s -- %s/dom0-program remove /local/domain/%u/backend/vif/1/0/feature-sg", dir,
              PVSIM_BUILD, domid);

    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
}

static void await_features(unsigned domid)
{
    struct process_result result =
        pvsim("dom0 --run-dir %s -- %s/dom0-program await /local/domain/%u/backend/vif/1/0/feature-sg 1", dir,
              PVSIM_BUILD, domid);

    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
}

/* Nobody's backend, so a program of the test's takes the interface, and another one when that is killed. */
static void taken_by(unsigned domid)
{
    char number[16];
    pid_t pid;

    snprintf(number, sizeof(number), "%u", domid);
    create("none", domid, 0, "");
    pid = start_netback(number);
    await_state("4", domid);
    end_netback(pid, SIGKILL);
    forget_features(domid);
    pid = start_netback(number);
    await_features(domid);
    await_state("4", domid);
    end_netback(pid, SIGTERM);
    destroy();
}

START_TEST(a_program_takes_what_is_nobodys)
{
    taken_by(0);
}
END_TEST

START_TEST(a_driver_domain_takes_what_is_nobodys)
{
    struct process_result result;

    taken_by(3);
    create("stub", 3, 0, "");
    await_state("4", 3);
    result = pvsim("dom0 --run-dir %s --domid 4 -- true", dir);
    ck_assert_int_eq(result.status, 1);
    ck_assert_msg(strstr(result.error, "has no driver domain 4; it gets one by 'pvsim create --backend-domid 4'") !=
                      NULL,
                  "%s", result.error);
    process_free(&result);
    destroy();
}
END_TEST

static bool log_has(const char *line)
{
    char command[512];
    int status;

    snprintf(command, sizeof(command), "grep -q -F -- \"%s\" %.200s/log", line, dir);
    status = system(command);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

START_TEST(a_program_of_the_machine)
{
    char command[256];

    create("exec:" NETBACK " --verbose --domid 3", 3, 0, "");
    await_state("4", 3);
    destroy();
    create("exec:" NETBACK " & echo $! > $PVSIM_RUN_DIR/program; wait $!", 0, 0, "");
    await_state("4", 0);
    snprintf(command, sizeof(command), "kill -9 $(cat %.150s/program)", dir);
    ck_assert_int_eq(system(command), 0);
    for (unsigned tries = 0; tries < 2000 && !log_has("has ended: exit status 137"); tries++)
        usleep(5000);
    ck_assert(log_has("has ended: exit status 137"));
    destroy();
}
END_TEST

START_TEST(a_program_that_gives_up)
{
    create("exec:exit 3", 0, 1, "the backend 'exit 3' has ended before the guest was up: exit status 3");
    create("exec:", 0, 2, "--backend takes stub, none or exec:COMMAND, not 'exec:'");
    create("none", 32752, 2, "--backend-domid takes a whole number from 0 to 32751, not '32752'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dom0/backend");
    TCase *tcase = tcase_create("create");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_program_takes_what_is_nobodys);
    tcase_add_test(tcase, a_driver_domain_takes_what_is_nobodys);
    tcase_add_test(tcase, a_program_of_the_machine);
    tcase_add_test(tcase, a_program_that_gives_up);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
