/* The rule table of rules.def, for look-ups and for `pvsim verifier --list`. */
#ifndef NT_VERIFIER_RULES_H
#define NT_VERIFIER_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFIER_ANY_CODE UINT32_MAX
#define VERIFIER_AS_GIVEN UINT64_MAX
#define VERIFIER_OWN UINT64_C(0x5056) /* parameter 1 of rules that Windows has no code for: "PV" */

struct verifier_rule {
    const char *name;
    uint32_t code;  /* bugcheck, or VERIFIER_ANY_CODE */
    uint64_t first; /* parameter 1, or VERIFIER_AS_GIVEN */
    const char *parameters;
    const char *check;
    const char *cost;
    const char *page;
};

struct verifier_failure {
    const char *name;
    const char *what;
};

extern const struct verifier_rule verifier_rules[];
extern const size_t verifier_rule_count;
extern const struct verifier_failure verifier_failures[];
extern const size_t verifier_failure_count;

/* The first line of a rule; the line of a rule and bugcheck. NULL if there is none. */
const struct verifier_rule *verifier_rule(const char *name);
const struct verifier_rule *verifier_rule_with_code(const char *name, uint32_t code);

/* Windows' name of a bugcheck code. */
const char *verifier_bugcheck_name(uint32_t code);

/* "0x5056; rule's name; address in the driver; 0" and the like. */
void verifier_parameters_text(char *buffer, size_t size, const struct verifier_rule *rule);

#endif
