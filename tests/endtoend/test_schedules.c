/* The main job under many schedules: one direction and both, few vCPUs and many, each with seeds of its own. */
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"

#ifdef PVSIM_SANITIZE /* each run takes ten times as long */
#define SHARE_OF_SEEDS 5
#else
#define SHARE_OF_SEEDS 1
#endif

static const struct {
    const char *arguments;
    const char *verdict;
    unsigned seeds;
} jobs[] = {
    {"--policy pct --vcpus 1 --rx " LAN, "PASS tx=0 rx=1132 lost=0 corrupt=0 leaks=0", 15},
    {"--policy pct --vcpus 1 --tx " LAN, "PASS tx=1132 rx=0 lost=0 corrupt=0 leaks=0", 15},
    {"--policy random --vcpus 2 --rx " LAN, "PASS tx=0 rx=1132 lost=0 corrupt=0 leaks=0", 10},
    {"--policy random --vcpus 2 --tx " LAN, "PASS tx=1132 rx=0 lost=0 corrupt=0 leaks=0", 10},
    {"--policy pct --vcpus 4 --tx " LAN " --rx " LAN, "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0", 20},
    {"--policy pct --vcpus 8 --tx " LAN " --rx " LAN, "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0", 10},
    {"--policy pct --vcpus 2 --vifs 3 --tx " LAN " --rx " LAN, "PASS tx=3396 rx=3396 lost=0 corrupt=0 leaks=0", 5},
};

START_TEST(every_seed_passes)
{
    for (unsigned seed = 1; seed <= jobs[_i].seeds / SHARE_OF_SEEDS; seed++) {
        struct process_result result = pvsim("run --no-bundle --seed %u %s", seed, jobs[_i].arguments);
        char line[256];

        ck_assert_msg(strcmp(last_line(result.output, line, sizeof(line)), jobs[_i].verdict) == 0 && result.status == 0,
                      "pvsim run --seed %u %s: exit status %d\n%s%s", seed, jobs[_i].arguments, result.status,
                      result.output, result.error);
        process_free(&result);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedules");
    TCase *tcase = tcase_create("seeds");

    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, every_seed_passes, 0, (int)(sizeof(jobs) / sizeof(jobs[0])));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
