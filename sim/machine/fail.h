/*
 * Failures: a bugcheck, a broken rule, a leak, a machine in which nothing can run. The first one ends the run and is
 * what the bundle records.
 */
#ifndef MACHINE_FAIL_H
#define MACHINE_FAIL_H

#include <stdint.h>

struct failure {
    char rule[64];   /* short stable name: "irql", "pool-overrun", "no-progress", "leak", "bugcheck", ... */
    char title[128]; /* Windows bugcheck name where there is one */
    uint32_t code;   /* bugcheck code or 0 */
    uint64_t parameter[4];
    char text[2048];      /* what, where, why */
    char backtrace[4096]; /* of the context that failed, with source lines; made when machine_run() has come back */
    void *frames[48];     /* the same as addresses */
    int frame_count;
    uint64_t event; /* eventlog_count() when it happened */
    uint64_t time;  /* clock_now() */
    int vcpu;       /* -1: none */
};

/* Raise a failure from any fiber: records it and ends machine_run(). Does not return. From the host's stack: prints,
 * exits 1. */
_Noreturn void fail(const char *rule, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* The same with a bugcheck's name, code and parameters (nt/bugcheck). */
_Noreturn void fail_bugcheck(uint32_t code, const char *name, const uint64_t parameter[4], const char *rule,
                             const char *format, ...) __attribute__((noreturn, format(printf, 5, 6)));

/* The failure of this machine, NULL if none. Valid until machine_destroy(). */
const struct failure *machine_failure(void);

#endif
