/* The balloon of xenbus: the domain's memory follows memory/target, as far as Windows and Xen let it. */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/mm/mm.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/hypervisor.h"

#include <initguid.h>

#include "suspend_interface.h"

#include <xen/memory.h>

#define KIB(pages) ((pages) * (PAGE_SIZE / 1024))
#define LARGE 512u /* pages of 2 MiB */
#define PLATFORM "PCI\\VEN_5853&DEV_0001"

static uint64_t all; /* pages of the domain when nothing was asked of it */

static uint64_t pages(void)
{
    return domain_find(stack.domain.domid)->tot_pages;
}

/* So many pages less than the domain was made for. */
static void want_less(uint64_t less)
{
    char value[24];

    snprintf(value, sizeof(value), "%llu", (unsigned long long)(stack.domain.memory_kib - KIB(less)));
    stack_store_write(stack_path("memory/target"), value);
}

static bool has_less(void *less)
{
    return pages() == all - *(const uint64_t *)less;
}

static void await_less(uint64_t less)
{
    ck_assert_msg(stack_wait(has_less, &less, 20000), "the domain has %llu pages of %llu, not %llu less",
                  (unsigned long long)pages(), (unsigned long long)all, (unsigned long long)less);
    stack_sleep_us(5000); /* xenbus notes it after Xen has, and stays for pages that are out */
}

static void set_and_await(uint64_t less)
{
    want_less(less);
    await_less(less);
}

/* It stays so for a while. */
static void assert_stays(uint64_t less)
{
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_uint_eq(pages(), all - less);
        stack_sleep_us(50000);
    }
}

static void begin(void)
{
    all = pages();
}

/* ---- down and up ---- */

static void down_and_up_scenario(__attribute__((unused)) void *argument)
{
    static const uint64_t steps[] = {3 * LARGE + 5, 3 * LARGE, 3 * LARGE - 7, 2 * LARGE + 1, 2, 1, 0};
    uint32_t free_pages = page_free_count();

    begin();
    stack_store_await(stack_path("control/feature-balloon"), "1", 1000);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        set_and_await(steps[i]);
        /* What the domain has less of, Windows has less of; a part of 2 MiB is kept until it is whole. */
        ck_assert_uint_le(page_free_count(), free_pages - steps[i]);
    }
    assert_stays(0);
    ck_assert_uint_ge(page_free_count() + 16, free_pages);
}

START_TEST(down_and_up)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    stack_run(&options, down_and_up_scenario, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 2; options.seed++)
        stack_run(&options, down_and_up_scenario, NULL);
}
END_TEST

/* The target is below the maximum from the start on, as for a guest whose memory and maxmem differ. */
static void start_below(__attribute__((unused)) void *unused)
{
    begin();
    ck_assert(toolstack_memory_set(stack.toolstack, stack.domain.domid, stack.domain.memory_kib - KIB(700)));
}

STACK_TEST(from_the_start, .drivers = STACK_PROBE, .before_boot = start_below)
{
    await_less(700);
    ck_assert(all != 0);
}

/* Memory of the display is in static-max and not in target. */
STACK_TEST(video_memory, .drivers = STACK_PROBE)
{
    begin();
    stack_store_write(stack_path("memory/videoram"), "1024");
    want_less(256);
    assert_stays(0);
    want_less(300);
    await_less(44);
    want_less(100); /* more than there is beside the display */
    await_less(0);
}

STACK_TEST(nonsense_in_the_store, .drivers = STACK_PROBE, .quiet = true)
{
    static const char *const nonsense[] = {"", "x", "12k", "-1", "99999999999999999999999", "99999999999999999999"};

    begin();
    set_and_await(10);
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        stack_store_write(stack_path("memory/target"), nonsense[i]);
        stack_sleep_us(20000);
        ck_assert_uint_eq(pages(), all - 10);
    }
    set_and_await(20);
    stack_store_remove(stack_path("memory/target"));
    stack_sleep_us(20000);
    ck_assert_uint_eq(pages(), all - 20);
    set_and_await(0);
}

/* Each comes while the last is on its way. */
static void changes(__attribute__((unused)) void *unused)
{
    begin();
    for (unsigned round = 0; round < 4; round++) {
        want_less(4 * LARGE);
        while (pages() == all)
            stack_sleep_us(20);
        want_less(2 * LARGE + round);
        want_less(3);
        want_less(3 * LARGE);
        while (pages() > all - LARGE)
            stack_sleep_us(20);
        set_and_await(round);
    }
}

START_TEST(changed_on_the_way)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 2};

    stack_run(&options, changes, NULL);
    options.policy = POLICY_RANDOM;
    stack_run(&options, changes, NULL);
}
END_TEST

/* ---- what cannot be had ---- */

static uint64_t memory_calls(void)
{
    return xen_state()->hypercalls[__HYPERVISOR_memory_op];
}

/* Windows keeps what it needs, and nobody runs in circles over it. */
STACK_TEST(more_than_windows_spares, .drivers = STACK_PROBE, .quiet = true)
{
    uint64_t before, calls;

    begin();
    want_less(guest_ram_pages() - 1);
    do {
        before = pages();
        stack_sleep_us(100000);
    } while (pages() != before);
    ck_assert_uint_lt(before, all - 2 * LARGE);
    ck_assert_int_ne(machine->mm->low_memory->Header.SignalState, 0);
    ck_assert_uint_ge(page_free_count(), guest_ram_pages() / 128 - 32);
    calls = memory_calls();
    stack_sleep_us(30000000);
    ck_assert_uint_lt(memory_calls() - calls, 60);
    set_and_await(0);
    ck_assert_int_eq(machine->mm->low_memory->Header.SignalState, 0);
}

STACK_TEST(waits_while_memory_is_low, .drivers = STACK_PROBE, .quiet = true)
{
    const PHYSICAL_ADDRESS zero = {.QuadPart = 0}, highest = {.QuadPart = MAXLONGLONG};
    PMDL taken;

    begin();
    set_and_await(5);
    taken = MmAllocatePagesForMdlEx(zero, highest, zero,
                                    (page_free_count() - guest_ram_pages() / 128 + 8) * (SIZE_T)PAGE_SIZE, MmCached,
                                    MM_DONT_ZERO_ALLOCATION);
    ck_assert_ptr_nonnull(taken);
    ck_assert_int_ne(machine->mm->low_memory->Header.SignalState, 0);
    want_less(100);
    assert_stays(5);
    set_and_await(4); /* the other way goes */
    want_less(100);
    assert_stays(4);
    MmFreePagesFromMdl(taken);
    ExFreePool(taken);
    await_less(100);
}

/* The hypervisor does not let the domain have more: it goes on with what it has, and takes the rest when it may. */
STACK_TEST(limit_of_the_hypervisor, .drivers = STACK_PROBE, .quiet = true)
{
    struct domain *domain;
    uint64_t most, calls;

    begin();
    domain = domain_find(stack.domain.domid);
    most = domain->max_pages;
    set_and_await(2 * LARGE + 10);
    domain->max_pages = pages() + 100;
    want_less(0);
    await_less(2 * LARGE + 10 - 100);
    calls = memory_calls();
    stack_sleep_us(30000000);
    ck_assert_uint_lt(memory_calls() - calls, 60);
    ck_assert_uint_eq(pages(), domain->max_pages);
    set_and_await(2 * LARGE); /* what was begun to be given back is given away once more */
    domain->max_pages = most;
    set_and_await(0);
}

/* ---- calls that fail ---- */

static const char *const failing[] = {
    "call=XENMEM_decrease_reservation,nth=1",    "call=XENMEM_decrease_reservation,nth=2",
    "call=XENMEM_decrease_reservation,rate=0.3", "call=XENMEM_populate_physmap,nth=5",
    "call=XENMEM_populate_physmap,nth=6",        "call=XENMEM_populate_physmap,nth=7",
    "call=XENMEM_populate_physmap,rate=0.3",     "call=MmAllocatePagesForMdlEx,nth=1",
    "call=MmAllocatePagesForMdlEx,nth=2",        "call=IoCreateNotificationEvent",
};

static void failures_scenario(__attribute__((unused)) void *argument)
{
    begin();
    set_and_await(2 * LARGE + 3);
    set_and_await(LARGE + 3);
    set_and_await(LARGE - 3);
    set_and_await(3 * LARGE);
    set_and_await(0);
}

START_TEST(failures)
{
    struct stack_options options = {.drivers = STACK_PROBE, .quiet = true, .fail = failing[_i]};

    stack_run(&options, failures_scenario, NULL);
}
END_TEST

#define NONE_FAILS ",nth=100000000"

/* From now on the so many-th such call fails, 0: each. */
static void fail_from_now(uint64_t nth)
{
    machine->config.faults.rule[0].nth = nth;
    machine->fault->matched[0] = 0;
    fault_resume();
}

/* Whatever runs out on the way, the target is reached when there is some again. */
STACK_TEST(short_for_a_moment, .drivers = STACK_PROBE, .quiet = true, .fail = "kind=pool+mdl" NONE_FAILS)
{
    uint64_t before;

    fault_suspend();
    begin();
    for (uint64_t nth = 1; nth <= 24; nth++) {
        before = fault_injected();
        fail_from_now(nth);
        set_and_await(nth % 2 == 0 ? 3 : LARGE + 6);
        fault_suspend();
    }
    ck_assert_uint_ge(before, 8);
    set_and_await(0);
}

/* Windows has no pages at all for a moment. */
STACK_TEST(no_pages_for_a_moment, .drivers = STACK_PROBE, .quiet = true,
           .fail = "call=MmAllocatePagesForMdlEx" NONE_FAILS)
{
    fault_suspend();
    begin();
    fail_from_now(0);
    want_less(2 * LARGE);
    assert_stays(0);
    ck_assert_uint_ne(fault_injected(), 0);
    fault_suspend();
    await_less(2 * LARGE);
    set_and_await(0);
}

/* Xen takes none of the pages of a chunk that it has given back in part, and does the next time. */
STACK_TEST(part_that_is_not_taken, .drivers = STACK_PROBE, .quiet = true,
           .fail = "call=XENMEM_decrease_reservation" NONE_FAILS)
{
    struct domain *domain;
    uint64_t most;

    fault_suspend();
    begin();
    domain = domain_find(stack.domain.domid);
    most = domain->max_pages;
    set_and_await(2 * LARGE + 10);
    domain->max_pages = pages() + 100;
    want_less(0);
    await_less(2 * LARGE + 10 - 100);
    fail_from_now(1);
    set_and_await(2 * LARGE);
    ck_assert_uint_eq(fault_injected(), 1);
    fault_suspend();
    domain->max_pages = most;
    set_and_await(0);
}

static void give_back(PMDL *mdl)
{
    MmFreePagesFromMdl(*mdl);
    ExFreePool(*mdl);
    *mdl = NULL;
}

/*
 * No 2 MiB in a row are left, though there are as many pages, the first of them at a multiple of 2 MiB: they are taken
 * all the same, one by one, and given back.
 */
STACK_TEST(in_pieces, .drivers = STACK_PROBE, .quiet = true)
{
    const PHYSICAL_ADDRESS zero = {.QuadPart = 0}, highest = {.QuadPart = MAXLONGLONG};
    uint32_t count = 0, first = 0, most = page_free_count();
    PMDL *taken = ExAllocatePool2(POOL_FLAG_PAGED, most * sizeof(*taken), STACK_TAG);

    begin();
    while (count < most - LARGE &&
           (taken[count] = MmAllocatePagesForMdlEx(zero, highest, zero, PAGE_SIZE, MmCached,
                                                   MM_DONT_ZERO_ALLOCATION | MM_ALLOCATE_NO_WAIT)) != NULL)
        count++;
    while (MmGetMdlPfnArray(taken[first])[0] % LARGE != 0)
        ck_assert_uint_lt(++first, count);
    for (uint32_t i = count - 1; i > first; i--)
        if (MmGetMdlPfnArray(taken[i])[0] % 2 == 0)
            give_back(&taken[i]);
    give_back(&taken[first]);
    set_and_await(2 * LARGE);
    set_and_await(0);
    for (uint32_t i = 0; i < count; i++)
        if (taken[i] != NULL)
            give_back(&taken[i]);
    ExFreePoolWithTag(taken, STACK_TAG);
}

/* ---- suspend and power ---- */

static void resume_scenario(bool cancelled)
{
    struct stack_resumer resumer = {.cancelled = cancelled, .rounds = 1};
    XENBUS_SUSPEND_INTERFACE_V1 suspend;

    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    begin();
    for (unsigned round = 0; round < 2; round++) {
        /* With the pages out, then on their way. */
        if (round == 0)
            set_and_await(3 * LARGE);
        want_less(round == 0 ? 3 * LARGE : 5);
        stack.domain.target_kib = stack.domain.memory_kib - KIB(round == 0 ? 3 * LARGE : 5);
        stack_resume_when_suspended(&resumer);
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
        stack_await_resumer(&resumer);
        stack_store_await(stack_path("control/feature-balloon"), "1", 5000);
        await_less(round == 0 ? 3 * LARGE : 5);
    }
    XENBUS_SUSPEND_CALL(&suspend, Release);
    set_and_await(0);
}

STACK_TEST(suspended, .drivers = STACK_PROBE)
{
    resume_scenario(false);
}

STACK_TEST(suspend_cancelled, .drivers = STACK_PROBE)
{
    resume_scenario(true);
}

static void sleep_and_wake(void)
{
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
}

/* Without a child that is started the bus goes off. */
STACK_TEST(asleep, .vcpus = 2)
{
    begin();
    set_and_await(LARGE + 20);
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    ck_assert_uint_eq(pages(), all); /* nobody follows the target while the bus is off */
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    await_less(LARGE + 20);
}

/* Xen's limit keeps the pages out while the bus is off; it has them still when it comes back. */
STACK_TEST(asleep_at_the_limit, .quiet = true)
{
    struct domain *domain;
    uint64_t most;

    begin();
    domain = domain_find(stack.domain.domid);
    most = domain->max_pages;
    set_and_await(LARGE + 20);
    domain->max_pages = pages();
    sleep_and_wake();
    await_less(LARGE + 20);
    domain->max_pages = most;
    set_and_await(1);
}

/* ---- the bus goes ---- */

static struct devnode *platform(void)
{
    struct devnode *node = pnp_root();

    while (node != NULL && strncmp(pnp_instance_path(node), PLATFORM, strlen(PLATFORM)) != 0)
        node = pnp_next(node);
    ck_assert_ptr_nonnull(node);
    return node;
}

STACK_TEST(removed_and_back, .drivers = STACK_PROBE)
{
    char value[8];

    begin();
    set_and_await(LARGE + 20);
    for (unsigned round = 0; round < 2; round++) {
        struct devnode *parent = pnp_parent(platform());

        ck_assert_int_eq(pnp_remove_device(platform(), round == 1), STATUS_SUCCESS);
        ck_assert_uint_eq(pages(), all);
        ck_assert(stack_store_read(stack_path("control/feature-balloon"), value, sizeof(value)));
        ck_assert_str_eq(value, ""); /* as the toolstack has made it */
        if (round == 0)
            ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
        pnp_wait_quiet();
        if (round == 0)
            await_less(LARGE + 20);
    }
}

/* Pages that Xen would not give back keep the bus where it is. */
STACK_TEST(stays_for_its_pages, .drivers = STACK_PROBE, .quiet = true)
{
    struct domain *domain;
    uint64_t most;

    begin();
    domain = domain_find(stack.domain.domid);
    most = domain->max_pages;
    set_and_await(20);
    domain->max_pages = pages() + 19;
    ck_assert_int_ne(pnp_remove_device(platform(), false), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_int_eq(pnp_state(platform()), DEVNODE_STARTED);
    ck_assert_uint_eq(pages(), all - 20);
    domain->max_pages = most;
    ck_assert_int_eq(pnp_remove_device(platform(), false), STATUS_SUCCESS);
    ck_assert_uint_eq(pages(), all);
}

STACK_TEST(ends_with_pages_out, .drivers = STACK_PROBE)
{
    begin();
    set_and_await(2 * LARGE + 1);
}

/* A bus that is lost with pages out that Xen does not give back loses them, rather than frames without RAM go back. */
static void is_lost(__attribute__((unused)) void *unused)
{
    begin();
    set_and_await(20);
    domain_find(stack.domain.domid)->max_pages = pages() + 3;
    (void)pnp_remove_device(platform(), true);
}

START_TEST(lost_with_pages_out)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};
    static char tail[65536];

    (void)stack_must_fail(&options, is_lost, NULL, "left-at-unload");
    (void)log_tail(tail, sizeof(tail));
    ck_assert_ptr_nonnull(strstr(tail, "17 pages are with Xen and lost to Windows"));
}
END_TEST

/* ---- the start option ---- */

static void start_with(const char *options)
{
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, options);
}

static void start_off(void)
{
    start_with(" NOEXECUTE=OPTIN  XEN:BALLOON=off");
}

static void start_on(void)
{
    start_with("XEN:BALLOON=ON");
}

static void start_otherwise(void)
{
    start_with("XEN:BALLOON=PERHAPS");
}

STACK_TEST(off, .drivers = STACK_PROBE, .prepare = start_off)
{
    char value[8];

    begin();
    want_less(100);
    assert_stays(0);
    ck_assert(stack_store_read(stack_path("control/feature-balloon"), value, sizeof(value)));
    ck_assert_str_eq(value, "");
}

STACK_TEST(on, .drivers = STACK_PROBE, .prepare = start_on)
{
    begin();
    set_and_await(100);
}

STACK_TEST(neither, .drivers = STACK_PROBE, .prepare = start_otherwise, .quiet = true)
{
    begin();
    set_and_await(100);
}

/* ---- the standard events ---- */

static PKEVENT standard_event(PCWSTR name, HANDLE *handle)
{
    UNICODE_STRING string;
    PKEVENT event;

    RtlInitUnicodeString(&string, name);
    event = IoCreateNotificationEvent(&string, handle);
    ck_assert_ptr_nonnull(event);
    return event;
}

/* Set while the condition holds, for whoever opens them by name. */
STACK_TEST(conditions_of_memory, .drivers = STACK_PROBE)
{
    const PHYSICAL_ADDRESS zero = {.QuadPart = 0}, highest = {.QuadPart = MAXLONGLONG};
    const uint32_t low = guest_ram_pages() / 128;
    HANDLE low_handle, high_handle;
    PKEVENT low_event = standard_event(L"\\KernelObjects\\LowMemoryCondition", &low_handle);
    PKEVENT high_event = standard_event(L"\\KernelObjects\\HighMemoryCondition", &high_handle);
    PMDL most, rest;

    ck_assert_int_eq(KeReadStateEvent(low_event), 0);
    ck_assert_int_ne(KeReadStateEvent(high_event), 0);
    most = MmAllocatePagesForMdlEx(zero, highest, zero, (page_free_count() - 2 * low) * (SIZE_T)PAGE_SIZE, MmCached,
                                   MM_DONT_ZERO_ALLOCATION);
    ck_assert_ptr_nonnull(most);
    ck_assert_int_eq(KeReadStateEvent(low_event), 0);
    ck_assert_int_eq(KeReadStateEvent(high_event), 0);
    rest = MmAllocatePagesForMdlEx(zero, highest, zero, (page_free_count() - low) * (SIZE_T)PAGE_SIZE, MmCached,
                                   MM_DONT_ZERO_ALLOCATION);
    ck_assert_ptr_nonnull(rest);
    ck_assert_int_ne(KeReadStateEvent(low_event), 0);
    MmFreePagesFromMdl(rest);
    ExFreePool(rest);
    ck_assert_int_eq(KeReadStateEvent(low_event), 0);
    MmFreePagesFromMdl(most);
    ExFreePool(most);
    ck_assert_int_ne(KeReadStateEvent(high_event), 0);
    ck_assert_int_eq(ZwClose(low_handle), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(high_handle), STATUS_SUCCESS);
}

int main(void)
{
    Suite *suite = suite_create("balloon");
    TCase *tcase = tcase_create("target");

    tcase_add_loop_test(tcase, down_and_up, 0, 3);
    tcase_add_test(tcase, from_the_start);
    tcase_add_test(tcase, video_memory);
    tcase_add_test(tcase, nonsense_in_the_store);
    tcase_add_test(tcase, changed_on_the_way);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("refused");
    tcase_add_test(tcase, more_than_windows_spares);
    tcase_add_test(tcase, waits_while_memory_is_low);
    tcase_add_test(tcase, limit_of_the_hypervisor);
    tcase_add_loop_test(tcase, failures, 0, sizeof(failing) / sizeof(failing[0]));
    tcase_add_test(tcase, short_for_a_moment);
    tcase_add_test(tcase, no_pages_for_a_moment);
    tcase_add_test(tcase, part_that_is_not_taken);
    tcase_add_test(tcase, in_pieces);
    tcase_add_test(tcase, conditions_of_memory);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("power");
    tcase_add_test(tcase, suspended);
    tcase_add_test(tcase, suspend_cancelled);
    tcase_add_test(tcase, asleep);
    tcase_add_test(tcase, asleep_at_the_limit);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("teardown");
    tcase_add_test(tcase, removed_and_back);
    tcase_add_test(tcase, stays_for_its_pages);
    tcase_add_test(tcase, ends_with_pages_out);
    tcase_add_test(tcase, lost_with_pages_out);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("option");
    tcase_add_test(tcase, off);
    tcase_add_test(tcase, on);
    tcase_add_test(tcase, neither);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
