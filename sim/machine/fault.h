/*
 * Fault injection: which calls of driver code fail for lack of resources, as the plan of the command line says.
 *
 * A routine that can fail asks fault_inject() once its arguments have been found good, and then fails as its
 * documentation says. Only calls out of a loaded driver module count: what the simulator itself allocates is not what
 * Windows shows as failing. The routines, how each fails, and those that never do are in sim/nt/fault/points.def.
 *
 * The state is in the machine image; nothing here depends on addresses, so that equal plans fail equal calls.
 */
#ifndef MACHINE_FAULT_H
#define MACHINE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
    FAULT_POOL, /* pool, and objects made of it: IRPs, device objects, timers, contiguous memory */
    FAULT_MDL,
    FAULT_WORKITEM,
    FAULT_THREAD,
    FAULT_INTERRUPT,
    FAULT_MAPPING,
    FAULT_REGISTRY,
    FAULT_HYPERCALL,
    FAULT_KINDS
};

enum fault_phase { FAULT_BOOT, FAULT_CONNECT, FAULT_TRAFFIC, FAULT_TEARDOWN, FAULT_PHASES };

/* One --fail: calls that match everything that it says. A rule without nth and rate fails each of them. */
struct fault_rule {
    unsigned kinds;  /* a bit a kind; never 0 */
    unsigned phases; /* likewise */
    char call[48];   /* one routine alone; "" for any */
    uint64_t nth;    /* of the matching calls, from 1; 0: not by number */
    uint64_t rate;   /* probability in 2^32nds; 0: not by chance */
    bool seeded;     /* `seed` was given; else it is the machine's */
    uint64_t seed;
};

#define FAULT_RULES_MAX 32

struct fault_plan {
    struct fault_rule rule[FAULT_RULES_MAX];
    unsigned count; /* 0: nothing is counted and nothing fails */
};

#define FAULT_FRAMES_MAX 8
#define FAULT_MODULE_MAX 32

/* A return address in a driver module, in a form that outlives its unloading. */
struct fault_frame {
    char module[FAULT_MODULE_MAX]; /* "xenbus" */
    uint64_t offset;               /* from the image's base */
};

/* The driver's side of a call's stack, innermost first. */
struct fault_stack {
    struct fault_frame frame[FAULT_FRAMES_MAX];
    unsigned count;
};

/* A call that failed by the plan. */
struct fault_record {
    uint64_t number;         /* among the counted calls of the run, from 1 */
    uint64_t routine_number; /* among those of the routine */
    uint64_t event;          /* eventlog_count() when it failed */
    enum fault_kind kind;
    enum fault_phase phase;
    const char *routine;
    struct fault_stack stack;
};

#define FAULT_RECORDS_MAX 32
#define FAULT_POINTS_MAX 256 /* of the table */

struct fault_state {
    bool on; /* there is a plan and it is not suspended */
    enum fault_phase phase;
    uint64_t calls; /* counted */
    uint64_t injected;
    uint64_t kind_calls[FAULT_KINDS];
    uint64_t routine_calls[FAULT_POINTS_MAX]; /* in the table's order */
    uint64_t matched[FAULT_RULES_MAX];
    uint64_t random[FAULT_RULES_MAX];
    struct fault_record record[FAULT_RECORDS_MAX]; /* the first ones */
    void (*seen)(void *context, const struct fault_stack *stack, bool fallible);
    void *seen_context;
};

/* The machine's plan; from machine_create(). */
void fault_init(void);

/* Turn the plan off and on again. While it is off nothing is counted. */
void fault_suspend(void);
void fault_resume(void);
void fault_enter(enum fault_phase phase);

/* How many calls were counted and how many failed; the failed ones in order (NULL: no more were kept). */
uint64_t fault_calls(void);
uint64_t fault_kind_calls(enum fault_kind kind);
uint64_t fault_injected(void);
const struct fault_record *fault_record(unsigned index);

/*
 * For reports: called at each counted call, and at calls of the same routines that never fail (a hypercall of such an
 * operation), while the plan is on. Must not touch the machine.
 */
void fault_observe(void (*seen)(void *context, const struct fault_stack *stack, bool fallible), void *context);

const char *fault_kind_name(enum fault_kind kind);
const char *fault_phase_name(enum fault_phase phase);

/*
 * Must this call fail? `caller`: return address into the code that called `routine`; NULL for a call that comes in
 * through a gate, whose caller is found on the stack. Any context. Costs one test while there is no plan.
 */
bool fault_ask(enum fault_kind kind, const char *routine, const void *caller);
bool fault_is_on(void);
static inline bool fault_inject(enum fault_kind kind, const char *routine, const void *caller)
{
    return __builtin_expect(fault_is_on(), 0) && fault_ask(kind, routine, caller);
}
/* A call that came in by a routine of the table and cannot fail: for the observer alone. */
void fault_note_infallible(void);

/* ---- the table (sim/nt/fault/points.c) ---- */

struct fault_point {
    enum fault_kind kind;
    const char *routine;
    const char *answer; /* how it fails */
};

struct fault_never {
    const char *routine;
    const char *reason;
};

const struct fault_point *fault_point(unsigned index); /* NULL behind the last */
const struct fault_point *fault_point_find(const char *routine);
const struct fault_never *fault_never(unsigned index);
const struct fault_never *fault_never_find(const char *routine);

#endif
