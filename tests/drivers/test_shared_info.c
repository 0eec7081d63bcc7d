/* XENBUS_SHARED_INFO: the time, and the bits of event ports that the driver's own channels do not use. */
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/xen.h"

#undef XEN_UNPLUG_NICS /* the simulator's mask; the driver's type of device has the same name */
#include "xen.h"

#include <initguid.h>

#include "shared_info_interface.h"

#include <xen/event_channel.h>

#define CALL(method, ...) XENBUS_SHARED_INFO_CALL(&info, method, ##__VA_ARGS__)

static XENBUS_SHARED_INFO_INTERFACE_V4 info;
static unsigned version = 4;

/* Version 3 has the same methods but UpcallSupported, in slots of its own. */
static void get_version_3(void)
{
    XENBUS_SHARED_INFO_INTERFACE_V3 old;

    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 3, &old);
    info = (XENBUS_SHARED_INFO_INTERFACE_V4){
        .Interface = old.Interface,
        .SharedInfoAcquire = old.SharedInfoAcquire,
        .SharedInfoRelease = old.SharedInfoRelease,
        .SharedInfoUpcallPending = old.SharedInfoUpcallPending,
        .SharedInfoEvtchnPoll = old.SharedInfoEvtchnPoll,
        .SharedInfoEvtchnAck = old.SharedInfoEvtchnAck,
        .SharedInfoEvtchnMask = old.SharedInfoEvtchnMask,
        .SharedInfoEvtchnUnmask = old.SharedInfoEvtchnUnmask,
        .SharedInfoGetTime = old.SharedInfoGetTime,
    };
}

static void begin(void)
{
    if (version == 3)
        get_version_3();
    else
        STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &info);
    ck_assert_uint_eq(info.Interface.Version, version);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
}

/* 100 ns since 1601, as the guest's system clock has it. */
static LONGLONG system_time(void)
{
    LARGE_INTEGER now;

    KeQuerySystemTime(&now);
    return now.QuadPart;
}

STACK_TEST(time, .drivers = STACK_PROBE)
{
    struct _XENBUS_SHARED_INFO_INTERFACE_V3 old;
    LARGE_INTEGER last, now;
    BOOLEAN local;
    LONGLONG before;

    begin();
    CALL(GetTime, &last, &local);
    ck_assert_msg(last.QuadPart - system_time() < 10000000 && system_time() - last.QuadPart < 10000000,
                  "Xen's time %lld is not the machine's %lld", last.QuadPart, system_time());
    for (unsigned i = 0; i < 2000; i++) {
        CALL(GetTime, &now, &local);
        ck_assert_int_ge(now.QuadPart, last.QuadPart);
        last = now;
        if (i % 100 == 0)
            (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << (i / 100 % 2));
        if (i % 500 == 0)
            stack_sleep_us(3000);
    }
    KeRevertToUserAffinityThreadEx(0);
    CALL(GetTime, &last, &local);
    before = system_time();
    stack_sleep_us(50000);
    CALL(GetTime, &now, &local);
    ck_assert_int_ge(now.QuadPart - last.QuadPart, 490000);
    ck_assert_int_le(now.QuadPart - last.QuadPart, system_time() - before + 10000);

    ck_assert_int_eq(stack_query("_", &GUID_XENBUS_SHARED_INFO_INTERFACE, 3, sizeof(old), &old.Interface),
                     STATUS_SUCCESS);
    ck_assert_int_eq(old.SharedInfoAcquire(&old.Interface), STATUS_SUCCESS);
    old.SharedInfoGetTime(&old.Interface, &now, &local);
    ck_assert_int_ge(now.QuadPart, last.QuadPart);
    old.SharedInfoRelease(&old.Interface);
    CALL(Release);
}

/* While a copy of the clock is being written it is not believed: when that lasts, Windows's own clock is the time. */
static void assert_unsettled(uint32_t *version)
{
    LARGE_INTEGER now;
    BOOLEAN local;
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql); /* or its owner would write it meanwhile */
    __atomic_store_n(version, *version | 1, __ATOMIC_RELEASE);
    CALL(GetTime, &now, &local);
    __atomic_store_n(version, *version + 1, __ATOMIC_RELEASE);
    KeLowerIrql(irql);
    ck_assert_int_le(now.QuadPart, system_time());
    ck_assert_int_ge(now.QuadPart, system_time() - 10000000);
}

static unsigned unsettled(void)
{
    static char tail[65536];
    unsigned times = 0;

    (void)log_tail(tail, sizeof(tail));
    for (const char *at = tail; (at = strstr(at, "Xen's clock does not settle")) != NULL; at++)
        times++;
    return times;
}

STACK_TEST(time_that_does_not_settle, .drivers = STACK_PROBE, .vcpus = 1, .quiet = true)
{
    struct domain *domain = domain_current();
    unsigned once;

    begin();
    ck_assert_uint_eq(unsettled(), 0);
    assert_unsettled(&domain->shared->wc_version);
    once = unsettled();
    ck_assert_uint_gt(once, 0);
    assert_unsettled(&domain_current_vcpu(domain)->info->time.version);
    ck_assert_uint_eq(unsettled(), 2 * once);
    CALL(Release);
}

static bool expected_local;

static void clock_of_windows(void *unused)
{
    LARGE_INTEGER now;
    BOOLEAN local = 2;

    (void)unused;
    begin();
    CALL(GetTime, &now, &local);
    ck_assert_int_eq(local, expected_local);
    CALL(Release);
}

#define TIME_ZONE CM_CONTROL "\\TimeZoneInformation"

static void universal(void)
{
    cm_value_set_dword(cm_key_create(TIME_ZONE), "RealTimeIsUniversal", 1);
}

static void not_universal(void)
{
    cm_value_set_dword(cm_key_create(TIME_ZONE), "RealTimeIsUniversal", 0);
}

static void not_a_number(void)
{
    cm_value_set_string(cm_key_create(TIME_ZONE), "RealTimeIsUniversal", REG_SZ, "yes");
}

/* Whether the clock of the board is taken for local time is Windows's decision. */
START_TEST(local_time)
{
    static const struct {
        void (*prepare)(void);
        bool local;
    } zones[] = {{NULL, true}, {universal, false}, {not_universal, true}, {not_a_number, true}};
    struct stack_options options = {.drivers = STACK_PROBE, .prepare = zones[_i].prepare};

    expected_local = zones[_i].local;
    stack_run(&options, clock_of_windows, NULL);
}
END_TEST

/* ---- ports ---- */

static uint32_t port_new(void)
{
    struct evtchn_alloc_unbound *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), STACK_TAG);
    uint32_t port;

    operation->dom = DOMID_SELF;
    operation->remote_dom = 0;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)(uintptr_t)operation, 0, 0, 0),
        0);
    port = operation->port;
    ExFreePoolWithTag(operation, STACK_TAG);
    return port;
}

static void port_close(uint32_t port)
{
    struct evtchn_close *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), STACK_TAG);

    operation->port = port;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (uint64_t)(uintptr_t)operation, 0, 0, 0), 0);
    ExFreePoolWithTag(operation, STACK_TAG);
}

static void nothing(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
}

/* The page has the ports' bits where xenbus does not use the FIFO ABI. */
static void use_two_level(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnFifoAbi", 0);
}

/* A test of the methods that both versions have: the loop's index is the version. */
#define VERSIONS_TEST(name)                                                                                            \
    static void name##_scenario(void *unused);                                                                         \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        static const struct stack_options options = {.drivers = STACK_PROBE, .prepare = use_two_level};                \
                                                                                                                       \
        version = (unsigned)_i;                                                                                        \
        stack_run(&options, name##_scenario, NULL);                                                                    \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *unused)

/* Mask and acknowledge say what was pending; a masked port raises nothing. */
VERSIONS_TEST(ports)
{
    uint32_t port;
    int dom0;

    begin();
    port = port_new();
    CALL(EvtchnMask, port);
    dom0 = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, port, nothing, NULL);
    ck_assert_int_gt(dom0, 0);
    CALL(EvtchnAck, port);
    ck_assert(!CALL(EvtchnUnmask, port));
    CALL(EvtchnMask, port);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)dom0), 0);
    CALL(EvtchnAck, port);
    ck_assert(!CALL(EvtchnUnmask, port));
    CALL(EvtchnMask, port);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)dom0), 0);
    ck_assert(CALL(EvtchnUnmask, port));
    CALL(EvtchnMask, port);
    CALL(EvtchnAck, port);
    port_close(port);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)dom0), 0);
    CALL(Release);
}

struct seen {
    uint32_t port;
    unsigned times;
    unsigned others;
};

static BOOLEAN NTAPI on_port(PVOID argument, ULONG port)
{
    struct seen *seen = argument;

    if (port != seen->port) {
        seen->others++;
        return FALSE;
    }
    seen->times++;
    CALL(EvtchnMask, port);
    CALL(EvtchnAck, port);
    return TRUE;
}

/* A poll finds a port that is pending and not masked, once, and tells whether anything was done. */
VERSIONS_TEST(poll)
{
    struct seen seen = {0};
    KIRQL irql;
    int dom0;

    begin();
    seen.port = port_new();
    CALL(EvtchnMask, seen.port);
    dom0 = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, seen.port, nothing, NULL);
    (void)KeSetSystemAffinityThreadEx(1);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    CALL(EvtchnAck, seen.port);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)dom0), 0);
    ck_assert(!CALL(EvtchnPoll, 0, on_port, &seen));
    ck_assert_uint_eq(seen.times, 0);
    CALL(EvtchnAck, seen.port);
    ck_assert(!CALL(EvtchnUnmask, seen.port));
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)dom0), 0);
    ck_assert(CALL(UpcallPending, 0));
    ck_assert(!CALL(UpcallPending, 0));
    ck_assert(CALL(EvtchnPoll, 0, on_port, &seen));
    ck_assert_uint_eq(seen.times, 1);
    ck_assert(!CALL(EvtchnPoll, 0, on_port, &seen));
    ck_assert_uint_eq(seen.times, 1);
    ck_assert_uint_eq(seen.others, 0);
    KeLowerIrql(irql);
    KeRevertToUserAffinityThreadEx(0);
    port_close(seen.port);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)dom0), 0);
    CALL(Release);
}

static void assert_upcalls(void)
{
    begin();
    for (unsigned i = 0; i < stack.options->vcpus; i++)
        ck_assert_msg(CALL(UpcallSupported, i), "processor %u has no upcall", i);
    ck_assert(!CALL(UpcallSupported, stack.options->vcpus));
    CALL(Release);
}

static void restart_bus(void)
{
    (void)pnp_remove_device(stack_device("XENBUS\\VEN_XP0001&DEV_IFACE"), false);
    ck_assert_int_eq(pnp_restart_device(stack_device("PCI\\VEN_5853&DEV_0001")), STATUS_SUCCESS);
    pnp_wait_quiet();
}

static void suspend_once(void)
{
    struct stack_resumer resumer = {0};

    stack_suspend(&resumer);
}

/* Whatever the bus does, Xen has taken each vCPU's place once in each domain. */
static void upcalls(void *unused)
{
    (void)unused;
    for (unsigned round = 0; round < 2; round++) {
        assert_upcalls();
        restart_bus();
        assert_upcalls();
        suspend_once();
        assert_upcalls();
    }
}

/* The flag that Xen raises with an interrupt, taken once, by whoever asks first. */
VERSIONS_TEST(upcall_pending)
{
    uint32_t port;
    KIRQL irql;
    int dom0;

    begin();
    port = port_new();
    CALL(EvtchnMask, port);
    dom0 = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, port, nothing, NULL);
    ck_assert_int_gt(dom0, 0);
    CALL(EvtchnAck, port);
    (void)KeSetSystemAffinityThreadEx(1); /* where ports are bound, unless somebody moves them */
    KeRaiseIrql(HIGH_LEVEL, &irql);
    (void)CALL(UpcallPending, 0);
    (void)CALL(UpcallPending, 1);
    ck_assert(!CALL(UpcallPending, 0));
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)dom0), 0); /* masked: nothing is raised */
    ck_assert(!CALL(UpcallPending, 0));
    CALL(EvtchnAck, port);
    ck_assert(!CALL(EvtchnUnmask, port));
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)dom0), 0);
    ck_assert(!CALL(UpcallPending, 1));
    ck_assert(CALL(UpcallPending, 0));
    ck_assert(!CALL(UpcallPending, 0));
    ck_assert(!CALL(UpcallPending, 4711)); /* no processor */
    ck_assert(!CALL(EvtchnPoll, 4711, on_port, NULL));
    CALL(EvtchnMask, 4711000); /* no ports */
    CALL(EvtchnAck, 4711000);
    ck_assert(!CALL(EvtchnUnmask, 4711000));
    CALL(EvtchnMask, port);
    CALL(EvtchnAck, port);
    KeLowerIrql(irql);
    KeRevertToUserAffinityThreadEx(0);
    port_close(port);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)dom0), 0);
    CALL(Release);
}

/* vCPUs from 32 up have a vcpu_info of their own making. */
START_TEST(upcall_supported)
{
    static const unsigned vcpus[] = {1, 4, 40};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    stack_run(&options, upcalls, NULL);
}
END_TEST

/* Those below have theirs in the page, and there are no vCPUs beyond what the pages of xen.sys hold. */
STACK_TEST(not_to_be_placed, .drivers = STACK_PROBE)
{
    static const ULONG ids[] = {0, 31, 32 + 64 * 64, MAXULONG};

    for (unsigned i = 0; i < ARRAYSIZE(ids); i++) {
        PVOID place = &place;

        ck_assert_int_eq(STACK_XEN(XenVcpuPlaceInfo, ids[i], &place), STATUS_INVALID_PARAMETER);
        ck_assert_ptr_null(place);
    }
}

int main(void)
{
    Suite *suite = suite_create("SHARED_INFO");
    TCase *tcase = tcase_create("page");

    tcase_add_test(tcase, time);
    tcase_add_test(tcase, time_that_does_not_settle);
    tcase_add_loop_test(tcase, local_time, 0, 4);
    tcase_add_loop_test(tcase, ports, 3, 5);
    tcase_add_loop_test(tcase, poll, 3, 5);
    tcase_add_loop_test(tcase, upcall_pending, 3, 5);
    tcase_add_loop_test(tcase, upcall_supported, 0, 3);
    tcase_add_test(tcase, not_to_be_placed);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
