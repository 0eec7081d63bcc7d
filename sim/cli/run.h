/* One run of the main job, as run and replay make it. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"

/* How a run ended, for comparing with a bundle. */
struct run_outcome {
    char rule[64];
    uint64_t event;
    uint64_t hash;
    bool stopped; /* before the event asked for */
};

/*
 * Run it and print its report; an exit status. A failed run leaves a bundle unless argv is NULL. `until`: stop before
 * this event and show the last ones instead of a report; 0: don't.
 */
int run_main_job(int argc, char **argv, const struct run_options *options, uint64_t until, struct run_outcome *outcome);

/* Print the last events and the log's tail of a machine that was stopped. */
void run_show_stopped(void);

#endif
