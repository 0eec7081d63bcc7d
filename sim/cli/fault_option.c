#include "cli/fault_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define ALL_KINDS ((1u << FAULT_KINDS) - 1)
#define ALL_PHASES ((1u << FAULT_PHASES) - 1)

static bool parse_whole(const char *key, const char *value, uint64_t low, uint64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoull(value, &end, 0);
    if (errno == 0 && end != value && *end == '\0' && strchr(value, '-') == NULL && *number >= low)
        return true;
    complain("--fail %s= takes a whole number from %llu, not '%s'", key, (unsigned long long)low, value);
    return false;
}

static bool parse_rate(const char *value, struct fault_rule *rule)
{
    char *end;
    double rate;

    errno = 0;
    rate = strtod(value, &end);
    if (errno == 0 && end != value && *end == '\0' && rate > 0 && rate <= 1) {
        rule->rate = (uint64_t)(rate * 4294967296.0);
        if (rule->rate == 0)
            rule->rate = 1;
        return true;
    }
    complain("--fail rate= takes a probability above 0 and up to 1 such as 0.01, not '%s'", value);
    return false;
}

/* "pool+mdl" by the names that `name_of` gives. */
static bool parse_set(const char *key, const char *value, const char *(*name_of)(unsigned), unsigned count,
                      unsigned *set)
{
    *set = 0;
    for (const char *at = value;; at++) {
        size_t length = strcspn(at, "+");
        unsigned index = 0;

        while (index < count && (strlen(name_of(index)) != length || strncmp(name_of(index), at, length) != 0))
            index++;
        if (index == count) {
            fprintf(stderr, "pvsim: --fail %s= takes", key);
            for (index = 0; index < count; index++)
                fprintf(stderr, "%s %s", index == 0 ? "" : index + 1 == count ? " and" : ",", name_of(index));
            fprintf(stderr, ", several joined by +, not '%.*s'\n", (int)length, at);
            return false;
        }
        *set |= 1u << index;
        at += length;
        if (*at == '\0')
            return true;
    }
}

static const char *kind_name(unsigned index)
{
    return fault_kind_name((enum fault_kind)index);
}

static const char *phase_name(unsigned index)
{
    return fault_phase_name((enum fault_phase)index);
}

static bool parse_call(const char *value, struct fault_rule *rule)
{
    const struct fault_never *never = fault_never_find(value);

    if (fault_point_find(value) != NULL) {
        snprintf(rule->call, sizeof(rule->call), "%s", value);
        return true;
    }
    if (never != NULL)
        complain("--fail call=%s: that never fails for lack of resources: %s", value, never->reason);
    else
        complain("--fail call=%s: no routine of that name can be failed; 'pvsim run --fail list' shows those that can",
                 value);
    return false;
}

static bool parse_pair(char *pair, struct fault_rule *rule)
{
    char *value = strchr(pair, '=');

    if (value != NULL)
        *value++ = '\0';
    if (value != NULL && strcmp(pair, "nth") == 0)
        return parse_whole(pair, value, 1, &rule->nth);
    if (value != NULL && strcmp(pair, "rate") == 0)
        return parse_rate(value, rule);
    if (value != NULL && strcmp(pair, "seed") == 0)
        return rule->seeded = true, parse_whole(pair, value, 0, &rule->seed);
    if (value != NULL && strcmp(pair, "call") == 0)
        return parse_call(value, rule);
    if (value != NULL && strcmp(pair, "kind") == 0)
        return parse_set(pair, value, kind_name, FAULT_KINDS, &rule->kinds);
    if (value != NULL && strcmp(pair, "phase") == 0)
        return parse_set(pair, value, phase_name, FAULT_PHASES, &rule->phases);
    complain("--fail takes nth=N, rate=P, seed=S, call=NAME, kind=KINDS and phase=PHASES joined by commas, not '%s'; "
             "or list",
             pair);
    return false;
}

bool fault_option_parse(const char *text, struct fault_plan *plan)
{
    struct fault_rule rule = {.kinds = ALL_KINDS, .phases = ALL_PHASES};
    bool good = true;
    char *copy = strdup(text);
    char *rest = copy;
    char *pair;

    if (copy == NULL)
        abort();
    while (good && (pair = strsep(&rest, ",")) != NULL)
        good = parse_pair(pair, &rule);
    free(copy);
    if (!good)
        return false;
    if (rule.nth != 0 && rule.rate != 0) {
        complain("--fail '%s': nth= and rate= exclude each other; give --fail twice for both", text);
        return false;
    }
    if (rule.seeded && rule.rate == 0) {
        complain("--fail '%s': seed= goes with rate=", text);
        return false;
    }
    if (rule.call[0] != '\0' && (rule.kinds >> fault_point_find(rule.call)->kind & 1) == 0) {
        complain("--fail '%s': %s is of kind %s", text, rule.call, fault_kind_name(fault_point_find(rule.call)->kind));
        return false;
    }
    if (plan->count == FAULT_RULES_MAX) {
        complain("--fail can be given %u times", FAULT_RULES_MAX);
        return false;
    }
    plan->rule[plan->count++] = rule;
    return true;
}

void fault_option_list(FILE *file)
{
    const struct fault_never *never;
    const struct fault_point *point;

    fprintf(file, "Calls of driver code that --fail can fail, and how each then fails:\n");
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        fprintf(file, "\n%s\n", kind_name(kind));
        for (unsigned index = 0; (point = fault_point(index)) != NULL; index++)
            if (point->kind == (enum fault_kind)kind)
                fprintf(file, "  %-42s %s\n", point->routine, point->answer);
    }
    fprintf(file, "\nNever failed, and why:\n");
    for (unsigned index = 0; (never = fault_never(index)) != NULL; index++)
        fprintf(file, "  %-42s %s\n", never->routine, never->reason);
}
