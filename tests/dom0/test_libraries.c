/* The libraries of dom0 inside the machine, against a guest that runs nothing: grants, shares, foreign pages, calls. */
#include "xen/xen_guest.h"

#include <sys/mman.h>
#include <xenforeignmemory.h>

#include "dom0/library_cases.h"
#include "machine/census.h"
#include "machine/log.h"
#include "machine/sched.h"

static void (*tried)(void);

static void task_main(void *argument)
{
    uint64_t frame = 0;

    (void)argument;
    ck_assert_int_eq(xen_hvm_param_get(GUEST, HVM_PARAM_CONSOLE_PFN, &frame), 0);
    memcpy((uint8_t *)xen_foreign_frame(GUEST, frame) + 100, "guest", 5);
    tried();
    machine_stop();
}

static void see_left(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    (void)context;
    (void)caller;
    fprintf(stderr, "left behind: %s %s, %llu\n", kind, name, (unsigned long long)count);
}

static void try(void (*function)(void))
{
    struct machine_config config = guest_config(1);
    struct census *before;
    struct census *after;
    enum machine_result result;

    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(10000000000);
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), GUEST);
    tried = function;
    before = census_take();
    (void)task_create("test", task_main, NULL);
    result = machine_run();
    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s", machine_failure() ? machine_failure()->text : "");
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, see_left, NULL), 0);
    census_free(before);
    census_free(after);
    machine_destroy();
}

START_TEST(grants)
{
    try(library_grants);
}
END_TEST

START_TEST(shares)
{
    try(library_shares);
}
END_TEST

START_TEST(foreign_pages)
{
    try(library_foreign);
}
END_TEST

START_TEST(information)
{
    try(library_information);
}
END_TEST

/* Windows have places of their own, and the wish for another one is refused. */
static void place(void)
{
    xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
    const xen_pfn_t frame = 0;

    CHECK_FAILS(xenforeignmemory_map2(handle, GUEST, (void *)0x70000000, PROT_READ, MAP_FIXED, 1, &frame, NULL) == NULL,
                EOPNOTSUPP);
    CHECK(xenforeignmemory_close(handle) == 0);
}

START_TEST(place_of_a_mapping)
{
    try(place);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dom0/libraries");
    TCase *cases = tcase_create("inside");

    tcase_add_test(cases, grants);
    tcase_add_test(cases, shares);
    tcase_add_test(cases, foreign_pages);
    tcase_add_test(cases, information);
    tcase_add_test(cases, place_of_a_mapping);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
