#include "common/rule_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 256 };

/* Cut `text` at the first `separator`: the rest behind it, NULL if there is none. */
static char *cut(char *text, const char *separator)
{
    char *found = strstr(text, separator);

    if (found == NULL)
        return NULL;
    *found = '\0';
    return found + strlen(separator);
}

/* "0x37, 0x38 resource": one of the numbers. Words alone: anything. */
static bool value_fits(char *field, uint64_t value)
{
    bool number = false;

    for (char *next; field != NULL; field = next) {
        char *end;
        uint64_t stated;

        next = cut(field, ", ");
        stated = strtoull(field, &end, 0);
        if (end == field)
            return true;
        number = true;
        if (stated == value)
            return true;
    }
    return !number;
}

static unsigned count_values(const char *shape)
{
    unsigned count = 1;

    for (const char *at = strstr(shape, "; "); at != NULL; at = strstr(at + 2, "; "))
        count++;
    return count;
}

static bool values_fit(char *shape, const uint64_t *values)
{
    bool fits = true;

    for (char *next; shape != NULL; shape = next) {
        next = cut(shape, "; ");
        fits = value_fits(shape, *values++) && fits;
    }
    return fits;
}

static bool own_fits(const struct verifier_rule *rule, const uint64_t parameter[4])
{
    return parameter[0] == VERIFIER_OWN && parameter[1] == (uintptr_t)verifier_rule(rule->name)->name &&
           parameter[3] == 0;
}

static bool parameters_fit(const struct verifier_rule *rule, const uint64_t parameter[4])
{
    char list[LIST_MAX];

    if (rule->first == VERIFIER_OWN)
        return own_fits(rule, parameter);
    snprintf(list, sizeof(list), "%s", rule->parameters);
    for (char *shape = list, *next; shape != NULL; shape = next) {
        next = cut(shape, ", or ");
        if (strncmp(shape, "as OWN", 6) == 0) {
            if (own_fits(rule, parameter))
                return true;
        } else if (count_values(shape) == 4) {
            if (values_fit(shape, parameter))
                return true;
        } else if (parameter[0] == rule->first && values_fit(shape, parameter + 1)) {
            return true;
        }
    }
    return false;
}

bool rule_report_fits(const struct failure *failure, char *why, size_t size)
{
    const struct verifier_rule *rule = verifier_rule_with_code(failure->rule, failure->code);
    char list[LIST_MAX];

    if (failure->code == 0)
        return true;
    if (rule == NULL) {
        snprintf(why, size, "rules.def has no line for '%s' with bugcheck 0x%X", failure->rule, failure->code);
        return false;
    }
    if (rule->code == VERIFIER_ANY_CODE)
        return true;
    if (strcmp(failure->title, verifier_bugcheck_name(failure->code)) != 0) {
        snprintf(why, size, "'%s': bugcheck 0x%X is called %s", failure->rule, failure->code, failure->title);
        return false;
    }
    if (parameters_fit(rule, failure->parameter))
        return true;
    verifier_parameters_text(list, sizeof(list), rule);
    snprintf(why, size,
             "'%s': the parameters are 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
             ", its line in rules.def says: %s",
             failure->rule, failure->parameter[0], failure->parameter[1], failure->parameter[2], failure->parameter[3],
             list);
    return false;
}

bool rule_parameters_readable(const struct verifier_rule *rule)
{
    char list[LIST_MAX];

    if (rule->first == VERIFIER_OWN || rule->code == VERIFIER_ANY_CODE)
        return true;
    if (snprintf(list, sizeof(list), "%s", rule->parameters) >= LIST_MAX)
        return false;
    for (char *shape = list, *next; shape != NULL; shape = next) {
        next = cut(shape, ", or ");
        if (strncmp(shape, "as OWN", 6) == 0 || count_values(shape) == 4)
            continue;
        if (count_values(shape) != 3 || rule->first == VERIFIER_AS_GIVEN)
            return false;
    }
    return true;
}
