/*
 * Executive resources: shared or exclusive, recursive, with waiters. Owners are threads. Who holds and who waits is
 * kept outside the driver's memory, behind OwnerTable; the counts of the public structure are kept as Windows has them.
 *
 * When an exclusive owner leaves, all that wait for shared access come in, or else the first that waits for exclusive
 * access; when the last shared owner leaves, the first that waits for exclusive access does. A new shared request waits
 * behind exclusive ones, unless its thread is an owner already or it is made by ExAcquireSharedStarveExclusive().
 */
#include "nt/ex/ex.h"
#include "nt/ke/ke.h"

#define RESOURCE_OWNED_EXCLUSIVE 0x80

static const char resource_kind[] = "resource";

struct resource_owner {
    LIST_ENTRY entry; /* resource_record.owners */
    struct _KTHREAD *thread;
    ULONG count;
};

struct resource_record {
    PERESOURCE resource; /* the structure it belongs to */
    LIST_ENTRY owners;
    LIST_ENTRY shared_waiters; /* struct resource_waiter */
    LIST_ENTRY exclusive_waiters;
};

struct resource_waiter {
    LIST_ENTRY entry;
    struct _KTHREAD *thread;
    KEVENT granted;
};

static struct resource_record *record_of(PERESOURCE resource, const char *routine)
{
    const uint64_t parameter[4] = {0x1002, (uintptr_t)resource, 0, 0};

    struct resource_record *record = (struct resource_record *)resource->OwnerTable;

    if (!image_heap_contains(record) || record->resource != resource)
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "resource-not-initialised",
                          "%s: %p is no initialised ERESOURCE", routine, (void *)resource);
    return record;
}

static bool is_exclusive(const ERESOURCE *resource)
{
    return (resource->Flag & RESOURCE_OWNED_EXCLUSIVE) != 0;
}

static struct resource_owner *owner_of(struct resource_record *record, const struct _KTHREAD *thread)
{
    for (LIST_ENTRY *entry = record->owners.Flink; entry != &record->owners; entry = entry->Flink) {
        struct resource_owner *owner = CONTAINING_RECORD(entry, struct resource_owner, entry);
        if (owner->thread == thread)
            return owner;
    }
    return NULL;
}

static void add_owner(struct resource_record *record, struct _KTHREAD *thread, bool exclusive)
{
    PERESOURCE resource = record->resource;
    struct resource_owner *owner = image_alloc(sizeof *owner);

    owner->thread = thread;
    owner->count = 1;
    InsertTailList(&record->owners, &owner->entry);
    resource->ActiveCount++;
    resource->ActiveEntries++;
    if (exclusive)
        resource->Flag |= RESOURCE_OWNED_EXCLUSIVE;
}

/* Kernel APCs must be off for the time that a resource is held: an APC that wants it too would wait for its own thread.
 */
static void check_apcs_off(const char *routine, PERESOURCE resource, uint64_t code)
{
    if (!ke_apcs_off()) {
        const uint64_t parameter[4] = {code, ke_irql(), 0, (uintptr_t)resource};
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "apcs-enabled",
                          "%s(%p): kernel APCs are enabled; enter a critical region first", routine, (void *)resource);
    }
}

/* ---- life ---- */

NTSTATUS NTAPI ExInitializeResourceLite(PERESOURCE Resource)
{
    NT_CALL(DISPATCH_LEVEL);
    if (ex_object_find(resource_kind, Resource) != NULL) {
        nt_violation_sub("resource-initialised-twice", (uintptr_t)Resource, 0, 0,
                         "ExInitializeResourceLite: %p is an initialised resource already", (void *)Resource);
    }
    struct resource_record *record = image_alloc(sizeof *record);
    record->resource = Resource;
    InitializeListHead(&record->owners);
    InitializeListHead(&record->shared_waiters);
    InitializeListHead(&record->exclusive_waiters);

    RtlZeroMemory(Resource, sizeof *Resource);
    Resource->OwnerTable = (POWNER_ENTRY)record;
    InitializeListHead(&Resource->SystemResourcesList);
    ex_object_add(resource_kind, 0xD2, Resource, sizeof *Resource, __builtin_return_address(0));
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ExDeleteResourceLite(PERESOURCE Resource)
{
    NT_CALL(APC_LEVEL);
    if (ex_object_find(resource_kind, Resource) == NULL) {
        const uint64_t parameter[4] = {0xD1, (uintptr_t)Resource, 0, 0};
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "resource-not-initialised",
                          "ExDeleteResourceLite: %p is no initialised ERESOURCE", (void *)Resource);
    }
    struct resource_record *record = record_of(Resource, __func__);
    if (Resource->ActiveCount != 0 || Resource->NumberOfSharedWaiters != 0 || Resource->NumberOfExclusiveWaiters != 0) {
        const struct _KTHREAD *owner =
            IsListEmpty(&record->owners)
                ? NULL
                : CONTAINING_RECORD(record->owners.Flink, struct resource_owner, entry)->thread;
        nt_violation_sub("resource-deleted-owned", (uintptr_t)Resource, (uintptr_t)owner, 0,
                         "ExDeleteResourceLite(%p): %d threads own it, %u wait", (void *)Resource,
                         Resource->ActiveCount, Resource->NumberOfSharedWaiters + Resource->NumberOfExclusiveWaiters);
    }
    lock_forget(Resource, 1);
    ex_object_remove(ex_object_find(resource_kind, Resource));
    RtlZeroMemory(Resource, sizeof *Resource);
    image_free(record);
    return STATUS_SUCCESS;
}

/* ---- acquiring ---- */

static void describe(FILE *out, const void *object)
{
    const struct resource_record *record = (const void *)((const ERESOURCE *)object)->OwnerTable;

    fprintf(out, " owned %s by", is_exclusive(object) ? "exclusively" : "shared");
    for (const LIST_ENTRY *entry = record->owners.Flink; entry != &record->owners; entry = entry->Flink)
        ke_describe_owner(out, CONTAINING_RECORD(entry, struct resource_owner, entry)->thread);
}

static void wait(struct resource_record *record, LIST_ENTRY *queue, ULONG *waiting)
{
    const struct ke_wait_note note = {"resource", record->resource, describe};
    struct resource_waiter waiter = {.thread = ke_thread()};

    waiter.granted.Header.Type = EventSynchronizationObject;
    InitializeListHead(&waiter.granted.Header.WaitListHead);
    record->resource->ContentionCount++;
    (*waiting)++;
    InsertTailList(queue, &waiter.entry);
    ke_wait_noted(&waiter.granted, &note); /* whoever grants it makes it an owner */
}

static BOOLEAN acquire_exclusive(PERESOURCE resource, BOOLEAN may_wait, const char *routine, const void *caller)
{
    struct resource_record *record = record_of(resource, routine);
    struct resource_owner *mine = owner_of(record, ke_thread());

    check_apcs_off(routine, resource, 0x37);
    if (mine != NULL && is_exclusive(resource)) {
        mine->count++;
        return TRUE;
    }
    if (mine == NULL && may_wait)
        lock_order(resource, LOCK_RESOURCE, caller);
    if (resource->ActiveCount == 0) {
        add_owner(record, ke_thread(), true);
        lock_thread_add(resource, LOCK_RESOURCE, caller);
        return TRUE;
    }
    if (!may_wait)
        return FALSE;
    if (mine != NULL)
        lock_report_self(resource, LOCK_RESOURCE, routine);
    wait(record, &record->exclusive_waiters, &resource->NumberOfExclusiveWaiters);
    lock_thread_add(resource, LOCK_RESOURCE, caller);
    return TRUE;
}

static BOOLEAN acquire_shared(PERESOURCE resource, BOOLEAN may_wait, bool starve_exclusive, const char *routine,
                              const void *caller)
{
    struct resource_record *record = record_of(resource, routine);
    struct resource_owner *mine = owner_of(record, ke_thread());

    check_apcs_off(routine, resource, 0x37);
    if (mine == NULL && may_wait)
        lock_order(resource, LOCK_RESOURCE, caller);
    if (mine != NULL) { /* also of an exclusive owner, as one more exclusive acquisition */
        mine->count++;
        return TRUE;
    }
    if (!is_exclusive(resource) && (resource->NumberOfExclusiveWaiters == 0 || starve_exclusive)) {
        add_owner(record, ke_thread(), false);
        lock_thread_add(resource, LOCK_RESOURCE, caller);
        return TRUE;
    }
    if (!may_wait)
        return FALSE;
    wait(record, &record->shared_waiters, &resource->NumberOfSharedWaiters);
    lock_thread_add(resource, LOCK_RESOURCE, caller);
    return TRUE;
}

BOOLEAN NTAPI ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    return acquire_exclusive(Resource, Wait, __func__, __builtin_return_address(0));
}

BOOLEAN NTAPI ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    return acquire_shared(Resource, Wait, false, __func__, __builtin_return_address(0));
}

BOOLEAN NTAPI ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    return acquire_shared(Resource, Wait, true, __func__, __builtin_return_address(0));
}

/* ---- releasing ---- */

static struct resource_waiter *take_waiter(LIST_ENTRY *queue, ULONG *waiting)
{
    (*waiting)--;
    return CONTAINING_RECORD(RemoveHeadList(queue), struct resource_waiter, entry);
}

/*
 * Let in those whose turn it is. Each becomes an owner before any of them is woken: waking is a switch point, at which
 * the resource must be in order.
 */
static void grant_shared(struct resource_record *record)
{
    PERESOURCE resource = record->resource;
    LIST_ENTRY woken;

    InitializeListHead(&woken);
    while (!IsListEmpty(&record->shared_waiters)) {
        struct resource_waiter *waiter = take_waiter(&record->shared_waiters, &resource->NumberOfSharedWaiters);
        add_owner(record, waiter->thread, false);
        InsertTailList(&woken, &waiter->entry);
    }
    while (!IsListEmpty(&woken)) {
        struct resource_waiter *waiter = CONTAINING_RECORD(RemoveHeadList(&woken), struct resource_waiter, entry);
        KeSetEvent(&waiter->granted, IO_NO_INCREMENT, FALSE);
    }
}

static void grant(struct resource_record *record)
{
    if (!IsListEmpty(&record->shared_waiters)) {
        grant_shared(record);
    } else if (!IsListEmpty(&record->exclusive_waiters)) {
        struct resource_waiter *waiter =
            take_waiter(&record->exclusive_waiters, &record->resource->NumberOfExclusiveWaiters);
        add_owner(record, waiter->thread, true);
        KeSetEvent(&waiter->granted, IO_NO_INCREMENT, FALSE);
    }
}

static void release(PERESOURCE resource, const char *routine)
{
    struct resource_record *record = record_of(resource, routine);
    struct resource_owner *mine = owner_of(record, ke_thread());

    if (mine == NULL) {
        const uint64_t parameter[4] = {(uintptr_t)resource, (uintptr_t)ke_thread(), (uintptr_t)resource->OwnerTable, 0};
        nt_violation_code(RESOURCE_NOT_OWNED, parameter, "resource-not-owned", "%s(%p): the thread does not own it",
                          routine, (void *)resource);
    }
    check_apcs_off(routine, resource, 0x38);
    if (--mine->count != 0)
        return;
    lock_thread_remove(resource, LOCK_RESOURCE, routine);
    RemoveEntryList(&mine->entry);
    image_free(mine);
    resource->ActiveEntries--;
    if (--resource->ActiveCount != 0)
        return;
    bool was_exclusive = is_exclusive(resource);
    resource->Flag &= (USHORT)~RESOURCE_OWNED_EXCLUSIVE;
    if (!was_exclusive && !IsListEmpty(&record->exclusive_waiters)) {
        struct resource_waiter *waiter = take_waiter(&record->exclusive_waiters, &resource->NumberOfExclusiveWaiters);
        add_owner(record, waiter->thread, true);
        KeSetEvent(&waiter->granted, IO_NO_INCREMENT, FALSE);
        return;
    }
    grant(record);
}

VOID NTAPI ExReleaseResourceLite(PERESOURCE Resource)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    release(Resource, __func__);
}

VOID NTAPI ExConvertExclusiveToSharedLite(PERESOURCE Resource)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    struct resource_record *record = record_of(Resource, __func__);
    if (owner_of(record, ke_thread()) == NULL || !is_exclusive(Resource)) {
        const uint64_t parameter[4] = {(uintptr_t)Resource, (uintptr_t)ke_thread(), (uintptr_t)Resource->OwnerTable, 0};
        nt_violation_code(RESOURCE_NOT_OWNED, parameter, "resource-not-owned",
                          "%s(%p): the thread does not own it exclusively", __func__, (void *)Resource);
    }
    Resource->Flag &= (USHORT)~RESOURCE_OWNED_EXCLUSIVE;
    grant_shared(record);
}

/* ---- asking ---- */

BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource)
{
    NT_CALL(DISPATCH_LEVEL);
    return is_exclusive(Resource) && owner_of(record_of(Resource, __func__), ke_thread()) != NULL;
}

/* How often the thread has acquired it, shared or exclusive. */
ULONG NTAPI ExIsResourceAcquiredSharedLite(PERESOURCE Resource)
{
    NT_CALL(DISPATCH_LEVEL);
    const struct resource_owner *mine = owner_of(record_of(Resource, __func__), ke_thread());
    return mine == NULL ? 0 : mine->count;
}

/* ---- with a critical region ---- */

PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeEnterCriticalRegion();
    acquire_exclusive(Resource, TRUE, __func__, __builtin_return_address(0));
    return NULL; /* what Windows returns is for thread priorities and not for drivers */
}

PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeEnterCriticalRegion();
    acquire_shared(Resource, TRUE, false, __func__, __builtin_return_address(0));
    return NULL;
}

VOID NTAPI ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    release(Resource, __func__);
    ke_leave_critical_region(__func__);
}
