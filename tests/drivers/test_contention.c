/*
 * What several processors want at once, under schedules that change anywhere: the count of an interface's users, the
 * list of debug callbacks, the console's ring, the log; and locks whose holder does not come back.
 */
#include <stdio.h>
#include <string.h>

#include "common/bus.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

#undef XEN_UNPLUG_NICS /* the simulator's mask; the driver's type of device has the same name */
#include "xen.h"

#include <xen/grant_table.h>
#include <xen/io/console.h>

#define VCPUS 4u
#define ROUNDS 60u

/* ---- all at once ---- */

static void (*work)(unsigned vcpu);

static VOID NTAPI worker(PVOID vcpu)
{
    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << (uintptr_t)vcpu);
    for (unsigned i = 0; i < ROUNDS; i++)
        work((unsigned)(uintptr_t)vcpu);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void on_each_processor(void (*routine)(unsigned vcpu))
{
    PKTHREAD thread[VCPUS];

    work = routine;
    for (unsigned i = 0; i < VCPUS; i++)
        thread[i] = stack_thread(worker, (PVOID)(uintptr_t)i);
    for (unsigned i = 0; i < VCPUS; i++)
        stack_join(thread[i]);
}

/* Under a few schedules. */
static void over_schedules(void (*scenario)(void *), void (*prepare)(void))
{
    struct stack_options options = {
        .drivers = STACK_PROBE, .vcpus = VCPUS, .quiet = true, .prepare = prepare, .policy = POLICY_RANDOM};

    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, scenario, NULL);
}

/* ---- users ---- */

static void use_all(unsigned vcpu)
{
    (void)vcpu;
    ck_assert_int_eq(STORE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(DEBUG(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CACHE(Acquire), STATUS_SUCCESS);
    CACHE(Release);
    DEBUG(Release);
    STORE(Release);
}

/* Each that was counted is counted down: the bus goes at the end, and would not if it had a user. */
static void users(void *unused)
{
    (void)unused;
    bus_acquire();
    on_each_processor(use_all);
    bus_release();
}

START_TEST(users_come_and_go)
{
    over_schedules(users, NULL);
}
END_TEST

/* ---- debug callbacks ---- */

static volatile unsigned reports, inside;

static VOID NTAPI report(PVOID argument, BOOLEAN crashing)
{
    KERNEL_SCOPE();

    (void)argument;
    (void)crashing;
    ck_assert_uint_eq(inside, 0);
    inside = 1;
    KeStallExecutionProcessor(1);
    reports = reports + 1;
    inside = 0;
}

static void trigger_all(unsigned vcpu)
{
    PXENBUS_DEBUG_CALLBACK callback;

    (void)vcpu;
    DEBUG(Trigger, NULL);
    ck_assert_int_eq(DEBUG(Register, (PSTR) "short", bus_no_report, NULL, &callback), STATUS_SUCCESS);
    DEBUG(Deregister, callback);
}

static void callbacks(void *unused)
{
    PXENBUS_DEBUG_CALLBACK callback;

    (void)unused;
    bus_acquire();
    reports = inside = 0;
    ck_assert_int_eq(DEBUG(Register, (PSTR) "REPORT", report, NULL, &callback), STATUS_SUCCESS);
    on_each_processor(trigger_all);
    ck_assert_uint_eq(reports, VCPUS * ROUNDS);
    DEBUG(Deregister, callback);
    bus_release();
}

START_TEST(debug_callbacks)
{
    over_schedules(callbacks, NULL);
}
END_TEST

/* ---- the console ---- */

static struct xencons_interface *console_ring;
static char seen[65536];

/* A daemon that takes all as it comes. */
static void take_all(void)
{
    size_t length = strlen(seen);

    while (console_ring->out_cons != __atomic_load_n(&console_ring->out_prod, __ATOMIC_ACQUIRE)) {
        ck_assert_uint_lt(length, sizeof(seen) - 1);
        seen[length++] = console_ring->out[MASK_XENCONS_IDX(console_ring->out_cons++, console_ring->out)];
    }
    seen[length] = '\0';
}

static const char words[VCPUS][4] = {"aaa", "bbb", "ccc", "ddd"};

static void write_word(unsigned vcpu)
{
    ck_assert_uint_eq(CONSOLE(Write, (PSTR)(uintptr_t)words[vcpu], 3), 3);
}

/* Each word is there as often as it was written, and none is mixed with another. */
static void console_words(void *unused)
{
    unsigned count[VCPUS] = {0};
    uint32_t handle;

    (void)unused;
    bus_acquire();
    ck_assert_int_eq(
        xen_grant_map(XEN_DOM0, stack.domain.domid, GNTTAB_RESERVED_CONSOLE, false, (void **)&console_ring, &handle),
        0);
    seen[0] = '\0';
    take_all();
    seen[0] = '\0';
    on_each_processor(write_word);
    take_all();
    ck_assert_uint_eq(strlen(seen), VCPUS * ROUNDS * 3);
    for (const char *at = seen; *at != '\0'; at += 3) {
        ck_assert_int_eq(memcmp(at, words[at[0] - 'a'], 3), 0);
        count[at[0] - 'a']++;
    }
    for (unsigned i = 0; i < VCPUS; i++)
        ck_assert_uint_eq(count[i], ROUNDS);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    bus_release();
}

static void log_nothing(void)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", NULL, 0);
}

START_TEST(console_at_once)
{
    over_schedules(console_words, log_nothing);
}
END_TEST

/* ---- the log ---- */

static volatile unsigned lines, mixed;

static VOID NTAPI on_line(PVOID unused, PCSTR text, ULONG length)
{
    KERNEL_SCOPE();

    (void)unused;
    mixed += inside;
    inside = 1;
    KeStallExecutionProcessor(1);
    lines = lines + (length == 7 && memcmp(text, "line ", 5) == 0);
    inside = 0;
}

static void print_line(unsigned vcpu)
{
    STACK_XEN(XenLogPrintf, XEN_LOG_INFO, "line %u", vcpu);
}

static void log_lines(void *unused)
{
    PXEN_LOG_DISPOSITION disposition;

    (void)unused;
    lines = mixed = inside = 0;
    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_INFO, on_line, NULL, &disposition), STATUS_SUCCESS);
    on_each_processor(print_line);
    STACK_XEN(XenLogRemoveDisposition, disposition);
    ck_assert_uint_eq(lines, VCPUS * ROUNDS);
    ck_assert_uint_eq(mixed, 0);
}

START_TEST(log_at_once)
{
    over_schedules(log_lines, NULL);
}
END_TEST

static volatile unsigned entered;

/* Whoever is there first waits for another. */
static VOID NTAPI wait_for_another(PVOID unused, PCSTR text, ULONG length)
{
    KERNEL_SCOPE();

    (void)unused;
    (void)text;
    (void)length;
    entered++;
    while (entered < 2)
        YieldProcessor();
}

static VOID NTAPI log_once(PVOID vcpu)
{
    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << (uintptr_t)vcpu);
    print_line((unsigned)(uintptr_t)vcpu);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* A line that is written for ever keeps no other out: a mixed line is better than none. */
STACK_TEST(line_without_end, .drivers = STACK_PROBE, .vcpus = 2, .quiet = true)
{
    PXEN_LOG_DISPOSITION disposition;
    PKTHREAD thread[2];

    entered = 0;
    machine->config.limits.dispatch = UINT64_C(120000000000); /* an attempt takes longer here than on a processor */
    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_INFO, wait_for_another, NULL, &disposition),
                     STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++)
        thread[i] = stack_thread(log_once, (PVOID)(uintptr_t)i);
    for (unsigned i = 0; i < 2; i++)
        stack_join(thread[i]);
    STACK_XEN(XenLogRemoveDisposition, disposition);
    ck_assert_uint_eq(entered, 2);
}

/* ---- a debugger's messages while xen goes ---- */

#define PLATFORM "PCI\\VEN_5853&DEV_0001"

static volatile bool quiet, printing;

static VOID NTAPI print(PVOID unused)
{
    (void)unused;
    (void)KeSetSystemAffinityThreadEx(2);
    printing = true;
    while (!quiet) {
        (void)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "XEN is told of %s\n", "something");
        YieldProcessor();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* It does not go under a message that it is taking. */
static void prints(void *unused)
{
    struct devnode *parent = pnp_parent(stack_device(PLATFORM));
    PKTHREAD thread;

    (void)unused;
    quiet = printing = false;
    thread = stack_thread(print, NULL);
    while (!printing)
        stack_sleep_us(10);
    for (unsigned i = 0; i < 12; i++) {
        ck_assert_int_eq(pnp_remove_device(stack_device(PLATFORM), false), STATUS_SUCCESS);
        ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
        pnp_wait_quiet();
        ck_assert(stack_device_started(PLATFORM));
    }
    quiet = true;
    stack_join(thread);
}

START_TEST(printed_while_it_goes)
{
    over_schedules(prints, NULL);
}
END_TEST

/* ---- a value that grows ---- */

static volatile bool grown;

static VOID NTAPI grow(PVOID unused)
{
    static char value[4096];
    unsigned length = 0;

    (void)unused;
    (void)KeSetSystemAffinityThreadEx(2);
    while (!grown) {
        length = length < 3900 ? length + 40 : 40;
        memset(value, 'X', length);
        value[length] = '\0';
        cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, value);
        YieldProcessor();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Somebody makes a value longer each time that it is read: whoever reads it gives up, or has what was there once. */
static void value_grows(void *unused)
{
    unsigned given_up = 0;
    PKTHREAD thread;

    (void)unused;
    grown = false;
    (void)KeSetSystemAffinityThreadEx(1);
    thread = stack_thread(grow, NULL);
    for (unsigned i = 0; i < 3000 && given_up == 0; i++) {
        char option[8];
        NTSTATUS status = STACK_XEN(XenQueryStartOption, "NONE", option, sizeof(option));

        ck_assert(!NT_SUCCESS(status));
        given_up += status != STATUS_OBJECT_NAME_NOT_FOUND;
    }
    grown = true;
    stack_join(thread);
    KeRevertToUserAffinityThreadEx(0);
    ck_assert_uint_ne(given_up, 0);
}

START_TEST(value_that_grows)
{
    over_schedules(value_grows, NULL);
}
END_TEST

/* ---- a processor that asks for itself ---- */

static volatile unsigned asked_for;

static VOID NTAPI ask(PVOID unused)
{
    ULONG id, next = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);

    (void)unused;
    while (next < stack.options->vcpus) {
        while (KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) == next)
            YieldProcessor();
        (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << next);
        ck_assert_int_eq(STACK_XEN(XenQueryVcpuId, next, &id), STATUS_SUCCESS);
        ck_assert_uint_eq(id, next);
        asked_for++;
        KeRevertToUserAffinityThreadEx(0);
        next++;
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void plug(void *count)
{
    ke_processors_announce((unsigned)(uintptr_t)count);
}

/* As soon as there is a processor it knows which vCPU it is. */
static void processors_ask(void *unused)
{
    PKTHREAD thread;

    (void)unused;
    asked_for = 0;
    thread = stack_thread(ask, NULL);
    for (unsigned count = 3; count <= stack.options->vcpus; count++) {
        stack_in_dom0(plug, (void *)(uintptr_t)count);
        while (!ke_processors_settled())
            stack_sleep_us(5);
    }
    stack_join(thread);
    ck_assert_uint_eq(asked_for, stack.options->vcpus - 2);
}

START_TEST(processor_asks_for_itself)
{
    struct stack_options options = {
        .drivers = STACK_PROBE, .vcpus = 10, .start_vcpus = 2, .quiet = true, .policy = POLICY_RANDOM};

    for (options.seed = 1; options.seed <= 4; options.seed++)
        stack_run(&options, processors_ask, NULL);
}
END_TEST

/* ---- a holder that has crashed ---- */

#ifndef PVSIM_SANITIZE /* where a wild access ends the program instead */

static KBUGCHECK_CALLBACK_RECORD *record;
static volatile bool asked;

/* In the bugcheck, with the console's lock taken for good: everything is as on a console that has no room. */
static VOID NTAPI in_the_crash(PVOID buffer, ULONG length)
{
    char byte = 'x';
    KERNEL_SCOPE();

    (void)buffer;
    (void)length;
    ck_assert(!CONSOLE(CanRead));
    ck_assert_uint_eq(CONSOLE(Read, &byte, 1), 0);
    ck_assert_uint_eq(CONSOLE(Write, &byte, 1), 0);
    STACK_XEN(XenLogPrintf, XEN_LOG_INFO, "line %u", 0);
    asked = true;
}

static void log_information(void)
{
    static const char *const levels[] = {"INFO"};

    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", levels, 1);
}

/* A client has the console write from where there is nothing. */
static void crash_in_the_ring(void *unused)
{
    (void)unused;
    bus_acquire();
    record = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*record), STACK_TAG);
    KeInitializeCallbackRecord(record);
    ck_assert(KeRegisterBugCheckCallback(record, in_the_crash, record, sizeof(*record), (PUCHAR) "TEST"));
    (void)CONSOLE(Write, (PSTR)(uintptr_t)0x5000, 1);
}

START_TEST(crash_with_the_console_locked)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true, .prepare = log_information};

    asked = false;
    (void)stack_must_fail(&options, crash_in_the_ring, NULL, "fault");
    ck_assert(asked);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("contention");
    TCase *tcase = tcase_create("at once");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, users_come_and_go);
    tcase_add_test(tcase, debug_callbacks);
    tcase_add_test(tcase, console_at_once);
    tcase_add_test(tcase, log_at_once);
    tcase_add_test(tcase, line_without_end);
    tcase_add_test(tcase, printed_while_it_goes);
    tcase_add_test(tcase, value_that_grows);
    tcase_add_test(tcase, processor_asks_for_itself);
#ifndef PVSIM_SANITIZE
    tcase_add_test(tcase, crash_with_the_console_locked);
#endif
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
