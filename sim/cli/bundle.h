/*
 * Failure bundles: one JSON file with everything that shows a failure again: the arguments, the build, hashes of the
 * inputs, the seed, what failed and at which event, and the log's tail.
 */
#ifndef CLI_BUNDLE_H
#define CLI_BUNDLE_H

#include "cli/report.h"
#include "cli/run.h"

/* Write a bundle for a failed run; sets report->bundle, or complains on stderr. argv is that of `pvsim run`. */
void bundle_write(struct report *report, int argc, char **argv);

struct bundle {
    int argc; /* of `pvsim run`; argv[argc] is NULL */
    char **argv;
    char rule[64];
    uint64_t event;
    uint64_t hash;
    char verdict[256];
    bool has_schedule; /* follow it instead of the policy */
    struct schedule schedule;
    char *peers; /* the record of a backend's program, NULL: the run had none */
};

/*
 * Read a bundle and check it against this build and its inputs. 0, or an exit status after one line on stderr (2
 * unreadable or malformed, 125 another build or changed inputs).
 */
int bundle_read(const char *path, struct bundle *bundle);
void bundle_free(struct bundle *bundle);

/* Rule, event, hash and first line of what a report says failed: the machine's failure, or the verdict's. */
void bundle_identify(const struct report *report, struct run_outcome *outcome);

#endif
