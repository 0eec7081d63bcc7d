/*
 * What the bus drivers' children say of themselves: interfaces by IRP_MN_QUERY_INTERFACE in each version that a
 * revision stands for, and the IDs, which come from the revision tables.
 */
#include <stdio.h>
#include <string.h>

#include "clients/probe/probe_ioctl.h"
#include "common/stack.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "revision.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"
#include "vif_interface.h"

/* ---- interfaces ---- */

struct offered {
    const GUID *guid;
    unsigned version;
    size_t size;
};

static const struct offered bus_offers[] = {
    {&GUID_XENBUS_SUSPEND_INTERFACE, 1, sizeof(struct _XENBUS_SUSPEND_INTERFACE_V1)},
    {&GUID_XENBUS_SHARED_INFO_INTERFACE, 3, sizeof(struct _XENBUS_SHARED_INFO_INTERFACE_V3)},
    {&GUID_XENBUS_SHARED_INFO_INTERFACE, 4, sizeof(struct _XENBUS_SHARED_INFO_INTERFACE_V4)},
    {&GUID_XENBUS_EVTCHN_INTERFACE, 9, sizeof(struct _XENBUS_EVTCHN_INTERFACE_V9)},
    {&GUID_XENBUS_DEBUG_INTERFACE, 1, sizeof(struct _XENBUS_DEBUG_INTERFACE_V1)},
    {&GUID_XENBUS_STORE_INTERFACE, 2, sizeof(struct _XENBUS_STORE_INTERFACE_V2)},
    {&GUID_XENBUS_RANGE_SET_INTERFACE, 1, sizeof(struct _XENBUS_RANGE_SET_INTERFACE_V1)},
    {&GUID_XENBUS_CACHE_INTERFACE, 2, sizeof(struct _XENBUS_CACHE_INTERFACE_V2)},
    {&GUID_XENBUS_GNTTAB_INTERFACE, 4, sizeof(struct _XENBUS_GNTTAB_INTERFACE_V4)},
    {&GUID_XENBUS_UNPLUG_INTERFACE, 1, sizeof(struct _XENBUS_UNPLUG_INTERFACE_V1)},
    {&GUID_XENBUS_UNPLUG_INTERFACE, 2, sizeof(struct _XENBUS_UNPLUG_INTERFACE_V2)},
    {&GUID_XENBUS_UNPLUG_INTERFACE, 3, sizeof(struct _XENBUS_UNPLUG_INTERFACE_V3)},
    {&GUID_XENBUS_CONSOLE_INTERFACE, 1, sizeof(struct _XENBUS_CONSOLE_INTERFACE_V1)},
};

/* A child of XENVIF has its own and passes on what it needs of the bus below. */
static const struct offered vif_offers[] = {
    {&GUID_XENVIF_VIF_INTERFACE, 8, sizeof(struct _XENVIF_VIF_INTERFACE_V8)},
    {&GUID_XENVIF_VIF_INTERFACE, 9, sizeof(struct _XENVIF_VIF_INTERFACE_V9)},
    {&GUID_XENVIF_VIF_INTERFACE, 10, sizeof(struct _XENVIF_VIF_INTERFACE_V10)},
    {&GUID_XENBUS_CACHE_INTERFACE, 2, sizeof(struct _XENBUS_CACHE_INTERFACE_V2)},
    {&GUID_XENBUS_STORE_INTERFACE, 2, sizeof(struct _XENBUS_STORE_INTERFACE_V2)},
    {&GUID_XENBUS_SUSPEND_INTERFACE, 1, sizeof(struct _XENBUS_SUSPEND_INTERFACE_V1)},
};

typedef NTSTATUS(NTAPI *acquire_t)(PINTERFACE Interface);
typedef VOID(NTAPI *release_t)(PINTERFACE Interface);

/* Every interface begins with the header, Acquire and Release. */
struct any_interface {
    INTERFACE header;
    acquire_t acquire;
    release_t release;
    PVOID methods[(PROBE_INTERFACE_MAX - sizeof(INTERFACE)) / sizeof(PVOID) - 2];
};

static bool is_fill(const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)bytes)[i] != PROBE_FILL)
            return false;
    return true;
}

static NTSTATUS query(const char *instance, const GUID *guid, unsigned version, size_t size, struct any_interface *any)
{
    PROBE_QUERY wanted = {.Guid = *guid, .Version = (USHORT)version, .Size = (USHORT)size};
    PROBE_INTERFACE answer;
    char name[32];

    snprintf(name, sizeof(name), "Probe%s", instance);
    ck_assert_int_eq(
        stack_control(name, IOCTL_PROBE_QUERY_INTERFACE, &wanted, sizeof(wanted), &answer, sizeof(answer), NULL),
        STATUS_SUCCESS);
    memcpy(any, answer.Content, sizeof(*any));
    return answer.Status;
}

static void assert_offered(const char *instance, const struct offered *offered)
{
    struct any_interface any;
    size_t slots = (offered->size - sizeof(INTERFACE)) / sizeof(PVOID);

    ck_assert_int_eq(query(instance, offered->guid, offered->version, offered->size, &any), STATUS_SUCCESS);
    ck_assert_uint_eq(any.header.Version, offered->version);
    ck_assert_uint_eq(any.header.Size, offered->size);
    ck_assert_ptr_nonnull(any.header.Context);
    /* A query takes no reference: there is nothing to give it back by. */
    ck_assert_ptr_null(any.header.InterfaceReference);
    ck_assert_ptr_null(any.header.InterfaceDereference);
    for (size_t i = 0; i < slots; i++)
        ck_assert_msg(((PVOID *)(&any.header + 1))[i] != NULL, "slot %zu of version %u is empty", i + 1,
                      offered->version);
    ck_assert_msg(is_fill((uint8_t *)&any + offered->size, sizeof(any) - offered->size),
                  "more was written than the version has");
    ck_assert_int_eq(any.acquire(&any.header), STATUS_SUCCESS);
    ck_assert_int_eq(any.acquire(&any.header), STATUS_SUCCESS);
    any.release(&any.header);
    any.release(&any.header);

    /* A structure with room to spare is fine; one that is too small is left as it was. */
    ck_assert_int_eq(query(instance, offered->guid, offered->version, offered->size + 8, &any), STATUS_SUCCESS);
    ck_assert_int_eq(query(instance, offered->guid, offered->version, offered->size - 8, &any),
                     STATUS_BUFFER_TOO_SMALL);
    ck_assert(is_fill(&any.header + 1, sizeof(any) - sizeof(any.header)));
    ck_assert_int_eq(query(instance, offered->guid, offered->version, sizeof(INTERFACE), &any),
                     STATUS_BUFFER_TOO_SMALL);
}

static void assert_refused(const char *instance, const GUID *guid, unsigned version)
{
    struct any_interface any;

    ck_assert_int_eq(query(instance, guid, version, PROBE_INTERFACE_MAX, &any), STATUS_NOT_SUPPORTED);
    ck_assert(is_fill(&any.header + 1, sizeof(any) - sizeof(any.header)));
}

/* Versions beside the lowest and the highest of each interface. */
static void assert_bounds(const char *instance, const struct offered *offered, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || offered[i - 1].guid != offered[i].guid)
            assert_refused(instance, offered[i].guid, offered[i].version - 1);
        if (i == count - 1 || offered[i + 1].guid != offered[i].guid)
            assert_refused(instance, offered[i].guid, offered[i].version + 1);
    }
}

STACK_TEST(bus_interfaces, .drivers = STACK_PROBE)
{
    static const GUID unknown = {0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};

    for (size_t i = 0; i < ARRAYSIZE(bus_offers); i++)
        assert_offered("_", &bus_offers[i]);
    assert_bounds("_", bus_offers, ARRAYSIZE(bus_offers));
    assert_refused("_", &unknown, 1);
    assert_refused("_", &GUID_XENVIF_VIF_INTERFACE, 10);
}

STACK_TEST(vif_interfaces, .drivers = STACK_PROBE | STACK_XENVIF, .vifs = 1)
{
    for (size_t i = 0; i < ARRAYSIZE(vif_offers); i++)
        assert_offered("0", &vif_offers[i]);
    assert_refused("0", &GUID_XENVIF_VIF_INTERFACE, 7);
    assert_refused("0", &GUID_XENVIF_VIF_INTERFACE, 11);
}

/* Before its start a VIF can be asked for, and not be acquired. */
STACK_TEST(not_before_the_start, .drivers = STACK_PROBE | STACK_XENVIF, .vifs = 1)
{
    PROBE_EARLY early;

    ck_assert_int_eq(stack_control("Probe0", IOCTL_PROBE_EARLY, NULL, 0, &early, sizeof(early), NULL), STATUS_SUCCESS);
    ck_assert_int_eq(early.QueryStatus, STATUS_SUCCESS);
    ck_assert_int_eq(early.AcquireStatus, STATUS_DEVICE_NOT_READY);

    /* What the bus gives is there as soon as the bus has started, which is before it has children. */
    ck_assert_int_eq(stack_control("Probe_", IOCTL_PROBE_EARLY, NULL, 0, &early, sizeof(early), NULL), STATUS_SUCCESS);
    ck_assert_int_eq(early.QueryStatus, STATUS_SUCCESS);
    ck_assert_int_eq(early.AcquireStatus, STATUS_SUCCESS);
}

/* ---- IDs ---- */

#define BUS_ROW(revision, ...) revision,
static const ULONG bus_revisions[] = {XENBUS_REVISION_TABLE(BUS_ROW)};
#define VIF_ROW(revision, cache, vif, ...) {revision, vif},
static const struct {
    ULONG revision;
    unsigned vif; /* version of XENVIF_VIF that it stands for */
} vif_rows[] = {XENVIF_REVISION_TABLE(VIF_ROW)};

static const WCHAR *query_id(const char *device, BUS_QUERY_ID_TYPE type, WCHAR ids[1024])
{
    ULONG wanted = type;

    memset(ids, 0, 1024 * sizeof(*ids));
    ck_assert_int_eq(
        stack_control(device, IOCTL_PROBE_QUERY_ID, &wanted, sizeof(wanted), ids, 1022 * sizeof(*ids), NULL),
        STATUS_SUCCESS);
    return ids;
}

/* The string that a string of a list begins with; the next one of the list. */
static const WCHAR *assert_id(const WCHAR *id, const char *expected)
{
    char text[128];
    size_t length = 0;

    for (; id[length] != 0; length++)
        text[length] = (char)id[length];
    text[length] = '\0';
    ck_assert_str_eq(text, expected);
    return id + length + 1;
}

static void assert_ids(const char *device, const char *bus, const char *kind, const ULONG *revisions, size_t count,
                       const char *last, const char *instance)
{
    static const BUS_QUERY_ID_TYPE lists[] = {BusQueryHardwareIDs, BusQueryCompatibleIDs};
    WCHAR ids[1024];
    char expected[128];
    const WCHAR *id;

    for (size_t i = 1; i < count; i++)
        ck_assert_uint_gt(revisions[i], revisions[i - 1]);
    snprintf(expected, sizeof(expected), "%s\\VEN_XP0001&DEV_%s&REV_%08X", bus, kind, revisions[count - 1]);
    (void)assert_id(query_id(device, BusQueryDeviceID, ids), expected);
    (void)assert_id(query_id(device, BusQueryInstanceID, ids), instance);
    for (unsigned list = 0; list < ARRAYSIZE(lists); list++) {
        id = query_id(device, lists[list], ids);
        for (size_t i = count; i > 0; i--) {
            snprintf(expected, sizeof(expected), "%s\\VEN_XP0001&DEV_%s&REV_%08X", bus, kind, revisions[i - 1]);
            id = assert_id(id, expected);
        }
        id = assert_id(id, last);
        ck_assert_int_eq(*id, 0);
    }
}

/* An ID promises what a query gives: the revisions of the table whose VIF interface there is. */
STACK_TEST(ids, .drivers = STACK_PROBE | STACK_XENVIF, .vifs = 1)
{
    ULONG vif_revisions[ARRAYSIZE(vif_rows)];
    struct any_interface any;
    size_t count = 0;

    assert_ids("Probe_", "XENBUS", "IFACE", bus_revisions, ARRAYSIZE(bus_revisions), "XENCLASS", "_");
    for (size_t i = 0; i < ARRAYSIZE(vif_rows); i++)
        if (query("0", &GUID_XENVIF_VIF_INTERFACE, vif_rows[i].vif, PROBE_INTERFACE_MAX, &any) == STATUS_SUCCESS)
            vif_revisions[count++] = vif_rows[i].revision;
    ck_assert_uint_eq(count, ARRAYSIZE(vif_rows));
    assert_ids("Probe0", "XENVIF", "NET", vif_revisions, count, "XENDEVICE", "0");
}

/* One child for each class, whatever the number of devices; one of XENVIF for each VIF. */
STACK_TEST(children, .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 3, .wait = true)
{
    static const char *const expected[] = {
        "XENBUS\\VEN_XP0001&DEV_VIF&REV_0900000C\\_",  "XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000C\\_",
        "XENBUS\\VEN_XP0001&DEV_CONS&REV_0900000C\\_", "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0",
        "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\1",  "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\2",
    };
    unsigned children = 0;

    for (size_t i = 0; i < ARRAYSIZE(expected); i++)
        ck_assert_msg(pnp_find(expected[i]) != NULL, "there is no %s", expected[i]);
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node))
        children += strncmp(pnp_instance_path(node), "XENBUS\\", 7) == 0 ||
                    strncmp(pnp_instance_path(node), "XENVIF\\", 7) == 0;
    ck_assert_uint_eq(children, ARRAYSIZE(expected));
    for (unsigned vif = 0; vif < 3; vif++)
        ck_assert_str_eq(pnp_service(pnp_find(expected[3 + vif])), "netclient");
}

int main(void)
{
    Suite *suite = suite_create("queries");
    TCase *tcase = tcase_create("interfaces");

    tcase_add_test(tcase, bus_interfaces);
    tcase_add_test(tcase, vif_interfaces);
    tcase_add_test(tcase, not_before_the_start);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("IDs");
    tcase_add_test(tcase, ids);
    tcase_add_test(tcase, children);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
