/* Limits: time at raised IRQL, the stack, interrupts in a row. Time is the machine's. */
#include <string.h>

#include "common/guest.h"
#include "nt/ke/ke.h"

#define MS 1000u /* KeStallExecutionProcessor takes microseconds */

static void stall(unsigned milliseconds)
{
    for (; milliseconds != 0; milliseconds--)
        KeStallExecutionProcessor(MS);
}

/* ---- DPCs ---- */

static KDPC dpc;
static KEVENT done;

static VOID NTAPI slow_dpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeStallExecutionProcessor((ULONG)(ULONG_PTR)Context);
    KeSetEvent(&done, IO_NO_INCREMENT, FALSE);
}

/* `argument`: how long the DPC runs, in us. */
static void run_dpc(void *argument)
{
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeInitializeDpc(&dpc, slow_dpc, argument);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
}

START_TEST(a_dpc_that_takes_too_long)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure = guest_must_fail(&config, run_dpc, (void *)(ULONG_PTR)(600 * MS), "dpc-time");

    ck_assert_str_eq(failure->title, "DPC_WATCHDOG_VIOLATION");
    ck_assert_uint_eq(failure->code, 0x133);
    ck_assert_uint_eq(failure->parameter[0], 0);
    ck_assert_uint_gt(failure->parameter[1], failure->parameter[2]);
    ck_assert_uint_eq(failure->parameter[2], 32); /* 500 ms in ticks of 15.625 ms */
}
END_TEST

START_TEST(a_dpc_limit_of_one_s_own)
{
    struct machine_config config = guest_config(2);

    config.limits.dpc = 100000;
    guest_run_with(&config, run_dpc, (void *)(ULONG_PTR)50);
    guest_must_fail(&config, run_dpc, (void *)(ULONG_PTR)150, "dpc-time");
}
END_TEST

START_TEST(no_limit)
{
    struct machine_config config = guest_config(2);

    config.limits.dpc = 0;
    config.limits.dispatch = 0;
    guest_run_with(&config, run_dpc, (void *)(ULONG_PTR)(5000 * MS));
}
END_TEST

/* ---- service routines ---- */

static ULONG_PTR NTAPI slow_broadcast(ULONG_PTR Argument)
{
    stall(600);
    return Argument;
}

static void broadcast(void *argument)
{
    (void)argument;
    KeIpiGenericCall(slow_broadcast, 0);
}

START_TEST(a_service_routine_that_takes_too_long)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure = guest_must_fail(&config, broadcast, NULL, "isr-time");

    ck_assert_uint_eq(failure->code, 0x133);
    ck_assert_uint_eq(failure->parameter[0], 0);
}
END_TEST

/* ---- DISPATCH_LEVEL in a row ---- */

static void stay_at_dispatch(void *argument)
{
    KIRQL old;

    (void)argument;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    stall(2100);
    KeLowerIrql(old);
}

static void visit_dispatch(void *argument)
{
    KIRQL old;

    (void)argument;
    for (unsigned index = 0; index < 30; index++) {
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        stall(100);
        KeLowerIrql(old);
    }
}

START_TEST(too_long_at_dispatch_level)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, stay_at_dispatch, NULL, "dispatch-time");

    ck_assert_uint_eq(failure->code, 0x133);
    ck_assert_uint_eq(failure->parameter[0], 1);
    ck_assert_uint_eq(failure->parameter[1], 128);
}
END_TEST

START_TEST(often_at_dispatch_level_is_not_too_long)
{
    struct machine_config config = guest_config(1);

    guest_run_with(&config, visit_dispatch, NULL);
}
END_TEST

/* ---- the stack ---- */

/* Touch the stack `argument` bytes above its end, as a deep call would, and come back. */
static void touch_end_of_stack(void *argument)
{
    LARGE_INTEGER interval = {.QuadPart = -10};
    volatile uint8_t *stack = ke_thread()->fiber.stack_base;

    stack[(uintptr_t)argument] = 0;
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

START_TEST(a_stack_that_comes_near_its_end)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, touch_end_of_stack, (void *)512, "stack-low");

    ck_assert_msg(strstr(failure->text, "the stack of test had only 512 of ") != NULL, "%s", failure->text);
}
END_TEST

START_TEST(a_stack_that_leaves_a_kibibyte)
{
    struct machine_config config = guest_config(1);

    guest_run_with(&config, touch_end_of_stack, (void *)1024);
}
END_TEST

/* ---- interrupts ---- */

#define LINE 20u
#define VECTOR 0x91

static void leave_line_asserted(void *argument)
{
    (void)argument;
    vcpu_bind_line(LINE, VECTOR);
    vcpu_set_line(LINE, true);
    KeStallExecutionProcessor(100);
}

START_TEST(a_line_that_stays_asserted)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.log_level = 0;
    failure = guest_must_fail(&config, leave_line_asserted, NULL, "interrupt-storm");
    ck_assert_str_eq(failure->title, "HARDWARE_INTERRUPT_STORM");
    ck_assert_uint_eq(failure->code, 0xF2);
    ck_assert_msg(strstr(failure->text, "vector 0x91") != NULL, "%s", failure->text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *cases = tcase_create("limits");

    tcase_add_test(cases, a_dpc_that_takes_too_long);
    tcase_add_test(cases, a_dpc_limit_of_one_s_own);
    tcase_add_test(cases, no_limit);
    tcase_add_test(cases, a_service_routine_that_takes_too_long);
    tcase_add_test(cases, too_long_at_dispatch_level);
    tcase_add_test(cases, often_at_dispatch_level_is_not_too_long);
    tcase_add_test(cases, a_stack_that_comes_near_its_end);
    tcase_add_test(cases, a_stack_that_leaves_a_kibibyte);
    tcase_add_test(cases, a_line_that_stays_asserted);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
