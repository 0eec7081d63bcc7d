/*
 * The conformance driver on a machine of pvsim's: loaded as a service, told by its registry key what to run, read by
 * what it prints. Host code; a run leaves its result in memory of the host's.
 */
#ifndef TESTS_CONFORMANCE_CONFORM_H
#define TESTS_CONFORMANCE_CONFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

#define CONFORM_CASES_MAX 8192

struct conform_case {
    char suite[64];
    char name[96];
    unsigned cpus; /* 0: any number */
    bool schedules;
    bool device;   /* the driver must be installed for a device */
    char rule[64]; /* empty: it must pass */
    uint32_t code;
};

/* What a run of the driver came to. */
struct conform_result {
    enum machine_result end;
    char rule[64]; /* of the failure that ended the machine */
    uint32_t code;
    char misfit[512];   /* what of its bugcheck and parameters is not as the rule table says, "" if nothing */
    char failure[8192]; /* the same for a reader */
    char *output;       /* what the driver printed; free() it */
    char *file;         /* what is in \\Windows\\Temp\\nttest.txt of its machine, NULL: nothing; free() it */
    unsigned passed, failed, skipped;
    bool done; /* the driver got to its end */
};

/*
 * Run what `select` says on a machine of its own. `device`: the driver is installed by its INF for the machine's PCI
 * device; otherwise it is a service that is started. `transcript`: value of Parameters\Transcript, NULL: none.
 */
struct conform_result conform_run(const struct machine_config *config, const char *select, bool device,
                                  const char *transcript);

/* The configuration for a case: its processors, fifo, seed 1. NULL: for all. */
struct machine_config conform_config(const struct conform_case *one);

/* The driver's list of cases, in its order; ends the process if the driver cannot say. */
const struct conform_case *conform_cases(unsigned *count);
const struct conform_case *conform_find(const char *name);

/* Run a case as it must be run; false: why not, and the command that shows it again. */
bool conform_check(const struct conform_case *one, unsigned seeds, char *why, size_t size);

#endif
