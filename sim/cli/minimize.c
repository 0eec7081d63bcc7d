/*
 * pvsim minimize: make a failing run small. Its schedule becomes a list of decisions (machine/schedule.h); then
 * whatever can go without the failure going is left out: decisions and frames of the captures by delta debugging,
 * faults one by one; delays shrink. Each trial is a run in a process of its own.
 */
#include "cli/minimize.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/clock_internal.h"

#define LIMIT_NS UINT64_C(60000000000)
#define TIMEOUT_DEFAULT_NS UINT64_C(600000000000)
#define RUNS_DEFAULT 20000
#define BATCH_MAX 64u
#define FRAMES_SHOWN 20u

void candidate_copy(struct candidate *to, const struct candidate *from)
{
    *to = *from;
    schedule_copy(&to->schedule, &from->schedule);
    frames_copy(&to->tx, &from->tx);
    frames_copy(&to->rx, &from->rx);
}

void candidate_free(struct candidate *candidate)
{
    schedule_free(&candidate->schedule);
    frames_free(&candidate->tx);
    frames_free(&candidate->rx);
}

/* ---- trials ---- */

bool minimize_over(const struct minimizer *minimizer)
{
    return minimizer->runs >= minimizer->runs_max || clock_host() >= minimizer->deadline;
}

static void show_progress(struct minimizer *minimizer)
{
    progress_show(&minimizer->progress, "%" PRIu64 " runs: %zu decisions, %u and %u frames", minimizer->runs,
                  minimizer->best.schedule.count, minimizer->best.tx.count, minimizer->best.rx.count);
}

/* The plan with only those --fail that the candidate keeps. */
static struct fault_plan faults_of(const struct minimizer *minimizer, const struct candidate *candidate)
{
    struct fault_plan plan = {.count = 0};

    for (unsigned index = 0; index < minimizer->faults.count; index++)
        if ((candidate->faults >> index & 1) != 0)
            plan.rule[plan.count++] = minimizer->faults.rule[index];
    return plan;
}

/* In the child: make the run that the candidate describes. */
static int run_candidate(struct minimizer *minimizer, const struct candidate *candidate, unsigned probes,
                         struct run_outcome *outcome)
{
    struct fault_plan faults = faults_of(minimizer, candidate);
    struct schedule sorted;

    schedule_copy(&sorted, &candidate->schedule);
    if (sorted.count != 0)
        schedule_sort(&sorted);
    run_set_frames(minimizer->run, &candidate->tx, &candidate->rx);
    run_set_faults(minimizer->run, &faults);
    run_set_schedule(minimizer->run, &sorted, NULL, minimizer->evidence->probes, probes);
    return run_finish(minimizer->run, outcome);
}

struct batch {
    struct minimizer *minimizer;
    const struct candidate *candidates;
    unsigned probes;
};

static int run_one(void *context, uint64_t key, struct run_outcome *outcome)
{
    const struct batch *batch = context;

    return run_candidate(batch->minimizer, &batch->candidates[key], batch->probes, outcome);
}

static bool same_failure(const struct minimizer *minimizer, const struct forked_result *result)
{
    return result->end == FORKED_FAILED && strcmp(result->outcome.rule, minimizer->wanted.rule) == 0 &&
           result->outcome.code == minimizer->wanted.code;
}

static int run_batch(struct batch *batch, unsigned count, unsigned jobs)
{
    struct minimizer *minimizer = batch->minimizer;
    struct forked *forked = forked_open(jobs, minimizer->limit_ns);
    struct forked_result result;
    unsigned next = 0;
    int best = -1;

    while ((next < count && best < 0) || forked_running(forked) > 0) {
        if (next < count && best < 0 && !forked_full(forked)) {
            forked_start(forked, next++, run_one, batch);
            minimizer->runs++;
            continue;
        }
        if (forked_wait(forked, PROGRESS_TICK_NS, &result) && same_failure(minimizer, &result) &&
            (best < 0 || (int)result.key < best))
            best = (int)result.key;
        show_progress(minimizer);
    }
    forked_close(forked);
    return best;
}

int minimize_try(struct minimizer *minimizer, const struct candidate *candidates, unsigned count)
{
    struct batch batch = {minimizer, candidates, 0};

    return minimize_over(minimizer) ? -1 : run_batch(&batch, count, minimizer->jobs);
}

bool minimize_fails(struct minimizer *minimizer, const struct candidate *candidate)
{
    return minimize_try(minimizer, candidate, 1) == 0;
}

bool minimize_probe(struct minimizer *minimizer, const struct candidate *candidate, struct probe *probes,
                    unsigned count)
{
    struct batch batch = {minimizer, candidate, count};
    bool failed;

    memcpy(minimizer->evidence->probes, probes, count * sizeof(*probes));
    failed = run_batch(&batch, 1, 1) == 0;
    memcpy(probes, minimizer->evidence->probes, count * sizeof(*probes));
    return failed;
}

/* ---- shrinking ---- */

static void keep(struct minimizer *minimizer, const struct candidate *candidate)
{
    struct candidate old = minimizer->best;

    candidate_copy(&minimizer->best, candidate);
    candidate_free(&old);
}

/* What is shrunk by delta debugging: a list of which any members can be left out. */
enum list { LIST_TX, LIST_RX, LIST_SCHEDULE };

static size_t list_count(const struct candidate *candidate, enum list list)
{
    return list == LIST_TX ? candidate->tx.count : list == LIST_RX ? candidate->rx.count : candidate->schedule.count;
}

/* `from` without `count` members of a list from the one at `first`. */
static void without(struct candidate *to, const struct candidate *from, enum list list, size_t first, size_t count)
{
    candidate_copy(to, from);
    if (list == LIST_SCHEDULE)
        schedule_drop(&to->schedule, first, count);
    else
        frames_drop(list == LIST_TX ? &to->tx : &to->rx, first, count);
}

/*
 * Try to leave out each piece of `size` members below `end`, several at once, the last ones first: what comes after
 * the decisive moment is not needed. Returns where the pieces that are still to be tried end.
 */
static size_t drop_pieces(struct minimizer *minimizer, enum list list, size_t size, size_t end)
{
    struct candidate candidates[BATCH_MAX];
    size_t firsts[BATCH_MAX] = {0};
    size_t first = end;
    unsigned count = 0;
    int found;

    for (; first > 0 && count < minimizer->jobs && count < BATCH_MAX; count++) {
        size_t last = first;

        first = last > size ? last - size : 0;
        firsts[count] = first;
        without(&candidates[count], &minimizer->best, list, first, last - first);
    }
    found = minimize_try(minimizer, candidates, count);
    if (found >= 0)
        keep(minimizer, &candidates[found]);
    for (unsigned index = 0; index < count; index++)
        candidate_free(&candidates[index]);
    return found >= 0 ? firsts[found] : first;
}

/* Pieces of half the list, of a quarter, ... of one, and those again until each is needed. */
static void shrink_list(struct minimizer *minimizer, enum list list)
{
    size_t size = list_count(&minimizer->best, list);

    while (size > 0 && !minimize_over(minimizer)) {
        size_t before = list_count(&minimizer->best, list);

        for (size_t end = before; end > 0 && !minimize_over(minimizer);)
            end = drop_pieces(minimizer, list, size, end);
        if (size > 1)
            size = (size + 1) / 2;
        else if (list_count(&minimizer->best, list) == before)
            return;
        if (size > list_count(&minimizer->best, list))
            size = list_count(&minimizer->best, list);
    }
}

static void shrink_faults(struct minimizer *minimizer)
{
    for (unsigned index = 0; index < minimizer->faults.count && !minimize_over(minimizer); index++) {
        struct candidate candidate;

        if ((minimizer->best.faults >> index & 1) == 0)
            continue;
        candidate_copy(&candidate, &minimizer->best);
        candidate.faults &= ~(UINT32_C(1) << index);
        if (minimize_fails(minimizer, &candidate))
            keep(minimizer, &candidate);
        candidate_free(&candidate);
    }
}

static void shrink_delays(struct minimizer *minimizer)
{
    for (size_t index = 0; index < minimizer->best.schedule.count; index++)
        while (minimizer->best.schedule.list[index].type == DECISION_DELAY &&
               minimizer->best.schedule.list[index].value > 1 && !minimize_over(minimizer)) {
            struct candidate candidate;
            bool fails;

            candidate_copy(&candidate, &minimizer->best);
            candidate.schedule.list[index].value /= 2;
            fails = minimize_fails(minimizer, &candidate);
            if (fails)
                keep(minimizer, &candidate);
            candidate_free(&candidate);
            if (!fails)
                break;
        }
}

/* What is left out of one kind can make more of another unneeded: until a round finds nothing. */
static void shrink(struct minimizer *minimizer)
{
    struct candidate before;
    bool smaller;

    do {
        before = minimizer->best; /* its figures alone: the list may be gone */
        shrink_list(minimizer, LIST_TX);
        shrink_list(minimizer, LIST_RX);
        shrink_faults(minimizer);
        shrink_list(minimizer, LIST_SCHEDULE);
        smaller = minimizer->best.schedule.count != before.schedule.count || minimizer->best.faults != before.faults ||
                  minimizer->best.tx.count != before.tx.count || minimizer->best.rx.count != before.rx.count;
    } while (smaller && !minimize_over(minimizer));
    shrink_delays(minimizer);
}

/* ---- the schedule as it was ---- */

struct recording {
    struct minimizer *minimizer;
    int file; /* the child writes its decisions here */
};

/* In the child, after its run. */
static void note_faults(struct minimizer *minimizer)
{
    minimizer->evidence->fault_count = run_get_faults(minimizer->run, minimizer->evidence->faults, FAULT_RULES_MAX);
}

static int record_run(void *context, uint64_t key, struct run_outcome *outcome)
{
    const struct recording *recording = context;
    struct schedule schedule = {0};
    size_t bytes;
    int status;

    (void)key;
    run_set_schedule(recording->minimizer->run, NULL, &schedule, NULL, 0);
    status = run_finish(recording->minimizer->run, outcome);
    note_faults(recording->minimizer);
    bytes = schedule.count * sizeof(*schedule.list);
    for (size_t done = 0; done < bytes;) {
        ssize_t count = write(recording->file, (const char *)schedule.list + done, bytes - done);

        if (count <= 0)
            return EXIT_NOT_HERE;
        done += (size_t)count;
    }
    return status;
}

/* Is it the bundle's failure? It is the one that must stay from now on. 0, or an exit status after one line. */
static int came_again(struct minimizer *minimizer, const struct forked_result *result)
{
    bool ended = result->end == FORKED_PASSED || result->end == FORKED_FAILED;

    minimizer->wanted = result->outcome;
    if (result->end == FORKED_FAILED && strcmp(result->outcome.rule, minimizer->bundle.rule) == 0 &&
        result->outcome.event == minimizer->bundle.event && result->outcome.hash == minimizer->bundle.hash)
        return 0;
    complain("the bundle's failure (rule %s, event %" PRIu64 ") does not come again: %s%s", minimizer->bundle.rule,
             minimizer->bundle.event,
             result->end == FORKED_PASSED   ? "the run passes"
             : result->end == FORKED_FAILED ? result->outcome.text
                                            : "the run did not come to its end. ",
             ended ? "" : result->errors);
    return EXIT_FAILED;
}

/* Run it once as it was, and have its decisions written down. 0, or an exit status after one line on stderr. */
static int record(struct minimizer *minimizer)
{
    struct recording recording = {minimizer, memfd_create("pvsim-schedule", MFD_CLOEXEC)};
    struct forked *forked = forked_open(1, minimizer->limit_ns);
    struct forked_result result;
    struct decision decision;

    forked_start(forked, 0, record_run, &recording);
    while (!forked_wait(forked, LIMIT_NS, &result))
        ;
    forked_close(forked);
    minimizer->runs++;
    for (off_t at = 0; pread(recording.file, &decision, sizeof(decision), at) == (ssize_t)sizeof(decision);
         at += (off_t)sizeof(decision))
        schedule_add(&minimizer->best.schedule, &decision);
    close(recording.file);
    return came_again(minimizer, &result);
}

/* A bundle that has its decisions: run it once as it is. */
static int recall_run(void *context, uint64_t key, struct run_outcome *outcome)
{
    struct minimizer *minimizer = context;
    int status = run_candidate(minimizer, &minimizer->best, 0, outcome);

    (void)key;
    note_faults(minimizer);
    return status;
}

static int recall(struct minimizer *minimizer)
{
    struct forked *forked = forked_open(1, minimizer->limit_ns);
    struct forked_result result;

    schedule_copy(&minimizer->best.schedule, &minimizer->bundle.schedule);
    forked_start(forked, 0, recall_run, minimizer);
    while (!forked_wait(forked, LIMIT_NS, &result))
        ;
    forked_close(forked);
    minimizer->runs++;
    return came_again(minimizer, &result);
}

/* Follow the list that was written down: everything must be as it was. */
static int check_recording(struct minimizer *minimizer)
{
    struct batch batch = {minimizer, &minimizer->best, 0};
    struct forked *forked = forked_open(1, minimizer->limit_ns);
    struct forked_result result;

    forked_start(forked, 0, run_one, &batch);
    while (!forked_wait(forked, LIMIT_NS, &result))
        ;
    forked_close(forked);
    minimizer->runs++;
    if (same_failure(minimizer, &result) && result.outcome.hash == minimizer->wanted.hash)
        return 0;
    complain("the schedule of %zu decisions does not lead to the failure again: a fault of pvsim's; please report it",
             minimizer->best.schedule.count);
    return EXIT_FAILED;
}

/*
 * Faults by chance, or of every call that matches: each that came becomes one of its own, named by the call's number,
 * so that those that do not matter can go. Left as they are if there are too many, or if it does not fail so.
 */
static void number_faults(struct minimizer *minimizer)
{
    const struct evidence *evidence = minimizer->evidence;
    struct fault_plan plan = {.count = 0};
    bool numbered = true;

    /* The number among all calls changes its meaning with each fault that is left out. */
    for (unsigned index = 0; index < minimizer->faults.count; index++)
        numbered = numbered && minimizer->faults.rule[index].nth != 0 &&
                   (minimizer->faults.count == 1 || minimizer->faults.rule[index].call[0] != '\0');
    if (numbered || evidence->fault_count == 0 || evidence->fault_count > FAULT_RULES_MAX)
        return;
    plan.count = (unsigned)evidence->fault_count;
    memcpy(plan.rule, evidence->faults, plan.count * sizeof(*plan.rule));
    minimizer->faults = plan;
    minimizer->faults_numbered = minimize_fails(minimizer, &minimizer->best);
    if (!minimizer->faults_numbered)
        minimizer->faults = minimizer->options.machine.faults;
}

/* ---- the result ---- */

/* What --fail takes for a rule that is for one call. */
static char *fault_text(const struct fault_rule *rule)
{
    char *text = NULL;

    if (asprintf(&text, "call=%s,nth=%" PRIu64, rule->call, rule->nth) < 0)
        abort();
    return text;
}

static bool is_fail_option(const struct bundle *bundle, int index, int *words)
{
    bool two = strcmp(bundle->argv[index], "--fail") == 0;

    *words = two ? 2 : 1;
    return two || strncmp(bundle->argv[index], "--fail=", 7) == 0;
}

/* The command line of the small run: the options that others override come last. */
static char **final_arguments(struct minimizer *minimizer, int *argc)
{
    const struct bundle *bundle = &minimizer->bundle;
    char **argv = calloc((size_t)bundle->argc + 5 + 2 * FAULT_RULES_MAX, sizeof(*argv));
    unsigned fault = 0;
    int words;

    *argc = 0;
    for (int index = 0; index < bundle->argc; index += words) {
        bool dropped = false;

        words = 1;
        if (index > 0 && is_fail_option(bundle, index, &words))
            dropped = minimizer->faults_numbered || (minimizer->best.faults >> fault++ & 1) == 0;
        for (int word = 0; word < words && index + word < bundle->argc; word++)
            if (!dropped)
                argv[(*argc)++] = strdup(bundle->argv[index + word]);
    }
    for (unsigned index = 0; index < minimizer->faults.count && minimizer->faults_numbered; index++)
        if ((minimizer->best.faults >> index & 1) != 0) {
            argv[(*argc)++] = strdup("--fail");
            argv[(*argc)++] = fault_text(&minimizer->faults.rule[index]);
        }
    if (minimizer->options.tx != NULL) {
        argv[(*argc)++] = strdup("--tx-frames");
        argv[(*argc)++] = frames_text(&minimizer->best.tx);
    }
    if (minimizer->options.rx != NULL) {
        argv[(*argc)++] = strdup("--rx-frames");
        argv[(*argc)++] = frames_text(&minimizer->best.rx);
    }
    return argv;
}

struct final {
    struct minimizer *minimizer;
    const char *path;
    int argc;
    char **argv;
};

static int run_final(void *context, uint64_t key, struct run_outcome *outcome)
{
    const struct final *final = context;

    (void)key;
    run_set_bundle(final->minimizer->run, final->path);
    run_set_arguments(final->minimizer->run, final->argc, final->argv);
    return run_candidate(final->minimizer, &final->minimizer->best, 0, outcome);
}

static bool take_off(const char *text, size_t *length, const char *ending)
{
    size_t size = strlen(ending);

    if (*length <= size || memcmp(text + *length - size, ending, size) != 0)
        return false;
    *length -= size;
    return true;
}

/* NAME.min.bundle beside NAME.bundle; a search that goes on from NAME.min.bundle replaces it. */
static void result_path(char *buffer, size_t size, const char *bundle, const char *ending)
{
    size_t length = strlen(bundle);

    if (take_off(bundle, &length, ".bundle"))
        (void)take_off(bundle, &length, ".min");
    snprintf(buffer, size, "%.*s.min%s", (int)length, bundle, ending);
}

static bool write_bundle(struct minimizer *minimizer, const char *path)
{
    struct final final = {.minimizer = minimizer, .path = path};
    struct forked *forked = forked_open(1, minimizer->limit_ns);
    struct forked_result result;
    bool written;

    final.argv = final_arguments(minimizer, &final.argc);
    forked_start(forked, 0, run_final, &final);
    while (!forked_wait(forked, LIMIT_NS, &result))
        ;
    forked_close(forked);
    written = same_failure(minimizer, &result) && result.outcome.bundle[0] != '\0';
    if (!written)
        complain("no bundle was written: %s", result.errors[0] != '\0' ? result.errors : "the failure did not come");
    for (int index = 0; index < final.argc; index++)
        free(final.argv[index]);
    free(final.argv);
    return written;
}

/* What is left of a capture, if that is little. */
static void report_frames(const char *option, const struct frame_set *left, const struct frame_set *before, FILE *file)
{
    char *text;

    if (left->count == 0 || left->count == before->count || left->count > FRAMES_SHOWN)
        return;
    text = frames_text(left);
    fprintf(file, "  --%s %s\n", option, text);
    free(text);
}

static void report_faults(const struct minimizer *minimizer, FILE *file)
{
    unsigned kept = 0;

    if (minimizer->faults.count == 0)
        return;
    for (unsigned index = 0; index < minimizer->faults.count; index++)
        kept += minimizer->best.faults >> index & 1;
    fprintf(file, "faults: %u of %u\n", kept, minimizer->faults.count);
    for (unsigned index = 0; index < minimizer->faults.count && minimizer->faults_numbered; index++)
        if ((minimizer->best.faults >> index & 1) != 0)
            fprintf(file, "  --fail call=%s,nth=%" PRIu64 "\n", minimizer->faults.rule[index].call,
                    minimizer->faults.rule[index].nth);
}

static void report(struct minimizer *minimizer, const struct candidate *before, FILE *file)
{
    const struct candidate *best = &minimizer->best;
    char text[96];

    fprintf(file, "failure: rule %s: %s\n", minimizer->wanted.rule, minimizer->wanted.text);
    fprintf(file, "schedule: %zu decisions, were %zu\n", best->schedule.count, before->schedule.count);
    for (size_t index = 0; index < best->schedule.count && index < 20; index++) {
        schedule_print(text, sizeof(text), &best->schedule.list[index]);
        fprintf(file, "  %s\n", text);
    }
    fprintf(file, "frames: tx %u of %u, rx %u of %u\n", best->tx.count, before->tx.count, best->rx.count,
            before->rx.count);
    report_frames("tx-frames", &best->tx, &before->tx, file);
    report_frames("rx-frames", &best->rx, &before->rx, file);
    report_faults(minimizer, file);
    minimize_explain(minimizer, file);
    fprintf(file, "%" PRIu64 " runs%s\n", minimizer->runs,
            minimize_over(minimizer) ? "; the bound on runs or time ended the search" : "");
}

static int copy_to_output(const char *path)
{
    FILE *file = fopen(path, "r");
    int character;

    if (file == NULL) {
        complain("%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    while ((character = getc(file)) != EOF)
        putchar(character);
    fclose(file);
    return EXIT_PASSED;
}

static int minimize(struct minimizer *minimizer, const char *path)
{
    struct candidate before;
    char bundle[PATH_MAX];
    char text[PATH_MAX];
    FILE *file;
    int status;

    run_get_frames(minimizer->run, &minimizer->best.tx, &minimizer->best.rx);
    minimizer->best.faults = UINT32_MAX;
    minimizer->faults = minimizer->options.machine.faults;
    status = minimizer->bundle.has_schedule ? recall(minimizer) : record(minimizer);
    if (status == 0 && !minimizer->bundle.has_schedule)
        status = check_recording(minimizer);
    if (status != 0)
        return status;
    number_faults(minimizer);
    candidate_copy(&before, &minimizer->best);
    shrink(minimizer);
    progress_clear();

    result_path(text, sizeof(text), path, ".txt");
    result_path(bundle, sizeof(bundle), path, ".bundle");
    file = fopen(text, "w");
    if (file == NULL) {
        complain("%s: %s", text, strerror(errno));
        candidate_free(&before);
        return EXIT_USAGE;
    }
    report(minimizer, &before, file);
    candidate_free(&before);
    status = fclose(file) == 0 ? copy_to_output(text) : EXIT_FAILED;
    if (!write_bundle(minimizer, bundle))
        return EXIT_FAILED;
    printf("written: %s\n", text);
    printf("again: pvsim replay %s\n", bundle);
    return status;
}

/* ---- the command ---- */

enum { OPTION_TIMEOUT = 256, OPTION_RUNS };

static const struct option long_options[] = {
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"runs", required_argument, NULL, OPTION_RUNS},
    {"jobs", required_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse(int argc, char **argv, struct minimizer *minimizer)
{
    uint64_t timeout = TIMEOUT_DEFAULT_NS;
    uint64_t jobs = forked_processors();
    int option;

    minimizer->runs_max = RUNS_DEFAULT;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":hj:", long_options, NULL)) != -1) {
        bool good = option != ':' && option != '?';

        if (option == 'h') {
            help_print(stdout, "minimize");
            return -1;
        }
        if (!good)
            complain(option == ':' ? "%s takes a value; see 'pvsim minimize --help'"
                                   : "unknown option %s; see 'pvsim minimize --help'",
                     argv[optind - 1]);
        else if (option == OPTION_TIMEOUT)
            good = parse_time("timeout", optarg, &timeout);
        else if (option == OPTION_RUNS)
            good = parse_number("runs", optarg, 1, UINT32_MAX, &minimizer->runs_max);
        else
            good = parse_number("jobs", optarg, 1, BATCH_MAX, &jobs);
        if (!good)
            return EXIT_USAGE;
    }
    if (optind + 1 != argc) {
        complain("minimize takes one bundle; see 'pvsim minimize --help'");
        return EXIT_USAGE;
    }
    minimizer->jobs = (unsigned)jobs;
    minimizer->limit_ns = LIMIT_NS;
    minimizer->deadline = clock_host() + timeout;
    progress_start(&minimizer->progress);
    return 0;
}

static int open_bundle(struct minimizer *minimizer, const char *path)
{
    int status = bundle_read(path, &minimizer->bundle);

    if (status == 0)
        status = options_parse_run(minimizer->bundle.argc, minimizer->bundle.argv, &minimizer->options);
    if (status != 0)
        return status;
    if (backend_is_outside(&minimizer->options.backend)) {
        complain("%s is of a run with a program as the backend, which answers to one schedule only; 'pvsim replay' "
                 "shows it",
                 path);
        return EXIT_USAGE;
    }
    if (minimizer->options.machine.engine == ENGINE_PARALLEL || minimizer->options.machine.clock != CLOCK_VIRTUAL) {
        complain("%s is of a run in real time, which is not repeatable", path);
        return EXIT_USAGE;
    }
    minimizer->options.machine.log_level = 0;
    minimizer->options.out_tx = NULL;
    minimizer->options.out_rx = NULL;
    minimizer->options.format = FORMAT_TEXT;
    minimizer->options.no_bundle = true;
    minimizer->run = run_open(minimizer->bundle.argc, minimizer->bundle.argv, &minimizer->options, &status);
    return status;
}

int command_minimize(int argc, char **argv)
{
    struct minimizer minimizer = {.jobs = 0};
    char path[PATH_MAX];
    int status = parse(argc, argv, &minimizer);

    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    if (realpath(argv[optind], path) == NULL) {
        complain("%s: %s", argv[optind], strerror(errno));
        return EXIT_USAGE;
    }
    minimizer.evidence =
        mmap(NULL, sizeof(*minimizer.evidence), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (minimizer.evidence == MAP_FAILED) {
        complain("no memory to share with child processes: %s", strerror(errno));
        return EXIT_NOT_HERE;
    }
    status = open_bundle(&minimizer, path);
    if (status == 0) {
        status = minimize(&minimizer, path);
        run_close(minimizer.run);
    }
    candidate_free(&minimizer.best);
    bundle_free(&minimizer.bundle);
    return status;
}
