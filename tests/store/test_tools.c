/*
 * Xen's own clients on the store's socket: the distribution's unmodified libxenstore, by the xenstore-* tools and
 * test-xenstore, against a running machine. Skipped (exit status 125) where they are not: make xen-tools unpacks them.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenstore.h>

#include "common/guest.h"
#include "common/process.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "store/conformance/daemon.h"
#include "store/store.h"

#define MS UINT64_C(1000000)
#define MAX_OUTPUT 8192

static char path[256], output_path[256], output[MAX_OUTPUT];
static pid_t child;
static int child_status;

static void until_it_ends(void *argument)
{
    (void)argument;
    while (waitpid(child, &child_status, WNOHANG) == 0)
        task_park(clock_now() + 2 * MS, "the program beside");
    machine_stop();
}

static void read_output(void)
{
    FILE *file = fopen(output_path, "r");
    size_t length;

    ck_assert_ptr_nonnull(file);
    length = fread(output, 1, sizeof(output) - 1, file);
    output[length] = '\0';
    fclose(file);
}

static void start_machine(void)
{
    struct machine_config config = guest_config(1);

    config.stay_up = true;
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(120000000000);
    snprintf(path, sizeof(path), "%s/xenstored.sock", scratch());
    snprintf(output_path, sizeof(output_path), "%s/output", scratch());
    unlink(path);
    machine_create(&config);
    ck_assert_msg(store_listen(path, 0), "%s: %s", path, strerror(errno));
}

/* A script of programs that talk to the running machine, in processes of their own: to child_status and output. */
static void run_beside(const char *script)
{
    enum machine_result result;

    task_create("test", until_it_ends, NULL);
    child = fork();
    if (child == 0) {
        int file = open(output_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(file, STDOUT_FILENO);
        dup2(file, STDERR_FILENO);
        setenv("XENSTORED_PATH", path, 1);
        execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    result = machine_run();
    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s", machine_failure() ? machine_failure()->text : "");
    read_output();
    ck_assert_msg(WIFEXITED(child_status), "the program was killed by signal %d", WTERMSIG(child_status));
    child_status = WEXITSTATUS(child_status);
}

static void assert_script(const char *script, int status, const char *expected)
{
    start_machine();
    run_beside(script);
    ck_assert_msg(child_status == status, "%s: exit status %d\n%s", script, child_status, output);
    ck_assert_str_eq(output, expected);
    machine_destroy();
}

START_TEST(write_read_list)
{
    assert_script("xenstore-write /a/b one /a/c 'two words' && xenstore-read /a/b /a/c && xenstore-list /a && "
                  "xenstore-ls /a && xenstore-ls -f /a",
                  0, "one\ntwo words\nb\nc\nb = \"one\"\nc = \"two words\"\n/a/b = \"one\"\n/a/c = \"two words\"\n");
}
END_TEST

START_TEST(exists_and_rm)
{
    assert_script("xenstore-write /a/b/c 1 && xenstore-exists /a/b && xenstore-rm /a/b && ! xenstore-exists /a/b && "
                  "xenstore-exists /a && ! xenstore-read /a/b",
                  0, "xenstore-read: couldn't read path /a/b\n");
}
END_TEST

START_TEST(chmod_and_permissions)
{
    assert_script("xenstore-write /a/b 1 && xenstore-chmod -r /a n0 r7 && xenstore-ls -fp /a", 0,
                  "/a/b = \"1\"   (n0,r7)\n");
}
END_TEST

START_TEST(relative_paths)
{
    assert_script("xenstore-write tool 1 && xenstore-read /local/domain/0/tool", 0, "1\n");
}
END_TEST

START_TEST(watch)
{
    assert_script("xenstore-watch -n 3 /w & sleep 0.3; xenstore-write /w/a 1; xenstore-write /elsewhere 1; "
                  "xenstore-rm /w/a; wait",
                  0, "/w\n/w/a\n/w/a\n");
}
END_TEST

START_TEST(control)
{
    assert_script("xenstore-control check && xenstore-control quota | head -2", 0,
                  "OK\nQuota settings:\nnodes            :     1000 Nodes per domain\n");
}
END_TEST

/* A tool in a pipe of many requests, and clients side by side. */
START_TEST(many_clients)
{
    assert_script("for i in 1 2 3 4; do (for k in 1 2 3 4 5; do xenstore-write /m/$i/$k x; done) & done; wait; "
                  "xenstore-ls -f /m | grep -c /m/./",
                  0, "20\n");
}
END_TEST

START_TEST(xens_own_test)
{
    start_machine();
    run_beside("test-xenstore -i 100");
    ck_assert_msg(child_status == 0, "test-xenstore: exit status %d\n%s", child_status, output);
    machine_destroy();
}
END_TEST

START_TEST(xens_own_test_at_random)
{
    start_machine();
    run_beside("test-xenstore -r 3");
    ck_assert_msg(child_status == 0, "test-xenstore: exit status %d\n%s", child_status, output);
    machine_destroy();
}
END_TEST

/* A payload longer than the protocol allows ends the connection; others go on. */
START_TEST(a_broken_client_is_cut)
{
    const struct xsd_sockmsg header = {.type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;

    start_machine();
    strcpy(address.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(write(fd, &header, sizeof(header)), sizeof(header));
    run_beside("xenstore-write /a 1 && xenstore-read /a");
    ck_assert_msg(child_status == 0, "exit status %d\n%s", child_status, output);
    ck_assert_str_eq(output, "1\n");
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0); /* closed */
    close(fd);
    machine_destroy();
}
END_TEST

static Suite *suite(void)
{
    const TTest *const tests[] = {
        write_read_list, exists_and_rm, chmod_and_permissions, relative_paths,          watch,
        control,         many_clients,  xens_own_test,         xens_own_test_at_random, a_broken_client_is_cut,
    };
    Suite *suite = suite_create("tools");
    TCase *tcase = tcase_create("socket");

    tcase_set_timeout(tcase, 120);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return suite;
}

/* The programs' folders in front of PATH; false when one of them is not here. */
static bool find_programs(void)
{
    char *tools = xen_program("bin", "xenstore-ls"), *tester = xen_program("lib/xen-4.17/bin", "test-xenstore");
    bool found = tools != NULL && tester != NULL;
    char *text;

    if (found) {
        *strrchr(tools, '/') = '\0';
        *strrchr(tester, '/') = '\0';
        found = asprintf(&text, "%s:%s:%s", tools, tester, getenv("PATH")) >= 0;
    }
    if (found) {
        setenv("PATH", text, 1);
        free(text);
    }
    free(tools);
    free(tester);
    return found;
}

int main(void)
{
    SRunner *runner;
    int failed;

    if (!find_programs()) {
        fprintf(stderr, "skipped: xen-utils: no xenstore-ls or test-xenstore of the packages xenstore-utils and "
                        "xen-utils-4.17 here; \"make xen-tools\" unpacks them\n");
        return 125;
    }
    runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
