/*
 * Schedule policies: who goes on at a switch point, and what else of the guest's kernel is left to chance.
 *
 *   fifo     the runner that has waited longest, when the current one blocks, pauses or has used up its slice
 *   random   anyone, at one switch point in eight
 *   pct      the highest of random priorities, some of which change at random switch points (probabilistic concurrency
 *            testing). A bug that takes DEPTH operations in one order is found with a probability that DEPTH - 1
 * changes an epoch make independent of how long the run is; nobody starves, as each epoch draws anew. trace    fifo,
 * but for the decisions of a list (schedule.h)
 *
 * Called by the scheduler alone, except for the two draws at the end.
 */
#ifndef MACHINE_POLICY_H
#define MACHINE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/runner.h"
#include "machine/sched.h"

#define POLICY_PCT_DEPTH 4
#define POLICY_PCT_DEPTH_MAX 64

void policy_init(void);

/* A runner is new; it is in the table already. */
void policy_add(struct runner *runner);
/* A runner can run again. */
void policy_wake(struct runner *runner);
/* So many switch points of the current runner came to nothing and were not asked about. */
void policy_passed(const struct runner *current, uint64_t points);
/* Whether that is possible: nothing is drawn or looked up at a switch point before the slice is over. */
bool policy_is_quiet(void);
/* At a switch point of the current runner: is there a choice to be made here? */
bool policy_wants_choice(struct runner *current, enum sched_point kind);
/* The current runner cannot go on: a choice must be made. */
void policy_blocks(const struct runner *current);
/* Who goes on of those that can run: NULL if none can. */
struct runner *policy_choose(void);
/* This one was chosen and goes on now; `previous` ran before, NULL if none did. */
void policy_chosen(struct runner *next, const struct runner *previous);

/* True with the probability 1/n under random policies (never under fifo); for choices inside the guest's kernel. */
bool policy_toss(unsigned n);
/* A number below n drawn by the policy: the usual one under fifo. */
unsigned policy_pick(unsigned n, unsigned usual);

#endif
