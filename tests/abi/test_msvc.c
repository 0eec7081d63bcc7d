/* Microsoft's dialect: a driver written for that compiler, built by clang 19 as the README says, checks itself. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

static void install(void)
{
    char line[1024];

    snprintf(line, sizeof(line),
             "env -u MAKEFLAGS -u MAKELEVEL make -s install BUILD=%s SAN='%s' PREFIX=%s/prefix DESTDIR= && "
             "cp tests/abi/msvc/* %s",
             PVSIM_BUILD, strstr(PVSIM_BUILD, "/san-") == NULL ? "" : "address,undefined", scratch(), scratch());
    ck_assert_int_eq(system(line), 0);
}

static struct process_result shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct process_result shell(const char *format, ...)
{
    char line[2048];
    va_list arguments;
    int length = snprintf(line, sizeof(line), "cd %s && ", scratch());

    va_start(arguments, format);
    vsnprintf(line + length, sizeof(line) - (size_t)length, format, arguments);
    va_end(arguments);

    const char *argv[] = {"sh", "-c", line, NULL};

    return process_run(argv);
}

START_TEST(runs)
{
    struct process_result result;

    install();
    result = shell("prefix/bin/pvsim-cc --msvc -Wall -Werror -o msvcdialect.so msvcdialect.c");
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    process_free(&result);

    result = shell("prefix/bin/pvsim run --no-bundle --driver msvcdialect.so --inf msvcdialect.inf");
    ck_assert_msg(strstr(result.error, "msvcdialect|Preprocessor: <====>") != NULL, "%.1500s%.1500s", result.output,
                  result.error);
    ck_assert_ptr_nonnull(strstr(result.error, "msvcdialect|Preprocessor: arguments 2"));
#ifndef PVSIM_SANITIZE /* whose run-time has the faults that the driver handles: the run ends at the first */
    ck_assert_msg(strstr(result.error, "msvcdialect|DriverEntry: all as with Microsoft's compiler") != NULL,
                  "%.1500s%.1500s", result.output, result.error);
#endif
    process_free(&result);
}
END_TEST

/* With the compiler's own command line, the flags of the issue and no others but for the optimisation. */
START_TEST(flags)
{
    struct process_result result;
    char headers[512];

    snprintf(headers, sizeof(headers), "%s/prefix/include/pvsim/kernel", scratch());
    install();
    result = shell("clang-19 -Werror -fms-extensions -fms-compatibility -fms-compatibility-version=19.29 -fshort-wchar "
                   "-O0 -I %s -c msvcdialect.c -o msvcdialect.o",
                   headers);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    /* Optimised, a handler would see stale locals: an error that says what to do. */
    result = shell("clang-19 -fms-extensions -fms-compatibility -fms-compatibility-version=19.29 -fshort-wchar "
                   "-O2 -I %s -c msvcdialect.c -o msvcdialect.o",
                   headers);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.error, "compile files that use __try with -O0 (pvsim-cc does)"));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("msvc");
    TCase *dialect = tcase_create("dialect");

    tcase_add_test(dialect, runs);
    tcase_add_test(dialect, flags);
    tcase_set_timeout(dialect, 300);
    suite_add_tcase(suite, dialect);
    return guest_suite_run(suite);
}
