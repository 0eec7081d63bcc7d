/*
 * The PnP manager: enumeration, installation, resources, filters, interfaces and notification, seen from a bus driver,
 * a function driver and a filter on the Xen platform device. The rules are those of Microsoft's "Plug and Play minor
 * IRPs".
 */
#include <wdmguid.h>

#include "machine/vcpu.h"
#include "nt-host/toy_machine.h"

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
    ck_assert_order({'F', TOY_DRIVER_ENTRY, 0}, {'F', TOY_ADD_DEVICE, 0}, {'F', IRP_MN_FILTER_RESOURCE_REQUIREMENTS, 0},
                    {'F', IRP_MN_START_DEVICE, 0}, {'F', IRP_MN_QUERY_CAPABILITIES, 0},
                    {'F', IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {'F', IRP_MN_QUERY_DEVICE_RELATIONS, 0},
                    {'B', IRP_MN_QUERY_ID, 0}, {'C', TOY_ADD_DEVICE, 0}, {'C', IRP_MN_START_DEVICE, 0},
                    {'B', IRP_MN_START_DEVICE, 0});
    forget();
    ck_assert_msg(pnp_shutdown_all(), "%s", pnp_refusal());
    ck_assert_order({'C', IRP_MN_QUERY_REMOVE_DEVICE, 0}, {'F', IRP_MN_QUERY_REMOVE_DEVICE, 0},
                    {'C', IRP_MN_REMOVE_DEVICE, 0}, {'C', IRP_MN_REMOVE_DEVICE, 1}, {'F', IRP_MN_REMOVE_DEVICE, 0},
                    {'F', TOY_UNLOAD, 0});
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
    PDEVICE_OBJECT pdo;
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
    finish();
}

START_TEST(test_device_keys)
{
    run_in(1, device_keys);
}
END_TEST

/* ---- resources ---- */

/* What the firmware set up, with the line as the processor sees it: the vector of the start. */
static void boot_configuration(const CM_PARTIAL_RESOURCE_DESCRIPTOR *started)
{
    union {
        CM_RESOURCE_LIST list;
        UCHAR bytes[512];
    } boot[2];
    static const DEVICE_REGISTRY_PROPERTY properties[] = {DevicePropertyBootConfiguration,
                                                          DevicePropertyBootConfigurationTranslated};
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *at[2];
    ULONG length[2];

    for (unsigned i = 0; i < 2; i++) {
        const CM_PARTIAL_RESOURCE_LIST *partial = &boot[i].list.List->PartialResourceList;

        ck_assert_int_eq(IoGetDeviceProperty(toy.Pdo, properties[i], sizeof(boot[i]), &boot[i], &length[i]),
                         STATUS_SUCCESS);
        at[i] = resource(partial->PartialDescriptors, partial->Count, CmResourceTypeInterrupt, 0);
    }
    ck_assert_uint_eq(length[0], length[1]);
    ck_assert_uint_eq(at[0]->u.Interrupt.Vector, 24);
    ck_assert_uint_eq(at[1]->u.Interrupt.Vector, started->u.Interrupt.Vector);
    ck_assert_uint_eq(at[1]->u.Interrupt.Level, started->u.Interrupt.Level);
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
    boot_configuration(translated);
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
    LARGE_INTEGER interval = {.QuadPart = -10000};

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
        for (unsigned tries = 0; tries < 10000 && ReadULongAcquire(&toy.Interrupts[i]) == 0; tries++)
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

/* ---- filters, interfaces ---- */

static void upper_filter(void *argument)
{
    static const char *const filters[] = {"toyfilter"};

    (void)argument;
    boot();
    report(1);
    ck_assert_int_eq(pnp_remove_device(pnp_find(CHILD(0)), false), STATUS_SUCCESS);
    cm_value_set_multi(cm_key_open(CM_ENUM "\\" CHILD(0)), "UpperFilters", filters, 1);
    forget();
    ck_assert_int_eq(pnp_rescan(bus()), STATUS_SUCCESS);
    ck_assert_order({'C', TOY_ADD_DEVICE, 0}, {'U', TOY_ADD_DEVICE, 0}, {'U', IRP_MN_START_DEVICE, 0},
                    {'C', IRP_MN_START_DEVICE, 0}, {'B', IRP_MN_START_DEVICE, 0});
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
    GUID class = {0x5b1c4b5a, 0x6a0d, 0x4c55, {0x8f, 0x15, 0x2f, 0x5a, 0x0e, 0x63, 0x91, 0x10}};
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

/* ---- notification ---- */

static struct {
    unsigned queries;
    unsigned cancels;
    unsigned completes;
    bool refuse;
    HANDLE handle;
    PFILE_OBJECT file;
} target;

static void let_go(void)
{
    ObDereferenceObject(target.file);
    ZwClose(target.handle);
    target.handle = NULL;
}

static NTSTATUS NTAPI target_changed(PVOID structure, PVOID context)
{
    const TARGET_DEVICE_REMOVAL_NOTIFICATION *change = structure;

    ck_assert_ptr_eq(context, &target);
    ck_assert_uint_eq(change->Version, 1);
    if (IsEqualGUID(&change->Event, &GUID_TARGET_DEVICE_QUERY_REMOVE)) {
        target.queries++;
        if (target.refuse)
            return STATUS_UNSUCCESSFUL;
        let_go(); /* as the documentation asks of one who agrees */
    } else if (IsEqualGUID(&change->Event, &GUID_TARGET_DEVICE_REMOVE_CANCELLED)) {
        target.cancels++;
    } else if (IsEqualGUID(&change->Event, &GUID_TARGET_DEVICE_REMOVE_COMPLETE)) {
        target.completes++;
        if (target.handle != NULL)
            let_go(); /* gone by surprise */
    }
    return STATUS_SUCCESS;
}

static void watch_child(PVOID *entry)
{
    PDRIVER_OBJECT driver = io_find_driver("toyfilter");

    ck_assert_ptr_nonnull(driver);
    target.handle = open_child(0);
    ck_assert_int_eq(
        ObReferenceObjectByHandle(target.handle, 0, *IoFileObjectType, KernelMode, (PVOID *)&target.file, NULL),
        STATUS_SUCCESS);
    ck_assert_int_eq(IoRegisterPlugPlayNotification(EventCategoryTargetDeviceChange, 0, target.file, driver,
                                                    target_changed, &target, entry),
                     STATUS_SUCCESS);
    ob_dereference(driver);
}

static void target_notification(void *argument)
{
    struct devnode *child;
    PDRIVER_OBJECT filter;
    PVOID entry;

    (void)argument;
    memset(&target, 0, sizeof(target));
    boot_with(1);
    ck_assert_int_eq(io_load_driver("toyfilter", &filter), STATUS_SUCCESS);
    child = pnp_find(CHILD(0));
    watch_child(&entry);
    target.refuse = true;
    forget();
    ck_assert_int_eq(pnp_remove_device(child, false), STATUS_UNSUCCESSFUL);
    ck_assert_ptr_nonnull(strstr(pnp_refusal(), "toyfilter refused"));
    ck_assert(!seen('C', IRP_MN_QUERY_REMOVE_DEVICE, 0)); /* drivers are asked after those who watch */
    ck_assert_uint_eq(target.queries, 1);
    ck_assert_uint_eq(target.cancels, 1);
    target.refuse = false;
    ck_assert_int_eq(pnp_remove_device(child, false), STATUS_SUCCESS);
    ck_assert_uint_eq(target.queries, 2);
    ck_assert_uint_eq(target.completes, 1);
    ck_assert_int_eq(IoUnregisterPlugPlayNotification(entry), STATUS_SUCCESS);

    ck_assert_int_eq(pnp_rescan(bus()), STATUS_SUCCESS);
    watch_child(&entry);
    report(0); /* by surprise: told at the end, and the handle that it then closes is waited for */
    ck_assert_uint_eq(target.queries, 2);
    ck_assert_uint_eq(target.completes, 2);
    ck_assert_ptr_null(pnp_find(CHILD(0)));
    ck_assert_int_eq(IoUnregisterPlugPlayNotification(entry), STATUS_SUCCESS);
    ob_dereference(filter);
    finish();
}

START_TEST(test_target_notification)
{
    run_in(2, target_notification);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/pnp");
    TCase *boots = tcase_create("boot");
    TCase *hardware = tcase_create("resources");
    TCase *others = tcase_create("filters, interfaces, notification");

    tcase_add_test(boots, test_boot_and_shutdown);
    tcase_add_test(boots, test_registry_is_filled);
    tcase_add_test(boots, test_device_keys);
    tcase_add_test(hardware, test_resources);
    tcase_add_test(hardware, test_message_interrupts);
    tcase_add_test(others, test_upper_filter);
    tcase_add_test(others, test_interfaces);
    tcase_add_test(others, test_target_notification);
    suite_add_tcase(suite, boots);
    suite_add_tcase(suite, hardware);
    suite_add_tcase(suite, others);
    return guest_suite_run(suite);
}
