/* The main job on boards with other devices, and what the command says of one that it does not know. */
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"

static const char *const boards[] = {
    "--board c000",
    "--board rtl8139,e1000,hda,hdb,cdrom,c000",
    "--board e1000 --unplug refuse",
    "--board hda --unplug absent",
};

START_TEST(main_job)
{
    struct process_result result = pvsim("run %s --tx " LAN " --rx " LAN, boards[_i]);
    char line[512];

    ck_assert_msg(result.status == 0, "%s: exit status %d\n%s", boards[_i], result.status, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0");
    process_free(&result);
}
END_TEST

static void refuses(const char *options, const char *first, const char *second)
{
    struct process_result result = pvsim("run %s --tx " LAN, options);

    ck_assert_int_eq(result.status, 2);
    ck_assert_msg(strstr(result.error, first) != NULL && strstr(result.error, second) != NULL, "%s", result.error);
    process_free(&result);
}

START_TEST(unknown)
{
    refuses("--board hda,virtio", "--board takes any of 0002, c000", "'hda,virtio'");
    refuses("--unplug never", "--unplug takes refuse, absent or blacklist=PRODUCT[:BUILD]", "'never'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("board");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, main_job, 0, sizeof(boards) / sizeof(boards[0]));
    tcase_add_test(tcase, unknown);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
