/*
 * Failures: a bugcheck, a broken rule, a leak, a machine in which nothing can run. The first one ends the run and is
 * what the bundle records.
 */
#ifndef MACHINE_FAIL_H
#define MACHINE_FAIL_H

#include <stdint.h>

/* More stacks than that of the failing context: "the lock was acquired here", "the block was allocated here". */
#define FAILURE_STACKS 8

struct failure_stacks {
    int count;
    struct {
        char title[192];
        void *frames[24];
        int frame_count;
        char text[2048]; /* with source lines; made when machine_run() has come back */
    } stack[FAILURE_STACKS];
};

struct failure {
    char rule[64];   /* short stable name: "irql", "pool-overrun", "no-progress", "leak", "bugcheck", ... */
    char title[128]; /* Windows bugcheck name where there is one */
    uint32_t code;   /* bugcheck code or 0 */
    uint64_t parameter[4];
    char text[2048];      /* what, where, why */
    char backtrace[4096]; /* of the context that failed, with source lines; made when machine_run() has come back */
    void *frames[48];     /* the same as addresses */
    int frame_count;
    struct failure_stacks stacks;
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

/* The same with a bugcheck's name, code and parameters (nt/bugcheck). */
_Noreturn void fail_bugcheck(uint32_t code, const char *name, const uint64_t parameter[4], const char *rule,
                             const char *format, ...) __attribute__((noreturn, format(printf, 5, 6)));

/* The failure of this machine, NULL if none. Valid until machine_destroy(). */
const struct failure *machine_failure(void);

#endif
