/*
 * pvsim sweep: a forked run is the run that its seed makes alone; ranges, shards and failures are what they are said to
 * be; GNU parallel can hand the shards out; progress is shown.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/progress.h"
#include "common/guest.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"
#define JOB "run --vcpus 3 --tx " LAN " --rx " LAN

/* The hash in the sweep's line about a seed, 0 if the seed has none. */
static uint64_t seed_hash(const char *output, unsigned seed)
{
    char start[32];
    const char *line;

    snprintf(start, sizeof(start), "seed %u: ", seed);
    for (line = output; line != NULL && strncmp(line, start, strlen(start)) != 0;) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return line != NULL ? report_hash(line) : 0;
}

static void check_alone(const struct process_result *sweep, unsigned seed, const char *more)
{
    struct process_result alone = pvsim("%s --policy pct --seed %u %s", JOB, seed, more);

    ck_assert_int_eq(alone.status, 0);
    ck_assert_uint_eq(report_hash(alone.output), seed_hash(sweep->output, seed));
    process_free(&alone);
}

START_TEST(forked_from_power_on)
{
    struct process_result result = pvsim("sweep -v -j 2 --seeds 7-9 --policy pct -- " JOB);
    char line[256];

    ck_assert_msg(result.status == 0, "exit status %d\n%s%s", result.status, result.output, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS passed=3 failed=0 not-tried=0 hashes=3");
    for (unsigned seed = 7; seed <= 9; seed++)
        check_alone(&result, seed, "");
    process_free(&result);
}
END_TEST

START_TEST(forked_from_connected)
{
    struct process_result result =
        pvsim("sweep -v -j 2 --seeds 7-9 --policy pct --from connected -- " JOB " --boot-seed 4");
    struct process_result other = pvsim("sweep -v --seeds 7-7 --policy pct --from connected -- " JOB);

    ck_assert_msg(result.status == 0, "exit status %d\n%s%s", result.status, result.output, result.error);
    for (unsigned seed = 7; seed <= 9; seed++)
        check_alone(&result, seed, "--boot-seed 4");
    check_alone(&other, 7, "--boot-seed 1");
    ck_assert_uint_ne(seed_hash(other.output, 7), seed_hash(result.output, 7));
    process_free(&result);
    process_free(&other);
}
END_TEST

/* Each of the printed commands shows the failure again. */
START_TEST(failures_come_with_commands)
{
    struct process_result result =
        pvsim("sweep --seeds 5-6 --policy random -- " JOB " --timeout 2ms --bundle-dir %s", scratch());
    char line[256];
    char bundle[512] = "";
    char command[2048] = "";
    const char *at;

    ck_assert_int_eq(result.status, 1);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "FAIL passed=0 failed=2 not-tried=0 hashes=2");
    at = strstr(result.output, "again: pvsim replay ");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "again: pvsim replay %511s", bundle), 1);
    at = strstr(result.output, "or:    pvsim run ");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "or:    pvsim %2047[^\n]", command), 1);

    struct process_result replay = pvsim("replay %s", bundle);
    struct process_result run = pvsim("%s", command);
    unsigned seed = (unsigned)strtoul(strstr(command, "--seed ") + 7, NULL, 10);

    ck_assert_msg(replay.status == 0, "%s%s", replay.output, replay.error);
    ck_assert_int_eq(run.status, 1);
    ck_assert_uint_eq(report_hash(strstr(run.output, "events: ")), seed_hash(result.output, seed));
    process_free(&replay);
    process_free(&run);
    process_free(&result);
}
END_TEST

/* Every seed of the range is in one shard and no other. */
START_TEST(shards)
{
    unsigned seen[8] = {0};

    for (unsigned shard = 1; shard <= 3; shard++) {
        struct process_result result = pvsim("sweep -v --seeds 1-7 --shard %u/3 -- run", shard);

        ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
        for (unsigned seed = 1; seed <= 7; seed++)
            seen[seed] += seed_hash(result.output, seed) != 0;
        process_free(&result);
    }
    for (unsigned seed = 1; seed <= 7; seed++)
        ck_assert_uint_eq(seen[seed], 1);
}
END_TEST

/* What a command writes to standard error when that is a terminal. */
static void on_terminal(char *const argv[], char *text, size_t size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    size_t length = 0;
    ssize_t count;
    pid_t child;
    int status;

    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (dup2(open(ptsname(master), O_RDWR | O_NOCTTY), STDERR_FILENO) < 0 ||
            dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) < 0)
            _exit(126);
        execv(argv[0], argv);
        _exit(127);
    }
    /* The end of the last process with the terminal open is an error here. */
    while (length < size - 1 && (count = read(master, text + length, size - 1 - length)) > 0)
        length += (size_t)count;
    text[length] = '\0';
    close(master);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d: %s", status, text);
}

/* One line in place that counts up, with what it is of and how fast, and that is gone at the end. */
static void check_progress(const char *text, const char *format)
{
    unsigned long before = 0;
    unsigned lines = 0;

    for (const char *at = strstr(text, "\rpvsim: "); at != NULL; at = strstr(at + 1, "\rpvsim: ")) {
        unsigned long done;
        int length = 0;

        ck_assert_msg(sscanf(at, format, &done, &length) == 1 && length != 0 &&
                          strncmp(at + length, " a second \033[K", 13) == 0,
                      "%s", at);
        ck_assert_uint_ge(done, before);
        before = done;
        lines++;
    }
    ck_assert_msg(lines >= 2 && before > 0, "%s", text);
    ck_assert_ptr_null(strchr(text, '\n'));
    ck_assert_str_eq(text + strlen(text) - 4, "\r\033[K");
}

START_TEST(progress_on_a_terminal)
{
    char *const seeds[] = {PVSIM_BUILD "/pvsim", "sweep", "--seeds", "1-40", "--", "run", "--rx", LAN, NULL};
    char *const faults[] = {PVSIM_BUILD "/pvsim", "sweep", "--fail-all", "--range", "1-60", "--", "run", NULL};
    char text[16384];

    on_terminal(seeds, text, sizeof(text));
    check_progress(text, "\rpvsim: %lu of 40 seeds, 0 failed, %*u%n");
    on_terminal(faults, text, sizeof(text));
    check_progress(text, "\rpvsim: %lu faults, now in boot, 0 failed, %*u%n");
}
END_TEST

/* To a file: a line of its own every ten seconds. */
START_TEST(progress_in_a_file)
{
    struct progress progress;
    FILE *file = tmpfile();
    int terminal = dup(STDERR_FILENO);
    char text[64] = "";

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
    progress_start(&progress);
    progress_show(&progress, "%u of it", 1u);
    progress.shown -= UINT64_C(10000000000);
    progress_show(&progress, "%u of it", 2u);
    progress_show(&progress, "%u of it", 3u);
    progress_clear();
    ck_assert_int_ge(dup2(terminal, STDERR_FILENO), 0);
    close(terminal);
    ck_assert_int_ge(pread(fileno(file), text, sizeof(text) - 1, 0), 0);
    ck_assert_str_eq(text, "pvsim: 2 of it\n");
    fclose(file);
}
END_TEST

static const char *const wrong[] = {
    "sweep -- run",
    "sweep --seeds 5 -- run",
    "sweep --seeds 5-4 -- run",
    "sweep --seeds a-b -- run",
    "sweep --seeds -1-4 -- run",
    "sweep --seeds 1-4x -- run",
    "sweep --seeds 0-18446744073709551616 -- run",
    "sweep --seeds 1-4",
    "sweep --seeds 1-4 -- replay",
    "sweep --seeds 1-4 --shard 0/2 -- run",
    "sweep --seeds 1-4 --shard 3/2 -- run",
    "sweep --seeds 1-4 --shard 1 -- run",
    "sweep --seeds 1-4 -j 0 -- run",
    "sweep --seeds 1-4 --from nowhere -- run",
    "sweep --seeds 1-4 --policy lifo -- run",
    "sweep --seeds 1-4 --policy pct:0 -- run",
    "sweep --seeds 1-4 -- run --seed 3",
    "sweep --seeds 1-4 -- run --clock wall",
    "sweep --seeds 1-4 -- run --format json",
    "sweep --seeds 1-4 -- run --tx " LAN " --out-tx /dev/null",
    "sweep --seeds 1-4 -- run --tx no-such-file.pcap",
};

START_TEST(usage_errors)
{
    struct process_result result = pvsim("%s", wrong[_i]);

    ck_assert_msg(result.status == 2 && line_count(result.error) == 1 && result.output[0] == '\0',
                  "pvsim %s: exit status %d\n%s%s", wrong[_i], result.status, result.output, result.error);
    process_free(&result);
}
END_TEST

/* As the manual says it for several hosts, on this one. */
START_TEST(gnu_parallel)
{
    const char *const version[] = {"parallel", "--version", NULL};
    const char *const argv[] = {"parallel", "--will-cite", "-S",      ":",   "--workdir", ".",    PVSIM_BUILD "/pvsim",
                                "sweep",    "-v",          "--seeds", "1-5", "--shard",   "{}/2", "--",
                                "run",      ":::",         "1",       "2",   NULL};
    struct process_result result = process_run(version);
    bool there = result.status == 0 && strstr(result.output, "GNU parallel") != NULL;

    process_free(&result);
    if (!there) {
        printf("skipped: parallel: GNU parallel is not installed (package parallel)\n");
        return;
    }
    result = process_run(argv);
    ck_assert_msg(result.status == 0, "exit status %d\n%s%s", result.status, result.output, result.error);
    for (unsigned seed = 1; seed <= 5; seed++)
        ck_assert_uint_ne(seed_hash(result.output, seed), 0);
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sweep");
    TCase *tcase = tcase_create("forked runs");
    TCase *usage = tcase_create("usage");

    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, forked_from_power_on);
    tcase_add_test(tcase, forked_from_connected);
    tcase_add_test(tcase, failures_come_with_commands);
    tcase_add_test(tcase, shards);
    tcase_add_test(tcase, gnu_parallel);
    tcase_add_test(tcase, progress_on_a_terminal);
    tcase_add_test(tcase, progress_in_a_file);
    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(usage, usage_errors, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    suite_add_tcase(suite, usage);
    return guest_suite_run(suite);
}
