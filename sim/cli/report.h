/* What a run found out, and how it is shown. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "machine/fault.h"

/* One shared ring as netback saw it. */
struct report_ring {
    uint64_t requests;
    uint64_t responses;
    uint64_t notifications_sent;
    uint64_t notifications_suppressed;
};

struct report_direction {
    uint64_t expected; /* frames in the capture, times the rounds of a packet generator */
    uint64_t frames;   /* that arrived right and in order */
    uint64_t bytes;
    uint64_t dropped; /* refused or dropped on the way, by either side's count */
    uint64_t corrupt; /* arrived, but differ from the capture or out of order */
    struct report_ring ring;
};

struct report_vif {
    struct report_direction tx;
    struct report_direction rx;
    /* By netback's count: */
    uint64_t control;  /* requests of the control ring */
    uint64_t filters;  /* times that it was asked to filter multicast frames */
    uint64_t filtered; /* frames that it has kept back for that */
};

struct report_leak {
    char kind[32];
    char name[128];
    char where[160];
    uint64_t count;
};

/* What Windows would have had to do for it. */
struct report_cost {
    uint64_t hypercalls;
    uint64_t interrupts;
    uint64_t dpcs;
    uint64_t spin_locks;  /* acquired by drivers */
    uint64_t allocations; /* of pool, by drivers and the kernel's own routines */
};

#define REPORT_LEAKS_MAX 64

struct report {
    const struct run_options *options;
    struct report_vif vif[VIFS_MAX];
    bool connected;
    uint64_t connected_virtual; /* ns from power-on until every VIF was Connected on both sides */
    uint64_t connected_host;
    uint64_t traffic_virtual; /* ns from then until the last frame had arrived */
    uint64_t traffic_host;
    struct report_cost traffic_cost;
    uint64_t total_host;
    uint64_t fault_calls; /* counted for the plan of faults */
    uint64_t faults_injected;
    struct fault_record faults[FAULT_RECORDS_MAX];
    unsigned fault_count;
    bool bus_restarted; /* after a fault it took the whole stack to come back */
    struct report_leak leaks[REPORT_LEAKS_MAX];
    unsigned leak_count; /* may be more than are kept */
    uint64_t hash;
    uint64_t events;
    uint64_t switch_points;
    uint64_t switches;
    uint64_t hypercalls;
    const struct failure *failure; /* NULL: the machine itself did not fail */
    char complaint[512];           /* what else was wrong, "" if nothing */
    char core[4096];               /* path of the core file left, "" if none */
    char bundle[4096];             /* path of the bundle left, "" if none */
    const char *peers;             /* the file with what came from programs on the host, NULL: no record */
    int argc;                      /* of the command that runs it again, 0: none does */
    char **argv;
};

uint64_t report_lost(const struct report *report);
uint64_t report_corrupt(const struct report *report);
bool report_passed(const struct report *report);
/* "PASS tx=.. rx=.. lost=.. corrupt=.. leaks=.." */
void report_verdict(const struct report *report, char *buffer, size_t size);
/* In the format asked for: text on standard output with the verdict as its last line, or JSON there and the verdict on
 * standard error. */
void report_print(const struct report *report);
/* Of a text report the part on what failed, if anything did. */
void report_print_failure(const struct report *report);

#endif
