/*
 * A new device: who is it? IDs, texts, capabilities and configuration are asked from its bus driver and written to its
 * key below Enum ("Device Identification Strings", IRP_MN_QUERY_ID, IRP_MN_QUERY_CAPABILITIES).
 */
#include <string.h>

#include "nt/pnp/pnp_internal.h"

#define MULTI_SZ_MAX_CHARACTERS 32768u

/* Values of the Capabilities DWORD in the registry (CM_DEVCAP_...). */
#define DEVCAP_LOCKSUPPORTED 0x001u
#define DEVCAP_EJECTSUPPORTED 0x002u
#define DEVCAP_REMOVABLE 0x004u
#define DEVCAP_DOCKDEVICE 0x008u
#define DEVCAP_UNIQUEID 0x010u
#define DEVCAP_SILENTINSTALL 0x020u
#define DEVCAP_RAWDEVICEOK 0x040u
#define DEVCAP_SURPRISEREMOVALOK 0x080u
#define DEVCAP_HARDWAREDISABLED 0x100u
#define DEVCAP_NONDYNAMIC 0x200u

static _Noreturn void fatal(const struct devnode *node, const uint64_t parameter[4], const char *text)
{
    nt_violation_code(PNP_DETECTED_FATAL_ERROR, parameter, "pnp-identity", "driver %s: %s",
                      io_driver_name(node->pdo->DriverObject), text);
}

/* Which of a device's IDs, as parameter 4 of bug check 0xCA says it; its page has no number for the others. */
static uint64_t id_number(BUS_QUERY_ID_TYPE type)
{
    switch (type) {
    case BusQueryDeviceID:
        return 1;
    case BusQueryInstanceID:
        return 2;
    case BusQueryHardwareIDs:
        return 3;
    case BusQueryCompatibleIDs:
        return 4;
    default:
        return 0;
    }
}

static _Noreturn void bad_id(const struct devnode *node, BUS_QUERY_ID_TYPE type, const WCHAR *buffer, const char *text)
{
    fatal(node, (uint64_t[4]){3, (uintptr_t)node->pdo, (uintptr_t)buffer, id_number(type)}, text);
}

/*
 * An identification string as the PnP manager takes it: characters 0x20 to 0x7F without commas, spaces turned into
 * underscores, at most 200 characters. Anything else is a fault of the bus driver.
 */
static char *checked_id(const struct devnode *node, BUS_QUERY_ID_TYPE type, const WCHAR *buffer, const WCHAR *id,
                        size_t length)
{
    bool separators = type != BusQueryInstanceID && type != BusQueryContainerID;
    char *text;

    if (length == 0 || length >= MAX_DEVICE_ID_LEN)
        bad_id(node, type, buffer, "an identification string is empty or longer than 200 characters");
    for (size_t i = 0; i < length; i++) {
        if (id[i] < 0x20 || id[i] > 0x7f || id[i] == L',' || (id[i] == L'\\' && !separators))
            bad_id(node, type, buffer, "an identification string has a character that is not allowed in it");
    }
    text = cm_utf8_from_utf16(id, length);
    for (char *c = text; *c != 0; c++) {
        if (*c == ' ')
            *c = '_';
    }
    return text;
}

static size_t wide_length(const WCHAR *string)
{
    size_t length = 0;

    while (length < MULTI_SZ_MAX_CHARACTERS && string[length] != 0)
        length++;
    return length;
}

/*
 * A bus driver need not have an answer (STATUS_NOT_SUPPORTED); it is another thing when it ran out of memory over it:
 * then nobody knows who the device is. The documentation does not say what becomes of it; here it waits with a problem,
 * and is asked again when somebody enables it.
 */
static bool unknown(NTSTATUS status)
{
    return status == STATUS_INSUFFICIENT_RESOURCES || status == STATUS_NO_MEMORY;
}

/* NULL in *id: no answer. */
static NTSTATUS query_single(struct devnode *node, BUS_QUERY_ID_TYPE type, char **id)
{
    WCHAR *wide;
    NTSTATUS status = pnp_query_id(node, type, &wide);

    *id = NULL;
    if (wide != NULL) {
        *id = checked_id(node, type, wide, wide, wide_length(wide));
        if (type == BusQueryDeviceID && (strchr(*id, '\\') == NULL || strchr(*id, '\\') != strrchr(*id, '\\')))
            bad_id(node, type, wide, "the device ID is not of the form enumerator\\device");
        ExFreePool(wide);
    }
    return status;
}

static NTSTATUS query_multi(struct devnode *node, BUS_QUERY_ID_TYPE type, char ***answer)
{
    WCHAR *ids;
    NTSTATUS status = pnp_query_id(node, type, &ids);
    char **list = NULL;
    unsigned count = 0;
    size_t offset = 0;

    *answer = NULL;
    if (ids == NULL)
        return status;
    while (ids[offset] != 0) {
        size_t length = wide_length(ids + offset);

        list = image_realloc(list, (count + 2) * sizeof(*list));
        list[count++] = checked_id(node, type, ids, ids + offset, length);
        offset += length + 1;
        if (offset >= MULTI_SZ_MAX_CHARACTERS)
            bad_id(node, type, ids, "a list of identification strings has no end");
    }
    ExFreePool(ids);
    *answer = list;
    return status;
}

static char *query_text(struct devnode *node, DEVICE_TEXT_TYPE type)
{
    WCHAR *wide = pnp_query_text(node, type);
    char *text;

    if (wide == NULL)
        return NULL;
    text = cm_utf8_from_utf16(wide, wide_length(wide));
    ExFreePool(wide);
    return text;
}

/* FNV-1a over the upper-case path: what tells the children of two equal buses apart. */
static uint32_t path_hash(const char *path)
{
    uint32_t hash = 2166136261u;

    for (; *path != 0; path++) {
        char c = *path >= 'a' && *path <= 'z' ? (char)(*path - 'a' + 'A') : *path;

        hash = (hash ^ (uint8_t)c) * 16777619u;
    }
    return hash;
}

/* "3&267a616a&0": kept in the parent's key, so that a child has the same path at every boot. */
static char *parent_prefix(const struct devnode *parent)
{
    struct cm_key *key = devnode_key(parent);
    char *prefix = cm_value_get_string(key, "ParentIdPrefix");

    if (prefix != NULL)
        return prefix;
    prefix = image_printf("%x&%x&0", parent->level + 1, path_hash(parent->instance_path));
    cm_value_set_string(key, "ParentIdPrefix", REG_SZ, prefix);
    return prefix;
}

static bool same_path_elsewhere(const struct devnode *node)
{
    for (struct devnode *other = pnp_root(); other != NULL; other = pnp_next(other)) {
        if (other == node || other->instance_path == NULL || _stricmp(other->instance_path, node->instance_path) != 0)
            continue;
        if (other->parent == node->parent && !other->missing)
            fatal(node, (uint64_t[4]){1, (uintptr_t)node->pdo, (uintptr_t)other->pdo},
                  "two devices of one bus have the same device and instance ID");
        return true;
    }
    return false;
}

static void make_instance(struct devnode *node, char *instance)
{
    if (node->capabilities.UniqueID) {
        if (instance == NULL)
            bad_id(node, BusQueryInstanceID, NULL, "a device with UniqueID has no instance ID");
        node->instance_id = instance;
    } else {
        char *prefix = parent_prefix(node->parent);

        node->instance_id =
            image_printf("%s%s%s", prefix, instance != NULL ? "&" : "", instance != NULL ? instance : "");
        image_free(prefix);
        image_free(instance);
    }
    node->instance_path = image_printf("%s\\%s", node->device_id, node->instance_id);
}

/* The status of what cannot be done without. */
static NTSTATUS query_identity(struct devnode *node)
{
    char *instance;
    NTSTATUS status = query_single(node, BusQueryDeviceID, &node->device_id);

    if (node->device_id == NULL)
        return unknown(status) ? status : STATUS_OBJECT_NAME_INVALID;
    status = pnp_query_capabilities(node, &node->capabilities);
    if (unknown(status))
        return status;
    if (!NT_SUCCESS(status))
        log_line(LOG_WARNING, "pnp", "%s: its bus driver does not answer IRP_MN_QUERY_CAPABILITIES", node->device_id);
    status = query_single(node, BusQueryInstanceID, &instance);
    if (unknown(status))
        return status;
    make_instance(node, instance);
    status = query_multi(node, BusQueryHardwareIDs, &node->hardware_ids);
    if (!unknown(status))
        status = query_multi(node, BusQueryCompatibleIDs, &node->compatible_ids);
    return unknown(status) ? status : STATUS_SUCCESS;
}

static ULONG capability_bits(const DEVICE_CAPABILITIES *capabilities)
{
    return (capabilities->LockSupported ? DEVCAP_LOCKSUPPORTED : 0) |
           (capabilities->EjectSupported ? DEVCAP_EJECTSUPPORTED : 0) |
           (capabilities->Removable ? DEVCAP_REMOVABLE : 0) | (capabilities->DockDevice ? DEVCAP_DOCKDEVICE : 0) |
           (capabilities->UniqueID ? DEVCAP_UNIQUEID : 0) | (capabilities->SilentInstall ? DEVCAP_SILENTINSTALL : 0) |
           (capabilities->RawDeviceOK ? DEVCAP_RAWDEVICEOK : 0) |
           (capabilities->SurpriseRemovalOK ? DEVCAP_SURPRISEREMOVALOK : 0) |
           (capabilities->HardwareDisabled ? DEVCAP_HARDWAREDISABLED : 0) |
           (capabilities->NonDynamic ? DEVCAP_NONDYNAMIC : 0);
}

static void set_list(struct cm_key *key, const char *name, char *const *list)
{
    unsigned count = 0;

    while (list != NULL && list[count] != NULL)
        count++;
    if (count != 0)
        cm_value_set_multi(key, name, (const char *const *)list, count);
    else
        cm_value_delete(key, name);
}

static void query_configuration(struct devnode *node)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_BUS_INFORMATION};
    ULONG_PTR information = 0;
    NTSTATUS status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);

    if (NT_SUCCESS(status) && information != 0) {
        node->bus = *(PPNP_BUS_INFORMATION)information;
        node->has_bus = true;
        ExFreePool((PVOID)information);
    }
    information = 0;
    stack = (IO_STACK_LOCATION){.MinorFunction = IRP_MN_QUERY_RESOURCES};
    status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);
    if (NT_SUCCESS(status) && information != 0) {
        node->boot = resources_copy((PCM_RESOURCE_LIST)information);
        ExFreePool((PVOID)information);
    }
    information = 0;
    stack = (IO_STACK_LOCATION){.MinorFunction = IRP_MN_QUERY_RESOURCE_REQUIREMENTS};
    status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);
    if (NT_SUCCESS(status) && information != 0) {
        node->requirements = requirements_copy((PIO_RESOURCE_REQUIREMENTS_LIST)information);
        ExFreePool((PVOID)information);
    }
}

static void write_configuration(const struct devnode *node, struct cm_key *key)
{
    struct cm_key *configuration = cm_key_create_at(key, "LogConf");

    if (node->boot != NULL)
        cm_value_set(configuration, "BootConfig", REG_RESOURCE_LIST, node->boot, resources_size(node->boot));
    if (node->requirements != NULL)
        cm_value_set(configuration, "BasicConfigVector", REG_RESOURCE_REQUIREMENTS_LIST, node->requirements,
                     node->requirements->ListSize);
}

void devnode_retry_duplicates(void)
{
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        if (node->problem != PROBLEM_DUPLICATE_DEVICE)
            continue;
        devnode_forget_identity(node);
        node->problem = PROBLEM_NONE;
        node->state = DEVNODE_UNINITIALIZED;
    }
}

void devnode_identify(struct devnode *node)
{
    struct cm_key *key;
    NTSTATUS status;
    char *text;

    node->state = DEVNODE_INITIALIZED;
    status = query_identity(node);
    if (!NT_SUCCESS(status)) {
        devnode_forget_identity(node);
        devnode_set_problem(node, PROBLEM_INVALID_DATA, status);
        return;
    }
    if (same_path_elsewhere(node)) {
        devnode_set_problem(node, PROBLEM_DUPLICATE_DEVICE, STATUS_DEVICE_ALREADY_ATTACHED);
        return;
    }
    key = devnode_key(node);
    set_list(key, "HardwareID", node->hardware_ids);
    set_list(key, "CompatibleIDs", node->compatible_ids);
    cm_value_set_dword(key, "Capabilities", capability_bits(&node->capabilities));
    if (node->capabilities.UINumber != 0xFFFFFFFF)
        cm_value_set_dword(key, "UINumber", node->capabilities.UINumber);
    if (node->capabilities.Address != 0xFFFFFFFF)
        cm_value_set_dword(key, "Address", node->capabilities.Address);

    text = query_text(node, DeviceTextDescription);
    if (text != NULL && cm_value_get(key, "DeviceDesc", NULL, NULL) == NULL)
        cm_value_set_string(key, "DeviceDesc", REG_SZ, text);
    image_free(text);
    text = query_text(node, DeviceTextLocationInformation);
    if (text != NULL)
        cm_value_set_string(key, "LocationInformation", REG_SZ, text);
    image_free(text);
    (void)query_single(node, BusQueryContainerID, &text);
    if (text != NULL)
        cm_value_set_string(key, "ContainerID", REG_SZ, text);
    else if (!node->capabilities.Removable) /* devices that are part of the computer share its container */
        cm_value_set_string(key, "ContainerID", REG_SZ, "{00000000-0000-0000-ffff-ffffffffffff}");
    image_free(text);
    query_configuration(node);
    write_configuration(node, key);
    (void)pnp_send_minor(node, IRP_MN_DEVICE_ENUMERATED); /* most bus drivers do not handle it */
    log_line(LOG_INFO, "pnp", "%s found", node->instance_path);
}
