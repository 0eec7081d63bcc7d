/* A core file of a failed run, and gdb's view of the machine in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"

START_TEST(a_core_file_shows_the_machine)
{
    struct process_result run = pvsim("run --dpc-limit 1us --on-bugcheck core --bundle-dir %s", scratch());
    const char *found;
    char core[512];

    if (run.status == 125) {
        printf("skipped: %s", run.error);
        process_free(&run);
        return;
    }
    ck_assert_int_eq(run.status, 1);
    ck_assert_msg(strstr(run.output, "DPC_WATCHDOG_VIOLATION") != NULL, "%s", run.output);
    found = strstr(run.output, "core: ");
    ck_assert_msg(found != NULL, "%s%s", run.output, run.error);
    ck_assert_int_eq(sscanf(found, "core: %511[^;]", core), 1);
    ck_assert_int_eq(access(core, R_OK), 0);
    process_free(&run);

    if (access("/usr/bin/gdb", X_OK) != 0) {
        printf("skipped: there is no gdb (package gdb)\n");
        return;
    }
    run = process_run((const char *const[]){"gdb", "-nx", "-batch", "-x", "tools/pvsim-gdb.py", "-ex", "pvsim vcpus",
                                            "-ex", "pvsim threads", "-ex", "pvsim thread 1 bt", PVSIM_BUILD "/pvsim",
                                            core, NULL});
    ck_assert_msg(strstr(run.output, "vCPU 0: IRQL ") != NULL && strstr(run.output, "vCPU 1: IRQL ") != NULL, "%s%s",
                  run.output, run.error);
    ck_assert_msg(strstr(run.output, "DPC ") != NULL && strstr(run.output, ", died here") != NULL, "%s", run.output);
    ck_assert_msg(strstr(run.output, " waiting for ") != NULL, "%s", run.output);
    ck_assert_msg(strstr(run.output, "fiber_main") != NULL, "%s%s", run.output, run.error);
    process_free(&run);
}
END_TEST

START_TEST(on_bugcheck_takes_report_or_core)
{
    struct process_result run = pvsim("run --on-bugcheck cores");

    ck_assert_int_eq(run.status, 2);
    ck_assert_uint_eq(line_count(run.error), 1);
    process_free(&run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core");
    TCase *cases = tcase_create("core");

    tcase_add_test(cases, a_core_file_shows_the_machine);
    tcase_add_test(cases, on_bugcheck_takes_report_or_core);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
