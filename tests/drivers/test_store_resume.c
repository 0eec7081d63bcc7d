/*
 * XENBUS_STORE across a resume, before a store daemon that the test plays in a dom0 task: what it answers when it is
 * asked for everything once more, messages that were on their way, a ring that moves, and requests that nobody has
 * answered when the guest hibernates or the bus goes.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/xen.h"

#undef XEN_UNPLUG_NICS /* the simulator's mask; the driver's type of device has the same name */
#include "xen.h"

#include <initguid.h>

#include "store_interface.h"
#include "suspend_interface.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/io/xs_wire.h>
#include <xen/sched.h>

#define CALL(method, ...) XENBUS_STORE_CALL(&store, method, ##__VA_ARGS__)

#define PLATFORM "PCI\\VEN_5853&DEV_0001"

static XENBUS_STORE_INTERFACE_V2 store;
static XENBUS_SUSPEND_INTERFACE_V1 suspend;

/* ---- the daemon ---- */

struct message {
    struct xsd_sockmsg header;
    char payload[XENSTORE_PAYLOAD_MAX + 1];
};

static struct {
    struct xenstore_domain_interface *ring;
    uint32_t handle;
    volatile bool mute; /* takes nothing */
    struct message request;
    const char *to_watches; /* the error that it answers XS_WATCH with; NULL: none */
    const char *refused;    /* of this path alone, */
    unsigned refusals;      /* so often, and is counted */
    unsigned asked_for;
    bool (*answers)(void); /* answers what it wants to answer; may be NULL */
    int port;              /* of domain 0, to tell the guest of answers; 0: it finds them by itself */
    char token[16];        /* of the watch on control/shutdown */
    volatile bool fire;    /* that watch */
    void (*meanwhile)(void);
    volatile bool resumed;
} far;

static void put(const void *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        far.ring->rsp[MASK_XENSTORE_IDX(far.ring->rsp_prod + i)] = ((const char *)bytes)[i];
    __atomic_store_n(&far.ring->rsp_prod, far.ring->rsp_prod + count, __ATOMIC_RELEASE);
}

static void put_message(uint32_t type, uint32_t id, const char *payload)
{
    struct xsd_sockmsg header = {.type = type, .req_id = id, .len = (uint32_t)strlen(payload) + 1};

    put(&header, sizeof(header));
    put(payload, header.len);
}

static uint32_t waiting(void)
{
    return __atomic_load_n(&far.ring->req_prod, __ATOMIC_ACQUIRE) - far.ring->req_cons;
}

static void peek(void *buffer, uint32_t offset, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ((char *)buffer)[i] = far.ring->req[MASK_XENSTORE_IDX(far.ring->req_cons + offset + i)];
}

/* A whole request, if there is one. */
static bool take_request(void)
{
    struct message *request = &far.request;

    if (waiting() < sizeof(request->header))
        return false;
    peek(&request->header, 0, sizeof(request->header));
    if (waiting() < sizeof(request->header) + request->header.len)
        return false;
    peek(request->payload, sizeof(request->header), request->header.len);
    __atomic_store_n(&far.ring->req_cons, far.ring->req_cons + (uint32_t)sizeof(request->header) + request->header.len,
                     __ATOMIC_RELEASE);
    return true;
}

static void answer_request(void)
{
    const struct xsd_sockmsg *header = &far.request.header;

    if (header->type == XS_WATCH && strcmp(far.request.payload, "control/shutdown") == 0)
        snprintf(far.token, sizeof(far.token), "%.8s", far.request.payload + sizeof("control/shutdown"));
    if (far.answers != NULL && far.answers())
        return;
    if (header->type == XS_WATCH && far.refused != NULL) {
        bool meant = strcmp(far.request.payload, far.refused) == 0;

        far.asked_for += meant;
        if (meant && far.asked_for <= far.refusals)
            put_message(XS_ERROR, header->req_id, far.to_watches);
        else
            put_message(XS_WATCH, header->req_id, "OK");
        return;
    }
    if (header->type == XS_WATCH && far.to_watches != NULL)
        put_message(XS_ERROR, header->req_id, far.to_watches);
    else if (header->type == XS_RESET_WATCHES || header->type == XS_DIRECTORY)
        put_message(XS_ERROR, header->req_id, header->type == XS_DIRECTORY ? "ENOENT" : "ENOSYS");
    else
        put_message(header->type, header->req_id, header->type == XS_TRANSACTION_START ? "7" : "OK");
}

static void fire_watch(void)
{
    char payload[sizeof("control/shutdown") + sizeof(far.token)];
    struct xsd_sockmsg header = {.type = XS_WATCH_EVENT};

    header.len = (uint32_t)snprintf(payload, sizeof(payload), "control/shutdown%c%s", '\0', far.token) + 1;
    put(&header, sizeof(header));
    put(payload, header.len);
}

static void daemon_main(void *unused)
{
    (void)unused;
    for (;;) {
        uint32_t before = far.ring->rsp_prod;

        if (!far.mute && take_request())
            answer_request();
        if (far.fire)
            fire_watch();
        far.fire = false;
        if (far.port != 0 && far.ring->rsp_prod != before)
            ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)far.port), 0);
        (void)task_park(clock_now() + 20000, "requests");
    }
}

/* The daemon that is there hears of nothing any more, and this is another. */
static void take_over(void)
{
    struct evtchn_status status = {.dom = DOMID_SELF};
    uint64_t port = 0;

    memset(&far, 0, sizeof(far));
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    status.port = (uint32_t)port;
    ck_assert_int_eq(stack_event_op(EVTCHNOP_status, &status, sizeof(status)), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, status.u.interdomain.port), 0);
    ck_assert_int_eq(
        xen_grant_map(XEN_DOM0, stack.domain.domid, GNTTAB_RESERVED_XENSTORE, false, (void **)&far.ring, &far.handle),
        0);
    (void)task_create("daemon", daemon_main, NULL);
}

/* There is no daemon any more that could take the guest down in order. */
static void leave(void)
{
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, far.handle), 0);
    machine_stop();
}

static void resumer_main(void *unused)
{
    (void)unused;
    while (xen_domain_shutdown_reason(stack.domain.domid) != SHUTDOWN_suspend || !xen_domain_stands(stack.domain.domid))
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    if (far.meanwhile != NULL)
        far.meanwhile();
    ck_assert_int_eq(xen_domain_resume(stack.domain.domid, false), 0);
    far.resumed = true;
}

/* Resumed in its place, where the guest takes itself for restored. */
static void suspend_in_place(void (*meanwhile)(void))
{
    far.meanwhile = meanwhile;
    far.resumed = false;
    (void)task_create("resumer", resumer_main, NULL);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
}

static void assert_answered(void)
{
    PSTR value;

    ck_assert_int_eq(CALL(Read, NULL, NULL, (PSTR) "vm", &value), STATUS_SUCCESS);
    ck_assert_str_eq(value, "OK");
    CALL(Free, value);
}

/* ---- what the daemon says of watches ---- */

static bool is_set(void *event)
{
    CALL(Poll);
    return KeReadStateEvent(event) != 0;
}

/*
 * An old daemon does not know how watches are reset, and says that a watch is there: what has changed meanwhile nobody
 * knows, so that its event is set. One that does not take the watch has lost it.
 */
STACK_TEST(watches_after_a_resume, .drivers = STACK_PROBE, .quiet = true)
{
    KEVENT *event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    PXENBUS_STORE_WATCH watch;

    take_over();
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_int_eq(CALL(WatchAdd, (PSTR) "data", (PSTR) "watched", event, &watch), STATUS_SUCCESS);
    ck_assert_int_eq(KeReadStateEvent(event), 0);
    suspend_in_place(NULL);
    assert_answered();
    ck_assert_int_eq(KeReadStateEvent(event), 0);
    far.to_watches = "EEXIST";
    suspend_in_place(NULL);
    ck_assert_msg(stack_wait(is_set, event, 1000), "the watch's event is not set");
    KeClearEvent(event);
    assert_answered();
    far.to_watches = "EINVAL";
    suspend_in_place(NULL);
    assert_answered();
    ck_assert_int_eq(KeReadStateEvent(event), 0);
    STACK_ASSERT_LOGGED("data/watched is not watched any more");
    ck_assert_int_eq(CALL(WatchRemove, watch), STATUS_SUCCESS);
    leave();
}

/* A watch that is refused for a moment is not lost, and is not asked for without end or pause. */
static const char *const momentary[] = {"ENOMEM", "EAGAIN", "EBUSY", "ENOSPC"};

static bool is_asked_for(void *times)
{
    CALL(Poll);
    return far.asked_for == *(unsigned *)times;
}

static void refuse_watch(unsigned refusals)
{
    far.asked_for = 0;
    far.refusals = refusals;
    suspend_in_place(NULL);
}

static void refuse_for_a_moment(void *error)
{
    KEVENT *event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    PXENBUS_STORE_WATCH watch;
    unsigned wanted;

    take_over();
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_int_eq(CALL(WatchAdd, (PSTR) "data", (PSTR) "watched", event, &watch), STATUS_SUCCESS);
    far.refused = "data/watched";
    far.to_watches = error;

    refuse_watch(3);
    wanted = 1;
    ck_assert(stack_wait(is_asked_for, &wanted, 1000));
    stack_sleep_us(300000);
    CALL(Poll);
    ck_assert_uint_eq(far.asked_for, 1);
    wanted = 4;
    ck_assert_msg(stack_wait(is_asked_for, &wanted, 3000), "the watch was asked for %u times", far.asked_for);
    stack_sleep_us(2000000);
    CALL(Poll);
    ck_assert_uint_eq(far.asked_for, 4);

    /* The last time that it is tried; and one time more than that. */
    wanted = 16;
    refuse_watch(15);
    ck_assert_msg(stack_wait(is_asked_for, &wanted, 20000), "the watch was asked for %u times", far.asked_for);
    stack_sleep_us(2000000);
    CALL(Poll);
    ck_assert(!stack_is_logged("is not watched any more"));
    refuse_watch(20);
    ck_assert_msg(stack_wait(is_asked_for, &wanted, 20000), "the watch was asked for %u times", far.asked_for);
    stack_sleep_us(2000000);
    CALL(Poll);
    STACK_ASSERT_LOGGED("data/watched is not watched any more");
    ck_assert_uint_eq(far.asked_for, 16);

    /* Taken away while it is refused: nobody asks for it any more. */
    refuse_watch(20);
    wanted = 2;
    ck_assert(stack_wait(is_asked_for, &wanted, 3000));
    (void)CALL(WatchRemove, watch);
    stack_sleep_us(2000000);
    CALL(Poll);
    ck_assert_uint_eq(far.asked_for, 2);
    leave();
}

START_TEST(watch_refused_for_a_moment)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    stack_run(&options, refuse_for_a_moment, (void *)(uintptr_t)momentary[_i]);
}
END_TEST

/* ---- what it says of the announcement ---- */

static const struct {
    const char *error;
    bool of_the_moment;
} to_announcement[] = {{"EINVAL", false}, {"EROFS", false}, {"EISDIR", false}, {"EACCES", false}, {"EIO", false},
                       {"ENOMEM", true},  {"EAGAIN", true}, {"EBUSY", true},   {"ENOSPC", true}};

static unsigned announced;
static const char *refusal;

static bool refuses_announcement(void)
{
    const struct xsd_sockmsg *header = &far.request.header;

    if (header->type != XS_WRITE || strcmp(far.request.payload, "control/feature-suspend") != 0)
        return false;
    announced++;
    put_message(XS_ERROR, header->req_id, refusal);
    return true;
}

#define NOT_WRITTEN "control/feature-suspend cannot be written"
#define WRITTEN "control/feature-suspend is written after all"

static bool announcement_is_refused(void *unused)
{
    (void)unused;
    CALL(Poll);
    return stack_is_logged(NOT_WRITTEN);
}

static void poll_for_seconds(unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 100; i++) {
        CALL(Poll);
        stack_sleep_us(10000);
    }
}

/*
 * That suspend is handled here is not told again and again to a store that will not hear of it, and the log hears once
 * of each place where it is not told, and once that it is.
 */
static void refuse_announcement(void *of_the_moment)
{
    unsigned once;

    announced = 0;
    take_over();
    far.answers = refuses_announcement;
    suspend_in_place(NULL);
    assert_answered();
    far.fire = true;
    ck_assert(stack_wait(announcement_is_refused, NULL, 1000));
    once = stack_times_logged(NOT_WRITTEN);
    poll_for_seconds(5);
    ck_assert_uint_eq(stack_times_logged(NOT_WRITTEN), once);
    ck_assert_uint_eq(stack_times_logged(WRITTEN), 0);
    if (of_the_moment != NULL) {
        ck_assert_msg(announced >= 4, "%s: announced %u times", refusal, announced);
        suspend_in_place(NULL);
        far.fire = true;
        poll_for_seconds(3);
        ck_assert_uint_eq(stack_times_logged(NOT_WRITTEN), 2 * once);
        far.answers = NULL;
        poll_for_seconds(3);
        ck_assert_uint_eq(stack_times_logged(NOT_WRITTEN), 2 * once);
        ck_assert_uint_eq(stack_times_logged(WRITTEN), once);
    } else {
        ck_assert_msg(announced == 1, "%s: announced %u times", refusal, announced);
    }
    leave();
}

START_TEST(announcement_refused)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    refusal = to_announcement[_i].error;
    stack_run(&options, refuse_announcement, to_announcement[_i].of_the_moment ? (void *)(uintptr_t)refusal : NULL);
}
END_TEST

/* ---- a message on its way ---- */

static const struct xsd_sockmsg begun = {.type = XS_WATCH_EVENT, .len = 8};

static void begin_message(void)
{
    put(&begun, 10);
}

static void finish_message(void *unused)
{
    (void)unused;
    while (!far.resumed)
        (void)task_park(clock_now() + 20000, "the resume");
    (void)task_park(clock_now() + 30000000, "a while");
    put((const char *)&begun + 10, sizeof(begun) - 10);
    put("a\0FFFFF\0", 8);
}

/* Half a message is there: the other half comes, or never does. */
static void half_a_message(void *comes)
{
    take_over();
    if (comes != NULL)
        (void)task_create("finisher", finish_message, NULL);
    suspend_in_place(begin_message);
    assert_answered();
    ck_assert_uint_eq(far.ring->rsp_cons, far.ring->rsp_prod);
    ck_assert_int_eq(stack_is_logged("of a message of the old store daemon are dropped"), comes == NULL);
    leave();
}

START_TEST(message_on_its_way)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    stack_run(&options, half_a_message, _i == 0 ? NULL : &far);
}
END_TEST

/* ---- a ring that moves ---- */

static struct xenstore_domain_interface *elsewhere;

static void move_ring(void)
{
    struct domain *domain = domain_find(stack.domain.domid);

    domain->param[HVM_PARAM_STORE_PFN] = (uint64_t)MmGetPhysicalAddress(elsewhere).QuadPart >> PAGE_SHIFT;
    far.ring = elsewhere;
}

STACK_TEST(ring_moves, .drivers = STACK_PROBE, .quiet = true)
{
    const PHYSICAL_ADDRESS highest = {.QuadPart = -1};

    take_over();
    elsewhere = MmAllocateContiguousMemory(PAGE_SIZE, highest);
    memset(elsewhere, 0, PAGE_SIZE);
    suspend_in_place(move_ring);
    assert_answered();
    ck_assert_uint_ne(elsewhere->req_cons, 0);
    leave();
}

static void lose_ring(void)
{
    domain_find(stack.domain.domid)->param[HVM_PARAM_STORE_PFN] = 0;
}

static void resume_without_ring(void *unused)
{
    (void)unused;
    take_over();
    suspend_in_place(lose_ring);
}

/* Nobody could do anything without the store. */
START_TEST(ring_is_gone)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};
    const struct failure *failure = stack_must_fail(&options, resume_without_ring, NULL, "bugcheck");

    ck_assert_str_eq(failure->driver, "xenbus");
    STACK_ASSERT_LOGGED("no store ring after a resume");
}
END_TEST

static void boot_without_ring(void *unused)
{
    (void)unused;
    lose_ring();
}

/* A domain without a store has no bus. */
STACK_TEST(no_ring, .drivers = STACK_XENFILT, .quiet = true, .before_boot = boot_without_ring)
{
    ck_assert(!stack_device_started(PLATFORM));
    STACK_ASSERT_LOGGED("no ring");
}

/* ---- a port that is not to be had ---- */

/*
 * The daemon answers without being called, so that the guest can be suspended once more: that resume has the port, and
 * there is no attempt after it.
 */
STACK_TEST(port_comes_with_a_resume, .drivers = STACK_PROBE, .quiet = true,
           .fail = "call=EVTCHNOP_alloc_unbound,nth=100000000")
{
    uint64_t calls;

    fault_suspend();
    take_over();
    machine->config.faults.rule[0].nth = 0;
    fault_resume();
    suspend_in_place(NULL);
    STACK_ASSERT_LOGGED("XenStore has no event channel after a resume");
    assert_answered();
    fault_suspend();
    suspend_in_place(NULL);
    machine->config.faults.rule[0].nth = 100000000;
    machine->fault->matched[0] = 0;
    fault_resume();
    stack_sleep_us(3000000);
    calls = machine->fault->matched[0];
    fault_suspend();
    ck_assert_uint_eq(calls, 0);
    ck_assert(!stack_is_logged("XenStore has an event channel again"));
    assert_answered();
    leave();
}

/* ---- requests that nobody has answered ---- */

struct client {
    PKTHREAD thread;
    void (*run)(struct client *client);
    NTSTATUS status;
    PXENBUS_STORE_TRANSACTION transaction;
    PXENBUS_STORE_WATCH watch;
    KEVENT event;
    PSTR value;
};

static VOID NTAPI client_thread(PVOID context)
{
    struct client *client = context;

    client->run(client);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static struct client *client_start(void (*run)(struct client *client), PXENBUS_STORE_TRANSACTION transaction)
{
    struct client *client = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*client), STACK_TAG);

    client->run = run;
    client->transaction = transaction;
    KeInitializeEvent(&client->event, NotificationEvent, FALSE);
    client->thread = stack_thread(client_thread, client);
    return client;
}

static void client_ends(struct client *client, NTSTATUS status)
{
    stack_join(client->thread);
    ck_assert_msg(client->status == status, "status %08x instead of %08x", (unsigned)client->status, (unsigned)status);
    ExFreePoolWithTag(client, STACK_TAG);
}

static void write_in_transaction(struct client *client)
{
    client->status = CALL(Printf, client->transaction, NULL, (PSTR) "data/half", "1");
}

static void watch(struct client *client)
{
    client->status = CALL(WatchAdd, NULL, (PSTR) "data/watched", &client->event, &client->watch);
}

static void read(struct client *client)
{
    client->status = CALL(Read, NULL, NULL, (PSTR) "vm", &client->value);
}

static void start_transaction(struct client *client)
{
    client->status = CALL(TransactionStart, &client->transaction);
}

static void turn_off(void)
{
    xen_guest_ends(false);
}

/* Whose watch goes first of all when the guest hibernates, and nobody answers that. */
static void without_balloon(void)
{
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, "XEN:BALLOON=OFF");
}

/*
 * The guest hibernates before the daemon has answered: under the next one a request is made once more, unless it
 * belongs to a transaction, which has gone with the old one; a transaction that is begun by then is one of the new.
 */
STACK_TEST(hibernates_unanswered, .drivers = STACK_PROBE, .quiet = true, .prepare = without_balloon)
{
    struct stack_resumer resumer = {.from_disk = true, .rounds = 1};
    PXENBUS_STORE_TRANSACTION transaction;
    struct client *writer, *watcher, *reader, *starter;
    PXENBUS_STORE_TRANSACTION begun_late;
    PXENBUS_STORE_WATCH added;

    take_over();
    ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_SUCCESS);
    far.mute = true;
    writer = client_start(write_in_transaction, transaction);
    watcher = client_start(watch, NULL);
    reader = client_start(read, NULL);
    starter = client_start(start_transaction, NULL);
    stack_sleep_us(1000);
    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
    STACK_ASSERT_LOGGED("requests are under way");
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, far.handle), 0);
    stack_resume_when_suspended(&resumer);
    po_with_processors_held(turn_off);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    stack_await_resumer(&resumer);
    client_ends(writer, STATUS_RETRY);
    stack_join(watcher->thread);
    ck_assert_int_eq(watcher->status, STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(&watcher->event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    KeClearEvent(&watcher->event);
    stack_store_write(stack_path("data/watched"), "1");
    ck_assert_int_eq(KeWaitForSingleObject(&watcher->event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    added = watcher->watch;
    ck_assert_int_eq(CALL(WatchRemove, added), STATUS_SUCCESS);
    ExFreePoolWithTag(watcher, STACK_TAG);
    stack_join(reader->thread);
    ck_assert_int_eq(reader->status, STATUS_SUCCESS);
    CALL(Free, reader->value);
    ExFreePoolWithTag(reader, STACK_TAG);
    ck_assert_int_eq(CALL(TransactionEnd, transaction, TRUE), STATUS_RETRY);
    stack_join(starter->thread);
    ck_assert_int_eq(starter->status, STATUS_SUCCESS);
    begun_late = starter->transaction;
    ExFreePoolWithTag(starter, STACK_TAG);
    ck_assert_int_eq(CALL(Printf, begun_late, (PSTR) "data", (PSTR) "watched", "2"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(TransactionEnd, begun_late, TRUE), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/watched"));
    CALL(Release);
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

/* The bus goes with a request under way that its maker has given up. */
STACK_TEST(bus_goes_unanswered, .drivers = STACK_PROBE, .quiet = true, .prepare = without_balloon)
{
    take_over();
    far.mute = true;
    client_ends(client_start(read, NULL), STATUS_IO_TIMEOUT);
    CALL(Release);
    XENBUS_SUSPEND_CALL(&suspend, Release);
    ck_assert_int_eq(pnp_remove_device(stack_device(PLATFORM), false), STATUS_SUCCESS);
    STACK_ASSERT_LOGGED("the store daemon does not answer");
    leave();
}

/* ---- an answer in the last moment ---- */

static int daemon_port;
static unsigned looks;

static void nothing(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
}

/* The log is told each time that there was no answer; the last time, it comes. */
static VOID NTAPI on_line(PVOID unused, PCSTR text, ULONG length)
{
    static const char words[] = "the store daemon does not answer";
    KERNEL_SCOPE();

    (void)unused;
    if (memmem(text, length, words, sizeof(words) - 1) == NULL || ++looks != 6)
        return;
    far.mute = false;
    while (take_request())
        answer_request();
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)daemon_port), 0);
}

STACK_TEST(answer_in_the_last_moment, .drivers = STACK_PROBE, .quiet = true)
{
    PXEN_LOG_DISPOSITION disposition;
    struct client *client;
    uint64_t port = 0;

    take_over();
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    daemon_port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, (uint32_t)port, nothing, NULL);
    ck_assert_int_gt(daemon_port, 0);
    looks = 0;
    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_WARNING, on_line, NULL, &disposition), STATUS_SUCCESS);
    far.mute = true;
    client = client_start(read, NULL);
    stack_join(client->thread);
    STACK_XEN(XenLogRemoveDisposition, disposition);
    ck_assert_uint_eq(looks, 6);
    ck_assert_int_eq(client->status, STATUS_SUCCESS);
    ck_assert_str_eq(client->value, "OK");
    CALL(Free, client->value);
    ExFreePoolWithTag(client, STACK_TAG);
    leave();
}

/* ---- answered, and asked once more ---- */

static volatile bool stay, stays;

/* In the way of every other thread of processor 1. */
static VOID NTAPI stand_in_the_way(PVOID unused)
{
    (void)unused;
    (void)KeSetSystemAffinityThreadEx(2);
    (void)KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY);
    stays = true;
    while (stay)
        KeStallExecutionProcessor(5);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void watch_from_1(struct client *client)
{
    (void)KeSetSystemAffinityThreadEx(2);
    watch(client);
    KeRevertToUserAffinityThreadEx(0);
}

static bool flag(void *value)
{
    return *(volatile bool *)value;
}

/* Its maker has not run since its watch was answered, and a resume has asked for it anew: it waits once more. */
STACK_TEST(watch_asked_for_twice, .drivers = STACK_PROBE, .vcpus = 2, .quiet = true)
{
    struct client *client;
    PKTHREAD thread;

    take_over();
    (void)KeSetSystemAffinityThreadEx(1);
    far.mute = true;
    client = client_start(watch_from_1, NULL);
    stack_sleep_us(1000);
    stay = true;
    stays = false;
    thread = stack_thread(stand_in_the_way, NULL);
    ck_assert(stack_wait(flag, (void *)(uintptr_t)&stays, 1000));
    far.mute = false;
    while (far.ring->req_cons != far.ring->req_prod)
        stack_sleep_us(100);
    stack_sleep_us(100);
    CALL(Poll);
    suspend_in_place(NULL);
    far.mute = true;
    stay = false;
    stack_join(thread);
    stack_sleep_us(1000);
    far.mute = false;
    stack_join(client->thread);
    ck_assert_int_eq(client->status, STATUS_SUCCESS);
    ck_assert_int_eq(CALL(WatchRemove, client->watch), STATUS_SUCCESS);
    ExFreePoolWithTag(client, STACK_TAG);
    KeRevertToUserAffinityThreadEx(0);
    leave();
}

/* ---- a suspend that the toolstack asks for ---- */

static struct {
    char shutdown[16]; /* what control/shutdown says */
    bool withdrawn;    /* once it has been read it does not say it any more */
    bool cleared;      /* in the transaction that has begun */
    unsigned fails;    /* requests of this type, */
    bool within;       /* in a transaction, or outside, */
    const char *error; /* get this answer */
    unsigned times;    /* so often */
    bool deaf;         /* when it is acknowledged the daemon says so, takes in one request more, and goes deaf */
    volatile bool at_end;
    unsigned reads, acknowledged;
} asked;

static bool answer_asked(void)
{
    const struct xsd_sockmsg *header = &far.request.header;
    bool of_shutdown = strcmp(far.request.payload, "control/shutdown") == 0;

    if (header->type == XS_READ && !of_shutdown)
        return false;
    asked.reads += header->type == XS_READ && header->tx_id == 0;
    if (header->type == asked.fails && (header->tx_id != 0) == asked.within && asked.times != 0) {
        asked.times--;
        put_message(XS_ERROR, header->req_id, asked.error);
        return true;
    }
    if (header->type == XS_READ) {
        put_message(XS_READ, header->req_id, asked.shutdown);
        if (asked.withdrawn)
            asked.shutdown[0] = '\0';
        return true;
    }
    if (header->type == XS_TRANSACTION_START)
        asked.cleared = false;
    if (header->type == XS_WRITE && of_shutdown)
        asked.cleared = header->len == sizeof("control/shutdown");
    if (header->type != XS_TRANSACTION_END || !asked.cleared || far.request.payload[0] != 'T')
        return false;
    asked.shutdown[0] = '\0';
    asked.acknowledged++;
    if (asked.deaf) {
        struct xsd_sockmsg end = *header;

        asked.at_end = true;
        while (waiting() == 0)
            (void)task_park(clock_now() + 20000, "another request");
        put_message(end.type, end.req_id, "OK");
        far.mute = true;
        return true;
    }
    return false;
}

static bool has_token(void *unused)
{
    (void)unused;
    return far.token[0] != '\0';
}

/* The toolstack asks for a suspend, which is to be resumed in its place. */
static void ask(void)
{
    uint64_t port = 0;

    take_over();
    memset(&asked, 0, sizeof(asked));
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    far.port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, (uint32_t)port, nothing, NULL);
    ck_assert_int_gt(far.port, 0);
    suspend_in_place(NULL);
    ck_assert(stack_wait(has_token, NULL, 1000));
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 1);
    far.answers = answer_asked;
    far.resumed = false;
    (void)task_create("resumer", resumer_main, NULL);
    strcpy(asked.shutdown, "suspend");
}

static void assert_suspended_once(void)
{
    ck_assert_msg(stack_wait(flag, (void *)(uintptr_t)&far.resumed, 20000), "the domain was not suspended");
    stack_sleep_us(3000000);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 2);
    ck_assert_uint_eq(asked.acknowledged, 1);
    ck_assert_str_eq(asked.shutdown, "");
}

static void assert_not_suspended(void)
{
    stack_sleep_us(3000000);
    ck_assert(!far.resumed);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 1);
}

/* The watch fires once: whatever request fails then for a moment is made again, and no second suspend comes of it. */
static const struct {
    unsigned type;
    bool within;
    const char *error;
    unsigned times;
    unsigned reads;
} step[] = {
    {XS_READ, false, "ENOMEM", 1, 2},
    {XS_READ, false, "ENOMEM", 3, 4},
    {XS_TRANSACTION_START, false, "ENOMEM", 1, 2},
    {XS_READ, true, "ENOMEM", 1, 2},
    {XS_WRITE, true, "ENOMEM", 1, 2},
    {XS_TRANSACTION_END, true, "EBUSY", 1, 2},
    {XS_TRANSACTION_END, true, "EAGAIN", 15, 1}, /* another writer comes in between: at once once more */
    {XS_TRANSACTION_END, true, "EAGAIN", 16, 2},
};

static void ask_and_fail(void *index)
{
    unsigned i = (unsigned)(uintptr_t)index;

    ask();
    asked.fails = step[i].type;
    asked.within = step[i].within;
    asked.error = step[i].error;
    asked.times = step[i].times;
    far.fire = true;
    assert_suspended_once();
    ck_assert_uint_eq(asked.times, 0);
    ck_assert_uint_eq(asked.reads, step[i].reads);
    leave();
}

START_TEST(asked_and_a_request_fails)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    stack_run(&options, ask_and_fail, (void *)(uintptr_t)_i);
}
END_TEST

/* What the store will not say the next time either is not asked for again. */
STACK_TEST(asked_and_forbidden, .drivers = STACK_PROBE, .quiet = true)
{
    ask();
    asked.fails = XS_READ;
    asked.error = "EACCES";
    asked.times = 5;
    far.fire = true;
    assert_not_suspended();
    ck_assert_uint_eq(asked.reads, 1);
    leave();
}

STACK_TEST(asked_and_withdrawn, .drivers = STACK_PROBE, .quiet = true)
{
    ask();
    asked.withdrawn = true;
    far.fire = true;
    assert_not_suspended();
    ck_assert_uint_eq(asked.acknowledged, 0);
    ck_assert_uint_eq(asked.reads, 1);
    STACK_ASSERT_LOGGED("the suspend that was asked for is not acknowledged (c0000120)");
    leave();
}

static bool is_refused(void *unused)
{
    (void)unused;
    return stack_is_logged("the domain was not suspended");
}

/* It is acknowledged, and a request under way is not answered: the store is not at rest. */
static struct client *ask_and_go_deaf(void)
{
    struct client *client;

    ask();
    asked.deaf = true;
    far.fire = true;
    ck_assert(stack_wait(flag, (void *)(uintptr_t)&asked.at_end, 1000));
    client = client_start(read, NULL);
    ck_assert_msg(stack_wait(is_refused, NULL, 20000), "the domain was suspended with a request under way");
    ck_assert(!far.resumed);
    return client;
}

STACK_TEST(asked_and_deaf_for_a_moment, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client = ask_and_go_deaf();

    far.mute = false;
    assert_suspended_once();
    stack_join(client->thread);
    ck_assert_int_eq(client->status, STATUS_SUCCESS);
    CALL(Free, client->value);
    ExFreePoolWithTag(client, STACK_TAG);
    leave();
}

/* The toolstack has long given up: nobody would resume the domain. */
STACK_TEST(asked_and_deaf_for_long, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client = ask_and_go_deaf();

    stack_sleep_us(58000000);
    STACK_ASSERT_LOGGED("the suspend that was acknowledged is given up");
    far.mute = false;
    assert_not_suspended();
    ck_assert_uint_eq(asked.acknowledged, 1);
    stack_join(client->thread);
    if (NT_SUCCESS(client->status))
        CALL(Free, client->value);
    ExFreePoolWithTag(client, STACK_TAG);
    leave();
}

int main(void)
{
    Suite *suite = suite_create("store across a resume");
    TCase *tcase = tcase_create("resume");

    tcase_add_test(tcase, watches_after_a_resume);
    tcase_add_loop_test(tcase, announcement_refused, 0, (int)(sizeof(to_announcement) / sizeof(to_announcement[0])));
    tcase_add_loop_test(tcase, watch_refused_for_a_moment, 0, (int)(sizeof(momentary) / sizeof(momentary[0])));
    tcase_add_loop_test(tcase, message_on_its_way, 0, 2);
    tcase_add_test(tcase, ring_moves);
    tcase_add_test(tcase, ring_is_gone);
    tcase_add_test(tcase, no_ring);
    tcase_add_test(tcase, port_comes_with_a_resume);
    tcase_add_test(tcase, watch_asked_for_twice);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("unanswered");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, hibernates_unanswered);
    tcase_add_test(tcase, bus_goes_unanswered);
    tcase_add_test(tcase, answer_in_the_last_moment);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("asked for");
    tcase_add_loop_test(tcase, asked_and_a_request_fails, 0, (int)(sizeof(step) / sizeof(step[0])));
    tcase_add_test(tcase, asked_and_forbidden);
    tcase_add_test(tcase, asked_and_withdrawn);
    tcase_add_test(tcase, asked_and_deaf_for_a_moment);
    tcase_add_test(tcase, asked_and_deaf_for_long);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
