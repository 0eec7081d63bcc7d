/*
 * The rule table (sim/nt/verifier/rules.def): the sources raise what it names and nothing else, and `pvsim verifier
 * --list` prints it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"
#include "common/rule_report.h"
#include "common/source_scan.h"
#include "nt/nt.h"
#include "nt/verifier/rules.h"

/* ---- what the sources raise ---- */

struct raiser {
    const char *routine;
    unsigned rule; /* which argument names the rule; with 2 the first one is the bugcheck */
};

static const struct raiser raisers[] = {
    {"nt_violation", 0}, {"nt_violation_sub", 0}, {"nt_violation_code", 2}, {"ke_bugcheck", 2}, {"fail", 0},
};

struct findings {
    const struct raiser *raiser;
    bool *rule_raised; /* by index in verifier_rules */
    bool *failure_raised;
    char wrong[8192];
};

static void complain_of(struct findings *findings, const struct scan_call *call, const char *what)
{
    size_t length = strlen(findings->wrong);

    snprintf(findings->wrong + length, sizeof(findings->wrong) - length, "\n%s:%u: %s: %s", call->path, call->line,
             call->routine, what);
}

static const struct verifier_rule *rule_of_bugcheck_name(const char *rule, const char *code)
{
    for (size_t index = 0; index < verifier_rule_count; index++)
        if (strcmp(verifier_rules[index].name, rule) == 0 &&
            strcmp(verifier_bugcheck_name(verifier_rules[index].code), code) == 0)
            return &verifier_rules[index];
    return NULL;
}

static void see_call(const struct scan_call *call, void *context)
{
    struct findings *findings = context;
    const struct raiser *raiser = findings->raiser;
    const struct verifier_rule *rule;
    char name[64];
    char what[256];

    if (call->arguments <= raiser->rule + 1 || strncmp(call->argument[0], "const ", 6) == 0 ||
        strncmp(call->argument[0], "uint32_t ", 9) == 0)
        return; /* a declaration */
    if (!scan_literal(call->argument[raiser->rule], name, sizeof(name))) {
        snprintf(what, sizeof(what), "the rule %s is no literal", call->argument[raiser->rule]);
        complain_of(findings, call, what);
        return;
    }
    for (size_t index = 0; index < verifier_failure_count; index++)
        if (strcmp(verifier_failures[index].name, name) == 0 && strcmp(raiser->routine, "fail") == 0) {
            findings->failure_raised[index] = true;
            return;
        }
    rule = raiser->rule == 2 ? rule_of_bugcheck_name(name, call->argument[0]) : verifier_rule(name);
    if (rule == NULL) {
        snprintf(what, sizeof(what), "rules.def has no line for \"%s\"%s%s", name, raiser->rule == 2 ? " with " : "",
                 raiser->rule == 2 ? call->argument[0] : "");
        complain_of(findings, call, what);
        return;
    }
    if (strcmp(raiser->routine, "nt_violation_sub") == 0 &&
        (rule->first == VERIFIER_OWN || rule->first == VERIFIER_AS_GIVEN))
        complain_of(findings, call, "the rule's line in rules.def has no sub-code");
    findings->rule_raised[rule - verifier_rules] = true;
}

static void see_source(const char *path, const char *text, void *context)
{
    struct findings *findings = context;

    if (strstr(path, "sim/include/") != NULL || strstr(path, "sim/nt/bugcheck/") != NULL ||
        strstr(path, "sim/machine/fail.c") != NULL)
        return;
    for (size_t index = 0; index < sizeof(raisers) / sizeof(raisers[0]); index++) {
        findings->raiser = &raisers[index];
        scan_calls(path, text, raisers[index].routine, see_call, context);
    }
}

static struct findings scan_sources(void)
{
    struct findings findings = {.rule_raised = calloc(verifier_rule_count, sizeof(bool)),
                                .failure_raised = calloc(verifier_failure_count, sizeof(bool))};

    scan_files("sim", see_source, &findings);
    return findings;
}

static void free_findings(struct findings *findings)
{
    free(findings->rule_raised);
    free(findings->failure_raised);
}

START_TEST(sources_raise_rules_of_the_table)
{
    struct findings findings = scan_sources();

    ck_assert_msg(findings.wrong[0] == '\0', "%s", findings.wrong);
    free_findings(&findings);
}
END_TEST

/* The rules that the machine raises for faults and KeBugCheckEx have no literal call of nt_violation(). */
static bool raised_elsewhere(const struct verifier_rule *rule)
{
    static const char *const names[] = {"bugcheck", "fault", "stack-overflow"};

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++)
        if (strcmp(rule->name, names[index]) == 0)
            return true;
    return false;
}

START_TEST(the_table_has_no_rule_that_nothing_raises)
{
    struct findings findings = scan_sources();

    for (size_t index = 0; index < verifier_rule_count; index++)
        ck_assert_msg(findings.rule_raised[index] || raised_elsewhere(&verifier_rules[index]),
                      "nothing raises \"%s\" with %s", verifier_rules[index].name,
                      verifier_bugcheck_name(verifier_rules[index].code));
    for (size_t index = 0; index < verifier_failure_count; index++)
        ck_assert_msg(findings.failure_raised[index], "nothing raises \"%s\"", verifier_failures[index].name);
    free_findings(&findings);
}
END_TEST

static void see_test(const char *path, const char *text, void *context)
{
    bool *tested = context;
    char quoted[80];

    (void)path;
    for (size_t index = 0; index < verifier_rule_count; index++) {
        snprintf(quoted, sizeof(quoted), "\"%s\"", verifier_rules[index].name);
        if (strstr(text, quoted) != NULL)
            tested[index] = true;
    }
}

START_TEST(every_rule_is_broken_by_a_test)
{
    bool *tested = calloc(verifier_rule_count, sizeof(bool));
    char missing[4096] = "";

    scan_files("tests", see_test, tested);
    for (size_t index = 0; index < verifier_rule_count; index++)
        if (!tested[index])
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s", verifier_rules[index].name);
    ck_assert_msg(missing[0] == '\0', "no test names%s", missing);
    free(tested);
}
END_TEST

/* ---- which bugcheck of a rule with several a test sees ---- */

enum { NEARBY = 80, CODE_ALIASES = 16, ALIAS_NAME = 32 };

struct alias {
    char name[ALIAS_NAME];
    char code[64];
};

struct codes_seen {
    bool *tested; /* by index in verifier_rules */
    struct alias alias[CODE_ALIASES];
    unsigned aliases;
};

/* `#define DV DRIVER_VERIFIER_DETECTED_VIOLATION` */
static void see_aliases(const char *path, const char *text, void *context)
{
    struct codes_seen *seen = context;
    char code[64];
    char name[ALIAS_NAME];

    for (const char *at = strstr(text, "#define "); at != NULL; at = strstr(at + 1, "#define ")) {
        if (sscanf(at, "#define %31[A-Z] %63[A-Z_]", name, code) != 2)
            continue;
        for (size_t index = 0; index < verifier_rule_count; index++) {
            if (verifier_rules[index].code == VERIFIER_ANY_CODE ||
                strcmp(verifier_bugcheck_name(verifier_rules[index].code), code) != 0)
                continue;
            ck_assert_msg(seen->aliases < CODE_ALIASES, "%s: too many names of bugchecks", path);
            snprintf(seen->alias[seen->aliases].name, ALIAS_NAME, "%s", name);
            snprintf(seen->alias[seen->aliases++].code, sizeof(code), "%s", code);
            break;
        }
    }
}

static bool has_word(const char *text, size_t length, const char *word)
{
    static const char in_words[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    size_t size = strlen(word);

    for (size_t at = 0; at + size <= length; at++)
        if (strncmp(text + at, word, size) == 0 && (at == 0 || strchr(in_words, text[at - 1]) == NULL) &&
            (text[at + size] == '\0' || strchr(in_words, text[at + size]) == NULL))
            return true;
    return false;
}

static bool names_code(const struct codes_seen *seen, const char *text, size_t length, uint32_t code)
{
    char number[16];

    snprintf(number, sizeof(number), "0x%X", code);
    for (unsigned index = 0; index < seen->aliases; index++)
        if (strcmp(seen->alias[index].code, verifier_bugcheck_name(code)) == 0 &&
            has_word(text, length, seen->alias[index].name))
            return true;
    return has_word(text, length, verifier_bugcheck_name(code)) || has_word(text, length, number);
}

/* The verifier's own code is in every test: it counts right behind the rule's name only. */
static void see_codes(const char *path, const char *text, void *context)
{
    struct codes_seen *seen = context;

    (void)path;
    for (size_t index = 0; index < verifier_rule_count; index++) {
        const struct verifier_rule *rule = &verifier_rules[index];
        char quoted[80];

        snprintf(quoted, sizeof(quoted), "\"%s\"", rule->name);
        for (const char *at = strstr(text, quoted); at != NULL; at = strstr(at + 1, quoted)) {
            if (rule->code == DRIVER_VERIFIER_DETECTED_VIOLATION
                    ? names_code(seen, at + strlen(quoted), strnlen(at + strlen(quoted), NEARBY), rule->code)
                    : names_code(seen, text, strlen(text), rule->code))
                seen->tested[index] = true;
        }
    }
}

START_TEST(every_bugcheck_of_a_rule_is_seen_by_a_test)
{
    struct codes_seen seen = {.tested = calloc(verifier_rule_count, sizeof(bool))};
    char missing[4096] = "";

    scan_files("tests", see_aliases, &seen);
    scan_files("tests", see_codes, &seen);
    for (size_t index = 0; index < verifier_rule_count; index++) {
        const struct verifier_rule *rule = &verifier_rules[index];
        bool several = verifier_rule(rule->name) != rule ||
                       (index + 1 < verifier_rule_count && strcmp(verifier_rules[index + 1].name, rule->name) == 0);

        if (several && !seen.tested[index])
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s with %s", rule->name,
                     verifier_bugcheck_name(rule->code));
    }
    ck_assert_msg(missing[0] == '\0', "no test names%s", missing);
    free(seen.tested);
}
END_TEST

START_TEST(the_table_is_well_formed)
{
    for (size_t index = 0; index < verifier_rule_count; index++) {
        const struct verifier_rule *rule = &verifier_rules[index];

        ck_assert_msg(strspn(rule->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(rule->name), "%s",
                      rule->name);
        ck_assert_msg(rule->check[0] != '\0' && rule->cost[0] != '\0' && rule->page[0] != '\0', "%s", rule->name);
        ck_assert_msg((rule->parameters[0] == '\0') == (rule->first == VERIFIER_OWN), "%s: the parameters' meaning",
                      rule->name);
        ck_assert_msg(rule_parameters_readable(rule), "%s: not understood: %s", rule->name, rule->parameters);
        ck_assert_msg(rule->code == VERIFIER_ANY_CODE || verifier_bugcheck_name(rule->code)[0] != '(', "%s: code %#x",
                      rule->name, rule->code);
        ck_assert_msg(verifier_rule_with_code(rule->name, rule->code) == rule, "%s is there twice", rule->name);
        for (size_t other = 0; other < verifier_failure_count; other++)
            ck_assert_str_ne(rule->name, verifier_failures[other].name);
    }
}
END_TEST

/* ---- what a violation does with the table ---- */

static void break_unknown_rule(void *argument)
{
    (void)argument;
    nt_violation("no-such-rule", "something");
}

static void break_rule_with_another_code(void *argument)
{
    static const uint64_t parameter[4];

    (void)argument;
    nt_violation_code(BAD_POOL_HEADER, parameter, "irql", "something");
}

START_TEST(a_rule_that_is_not_in_the_table_is_an_internal_error)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, break_unknown_rule, NULL, "internal");

    ck_assert(strstr(failure->text, "no-such-rule") != NULL);
}
END_TEST

START_TEST(a_code_that_the_rule_does_not_have_is_an_internal_error)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, break_rule_with_another_code, NULL, "internal");

    ck_assert(strstr(failure->text, "0x19") != NULL);
}
END_TEST

static VOID NTAPI no_dpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static void break_dpc_target(void *argument)
{
    static KDPC dpc;

    (void)argument;
    KeInitializeDpc(&dpc, no_dpc, NULL);
    KeSetTargetProcessorDpc(&dpc, 99);
}

START_TEST(a_rule_of_pvsim_s_own_names_itself_in_the_parameters)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, break_dpc_target, NULL, "dpc-target");

    ck_assert_uint_eq(failure->code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    ck_assert_uint_eq(failure->parameter[0], VERIFIER_OWN);
    ck_assert_str_eq((const char *)(uintptr_t)failure->parameter[1], "dpc-target");
}
END_TEST

/* ---- the command ---- */

START_TEST(the_list_names_every_rule)
{
    struct process_result result = pvsim("verifier --list");

    ck_assert_int_eq(result.status, 0);
    for (size_t index = 0; index < verifier_rule_count; index++)
        ck_assert_msg(strstr(result.output, verifier_rules[index].name) != NULL, "%s", verifier_rules[index].name);
    for (size_t index = 0; index < verifier_failure_count; index++)
        ck_assert_msg(strstr(result.output, verifier_failures[index].name) != NULL, "%s",
                      verifier_failures[index].name);
    process_free(&result);
}
END_TEST

START_TEST(the_list_as_json_has_the_table_s_rows)
{
    struct process_result result = pvsim("verifier --list --format json");
    json_error_t error;
    json_t *list = json_loads(result.output, 0, &error);
    json_t *rules;

    ck_assert_int_eq(result.status, 0);
    ck_assert_msg(list != NULL, "%s", error.text);
    rules = json_object_get(list, "rules");
    ck_assert_uint_eq(json_array_size(rules), verifier_rule_count);
    ck_assert_uint_eq(json_array_size(json_object_get(list, "failures")), verifier_failure_count);
    for (size_t index = 0; index < verifier_rule_count; index++) {
        json_t *row = json_array_get(rules, index);

        ck_assert_str_eq(json_string_value(json_object_get(row, "rule")), verifier_rules[index].name);
        if (verifier_rules[index].code != VERIFIER_ANY_CODE)
            ck_assert_int_eq(json_integer_value(json_object_get(row, "code")), verifier_rules[index].code);
    }
    json_decref(list);
    process_free(&result);
}
END_TEST

START_TEST(the_command_refuses_what_it_does_not_know)
{
    static const char *const lines[] = {"verifier", "verifier --lost", "verifier --list here",
                                        "verifier --list --format xml", "verifier --list --format"};

    for (size_t index = 0; index < sizeof(lines) / sizeof(lines[0]); index++) {
        struct process_result result = pvsim("%s", lines[index]);

        ck_assert_msg(result.status == 2, "%s: status %d", lines[index], result.status);
        ck_assert_uint_eq(line_count(result.error), 1);
        process_free(&result);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verifier");
    TCase *table = tcase_create("rules");

    tcase_add_test(table, sources_raise_rules_of_the_table);
    tcase_add_test(table, the_table_has_no_rule_that_nothing_raises);
    tcase_add_test(table, every_rule_is_broken_by_a_test);
    tcase_add_test(table, every_bugcheck_of_a_rule_is_seen_by_a_test);
    tcase_add_test(table, the_table_is_well_formed);
    tcase_add_test(table, a_rule_that_is_not_in_the_table_is_an_internal_error);
    tcase_add_test(table, a_code_that_the_rule_does_not_have_is_an_internal_error);
    tcase_add_test(table, a_rule_of_pvsim_s_own_names_itself_in_the_parameters);
    tcase_add_test(table, the_list_names_every_rule);
    tcase_add_test(table, the_list_as_json_has_the_table_s_rows);
    tcase_add_test(table, the_command_refuses_what_it_does_not_know);
    suite_add_tcase(suite, table);
    return guest_suite_run(suite);
}
