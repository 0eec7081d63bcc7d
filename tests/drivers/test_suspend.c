/* XENBUS_SUSPEND, and what suspension and resume mean to the other interfaces and to a VIF under traffic. */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

#include <xen/sched.h>
#include <xenstore.h>

#define VCPUS_MAX 4

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

/* Suspend once; the toolstack cancels it, or resumes the guest in a new place. */
static void suspend_once(bool cancelled)
{
    struct stack_resumer resumer = {.cancelled = cancelled, .rounds = 1};
    ULONG count = XENBUS_SUSPEND_CALL(&suspend, GetCount);

    stack_resume_when_suspended(&resumer);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), count + (cancelled ? 0 : 1));
    ck_assert_int_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    stack_await_resumer(&resumer);
    ck_assert_uint_eq(resumer.times, 1);
}

static void use_two_level(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnFifoAbi", 0);
}

/* Run under fifo, and under a few seeds of pct, with 1, 2 and 4 vCPUs (by the loop's index); and by the other ABI of
 * event channels. */
static void over_machines(int index, struct stack_options options, unsigned seeds, void (*scenario)(void *),
                          void *argument)
{
    static const unsigned vcpus[] = {1, 2, VCPUS_MAX};

    options.vcpus = vcpus[index];
    stack_run(&options, scenario, argument);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= seeds; options.seed++)
        stack_run(&options, scenario, argument);
    options.policy = POLICY_FIFO;
    options.prepare = use_two_level;
    stack_run(&options, scenario, argument);
}

#define EACH_MACHINE(name, seeds, ...)                                                                                 \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        over_machines(_i, (struct stack_options){__VA_ARGS__}, seeds, name##_scenario, NULL);                          \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

/* ---- callbacks ---- */

/* What ran, in order: 'e', 'f' for EARLY, 'l', 'm' for LATE. */
static char order[16];
static volatile uint64_t steps[VCPUS_MAX]; /* of the threads that keep the processors busy */
static volatile bool stop_busy;

static uint64_t all_steps(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < VCPUS_MAX; i++)
        sum += steps[i];
    return sum;
}

/* No other processor may take a step while a callback runs. */
static void assert_alone(void)
{
    uint64_t before = all_steps();

    for (unsigned i = 0; i < 20; i++) {
        KeStallExecutionProcessor(10);
        YieldProcessor();
    }
    ck_assert_msg(all_steps() == before, "another processor ran while a callback did");
}

static void note(PVOID argument)
{
    size_t length = strlen(order);

    ck_assert_uint_lt(length, sizeof(order) - 1);
    order[length] = (char)(uintptr_t)argument;
}

static VOID NTAPI early(PVOID argument)
{
    KERNEL_SCOPE();

    ck_assert_int_eq(KeGetCurrentIrql(), HIGH_LEVEL);
    assert_alone();
    note(argument);
}

static VOID NTAPI late(PVOID argument)
{
    KERNEL_SCOPE();
    PSTR buffer;

    ck_assert_int_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    assert_alone();
    ck_assert_int_eq(
        XENBUS_STORE_CALL(&store, Printf, NULL, text("data"), text("late"), "%c", (char)(uintptr_t)argument),
        STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Read, NULL, text("data"), text("late"), &buffer), STATUS_SUCCESS);
    ck_assert_int_eq(buffer[0], (char)(uintptr_t)argument);
    XENBUS_STORE_CALL(&store, Free, buffer);
    assert_alone();
    note(argument);
}

static VOID NTAPI busy(PVOID context)
{
    unsigned vcpu = (unsigned)(uintptr_t)context;

    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << vcpu);
    while (!stop_busy) {
        steps[vcpu]++;
        YieldProcessor();
        if (steps[vcpu] % 16 == 0)
            stack_sleep_us(10);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void register_four(PXENBUS_SUSPEND_CALLBACK callback[4])
{
    static const struct {
        XENBUS_SUSPEND_CALLBACK_TYPE type;
        XENBUS_SUSPEND_FUNCTION function;
        char name;
    } wanted[] = {
        {SUSPEND_CALLBACK_LATE, late, 'l'},
        {SUSPEND_CALLBACK_EARLY, early, 'e'},
        {SUSPEND_CALLBACK_LATE, late, 'm'},
        {SUSPEND_CALLBACK_EARLY, early, 'f'},
    };

    memset(order, 0, sizeof(order));
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, wanted[i].type, wanted[i].function,
                                             (PVOID)(uintptr_t)wanted[i].name, &callback[i]),
                         STATUS_SUCCESS);
}

EACH_MACHINE(completed_runs_callbacks, 3, .drivers = STACK_PROBE)
{
    PXENBUS_SUSPEND_CALLBACK callback[4];
    PKTHREAD thread[VCPUS_MAX];

    begin();
    stop_busy = false;
    memset((void *)(uintptr_t)steps, 0, sizeof(steps));
    register_four(callback);
    for (unsigned i = 0; i < stack.options->vcpus; i++)
        thread[i] = stack_thread(busy, (PVOID)(uintptr_t)i);
    stack_sleep_us(200);
    suspend_once(false);
    ck_assert_str_eq(order, "eflm");
    suspend_once(false);
    ck_assert_str_eq(order, "eflmeflm");
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[1]);
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[2]);
    suspend_once(false);
    ck_assert_str_eq(order, "eflmeflmfl");
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[0]);
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[3]);
    stop_busy = true;
    for (unsigned i = 0; i < stack.options->vcpus; i++)
        stack_join(thread[i]);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Remove, NULL, text("data"), text("late")), STATUS_SUCCESS);
    end();
}

EACH_MACHINE(cancelled_runs_none, 3, .drivers = STACK_PROBE)
{
    PXENBUS_SUSPEND_CALLBACK callback[4];

    begin();
    register_four(callback);
    for (unsigned i = 0; i < 3; i++)
        suspend_once(true);
    ck_assert_str_eq(order, "");
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 0);
    for (unsigned i = 0; i < 4; i++)
        XENBUS_SUSPEND_CALL(&suspend, Deregister, callback[i]);
    end();
}

STACK_TEST(bad_callback_type, .drivers = STACK_PROBE)
{
    PXENBUS_SUSPEND_CALLBACK callback;

    begin();
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, SUSPEND_CALLBACK_TYPE_INVALID, early, NULL, &callback),
                     STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, (XENBUS_SUSPEND_CALLBACK_TYPE)3, early, NULL, &callback),
                     STATUS_INVALID_PARAMETER);
    end();
}

/* ---- the store's watches and transactions ---- */

static bool fired(PKEVENT event, unsigned timeout_ms)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000 * (LONGLONG)timeout_ms};
    bool set = KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout) == STATUS_SUCCESS;

    KeClearEvent(event);
    return set;
}

/* The store forgets a domain's watches when it resumes in a new place: they must be registered again. */
EACH_MACHINE(watches_are_registered_again, 3, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_WATCH watch[2];
    KEVENT event[2];

    begin();
    for (unsigned i = 0; i < 2; i++) {
        KeInitializeEvent(&event[i], NotificationEvent, FALSE);
        ck_assert_int_eq(
            XENBUS_STORE_CALL(&store, WatchAdd, text("data"), text(i == 0 ? "one" : "two"), &event[i], &watch[i]),
            STATUS_SUCCESS);
        ck_assert(fired(&event[i], 1000));
    }
    for (unsigned round = 0; round < 2; round++) {
        suspend_once(false);
        ck_assert_msg(fired(&event[0], 1000), "the watch did not fire after the resume");
        ck_assert(fired(&event[1], 1000));
        stack_sleep_us(5000);
        KeClearEvent(&event[0]);
        KeClearEvent(&event[1]);
        stack_store_write(stack_path("data/one"), round == 0 ? "1" : "2");
        ck_assert_msg(fired(&event[0], 1000), "a watch does not work any more after the resume");
        ck_assert(!fired(&event[1], 10));
        stack_store_write(stack_path("data/two"), round == 0 ? "1" : "2");
        ck_assert(fired(&event[1], 1000));
    }
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchRemove, watch[i]), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/one"));
    stack_store_remove(stack_path("data/two"));
    end();
}

EACH_MACHINE(watches_outlive_a_cancelled_suspend, 1, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_WATCH watch;
    KEVENT event;

    begin();
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchAdd, text("data"), text("one"), &event, &watch), STATUS_SUCCESS);
    ck_assert(fired(&event, 1000));
    suspend_once(true);
    ck_assert_msg(!fired(&event, 10), "a cancelled suspension fired a watch");
    stack_store_write(stack_path("data/one"), "1");
    ck_assert(fired(&event, 1000));
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchRemove, watch), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/one"));
    end();
}

EACH_MACHINE(transaction_across_a_resume, 1, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_TRANSACTION transaction;
    char value[16];

    begin();
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionStart, &transaction), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Printf, transaction, text("data"), text("half"), "1"), STATUS_SUCCESS);
    suspend_once(false);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionEnd, transaction, TRUE), STATUS_RETRY);
    ck_assert(!stack_store_read(stack_path("data/half"), value, sizeof(value)));

    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionStart, &transaction), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Printf, transaction, text("data"), text("half"), "1"), STATUS_SUCCESS);
    suspend_once(true);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionEnd, transaction, TRUE), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Remove, NULL, text("data"), text("half")), STATUS_SUCCESS);
    end();
}

/* ---- event channels and grants: a client gives up the old ones and makes new ones in its callback ---- */

struct peer {
    PXENBUS_EVTCHN_CHANNEL channel;
    volatile ULONG events;      /* the guest's callback ran */
    volatile unsigned notified; /* domain 0's did */
    int port;                   /* domain 0's */
    PXENBUS_GNTTAB_CACHE cache;
    PXENBUS_GNTTAB_ENTRY entry;
    uint8_t *page;
};

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    struct peer *peer = argument;
    KERNEL_SCOPE();

    (void)interrupt;
    peer->events++;
    return TRUE;
}

static void on_notify(void *argument, uint32_t port)
{
    struct peer *peer = argument;

    peer->notified++;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static VOID NTAPI no_lock(PVOID argument)
{
    (void)argument;
}

static void open_all(struct peer *peer)
{
    KIRQL irql;

    peer->channel = XENBUS_EVTCHN_CALL(&evtchn, Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, peer, (USHORT)0, FALSE);
    ck_assert_ptr_nonnull(peer->channel);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)XENBUS_EVTCHN_CALL(&evtchn, Unmask, peer->channel, FALSE, TRUE);
    KeLowerIrql(irql);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, PermitForeignAccess, peer->cache, TRUE, 0,
                                        (PFN_NUMBER)(MmGetPhysicalAddress(peer->page).QuadPart >> PAGE_SHIFT), FALSE,
                                        &peer->entry),
                     STATUS_SUCCESS);
}

static void close_all(struct peer *peer)
{
    XENBUS_EVTCHN_CALL(&evtchn, Close, peer->channel);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, RevokeForeignAccess, peer->cache, TRUE, peer->entry), STATUS_SUCCESS);
}

static VOID NTAPI renew(PVOID argument)
{
    struct peer *peer = argument;
    KERNEL_SCOPE();

    close_all(peer);
    open_all(peer);
}

static bool was_notified(void *argument)
{
    return ((struct peer *)argument)->notified > 0;
}

static bool had_event(void *argument)
{
    return ((struct peer *)argument)->events > 0;
}

static void assert_works(struct peer *peer)
{
    void *address;
    uint32_t handle;
    KIRQL irql;

    peer->port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid,
                                             XENBUS_EVTCHN_CALL(&evtchn, GetPort, peer->channel), on_notify, peer);
    ck_assert_int_gt(peer->port, 0);
    stack_sleep_us(1000);
    peer->events = 0;
    peer->notified = 0;
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)peer->port), 0);
    ck_assert_msg(stack_wait(had_event, peer, 1000), "domain 0's event did not come");
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    XENBUS_EVTCHN_CALL(&evtchn, Send, peer->channel);
    KeLowerIrql(irql);
    ck_assert_msg(stack_wait(was_notified, peer, 1000), "the guest's event did not reach domain 0");

    memset(peer->page, 0x5A, PAGE_SIZE);
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, stack.domain.domid, XENBUS_GNTTAB_CALL(&gnttab, GetReference, peer->entry),
                                   false, &address, &handle),
                     0);
    ck_assert_int_eq(((uint8_t *)address)[17], 0x5A);
    ((uint8_t *)address)[18] = 0x77;
    ck_assert_int_eq(peer->page[18], 0x77);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
}

EACH_MACHINE(channels_and_grants_are_made_again, 2, .drivers = STACK_PROBE)
{
    struct peer *peer = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*peer), STACK_TAG);
    PXENBUS_SUSPEND_CALLBACK callback;

    begin();
    peer->page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, CreateCache, "test", 0, 0, no_lock, no_lock, NULL, &peer->cache),
                     STATUS_SUCCESS);
    open_all(peer);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, SUSPEND_CALLBACK_LATE, renew, peer, &callback),
                     STATUS_SUCCESS);
    assert_works(peer);
    suspend_once(true);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)peer->port), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)peer->port), 0);
    for (unsigned round = 0; round < 2; round++) {
        suspend_once(false);
        assert_works(peer);
        ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)peer->port), 0);
    }
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback);
    close_all(peer);
    XENBUS_GNTTAB_CALL(&gnttab, DestroyCache, peer->cache);
    end();
    ExFreePoolWithTag(peer->page, STACK_TAG);
    ExFreePoolWithTag(peer, STACK_TAG);
}

static struct peer nobody;

static struct {
    PXENBUS_EVTCHN_CHANNEL channel;
    ULONG count;
    volatile NTSTATUS status[2];
} waits;

static VOID NTAPI wait_thread(PVOID index)
{
    waits.status[(uintptr_t)index] = XENBUS_EVTCHN_CALL(&evtchn, Wait, waits.channel, waits.count, NULL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Who waits for an event of a channel without a timeout is told that it went: nothing will come. */
EACH_MACHINE(waits_end_with_their_channel, 2, .drivers = STACK_PROBE)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000};
    PKTHREAD thread[2];
    KIRQL irql;

    begin();
    waits.channel = XENBUS_EVTCHN_CALL(&evtchn, Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, &nobody, (USHORT)0, FALSE);
    waits.count = XENBUS_EVTCHN_CALL(&evtchn, GetCount, waits.channel);
    for (unsigned i = 0; i < 2; i++) {
        waits.status[i] = STATUS_PENDING;
        thread[i] = stack_thread(wait_thread, (PVOID)(uintptr_t)i);
    }
    stack_sleep_us(1000);
    suspend_once(true);
    stack_sleep_us(1000);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(waits.status[i], STATUS_PENDING);
    suspend_once(false);
    for (unsigned i = 0; i < 2; i++) {
        stack_join(thread[i]);
        ck_assert_int_eq(waits.status[i], STATUS_CANCELLED);
    }
    /* Nor is it waited for anew, however that is done. */
    ck_assert_int_eq(XENBUS_EVTCHN_CALL(&evtchn, Wait, waits.channel, waits.count, NULL), STATUS_CANCELLED);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert_int_eq(XENBUS_EVTCHN_CALL(&evtchn, Wait, waits.channel, waits.count, &timeout), STATUS_CANCELLED);
    KeLowerIrql(irql);
    XENBUS_EVTCHN_CALL(&evtchn, Close, waits.channel);
    end();
}

/* ---- a VIF ---- */

#define VIF_STACK .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true

EACH_MACHINE(vif_reconnects, 2, VIF_STACK)
{
    begin();
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, lan, lan);
    ck_assert_uint_eq(stack_netback_connections(0), 1);
    for (unsigned round = 0; round < 2; round++) {
        suspend_once(false);
        stack_wait_connections(0, round + 2);
        stack_carry(0, lan, lan);
    }
    ck_assert_uint_eq(stack_netback_connections(0), 3);
    end();
}

static volatile bool traffic_over;

static VOID NTAPI carry_thread(PVOID unused)
{
    (void)unused;
    stack_carry(0, lan, lan);
    traffic_over = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* FB7: traffic goes on through cancelled suspensions, and not a frame is lost. */
EACH_MACHINE(fb7_vif_through_cancelled, 2, VIF_STACK)
{
    PKTHREAD thread;
    unsigned times = 0;

    begin();
    traffic_over = false;
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    thread = stack_thread(carry_thread, NULL);
    while (!traffic_over) {
        if (times < 20) {
            suspend_once(true);
            times++;
        }
        stack_sleep_us(500);
    }
    stack_join(thread);
    ck_assert_uint_ge(times, 2);
    ck_assert_uint_eq(stack_netback_connections(0), 1);
    end();
}

#define FRAMES 600
#define SUSPENSIONS 3

/* The application's writes, one after the other: what became of each frame of the capture. */
static struct {
    unsigned sent, dropped, retried;
    volatile bool ended;
} writes;

static VOID NTAPI write_thread(PVOID unused)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    (void)unused;
    stack_open("NetClient0", &file, &device);
    for (unsigned i = 0; i < FRAMES;) {
        ULONG done;
        NTSTATUS status;

        memcpy(buffer, lan->frame[i].data, lan->frame[i].length);
        status = stack_transfer(IRP_MJ_WRITE, file, device, buffer, lan->frame[i].length, &done);
        if (status == STATUS_DEVICE_NOT_READY) { /* not taken at all */
            writes.retried++;
            stack_sleep_us(100);
            continue;
        }
        ck_assert_msg(NT_SUCCESS(status) || status == STATUS_NETWORK_UNREACHABLE, "frame %u: status 0x%08X", i,
                      (unsigned)status);
        if (NT_SUCCESS(status))
            writes.sent++;
        else
            writes.dropped++;
        i++;
        stack_sleep_us(20);
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
    writes.ended = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool end_is_through(void *sent)
{
    return stack_end_sent(0) == lan->count && stack_statistics(0).Received == *(uint64_t *)sent;
}

/*
 * Resumed in a new place under traffic both ways. Sent: what was in flight at a suspension (one frame at most here) may
 * be lost, or reported as dropped though it went; nothing else is, and nothing is damaged or out of order. Received: no
 * more than a ring of frames is lost each time.
 */
EACH_MACHINE(vif_through_completed, 2, VIF_STACK)
{
    struct checker_verdict verdict;
    uint64_t got = 0;
    PKTHREAD thread;

    begin();
    memset(&writes, 0, sizeof(writes));
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_end_expect(0, lan);
    stack_end_send(0, lan);
    thread = stack_thread(write_thread, NULL);
    for (unsigned i = 0; i < SUSPENSIONS; i++) {
        stack_sleep_us(300);
        suspend_once(false);
        stack_wait_connections(0, i + 2);
    }
    ck_assert_msg(!writes.ended, "the traffic ended before the last suspension");
    stack_join(thread);
    do {
        got = stack_statistics(0).Received;
        stack_sleep_us(5000);
    } while (!end_is_through(&got));

    verdict = stack_end_verdict(0);
    ck_assert_uint_eq(checker_bad(&verdict), 0);
    ck_assert_uint_eq(writes.sent + writes.dropped, FRAMES);
    ck_assert_uint_le(writes.dropped, SUSPENSIONS);
    ck_assert_msg(verdict.good >= writes.sent, "%u frames were reported as sent, %llu arrived", writes.sent,
                  (unsigned long long)verdict.good);
    ck_assert_uint_eq(stack_read_all(0, lan), got);
    ck_assert_uint_ge(got + SUSPENSIONS * 256, lan->count);

    stack_carry(0, lan, lan);
    end();
}

/* ---- asked for by the toolstack ---- */

static bool counted(void *count)
{
    return XENBUS_SUSPEND_CALL(&suspend, GetCount) == (ULONG)(uintptr_t)count;
}

static void asked(bool cancelled, ULONG count)
{
    struct stack_resumer resumer = {.cancelled = cancelled, .rounds = 1};

    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    ck_assert_msg(stack_wait(counted, (void *)(uintptr_t)count, 5000), "the count is %u and not %u",
                  XENBUS_SUSPEND_CALL(&suspend, GetCount), count);
    stack_store_await(stack_path("control/shutdown"), "", 5000);
}

EACH_MACHINE(toolstack_asks, 2, VIF_STACK)
{
    begin();
    stack_store_await(stack_path("control/feature-suspend"), "1", 1000);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    asked(false, 1);
    stack_wait_connections(0, 2);
    stack_carry(0, lan, lan);
    asked(true, 1);
    asked(false, 2);
    stack_wait_connections(0, 3);
    stack_carry(0, lan, lan);
    end();
}

/* ---- a request that is taken back ---- */

static volatile bool over, has_ended;

/* Resumes the guest whenever it is suspended. */
static void resume_always(void *unused)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    (void)unused;
    ck_assert_ptr_nonnull(toolstack);
    while (!over) {
        if (xen_domain_shutdown_reason(stack.domain.domid) == SHUTDOWN_suspend) {
            ck_assert_int_eq(xen_domain_resume(stack.domain.domid, true), 0);
            ck_assert(toolstack_domain_resumed(toolstack, stack.domain.domid));
        }
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    }
    toolstack_close(toolstack);
    has_ended = true;
}

static bool is_true(void *flag)
{
    return *(volatile bool *)flag;
}

/* So many ns after it has asked the toolstack takes its request back, or asks for something else. */
struct request {
    unsigned after;
    const char *instead;
};

static void ask_and_take_back(void *argument)
{
    const struct request *request = argument;
    struct xs_handle *xs = xs_open(0);
    const char *path = stack_path("control/shutdown");

    ck_assert_ptr_nonnull(xs);
    ck_assert(xs_write(xs, XBT_NULL, path, "suspend", 7));
    (void)task_park(clock_now() + request->after, "a change of mind");
    ck_assert(xs_write(xs, XBT_NULL, path, request->instead, (unsigned)strlen(request->instead)));
    xs_close(xs);
}

/* What it has written then it finds as it left it. */
static void take_back(void *unused)
{
    (void)unused;
    begin();
    over = has_ended = false;
    (void)task_create("resumer", resume_always, NULL);
    for (unsigned i = 0; i < 200; i++) {
        struct request request = {.after = 250 * i, .instead = i % 2 == 0 ? "" : "halt?"};

        stack_in_dom0(ask_and_take_back, &request);
        stack_sleep_us(1000);
        stack_store_await(stack_path("control/shutdown"), request.instead, 1000);
    }
    over = true;
    ck_assert(stack_wait(is_true, (void *)(uintptr_t)&has_ended, 1000));
    stack_store_write(stack_path("control/shutdown"), "");
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 0);
    asked(false, 1);
    end();
}

START_TEST(request_taken_back)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 2, .quiet = true, .policy = POLICY_RANDOM};

    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, take_back, NULL);
}
END_TEST

/* Whoever called for it, the toolstack of the new place is told that suspend is handled here. */
EACH_MACHINE(announced_in_each_place, 1, .drivers = STACK_PROBE)
{
    begin();
    suspend_once(false);
    stack_store_await(stack_path("control/feature-suspend"), "1", 5000);
    asked(false, 2);
    stack_store_await(stack_path("control/feature-suspend"), "1", 5000);
    suspend_once(true);
    suspend_once(false);
    stack_store_await(stack_path("control/feature-suspend"), "1", 5000);
    end();
}

static void no_more_failures(void *unused)
{
    (void)unused;
    fault_suspend();
}

static void ask_short_of_memory(void *unused)
{
    uint64_t before;
    unsigned nth;

    (void)unused;
    fault_suspend();
    begin();
    for (nth = 1;; nth++) {
        struct stack_resumer resumer = {.rounds = 1, .meanwhile = no_more_failures};

        before = fault_injected();
        machine->config.faults.rule[0].nth = nth;
        machine->fault->matched[0] = 0;
        stack_resume_when_suspended(&resumer);
        fault_resume();
        stack_ask_shutdown("suspend");
        stack_await_resumer(&resumer);
        ck_assert_msg(stack_wait(counted, (void *)(uintptr_t)nth, 5000), "the count is %u and not %u",
                      XENBUS_SUSPEND_CALL(&suspend, GetCount), nth);
        stack_store_await(stack_path("control/shutdown"), "", 5000);
        if (fault_injected() == before)
            break;
    }
    ck_assert_uint_gt(nth, 6);
    end();
}

/* One allocation fails between the toolstack's request and the suspend, each in turn: it comes a little later. */
START_TEST(asked_short_of_memory)
{
    static const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .fail = "kind=pool,nth=100000000"};

    stack_run(&options, ask_short_of_memory, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("SUSPEND");
    TCase *tcase = tcase_create("callbacks");

    lan = stack_capture(STACK_LAN);
    tcase_add_loop_test(tcase, completed_runs_callbacks, 0, 3);
    tcase_add_loop_test(tcase, cancelled_runs_none, 0, 3);
    tcase_add_test(tcase, bad_callback_type);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("store");
    tcase_add_loop_test(tcase, watches_are_registered_again, 0, 3);
    tcase_add_loop_test(tcase, watches_outlive_a_cancelled_suspend, 0, 3);
    tcase_add_loop_test(tcase, transaction_across_a_resume, 0, 3);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("channels and grants");
    tcase_add_loop_test(tcase, channels_and_grants_are_made_again, 0, 3);
    tcase_add_loop_test(tcase, waits_end_with_their_channel, 0, 3);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("VIF");
    tcase_add_loop_test(tcase, vif_reconnects, 0, 3);
    tcase_add_loop_test(tcase, fb7_vif_through_cancelled, 0, 3);
    tcase_add_loop_test(tcase, vif_through_completed, 0, 3);
    tcase_add_loop_test(tcase, toolstack_asks, 0, 3);
    tcase_add_loop_test(tcase, announced_in_each_place, 0, 3);
    tcase_add_test(tcase, asked_short_of_memory);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("toolstack");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, request_taken_back);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
