/* What the two files of pvsim minimize share. */
#ifndef CLI_MINIMIZE_H
#define CLI_MINIMIZE_H

#include "cli/bundle.h"
#include "cli/forked.h"
#include "cli/progress.h"
#include "cli/run.h"

/* Something smaller than the failing run that may fail in the same way. */
struct candidate {
    struct schedule schedule; /* in the order in which the decisions were made */
    struct frame_set tx;
    struct frame_set rx;
    uint32_t faults; /* a bit for each rule of the plan that is kept */
};

/* What a child tells beside its outcome; in shared memory. */
struct evidence {
    struct probe probes[2];
    struct fault_rule faults[FAULT_RULES_MAX]; /* the calls that failed, one by one */
    uint64_t fault_count;                      /* may be more than are kept */
};

struct minimizer {
    struct bundle bundle;
    struct run_options options;
    struct run *run;
    struct run_outcome wanted; /* the failure that must stay */
    struct fault_plan faults;
    bool faults_numbered; /* each rule of the plan is one call, and none is the bundle's */
    struct candidate best;
    unsigned jobs;
    uint64_t limit_ns; /* of one run */
    uint64_t deadline; /* host clock */
    uint64_t runs;
    uint64_t runs_max;
    struct progress progress;
    struct evidence *evidence;
};

void candidate_copy(struct candidate *to, const struct candidate *from);
void candidate_free(struct candidate *candidate);

/* Runs or time are used up: what is best stays. */
bool minimize_over(const struct minimizer *minimizer);
/* The first of `count` candidates that fails in the same way, -1 if none does. Several run at once. */
int minimize_try(struct minimizer *minimizer, const struct candidate *candidates, unsigned count);
bool minimize_fails(struct minimizer *minimizer, const struct candidate *candidate);
/* Run it once more with these probes, which are filled in. False: it did not fail in the same way. */
bool minimize_probe(struct minimizer *minimizer, const struct candidate *candidate, struct probe *probes,
                    unsigned count);

/* Find and print the two operations whose order decides. */
void minimize_explain(struct minimizer *minimizer, FILE *file);

#endif
