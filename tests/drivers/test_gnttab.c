/* XENBUS_GNTTAB, with either version of the table: what the guest grants, domain 0 can use, and no more. */
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "machine/fault.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <initguid.h>

#include "gnttab_interface.h"
#include "suspend_interface.h"

#include <xen/grant_table.h>
#include <xen/memory.h>

#define CALL(method, ...) XENBUS_GNTTAB_CALL(&gnttab, method, ##__VA_ARGS__)

static XENBUS_GNTTAB_INTERFACE_V4 gnttab;
static KSPIN_LOCK lock;
static KIRQL lock_irql;
static unsigned locked, unlocked;

static VOID NTAPI acquire_lock(PVOID argument)
{
    KIRQL irql;

    ck_assert_ptr_eq(argument, &lock);
    KeAcquireSpinLock(&lock, &irql);
    lock_irql = irql;
    locked++;
}

static VOID NTAPI release_lock(PVOID argument)
{
    ck_assert_ptr_eq(argument, &lock);
    unlocked++;
    KeReleaseSpinLock(&lock, lock_irql);
}

static void begin(void)
{
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &gnttab);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    KeInitializeSpinLock(&lock);
    locked = unlocked = 0;
}

static void end(void)
{
    ck_assert_uint_eq(locked, unlocked);
    CALL(Release);
}

static PXENBUS_GNTTAB_CACHE create(ULONG reservation, ULONG cap)
{
    PXENBUS_GNTTAB_CACHE cache;

    ck_assert_int_eq(CALL(CreateCache, "test", reservation, cap, acquire_lock, release_lock, &lock, &cache),
                     STATUS_SUCCESS);
    return cache;
}

static PFN_NUMBER pfn_of(void *page)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress(page).QuadPart >> PAGE_SHIFT);
}

static uint8_t *page_new(uint8_t fill)
{
    uint8_t *page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);

    ck_assert_ptr_nonnull(page);
    memset(page, fill, PAGE_SIZE);
    return page;
}

static int map(ULONG reference, bool readonly, uint8_t **address, uint32_t *handle)
{
    return xen_grant_map(XEN_DOM0, stack.domain.domid, reference, readonly, (void **)address, handle);
}

/* ---- both versions ---- */

/* The version that is in force. */
static unsigned version(void)
{
    struct gnttab_get_version *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), STACK_TAG);
    unsigned result;

    operation->dom = DOMID_SELF;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_get_version, (uint64_t)(uintptr_t)operation, 1, 0, 0), 0);
    result = operation->version;
    ExFreePoolWithTag(operation, STACK_TAG);
    return result;
}

static void run(const struct stack_options *options, void (*scenario)(void *))
{
    struct stack_options version_1 = *options;

    version_1.host = "xen-4.17,grant-v1";
    stack_run(options, scenario, NULL);
    stack_run(&version_1, scenario, NULL);
}

#define VERSION_TEST(name, ...)                                                                                        \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        static const struct stack_options options = {__VA_ARGS__};                                                     \
        run(&options, name##_scenario);                                                                                \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

VERSION_TEST(version_2_where_it_may_be, .drivers = STACK_PROBE)
{
    ck_assert_uint_eq(version(), stack.options->host != NULL ? 1 : 2);
}

/* ---- grants ---- */

VERSION_TEST(permitted, .drivers = STACK_PROBE, .quiet = true)
{
    uint8_t *page = page_new(0x11);
    PXENBUS_GNTTAB_CACHE cache;
    PXENBUS_GNTTAB_ENTRY entry;
    BOOLEAN readonly;
    ULONG reference;
    PFN_NUMBER pfn;
    uint8_t *seen;
    uint32_t handle;

    begin();
    cache = create(0, 0);
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry), STATUS_SUCCESS);
    ck_assert_uint_gt(locked, 0);
    reference = CALL(GetReference, entry);
    ck_assert_uint_ge(reference, 32);
    ck_assert_int_eq(CALL(QueryReference, reference, &pfn, &readonly), STATUS_SUCCESS);
    ck_assert_uint_eq(pfn, pfn_of(page));
    ck_assert(!readonly);
    ck_assert_int_eq(CALL(QueryReference, reference, NULL, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(map(reference, false, &seen, &handle), 0);
    ck_assert_uint_eq(seen[100], 0x11);
    seen[100] = 0x22;
    ck_assert_uint_eq(page[100], 0x22);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry), STATUS_SUCCESS);
    ck_assert_int_ne(map(reference, true, &seen, &handle), 0);
    ck_assert_int_eq(CALL(QueryReference, reference, &pfn, &readonly), STATUS_INVALID_PARAMETER);

    /* For reading only, and for another domain. */
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), TRUE, &entry), STATUS_SUCCESS);
    reference = CALL(GetReference, entry);
    ck_assert_int_eq(CALL(QueryReference, reference, &pfn, &readonly), STATUS_SUCCESS);
    ck_assert(readonly);
    ck_assert_int_ne(map(reference, false, &seen, &handle), 0);
    ck_assert_int_eq(map(reference, true, &seen, &handle), 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 5, pfn_of(page), FALSE, &entry), STATUS_SUCCESS);
    ck_assert_int_ne(map(CALL(GetReference, entry), false, &seen, &handle), 0);
    ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry), STATUS_SUCCESS);

    ck_assert_int_eq(CALL(QueryReference, 1000000, &pfn, &readonly), STATUS_INVALID_PARAMETER);
    CALL(DestroyCache, cache);
    end();
    ExFreePoolWithTag(page, STACK_TAG);
}

/* FB18: while domain 0 has it mapped a grant cannot be taken back, and the entry stays the caller's. */
VERSION_TEST(revoked_while_mapped, .drivers = STACK_PROBE, .quiet = true)
{
    uint8_t *page = page_new(0x11);
    PXENBUS_GNTTAB_ENTRY entry, other;
    PXENBUS_GNTTAB_CACHE cache;
    uint8_t *seen;
    uint32_t handle;

    begin();
    cache = create(0, 0);
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry), STATUS_SUCCESS);
    ck_assert_int_eq(map(CALL(GetReference, entry), false, &seen, &handle), 0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry), STATUS_UNSUCCESSFUL);
        ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &other), STATUS_SUCCESS);
        ck_assert_msg(CALL(GetReference, other) != CALL(GetReference, entry), "a reference in use was given out");
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, other), STATUS_SUCCESS);
    }
    seen[5] = 0x33;
    ck_assert_uint_eq(page[5], 0x33);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry), STATUS_SUCCESS);
    CALL(DestroyCache, cache);
    end();
    ExFreePoolWithTag(page, STACK_TAG);
}

/* FB18: a cache that goes with a grant still mapped: the reference is kept apart until domain 0 lets go, and then is
 * free. */
VERSION_TEST(destroyed_while_mapped, .drivers = STACK_PROBE, .quiet = true)
{
    PXENBUS_GNTTAB_ENTRY entry[20];
    uint8_t *page = page_new(0x11);
    PXENBUS_GNTTAB_CACHE cache;
    ULONG reference;
    uint8_t *seen;
    uint32_t handle;

    begin();
    cache = create(0, 0);
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[0]), STATUS_SUCCESS);
    reference = CALL(GetReference, entry[0]);
    ck_assert_int_eq(map(reference, false, &seen, &handle), 0);
    ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[0]), STATUS_UNSUCCESSFUL);
    CALL(DestroyCache, cache);
    for (unsigned round = 0; round < 2; round++) {
        cache = create(0, 0);
        for (unsigned i = 0; i < 20; i++) {
            ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[i]),
                             STATUS_SUCCESS);
            if (round == 0)
                ck_assert_uint_ne(CALL(GetReference, entry[i]), reference);
        }
        for (unsigned i = 0; i < 20; i++)
            ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]), STATUS_SUCCESS);
        CALL(DestroyCache, cache);
        if (round == 0)
            ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    }
    end();
    ExFreePoolWithTag(page, STACK_TAG);
}

static int compare_ulong(const void *a, const void *b)
{
    return *(const ULONG *)a < *(const ULONG *)b ? -1 : *(const ULONG *)a > *(const ULONG *)b;
}

/* More than a frame's worth at once: each reference once, each page its own; and again, so that all came back. */
VERSION_TEST(references_are_unique, .drivers = STACK_PROBE)
{
    PXENBUS_GNTTAB_ENTRY *entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, 600 * sizeof(*entry), STACK_TAG);
    ULONG *reference = ExAllocatePool2(POOL_FLAG_NON_PAGED, 600 * sizeof(*reference), STACK_TAG);
    uint8_t *page[2] = {page_new(1), page_new(2)};
    PXENBUS_GNTTAB_CACHE cache[2];

    begin();
    cache[0] = create(10, 0);
    cache[1] = create(0, 0);
    for (unsigned round = 0; round < 2; round++) {
        KIRQL irql;

        for (unsigned i = 0; i < 600; i++) {
            ck_assert_int_eq(
                CALL(PermitForeignAccess, cache[i % 2], FALSE, 0, pfn_of(page[i % 2]), i % 3 == 0, &entry[i]),
                STATUS_SUCCESS);
            reference[i] = CALL(GetReference, entry[i]);
            ck_assert_uint_ge(reference[i], 32);
        }
        for (unsigned i = 0; i < 600; i += 37) {
            uint8_t *seen;
            uint32_t handle;

            ck_assert_int_eq(map(reference[i], true, &seen, &handle), 0);
            ck_assert_uint_eq(seen[0], i % 2 + 1);
            ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
        }
        qsort(reference, 600, sizeof(*reference), compare_ulong);
        for (unsigned i = 1; i < 600; i++)
            ck_assert_uint_ne(reference[i], reference[i - 1]);
        /* With the lock held already. */
        acquire_lock(&lock);
        irql = lock_irql;
        for (unsigned i = 0; i < 600; i++)
            ck_assert_int_eq(CALL(RevokeForeignAccess, cache[i % 2], TRUE, entry[i]), STATUS_SUCCESS);
        lock_irql = irql;
        release_lock(&lock);
    }
    CALL(DestroyCache, cache[0]);
    CALL(DestroyCache, cache[1]);
    end();
    for (unsigned i = 0; i < 2; i++)
        ExFreePoolWithTag(page[i], STACK_TAG);
    ExFreePoolWithTag(entry, STACK_TAG);
    ExFreePoolWithTag(reference, STACK_TAG);
}

/* A cap bounds a cache; what one cache reserves another cannot take; the table's end is an error and no disaster. */
VERSION_TEST(limits, .drivers = STACK_PROBE, .quiet = true)
{
    PXENBUS_GNTTAB_ENTRY *entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, 40000 * sizeof(*entry), STACK_TAG);
    PXENBUS_GNTTAB_CACHE cache, reserved;
    uint8_t *page = page_new(1);
    unsigned count = 0;

    begin();
    cache = create(2, 5);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[i]), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[5]),
                     STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[4]), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[4]), STATUS_SUCCESS);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]), STATUS_SUCCESS);
    CALL(DestroyCache, cache);

    reserved = create(100, 0);
    cache = create(0, 0);
    while (NT_SUCCESS(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[count])))
        ck_assert_uint_lt(++count, 39000);
    /* 64 frames of 256 or 512 entries, less what is reserved and in use. */
    ck_assert_uint_gt(count, version() == 2 ? 15000 : 31000);
    ck_assert_uint_lt(count, version() == 2 ? 64 * 256 : 64 * 512);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(CALL(PermitForeignAccess, reserved, FALSE, 0, pfn_of(page), FALSE, &entry[count + i]),
                         STATUS_SUCCESS);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(CALL(RevokeForeignAccess, reserved, FALSE, entry[count + i]), STATUS_SUCCESS);
    while (count > 0)
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[--count]), STATUS_SUCCESS);
    CALL(DestroyCache, cache);
    CALL(DestroyCache, reserved);
    end();
    ExFreePoolWithTag(page, STACK_TAG);
    ExFreePoolWithTag(entry, STACK_TAG);
}

/* Several threads take from one cache, under its lock. */
struct worker {
    PXENBUS_GNTTAB_CACHE cache;
    PFN_NUMBER pfn;
};

static VOID NTAPI work(PVOID context)
{
    const struct worker *worker = context;
    PXENBUS_GNTTAB_ENTRY entry[8];

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 8; i++)
            ck_assert_int_eq(CALL(PermitForeignAccess, worker->cache, FALSE, 0, worker->pfn, FALSE, &entry[i]),
                             STATUS_SUCCESS);
        for (unsigned i = 0; i < 8; i++) {
            ULONG reference = CALL(GetReference, entry[i]);
            PFN_NUMBER pfn;

            ck_assert_int_eq(CALL(QueryReference, reference, &pfn, NULL), STATUS_SUCCESS);
            ck_assert_uint_eq(pfn, worker->pfn);
            ck_assert_int_eq(CALL(RevokeForeignAccess, worker->cache, FALSE, entry[i]), STATUS_SUCCESS);
        }
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void threads(void *unused)
{
    struct worker worker[4];
    PKTHREAD thread[4];
    uint8_t *page[4];

    (void)unused;
    begin();
    worker[0].cache = create(4, 0);
    for (unsigned i = 0; i < 4; i++) {
        page[i] = page_new(1);
        worker[i] = (struct worker){worker[0].cache, pfn_of(page[i])};
    }
    for (unsigned i = 0; i < 4; i++)
        thread[i] = stack_thread(work, &worker[i]);
    for (unsigned i = 0; i < 4; i++) {
        stack_join(thread[i]);
        ExFreePoolWithTag(page[i], STACK_TAG);
    }
    CALL(DestroyCache, worker[0].cache);
    end();
}

START_TEST(many_threads)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 4, .policy = POLICY_PCT};

    for (options.seed = 1; options.seed <= 5; options.seed++)
        run(&options, threads);
}
END_TEST

/* ---- the end of the table ---- */

#define PROBE "XENBUS\\VEN_XP0001&DEV_IFACE"
#define PLATFORM "PCI\\VEN_5853&DEV_0001"

#define MANY 700

/*
 * FB18: the bus goes with grants that domain 0 has mapped, some beside one another, in more than one frame of the
 * table, and there is no pool left. It goes all the same; when it is back what is mapped is given to nobody.
 */
static void bus_goes(void *unused)
{
    static const unsigned kept[] = {0, 1, 100, 300, 650, 699};
    PXENBUS_GNTTAB_ENTRY *entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, MANY * sizeof(*entry), STACK_TAG);
    uint8_t *page = page_new(0x11), *seen;
    PXENBUS_GNTTAB_CACHE cache;
    ULONG reference[ARRAYSIZE(kept)];
    uint32_t handle[ARRAYSIZE(kept)];

    (void)unused;
    fault_suspend();
    begin();
    cache = create(0, 0);
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[i]), STATUS_SUCCESS);
    for (unsigned i = 0; i < ARRAYSIZE(kept); i++) {
        reference[i] = CALL(GetReference, entry[kept[i]]);
        ck_assert_int_eq(map(reference[i], false, &seen, &handle[i]), 0);
    }
    for (unsigned i = 0, next = 0; i < MANY; i++) {
        bool mapped = next < ARRAYSIZE(kept) && kept[next] == i;

        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]),
                         mapped ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS);
        next += mapped;
    }
    CALL(DestroyCache, cache);
    end();

    machine->config.faults.rule[0].nth = 0; /* from here on every one */
    fault_resume();
    (void)pnp_remove_device(stack_device(PLATFORM), true);
    pnp_wait_quiet();
    fault_suspend();

    ck_assert(!stack_device_started(PLATFORM));
    for (unsigned i = 0; i < 3 && !stack_device_started(PROBE); i++) {
        (void)pnp_rescan(stack_device("ACPI\\PNP0A03"));
        pnp_wait_quiet();
        if (!stack_device_started(PLATFORM))
            (void)pnp_retry_device(stack_device(PLATFORM));
        pnp_wait_quiet();
        if (stack_device(PROBE) != NULL && !stack_device_started(PROBE))
            (void)pnp_retry_device(stack_device(PROBE));
        pnp_wait_quiet();
    }
    begin();
    cache = create(0, 0);
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[i]), STATUS_SUCCESS);
        for (unsigned k = 0; k < ARRAYSIZE(kept); k++)
            ck_assert_uint_ne(CALL(GetReference, entry[i]), reference[k]);
    }
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]), STATUS_SUCCESS);
    CALL(DestroyCache, cache);
    for (unsigned i = 0; i < ARRAYSIZE(kept); i++)
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[i]), 0);
    end();
    ExFreePoolWithTag(page, STACK_TAG);
    ExFreePoolWithTag(entry, STACK_TAG);
}

START_TEST(fb18_bus_goes_without_memory)
{
    static const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .fail = "kind=pool,nth=100000000"};

    run(&options, bus_goes);
}
END_TEST

/* ---- pages of domain 0 ---- */

VERSION_TEST(foreign_pages, .drivers = STACK_PROBE, .quiet = true)
{
    void *dom0[3];
    ULONG reference[3];
    PHYSICAL_ADDRESS address;
    uint8_t *mapped;

    begin();
    for (unsigned i = 0; i < 3; i++) {
        int64_t granted = xen_grant_share(XEN_DOM0, stack.domain.domid, i == 2, &dom0[i]);

        ck_assert_int_ge(granted, 0);
        reference[i] = (ULONG)granted;
        memset(dom0[i], (int)(0x40 + i), PAGE_SIZE);
    }
    ck_assert_int_eq(CALL(MapForeignPages, 0, 2, reference, FALSE, &address), STATUS_SUCCESS);
    mapped = MmMapIoSpace(address, 2 * PAGE_SIZE, MmCached);
    ck_assert_ptr_nonnull(mapped);
    ck_assert_uint_eq(mapped[0], 0x40);
    ck_assert_uint_eq(mapped[PAGE_SIZE + 9], 0x41);
    mapped[PAGE_SIZE + 9] = 0x99;
    ck_assert_uint_eq(((uint8_t *)dom0[1])[9], 0x99);
    ck_assert_int_lt(xen_grant_unshare(XEN_DOM0, reference[0]), 0);
    MmUnmapIoSpace(mapped, 2 * PAGE_SIZE);
    ck_assert_int_eq(CALL(UnmapForeignPages, address), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(UnmapForeignPages, address), STATUS_INVALID_PARAMETER);

    /* One that may not be written spoils the whole, and nothing stays mapped. */
    ck_assert(!NT_SUCCESS(CALL(MapForeignPages, 0, 3, reference, FALSE, &address)));
    ck_assert_int_eq(CALL(MapForeignPages, 0, 3, reference, TRUE, &address), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(UnmapForeignPages, address), STATUS_SUCCESS);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, reference[i]), 0);
    ck_assert(!NT_SUCCESS(CALL(MapForeignPages, 0, 1, reference, TRUE, &address)));
    end();
}

/* ---- other places ---- */

static void only_version_1(void *unused)
{
    (void)unused;
    domain_find(stack.domain.domid)->config.max_grant_version = 1;
}

static void assert_grants_work(unsigned count)
{
    PXENBUS_GNTTAB_ENTRY *entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, count * sizeof(*entry), STACK_TAG);
    PXENBUS_GNTTAB_CACHE cache = create(0, 0);
    uint8_t *page = page_new(0x5A);
    uint8_t *seen;
    uint32_t handle;

    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(CALL(PermitForeignAccess, cache, FALSE, 0, pfn_of(page), FALSE, &entry[i]), STATUS_SUCCESS);
        if (i % 100 != 0)
            continue;
        ck_assert_int_eq(map(CALL(GetReference, entry[i]), false, &seen, &handle), 0);
        ck_assert_uint_eq(seen[9], 0x5A);
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]), STATUS_UNSUCCESSFUL);
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    }
    for (unsigned i = 0; i < count; i++)
        ck_assert_int_eq(CALL(RevokeForeignAccess, cache, FALSE, entry[i]), STATUS_SUCCESS);
    CALL(DestroyCache, cache);
    ExFreePoolWithTag(page, STACK_TAG);
    ExFreePoolWithTag(entry, STACK_TAG);
}

/* A table with frames for a thousand grants is there again after a resume, of the version that the new place offers. */
VERSION_TEST(resumed, .drivers = STACK_PROBE, .quiet = true)
{
    XENBUS_SUSPEND_INTERFACE_V1 suspend;
    unsigned first = version();

    begin();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    assert_grants_work(1000);
    for (unsigned round = 0; round < 3; round++) {
        struct stack_resumer resumer = {.rounds = 1, .meanwhile = round == 1 ? only_version_1 : NULL};

        stack_resume_when_suspended(&resumer);
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
        stack_await_resumer(&resumer);
        ck_assert_uint_eq(version(), round == 0 ? first : 1);
        assert_grants_work(round == 2 ? 3000 : 1000);
    }
    XENBUS_SUSPEND_CALL(&suspend, Release);
    end();
}

/* ---- where Xen's pages appear ---- */

static void use_no_hole(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseMemoryHole", 0);
}

/* Windows knows the address as memory. */
static bool is_ram(PHYSICAL_ADDRESS address)
{
    PPHYSICAL_MEMORY_RANGE range = MmGetPhysicalMemoryRanges();
    bool found = false;

    ck_assert_ptr_nonnull(range);
    for (PPHYSICAL_MEMORY_RANGE at = range; at->NumberOfBytes.QuadPart != 0 && !found; at++)
        found = address.QuadPart >= at->BaseAddress.QuadPart &&
                address.QuadPart < at->BaseAddress.QuadPart + at->NumberOfBytes.QuadPart;
    ExFreePool(range);
    return found;
}

/* What the domain has of memory, in pages. */
static int64_t reservation(void)
{
    domid_t *self = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*self), STACK_TAG);
    int64_t pages;

    *self = DOMID_SELF;
    pages = xen_hypercall(__HYPERVISOR_memory_op, XENMEM_current_reservation, (uint64_t)(uintptr_t)self, 0, 0, 0);
    ExFreePoolWithTag(self, STACK_TAG);
    ck_assert_int_gt(pages, 0);
    return pages;
}

static void places(void *in_ram)
{
    int64_t before, granted;
    PHYSICAL_ADDRESS address;
    ULONG reference;
    uint8_t *mapped;
    void *dom0;

    begin();
    before = reservation();
    granted = xen_grant_share(XEN_DOM0, stack.domain.domid, false, &dom0);
    ck_assert_int_ge(granted, 0);
    reference = (ULONG)granted;
    memset(dom0, 0x77, PAGE_SIZE);
    ck_assert_int_eq(CALL(MapForeignPages, 0, 1, &reference, FALSE, &address), STATUS_SUCCESS);
    ck_assert_int_eq(is_ram(address), in_ram != NULL);
    ck_assert_int_eq(reservation(), in_ram != NULL ? before - 1 : before);
    mapped = MmMapIoSpace(address, PAGE_SIZE, MmCached);
    ck_assert_ptr_nonnull(mapped);
    ck_assert_uint_eq(mapped[9], 0x77);
    MmUnmapIoSpace(mapped, PAGE_SIZE);
    ck_assert_int_eq(CALL(UnmapForeignPages, address), STATUS_SUCCESS);
    ck_assert_int_eq(reservation(), before); /* what was taken for it is memory again */
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, reference), 0);
    assert_grants_work(1000);
    end();
}

/* In the platform device's BAR, or, if the registry does not want that, in the place of memory that Xen gets back. */
START_TEST(memory_hole)
{
    struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    stack_run(&options, places, NULL);
    options.prepare = use_no_hole;
    stack_run(&options, places, "in RAM");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("GNTTAB");
    TCase *tcase = tcase_create("grants");

    tcase_set_timeout(tcase, 60); /* tens of thousands of grants */
    tcase_add_test(tcase, version_2_where_it_may_be);
    tcase_add_test(tcase, permitted);
    tcase_add_test(tcase, revoked_while_mapped);
    tcase_add_test(tcase, destroyed_while_mapped);
    tcase_add_test(tcase, fb18_bus_goes_without_memory);
    tcase_add_test(tcase, references_are_unique);
    tcase_add_test(tcase, limits);
    tcase_add_test(tcase, many_threads);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("mappings");
    tcase_add_test(tcase, foreign_pages);
    tcase_add_test(tcase, memory_hole);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("other places");
    tcase_add_test(tcase, resumed);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
