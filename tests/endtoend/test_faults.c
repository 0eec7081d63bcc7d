/* --fail: which calls fail, how that shows in the report, and that the devices come back (README, pvsim(1)). */
#include <ctype.h>
#include <dirent.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"
#include "machine/fault.h"

#define FEW "tests/captures/few-wire.pcap"
#define RUN "run --no-bundle --tx " FEW " --rx " FEW

static void assert_contains(const struct process_result *result, const char *text)
{
    ck_assert_msg(strstr(result->output, text) != NULL || strstr(result->error, text) != NULL, "no '%s' in:\n%s\n%s",
                  text, result->output, result->error);
}

static void assert_refused(const char *what, const char *text)
{
    struct process_result result = pvsim("run --fail %s", what);

    ck_assert_int_eq(result.status, 2);
    ck_assert_uint_eq(line_count(result.error), 1);
    assert_contains(&result, text);
    process_free(&result);
}

START_TEST(nonsense_is_refused)
{
    assert_refused("nth=0", "nth= takes a whole number from 1");
    assert_refused("nth=-3", "nth= takes a whole number from 1");
    assert_refused("rate=0", "rate= takes a probability");
    assert_refused("rate=1.5", "rate= takes a probability");
    assert_refused("kind=pool+money", "not 'money'");
    assert_refused("phase=", "not ''");
    assert_refused("often", "takes nth=N");
    assert_refused("nth=3,rate=0.1", "exclude each other");
    assert_refused("nth=3,seed=7", "seed= goes with rate=");
    assert_refused("call=ExAllocatePoolWithTagg", "no routine of that name");
    assert_refused("call=ZwClose", "never fails for lack of resources");
    assert_refused("call=IoAllocateMdl,kind=pool", "is of kind mdl");
}
END_TEST

START_TEST(list_names_every_kind)
{
    struct process_result result = pvsim("run --fail list");
    const struct fault_point *point;

    ck_assert_int_eq(result.status, 0);
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++)
        assert_contains(&result, fault_kind_name((enum fault_kind)kind));
    for (unsigned index = 0; (point = fault_point(index)) != NULL; index++)
        assert_contains(&result, point->routine);
    assert_contains(&result, "Never failed, and why:");
    process_free(&result);
}
END_TEST

/* A plan that nothing matches: the calls are counted, and the run is a plain one. */
START_TEST(counts_without_failing)
{
    struct process_result result = pvsim(RUN " --fail nth=1000000");

    ck_assert_int_eq(result.status, 0);
    assert_contains(&result, "faults: 0 of ");
    assert_contains(&result, "PASS tx=6 rx=6 lost=0 corrupt=0 leaks=0");
    process_free(&result);
}
END_TEST

static json_t *report_of(struct process_result *result)
{
    json_error_t error;
    json_t *report = json_loads(result->output, 0, &error);

    ck_assert_msg(report != NULL, "%s\n%s\n%s", error.text, result->output, result->error);
    return report;
}

static json_t *failed_calls(json_t *report)
{
    return json_object_get(json_object_get(report, "faults"), "failed");
}

/* The N-th of the matching calls and no other, with its place in the driver's source. */
START_TEST(nth_fails_one_call)
{
    struct process_result result = pvsim(RUN " --format json --fail nth=3,call=IoAllocateMdl");
    json_t *report = report_of(&result);
    json_t *failed = failed_calls(report);
    const char *where;

    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(json_array_size(failed), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(failed, 0), "routine")), "IoAllocateMdl");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(failed, 0), "kind")), "mdl");
    where = json_string_value(json_object_get(json_array_get(failed, 0), "where"));
    ck_assert_msg(strstr(where, ".so!") != NULL && strstr(where, ".c:") != NULL, "%s", where);
    json_decref(report);
    process_free(&result);
}
END_TEST

/* Rules of several --fail count for themselves: the second counts the call that the first fails. */
START_TEST(rules_compose)
{
    struct process_result result = pvsim(RUN " --format json --fail nth=20 --fail nth=3,kind=registry --fail nth=22");
    json_t *report = report_of(&result);
    json_t *failed = failed_calls(report);

    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(json_array_size(failed), 3);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(failed, 0), "kind")), "registry");
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(failed, 1), "call")), 20);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(failed, 2), "call")), 22);
    json_decref(report);
    process_free(&result);
}
END_TEST

START_TEST(phase_and_kind_restrict)
{
    struct process_result result = pvsim(RUN " --format json --fail rate=0.5,kind=pool+mdl,phase=traffic");
    json_t *report = report_of(&result);
    json_t *record;
    size_t index;

    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_gt(json_array_size(failed_calls(report)), 0);
    json_array_foreach(failed_calls(report), index, record)
    {
        const char *kind = json_string_value(json_object_get(record, "kind"));

        ck_assert_str_eq(json_string_value(json_object_get(record, "phase")), "traffic");
        ck_assert_msg(strcmp(kind, "pool") == 0 || strcmp(kind, "mdl") == 0, "%s", kind);
    }
    json_decref(report);
    process_free(&result);
}
END_TEST

/* Equal plans fail equal calls; another seed fails others. */
START_TEST(equal_plans_are_equal_runs)
{
    struct process_result first = pvsim(RUN " --fail rate=0.01,seed=7");
    struct process_result again = pvsim(RUN " --log debug --fail rate=0.01,seed=7");
    struct process_result other = pvsim(RUN " --fail rate=0.01,seed=9");

    ck_assert_uint_eq(report_hash(first.output), report_hash(again.output));
    ck_assert_uint_ne(report_hash(first.output), report_hash(other.output));
    ck_assert_int_eq(first.status, 0);
    ck_assert_int_eq(other.status, 0);
    process_free(&first);
    process_free(&again);
    process_free(&other);
}
END_TEST

/* Nothing of one kind at all: the devices cannot start, and do once faults are off. */
START_TEST(devices_come_back)
{
    static const char *const kinds[] = {"pool", "thread", "interrupt", "mapping", "registry", "hypercall"};
    struct process_result result = pvsim(RUN " --fail kind=%s,phase=boot+connect+traffic", kinds[_i]);

    assert_contains(&result, "PASS tx=6 rx=6 lost=0 corrupt=0 leaks=0");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

/*
 * What has to be given back is given back without memory: watches, transactions and error nodes in the store, whose
 * requests once took some; a state that could not be read is read again; a bus that cannot list its children keeps
 * them.
 */
START_TEST(nothing_is_left_behind)
{
    static const char *const plans[] = {"kind=pool,phase=teardown", "kind=pool,phase=connect", "rate=0.5,seed=10",
                                        "rate=0.1,seed=9", "nth=1461 --fail nth=1462 --fail nth=1621"};
    struct process_result result = pvsim(RUN " --fail %s", plans[_i]);

    assert_contains(&result, "PASS tx=6 rx=6 lost=0 corrupt=0 leaks=0");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

/* One that a driver makes few of, each in turn: what was made before it is taken down again. */
static const struct {
    const char *call;
    unsigned count;
} rare[] = {{"PsCreateSystemThread", 4}, {"IoConnectInterruptEx", 3}, {"MmMapIoSpace", 2}, {"IoCreateDevice", 4}};

START_TEST(each_of_the_rare_ones)
{
    for (unsigned nth = 1; nth <= rare[_i].count; nth++) {
        struct process_result result = pvsim(RUN " --fail nth=%u,call=%s", nth, rare[_i].call);

        assert_contains(&result, "faults: 1 of ");
        assert_contains(&result, "PASS tx=6 rx=6 lost=0 corrupt=0 leaks=0");
        ck_assert_int_eq(result.status, 0);
        process_free(&result);
    }
}
END_TEST

/* Routines that the drivers do without, in the order of the bits of tests/clients/planted/fallible.c. */
static const char *const others[] = {
    "IoCreateNotificationEvent",
    "IoCreateSynchronizationEvent",
    "ZwCreateEvent",
    "IoAllocateErrorLogEntry",
    "MmGetPhysicalMemoryRanges",
    "IoCreateDeviceSecure",
    "IoSetCompletionRoutineEx",
    "PoRegisterDeviceForIdleDetection",
    "PoRegisterPowerSettingCallback",
    "ZwCreateFile",
    "ZwOpenFile",
};
static const unsigned other_bits[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x80, 0x40, 0x100, 0x200, 0x400};

START_TEST(others_fail_as_the_table_says)
{
    const char *folder = planted_folder(PLANTED_FALLIBLE, false);
    struct process_result result = pvsim("run --no-bundle --drivers %s", folder);
    char expected[64];

    assert_contains(&result, "parameters 0xc 0x0 ");
    process_free(&result);
    result = pvsim("run --no-bundle --fail call=%s --drivers %s", others[_i], folder);
    snprintf(expected, sizeof(expected), "parameters 0xc 0x%x ", other_bits[_i]);
    assert_contains(&result, expected);
    process_free(&result);
}
END_TEST

/* After a fault in the teardown the machine boots again. */
START_TEST(teardown_then_start)
{
    struct process_result result = pvsim(RUN " --fail nth=1,phase=teardown");

    assert_contains(&result, "faults: 1 of ");
    assert_contains(&result, "failed during teardown");
    assert_contains(&result, "PASS tx=6 rx=6 lost=0 corrupt=0 leaks=0");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

/* A failure under faults leaves a bundle with the plan, and comes again from it. */
START_TEST(bundle_replays_the_plan)
{
    struct process_result result = pvsim("run --tx " FEW " --fail nth=40 --timeout 200us --bundle-dir %s", scratch());
    char path[512];
    const char *bundle = strstr(result.output, "bundle: ");

    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(bundle);
    snprintf(path, sizeof(path), "%.*s", (int)strcspn(bundle + 8, ";"), bundle + 8);
    process_free(&result);
    result = pvsim("replay %s", path);
    assert_contains(&result, "replay: the same failure");
    assert_contains(&result, "fault: call 40,");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

/* ---- the table and the sources ---- */

static bool named[256];

/* FAULT(KIND) belongs to the kernel routine whose definition came last above it. */
static void check_line(const char *file, const char *line, char *routine)
{
    const char *at = strstr(line, "NTAPI ");
    const char *fault = strstr(line, "FAULT(");
    const struct fault_point *point;

    if (at != NULL && isalpha((unsigned char)line[0]) && strchr(at, '(') != NULL) {
        at += strlen("NTAPI ");
        snprintf(routine, 64, "%.*s", (int)strcspn(at, "("), at);
    }
    if (fault == NULL)
        return;
    fault += strlen("FAULT(");
    point = fault_point_find(routine);
    ck_assert_msg(point != NULL, "%s: %s asks for faults and is not in the table", file, routine);
    for (const char *name = fault_kind_name(point->kind); *name != '\0'; name++)
        ck_assert_msg(toupper((unsigned char)*name) == *fault++, "%s: %s asks for another kind than the table has",
                      file, routine);
    for (unsigned index = 0; fault_point(index) != NULL; index++)
        named[index] |= fault_point(index) == point;
}

static void check_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char routine[64] = "";
    char line[1024];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL)
        check_line(path, line, routine);
    fclose(file);
}

static void check_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        char path[512];

        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (dot != NULL && strcmp(dot, ".c") == 0)
            check_file(path);
    }
    closedir(directory);
}

/* Of the routines that ask by their own name; pool, lookaside, DMA and hypercall points pass a name along. */
START_TEST(table_and_sources_agree)
{
    static const char *const folders[] = {"sim/nt/ex",  "sim/nt/io",  "sim/nt/ke",    "sim/nt/mm",
                                          "sim/nt/cm",  "sim/nt/ob",  "sim/nt/po",    "sim/nt/ps",
                                          "sim/nt/rtl", "sim/nt/cng", "sim/nt/netio", "sim/nt/wmi"};
    const struct fault_point *point;

    for (size_t index = 0; index < sizeof(folders) / sizeof(folders[0]); index++)
        check_folder(folders[index]);
    for (unsigned index = 0; (point = fault_point(index)) != NULL; index++) {
        bool passed_along = point->kind == FAULT_HYPERCALL || strncmp(point->routine, "ExAllocatePool", 14) == 0 ||
                            strncmp(point->routine, "ExAllocateFrom", 14) == 0 ||
                            strcmp(point->routine, "AllocateAdapterChannel") == 0 ||
                            strcmp(point->routine, "AllocateCommonBuffer") == 0 ||
                            strcmp(point->routine, "GetScatterGatherList") == 0;

        ck_assert_msg(named[index] || passed_along, "%s is in the table and nothing asks for it", point->routine);
        ck_assert_msg(fault_never_find(point->routine) == NULL, "%s fails and never fails", point->routine);
    }
}
END_TEST

/* Each hypercall that the drivers issue can be failed, or the list says why not. */
START_TEST(every_hypercall_of_the_drivers)
{
    static const char *const groups[] = {"EVTCHNOP_", "GNTTABOP_", "XENMEM_", "HVMOP_",
                                         "SCHEDOP_",  "VCPUOP_",   "XENVER_"};
    unsigned found = 0;
    glob_t files;

    ck_assert_int_eq(glob("drivers/*/*.c", 0, NULL, &files), 0);
    for (size_t index = 0; index < files.gl_pathc; index++) {
        FILE *file = fopen(files.gl_pathv[index], "r");
        char line[1024];

        ck_assert_ptr_nonnull(file);
        while (fgets(line, sizeof(line), file) != NULL)
            for (size_t group = 0; group < sizeof(groups) / sizeof(groups[0]); group++) {
                const char *at = strstr(line, groups[group]);
                char name[64];

                /* not within a word, nor in a comment as "sched_op (SCHEDOP_*)" */
                if (at == NULL || (at > line && (isalnum((unsigned char)at[-1]) || at[-1] == '_')) ||
                    !islower((unsigned char)at[strlen(groups[group])]))
                    continue;
                snprintf(name, sizeof(name), "%.*s",
                         (int)strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), at);
                ck_assert_msg(fault_point_find(name) != NULL || fault_never_find(name) != NULL,
                              "%s issues %s, which points.def does not know", files.gl_pathv[index], name);
                found++;
            }
        fclose(file);
    }
    globfree(&files);
    ck_assert_uint_ge(found, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tcase = tcase_create("faults");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, nonsense_is_refused);
    tcase_add_test(tcase, list_names_every_kind);
    tcase_add_test(tcase, counts_without_failing);
    tcase_add_test(tcase, nth_fails_one_call);
    tcase_add_test(tcase, rules_compose);
    tcase_add_test(tcase, phase_and_kind_restrict);
    tcase_add_test(tcase, equal_plans_are_equal_runs);
    tcase_add_loop_test(tcase, devices_come_back, 0, 6);
    tcase_add_loop_test(tcase, nothing_is_left_behind, 0, 5);
    tcase_add_loop_test(tcase, each_of_the_rare_ones, 0, (int)(sizeof(rare) / sizeof(rare[0])));
    tcase_add_loop_test(tcase, others_fail_as_the_table_says, 0, (int)(sizeof(others) / sizeof(others[0])));
    tcase_add_test(tcase, teardown_then_start);
    tcase_add_test(tcase, bundle_replays_the_plan);
    tcase_add_test(tcase, table_and_sources_agree);
    tcase_add_test(tcase, every_hypercall_of_the_drivers);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
