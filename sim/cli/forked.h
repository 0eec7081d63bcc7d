/*
 * Runs in child processes, several at once: what sweep and minimize do their many runs with. A child starts as a copy
 * of this process, does its job, leaves its result in memory that both share, and is gone; what it prints goes to
 * nowhere (standard output) and to a file of its own (standard error).
 */
#ifndef CLI_FORKED_H
#define CLI_FORKED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/run.h"

enum forked_end {
    FORKED_PASSED,
    FORKED_FAILED,   /* the run failed; `outcome` says how */
    FORKED_CRASHED,  /* the process died: of `signal`, or with the exit status `status` and without a result */
    FORKED_HANGED,   /* no end within the host's time */
    FORKED_NOT_HERE, /* exit status 125 or 2: could not be tried; `errors` says why */
};

struct forked_result {
    uint64_t key; /* the caller's name for the job */
    enum forked_end end;
    int signal;
    int status;
    struct run_outcome outcome;
    char errors[2048]; /* the end of what it wrote to standard error */
};

/* The job: in the child, on the host's stack. Returns an exit status and fills in the outcome. */
typedef int forked_job(void *context, uint64_t key, struct run_outcome *outcome);

struct forked;

/* At most `jobs` children at once, each with `limit_ns` of the host's time. */
struct forked *forked_open(unsigned jobs, uint64_t limit_ns);
/* Kills what still runs. */
void forked_close(struct forked *forked);

bool forked_full(const struct forked *forked);
unsigned forked_running(const struct forked *forked);
/* Not when full. */
void forked_start(struct forked *forked, uint64_t key, forked_job *job, void *context);
/* Wait until a child has ended, but no longer than `timeout_ns`; false if none has. */
bool forked_wait(struct forked *forked, uint64_t timeout_ns, struct forked_result *result);

/* Print on standard output why a run that neither passed nor failed has no result, and what it wrote to standard error.
 */
void forked_print_end(const struct forked_result *result, uint64_t limit_ns);

/* Processors that this process may use. */
unsigned forked_processors(void);

#endif
