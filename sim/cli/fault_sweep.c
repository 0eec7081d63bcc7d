#include "cli/fault_sweep.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/call_sites.h"
#include "cli/driver_lines.h"
#include "cli/forked.h"
#include "cli/progress.h"
#include "cli/run_internal.h"
#include "machine/clock_internal.h"

#define CALLS_MAX 1000000u
#define LIMIT_DEFAULT_NS UINT64_C(120000000000)

static const char *const modules[] = {"xen", "xenbus", "xenfilt", "xenvif", "netclient"};

/* What a run tells beside its outcome. */
struct told {
    bool injected; /* false: the run had no call of that number */
    bool bus_restarted;
    uint8_t kind;
    uint8_t phase;
};

enum site_seen { SITE_REACHED = 1, SITE_NEVER_FAILS = 2 };

/* Written by the children. */
struct shared {
    uint64_t strangers;          /* counted calls from no site that was found, */
    struct fault_stack stranger; /* and the first of them */
    uint8_t *sites;              /* enum site_seen */
    struct told *told;           /* by number of the call - first */
};

struct fault_sweep {
    uint64_t first;
    uint64_t last;
    uint64_t every;
    unsigned jobs;
    uint64_t limit_ns;
    bool verbose;

    int argc; /* of the `pvsim run` of every fault, with room for --fail */
    char **argv;
    char fail_text[32];
    uint64_t calls;  /* in a child: counted so far */
    uint64_t number; /* likewise: of the one to fail */
    struct run_options options;
    struct run *run;
    struct call_sites *sites;
    struct shared *shared;

    struct progress progress;
    uint64_t end; /* the first number known to have no call; 0: none is known */
    uint64_t done;
    uint64_t failed;
    uint64_t not_here;
    uint64_t bus_restarts;
    uint64_t kinds[FAULT_KINDS];
    uint64_t phases[FAULT_PHASES];
    unsigned phase; /* of the last that ended */
};

/* ---- the command line ---- */

enum { OPTION_FAIL_ALL = 256, OPTION_RANGE, OPTION_EVERY, OPTION_LIMIT };

static const struct option long_options[] = {
    {"fail-all", no_argument, NULL, OPTION_FAIL_ALL},
    {"range", required_argument, NULL, OPTION_RANGE},
    {"every", required_argument, NULL, OPTION_EVERY},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"jobs", required_argument, NULL, 'j'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

bool fault_sweep_asked_for(int argc, char **argv)
{
    for (int index = 1; index < argc && strcmp(argv[index], "--") != 0; index++)
        if (strcmp(argv[index], "--fail-all") == 0)
            return true;
    return false;
}

static bool parse_range(const char *text, struct fault_sweep *sweep)
{
    int length = 0;

    if (strspn(text, "0123456789-") == strlen(text) &&
        sscanf(text, "%10" SCNu64 "-%10" SCNu64 "%n", &sweep->first, &sweep->last, &length) == 2 &&
        text[length] == '\0' && sweep->first >= 1 && sweep->first <= sweep->last && sweep->last <= CALLS_MAX)
        return true;
    complain("--range takes numbers of calls such as 1-500 (both ends included, up to %u), not '%s'", CALLS_MAX, text);
    return false;
}

static bool sweep_option(int option, const char *value, struct fault_sweep *sweep)
{
    uint64_t number;

    switch (option) {
    case OPTION_FAIL_ALL:
        return true;
    case OPTION_RANGE:
        return parse_range(value, sweep);
    case OPTION_EVERY:
        return parse_number("every", value, 1, CALLS_MAX, &sweep->every);
    case OPTION_LIMIT:
        return parse_time("limit", value, &sweep->limit_ns);
    case 'v':
        sweep->verbose = true;
        return true;
    default:
        if (!parse_number("jobs", value, 1, 1024, &number))
            return false;
        sweep->jobs = (unsigned)number;
        return true;
    }
}

/* What the sweep decides itself, or what its children would write over each other. */
static bool check_run(const struct fault_sweep *sweep)
{
    const char *what = NULL;

    if (sweep->options.machine.faults.count != 0)
        what = "--fail: the sweep says which call fails";
    else if (sweep->options.out_tx != NULL || sweep->options.out_rx != NULL)
        what = "--out-tx and --out-rx: every run would write the same file; run the one you want by itself";
    else if (sweep->options.format != FORMAT_TEXT)
        what = "--format: the runs' reports are not shown";
    else if (backend_is_outside(&sweep->options.backend))
        what = "--backend none or exec: that the devices come back is shown with pvsim's own backend";
    else if (sweep->options.machine.clock != CLOCK_VIRTUAL)
        what = "--clock wall: what it found could not be seen again";
    if (what != NULL)
        complain("the run of sweep --fail-all cannot have %s", what);
    return what == NULL;
}

static int parse(int argc, char **argv, struct fault_sweep *sweep)
{
    int option;
    int status;

    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:hj:v", long_options, NULL)) != -1) {
        if (option == 'h') {
            help_print(stdout, "sweep");
            return -1;
        }
        if (option == ':' || option == '?') {
            complain(option == ':' ? "%s takes a value; see 'pvsim sweep --help'"
                                   : "sweep --fail-all has no option %s; see 'pvsim sweep --help'",
                     argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!sweep_option(option, optarg, sweep))
            return EXIT_USAGE;
    }
    if (optind == argc || strcmp(argv[optind], "run") != 0) {
        complain("sweep takes the run to make behind --: pvsim sweep --fail-all -- run --tx A.pcap");
        return EXIT_USAGE;
    }
    sweep->argc = argc - optind;
    sweep->argv = calloc((size_t)sweep->argc + 3, sizeof(*sweep->argv));
    if (sweep->argv == NULL)
        abort();
    memcpy(sweep->argv, argv + optind, (size_t)sweep->argc * sizeof(*argv));
    status = options_parse_run(sweep->argc, sweep->argv, &sweep->options);
    if (status != 0)
        return status;
    sweep->argv[sweep->argc++] = "--fail";
    sweep->argv[sweep->argc++] = sweep->fail_text;
    return check_run(sweep) ? 0 : EXIT_USAGE;
}

/* ---- one fault, in a child ---- */

static void note_call(void *context, const struct fault_stack *stack, bool fallible)
{
    struct fault_sweep *sweep = context;
    int site = call_sites_match(sweep->sites, stack);

    /* Told at once: the run may not live to tell. */
    if (fallible && ++sweep->calls == sweep->number)
        sweep->shared->told[sweep->number - sweep->first].injected = true;
    if (site >= 0)
        __atomic_or_fetch(&sweep->shared->sites[site], fallible ? SITE_REACHED : SITE_NEVER_FAILS, __ATOMIC_RELAXED);
    else if (fallible && __atomic_fetch_add(&sweep->shared->strangers, 1, __ATOMIC_RELAXED) == 0)
        sweep->shared->stranger = *stack;
}

static void set_fault(struct fault_sweep *sweep, uint64_t number)
{
    struct fault_plan *plan = &sweep->run->options.machine.faults;

    snprintf(sweep->fail_text, sizeof(sweep->fail_text), "nth=%" PRIu64, number);
    *plan = (struct fault_plan){
        .rule = {{.kinds = (1u << FAULT_KINDS) - 1, .phases = (1u << FAULT_PHASES) - 1, .nth = number}}, .count = 1};
}

static int run_fault(void *context, uint64_t number, struct run_outcome *outcome)
{
    struct fault_sweep *sweep = context;
    struct told *told = &sweep->shared->told[number - sweep->first];
    const struct report *report = &sweep->run->report;
    int status;

    set_fault(sweep, number);
    sweep->number = number;
    run_set_arguments(sweep->run, sweep->argc, sweep->argv);
    sweep->run->seen = note_call;
    sweep->run->seen_context = sweep;
    status = run_finish(sweep->run, outcome);
    told->bus_restarted = report->bus_restarted;
    if (report->fault_count != 0) {
        told->kind = (uint8_t)report->faults[0].kind;
        told->phase = (uint8_t)report->faults[0].phase;
    }
    return status;
}

/* ---- what is shown ---- */

static const char *kind_name(unsigned index)
{
    return fault_kind_name((enum fault_kind)index);
}

static const char *phase_name(unsigned index)
{
    return fault_phase_name((enum fault_phase)index);
}

static void show_progress(struct fault_sweep *sweep)
{
    progress_show(&sweep->progress, "%" PRIu64 " faults, now in %s, %" PRIu64 " failed, %.0f a second", sweep->done,
                  phase_name(sweep->phase), sweep->failed, (double)sweep->done / progress_seconds(&sweep->progress));
}

static void print_failure(struct fault_sweep *sweep, const struct forked_result *result)
{
    const struct run_outcome *outcome = &result->outcome;

    progress_clear();
    printf("fault %" PRIu64 ": ", result->key);
    if (result->end == FORKED_FAILED)
        printf("rule %s, event %" PRIu64 ": %s\n", outcome->rule, outcome->event, outcome->text);
    else
        forked_print_end(result, sweep->limit_ns);
    set_fault(sweep, result->key);
    command_print_again(sweep->argc, sweep->argv, outcome->bundle);
    fflush(stdout);
}

static void print_counts(const char *what, const uint64_t *counts, unsigned count, const char *(*name)(unsigned))
{
    printf("%s:", what);
    for (unsigned index = 0; index < count; index++)
        if (counts[index] != 0)
            printf(" %s %" PRIu64, name(index), counts[index]);
    putchar('\n');
}

static void print_site(const struct fault_sweep *sweep, const struct call_site *site, const char *why)
{
    char where[256];

    driver_lines_call(where, sizeof(where), &sweep->options.machine, &site->frame);
    printf("  %s: %s%s\n", where, site->routine, why);
}

/* Those that no run can reach in this machine. */
static void print_unused(const struct fault_sweep *sweep, unsigned unused)
{
    static const char *const why[] = {
        [CALL_SITE_NOT_CALLED] = "; nothing in the driver leads to the function",
        [CALL_SITE_NOT_IMPORTED] = "; no driver of this machine imports the function",
    };

    if (unused != 0)
        printf("%u cannot be reached in this machine:\n", unused);
    for (unsigned index = 0; index < call_sites_count(sweep->sites); index++) {
        const struct call_site *site = call_sites_get(sweep->sites, index);

        if (sweep->shared->sites[index] == 0 && site->use != CALL_SITE_USED)
            print_site(sweep, site, why[site->use]);
        else if (site->use != CALL_SITE_USED)
            print_site(sweep, site, " was reached, though the drivers' code seems not to lead there");
    }
}

static unsigned print_sites(const struct fault_sweep *sweep)
{
    unsigned count = call_sites_count(sweep->sites);
    unsigned reached = 0;
    unsigned never = 0;
    unsigned unused = 0;
    unsigned left = 0;

    for (unsigned index = 0; index < count; index++) {
        bool used = call_sites_get(sweep->sites, index)->use == CALL_SITE_USED;

        reached += (sweep->shared->sites[index] & SITE_REACHED) != 0;
        never += sweep->shared->sites[index] == SITE_NEVER_FAILS;
        unused += sweep->shared->sites[index] == 0 && !used;
        left += sweep->shared->sites[index] == 0 && used;
    }
    printf("call sites: %u, of them %u reached, %u only with calls that never fail, %u out of reach, %u not "
           "reached%s\n",
           count, reached, never, unused, left, left != 0 ? ":" : "");
    for (unsigned index = 0; index < count; index++)
        if (sweep->shared->sites[index] == 0 && call_sites_get(sweep->sites, index)->use == CALL_SITE_USED)
            print_site(sweep, call_sites_get(sweep->sites, index), "");
    print_unused(sweep, unused);
    if (sweep->shared->strangers != 0) {
        char where[1024];

        driver_lines_stack(where, sizeof(where), &sweep->options.machine, &sweep->shared->stranger);
        printf("%" PRIu64 " calls came from places that are no call sites by the drivers' code, such as %s\n",
               sweep->shared->strangers, where);
    }
    return left;
}

static int summarise(const struct fault_sweep *sweep)
{
    double time = progress_seconds(&sweep->progress);
    unsigned left;

    progress_clear();
    printf("sweep: %" PRIu64 " faults in %.1f s, %.1f a second with %u at once%s\n", sweep->done, time,
           (double)sweep->done / time, sweep->jobs, sweep->end != 0 ? "; none is left to fail" : "");
    print_counts("by kind", sweep->kinds, FAULT_KINDS, kind_name);
    print_counts("by phase", sweep->phases, FAULT_PHASES, phase_name);
    printf("the whole bus was restarted after %" PRIu64 " of them\n", sweep->bus_restarts);
    left = print_sites(sweep);
    printf("%s faults=%" PRIu64 " failed=%" PRIu64 " not-tried=%" PRIu64 " sites-not-reached=%u\n",
           sweep->failed > 0     ? "FAIL"
           : sweep->not_here > 0 ? "NOT TRIED"
                                 : "PASS",
           sweep->done, sweep->failed, sweep->not_here, left);
    return sweep->failed > 0 ? EXIT_FAILED : sweep->not_here > 0 ? EXIT_NOT_HERE : EXIT_PASSED;
}

/* ---- the sweep ---- */

static void count(struct fault_sweep *sweep, const struct forked_result *result)
{
    const struct told *told = &sweep->shared->told[result->key - sweep->first];

    /* A run that fails without a fault has none left either, and more of it would say no more. */
    if (!told->injected && (sweep->end == 0 || result->key < sweep->end))
        sweep->end = result->key;
    if (!told->injected && result->end == FORKED_PASSED)
        return;
    sweep->done++;
    if (told->injected) {
        sweep->kinds[told->kind]++;
        sweep->phases[told->phase]++;
        sweep->bus_restarts += told->bus_restarted;
        sweep->phase = told->phase;
    }
    if (result->end == FORKED_PASSED) {
        if (!sweep->verbose)
            return;
        progress_clear();
        printf("fault %" PRIu64 ": %s during %s, passed\n", result->key, kind_name(told->kind),
               phase_name(told->phase));
        return;
    }
    if (result->end == FORKED_NOT_HERE)
        sweep->not_here++;
    else
        sweep->failed++;
    print_failure(sweep, result);
}

static int sweep_faults(struct fault_sweep *sweep)
{
    struct forked *forked = forked_open(sweep->jobs, sweep->limit_ns);
    struct forked_result result;
    uint64_t next = sweep->first;

    progress_start(&sweep->progress);
    for (;;) {
        bool more = next <= sweep->last && sweep->end == 0;

        if (!more && forked_running(forked) == 0)
            break;
        if (more && !forked_full(forked)) {
            forked_start(forked, next, run_fault, sweep);
            next += sweep->every;
            continue;
        }
        if (forked_wait(forked, PROGRESS_TICK_NS, &result))
            count(sweep, &result);
        show_progress(sweep);
    }
    forked_close(forked);
    return summarise(sweep);
}

static void *share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        complain("no memory to share with child processes");
        exit(EXIT_NOT_HERE);
    }
    return memory;
}

static struct call_sites *read_sites(const struct machine_config *config)
{
    const char *names[sizeof(modules) / sizeof(modules[0]) + MACHINE_MAX_DRIVERS];
    unsigned count = sizeof(modules) / sizeof(modules[0]);

    memcpy(names, modules, sizeof(modules));
    for (unsigned index = 0; index < config->driver_count; index++) {
        unsigned known = 0;

        while (known < count && strcmp(names[known], config->driver[index].name) != 0)
            known++;
        if (known == count)
            names[count++] = config->driver[index].name;
    }
    return call_sites_read(config, names, count);
}

static int run_sweep(struct fault_sweep *sweep)
{
    int status = EXIT_USAGE;

    sweep->sites = read_sites(&sweep->options.machine);
    if (sweep->sites == NULL)
        return EXIT_USAGE;
    sweep->shared = share(sizeof(*sweep->shared));
    sweep->shared->sites = share(call_sites_count(sweep->sites) + 1);
    sweep->shared->told = share((sweep->last - sweep->first + 1) * sizeof(struct told));
    sweep->run = run_open(sweep->argc, sweep->argv, &sweep->options, &status);
    if (sweep->run != NULL) {
        status = sweep_faults(sweep);
        run_close(sweep->run);
    }
    return status;
}

int command_fault_sweep(int argc, char **argv)
{
    struct fault_sweep sweep = {
        .first = 1, .last = CALLS_MAX, .every = 1, .jobs = forked_processors(), .limit_ns = LIMIT_DEFAULT_NS};
    int status = parse(argc, argv, &sweep);

    if (status == 0)
        status = run_sweep(&sweep);
    call_sites_free(sweep.sites);
    free(sweep.argv);
    return status == -1 ? EXIT_PASSED : status;
}
