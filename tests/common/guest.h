/*
 * For host tests: run code in a guest thread of a small machine. Check runs each test in a process of its own, and the
 * machine lives in that. Assertions of Check may be used inside.
 */
#ifndef TESTS_COMMON_GUEST_H
#define TESTS_COMMON_GUEST_H

#include <check.h>
#undef fail /* an old name of ck_abort_msg(); ours is in fail.h */

#include "machine/fail.h"
#include "machine/machine.h"

/* A configuration with `vcpus` vCPUs and otherwise the defaults, logging errors only. */
struct machine_config guest_config(unsigned vcpus);

/* Run in a guest system thread at PASSIVE_LEVEL; the machine must not fail. */
void guest_run(void (*function)(void *), void *argument);
void guest_run_with(const struct machine_config *config, void (*function)(void *), void *argument);

/* The same for code that may fail: the failure, NULL if there was none. */
const struct failure *guest_run_may_fail(const struct machine_config *config, void (*function)(void *), void *argument);

/* The same for code that must end in a failure (a bugcheck, a broken rule) with this rule; returns it for a closer
 * look. */
const struct failure *guest_must_fail(const struct machine_config *config, void (*function)(void *), void *argument,
                                      const char *rule);

/* The end of main(): run a suite's cases by the environment's wishes (CK_*), print the result, return the exit status.
 */
int guest_suite_run(Suite *suite);

#endif
