/*
 * The methods of XENBUS's interfaces without the memory that they take: each call of the kernel and of Xen that they
 * make fails once, and the method says so and leaves nothing behind.
 */
#include "common/bus.h"
#include "common/runs_out.h"
#include "nt/cm/cm.h"
#include "xen/xen.h"

static uint32_t shared[3]; /* references to pages of domain 0 */

/* ---- one of each ---- */

static NTSTATUS a_debug_callback(void)
{
    PXENBUS_DEBUG_CALLBACK callback;
    NTSTATUS status = DEBUG(Register, (PSTR) "nobody", bus_no_report, NULL, &callback);

    if (NT_SUCCESS(status))
        DEBUG(Deregister, callback);
    else
        ck_assert_ptr_null(callback);
    return status;
}

static NTSTATUS a_suspend_callback(void)
{
    PXENBUS_SUSPEND_CALLBACK callback;
    NTSTATUS status = SUSPEND(Register, SUSPEND_CALLBACK_LATE, bus_no_resume, NULL, &callback);

    if (NT_SUCCESS(status))
        SUSPEND(Deregister, callback);
    return status;
}

static KEVENT *event;

static NTSTATUS a_wakeup(void)
{
    PXENBUS_CONSOLE_WAKEUP wakeup;
    NTSTATUS status = CONSOLE(WakeupAdd, event, &wakeup);

    if (NT_SUCCESS(status))
        CONSOLE(WakeupRemove, wakeup);
    return status;
}

static PXENBUS_RANGE_SET kept;

static NTSTATUS a_range_set(void)
{
    PXENBUS_RANGE_SET set = (PXENBUS_RANGE_SET)&kept;
    NTSTATUS status = RANGES(Create, "short", &set);

    if (!NT_SUCCESS(status)) {
        ck_assert_ptr_null(set);
        return status;
    }
    status = RANGES(Put, set, 0, 10);
    if (NT_SUCCESS(status))
        ck_assert_int_eq(RANGES(Get, set, 0, 10), STATUS_SUCCESS); /* of a whole range: that takes nothing */
    RANGES(Destroy, set);
    return status;
}

/* Ranges apart from each other, each of which takes a node; the last lies between the others. */
static NTSTATUS ranges_apart(void)
{
    static const LONGLONG apart[] = {0, 20, 10};
    PXENBUS_RANGE_SET set;
    NTSTATUS status = RANGES(Create, "apart", &set);
    unsigned count = 0;

    if (!NT_SUCCESS(status))
        return status;
    while (count < ARRAYSIZE(apart) && NT_SUCCESS(status)) {
        status = RANGES(Put, set, apart[count], 1);
        count += NT_SUCCESS(status) != 0;
    }
    while (count-- != 0)
        ck_assert_int_eq(RANGES(Get, set, apart[count], 1), STATUS_SUCCESS);
    RANGES(Destroy, set);
    return status;
}

/* Out of the middle of a set, which needs nodes for the way back, and none on the way. */
static NTSTATUS a_split(void)
{
    NTSTATUS status = RANGES(Get, kept, 500, 1);

    return NT_SUCCESS(status) ? RANGES(Put, kept, 500, 1) : status;
}

static NTSTATUS a_cache(void)
{
    PXENBUS_CACHE cache;
    NTSTATUS status = CACHE(Create, "short", 100, 5, 5, bus_construct, bus_destruct, bus_acquire_lock, bus_release_lock,
                            NULL, &cache);

    if (NT_SUCCESS(status))
        CACHE(Destroy, cache);
    return status;
}

static NTSTATUS a_grant_cache(void)
{
    PXENBUS_GNTTAB_CACHE cache;
    NTSTATUS status = GNTTAB(CreateCache, "short", 5, 5, bus_acquire_lock, bus_release_lock, NULL, &cache);

    if (NT_SUCCESS(status))
        GNTTAB(DestroyCache, cache);
    return status;
}

static PXENBUS_GNTTAB_CACHE grants;

static NTSTATUS a_grant(void)
{
    PXENBUS_GNTTAB_ENTRY entry;
    NTSTATUS status = GNTTAB(PermitForeignAccess, grants, FALSE, 0, 4711, FALSE, &entry);

    if (NT_SUCCESS(status))
        return GNTTAB(RevokeForeignAccess, grants, FALSE, entry);
    ck_assert_ptr_null(entry);
    return status;
}

static NTSTATUS a_mapping(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 4711};
    NTSTATUS status = GNTTAB(MapForeignPages, 0, ARRAYSIZE(shared), (PULONG)shared, FALSE, &address);

    if (NT_SUCCESS(status))
        return GNTTAB(UnmapForeignPages, address);
    ck_assert_int_eq(address.QuadPart, 0);
    return status;
}

/* ---- the store's methods ---- */

#define NODE (PSTR) "data/short"

static NTSTATUS a_write(void)
{
    return STORE(Printf, NULL, NULL, NODE, "%u", 4711u);
}

static NTSTATUS a_permission(void)
{
    XENBUS_STORE_PERMISSION permission = {(USHORT)stack.domain.domid, XENBUS_STORE_PERM_NONE};

    return STORE(PermissionsSet, NULL, NULL, NODE, &permission, 1);
}

static NTSTATUS a_read(void)
{
    PSTR buffer = (PSTR)&shared;
    NTSTATUS status = STORE(Read, NULL, NULL, NODE, &buffer);

    if (NT_SUCCESS(status)) {
        ck_assert_str_eq(buffer, "4711");
        STORE(Free, buffer);
    } else {
        ck_assert_ptr_null(buffer);
    }
    return status;
}

static NTSTATUS a_directory(void)
{
    PSTR buffer = (PSTR)&shared;
    NTSTATUS status = STORE(Directory, NULL, NULL, (PSTR) "data", &buffer);

    if (NT_SUCCESS(status))
        STORE(Free, buffer);
    else
        ck_assert_ptr_null(buffer);
    return status;
}

static NTSTATUS a_transaction(void)
{
    PXENBUS_STORE_TRANSACTION transaction;
    NTSTATUS status = STORE(TransactionStart, &transaction);

    if (NT_SUCCESS(status))
        return STORE(TransactionEnd, transaction, TRUE);
    ck_assert_ptr_null(transaction);
    return status;
}

static NTSTATUS a_watch(void)
{
    PXENBUS_STORE_WATCH watch;
    NTSTATUS status = STORE(WatchAdd, (PSTR) "data", (PSTR) "short", event, &watch);

    if (NT_SUCCESS(status))
        return STORE(WatchRemove, watch);
    ck_assert_ptr_null(watch);
    return status;
}

static NTSTATUS a_removal(void)
{
    return STORE(Remove, NULL, NULL, NODE);
}

STACK_TEST(memory_of_the_store_runs_out, .drivers = STACK_PROBE, .quiet = true, RUNS_OUT)
{
    runs_out_off();
    bus_acquire();
    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_uint_ge(runs_out_each("StorePrintf", a_write), 2);
    ck_assert_uint_ge(runs_out_each("StorePermissionsSet", a_permission), 2);
    ck_assert_uint_ge(runs_out_each("StoreRead", a_read), 2);
    ck_assert_uint_ge(runs_out_each("StoreDirectory", a_directory), 2);
    ck_assert_uint_ge(runs_out_each("StoreTransactionStart", a_transaction), 2);
    ck_assert_uint_ge(runs_out_each("StoreWatchAdd", a_watch), 3);
    ck_assert_uint_ge(runs_out_each("StoreRemove", a_removal), 1);
    ExFreePoolWithTag(event, STACK_TAG);
    bus_release();
}

/* ---- mappings where the machine has no hole: RAM is given back to Xen for them ---- */

static void no_hole(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseMemoryHole", 0);
}

static NTSTATUS a_mapping_in_ram(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 4711};
    NTSTATUS status = GNTTAB(MapForeignPages, 0, ARRAYSIZE(shared), (PULONG)shared, FALSE, &address);

    if (NT_SUCCESS(status)) {
        runs_out_off(); /* what cannot be populated again is lost, and is no failure of the call */
        return GNTTAB(UnmapForeignPages, address);
    }
    ck_assert_int_eq(address.QuadPart, 0);
    return status;
}

static void share_pages(void)
{
    void *page;

    for (unsigned i = 0; i < ARRAYSIZE(shared); i++) {
        int64_t reference = xen_grant_share(XEN_DOM0, stack.domain.domid, false, &page);

        ck_assert_int_gt(reference, 0);
        shared[i] = (uint32_t)reference;
    }
}

static void unshare_pages(void)
{
    for (unsigned i = 0; i < ARRAYSIZE(shared); i++)
        ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, shared[i]), 0);
}

STACK_TEST(memory_without_a_hole_runs_out, .drivers = STACK_PROBE, .quiet = true, .prepare = no_hole, RUNS_OUT)
{
    runs_out_off();
    bus_acquire();
    share_pages();
    ck_assert_uint_ge(runs_out_each("GnttabMapForeignPages without a hole", a_mapping_in_ram), 8);
    unshare_pages();
    bus_release();
}

STACK_TEST(memory_runs_out, .drivers = STACK_PROBE, .quiet = true, RUNS_OUT)
{
    runs_out_off();
    bus_acquire();
    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_uint_eq(runs_out_each("DebugRegister", a_debug_callback), 1);
    ck_assert_uint_eq(runs_out_each("SuspendRegister", a_suspend_callback), 1);
    ck_assert_uint_eq(runs_out_each("ConsoleWakeupAdd", a_wakeup), 1);
    ck_assert_uint_ge(runs_out_each("RangeSetCreate", a_range_set), 2);
    ck_assert_uint_ge(runs_out_each("RangeSetPut", ranges_apart), 4);
    ck_assert_int_eq(RANGES(Create, "kept", &kept), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Put, kept, 0, 1000), STATUS_SUCCESS);
    (void)runs_out_each("RangeSetGet", a_split);
    ck_assert_int_eq(RANGES(Get, kept, 0, 1000), STATUS_SUCCESS);
    RANGES(Destroy, kept);
    ck_assert_uint_ge(runs_out_each("CacheCreate", a_cache), 2);
    ck_assert_uint_ge(runs_out_some("GnttabCreateCache", a_grant_cache), 2);
    ck_assert_int_eq(GNTTAB(CreateCache, "empty", 0, 0, bus_acquire_lock, bus_release_lock, NULL, &grants),
                     STATUS_SUCCESS);
    ck_assert_uint_ge(runs_out_some("GnttabPermitForeignAccess", a_grant), 1);
    GNTTAB(DestroyCache, grants);
    share_pages();
    ck_assert_uint_ge(runs_out_each("GnttabMapForeignPages", a_mapping), 4);
    unshare_pages();
    ExFreePoolWithTag(event, STACK_TAG);
    bus_release();
}

int main(void)
{
    Suite *suite = suite_create("memory of methods");
    TCase *tcase = tcase_create("memory");

    tcase_add_test(tcase, memory_runs_out);
    tcase_add_test(tcase, memory_of_the_store_runs_out);
    tcase_add_test(tcase, memory_without_a_hole_runs_out);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
