/* The words of XS_ERROR, byte for byte as clients compare them, and requests about domains with each of their errors.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/guest_ring.h"
#include "dom0/heap.h"
#include "machine/machine.h"
#include "store/store.h"

#include <xenstore.h>

static struct xs_handle *xs;
static struct guest_ring ring;

/* The guest at its ring, with a home of its own, a node that it may not read, and a watch. */
static void setup(void)
{
    struct machine_config config = machine_default_config();
    struct xs_permissions own = {1, XS_PERM_NONE};

    machine_create(&config);
    xs = xs_open(0);
    ring = guest_ring_create();
    ck_assert(xs_write(xs, XBT_NULL, "/local/domain/1/name", "guest", 5));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/local/domain/1", &own, 1));
    ck_assert(xs_set_permissions(xs, XBT_NULL, "/local/domain/1/name", &own, 1));
    ck_assert(xs_write(xs, XBT_NULL, "/secret", "", 0));
    ck_assert_int_eq(guest_request(&ring, XS_WATCH, 0, "name\0t", 7, NULL), 0);
    ck_assert_str_eq(guest_event(&ring), "name t");
}

static void teardown(void)
{
    xs_close(xs);
    machine_destroy();
}

static void assert_error(uint32_t type, uint32_t transaction, const char *payload, uint32_t length, const char *word)
{
    struct guest_reply *reply;

    guest_send(&ring, type, transaction, payload, length);
    reply = guest_receive(&ring);
    ck_assert_msg(reply->header.type == XS_ERROR, "type %u: %s instead of %s", type, reply->payload, word);
    ck_assert_uint_eq(reply->header.req_id, 7);
    ck_assert_uint_eq(reply->header.tx_id, transaction);
    ck_assert_str_eq(reply->payload, word);
    ck_assert_uint_eq(reply->header.len, strlen(word) + 1);
    free(reply);
}

#define PAYLOAD(text) text, sizeof(text)

static const struct {
    uint32_t type;
    const char *payload;
    uint32_t length;
    const char *word;
} plain[] = {
    {XS_READ, PAYLOAD("absent"), "ENOENT"},
    {XS_READ, PAYLOAD("/secret"), "EACCES"},
    {XS_READ, PAYLOAD("bad//name"), "EINVAL"},
    {XS_DIRECTORY, PAYLOAD("absent"), "ENOENT"},
    {XS_DIRECTORY, PAYLOAD("/secret"), "EACCES"},
    {XS_DIRECTORY_PART, PAYLOAD("absent\0000"), "ENOENT"},
    {XS_DIRECTORY_PART, PAYLOAD("/secret\0000"), "EACCES"},
    {XS_GET_PERMS, PAYLOAD("absent"), "ENOENT"},
    {XS_GET_PERMS, PAYLOAD("/secret"), "EACCES"},
    {XS_WRITE, PAYLOAD("/secret"), "EACCES"},
    {XS_WRITE, PAYLOAD("/new"), "EACCES"},
    {XS_MKDIR, PAYLOAD("/new"), "EACCES"},
    {XS_MKDIR, PAYLOAD("bad name"), "EINVAL"},
    {XS_RM, PAYLOAD("/secret"), "EACCES"},
    {XS_RM, PAYLOAD("absent/below"), "ENOENT"},
    {XS_SET_PERMS, PAYLOAD("name\0n0"), "EPERM"}, /* to give away is domain 0's */
    {XS_SET_PERMS, PAYLOAD("name\0x1"), "EINVAL"},
    {XS_SET_PERMS, PAYLOAD("name"), "EINVAL"},
    {XS_SET_PERMS, PAYLOAD("name\0n1\0r2\0r3\0r4\0r5\0r6"), "ENOSPC"},
    {XS_WATCH, PAYLOAD("name\0t"), "EEXIST"},
    {XS_WATCH, PAYLOAD("bad//name\0t"), "EINVAL"},
    {XS_UNWATCH, PAYLOAD("name\0other"), "ENOENT"},
    {XS_UNWATCH, PAYLOAD("name"), "EINVAL"},
    {XS_TRANSACTION_END, PAYLOAD("T"), "ENOENT"},
    {XS_IS_DOMAIN_INTRODUCED, PAYLOAD("1"), "EACCES"},
    {XS_TYPE_COUNT, PAYLOAD(""), "ENOSYS"},
};

START_TEST(words)
{
    assert_error(plain[_i].type, 0, plain[_i].payload, plain[_i].length, plain[_i].word);
}
END_TEST

static uint32_t start(void)
{
    struct guest_reply reply;

    ck_assert_int_eq(guest_request(&ring, XS_TRANSACTION_START, 0, "", 1, &reply), 0);
    return (uint32_t)strtoul(reply.payload, NULL, 10);
}

START_TEST(words_of_transactions)
{
    uint32_t transaction = start();

    assert_error(XS_TRANSACTION_START, transaction, "", 1, "EBUSY");
    assert_error(XS_READ, transaction + 1, PAYLOAD("name"), "ENOENT");
    assert_error(XS_TRANSACTION_END, transaction, PAYLOAD("?"), "EINVAL");
    ck_assert_int_eq(guest_request(&ring, XS_READ, transaction, "name", 5, NULL), 0);
    ck_assert(xs_write(xs, XBT_NULL, "/local/domain/1/name", "other", 5));
    ck_assert_str_eq(guest_event(&ring), "name t");
    assert_error(XS_TRANSACTION_END, transaction, PAYLOAD("T"), "EAGAIN");
    store_quota()->transactions = 0; /* one more than this */
    (void)start();
    assert_error(XS_TRANSACTION_START, 0, "", 1, "ENOSPC");
}
END_TEST

START_TEST(words_of_limits)
{
    store_quota()->watches = 0; /* one more than this */
    assert_error(XS_WATCH, 0, PAYLOAD("name\0other"), "E2BIG");
    store_quota()->nodes = 1;
    assert_error(XS_WRITE, 0, PAYLOAD("new"), "ENOSPC");
    store_quota()->node_size = 40;
    assert_error(XS_WRITE, 0, PAYLOAD("name\0a value that is too long for that"), "ENOSPC");
}
END_TEST

START_TEST(targets)
{
    ck_assert(xs_set_target(xs, ring.domid, ring.domid));
    ck_assert(!xs_set_target(xs, ring.domid, 7)); /* nobody has introduced it */
    ck_assert_int_eq(errno, ENOENT);
    ck_assert(!xs_set_target(xs, 7, ring.domid));
    ck_assert_int_eq(errno, ENOENT);
    assert_error(XS_SET_TARGET, 0, PAYLOAD("1\0001"), "EACCES");
}
END_TEST

START_TEST(resumption)
{
    ck_assert(xs_resume_domain(xs, ring.domid));
    ck_assert(xs_release_domain(xs, ring.domid));
    ck_assert(!xs_resume_domain(xs, ring.domid));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store-errors");
    TCase *tcase = tcase_create("errors");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, words, 0, sizeof(plain) / sizeof(plain[0]));
    tcase_add_test(tcase, words_of_transactions);
    tcase_add_test(tcase, words_of_limits);
    tcase_add_test(tcase, targets);
    tcase_add_test(tcase, resumption);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
