#include "conformance/conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/rule_report.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/ex/pool.h"
#include "nt/fs/fs.h"
#include "nt/io/io.h"
#include "nt/pnp/pnp.h"

#define SERVICE CM_SERVICES "\\nttest"
#define POLL_MS 10

static struct {
    char *text;
    size_t length, size;
} output;

static struct {
    const char *select;
    bool device;
    const char *transcript;
    struct conform_result *result;
} order;

/* What the driver prints, and nothing else in this machine prints. */
static VOID NTAPI on_print(PSTRING text, ULONG component, ULONG level)
{
    (void)component;
    (void)level;
    if (output.length + text->Length + 1 > output.size) {
        output.size = 2 * (output.length + text->Length + 1);
        output.text = realloc(output.text, output.size);
    }
    memcpy(output.text + output.length, text->Buffer, text->Length);
    output.length += text->Length;
    output.text[output.length] = '\0';
}

/* What `sc create nttest type= kernel binPath= ...` leaves in the registry. */
static void create_service(void)
{
    struct cm_key *key = cm_key_create(SERVICE);

    cm_value_set_dword(key, "Type", 1);
    cm_value_set_dword(key, "Start", 3);
    cm_value_set_dword(key, "ErrorControl", 1);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, "system32\\drivers\\nttest.sys");
}

static void install(void)
{
    char error[512];

    if (!pnp_install_inf(PVSIM_BUILD "/nttest/nttest.inf", error, sizeof(error)))
        fail("conform", "%s", error);
}

static void wait_until_done(struct cm_key *parameters)
{
    LARGE_INTEGER interval = {.QuadPart = -POLL_MS * 10000LL};
    ULONG done = 0;

    while (!cm_value_get_dword(parameters, "Done", &done))
        (void)KeDelayExecutionThread(KernelMode, FALSE, &interval);
    (void)cm_value_get_dword(parameters, "Passed", &order.result->passed);
    (void)cm_value_get_dword(parameters, "Failed", &order.result->failed);
    (void)cm_value_get_dword(parameters, "Skipped", &order.result->skipped);
    order.result->done = true;
}

static void keep_file(void)
{
    size_t size;
    const char *content = fs_content("\\Windows\\Temp\\nttest.txt", &size);

    if (content != NULL)
        order.result->file = strndup(content, size);
}

static void run_driver(void *argument)
{
    struct cm_key *parameters;
    PDRIVER_OBJECT driver = NULL;

    (void)argument;
    if (order.device)
        install();
    else
        create_service();
    parameters = cm_key_create(SERVICE "\\Parameters");
    cm_value_set_string(parameters, "Select", REG_SZ, order.select);
    if (order.transcript != NULL)
        cm_value_set_string(parameters, "Transcript", REG_SZ, order.transcript);
    (void)DbgSetDebugPrintCallback(on_print, TRUE);
    if (order.device)
        pnp_boot();
    else if (!NT_SUCCESS(io_load_driver("nttest", &driver)))
        fail("conform", "nttest did not load: %s", loader_error());
    wait_until_done(parameters);
    if (order.device) {
        if (!pnp_shutdown_all())
            fail("conform", "nttest is not removed: %s", pnp_refusal());
    } else {
        if (!NT_SUCCESS(io_unload_driver(driver)))
            fail("conform", "nttest does not unload");
        ObDereferenceObject(driver);
    }
    keep_file();
    (void)DbgSetDebugPrintCallback(on_print, FALSE);
    pool_check_all();
}

struct machine_config conform_config(const struct conform_case *one)
{
    struct machine_config config = guest_config(one == NULL ? 4 : one->cpus > 2 ? one->cpus : 2);

    config.driver_dir = PVSIM_BUILD "/nttest";
    config.log_level = LOG_NONE;
    return config;
}

struct conform_result conform_run(const struct machine_config *config, const char *select, bool device,
                                  const char *transcript)
{
    struct conform_result result = {.end = MACHINE_FAILED};

    output.text = NULL;
    output.length = output.size = 0;
    order.select = select;
    order.device = device;
    order.transcript = transcript;
    order.result = &result;
    result.end = machine_run_in_guest(config, run_driver, NULL);
    if (result.end == MACHINE_FAILED) {
        const struct failure *failure = machine_failure();

        snprintf(result.rule, sizeof(result.rule), "%s", failure->rule);
        result.code = failure->code;
        (void)rule_report_fits(failure, result.misfit, sizeof(result.misfit));
        snprintf(result.failure, sizeof(result.failure), "%s %s: %s\n%s", failure->rule, failure->title, failure->text,
                 failure->backtrace);
        machine_destroy();
    }
    result.output = output.text != NULL ? output.text : calloc(1, 1);
    return result;
}

struct case_list {
    unsigned known;
    struct conform_case cases[CONFORM_CASES_MAX];
};

static void list_cases(struct case_list *list)
{
    struct machine_config config = conform_config(NULL);
    struct conform_result result = conform_run(&config, "?", false, NULL);
    char *rest = result.output;
    char *line;

    if (result.end != MACHINE_DONE) {
        fprintf(stderr, "the conformance driver does not list its cases: %s\n", result.failure);
        return;
    }
    while ((line = strsep(&rest, "\n")) != NULL && list->known < CONFORM_CASES_MAX) {
        struct conform_case *one = &list->cases[list->known];
        unsigned flags;

        if (sscanf(line, "%63s %95s %x %63s %x", one->suite, one->name, &flags, one->rule, &one->code) != 5)
            continue;
        if (strcmp(one->rule, "-") == 0)
            one->rule[0] = '\0';
        one->schedules = (flags & 1) != 0;
        one->device = (flags & 2) != 0;
        one->cpus = flags >> 8 & 0xFF;
        list->known++;
    }
    free(result.output);
}

/* By a process of its own: ThreadSanitizer is blind in whoever is forked from a process that has run a machine. */
const struct conform_case *conform_cases(unsigned *count)
{
    static struct case_list *list;

    if (list == NULL) {
        pid_t child;

        list = mmap(NULL, sizeof(*list), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        child = list == MAP_FAILED ? -1 : fork();
        if (child == 0) {
            list_cases(list);
            _exit(0);
        }
        if (child < 0 || waitpid(child, NULL, 0) != child || list->known == 0) {
            fprintf(stderr, "no list of the conformance driver's cases\n");
            exit(1);
        }
    }
    *count = list->known;
    return list->cases;
}

const struct conform_case *conform_find(const char *name)
{
    unsigned count;
    const struct conform_case *cases = conform_cases(&count);

    for (unsigned i = 0; i < count; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}

static const char *policy_name(enum machine_policy policy)
{
    return policy == POLICY_FIFO ? "fifo" : policy == POLICY_PCT ? "pct" : "random";
}

/* One run of a case (Check takes about 4 KB of reasons); its transcript must be `*first`, which the first run leaves
 * there. */
static bool check_once(const struct conform_case *one, const struct machine_config *config, char **first, char *why,
                       size_t size)
{
    struct conform_result result = conform_run(config, one->name, one->device, NULL);
    const char *wrong = NULL;

    if (one->rule[0] != '\0') {
        if (result.end != MACHINE_FAILED)
            wrong = "the rule was broken and nobody said so";
        else if (strcmp(result.rule, one->rule) != 0)
            wrong = "the machine ended by another rule";
        else if (one->code != 0 && result.code != one->code)
            wrong = "the machine ended with another bug check";
        else if (result.misfit[0] != '\0')
            wrong = result.misfit;
    } else if (result.end != MACHINE_DONE) {
        wrong = "the machine failed";
    } else if (!result.done || result.passed != 1 || result.failed != 0) {
        wrong = "the case failed";
    } else if (*first != NULL && strcmp(*first, result.output) != 0) {
        wrong = "the transcript depends on the schedule";
    }
    if (wrong != NULL)
        snprintf(why, size,
                 "%s: %s\n%.1200s%.1200s\nagain: " PVSIM_BUILD "/tests/conformance/test_nt %s --policy %s --seed %llu",
                 one->name, wrong, result.output, result.failure, one->name, policy_name(config->policy),
                 (unsigned long long)config->seed);
    if (*first == NULL && wrong == NULL)
        *first = result.output;
    else
        free(result.output);
    return wrong == NULL;
}

bool conform_check(const struct conform_case *one, unsigned seeds, char *why, size_t size)
{
    struct machine_config config = conform_config(one);
    char *first = NULL;
    bool good = check_once(one, &config, &first, why, size);

    for (unsigned seed = 1; good && one->schedules && seed <= seeds; seed++) {
        config.seed = seed;
        config.policy = POLICY_PCT;
        good = check_once(one, &config, &first, why, size);
        config.policy = POLICY_RANDOM;
        good = good && check_once(one, &config, &first, why, size);
    }
    free(first);
    return good;
}
