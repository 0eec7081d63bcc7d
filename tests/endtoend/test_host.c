/* The main job on each host that the command knows, and what it says of one that it does not. */
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"

static const char *const hosts[] = {
    "xen-4.13",          "xen-4.17",
    "xen-4.19",          "xen-4.13,grant-v1,no-vectors",
    "xen-4.17,grant-v1", "xen-4.17,no-vectors",
    "xen-4.17,viridian", "xen-4.19,grant-v1,no-vectors,viridian",
};

START_TEST(main_job)
{
    struct process_result result = pvsim("run --host %s --tx " LAN " --rx " LAN, hosts[_i]);
    char line[512];

    ck_assert_msg(result.status == 0, "%s: exit status %d\n%s", hosts[_i], result.status, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0");
    process_free(&result);
}
END_TEST

START_TEST(unknown_host)
{
    struct process_result result = pvsim("run --host xen-5.0 --tx " LAN);

    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(result.error, "--host takes xen-4.13, xen-4.17 or xen-4.19"));
    ck_assert_ptr_nonnull(strstr(result.error, "'xen-5.0'"));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *tcase = tcase_create("host");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, main_job, 0, sizeof(hosts) / sizeof(hosts[0]));
    tcase_add_test(tcase, unknown_host);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
