/*
 * Everything that a driver can take is counted: a leak of each kind is planted and must be named, and giving it back
 * must make the count what it was.
 */
#include <string.h>

#include "common/guest.h"
#include "machine/census.h"
#include "machine/guest_ram.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"
#include "store/store.h"
#include "xen/platform.h"
#include "xen/xen.h"

#define __XEN_TOOLS__ 1
#undef __XEN_INTERFACE_VERSION__
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#define TAG ((ULONG)'L' | (ULONG)'e' << 8 | (ULONG)'a' << 16 | (ULONG)'k' << 24)

/* One kind of thing: take it, give it back. State between the two is in `thing`. */
struct thing {
    PVOID pointer;
    HANDLE handle;
    PMDL mdl;
    KTIMER timer;
    KEVENT event;
    evtchn_port_t port;
    struct store_connection *connection;
    grant_entry_v1_t *grants;
};

struct kind {
    const char *kind; /* as the census calls it */
    const char *name; /* part of the name that must be shown */
    void (*take)(struct thing *thing);
    void (*give)(struct thing *thing);
};

static void take_pool(struct thing *thing)
{
    thing->pointer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG);
    ck_assert_ptr_nonnull(thing->pointer);
}

static void give_pool(struct thing *thing)
{
    ExFreePoolWithTag(thing->pointer, TAG);
}

static void NTAPI wait_for_end(PVOID Context)
{
    struct thing *thing = Context;

    (void)KeWaitForSingleObject(&thing->event, Executive, KernelMode, FALSE, NULL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void take_thread(struct thing *thing)
{
    KeInitializeEvent(&thing->event, NotificationEvent, FALSE);
    ck_assert_int_eq(PsCreateSystemThread(&thing->handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, wait_for_end, thing),
                     STATUS_SUCCESS);
}

static void give_thread(struct thing *thing)
{
    PVOID thread;

    ck_assert_int_eq(ObReferenceObjectByHandle(thing->handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread, NULL),
                     STATUS_SUCCESS);
    (void)KeSetEvent(&thing->event, IO_NO_INCREMENT, FALSE);
    (void)KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
    (void)ZwClose(thing->handle);
}

static void take_timer(struct thing *thing)
{
    LARGE_INTEGER due = {.QuadPart = -10000000};

    KeInitializeTimer(&thing->timer);
    (void)KeSetTimer(&thing->timer, due, NULL);
}

static void give_timer(struct thing *thing)
{
    ck_assert(KeCancelTimer(&thing->timer));
}

static void take_work_item(struct thing *thing)
{
    thing->pointer = IoAllocateWorkItem(pnp_pdo(pnp_root()));
    ck_assert_ptr_nonnull(thing->pointer);
}

static void give_work_item(struct thing *thing)
{
    IoFreeWorkItem(thing->pointer);
}

static void take_handle(struct thing *thing)
{
    UNICODE_STRING path;
    OBJECT_ATTRIBUTES attributes;

    RtlInitUnicodeString(&path, L"\\Registry\\Machine\\System\\CurrentControlSet\\Services");
    InitializeObjectAttributes(&attributes, &path, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    ck_assert_int_eq(ZwOpenKey(&thing->handle, KEY_READ, &attributes), STATUS_SUCCESS);
}

static void give_handle(struct thing *thing)
{
    ck_assert_int_eq(ZwClose(thing->handle), STATUS_SUCCESS);
}

static void take_reference(struct thing *thing)
{
    thing->pointer = KeGetCurrentThread();
    ObReferenceObject(thing->pointer);
}

static void give_reference(struct thing *thing)
{
    ObDereferenceObject(thing->pointer);
}

static void take_io_mapping(struct thing *thing)
{
    PHYSICAL_ADDRESS address = {.QuadPart = (LONGLONG)(GUEST_HOLE_FIRST_GFN << GUEST_PAGE_SHIFT)};

    thing->pointer = MmMapIoSpace(address, 2 * GUEST_PAGE_SIZE, MmCached);
    ck_assert_ptr_nonnull(thing->pointer);
}

static void give_io_mapping(struct thing *thing)
{
    MmUnmapIoSpace(thing->pointer, 2 * GUEST_PAGE_SIZE);
}

static void take_mdl_mapping(struct thing *thing)
{
    PHYSICAL_ADDRESS low = {.QuadPart = 0};
    PHYSICAL_ADDRESS high = {.QuadPart = -1};

    thing->mdl = MmAllocatePagesForMdlEx(low, high, low, 3 * GUEST_PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
    ck_assert_ptr_nonnull(thing->mdl);
    thing->pointer = MmMapLockedPagesSpecifyCache(thing->mdl, KernelMode, MmCached, NULL, FALSE,
                                                  NormalPagePriority | MdlMappingNoExecute);
    ck_assert_ptr_nonnull(thing->pointer);
}

static void give_mdl_mapping(struct thing *thing)
{
    MmUnmapLockedPages(thing->pointer, thing->mdl);
    MmFreePagesFromMdl(thing->mdl);
    ExFreePool(thing->mdl);
}

static void take_port(struct thing *thing)
{
    struct evtchn_alloc_unbound *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), TAG);

    operation->dom = DOMID_SELF;
    operation->remote_dom = 0;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)(uintptr_t)operation, 0, 0, 0),
        0);
    thing->port = operation->port;
    ExFreePoolWithTag(operation, TAG);
}

static void give_port(struct thing *thing)
{
    struct evtchn_close *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), TAG);

    operation->port = thing->port;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (uint64_t)(uintptr_t)operation, 0, 0, 0), 0);
    ExFreePoolWithTag(operation, TAG);
}

static void physmap(unsigned operation_number, struct xen_add_to_physmap *values)
{
    struct xen_add_to_physmap *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), TAG);

    *operation = *values;
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_memory_op, operation_number, (uint64_t)(uintptr_t)operation, 0, 0, 0),
                     0);
    ExFreePoolWithTag(operation, TAG);
}

static void take_physmap(struct thing *thing)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .idx = 0, .gpfn = GUEST_HOLE_FIRST_GFN};

    (void)thing;
    physmap(XENMEM_add_to_physmap, &add);
}

static void give_physmap(struct thing *thing)
{
    struct xen_remove_from_physmap *remove = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*remove), TAG);

    (void)thing;
    remove->domid = DOMID_SELF;
    remove->gpfn = GUEST_HOLE_FIRST_GFN;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, (uint64_t)(uintptr_t)remove, 0, 0, 0), 0);
    ExFreePoolWithTag(remove, TAG);
}

/* The grant table stays mapped from here to the end of the test: the grant itself is what is counted. */
static void take_grant(struct thing *thing)
{
    PHYSICAL_ADDRESS address = {.QuadPart = (LONGLONG)(GUEST_HOLE_FIRST_GFN << GUEST_PAGE_SHIFT)};

    take_physmap(thing);
    thing->grants = MmMapIoSpace(address, GUEST_PAGE_SIZE, MmCached);
    thing->grants[40].domid = 0;
    thing->grants[40].frame = (uint32_t)guest_ram_gfn(5);
    thing->grants[40].flags = GTF_permit_access;
}

static void give_grant(struct thing *thing)
{
    thing->grants[40].flags = 0;
    MmUnmapIoSpace(thing->grants, GUEST_PAGE_SIZE);
    give_physmap(thing);
}

static void woken(void *argument)
{
    (void)argument;
}

static void request(struct thing *thing, uint32_t type, const void *payload, uint32_t length)
{
    struct store_message *reply;

    store_submit(thing->connection, type, 1, 0, payload, length);
    store_pump();
    for (;;) {
        reply = store_receive(thing->connection);
        ck_assert_ptr_nonnull(reply);
        if (reply->header.type != XS_WATCH_EVENT)
            break;
        image_free(reply);
    }
    ck_assert_uint_eq(reply->header.type, type);
    image_free(reply);
}

static void take_watch(struct thing *thing)
{
    thing->connection = store_connect(1, woken, NULL);
    request(thing, XS_WATCH, "device\0token", sizeof("device\0token"));
}

static void give_watch(struct thing *thing)
{
    store_disconnect(thing->connection);
}

static void take_node(struct thing *thing)
{
    struct store_connection *dom0 = store_connect(0, woken, NULL);

    thing->connection = dom0;
    request(thing, XS_MKDIR, "/local/domain/1/data", sizeof("/local/domain/1/data"));
    request(thing, XS_SET_PERMS, "/local/domain/1/data\0n1", sizeof("/local/domain/1/data\0n1"));
    store_disconnect(dom0);
    thing->connection = store_connect(1, woken, NULL);
    request(thing, XS_WRITE, "data/leaked\0value", sizeof("data/leaked\0value") - 1);
}

static void give_node(struct thing *thing)
{
    store_disconnect(thing->connection);
    thing->connection = store_connect(0, woken, NULL);
    request(thing, XS_RM, "/local/domain/1/data", sizeof("/local/domain/1/data"));
    store_disconnect(thing->connection);
}

static const struct kind kinds[] = {
    {"pool", "Leak", take_pool, give_pool},
    {"thread", "", take_thread, give_thread},
    {"timer", "KTIMER", take_timer, give_timer},
    {"io work item", "", take_work_item, give_work_item},
    {"handle", "key", take_handle, give_handle},
    {"object reference", "thread", take_reference, give_reference},
    {"mapping", "", take_io_mapping, give_io_mapping},
    {"mapping", "", take_mdl_mapping, give_mdl_mapping},
    {"mdl pages", "", take_mdl_mapping, give_mdl_mapping},
    {"event channel", "domain 1", take_port, give_port},
    {"physmap", "grant table", take_physmap, give_physmap},
    {"grant", "reference 40", take_grant, give_grant},
    {"watch", "device", take_watch, give_watch},
    {"store node", "leaked", take_node, give_node},
};

struct seen {
    const struct kind *kind;
    bool found;
    char others[512];
};

static void look(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    struct seen *seen = context;

    (void)caller;
    if (strcmp(kind, seen->kind->kind) == 0 && strstr(name, seen->kind->name) != NULL && count > 0)
        seen->found = true;
    strncat(seen->others, kind, sizeof(seen->others) - strlen(seen->others) - 1);
    strncat(seen->others, ": ", sizeof(seen->others) - strlen(seen->others) - 1);
    strncat(seen->others, name, sizeof(seen->others) - strlen(seen->others) - 1);
    strncat(seen->others, "; ", sizeof(seen->others) - strlen(seen->others) - 1);
}

static void plant(void *argument)
{
    const struct kind *kind = argument;
    struct seen seen = {.kind = kind};
    struct thing *thing;
    struct xen_domain_config config = xen_domain_default_config(2);
    struct census *before;
    struct census *after;

    ck_assert_int_eq(xen_domain_create(&config), 1);
    pnp_boot();
    thing = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*thing), TAG);
    kind->take(thing); /* once before, so that what is made on first use is there */
    kind->give(thing);

    before = census_take();
    kind->take(thing);
    after = census_take();
    ck_assert_uint_ge(census_compare(before, after, look, &seen), 1);
    ck_assert_msg(seen.found, "a leaked %s was not named; named were: %s", kind->kind, seen.others);
    census_free(after);

    kind->give(thing);
    after = census_take();
    seen.others[0] = '\0';
    census_compare(before, after, look, &seen);
    ck_assert_msg(seen.others[0] == '\0', "after giving the %s back there is still: %s", kind->kind, seen.others);
    census_free(after);
    census_free(before);
    ExFreePoolWithTag(thing, TAG);
}

START_TEST(leak_is_named)
{
    guest_run(plant, (void *)(uintptr_t)&kinds[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("census");
    TCase *tcase = tcase_create("planted leaks");

    tcase_add_loop_test(tcase, leak_is_named, 0, (int)ARRAYSIZE(kinds));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
