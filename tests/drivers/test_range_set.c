/* XENBUS_RANGE_SET, in the end against a plain bitmap. */
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"

#include <initguid.h>

#include "range_set_interface.h"

#define CALL(method, ...) XENBUS_RANGE_SET_CALL(&sets, method, ##__VA_ARGS__)

static XENBUS_RANGE_SET_INTERFACE_V1 sets;

static PXENBUS_RANGE_SET begin(void)
{
    PXENBUS_RANGE_SET set;

    STACK_GET(GUID_XENBUS_RANGE_SET_INTERFACE, 1, &sets);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Create, "test", &set), STATUS_SUCCESS);
    return set;
}

static void end(PXENBUS_RANGE_SET set)
{
    CALL(Destroy, set);
    CALL(Release);
}

static LONGLONG pop(PXENBUS_RANGE_SET set, ULONGLONG count)
{
    LONGLONG start = -1;

    ck_assert_int_eq(CALL(Pop, set, count, &start), STATUS_SUCCESS);
    return start;
}

STACK_TEST(put_pop_get, .drivers = STACK_PROBE)
{
    PXENBUS_RANGE_SET set = begin();
    LONGLONG start;

    ck_assert_int_eq(CALL(Pop, set, 1, &start), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(Put, set, 100, 10), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Put, set, 10, 5), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Put, set, -20, 3), STATUS_SUCCESS);

    /* The lowest run that is long enough. */
    ck_assert_int_eq(pop(set, 1), -20);
    ck_assert_int_eq(pop(set, 4), 10);
    ck_assert_int_eq(pop(set, 2), -19);
    ck_assert_int_eq(pop(set, 2), 100);
    ck_assert_int_eq(pop(set, 1), 14);

    /* 102 to 109 are left. */
    ck_assert_int_eq(CALL(Pop, set, 9, &start), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(Get, set, 104, 2), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Get, set, 104, 1), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(Get, set, 103, 2), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(Get, set, 108, 3), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(pop(set, 3), 106);

    /* What was in two pieces is one again when the gap is filled. */
    ck_assert_int_eq(CALL(Put, set, 104, 5), STATUS_SUCCESS);
    ck_assert_int_eq(pop(set, 8), 102);
    end(set);
}

STACK_TEST(errors, .drivers = STACK_PROBE)
{
    PXENBUS_RANGE_SET set = begin();
    LONGLONG start;

    ck_assert_int_eq(CALL(Put, set, 5, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Get, set, 5, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Pop, set, 0, &start), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 0x7FFFFFFFFFFFFFF0, 0x11), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Get, set, 0x7FFFFFFFFFFFFFF0, 0x11), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 0, ~0ull), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 0x7FFFFFFFFFFFFFF0, 0x10), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Get, set, 0x7FFFFFFFFFFFFFF0, 0x10), STATUS_SUCCESS);

    /* Nothing of a range that overlaps is added. */
    ck_assert_int_eq(CALL(Put, set, 10, 10), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Put, set, 19, 5), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 5, 6), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 12, 2), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 5, 20), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Put, set, 10, 10), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Get, set, 20, 1), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(Get, set, 9, 1), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(Get, set, 10, 10), STATUS_SUCCESS);
    end(set);
}

#define SPACE 256

/* Is the run in the model as a whole in the set, or wholly out of it? */
static bool all(const uint8_t *model, unsigned start, unsigned count, uint8_t value)
{
    for (unsigned i = start; i < start + count; i++)
        if (model[i] != value)
            return false;
    return true;
}

STACK_TEST(against_a_bitmap, .drivers = STACK_PROBE)
{
    PXENBUS_RANGE_SET set = begin();
    uint8_t *model = ExAllocatePool2(POOL_FLAG_NON_PAGED, SPACE, STACK_TAG);
    unsigned state = 12345;

    for (unsigned step = 0; step < 5000; step++) {
        unsigned start, count, expected;
        LONGLONG popped = -1;
        NTSTATUS status;

        state = state * 1103515245 + 12345;
        start = (state >> 8) % SPACE;
        count = 1 + (state >> 16) % 12;
        if (start + count > SPACE)
            count = SPACE - start;
        switch ((state >> 28) % 3) {
        case 0:
            status = CALL(Put, set, start, count);
            ck_assert_int_eq(status, all(model, start, count, 0) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER);
            if (NT_SUCCESS(status))
                memset(model + start, 1, count);
            break;
        case 1:
            status = CALL(Get, set, start, count);
            ck_assert_int_eq(status, all(model, start, count, 1) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES);
            if (NT_SUCCESS(status))
                memset(model + start, 0, count);
            break;
        default:
            for (expected = 0; expected + count <= SPACE && !all(model, expected, count, 1); expected++)
                ;
            status = CALL(Pop, set, count, &popped);
            if (expected + count > SPACE) {
                ck_assert_int_eq(status, STATUS_INSUFFICIENT_RESOURCES);
            } else {
                ck_assert_int_eq(status, STATUS_SUCCESS);
                ck_assert_int_eq(popped, expected);
                memset(model + expected, 0, count);
            }
            break;
        }
    }
    for (unsigned i = 0; i < SPACE; i++)
        ck_assert_int_eq(CALL(Get, set, i, 1), model[i] ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES);
    end(set);
    ExFreePoolWithTag(model, STACK_TAG);
}

static PXENBUS_RANGE_SET shared;

static VOID NTAPI work(PVOID context)
{
    (void)context;
    for (unsigned round = 0; round < 50; round++) {
        LONGLONG one = pop(shared, 1);
        LONGLONG three = pop(shared, 3);

        ck_assert(one < three || one >= three + 3);
        ck_assert_int_eq(CALL(Get, shared, one, 1), STATUS_INSUFFICIENT_RESOURCES);
        ck_assert_int_eq(CALL(Put, shared, one, 1), STATUS_SUCCESS);
        ck_assert_int_eq(CALL(Put, shared, three, 3), STATUS_SUCCESS);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void threads(void *unused)
{
    PKTHREAD thread[4];

    (void)unused;
    shared = begin();
    ck_assert_int_eq(CALL(Put, shared, 0, 64), STATUS_SUCCESS);
    for (unsigned i = 0; i < 4; i++)
        thread[i] = stack_thread(work, NULL);
    for (unsigned i = 0; i < 4; i++)
        stack_join(thread[i]);
    ck_assert_int_eq(CALL(Get, shared, 0, 64), STATUS_SUCCESS);
    end(shared);
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
    Suite *suite = suite_create("RANGE_SET");
    TCase *tcase = tcase_create("sets");

    tcase_add_test(tcase, put_pop_get);
    tcase_add_test(tcase, errors);
    tcase_add_test(tcase, against_a_bitmap);
    tcase_add_test(tcase, many_threads);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
