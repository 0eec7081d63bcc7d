/*
 * The schedule policies find a planted ordering bug: the driver `racer` passes under fifo, and pct catches it within
 * 200 seeds.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"

#define SEEDS 200
#define RACER_BUG 0x52414345u

static void load_racer(void *argument)
{
    PDRIVER_OBJECT driver = NULL;
    struct cm_key *key = cm_key_create(CM_SERVICES "\\racer");

    (void)argument;
    cm_value_set_dword(key, "Type", 1);
    cm_value_set_dword(key, "Start", 3);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, "system32\\drivers\\racer.sys");
    ck_assert_int_eq(io_load_driver("racer", &driver), STATUS_SUCCESS);
    ck_assert_int_eq(io_unload_driver(driver), STATUS_SUCCESS);
    ObDereferenceObject(driver);
}

enum outcome { PASSED, CAUGHT, OTHER };

static enum outcome race(enum machine_policy policy, uint64_t seed)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct machine_config config = guest_config(2);

        config.driver_dir = PVSIM_BUILD "/test-drivers";
        config.policy = policy;
        config.seed = seed;
        config.log_level = LOG_NONE;
        if (machine_run_in_guest(&config, load_racer, NULL) == MACHINE_DONE)
            _exit(PASSED);
        _exit(machine_failure()->code == RACER_BUG ? CAUGHT : OTHER);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? (enum outcome)WEXITSTATUS(status) : OTHER;
}

START_TEST(fifo_passes)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        ck_assert_int_eq(race(POLICY_FIFO, seed), PASSED);
}
END_TEST

static unsigned first_caught(enum machine_policy policy)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        enum outcome outcome = race(policy, seed);

        ck_assert_int_ne(outcome, OTHER);
        if (outcome == CAUGHT)
            return seed;
    }
    return 0;
}

START_TEST(pct_catches)
{
    unsigned seed = first_caught(POLICY_PCT);

    ck_assert_msg(seed != 0, "pct did not find the planted bug in %u seeds", SEEDS);
}
END_TEST

START_TEST(random_catches)
{
    unsigned seed = first_caught(POLICY_RANDOM);

    ck_assert_msg(seed != 0, "random did not find the planted bug in %u seeds", SEEDS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policies");
    TCase *tcase = tcase_create("planted ordering bug");

    tcase_add_test(tcase, fifo_passes);
    tcase_add_test(tcase, pct_catches);
    tcase_add_test(tcase, random_catches);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
