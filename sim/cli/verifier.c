/* pvsim verifier: the rules that drivers are held to. */
#include "nt/verifier/rules.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cli/cli.h"

#define PARAMETERS_MAX 256

static void bugcheck_text(char *buffer, size_t size, const struct verifier_rule *rule)
{
    if (rule->code == VERIFIER_ANY_CODE)
        snprintf(buffer, size, "any");
    else
        snprintf(buffer, size, "0x%" PRIX32 " %s", rule->code, verifier_bugcheck_name(rule->code));
}

static void list_text(void)
{
    char bugcheck[128];
    char parameters[PARAMETERS_MAX];

    for (size_t index = 0; index < verifier_rule_count; index++) {
        const struct verifier_rule *rule = &verifier_rules[index];

        bugcheck_text(bugcheck, sizeof(bugcheck), rule);
        verifier_parameters_text(parameters, sizeof(parameters), rule);
        printf("%-28s %s (%s)\n%-28s checked: %s; cost: %s; see: %s\n", rule->name, bugcheck, parameters, "",
               rule->check, rule->cost, rule->page);
    }
    puts("\nFailures that are no rule of a driver:");
    for (size_t index = 0; index < verifier_failure_count; index++)
        printf("%-28s %s\n", verifier_failures[index].name, verifier_failures[index].what);
}

static int list_json(void)
{
    json_t *rules = json_array();
    json_t *failures = json_array();
    json_t *object;

    for (size_t index = 0; index < verifier_rule_count; index++) {
        const struct verifier_rule *rule = &verifier_rules[index];
        char parameters[PARAMETERS_MAX];
        bool any = rule->code == VERIFIER_ANY_CODE;

        verifier_parameters_text(parameters, sizeof(parameters), rule);
        json_array_append_new(rules, json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s}", "rule", rule->name, "code",
                                               any ? json_null() : json_integer(rule->code), "bugcheck",
                                               any ? json_null() : json_string(verifier_bugcheck_name(rule->code)),
                                               "parameters", parameters, "check", rule->check, "cost", rule->cost,
                                               "page", rule->page));
    }
    for (size_t index = 0; index < verifier_failure_count; index++)
        json_array_append_new(failures, json_pack("{s:s, s:s}", "failure", verifier_failures[index].name, "what",
                                                  verifier_failures[index].what));
    object = json_pack("{s:o, s:o}", "rules", rules, "failures", failures);
    if (object == NULL) {
        complain("the rules hold text that JSON cannot carry");
        return EXIT_FAILED;
    }
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return EXIT_PASSED;
}

int command_verifier(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"list", no_argument, NULL, 'l'},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    enum format format = FORMAT_TEXT;
    bool list = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        switch (option) {
        case 'l':
            list = true;
            break;
        case 'f':
            if (strcmp(optarg, "text") != 0 && strcmp(optarg, "json") != 0) {
                complain("--format takes text or json, not '%s'", optarg);
                return EXIT_USAGE;
            }
            format = strcmp(optarg, "json") == 0 ? FORMAT_JSON : FORMAT_TEXT;
            break;
        case 'h':
            help_print(stdout, "verifier");
            return EXIT_PASSED;
        default:
            complain(option == ':' ? "%s takes a value; see 'pvsim verifier --help'"
                                   : "unknown option %s; see 'pvsim verifier --help'",
                     argv[optind - 1]);
            return EXIT_USAGE;
        }
    }
    if (!list || optind < argc) {
        complain(optind < argc ? "unexpected argument '%s'; see 'pvsim verifier --help'"
                               : "nothing to do; see 'pvsim verifier --help'",
                 argv[optind]);
        return EXIT_USAGE;
    }
    if (format == FORMAT_JSON)
        return list_json();
    list_text();
    return EXIT_PASSED;
}
