#include "common/guest.h"

#include <stdlib.h>
#include <string.h>

#include "common/rule_report.h"
#include "machine/log.h"

struct machine_config guest_config(unsigned vcpus)
{
    struct machine_config config = machine_default_config();

    config.vcpus = vcpus;
    config.log_level = LOG_ERROR;
    config.driver_dir = PVSIM_BUILD "/drivers";
#ifdef PVSIM_SANITIZE /* which pay for each page there is */
    config.ram_bytes = UINT64_C(32) << 20;
#endif
    config.timeout_ns = UINT64_C(600000000000);
    return config;
}

void guest_run_with(const struct machine_config *config, void (*function)(void *), void *argument)
{
    enum machine_result result = machine_run_in_guest(config, function, argument);
    const struct failure *failure = machine_failure();

    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s %s: %s\n%s", failure->rule, failure->title,
                  failure->text, failure->backtrace);
}

void guest_run(void (*function)(void *), void *argument)
{
    struct machine_config config = guest_config(2);

    guest_run_with(&config, function, argument);
}

const struct failure *guest_run_may_fail(const struct machine_config *config, void (*function)(void *), void *argument)
{
    static const struct failure *volatile kept; /* the machine stays for a look; leak detection does not see into it */

    kept = machine_run_in_guest(config, function, argument) == MACHINE_FAILED ? machine_failure() : NULL;
    return kept;
}

const struct failure *guest_must_fail(const struct machine_config *config, void (*function)(void *), void *argument,
                                      const char *rule)
{
    const struct failure *failure = guest_run_may_fail(config, function, argument);
    char why[512];

    ck_assert_msg(failure != NULL, "expected a failure by rule '%s', and nothing failed", rule);
    ck_assert_msg(strcmp(failure->rule, rule) == 0, "expected a failure by rule '%s', got '%s': %s\n%s", rule,
                  failure->rule, failure->text, failure->backtrace);
    ck_assert_msg(rule_report_fits(failure, why, sizeof(why)), "%s", why);
    return failure;
}

int guest_suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
