/* pvsim replay: a failure again. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bundle.h"
#include "cli/run.h"
#include "machine/eventlog.h"
#include "machine/log.h"
#include "nt/debugger/views.h"

#define VIEWS_SECONDS 60 /* of the host's; a damaged list may have no end */

void run_show_stopped(void)
{
    char *text = malloc(65536);

    if (text == NULL)
        abort();
    eventlog_tail(text, 65536, 40);
    printf("stopped before event %" PRIu64 "; the last events (number, time, kind, values):\n%s", eventlog_count() + 1,
           text);
    free(text);
}

/*
 * By a copy of this process: what a driver has broken can take a view along, but not the rest of the report.
 */
void run_show_views(unsigned views)
{
    int status = 0;
    pid_t child;

    if (views == 0)
        return;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        (void)alarm(VIEWS_SECONDS);
        debugger_views_print(views, stdout);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        complain("the views cannot be shown: %s", strerror(errno));
    else if (WIFSIGNALED(status))
        printf("this view ends here: what it shows is damaged (%s)\n",
               WTERMSIG(status) == SIGALRM ? "it has no end" : strsignal(WTERMSIG(status)));
}

struct replay_options {
    const char *bundle;
    int log_level;
    uint64_t until;
    unsigned views;
};

/* The value of an option that takes one; 0 or an exit status. */
static int parse_value(const char *option, const char *value, struct replay_options *options)
{
    char *end = NULL;

    if (value == NULL) {
        complain("%s takes a value; see 'pvsim replay --help'", option);
        return EXIT_USAGE;
    }
    if (strcmp(option, "--log") == 0) {
        options->log_level = log_level_parse(value);
        if (options->log_level >= 0)
            return 0;
        complain("--log takes none, error, warning, info, debug or trace, not '%s'", value);
        return EXIT_USAGE;
    }
    if (strcmp(option, "--show") == 0) {
        if (debugger_views_parse(value, &options->views))
            return 0;
        complain("--show takes views of %s, joined by commas, not '%s'", debugger_views_names(), value);
        return EXIT_USAGE;
    }
    errno = 0;
    options->until = strtoull(value, &end, 10);
    if (errno == 0 && *end == '\0' && end != value && options->until > 0)
        return 0;
    complain("--until takes an event's number, not '%s'", value);
    return EXIT_USAGE;
}

static int parse(int argc, char **argv, struct replay_options *options)
{
    memset(options, 0, sizeof(*options));
    options->log_level = LOG_ERROR;
    for (int index = 1; index < argc; index++) {
        const char *argument = argv[index];

        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            help_print(stdout, "replay");
            return -1;
        }
        if (strcmp(argument, "--log") == 0 || strcmp(argument, "--until") == 0 || strcmp(argument, "--show") == 0) {
            int status = parse_value(argument, argv[++index], options);

            if (status != 0)
                return status;
            continue;
        }
        if (argument[0] == '-') {
            complain("unknown option %s; see 'pvsim replay --help'", argument);
            return EXIT_USAGE;
        }
        if (options->bundle != NULL) {
            complain("replay takes one bundle; see 'pvsim replay --help'");
            return EXIT_USAGE;
        }
        options->bundle = argument;
    }
    if (options->bundle == NULL) {
        complain("replay takes a bundle; see 'pvsim replay --help'");
        return EXIT_USAGE;
    }
    return 0;
}

int command_replay(int argc, char **argv)
{
    struct replay_options replay;
    struct run_options options;
    struct run *run = NULL;
    struct run_outcome outcome = {.rule = ""};
    struct bundle bundle;
    char path[PATH_MAX];
    int status = parse(argc, argv, &replay);

    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    if (realpath(replay.bundle, path) == NULL) {
        complain("%s: %s", replay.bundle, strerror(errno));
        return EXIT_USAGE;
    }
    status = bundle_read(path, &bundle);
    if (status == 0)
        status = options_parse_run(bundle.argc, bundle.argv, &options);
    if (status != 0) {
        bundle_free(&bundle);
        return status;
    }
    if (options.machine.engine == ENGINE_PARALLEL) {
        complain(
            "%s is of the parallel engine, whose runs are not repeatable; run it again under --engine det, or often",
            replay.bundle);
        bundle_free(&bundle);
        return EXIT_USAGE;
    }
    options.machine.log_level = replay.log_level;
    options.machine.stop_at_event = replay.until;
    options.machine.stacks = true;
    options.views = replay.views;
    options.format = FORMAT_TEXT;
    options.out_tx = NULL; /* a replay shows, it does not write */
    options.out_rx = NULL;
    options.no_bundle = true;
    options.core = false;
    run = run_open(bundle.argc, bundle.argv, &options, &status);
    if (run != NULL) {
        if (bundle.has_schedule)
            run_set_schedule(run, &bundle.schedule, NULL, NULL, 0);
        run_set_peers(run, bundle.peers);
        status = run_finish(run, &outcome);
        run_close(run);
    }
    if (run != NULL && (status == EXIT_PASSED || status == EXIT_FAILED)) {
        if (outcome.stopped) {
            status = EXIT_PASSED;
        } else if (strcmp(outcome.rule, bundle.rule) == 0 && outcome.event == bundle.event &&
                   outcome.hash == bundle.hash) {
            printf("replay: the same failure (rule %s, event %" PRIu64 ", hash %016" PRIx64 ")\n", bundle.rule,
                   bundle.event, bundle.hash);
            status = EXIT_PASSED;
        } else {
            printf("replay: NOT the same: the bundle has rule %s, event %" PRIu64 ", hash %016" PRIx64
                   "; this run rule %s, event %" PRIu64 ", hash %016" PRIx64 "\n",
                   bundle.rule, bundle.event, bundle.hash, outcome.rule, outcome.event, outcome.hash);
            status = EXIT_FAILED;
        }
    }
    bundle_free(&bundle);
    return status;
}
