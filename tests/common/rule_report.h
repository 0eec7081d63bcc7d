/* Reports of broken rules against the rule table (sim/nt/verifier/rules.def). */
#ifndef TESTS_COMMON_RULE_REPORT_H
#define TESTS_COMMON_RULE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "machine/fail.h"
#include "nt/verifier/rules.h"

/*
 * Whether bugcheck and parameters of a report are what its rule's line states: the title is the code's name; numbers in
 * the line's list of parameters are the parameters' values; a rule of pvsim's own names itself. `why` says what is not.
 * Failures that are no rule of a driver have no line and fit.
 */
bool rule_report_fits(const struct failure *failure, char *why, size_t size);

/*
 * Whether a line's list of parameters can be understood: alternatives with ", or " between, each "as OWN" or a value
 * for each parameter (three where the line gives the first, or all four) with "; " between. A value is words, or a
 * number with words behind it, or several of these with ", " between.
 */
bool rule_parameters_readable(const struct verifier_rule *rule);

#endif
