/*
 * The drop-in libraries: they have the distribution's sonames, symbols and symbol versions, and a program that was
 * built for the distribution's works with them against a running machine (tests/dom0/program.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "machine/census.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen_guest.h"

#include "common/process.h"
#include "dom0/gate.h"
#include "dom0/gate_protocol.h"

#define MS UINT64_C(1000000)
#define LIBRARIES PVSIM_BUILD "/lib/pvsim-dom0"
#define PROGRAM PVSIM_BUILD "/dom0-program"

static const char *const names[] = {"libxencall.so.1", "libxenevtchn.so.1", "libxengnttab.so.1",
                                    "libxenforeignmemory.so.1", "libxendevicemodel.so.1"};

/* ---- symbols ---- */

static struct process_result compare(const char *ours, const char *theirs)
{
    const char *argv[] = {"python3", "tools/check_dropins.py", ours, theirs, NULL};

    return process_run(argv);
}

START_TEST(same_symbols)
{
    struct process_result result = compare(LIBRARIES, NULL);

    ck_assert_msg(result.status == 0, "%s", result.error);
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++)
        ck_assert_ptr_nonnull(strstr(result.output, names[index]));
    process_free(&result);
}
END_TEST

/* A library of the test's own in the place of libxencall: too old by a version, and with a symbol too many. */
START_TEST(drift_is_named)
{
    char source[512];
    char map[512];
    char library[512];
    char script[640];
    const char *build[] = {"gcc", "-shared", "-fPIC", "-Wl,-soname,libxencall.so.1", script, source,
                           "-o",  library,   NULL};
    struct process_result result;
    FILE *file;

    snprintf(source, sizeof(source), "%s/call.c", scratch());
    snprintf(map, sizeof(map), "%s/call.map", scratch());
    snprintf(library, sizeof(library), "%s/libxencall.so.1", scratch());
    snprintf(script, sizeof(script), "-Wl,--version-script=%s", map);
    file = fopen(source, "w");
    fputs("int xencall_open(void) { return 0; }\nint xencall_more(void) { return 0; }\n", file);
    fclose(file);
    file = fopen(map, "w");
    fputs("VERS_1.1 { global: xencall_open; xencall_more; local: *; };\n", file);
    fclose(file);
    result = process_run(build);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    result = compare(LIBRARIES, scratch());
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.error, "libxencall.so.1: xencall_more@@VERS_1.1 is missing"));
    ck_assert_ptr_nonnull(strstr(result.error, "libxencall.so.1: xencall_open@@VERS_1.0 is not the distribution's"));
    ck_assert_ptr_nonnull(strstr(result.error, "libxenevtchn.so.1: not found"));
    process_free(&result);
}
END_TEST

/* ---- the program ---- */

static char gate[256];
static char messages[256]; /* of the program's */
static pid_t child;
static struct task *task;
static uint32_t near_port;

static char *read_messages(void)
{
    static char text[8192];
    FILE *file = fopen(messages, "r");
    size_t length = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);

    text[length] = '\0';
    if (file != NULL)
        fclose(file);
    return text;
}

static void start_program(const char *name, const char *argument)
{
    snprintf(messages, sizeof(messages), "%s/messages", scratch());
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int fd = open(messages, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        dup2(fd, STDERR_FILENO);
        setenv(GATE_SOCKET_VARIABLE, gate, 1);
        setenv("LD_LIBRARY_PATH", LIBRARIES, 1);
        execl(PROGRAM, "program", name, argument, (char *)NULL);
        _exit(127);
    }
}

static bool fired;

static void on_event(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
    fired = true;
    task_unpark(task);
}

/* The other end of the test's port answers each event with one. */
static void answer(void)
{
    if (!fired)
        return;
    fired = false;
    (void)xen_evtchn_unmask(XEN_DOM0, near_port);
    (void)xen_evtchn_send(XEN_DOM0, near_port);
}

static uint64_t held_by_programs(void)
{
    struct census *census = census_take();
    uint64_t count = census_total(census, "gate");

    census_free(census);
    return count;
}

static void until_the_program_ends(void *argument)
{
    siginfo_t info = {0};
    uint64_t frame = 0;

    (void)argument;
    ck_assert_int_eq(xen_hvm_param_get(1, HVM_PARAM_CONSOLE_PFN, &frame), 0);
    memcpy((uint8_t *)xen_foreign_frame(1, frame) + 100, "guest", 5);
    start_program(((const char *const *)argument)[0], ((const char *const *)argument)[1]);
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
        task_park(clock_now() + 2 * MS, "the program");
        answer();
    }
    while (held_by_programs() != 0) /* its end gives everything back */
        task_park(clock_now() + 2 * MS, "what it held");
    machine_stop();
}

/* With the port's number as argument if it is to have one. */
static void try(const char *name, bool with_port)
{
    struct machine_config config = guest_config(1);
    char number[16];
    const char *arguments[2] = {name, NULL};
    enum machine_result result;
    int status = -1;

    config.stay_up = true;
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(120000000000);
    snprintf(gate, sizeof(gate), "%s/dom0.sock", scratch());
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), 1);
    ck_assert(gate_open(gate));
    near_port = (uint32_t)xen_evtchn_alloc_unbound(XEN_DOM0, XEN_DOM0, on_event, NULL);
    snprintf(number, sizeof(number), "%u", near_port);
    if (with_port)
        arguments[1] = number;
    task = task_create("test", until_the_program_ends, arguments);
    result = machine_run();
    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s", machine_failure() ? machine_failure()->text : "");
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "wait status %#x: %s", (unsigned)status, read_messages());
    machine_destroy();
}

START_TEST(events)
{
    try("events", true);
}
END_TEST

START_TEST(events_after_exec)
{
    try("exec", true);
}
END_TEST

START_TEST(grants)
{
    try("grants", false);
}
END_TEST

START_TEST(shares)
{
    try("shares", false);
}
END_TEST

START_TEST(foreign_pages)
{
    try("foreign", false);
}
END_TEST

START_TEST(hypercalls)
{
    try("calls", false);
}
END_TEST

/* xc_evtchn_*, xc_gnttab_* and xc_gntshr_* of the distribution's libxenctrl. */
START_TEST(old_calls)
{
    try("old-calls", true);
}
END_TEST

START_TEST(devicemodel)
{
    try("devicemodel", false);
    ck_assert_ptr_nonnull(strstr(read_messages(), "dm_op xendevicemodel_create_ioreq_server on domain 1"));
}
END_TEST

START_TEST(restriction)
{
    try("restriction", false);
}
END_TEST

/* ---- no machine ---- */

static void nothing(const char *path, int error, const char *line)
{
    char number[16];
    int status = -1;

    snprintf(gate, sizeof(gate), "%s", path);
    snprintf(number, sizeof(number), "%d", error);
    start_program("nothing", number);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "wait status %#x: %s", (unsigned)status, read_messages());
    ck_assert_msg(strstr(read_messages(), line) != NULL, "%s", read_messages());
}

START_TEST(no_machine)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/nobody.sock", scratch());
    nothing(path, ENOENT, "no machine answers at ");
    memset(path, 'x', sizeof(path));
    path[200] = '\0';
    nothing(path, ENOENT, "PVSIM_GATE does not name a machine's dom0.sock: run the program by pvsim dom0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dom0/dropins");
    TCase *symbols = tcase_create("symbols");
    TCase *program = tcase_create("program");

    tcase_add_test(symbols, same_symbols);
    tcase_add_test(symbols, drift_is_named);
    tcase_add_test(program, events);
    tcase_add_test(program, events_after_exec);
    tcase_add_test(program, grants);
    tcase_add_test(program, shares);
    tcase_add_test(program, foreign_pages);
    tcase_add_test(program, hypercalls);
    tcase_add_test(program, old_calls);
    tcase_add_test(program, devicemodel);
    tcase_add_test(program, restriction);
    tcase_add_test(program, no_machine);
    suite_add_tcase(suite, symbols);
    suite_add_tcase(suite, program);
    return guest_suite_run(suite);
}
