/*
 * A schedule as a list: the decisions of a run in which it did not go on as it would have by default. The default is
 * the fifo policy's choice of runner, no early end of a thread's turn, the processor where a thread ran last or the
 * first idle one, no delay. A decision is named by who made it and by how many of its kind that one had made before, so
 * that leaving one out does not give the others another meaning.
 *
 * Lists are host memory: a run is told one to follow, or told to write one, and feels nothing of either.
 */
#ifndef MACHINE_SCHEDULE_H
#define MACHINE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/sched.h"

enum decision_type {
    DECISION_RUN,   /* at a step of runner `who`: runner `value` goes on */
    DECISION_TOSS,  /* a toss on runner `who` came out true */
    DECISION_PICK,  /* a pick on runner `who` came out as `value` */
    DECISION_DELAY, /* the delay of kind `who` is `value` nanoseconds */
    DECISION_TYPES
};

struct decision {
    enum decision_type type;
    uint32_t who;
    uint64_t count; /* of its type and who, from 1 */
    uint64_t value;
};

struct schedule {
    struct decision *list;
    size_t count;
    size_t capacity;
};

/* Host memory. */
void schedule_add(struct schedule *schedule, const struct decision *decision);
void schedule_sort(struct schedule *schedule); /* schedule_find() wants it */
void schedule_copy(struct schedule *to, const struct schedule *from);
/* Leave out `count` decisions from the one at `first`. */
void schedule_drop(struct schedule *schedule, size_t first, size_t count);
void schedule_free(struct schedule *schedule);
const struct decision *schedule_find(const struct schedule *schedule, enum decision_type type, uint32_t who,
                                     uint64_t count);

/* "run 1 5203 0": type, who, count, value. */
void schedule_print(char *buffer, size_t size, const struct decision *decision);
bool schedule_parse(const char *text, struct decision *decision);

/*
 * What a run did at one decision, for a report: the operation in front of which its switch point is. Told the first
 * four, the run fills in the rest.
 */
struct probe {
    enum decision_type type; /* DECISION_RUN or DECISION_TOSS */
    uint32_t runner;
    uint64_t count;       /* of the runner's steps or tosses; 0: no probe */
    uint32_t other;       /* another runner: */
    uint64_t other_steps; /* how many steps it had made */
    bool hit;
    enum sched_point kind; /* of the switch point; POINT_COUNT: the runner had nothing to run */
    const void *address;   /* of a POINT_MEMORY */
    char context[160];     /* vCPU, thread, IRQL */
    void *frames[32];
    int frame_count;
    char text[1024]; /* all of that in words, by probe_describe() */
};

/* On the host's stack, while the machine's modules are still loaded. */
void probe_describe(struct probe *probe);

#endif
