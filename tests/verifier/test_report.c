/*
 * What a violation reports: name, code, parameters, driver, backtrace with source lines, every vCPU's state, the text
 * uncut; and what a machine that hangs reports of its threads.
 */
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"
#include "nt/ke/ke.h"

static const char *find(const char *text, const char *what)
{
    const char *found = strstr(text, what);

    ck_assert_msg(found != NULL, "no '%s' in: %s", what, text);
    return found;
}

/* ---- a violation ---- */

static void long_violation(void *argument)
{
    char text[6000];

    (void)argument;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    nt_violation("assertion", "%s the end", text);
}

START_TEST(a_text_is_not_cut)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, long_violation, NULL, "assertion");

    ck_assert_uint_gt(strlen(failure->text), 5999);
    find(failure->text, "xxx the end");
}
END_TEST

static KDPC raising_dpc;

static VOID NTAPI violate_in_dpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeLowerIrql(HIGH_LEVEL);
    KeMemoryBarrier();
}

static void violate(void *argument)
{
    (void)argument;
    KeInitializeDpc(&raising_dpc, violate_in_dpc, NULL);
    KeInsertQueueDpc(&raising_dpc, NULL, NULL);
    KeStallExecutionProcessor(100);
}

START_TEST(every_vcpu_is_described)
{
    struct machine_config config = guest_config(3);
    const struct failure *failure = guest_must_fail(&config, violate, NULL, "irql-lower");
    char who[64];

    ck_assert_str_eq(failure->title, "IRQL_NOT_LESS_OR_EQUAL");
    ck_assert_uint_eq(failure->code, 0x0A);
    ck_assert_uint_eq(failure->parameter[0], DISPATCH_LEVEL);
    ck_assert_uint_eq(failure->parameter[1], HIGH_LEVEL);
    for (unsigned index = 0; index < 3; index++) {
        snprintf(who, sizeof(who), "vCPU %u: IRQL ", index);
        find(failure->state, who);
    }
    /* The one that broke the rule, as it was before the bugcheck raised its IRQL. */
    snprintf(who, sizeof(who), "vCPU %d: IRQL 2 (DISPATCH_LEVEL), runs the DPC routine ", failure->vcpu);
    find(failure->state, who);
    find(failure->state, "on top of thread test (");
    find(failure->state, "pending vectors none, 0 DPCs queued");
}
END_TEST

static KSPIN_LOCK held_lock;
static FAST_MUTEX held_mutex;

static void violate_with_locks(void *argument)
{
    KIRQL irql;

    (void)argument;
    ExInitializeFastMutex(&held_mutex);
    KeInitializeSpinLock(&held_lock);
    ExAcquireFastMutex(&held_mutex);
    KeAcquireSpinLock(&held_lock, &irql);
    KeLowerIrql(HIGH_LEVEL);
}

START_TEST(what_a_vcpu_holds_is_listed)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, violate_with_locks, NULL, "irql-lower");
    char what[64];

    snprintf(what, sizeof(what), "holds spin lock %p", (void *)&held_lock);
    find(find(failure->state, what), "acquired at ");
    snprintf(what, sizeof(what), "holds fast mutex %p", (void *)&held_mutex);
    find(find(failure->state, what), "acquired at ");
}
END_TEST

/* ---- the command that shows it again ---- */

START_TEST(without_a_bundle_the_command_is_printed)
{
    struct process_result first = pvsim("run --no-bundle --dpc-limit 1us --seed 7 --policy random");
    struct process_result second;
    char command[512];
    const char *again = find(first.output, "again: pvsim ");

    ck_assert_int_eq(first.status, 1);
    ck_assert_int_eq(sscanf(again, "again: pvsim %511[^\n]", command), 1);
    find(command, "--seed 7");
    second = pvsim("%s", command);
    ck_assert_int_eq(second.status, 1);
    ck_assert_uint_eq(report_hash(second.output), report_hash(first.output));
    process_free(&first);
    process_free(&second);
}
END_TEST

START_TEST(the_backtrace_has_source_lines)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, violate, NULL, "irql-lower");

    find(failure->backtrace, "KeLowerIrql");
    find(failure->backtrace, "(test_report.c:");
}
END_TEST

/* ---- faults: a sanitizer's run-time has them first ---- */

#ifndef PVSIM_SANITIZE
static void read_nothing(void *argument)
{
    volatile const char *nowhere = argument;

    (void)*nowhere;
}

static void write_nothing_at_dispatch(void *argument)
{
    volatile char *nowhere = argument;

    KeRaiseIrqlToDpcLevel();
    *nowhere = 1;
}

static void divide(void *argument)
{
    volatile int zero = 0;
    volatile int result = 100 / zero;

    (void)argument;
    (void)result;
}

static void run_out_of_stack(void *argument)
{
    volatile char frame[1024];

    frame[0] = (char)(uintptr_t)argument;
    if (argument != NULL)
        run_out_of_stack((char *)argument + 1);
    frame[1] = frame[0];
}

START_TEST(a_page_fault_below_dispatch_level)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, read_nothing, (void *)0x1234, "fault");

    ck_assert_uint_eq(failure->code, PAGE_FAULT_IN_NONPAGED_AREA);
    ck_assert_uint_eq(failure->parameter[0], 0x1234);
    ck_assert_uint_eq(failure->parameter[1], 0);
    find(failure->backtrace, "#0 test_report!read_nothing");
}
END_TEST

START_TEST(a_page_fault_at_dispatch_level)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, write_nothing_at_dispatch, (void *)0x1234, "fault");

    ck_assert_uint_eq(failure->code, IRQL_NOT_LESS_OR_EQUAL);
    ck_assert_uint_eq(failure->parameter[0], 0x1234);
    ck_assert_uint_eq(failure->parameter[1], DISPATCH_LEVEL);
    ck_assert_uint_eq(failure->parameter[2], 1);
}
END_TEST

START_TEST(an_arithmetic_fault)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, divide, NULL, "fault");

    ck_assert_uint_eq(failure->code, KMODE_EXCEPTION_NOT_HANDLED);
    ck_assert_uint_eq(failure->parameter[0], (uint32_t)STATUS_INTEGER_DIVIDE_BY_ZERO);
}
END_TEST

START_TEST(a_stack_that_overflows)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, run_out_of_stack, (void *)1, "stack-overflow");

    ck_assert_uint_eq(failure->code, UNEXPECTED_KERNEL_MODE_TRAP);
    ck_assert_uint_eq(failure->parameter[0], 8);
    find(failure->text, "the stack of test ran into its guard page");
    find(failure->backtrace, "run_out_of_stack");
}
END_TEST
#endif

/* ---- a machine that hangs ---- */

static FAST_MUTEX left;
static FAST_MUTEX right;
static KEVENT never;
static KMUTEX mutant;
static ERESOURCE resource;

static void take_right_and_stay(void *argument)
{
    (void)argument;
    ExAcquireFastMutex(&right);
    KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, NULL);
    ExReleaseFastMutex(&right); /* never: a call that ends its caller would not be in the stack */
}

static void take_mutex(void *argument)
{
    (void)argument;
    KeWaitForSingleObject(&mutant, Executive, KernelMode, FALSE, NULL);
}

static void take_resource(void *argument)
{
    (void)argument;
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    KeLeaveCriticalRegion();
}

static void lock_up(void *argument)
{
    LARGE_INTEGER interval = {.QuadPart = -10000};

    (void)argument;
    ExInitializeFastMutex(&left);
    ExInitializeFastMutex(&right);
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeInitializeMutex(&mutant, 0);
    ExInitializeResourceLite(&resource);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&resource, TRUE);
    KeWaitForSingleObject(&mutant, Executive, KernelMode, FALSE, NULL);
    ke_thread_create_host("staying", take_right_and_stay, NULL);
    ke_thread_create_host("second", take_mutex, NULL);
    ke_thread_create_host("exclusive", take_resource, NULL);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    ExAcquireFastMutex(&left);
    ExAcquireFastMutex(&right);
}

START_TEST(a_machine_that_hangs_says_who_waits_for_whom)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;
    const char *thread;

    config.timeout_ns = 0;
    failure = guest_must_fail(&config, lock_up, NULL, "no-progress");
    thread = find(failure->state, "thread test (");
    find(thread, "waiting for the fast mutex");
    find(thread, "owned by thread staying (");
    find(thread, "lock_up");
    thread = find(failure->state, "thread staying (");
    find(thread, "take_right_and_stay");
    find(thread, "(test_report.c:");
    thread = find(failure->state, "thread second (");
    find(thread, "waiting for mutex");
    find(thread, "owned by thread test (");
    thread = find(failure->state, "thread exclusive (");
    find(thread, "waiting for the resource");
    find(thread, "owned shared by thread test (");
}
END_TEST

static void sleep_long(void *argument)
{
    LARGE_INTEGER interval = {.QuadPart = -(LONGLONG)10000000 * 3600};

    (void)argument;
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

START_TEST(a_run_that_is_too_long_says_it_too)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.timeout_ns = 1000000000;
    failure = guest_must_fail(&config, sleep_long, NULL, "timeout");
    find(find(failure->state, "thread test ("), "waiting for time to pass");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *violation = tcase_create("violation");
    TCase *hang = tcase_create("hang");

    tcase_add_test(violation, a_text_is_not_cut);
    tcase_add_test(violation, every_vcpu_is_described);
    tcase_add_test(violation, what_a_vcpu_holds_is_listed);
    tcase_add_test(violation, without_a_bundle_the_command_is_printed);
    tcase_add_test(violation, the_backtrace_has_source_lines);
#ifndef PVSIM_SANITIZE
    tcase_add_test(violation, a_page_fault_below_dispatch_level);
    tcase_add_test(violation, a_page_fault_at_dispatch_level);
    tcase_add_test(violation, an_arithmetic_fault);
    tcase_add_test(violation, a_stack_that_overflows);
#endif
    suite_add_tcase(suite, violation);
    tcase_add_test(hang, a_machine_that_hangs_says_who_waits_for_whom);
    tcase_add_test(hang, a_run_that_is_too_long_says_it_too);
    suite_add_tcase(suite, hang);
    return guest_suite_run(suite);
}
