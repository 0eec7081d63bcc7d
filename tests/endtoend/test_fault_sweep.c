/* pvsim sweep --fail-all: which calls it fails, where it ends, what it lists. The whole of it is `make fail-all`. */
#include <stdio.h>
#include <string.h>

#include "cli/call_sites.h"
#include "common/guest.h"
#include "common/process.h"

#define RUN "-- run --no-bundle --tx tests/captures/few-wire.pcap --rx tests/captures/few-wire.pcap"

static void assert_contains(const struct process_result *result, const char *text)
{
    ck_assert_msg(strstr(result->output, text) != NULL || strstr(result->error, text) != NULL, "no '%s' in:\n%s\n%s",
                  text, result->output, result->error);
}

/* Behind `heading` is a line with both. */
static bool behind(const char *output, const char *heading, const char *name, const char *why)
{
    const char *at = strstr(output, heading);
    const char *line = at != NULL ? strstr(at, name) : NULL;
    const char *reason = line != NULL ? strstr(line, why) : NULL;

    return reason != NULL && reason < line + strcspn(line, "\n");
}

static const char *const bad_commands[][2] = {
    {"sweep --fail-all", "behind --"},
    {"sweep --fail-all --range 5-2 " RUN, "--range takes"},
    {"sweep --fail-all --range 0-2 " RUN, "--range takes"},
    {"sweep --fail-all --every 0 " RUN, "--every takes"},
    {"sweep --fail-all --seeds 1-5 " RUN, "has no option"},
    {"sweep --fail-all " RUN " --fail nth=3", "cannot have --fail"},
    {"sweep --fail-all " RUN " --clock wall", "cannot have --clock wall"},
    {"sweep --fail-all " RUN " --out-rx x.pcap", "cannot have --out-tx and --out-rx"},
};

START_TEST(usage_errors)
{
    struct process_result result = pvsim("%s", bad_commands[_i][0]);

    ck_assert_int_eq(result.status, 2);
    ck_assert_uint_eq(line_count(result.error), 1);
    assert_contains(&result, bad_commands[_i][1]);
    process_free(&result);
}
END_TEST

/* Every 97th call of boot, connect, traffic and teardown. */
START_TEST(a_sample_of_all)
{
    struct process_result result = pvsim("sweep --fail-all --every 97 " RUN);

    assert_contains(&result, "; none is left to fail");
    assert_contains(&result, "by phase: boot ");
    assert_contains(&result, "call sites: ");
    assert_contains(&result, "PASS faults=");
    ck_assert_int_eq(result.status, 0);
    /* Each call that was made is a call site by the drivers' code: the list of those not reached can be believed. */
    ck_assert_ptr_null(strstr(result.output, "places that are no call sites"));
    ck_assert_ptr_null(strstr(result.output, "seems not to lead there"));
    /* Of an export that is there for clients to come, and of one that xenbus has. */
    ck_assert_msg(behind(result.output, "cannot be reached in this machine:", "xen.so!XenGrantTableCopy ",
                         "no driver of this machine imports"),
                  "%s", result.output);
    ck_assert(!behind(result.output, "cannot be reached in this machine:", "xen.so!XenEventSend", ""));
    process_free(&result);
}
END_TEST

START_TEST(range_is_what_is_failed)
{
    struct process_result result = pvsim("sweep --fail-all --range 300-304 --every 2 -v -j 1 " RUN);

    assert_contains(&result, "fault 300: ");
    assert_contains(&result, "fault 302: ");
    assert_contains(&result, "fault 304: ");
    ck_assert_ptr_null(strstr(result.output, "fault 301: "));
    assert_contains(&result, "PASS faults=3 failed=0 not-tried=0");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

START_TEST(ends_where_no_call_is_left)
{
    struct process_result result = pvsim("sweep --fail-all --range 900000-1000000 -j 2 " RUN);

    assert_contains(&result, "none is left to fail");
    assert_contains(&result, "PASS faults=0 ");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

/* A failure is shown with the command that shows it again. */
START_TEST(failures_are_shown)
{
    struct process_result result = pvsim("sweep --fail-all --range 300-300 " RUN " --timeout 100us");

    ck_assert_int_eq(result.status, 1);
    assert_contains(&result, "fault 300: rule timeout");
    assert_contains(&result, "again: pvsim run");
    assert_contains(&result, "--fail nth=300");
    assert_contains(&result, "FAIL faults=1 failed=1");
    process_free(&result);
}
END_TEST

/*
 * The sites of a module whose source is known: netclient calls the pool for a frame that comes in, alone or in a row, a
 * chain and its memory, the path of its key, a generator and its frames; and by a routine with two callers, each of
 * which is a site, for a generator's arrays.
 */
START_TEST(sites_are_found_in_the_code)
{
    static const char *const names[] = {"netclient"};
    struct machine_config config = guest_config(1);
    struct fault_stack stack = {.count = 1, .frame = {{.module = "netclient", .offset = 1}}};
    struct call_sites *sites;
    unsigned pools = 0;

    sites = call_sites_read(&config, names, 1);
    ck_assert_ptr_nonnull(sites);
    for (unsigned index = 0; index < call_sites_count(sites); index++)
        ck_assert_int_eq(call_sites_get(sites, index)->use, CALL_SITE_USED);
    for (unsigned index = 0; index < call_sites_count(sites); index++)
        pools += strcmp(call_sites_get(sites, index)->routine, "ExAllocatePoolWithTag") == 0;
    ck_assert_uint_eq(pools, 9);
    ck_assert_int_eq(call_sites_match(sites, &stack), -1);
    stack.frame[0] = call_sites_get(sites, 0)->frame;
    ck_assert_int_eq(call_sites_match(sites, &stack), 0);
    call_sites_free(sites);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault sweep");
    TCase *tcase = tcase_create("fault sweep");

    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, usage_errors, 0, (int)(sizeof(bad_commands) / sizeof(bad_commands[0])));
    tcase_add_test(tcase, a_sample_of_all);
    tcase_add_test(tcase, range_is_what_is_failed);
    tcase_add_test(tcase, ends_where_no_call_is_left);
    tcase_add_test(tcase, failures_are_shown);
    tcase_add_test(tcase, sites_are_found_in_the_code);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
