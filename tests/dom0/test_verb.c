/* pvsim dom0: what a program that it starts finds, what becomes of its exit status, and what is refused. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"

/* A folder that looks as if a machine ran in it: nothing here speaks to one (test_dropins and test_programs do). */
static const char *folder(void)
{
    static char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/dom0.sock", scratch());
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    return scratch();
}

static struct process_result sh(const char *const *options, const char *script)
{
    const char *argv[16] = {PVSIM_BUILD "/pvsim", "dom0", "--run-dir", folder()};
    unsigned count = 4;

    while (options != NULL && *options != NULL)
        argv[count++] = *options++;
    argv[count++] = "--";
    argv[count++] = "sh";
    argv[count++] = "-c";
    argv[count++] = script;
    return process_run(argv);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", scratch(), name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(environment)
{
    static const char *const options[] = {"--domid", "3", NULL};
    struct process_result result;
    char real[PATH_MAX];
    char expected[1024];

    write_file("store-3.sock", "");
    result = sh(options, "echo $XENSTORED_PATH $XENSTORED_RUNDIR $PVSIM_GATE $PVSIM_DOMID");
    ck_assert_ptr_nonnull(realpath(scratch(), real));
    snprintf(expected, sizeof(expected), "%.200s/store-3.sock %.200s/xenstored %.200s/dom0.sock 3\n", real, real, real);
    ck_assert_msg(result.status == 0, "%s", result.error);
    ck_assert_str_eq(result.output, expected);
    process_free(&result);

    result = sh(NULL, "echo ${XENSTORED_PATH##*/} $PVSIM_DOMID");
    ck_assert_str_eq(result.output, "xenstored.sock 0\n");
    process_free(&result);
}
END_TEST

/* The libraries that the dynamic linker finds are ours, in front of what the user names; the rest is the system's. */
START_TEST(libraries)
{
    const char *script = "ldd " PVSIM_BUILD "/dom0-program; echo $LD_LIBRARY_PATH";
    struct process_result result;

    setenv("LD_LIBRARY_PATH", "/of/the/user", 1);
    result = sh(NULL, script);
    unsetenv("LD_LIBRARY_PATH");
    ck_assert_msg(result.status == 0, "%s", result.error);
    ck_assert_ptr_nonnull(strstr(result.output, "/lib/pvsim-dom0/libxencall.so.1"));
    ck_assert_ptr_nonnull(strstr(result.output, "/lib/pvsim-dom0/libxenevtchn.so.1"));
    ck_assert_ptr_nonnull(strstr(result.output, "libxenctrl.so"));
    ck_assert_ptr_null(strstr(result.output, "/lib/pvsim-dom0/libxenctrl.so"));
    ck_assert_ptr_nonnull(strstr(result.output, "/lib/pvsim-dom0:/of/the/user\n"));
    process_free(&result);
}
END_TEST

/* A program that is built with AddressSanitizer refuses to run with anything preloaded, unless it is told not to. */
START_TEST(sanitized_program)
{
    static const char source[] = "int main(void) { return 0; }\n";
    struct process_result result;
    char program[300];
    char script[1024];

    write_file("sanitized.c", source);
    snprintf(program, sizeof(program), "%.200s/sanitized", scratch());
    snprintf(script, sizeof(script), "gcc -fsanitize=address %.280s.c -o %.280s && %.280s", program, program, program);
    result = sh(NULL, script);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
}
END_TEST

/* Files with fixed names are the folder's. */
START_TEST(fixed_names)
{
    struct process_result result;
    char path[256];

    write_file("xsd_port", "17");
    result = sh(NULL, "cat /proc/xen/xsd_port && echo here > /var/run/xenstored/note && cat /run/xenstored/note && "
                      "cat /var/run/xenstored-not-ours");
    ck_assert_int_eq(result.status, 1);
    ck_assert_str_eq(result.output, "17here\n");
    ck_assert_ptr_nonnull(strstr(result.error, "/var/run/xenstored-not-ours"));
    process_free(&result);
    snprintf(path, sizeof(path), "%s/xenstored/note", scratch());
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    snprintf(path, sizeof(path), "%s/xenstored", scratch());
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(exit_status)
{
    struct process_result result = sh(NULL, "exit 7");

    ck_assert_int_eq(result.status, 7);
    process_free(&result);
    result = sh(NULL, "kill -9 $$");
    ck_assert_int_eq(result.status, 1009);
    process_free(&result);
}
END_TEST

static void refused(int status, const char *line, const char *arguments)
{
    struct process_result result = pvsim("dom0 %s", arguments);

    ck_assert_msg(result.status == status, "dom0 %s: %d", arguments, result.status);
    ck_assert_msg(strstr(result.error, line) != NULL, "dom0 %s: %s", arguments, result.error);
    ck_assert_uint_eq(line_count(result.error), 1);
    process_free(&result);
}

START_TEST(refusals)
{
    char arguments[512];

    refused(2, "which program?", "--domid 1");
    refused(2, "--domid takes a whole number from 0 to 32751, not '32752'", "--domid 32752 -- true");
    refused(2, "unknown option --domidd", "--domidd 3 -- true");
    refused(2, "--run-dir takes a value", "--run-dir");
    snprintf(arguments, sizeof(arguments), "--run-dir %.200s/nowhere -- true", scratch());
    refused(1, "nowhere; start one with 'pvsim create', or name its folder with --run-dir", arguments);
    snprintf(arguments, sizeof(arguments), "--run-dir %.200s -- /nowhere/program", folder());
    refused(2, "/nowhere/program cannot be started: No such file or directory", arguments);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dom0/verb");
    TCase *tcase = tcase_create("verb");

    tcase_add_test(tcase, environment);
    tcase_add_test(tcase, libraries);
    tcase_add_test(tcase, sanitized_program);
    tcase_add_test(tcase, fixed_names);
    tcase_add_test(tcase, exit_status);
    tcase_add_test(tcase, refusals);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
