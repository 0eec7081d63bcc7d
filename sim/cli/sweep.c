/*
 * pvsim sweep: one run under many seeds, on all processors. Each seed is a child of this process, so that captures are
 * read, and with --from connected the machine is booted, once for all.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fault_sweep.h"
#include "cli/forked.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "machine/clock_internal.h"
#include "machine/guest_ram.h"

#define SEEDS_MAX UINT64_C(1000000000)
#define LIMIT_DEFAULT_NS UINT64_C(120000000000)

struct sweep {
    uint64_t first;
    uint64_t count;
    bool from_connected;
    unsigned jobs;
    uint64_t limit_ns;
    bool verbose;

    int argc; /* of the `pvsim run` of every seed, with room for the seed */
    char **argv;
    char seed_text[24];
    struct run_options options;
    struct run *run;

    struct progress progress;
    uint64_t done;
    uint64_t passed;
    uint64_t failed;
    uint64_t not_here;
    uint64_t *hashes; /* of the runs that came to an end */
    uint64_t hash_count;
};

/* ---- the command line ---- */

enum { OPTION_SEEDS = 256, OPTION_POLICY, OPTION_SHARD, OPTION_FROM, OPTION_LIMIT };

static const struct option long_options[] = {
    {"seeds", required_argument, NULL, OPTION_SEEDS},
    {"policy", required_argument, NULL, OPTION_POLICY},
    {"shard", required_argument, NULL, OPTION_SHARD},
    {"from", required_argument, NULL, OPTION_FROM},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"jobs", required_argument, NULL, 'j'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct shard {
    uint64_t index; /* from 1 */
    uint64_t count;
};

/* "A-B" or "I/N": two whole numbers. */
static bool two_numbers(const char *text, char between, uint64_t *left, uint64_t *right)
{
    int length = 0;

    if (strspn(text, "0123456789") == 0 || text[strspn(text, "0123456789")] != between)
        return false;
    return sscanf(text, between == '-' ? "%20" SCNu64 "-%20" SCNu64 "%n" : "%20" SCNu64 "/%20" SCNu64 "%n", left, right,
                  &length) == 2 &&
           text[length] == '\0';
}

static bool parse_seeds(const char *text, struct sweep *sweep)
{
    uint64_t last;

    if (!two_numbers(text, '-', &sweep->first, &last)) {
        complain("--seeds takes a range such as 1-2000 (both ends included), not '%s'", text);
        return false;
    }
    if (last < sweep->first) {
        complain("--seeds %s: the range ends before it begins", text);
        return false;
    }
    if (last - sweep->first >= SEEDS_MAX) {
        complain("--seeds %s: more than %" PRIu64 " seeds", text, SEEDS_MAX);
        return false;
    }
    sweep->count = last - sweep->first + 1;
    return true;
}

static bool parse_shard(const char *text, struct shard *shard)
{
    if (two_numbers(text, '/', &shard->index, &shard->count) && shard->index >= 1 && shard->index <= shard->count &&
        shard->count <= SEEDS_MAX)
        return true;
    complain("--shard takes I/N, the I-th of N parts, such as 1/4, not '%s'", text);
    return false;
}

/* The shards of a range follow each other without gap or overlap, and their sizes differ by one at most. */
static void cut_shard(struct sweep *sweep, const struct shard *shard)
{
    uint64_t from = sweep->count * (shard->index - 1) / shard->count;
    uint64_t to = sweep->count * shard->index / shard->count;

    sweep->first += from;
    sweep->count = to - from;
}

static bool parse_from(const char *text, struct sweep *sweep)
{
    sweep->from_connected = strcmp(text, "connected") == 0;
    if (sweep->from_connected || strcmp(text, "power-on") == 0)
        return true;
    complain("--from takes power-on or connected, not '%s'", text);
    return false;
}

static bool sweep_option(int option, const char *value, struct sweep *sweep, struct shard *shard, const char **policy)
{
    uint64_t number;

    switch (option) {
    case OPTION_SEEDS:
        return parse_seeds(value, sweep);
    case OPTION_SHARD:
        return parse_shard(value, shard);
    case OPTION_FROM:
        return parse_from(value, sweep);
    case OPTION_LIMIT:
        return parse_time("limit", value, &sweep->limit_ns);
    case OPTION_POLICY:
        *policy = value;
        return true;
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

/* What a sweep decides itself, or what its children would write over each other. */
static bool check_run(const struct sweep *sweep)
{
    const char *what = NULL;

    if (sweep->options.seed_given)
        what = "--seed: the sweep gives the seeds";
    else if (sweep->options.out_tx != NULL || sweep->options.out_rx != NULL)
        what = "--out-tx and --out-rx: every seed would write the same file; run the one you want by itself";
    else if (sweep->options.format != FORMAT_TEXT)
        what = "--format: the runs' reports are not shown";
    else if (backend_is_outside(&sweep->options.backend))
        what = "--backend none or exec: its program is of one machine; run the seeds one by one";
    else if (sweep->options.machine.clock != CLOCK_VIRTUAL)
        what = "--clock wall: what it found could not be seen again";
    else if (sweep->options.machine.engine == ENGINE_PARALLEL)
        what = "--engine par: what it found could not be seen again";
    if (what != NULL)
        complain("a sweep's run cannot have %s", what);
    return what == NULL;
}

static int parse(int argc, char **argv, struct sweep *sweep)
{
    struct shard shard = {1, 1};
    const char *policy = NULL;
    int option;
    int status;

    sweep->jobs = forked_processors();
    sweep->limit_ns = LIMIT_DEFAULT_NS;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:hj:v", long_options, NULL)) != -1) {
        if (option == 'h') {
            help_print(stdout, "sweep");
            return -1;
        }
        if (option == ':' || option == '?') {
            complain(option == ':' ? "%s takes a value; see 'pvsim sweep --help'"
                                   : "unknown option %s; see 'pvsim sweep --help'",
                     argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!sweep_option(option, optarg, sweep, &shard, &policy))
            return EXIT_USAGE;
    }
    if (sweep->count == 0) {
        complain("sweep needs --seeds A-B; see 'pvsim sweep --help'");
        return EXIT_USAGE;
    }
    if (optind == argc || strcmp(argv[optind], "run") != 0) {
        complain("sweep takes the run to make behind --: pvsim sweep --seeds 1-100 -- run --tx A.pcap");
        return EXIT_USAGE;
    }
    cut_shard(sweep, &shard);

    sweep->argc = argc - optind;
    sweep->argv = calloc((size_t)sweep->argc + 8, sizeof(*sweep->argv));
    if (sweep->argv == NULL)
        abort();
    memcpy(sweep->argv, argv + optind, (size_t)sweep->argc * sizeof(*argv));
    if (policy != NULL) {
        sweep->argv[sweep->argc++] = "--policy";
        sweep->argv[sweep->argc++] = (char *)(uintptr_t)policy;
    }
    status = options_parse_run(sweep->argc, sweep->argv, &sweep->options);
    if (status != 0)
        return status;
    if (!check_run(sweep))
        return EXIT_USAGE;
    if (sweep->from_connected && !sweep->options.boot_seed_given) {
        sweep->argv[sweep->argc++] = "--boot-seed";
        sweep->argv[sweep->argc++] = "1";
        status = options_parse_run(sweep->argc, sweep->argv, &sweep->options);
    }
    sweep->argv[sweep->argc++] = "--seed";
    sweep->argv[sweep->argc++] = sweep->seed_text;
    return status;
}

/* ---- what is shown ---- */

static void show_progress(struct sweep *sweep)
{
    progress_show(&sweep->progress, "%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed, %.0f a second", sweep->done,
                  sweep->count, sweep->failed, (double)sweep->done / progress_seconds(&sweep->progress));
}

static void print_again(struct sweep *sweep, const struct forked_result *result)
{
    snprintf(sweep->seed_text, sizeof(sweep->seed_text), "%" PRIu64, result->key);
    command_print_again(sweep->argc, sweep->argv, result->outcome.bundle);
}

static void print_failure(struct sweep *sweep, const struct forked_result *result)
{
    const struct run_outcome *outcome = &result->outcome;

    progress_clear();
    printf("seed %" PRIu64 ": ", result->key);
    if (result->end == FORKED_FAILED)
        printf("rule %s, event %" PRIu64 ", hash %016" PRIx64 ": %s\n", outcome->rule, outcome->event, outcome->hash,
               outcome->text);
    else
        forked_print_end(result, sweep->limit_ns);
    print_again(sweep, result);
    fflush(stdout);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static uint64_t distinct_hashes(struct sweep *sweep)
{
    uint64_t different = 0;

    qsort(sweep->hashes, sweep->hash_count, sizeof(*sweep->hashes), compare);
    for (uint64_t index = 0; index < sweep->hash_count; index++)
        different += index == 0 || sweep->hashes[index] != sweep->hashes[index - 1];
    return different;
}

static int summarise(struct sweep *sweep)
{
    double time = progress_seconds(&sweep->progress);

    progress_clear();
    printf("sweep: %" PRIu64 " seeds in %.1f s, %.1f a second with %u at once\n", sweep->done, time,
           (double)sweep->done / time, sweep->jobs);
    printf("%s passed=%" PRIu64 " failed=%" PRIu64 " not-tried=%" PRIu64 " hashes=%" PRIu64 "\n",
           sweep->failed > 0     ? "FAIL"
           : sweep->not_here > 0 ? "NOT TRIED"
                                 : "PASS",
           sweep->passed, sweep->failed, sweep->not_here, distinct_hashes(sweep));
    return sweep->failed > 0 ? EXIT_FAILED : sweep->not_here > 0 ? EXIT_NOT_HERE : EXIT_PASSED;
}

/* ---- the sweep ---- */

/* In the child. */
static int run_seed(void *context, uint64_t seed, struct run_outcome *outcome)
{
    struct sweep *sweep = context;

    snprintf(sweep->seed_text, sizeof(sweep->seed_text), "%" PRIu64, seed);
    run_set_seed(sweep->run, seed);
    run_set_arguments(sweep->run, sweep->argc, sweep->argv);
    if (sweep->from_connected)
        guest_ram_after_fork();
    return run_finish(sweep->run, outcome);
}

static void count(struct sweep *sweep, const struct forked_result *result)
{
    sweep->done++;
    if (result->end == FORKED_PASSED || result->end == FORKED_FAILED)
        sweep->hashes[sweep->hash_count++] = result->outcome.hash;
    switch (result->end) {
    case FORKED_PASSED:
        sweep->passed++;
        if (sweep->verbose) {
            progress_clear();
            printf("seed %" PRIu64 ": passed, event %" PRIu64 ", hash %016" PRIx64 "\n", result->key,
                   result->outcome.event, result->outcome.hash);
        }
        return;
    case FORKED_NOT_HERE:
        sweep->not_here++;
        break;
    default:
        sweep->failed++;
    }
    print_failure(sweep, result);
}

static int sweep_seeds(struct sweep *sweep)
{
    struct forked *forked = forked_open(sweep->jobs, sweep->limit_ns);
    struct forked_result result;
    uint64_t next = 0;

    sweep->hashes = calloc(sweep->count + 1, sizeof(*sweep->hashes));
    if (sweep->hashes == NULL)
        abort();
    progress_start(&sweep->progress);
    while (next < sweep->count || forked_running(forked) > 0) {
        if (next < sweep->count && !forked_full(forked)) {
            forked_start(forked, sweep->first + next++, run_seed, sweep);
            continue;
        }
        if (forked_wait(forked, PROGRESS_TICK_NS, &result))
            count(sweep, &result);
        show_progress(sweep);
    }
    forked_close(forked);
    return summarise(sweep);
}

int command_sweep(int argc, char **argv)
{
    struct sweep sweep = {.first = 0};
    struct run_outcome outcome = {.rule = ""};
    int status;

    if (fault_sweep_asked_for(argc, argv))
        return command_fault_sweep(argc, argv);
    status = parse(argc, argv, &sweep);
    if (status == 0) {
        sweep.run = run_open(sweep.argc, sweep.argv, &sweep.options, &status);
        if (sweep.run != NULL && sweep.from_connected && !run_start(sweep.run)) {
            snprintf(sweep.seed_text, sizeof(sweep.seed_text), "%" PRIu64, sweep.first);
            status = run_finish(sweep.run, &outcome);
            complain("the machine that all seeds start from did not come up; another --boot-seed may do");
        } else if (sweep.run != NULL) {
            status = sweep_seeds(&sweep);
        }
        if (sweep.run != NULL) {
            if (machine != NULL)
                machine_destroy();
            run_close(sweep.run);
        }
    }
    free(sweep.hashes);
    free(sweep.argv);
    return status == -1 ? EXIT_PASSED : status;
}
