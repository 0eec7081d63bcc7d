/*
 * XENBUS_STORE before a store daemon that the test plays: what it answers, late, wrongly or never, and what it does to
 * the ring that the protocol does not know (docs/misc/xenstore-ring.txt). The guest's client waits in a thread.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "nt/pnp/pnp.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <initguid.h>

#include "store_interface.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/io/xs_wire.h>

#define CALL(method, ...) XENBUS_STORE_CALL(&store, method, ##__VA_ARGS__)

static XENBUS_STORE_INTERFACE_V2 store;

/* ---- the daemon ---- */

static struct {
    struct xenstore_domain_interface *ring;
    uint32_t handle;
} far;

static struct message {
    struct xsd_sockmsg header;
    char payload[XENSTORE_PAYLOAD_MAX + 1];
} request;

static void map_ring(void)
{
    ck_assert_int_eq(
        xen_grant_map(XEN_DOM0, stack.domain.domid, GNTTAB_RESERVED_XENSTORE, false, (void **)&far.ring, &far.handle),
        0);
}

/* Nothing has been asked for a while, and all is answered: what the guest asks at its start is over. */
static void await_quiet(void)
{
    uint32_t asked;

    for (unsigned tries = 0;; tries++) {
        ck_assert_uint_lt(tries, 200);
        asked = __atomic_load_n(&far.ring->req_prod, __ATOMIC_ACQUIRE);
        stack_sleep_us(10000);
        if (__atomic_load_n(&far.ring->req_prod, __ATOMIC_ACQUIRE) == asked &&
            __atomic_load_n(&far.ring->req_cons, __ATOMIC_ACQUIRE) == asked &&
            __atomic_load_n(&far.ring->rsp_cons, __ATOMIC_ACQUIRE) ==
                __atomic_load_n(&far.ring->rsp_prod, __ATOMIC_ACQUIRE))
            return;
    }
}

/* The daemon that is there hears of nothing any more, and this is another. */
static void take_over(void)
{
    struct evtchn_status status = {.dom = DOMID_SELF};
    uint64_t port = 0;

    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    status.port = (uint32_t)port;
    ck_assert_int_eq(stack_event_op(EVTCHNOP_status, &status, sizeof(status)), 0);
    ck_assert_uint_eq(status.status, EVTCHNSTAT_interdomain);
    map_ring();
    await_quiet();
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, status.u.interdomain.port), 0);
    ck_assert_uint_eq(far.ring->req_cons, far.ring->req_prod);
    ck_assert_uint_eq(far.ring->rsp_cons, far.ring->rsp_prod);
}

/* There is no daemon any more that could take the guest down in order. */
static void leave(void)
{
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, far.handle), 0);
    machine_stop();
}

static uint32_t waiting(void)
{
    return __atomic_load_n(&far.ring->req_prod, __ATOMIC_ACQUIRE) - far.ring->req_cons;
}

static bool has_bytes(void *count)
{
    return waiting() >= *(uint32_t *)count;
}

static void take(void *buffer, uint32_t count)
{
    ck_assert_msg(stack_wait(has_bytes, &count, 1000), "%u bytes of %u have come", waiting(), count);
    for (uint32_t i = 0; i < count; i++)
        ((char *)buffer)[i] = far.ring->req[MASK_XENSTORE_IDX(far.ring->req_cons + i)];
    __atomic_store_n(&far.ring->req_cons, far.ring->req_cons + count, __ATOMIC_RELEASE);
}

/* The next request, of this type; a part of it that had no room on the ring follows when the guest looks. */
static void take_request(uint32_t type)
{
    uint32_t taken = 0;

    take(&request.header, sizeof(request.header));
    ck_assert_uint_eq(request.header.type, type);
    ck_assert_uint_le(request.header.len, XENSTORE_PAYLOAD_MAX);
    while (taken < request.header.len) {
        uint32_t part = request.header.len - taken;

        if (waiting() == 0)
            CALL(Poll);
        if (part > waiting())
            part = waiting();
        take(request.payload + taken, part);
        taken += part;
    }
    request.payload[taken] = '\0';
}

static void put(const void *bytes, uint32_t count)
{
    ck_assert_uint_le(far.ring->rsp_prod - far.ring->rsp_cons + count, XENSTORE_RING_SIZE);
    for (uint32_t i = 0; i < count; i++)
        far.ring->rsp[MASK_XENSTORE_IDX(far.ring->rsp_prod + i)] = ((const char *)bytes)[i];
    __atomic_store_n(&far.ring->rsp_prod, far.ring->rsp_prod + count, __ATOMIC_RELEASE);
}

/* A message whose header says `length` whatever comes behind it. */
static void put_message(uint32_t type, uint32_t id, const char *payload, uint32_t length)
{
    struct xsd_sockmsg header = {.type = type, .req_id = id, .len = length};

    put(&header, sizeof(header));
    put(payload, length);
}

/* To the request that was taken last. */
static void answer(uint32_t type, const char *payload)
{
    put_message(type, request.header.req_id, payload, (uint32_t)strlen(payload) + 1);
    CALL(Poll);
}

/* ---- the client ---- */

struct client {
    PKTHREAD thread;
    void (*run)(struct client *client);
    const char *value; /* that it writes */
    NTSTATUS status;
    PSTR buffer;
    PXENBUS_STORE_TRANSACTION transaction;
    PXENBUS_STORE_WATCH watch;
    KEVENT event;
    KIRQL irql;
};

static void read(struct client *client)
{
    client->status = CALL(Read, NULL, NULL, (PSTR) "vm", &client->buffer);
}

static void write(struct client *client)
{
    client->status = CALL(Printf, NULL, (PSTR) "data", (PSTR) "value", "%s", client->value);
}

static void begin_transaction(struct client *client)
{
    client->status = CALL(TransactionStart, &client->transaction);
}

static VOID NTAPI client_thread(PVOID context)
{
    struct client *client = context;
    KIRQL irql;

    KeRaiseIrql(client->irql, &irql);
    client->run(client);
    KeLowerIrql(irql);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static struct client *client_start(void (*run)(struct client *client))
{
    struct client *client = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*client), STACK_TAG);

    client->run = run;
    client->irql = PASSIVE_LEVEL;
    KeInitializeEvent(&client->event, NotificationEvent, FALSE);
    client->thread = stack_thread(client_thread, client);
    return client;
}

static void client_free(struct client *client)
{
    ExFreePoolWithTag(client, STACK_TAG);
}

static void client_ends(struct client *client, NTSTATUS status)
{
    stack_join(client->thread);
    ck_assert_msg(client->status == status, "status %08x instead of %08x", (unsigned)client->status, (unsigned)status);
    client_free(client);
}

/* ---- answers ---- */

static const struct {
    const char *name;
    NTSTATUS status;
} errors[] = {
    {"EINVAL", STATUS_INVALID_PARAMETER},
    {"EACCES", STATUS_ACCESS_DENIED},
    {"EEXIST", STATUS_OBJECT_NAME_COLLISION},
    {"EISDIR", STATUS_FILE_IS_A_DIRECTORY},
    {"ENOENT", STATUS_OBJECT_NAME_NOT_FOUND},
    {"ENOMEM", STATUS_INSUFFICIENT_RESOURCES},
    {"ENOSPC", STATUS_QUOTA_EXCEEDED},
    {"EIO", STATUS_IO_DEVICE_ERROR},
    {"ENOTEMPTY", STATUS_DIRECTORY_NOT_EMPTY},
    {"ENOSYS", STATUS_NOT_IMPLEMENTED},
    {"EROFS", STATUS_MEDIA_WRITE_PROTECTED},
    {"EBUSY", STATUS_DEVICE_BUSY},
    {"EAGAIN", STATUS_RETRY},
    {"EISCONN", STATUS_CONNECTION_ACTIVE},
    {"E2BIG", STATUS_ALLOTTED_SPACE_EXCEEDED},
    {"EPERM", STATUS_ACCESS_DENIED},
    {"ENOBODYKNOWS", STATUS_UNSUCCESSFUL},
    {"", STATUS_UNSUCCESSFUL},
};

STACK_TEST(errors_by_name, .drivers = STACK_PROBE, .quiet = true)
{
    take_over();
    for (unsigned i = 0; i < ARRAYSIZE(errors); i++) {
        struct client *client = client_start(read);

        take_request(XS_READ);
        ck_assert_str_eq(request.payload, "vm");
        answer(XS_ERROR, errors[i].name);
        stack_join(client->thread);
        ck_assert_msg(client->status == errors[i].status, "'%s' is %08x instead of %08x", errors[i].name,
                      (unsigned)client->status, (unsigned)errors[i].status);
        ck_assert_ptr_null(client->buffer);
        client_free(client);
    }
    STACK_ASSERT_LOGGED("the store daemon reports 'ENOBODYKNOWS'");
    leave();
}

/* Of another type than the request; a transaction of no number, of number 0, of more than 32 bits. */
STACK_TEST(answers_that_make_no_sense, .drivers = STACK_PROBE, .quiet = true)
{
    static const char *const transactions[] = {"", "none", "0", "12x", "4294967296", "99999999999999999999999"};
    struct client *client;

    take_over();
    client = client_start(read);
    take_request(XS_READ);
    answer(XS_WRITE, "OK");
    client_ends(client, STATUS_DATA_ERROR);
    for (unsigned i = 0; i < ARRAYSIZE(transactions); i++) {
        client = client_start(begin_transaction);
        take_request(XS_TRANSACTION_START);
        answer(XS_TRANSACTION_START, transactions[i]);
        stack_join(client->thread);
        ck_assert_msg(client->status == STATUS_DATA_ERROR, "transaction '%s' is %08x", transactions[i],
                      (unsigned)client->status);
        ck_assert_ptr_null(client->transaction);
        client_free(client);
    }
    leave();
}

/* What nobody has asked for, and events of no watch, are passed over: the answer behind them is the client's. */
STACK_TEST(answers_to_nobody, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client;

    take_over();
    client = client_start(read);
    take_request(XS_READ);
    put_message(XS_READ, request.header.req_id + 4711, "not yours", 10);
    put_message(XS_WATCH_EVENT, 0, "data/watched\0FFFFFFF0", 22);
    put_message(XS_WATCH_EVENT, 0, "data/watched\0not a token", 25);
    put_message(XS_WATCH_EVENT, 0, "data/watched", 12);
    put_message(XS_WATCH_EVENT, 0, "", 0);
    answer(XS_READ, "yours");
    stack_join(client->thread);
    ck_assert_int_eq(client->status, STATUS_SUCCESS);
    ck_assert_str_eq(client->buffer, "yours");
    CALL(Free, client->buffer);
    client_free(client);
    STACK_ASSERT_LOGGED("which nobody has made");
    STACK_ASSERT_LOGGED("a watch event without a token of ours");
    leave();
}

/* More messages than one look at the ring takes: the rest are taken without another call or event. */
static bool all_taken(void *unused)
{
    (void)unused;
    return __atomic_load_n(&far.ring->rsp_cons, __ATOMIC_ACQUIRE) == far.ring->rsp_prod;
}

STACK_TEST(more_than_one_look_takes, .drivers = STACK_PROBE)
{
    take_over();
    for (unsigned i = 0; i < 40; i++)
        put_message(XS_WATCH_EVENT, 0, "a\0FFFFFF0", 9);
    CALL(Poll);
    ck_assert_msg(stack_wait(all_taken, NULL, 1000), "%u bytes are left", far.ring->rsp_prod - far.ring->rsp_cons);
    leave();
}

/* A long answer in pieces, as the ring has room, over the ring's end. */
STACK_TEST(answer_in_pieces, .drivers = STACK_PROBE)
{
    struct xsd_sockmsg header = {.type = XS_READ, .len = XENSTORE_PAYLOAD_MAX};
    char *payload = ExAllocatePool2(POOL_FLAG_NON_PAGED, XENSTORE_PAYLOAD_MAX + 1, STACK_TAG);
    struct client *client;

    take_over();
    for (unsigned i = 0; i < XENSTORE_PAYLOAD_MAX; i++)
        payload[i] = (char)('a' + i % 23);
    client = client_start(read);
    take_request(XS_READ);
    header.req_id = request.header.req_id;
    put(&header, 5);
    CALL(Poll);
    put((char *)&header + 5, sizeof(header) - 5);
    for (unsigned done = 0, part; done < XENSTORE_PAYLOAD_MAX; done += part) {
        part = XENSTORE_PAYLOAD_MAX - done < 700 ? XENSTORE_PAYLOAD_MAX - done : 700;
        put(payload + done, part);
        CALL(Poll);
    }
    stack_join(client->thread);
    ck_assert_int_eq(client->status, STATUS_SUCCESS);
    ck_assert_str_eq(client->buffer, payload);
    CALL(Free, client->buffer);
    client_free(client);
    ExFreePoolWithTag(payload, STACK_TAG);
    leave();
}

/* ---- a ring in a state ---- */

/* While the daemon says that it is not connected nothing is put on the ring. */
STACK_TEST(not_while_it_reconnects, .drivers = STACK_PROBE)
{
    struct client *client;

    take_over();
    far.ring->server_features |= XENSTORE_SERVER_FEATURE_RECONNECTION;
    __atomic_store_n(&far.ring->connection, XENSTORE_RECONNECT, __ATOMIC_RELEASE);
    client = client_start(write);
    client->value = "patience";
    stack_sleep_us(100000);
    ck_assert_uint_eq(waiting(), 0);
    __atomic_store_n(&far.ring->connection, XENSTORE_CONNECTED, __ATOMIC_RELEASE);
    CALL(Poll);
    take_request(XS_WRITE);
    ck_assert_str_eq(request.payload, "data/value");
    answer(XS_WRITE, "OK");
    client_ends(client, STATUS_SUCCESS);
    leave();
}

static void answers_beyond_the_ring(void)
{
    far.ring->rsp_prod = far.ring->rsp_cons + XENSTORE_RING_SIZE + 1;
}

static void requests_beyond_the_ring(void)
{
    far.ring->req_cons = far.ring->req_prod + 1;
}

static void message_too_long(void)
{
    struct xsd_sockmsg header = {.type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1};

    put(&header, sizeof(header));
}

static void error_in_the_ring(void)
{
    far.ring->server_features |= XENSTORE_SERVER_FEATURE_ERROR;
    far.ring->error = XENSTORE_ERROR_RINGIDX;
}

static const struct {
    void (*spoil)(void);
    const char *words;
} spoils[] = {
    {answers_beyond_the_ring, "bytes of answers not yet consumed (1025)"},
    {requests_beyond_the_ring, "bytes of requests not yet consumed (4294967295)"},
    {message_too_long, "length of a message (4097)"},
    {error_in_the_ring, "error code in the ring (2)"},
};

/* Whoever waits gets an error, and so does whoever comes later; the ring is not touched again. */
static void broken(void *which)
{
    unsigned number = *(unsigned *)which;
    struct client *client;
    PSTR buffer;
    uint32_t producer, consumer;

    take_over();
    client = client_start(read);
    take_request(XS_READ);
    spoils[number].spoil();
    ck_assert_int_eq(CALL(Read, NULL, NULL, (PSTR) "name", &buffer), STATUS_DATA_ERROR);
    ck_assert_ptr_null(buffer);
    client_ends(client, STATUS_DATA_ERROR);
    STACK_ASSERT_LOGGED("the store daemon breaks the protocol: ");
    STACK_ASSERT_LOGGED(spoils[number].words);
    producer = far.ring->req_prod;
    consumer = far.ring->rsp_cons;
    ck_assert_int_eq(CALL(Remove, NULL, NULL, (PSTR) "data/value"), STATUS_DATA_ERROR);
    CALL(Poll);
    ck_assert_uint_eq(far.ring->req_prod, producer);
    ck_assert_uint_eq(far.ring->rsp_cons, consumer);
    leave();
}

START_TEST(broken_protocol)
{
    struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};
    unsigned number = (unsigned)_i;

    stack_run(&options, broken, &number);
}
END_TEST

/* The bus's next start finds a ring that is in order again. */
STACK_TEST(back_with_the_next_start, .drivers = STACK_PROBE, .quiet = true)
{
    struct devnode *bus = stack_device("PCI\\VEN_5853&DEV_0001");
    struct devnode *parent;
    uint32_t features;
    PSTR buffer;

    ck_assert_ptr_nonnull(bus);
    parent = pnp_parent(bus);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    map_ring();
    features = far.ring->server_features;
    error_in_the_ring();
    ck_assert_int_eq(CALL(Read, NULL, NULL, (PSTR) "vm", &buffer), STATUS_DATA_ERROR);
    far.ring->error = XENSTORE_ERROR_NONE;
    far.ring->server_features = features;
    ck_assert_int_eq(CALL(Read, NULL, NULL, (PSTR) "vm", &buffer), STATUS_DATA_ERROR);
    CALL(Release);
    ck_assert_int_eq(pnp_remove_device(bus, false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
    pnp_wait_quiet();
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Read, NULL, NULL, (PSTR) "vm", &buffer), STATUS_SUCCESS);
    CALL(Free, buffer);
    CALL(Release);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, far.handle), 0);
}

/* ---- answers that come too late ---- */

#ifndef MACHINE_THREAD_SANITIZER /* whose machines have the host's clock */

static void assert_no_request(void)
{
    CALL(Poll);
    stack_sleep_us(20000);
    ck_assert_uint_eq(waiting(), 0);
}

static void watch(struct client *client)
{
    client->status = CALL(WatchAdd, (PSTR) "data", (PSTR) "watched", &client->event, &client->watch);
}

/* What was made by then, a transaction, a watch, is undone; what the store was told or asked else, it was. */
STACK_TEST(late_answers, .drivers = STACK_PROBE, .quiet = true)
{
    static void (*const run[])(struct client *) = {begin_transaction, begin_transaction, begin_transaction, watch,
                                                   read};
    struct message *sent = ExAllocatePool2(POOL_FLAG_NON_PAGED, ARRAYSIZE(run) * sizeof(*sent), STACK_TAG);

    take_over();
    for (unsigned i = 0; i < ARRAYSIZE(run); i++) {
        uint64_t start = clock_now();
        struct client *client = client_start(run[i]);

        take_request(run[i] == read ? XS_READ : run[i] == watch ? XS_WATCH : XS_TRANSACTION_START);
        memcpy(&sent[i], &request, sizeof(request));
        client_ends(client, STATUS_IO_TIMEOUT);
        ck_assert_uint_ge(clock_now() - start, UINT64_C(60000000000));
    }

    memcpy(&request, &sent[0], sizeof(request));
    answer(XS_TRANSACTION_START, "77");
    take_request(XS_TRANSACTION_END);
    ck_assert_uint_eq(request.header.tx_id, 77);
    ck_assert_str_eq(request.payload, "F");
    answer(XS_TRANSACTION_END, "OK");
    assert_no_request();

    memcpy(&request, &sent[1], sizeof(request));
    answer(XS_TRANSACTION_START, "of no number");
    assert_no_request();

    memcpy(&request, &sent[2], sizeof(request));
    answer(XS_ERROR, "EBUSY");
    assert_no_request();

    memcpy(&request, &sent[3], sizeof(request));
    answer(XS_WATCH, "OK");
    take_request(XS_UNWATCH);
    ck_assert_uint_eq(request.header.len, sent[3].header.len);
    ck_assert_int_eq(memcmp(request.payload, sent[3].payload, request.header.len), 0);
    answer(XS_UNWATCH, "OK");
    assert_no_request();

    memcpy(&request, &sent[4], sizeof(request));
    answer(XS_READ, "late");
    assert_no_request();
    ExFreePoolWithTag(sent, STACK_TAG);
    leave();
}

/* Where nothing else can run the client gives up sooner, also if Windows would bear more (test_store has the rest). */
STACK_TEST(given_up_at_dispatch_level, .drivers = STACK_PROBE, .quiet = true)
{
    uint64_t start;
    PSTR buffer;
    KIRQL irql;

    take_over();
    machine->config.limits.dispatch = UINT64_C(120000000000); /* what Windows bears, by far more than this needs */
    machine->config.limits.dpc = UINT64_C(20000000000);
    start = clock_now();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert_int_eq(CALL(Read, NULL, NULL, (PSTR) "vm", &buffer), STATUS_IO_TIMEOUT);
    KeLowerIrql(irql);
    ck_assert_ptr_null(buffer);
    ck_assert_uint_ge(clock_now() - start, UINT64_C(5000000000));
    ck_assert_uint_lt(clock_now() - start, UINT64_C(6000000000));
    STACK_ASSERT_LOGGED("of type 2 is given up");
    leave();
}

/* No event comes with the answer: it is found when the client looks by itself. */
STACK_TEST(answer_without_an_event, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client;

    take_over();
    client = client_start(read);
    take_request(XS_READ);
    put_message(XS_READ, request.header.req_id, "found", 6);
    stack_join(client->thread);
    ck_assert_int_eq(client->status, STATUS_SUCCESS);
    ck_assert_str_eq(client->buffer, "found");
    CALL(Free, client->buffer);
    client_free(client);
    STACK_ASSERT_LOGGED("was there before its event");
    leave();
}

/* Of those that are given up, one is on the ring, one half, and one not at all, which is then never sent. */
STACK_TEST(given_up_with_a_full_ring, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client[3];
    char value[701];

    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    take_over();
    for (unsigned i = 0; i < ARRAYSIZE(client); i++) {
        client[i] = client_start(write);
        client[i]->value = value;
    }
    for (unsigned i = 0; i < ARRAYSIZE(client); i++)
        client_ends(client[i], STATUS_IO_TIMEOUT);
    ck_assert_uint_eq(waiting(), XENSTORE_RING_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        take_request(XS_WRITE);
        ck_assert_uint_eq(request.header.len, strlen("data/value") + 1 + strlen(value));
        ck_assert_int_eq(memcmp(request.payload + strlen("data/value") + 1, value, strlen(value)), 0);
    }
    assert_no_request();
    leave();
}

#endif

/* ---- what a client leaves behind ---- */

static void leave_watch(void *unused)
{
    KEVENT *event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    PXENBUS_STORE_WATCH left;

    (void)unused;
    KeInitializeEvent(event, NotificationEvent, FALSE);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(WatchAdd, NULL, (PSTR) "data/left", event, &left), STATUS_SUCCESS);
    CALL(Release);
}

static void leave_transaction(void *unused)
{
    PXENBUS_STORE_TRANSACTION left;

    (void)unused;
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(TransactionStart, &left), STATUS_SUCCESS);
    CALL(Release);
}

START_TEST(left_behind)
{
    static const struct {
        void (*scenario)(void *);
        const char *words;
    } left[] = {{leave_watch, "data/left is still watched"}, {leave_transaction, "released STORE with a transaction"}};
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};
    const struct failure *failure = stack_must_fail(&options, left[_i].scenario, NULL, "bugcheck");

    ck_assert_str_eq(failure->driver, "xenbus");
    STACK_ASSERT_LOGGED(left[_i].words);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store protocol");
    TCase *tcase = tcase_create("answers");

    tcase_add_test(tcase, errors_by_name);
    tcase_add_test(tcase, answers_that_make_no_sense);
    tcase_add_test(tcase, answers_to_nobody);
    tcase_add_test(tcase, more_than_one_look_takes);
    tcase_add_test(tcase, answer_in_pieces);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("ring");
    tcase_add_test(tcase, not_while_it_reconnects);
    tcase_add_loop_test(tcase, broken_protocol, 0, ARRAYSIZE(spoils));
    tcase_add_test(tcase, back_with_the_next_start);
    tcase_add_loop_test(tcase, left_behind, 0, 2);
    suite_add_tcase(suite, tcase);
#ifndef MACHINE_THREAD_SANITIZER
    tcase = tcase_create("late");
    tcase_add_test(tcase, late_answers);
    tcase_add_test(tcase, given_up_at_dispatch_level);
    tcase_add_test(tcase, answer_without_an_event);
    tcase_add_test(tcase, given_up_with_a_full_ring);
    suite_add_tcase(suite, tcase);
#endif
    return guest_suite_run(suite);
}
