/*
 * What xen.sys exports: the hypercalls' wrappers, what Xen says of itself, the log's format, start options, the active
 * device and requests for a reboot. Each with what it answers when something runs out.
 */
#include <stdio.h>
#include <string.h>

#include "common/runs_out.h"
#include "machine/fault.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "xen/platform.h"
#include "xen/xen.h"

#undef XEN_UNPLUG_NICS /* the simulator's mask; the driver's type of device has the same name */
#include "xen.h"

#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/version.h>

/* ---- what Xen says of itself ---- */

STACK_TEST(version_and_features, .drivers = 0)
{
    struct xen_feature_info *info = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*info), STACK_TAG);
    ULONG major = 0, minor = 0, mask = 4711;

    STACK_XEN(XenQueryVersion, &major, &minor);
    ck_assert_uint_eq(major, 4);
    ck_assert_uint_eq(minor, 17);
    ck_assert_int_eq(STACK_XEN(XenQueryFeatures, 0, &mask), STATUS_SUCCESS);
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_xen_version, XENVER_get_features, (uint64_t)(uintptr_t)info, 0, 0, 0),
                     0);
    ck_assert_uint_eq(mask, info->submap);
    ck_assert_uint_ne(mask & 1u << XENFEAT_auto_translated_physmap, 0);
    mask = 4711;
    ck_assert_int_eq(STACK_XEN(XenQueryFeatures, 7, &mask), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(mask, 4711);
    ExFreePoolWithTag(info, STACK_TAG);
}

static void domain_id_scenario(void *minor_wanted)
{
    USHORT domid = 4711;
    ULONG major, minor;

    STACK_XEN(XenQueryVersion, &major, &minor);
    ck_assert_uint_eq(minor, (uintptr_t)minor_wanted);
    ck_assert_int_eq(STACK_XEN(XenQueryDomainId, &domid), STATUS_SUCCESS);
    ck_assert_uint_eq(domid, stack.domain.domid);
}

START_TEST(domain_id)
{
    static const struct {
        const char *host;
        unsigned minor;
    } hosts[] = {{"xen-4.13", 13}, {"xen-4.17,viridian", 17}, {"xen-4.19", 19}};
    const struct stack_options options = {.host = hosts[_i].host};

    stack_run(&options, domain_id_scenario, (void *)(uintptr_t)hosts[_i].minor);
}
END_TEST

/* Of those that are there; one that may come later has none yet, asked from another. */
STACK_TEST(vcpu_ids, .drivers = 0, .vcpus = 3, .start_vcpus = 2)
{
    ULONG id = 4711;

    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(STACK_XEN(XenQueryVcpuId, i, &id), STATUS_SUCCESS);
        ck_assert_uint_eq(id, i);
    }
    ck_assert_int_eq(STACK_XEN(XenQueryVcpuId, 2, &id), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STACK_XEN(XenQueryVcpuId, 4711, &id), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(id, 1);
}

/* ---- event channels ---- */

static void nothing(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
}

static XEN_EVENT_STATUS event_status(ULONG port)
{
    XEN_EVENT_STATUS status;

    memset(&status, 0xFF, sizeof(status));
    ck_assert_int_eq(STACK_XEN(XenEventQueryStatus, port, &status), STATUS_SUCCESS);
    return status;
}

STACK_TEST(event_ports, .drivers = 0)
{
    struct evtchn_bind_ipi *ipi = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*ipi), STACK_TAG);
    XEN_EVENT_STATUS status;
    ULONG port;
    int dom0;

    ck_assert_int_eq(STACK_XEN(XenEventAllocateUnbound, 0, &port), STATUS_SUCCESS);
    status = event_status(port);
    ck_assert_uint_eq(status.Type, XEN_EVENT_UNBOUND);
    ck_assert_uint_eq(status.RemoteDomain, 0);
    dom0 = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, port, nothing, NULL);
    ck_assert_int_gt(dom0, 0);
    ck_assert_int_eq(STACK_XEN(XenEventBindVcpu, port, 1), STATUS_SUCCESS);
    status = event_status(port);
    ck_assert_uint_eq(status.Type, XEN_EVENT_INTER_DOMAIN);
    ck_assert_uint_eq(status.RemoteDomain, 0);
    ck_assert_uint_eq(status.RemotePort, (ULONG)dom0);
    ck_assert_uint_eq(status.VcpuId, 1);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)dom0), 0);
    ck_assert_int_eq(STACK_XEN(XenEventClose, port), STATUS_SUCCESS);
    ck_assert_uint_eq(event_status(port).Type, XEN_EVENT_CLOSED);
    ck_assert_int_eq(STACK_XEN(XenEventClose, port), STATUS_INVALID_PARAMETER);

    ipi->vcpu = 1;
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, (uint64_t)(uintptr_t)ipi, 0, 0, 0),
                     0);
    status = event_status(ipi->port);
    ck_assert_uint_eq(status.Type, XEN_EVENT_IPI);
    ck_assert_uint_eq(status.VcpuId, 1);
    ck_assert_int_eq(STACK_XEN(XenEventClose, ipi->port), STATUS_SUCCESS);
    ExFreePoolWithTag(ipi, STACK_TAG);

    memset(&status, 0x17, sizeof(status));
    ck_assert(!NT_SUCCESS(STACK_XEN(XenEventQueryStatus, 0x7FFFFFFF, &status)));
    ck_assert_uint_eq(status.VcpuId, 0x17171717);
}

static NTSTATUS allocate_unbound(void)
{
    ULONG port = 4711;
    NTSTATUS status = STACK_XEN(XenEventAllocateUnbound, 0, &port);

    if (NT_SUCCESS(status))
        return STACK_XEN(XenEventClose, port);
    ck_assert_uint_eq(port, 4711);
    return status;
}

/* ---- grants, memory ---- */

static struct gnttab_copy copy_of(const void *from, void *to, unsigned length)
{
    return (struct gnttab_copy){
        .source = {.u.gmfn = (uint64_t)MmGetPhysicalAddress((PVOID)(uintptr_t)from).QuadPart >> PAGE_SHIFT,
                   .domid = DOMID_SELF},
        .dest = {.u.gmfn = (uint64_t)MmGetPhysicalAddress(to).QuadPart >> PAGE_SHIFT, .domid = DOMID_SELF},
        .len = (uint16_t)length,
    };
}

/* The call works; what each operation came to is with it. */
STACK_TEST(copies, .drivers = 0)
{
    struct gnttab_copy *copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * sizeof(*copy), STACK_TAG);
    char *from = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    char *to = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);

    memset(from, 'f', PAGE_SIZE);
    memset(to, 't', PAGE_SIZE);
    copy[0] = copy[1] = copy[2] = copy_of(from, to, 100);
    copy[1].source.domid = 333;
    copy[1].flags = GNTCOPY_source_gref;
    copy[2].dest.offset = PAGE_SIZE - 10;
    ck_assert_int_eq(STACK_XEN(XenGrantTableCopy, 3, copy), STATUS_SUCCESS);
    ck_assert_int_eq(copy[0].status, GNTST_okay);
    ck_assert_int_eq(copy[1].status, GNTST_bad_domain);
    ck_assert_int_eq(copy[2].status, GNTST_bad_copy_arg);
    ck_assert_int_eq(memcmp(to, from, 100), 0);
    ck_assert_int_eq(to[100], 't');
    ck_assert_int_eq(to[PAGE_SIZE - 1], 't');
    ExFreePoolWithTag(to, STACK_TAG);
    ExFreePoolWithTag(from, STACK_TAG);
    ExFreePoolWithTag(copy, STACK_TAG);
}

STACK_TEST(memory, .drivers = 0)
{
    PFN_NUMBER *frame = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*frame), STACK_TAG);
    ULONGLONG current = 0, maximum = 0;
    ULONG done = 4711;

    ck_assert_int_eq(STACK_XEN(XenMemoryQueryReservation, &current, &maximum), STATUS_SUCCESS);
    ck_assert_uint_gt(current, 0);
    ck_assert_uint_ge(maximum, current);
    *frame = ~(PFN_NUMBER)0 >> 24;
    ck_assert(!NT_SUCCESS(STACK_XEN(XenMemoryAddToPhysMap, XENMAPSPACE_grant_table, 0x7FFFFFFF, *frame)));
    ck_assert(!NT_SUCCESS(STACK_XEN(XenMemoryRemoveFromPhysMap, *frame)));
    ck_assert_int_eq(STACK_XEN(XenMemoryDecreaseReservation, 0, 1, frame, &done), STATUS_SUCCESS);
    ck_assert_uint_eq(done, 0); /* there was nothing */
    ExFreePoolWithTag(frame, STACK_TAG);
}

/* ---- scheduling ---- */

static volatile unsigned turns;

static VOID NTAPI turning(PVOID limit)
{
    while (turns < (uintptr_t)limit) {
        turns++;
        YieldProcessor();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* A processor that gives its time away, at any IRQL, lets the others go on. */
STACK_TEST(yield, .drivers = 0)
{
    PKTHREAD thread;
    KIRQL irql;

    turns = 0;
    (void)KeSetSystemAffinityThreadEx(1);
    thread = stack_thread(turning, (PVOID)(uintptr_t)50);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    for (unsigned i = 0; i < 1000000 && turns < 50; i++)
        STACK_XEN(XenSchedYield);
    KeLowerIrql(irql);
    KeRevertToUserAffinityThreadEx(0);
    stack_join(thread);
    ck_assert_uint_eq(turns, 50);
}

STACK_TEST(watchdogs, .drivers = 0)
{
    ULONG id = 0;

    ck_assert_int_eq(STACK_XEN(XenSchedWatchdog, &id, 0), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(id, 0);
    ck_assert_int_eq(STACK_XEN(XenSchedWatchdog, &id, 60), STATUS_SUCCESS);
    ck_assert_uint_ne(id, 0);
    ck_assert_int_eq(STACK_XEN(XenSchedWatchdog, &id, 0), STATUS_SUCCESS);
    ck_assert_int_eq(STACK_XEN(XenSchedWatchdog, &id, 60), STATUS_INVALID_PARAMETER); /* it is stopped */
    id = 4711;
    ck_assert_int_eq(STACK_XEN(XenSchedWatchdog, &id, 60), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(id, 4711);
}

static NTSTATUS one_watchdog(void)
{
    ULONG id = 0;
    NTSTATUS status = STACK_XEN(XenSchedWatchdog, &id, 60);

    return NT_SUCCESS(status) ? STACK_XEN(XenSchedWatchdog, &id, 0) : status;
}

/* ---- the log ---- */

static struct {
    char line[2048];
    unsigned lines;
} printed;

static VOID NTAPI keep(PVOID argument, PCSTR text, ULONG length)
{
    KERNEL_SCOPE();

    (void)argument;
    memcpy(printed.line, text, length);
    printed.line[length - 1] = '\0'; /* the line feed */
    printed.lines++;
}

#define PRINTS(expected, ...)                                                                                          \
    do {                                                                                                               \
        STACK_XEN(XenLogPrintf, XEN_LOG_TRACE, __VA_ARGS__);                                                           \
        ck_assert_msg(strcmp(printed.line, expected) == 0, "%s is '%s'", #__VA_ARGS__, printed.line);                  \
    } while (0)

static void no_traces(void)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", NULL, 0);
}

STACK_TEST(format_of_numbers, .drivers = 0, .prepare = no_traces)
{
    PXEN_LOG_DISPOSITION disposition;

    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_TRACE, keep, NULL, &disposition), STATUS_SUCCESS);
    PRINTS("5 -5 0", "%d %i %d", 5, -5, 0);
    PRINTS("+5 -5  5 -5", "%+d %+d % d % d", 5, -5, 5, -5);
    PRINTS("   5|5   |0005|-005", "%4d|%-4d|%04d|%04d", 5, 5, 5, -5);
    PRINTS("5   |  005|005  |  005", "%-04d|%5.3d|%-5.3d|%05.3d", 5, 5, 5, 5);
    PRINTS("   5|5   |5   |005|5|", "%*d|%-*d|%*d|%.*d|%.*d|%.0d", 4, 5, 4, 5, -4, 5, 3, 5, -1, 5, 0);
    PRINTS("-9223372036854775808 9223372036854775807", "%lld %lld", INT64_MIN, INT64_MAX);
    PRINTS("18446744073709551615 ffffffffffffffff", "%llu %I64x", UINT64_MAX, UINT64_MAX);
    PRINTS("1 4294967296 2 3 4", "%I32u %Iu %zu %td %ju", 1u, UINT64_C(4294967296), (size_t)2, (ptrdiff_t)3,
           UINT64_C(4));
    PRINTS("-1 255 -32768 1 7", "%hhd %hhu %hd %hu %ld", 511, 511, 0x18000, 65537, 7);
    PRINTS("ff FF 0xff 0XFF 0 10 037777777777", "%x %X %#x %#X %#x %o 0%o", 255, 255, 255, 255, 0, 8, -1);
    PRINTS("0x000000ff", "%#010x", 255);
    PRINTS("000000000000BEEF", "%p", (void *)0xBEEF);
    PRINTS("100% a%?", "100%% a%q never seen %d", 1);
    STACK_XEN(XenLogRemoveDisposition, disposition);
}

STACK_TEST(format_of_text, .drivers = 0, .prepare = no_traces)
{
    WCHAR wide[] = {'w', 'i', 'd', 0x20AC, 0};
    UNICODE_STRING unicode = {.Buffer = wide, .Length = 6, .MaximumLength = sizeof(wide)};
    ANSI_STRING ansi = {.Buffer = (PSTR) "ansi only", .Length = 4, .MaximumLength = 4};
    ANSI_STRING empty = {.Buffer = NULL};
    PXEN_LOG_DISPOSITION disposition;

    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_TRACE, keep, NULL, &disposition), STATUS_SUCCESS);
    PRINTS("text te   text|text  |", "%s %.2s %6s|%-6s|", "text", "text", "text", "text");
    PRINTS("(null) (null) (null) (n", "%s %S %ws %.2s", (char *)NULL, (WCHAR *)NULL, (WCHAR *)NULL, (char *)NULL);
    PRINTS("wid? wid? wid? wi", "%S %ws %ls %.2S", wide, wide, wide, wide);
    PRINTS("x   x|x  | w ?", "%c %3c|%-3c| %wc %lc", 'x', 'x', 'x', 'w', 0x20AC);
    PRINTS("ansi wid   wid|", "%Z %wZ %5wZ|", &ansi, &unicode, &unicode);
    PRINTS("(null) (null)", "%Z %Z", (ANSI_STRING *)NULL, &empty);
    STACK_XEN(XenLogRemoveDisposition, disposition);
}

/* As many places as there are, and again when one is given back. */
STACK_TEST(dispositions, .drivers = 0, .prepare = no_traces)
{
    PXEN_LOG_DISPOSITION disposition[64], extra;
    unsigned count = 0;

    while (count < ARRAYSIZE(disposition) &&
           NT_SUCCESS(STACK_XEN(XenLogAddDisposition, XEN_LOG_TRACE, keep, NULL, &disposition[count])))
        count++;
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_lt(count, ARRAYSIZE(disposition));
    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_TRACE, keep, NULL, &extra), STATUS_INSUFFICIENT_RESOURCES);
    printed.lines = 0;
    STACK_XEN(XenLogPrintf, XEN_LOG_TRACE, "to each");
    ck_assert_uint_eq(printed.lines, count);
    STACK_XEN(XenLogRemoveDisposition, disposition[--count]);
    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_TRACE, keep, NULL, &disposition[count]), STATUS_SUCCESS);
    for (unsigned i = 0; i <= count; i++)
        STACK_XEN(XenLogRemoveDisposition, disposition[i]);
    STACK_XEN(XenLogPrintf, XEN_LOG_TRACE, "to none");
    ck_assert_uint_eq(printed.lines, count + 1);
}

/* ---- start options ---- */

static void start_with(const char *options)
{
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, options);
}

static void some_options(void)
{
    start_with("  NOEXECUTE=OPTIN XEN:ONE=1  xen:two=Second XEN:TWO=third XEN:NONE XEN:EMPTY= XEN:LAST=end");
}

static void assert_option(const char *name, NTSTATUS status, const char *value)
{
    char found[6] = "!!!!!";

    ck_assert_int_eq(STACK_XEN(XenQueryStartOption, name, found, sizeof(found)), status);
    ck_assert_str_eq(found, value);
}

STACK_TEST(start_options, .drivers = 0, .prepare = some_options)
{
    assert_option("ONE", STATUS_SUCCESS, "1");
    assert_option("two", STATUS_BUFFER_OVERFLOW, "Secon");
    assert_option("EMPTY", STATUS_SUCCESS, "");
    assert_option("LAST", STATUS_SUCCESS, "end");
    assert_option("NONE", STATUS_OBJECT_NAME_NOT_FOUND, "");
    assert_option("NOEXECUTE", STATUS_OBJECT_NAME_NOT_FOUND, "");
    assert_option("A_NAME_THAT_IS_LONGER_THAN_ANY_THAT_A_START_OPTION_OF_XEN_MAY_HAVE", STATUS_OBJECT_NAME_NOT_FOUND,
                  "");
    cm_value_set_dword(cm_key_create(CM_CONTROL), "SystemStartOptions", 1);
    assert_option("ONE", STATUS_OBJECT_TYPE_MISMATCH, "");
}

/* More text than a counted string holds: that is no option that was cut. */
static void endless_options(void)
{
    static char options[20001];

    memset(options, 'x', sizeof(options) - 1);
    start_with(options);
}

STACK_TEST(endless_start_options, .drivers = 0, .prepare = endless_options, .quiet = true)
{
    static char tail[65536];

    assert_option("ONE", STATUS_BUFFER_OVERFLOW, "");
    (void)log_tail(tail, sizeof(tail));
    ck_assert_ptr_nonnull(strstr(tail, "XEN:DBG_PRINT is ON or OFF, not ''"));
}

static NTSTATUS query_option(void)
{
    char found[6];
    NTSTATUS status = STACK_XEN(XenQueryStartOption, "ONE", found, sizeof(found));

    ck_assert_str_eq(found, NT_SUCCESS(status) ? "1" : "");
    return status;
}

/* ---- the active device ---- */

#define FILTER_KEY CM_SERVICES "\\XENFILT\\Parameters"
#define FIRST "PCI\\VEN_5853&DEV_0001&SUBSYS_00015853&REV_01"
#define SECOND "PCI\\VEN_5853&DEV_0002&SUBSYS_00025853&REV_02"
#define VENDOR "pci\\ven_5853&dev_c000&subsys_c0005853&rev_01"

static void assert_record(const char *device, const char *instance, const char *location)
{
    static const char *const names[] = {"ActiveDeviceID", "ActiveInstanceID", "ActiveLocationInformation"};
    const char *expected[] = {device, instance, location};

    for (unsigned i = 0; i < ARRAYSIZE(names); i++) {
        char *value = cm_value_get_string(cm_key_open(FILTER_KEY), names[i]);

        ck_assert_msg((value == NULL) == (expected[i] == NULL) && (value == NULL || strcmp(value, expected[i]) == 0),
                      "%s is '%s', not '%s'", names[i], value != NULL ? value : "(absent)",
                      expected[i] != NULL ? expected[i] : "(absent)");
        if (value != NULL)
            image_free(value);
    }
}

static NTSTATUS claim(const char *device, const char *instance, const char *location, bool *active)
{
    BOOLEAN answer = 2;
    NTSTATUS status = STACK_XEN(XenActiveDeviceClaim, device, instance, location, &answer);

    ck_assert_uint_le(answer, TRUE);
    *active = answer != FALSE;
    return status;
}

static void assert_claim(const char *device, const char *instance, const char *location, bool expected)
{
    bool active;

    ck_assert_int_eq(claim(device, instance, location, &active), STATUS_SUCCESS);
    ck_assert_msg(active == expected, "%s\\%s is %sactive", device, instance, active ? "" : "not ");
}

/* The bus that runs gives the part up first: what follows is a boot's order of claims. */
STACK_TEST(active_device, .drivers = 0, .quiet = true)
{
    STACK_XEN(XenActiveDeviceRelease);
    STACK_XEN(XenActiveDeviceRelease); /* of nobody */
    assert_claim(FIRST, "10", "slot 2", true);
    assert_record(FIRST, "10", "slot 2");
    assert_claim(FIRST, "10", "slot 2", true);
    assert_claim(FIRST, "11", "slot 3", false);
    assert_claim(SECOND, "10", "slot 4", false);
    assert_record(FIRST, "10", "slot 2");

    /* The vendor's device comes: it is recorded, and takes over when the part is free, at the next boot. */
    assert_claim(VENDOR, "20", NULL, false);
    assert_record(VENDOR, "20", NULL);
    assert_claim(FIRST, "10", "slot 2", true);
    STACK_XEN(XenActiveDeviceRelease);
    assert_claim(FIRST, "10", "slot 2", false); /* it is waited for */
    assert_claim(VENDOR, "20", "slot 5", true);
    assert_record(VENDOR, "20", "slot 5");
    assert_claim(VENDOR, "21", "slot 6", false); /* another of them changes nothing */
    assert_record(VENDOR, "20", "slot 5");
    STACK_XEN(XenActiveDeviceRelease);

    assert_claim(FIRST, "10", "slot 2", false);
    assert_record(VENDOR, "20", "slot 5"); /* it has been there in this boot */
}

/* A record that somebody has spoilt, and names that do not fit into it. */
STACK_TEST(active_device_spoilt, .drivers = 0, .quiet = true)
{
    static char endless[20001];
    bool active;

    STACK_XEN(XenActiveDeviceRelease);
    cm_value_set_dword(cm_key_open(FILTER_KEY), "ActiveDeviceID", 1);
    memset(endless, 'x', sizeof(endless) - 1);
    ck_assert_int_eq(claim(endless, "10", "slot 2", &active), STATUS_BUFFER_OVERFLOW);
    ck_assert(!active);
    assert_claim(FIRST, "10", "slot 2", true);
    assert_record(FIRST, "10", "slot 2");
    STACK_XEN(XenActiveDeviceRelease);
}

static void record(const char *device)
{
    cm_value_set_string(cm_key_create(FILTER_KEY), "ActiveDeviceID", REG_SZ, device);
    cm_value_set_string(cm_key_create(FILTER_KEY), "ActiveInstanceID", REG_SZ, "20");
    cm_value_set_string(cm_key_create(FILTER_KEY), "ActiveLocationInformation", REG_SZ, "slot 5");
}

static void record_vendor(void)
{
    record(VENDOR);
}

/* One that is recorded is waited for by all others in this boot; until it comes, there is no record. */
STACK_TEST(vendor_device_awaited, .drivers = 0, .quiet = true, .prepare = record_vendor)
{
    assert_record(NULL, NULL, NULL); /* the bus of this machine was turned away */
    assert_claim(FIRST, "10", "slot 2", false);
    assert_claim(SECOND, "10", "slot 4", false);
    assert_record(NULL, NULL, NULL);
    assert_claim(VENDOR, "20", "slot 5", true);
    assert_record(VENDOR, "20", "slot 5");
    STACK_XEN(XenActiveDeviceRelease);
    assert_claim(FIRST, "10", "slot 2", false);
    assert_record(VENDOR, "20", "slot 5");
}

/* A record that cannot be deleted is waited for in this boot all the same. */
static void not_forgotten(void *nth)
{
    static char tail[65536];
    bool active;

    runs_out_off();
    STACK_XEN(XenActiveDeviceRelease);
    record_vendor();
    machine->config.faults.rule[0].nth = *(const unsigned *)nth;
    machine->fault->matched[0] = 0;
    fault_resume();
    (void)claim(FIRST, "10", "slot 2", &active);
    fault_suspend();
    ck_assert(!active);
    (void)log_tail(tail, sizeof(tail));
    ck_assert_ptr_nonnull(strstr(tail, " is not deleted"));
    assert_claim(SECOND, "10", "slot 4", false);
}

START_TEST(vendor_device_not_forgotten)
{
    static const struct stack_options options = {.quiet = true, .fail = "kind=registry,nth=100000000"};
    unsigned nth = (unsigned)_i;

    stack_run(&options, not_forgotten, &nth);
}
END_TEST

static NTSTATUS claim_it(void)
{
    NTSTATUS status;
    bool active;

    STACK_XEN(XenActiveDeviceRelease);
    status = claim(VENDOR, "20", "slot 5", &active);
    ck_assert_int_eq(active, NT_SUCCESS(status));
    return status;
}

/* The part is the bus's. */
static NTSTATUS take_over(void)
{
    NTSTATUS status;
    bool active;

    status = claim(VENDOR, "20", NULL, &active);
    ck_assert(!active);
    return status;
}

/* ---- requests ---- */

#define MONITOR CM_SERVICES "\\xenbus_monitor"

STACK_TEST(reboots, .drivers = 0, .quiet = true)
{
    static char name[66];
    ULONG value = 0;

    (void)cm_key_create(MONITOR);
    memset(name, 'n', 65);
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, name), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, ""), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, "a\\b"), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, "a\x01"), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, "\xe4"), STATUS_INVALID_PARAMETER);
    name[64] = '\0';
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, name), STATUS_SUCCESS);
    ck_assert_int_eq(STACK_XEN(XenRequestReboot, "A NAME"), STATUS_SUCCESS);
    ck_assert_ptr_nonnull(cm_key_open(MONITOR "\\Request\\A NAME"));
    ck_assert(cm_value_get_dword(cm_key_open(MONITOR "\\Request\\A NAME"), "Reboot", &value));
    ck_assert_uint_eq(value, 1);
}

static NTSTATUS reboot(void)
{
    return STACK_XEN(XenRequestReboot, "SOMEBODY");
}

static ULONG unplug_count(void)
{
    struct cm_key *key = cm_key_open(CM_SERVICES "\\xen\\Unplug");
    ULONG count = 0;

    if (key != NULL)
        (void)cm_value_get_dword(key, "NICS", &count);
    return count;
}

static NTSTATUS request_unplug(void)
{
    ULONG before = unplug_count();
    NTSTATUS status = STACK_XEN(XenUnplugRequest, XEN_UNPLUG_NICS, TRUE);

    ck_assert_uint_eq(unplug_count(), NT_SUCCESS(status) ? before + 1 : before);
    return status;
}

static NTSTATUS withdraw_unplug(void)
{
    ULONG before = unplug_count();
    NTSTATUS status = STACK_XEN(XenUnplugRequest, XEN_UNPLUG_NICS, FALSE);

    ck_assert_uint_eq(unplug_count(), NT_SUCCESS(status) && before != 0 ? before - 1 : before);
    return status;
}

static void ask_for_nics(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "NICS", 1);
}

#define ONE_NIC .nic = {{.model = MACHINE_NIC_RTL8139, .mac = MACHINE_VIF_MAC(0)}}, .nics = 1

#define UNPLUG_TEST(name, how, is_done, again)                                                                         \
    STACK_TEST(name, .quiet = true, .prepare = ask_for_nics, .board = {ONE_NIC, .unplug = how})                        \
    {                                                                                                                  \
        ck_assert_int_eq(STACK_XEN(XenUnplugQueryPolicy), XEN_UNPLUG_ON_REQUEST);                                      \
        ck_assert(STACK_XEN(XenUnplugIsRequested, XEN_UNPLUG_NICS));                                                   \
        ck_assert_int_eq(STACK_XEN(XenUnplugIsDone, XEN_UNPLUG_NICS), is_done);                                        \
        ck_assert(!STACK_XEN(XenUnplugIsDone, XEN_UNPLUG_DISKS));                                                      \
        ck_assert_int_eq(STACK_XEN(XenUnplugRepeat), again);                                                           \
    }

/* What was asked for is done if the emulator does it, and only what was done is done again. */
UNPLUG_TEST(unplugged, MACHINE_UNPLUG_ALLOWED, TRUE, STATUS_SUCCESS)
UNPLUG_TEST(unplug_refused, MACHINE_UNPLUG_REFUSED, FALSE, STATUS_SUCCESS)
UNPLUG_TEST(unplug_absent, MACHINE_UNPLUG_ABSENT, FALSE, STATUS_SUCCESS)

STACK_TEST(everything_runs_out, .drivers = 0, .quiet = true, .prepare = some_options, RUNS_OUT)
{
    runs_out_off();
    (void)cm_key_create(MONITOR);
    ck_assert_uint_eq(runs_out_each("XenEventAllocateUnbound", allocate_unbound), 1);
    ck_assert_uint_eq(runs_out_each("XenSchedWatchdog", one_watchdog), 1);
    ck_assert_uint_ge(runs_out_each("XenQueryStartOption", query_option), 3);
    ck_assert_uint_ge(runs_out_each("XenRequestReboot, the first", reboot), 3);
    ck_assert_uint_ge(runs_out_each("XenRequestReboot", reboot), 3);
    ck_assert_uint_ge(runs_out_each("XenUnplugRequest", request_unplug), 4);
    ck_assert_uint_ge(runs_out_each("XenUnplugRequest, taken back", withdraw_unplug), 4);
    ck_assert_uint_ge(runs_out_each("XenActiveDeviceClaim, for the next boot", take_over), 4);
    ck_assert_uint_ge(runs_out_each("XenActiveDeviceClaim", claim_it), 6);
}

int main(void)
{
    Suite *suite = suite_create("xen.sys's calls");
    TCase *tcase = tcase_create("hypercalls");

    tcase_add_test(tcase, version_and_features);
    tcase_add_loop_test(tcase, domain_id, 0, 3);
    tcase_add_test(tcase, vcpu_ids);
    tcase_add_test(tcase, event_ports);
    tcase_add_test(tcase, copies);
    tcase_add_test(tcase, memory);
    tcase_add_test(tcase, yield);
    tcase_add_test(tcase, watchdogs);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("log");
    tcase_add_test(tcase, format_of_numbers);
    tcase_add_test(tcase, format_of_text);
    tcase_add_test(tcase, dispositions);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("configuration");
    tcase_add_test(tcase, start_options);
    tcase_add_test(tcase, endless_start_options);
    tcase_add_test(tcase, active_device);
    tcase_add_test(tcase, active_device_spoilt);
    tcase_add_test(tcase, vendor_device_awaited);
    tcase_add_loop_test(tcase, vendor_device_not_forgotten, 4, 7);
    tcase_add_test(tcase, reboots);
    tcase_add_test(tcase, unplugged);
    tcase_add_test(tcase, unplug_refused);
    tcase_add_test(tcase, unplug_absent);
    tcase_add_test(tcase, everything_runs_out);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
