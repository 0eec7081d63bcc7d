/* What xen.sys exports, called as another driver of the package would. */
#include <stdio.h>
#include <string.h>

#include "clients/probe/probe_ioctl.h"
#include "common/stack.h"
#include "image/loader.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "nt/cm/cm.h"

#include "version.h"
#include "xen.h"

#include <xen/errno.h>
#include <xen/grant_table.h>

static const struct loader_module *module(const char *name)
{
    const struct loader_module *module = NULL;

    while ((module = loader_next(module)) != NULL && strcmp(loader_module_name(module), name) != 0)
        ;
    ck_assert_msg(module != NULL, "%s is not loaded", name);
    return module;
}

#define EXPORT(routine) ((__typeof__(&(routine)))stack_xen_export(#routine))

static unsigned count(const char *text)
{
    static char tail[65536];
    unsigned times = 0;

    (void)log_tail(tail, sizeof(tail));
    for (const char *found = tail; (found = strstr(found, text)) != NULL; found++)
        times++;
    return times;
}

/* ---- versions ---- */

STACK_TEST(client_of_another_version, .drivers = STACK_PROBE, .quiet = true)
{
    __typeof__(&XenTouch) touch = EXPORT(XenTouch);

    ck_assert_int_eq(touch("SAME", MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER), STATUS_SUCCESS);
    ck_assert_int_eq(touch("MAJOR", MAJOR_VERSION + 1, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER),
                     STATUS_INCOMPATIBLE_DRIVER_BLOCKED);
    ck_assert_int_eq(touch("MINOR", MAJOR_VERSION, MINOR_VERSION + 1, MICRO_VERSION, BUILD_NUMBER),
                     STATUS_INCOMPATIBLE_DRIVER_BLOCKED);
    ck_assert_int_eq(touch("MICRO", MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION + 1, BUILD_NUMBER),
                     STATUS_INCOMPATIBLE_DRIVER_BLOCKED);
    ck_assert_int_eq(touch("BUILD", MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER + 1),
                     STATUS_INCOMPATIBLE_DRIVER_BLOCKED);
    ck_assert_uint_eq(count("BUILD is of version"), 2); /* in Xen's log and in the emulator's */
    ck_assert_uint_eq(count("this is " VERSION_STR ":"), 8);
    ck_assert_uint_eq(count("SAME is of version"), 0);
}

/* ---- errors ---- */

static NTSTATUS status_of(int error)
{
    switch (error) {
    case XEN_EPERM:
    case XEN_EACCES:
        return STATUS_ACCESS_DENIED;
    case XEN_ENOENT:
        return STATUS_OBJECT_NAME_NOT_FOUND;
    case XEN_ESRCH:
    case XEN_ENODATA:
        return STATUS_NOT_FOUND;
    case XEN_EIO:
        return STATUS_IO_DEVICE_ERROR;
    case XEN_ENXIO:
    case XEN_ENODEV:
        return STATUS_NO_SUCH_DEVICE;
    case XEN_E2BIG:
        return STATUS_ALLOTTED_SPACE_EXCEEDED;
    case XEN_EBADF:
        return STATUS_INVALID_HANDLE;
    case XEN_EAGAIN:
        return STATUS_RETRY;
    case XEN_ENOMEM:
    case XEN_ENOBUFS:
        return STATUS_INSUFFICIENT_RESOURCES;
    case XEN_EFAULT:
        return STATUS_ACCESS_VIOLATION;
    case XEN_EBUSY:
        return STATUS_DEVICE_BUSY;
    case XEN_EEXIST:
        return STATUS_OBJECT_NAME_COLLISION;
    case XEN_EXDEV:
        return STATUS_NOT_SAME_DEVICE;
    case XEN_EISDIR:
        return STATUS_FILE_IS_A_DIRECTORY;
    case XEN_EINVAL:
        return STATUS_INVALID_PARAMETER;
    case XEN_ENOSPC:
        return STATUS_QUOTA_EXCEEDED;
    case XEN_EROFS:
        return STATUS_MEDIA_WRITE_PROTECTED;
    case XEN_ERANGE:
    case XEN_EOVERFLOW:
        return STATUS_INTEGER_OVERFLOW;
    case XEN_EDEADLK:
        return STATUS_POSSIBLE_DEADLOCK;
    case XEN_ENAMETOOLONG:
        return STATUS_NAME_TOO_LONG;
    case XEN_ENOSYS:
        return STATUS_NOT_IMPLEMENTED;
    case XEN_ENOTEMPTY:
        return STATUS_DIRECTORY_NOT_EMPTY;
    case XEN_ETIME:
    case XEN_ETIMEDOUT:
        return STATUS_IO_TIMEOUT;
    case XEN_EBADMSG:
        return STATUS_DATA_ERROR;
    case XEN_EOPNOTSUPP:
        return STATUS_NOT_SUPPORTED;
    case XEN_EADDRINUSE:
        return STATUS_ADDRESS_ALREADY_EXISTS;
    case XEN_EISCONN:
        return STATUS_CONNECTION_ACTIVE;
    case XEN_ENOTCONN:
        return STATUS_CONNECTION_DISCONNECTED;
    case XEN_ECONNREFUSED:
        return STATUS_CONNECTION_REFUSED;
    default:
        return error == 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    }
}

STACK_TEST(errnos, .drivers = 0)
{
    __typeof__(&XenErrnoToStatus) status = EXPORT(XenErrnoToStatus);
    KIRQL irql;

    KeRaiseIrql(HIGH_LEVEL, &irql);
    for (int error = 0; error < 4096; error++) {
        ck_assert_msg(status(error) == status_of(error) && status(-error) == status_of(error),
                      "errno %d is %08x and, negative, %08x, instead of %08x", error, (unsigned)status(error),
                      (unsigned)status(-error), (unsigned)status_of(error));
        ck_assert(error == 0 || !NT_SUCCESS(status(error)));
    }
    ck_assert_int_eq(status(INT64_MIN), STATUS_UNSUCCESSFUL);
    ck_assert_int_eq(status(INT64_MAX), STATUS_UNSUCCESSFUL);
    KeLowerIrql(irql);
}

/* What Xen says of one operation on grants is beside the result of the call, which succeeds. */
STACK_TEST(grant_statuses, .drivers = 0, .quiet = true)
{
    __typeof__(&XenGrantTableMapForeignPage) map = EXPORT(XenGrantTableMapForeignPage);
    __typeof__(&XenGrantTableUnmapForeignPage) unmap = EXPORT(XenGrantTableUnmapForeignPage);
    uint8_t *page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    PHYSICAL_ADDRESS address = MmGetPhysicalAddress(page);
    ULONG handle = 4711;

    ck_assert_int_eq(map(333, 8, address, FALSE, &handle), STATUS_NOT_FOUND);             /* bad_domain */
    ck_assert_int_eq(map(0, 0x7FFFFFFF, address, FALSE, &handle), STATUS_INVALID_HANDLE); /* bad_gntref */
    ck_assert_int_eq(unmap(0x7FFFFFFF, address), STATUS_INVALID_HANDLE);                  /* bad_handle */
    ck_assert_uint_eq(handle, 4711);
    ExFreePoolWithTag(page, STACK_TAG);
}

/* ---- levels ---- */

static const struct {
    ULONG level;
    const char *name;
} levels[] = {{XEN_LOG_TRACE, "TRACE"},
              {XEN_LOG_INFO, "INFO"},
              {XEN_LOG_WARNING, "WARNING"},
              {XEN_LOG_ERROR, "ERROR"},
              {XEN_LOG_CRITICAL, "CRITICAL"}};

static const char *const all_but_warnings[] = {"TRACE", "info", "Error", "CRITICAL", "NOISE"};
static const char *const infos[] = {"INFO"};

static void set_levels(const char *value, const char *const *names, unsigned number)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), value, names, number);
}

/* How often each level is printed, with two places that print. */
static void assert_levels(const unsigned times[5])
{
    __typeof__(&XenLogPrintf) print = EXPORT(XenLogPrintf);
    __typeof__(&XenLogIsEnabled) is_enabled = EXPORT(XenLogIsEnabled);

    for (unsigned i = 0; i < 5; i++) {
        char text[64];

        print(levels[i].level, "of %s: %u", levels[i].name, 4711u);
        snprintf(text, sizeof(text), "of %s: 4711", levels[i].name);
        ck_assert_msg(count(text) == times[i], "%s is printed %u times", levels[i].name, count(text));
        ck_assert_int_eq(is_enabled(levels[i].level) != FALSE, times[i] != 0);
    }
}

static void no_console(void)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", NULL, 0);
}

STACK_TEST(levels_by_default, .drivers = 0, .quiet = true, .prepare = no_console)
{
    assert_levels((const unsigned[]){0, 0, 2, 2, 2});
}

static void levels_of_xen(void)
{
    no_console();
    set_levels("XenLogLevel", all_but_warnings, ARRAYSIZE(all_but_warnings));
    set_levels("QemuLogLevel", NULL, 0);
}

STACK_TEST(levels_to_xen, .drivers = 0, .quiet = true, .prepare = levels_of_xen)
{
    assert_levels((const unsigned[]){1, 1, 0, 1, 1});
}

static void levels_of_emulator(void)
{
    no_console();
    set_levels("XenLogLevel", NULL, 0);
    set_levels("QemuLogLevel", infos, ARRAYSIZE(infos));
}

STACK_TEST(levels_to_the_emulator, .drivers = 0, .quiet = true, .prepare = levels_of_emulator)
{
    assert_levels((const unsigned[]){0, 1, 0, 0, 0});
}

/* ---- what is printed for a debugger ---- */

static void print_for_debugger(ULONG level, const char *text)
{
    PROBE_PRINT *print = image_alloc(sizeof(*print));

    print->Level = level;
    snprintf(print->Text, sizeof(print->Text), "%s", text);
    ck_assert_int_eq(stack_control("Probe_", IOCTL_PROBE_PRINT, print, sizeof(*print), NULL, 0, NULL), STATUS_SUCCESS);
    image_free(print);
}

/* Those of the kernel itself, when nobody filters: not what is counted here. */
static unsigned in_logs(const char *text)
{
    char qemu[400], xen[400];

    snprintf(qemu, sizeof(qemu), "qemu: %s", text);
    snprintf(xen, sizeof(xen), "xen-guest: %s", text);
    return count(qemu) + count(xen);
}

static void start_with(const char *options)
{
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, options);
}

STACK_TEST(printed_for_a_debugger, .drivers = STACK_PROBE, .quiet = true, .prepare = no_console)
{
    print_for_debugger(DPFLTR_ERROR_LEVEL, "XEN: one\r\nXEN: two\nthree\n");
    print_for_debugger(DPFLTR_ERROR_LEVEL, "xen: of nobody's concern");
    print_for_debugger(DPFLTR_ERROR_LEVEL, "XE");
    print_for_debugger(DPFLTR_ERROR_LEVEL, "");
    print_for_debugger(DPFLTR_WARNING_LEVEL, "XENIA warns");
    print_for_debugger(DPFLTR_INFO_LEVEL, "XENIA informs");
    print_for_debugger(DPFLTR_TRACE_LEVEL, "XENIA traces");
    print_for_debugger(17, "XENIA means something of its own");
    ck_assert_uint_eq(in_logs("XEN: one\n"), 2);
    ck_assert_uint_eq(in_logs("XEN: two\n"), 2);
    ck_assert_uint_eq(in_logs("three\n"), 2);
    ck_assert_uint_eq(in_logs("xen: of"), 0);
    ck_assert_uint_eq(in_logs("XE\n"), 0);
    ck_assert_uint_eq(in_logs("XENIA warns\n"), 2);
    ck_assert_uint_eq(in_logs("XENIA informs"), 0);
    ck_assert_uint_eq(in_logs("XENIA traces"), 0);
    ck_assert_uint_eq(in_logs("XENIA means"), 0);
}

static void all_levels(void)
{
    static const char *const all[] = {"TRACE", "INFO", "WARNING", "ERROR", "CRITICAL"};

    no_console();
    set_levels("XenLogLevel", all, ARRAYSIZE(all));
    set_levels("QemuLogLevel", NULL, 0);
    start_with("XEN:DBG_PRINT=on");
}

STACK_TEST(printed_for_a_debugger_by_level, .drivers = STACK_PROBE, .quiet = true, .prepare = all_levels)
{
    char text[400];

    print_for_debugger(DPFLTR_ERROR_LEVEL, "XENIA errs");
    print_for_debugger(DPFLTR_INFO_LEVEL, "XENIA informs");
    print_for_debugger(DPFLTR_TRACE_LEVEL, "XENIA traces");
    print_for_debugger(17, "XENIA means something of its own");
    ck_assert_uint_eq(in_logs("XENIA errs\n"), 1);
    ck_assert_uint_eq(in_logs("XENIA informs\n"), 1);
    ck_assert_uint_eq(in_logs("XENIA traces\n"), 1);
    ck_assert_uint_eq(in_logs("XENIA means something of its own\n"), 1);

    /* Longer than a line of the log may be. */
    memset(text, 'x', sizeof(text));
    memcpy(text, "XENIA is long: ", 15);
    text[sizeof(text) - 1] = '\0';
    print_for_debugger(DPFLTR_ERROR_LEVEL, text);
    text[XEN_LOG_LINE_SIZE - 1] = '\0';
    ck_assert_uint_eq(in_logs(text), 1);
    ck_assert_uint_eq(in_logs("XENIA is long"), 1);
}

static void not_for_debuggers(void)
{
    all_levels();
    start_with("XEN:DBG_PRINT=OFF");
}

STACK_TEST(left_to_debuggers, .drivers = STACK_PROBE, .quiet = true, .prepare = not_for_debuggers)
{
    print_for_debugger(DPFLTR_ERROR_LEVEL, "XENIA errs");
    ck_assert_uint_eq(in_logs("XENIA errs"), 0);
}

static void neither_on_nor_off(void)
{
    no_console();
    start_with("XEN:DBG_PRINT=PERHAPS");
}

STACK_TEST(taken_as_on, .drivers = STACK_PROBE, .quiet = true, .prepare = neither_on_nor_off)
{
    ck_assert_uint_eq(count("XEN:DBG_PRINT is ON or OFF, not 'PERHAPS': taken as ON"), 2);
    print_for_debugger(DPFLTR_ERROR_LEVEL, "XENIA errs");
    ck_assert_uint_eq(in_logs("XENIA errs"), 2);
}

/* ---- a disposition that logs ---- */

struct disposition {
    __typeof__(&XenLogPrintf) print;
    volatile unsigned lines;
};

/* In each of the ways that could call it again. */
static VOID NTAPI chatter(PVOID argument, PCSTR text, ULONG length)
{
    struct disposition *disposition = argument;
    KERNEL_SCOPE();

    ck_assert_int_eq(KeGetCurrentIrql(), HIGH_LEVEL);
    ck_assert_uint_gt(length, 1);
    ck_assert_int_eq(text[length - 1], '\n');
    disposition->lines++;
    disposition->print(XEN_LOG_ERROR, "%s", "again");
    (void)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "XEN: %s", "again");
}

STACK_TEST(messages_within_messages, .drivers = STACK_PROBE, .quiet = true, .prepare = no_console)
{
    struct disposition *disposition = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*disposition), STACK_TAG);
    PXEN_LOG_DISPOSITION registration;

    disposition->print = EXPORT(XenLogPrintf);
    ck_assert_int_eq(EXPORT(XenLogAddDisposition)(XEN_LOG_ERROR, chatter, disposition, &registration), STATUS_SUCCESS);
    disposition->print(XEN_LOG_ERROR, "one %s", "message");
    ck_assert_uint_eq(disposition->lines, 1);
    (void)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "XEN: two\n");
    ck_assert_uint_eq(disposition->lines, 2);
    ck_assert_uint_eq(in_logs("again"), 0);
    ck_assert_uint_eq(in_logs("XEN: again"), 0);
    ck_assert_uint_eq(in_logs("one message"), 2);
    EXPORT(XenLogRemoveDisposition)(registration);
    disposition->print(XEN_LOG_ERROR, "three");
    ck_assert_uint_eq(disposition->lines, 2);
    ExFreePoolWithTag(disposition, STACK_TAG);
}

/* ---- modules ---- */

static void assert_module(const void *address, const char *name, const void *base)
{
    char found[32];
    PVOID start;

    ck_assert_int_eq(EXPORT(XenQueryModule)((PVOID)(uintptr_t)address, found, sizeof(found), &start), STATUS_SUCCESS);
    ck_assert_str_eq(found, name);
    ck_assert_ptr_eq(start, base);
}

static void assert_no_module(const void *address)
{
    char found[32] = "as it was";
    PVOID start = &found;

    ck_assert_int_eq(EXPORT(XenQueryModule)((PVOID)(uintptr_t)address, found, sizeof(found), &start), STATUS_NOT_FOUND);
    ck_assert_ptr_eq(start, &found);
    ck_assert_str_eq(found, "as it was");
}

STACK_TEST(modules, .drivers = STACK_PROBE | STACK_XENVIF, .vifs = 1)
{
    static const struct {
        const char *name, *file;
    } drivers[] = {{"xen", "xen.sys"}, {"xenbus", "xenbus.sys"}, {"xenvif", "xenvif.sys"}, {"probe", "probe.sys"}};
    KIRQL irql;
    char small[4];
    PVOID start;

    /* Those that were there before xen.sys could hear of images, and those that came later. */
    for (unsigned i = 0; i < ARRAYSIZE(drivers); i++) {
        const char *base = loader_module_base(module(drivers[i].name));
        size_t size = loader_module_size(module(drivers[i].name));

        assert_module(base, drivers[i].file, base);
        assert_module(base + size - 1, drivers[i].file, base);
    }
    assert_module((char *)loader_kernel_base() + 0x1000, "ntoskrnl.exe", loader_kernel_base());
    assert_no_module(NULL);
    assert_no_module(&start);
    assert_no_module((char *)loader_kernel_base() - 1);
    assert_no_module((void *)UINTPTR_MAX);
    ck_assert_int_eq(EXPORT(XenQueryModule)(loader_module_base(module("xenvif")), small, sizeof(small), &start),
                     STATUS_BUFFER_OVERFLOW);
    ck_assert_str_eq(small, "xen");

    KeRaiseIrql(HIGH_LEVEL, &irql);
    assert_module(loader_module_base(module("xen")), "xen.sys", loader_module_base(module("xen")));
    KeLowerIrql(irql);
}

int main(void)
{
    Suite *suite = suite_create("xen.sys");
    TCase *tcase = tcase_create("exports");

    tcase_add_test(tcase, client_of_another_version);
    tcase_add_test(tcase, errnos);
    tcase_add_test(tcase, grant_statuses);
    tcase_add_test(tcase, modules);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("log");
    tcase_add_test(tcase, levels_by_default);
    tcase_add_test(tcase, levels_to_xen);
    tcase_add_test(tcase, levels_to_the_emulator);
    tcase_add_test(tcase, messages_within_messages);
    tcase_add_test(tcase, printed_for_a_debugger);
    tcase_add_test(tcase, printed_for_a_debugger_by_level);
    tcase_add_test(tcase, left_to_debuggers);
    tcase_add_test(tcase, taken_as_on);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
