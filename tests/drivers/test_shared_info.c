/* XENBUS_SHARED_INFO: the time, and the bits of event ports that the driver's own channels do not use. */
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "nt/cm/cm.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <initguid.h>

#include "shared_info_interface.h"

#include <xen/event_channel.h>

#define CALL(method, ...) XENBUS_SHARED_INFO_CALL(&info, method, ##__VA_ARGS__)

static XENBUS_SHARED_INFO_INTERFACE_V4 info;

static void begin(void)
{
    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &info);
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

/* Mask and acknowledge say what was pending; a masked port raises nothing. */
STACK_TEST(ports, .drivers = STACK_PROBE, .prepare = use_two_level)
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
STACK_TEST(poll, .drivers = STACK_PROBE, .prepare = use_two_level)
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

static void upcalls(void *unused)
{
    (void)unused;
    begin();
    for (unsigned i = 0; i < stack.options->vcpus; i++)
        ck_assert_msg(CALL(UpcallSupported, i), "processor %u has no upcall", i);
    ck_assert(!CALL(UpcallSupported, stack.options->vcpus));
    CALL(Release);
}

/* The flag that Xen raises with an interrupt, taken once, by whoever asks first. */
STACK_TEST(upcall_pending, .drivers = STACK_PROBE, .prepare = use_two_level)
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

int main(void)
{
    Suite *suite = suite_create("SHARED_INFO");
    TCase *tcase = tcase_create("page");

    tcase_add_test(tcase, time);
    tcase_add_test(tcase, ports);
    tcase_add_test(tcase, poll);
    tcase_add_test(tcase, upcall_pending);
    tcase_add_loop_test(tcase, upcall_supported, 0, 3);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
