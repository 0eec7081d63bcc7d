/* A core file of a failed run, and gdb's view of the machine in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"

/* The core file that a failed run leaves; false if this host leaves none. */
static bool leave_core(const char *arguments, const char *what, char *core)
{
    struct process_result run = pvsim("run %s --on-bugcheck core --bundle-dir %s", arguments, scratch());
    const char *found = strstr(run.output, "core: ");

    if (run.status == 125) {
        printf("skipped: core-files: %s", run.error);
        process_free(&run);
        return false;
    }
    ck_assert_int_eq(run.status, 1);
    ck_assert_msg(strstr(run.output, what) != NULL && found != NULL, "%s%s", run.output, run.error);
    ck_assert_int_eq(sscanf(found, "core: %511[^;]", core), 1);
    ck_assert_int_eq(access(core, R_OK), 0);
    process_free(&run);
    return true;
}

/* What the helpers' commands print, in the caller's ownership; NULL if there is no gdb here. */
static char *gdb(const char *core)
{
    struct process_result run;

    if (access("/usr/bin/gdb", X_OK) != 0) {
        printf("skipped: gdb: there is no gdb (package gdb)\n");
        return NULL;
    }
    run = process_run((const char *const[]){"/usr/bin/gdb",
                                            "-nx",
                                            "-batch",
                                            "-x",
                                            "tools/pvsim-gdb.py",
                                            "-ex",
                                            "pvsim vcpus",
                                            "-ex",
                                            "pvsim threads",
                                            "-ex",
                                            "pvsim threads bt",
                                            "-ex",
                                            "pvsim irps",
                                            "-ex",
                                            "pvsim pool",
                                            "-ex",
                                            "pvsim thread 1 bt",
                                            "-ex",
                                            "pvsim thread 999 bt",
                                            PVSIM_BUILD "/pvsim",
                                            core,
                                            NULL});
    ck_assert_msg(strstr(run.error, "Python Exception") == NULL, "%s", run.error);
    ck_assert_msg(strstr(run.error, "there is no thread 999") != NULL, "%s", run.error);
    free(run.error);
    return run.output;
}

/* The texts come one behind the other. */
static void assert_order(char *output, const char *const *parts, size_t count)
{
    const char *at = output;

    for (size_t index = 0; at != NULL && index < count; index++) {
        at = strstr(at, parts[index]);
        ck_assert_msg(at != NULL, "'%s' is not there, or not in its place:\n%s", parts[index], output);
        at += strlen(parts[index]);
    }
    free(output);
}

/* A DPC that took too long. */
START_TEST(a_core_file_shows_what_a_vcpu_runs)
{
    static const char *const parts[] = {"vCPU ", ": IRQL 2, DPC ", "(", ") on ", ", died here\n", " waiting for "};
    char core[512];

    if (leave_core("--dpc-limit 1us --memory 64", "DPC_WATCHDOG_VIOLATION", core))
        assert_order(gdb(core), parts, sizeof(parts) / sizeof(parts[0]));
}
END_TEST

/* tests/clients/planted/scene.c: a request that is pending, a thread that waits, pool with a tag. */
START_TEST(a_core_file_shows_threads_requests_and_pool)
{
    static const char *const parts[] = {
        /* vcpus */
        ": IRQL 2, thread pnp, died here\n",
        /* threads */
        " pnp ",
        " running\n",
        "SceneOwner",
        " waiting for notification event 0x",
        " SceneOwner + ",
        "(scene.c:",
        /* threads bt */
        " pnp ",
        " running\n#0 ",
        " PlantedScene + ",
        "(scene.c:",
        " DriverEntry + ",
        "(planted.c:",
        " waiting for notification event 0x",
        "#0 ",
        " KeWaitForSingleObject + ",
        " SceneOwner + ",
        "(scene.c:",
        " fiber_main + ",
        /* irps */
        "IRP 0x",
        " in flight, status 0xc00000bb, made at ",
        " SendRequest + ",
        "  [1] major 0xf minor 0x0, device 0x",
        " SceneControl (scene.c:",
        ") returned 0x00000103\n",
        /* pool */
        "Plan nonpaged-nx        1 blocks       4321 bytes\n",
        /* thread 1 bt */
        "#0 ",
        " worker_main + ",
        " fiber_main + ",
    };
    char arguments[512];
    char core[512];

    snprintf(arguments, sizeof(arguments), "--seed 3 --memory 64 --drivers %s", planted_folder(PLANTED_SCENE, false));
    if (leave_core(arguments, "rule bugcheck", core))
        assert_order(gdb(core), parts, sizeof(parts) / sizeof(parts[0]));
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

    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, a_core_file_shows_what_a_vcpu_runs);
    tcase_add_test(cases, a_core_file_shows_threads_requests_and_pool);
    tcase_add_test(cases, on_bugcheck_takes_report_or_core);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
