/* For host tests: run a program and look at what it printed. */
#ifndef TESTS_COMMON_PROCESS_H
#define TESTS_COMMON_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process_result {
    int status; /* exit status, or 1000 + the signal's number */
    char *output;
    char *error;
};

/* Run `argv` (closed by NULL, program first) to its end, nothing on standard input. Free the result with
 * process_free(). */
struct process_result process_run(const char *const *argv);
void process_free(struct process_result *result);

/* pvsim of this build with arguments from a printf-like line, split at blanks: pvsim("run --seed %u", seed). */
struct process_result pvsim(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The last line of a text, without its newline (in a buffer of the caller's). */
const char *last_line(const char *text, char *buffer, size_t size);
/* Number of lines. */
unsigned line_count(const char *text);
/* The event-log hash of a text report; 0 if there is none. */
uint64_t report_hash(const char *text);

/* A folder for the test's files, made for this process and removed by it at its end. */
const char *scratch(void);

#endif
