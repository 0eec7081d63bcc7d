/* XENBUS_STORE as a client meets it, against the store that domain 0 sees. */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "dom0/heap.h"
#include "machine/log.h"
#include "xen/xen.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "machine/clock.h"
#include "machine/census.h"

#include <xenstore.h>

#include "machine/sched.h"

#include "common/stack_dom0.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>

#include <initguid.h>

#include "store_interface.h"
#include "suspend_interface.h"

#define CALL(method, ...) XENBUS_STORE_CALL(&store, method, ##__VA_ARGS__)
#define DATA ((PSTR) "data/test")

static XENBUS_STORE_INTERFACE_V2 store;

static void begin(void)
{
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
}

static void end(void)
{
    CALL(Release);
}

static PSTR text(const char *string)
{
    return (PSTR)(uintptr_t)string;
}

static void assert_read(PXENBUS_STORE_TRANSACTION transaction, const char *prefix, const char *node,
                        const char *expected)
{
    PSTR buffer = NULL;
    NTSTATUS status = CALL(Read, transaction, text(prefix), text(node), &buffer);

    ck_assert_msg(status == STATUS_SUCCESS, "reading %s gave status 0x%08X", node, (unsigned)status);
    ck_assert_str_eq(buffer, expected);
    CALL(Free, buffer);
}

static NTSTATUS read_status(const char *prefix, const char *node)
{
    PSTR buffer = NULL;
    NTSTATUS status = CALL(Read, NULL, text(prefix), text(node), &buffer);

    if (NT_SUCCESS(status))
        CALL(Free, buffer);
    return status;
}

static void assert_node(const char *path, const char *expected)
{
    char value[256];

    ck_assert_msg(stack_store_read(path, value, sizeof(value)), "domain 0 does not see %s", path);
    ck_assert_str_eq(value, expected);
}

/* ---- values ---- */

STACK_TEST(values, .drivers = STACK_PROBE)
{
    char value[64];

    begin();
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("number"), "%u-%s", 42u, "x"), STATUS_SUCCESS);
    assert_node(stack_path("data/test/number"), "42-x");
    assert_read(NULL, "data/test", "number", "42-x");
    assert_read(NULL, NULL, "data/test/number", "42-x");
    assert_read(NULL, NULL, stack_path("data/test/number"), "42-x");

    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("number"), "7"), STATUS_SUCCESS);
    assert_read(NULL, "data/test", "number", "7");
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("empty"), "%s", ""), STATUS_SUCCESS);
    assert_read(NULL, "data/test", "empty", "");
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("deep/er/node"), "ancestors are made"), STATUS_SUCCESS);
    assert_node(stack_path("data/test/deep/er/node"), "ancestors are made");

    stack_store_write(stack_path("data/test/other"), "from domain 0");
    assert_read(NULL, "data/test", "other", "from domain 0");

    ck_assert_int_eq(CALL(Remove, NULL, DATA, text("deep")), STATUS_SUCCESS);
    ck_assert(!stack_store_read(stack_path("data/test/deep/er/node"), value, sizeof(value)));
    ck_assert_int_eq(CALL(Remove, NULL, NULL, DATA), STATUS_SUCCESS);
    end();
}

STACK_TEST(errors, .drivers = STACK_PROBE)
{
    PSTR buffer;

    begin();
    ck_assert_int_eq(read_status("data", "absent"), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(CALL(Directory, NULL, text("data"), text("absent"), &buffer), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(CALL(Remove, NULL, text("data/absent"), text("too")), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(CALL(Printf, NULL, text("device"), text("mine"), "no"), STATUS_ACCESS_DENIED);
    ck_assert_int_eq(CALL(Printf, NULL, text("/local/domain/0"), text("theirs"), "no"), STATUS_ACCESS_DENIED);
    ck_assert_int_eq(CALL(Remove, NULL, NULL, text("device")), STATUS_ACCESS_DENIED);
    end();
}

/* Past the protocol's limits nothing is sent; up to them it works. */
STACK_TEST(limits, .drivers = STACK_PROBE)
{
    char *path = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8192, STACK_TAG);
    char *value = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8192, STACK_TAG);
    PXENBUS_STORE_WATCH watch;
    KEVENT event;
    PSTR buffer;

    begin();
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    memset(path, 'p', 5000);
    memset(value, 'v', 8000);
    ck_assert_int_eq(CALL(Read, NULL, text("data"), path, &buffer), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(CALL(Directory, NULL, text("data"), path, &buffer), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(CALL(Remove, NULL, text("data"), path), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(CALL(Printf, NULL, text("data"), path, "v"), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(CALL(WatchAdd, text("data"), path, &event, &watch), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(CALL(Printf, NULL, text("data"), text("long"), "%s", value), STATUS_BUFFER_OVERFLOW);

    value[4090] = '\0'; /* and the path */
    ck_assert_int_eq(CALL(Printf, NULL, text("data"), text("long"), "%s", value), STATUS_BUFFER_OVERFLOW);

    value[1000] = '\0';
    ck_assert_int_eq(CALL(Printf, NULL, text("data"), text("long"), "%s", value), STATUS_SUCCESS);
    assert_read(NULL, "data", "long", value);
    ck_assert_int_eq(CALL(Remove, NULL, text("data"), text("long")), STATUS_SUCCESS);
    end();
    ExFreePoolWithTag(path, STACK_TAG);
    ExFreePoolWithTag(value, STACK_TAG);
}

static unsigned names_of(const char *node, char names[][32], unsigned max)
{
    unsigned count = 0;
    PSTR buffer;

    ck_assert_int_eq(CALL(Directory, NULL, NULL, text(node), &buffer), STATUS_SUCCESS);
    for (const char *name = buffer; *name != '\0'; name += strlen(name) + 1) {
        ck_assert_uint_lt(count, max);
        snprintf(names[count++], 32, "%s", name);
    }
    CALL(Free, buffer);
    return count;
}

STACK_TEST(directories, .drivers = STACK_PROBE)
{
    char names[8][32];

    begin();
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("a"), "1"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("bb"), "2"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("ccc/below"), "3"), STATUS_SUCCESS);
    ck_assert_uint_eq(names_of("data/test", names, 8), 3);
    ck_assert_str_eq(names[0], "a");
    ck_assert_str_eq(names[1], "bb");
    ck_assert_str_eq(names[2], "ccc");
    ck_assert_uint_eq(names_of("data/test/a", names, 8), 0);
    ck_assert_int_eq(CALL(Remove, NULL, NULL, DATA), STATUS_SUCCESS);
    end();
}

/* ---- permissions ---- */

struct permissions {
    const char *path;
    struct xs_permissions list[4];
    unsigned count;
};

static void get_permissions(void *argument)
{
    struct permissions *permissions = argument;
    struct xs_handle *xs = xs_open(0);
    struct xs_permissions *list = xs_get_permissions(xs, XBT_NULL, permissions->path, &permissions->count);

    ck_assert_ptr_nonnull(list);
    ck_assert_uint_le(permissions->count, 4);
    memcpy(permissions->list, list, permissions->count * sizeof(*list));
    free(list);
    xs_close(xs);
}

STACK_TEST(permissions, .drivers = STACK_PROBE)
{
    struct permissions seen;
    XENBUS_STORE_PERMISSION list[] = {
        {(USHORT)stack.domain.domid, XENBUS_STORE_PERM_NONE},
        {7, XENBUS_STORE_PERM_READ},
        {8, XENBUS_STORE_PERM_WRITE},
        {9, (XENBUS_STORE_PERMISSION_MASK)(XENBUS_STORE_PERM_READ | XENBUS_STORE_PERM_WRITE)},
    };

    begin();
    seen.path = stack_path("data/test");
    ck_assert_int_eq(CALL(Printf, NULL, text("data"), text("test"), "x"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(PermissionsSet, NULL, text("data"), text("test"), list, ARRAYSIZE(list)), STATUS_SUCCESS);
    stack_in_dom0(get_permissions, &seen);
    ck_assert_uint_eq(seen.count, 4);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(seen.list[i].id, list[i].Domain);
    ck_assert_uint_eq(seen.list[0].perms, XS_PERM_NONE);
    ck_assert_uint_eq(seen.list[1].perms, XS_PERM_READ);
    ck_assert_uint_eq(seen.list[2].perms, XS_PERM_WRITE);
    ck_assert_uint_eq(seen.list[3].perms, XS_PERM_READ | XS_PERM_WRITE);
    ck_assert_int_eq(CALL(PermissionsSet, NULL, text("data"), text("absent"), list, 1), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(CALL(PermissionsSet, NULL, NULL, text("device"), list, 1), STATUS_ACCESS_DENIED);
    ck_assert_int_eq(CALL(Remove, NULL, NULL, DATA), STATUS_SUCCESS);
    end();
}

/* ---- transactions ---- */

STACK_TEST(transaction_commits, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_TRANSACTION transaction;
    char value[16];

    begin();
    ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, transaction, DATA, text("a"), "1"), STATUS_SUCCESS);
    assert_read(transaction, "data/test", "a", "1");
    ck_assert(!stack_store_read(stack_path("data/test/a"), value, sizeof(value)));
    ck_assert_int_eq(read_status("data/test", "a"), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(CALL(TransactionEnd, transaction, TRUE), STATUS_SUCCESS);
    assert_node(stack_path("data/test/a"), "1");
    ck_assert_int_eq(CALL(Remove, NULL, NULL, DATA), STATUS_SUCCESS);
    end();
}

STACK_TEST(transaction_given_up, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_TRANSACTION transaction;
    char value[16];

    begin();
    ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, transaction, DATA, text("a"), "1"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(TransactionEnd, transaction, FALSE), STATUS_SUCCESS);
    ck_assert(!stack_store_read(stack_path("data/test/a"), value, sizeof(value)));
    end();
}

/* The names below data/test, as `transaction` sees them, are these. */
static void assert_listed(PXENBUS_STORE_TRANSACTION transaction, const char *const *names)
{
    unsigned expected = 0, found = 0;
    PSTR list;

    while (names[expected] != NULL)
        expected++;
    ck_assert_int_eq(CALL(Directory, transaction, NULL, DATA, &list), STATUS_SUCCESS);
    for (const char *name = list; *name != '\0'; name += strlen(name) + 1) {
        unsigned i = 0;

        while (names[i] != NULL && strcmp(names[i], name) != 0)
            i++;
        ck_assert_msg(names[i] != NULL, "%s is listed", name);
        found++;
    }
    ck_assert_uint_eq(found, expected);
    CALL(Free, list);
}

static unsigned permission_count(const char *path)
{
    struct permissions seen = {.path = path};

    stack_in_dom0(get_permissions, &seen);
    return seen.count;
}

/* Nobody else sees what is done in a transaction until it ends, and nobody ever what is given up. */
static void everything_in_a_transaction(void *commit)
{
    static const char *const before[] = {"kept", "gone", NULL};
    static const char *const after[] = {"kept", "new", NULL};
    XENBUS_STORE_PERMISSION list[] = {
        {(USHORT)stack.domain.domid, XENBUS_STORE_PERM_NONE},
        {7, XENBUS_STORE_PERM_READ},
        {8, XENBUS_STORE_PERM_WRITE},
    };
    bool committed = *(const bool *)commit;
    PXENBUS_STORE_TRANSACTION transaction;
    PSTR buffer;

    begin();
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("kept"), "k"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("gone/below"), "g"), STATUS_SUCCESS);
    ck_assert_uint_eq(permission_count(stack_path("data/test/kept")), 1);

    ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_SUCCESS);
    assert_listed(transaction, before);
    ck_assert_int_eq(CALL(PermissionsSet, transaction, DATA, text("kept"), list, ARRAYSIZE(list)), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Remove, transaction, DATA, text("gone")), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, transaction, DATA, text("new"), "n"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Directory, transaction, DATA, text("gone"), &buffer), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(CALL(PermissionsSet, transaction, DATA, text("gone"), list, 1), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_listed(transaction, after);
    assert_listed(NULL, before);
    assert_node(stack_path("data/test/gone/below"), "g");
    ck_assert_uint_eq(permission_count(stack_path("data/test/kept")), 1);

    ck_assert_int_eq(CALL(TransactionEnd, transaction, committed), STATUS_SUCCESS);
    assert_listed(NULL, committed ? after : before);
    ck_assert_uint_eq(permission_count(stack_path("data/test/kept")), committed ? ARRAYSIZE(list) : 1);
    ck_assert_int_eq(read_status("data/test", "gone/below"), committed ? STATUS_OBJECT_NAME_NOT_FOUND : STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Remove, NULL, NULL, DATA), STATUS_SUCCESS);
    end();
}

START_TEST(transaction_has_all)
{
    static const struct stack_options options = {.drivers = STACK_PROBE};
    bool commit = _i != 0;

    stack_run(&options, everything_in_a_transaction, &commit);
}
END_TEST

/* What was read has changed when the transaction ends: nothing is written, and the second try works. */
STACK_TEST(transaction_loses_a_race, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_TRANSACTION transaction;
    NTSTATUS status;
    unsigned tries = 0;

    begin();
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("counter"), "1"), STATUS_SUCCESS);
    do {
        PSTR buffer;

        ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_SUCCESS);
        ck_assert_int_eq(CALL(Read, transaction, DATA, text("counter"), &buffer), STATUS_SUCCESS);
        if (tries == 0)
            stack_store_write(stack_path("data/test/counter"), "5");
        ck_assert_int_eq(CALL(Printf, transaction, DATA, text("counter"), "%d", buffer[0] - '0' + 1), STATUS_SUCCESS);
        CALL(Free, buffer);
        status = CALL(TransactionEnd, transaction, TRUE);
        if (tries++ == 0) {
            ck_assert_int_eq(status, STATUS_RETRY);
            assert_node(stack_path("data/test/counter"), "5");
        }
    } while (status == STATUS_RETRY);
    ck_assert_int_eq(status, STATUS_SUCCESS);
    ck_assert_uint_eq(tries, 2);
    assert_node(stack_path("data/test/counter"), "6");
    ck_assert_int_eq(CALL(Remove, NULL, NULL, DATA), STATUS_SUCCESS);
    end();
}

/* ---- watches ---- */

static bool fired(PKEVENT event, unsigned timeout_ms)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000 * (LONGLONG)timeout_ms};
    bool set = KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout) == STATUS_SUCCESS;

    KeClearEvent(event);
    return set;
}

STACK_TEST(watches, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_WATCH first, second;
    KEVENT event, other;

    begin();
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeInitializeEvent(&other, NotificationEvent, FALSE);
    ck_assert_int_eq(CALL(WatchAdd, text("data"), text("watched"), &event, &first), STATUS_SUCCESS);
    ck_assert_msg(fired(&event, 1000), "the watch did not fire at the start");
    ck_assert(!fired(&event, 10));
    ck_assert_int_eq(CALL(WatchAdd, NULL, text("data/watched/below"), &other, &second), STATUS_SUCCESS);
    ck_assert(fired(&other, 1000));

    stack_store_write(stack_path("data/watched"), "1");
    ck_assert_msg(fired(&event, 1000), "the watch did not fire when domain 0 made the node");
    ck_assert(!fired(&other, 10));
    stack_store_write(stack_path("data/watched/below"), "2");
    ck_assert_msg(fired(&event, 1000), "the watch did not fire for a node below");
    ck_assert(fired(&other, 1000));
    stack_store_write(stack_path("data/beside"), "3");
    ck_assert_msg(!fired(&event, 10), "the watch fired for a node beside");
    ck_assert_int_eq(CALL(Printf, NULL, text("data"), text("watched"), "mine"), STATUS_SUCCESS);
    ck_assert_msg(fired(&event, 1000), "the watch did not fire for the guest's own write");
    stack_store_remove(stack_path("data/watched"));
    ck_assert_msg(fired(&event, 1000), "the watch did not fire at the removal");
    ck_assert(fired(&other, 1000));

    ck_assert_int_eq(CALL(WatchRemove, first), STATUS_SUCCESS);
    stack_store_write(stack_path("data/watched/below"), "4");
    ck_assert(fired(&other, 1000));
    ck_assert_msg(!fired(&event, 10), "the watch fired after its removal");
    ck_assert_int_eq(CALL(WatchRemove, second), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/watched"));
    stack_store_remove(stack_path("data/beside"));
    ck_assert(!fired(&other, 10));
    end();
}

/* Two watches of one node with an event each: both fire, and one goes without the other. */
STACK_TEST(two_watches_of_a_node, .drivers = STACK_PROBE)
{
    PXENBUS_STORE_WATCH watch[2];
    KEVENT event[2];

    begin();
    for (unsigned i = 0; i < 2; i++) {
        KeInitializeEvent(&event[i], NotificationEvent, FALSE);
        ck_assert_int_eq(CALL(WatchAdd, text("data"), text("watched"), &event[i], &watch[i]), STATUS_SUCCESS);
        ck_assert(fired(&event[i], 1000));
    }
    stack_store_write(stack_path("data/watched"), "1");
    ck_assert(fired(&event[0], 1000));
    ck_assert(fired(&event[1], 1000));
    ck_assert_int_eq(CALL(WatchRemove, watch[0]), STATUS_SUCCESS);
    stack_store_write(stack_path("data/watched"), "2");
    ck_assert(fired(&event[1], 1000));
    ck_assert(!fired(&event[0], 10));
    ck_assert_int_eq(CALL(WatchRemove, watch[1]), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/watched"));
    end();
}

/* ---- at DISPATCH_LEVEL, with a timeline of its own ---- */

static void everything(const char *where, bool values)
{
    PXENBUS_STORE_TRANSACTION transaction;
    XENBUS_STORE_PERMISSION permission = {(USHORT)stack.domain.domid, XENBUS_STORE_PERM_NONE};
    PXENBUS_STORE_WATCH watch;
    PSTR buffer;
    KEVENT event;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    ck_assert_int_eq(CALL(WatchAdd, NULL, text(where), &event, &watch), STATUS_SUCCESS);
    for (unsigned i = 0; values && i < 20; i++) {
        char expected[16];

        ck_assert_int_eq(CALL(Printf, NULL, text(where), text("n"), "%u", i), STATUS_SUCCESS);
        snprintf(expected, sizeof(expected), "%u", i);
        assert_read(NULL, where, "n", expected);
    }
    ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Printf, transaction, text(where), text("n"), "done"), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(TransactionEnd, transaction, TRUE), STATUS_SUCCESS);
    assert_read(NULL, where, "n", "done");
    ck_assert_int_eq(CALL(Directory, NULL, NULL, text(where), &buffer), STATUS_SUCCESS);
    ck_assert_str_eq(buffer, "n");
    ck_assert_int_eq(buffer[2], '\0');
    CALL(Free, buffer);
    ck_assert_int_eq(CALL(PermissionsSet, NULL, text(where), text("n"), &permission, 1), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Remove, NULL, NULL, text(where)), STATUS_SUCCESS);
    ck_assert_int_eq(read_status(where, "n"), STATUS_OBJECT_NAME_NOT_FOUND);
    CALL(Poll);
    ck_assert_msg(KeReadStateEvent(&event) != 0, "the watch of %s did not fire", where);
    ck_assert_int_eq(CALL(WatchRemove, watch), STATUS_SUCCESS);
}

static void dispatch_level(void *unused)
{
    KIRQL irql;

    (void)unused;
    begin();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    everything("data/dispatch", true);
    KeLowerIrql(irql);
    end();
}

START_TEST(at_dispatch_level)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    stack_run(&options, dispatch_level, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, dispatch_level, NULL);
}
END_TEST

/* ---- many at once ---- */

#define THREADS 8

static VOID NTAPI busy_thread(PVOID context)
{
    unsigned number = (unsigned)(uintptr_t)context;
    char where[32];

    snprintf(where, sizeof(where), "data/thread-%u", number);
    for (unsigned i = 0; i < 3; i++) {
        KIRQL irql = KeGetCurrentIrql();

        if (i == 1 && number % 2 == 0)
            KeRaiseIrql(DISPATCH_LEVEL, &irql);
        everything(where, true);
        if (KeGetCurrentIrql() != irql)
            KeLowerIrql(irql);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void many(void *unused)
{
    PKTHREAD thread[THREADS];

    (void)unused;
    begin();
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = stack_thread(busy_thread, (PVOID)(uintptr_t)i);
    for (unsigned i = 0; i < THREADS; i++)
        stack_join(thread[i]);
    end();
}

START_TEST(many_threads)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    stack_run(&options, many, NULL);
    for (options.seed = 1; options.seed <= 2; options.seed++) {
        options.policy = POLICY_PCT;
        stack_run(&options, many, NULL);
        options.policy = POLICY_RANDOM;
        stack_run(&options, many, NULL);
    }
}
END_TEST

/* ---- memory ---- */

static void count_pool(void *bytes)
{
    struct census *census = census_take();

    *(uint64_t *)bytes = census_total(census, "pool");
    census_free(census);
}

static uint64_t pool_bytes(void)
{
    uint64_t bytes;

    stack_in_dom0(count_pool, &bytes);
    return bytes;
}

/* What a request took is back when its buffer is freed, whether it worked or not. */
STACK_TEST(buffers_are_freed, .drivers = STACK_PROBE)
{
    uint64_t before, held;
    PSTR buffer;

    begin();
    everything("data/memory", true);
    before = pool_bytes();
    everything("data/memory", true);
    (void)read_status("data", "absent");
    ck_assert_uint_eq(pool_bytes(), before);
    ck_assert_int_eq(CALL(Directory, NULL, NULL, text("data"), &buffer), STATUS_SUCCESS);
    held = pool_bytes();
    ck_assert_uint_gt(held, before);
    CALL(Free, buffer);
    ck_assert_uint_eq(pool_bytes(), before);
    end();
}

/* ---- a daemon that does not answer ---- */

#ifndef MACHINE_THREAD_SANITIZER /* whose machines have the host's clock */

/* Its end of the channel is masked: it hears of nothing any more, until that is over. */
static uint32_t daemon_port;

static void make_deaf(void)
{
    daemon_port = stack_daemon_port();
    evtchn_find(domain_find_host(XEN_DOM0), daemon_port)->masked = true;
}

static void make_listen(void)
{
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, daemon_port), 0);
}

static void assert_logged(const char *words, bool expected)
{
    static char tail[65536];
    size_t length;

    (void)log_tail(tail, sizeof(tail));
    length = strlen(tail);
    ck_assert_msg((strstr(tail, words) != NULL) == expected, "'%s' is %s the log, which ends:\n%s", words,
                  expected ? "not in" : "in", tail + (length > 2000 ? length - 2000 : 0));
}

/* Whoever waits is told by the log what is under way, and gives up after a minute. */
STACK_TEST(outstanding_requests_are_reported, .drivers = STACK_PROBE, .quiet = true)
{
    uint64_t start;
    PSTR value = NULL;

    begin();
    make_deaf();
    assert_logged("does not answer", false);
    start = clock_now();
    ck_assert_int_eq(CALL(Read, NULL, NULL, text("vm"), &value), STATUS_IO_TIMEOUT);
    ck_assert_ptr_null(value);
    ck_assert_uint_ge(clock_now() - start, UINT64_C(60000000000));
    ck_assert_uint_lt(clock_now() - start, UINT64_C(61000000000));
    assert_logged("the store daemon does not answer", true);
    assert_logged("request ring ", true);
    assert_logged(": type 2, transaction 0, 19 of 19 bytes sent, 10000 ms old", true);
    assert_logged("of type 2 is given up", true);
    machine_stop();
}

/* Nobody else gets to run meanwhile: all of it is over before Windows gives the processor up. */
#define BEARABLE_NS UINT64_C(500000000)
#define REQUESTS 20u

static void assert_none_is_answered(void)
{
    uint64_t start = clock_now();
    PXENBUS_STORE_TRANSACTION transaction;
    PXENBUS_STORE_WATCH watch;
    static KEVENT event;
    PSTR value;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    ck_assert_int_eq(CALL(WatchAdd, NULL, DATA, &event, &watch), STATUS_IO_TIMEOUT);
    ck_assert_int_eq(CALL(TransactionStart, &transaction), STATUS_IO_TIMEOUT);
    ck_assert_int_eq(CALL(Printf, NULL, DATA, text("a"), "b"), STATUS_IO_TIMEOUT);
    for (unsigned i = 0; i < REQUESTS; i++) {
        value = NULL;
        ck_assert_int_eq(CALL(Read, NULL, NULL, text("vm"), &value), STATUS_IO_TIMEOUT);
        ck_assert_ptr_null(value);
    }
    ck_assert_uint_lt(clock_now() - start, BEARABLE_NS);
    assert_logged("request ring ", true);
    assert_logged(": type 2, transaction 0, 19 of 19 bytes sent", true);
    assert_logged("of type 2 is given up", true);
}

/*
 * FB1: the store may be polled at DISPATCH_LEVEL, for a bounded time, and then fails. What is answered later is undone:
 * the harness finds neither watch nor transaction.
 */
STACK_TEST(fb1_silent_at_dispatch_level, .drivers = STACK_PROBE, .quiet = true)
{
    KIRQL irql;

    begin();
    make_deaf();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    assert_none_is_answered();
    KeLowerIrql(irql);
    make_listen();
    everything("data/again", true);
    stack_store_remove(stack_path("data/test")); /* which a request made that was given up */
    end();
}

static VOID NTAPI silent_dpc(PKDPC dpc, PVOID done, PVOID first, PVOID second)
{
    KERNEL_SCOPE();

    (void)dpc;
    (void)first;
    (void)second;
    assert_none_is_answered();
    (void)KeSetEvent(done, IO_NO_INCREMENT, FALSE);
}

STACK_TEST(fb1_silent_in_a_dpc, .drivers = STACK_PROBE, .quiet = true)
{
    static KEVENT done;
    static KDPC dpc;

    begin();
    make_deaf();
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeInitializeDpc(&dpc, silent_dpc, &done);
    ck_assert(KeInsertQueueDpc(&dpc, NULL, NULL));
    ck_assert_int_eq(KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    make_listen();
    everything("data/again", true);
    stack_store_remove(stack_path("data/test")); /* which a request made that was given up */
    end();
}

static NTSTATUS answered;

static VOID NTAPI wait_for_answer(PVOID unused)
{
    PSTR value;

    (void)unused;
    answered = CALL(Read, NULL, NULL, text("vm"), &value);
    if (NT_SUCCESS(answered))
        CALL(Free, value);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* A suspend wants the store at rest first: it is refused while every other processor still lives. */
STACK_TEST(suspend_with_silent_store, .drivers = STACK_PROBE, .quiet = true, .vcpus = 4)
{
    struct stack_resumer resumer = {.rounds = 1};
    XENBUS_SUSPEND_INTERFACE_V1 suspend;
    PKTHREAD thread;
    uint64_t start;

    begin();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    make_deaf();
    thread = stack_thread(wait_for_answer, NULL);
    stack_sleep_us(1000);
    start = clock_now();
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_IO_TIMEOUT);
    ck_assert_uint_lt(clock_now() - start, BEARABLE_NS);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 0);

    /* A daemon that was only slow: who waits has its answer, and the suspend can be. */
    stack_sleep_us(25000000);
    make_listen();
    stack_join(thread);
    ck_assert_int_eq(answered, STATUS_SUCCESS);
    stack_resume_when_suspended(&resumer);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    stack_await_resumer(&resumer);
    XENBUS_SUSPEND_CALL(&suspend, Release);
    end();
}

/* The toolstack's part of a slow resume, without a word to the daemon after it. */
static void resume_slowly(void *ended)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    ck_assert_ptr_nonnull(toolstack);
    while (xen_domain_shutdown_reason(stack.domain.domid) != SHUTDOWN_suspend || !xen_domain_stands(stack.domain.domid))
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    (void)task_park(clock_now() + 1000000, "the store's notice of it");
    ck_assert(toolstack_domain_resumed(toolstack, stack.domain.domid));
    toolstack_close(toolstack);
    ck_assert_int_eq(xen_domain_resume(stack.domain.domid, false), 0);
    *(volatile bool *)ended = true;
}

static VOID NTAPI late(PVOID called)
{
    KERNEL_SCOPE();

    ck_assert_int_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    assert_none_is_answered();
    *(volatile bool *)called = true;
}

static bool is_true(void *flag)
{
    return *(volatile bool *)flag;
}

/* A daemon that is slow at a resume costs no watch, and no processor: what it answers late counts. */
static void slow_daemon(void *unused)
{
    static volatile bool ended, called;
    XENBUS_SUSPEND_INTERFACE_V1 suspend;
    PXENBUS_SUSPEND_CALLBACK callback;
    PXENBUS_STORE_WATCH watch[2];
    KEVENT event[2];

    (void)unused;
    begin();
    ended = called = false;
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Register, SUSPEND_CALLBACK_LATE, late, (PVOID)&called, &callback),
                     STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++) {
        KeInitializeEvent(&event[i], NotificationEvent, FALSE);
        ck_assert_int_eq(CALL(WatchAdd, text("data"), text(i == 0 ? "one" : "two"), &event[i], &watch[i]),
                         STATUS_SUCCESS);
        ck_assert(fired(&event[i], 1000));
    }

    make_deaf();
    (void)task_create("resumer", resume_slowly, (void *)(uintptr_t)&ended);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    ck_assert(called);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), 1);
    ck_assert(!fired(&event[0], 10));

    make_listen();
    ck_assert(fired(&event[0], 1000));
    ck_assert(fired(&event[1], 1000));
    stack_store_write(stack_path("data/one"), "1");
    ck_assert(fired(&event[0], 1000));
    ck_assert(!fired(&event[1], 10));

    /* One goes while its request is on the way again. */
    ck_assert(stack_wait(is_true, (void *)(uintptr_t)&ended, 1000));
    ended = called = false;
    XENBUS_SUSPEND_CALL(&suspend, Deregister, callback);
    make_deaf();
    (void)task_create("resumer", resume_slowly, (void *)(uintptr_t)&ended);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    make_listen();
    ck_assert_int_eq(CALL(WatchRemove, watch[1]), STATUS_SUCCESS);
    ck_assert(fired(&event[0], 1000));
    KeClearEvent(&event[1]);
    stack_store_write(stack_path("data/two"), "2");
    stack_store_write(stack_path("data/one"), "2");
    ck_assert(fired(&event[0], 1000));
    ck_assert(!fired(&event[1], 10));

    ck_assert_int_eq(CALL(WatchRemove, watch[0]), STATUS_SUCCESS);
    stack_store_remove(stack_path("data/one"));
    stack_store_remove(stack_path("data/two"));
    stack_store_remove(stack_path("data/test"));
    XENBUS_SUSPEND_CALL(&suspend, Release);
    ck_assert(stack_wait(is_true, (void *)(uintptr_t)&ended, 1000));
    end();
}

START_TEST(slow_at_a_resume)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = _i == 0 ? 1 : 4, .quiet = true};

    stack_run(&options, slow_daemon, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 2; options.seed++)
        stack_run(&options, slow_daemon, NULL);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("STORE");
    TCase *tcase = tcase_create("requests");

    tcase_add_test(tcase, values);
    tcase_add_test(tcase, errors);
    tcase_add_test(tcase, limits);
    tcase_add_test(tcase, directories);
    tcase_add_test(tcase, permissions);
    tcase_add_test(tcase, transaction_commits);
    tcase_add_test(tcase, transaction_given_up);
    tcase_add_loop_test(tcase, transaction_has_all, 0, 2);
    tcase_add_test(tcase, transaction_loses_a_race);
    tcase_add_test(tcase, watches);
    tcase_add_test(tcase, two_watches_of_a_node);
    tcase_add_test(tcase, buffers_are_freed);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(tcase, outstanding_requests_are_reported);
    tcase_add_test(tcase, fb1_silent_at_dispatch_level);
    tcase_add_test(tcase, fb1_silent_in_a_dpc);
    tcase_add_test(tcase, suspend_with_silent_store);
    tcase_add_loop_test(tcase, slow_at_a_resume, 0, 2);
#endif
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("contexts");
    tcase_add_loop_test(tcase, at_dispatch_level, 0, 3);
    tcase_add_loop_test(tcase, many_threads, 0, 3);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
