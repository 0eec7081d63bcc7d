/* XENBUS_CACHE. */
#include <string.h>

#include "common/stack.h"

#include <initguid.h>

#include "cache_interface.h"

#define CALL(method, ...) XENBUS_CACHE_CALL(&caches, method, ##__VA_ARGS__)

static XENBUS_CACHE_INTERFACE_V2 caches;

/* The client of a cache. */
struct client {
    KSPIN_LOCK lock;
    KIRQL irql;
    unsigned acquired, released;
    unsigned made, unmade;
    unsigned fail_at; /* constructor call from which on all fail, from 1; 0: none */
    unsigned calls;
};

struct object {
    struct client *client;
    unsigned serial;
    char rest[88];
};

static NTSTATUS NTAPI construct(PVOID argument, PVOID memory)
{
    struct client *client = argument;
    struct object *object = memory;

    ck_assert_uint_le(KeGetCurrentIrql(), DISPATCH_LEVEL);
    for (size_t i = 0; i < sizeof(*object); i++)
        ck_assert_msg(((char *)memory)[i] == 0, "byte %zu of a new object is not zero", i);
    client->calls++;
    if (client->fail_at != 0 && client->calls >= client->fail_at)
        return STATUS_DEVICE_BUSY;
    object->client = client;
    object->serial = ++client->made;
    memset(object->rest, 0x77, sizeof(object->rest));
    return STATUS_SUCCESS;
}

static VOID NTAPI destruct(PVOID argument, PVOID memory)
{
    struct client *client = argument;
    const struct object *object = memory;

    ck_assert_ptr_eq(object->client, client);
    client->unmade++;
}

static VOID NTAPI acquire_lock(PVOID argument)
{
    struct client *client = argument;
    KIRQL irql;

    KeAcquireSpinLock(&client->lock, &irql);
    client->irql = irql;
    client->acquired++;
}

static VOID NTAPI release_lock(PVOID argument)
{
    struct client *client = argument;

    client->released++;
    KeReleaseSpinLock(&client->lock, client->irql);
}

static void begin(void)
{
    STACK_GET(GUID_XENBUS_CACHE_INTERFACE, 2, &caches);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
}

static struct client *client_new(void)
{
    struct client *client = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*client), STACK_TAG);

    KeInitializeSpinLock(&client->lock);
    return client;
}

static NTSTATUS create(struct client *client, ULONG size, ULONG reservation, ULONG cap, PXENBUS_CACHE *cache)
{
    return CALL(Create, "test", size, reservation, cap, construct, destruct, acquire_lock, release_lock, client, cache);
}

STACK_TEST(objects_stay_constructed, .drivers = STACK_PROBE)
{
    struct client *client = client_new();
    struct object *object[20];
    PXENBUS_CACHE cache;
    unsigned made;

    begin();
    ck_assert_int_eq(create(client, sizeof(struct object), 0, 0, &cache), STATUS_SUCCESS);
    for (unsigned i = 0; i < 20; i++) {
        object[i] = CALL(Get, cache, FALSE);
        ck_assert_ptr_nonnull(object[i]);
        ck_assert_ptr_eq(object[i]->client, client);
        for (unsigned j = 0; j < i; j++)
            ck_assert_ptr_ne(object[j], object[i]);
    }
    ck_assert_uint_ge(client->made, 20);
    made = client->made;
    ck_assert_uint_gt(client->acquired, 0);
    CALL(Put, cache, object[7], FALSE);
    object[7] = CALL(Get, cache, FALSE);
    ck_assert_uint_eq(client->made, made);
    ck_assert_int_eq(object[7]->rest[87], 0x77);

    acquire_lock(client);
    for (unsigned i = 0; i < 20; i++)
        CALL(Put, cache, object[i], TRUE);
    object[0] = CALL(Get, cache, TRUE);
    ck_assert_ptr_nonnull(object[0]);
    CALL(Put, cache, object[0], TRUE);
    release_lock(client);
    CALL(Destroy, cache);
    ck_assert_uint_eq(client->made, client->unmade);
    ck_assert_uint_eq(client->acquired, client->released);
    CALL(Release);
    ExFreePoolWithTag(client, STACK_TAG);
}

STACK_TEST(reservation_and_cap, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client = client_new();
    struct object *object[8];
    PXENBUS_CACHE cache;

    begin();
    ck_assert_int_eq(create(client, 0, 0, 0, &cache), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(create(client, sizeof(struct object), 6, 5, &cache), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(client->made, client->unmade);

    ck_assert_int_eq(create(client, sizeof(struct object), 5, 8, &cache), STATUS_SUCCESS);
    ck_assert_uint_ge(client->made - client->unmade, 5);
    for (unsigned i = 0; i < 8; i++) {
        object[i] = CALL(Get, cache, FALSE);
        ck_assert_ptr_nonnull(object[i]);
    }
    ck_assert_ptr_null(CALL(Get, cache, FALSE));
    ck_assert_uint_eq(client->made - client->unmade, 8);
    CALL(Put, cache, object[3], FALSE);
    object[3] = CALL(Get, cache, FALSE);
    ck_assert_ptr_nonnull(object[3]);
    ck_assert_ptr_null(CALL(Get, cache, FALSE));
    for (unsigned i = 0; i < 8; i++)
        CALL(Put, cache, object[i], FALSE);
    ck_assert_uint_ge(client->made - client->unmade, 5);
    CALL(Destroy, cache);
    ck_assert_uint_eq(client->made, client->unmade);
    CALL(Release);
    ExFreePoolWithTag(client, STACK_TAG);
}

/* A client that takes and gives back as many again and again makes none: and what it no longer needs goes. */
STACK_TEST(keeps_what_is_in_use_of_late, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client = client_new();
    struct object *object[100];
    PXENBUS_CACHE cache;
    unsigned made = 0;

    begin();
    ck_assert_int_eq(create(client, sizeof(struct object), 0, 0, &cache), STATUS_SUCCESS);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < ARRAYSIZE(object); i++)
            ck_assert_ptr_nonnull(object[i] = CALL(Get, cache, FALSE));
        if (round == 0)
            made = client->made;
        for (unsigned i = 0; i < ARRAYSIZE(object); i++)
            CALL(Put, cache, object[i], FALSE);
        ck_assert_uint_eq(client->made, made);
        ck_assert_uint_eq(client->unmade, 0);
    }
    for (unsigned round = 0; round < 4096; round++) {
        object[round % 2] = CALL(Get, cache, FALSE);
        CALL(Put, cache, object[round % 2], FALSE);
    }
    ck_assert_uint_gt(client->unmade, 0);
    for (unsigned i = 0; i < ARRAYSIZE(object); i++)
        ck_assert_ptr_nonnull(object[i] = CALL(Get, cache, FALSE));
    for (unsigned i = 0; i < ARRAYSIZE(object); i++)
        CALL(Put, cache, object[i], FALSE);
    CALL(Destroy, cache);
    ck_assert_uint_eq(client->made, client->unmade);
    CALL(Release);
    ExFreePoolWithTag(client, STACK_TAG);
}

STACK_TEST(constructor_fails, .drivers = STACK_PROBE, .quiet = true)
{
    struct client *client = client_new();
    struct object *first;
    PXENBUS_CACHE cache;

    begin();
    client->fail_at = 3;
    ck_assert_int_eq(create(client, sizeof(struct object), 5, 0, &cache), STATUS_DEVICE_BUSY);
    ck_assert_uint_eq(client->made, 2);
    ck_assert_uint_eq(client->unmade, 2);

    client->calls = 0;
    client->fail_at = 0;
    ck_assert_int_eq(create(client, sizeof(struct object), 0, 0, &cache), STATUS_SUCCESS);
    client->fail_at = client->calls + 1;
    first = CALL(Get, cache, FALSE);
    ck_assert_ptr_null(first);
    client->fail_at = 0;
    first = CALL(Get, cache, FALSE);
    ck_assert_ptr_nonnull(first);
    CALL(Put, cache, first, FALSE);
    CALL(Destroy, cache);
    ck_assert_uint_eq(client->made, client->unmade);
    CALL(Release);
    ExFreePoolWithTag(client, STACK_TAG);
}

/* Objects as large as pages and larger, and tiny ones. */
STACK_TEST(sizes, .drivers = STACK_PROBE)
{
    static const ULONG sizes[] = {sizeof(struct object), 1000, 4096, 5000, 20000};
    struct client *client = client_new();

    begin();
    for (unsigned s = 0; s < ARRAYSIZE(sizes); s++) {
        struct object *object[10];
        PXENBUS_CACHE cache;

        ck_assert_int_eq(create(client, sizes[s], 2, 0, &cache), STATUS_SUCCESS);
        for (unsigned i = 0; i < 10; i++) {
            object[i] = CALL(Get, cache, FALSE);
            ck_assert_ptr_nonnull(object[i]);
            memset((char *)object[i] + sizeof(struct object), (int)i, sizes[s] - sizeof(struct object));
        }
        for (unsigned i = 0; i < 10; i++) {
            for (ULONG byte = sizeof(struct object); byte < sizes[s]; byte++)
                ck_assert_int_eq(((char *)object[i])[byte], (char)i);
            CALL(Put, cache, object[i], FALSE);
        }
        CALL(Destroy, cache);
    }
    ck_assert_uint_eq(client->made, client->unmade);
    CALL(Release);
    ExFreePoolWithTag(client, STACK_TAG);
}

struct worker {
    struct client *client;
    PXENBUS_CACHE cache;
    unsigned number;
};

static VOID NTAPI work(PVOID context)
{
    const struct worker *worker = context;
    struct object *object[4];

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 4; i++) {
            object[i] = CALL(Get, worker->cache, FALSE);
            ck_assert_ptr_nonnull(object[i]);
            memset(object[i]->rest, (int)worker->number, sizeof(object[i]->rest));
        }
        for (unsigned i = 0; i < 4; i++) {
            for (unsigned byte = 0; byte < sizeof(object[i]->rest); byte++)
                ck_assert_uint_eq((unsigned char)object[i]->rest[byte], worker->number);
            CALL(Put, worker->cache, object[i], FALSE);
        }
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void threads(void *unused)
{
    struct client *client = client_new();
    struct worker worker[4];
    PKTHREAD thread[4];
    PXENBUS_CACHE cache;

    (void)unused;
    begin();
    ck_assert_int_eq(create(client, sizeof(struct object), 3, 0, &cache), STATUS_SUCCESS);
    for (unsigned i = 0; i < 4; i++) {
        worker[i] = (struct worker){client, cache, i};
        thread[i] = stack_thread(work, &worker[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        stack_join(thread[i]);
    CALL(Destroy, cache);
    ck_assert_uint_eq(client->made, client->unmade);
    CALL(Release);
    ExFreePoolWithTag(client, STACK_TAG);
}

START_TEST(many_threads)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 4, .policy = POLICY_PCT};

    for (options.seed = 1; options.seed <= 5; options.seed++)
        stack_run(&options, threads, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("CACHE");
    TCase *tcase = tcase_create("caches");

    tcase_add_test(tcase, objects_stay_constructed);
    tcase_add_test(tcase, reservation_and_cap);
    tcase_add_test(tcase, keeps_what_is_in_use_of_late);
    tcase_add_test(tcase, constructor_fails);
    tcase_add_test(tcase, sizes);
    tcase_add_test(tcase, many_threads);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
