/*
 * What Check's assertions do in a fuzz target, where no test of Check's runs: one that holds does nothing, one that
 * fails says so and ends the process. The linker puts these in the place of Check's own (--wrap).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void __wrap__mark_point(const char *file, int line);
void __wrap__ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

void __wrap__mark_point(const char *file, int line)
{
    (void)file; /* Check's way to know where a test that crashed was; */
    (void)line; /* the sanitizers show that */
}

void __wrap__ck_assert_failed(const char *file, int line, const char *expression, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: %s ", file, line, expression);
    va_start(arguments, format);
    if (format != NULL)
        vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}
