/*
 * The parallel engine: the main job passes on it, its vCPUs really run at the same time and lose nothing, what goes
 * wrong is reported as under the other engine, and what it cannot do is refused.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"

#define LAN "tests/captures/lan-wire.pcap"
#define VLAN "tests/captures/vlan-wire.pcap"
#define CONTENDER_BUG 0x434f4e54u

/* As in tests/clients/contender. */
enum scenario { LOCKED, RACE, BUGCHECK, WAIT, SPIN, DPC };

/* Runs outside Check too. */
static void load_contender(void *argument)
{
    PDRIVER_OBJECT driver = NULL;
    struct cm_key *key = cm_key_create(CM_SERVICES "\\contender");

    cm_value_set_dword(key, "Type", 1);
    cm_value_set_dword(key, "Start", 3);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, "system32\\drivers\\contender.sys");
    cm_value_set_dword(key, "Scenario", *(const enum scenario *)argument);
    if (!NT_SUCCESS(io_load_driver("contender", &driver)))
        fail("test", "the driver's entry routine failed");
    if (!NT_SUCCESS(io_unload_driver(driver)))
        fail("test", "the driver does not unload");
    ObDereferenceObject(driver);
}

static struct machine_config contender_config(unsigned vcpus)
{
    struct machine_config config = guest_config(vcpus);

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    config.engine = ENGINE_PARALLEL;
    config.log_level = LOG_NONE;
    return config;
}

static const unsigned vcpu_counts[] = {1, 2, 4};

static void passes(enum scenario scenario, unsigned vcpus)
{
    struct machine_config config = contender_config(vcpus);

    guest_run_with(&config, load_contender, &scenario);
}

START_TEST(spin_locks_and_interlocked)
{
    passes(LOCKED, vcpu_counts[_i]);
}
END_TEST

/* The host refuses the call from here on, for this process. */
static void refuse_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAYSIZE(filter), .filter = filter};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    ck_assert_int_eq(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0), -1);
}

/* A release has its own barrier then. */
START_TEST(spin_locks_without_membarrier)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        refuse_membarrier();
        passes(LOCKED, vcpu_counts[_i]);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(dpcs_across_processors)
{
    passes(DPC, vcpu_counts[_i]);
}
END_TEST

static const struct failure *fails(enum scenario scenario, unsigned vcpus, uint64_t timeout_ns, const char *rule)
{
    struct machine_config config = contender_config(vcpus);

    config.timeout_ns = timeout_ns;
    return guest_must_fail(&config, load_contender, &scenario, rule);
}

#ifndef MACHINE_THREAD_SANITIZER
/* The others compute without ever calling the kernel: they are stopped all the same. */
START_TEST(bugcheck)
{
    const struct failure *failure = fails(BUGCHECK, vcpu_counts[_i], 0, "bugcheck");

    ck_assert_uint_eq(failure->code, CONTENDER_BUG);
    ck_assert_int_eq(failure->vcpu, (int)vcpu_counts[_i] - 1);
    ck_assert_uint_eq(failure->parameter[0], vcpu_counts[_i] - 1);
    ck_assert_ptr_nonnull(strstr(failure->backtrace, "contender.c"));
    machine_destroy();
}
END_TEST
#endif

/* At once, and whether the run is bounded or not. */
START_TEST(no_progress)
{
    const struct failure *failure = fails(WAIT, vcpu_counts[_i], _i == 1 ? UINT64_C(3600000000000) : 0, "no-progress");

    ck_assert_ptr_nonnull(strstr(failure->state, "contender.so!Thread"));
    ck_assert_ptr_nonnull(strstr(failure->state, "waiting for"));
}
END_TEST

START_TEST(timeout)
{
    const struct failure *failure = fails(SPIN, vcpu_counts[_i], 200000000, "timeout");

    ck_assert_ptr_nonnull(strstr(failure->text, "within 200 ms"));
}
END_TEST

/* ---- the command ---- */

static void assert_contains(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%.4000s", part, text);
}

START_TEST(main_job)
{
    for (unsigned turn = 0; turn < 3; turn++) {
        const char *capture = turn == 1 ? VLAN : LAN;
        struct process_result result =
            pvsim("run --engine par --vcpus %u --no-bundle --tx %s --rx %s", vcpu_counts[_i], capture, capture);
        char line[256];

        ck_assert_msg(result.status == 0, "exit status %d\n%.2000s\n%.2000s", result.status, result.output,
                      result.error);
        ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0");
        assert_contains(result.output, "engine par, clock wall");
        assert_contains(result.output, "no hash");
        process_free(&result);
    }
}
END_TEST

START_TEST(refusals)
{
    static const char *const lines[][2] = {
        {"run --engine par --policy pct", "no schedule policy"},
        {"run --engine par --policy random", "no schedule policy"},
        {"run --engine par --preempt=memory", "no switch points at loads and stores"},
        {"run --engine par --delay 0.1", "delays nothing"},
        {"run --clock virtual --engine par", "real time"},
        {"run --engine serial", "--engine takes det or par, not 'serial'"},
    };

    for (size_t index = 0; index < sizeof(lines) / sizeof(lines[0]); index++) {
        struct process_result result = pvsim("%s", lines[index][0]);

        ck_assert_int_eq(result.status, 2);
        assert_contains(result.error, lines[index][1]);
        ck_assert_uint_eq(line_count(result.error), 1);
        process_free(&result);
    }
}
END_TEST

START_TEST(bundle_is_not_replayed)
{
    struct process_result result = pvsim("run --engine par --timeout 1us --bundle-dir %s --tx %s", scratch(), LAN);
    char command[512];
    char *bundle;

    ck_assert_int_eq(result.status, 1);
    assert_contains(result.output, "timeout");
    bundle = strstr(result.output, "pvsim replay ");
    ck_assert_msg(bundle == NULL, "a run that cannot be replayed names a replay:\n%s", result.output);
    process_free(&result);
    snprintf(command, sizeof(command), "ls %s/*.bundle", scratch());
    {
        const char *const shell[] = {"/bin/sh", "-c", command, NULL};

        result = process_run(shell);
    }
    ck_assert_int_eq(result.status, 0);
    bundle = strtok(result.output, "\n");
    ck_assert_ptr_nonnull(bundle);
    {
        struct process_result replay = pvsim("replay %s", bundle);

        ck_assert_int_eq(replay.status, 2);
        assert_contains(replay.error, "not repeatable");
        process_free(&replay);
    }
    process_free(&result);
}
END_TEST

#ifdef MACHINE_THREAD_SANITIZER
#define RACE_PROGRAM "race"

/* A run of its own, since the report and the status at its end are the process's. */
static int race_program(void)
{
    enum scenario scenario = RACE;
    struct machine_config config = contender_config(2);

    return machine_run_in_guest(&config, load_contender, &scenario) == MACHINE_DONE ? 0 : 1;
}

START_TEST(planted_race)
{
    const char *const command[] = {"/proc/self/exe", RACE_PROGRAM, NULL};
    struct process_result result = process_run(command);

    assert_contains(result.error, "WARNING: ThreadSanitizer: data race");
    assert_contains(result.error, "contender.c");
    ck_assert_int_eq(result.status, 66);
    process_free(&result);
}
END_TEST
#endif

int main(int argc, char **argv)
{
    Suite *suite = suite_create("parallel");
    TCase *threads = tcase_create("contention");
    TCase *ends = tcase_create("ends");
    TCase *command = tcase_create("command");
    int counts = sizeof(vcpu_counts) / sizeof(vcpu_counts[0]);

#ifdef MACHINE_THREAD_SANITIZER
    if (argc == 2 && strcmp(argv[1], RACE_PROGRAM) == 0)
        return race_program();
    tcase_add_test(threads, planted_race);
#else
    (void)argc;
    (void)argv;
#endif
    tcase_add_loop_test(threads, spin_locks_and_interlocked, 0, counts);
    tcase_add_loop_test(threads, spin_locks_without_membarrier, 0, counts);
    tcase_add_loop_test(threads, dpcs_across_processors, 0, counts);
    suite_add_tcase(suite, threads);
#ifndef MACHINE_THREAD_SANITIZER /* it holds a signal back until the code that it finds makes a call: these loops make \
                                    none */
    tcase_add_loop_test(ends, bugcheck, 0, counts);
#endif
    tcase_add_loop_test(ends, no_progress, 0, counts);
    tcase_add_loop_test(ends, timeout, 0, counts);
    suite_add_tcase(suite, ends);
    tcase_add_loop_test(command, main_job, 0, counts);
    tcase_add_test(command, refusals);
    tcase_add_test(command, bundle_is_not_replayed);
    suite_add_tcase(suite, command);
    return guest_suite_run(suite);
}
