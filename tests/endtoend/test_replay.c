/* A failed run leaves a bundle; replay shows the same failure at the same event, and refuses what it cannot show. */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"

/* Too little of the machine's time for the capture: a failure that any machine can have. */
static void fail_and_find_bundle(const char *more, char *path, size_t size)
{
    struct process_result result =
        pvsim("run --seed 11 --policy pct --timeout 2ms --tx %s --rx %s --bundle-dir %s %s", LAN, LAN, scratch(), more);
    char line[512];
    DIR *folder = opendir(scratch());
    const struct dirent *entry;

    ck_assert_int_eq(result.status, 1);
    ck_assert_int_eq(strncmp(last_line(result.output, line, sizeof(line)), "FAIL tx=", 8), 0);
    ck_assert_ptr_nonnull(strstr(result.output, "pvsim replay"));
    process_free(&result);
    path[0] = '\0';
    while ((entry = readdir(folder)) != NULL)
        if (strstr(entry->d_name, ".bundle") != NULL)
            snprintf(path, size, "%s/%s", scratch(), entry->d_name);
    closedir(folder);
    ck_assert_msg(path[0] != '\0', "no bundle was left");
}

START_TEST(same_failure)
{
    char bundle[512];
    struct process_result result;

    fail_and_find_bundle("", bundle, sizeof(bundle));
    result = pvsim("replay %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, "replay: the same failure (rule timeout, event ") != NULL,
                  "exit status %d\n%s%s", result.status, result.output, result.error);
    process_free(&result);

    result = pvsim("replay --log trace %s", bundle);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_gt(line_count(result.error), 100);
    process_free(&result);
}
END_TEST

START_TEST(stops_before_an_event)
{
    char bundle[512];
    struct process_result result;

    fail_and_find_bundle("", bundle, sizeof(bundle));
    result = pvsim("replay --until 500 %s", bundle);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.output, "stopped before event 500"));
    process_free(&result);
}
END_TEST

START_TEST(no_bundle)
{
    struct process_result result =
        pvsim("run --timeout 2ms --tx %s --rx %s --bundle-dir %s --no-bundle", LAN, LAN, scratch());
    DIR *folder = opendir(scratch());
    const struct dirent *entry;

    ck_assert_int_eq(result.status, 1);
    while ((entry = readdir(folder)) != NULL)
        ck_assert_ptr_null(strstr(entry->d_name, ".bundle"));
    closedir(folder);
    process_free(&result);
}
END_TEST

static void edit(const char *path, const char *key, json_t *value)
{
    json_error_t error;
    json_t *object = json_load_file(path, 0, &error);

    ck_assert_msg(object != NULL, "%s", error.text);
    json_object_set_new(object, key, value);
    ck_assert_int_eq(json_dump_file(object, path, 0), 0);
    json_decref(object);
}

static void assert_refused(const char *bundle, int status, const char *why)
{
    struct process_result result = pvsim("replay %s", bundle);

    ck_assert_msg(result.status == status && line_count(result.error) == 1 && strstr(result.error, why) != NULL,
                  "exit status %d\n%s%s", result.status, result.output, result.error);
    process_free(&result);
}

START_TEST(another_build)
{
    char bundle[512];

    fail_and_find_bundle("", bundle, sizeof(bundle));
    edit(bundle, "build", json_string("0123456789abcdef"));
    assert_refused(bundle, 125, "another build");
}
END_TEST

START_TEST(changed_input)
{
    char bundle[512];

    fail_and_find_bundle("", bundle, sizeof(bundle));
    edit(bundle, "inputs", json_pack("{s:s}", LAN, "0123456789abcdef"));
    assert_refused(bundle, 125, "has changed");
}
END_TEST

START_TEST(damaged_bundle)
{
    char bundle[512];

    fail_and_find_bundle("", bundle, sizeof(bundle));
    edit(bundle, "arguments", json_string("run"));
    assert_refused(bundle, 2, "no bundle that this version reads");
}
END_TEST

START_TEST(another_outcome)
{
    char bundle[512];
    struct process_result result;

    fail_and_find_bundle("", bundle, sizeof(bundle));
    edit(bundle, "event", json_integer(3));
    result = pvsim("replay %s", bundle);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.output, "replay: NOT the same"));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replay");
    TCase *tcase = tcase_create("bundles");

    tcase_add_test(tcase, same_failure);
    tcase_add_test(tcase, stops_before_an_event);
    tcase_add_test(tcase, no_bundle);
    tcase_add_test(tcase, another_build);
    tcase_add_test(tcase, changed_input);
    tcase_add_test(tcase, damaged_bundle);
    tcase_add_test(tcase, another_outcome);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
