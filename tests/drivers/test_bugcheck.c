/* What xen.sys writes to the emulator's log and Xen's in a bugcheck. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clients/probe/probe_ioctl.h"
#include "common/stack.h"
#include "image/loader.h"
#include "machine/log.h"
#include "nt/cm/cm.h"

#include <initguid.h>

#include "range_set_interface.h"

static char tail[65536];

static void log_nowhere_but_to_the_emulator(void)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", NULL, 0);
}

/* A line of the emulator's log, from the first that has the text on; NULL if there is none. */
static const char *find(const char *text)
{
    const char *found = strstr(tail, text);

    return found != NULL && strstr(tail, "qemu") != NULL ? found : NULL;
}

static const char *expect(const char *text)
{
    const char *found = find(text);

    ck_assert_msg(found != NULL, "'%s' is not in the log:\n%s", text, tail);
    return found;
}

static const struct loader_module *module(const char *name)
{
    const struct loader_module *module = NULL;

    while ((module = loader_next(module)) != NULL && strcmp(loader_module_name(module), name) != 0)
        ;
    ck_assert_ptr_nonnull(module);
    return module;
}

/* The line goes on with a place in that function of the driver: an instruction, or where a call in it returns to. */
static bool is_in(const char *line, const char *driver, const char *function)
{
    const char *end = strchr(line, '\n');
    char prefix[64], exact[160], before[160];
    const char *place, *address;

    snprintf(prefix, sizeof(prefix), "%s.sys+0x", driver);
    place = strstr(line, prefix);
    if (place == NULL || place > end)
        return false;
    address = (const char *)loader_module_base(module(driver)) + strtoull(place + strlen(prefix), NULL, 16);
    ck_assert(loader_find(address) == module(driver));
    loader_name(address, exact, sizeof(exact));
    loader_name(address - 1, before, sizeof(before));
    return strstr(exact, function) != NULL || strstr(before, function) != NULL;
}

static void expect_function(const char *line, const char *driver, const char *function)
{
    ck_assert_msg(is_in(line, driver, function), "not in %s of %s: %.120s", function, driver, line);
}

/* The stack has these functions of the driver, one beneath the other, perhaps with others between them. */
static void expect_stack(const char *driver, const char *const *function)
{
    const char *line = expect("stack of processor");

    for (; *function != NULL; function++) {
        do {
            line = strchr(line, '\n');
            ck_assert_msg(line != NULL, "%s is not on the stack:\n%s", *function, tail);
            line++;
        } while (*line != '\0' && !is_in(line, driver, *function));
        ck_assert_msg(*line != '\0', "%s is not on the stack:\n%s", *function, tail);
    }
}

static void crash(void *kind)
{
    ULONG value = (ULONG)(uintptr_t)kind;

    (void)stack_control("Probe_", IOCTL_PROBE_CRASH, &value, sizeof(value), NULL, 0, NULL);
}

static const struct failure *crash_of(PROBE_CRASH kind, const char *rule)
{
    static const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .prepare = log_nowhere_but_to_the_emulator};
    const struct failure *failure = stack_must_fail(&options, crash, (void *)(uintptr_t)kind, rule);

    (void)log_tail(tail, sizeof(tail));
    return failure;
}

static void expect_reason(const struct failure *failure)
{
    char text[160];

    snprintf(text, sizeof(text), "bugcheck %08x (%016llx, %016llx, %016llx, %016llx)", failure->code,
             (unsigned long long)failure->parameter[0], (unsigned long long)failure->parameter[1],
             (unsigned long long)failure->parameter[2], (unsigned long long)failure->parameter[3]);
    (void)expect(text);
}

START_TEST(by_a_driver)
{
    static const char *const stack[] = {"ProbeCrashByCode", "ProbeControl", "ProbeDispatch", NULL};
    const struct failure *failure = crash_of(PROBE_CRASH_BUGCHECK, "bugcheck");

    ck_assert_uint_eq(failure->code, PROBE_CRASH_CODE);
    expect_reason(failure);
    expect_function(expect("registers in"), "probe", "ProbeCrashByCode");
    expect_stack("probe", stack);
    (void)expect("ntoskrnl.exe+0x");
    (void)expect("rip ");
    (void)expect("r14 ");
}
END_TEST

START_TEST(by_a_rule)
{
    static const char *const stack[] = {"ProbeCrashByRule", "ProbeControl", "ProbeDispatch", NULL};
    const struct failure *failure = crash_of(PROBE_CRASH_RULE, "pool-double-free");

    expect_reason(failure);
    expect_function(expect("registers in"), "probe", "ProbeCrashByRule");
    expect_stack("probe", stack);
}
END_TEST

#ifndef PVSIM_SANITIZE /* where a wild access ends the program instead */
START_TEST(by_an_access)
{
    static const char *const stack[] = {"ProbeCrashByRead", "ProbeControl", "ProbeDispatch", NULL};
    const struct failure *failure = crash_of(PROBE_CRASH_READ, "fault");
    char text[96];

    ck_assert_uint_eq(failure->parameter[0], 0x5000);
    expect_reason(failure);
    /* The instruction, exactly: one of the parameters. */
    expect_function(expect("parameter 3 is"), "probe", "ProbeCrashByRead");
    expect_function(expect("registers in"), "probe", "ProbeCrashByRead");
    snprintf(text, sizeof(text), "rip %016llx", (unsigned long long)failure->parameter[2]);
    (void)expect(text);
    expect_stack("probe", stack);
}
END_TEST
#endif

/* One of our own drivers finds a client's mistake. */
static void keep_an_interface(void *unused)
{
    static XENBUS_RANGE_SET_INTERFACE_V1 range_set;

    (void)unused;
    STACK_GET(GUID_XENBUS_RANGE_SET_INTERFACE, 1, &range_set);
    ck_assert_int_eq(XENBUS_RANGE_SET_CALL(&range_set, Acquire), STATUS_SUCCESS);
}

START_TEST(by_the_bus)
{
    static const char *const stack[] = {"BugCheckText", "UsersDisable", "RangeSetTeardown", "FdoDestroy", NULL};
    static const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .prepare = log_nowhere_but_to_the_emulator};
    const struct failure *failure = stack_must_fail(&options, keep_an_interface, NULL, "bugcheck");

    (void)log_tail(tail, sizeof(tail));
    expect_reason(failure);
    expect_stack("xenbus", stack);
    expect_function(expect("parameter 1 is"), "xenbus", "");
}
END_TEST

/* Nothing is written where the registry wants nothing, and the crash is the same. */
static void log_nothing(void)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", NULL, 0);
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "QemuLogLevel", NULL, 0);
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", NULL, 0);
}

START_TEST(of_which_nobody_wants_to_read)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true, .prepare = log_nothing};
    const struct failure *failure = stack_must_fail(&options, crash, (void *)PROBE_CRASH_BUGCHECK, "bugcheck");

    ck_assert_uint_eq(failure->code, PROBE_CRASH_CODE);
    (void)log_tail(tail, sizeof(tail));
    ck_assert_ptr_null(find("stack of processor"));
    ck_assert_ptr_null(find("bugcheck 5"));
}
END_TEST

#ifndef PVSIM_SANITIZE
static void stop(void)
{
    KeBugCheckEx(0x4711, 1, 2, 3, 4);
}

/* sub rsp, 8; call rdi; add rsp, 8; ret */
static const uint8_t call_it[] = {0x48, 0x83, 0xEC, 0x08, 0xFF, 0xD7, 0x48, 0x83, 0xC4, 0x08, 0xC3};

/* From code that is in no image, as of somebody who has loaded his own. */
static void crash_from_nowhere(void *unused)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)unused;
    ck_assert_ptr_ne(page, MAP_FAILED);
    memcpy(page, call_it, sizeof(call_it));
    ((void (*)(void (*)(void)))(uintptr_t)page)(stop);
}

/* The stack is shown as far as it is known. */
START_TEST(by_code_of_no_image)
{
    static const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .prepare = log_nowhere_but_to_the_emulator};
    const struct failure *failure = stack_must_fail(&options, crash_from_nowhere, NULL, "bugcheck");
    const char *line;

    (void)log_tail(tail, sizeof(tail));
    expect_reason(failure);
    line = expect("stack of processor");
    ck_assert_ptr_nonnull(strstr(line, " ?"));
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("bugcheck");
    TCase *tcase = tcase_create("log");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, by_a_driver);
    tcase_add_test(tcase, by_a_rule);
#ifndef PVSIM_SANITIZE
    tcase_add_test(tcase, by_an_access);
    tcase_add_test(tcase, by_code_of_no_image);
#endif
    tcase_add_test(tcase, by_the_bus);
    tcase_add_test(tcase, of_which_nobody_wants_to_read);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
