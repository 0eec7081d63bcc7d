/* A guest that calls Xen at random (random_calls.h), for two seconds. */
#include "xen/random_calls.h"

#include <time.h>

#define CALLS 200000u
#define SECONDS_MAX 2u /* of the host's time, a bound for slow machines */

static uint64_t state;
static struct timespec end;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static bool time_is_up(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

static uint64_t seed;

static void random_calls(void)
{
    unsigned calls = 0;
    unsigned worked = 0;

    state = seed * 0x9E3779B97F4A7C15 + 1;
    random_calls_begin(next);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += SECONDS_MAX;

    for (; calls < CALLS && (calls % 1024 != 0 || !time_is_up()); calls++) {
        worked += random_step();
        if (calls % 64 == 0)
            domain0_works();
    }
    ck_assert_msg(worked > calls / 50, "only %u of %u calls did anything: the test does not get far", worked, calls);
    assert_alive();
}

START_TEST(random_hypercalls)
{
    seed = 1;
    domain_run(GUEST_VCPUS, random_calls);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random hypercalls");
    TCase *tcase = tcase_create("fuzz");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, random_hypercalls);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
