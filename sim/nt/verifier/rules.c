#include "nt/verifier/rules.h"

#include <ntddk.h>

#include <stdio.h>
#include <string.h>

#define ANY_CODE VERIFIER_ANY_CODE
#define AS_GIVEN VERIFIER_AS_GIVEN
#define OWN VERIFIER_OWN

#define COST_CALL "a comparison at the call"
#define COST_FREE "a look at the block when it is freed"
#define COST_INTERRUPT "a comparison an interrupt"
#define COST_LIST "a walk along a short list at the call"
#define COST_NONE "none"
#define COST_PNP "a comparison a PnP request"
#define COST_READ "the bytes of the buffer read at each call"
#define COST_POINT "a read of the clock and three comparisons a switch point at raised IRQL"
#define COST_RETURN "a comparison when the routine returns"
#define COST_SWITCH "128 comparisons a thread switch"
#define COST_UNLOAD "a walk once an unload"

const struct verifier_rule verifier_rules[] = {
#define RULE(name, code, first, parameters, check, cost, page) {name, code, first, parameters, check, cost, page},
#define FAILURE(name, what)
#include "nt/verifier/rules.def"
#undef RULE
#undef FAILURE
};
const size_t verifier_rule_count = ARRAYSIZE(verifier_rules);

const struct verifier_failure verifier_failures[] = {
#define RULE(name, code, first, parameters, check, cost, page)
#define FAILURE(name, what) {name, what},
#include "nt/verifier/rules.def"
#undef RULE
#undef FAILURE
};
const size_t verifier_failure_count = ARRAYSIZE(verifier_failures);

const struct verifier_rule *verifier_rule(const char *name)
{
    for (size_t index = 0; index < verifier_rule_count; index++)
        if (strcmp(verifier_rules[index].name, name) == 0)
            return &verifier_rules[index];
    return NULL;
}

const struct verifier_rule *verifier_rule_with_code(const char *name, uint32_t code)
{
    for (size_t index = 0; index < verifier_rule_count; index++) {
        const struct verifier_rule *rule = &verifier_rules[index];

        if (strcmp(rule->name, name) == 0 && (rule->code == code || rule->code == VERIFIER_ANY_CODE))
            return rule;
    }
    return NULL;
}

void verifier_parameters_text(char *buffer, size_t size, const struct verifier_rule *rule)
{
    if (rule->first == VERIFIER_AS_GIVEN)
        snprintf(buffer, size, "%s", rule->parameters);
    else if (rule->first == VERIFIER_OWN)
        snprintf(buffer, size, "0x5056; the rule's name; address in the driver; 0");
    else
        snprintf(buffer, size, "0x%02llx; %s", (unsigned long long)rule->first, rule->parameters);
}
