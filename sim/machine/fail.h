/*
 * Failures: a bugcheck, a broken rule, a leak, a machine in which nothing can run. The first one ends the run and is
 * what the bundle records.
 */
#ifndef MACHINE_FAIL_H
#define MACHINE_FAIL_H

#include <stdbool.h>
#include <stdint.h>

/* More stacks than that of the failing context: "the lock was acquired here", "the block was allocated here". */
#define FAILURE_STACKS 8

struct failure_stack {
    char title[192];
    void *frames[24];
    int frame_count;
    char *text; /* with source lines; made when machine_run() has come back, NULL before */
};

struct failure_stacks {
    int count;
    struct failure_stack stack[FAILURE_STACKS];
};

/* A memory access or instruction of guest code that the host refused. */
enum trap_access { TRAP_READ, TRAP_WRITE, TRAP_EXECUTE };

struct trap {
    int signal;
    const void *address;
    const void *instruction;
    enum trap_access access;
    void *frames[64]; /* innermost first */
    int frame_count;
};

/* Host memory: a report survives the image. No text is NULL. */
struct failure {
    char rule[64];   /* short stable name: "irql", "pool-overrun", "no-progress", "leak", "bugcheck", ... */
    char title[128]; /* Windows bugcheck name where there is one */
    uint32_t code;   /* bugcheck code or 0 */
    uint64_t parameter[4];
    char *text;       /* what, where, why */
    char *notes;      /* lines that were added after the failure: what bugcheck callbacks did */
    char driver[64];  /* module of the innermost frame in a driver, "" if there is none */
    void *frames[64]; /* of the context that failed, innermost first */
    int frame_count;
    struct failure_stacks stacks;
    /* Made when machine_run() has come back: */
    char *backtrace; /* the frames with source lines */
    char *state;    /* every vCPU; of a machine that hangs every task and thread with what it waits for and its stack */
    uint64_t event; /* eventlog_count() when it happened */
    uint64_t time;  /* clock_now() */
    int vcpu;       /* -1: none */
};

/*
 * Before one of the routines below: one more stack for the report. Those that do not fit are left out; the last one
 * then says so.
 */
void fail_note_stack(void *const *frames, int count, const char *title, ...) __attribute__((format(printf, 3, 4)));

/* Raise a failure from any fiber: records it and ends machine_run(). Does not return. From the host's stack: prints,
 * exits 1. */
_Noreturn void fail(const char *rule, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/*
 * The same for a bugcheck (nt/bugcheck), in two steps, so that something can happen in between: the first failure of
 * the machine is recorded, later ones are not (false; then fail_note() says what else there is to say). `trap`: the
 * fault that is the reason, NULL if the caller's stack says it all. Then leave; does not return.
 */
bool fail_record_bugcheck(uint32_t code, const char *name, const uint64_t parameter[4], const char *rule,
                          const char *text, const struct trap *trap);
_Noreturn void fail_leave(void);

/* Add a line to the machine's failure, which must have been recorded. */
void fail_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The failure of this machine, NULL if none. Valid until machine_destroy(). */
const struct failure *machine_failure(void);

#endif
