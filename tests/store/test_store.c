/* XenStore: operations, permissions, transactions, watches, quotas, as C xenstored 4.17 has them. */
#include <check.h>
#include <errno.h>

#include "dom0/heap.h"
#include "machine/census.h"
#include "machine/machine.h"
#include "store/store.h"
#include "common/guest_ring.h"
#include "xen/xen.h"

#include <xenstore.h>

static struct xs_handle *xs;

static void setup(void)
{
    struct machine_config config = machine_default_config();

    machine_create(&config);
    xs = xs_open(0);
}

static void teardown(void)
{
    char *answer = xs_control_command(xs, "check", NULL, 0);

    ck_assert_ptr_nonnull(answer);
    ck_assert_str_eq(answer, "OK");
    free(answer);
    xs_close(xs);
    machine_destroy();
}

static void write_string(const char *path, const char *value)
{
    ck_assert_msg(xs_write(xs, XBT_NULL, path, value, (unsigned)strlen(value)), "write %s: %s", path, strerror(errno));
}

static void assert_value(xs_transaction_t transaction, const char *path, const char *expected)
{
    unsigned length;
    char *value = xs_read(xs, transaction, path, &length);

    if (!expected) {
        ck_assert_ptr_null(value);
        ck_assert_int_eq(errno, ENOENT);
        return;
    }
    ck_assert_msg(value != NULL, "read %s: %s", path, strerror(errno));
    ck_assert_str_eq(value, expected);
    ck_assert_uint_eq(length, strlen(expected));
    free(value);
}

static void assert_children(const char *path, const char *expected)
{
    unsigned count;
    char **names = xs_directory(xs, XBT_NULL, path, &count);
    char joined[4096] = "";

    ck_assert_ptr_nonnull(names);
    for (unsigned i = 0; i < count; i++) {
        strcat(joined, i ? " " : "");
        strcat(joined, names[i]);
    }
    ck_assert_str_eq(joined, expected);
    free(names);
}

static void set_permissions(const char *path, unsigned owner, unsigned others, unsigned domid, unsigned access)
{
    struct xs_permissions permissions[2] = {{owner, others}, {domid, access}};

    ck_assert(xs_set_permissions(xs, XBT_NULL, path, permissions, 2));
}

/* ---- nodes ---- */

START_TEST(first_nodes)
{
    assert_children("/", "tool");
    assert_children("/tool", "xenstored");
}
END_TEST

START_TEST(write_makes_parents_with_empty_values)
{
    write_string("/a/b/c", "value");
    assert_value(XBT_NULL, "/a", "");
    assert_value(XBT_NULL, "/a/b", "");
    assert_value(XBT_NULL, "/a/b/c", "value");
}
END_TEST

START_TEST(values_are_byte_strings)
{
    const char bytes[] = {'a', '\0', 'b', '\xff'};
    unsigned length;
    char *value;

    ck_assert(xs_write(xs, XBT_NULL, "/bin", bytes, sizeof(bytes)));
    value = xs_read(xs, XBT_NULL, "/bin", &length);
    ck_assert_uint_eq(length, sizeof(bytes));
    ck_assert_mem_eq(value, bytes, sizeof(bytes));
    free(value);
}
END_TEST

START_TEST(children_come_in_the_order_of_creation)
{
    write_string("/d/z", "");
    write_string("/d/a", "");
    write_string("/d/m", "");
    assert_children("/d", "z a m");
    ck_assert(xs_rm(xs, XBT_NULL, "/d/a"));
    assert_children("/d", "z m");
    write_string("/d/a", "");
    assert_children("/d", "z m a");
}
END_TEST

START_TEST(mkdir_leaves_a_node_that_exists)
{
    write_string("/x", "1");
    ck_assert(xs_mkdir(xs, XBT_NULL, "/x"));
    assert_value(XBT_NULL, "/x", "1");
    ck_assert(xs_mkdir(xs, XBT_NULL, "/x/y/z"));
    assert_value(XBT_NULL, "/x/y", "");
}
END_TEST

START_TEST(rm_takes_what_is_below)
{
    write_string("/r/a/b", "1");
    write_string("/r/a/c", "2");
    ck_assert(xs_rm(xs, XBT_NULL, "/r/a"));
    assert_value(XBT_NULL, "/r/a/b", NULL);
    assert_value(XBT_NULL, "/r/a", NULL);
    assert_children("/r", "");
}
END_TEST

START_TEST(rm_of_what_is_not_there)
{
    write_string("/r", "");
    ck_assert(xs_rm(xs, XBT_NULL, "/r/none"));
    ck_assert(!xs_rm(xs, XBT_NULL, "/none/none"));
    ck_assert_int_eq(errno, ENOENT);
    ck_assert(!xs_rm(xs, XBT_NULL, "/"));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(names_are_checked)
{
    static const char *const bad[] = {"", "//", "/a/", "/a//b", "/a b", "/a\x80", "/a.b", "@special"};
    char *path = malloc(4000);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!xs_write(xs, XBT_NULL, bad[i], "", 0), "\"%s\" was written", bad[i]);
        ck_assert_msg(errno == EINVAL, "\"%s\": %s", bad[i], strerror(errno));
    }
    write_string("/a-b_c@9/Z", "");
    memset(path, 'a', 4000);
    path[0] = '/';
    path[XENSTORE_REL_PATH_MAX] = '\0'; /* 2,048 characters */
    ck_assert(xs_write(xs, XBT_NULL, path, "", 0));
    path[XENSTORE_REL_PATH_MAX] = 'a';
    path[XENSTORE_REL_PATH_MAX + 1] = '\0';
    ck_assert(!xs_write(xs, XBT_NULL, path, "", 0));
    ck_assert_int_eq(errno, EINVAL);
    free(path);
}
END_TEST

START_TEST(relative_paths_of_domain_0_begin_at_its_home)
{
    write_string("tools/pid", "7");
    assert_value(XBT_NULL, "/local/domain/0/tools/pid", "7");
    assert_value(XBT_NULL, "tools/pid", "7");
    ck_assert(!xs_write(xs, XBT_NULL, "tools//pid", "", 0));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(directories_longer_than_a_message)
{
    unsigned count;
    char **names, path[64];

    for (unsigned i = 0; i < 600; i++) {
        snprintf(path, sizeof(path), "/long/child-number-%u", i);
        write_string(path, "");
    }
    names = xs_directory(xs, XBT_NULL, "/long", &count);
    ck_assert_ptr_nonnull(names);
    ck_assert_uint_eq(count, 600);
    for (unsigned i = 0; i < 600; i++) {
        snprintf(path, sizeof(path), "child-number-%u", i);
        ck_assert_str_eq(names[i], path);
    }
    free(names);
}
END_TEST

/* ---- permissions ---- */

START_TEST(guest_paths_are_relative_to_its_home)
{
    struct guest_ring ring = guest_ring_create();
    struct guest_reply reply;

    write_string("/local/domain/1/data", "");
    set_permissions("/local/domain/1/data", 1, XS_PERM_NONE, 0, XS_PERM_NONE);
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, "data/key\0value", 14, NULL), 0);
    assert_value(XBT_NULL, "/local/domain/1/data/key", "value");
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "data/key", 9, &reply), 0);
    ck_assert_str_eq(reply.payload, "value");
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "/local/domain/1/data/key", 25, &reply), 0);
    ck_assert_str_eq(reply.payload, "value");
}
END_TEST

START_TEST(guest_sees_what_it_may)
{
    struct guest_ring ring = guest_ring_create();
    struct guest_reply reply;

    write_string("/secret", "1");
    write_string("/shown", "2");
    set_permissions("/shown", 0, XS_PERM_NONE, 1, XS_PERM_READ);
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "/secret", 8, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "/secret/none", 13, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "/shown", 7, &reply), 0);
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "/shown/none", 12, NULL), ENOENT);
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, "/shown\0x", 8, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_MKDIR, 0, "/shown/new", 11, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_RM, 0, "/shown", 7, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_GET_PERMS, 0, "/shown", 7, &reply), 0);
    ck_assert_uint_eq(reply.header.len, 6);
    ck_assert_mem_eq(reply.payload, "n0\0r1", 6);
}
END_TEST

START_TEST(guest_owns_what_it_creates)
{
    struct guest_ring ring = guest_ring_create();
    struct xs_permissions *permissions;
    unsigned count;

    write_string("/open", "");
    set_permissions("/open", 0, XS_PERM_NONE, 1, XS_PERM_READ | XS_PERM_WRITE);
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, "/open/a/b\0x", 11, NULL), 0);
    permissions = xs_get_permissions(xs, XBT_NULL, "/open/a", &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(permissions[0].id, 1);
    ck_assert_uint_eq(permissions[1].id, 1);
    free(permissions);
    /* Only the owner changes permissions, and nobody but domain 0 gives a node away. */
    ck_assert_int_eq(guest_request(&ring, XS_SET_PERMS, 0, "/open\0b1", 9, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_SET_PERMS, 0, "/open/a\0n0", 11, NULL), EPERM);
    ck_assert_int_eq(guest_request(&ring, XS_SET_PERMS, 0, "/open/a\0r1", 11, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_SET_PERMS, 0, "/open/a\0x1", 11, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_SET_PERMS, 0, "/open/a", 8, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_SET_PERMS, 0, "/open/a\0n1\0r2\0r3\0r4\0r5\0r6", 26, NULL), ENOSPC);
}
END_TEST

START_TEST(requests_for_domain_0_only)
{
    struct guest_ring ring = guest_ring_create();

    ck_assert_int_eq(guest_request(&ring, XS_INTRODUCE, 0, "2\0001\0001", 6, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_RELEASE, 0, "1", 2, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_RESUME, 0, "1", 2, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_SET_TARGET, 0, "1\0002", 4, NULL), EACCES);
    ck_assert_int_eq(guest_request(&ring, XS_CONTROL, 0, "check", 6, NULL), EACCES);
}
END_TEST

START_TEST(unknown_and_malformed_requests)
{
    struct guest_ring ring = guest_ring_create();

    ck_assert_int_eq(guest_request(&ring, XS_TYPE_COUNT, 0, "", 1, NULL), ENOSYS);
    ck_assert_int_eq(guest_request(&ring, 23, 0, "1", 2, NULL), ENOSYS);
    ck_assert_int_eq(guest_request(&ring, XS_WATCH_EVENT, 0, "a\0b", 4, NULL), ENOSYS);
    ck_assert_int_eq(guest_request(&ring, XS_ERROR, 0, "EIO", 4, NULL), ENOSYS);
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "data", 4, NULL), EINVAL); /* no NUL */
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "", 0, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_READ, 0, "a\0b", 4, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, "data", 4, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "data", 5, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "data\0t\0002", 9, NULL), EINVAL); /* depth: not in 4.17 */
    ck_assert_int_eq(guest_request(&ring, XS_READ, 99, "data", 5, NULL), ENOENT);         /* no such transaction */
    ck_assert_int_eq(guest_request(&ring, XS_TRANSACTION_END, 0, "T", 2, NULL), ENOENT);
    ck_assert_int_eq(guest_request(&ring, XS_TRANSACTION_END, 0, "X", 2, NULL), EINVAL);
    ck_assert_int_eq(guest_request(&ring, XS_DIRECTORY_PART, 0, "data", 5, NULL), EINVAL);
}
END_TEST

/* ---- transactions ---- */

START_TEST(transaction_is_seen_when_committed)
{
    xs_transaction_t transaction = xs_transaction_start(xs);

    write_string("/t", "old");
    ck_assert(xs_write(xs, transaction, "/t", "new", 3));
    ck_assert(xs_write(xs, transaction, "/t/child", "x", 1));
    assert_value(transaction, "/t", "new");
    assert_value(XBT_NULL, "/t", "old");
    assert_value(XBT_NULL, "/t/child", NULL);
    ck_assert(xs_transaction_end(xs, transaction, false));
    assert_value(XBT_NULL, "/t", "new");
    assert_value(XBT_NULL, "/t/child", "x");
    ck_assert(!xs_transaction_end(xs, transaction, false));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(transaction_that_is_aborted_leaves_nothing)
{
    xs_transaction_t transaction;

    write_string("/t", "old");
    transaction = xs_transaction_start(xs);
    ck_assert(xs_write(xs, transaction, "/t/a", "x", 1));
    ck_assert(xs_rm(xs, transaction, "/t"));
    assert_value(transaction, "/t", NULL);
    ck_assert(xs_transaction_end(xs, transaction, true));
    assert_value(XBT_NULL, "/t", "old");
}
END_TEST

START_TEST(conflict_on_what_was_read)
{
    xs_transaction_t transaction;

    write_string("/t", "1");
    write_string("/u", "1");
    transaction = xs_transaction_start(xs);
    assert_value(transaction, "/t", "1");
    ck_assert(xs_write(xs, transaction, "/u", "2", 1));
    write_string("/t", "changed");
    ck_assert(!xs_transaction_end(xs, transaction, false));
    ck_assert_int_eq(errno, EAGAIN);
    assert_value(XBT_NULL, "/u", "1");
}
END_TEST

START_TEST(conflict_on_absence_and_on_children)
{
    xs_transaction_t transaction = xs_transaction_start(xs);
    unsigned count;
    char **names;

    assert_value(transaction, "/new", NULL);
    write_string("/new", "");
    ck_assert(!xs_transaction_end(xs, transaction, false));
    ck_assert_int_eq(errno, EAGAIN);

    transaction = xs_transaction_start(xs);
    names = xs_directory(xs, transaction, "/new", &count);
    ck_assert_uint_eq(count, 0);
    free(names);
    write_string("/new/child", "");
    ck_assert(!xs_transaction_end(xs, transaction, false));
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(no_conflict_elsewhere)
{
    xs_transaction_t transaction;

    write_string("/t/a", "1");
    write_string("/t/b", "1");
    transaction = xs_transaction_start(xs);
    assert_value(transaction, "/t/a", "1");
    ck_assert(xs_write(xs, transaction, "/t/a", "2", 1));
    write_string("/t/b", "3");
    ck_assert(xs_transaction_end(xs, transaction, false));
    assert_value(XBT_NULL, "/t/a", "2");
    assert_value(XBT_NULL, "/t/b", "3");
}
END_TEST

START_TEST(removal_and_creation_in_one_transaction)
{
    xs_transaction_t transaction;

    write_string("/t/a/b", "1");
    transaction = xs_transaction_start(xs);
    ck_assert(xs_rm(xs, transaction, "/t/a"));
    ck_assert(xs_write(xs, transaction, "/t/a/c", "2", 1));
    ck_assert(xs_transaction_end(xs, transaction, false));
    assert_children("/t/a", "c");
    assert_value(XBT_NULL, "/t/a/b", NULL);
}
END_TEST

/* ---- watches ---- */

static void assert_event(const char *path, const char *token)
{
    char **event = xs_check_watch(xs);

    if (!path) {
        ck_assert_msg(event == NULL, "unexpected event %s %s", event ? event[0] : "", event ? event[1] : "");
        ck_assert_int_eq(errno, EAGAIN);
        return;
    }
    ck_assert_msg(event != NULL, "no event for %s", path);
    ck_assert_str_eq(event[XS_WATCH_PATH], path);
    ck_assert_str_eq(event[XS_WATCH_TOKEN], token);
    free(event);
}

START_TEST(watch_begins_with_an_event)
{
    ck_assert(xs_watch(xs, "/not/there", "token"));
    assert_event("/not/there", "token");
    assert_event(NULL, NULL);
}
END_TEST

START_TEST(watch_hears_of_what_is_below)
{
    ck_assert(xs_watch(xs, "/w", "t"));
    assert_event("/w", "t");
    write_string("/w/a/b", "1");
    assert_event("/w/a/b", "t");
    write_string("/wider", "1");
    ck_assert(xs_mkdir(xs, XBT_NULL, "/w/a")); /* is there: no change */
    assert_event(NULL, NULL);
    set_permissions("/w/a", 0, XS_PERM_NONE, 1, XS_PERM_READ);
    assert_event("/w/a", "t");
    ck_assert(xs_rm(xs, XBT_NULL, "/w/a"));
    assert_event("/w/a", "t");
    assert_event(NULL, NULL);
}
END_TEST

START_TEST(removal_above_a_watch_shows_the_watched_path)
{
    write_string("/w/a/b", "1");
    ck_assert(xs_watch(xs, "/w/a/b", "t"));
    assert_event("/w/a/b", "t");
    ck_assert(xs_rm(xs, XBT_NULL, "/w"));
    assert_event("/w/a/b", "t");
    assert_event(NULL, NULL);
}
END_TEST

START_TEST(transactions_fire_when_committed)
{
    xs_transaction_t transaction;

    write_string("/w/gone", "");
    ck_assert(xs_watch(xs, "/w", "t"));
    assert_event("/w", "t");
    transaction = xs_transaction_start(xs);
    ck_assert(xs_write(xs, transaction, "/w/a", "1", 1));
    ck_assert(xs_write(xs, transaction, "/w/a", "2", 1));
    ck_assert(xs_rm(xs, transaction, "/w/gone"));
    assert_event(NULL, NULL);
    ck_assert(xs_transaction_end(xs, transaction, false));
    assert_event("/w/a", "t");
    assert_event("/w/gone", "t");
    assert_event(NULL, NULL);
}
END_TEST

START_TEST(unwatch_and_duplicates)
{
    ck_assert(xs_watch(xs, "/w", "t"));
    ck_assert(!xs_watch(xs, "/w", "t"));
    ck_assert_int_eq(errno, EEXIST);
    ck_assert(xs_watch(xs, "/w", "u"));
    ck_assert(xs_unwatch(xs, "/w", "t"));
    ck_assert(!xs_unwatch(xs, "/w", "t"));
    ck_assert_int_eq(errno, ENOENT);
    assert_event("/w", "t");
    assert_event("/w", "u");
    write_string("/w", "1");
    assert_event("/w", "u");
    assert_event(NULL, NULL);
}
END_TEST

START_TEST(watches_of_domain_0_may_be_relative)
{
    ck_assert(xs_watch(xs, "backend", "t"));
    assert_event("backend", "t");
    write_string("/local/domain/0/backend/vif", "1");
    assert_event("backend/vif", "t");
    ck_assert(xs_unwatch(xs, "/local/domain/0/backend", "t"));
    write_string("backend/vif", "2");
    assert_event(NULL, NULL);
}
END_TEST

START_TEST(guest_watches_are_relative_and_permitted)
{
    struct guest_ring ring = guest_ring_create();

    write_string("/local/domain/1/device", "");
    set_permissions("/local/domain/1/device", 0, XS_PERM_NONE, 1, XS_PERM_READ);
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "device\0token", 13, NULL), 0);
    ck_assert_str_eq(guest_event(&ring), "device token");
    write_string("/local/domain/1/device/vif", "");
    ck_assert_str_eq(guest_event(&ring), "device/vif token");
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "/\0all", 6, NULL), 0);
    ck_assert_str_eq(guest_event(&ring), "/ all");
    write_string("/other", "1");
    ck_assert_ptr_null(guest_event(&ring));
    ck_assert_int_eq(guest_request(&ring, XS_UNWATCH, 0, "device\0token", 13, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_RESET_WATCHES, 0, "", 1, NULL), 0);
    write_string("/local/domain/1/device/vif", "1");
    ck_assert_ptr_null(guest_event(&ring));
}
END_TEST

START_TEST(equal_events_that_wait_are_one)
{
    struct guest_ring ring = guest_ring_create();
    unsigned count = 0;

    write_string("/seen", "");
    set_permissions("/seen", 0, XS_PERM_READ, 1, XS_PERM_READ);
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "/seen\0t", 8, NULL), 0);
    for (unsigned i = 0; i < 200; i++) /* more than the ring holds while the guest does not read */
        write_string("/seen", "1");
    while (guest_event(&ring))
        count++;
    ck_assert_uint_ge(count, 2);
    ck_assert_uint_le(count, XENSTORE_RING_SIZE / 24 + 2);
}
END_TEST

START_TEST(special_watches)
{
    struct guest_ring ring;

    ck_assert(xs_watch(xs, "@introduceDomain", "in"));
    ck_assert(xs_watch(xs, "@releaseDomain", "out"));
    assert_event("@introduceDomain", "in");
    assert_event("@releaseDomain", "out");
    ring = guest_ring_create();
    assert_event("@introduceDomain", "in");
    ck_assert(xs_is_domain_introduced(xs, ring.domid));
    ck_assert(xs_release_domain(xs, ring.domid));
    assert_event("@releaseDomain", "out");
    ck_assert(!xs_is_domain_introduced(xs, ring.domid));
    ck_assert(!xs_release_domain(xs, ring.domid));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* ---- quotas ---- */

static void open_home(void)
{
    write_string("/local/domain/1", "");
    set_permissions("/local/domain/1", 1, XS_PERM_NONE, 0, XS_PERM_NONE);
}

START_TEST(quota_of_nodes)
{
    struct guest_ring ring = guest_ring_create();
    struct census *census;
    char payload[32];
    unsigned created = 0;
    int error;

    open_home();
    do { /* 50 children a node: more would pass its size */
        int length = snprintf(payload, sizeof(payload), "d%u/n%u", created / 50, created % 50) + 1;

        error = guest_request(&ring, XS_MKDIR, 0, payload, (uint32_t)length, NULL);
        created++;
    } while (!error);
    ck_assert_int_eq(error, ENOSPC);
    census = census_take();
    ck_assert_uint_eq(census_total(census, "store node"), 1000);
    census_free(census);
    ck_assert_int_eq(guest_request(&ring, XS_RM, 0, "d0/n0", 6, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_MKDIR, 0, "again", 6, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_MKDIR, 0, "once-more", 10, NULL), ENOSPC);
    write_string("/local/domain/1/by-domain-0", ""); /* not bound by it */
}
END_TEST

START_TEST(quota_of_node_size)
{
    struct guest_ring ring = guest_ring_create();
    char payload[2100] = "big";

    open_home();
    memset(payload + 4, 'x', sizeof(payload) - 4);
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, payload, 4 + 2000, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, payload, 4 + 2048, NULL), ENOSPC);
    payload[0] = 'g';
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, payload, 4 + 2048, NULL), ENOSPC);
}
END_TEST

START_TEST(quota_of_watches)
{
    struct guest_ring ring = guest_ring_create();
    char payload[32];
    unsigned watches = 0;
    int error;

    do {
        int length = snprintf(payload, sizeof(payload), "data%ct%u", 0, watches) + 1;

        error = guest_request(&ring, XS_WATCH, 0, payload, (uint32_t)length, NULL);
        watches += !error;
        guest_event(&ring);
    } while (!error);
    ck_assert_int_eq(error, E2BIG);
    ck_assert_uint_eq(watches,
                      store_quota()->watches + 1); /* refused when it has more than the limit, as in the field */
}
END_TEST

START_TEST(quota_of_transactions)
{
    struct guest_ring ring = guest_ring_create();
    struct guest_reply reply;
    unsigned open = 0;
    int error;

    while (!(error = guest_request(&ring, XS_TRANSACTION_START, 0, "", 1, &reply)))
        open++;
    ck_assert_int_eq(error, ENOSPC);
    ck_assert_uint_eq(open, store_quota()->transactions + 1);
    ck_assert_int_eq(guest_request(&ring, XS_RESET_WATCHES, 0, "", 1, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_TRANSACTION_START, 0, "", 1, &reply), 0);
}
END_TEST

START_TEST(quotas_can_be_set)
{
    char *answer = xs_control_command(xs, "quota", (void *)"set\0nodes\0005", 12);

    ck_assert_ptr_nonnull(answer);
    free(answer);
    ck_assert_uint_eq(store_quota()->nodes, 5);
    ck_assert_ptr_null(xs_control_command(xs, "quota", (void *)"set\0nodes\0x", 12));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(xs_control_command(xs, "live-update", NULL, 0));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* ---- domains ---- */

START_TEST(domain_0_is_neither_released_nor_resumed)
{
    ck_assert(!xs_release_domain(xs, 0));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(!xs_resume_domain(xs, 0));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(!xs_resume_domain(xs, 7)); /* nobody has introduced it */
    ck_assert_int_eq(errno, ENOENT);
    ck_assert(xs_is_domain_introduced(xs, 0));
}
END_TEST

START_TEST(a_dead_domain_leaves_nothing)
{
    struct guest_ring ring = guest_ring_create();

    open_home();
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, "a/b\0x", 5, NULL), 0);
    ck_assert(xs_watch(xs, "@releaseDomain", "out"));
    assert_event("@releaseDomain", "out");
    xen_domain_destroy(ring.domid);
    store_pump();
    assert_event("@releaseDomain", "out");
    assert_value(XBT_NULL, "/local/domain/1", NULL);
}
END_TEST

static void woken(void *argument)
{
    (void)argument;
}

/* What a client of that domain is answered to a read: 0 or an errno. */
static int read_as(unsigned domid, const char *path)
{
    struct store_connection *connection = store_connect(domid, woken, NULL);
    struct store_message *reply;
    int error = 0;

    store_submit(connection, XS_READ, 1, 0, path, (uint32_t)strlen(path) + 1);
    store_pump();
    reply = store_receive(connection);
    ck_assert_ptr_nonnull(reply);
    if (reply->header.type == XS_ERROR)
        error = strcmp((char *)reply->payload, "EACCES") == 0 ? EACCES : EINVAL;
    free(reply);
    store_disconnect(connection);
    store_pump();
    return error;
}

START_TEST(a_new_domain_inherits_nothing)
{
    ck_assert_int_eq(xen_domain_create_host(7), 0);
    write_string("/shared", "x");
    set_permissions("/shared", 0, XS_PERM_NONE, 7, XS_PERM_READ);
    ck_assert_int_eq(read_as(7, "/shared"), 0);
    xen_domain_destroy(7);
    store_pump();
    ck_assert_int_eq(xen_domain_create_host(7), 0);
    ck_assert_int_eq(read_as(7, "/shared"), EACCES);
    /* Nor does it get what was given to its number before it was there. */
    write_string("/early", "x");
    set_permissions("/early", 0, XS_PERM_NONE, 8, XS_PERM_READ);
    ck_assert_int_eq(xen_domain_create_host(8), 0);
    ck_assert_int_eq(read_as(8, "/early"), EACCES);
    set_permissions("/early", 0, XS_PERM_NONE, 8, XS_PERM_READ);
    ck_assert_int_eq(read_as(8, "/early"), 0);
}
END_TEST

START_TEST(an_owner_is_there)
{
    struct xs_permissions permission = {9, XS_PERM_NONE};

    write_string("/node", "");
    ck_assert(!xs_set_permissions(xs, XBT_NULL, "/node", &permission, 1));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(census_names_what_a_guest_holds)
{
    struct guest_ring ring = guest_ring_create();
    struct census *before, *after;

    open_home();
    before = census_take();
    ck_assert_int_eq(guest_request(&ring, XS_WRITE, 0, "leak\0x", 6, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "leak\0t", 7, NULL), 0);
    ck_assert_int_eq(guest_request(&ring, XS_TRANSACTION_START, 0, "", 1, NULL), 0);
    after = census_take();
    ck_assert_uint_eq(census_total(after, "watch") - census_total(before, "watch"), 1);
    ck_assert_uint_eq(census_total(after, "store node") - census_total(before, "store node"), 1);
    ck_assert_uint_eq(census_total(after, "transaction") - census_total(before, "transaction"), 1);
    census_free(before);
    census_free(after);
}
END_TEST

static Suite *suite(void)
{
    const TTest *const tests[] = {
        first_nodes,
        write_makes_parents_with_empty_values,
        values_are_byte_strings,
        children_come_in_the_order_of_creation,
        mkdir_leaves_a_node_that_exists,
        rm_takes_what_is_below,
        rm_of_what_is_not_there,
        names_are_checked,
        relative_paths_of_domain_0_begin_at_its_home,
        directories_longer_than_a_message,
        guest_paths_are_relative_to_its_home,
        guest_sees_what_it_may,
        guest_owns_what_it_creates,
        requests_for_domain_0_only,
        unknown_and_malformed_requests,
        transaction_is_seen_when_committed,
        transaction_that_is_aborted_leaves_nothing,
        conflict_on_what_was_read,
        conflict_on_absence_and_on_children,
        no_conflict_elsewhere,
        removal_and_creation_in_one_transaction,
        watch_begins_with_an_event,
        watch_hears_of_what_is_below,
        removal_above_a_watch_shows_the_watched_path,
        transactions_fire_when_committed,
        unwatch_and_duplicates,
        watches_of_domain_0_may_be_relative,
        guest_watches_are_relative_and_permitted,
        equal_events_that_wait_are_one,
        special_watches,
        quota_of_nodes,
        quota_of_node_size,
        quota_of_watches,
        quota_of_transactions,
        quotas_can_be_set,
        domain_0_is_neither_released_nor_resumed,
        a_dead_domain_leaves_nothing,
        a_new_domain_inherits_nothing,
        an_owner_is_there,
        census_names_what_a_guest_holds,
    };
    Suite *suite = suite_create("store");
    TCase *tcase = tcase_create("store");

    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
