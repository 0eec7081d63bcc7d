/* Large machines, with the limits raised as a host's administrator would raise them, and that the limits hold. */
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

#define FEW "tests/captures/few-wire.pcap"
#define RAISED "--memory 512 --max-grant-frames 256 --store-quota nodes=10000 --store-quota watches=1000"

/* More than fit into the default limits in any build; all that there can be where that does not take too long. */
#ifdef PVSIM_SANITIZE
#define VIFS 40
#else
#define VIFS 128
#endif

START_TEST(many_vifs)
{
    struct process_result result = pvsim("run --vifs %d --no-bundle " RAISED, VIFS);
    char line[512];

    ck_assert_msg(result.status == 0, "exit status %d\n%s", result.status, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS tx=0 rx=0 lost=0 corrupt=0 leaks=0");
    process_free(&result);
}
END_TEST

START_TEST(many_vcpus)
{
    struct process_result result = pvsim("run --vcpus 64 --vifs 2 --no-bundle --tx " FEW " --rx " FEW);
    char line[512];

    ck_assert_msg(result.status == 0, "exit status %d\n%s", result.status, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS tx=12 rx=12 lost=0 corrupt=0 leaks=0");
    process_free(&result);
}
END_TEST

static const struct {
    const char *options;
    const char *what;
} low[] = {
    {"--vifs 3 --max-grant-frames 1", "did not connect"},
    {"--vifs 2 --store-quota nodes=20", "did not connect"},
    {"--vifs 2 --store-quota watches=1", "did not connect"},
    {"--vifs 2 --store-quota nodes=1000 --store-quota nodes=20", "did not connect"}, /* the later one counts */
};

START_TEST(limits_hold)
{
    struct process_result result = pvsim("run --no-bundle %s", low[_i].options);

    ck_assert_msg(result.status == 1, "%s: exit status %d", low[_i].options, result.status);
    ck_assert_msg(strstr(result.output, low[_i].what) != NULL, "%s: %s", low[_i].options, result.output);
    process_free(&result);
}
END_TEST

static const struct {
    const char *options;
    const char *line;
} wrong[] = {
    {"--max-grant-frames 0", "--max-grant-frames takes a whole number from 1 to 1024, not '0'"},
    {"--max-grant-frames 1025", "--max-grant-frames takes a whole number from 1 to 1024, not '1025'"},
    {"--store-quota nodes", "--store-quota takes NAME=N with a name that '--store-quota list' shows, not 'nodes'"},
    {"--store-quota node=1", "--store-quota takes NAME=N with a name that '--store-quota list' shows, not 'node=1'"},
    {"--store-quota nodes=-1", "--store-quota NAME=N takes a whole number from 0 to 2147483647, not '-1'"},
    {"--store-quota nodes=", "--store-quota NAME=N takes a whole number from 0 to 2147483647, not ''"},
};

START_TEST(wrong_values)
{
    struct process_result result = pvsim("run %s", wrong[_i].options);

    ck_assert_int_eq(result.status, 2);
    ck_assert_msg(strstr(result.error, wrong[_i].line) != NULL, "%s", result.error);
    process_free(&result);
}
END_TEST

START_TEST(list_of_quotas)
{
    struct process_result result = pvsim("run --store-quota list");

    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.output, "nodes            :     1000 Nodes per domain\n"));
    ck_assert_ptr_nonnull(strstr(result.output, "watch-event      :       20 "));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scale");
    TCase *tcase = tcase_create("scale");

    tcase_set_timeout(tcase, 300); /* a busy host */
    tcase_add_test(tcase, many_vifs);
    tcase_add_test(tcase, many_vcpus);
    tcase_add_loop_test(tcase, limits_hold, 0, sizeof(low) / sizeof(low[0]));
    tcase_add_loop_test(tcase, wrong_values, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(tcase, list_of_quotas);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
