/*
 * --backend and --backend-domid of pvsim run: the main job with netback as a program of its own, in domain 0 and in a
 * driver domain; its end, orderly and by kill -9, and another one in its place while frames flow; and the replay of a
 * failed run without the program. By process, as a user has them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"

#define NETBACK PVSIM_BUILD "/pvsim-netback"
#define LAN "tests/captures/lan-wire.pcap"
#define FEW "tests/captures/few-wire.pcap"
#define LAN_FRAMES 1132u
#define SLOTS 256u /* of a ring */
#define DOMIDS 2

static const unsigned domids[DOMIDS] = {0, 3};

/* pvsim run with these options, `backend` behind --backend. */
static struct process_result run_with(const char *backend, unsigned domid, const char *tx, const char *rx)
{
    char number[16];
    const char *argv[] = {PVSIM_BUILD "/pvsim",
                          "run",
                          "--backend",
                          backend,
                          "--backend-domid",
                          number,
                          "--tx",
                          tx,
                          "--bundle-dir",
                          scratch(),
                          "--rx",
                          rx,
                          NULL};

    snprintf(number, sizeof(number), "%u", domid);
    return process_run(argv);
}

/* Files of the folder whose names end so; the last one's path. */
static unsigned files(const char *folder, const char *end, char *path, size_t size)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);

        if (entry->d_name[0] == '.' || length < strlen(end) || strcmp(entry->d_name + length - strlen(end), end) != 0)
            continue;
        snprintf(path, size, "%s/%s", folder, entry->d_name);
        count++;
    }
    closedir(directory);
    return count;
}

static void assert_passes(struct process_result result, unsigned tx, unsigned rx)
{
    char expected[128];
    char line[512];

    snprintf(expected, sizeof(expected), "PASS tx=%u rx=%u lost=0 corrupt=0 leaks=0", tx, rx);
    ck_assert_msg(result.status == 0 && strcmp(last_line(result.output, line, sizeof(line)), expected) == 0,
                  "status %d\n%s\n%s", result.status, result.output, result.error);
    process_free(&result);
}

/* ---- the main job ---- */

START_TEST(main_job)
{
    char temporary[256];
    char command[512];
    char path[512];

    snprintf(temporary, sizeof(temporary), "%s/tmp", scratch());
    ck_assert_int_eq(mkdir(temporary, 0700), 0);
    setenv("TMPDIR", temporary, 1);
    snprintf(command, sizeof(command), "exec:exec " NETBACK " --domid %u --rx " LAN " --expect " LAN, domids[_i]);
    assert_passes(run_with(command, domids[_i], LAN, LAN), LAN_FRAMES, LAN_FRAMES);
    ck_assert_uint_eq(files(temporary, "", path, sizeof(path)), 0); /* no folder is left, and no record */
    ck_assert_uint_eq(files(scratch(), ".peers", path, sizeof(path)), 0);
}
END_TEST

START_TEST(netback_of_the_machine_in_a_driver_domain)
{
    assert_passes(pvsim("run --backend-domid 3 --tx " LAN " --rx " LAN), LAN_FRAMES, LAN_FRAMES);
}
END_TEST

/* ---- ends, and others in its place, while frames flow ---- */

#define TIMES 4u

static char dir[200];
static char capture[300];

/* The capture, so many times over. */
static void make_capture(void)
{
    char *bytes = malloc(4u << 20);
    FILE *file = fopen(LAN, "r");
    size_t length;

    ck_assert(bytes != NULL && file != NULL);
    length = fread(bytes, 1, 4u << 20, file);
    fclose(file);
    snprintf(capture, sizeof(capture), "%s/sent.pcap", scratch());
    file = fopen(capture, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, 24, file), 24);
    for (unsigned times = 0; times < TIMES; times++)
        ck_assert_uint_eq(fwrite(bytes + 24, 1, length - 24, file), length - 24);
    ck_assert_int_eq(fclose(file), 0);
    free(bytes);
}

static pid_t start(const char *const *argv, const char *output)
{
    pid_t pid = fork();
    int file;

    ck_assert_int_ge(pid, 0);
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool has_come(const char *path, off_t bytes)
{
    struct stat status;

    for (unsigned tries = 0; tries < 100000; tries++) {
        if (stat(path, &status) == 0 && status.st_size >= bytes)
            return true;
        usleep(200);
    }
    return false;
}

/* A run whose backend is to come, with one more option; once it waits for that. */
static pid_t start_run(unsigned domid, const char *option, const char *value, char *report, size_t size)
{
    char number[16];
    char gate[300];
    const char *argv[] = {PVSIM_BUILD "/pvsim", "run",  "--backend", "none",
                          "--backend-domid",    number, "--run-dir", dir,
                          "--no-bundle",        option, value,       NULL};
    pid_t pid;

    snprintf(number, sizeof(number), "%u", domid);
    snprintf(dir, sizeof(dir), "%s/run", scratch());
    snprintf(gate, sizeof(gate), "%s/dom0.sock", dir);
    snprintf(report, size, "%s/report", scratch());
    pid = start(argv, report);
    ck_assert(has_come(gate, 0));
    return pid;
}

static pid_t start_netback(unsigned domid, const char *option, const char *value, const char *messages)
{
    char text[16];
    char path[300];
    const char *argv[] = {PVSIM_BUILD "/pvsim",
                          "dom0",
                          "--run-dir",
                          dir,
                          "--domid",
                          text,
                          "--",
                          NETBACK,
                          "--domid",
                          text,
                          option,
                          value,
                          NULL};

    snprintf(text, sizeof(text), "%u", domid);
    snprintf(path, sizeof(path), "%s/%s", scratch(), messages);
    return start(argv, path);
}

/* Once it has written down some of what the guest sends. */
static pid_t start_receiver(unsigned domid, const char *name)
{
    char out[300];
    pid_t pid;

    snprintf(out, sizeof(out), "%s/%s", scratch(), name);
    pid = start_netback(domid, "--out", out, "messages");
    snprintf(out, sizeof(out), "%s/%s.1.0", scratch(), name);
    ck_assert_msg(has_come(out, 4096), "no frames came to %s", name);
    return pid;
}

static void end(pid_t pid, int signal)
{
    int status;

    ck_assert_int_eq(kill(pid, signal), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(signal == SIGKILL ? WIFSIGNALED(status) : status == 0, "wait status %#x", (unsigned)status);
}

/* What was on the ring when the backend was killed may be lost, nothing else. */
static void check_verdict(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    const char *verdict;
    unsigned tx, lost, corrupt, leaks;

    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    verdict = strstr(text, " tx=");
    ck_assert_msg(verdict != NULL &&
                      sscanf(verdict, " tx=%u rx=0 lost=%u corrupt=%u leaks=%u", &tx, &lost, &corrupt, &leaks) == 4,
                  "%s", text);
    ck_assert_msg(tx + lost == TIMES * LAN_FRAMES && lost <= SLOTS && corrupt == 0 && leaks == 0 &&
                      strstr(text, "(rule ") == NULL,
                  "%s", text);
}

START_TEST(killed_under_traffic)
{
    char report[300];
    pid_t run, netback;
    int status;

    make_capture();
    run = start_run(domids[_i], "--tx", capture, report, sizeof(report));
    end(start_receiver(domids[_i], "first"), SIGKILL);
    netback = start_receiver(domids[_i], "second");
    ck_assert_int_eq(waitpid(run, &status, 0), run);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    check_verdict(report);
    ck_assert_int_eq(waitpid(netback, &status, 0), netback); /* its machine is gone */
}
END_TEST

START_TEST(closed_and_opened_again)
{
    char report[300];
    struct process_result result;
    pid_t run, netback;
    int status;

    run = start_run(domids[_i], "--rx", LAN, report, sizeof(report));
    netback = start_netback(domids[_i], NULL, NULL, "messages");
    result = pvsim("dom0 --run-dir %s -- " PVSIM_BUILD "/dom0-program await /local/domain/1/device/vif/0/state 4", dir);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    end(netback, SIGTERM);
    netback = start_netback(domids[_i], "--rx", LAN, "messages");
    ck_assert_int_eq(waitpid(run, &status, 0), run);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", (unsigned)status);
    ck_assert_int_eq(waitpid(netback, &status, 0), netback);
}
END_TEST

/* ---- failures, again without the program ---- */

/* A run that fails like this with a backend of which there is nothing any more afterwards; its bundle. */
static void fail_with(const char *command, const char *rx, const char *line, char *bundle, size_t size)
{
    char path[300];
    char copy[600];
    char backend[1024];
    struct process_result result;

    snprintf(path, sizeof(path), "%s/backend", scratch());
    snprintf(copy, sizeof(copy), "cp " NETBACK " %s", path);
    ck_assert_int_eq(system(copy), 0);
    setenv("BACKEND", path, 1);
    snprintf(backend, sizeof(backend), "exec:%s", command);
    result = run_with(backend, 3, FEW, rx);
    ck_assert_msg(result.status == 1 && strstr(result.output, line) != NULL, "status %d\n%s\n%s", result.status,
                  result.output, result.error);
    process_free(&result);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_uint_eq(files(scratch(), ".bundle", bundle, size), 1);
}

static void replay(const char *bundle, int status, const char *line)
{
    struct process_result result = pvsim("replay %s", bundle);

    ck_assert_msg(result.status == status && strstr(status == 0 ? result.output : result.error, line) != NULL,
                  "status %d\n%s\n%s", result.status, result.output, result.error);
    process_free(&result);
}

START_TEST(what_it_found_wrong)
{
    char bundle[512];

    fail_with("exec $BACKEND --domid 3 --rx " FEW " --expect " LAN, FEW, "has ended: exit status 1", bundle,
              sizeof(bundle));
    replay(bundle, 0, "replay: the same failure (rule verdict, event ");
}
END_TEST

START_TEST(what_it_sent_wrong)
{
    char bundle[512];

    fail_with("exec $BACKEND --domid 3 --rx " LAN, FEW, "differs from the capture", bundle, sizeof(bundle));
    replay(bundle, 0, "replay: the same failure (rule verdict, event ");
}
END_TEST

/* At a moment of the host's choice, which is the record's from then on. */
START_TEST(killed)
{
    char bundle[512];
    char record[512];
    FILE *file;

    fail_with("$BACKEND --domid 3 & sleep 0.3; kill -9 $!; exit 7", FEW, "has ended: exit status 7", bundle,
              sizeof(bundle));
    replay(bundle, 0, "replay: the same failure (rule scenario, event ");
    ck_assert_uint_eq(files(scratch(), ".peers", record, sizeof(record)), 1);
    file = fopen(record, "a");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fputc(0, file), 0);
    fclose(file);
    replay(bundle, 125, "has changed since");
    ck_assert_int_eq(unlink(record), 0);
    replay(bundle, 125, "needs the record");
}
END_TEST

/* ---- what is refused ---- */

static void refused(const char *arguments, const char *line)
{
    struct process_result result = pvsim("%s", arguments);

    ck_assert_msg(result.status == 2 && strstr(result.error, line) != NULL && line_count(result.error) == 1,
                  "status %d: %s", result.status, result.error);
    process_free(&result);
}

START_TEST(refusals)
{
    refused("run --backend exec:", "--backend takes stub, none or exec:COMMAND, not 'exec:'");
    refused("run --backend-domid 32752", "--backend-domid takes a whole number from 0 to 32751, not '32752'");
    refused("run --run-dir /tmp/nobody", "--run-dir without --backend none or exec:COMMAND");
    refused("run --backend none --fail nth=1", "--fail with --backend none or exec");
    refused("run --backend none --tx " FEW " --out-tx /dev/null", "--out-tx with --backend none or exec");
    refused("sweep --seeds 1-2 -- run --backend none", "a sweep's run cannot have --backend none or exec");
    refused("sweep --fail-all -- run --backend exec:true", "cannot have --backend none or exec");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dom0/run");
    TCase *tcase = tcase_create("backend");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, main_job, 0, DOMIDS);
    tcase_add_test(tcase, netback_of_the_machine_in_a_driver_domain);
    tcase_add_loop_test(tcase, killed_under_traffic, 0, DOMIDS);
    tcase_add_loop_test(tcase, closed_and_opened_again, 0, DOMIDS);
    tcase_add_test(tcase, what_it_found_wrong);
    tcase_add_test(tcase, what_it_sent_wrong);
    tcase_add_test(tcase, killed);
    tcase_add_test(tcase, refusals);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
