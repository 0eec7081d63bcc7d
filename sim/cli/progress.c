#include "cli/progress.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "machine/clock_internal.h"

#define PLAIN_EVERY_NS UINT64_C(10000000000) /* not on a terminal */

void progress_start(struct progress *progress)
{
    progress->started = progress->shown = clock_host();
}

double progress_seconds(const struct progress *progress)
{
    return (double)(clock_host() - progress->started) / 1e9;
}

void progress_show(struct progress *progress, const char *format, ...)
{
    bool terminal = isatty(STDERR_FILENO);
    uint64_t now = clock_host();
    va_list arguments;

    if (now - progress->shown < (terminal ? PROGRESS_TICK_NS : PLAIN_EVERY_NS))
        return;
    progress->shown = now;
    fputs(terminal ? "\rpvsim: " : "pvsim: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(terminal ? " \033[K" : "\n", stderr);
    fflush(stderr);
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}
