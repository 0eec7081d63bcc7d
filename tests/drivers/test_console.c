/* XENBUS_CONSOLE, with the ring's other end in the place of xenconsoled; and the log's way to it. */
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "xen/hypervisor.h"
#include "xen/xen.h"

#undef XEN_UNPLUG_NICS /* the simulator's mask; the driver's type of device has the same name */
#include "xen.h"

#include <initguid.h>

#include "console_interface.h"
#include "debug_interface.h"
#include "suspend_interface.h"

#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/sched.h>

#define CALL(method, ...) XENBUS_CONSOLE_CALL(&console, method, ##__VA_ARGS__)

static XENBUS_CONSOLE_INTERFACE_V1 console;

/* The daemon. */
static struct {
    struct xencons_interface *ring;
    uint32_t handle;
    int port;
    volatile unsigned notified;
} far;

static void on_notify(void *unused, uint32_t port)
{
    (void)unused;
    far.notified++;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static void daemon_begin(void)
{
    uint64_t port = 0;

    ck_assert_int_eq(
        xen_grant_map(XEN_DOM0, stack.domain.domid, GNTTAB_RESERVED_CONSOLE, false, (void **)&far.ring, &far.handle),
        0);
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_CONSOLE_EVTCHN, &port), 0);
    far.port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, (uint32_t)port, on_notify, NULL);
    ck_assert_int_gt(far.port, 0);
    far.notified = 0;
}

static void daemon_end(void)
{
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)far.port), 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, far.handle), 0);
}

static void daemon_send(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        far.ring->in[MASK_XENCONS_IDX(far.ring->in_prod + i, far.ring->in)] = text[i];
    far.ring->in_prod += (XENCONS_RING_IDX)length;
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)far.port), 0);
}

/* All that the guest has written. */
static size_t daemon_take(char *buffer, size_t size)
{
    size_t length = far.ring->out_prod - far.ring->out_cons;

    ck_assert_uint_le(length, sizeof(far.ring->out));
    ck_assert_uint_lt(length, size);
    for (size_t i = 0; i < length; i++)
        buffer[i] = far.ring->out[MASK_XENCONS_IDX(far.ring->out_cons + i, far.ring->out)];
    buffer[length] = '\0';
    far.ring->out_cons += (XENCONS_RING_IDX)length;
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)far.port), 0);
    return length;
}

static void begin(void)
{
    static char buffer[4096];

    STACK_GET(GUID_XENBUS_CONSOLE_INTERFACE, 1, &console);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    daemon_begin();
    (void)daemon_take(buffer, sizeof(buffer)); /* what was logged before */
}

static void end(void)
{
    daemon_end();
    CALL(Release);
}

static bool was_notified(void *unused)
{
    (void)unused;
    return far.notified != 0;
}

static ULONG write(const char *text, ULONG length)
{
    return CALL(Write, (PSTR)(uintptr_t)text, length);
}

/* ---- data ---- */

STACK_TEST(there_and_back, .drivers = STACK_PROBE)
{
    char buffer[64];

    begin();
    far.notified = 0;
    ck_assert(CALL(CanWrite));
    ck_assert_uint_eq(write("hello", 5), 5);
    ck_assert_msg(stack_wait(was_notified, NULL, 1000), "nobody told the daemon");
    ck_assert_uint_eq(daemon_take(buffer, sizeof(buffer)), 5);
    ck_assert_str_eq(buffer, "hello");

    ck_assert(!CALL(CanRead));
    memset(buffer, '!', sizeof(buffer));
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 0);
    ck_assert_int_eq(buffer[0], '!');
    daemon_send("answer", 6);
    ck_assert(CALL(CanRead));
    far.notified = 0;
    ck_assert_uint_eq(CALL(Read, buffer, 4), 4);
    ck_assert_msg(stack_wait(was_notified, NULL, 1000), "nobody told the daemon of the room");
    ck_assert_int_eq(memcmp(buffer, "answ!!", 6), 0);
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 2);
    ck_assert_int_eq(memcmp(buffer, "er", 2), 0);
    ck_assert(!CALL(CanRead));
    ck_assert_uint_eq(far.ring->in_cons, far.ring->in_prod);
    end();
}

/* Full, it takes no more, and what it took comes out in order, over the ring's end many times. */
STACK_TEST(full_ring, .drivers = STACK_PROBE)
{
    char *text = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3000, STACK_TAG);
    char *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3000, STACK_TAG);

    begin();
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 3000; i++)
            text[i] = (char)('a' + (i + round) % 26);
        ck_assert_uint_eq(write(text, 700), 700);
        ck_assert_uint_eq(write(text + 700, 2300), sizeof(far.ring->out) - 700);
        ck_assert(!CALL(CanWrite));
        ck_assert_uint_eq(write("x", 1), 0);
        ck_assert_uint_eq(daemon_take(buffer, 3000), sizeof(far.ring->out));
        ck_assert_int_eq(memcmp(buffer, text, sizeof(far.ring->out)), 0);
        ck_assert(CALL(CanWrite));
        daemon_send(text, sizeof(far.ring->in));
        ck_assert_uint_eq(CALL(Read, buffer, 3000), sizeof(far.ring->in));
        ck_assert_int_eq(memcmp(buffer, text, sizeof(far.ring->in)), 0);
    }
    end();
    ExFreePoolWithTag(text, STACK_TAG);
    ExFreePoolWithTag(buffer, STACK_TAG);
}

/* Indices that cannot be: nothing is read or written beyond the ring, and sane ones make it work again. */
STACK_TEST(broken_indices, .drivers = STACK_PROBE)
{
    char buffer[64];
    XENCONS_RING_IDX in_prod;
    XENCONS_RING_IDX out_cons;

    begin();
    in_prod = far.ring->in_prod;
    out_cons = far.ring->out_cons;
    far.ring->in_prod = far.ring->in_cons + sizeof(far.ring->in) + 1;
    ck_assert(!CALL(CanRead));
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 0);
    far.ring->in_prod = far.ring->in_cons - 1;
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 0);
    far.ring->out_cons = far.ring->out_prod + 1;
    ck_assert(!CALL(CanWrite));
    ck_assert_uint_eq(write("text", 4), 0);
    far.ring->out_cons = far.ring->out_prod - sizeof(far.ring->out) - 1;
    ck_assert_uint_eq(write("text", 4), 0);
    far.ring->in_prod = in_prod;
    far.ring->out_cons = out_cons;
    ck_assert_uint_eq(write("text", 4), 4);
    daemon_send("abc", 3);
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 3);
    end();
}

STACK_TEST(at_dispatch_level, .drivers = STACK_PROBE)
{
    char buffer[8];
    KIRQL irql;

    begin();
    daemon_send("abc", 3);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert(CALL(CanRead));
    ck_assert(CALL(CanWrite));
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 3);
    ck_assert_uint_eq(write("def", 3), 3);
    ck_assert_int_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(irql);
    end();
}

/* ---- wakeups ---- */

static NTSTATUS wait_for(PKEVENT event)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000 * 20};

    return KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout);
}

STACK_TEST(wakeups, .drivers = STACK_PROBE)
{
    KEVENT *event = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * sizeof(*event), STACK_TAG);
    PXENBUS_CONSOLE_WAKEUP wakeup[2];
    char buffer[8];

    begin();
    for (unsigned i = 0; i < 2; i++) {
        KeInitializeEvent(&event[i], SynchronizationEvent, FALSE);
        ck_assert_int_eq(CALL(WakeupAdd, &event[i], &wakeup[i]), STATUS_SUCCESS);
    }
    (void)wait_for(&event[0]);
    (void)wait_for(&event[1]);
    ck_assert_int_eq(wait_for(&event[0]), STATUS_TIMEOUT);
    daemon_send("abc", 3);
    ck_assert_int_eq(wait_for(&event[0]), STATUS_SUCCESS);
    ck_assert_int_eq(wait_for(&event[1]), STATUS_SUCCESS);
    CALL(WakeupRemove, wakeup[0]);
    (void)daemon_take(buffer, sizeof(buffer)); /* that there is room is news too */
    ck_assert_int_eq(wait_for(&event[1]), STATUS_SUCCESS);
    ck_assert_int_eq(wait_for(&event[0]), STATUS_TIMEOUT);
    CALL(WakeupRemove, wakeup[1]);
    end();
    ExFreePoolWithTag(event, STACK_TAG);
}

/* ---- suspension ---- */

static void resumes(void *unused)
{
    struct stack_resumer resumer = {.rounds = 1};
    XENBUS_SUSPEND_INTERFACE_V1 suspend;
    char buffer[64];

    (void)unused;
    begin();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    ck_assert_uint_eq(write("before", 6), 6);
    stack_resume_when_suspended(&resumer);
    daemon_end();
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    stack_await_resumer(&resumer);
    daemon_begin();
    ck_assert_uint_eq(write(", after", 7), 7);
    ck_assert_msg(stack_wait(was_notified, NULL, 1000), "nobody told the daemon");
    ck_assert_uint_eq(daemon_take(buffer, sizeof(buffer)), 13);
    ck_assert_str_eq(buffer, "before, after");
    daemon_send("back", 4);
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 4);
    XENBUS_SUSPEND_CALL(&suspend, Release);
    end();
}

static void log_nothing(void)
{
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", NULL, 0);
}

START_TEST(resumed)
{
    struct stack_options options = {.drivers = STACK_PROBE, .prepare = log_nothing, .vcpus = 2};

    stack_run(&options, resumes, NULL);
    options.policy = POLICY_PCT;
    stack_run(&options, resumes, NULL);
}
END_TEST

/* ---- a ring that moves, or goes ---- */

static struct xencons_interface *elsewhere; /* NULL: nowhere */

static void move_ring(void *unused)
{
    struct domain *domain = domain_find(stack.domain.domid);

    (void)unused;
    while (xen_domain_shutdown_reason(stack.domain.domid) != SHUTDOWN_suspend || !xen_domain_stands(stack.domain.domid))
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    domain->param[HVM_PARAM_CONSOLE_PFN] =
        elsewhere == NULL ? 0 : (uint64_t)MmGetPhysicalAddress(elsewhere).QuadPart >> PAGE_SHIFT;
    ck_assert(toolstack_domain_resumed(stack.toolstack, stack.domain.domid));
    ck_assert_int_eq(xen_domain_resume(stack.domain.domid, false), 0);
}

/* Resumed in its place, the guest finds its console elsewhere, and then nowhere. */
STACK_TEST(ring_moves, .drivers = STACK_PROBE, .prepare = log_nothing, .quiet = true,
           .fail = "call=MmMapIoSpace,nth=100000000")
{
    const PHYSICAL_ADDRESS highest = {.QuadPart = -1};
    struct xencons_interface *page = MmAllocateContiguousMemory(2 * PAGE_SIZE, highest);
    XENBUS_SUSPEND_INTERFACE_V1 suspend;

    fault_suspend();
    begin();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    memset(page, 0, PAGE_SIZE);
    elsewhere = page;
    (void)task_create("resumer", move_ring, NULL);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    ck_assert_uint_eq(write("moved", 5), 5);
    ck_assert_uint_eq(page->out_prod, 5);
    ck_assert_int_eq(memcmp(page->out, "moved", 5), 0);

    /* There is no room to map it, and the next time there is. */
    elsewhere = (struct xencons_interface *)((PUCHAR)page + PAGE_SIZE);
    machine->config.faults.rule[0].nth = 1;
    machine->fault->matched[0] = 0;
    (void)task_create("resumer", move_ring, NULL);
    fault_resume();
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    fault_suspend();
    ck_assert_uint_eq(fault_injected(), 1);
    ck_assert(!CALL(CanWrite));
    elsewhere = page;
    (void)task_create("resumer", move_ring, NULL);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    ck_assert(CALL(CanWrite));

    elsewhere = NULL;
    (void)task_create("resumer", move_ring, NULL);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    ck_assert(!CALL(CanWrite));
    ck_assert_uint_eq(write("lost", 4), 0);
    ck_assert_uint_eq(page->out_prod, 5);
    XENBUS_SUSPEND_CALL(&suspend, Release);
    end();
    MmFreeContiguousMemory(page);
}

/* ---- the log ---- */

static VOID NTAPI report(PVOID argument, BOOLEAN crashing)
{
    XENBUS_DEBUG_INTERFACE_V1 *debug = argument;

    (void)crashing;
    XENBUS_DEBUG_CALL(debug, Printf, "said at %s", "HIGH_LEVEL");
}

static void log_information(void)
{
    static const char *const levels[] = {"INFO"};

    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "ConsoleLogLevel", levels, 1);
}

/* Have something logged as information. */
static void log_line_of_debug(void)
{
    static XENBUS_DEBUG_INTERFACE_V1 debug;
    PXENBUS_DEBUG_CALLBACK callback;

    STACK_GET(GUID_XENBUS_DEBUG_INTERFACE, 1, &debug);
    ck_assert_int_eq(XENBUS_DEBUG_CALL(&debug, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_DEBUG_CALL(&debug, Register, (PSTR)(uintptr_t) "TEST", report, &debug, &callback),
                     STATUS_SUCCESS);
    XENBUS_DEBUG_CALL(&debug, Trigger, callback);
    XENBUS_DEBUG_CALL(&debug, Deregister, callback);
    XENBUS_DEBUG_CALL(&debug, Release);
}

STACK_TEST(log_goes_to_the_console, .drivers = STACK_PROBE, .prepare = log_information)
{
    char *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4096, STACK_TAG);

    begin();
    far.notified = 0;
    log_line_of_debug();
    ck_assert_msg(stack_wait(was_notified, NULL, 1000), "nobody told the daemon");
    (void)daemon_take(buffer, 4096);
    ck_assert_msg(strstr(buffer, "TEST: said at HIGH_LEVEL\r\n") != NULL, "the console has: %s", buffer);

    /* With no room for the whole line there is none of it. */
    while (CALL(CanWrite))
        (void)write("....................", 20);
    far.ring->out_cons += 10;
    log_line_of_debug();
    ck_assert_uint_eq(far.ring->out_prod - far.ring->out_cons, sizeof(far.ring->out) - 10);
    (void)daemon_take(buffer, 4096);
    ck_assert_ptr_null(strstr(buffer, "TEST"));
    log_line_of_debug();
    (void)daemon_take(buffer, 4096);
    ck_assert_ptr_nonnull(strstr(buffer, "TEST: said"));
    end();
    ExFreePoolWithTag(buffer, STACK_TAG);
}

STACK_TEST(log_keeps_off_the_console, .drivers = STACK_PROBE, .prepare = log_nothing)
{
    char *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4096, STACK_TAG);

    STACK_GET(GUID_XENBUS_CONSOLE_INTERFACE, 1, &console);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    daemon_begin();
    log_line_of_debug();
    ck_assert_uint_eq(daemon_take(buffer, 4096), 0);
    end();
    ExFreePoolWithTag(buffer, STACK_TAG);
}

/* ---- a domain without a console ---- */

static void no_console(void)
{
    struct domain *domain = domain_find(stack.domain.domid);

    ck_assert_ptr_nonnull(domain);
    domain->param[HVM_PARAM_CONSOLE_PFN] = 0;
}

static void before_boot(void *unused)
{
    (void)unused;
    no_console();
}

/* There is nothing to read, and nobody takes what is written; the interface is there, and the bus works. */
STACK_TEST(none_at_all, .drivers = STACK_PROBE, .before_boot = before_boot)
{
    PXENBUS_CONSOLE_WAKEUP wakeup;
    char buffer[8] = "as it is";
    KEVENT event;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    STACK_GET(GUID_XENBUS_CONSOLE_INTERFACE, 1, &console);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert(!CALL(CanRead));
    ck_assert(!CALL(CanWrite));
    ck_assert_uint_eq(CALL(Read, buffer, sizeof(buffer)), 0);
    ck_assert_int_eq(memcmp(buffer, "as it is", sizeof(buffer)), 0);
    ck_assert_uint_eq(write("nothing", 7), 0);
    ck_assert_int_eq(CALL(WakeupAdd, &event, &wakeup), STATUS_SUCCESS);
    CALL(WakeupRemove, wakeup);
    CALL(Release);
}

/* ---- a log with no place for it ---- */

#define PLATFORM "PCI\\VEN_5853&DEV_0001"

static VOID NTAPI no_line(PVOID unused, PCSTR line, ULONG length)
{
    (void)unused;
    (void)line;
    (void)length;
}

/* The bus comes anew while others have all the log's dispositions but so many. */
static void restart_with_dispositions(unsigned free)
{
    PXEN_LOG_DISPOSITION disposition[32]; /* more than the log has */
    struct devnode *parent = pnp_parent(stack_device(PLATFORM));
    unsigned count = 0;

    ck_assert_int_eq(pnp_remove_device(stack_device(PLATFORM), false), STATUS_SUCCESS);
    while (count < ARRAYSIZE(disposition) &&
           STACK_XEN(XenLogAddDisposition, XEN_LOG_CRITICAL, no_line, NULL, &disposition[count]) == STATUS_SUCCESS)
        count++;
    ck_assert_uint_ge(count, free);
    ck_assert_uint_lt(count, ARRAYSIZE(disposition));
    for (; free != 0; free--)
        STACK_XEN(XenLogRemoveDisposition, disposition[--count]);
    (void)pnp_rescan(parent);
    pnp_wait_quiet();
    while (count != 0)
        STACK_XEN(XenLogRemoveDisposition, disposition[--count]);
}

/* Others have all the log's dispositions: the bus starts, and only the log does not go to its console. */
STACK_TEST(no_place_in_the_log, .drivers = STACK_PROBE | STACK_XENFILT, .quiet = true, .prepare = log_information)
{
    char *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4096, STACK_TAG);

    for (unsigned free = 0; free < 2; free++) {
        restart_with_dispositions(free);
        ck_assert(stack_device_started(PLATFORM));
        STACK_ASSERT_LOGGED("the log does not go to the console (c000009a)");
        begin();
        log_line_of_debug();
        (void)daemon_take(buffer, 4096);
        ck_assert_int_eq(strstr(buffer, "TEST: said at HIGH_LEVEL") != NULL, free != 0);
        end();
    }
    ExFreePoolWithTag(buffer, STACK_TAG);
}

int main(void)
{
    Suite *suite = suite_create("CONSOLE");
    TCase *tcase = tcase_create("console");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, there_and_back);
    tcase_add_test(tcase, full_ring);
    tcase_add_test(tcase, broken_indices);
    tcase_add_test(tcase, at_dispatch_level);
    tcase_add_test(tcase, wakeups);
    tcase_add_test(tcase, resumed);
    tcase_add_test(tcase, log_goes_to_the_console);
    tcase_add_test(tcase, log_keeps_off_the_console);
    tcase_add_test(tcase, none_at_all);
    tcase_add_test(tcase, ring_moves);
    tcase_add_test(tcase, no_place_in_the_log);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
