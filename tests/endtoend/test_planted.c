/*
 * Planted bugs that only one way of exploring finds, and runs that die or never end.
 */
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"

#define SEEDS "1-40"

static void check_sweep(const char *arguments, const char *drivers, const char *end, const char *what)
{
    struct process_result result =
        pvsim("sweep --seeds " SEEDS " --policy random -- run --bundle-dir %s --drivers %s %s", scratch(), drivers,
              arguments);
    char line[256];

    ck_assert_msg(strncmp(last_line(result.output, line, sizeof(line)), end, strlen(end)) == 0 &&
                      (what == NULL || strstr(result.output, what) != NULL),
                  "%s\n%s%s", arguments, result.output, result.error);
    process_free(&result);
}

/* Two plain stores in the wrong order: between them there is no call. */
START_TEST(memory_preemption_finds_it)
{
    char folder[256];
    struct process_result result;
    char bundle[512] = "";
    const char *at;

    check_sweep("", planted_folder(PLANTED_MEMORY, false), "PASS passed=40", NULL);
    snprintf(folder, sizeof(folder), "%s", planted_folder(PLANTED_MEMORY, true));
    check_sweep("", folder, "PASS passed=40", NULL);
    check_sweep("--preempt=memory", folder, "FAIL", "rule bugcheck");

    result = pvsim("sweep --seeds " SEEDS " --policy random -- run --preempt=memory --bundle-dir %s --drivers %s",
                   scratch(), folder);
    at = strstr(result.output, "again: pvsim replay ");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "again: pvsim replay %511s", bundle), 1);
    process_free(&result);
    result = pvsim("replay %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, "replay: the same failure (rule bugcheck") != NULL,
                  "%s%s", result.output, result.error);
    process_free(&result);
    result = pvsim("replay --until 300 %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, "stopped before event 300") != NULL, "%s%s",
                  result.output, result.error);
    process_free(&result);
}
END_TEST

START_TEST(memory_needs_modules_for_it)
{
    struct process_result result = pvsim("run --preempt=memory --drivers %s", planted_folder(PLANTED_NONE, false));

    ck_assert_int_eq(result.status, 125);
    ck_assert_uint_eq(line_count(result.error), 1);
    ck_assert_ptr_nonnull(strstr(result.error, "was not compiled for --preempt=memory"));
    process_free(&result);
}
END_TEST

/* The main job with switch points everywhere. */
START_TEST(main_job_preempted_anywhere)
{
    struct process_result result = pvsim("sweep --seeds 1-6 --policy pct -- run --preempt=memory --tx "
                                         "tests/captures/lan-wire.pcap --rx tests/captures/lan-wire.pcap");

    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    process_free(&result);
}
END_TEST

START_TEST(runs_that_never_end)
{
    struct process_result result =
        pvsim("sweep --limit 2s --seeds 5-5 -- run --drivers %s", planted_folder(PLANTED_HANG, false));

    ck_assert_int_eq(result.status, 1);
    ck_assert_msg(strstr(result.output, "seed 5: no end within 2 s of the host's time\n  again: pvsim run ") != NULL,
                  "%s%s", result.output, result.error);
    ck_assert_ptr_nonnull(strstr(result.output, "--seed 5\n"));
    process_free(&result);
}
END_TEST

START_TEST(runs_that_die)
{
    struct process_result result = pvsim("sweep --seeds 6-6 -- run --drivers %s", planted_folder(PLANTED_DIE, false));

    ck_assert_int_eq(result.status, 1);
    ck_assert_msg(strstr(result.output, "seed 6: the simulator itself died of signal 5\n") != NULL, "%s%s",
                  result.output, result.error);
    ck_assert_ptr_nonnull(strstr(result.output, "--seed 6\n"));
    process_free(&result);
}
END_TEST

/* A DPC of low importance is trusted to have run after a millisecond: it has, unless something is delayed. */
START_TEST(delay_finds_it)
{
    char folder[256];

    snprintf(folder, sizeof(folder), "%s", planted_folder(PLANTED_DELAY, false));
    check_sweep("", folder, "PASS passed=40", NULL);
    check_sweep("--delay 0.2", folder, "FAIL", "rule bugcheck");
}
END_TEST

START_TEST(main_job_delayed)
{
    static const char *const policies[] = {"fifo", "random", "pct"};
    struct process_result result =
        pvsim("sweep --seeds 1-15 --policy %s -- run --delay %s --tx tests/captures/lan-wire.pcap --rx "
              "tests/captures/lan-wire.pcap",
              policies[_i], _i == 0 ? "1" : "0.1");
    char line[256];

    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS passed=15 failed=0 not-tried=0 hashes=15");
    process_free(&result);
}
END_TEST

START_TEST(delays_are_documented)
{
    static const char *const kinds[] = {"dpc ", "dpc-queue ", "timer ", "interrupt ", "work-item ", "completion "};
    struct process_result result = pvsim("run --delay list");

    ck_assert_int_eq(result.status, 0);
    for (size_t index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++) {
        const char *at = strstr(result.output, kinds[index]);

        ck_assert_msg(at != NULL && strstr(at, " up to ") != NULL && strstr(at, "https://") != NULL, "%s",
                      kinds[index]);
    }
    process_free(&result);
}
END_TEST

static const char *const wrong[] = {"0", "1.5", "-1", "often", "nan", "0.1x"};

START_TEST(delay_takes_a_probability)
{
    struct process_result result = pvsim("run --delay %s", wrong[_i]);

    ck_assert_int_eq(result.status, 2);
    ck_assert_uint_eq(line_count(result.error), 1);
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("planted");
    TCase *tcase = tcase_create("bugs");

    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, memory_preemption_finds_it);
    tcase_add_test(tcase, memory_needs_modules_for_it);
    tcase_add_test(tcase, main_job_preempted_anywhere);
    tcase_add_test(tcase, delay_finds_it);
    tcase_add_loop_test(tcase, main_job_delayed, 0, 3);
    tcase_add_test(tcase, delays_are_documented);
    tcase_add_loop_test(tcase, delay_takes_a_probability, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    tcase_add_test(tcase, runs_that_never_end);
    tcase_add_test(tcase, runs_that_die);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
