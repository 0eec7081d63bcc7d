/*
 * xenfilt: XENFILT_EMULATED as a child of XENBUS is given it, who decides which emulated devices a boot has, and that
 * the filter is in nobody's way.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/fault.h"
#include "machine/image.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/platform.h"

#include <initguid.h>

#include "emulated_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"

#define DRIVERS (STACK_PROBE | STACK_XENFILT)
#define NIC "PCI\\VEN_10EC&DEV_8139"
#define IDE_CONTROLLER "PCI\\VEN_8086&DEV_7010"
#define PLATFORM "PCI\\VEN_5853&DEV_0001"

/* A network card and a disk beside the platform device. */
#define BOARD                                                                                                          \
    {                                                                                                                  \
        .nic = {{.model = MACHINE_NIC_RTL8139, .mac = MACHINE_VIF_MAC(0)}}, .nics = 1, .disks = 1                      \
    }

static XENFILT_EMULATED_INTERFACE_V2 emulated_v2;
static XENFILT_EMULATED_INTERFACE_V3 emulated;
static XENBUS_UNPLUG_INTERFACE_V3 unplug;

static void begin(void)
{
    STACK_GET(GUID_XENFILT_EMULATED_INTERFACE, 3, &emulated);
    STACK_GET(GUID_XENFILT_EMULATED_INTERFACE, 2, &emulated_v2);
    STACK_GET(GUID_XENBUS_UNPLUG_INTERFACE, 3, &unplug);
    ck_assert_int_eq(emulated.EmulatedAcquire(&emulated.Interface), STATUS_SUCCESS);
    ck_assert_int_eq(emulated_v2.EmulatedAcquire(&emulated_v2.Interface), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_UNPLUG_CALL(&unplug, Acquire), STATUS_SUCCESS);
}

static void end(void)
{
    XENBUS_UNPLUG_CALL(&unplug, Release);
    emulated_v2.EmulatedRelease(&emulated_v2.Interface);
    emulated.EmulatedRelease(&emulated.Interface);
}

static PSTR text(const char *string)
{
    return (PSTR)(uintptr_t)string;
}

/* Both versions have to say the same, whether they are given the interface or its context. */
static bool is_present(const char *device, const char *instance)
{
    BOOLEAN present = XENFILT_EMULATED_CALL(&emulated, IsDevicePresent, text(device), text(instance), NULL);

    ck_assert_int_eq(present,
                     emulated.EmulatedIsDevicePresent(emulated.Interface.Context, text(device), text(instance), NULL));
    if (device != NULL) {
        ck_assert_int_eq(present,
                         XENFILT_EMULATED_CALL(&emulated_v2, IsDevicePresentVersion1, text(device), text(instance)));
        ck_assert_int_eq(present, emulated_v2.EmulatedIsDevicePresentVersion1(emulated_v2.Interface.Context,
                                                                              text(device), text(instance)));
    }
    return present;
}

static bool is_disk_present(ULONG index)
{
    BOOLEAN present = XENFILT_EMULATED_CALL(&emulated, IsDiskPresent, index);

    ck_assert_int_eq(present, emulated.EmulatedIsDiskPresent(emulated.Interface.Context, index));
    ck_assert_int_eq(present, XENFILT_EMULATED_CALL(&emulated_v2, IsDiskPresent, index));
    ck_assert_int_eq(present, emulated_v2.EmulatedIsDiskPresent(emulated_v2.Interface.Context, index));
    return present;
}

static XENBUS_EMULATED_ACTIVATION_STATUS activation(void)
{
    XENBUS_EMULATED_ACTIVATION_STATUS status = (XENBUS_EMULATED_ACTIVATION_STATUS)99;

    (void)XENFILT_EMULATED_CALL(&emulated, IsDevicePresent, text(NIC), NULL, &status);
    return status;
}

/* The device whose instance path begins so. */
static struct devnode *find(const char *device)
{
    struct devnode *node = pnp_root();

    while (node != NULL && strncmp(pnp_instance_path(node), device, strlen(device)) != 0)
        node = pnp_next(node);
    ck_assert_msg(node != NULL, "there is no %s", device);
    return node;
}

/* ---- the interface ---- */

STACK_TEST(versions, .drivers = DRIVERS)
{
    XENFILT_EMULATED_INTERFACE_V3 interface;

    STACK_GET(GUID_XENFILT_EMULATED_INTERFACE, 2, &emulated_v2);
    ck_assert_uint_eq(emulated_v2.Interface.Version, 2);
    ck_assert_uint_eq(emulated_v2.Interface.Size, sizeof(emulated_v2));
    ck_assert_ptr_null(emulated_v2.Interface.InterfaceReference);
    STACK_GET(GUID_XENFILT_EMULATED_INTERFACE, 3, &emulated);
    ck_assert_uint_eq(emulated.Interface.Version, 3);
    for (unsigned version = 1; version <= 4; version += 3)
        ck_assert_int_eq(
            stack_query("_", &GUID_XENFILT_EMULATED_INTERFACE, version, sizeof(interface), &interface.Interface),
            STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(stack_query("_", &GUID_XENFILT_EMULATED_INTERFACE, 3, sizeof(INTERFACE), &interface.Interface),
                     STATUS_BUFFER_TOO_SMALL);
}

STACK_TEST(nobody_answers_without_it, .drivers = STACK_PROBE)
{
    ck_assert_int_eq(stack_query("_", &GUID_XENFILT_EMULATED_INTERFACE, 3, sizeof(emulated), &emulated.Interface),
                     STATUS_NOT_SUPPORTED);
}

STACK_TEST(devices, .drivers = DRIVERS, .board = BOARD)
{
    struct devnode *node = find(NIC);
    const char *instance;
    KIRQL irql;

    begin();
    instance = strrchr(pnp_instance_path(node), '&') + 1; /* as the bus has it, before the manager makes it unique */
    ck_assert(is_present(NIC, NULL));
    ck_assert(is_present("pci\\ven_10ec&dev_8139", NULL));
    ck_assert(is_present(NIC, instance));
    ck_assert(!is_present(NIC, "nobody"));
    ck_assert(!is_present("PCI\\VEN_10EC&DEV_813", NULL)); /* the beginning of a part is another part */
    ck_assert(!is_present("PCI\\VEN_8086&DEV_100E", NULL));
    ck_assert(!is_present("", NULL));
    ck_assert(is_present(NULL, NULL));
    ck_assert(is_present(NULL, instance));
    ck_assert(is_present(IDE_CONTROLLER, NULL));
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert(is_present(NIC, NULL));
    /* Nobody drives the controller: there are no channels, and no disks on them. */
    for (ULONG i = 0; i < 5; i++)
        ck_assert(!is_disk_present(i));
    ck_assert(!is_disk_present(MAXULONG));
    KeLowerIrql(irql);
    ck_assert_int_eq(activation(), XENBUS_EMULATED_ACTIVATE_NEUTRAL);
    end();
}

/* ---- who decides ---- */

static void ask_for_nics(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "NICS", 1);
}

static void force(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen"), "ForceUnplug", 1);
}

static void start_with(const char *options)
{
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, options);
}

static void keep_all(void)
{
    ask_for_nics();
    force();
    start_with(" NOEXECUTE=OPTIN  xen:boot_emulated=true FOO");
}

static void options_of_others(void)
{
    ask_for_nics();
    start_with("XEN:BOOT_EMULATED=FALSE XEN:BOOT_EMULATED_NOT=TRUE YXEN:BOOT_EMULATED=TRUE XEN:DBG_PRINT=TRUE");
}

static void assert_count_taken(void)
{
    ULONG count;

    ck_assert(!cm_value_get_dword(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "NICS", &count));
}

STACK_TEST(unplugged_on_request, .drivers = DRIVERS, .board = BOARD, .prepare = ask_for_nics)
{
    begin();
    ck_assert(!is_present(NIC, NULL));
    ck_assert(is_present(IDE_CONTROLLER, NULL));
    ck_assert_int_eq(activation(), XENBUS_EMULATED_ACTIVATE_NEUTRAL);
    ck_assert(XENBUS_UNPLUG_CALL(&unplug, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_NICS));
    ck_assert(!XENBUS_UNPLUG_CALL(&unplug, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_DISKS));
    ck_assert(!XENBUS_UNPLUG_CALL(&unplug, BootEmulated));
    assert_count_taken();
    end();
}

/* What the registry does not take is said, and is not asked for. */
STACK_TEST(request_not_recorded, .drivers = DRIVERS, .board = BOARD, .quiet = true,
           .fail = "kind=registry,nth=100000000")
{
    ULONG count;

    fault_suspend();
    begin();
    machine->config.faults.rule[0].nth = 1;
    machine->fault->matched[0] = 0;
    fault_resume();
    XENBUS_UNPLUG_CALL(&unplug, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, TRUE);
    fault_suspend();
    ck_assert_uint_eq(fault_injected(), 1);
    ck_assert(cm_key_open(CM_SERVICES "\\xen\\Unplug") == NULL ||
              !cm_value_get_dword(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "DISKS", &count));
    XENBUS_UNPLUG_CALL(&unplug, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, TRUE);
    ck_assert(cm_value_get_dword(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "DISKS", &count));
    ck_assert_uint_eq(count, 1);
    XENBUS_UNPLUG_CALL(&unplug, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, FALSE);
    end();
}

static unsigned told_of_devices(void)
{
    static char tail[65536];
    unsigned times = 0;

    (void)log_tail(tail, sizeof(tail));
    for (const char *at = tail; (at = strstr(at, "emulated devices are back")) != NULL; at++)
        times++;
    return times;
}

/* The emulator that a guest finds after a resume unplugs nothing: the devices are back, and it is said. */
STACK_TEST(back_after_a_resume, .drivers = DRIVERS, .board = BOARD, .prepare = ask_for_nics, .quiet = true)
{
    struct stack_resumer resumer = {.rounds = 1};
    XENBUS_SUSPEND_INTERFACE_V1 suspend;

    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    for (unsigned round = 0; round < 2; round++) {
        stack_resume_when_suspended(&resumer);
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
        stack_await_resumer(&resumer);
        ck_assert_uint_eq(told_of_devices() != 0, round);
        machine->config.board.unplug = MACHINE_UNPLUG_REFUSED;
    }
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

STACK_TEST(back_after_hibernation, .drivers = STACK_XENFILT, .board = BOARD, .prepare = ask_for_nics, .quiet = true)
{
    for (unsigned round = 0; round < 2; round++) {
        ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
        ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
        ck_assert_uint_eq(told_of_devices() != 0, round);
        machine->config.board.unplug = MACHINE_UNPLUG_REFUSED;
    }
}

STACK_TEST(unplugged_by_force, .drivers = DRIVERS, .board = BOARD, .prepare = force)
{
    begin();
    ck_assert(!is_present(NIC, NULL));
    ck_assert_int_eq(activation(), XENBUS_EMULATED_FORCE_DEACTIVATED);
    ck_assert(XENBUS_UNPLUG_CALL(&unplug, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_NICS));
    ck_assert(XENBUS_UNPLUG_CALL(&unplug, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_DISKS));
    ck_assert(!XENBUS_UNPLUG_CALL(&unplug, BootEmulated));
    end();
}

/* The start option, which somebody types who cannot boot, wins; the counts are taken all the same. */
STACK_TEST(kept_by_the_start_option, .drivers = DRIVERS, .board = BOARD, .prepare = keep_all, .quiet = true)
{
    begin();
    ck_assert(is_present(NIC, NULL));
    ck_assert_int_eq(activation(), XENBUS_EMULATED_FORCE_ACTIVATED);
    ck_assert(XENBUS_UNPLUG_CALL(&unplug, BootEmulated));
    assert_count_taken();
    end();
}

STACK_TEST(not_by_options_like_it, .drivers = DRIVERS, .board = BOARD, .prepare = options_of_others)
{
    begin();
    ck_assert(!is_present(NIC, NULL));
    ck_assert_int_eq(activation(), XENBUS_EMULATED_ACTIVATE_NEUTRAL);
    ck_assert(!XENBUS_UNPLUG_CALL(&unplug, BootEmulated));
    end();
}

/* ---- reboots ---- */

static void install_monitor(void)
{
    (void)cm_key_create(CM_SERVICES "\\xenbus_monitor");
}

static bool is_reboot_asked_for(const char *module)
{
    char path[128];
    struct cm_key *key;
    ULONG value = 0;

    snprintf(path, sizeof(path), "%s\\xenbus_monitor\\Request\\%s", CM_SERVICES, module);
    key = cm_key_open(path);
    return key != NULL && cm_value_get_dword(key, "Reboot", &value) && value == 1;
}

STACK_TEST(reboot_is_left_to_the_monitor, .drivers = DRIVERS, .prepare = install_monitor, .quiet = true)
{
    begin();
    ck_assert(!is_reboot_asked_for("XENNET"));
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text("XENNET"));
    ck_assert(is_reboot_asked_for("XENNET"));
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text("XENNET"));
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text("XENVBD"));
    ck_assert(is_reboot_asked_for("XENNET"));
    ck_assert(is_reboot_asked_for("XENVBD"));
    /* None of these is a name of a key. */
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text(""));
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text("XEN\\VIF"));
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text("XEN\nVIF"));
    ck_assert(!is_reboot_asked_for("XEN"));
    end();
}

/* Without the monitor there is nobody to offer it: the log says so, and no key is left for a later one. */
STACK_TEST(no_reboot_without_a_monitor, .drivers = DRIVERS, .quiet = true)
{
    begin();
    XENBUS_UNPLUG_CALL(&unplug, Reboot, text("XENNET"));
    ck_assert(!is_reboot_asked_for("XENNET"));
    ck_assert_ptr_null(cm_key_open(CM_SERVICES "\\xenbus_monitor"));
    end();
}

/* ---- IDE disks ---- */

#define IDE_DRIVERS (DRIVERS | STACK_IDE)
/* Both disks of the first channel, and the second of the other, whose first is a CD drive. */
#define IDE_BOARD                                                                                                      \
    {                                                                                                                  \
        .disks = 0xB, .cdroms = 0x4                                                                                    \
    }
#define IDE_DISKS 0xBu

/* Bit i: disk i is present. */
static unsigned disks_present(void)
{
    unsigned disks = 0;

    for (ULONG i = 0; i < 8; i++) {
        if (is_disk_present(i))
            disks |= 1u << i;
    }
    return disks;
}

static void ask_for_disks(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "DISKS", 2);
}

static void keep_disks(void)
{
    ask_for_disks();
    start_with("XEN:BOOT_EMULATED=TRUE");
}

STACK_TEST(disks, .drivers = IDE_DRIVERS, .board = IDE_BOARD)
{
    KIRQL irql;

    begin();
    ck_assert_uint_eq(disks_present(), IDE_DISKS);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert_uint_eq(disks_present(), IDE_DISKS);
    KeLowerIrql(irql);
    ck_assert(!is_disk_present(MAXULONG));
    ck_assert(is_present("IDE\\CdRomQEMU_DVD-ROM____________________________2.5+____", "0.0.0"));
    ck_assert(is_present("IDE\\DiskQEMU_HARDDISK___________________________2.5+____", "0.1.0"));
    ck_assert(!is_present("IDE\\Disk", NULL)); /* the beginning of a part */
    ck_assert(is_present(IDE_CONTROLLER, NULL));
    ck_assert(!is_present("PCIIDE\\IDEChannel", NULL)); /* reported by a bus of no kind */
    end();
}

STACK_TEST(disks_unplugged, .drivers = IDE_DRIVERS, .board = IDE_BOARD, .prepare = ask_for_disks)
{
    ULONG count;

    begin();
    ck_assert_uint_eq(disks_present(), 0);
    ck_assert(is_present("IDE\\CdRomQEMU_DVD-ROM____________________________2.5+____", NULL)); /* it stays */
    ck_assert(XENBUS_UNPLUG_CALL(&unplug, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_DISKS));
    ck_assert(!cm_value_get_dword(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "DISKS", &count));
    end();
}

STACK_TEST(disks_unplugged_by_force, .drivers = IDE_DRIVERS, .board = IDE_BOARD, .prepare = force)
{
    begin();
    ck_assert_uint_eq(disks_present(), 0);
    end();
}

STACK_TEST(disks_kept_by_the_start_option, .drivers = IDE_DRIVERS, .board = IDE_BOARD, .prepare = keep_disks,
           .quiet = true)
{
    begin();
    ck_assert_uint_eq(disks_present(), IDE_DISKS);
    ck_assert_int_eq(activation(), XENBUS_EMULATED_FORCE_ACTIVATED);
    end();
}

/* The emulator refuses: what was asked for is not what came of it. */
STACK_TEST(disks_that_are_not_unplugged, .drivers = IDE_DRIVERS,
           .board = {.disks = 1, .unplug = MACHINE_UNPLUG_REFUSED}, .prepare = ask_for_disks, .quiet = true)
{
    begin();
    ck_assert_uint_eq(disks_present(), 1);
    ck_assert(XENBUS_UNPLUG_CALL(&unplug, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_DISKS));
    end();
}

static void unplug_now(void *unused)
{
    (void)unused;
    ioport_write(0x10, 2, 1); /* as another driver might; all IDE disks */
}

static struct devnode *channel(unsigned number)
{
    struct devnode *node = pnp_root();

    for (; node != NULL; node = pnp_next(node)) {
        const char *path = pnp_instance_path(node);

        if (strncmp(path, "PCIIDE\\", 7) == 0 && path[strlen(path) - 1] == (char)('0' + number))
            break;
    }
    ck_assert_ptr_nonnull(node);
    return node;
}

/* Disks that go while the system runs are gone from the interface, and so is a channel with what is on it. */
STACK_TEST(disks_that_go, .drivers = IDE_DRIVERS, .board = IDE_BOARD)
{
    struct devnode *controller;

    begin();
    ck_assert_int_eq(pnp_remove_device(channel(1), false), STATUS_SUCCESS);
    ck_assert_uint_eq(disks_present(), 3);
    controller = find(IDE_CONTROLLER);
    ck_assert_int_eq(pnp_rescan(controller), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_uint_eq(disks_present(), IDE_DISKS);
    stack_in_dom0(unplug_now, NULL);
    ck_assert_uint_eq(disks_present(), IDE_DISKS); /* until their bus is asked */
    ck_assert_int_eq(pnp_rescan(channel(0)), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_uint_eq(disks_present(), IDE_DISKS & ~3u);
    ck_assert_int_eq(pnp_rescan(channel(1)), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_uint_eq(disks_present(), 0);
    end();
}

/* ---- kinds of buses ---- */

static void no_ide(void)
{
    (void)cm_value_delete(cm_key_open(CM_SERVICES "\\xenfilt\\Parameters"), "Internal_IDE_Channel");
}

STACK_TEST(channel_of_no_kind, .drivers = IDE_DRIVERS, .board = IDE_BOARD, .prepare = no_ide)
{
    begin();
    ck_assert_uint_eq(disks_present(), 0);
    ck_assert(is_present(IDE_CONTROLLER, NULL));
    end();
}

static void no_kinds(void)
{
    (void)cm_value_delete(cm_key_open(CM_SERVICES "\\xenfilt\\Parameters"), "*PNP0A03");
}

static void unknown_kind(void)
{
    cm_value_set_string(cm_key_open(CM_SERVICES "\\xenfilt\\Parameters"), "*PNP0A03", REG_SZ, "SCSI");
}

static void assert_not_filtered(void)
{
    ck_assert_int_eq(stack_query("_", &GUID_XENFILT_EMULATED_INTERFACE, 3, sizeof(emulated), &emulated.Interface),
                     STATUS_NOT_SUPPORTED);
}

STACK_TEST(bus_of_no_kind, .drivers = DRIVERS, .prepare = no_kinds)
{
    assert_not_filtered();
}

STACK_TEST(bus_of_unknown_kind, .drivers = DRIVERS, .prepare = unknown_kind, .quiet = true)
{
    assert_not_filtered();
}

/* ---- in nobody's way ---- */

/* Removed while its bus still reports it, a device comes back, and so does what is told of it. */
STACK_TEST(removed_and_back, .drivers = DRIVERS, .board = BOARD)
{
    for (unsigned round = 0; round < 2; round++) {
        struct devnode *parent = pnp_parent(find(PLATFORM));

        ck_assert_int_eq(pnp_remove_device(find(PLATFORM), false), STATUS_SUCCESS);
        ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
        pnp_wait_quiet();
        ck_assert_int_eq(pnp_state(find(PLATFORM)), DEVNODE_STARTED);
        begin();
        ck_assert(is_present(NIC, NULL));
        ck_assert(is_present(PLATFORM, NULL));
        end();
    }
}

/* ---- installed over what was there ---- */

static const char *const classes[] = {"{4D36E97D-E325-11CE-BFC1-08002BE10318}",
                                      "{4D36E96A-E325-11CE-BFC1-08002BE10318}"};

static const struct {
    const char *before[4], *after[4], *removed[4];
} filters[] = {
    {{"xenfilt"}, {"xenfilt"}, {NULL}},
    {{"XENFILT"}, {"XENFILT"}, {NULL}},
    {{NULL}, {"xenfilt"}, {NULL}},
    {{"partmgr"}, {"partmgr", "xenfilt"}, {"partmgr"}},
    {{"xenfilt", "partmgr"}, {"xenfilt", "partmgr"}, {"partmgr"}},
    {{"partmgr", "xenfilt", "other"}, {"partmgr", "xenfilt", "other"}, {"partmgr", "other"}},
    {{"xenfilter"}, {"xenfilter", "xenfilt"}, {"xenfilter"}},
};

static struct cm_key *class_key(unsigned class)
{
    char path[128];

    snprintf(path, sizeof(path), "%s\\%s", CM_CLASS, classes[class]);
    return cm_key_create(path);
}

static void put_filters(struct cm_key *key, const char *const *list)
{
    unsigned count = 0;

    while (count < 4 && list[count] != NULL)
        count++;
    (void)cm_value_delete(key, "UpperFilters");
    if (count != 0)
        cm_value_set_multi(key, "UpperFilters", list, count);
}

static void assert_filters(struct cm_key *key, const char *const *list, unsigned at)
{
    for (unsigned i = 0; i < 4; i++) {
        char *entry = cm_value_get_multi(key, "UpperFilters", i);

        if (list[i] == NULL)
            ck_assert_msg(entry == NULL, "list %u: %s is too many", at, entry);
        else
            ck_assert_msg(entry != NULL && strcmp(entry, list[i]) == 0, "list %u: %s instead of %s", at,
                          entry != NULL ? entry : "nothing", list[i]);
        if (entry == NULL)
            break;
        image_free(entry);
    }
}

static void install(void)
{
    char error[256] = "";

    ck_assert_msg(pnp_install_inf(PVSIM_BUILD "/drivers/xenfilt.inf", error, sizeof(error)), "%s", error);
}

static void install_over(unsigned at)
{
    for (unsigned class = 0; class < 2; class ++) {
        put_filters(class_key(class), filters[at].before);
        install();
        assert_filters(class_key(class), filters[at].after, at);
        put_filters(class_key(class), filters[0].after);
    }
}

static void install_over_all(void)
{
    for (unsigned at = 0; at < sizeof(filters) / sizeof(filters[0]); at++)
        install_over(at);
}

/* FB14: whatever filters there were stay as and where they were, and ours is there once. */
STACK_TEST(fb14_class_filters, .drivers = DRIVERS | STACK_NIC, .prepare = install_over_all, .board = BOARD)
{
    ck_assert_ptr_nonnull(find(NIC));
    ck_assert_int_eq(pnp_state(find(NIC)), DEVNODE_STARTED);
}

static void remove_from_all(void)
{
    for (unsigned at = 0; at < sizeof(filters) / sizeof(filters[0]); at++) {
        char error[256] = "";

        for (unsigned class = 0; class < 2; class ++)
            put_filters(class_key(class), filters[at].before);
        install();
        ck_assert_msg(pnp_uninstall_inf("XenFilt.inf", error, sizeof(error)), "%s", error);
        ck_assert_ptr_null(cm_key_open(CM_SERVICES "\\xenfilt"));
        for (unsigned class = 0; class < 2; class ++)
            assert_filters(class_key(class), filters[at].removed, at);
        ck_assert(!pnp_uninstall_inf("XenFilt.inf", error, sizeof(error))); /* it is not there any more */
        ck_assert_str_eq(error, "XenFilt.inf: the driver store has no such package");
    }
    for (unsigned class = 0; class < 2; class ++)
        put_filters(class_key(class), filters[0].removed);
}

/* FB14: removed, it takes its entries along and no others; the machine starts without. */
STACK_TEST(fb14_removed, .drivers = DRIVERS | STACK_NIC, .prepare = remove_from_all, .board = BOARD)
{
    ck_assert_int_eq(pnp_state(find(NIC)), DEVNODE_STARTED);
    assert_not_filtered();
    for (unsigned class = 0; class < 2; class ++)
        assert_filters(class_key(class), filters[0].removed, 0);
}

int main(void)
{
    Suite *suite = suite_create("EMULATED");
    TCase *tcase = tcase_create("interface");

    tcase_add_test(tcase, versions);
    tcase_add_test(tcase, nobody_answers_without_it);
    tcase_add_test(tcase, devices);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("decision");
    tcase_add_test(tcase, unplugged_on_request);
    tcase_add_test(tcase, request_not_recorded);
    tcase_add_test(tcase, back_after_a_resume);
    tcase_add_test(tcase, back_after_hibernation);
    tcase_add_test(tcase, unplugged_by_force);
    tcase_add_test(tcase, kept_by_the_start_option);
    tcase_add_test(tcase, not_by_options_like_it);
    tcase_add_test(tcase, reboot_is_left_to_the_monitor);
    tcase_add_test(tcase, no_reboot_without_a_monitor);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("disks");
    tcase_add_test(tcase, disks);
    tcase_add_test(tcase, disks_unplugged);
    tcase_add_test(tcase, disks_unplugged_by_force);
    tcase_add_test(tcase, disks_kept_by_the_start_option);
    tcase_add_test(tcase, disks_that_are_not_unplugged);
    tcase_add_test(tcase, disks_that_go);
    tcase_add_test(tcase, channel_of_no_kind);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("stacks");
    tcase_add_test(tcase, bus_of_no_kind);
    tcase_add_test(tcase, bus_of_unknown_kind);
    tcase_add_test(tcase, removed_and_back);
    tcase_add_test(tcase, fb14_class_filters);
    tcase_add_test(tcase, fb14_removed);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
