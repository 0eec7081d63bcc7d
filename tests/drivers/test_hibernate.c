/*
 * Hibernation and fast startup: the guest goes into S4, its memory comes back under a Xen that does not know it, and it
 * goes on from there; or it goes on where it was, because nothing came of it. And every other sleep, in which the
 * toolstack suspends the domain and restores it elsewhere.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/clock.h"
#include "machine/kernel_lock.h"
#include "machine/sched.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "nt/cm/cm.h"
#include "xen/hypervisor.h"
#include "xen/xen.h"

#include <xen/sched.h>

#include <initguid.h>

#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

static XENBUS_SUSPEND_INTERFACE_V1 suspend;
static XENBUS_STORE_INTERFACE_V2 store;
static XENBUS_EVTCHN_INTERFACE_V9 evtchn;
static XENBUS_GNTTAB_INTERFACE_V4 gnttab;

static struct capture *lan;

static PSTR text(const char *string)
{
    return (PSTR)(uintptr_t)string;
}

static void begin(void)
{
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &gnttab);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_EVTCHN_CALL(&evtchn, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, Acquire), STATUS_SUCCESS);
}

static void end(void)
{
    XENBUS_GNTTAB_CALL(&gnttab, Release);
    XENBUS_EVTCHN_CALL(&evtchn, Release);
    XENBUS_STORE_CALL(&store, Release);
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

static void turn_off(void)
{
    xen_guest_ends(false);
}

static void hibernate_and(void (*meanwhile)(void *))
{
    struct stack_resumer resumer = {.from_disk = true, .rounds = 1, .meanwhile = meanwhile};
    unsigned before = stack.domain.domid;

    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
    stack_resume_when_suspended(&resumer);
    po_with_processors_held(turn_off);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    stack_await_resumer(&resumer);
    ck_assert_uint_gt(stack.domain.domid, before);
}

static void hibernate(void)
{
    hibernate_and(NULL);
}

/* Nothing comes of it: the system goes on as it was. */
static void hibernate_in_vain(void)
{
    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
}

/* The toolstack suspends the domain although it sleeps, and does not ask it; the domain goes on elsewhere, or not. */
static void move_now(void *in_place)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    ck_assert_ptr_nonnull(toolstack);
    ck_assert_int_eq(xen_domain_shutdown(stack.domain.domid, SHUTDOWN_suspend), 0);
    while (!xen_domain_stands(stack.domain.domid))
        (void)task_park(clock_now() + 20000, "the vCPUs");
    if (in_place != NULL) {
        ck_assert_int_eq(xen_domain_resume(stack.domain.domid, true), 0);
        ck_assert(toolstack_domain_resumed(toolstack, stack.domain.domid));
    } else {
        stack_restore_now(toolstack);
    }
    toolstack_close(toolstack);
}

static SYSTEM_POWER_STATE sleep_state = PowerSystemSleeping3;

static void sleep_and_move(void *in_place)
{
    ck_assert_int_eq(po_set_system_state(sleep_state), STATUS_SUCCESS);
    stack_in_dom0(move_now, in_place);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
}

static void sleep_elsewhere(void)
{
    unsigned before = stack.domain.domid;

    sleep_and_move(NULL);
    ck_assert_uint_gt(stack.domain.domid, before);
}

static void sleep_in_place(void)
{
    sleep_and_move(&sleep_state);
}

static void over_policies(struct stack_options options, void (*scenario)(void *))
{
    stack_run(&options, scenario, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= STACK_SCHEDULES; options.seed++)
        stack_run(&options, scenario, NULL);
}

#define EACH_POLICY(name, ...)                                                                                         \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        over_policies((struct stack_options){__VA_ARGS__}, name##_scenario);                                           \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

/* ---- a bus that nobody uses: the kernel's session of a fast startup, with its devices off ---- */

static void assert_store_works(const char *value)
{
    char seen[16];
    PSTR buffer;

    begin();
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Printf, NULL, text("data"), text("key"), "%s", value), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Read, NULL, text("data"), text("key"), &buffer), STATUS_SUCCESS);
    ck_assert_str_eq(buffer, value);
    XENBUS_STORE_CALL(&store, Free, buffer);
    ck_assert(stack_store_read(stack_path("data/key"), seen, sizeof(seen)));
    ck_assert_str_eq(seen, value);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Remove, NULL, text("data"), text("key")), STATUS_SUCCESS);
    end();
}

EACH_POLICY(devices_off_asleep, .drivers = STACK_PROBE)
{
    assert_store_works("before");
    sleep_elsewhere();
    stack_store_await(stack_path("control/feature-suspend"), "1", 1000);
    assert_store_works("after");
    sleep_in_place();
    assert_store_works("in place");
}

EACH_POLICY(devices_off, .drivers = STACK_PROBE)
{
    assert_store_works("before");
    for (unsigned round = 0; round < 2; round++) {
        hibernate();
        stack_store_await(stack_path("control/feature-suspend"), "1", 1000);
        stack_store_await(stack_path("control/feature-balloon"), "1", 1000);
        assert_store_works("after");
    }
    hibernate_in_vain();
    assert_store_works("in vain");
}

/* ---- clients that stay ---- */

static char order[8];
static volatile ULONG events;
static PXENBUS_EVTCHN_CHANNEL channel;

static void note(char name)
{
    size_t length = strlen(order);

    ck_assert_uint_lt(length, sizeof(order) - 1);
    order[length] = name;
}

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    KERNEL_SCOPE();

    (void)interrupt;
    (void)argument;
    events++;
    return TRUE;
}

static void open_channel(void)
{
    KIRQL irql;

    channel = XENBUS_EVTCHN_CALL(&evtchn, Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, NULL, (USHORT)0, FALSE);
    ck_assert_ptr_nonnull(channel);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)XENBUS_EVTCHN_CALL(&evtchn, Unmask, channel, FALSE, TRUE);
    KeLowerIrql(irql);
}

static VOID NTAPI early(PVOID argument)
{
    KERNEL_SCOPE();

    (void)argument;
    ck_assert_int_eq(KeGetCurrentIrql(), HIGH_LEVEL);
    note('e');
}

static VOID NTAPI late(PVOID argument)
{
    KERNEL_SCOPE();

    (void)argument;
    ck_assert_int_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    XENBUS_EVTCHN_CALL(&evtchn, Close, channel);
    open_channel();
    note('l');
}

static void on_notify(void *argument, uint32_t port)
{
    (void)argument;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static bool had_event(void *unused)
{
    (void)unused;
    return events != 0;
}

static void assert_channel_works(void)
{
    int port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, XENBUS_EVTCHN_CALL(&evtchn, GetPort, channel),
                                           on_notify, NULL);

    ck_assert_int_gt(port, 0);
    stack_sleep_us(1000);
    events = 0;
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)port), 0);
    ck_assert_msg(stack_wait(had_event, NULL, 1000), "the event did not come");
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port), 0);
}

static VOID NTAPI no_lock(PVOID argument)
{
    (void)argument;
}

static void assert_grants_work(void)
{
    uint8_t *page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    PXENBUS_GNTTAB_CACHE cache;
    PXENBUS_GNTTAB_ENTRY entry;
    uint32_t handle;
    void *address;

    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, CreateCache, "test", 0, 0, no_lock, no_lock, NULL, &cache),
                     STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, PermitForeignAccess, cache, TRUE, 0,
                                        (PFN_NUMBER)(MmGetPhysicalAddress(page).QuadPart >> PAGE_SHIFT), FALSE, &entry),
                     STATUS_SUCCESS);
    page[5] = 0x5a;
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, stack.domain.domid, XENBUS_GNTTAB_CALL(&gnttab, GetReference, entry),
                                   false, &address, &handle),
                     0);
    ck_assert_int_eq(((uint8_t *)address)[5], 0x5a);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, RevokeForeignAccess, cache, TRUE, entry), STATUS_SUCCESS);
    XENBUS_GNTTAB_CALL(&gnttab, DestroyCache, cache);
    ExFreePoolWithTag(page, STACK_TAG);
}

static bool fired(PKEVENT event)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000000};
    bool set = KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout) == STATUS_SUCCESS;

    KeClearEvent(event);
    return set;
}

static void clients(unsigned rounds, void (*in_vain)(void), void (*elsewhere)(void))
{
    PXENBUS_SUSPEND_CALLBACK callback[2];
    PXENBUS_STORE_TRANSACTION transaction;
    PXENBUS_STORE_WATCH watch;
    KEVENT event;

    begin();
    memset(order, 0, sizeof(order));
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    open_channel();
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, SUSPEND_CALLBACK_EARLY, early, NULL, &callback[0]),
                     STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, SUSPEND_CALLBACK_LATE, late, NULL, &callback[1]),
                     STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchAdd, text("data"), text("one"), &event, &watch), STATUS_SUCCESS);
    ck_assert(fired(&event));

    /* In vain: nothing was lost, and nobody is told. */
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionStart, &transaction), STATUS_SUCCESS);
    in_vain();
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionEnd, transaction, TRUE), STATUS_SUCCESS);
    ck_assert_str_eq(order, "");
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 0);
    assert_channel_works();

    for (unsigned round = 1; round <= rounds; round++) {
        ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionStart, &transaction), STATUS_SUCCESS);
        elsewhere();
        ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionEnd, transaction, TRUE), STATUS_RETRY);
        ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), round);
        ck_assert_uint_eq(strlen(order), 2 * round);
        ck_assert_str_eq(order + 2 * (round - 1), "el");
        stack_store_await(stack_path("control/feature-suspend"), "1", 1000);
        ck_assert(fired(&event)); /* registered again */
        stack_sleep_us(5000);
        KeClearEvent(&event);
        stack_store_write(stack_path("data/one"), "1");
        ck_assert(fired(&event));
        assert_channel_works();
        assert_grants_work();
    }

    ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchRemove, watch), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/one"));
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[0]);
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[1]);
    XENBUS_EVTCHN_CALL(&evtchn, Close, channel);
    end();
}

EACH_POLICY(clients_stay, .drivers = STACK_PROBE)
{
    clients(2, hibernate_in_vain, hibernate);
}

/* The other host lets the domain have grant tables of version 1 only. */
static void old_grants(void *unused)
{
    (void)unused;
    domain_find(stack.domain.domid)->config.max_grant_version = 1;
}

static void hibernate_for_an_old_host(void)
{
    hibernate_and(old_grants);
}

STACK_TEST(another_host, .drivers = STACK_PROBE, .quiet = true)
{
    clients(1, hibernate_in_vain, hibernate_for_an_old_host);
}

static void no_hole(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseMemoryHole", 0);
}

STACK_TEST(without_a_hole, .drivers = STACK_PROBE, .prepare = no_hole)
{
    clients(1, hibernate_in_vain, hibernate);
}

EACH_POLICY(clients_asleep, .drivers = STACK_PROBE)
{
    clients(2, sleep_in_place, sleep_elsewhere);
}

static void clients_in(void *state)
{
    sleep_state = (SYSTEM_POWER_STATE)(uintptr_t)state;
    clients(1, sleep_in_place, sleep_elsewhere);
}

START_TEST(clients_in_each_sleep)
{
    static const struct stack_options options = {.drivers = STACK_PROBE};

    stack_run(&options, clients_in, (void *)(uintptr_t)_i);
}
END_TEST

/* Some vCPUs have their vcpu_info in pages that only the old Xen had given; in RAM where there is no hole. */
static void many(void *unused)
{
    XENBUS_SHARED_INFO_INTERFACE_V4 shared_info;

    (void)unused;
    begin();
    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &shared_info);
    open_channel();
    for (unsigned round = 0; round < 2; round++) {
        if (round != 0) {
            hibernate();
            XENBUS_EVTCHN_CALL(&evtchn, Close, channel);
            open_channel();
        }
        ck_assert(shared_info.SharedInfoUpcallSupported(&shared_info.Interface, 33));
        ck_assert_int_eq(XENBUS_EVTCHN_CALL(&evtchn, Bind, channel, 0, 33), STATUS_SUCCESS);
        assert_channel_works();
    }
    XENBUS_EVTCHN_CALL(&evtchn, Close, channel);
    end();
}

START_TEST(many_processors)
{
    static void (*const prepare[])(void) = {NULL, no_hole};
    const struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 34, .prepare = prepare[_i]};

    stack_run(&options, many, NULL);
}
END_TEST

/* ---- the balloon ---- */

static bool has_pages(void *pages)
{
    return domain_find(stack.domain.domid)->tot_pages == *(uint64_t *)pages;
}

static void set_target(uint64_t less)
{
    char value[24];

    snprintf(value, sizeof(value), "%llu", (unsigned long long)(stack.domain.memory_kib - less * 4));
    stack_store_write(stack_path("memory/target"), value);
}

/* Pages that Xen had of the guest, and would not give back before, are all there under the new one. */
STACK_TEST(pages_out, .drivers = STACK_PROBE, .quiet = true)
{
    struct domain *domain = domain_find(stack.domain.domid);
    uint64_t all = domain->tot_pages, wanted = all - 700;

    set_target(700);
    ck_assert(stack_wait(has_pages, &wanted, 5000));
    domain->max_pages = wanted + 5;
    hibernate();
    ck_assert(stack_wait(has_pages, &all, 5000));
    set_target(300);
    wanted = all - 300;
    ck_assert(stack_wait(has_pages, &wanted, 5000));

    /* In vain: they are out still. */
    domain_find(stack.domain.domid)->max_pages = wanted;
    hibernate_in_vain();
    ck_assert(stack_wait(has_pages, &wanted, 5000));
    domain_find(stack.domain.domid)->max_pages = all + 256;
    set_target(0);
    ck_assert(stack_wait(has_pages, &all, 20000));
}

/* Pages that Xen had of a guest that slept are not there, and can be had. */
STACK_TEST(pages_out_asleep, .drivers = STACK_PROBE, .quiet = true)
{
    uint64_t all = domain_find(stack.domain.domid)->tot_pages, wanted = all - 700;

    begin();
    set_target(700);
    ck_assert(stack_wait(has_pages, &wanted, 5000));
    stack.domain.target_kib = stack.domain.memory_kib - 700 * 4; /* in the new place too */
    sleep_elsewhere();
    stack_sleep_us(1000000);
    ck_assert(has_pages(&wanted));
    stack_store_await(stack_path("control/feature-balloon"), "1", 1000);
    set_target(0);
    ck_assert(stack_wait(has_pages, &all, 5000));
    end();
}

/* ---- VIFs ---- */

#define VIF_STACK .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true

EACH_POLICY(vif, VIF_STACK)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, lan, lan);
    for (unsigned round = 0; round < 2; round++) {
        hibernate();
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        stack_wait_connected(0);
        stack_carry(0, lan, lan);
    }
    hibernate_in_vain();
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, lan, lan);
}

EACH_POLICY(vif_asleep, VIF_STACK)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, lan, lan);
    for (unsigned round = 0; round < 4; round++) {
        if (round % 2 == 0)
            sleep_elsewhere();
        else
            sleep_in_place();
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        stack_wait_connected(0);
        stack_carry(0, lan, lan);
    }
}

/* What the guest sends does not stop for it. */
static struct {
    volatile bool stop;
    volatile unsigned sent, failed;
} traffic;

static VOID NTAPI send_frames(PVOID unused)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    (void)unused;
    stack_open("NetClient0", &file, &device);
    for (unsigned i = 0; !traffic.stop; i = (i + 1) % lan->count) {
        ULONG done;

        memcpy(buffer, lan->frame[i].data, lan->frame[i].length);
        if (NT_SUCCESS(stack_transfer(IRP_MJ_WRITE, file, device, buffer, lan->frame[i].length, &done)))
            traffic.sent++;
        else
            traffic.failed++;
        stack_sleep_us(50);
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool has_sent_more(void *sent)
{
    return traffic.sent > *(unsigned *)sent;
}

EACH_POLICY(under_traffic, VIF_STACK)
{
    unsigned sent = 0;
    PKTHREAD thread;

    memset(&traffic, 0, sizeof(traffic));
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    thread = stack_thread(send_frames, NULL);
    for (unsigned round = 0; round < 3; round++) {
        stack_sleep_us(500 + 700 * round);
        ck_assert(stack_wait(has_sent_more, &sent, 20000));
        sent = traffic.sent;
        if (round == 1)
            hibernate_in_vain();
        else
            hibernate();
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        ck_assert_msg(stack_wait(has_sent_more, &sent, 20000), "round %u: %u frames were sent and no more, %u failed",
                      round, traffic.sent, traffic.failed);
    }
    traffic.stop = true;
    stack_join(thread);
    stack_carry(0, lan, lan);
}

static bool has_received(void *unused)
{
    (void)unused;
    return stack_statistics(0).Received > 0;
}

/*
 * Both ways. What is in the rings when the memory is written goes with them: up to a ring of received frames each time,
 * and of those that are sent, which go one after the other, one. Nothing else is lost, and nothing is damaged or out of
 * order. That each frame arrives cannot be waited for, as stack_carry() does: some never come, and what nobody has read
 * when the device loses its power is gone with it.
 */
EACH_POLICY(received_and_sent, VIF_STACK)
{
    uint64_t before;
    PKTHREAD thread;

    memset(&traffic, 0, sizeof(traffic));
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    thread = stack_thread(send_frames, NULL);
    for (unsigned round = 0; round < 2; round++) {
        unsigned sent;

        stack_end_send(0, lan);
        stack_sleep_us(400 + 300 * round);
        ck_assert(stack_wait(has_received, NULL, 20000));
        before = stack_statistics(0).Received;
        hibernate();
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        stack_wait_connected(0);
        sent = traffic.sent;
        ck_assert_msg(stack_wait(has_sent_more, &sent, 20000), "%u frames were sent and no more", sent);
        ck_assert_uint_ge(stack_statistics(0).Received, before);
        (void)stack_read_all(0, lan);
    }
    traffic.stop = true;
    stack_join(thread);
    (void)stack_read_all(0, lan);
    stack_carry(0, lan, lan);
}

/* ---- a device that does not want to ---- */

static struct {
    PDEVICE_OBJECT device;
    PDRIVER_DISPATCH original;
    unsigned refused;
} refusal;

static NTSTATUS NTAPI refuse(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);

    if (device != refusal.device || location->MinorFunction != IRP_MN_QUERY_POWER ||
        location->Parameters.Power.Type != SystemPowerState ||
        location->Parameters.Power.State.SystemState != PowerSystemHibernate)
        return refusal.original(device, irp);
    refusal.refused++;
    PoStartNextPowerIrp(irp);
    irp->IoStatus.Status = STATUS_DEVICE_BUSY;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_DEVICE_BUSY;
}

static PDEVICE_OBJECT device_of(const char *prefix)
{
    struct devnode *node = stack_device(prefix);

    ck_assert_ptr_nonnull(node);
    return pnp_pdo(node);
}

/* The bottom of one device's stack refuses S4: the system goes on, with traffic, and can hibernate another time. */
static void refused_by(const char *device)
{
    PDRIVER_OBJECT driver;
    unsigned sent;

    refusal.device = device_of(device);
    refusal.refused = 0;
    driver = refusal.device->DriverObject;
    refusal.original = driver->MajorFunction[IRP_MJ_POWER];
    driver->MajorFunction[IRP_MJ_POWER] = refuse;
    sent = traffic.sent;
    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_DEVICE_BUSY);
    driver->MajorFunction[IRP_MJ_POWER] = refusal.original;
    ck_assert_uint_eq(refusal.refused, 1);
    ck_assert_int_eq(po_system_state(), PowerSystemWorking);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    ck_assert_msg(stack_wait(has_sent_more, &sent, 20000), "%s: %u frames were sent and no more", device, sent);
}

EACH_POLICY(refused, VIF_STACK)
{
    PKTHREAD thread;

    memset(&traffic, 0, sizeof(traffic));
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    thread = stack_thread(send_frames, NULL);
    stack_sleep_us(500);
    refused_by("XENVIF\\VEN_XP0001&DEV_NET");
    refused_by("XENBUS\\VEN_XP0001&DEV_VIF");
    refused_by("PCI\\VEN_5853&DEV_0001");
    traffic.stop = true;
    stack_join(thread);
    stack_carry(0, lan, lan);
    hibernate();
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_wait_connected(0);
    stack_carry(0, lan, lan);
}

int main(void)
{
    Suite *suite = suite_create("hibernate");
    TCase *tcase = tcase_create("hibernate");

    lan = stack_capture(STACK_LAN);
    tcase_add_test(tcase, devices_off);
    tcase_add_test(tcase, devices_off_asleep);
    tcase_add_test(tcase, clients_stay);
    tcase_add_test(tcase, clients_asleep);
    tcase_add_loop_test(tcase, clients_in_each_sleep, PowerSystemSleeping1, PowerSystemHibernate);
    tcase_add_test(tcase, another_host);
    tcase_add_test(tcase, without_a_hole);
    tcase_add_loop_test(tcase, many_processors, 0, 2);
    tcase_add_test(tcase, pages_out);
    tcase_add_test(tcase, pages_out_asleep);
    tcase_add_test(tcase, vif);
    tcase_add_test(tcase, vif_asleep);
    tcase_add_test(tcase, under_traffic);
    tcase_add_test(tcase, received_and_sent);
    tcase_add_test(tcase, refused);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
