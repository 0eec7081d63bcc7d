/* Reading C sources of this tree: calls of a routine and their arguments. Enough for sources in this tree's style. */
#ifndef TESTS_COMMON_SOURCE_SCAN_H
#define TESTS_COMMON_SOURCE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_ARGUMENTS_MAX 12

struct scan_call {
    const char *path;
    unsigned line;
    const char *routine;
    char *argument[SCAN_ARGUMENTS_MAX]; /* as written, without surrounding white space */
    unsigned arguments;
};

/* Call `see` for each file below `folder` that ends in .c or .h, with its text without comments. */
void scan_files(const char *folder, void (*see)(const char *path, const char *text, void *context), void *context);

/* Call `see` for each call (or declaration) of `routine` in the text. */
void scan_calls(const char *path, const char *text, const char *routine,
                void (*see)(const struct scan_call *call, void *context), void *context);

/* If the argument is one string literal, its text goes into `buffer`. */
bool scan_literal(const char *argument, char *buffer, size_t size);

#endif
