/*
 * The machine's log. Writing to it never changes the run: no switch point, no event, no machine heap.
 */
#ifndef MACHINE_LOG_H
#define MACHINE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_TRACE };

bool log_enabled(enum log_level level);
/* `component`: "xen", "store", "pnp", "netback", "guest", ... One line, no newline at the end. */
void log_line(enum log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_vline(enum log_level level, const char *component, const char *format, va_list arguments);

/* Parse "none", "error", ... ; -1 if it is none of them. */
int log_level_parse(const char *name);

/* The last lines logged at LOG_INFO and above whatever the level printed, oldest first, for reports. */
size_t log_tail(char *buffer, size_t size);

#endif
