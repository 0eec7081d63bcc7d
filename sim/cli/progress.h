/* Progress of a command that makes many runs, on standard error: a line in place on a terminal, else one now and then.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

/* How long to wait for a run before looking at the progress again. */
#define PROGRESS_TICK_NS UINT64_C(200000000)

struct progress {
    uint64_t started; /* host clock */
    uint64_t shown;
};

void progress_start(struct progress *progress);
/* Since the start, by the host's clock. */
double progress_seconds(const struct progress *progress);
/* Show it, if it is time to. */
void progress_show(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Take the line away before something else is printed. */
void progress_clear(void);

#endif
