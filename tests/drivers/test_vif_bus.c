/*
 * The bus of VIFs: what its children say of themselves, and how they come and go: by the toolstack's hand, by the
 * user's, by the store's, each without harm to the others.
 */
#include <stdio.h>
#include <string.h>

#include "common/irps.h"
#include "common/stack.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/xen.h"

#undef XEN_UNPLUG_NICS /* the simulator's mask; the driver's type of device has the same name */
#include "xen.h"

#include <xen/event_channel.h>
#include <xenstore.h>

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .wait = true
#define BUS "XENBUS\\VEN_XP0001&DEV_VIF"
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\"
#define CONTAINER "{7d2b6c40-93e1-11ef-a4f5-00163e5a0000}"
#define PATIENCE_MS 5000u
#define MANY 8u

static struct capture *lan;

static void link_up(unsigned vif)
{
    ck_assert_int_eq(stack_wait_link(vif, true), STATUS_SUCCESS);
}

/* The instance path of a VIF, in a buffer for each. */
static const char *path_of(unsigned vif)
{
    static char path[VIFS_MAX][64];

    snprintf(path[vif], sizeof(path[vif]), "%s%u", CHILD, vif);
    return path[vif];
}

static struct devnode *child(unsigned vif)
{
    struct devnode *node = pnp_find(path_of(vif));

    ck_assert_msg(node != NULL, "there is no VIF %u", vif);
    return node;
}

static void await_gone(unsigned vif)
{
    ck_assert_msg(stack_wait(stack_device_gone, (void *)path_of(vif), PATIENCE_MS), "VIF %u does not go", vif);
}

static void await_back(unsigned vif)
{
    stack_wait_connected(vif);
    pnp_wait_quiet();
    link_up(vif);
    stack_carry(vif, lan, lan);
}

/* ---- what a child says of itself ---- */

static void assert_property(unsigned vif, DEVICE_REGISTRY_PROPERTY property, const char *expected)
{
    WCHAR text[128];
    char narrow[128] = "";
    ULONG length;

    ck_assert_int_eq(IoGetDeviceProperty(pnp_pdo(child(vif)), property, sizeof(text), text, &length), STATUS_SUCCESS);
    for (unsigned i = 0; i < length / sizeof(WCHAR); i++)
        narrow[i] = (char)text[i];
    ck_assert_str_eq(narrow, expected);
}

static char *container_of(unsigned vif)
{
    char *path = image_printf("%s\\%s", CM_ENUM, path_of(vif));
    char *id = cm_value_get_string(cm_key_open(path), "ContainerID");

    image_free(path);
    return id;
}

/* IRP_MN_QUERY_ID to the child itself, as it came in it goes out if nobody has such an ID. */
static NTSTATUS query_id(unsigned vif, unsigned type, PWSTR *id)
{
    IO_STATUS_BLOCK result = {0};
    PIO_STACK_LOCATION location;
    NTSTATUS status;
    KEVENT event;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, pnp_pdo(child(vif)), NULL, 0, NULL, &event, &result);
    ck_assert_ptr_nonnull(irp);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    location = IoGetNextIrpStackLocation(irp);
    location->MinorFunction = IRP_MN_QUERY_ID;
    location->Parameters.QueryId.IdType = (BUS_QUERY_ID_TYPE)type;
    status = IoCallDriver(pnp_pdo(child(vif)), irp);
    if (status == STATUS_PENDING) {
        (void)KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        status = result.Status;
    }
    *id = (PWSTR)result.Information;
    return status;
}

STACK_TEST(identity, NET, .vifs = 2)
{
    const DEVICE_CAPABILITIES *capabilities;
    char *container;
    PWSTR id;

    for (unsigned vif = 0; vif < 2; vif++) {
        char expected[] = CONTAINER;

        expected[strlen(expected) - 2] = (char)('0' + vif);
        assert_property(vif, DevicePropertyContainerID, expected);
        container = container_of(vif);
        ck_assert_str_eq(container, expected);
        image_free(container);
        assert_property(vif, DevicePropertyLocationInformation, vif == 0 ? "XENVIF 0" : "XENVIF 1");
        assert_property(vif, DevicePropertyEnumeratorName, "XENVIF");
        capabilities = pnp_capabilities(child(vif));
        ck_assert(capabilities->UniqueID && capabilities->Removable && capabilities->EjectSupported &&
                  capabilities->SurpriseRemovalOK);
        ck_assert_uint_eq(capabilities->Address, vif);
        ck_assert_uint_eq(capabilities->UINumber, vif);
        ck_assert_int_eq(query_id(vif, BusQueryInstanceID, &id), STATUS_SUCCESS);
        ck_assert_uint_eq(id[0], '0' + vif);
        ck_assert_uint_eq(id[1], 0);
        ExFreePool(id);
        ck_assert_int_eq(query_id(vif, 99, &id), STATUS_NOT_SUPPORTED);
        ck_assert_ptr_null(id);
    }

    /* It stays what it is, however it goes and comes. */
    stack_detach(1);
    await_gone(1);
    stack_attach(1);
    await_back(1);
    ck_assert_int_eq(pnp_restart_device(child(1)), STATUS_SUCCESS);
    container = container_of(1);
    ck_assert_str_eq(container, "{7d2b6c40-93e1-11ef-a4f5-00163e5a0001}");
    image_free(container);
}

/* ---- children by hand: of a backend that is nobody's ---- */

#define HELD "/local/domain/0/backend/held"

static struct by_hand {
    const char *name, *mac, *online;
} by_hand;
static const char *names[16];
static unsigned made;

static void put(struct xs_handle *xs, const char *directory, const char *node, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, node);
    ck_assert(xs_write(xs, XBT_NULL, path, value, (unsigned)strlen(value)));
}

static void make(void *unused)
{
    struct xs_handle *xs = xs_open(0);
    struct xs_permissions front[] = {{stack.domain.domid, XS_PERM_NONE}, {0, XS_PERM_READ}};
    struct xs_permissions back[] = {{0, XS_PERM_NONE}, {stack.domain.domid, XS_PERM_READ}};
    const char *frontend = stack_path("device/vif/%s", by_hand.name);
    char backend[64];

    (void)unused;
    snprintf(backend, sizeof(backend), HELD "/%s", by_hand.name);
    ck_assert(xs_mkdir(xs, XBT_NULL, backend));
    ck_assert(xs_set_permissions(xs, XBT_NULL, backend, back, 2));
    if (by_hand.online != NULL)
        put(xs, backend, "online", by_hand.online);
    put(xs, backend, "state", "2");
    ck_assert(xs_mkdir(xs, XBT_NULL, frontend));
    ck_assert(xs_set_permissions(xs, XBT_NULL, frontend, front, 2));
    put(xs, frontend, "backend-id", "0");
    if (by_hand.mac != NULL)
        put(xs, frontend, "mac", by_hand.mac);
    put(xs, frontend, "state", "1");
    put(xs, frontend, "backend", backend);
    xs_close(xs);
}

static void make_child(const char *name, const char *mac, const char *online)
{
    by_hand = (struct by_hand){name, mac, online};
    names[made++] = name;
    stack_in_dom0(make, NULL);
}

static void unmake_all(void *unused)
{
    struct xs_handle *xs = xs_open(0);

    (void)unused;
    while (made != 0)
        (void)xs_rm(xs, XBT_NULL, stack_path("device/vif/%s", names[--made]));
    (void)xs_rm(xs, XBT_NULL, HELD);
    xs_close(xs);
}

static bool is_there(void *path)
{
    return pnp_quiet() && pnp_find(path) != NULL;
}

/* The domain's rights on a node of a VIF's. */
struct node_rights {
    const char *node; /* "5/mac" */
    unsigned right;   /* XS_PERM_* */
};

static void set_rights(void *argument)
{
    const struct node_rights *rights = argument;
    struct xs_permissions permissions[] = {{0, XS_PERM_NONE}, {stack.domain.domid, rights->right}};
    struct xs_handle *xs = xs_open(0);

    ck_assert(xs_set_permissions(xs, XBT_NULL, stack_path("device/vif/%s", rights->node), permissions, 2));
    xs_close(xs);
}

/* Names that no toolstack gives a VIF are none; nor is one that is being taken away. */
STACK_TEST(only_vifs_become_children, NET, .vifs = 1, .quiet = true)
{
    static const char *const none[] = {"07", "x", "-7", "4294967296", "7x", "0x7"};

    link_up(0);
    for (unsigned i = 0; i < ARRAYSIZE(none); i++)
        make_child(none[i], "00:16:3e:5a:00:07", "1");
    make_child("6", "00:16:3e:5a:00:06", "0");
    make_child("5", "00:16:3e:5a:00:05", "1");
    make_child("4", "00:16:3e:5a:00:04", NULL);
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    ck_assert(stack_wait(is_there, (void *)path_of(4), PATIENCE_MS));
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        const char *path = pnp_instance_path(node);

        if (strncmp(path, CHILD, strlen(CHILD)) == 0)
            ck_assert_msg(strcmp(path + strlen(CHILD), "0") == 0 || strcmp(path + strlen(CHILD), "4") == 0 ||
                              strcmp(path + strlen(CHILD), "5") == 0,
                          "%s is a child", path);
    }
    stack_carry(0, lan, lan);
    stack_in_dom0(unmake_all, NULL);
    await_gone(5);
    await_gone(4);
}

/* Without an address there is no card, and the manager finds a container for what there is. */
STACK_TEST(no_address_no_card, NET, .vifs = 1, .quiet = true)
{
    static const char *const macs[] = {NULL,
                                       "",
                                       "00:16:3e:5a:00",
                                       "00:16:3e:5a:00:zz",
                                       "01:16:3e:5a:00:05",
                                       "00:00:00:00:00:00",
                                       "00:16:3e:5a:00:05:06"};

    link_up(0);
    for (unsigned i = 0; i < ARRAYSIZE(macs); i++) {
        PWSTR id;

        make_child("5", macs[i], "1");
        ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
        ck_assert(!stack_device_started(path_of(5)));
        ck_assert_int_eq(query_id(5, BusQueryContainerID, &id), STATUS_NOT_SUPPORTED);
        ck_assert_ptr_null(id);
        stack_in_dom0(unmake_all, NULL);
        await_gone(5);
    }
    stack_carry(0, lan, lan);
}

/*
 * A store that does not let the guest read an address will not in a moment either: the VIF is not asked for again and
 * again, each change finds the same, which is told once, and one of the changes is the end of it.
 */
STACK_TEST(refused_until_something_changes, NET, .vifs = 1, .quiet = true)
{
    struct node_rights hidden = {"5/mac", XS_PERM_NONE}, shown = {"5/mac", XS_PERM_READ};
    unsigned before = 0, told = 0, tried;

    link_up(0);
    make_child("5", "00:16:3e:5a:00:05", "0");
    stack_in_dom0(set_rights, &hidden);
    stack_store_write(HELD "/5/online", "1");
    for (unsigned change = 1; change <= 3; change++) {
        stack_store_write(stack_path("device/vif/5/speed"), "10");
        stack_sleep_us(100000);
        tried = stack_times_logged("vif 5: mac cannot be read (c0000022)");
        ck_assert_uint_gt(tried, before);
        stack_sleep_us(5000000);
        ck_assert_uint_eq(stack_times_logged("vif 5: mac cannot be read (c0000022)"), tried);
        if (change == 1)
            told = stack_times_logged("device/vif/5 cannot be taken up (c0000022)");
        ck_assert_uint_ge(told, 1);
        ck_assert_uint_eq(stack_times_logged("device/vif/5 cannot be taken up (c0000022)"), told);
        before = tried;
    }
    ck_assert(stack_device_gone((void *)path_of(5)));
    stack_in_dom0(set_rights, &shown);
    stack_store_write(stack_path("device/vif/5/speed"), "100");
    ck_assert_msg(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS), "the VIF may be read, and does not come");
    stack_carry(0, lan, lan);
    stack_in_dom0(unmake_all, NULL);
    await_gone(5);
}

/* Of two that are refused in one scan the log hears of the first, and the other one comes no less when it may. */
STACK_TEST(two_are_refused, NET, .vifs = 1, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    static const char *const refusals[] = {"device/vif/4 cannot be taken up (c0000022)",
                                           "device/vif/5 cannot be taken up (c0000022)"};
    struct node_rights hidden[] = {{"4/mac", XS_PERM_NONE}, {"5/mac", XS_PERM_NONE}};
    struct node_rights shown[] = {{"4/mac", XS_PERM_READ}, {"5/mac", XS_PERM_READ}};

    link_up(0);
    make_child("4", "00:16:3e:5a:00:04", "0");
    make_child("5", "00:16:3e:5a:00:05", "0");
    for (unsigned i = 0; i < 2; i++)
        stack_in_dom0(set_rights, &hidden[i]);
    stack_sleep_us(100000); /* none is looked at while it is offline */
    stack_store_write(HELD "/4/online", "1");
    stack_store_write(HELD "/5/online", "1");
    stack_store_write(stack_path("device/vif/5/speed"), "10");
    stack_sleep_us(100000);
    ck_assert(stack_is_logged("vif 4: mac cannot be read (c0000022)"));
    ck_assert(stack_is_logged("vif 5: mac cannot be read (c0000022)"));
    ck_assert(stack_is_logged(refusals[0]) != stack_is_logged(refusals[1]));
    for (unsigned i = 0; i < 2; i++)
        stack_in_dom0(set_rights, &shown[i]);
    stack_store_write(stack_path("device/vif/5/speed"), "100");
    ck_assert(stack_wait(is_there, (void *)path_of(4), PATIENCE_MS));
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    stack_carry(0, lan, lan);
    stack_in_dom0(unmake_all, NULL);
    await_gone(4);
    await_gone(5);
}

static bool is_logged(void *words)
{
    return stack_is_logged(words);
}

static void log_information(void)
{
    static const char *const levels[] = {"INFO", "WARNING", "ERROR", "CRITICAL"};

    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", levels, ARRAYSIZE(levels));
}

/* ---- a store that falls silent between two answers ---- */

static uint32_t daemon_port;

/* The scan has what the store lists, and sees that VIF 4 has gone, before it asks for those that have come. */
static VOID NTAPI make_deaf(PVOID unused, PCSTR text, ULONG length)
{
    static const char words[] = "vif 4 has gone";
    KERNEL_SCOPE();

    (void)unused;
    if (memmem(text, length, words, sizeof(words) - 1) == NULL)
        return;
    KeStallExecutionProcessor(1000); /* until the daemon waits for its next event */
    evtchn_find(domain_find_host(XEN_DOM0), daemon_port)->masked = true;
}

/* One of two VIFs cannot be asked for in time: the other is not asked for in that scan, and both come in the end. */
STACK_TEST(silent_between_two_answers, NET, .vifs = 1, .quiet = true, .prepare = log_information,
           .engine = ENGINE_DETERMINISTIC)
{
    PXEN_LOG_DISPOSITION disposition;
    unsigned once;

    link_up(0);
    daemon_port = stack_daemon_port();
    make_child("4", "00:16:3e:5a:00:04", "1");
    ck_assert(stack_wait(is_there, (void *)path_of(4), PATIENCE_MS));
    make_child("5", "00:16:3e:5a:00:05", "0");
    make_child("6", "00:16:3e:5a:00:06", "0");
    stack_sleep_us(100000); /* nobody watches what says that they are online */
    stack_store_write(HELD "/5/online", "1");
    stack_store_write(HELD "/6/online", "1");
    ck_assert_int_eq(STACK_XEN(XenLogAddDisposition, XEN_LOG_INFO, make_deaf, NULL, &disposition), STATUS_SUCCESS);
    stack_store_remove(stack_path("device/vif/4"));
    ck_assert(stack_wait(is_logged, "cannot be taken up (c00000b5)", 70000));
    once = stack_times_logged("cannot be taken up (c00000b5)"); /* the log goes to several places */
    stack_sleep_us(70000000);
    ck_assert_uint_eq(stack_times_logged("of type 2 is given up"), once);
    ck_assert_uint_eq(stack_times_logged("of type 1 is given up"), once); /* the next scan's list */
    STACK_XEN(XenLogRemoveDisposition, disposition);
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, daemon_port), 0);
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    ck_assert(stack_wait(is_there, (void *)path_of(6), PATIENCE_MS));
    ck_assert_uint_eq(stack_times_logged("of type 2 is given up"), once);
    stack_carry(0, lan, lan);
    stack_in_dom0(unmake_all, NULL);
    await_gone(5);
    await_gone(6);
}

static bool has_children(void *count)
{
    struct devnode *bus = stack_device(BUS);
    unsigned found = 0;

    for (struct devnode *node = bus; node != NULL; node = pnp_next(node))
        found += pnp_parent(node) == bus;
    return pnp_quiet() && found == *(unsigned *)count;
}

/*
 * Whatever the bus could not do for a moment when a VIF came: it comes, and with its address. From the first question
 * on that the PnP manager asks the child itself it is not the bus's doing.
 */
STACK_TEST(comes_in_spite_of_a_shortage, NET, .vifs = 1, .quiet = true, .fail = "kind=pool,nth=100000000")
{
    unsigned nth = 0, one = 1, two = 2;
    bool identified;

    fault_suspend();
    link_up(0);
    do {
        uint64_t before = fault_injected();
        bool come;
        PWSTR id;

        machine->config.faults.rule[0].nth = ++nth;
        machine->fault->matched[0] = 0;
        fault_resume();
        make_child("5", "00:16:3e:5a:00:05", "1");
        come = stack_wait(has_children, &two, PATIENCE_MS);
        fault_suspend();
        ck_assert_uint_eq(fault_injected(), before + 1);
        ck_assert_msg(come, "call %u failed, and the VIF has not come", nth);
        identified = pnp_find(path_of(5)) != NULL;
        if (identified) {
            ck_assert_msg(query_id(5, BusQueryContainerID, &id) == STATUS_SUCCESS,
                          "call %u failed, and the VIF has no address", nth);
            ExFreePool(id);
        }
        stack_in_dom0(unmake_all, NULL);
        ck_assert(stack_wait(has_children, &one, PATIENCE_MS));
    } while (identified);
    ck_assert_uint_gt(nth, 10);
    stack_carry(0, lan, lan);
}

/* The first question of the manager's comes late. */
static bool take_away(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)location;
    (void)status;
    if (irps_intercepted() == 1) {
        stack_store_remove(stack_path("device/vif/5"));
        ck_assert(stack_wait(is_logged, "vif 5 has gone", PATIENCE_MS));
    }
    return false;
}

static bool is_asked(void *unused)
{
    (void)unused;
    return irps_intercepted() != 0;
}

/* It has come and gone before the manager has asked for the children, and was never there; the next one is. */
STACK_TEST(child_of_a_moment, NET, .vifs = 1, .prepare = log_information)
{
    link_up(0);
    irps_intercept(irps_of_driver(BUS, "xenvif"), false, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS, take_away);
    make_child("5", "00:16:3e:5a:00:05", "1");
    ck_assert(stack_wait(is_asked, NULL, PATIENCE_MS));
    pnp_wait_quiet();
    irps_let_pass();
    ck_assert_uint_eq(stack_times_logged("vif 5 has come"), 1);
    ck_assert_ptr_null(pnp_find(path_of(5)));
    make_child("5", "00:16:3e:5a:00:05", "1");
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    stack_carry(0, lan, lan);
    stack_in_dom0(unmake_all, NULL);
    await_gone(5);
}

/* ---- ejection ---- */

/* The user takes a card out: it is closed, and stays out until the toolstack has taken it away and given one anew. */
STACK_TEST(ejected_by_the_user, NET, .vifs = 2)
{
    link_up(0);
    link_up(1);
    stack_carry(1, lan, lan);
    for (unsigned round = 0; round < 2; round++) {
        ck_assert_int_eq(pnp_eject_device(child(1)), STATUS_SUCCESS);
        await_gone(1);
        stack_store_await(stack_path("device/vif/1/state"), "6", PATIENCE_MS);

        /* Neither a look of the manager's nor one of the bus's own brings it back. */
        ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
        stack_store_write(stack_path("device/vif/1/speed"), "10");
        stack_sleep_us(100000);
        pnp_wait_quiet();
        ck_assert(stack_device_gone((void *)path_of(1)));
        stack_carry(0, lan, lan);

        stack_detach(1);
        stack_attach(1);
        await_back(1);
    }

    /* With the bus it is forgotten: who takes the drivers out and puts them in again sees all there is. */
    ck_assert_int_eq(pnp_eject_device(child(1)), STATUS_SUCCESS);
    await_gone(1);
    ck_assert_int_eq(pnp_remove_device(stack_device(BUS), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(pnp_parent(stack_device(BUS))), STATUS_SUCCESS);
    await_back(0);
    await_back(1);
}

/* One that never started is closed too: the toolstack sees that it may take it. */
STACK_TEST(ejected_before_it_was_started, NET, .vifs = 1, .quiet = true)
{
    make_child("5", NULL, "1");
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    ck_assert_int_eq(pnp_eject_device(child(5)), STATUS_SUCCESS);
    await_gone(5);
    stack_store_await(stack_path("device/vif/5/state"), "6", PATIENCE_MS);

    /* Another in the same place, made over the old one's nodes. */
    make_child("5", "00:16:3e:5a:00:05", "1");
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    stack_in_dom0(unmake_all, NULL);
    await_gone(5);
    link_up(0);
}

/* A look of the bus's own at the store. */
static void have_it_look(void)
{
    stack_store_write(stack_path("device/vif/0/speed"), "10");
    stack_sleep_us(100000);
    pnp_wait_quiet();
}

static void eject_5(void)
{
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    ck_assert_int_eq(pnp_eject_device(child(5)), STATUS_SUCCESS);
    await_gone(5);
}

/* Its state is not what a state is: nobody is told of its being closed, and it stays out until there is one again. */
STACK_TEST(ejected_without_a_state, NET, .vifs = 1, .quiet = true)
{
    static const char *const states[] = {NULL, "", "x"};

    for (unsigned i = 0; i < ARRAYSIZE(states); i++) {
        make_child("5", NULL, "1");
        ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
        if (states[i] == NULL)
            stack_store_remove(stack_path("device/vif/5/state"));
        else
            stack_store_write(stack_path("device/vif/5/state"), states[i]);
        eject_5();
        have_it_look();
        ck_assert(stack_device_gone((void *)path_of(5)));
        stack_store_await(stack_path("device/vif/5/state"), states[i] == NULL ? "(absent)" : states[i], 1);
        stack_store_write(stack_path("device/vif/5/state"), "1");
        ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
        stack_in_dom0(unmake_all, NULL);
        await_gone(5);
    }
    link_up(0);
}

/* One that cannot be closed stays out all the same, and is closed as soon as it can be. */
STACK_TEST(ejected_and_not_closed, NET, .vifs = 1, .quiet = true)
{
    struct node_rights kept = {"5/state", XS_PERM_READ}, given = {"5/state", XS_PERM_READ | XS_PERM_WRITE};

    make_child("5", NULL, "1");
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    stack_in_dom0(set_rights, &kept);
    eject_5();
    STACK_ASSERT_LOGGED("vif 5: Closed cannot be written (c0000022)");
    for (unsigned round = 0; round < 2; round++) {
        have_it_look();
        ck_assert_msg(stack_device_gone((void *)path_of(5)), "it is back");
        stack_store_await(stack_path("device/vif/5/state"), "1", 1);
    }
    stack_in_dom0(set_rights, &given);
    have_it_look();
    stack_store_await(stack_path("device/vif/5/state"), "6", PATIENCE_MS);
    have_it_look();
    ck_assert(stack_device_gone((void *)path_of(5)));
    stack_store_write(stack_path("device/vif/5/state"), "1");
    ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
    stack_in_dom0(unmake_all, NULL);
    await_gone(5);
    link_up(0);
}

/* ---- a toolstack that has put another device in the place of the ejected one ---- */

static const char *mac_of_other; /* NULL: it has none, and does not start; nor with one that makes no sense */

/* In one transaction: there is no moment in which there is none. */
static void replace_5(void *rights)
{
    struct xs_permissions front[] = {{stack.domain.domid, XS_PERM_NONE}, {0, XS_PERM_READ}};
    const char *frontend = stack_path("device/vif/5");
    struct xs_handle *xs = xs_open(0);
    bool done = false;

    (void)rights;
    while (!done) {
        const char *const nodes[][2] = {
            {"backend-id", "0"}, {"state", "1"}, {"backend", HELD "/5"}, {"mac", mac_of_other}};
        xs_transaction_t transaction = xs_transaction_start(xs);

        done = xs_rm(xs, transaction, frontend) && xs_mkdir(xs, transaction, frontend) &&
               xs_set_permissions(xs, transaction, frontend, front, 2);
        for (unsigned i = 0; i < ARRAYSIZE(nodes) && nodes[i][1] != NULL && done; i++) {
            char path[128];

            snprintf(path, sizeof(path), "%s/%s", frontend, nodes[i][0]);
            done = xs_write(xs, transaction, path, nodes[i][1], (unsigned)strlen(nodes[i][1]));
        }
        ck_assert_msg(done, "%s", strerror(errno));
        done = xs_transaction_end(xs, transaction, false);
    }
    xs_close(xs);
}

/* It is what the bus sees next, and nobody has closed it. */
static void assert_other_comes(void)
{
    char text[18];

    have_it_look();
    ck_assert_msg(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS), "the other one does not come");
    ck_assert_int_eq(stack_device_started(path_of(5)), mac_of_other != NULL && strchr(mac_of_other, ':') != NULL);
    ck_assert(stack_store_read(stack_path("device/vif/5/state"), text, sizeof(text)));
    ck_assert_str_ne(text, "6");
}

/* Between two attempts to close the old one; told apart by its address, or by its state. */
STACK_TEST(ejected_and_replaced, NET, .vifs = 1, .quiet = true)
{
    static const char *const states[] = {"1", "3", "3"}, *const macs[] = {"00:16:3e:5a:00:05", NULL, "nobody's"};
    struct node_rights kept = {"5/state", XS_PERM_READ};

    link_up(0);
    for (unsigned i = 0; i < ARRAYSIZE(states); i++) {
        make_child("5", NULL, "1");
        ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
        stack_store_write(stack_path("device/vif/5/state"), states[i]);
        stack_in_dom0(set_rights, &kept);
        ck_assert_int_eq(irps_send_minor(irps_bottom(path_of(5)), IRP_MN_EJECT), STATUS_SUCCESS);
        ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
        await_gone(5);
        stack_store_await(stack_path("device/vif/5/state"), states[i], 1);
        mac_of_other = macs[i];
        stack_in_dom0(replace_5, NULL);
        assert_other_comes();
        stack_in_dom0(unmake_all, NULL);
        await_gone(5);
    }
}

static VOID NTAPI replace(PVOID unused)
{
    (void)unused;
    stack_in_dom0(replace_5, NULL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* While the old one is closed: at each point of it. */
static void replaced_at_each_point(void *unused)
{
    (void)unused;
    mac_of_other = "00:16:3e:5a:00:05";
    for (unsigned after_us = 0; after_us < 400; after_us += 4) {
        PKTHREAD thread;

        make_child("5", NULL, "1");
        ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
        thread = stack_thread(replace, NULL);
        stack_sleep_us(after_us);
        ck_assert_int_eq(irps_send_minor(irps_bottom(path_of(5)), IRP_MN_EJECT), STATUS_SUCCESS);
        stack_join(thread);
        ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
        assert_other_comes();
        stack_in_dom0(unmake_all, NULL);
        await_gone(5);
    }
}

START_TEST(replaced_while_it_is_closed)
{
    struct stack_options options = {NET, .vifs = 1, .quiet = true, .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, replaced_at_each_point, NULL);
    options.policy = POLICY_RANDOM;
    stack_run(&options, replaced_at_each_point, NULL);
}
END_TEST

/* Whichever of the calls fails for lack of memory: it is not ejected, and says so, or it is, and is closed. */
STACK_TEST(ejected_in_a_shortage, NET, .vifs = 1, .quiet = true, .fail = "kind=pool,nth=100000000")
{
    unsigned refused = 0, nth = 0;
    bool failed;

    fault_suspend();
    link_up(0);
    do {
        uint64_t before = fault_injected();
        NTSTATUS status;

        make_child("5", NULL, "1");
        ck_assert(stack_wait(is_there, (void *)path_of(5), PATIENCE_MS));
        machine->config.faults.rule[0].nth = ++nth;
        machine->fault->matched[0] = 0;
        fault_resume();
        status = irps_send_minor(irps_bottom(path_of(5)), IRP_MN_EJECT);
        fault_suspend();
        failed = fault_injected() != before;
        if (!NT_SUCCESS(status)) {
            ck_assert_int_eq(status, STATUS_INSUFFICIENT_RESOURCES);
            stack_store_await(stack_path("device/vif/5/state"), "1", 1);
            refused++;
            ck_assert_int_eq(irps_send_minor(irps_bottom(path_of(5)), IRP_MN_EJECT), STATUS_SUCCESS);
        }
        ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
        await_gone(5);
        have_it_look();
        ck_assert_msg(stack_device_gone((void *)path_of(5)), "call %u failed, and it is back", nth);
        stack_store_await(stack_path("device/vif/5/state"), "6", PATIENCE_MS);
        stack_in_dom0(unmake_all, NULL);
        have_it_look();
    } while (failed);
    ck_assert_uint_ge(refused, 1);
    ck_assert_uint_gt(nth, 3); /* the bus's note, and what the store needs to read and to write */
}

/* ---- surprises ---- */

static void remove_frontend(void *unused)
{
    struct xs_handle *xs = xs_open(0);

    (void)unused;
    (void)xs_rm(xs, XBT_NULL, stack_path("device/vif/1"));
    xs_close(xs);
}

static const struct capture nothing;

/* The node is gone from one moment to the next, under traffic: that VIF goes, with all its packets back. */
STACK_TEST(node_vanishes, NET, .vifs = 2)
{
    link_up(0);
    link_up(1);
    stack_carry(1, lan, lan);
    stack_end_send(1, lan);
    stack_in_dom0(remove_frontend, NULL);
    await_gone(1);
    stack_end_send(1, &nothing);
    stack_carry(0, lan, lan);
    stack_detach(1);
    stack_attach(1);
    await_back(1);
}

/* The manager takes it for dead, and later looks again. */
STACK_TEST(surprise_removal, NET, .vifs = 2)
{
    link_up(0);
    link_up(1);
    for (unsigned round = 0; round < 2; round++) {
        stack_end_send(1, lan);
        ck_assert_int_eq(pnp_remove_device(child(1), true), STATUS_SUCCESS);
        stack_store_await(stack_path("device/vif/1/state"), "6", PATIENCE_MS);
        stack_end_send(1, &nothing);
        stack_carry(0, lan, lan);
        ck_assert_int_eq(pnp_retry_device(child(1)), STATUS_SUCCESS);
        await_back(1);
    }
}

/* ---- by the manager's hand ---- */

STACK_TEST(removed_and_found_again, NET, .vifs = 2)
{
    link_up(0);
    link_up(1);
    ck_assert_int_eq(pnp_remove_device(child(1), false), STATUS_SUCCESS);
    stack_store_await(stack_path("device/vif/1/state"), "6", PATIENCE_MS);
    stack_carry(0, lan, lan);
    ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
    await_back(1);

    /* With the bus below it, and while the toolstack does its part. */
    ck_assert_int_eq(pnp_remove_device(stack_device(BUS), false), STATUS_SUCCESS);
    stack_store_await(stack_path("device/vif/0/state"), "6", PATIENCE_MS);
    stack_store_await(stack_path("device/vif/1/state"), "6", PATIENCE_MS);
    stack_detach(1);
    stack_attach(2);
    ck_assert_int_eq(pnp_rescan(pnp_parent(stack_device(BUS))), STATUS_SUCCESS);
    await_back(0);
    await_back(2);
    ck_assert(stack_device_gone((void *)path_of(1)));
}

/* Stopped and started, as for other resources: another connection, and the same card. The bus is not stopped under it.
 */
STACK_TEST(stopped_and_started, NET, .vifs = 2)
{
    unsigned connections;

    link_up(0);
    link_up(1);
    for (unsigned round = 0; round < 2; round++) {
        connections = stack_netback_connections(1);
        ck_assert_int_eq(pnp_restart_device(child(1)), STATUS_SUCCESS);
        stack_wait_connections(1, connections + 1);
        stack_carry(1, lan, lan);
        stack_carry(0, lan, lan);
    }
    ck_assert_int_eq(pnp_restart_device(stack_device(BUS)), STATUS_DEVICE_BUSY);
    stack_carry(1, lan, lan);

    /* With nobody above it it can be. */
    for (unsigned vif = 0; vif < 2; vif++)
        ck_assert_int_eq(pnp_remove_device(child(vif), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_restart_device(stack_device(BUS)), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
    await_back(0);
    await_back(1);
}

/* As many as there can be, at once and gone at once. */
STACK_TEST(many_at_once, NET, .vifs = 1)
{
    link_up(0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned vif = 1; vif < MANY; vif++)
            stack_attach(vif);
        for (unsigned vif = 1; vif < MANY; vif++)
            stack_wait_connected(vif);
        pnp_wait_quiet();
        for (unsigned vif = MANY - 1; vif > 0; vif--) {
            link_up(vif);
            stack_carry(vif, lan, NULL);
        }
        for (unsigned vif = 1; vif < MANY; vif++)
            stack_detach(vif);
        for (unsigned vif = 1; vif < MANY; vif++)
            await_gone(vif);
        stack_carry(0, lan, lan);
    }
}

/* ---- the cable, by the toolstack ---- */

/* `disconnect` is a number: anything but another one than 0 leaves the cable in. Traffic waits for nobody. */
STACK_TEST(disconnect, NET, .vifs = 2)
{
    static const struct {
        const char *value;
        bool out;
    } values[] = {{"1", true}, {"0", false}, {"2", true}, {"", false},
                  {"1", true}, {"x", false}, {"1", true}, {"-1", false}};

    link_up(0);
    link_up(1);
    for (unsigned i = 0; i < ARRAYSIZE(values); i++) {
        stack_store_write(stack_path("device/vif/1/disconnect"), values[i].value);
        ck_assert_int_eq(stack_wait_link(1, !values[i].out), STATUS_SUCCESS);
        stack_carry(0, lan, lan);
        if (!values[i].out)
            stack_carry(1, lan, lan);
    }
    stack_store_write(stack_path("device/vif/1/disconnect"), "1");
    ck_assert_int_eq(stack_wait_link(1, false), STATUS_SUCCESS);
    stack_store_remove(stack_path("device/vif/1/disconnect"));
    link_up(1);
    stack_carry(1, lan, lan);
    ck_assert_uint_eq(stack_netback_connections(1), 1); /* a cable, not a connection */

    /* Out from the start of the device. */
    stack_detach(1);
    await_gone(1);
    stack_attach(1);
    stack_store_write(stack_path("device/vif/1/disconnect"), "1");
    stack_wait_connected(1);
    ck_assert_int_eq(stack_wait_link(1, false), STATUS_SUCCESS);
    stack_store_remove(stack_path("device/vif/1/disconnect"));
    await_back(1);
}

/* ---- an address of the administrator's ---- */

static struct cm_key *software_key(unsigned vif)
{
    char *enumerated = image_printf("%s\\%s", CM_ENUM, path_of(vif));
    char *driver = cm_value_get_string(cm_key_open(enumerated), "Driver");
    char *software = image_printf("%s\\%s", CM_CLASS, driver);
    struct cm_key *key = cm_key_open(software);

    ck_assert_ptr_nonnull(key);
    image_free(enumerated);
    image_free(driver);
    image_free(software);
    return key;
}

STACK_TEST(network_address, NET, .vifs = 2, .quiet = true)
{
    static const uint8_t own[] = {0x00, 0x16, 0x3e, 0x5a, 0x00, 0x00}, given[] = {0x02, 0xab, 0xcd, 0xef, 0x01, 0x23};
    static const struct {
        const char *text;
        bool taken;
    } texts[] = {{"02ABCDEF0123", true},      {"", false},
                 {"02-ab-cd-ef-01-23", true}, {"02ABCDEF012", false},
                 {"02:AB:CD:EF:01:23", true}, {"03ABCDEF0123", false},
                 {"02aBcDeF0123", true},      {"000000000000", false},
                 {"02ABCDEF01234", false},    {"FFFFFFFFFFFF", false},
                 {"02ABCDEF01 3", false},     {"02ABCDEF0123", true}};

    link_up(0);
    for (unsigned i = 0; i < ARRAYSIZE(texts); i++) {
        NETCLIENT_LINK link;

        cm_value_set_string(software_key(0), "NetworkAddress", REG_SZ, texts[i].text);
        ck_assert_int_eq(pnp_restart_device(child(0)), STATUS_SUCCESS);
        link_up(0);
        link = stack_link(0);
        ck_assert_mem_eq(link.PermanentAddress, own, sizeof(own));
        ck_assert_mem_eq(link.CurrentAddress, texts[i].taken ? given : own, sizeof(own));
    }
    stack_carry(0, lan, lan);
    ck_assert_mem_eq(stack_link(1).CurrentAddress, stack_link(1).PermanentAddress, sizeof(own));

    /* It is the adapter's, and stays with it. */
    stack_detach(0);
    await_gone(0);
    stack_attach(0);
    await_back(0);
    ck_assert_mem_eq(stack_link(0).CurrentAddress, given, sizeof(given));
}

/* The toolstack asks for the end at one moment or another of a connect: whoever reads it late does not write over it.
 */
static void detach_at_each_point(void *unused)
{
    (void)unused;
    for (unsigned after_us = 0; after_us < 200; after_us += 3) {
        await_back(0);
        ck_assert_int_eq(pnp_restart_device(child(0)), STATUS_SUCCESS);
        stack_sleep_us(after_us);
        stack_detach(0);
        await_gone(0);
        stack_attach(0);
    }
    await_back(0);
    stack_carry(0, lan, lan);
}

START_TEST(detached_at_each_point_of_a_connect)
{
    struct stack_options options = {NET, .vifs = 1, .quiet = true};

    stack_run(&options, detach_at_each_point, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= STACK_SCHEDULES; options.seed++)
        stack_run(&options, detach_at_each_point, NULL);
    options.policy = POLICY_RANDOM;
    for (options.seed = 1; options.seed <= STACK_SCHEDULES; options.seed++)
        stack_run(&options, detach_at_each_point, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bus of VIFs");
    TCase *tcase = tcase_create("identity");

    lan = stack_capture("tests/captures/few-wire.pcap");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, identity);
    tcase_add_test(tcase, only_vifs_become_children);
    tcase_add_test(tcase, no_address_no_card);
    tcase_add_test(tcase, refused_until_something_changes);
    tcase_add_test(tcase, two_are_refused);
    tcase_add_test(tcase, silent_between_two_answers);
    tcase_add_test(tcase, comes_in_spite_of_a_shortage);
    tcase_add_test(tcase, child_of_a_moment);
    tcase_add_test(tcase, network_address);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("coming and going");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, detached_at_each_point_of_a_connect);
    tcase_add_test(tcase, ejected_by_the_user);
    tcase_add_test(tcase, ejected_before_it_was_started);
    tcase_add_test(tcase, ejected_without_a_state);
    tcase_add_test(tcase, ejected_and_not_closed);
    tcase_add_test(tcase, ejected_in_a_shortage);
    tcase_add_test(tcase, ejected_and_replaced);
    tcase_add_test(tcase, replaced_while_it_is_closed);
    tcase_add_test(tcase, node_vanishes);
    tcase_add_test(tcase, surprise_removal);
    tcase_add_test(tcase, removed_and_found_again);
    tcase_add_test(tcase, stopped_and_started);
    tcase_add_test(tcase, many_at_once);
    tcase_add_test(tcase, disconnect);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
