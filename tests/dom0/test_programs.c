/*
 * Xen's own programs, unmodified, by pvsim dom0 against a running machine: lsevtchn, xl list, xenconsoled with
 * xenconsole. Skipped (exit status 125) where they are not: make xen-tools unpacks them.
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

#include <xen/io/console.h>

#include "common/process.h"
#include "dom0/gate.h"
#include "store/conformance/daemon.h"
#include "store/store.h"

#define MS UINT64_C(1000000)

static char *lsevtchn;
static char *xl;
static char *xenconsole;
static char *xenconsoled;
static pid_t child;
static int child_status;
static char output_path[256];
static char output[8192];

/* ---- the guest's console: it says who it is once somebody connects, and gives back what it is told ---- */

static struct xencons_interface *console;
static uint32_t console_port;
static bool greeted;

static void say(const char *text, size_t length)
{
    for (size_t index = 0; index < length; index++)
        console->out[MASK_XENCONS_IDX(console->out_prod + index, console->out)] = text[index];
    __atomic_store_n(&console->out_prod, console->out_prod + (XENCONS_RING_IDX)length, __ATOMIC_RELEASE);
}

/* The parameter, which the script finds in its environment, too. */
static uint64_t tell(uint32_t index, const char *variable)
{
    uint64_t value = 0;
    char text[24];

    ck_assert_int_eq(xen_hvm_param_get(1, index, &value), 0);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    setenv(variable, text, 1);
    return value;
}

static void find_console(void)
{
    console = xen_foreign_frame(1, tell(HVM_PARAM_CONSOLE_PFN, "CONSOLE_FRAME"));
    console_port = (uint32_t)tell(HVM_PARAM_CONSOLE_EVTCHN, "CONSOLE_PORT");
    greeted = false;
}

static void serve_console(void)
{
    XENCONS_RING_IDX told = __atomic_load_n(&console->in_prod, __ATOMIC_ACQUIRE);

    if (greeted && told == console->in_cons)
        return;
    if (!greeted)
        say("guest here\n", 11);
    greeted = true;
    for (; console->in_cons != told; console->in_cons++)
        say(&console->in[MASK_XENCONS_IDX(console->in_cons, console->in)], 1);
    ck_assert_int_eq(port_send(console_port), 0);
}

/* ---- the program ---- */

static void until_it_ends(void *argument)
{
    (void)argument;
    while (waitpid(child, &child_status, WNOHANG) == 0) {
        task_park(clock_now() + 2 * MS, "the program beside");
        serve_console();
    }
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
    config.timeout_ns = UINT64_C(60000000000);
    snprintf(output_path, sizeof(output_path), "%s/output", scratch());
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), 1);
    find_console();
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

/* xenconsoled takes the guest's ring to a pseudo-terminal, and xenconsole is at its other end. */
START_TEST(console_both_ways)
{
    char script[2048];
    char *end;

    snprintf(script, sizeof(script),
             "log=%s/console/guest-guest.log\n"
             "xenstore-write /local/domain/1/name guest /local/domain/1/console/ring-ref $CONSOLE_FRAME "
             "/local/domain/1/console/port $CONSOLE_PORT || exit 1\n"
             "mkdir ${log%%/*} && '%.400s' -i --log=guest --log-dir=${log%%/*} & daemon=$!\n"
             "until xenstore-read /local/domain/1/console/tty; do sleep 0.05; done >/dev/null 2>&1\n"
             "(printf 'hear this\\n'; until grep -q 'hear this' $log; do sleep 0.05; done; sleep 0.2) |\n"
             "    '%.400s' --interactive 1\n"
             "kill $daemon; wait $daemon; echo; echo end; cat $log\n",
             scratch(), xenconsoled, xenconsole);
    run_script(script);
    end = strstr(output, "\nend\n");
    ck_assert_msg(end != NULL, "%s", output);
    ck_assert_msg(strstr(end, "guest here\nhear this\n") != NULL, "%s", output); /* xenconsoled's log */
    *end = '\0';
    ck_assert_msg(strstr(output, "hear this") != NULL, "%s", output); /* xenconsole's screen */
}
END_TEST

/* The programs are here, and the folder of the xenstore-* tools is in PATH. */
static bool find_programs(void)
{
    char *store = xen_program("bin", "xenstore-write");
    char *path = NULL;

    lsevtchn = xen_program("lib/xen-4.17/bin", "lsevtchn");
    xl = xen_program("lib/xen-4.17/bin", "xl");
    xenconsole = xen_program("lib/xen-4.17/bin", "xenconsole");
    xenconsoled = xen_program("lib/xen-4.17/bin", "xenconsoled");
    if (store == NULL || lsevtchn == NULL || xl == NULL || xenconsole == NULL || xenconsoled == NULL)
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
        fprintf(stderr,
                "skipped: xen-utils: no lsevtchn, xl, xenconsole or xenstore-write of the packages xenstore-utils and "
                "xen-utils-4.17 here; \"make xen-tools\" unpacks them\n");
        return 125;
    }
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, event_channels);
    tcase_add_test(tcase, list);
    tcase_add_test(tcase, console_both_ways);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
