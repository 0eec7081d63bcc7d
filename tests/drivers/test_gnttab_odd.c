/*
 * GNTTAB against another domain that maps and unmaps as it likes, without memory, after a resume, and for a client that
 * keeps what it was given.
 */
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

#include <initguid.h>

#include "gnttab_interface.h"
#include "suspend_interface.h"

#define CALL(method, ...) XENBUS_GNTTAB_CALL(&gnttab, method, ##__VA_ARGS__)

#define PLATFORM "PCI\\VEN_5853&DEV_0001"

static XENBUS_GNTTAB_INTERFACE_V4 gnttab;
static PXENBUS_GNTTAB_CACHE cache;
static uint8_t *page;

static VOID NTAPI no_lock(PVOID argument)
{
    (void)argument;
}

static void begin(void)
{
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &gnttab);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(CreateCache, "odd", 0, 0, no_lock, no_lock, NULL, &cache), STATUS_SUCCESS);
    page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
}

static void end(void)
{
    CALL(DestroyCache, cache);
    CALL(Release);
    ExFreePoolWithTag(page, STACK_TAG);
}

static PXENBUS_GNTTAB_ENTRY permit(void)
{
    PXENBUS_GNTTAB_ENTRY entry;

    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0,
                          (PFN_NUMBER)(MmGetPhysicalAddress(page).QuadPart >> PAGE_SHIFT), FALSE, &entry),
                     STATUS_SUCCESS);
    return entry;
}

static bool logged(const char *words)
{
    static char tail[65536];

    (void)log_tail(tail, sizeof(tail));
    return strstr(tail, words) != NULL;
}

/* Tables of both versions. */
static void run(struct stack_options options, void (*scenario)(void *))
{
    stack_run(&options, scenario, NULL);
    options.host = "xen-4.17,grant-v1";
    stack_run(&options, scenario, NULL);
}

/* ---- mapped while it is revoked ---- */

static struct {
    volatile ULONG reference;
    volatile bool mapped, stop, ended;
    volatile unsigned times;
} far;

/* Domain 0 maps what it can, for a moment. */
static void map_all(void *unused)
{
    (void)unused;
    while (!far.stop) {
        uint32_t handle;
        void *address;

        if (xen_grant_map(XEN_DOM0, stack.domain.domid, far.reference, false, &address, &handle) == 0) {
            far.mapped = true;
            far.times++;
            sched_point(POINT_DOM0);
            far.mapped = false;
            ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
        }
        sched_point(POINT_DOM0);
    }
    far.ended = true;
}

static bool has_ended(void *unused)
{
    (void)unused;
    return far.ended;
}

/* What was revoked is mapped by nobody, however the two fall together. */
static void revokes(void *unused)
{
    unsigned refused = 0;

    (void)unused;
    begin();
    memset(&far, 0, sizeof(far));
    far.reference = 1000000; /* nobody's */
    (void)task_create("mapper", map_all, NULL);
    for (unsigned i = 0; i < 400; i++) {
        PXENBUS_GNTTAB_ENTRY entry = permit();

        far.reference = CALL(GetReference, entry);
        while (CALL(RevokeForeignAccess, cache, FALSE, entry) != STATUS_SUCCESS)
            refused++;
        ck_assert(!far.mapped);
    }
    far.stop = true;
    ck_assert(stack_wait(has_ended, NULL, 1000));
    ck_assert_uint_ne(far.times, 0);
    end();
}

START_TEST(mapped_while_revoked)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 2, .quiet = true, .policy = POLICY_RANDOM};

    for (options.seed = 1; options.seed <= 4; options.seed++)
        run(options, revokes);
}
END_TEST

/* ---- a mapping that a resume has ended ---- */

static void mapping(void *unused)
{
    struct stack_resumer resumer = {.rounds = 1};
    XENBUS_SUSPEND_INTERFACE_V1 suspend;
    PHYSICAL_ADDRESS address;
    ULONG reference;
    void *shared;

    (void)unused;
    begin();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    reference = (ULONG)xen_grant_share(XEN_DOM0, stack.domain.domid, false, &shared);
    ck_assert_int_eq(CALL(MapForeignPages, 0, 1, &reference, FALSE, &address), STATUS_SUCCESS);
    stack_resume_when_suspended(&resumer);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    stack_await_resumer(&resumer);
    ck_assert_int_eq(CALL(UnmapForeignPages, address), STATUS_SUCCESS);
    ck_assert(logged("GnttabUnmapPages"));
    XENBUS_SUSPEND_CALL(&suspend, Release);
    end();
}

START_TEST(mapping_before_a_resume)
{
    run((struct stack_options){.drivers = STACK_PROBE, .quiet = true}, mapping);
}
END_TEST

/* ---- without memory ---- */

#define KEPT 40u

/* The bus goes without memory, when domain 0 has let go of what it kept: it goes all the same. */
static void let_go(void *unused)
{
    PXENBUS_GNTTAB_ENTRY entry[2 * KEPT];
    uint32_t handle[KEPT];
    void *address;

    (void)unused;
    fault_suspend();
    begin();
    for (unsigned i = 0; i < 2 * KEPT; i++)
        entry[i] = permit();
    for (unsigned i = 0; i < KEPT; i++)
        ck_assert_int_eq(
            xen_grant_map(XEN_DOM0, stack.domain.domid, CALL(GetReference, entry[2 * i]), false, &address, &handle[i]),
            0);
    for (unsigned i = 0; i < 2 * KEPT; i++)
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]),
                         i % 2 == 0 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS);
    end();
    for (unsigned i = 0; i < KEPT; i++)
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[i]), 0);
    machine->config.faults.rule[0].nth = 0;
    fault_resume();
    (void)pnp_remove_device(stack_device(PLATFORM), true);
    pnp_wait_quiet();
    fault_suspend();
    ck_assert(!stack_device_started(PLATFORM));
}

START_TEST(let_go_without_memory)
{
    run((struct stack_options){.drivers = STACK_PROBE, .quiet = true, .fail = "kind=pool,nth=100000000"}, let_go);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("GNTTAB: others' doings");
    TCase *tcase = tcase_create("others");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, mapped_while_revoked);
    tcase_add_test(tcase, mapping_before_a_resume);
    tcase_add_test(tcase, let_go_without_memory);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
