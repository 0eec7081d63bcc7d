/*
 * The conformance driver (tests/nt), each case on a machine of its own; then the machine as a user of Windows has it,
 * with all that may run one after the other.
 *
 *   test_nt                                     the tests (Check)
 *   test_nt --list                              the driver's cases: suite, name, flags, rule, bug check
 *   test_nt --transcript                        the transcript of all cases, to compare with one of Windows'
 *   test_nt CASE [--policy P] [--seed N]        one case: what it printed and how it ended
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"
#include "conformance/conform.h"

/* Seeds of pct and of random each: the plain build draws them. Under a sanitizer, whose parallel engine has none, a
 * machine of their own have only the cases that end it: the others share one. */
#ifdef PVSIM_SANITIZE
#define SEEDS 0
#define SHARE true
#define SANITIZED true
#else
#define SEEDS 5
#define SHARE false
#define SANITIZED false
#endif

static const struct conform_case *cases;
static unsigned case_count;
static const struct conform_case *alone[CONFORM_CASES_MAX]; /* each on a machine of its own */
static unsigned alone_count;

/* A wild access: a sanitizer ends the program with a report of its own. */
static void must_be_the_sanitizers(const struct conform_case *one)
{
    const char *argv[] = {"/proc/self/exe", one->name, NULL};
    struct process_result result = process_run(argv);

    ck_assert_msg(result.status != 0 && strstr(result.error, "Sanitizer: SEGV") != NULL &&
                      strstr(result.error, one->name) != NULL,
                  "exit status %d, and no report of a wild access by %s:\n%.1500s", result.status, one->name,
                  result.error);
    process_free(&result);
}

START_TEST(test_case)
{
    static char why[4000];

    if (SANITIZED && strcmp(alone[_i]->rule, "fault") == 0) {
        must_be_the_sanitizers(alone[_i]);
        return;
    }
    ck_assert_msg(conform_check(alone[_i], SEEDS, why, sizeof(why)), "%s", why);
}
END_TEST

/* No case but those that name themselves runs into a violation, and none disturbs another. */
START_TEST(test_all_in_one_machine)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result = conform_run(&config, "", true, NULL);
    unsigned expected = 0;

    for (unsigned i = 0; i < case_count; i++)
        expected += cases[i].rule[0] == '\0';
    ck_assert_msg(result.end == MACHINE_DONE, "%.2000s", result.failure);
    ck_assert_msg(result.failed == 0,
                  "%u cases failed; " PVSIM_BUILD "/tests/conformance/test_nt --transcript shows it", result.failed);
    ck_assert_uint_eq(result.passed, expected);
    free(result.output);
}
END_TEST

/* On a machine with one processor what needs more is skipped, and says so. */
START_TEST(test_too_few_processors)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result;

    config.vcpus = 1;
    result = conform_run(&config, "EventNotificationReleasesAll", false, NULL);
    ck_assert_uint_eq(result.skipped, 1);
    ck_assert_uint_eq(result.passed + result.failed, 0);
    ck_assert_ptr_nonnull(strstr(result.output, "skipped EventNotificationReleasesAll: not enough processors"));
    free(result.output);
}
END_TEST

/* Where the driver is a mere service, what needs a device is skipped, and says so. */
START_TEST(test_no_device)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result = conform_run(&config, "DeviceStackOfTheDriver", false, NULL);

    ck_assert_uint_eq(result.skipped, 1);
    ck_assert_ptr_nonnull(strstr(result.output, "skipped DeviceStackOfTheDriver: no device"));
    free(result.output);
}
END_TEST

/* A suite can be named, and what is named and not there runs nothing. */
START_TEST(test_selection)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result = conform_run(&config, "ke_event NoSuchCase", false, NULL);

    ck_assert_ptr_nonnull(strstr(result.output, "passed EventReturnValues"));
    ck_assert_ptr_null(strstr(result.output, "passed WaitZeroTimeout"));
    free(result.output);
    result = conform_run(&config, "NoSuchCase", false, NULL);
    ck_assert(result.done);
    ck_assert_uint_eq(result.passed + result.failed + result.skipped, 0);
    free(result.output);
}
END_TEST

/* A transcript that cannot be written does not stop the tests: this machine has no such drive. */
START_TEST(test_no_file_for_the_transcript)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result = conform_run(&config, "EventReturnValues", false, "\\??\\Z:\\nttest.txt");

    ck_assert_ptr_nonnull(
        strstr(result.output, "cannot write the transcript to \\??\\Z:\\nttest.txt: status 0xc00000"));
    ck_assert_uint_eq(result.passed, 1);
    free(result.output);
}
END_TEST

/* The transcript as a file of the machine: what the debugger saw, and nothing after it. */
START_TEST(test_file_for_the_transcript)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result =
        conform_run(&config, "EventReturnValues", false, "\\??\\C:\\Windows\\Temp\\nttest.txt");

    ck_assert_uint_eq(result.passed, 1);
    ck_assert_ptr_nonnull(result.file);
    ck_assert_ptr_nonnull(strstr(result.file, "EventReturnValues: "));
    ck_assert_ptr_nonnull(strstr(result.file, "passed EventReturnValues\r\n"));
    free(result.file);
    free(result.output);
}
END_TEST

static int list(void)
{
    for (unsigned i = 0; i < case_count; i++)
        printf("%s %s %s %s 0x%08x\n", cases[i].suite, cases[i].name, cases[i].schedules ? "schedules" : "-",
               cases[i].rule[0] != '\0' ? cases[i].rule : "-", cases[i].code);
    return 0;
}

static int transcript(void)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result = conform_run(&config, "", true, NULL);

    fputs(result.output, stdout);
    fputs(result.failure, stderr);
    for (unsigned i = 0; i < case_count; i++)
        if (cases[i].rule[0] != '\0')
            printf("bugcheck %s: 0x%08x (%s)\n", cases[i].name, cases[i].code, cases[i].rule);
    free(result.output);
    return result.end == MACHINE_DONE && result.failed == 0 ? 0 : 1;
}

static int one(int argc, char **argv)
{
    const struct conform_case *found = conform_find(argv[1]);
    struct machine_config config;
    struct conform_result result;

    if (found == NULL) {
        fprintf(stderr, "there is no case '%s'; --list shows them\n", argv[1]);
        return 2;
    }
    config = conform_config(found);
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            config.seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--policy") == 0)
            config.policy = strcmp(argv[i + 1], "pct") == 0      ? POLICY_PCT
                            : strcmp(argv[i + 1], "random") == 0 ? POLICY_RANDOM
                                                                 : POLICY_FIFO;
    }
    result = conform_run(&config, found->name, found->device, NULL);
    fputs(result.output, stdout);
    fputs(result.failure, stdout);
    free(result.output);
    if (found->rule[0] != '\0')
        return result.end == MACHINE_FAILED && strcmp(result.rule, found->rule) == 0 ? 0 : 1;
    return result.end == MACHINE_DONE && result.passed == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *bound = getenv("CONFORM_EVERY"); /* under a sanitizer: each N-th of the cases that end their machine */
    unsigned every = bound != NULL && atoi(bound) > 0 ? (unsigned)atoi(bound) : 1;
    Suite *suite;
    TCase *tcase;

    cases = conform_cases(&case_count);
    if (argc > 1 && strcmp(argv[1], "--list") == 0)
        return list();
    if (argc > 1 && strcmp(argv[1], "--transcript") == 0)
        return transcript();
    if (argc > 1)
        return one(argc, argv);
    for (unsigned i = 0, endings = 0; i < case_count; i++)
        if (!SHARE || (cases[i].rule[0] != '\0' && endings++ % every == 0))
            alone[alone_count++] = &cases[i];
    suite = suite_create("conformance/nt");
    tcase = tcase_create("cases");
    tcase_add_loop_test(tcase, test_case, 0, (int)alone_count);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("driver");
    tcase_add_test(tcase, test_all_in_one_machine);
    tcase_add_test(tcase, test_too_few_processors);
    tcase_add_test(tcase, test_no_device);
    tcase_add_test(tcase, test_selection);
    tcase_add_test(tcase, test_no_file_for_the_transcript);
    tcase_add_test(tcase, test_file_for_the_transcript);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
