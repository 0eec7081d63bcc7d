/*
 * Whatever way a run fails, its bundle shows the same failure again: same rule, same event number, same hash. Each case
 * fails once, by itself or in a sweep; the bundle says what it was, the replay must say the same.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"

#define FEW "tests/captures/few-wire.pcap"
#define LAN "tests/captures/lan-wire.pcap"

static const struct {
    const char *name;
    enum planted_bug bug;
    bool memory;         /* modules for --preempt=memory */
    const char *sweep;   /* options of the sweep that finds it; NULL: a run fails by itself */
    const char *options; /* of the run */
    const char *rule;
} kinds[] = {
    {"a rule that is broken", PLANTED_DOUBLE, false, NULL, "--seed 5 --policy pct", "pool-double-free"},
    {"a bugcheck of a driver", PLANTED_SCENE, false, NULL, "--seed 5 --policy random", "bugcheck"},
    {"a driver that never comes back", PLANTED_WAIT, false, NULL, "--seed 5", "timeout"},
    {"no time left", PLANTED_NONE, false, NULL, "--seed 5 --policy pct --timeout 2ms --tx " LAN " --rx " LAN,
     "timeout"},
    {"pool that is left at unload", PLANTED_LEAK, false, NULL, "--seed 5 --vcpus 4 --tx " FEW, "pool-leak-at-unload"},
    {"a frame that is changed", PLANTED_SCRAMBLE, false, NULL, "--seed 5 --policy random --rx " FEW, "verdict"},
    {"a fault", PLANTED_MEMORY_FAILS, false, NULL, "--seed 5 --fail call=MmAllocateContiguousMemory --tx " FEW,
     "bugcheck"},
    {"a fault by chance", PLANTED_MEMORY_FAILS, false, "--seeds 1-40", "--fail rate=0.2 --tx " FEW, "bugcheck"},
    {"a delay", PLANTED_DELAY, false, "--seeds 1-40 --policy random", "--delay 0.2", "bugcheck"},
    {"a change of runners at a load", PLANTED_MEMORY, true, "--seeds 1-40 --policy random", "--preempt=memory",
     "bugcheck"},
    {"a change of threads", PLANTED_PINNED, false, "--seeds 1-60 --policy random", "", "bugcheck"},
    {"one of many that start where the machine was booted", PLANTED_LEAK, false,
     "--seeds 8-9 --policy pct --from connected", "--boot-seed 3 --tx " FEW, "pool-leak-at-unload"},
    {"a time limit", PLANTED_NONE, false, NULL, "--seed 5 --policy pct --dpc-limit 1us", "dpc-time"},
};

static void find_bundle(size_t index, char *bundle)
{
    const char *folder = planted_folder(kinds[index].bug, kinds[index].memory);
    struct process_result result;
    const char *at;

    if (kinds[index].sweep != NULL)
        result = pvsim("sweep %s -- run %s --drivers %s --bundle-dir %s", kinds[index].sweep, kinds[index].options,
                       folder, scratch());
    else
        result = pvsim("run %s --drivers %s --bundle-dir %s", kinds[index].options, folder, scratch());
    at = strstr(result.output, "pvsim replay ");
    ck_assert_msg(result.status == 1 && at != NULL && sscanf(at, "pvsim replay %511s", bundle) == 1, "%s: %d\n%s%s",
                  kinds[index].name, result.status, result.output, result.error);
    process_free(&result);
}

START_TEST(same_again)
{
    struct process_result result;
    json_error_t error;
    json_t *object;
    const char *rule;
    const char *hash;
    json_int_t event;
    char bundle[512];
    char expected[256];

    find_bundle((size_t)_i, bundle);
    object = json_load_file(bundle, 0, &error);
    ck_assert_msg(object != NULL, "%s", error.text);
    ck_assert_int_eq(json_unpack(object, "{s:s, s:s, s:I}", "rule", &rule, "hash", &hash, "event", &event), 0);
    ck_assert_msg(strcmp(rule, kinds[_i].rule) == 0, "%s: rule %s", kinds[_i].name, rule);
    snprintf(expected, sizeof(expected),
             "replay: the same failure (rule %s, event %" JSON_INTEGER_FORMAT ", hash %s)\n", rule, event, hash);
    json_decref(object);

    result = pvsim("replay %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, expected) != NULL, "%s: %d, not %s\n%s%s", kinds[_i].name,
                  result.status, expected, result.output, result.error);
    process_free(&result);
    /* Looking closer changes nothing. */
    result = pvsim("replay --log trace --show threads,irp %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, expected) != NULL, "%s: %d, not %s\n%s", kinds[_i].name,
                  result.status, expected, result.output);
    process_free(&result);
}
END_TEST

/* The parallel engine's runs are not repeatable: its bundle says what failed, and a replay says so. */
START_TEST(not_of_the_parallel_engine)
{
    struct process_result result =
        pvsim("run --engine par --drivers %s --bundle-dir %s", planted_folder(PLANTED_DOUBLE, false), scratch());
    const char *at = strstr(result.output, "\nbundle: ");
    char bundle[512];

    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.output, "not repeatable"));
    ck_assert_msg(at != NULL && sscanf(at, "\nbundle: %511[^;]", bundle) == 1, "%s", result.output);
    process_free(&result);
    result = pvsim("replay %s", bundle);
    ck_assert_int_eq(result.status, 2);
    ck_assert_uint_eq(line_count(result.error), 1);
    ck_assert_ptr_nonnull(strstr(result.error, "not repeatable"));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reproduce");
    TCase *tcase = tcase_create("kinds of failure");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, same_again, 0, (int)(sizeof(kinds) / sizeof(kinds[0])));
    tcase_add_test(tcase, not_of_the_parallel_engine);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
