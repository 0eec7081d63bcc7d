/*
 * The PnP manager: enumeration, installation, resources, and the state machine of a device through every transition and the
 * failures of each, seen from a bus driver, a function driver and a filter (tests/clients/toybus, toyfilter) on the Xen
 * platform device. The rules are those of Microsoft's "Plug and Play minor IRPs" and "Removing a device".
 */
#include "common/guest.h"

#include <stdio.h>
#include <string.h>

#include "image/loader.h"
#include "machine/vcpu.h"
#include "nt/cm/cm.h"
#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ob/ob.h"
#include "nt/pnp/pnp.h"

#include "clients/toybus/toy.h"

#define PLATFORM "PCI\\VEN_5853&DEV_0001&SUBSYS_00015853&REV_01"
#define CHILD(n) "TOY\\CHILD&REV_1\\" #n
#define TEST_DRIVERS PVSIM_BUILD "/test-drivers"

static TOY toy;

/* ---- the machine ---- */

static void point_service(const char *service)
{
    char path[256];
    uint64_t address = (uintptr_t)&toy;

    snprintf(path, sizeof(path), "%s\\%s\\Parameters", CM_SERVICES, service);
    cm_value_set(cm_key_create(path), "Toy", REG_QWORD, &address, sizeof(address));
}

static void install(const char *name)
{
    char path[512];
    char error[512];

    snprintf(path, sizeof(path), "%s/%s.inf", TEST_DRIVERS, name);
    ck_assert_msg(pnp_install_inf(path, error, sizeof(error)), "%s", error);
    point_service(name);
}

static void boot(void)
{
    memset(&toy, 0, sizeof(toy));
    install("toybus");
    install("toyfilter");
    pnp_boot();
}

static struct devnode *bus(void)
{
    struct devnode *node = pnp_find(PLATFORM);

    ck_assert_ptr_nonnull(node);
    return node;
}

/* Have the bus report these children, as a driver does when its bus has changed. */
static void report(ULONG children)
{
    toy.Children = children;
    IoInvalidateDeviceRelations(toy.Pdo, BusRelations);
    pnp_wait_quiet();
}

static void boot_with(ULONG children)
{
    boot();
    report(children);
}

static void finish(void)
{
    ck_assert_msg(pnp_shutdown_all(), "%s", pnp_refusal());
    ck_assert_ptr_null(pnp_root());
    ck_assert_ptr_null(loader_next(NULL));
}

static void run_in(unsigned vcpus, void (*function)(void *))
{
    struct machine_config config = guest_config(vcpus);

    config.driver_dir = TEST_DRIVERS;
    guest_run_with(&config, function, NULL);
}

static void must_fail(void (*function)(void *), const char *rule)
{
    struct machine_config config = guest_config(1);

    config.driver_dir = TEST_DRIVERS;
    guest_must_fail(&config, function, NULL, rule);
}

/* ---- the journal ---- */

static void forget(void)
{
    toy.Count = 0;
}

/* Position of an entry from `from` on, or -1. `child` -1: any. */
static int find_entry(unsigned from, char who, unsigned what, int child)
{
    for (unsigned i = from; i < toy.Count && i < TOY_ENTRIES; i++) {
        if (toy.Entry[i].Who == who && toy.Entry[i].What == what && (child < 0 || toy.Entry[i].Child == (ULONG)child))
            return (int)i;
    }
    return -1;
}

static bool seen(char who, unsigned what, int child)
{
    return find_entry(0, who, what, child) >= 0;
}

/* The entries occur in this order (others may lie between). */
#define ck_assert_order(...)                                                                                          \
    do {                                                                                                               \
        static const struct {                                                                                          \
            char who;                                                                                                  \
            unsigned what;                                                                                             \
            int child;                                                                                                 \
        } wanted[] = {__VA_ARGS__};                                                                                    \
        unsigned from = 0;                                                                                             \
                                                                                                                       \
        for (size_t i = 0; i < RTL_NUMBER_OF(wanted); i++) {                                                           \
            int at = find_entry(from, wanted[i].who, wanted[i].what, wanted[i].child);                                 \
                                                                                                                       \
            ck_assert_msg(at >= 0, "step %zu (%c 0x%02x) is not there or out of order", i, wanted[i].who, wanted[i].what); \
            from = (unsigned)at + 1;                                                                                   \
        }                                                                                                              \
    } while (0)

static char *value_of(const char *path, const char *name)
{
    struct cm_key *key = cm_key_open(path);

    ck_assert_msg(key != NULL, "no key %s", path);
    return cm_value_get_string(key, name);
}

static void check_value(const char *path, const char *name, const char *expected)
{
    char *value = value_of(path, name);

    ck_assert_msg(value != NULL, "no value %s in %s", name, path);
    ck_assert_str_eq(value, expected);
    image_free(value);
}

/* ---- boot ---- */

static struct census *before;

static void report_leak(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    (void)context;
    (void)caller;
    fprintf(stderr, "leak: %s %s %llu\n", kind, name, (unsigned long long)count);
}

static void boot_and_shutdown(void *argument)
{
    struct census *after;

    (void)argument;
    before = census_take();
    boot_with(3);
    ck_assert_int_eq(pnp_state(bus()), DEVNODE_STARTED);
    ck_assert_str_eq(pnp_service(bus()), "toybus");
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(0))), DEVNODE_STARTED);
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(1))), DEVNODE_STARTED);
    ck_assert_ptr_eq(pnp_parent(pnp_find(CHILD(1))), bus());
    ck_assert_ptr_null(pnp_find(CHILD(2)));
    ck_assert_order({ 'F', TOY_DRIVER_ENTRY, 0 }, { 'F', TOY_ADD_DEVICE, 0 },
                    { 'F', IRP_MN_FILTER_RESOURCE_REQUIREMENTS, 0 }, { 'F', IRP_MN_START_DEVICE, 0 },
                    { 'F', IRP_MN_QUERY_CAPABILITIES, 0 }, { 'F', IRP_MN_QUERY_PNP_DEVICE_STATE, 0 },
                    { 'F', IRP_MN_QUERY_DEVICE_RELATIONS, 0 }, { 'B', IRP_MN_QUERY_ID, 0 }, { 'C', TOY_ADD_DEVICE, 0 },
                    { 'C', IRP_MN_START_DEVICE, 0 }, { 'B', IRP_MN_START_DEVICE, 0 });
    forget();
    ck_assert_msg(pnp_shutdown_all(), "%s", pnp_refusal());
    ck_assert_order({ 'C', IRP_MN_QUERY_REMOVE_DEVICE, 0 }, { 'F', IRP_MN_QUERY_REMOVE_DEVICE, 0 },
                    { 'C', IRP_MN_REMOVE_DEVICE, 0 }, { 'C', IRP_MN_REMOVE_DEVICE, 1 }, { 'F', IRP_MN_REMOVE_DEVICE, 0 },
                    { 'F', TOY_UNLOAD, 0 });
    ck_assert(!seen('C', IRP_MN_SURPRISE_REMOVAL, -1));
    ck_assert_ptr_null(loader_next(NULL));
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, report_leak, NULL), 0);
    census_free(before);
    census_free(after);
}

START_TEST(test_boot_and_shutdown)
{
    run_in(2, boot_and_shutdown);
}
END_TEST

static void registry_is_filled(void *argument)
{
    char path[512];
    char *value;

    (void)argument;
    boot_with(1);
    snprintf(path, sizeof(path), "%s\\%s", CM_ENUM, pnp_instance_path(bus()));
    check_value(path, "Service", "toybus");
    check_value(path, "ClassGUID", "{4d36e97d-e325-11ce-bfc1-08002be10318}");
    check_value(path, "LocationInformation", "PCI bus 0, device 2, function 0");
    value = cm_value_get_multi(cm_key_open(path), "HardwareID", 0);
    ck_assert_str_eq(value, PLATFORM);
    image_free(value);
    value = cm_value_get_multi(cm_key_open(path), "HardwareID", 2);
    ck_assert_str_eq(value, "PCI\\VEN_5853&DEV_0001&CC_FF8000");
    image_free(value);
    value = cm_value_get_multi(cm_key_open(path), "CompatibleIDs", 1);
    ck_assert_str_eq(value, "PCI\\VEN_5853&DEV_0001");
    image_free(value);
    strcat(path, "\\Control");
    check_value(path, "ActiveService", "toybus");
    /* The instance: the parent's prefix, then what the bus gave; device 2, function 0 is slot 10. */
    value = value_of(CM_ENUM "\\ACPI\\PNP0A03\\0", "ParentIdPrefix");
    snprintf(path, sizeof(path), "%s\\%s&10", PLATFORM, value);
    ck_assert_str_eq(pnp_instance_path(bus()), path);
    image_free(value);
    check_value(CM_SERVICES "\\toybus\\Enum", "0", path);
    check_value(CM_SERVICES "\\toybus\\Enum", "1", CHILD(0));
    check_value(CM_ENUM "\\" CHILD(0), "Service", "toybus"); /* unique in the system: no prefix */
    finish();
    ck_assert_ptr_null(cm_value_get(cm_key_open(CM_SERVICES "\\toybus\\Enum"), "0", NULL, NULL));
}

START_TEST(test_registry_is_filled)
{
    run_in(1, registry_is_filled);
}
END_TEST

static void device_keys(void *argument)
{
    WCHAR buffer[128];
    PDEVICE_OBJECT pdo;
    ULONG length;
    HANDLE key;
    ULONG value;

    (void)argument;
    boot_with(1);
    pdo = toy.ChildPdo[0];
    ck_assert_int_eq(IoOpenDeviceRegistryKey(pdo, PLUGPLAY_REGKEY_DRIVER, KEY_READ, &key), STATUS_SUCCESS);
    ck_assert(cm_value_get_dword(cm_key_of_handle(key), "ToyValue", &value)); /* the INF's AddReg */
    ck_assert_uint_eq(value, 42);
    ZwClose(key);
    ck_assert_int_eq(IoOpenDeviceRegistryKey(pdo, PLUGPLAY_REGKEY_DEVICE, KEY_ALL_ACCESS, &key), STATUS_SUCCESS);
    ck_assert_str_eq(cm_key_name(cm_key_of_handle(key)), "Device Parameters");
    ZwClose(key);
    ck_assert_int_eq(IoGetDeviceProperty(pdo, DevicePropertyEnumeratorName, 0, NULL, &length), STATUS_BUFFER_TOO_SMALL);
    ck_assert_uint_eq(length, 8);
    ck_assert_int_eq(IoGetDeviceProperty(pdo, DevicePropertyEnumeratorName, sizeof(buffer), buffer, &length),
                     STATUS_SUCCESS);
    ck_assert_mem_eq(buffer, L"TOY", 8);
    ck_assert_int_eq(IoGetDeviceProperty(pdo, DevicePropertyLocationInformation, sizeof(buffer), buffer, &length),
                     STATUS_OBJECT_NAME_NOT_FOUND);
    finish();
}

START_TEST(test_device_keys)
{
    run_in(1, device_keys);
}
END_TEST

/* ---- resources ---- */

static const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource(const CM_PARTIAL_RESOURCE_DESCRIPTOR *list, unsigned count,
                                                      UCHAR type, unsigned index)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].Type == type && index-- == 0)
            return &list[i];
    }
    ck_abort_msg("no resource of type %u", type);
    return NULL;
}

static void resources(void *argument)
{
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *raw;
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *translated;

    (void)argument;
    boot();
    ck_assert_uint_eq(toy.RawCount, toy.TranslatedCount);
    raw = resource(toy.Raw, toy.RawCount, CmResourceTypePort, 0);
    translated = resource(toy.Translated, toy.TranslatedCount, CmResourceTypePort, 0);
    ck_assert_uint_eq(raw->u.Port.Length, 256);
    ck_assert_int_eq(raw->u.Port.Start.QuadPart, translated->u.Port.Start.QuadPart);
    ck_assert_uint_ne(raw->Flags & CM_RESOURCE_PORT_IO, 0);
    raw = resource(toy.Raw, toy.RawCount, CmResourceTypeMemory, 0);
    ck_assert_uint_eq(raw->u.Memory.Length, 16u << 20);
    ck_assert_int_eq(raw->u.Memory.Start.QuadPart % (16 << 20), 0);
    /* INTA of device 2 is wired to input 24. */
    raw = resource(toy.Raw, toy.RawCount, CmResourceTypeInterrupt, 0);
    translated = resource(toy.Translated, toy.TranslatedCount, CmResourceTypeInterrupt, 0);
    ck_assert_uint_eq(raw->u.Interrupt.Vector, 24);
    ck_assert_uint_eq(raw->u.Interrupt.Level, 24);
    ck_assert_uint_eq(raw->Flags, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE);
    ck_assert_uint_eq(raw->ShareDisposition, CmResourceShareShared);
    ck_assert_uint_eq(translated->u.Interrupt.Level, translated->u.Interrupt.Vector >> 4);
    ck_assert_uint_gt(translated->u.Interrupt.Level, DISPATCH_LEVEL);
    ck_assert_uint_eq(translated->u.Interrupt.Affinity, 1);
    ck_assert_uint_eq(toy.Config[0] | toy.Config[1] << 8, 0x5853); /* through BUS_INTERFACE_STANDARD */
    ck_assert_uint_eq(toy.Config[4] & 3, 3);                       /* both decoders are on */
    finish();
}

START_TEST(test_resources)
{
    run_in(2, resources);
}
END_TEST

static void message_interrupts(void *argument)
{
    LARGE_INTEGER interval = { .QuadPart = -10000 };

    (void)argument;
    memset(&toy, 0, sizeof(toy));
    toy.ConnectMessages = TRUE;
    install("toybus");
    pnp_boot();
    for (unsigned i = 0; i < 4; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *raw = resource(toy.Raw, toy.RawCount, CmResourceTypeInterrupt, i + 1);
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *translated =
            resource(toy.Translated, toy.TranslatedCount, CmResourceTypeInterrupt, i + 1);

        ck_assert_uint_eq(raw->Flags, CM_RESOURCE_INTERRUPT_MESSAGE | CM_RESOURCE_INTERRUPT_LATCHED);
        ck_assert_uint_eq(raw->u.MessageInterrupt.Raw.MessageCount, 1);
        ck_assert_uint_eq(translated->u.MessageInterrupt.Translated.Affinity, (KAFFINITY)1 << i);
        ck_assert_uint_eq(translated->u.MessageInterrupt.Translated.Level,
                          translated->u.MessageInterrupt.Translated.Vector >> 4);
        vcpu_raise_vector(i, (uint8_t)translated->u.MessageInterrupt.Translated.Vector);
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
        ck_assert_uint_eq(toy.Interrupts[i], 1);
        ck_assert_uint_eq(toy.InterruptProcessor[i], i);
    }
    finish();
}

START_TEST(test_message_interrupts)
{
    run_in(4, message_interrupts);
}
END_TEST

/* ---- children come and go ---- */

static void child_vanishes(void *argument)
{
    (void)argument;
    boot_with(3);
    forget();
    report(1);
    ck_assert_ptr_null(pnp_find(CHILD(1)));
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(0))), DEVNODE_STARTED);
    ck_assert_order({ 'F', IRP_MN_QUERY_DEVICE_RELATIONS, 0 }, { 'C', IRP_MN_SURPRISE_REMOVAL, 1 },
                    { 'B', IRP_MN_SURPRISE_REMOVAL, 1 }, { 'C', IRP_MN_REMOVE_DEVICE, 1 },
                    { 'B', IRP_MN_REMOVE_DEVICE, 1 });
    ck_assert(!seen('C', IRP_MN_QUERY_REMOVE_DEVICE, -1));
    ck_assert(!seen('C', IRP_MN_SURPRISE_REMOVAL, 0));
    forget();
    report(3);
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(1))), DEVNODE_STARTED);
    ck_assert_order({ 'C', TOY_ADD_DEVICE, -1 }, { 'C', IRP_MN_START_DEVICE, 1 });
    finish();
}

START_TEST(test_child_vanishes)
{
    run_in(2, child_vanishes);
}
END_TEST

static HANDLE open_child(unsigned index)
{
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK result;
    UNICODE_STRING name;
    size_t length;
    HANDLE handle;

    name.Buffer = cm_utf16_from_utf8(ob_name(toy.ChildPdo[index]), &length);
    name.Length = name.MaximumLength = (USHORT)(length * sizeof(WCHAR));
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwOpenFile(&handle, GENERIC_READ | SYNCHRONIZE, &attributes, &result, 0, 0), STATUS_SUCCESS);
    image_free(name.Buffer);
    return handle;
}

static void handle_keeps_vanished_child(void *argument)
{
    struct devnode *node;
    HANDLE handle;

    (void)argument;
    boot_with(1);
    handle = open_child(0);
    forget();
    report(0);
    node = pnp_find(CHILD(0));
    ck_assert_ptr_nonnull(node);
    ck_assert_int_eq(pnp_state(node), DEVNODE_SURPRISE_REMOVED);
    ck_assert(seen('C', IRP_MN_SURPRISE_REMOVAL, 0));
    ck_assert(!seen('C', IRP_MN_REMOVE_DEVICE, 0));
    report(1); /* it comes back while the old one waits: kept out */
    ck_assert_ptr_nonnull(pnp_next(node));
    ck_assert_int_eq(pnp_problem(pnp_next(node)), PROBLEM_DUPLICATE_DEVICE);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_order({ 'C', IRP_MN_SURPRISE_REMOVAL, 0 }, { 'C', IRP_MN_REMOVE_DEVICE, 0 }, { 'C', TOY_ADD_DEVICE, 0 },
                    { 'C', IRP_MN_START_DEVICE, 0 });
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(0))), DEVNODE_STARTED);
    finish();
}

START_TEST(test_handle_keeps_vanished_child)
{
    run_in(1, handle_keeps_vanished_child);
}
END_TEST

static void same_ids(void *argument)
{
    (void)argument;
    boot();
    toy.SameIds = TRUE;
    report(3);
}

START_TEST(test_same_ids)
{
    must_fail(same_ids, "pnp-identity");
}
END_TEST

static void pdo_left(void *argument)
{
    (void)argument;
    boot_with(1);
    toy.KeepPdos = TRUE;
    report(0);
}

START_TEST(test_pdo_left)
{
    must_fail(pdo_left, "pnp-pdo-left");
}
END_TEST

/* ---- orderly removal ---- */

static void removal_refused(void *argument)
{
    struct devnode *child;
    HANDLE handle;

    (void)argument;
    boot_with(1);
    child = pnp_find(CHILD(0));
    toy.QueryRemoveStatus = STATUS_DEVICE_BUSY;
    forget();
    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_UNSUCCESSFUL);
    ck_assert_ptr_nonnull(strstr(pnp_refusal(), "toybus refused"));
    ck_assert_order({ 'C', IRP_MN_QUERY_REMOVE_DEVICE, 0 }, { 'C', IRP_MN_CANCEL_REMOVE_DEVICE, 0 });
    ck_assert(!seen('F', IRP_MN_QUERY_REMOVE_DEVICE, 0)); /* the child was asked first, and said no */
    ck_assert(!seen('C', IRP_MN_REMOVE_DEVICE, 0));
    ck_assert_int_eq(pnp_state(child), DEVNODE_STARTED);
    ck_assert(!pnp_shutdown_all());

    toy.QueryRemoveStatus = STATUS_SUCCESS;
    handle = open_child(0);
    forget();
    ck_assert_int_eq(pnp_remove_device(child, false), STATUS_UNSUCCESSFUL);
    ck_assert_ptr_nonnull(strstr(pnp_refusal(), "handle"));
    ck_assert(!seen('C', IRP_MN_QUERY_REMOVE_DEVICE, 0));
    ZwClose(handle);

    ck_assert_int_eq(pnp_remove_device(child, false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_state(child), DEVNODE_REMOVED);
    ck_assert_order({ 'C', IRP_MN_QUERY_REMOVE_DEVICE, 0 }, { 'C', IRP_MN_REMOVE_DEVICE, 0 });
    forget();
    ck_assert_int_eq(pnp_rescan(bus()), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_state(child), DEVNODE_STARTED);
    ck_assert(seen('C', IRP_MN_START_DEVICE, 0));
    finish();
}

START_TEST(test_removal_refused)
{
    run_in(2, removal_refused);
}
END_TEST

static void removal_unloads(void *argument)
{
    (void)argument;
    boot_with(1);
    ck_assert_uint_eq(toy.Loads, 1);
    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
    ck_assert_ptr_null(pnp_find(CHILD(0)));
    ck_assert(seen('F', TOY_UNLOAD, 0));
    ck_assert_ptr_null(loader_next(NULL));
    ck_assert_int_eq(pnp_rescan(pnp_parent(bus())), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_state(bus()), DEVNODE_STARTED);
    ck_assert_uint_eq(toy.Loads, 1); /* the image came back with fresh data */
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(0))), DEVNODE_STARTED);
    finish();
}

START_TEST(test_removal_unloads)
{
    run_in(1, removal_unloads);
}
END_TEST

static void surprise_of_the_bus(void *argument)
{
    (void)argument;
    boot_with(3);
    forget();
    ck_assert_int_eq(pnp_remove_device(bus(), true), STATUS_SUCCESS);
    ck_assert_order({ 'C', IRP_MN_SURPRISE_REMOVAL, 0 }, { 'C', IRP_MN_SURPRISE_REMOVAL, 1 },
                    { 'F', IRP_MN_SURPRISE_REMOVAL, 0 }, { 'C', IRP_MN_REMOVE_DEVICE, 0 },
                    { 'F', IRP_MN_REMOVE_DEVICE, 0 }, { 'F', TOY_UNLOAD, 0 });
    finish();
}

START_TEST(test_surprise_of_the_bus)
{
    run_in(2, surprise_of_the_bus);
}
END_TEST

static void eject(void *argument)
{
    (void)argument;
    boot_with(1);
    forget();
    ck_assert_int_eq(pnp_eject_device(pnp_find(CHILD(0))), STATUS_SUCCESS);
    ck_assert_order({ 'C', IRP_MN_QUERY_REMOVE_DEVICE, 0 }, { 'C', IRP_MN_REMOVE_DEVICE, 0 }, { 'B', IRP_MN_EJECT, 0 },
                    { 'F', IRP_MN_QUERY_DEVICE_RELATIONS, 0 }, { 'B', IRP_MN_REMOVE_DEVICE, 0 });
    ck_assert_ptr_null(pnp_find(CHILD(0)));
    finish();
}

START_TEST(test_eject)
{
    run_in(1, eject);
}
END_TEST

/* ---- stopping ---- */

static void stop_and_start(void *argument)
{
    struct devnode *child;

    (void)argument;
    boot_with(1);
    child = pnp_find(CHILD(0));
    toy.QueryStopStatus = STATUS_DEVICE_BUSY;
    forget();
    ck_assert_int_eq(pnp_restart_device(child), STATUS_DEVICE_BUSY);
    ck_assert_order({ 'C', IRP_MN_QUERY_STOP_DEVICE, 0 }, { 'C', IRP_MN_CANCEL_STOP_DEVICE, 0 });
    ck_assert(!seen('C', IRP_MN_STOP_DEVICE, 0));
    toy.QueryStopStatus = STATUS_SUCCESS;
    forget();
    ck_assert_int_eq(pnp_restart_device(child), STATUS_SUCCESS);
    ck_assert_order({ 'C', IRP_MN_QUERY_STOP_DEVICE, 0 }, { 'C', IRP_MN_STOP_DEVICE, 0 },
                    { 'C', IRP_MN_FILTER_RESOURCE_REQUIREMENTS, 0 }, { 'C', IRP_MN_START_DEVICE, 0 });
    /* The bus, with its resources: the same ones again. */
    forget();
    ck_assert_int_eq(pnp_restart_device(bus()), STATUS_SUCCESS);
    ck_assert_uint_eq(resource(toy.Raw, toy.RawCount, CmResourceTypePort, 0)->u.Port.Length, 256);
    /* A device that does not start again after a stop is lost to its drivers. */
    toy.StartStatus = STATUS_DEVICE_CONFIGURATION_ERROR;
    forget();
    ck_assert_int_eq(pnp_restart_device(child), STATUS_DEVICE_CONFIGURATION_ERROR);
    ck_assert_order({ 'C', IRP_MN_START_DEVICE, 0 }, { 'C', IRP_MN_SURPRISE_REMOVAL, 0 },
                    { 'C', IRP_MN_REMOVE_DEVICE, 0 });
    ck_assert_int_eq(pnp_problem(child), PROBLEM_FAILED_START);
    finish();
}

START_TEST(test_stop_and_start)
{
    run_in(1, stop_and_start);
}
END_TEST

/* ---- failures on the way up ---- */

static void start_fails(void *argument)
{
    struct devnode *child;

    (void)argument;
    boot();
    toy.StartStatus = STATUS_PNP_REBOOT_REQUIRED;
    report(1);
    child = pnp_find(CHILD(0));
    ck_assert_int_eq(pnp_problem(child), PROBLEM_NEED_RESTART);
    ck_assert_int_eq(pnp_problem_status(child), STATUS_PNP_REBOOT_REQUIRED);
    ck_assert_order({ 'C', IRP_MN_START_DEVICE, 0 }, { 'C', IRP_MN_REMOVE_DEVICE, 0 });
    ck_assert(!seen('C', IRP_MN_SURPRISE_REMOVAL, 0));
    toy.StartStatus = STATUS_IO_DEVICE_ERROR;
    ck_assert_int_eq(pnp_retry_device(child), STATUS_IO_DEVICE_ERROR);
    ck_assert_int_eq(pnp_problem(child), PROBLEM_FAILED_START);
    toy.StartStatus = STATUS_SUCCESS;
    ck_assert_int_eq(pnp_retry_device(child), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_problem(child), PROBLEM_NONE);
    toy.AddStatus = STATUS_INSUFFICIENT_RESOURCES;
    report(3);
    ck_assert_int_eq(pnp_problem(pnp_find(CHILD(1))), PROBLEM_FAILED_ADD);
    toy.AddStatus = STATUS_SUCCESS;
    report(1); /* a device that never came up vanishes: no surprise, its PDO is deleted */
    ck_assert(!seen('B', IRP_MN_SURPRISE_REMOVAL, 1));
    ck_assert(seen('B', IRP_MN_REMOVE_DEVICE, 1));
    ck_assert_ptr_null(pnp_find(CHILD(1)));
    finish();
}

START_TEST(test_start_fails)
{
    run_in(1, start_fails);
}
END_TEST

static void set_start_type(ULONG type)
{
    cm_value_set_dword(cm_key_open(CM_SERVICES "\\toybus"), "Start", type);
}

static void driver_does_not_load(void *argument)
{
    (void)argument;
    memset(&toy, 0, sizeof(toy));
    toy.EntryStatus = STATUS_UNSUCCESSFUL;
    install("toybus");
    pnp_boot();
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_FAILED_DRIVER_ENTRY);
    ck_assert_ptr_null(loader_next(NULL));
    toy.EntryStatus = STATUS_SUCCESS;
    set_start_type(4);
    ck_assert(!NT_SUCCESS(pnp_retry_device(bus())));
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_DISABLED_SERVICE);
    set_start_type(3);
    cm_value_set_string(cm_key_open(CM_SERVICES "\\toybus"), "ImagePath", REG_EXPAND_SZ,
                        "\\SystemRoot\\System32\\drivers\\nothing.sys");
    ck_assert(!NT_SUCCESS(pnp_retry_device(bus())));
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_DRIVER_FAILED_LOAD);
    ck_assert_ptr_nonnull(strstr(loader_error(), "nothing"));
    cm_key_delete(cm_key_open(CM_SERVICES "\\toybus"));
    ck_assert(!NT_SUCCESS(pnp_retry_device(bus())));
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_REGISTRY);
    finish();
}

START_TEST(test_driver_does_not_load)
{
    run_in(1, driver_does_not_load);
}
END_TEST

static void no_driver(void *argument)
{
    (void)argument;
    pnp_boot();
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_FAILED_INSTALL);
    finish();
}

START_TEST(test_no_driver)
{
    run_in(1, no_driver);
}
END_TEST

static void device_fails(void *argument)
{
    struct devnode *child;

    (void)argument;
    boot_with(1);
    child = pnp_find(CHILD(0));
    toy.DeviceState = PNP_DEVICE_FAILED;
    forget();
    IoInvalidateDeviceState(toy.ChildPdo[0]);
    pnp_wait_quiet();
    ck_assert_order({ 'C', IRP_MN_QUERY_PNP_DEVICE_STATE, 0 }, { 'C', IRP_MN_SURPRISE_REMOVAL, 0 },
                    { 'C', IRP_MN_REMOVE_DEVICE, 0 });
    ck_assert_int_eq(pnp_problem(child), PROBLEM_FAILED_POST_START);
    toy.DeviceState = 0;
    ck_assert_int_eq(pnp_retry_device(child), STATUS_SUCCESS);
    finish();
}

START_TEST(test_device_fails)
{
    run_in(1, device_fails);
}
END_TEST

static void initializing_left(void *argument)
{
    (void)argument;
    memset(&toy, 0, sizeof(toy));
    toy.LeaveInitializing = TRUE;
    install("toybus");
    pnp_boot();
}

START_TEST(test_initializing_left)
{
    must_fail(initializing_left, "device-initializing");
}
END_TEST

/* ---- filters, interfaces ---- */

static void upper_filter(void *argument)
{
    static const char *const filters[] = { "toyfilter" };

    (void)argument;
    boot();
    report(1);
    ck_assert_int_eq(pnp_remove_device(pnp_find(CHILD(0)), false), STATUS_SUCCESS);
    cm_value_set_multi(cm_key_open(CM_ENUM "\\" CHILD(0)), "UpperFilters", filters, 1);
    forget();
    ck_assert_int_eq(pnp_rescan(bus()), STATUS_SUCCESS);
    ck_assert_order({ 'C', TOY_ADD_DEVICE, 0 }, { 'U', TOY_ADD_DEVICE, 0 }, { 'U', IRP_MN_START_DEVICE, 0 },
                    { 'C', IRP_MN_START_DEVICE, 0 }, { 'B', IRP_MN_START_DEVICE, 0 });
    report(0);
    ck_assert(seen('U', TOY_UNLOAD, 0)); /* its last device is gone */
    cm_key_delete(cm_key_open(CM_SERVICES "\\toyfilter"));
    report(1); /* the filter entry leads nowhere now */
    ck_assert_int_eq(pnp_problem(pnp_find(CHILD(0))), PROBLEM_REGISTRY);
    finish();
}

START_TEST(test_upper_filter)
{
    run_in(1, upper_filter);
}
END_TEST

static void interfaces(void *argument)
{
    PZZWSTR list;
    GUID class = { 0x5b1c4b5a, 0x6a0d, 0x4c55, { 0x8f, 0x15, 0x2f, 0x5a, 0x0e, 0x63, 0x91, 0x10 } };
    PDEVICE_OBJECT device;
    UNICODE_STRING name;
    PFILE_OBJECT file;

    (void)argument;
    boot_with(1);
    ck_assert_uint_eq(toy.Arrivals, 1);
    ck_assert_int_eq(IoGetDeviceInterfaces(&class, NULL, 0, &list), STATUS_SUCCESS);
    RtlInitUnicodeString(&name, list);
    ck_assert_uint_gt(name.Length, 0);
    ck_assert_int_eq(IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device), STATUS_SUCCESS);
    ck_assert_ptr_eq(file->DeviceObject, toy.ChildPdo[0]);
    ObDereferenceObject(file);
    ExFreePool(list);
    report(0);
    ck_assert_uint_eq(toy.Removals, 1);
    ck_assert_int_eq(IoGetDeviceInterfaces(&class, NULL, 0, &list), STATUS_SUCCESS);
    ck_assert_uint_eq(list[0], 0);
    ExFreePool(list);
    finish();
}

START_TEST(test_interfaces)
{
    run_in(2, interfaces);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt/pnp");
    TCase *boots = tcase_create("boot");
    TCase *changes = tcase_create("arrival and removal");
    TCase *failures = tcase_create("failures");

    tcase_add_test(boots, test_boot_and_shutdown);
    tcase_add_test(boots, test_registry_is_filled);
    tcase_add_test(boots, test_device_keys);
    tcase_add_test(boots, test_resources);
    tcase_add_test(boots, test_message_interrupts);
    tcase_add_test(boots, test_upper_filter);
    tcase_add_test(boots, test_interfaces);
    tcase_add_test(changes, test_child_vanishes);
    tcase_add_test(changes, test_handle_keeps_vanished_child);
    tcase_add_test(changes, test_removal_refused);
    tcase_add_test(changes, test_removal_unloads);
    tcase_add_test(changes, test_surprise_of_the_bus);
    tcase_add_test(changes, test_eject);
    tcase_add_test(changes, test_stop_and_start);
    tcase_add_test(failures, test_start_fails);
    tcase_add_test(failures, test_driver_does_not_load);
    tcase_add_test(failures, test_no_driver);
    tcase_add_test(failures, test_device_fails);
    tcase_add_test(failures, test_initializing_left);
    tcase_add_test(failures, test_same_ids);
    tcase_add_test(failures, test_pdo_left);
    suite_add_tcase(suite, boots);
    suite_add_tcase(suite, changes);
    suite_add_tcase(suite, failures);
    return guest_suite_run(suite);
}
