/* The bus on a machine of more than one processor group: 70 processors, of which 6 are in the second group. */
#include "common/stack.h"
#include "machine/kernel_lock.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"
#include "shared_info_interface.h"

#define VCPUS 70u
#define GROUP 64u

#define CALL(method, ...) XENBUS_EVTCHN_CALL(&evtchn, method, ##__VA_ARGS__)

static XENBUS_EVTCHN_INTERFACE_V9 evtchn;

static struct {
    PXENBUS_EVTCHN_CHANNEL channel;
    int port;
    volatile ULONG calls, processor;
} one;

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    KERNEL_SCOPE();

    (void)interrupt;
    (void)argument;
    one.processor = KeGetCurrentProcessorNumberEx(NULL);
    one.calls++;
    return TRUE;
}

static void on_notify(void *argument, uint32_t port)
{
    (void)argument;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static void open_channel(void)
{
    KIRQL irql;

    one.channel = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, NULL, (USHORT)0, FALSE);
    ck_assert_ptr_nonnull(one.channel);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)CALL(Unmask, one.channel, FALSE, TRUE);
    KeLowerIrql(irql);
    one.port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, one.channel), on_notify, NULL);
    ck_assert_int_gt(one.port, 0);
    stack_sleep_us(1000);
}

static void close_channel(void)
{
    CALL(Close, one.channel);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)one.port), 0);
}

static bool was_called(void *unused)
{
    (void)unused;
    return one.calls != 0;
}

static void assert_event_at(unsigned processor)
{
    ck_assert_msg(stack_wait(was_called, NULL, 1000), "no event at processor %u", processor);
    stack_sleep_us(200);
    ck_assert_uint_eq(one.calls, 1);
    ck_assert_uint_eq(one.processor, processor);
    one.calls = 0;
}

static void assert_each_processor(void)
{
    static const unsigned processors[] = {0, 1, 31, 32, 63, 64, 65, 69, 2};

    for (unsigned i = 0; i < ARRAYSIZE(processors); i++) {
        unsigned processor = processors[i];

        one.calls = 0;
        ck_assert_int_eq(CALL(Bind, one.channel, (USHORT)(processor / GROUP), (UCHAR)(processor % GROUP)),
                         STATUS_SUCCESS);
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)one.port), 0);
        assert_event_at(processor);
        CALL(Trigger, one.channel);
        assert_event_at(processor);
    }
    ck_assert_int_eq(CALL(Bind, one.channel, 1, VCPUS % GROUP), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Bind, one.channel, 0, GROUP), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Bind, one.channel, 2, 0), STATUS_INVALID_PARAMETER);
}

static void suspend_once(bool cancelled)
{
    struct stack_resumer resumer = {.cancelled = cancelled};

    stack_suspend(&resumer);
}

/* Events go to processors of both groups, also after a suspend, for which all 69 others are held. */
static void assert_channels(void)
{
    XENBUS_SHARED_INFO_INTERFACE_V4 shared_info;

    ck_assert_uint_eq(KeQueryActiveGroupCount(), 2);
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &shared_info);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert(shared_info.SharedInfoUpcallSupported(&shared_info.Interface, VCPUS - 1));
    ck_assert(!shared_info.SharedInfoUpcallSupported(&shared_info.Interface, VCPUS));

    open_channel();
    assert_each_processor();
    suspend_once(true);
    assert_each_processor();
    suspend_once(false);
    close_channel();
    open_channel();
    assert_each_processor();
    close_channel();

    CALL(Release);
}

/* And also after a restart of the bus. */
STACK_TEST(channels, .drivers = STACK_PROBE, .vcpus = VCPUS)
{
    assert_channels();
    (void)pnp_remove_device(stack_device("XENBUS\\VEN_XP0001&DEV_IFACE"), false);
    ck_assert_int_eq(pnp_restart_device(stack_device("PCI\\VEN_5853&DEV_0001")), STATUS_SUCCESS);
    pnp_wait_quiet();
    assert_channels();
}

int main(void)
{
    Suite *suite = suite_create("processor groups");
    TCase *tcase = tcase_create("processor groups");

    tcase_add_test(tcase, channels);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
