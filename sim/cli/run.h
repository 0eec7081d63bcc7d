/* Runs of the main job, as run, replay, sweep and minimize make them. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "cli/frames.h"
#include "machine/schedule.h"

/* How a run ended, for comparing with a bundle and for a line in a sweep. Plain bytes: it goes through shared memory.
 */
struct run_outcome {
    char rule[64]; /* what failed, "" if nothing */
    uint64_t event;
    uint64_t hash;
    bool stopped;      /* before the event asked for */
    uint32_t code;     /* bugcheck code or 0 */
    char text[512];    /* the first line of what was wrong */
    char bundle[4096]; /* what the run left, "" if nothing */
};

/*
 * One run, in steps, so that what is read from files is read once for many: open reads the captures (NULL: *status is
 * the exit status, after one line on stderr). argv is that of `pvsim run`, for the bundle; it and the options' strings
 * stay the caller's.
 */
struct run;

struct run *run_open(int argc, char **argv, const struct run_options *options, int *status);
void run_close(struct run *run);

/* For a run that is made in a forked process: its own seed and command line. Before run_start() or run_finish(). */
void run_set_seed(struct run *run, uint64_t seed);
void run_set_arguments(struct run *run, int argc, char **argv);

/* Some of the frames that the run has; none: nothing that way. Likewise. */
void run_set_frames(struct run *run, const struct frame_set *tx, const struct frame_set *rx);
/* Those it has, for the caller to free. */
void run_get_frames(const struct run *run, struct frame_set *tx, struct frame_set *rx);
/* The schedule to follow (sorted; NULL: the policy's), where to write it down, and what to look at. Likewise. */
void run_set_schedule(struct run *run, const struct schedule *schedule, struct schedule *record, struct probe *probes,
                      unsigned probe_count);
void run_set_faults(struct run *run, const struct fault_plan *faults);
/* The record that takes the place of a backend's program; NULL: none does. Likewise. */
void run_set_peers(struct run *run, const char *path);
/* After run_finish(): how many calls were made to fail, and of the first `limit` a rule that is for that call alone. */
uint64_t run_get_faults(const struct run *run, struct fault_rule *rules, unsigned limit);
/* Leave a bundle at this path if it fails, NULL: none. Likewise. */
void run_set_bundle(struct run *run, const char *path);

/*
 * Power the machine on and boot it until every VIF is connected, with the boot seed. True: run_finish() goes on, or
 * many copies of this process do. False: it did not get there; run_finish() has the reason.
 */
bool run_start(struct run *run);
/* Make the run, or what is left of it after run_start(), print its report, and leave a bundle if it failed; an exit
 * status. */
int run_finish(struct run *run, struct run_outcome *outcome);

/* Print the last events and the log's tail of a machine that was stopped. */
void run_show_stopped(void);
/* Print the debugger views of a set (0: none) of the machine as it is. */
void run_show_views(unsigned views);

#endif
