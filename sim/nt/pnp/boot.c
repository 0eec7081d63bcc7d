/*
 * Power-on: the root of the device tree and the boot-start drivers, initialised in the order of ServiceGroupOrder, then
 * of GroupOrderList's tags, then of their services ("Specifying driver load order").
 */
#include <string.h>

#include "nt/pnp/pnp_internal.h"

#define SERVICE_BOOT_START 0u
#define SERVICE_KERNEL_DRIVER 1u

/* Groups of a Windows installation that come before all others, in their order. */
static const char *const group_order[] = {
    "System Reserved",
    "EMS",
    "WdfLoadGroup",
    "Boot Bus Extender",
    "System Bus Extender",
    "SCSI miniport",
    "Port",
    "Primary Disk",
    "SCSI Class",
    "SCSI CDROM Class",
    "FSFilter Infrastructure",
    "FSFilter System",
    "FSFilter Bottom",
    "FSFilter Copy Protection",
    "FSFilter Top",
    "Filter",
    "Boot File System",
    "Base",
    "Pointer Port",
    "Keyboard Port",
    "Pointer Class",
    "Keyboard Class",
    "Video Init",
    "Video",
    "Video Save",
    "File System",
    "Streams Drivers",
    "NDIS Wrapper",
    "COM Infrastructure",
    "Event Log",
    "AudioGroup",
    "ProfSvc_Group",
    "UIGroup",
    "MS_WindowsLocalValidation",
    "PlugPlay",
    "Cryptography",
    "PNP_TDI",
    "NDIS",
    "TDI",
    "iSCSI",
    "NetBIOSGroup",
    "ShellSvcGroup",
    "SchedulerGroup",
    "SpoolerGroup",
    "SmartCardGroup",
    "NetworkProvider",
    "MS_WindowsRemoteValidation",
    "NetDDEGroup",
    "Parallel arbitrator",
    "Extended Base",
    "PCI Configuration",
    "MS Transactions",
};

static struct cm_key *control_key(const char *name)
{
    char *path = image_printf("%s\\%s", CM_CONTROL, name);
    struct cm_key *key = cm_key_create(path);

    image_free(path);
    return key;
}

static void write_group_order(void)
{
    struct cm_key *key = control_key("ServiceGroupOrder");

    if (cm_value_get(key, "List", NULL, NULL) == NULL)
        cm_value_set_multi(key, "List", group_order, RTL_NUMBER_OF(group_order));
}

/* Position of a group in the list; groups that are not in it come behind, services without a group last. */
static unsigned group_position(const struct cm_key *service)
{
    struct cm_key *key = control_key("ServiceGroupOrder");
    char *group = cm_value_get_string(service, "Group");
    unsigned position = 0;
    char *name;

    if (group == NULL)
        return MAXULONG;
    while ((name = cm_value_get_multi(key, "List", position)) != NULL) {
        bool same = _stricmp(name, group) == 0;

        image_free(name);
        if (same)
            break;
        position++;
    }
    image_free(group);
    return position;
}

/* Position of the service's tag in its group's vector; a tag that is not in it, or none, comes behind. */
static unsigned tag_position(const struct cm_key *service)
{
    struct cm_key *key = control_key("GroupOrderList");
    char *group = cm_value_get_string(service, "Group");
    unsigned position = MAXULONG - 1;
    const ULONG *vector = NULL;
    size_t size = 0;
    ULONG type;
    ULONG tag;

    if (group != NULL)
        vector = cm_value_get(key, group, &type, &size);
    image_free(group);
    if (!cm_value_get_dword(service, "Tag", &tag))
        return MAXULONG;
    /* Number of tags, then the tags in their order. */
    for (size_t i = 1; vector != NULL && i < size / sizeof(*vector) && i <= vector[0]; i++) {
        if (vector[i] == tag && position == MAXULONG - 1)
            position = (unsigned)i;
    }
    return position;
}

struct boot_service {
    const char *name;
    unsigned group;
    unsigned tag;
};

static bool earlier(const struct boot_service *a, const struct boot_service *b)
{
    return a->group != b->group ? a->group < b->group : a->tag < b->tag;
}

static bool is_boot_driver(const struct cm_key *service)
{
    ULONG start;
    ULONG type;

    return cm_value_get_dword(service, "Start", &start) && start == SERVICE_BOOT_START &&
           cm_value_get_dword(service, "Type", &type) && type == SERVICE_KERNEL_DRIVER;
}

static void create_root(void)
{
    PDRIVER_OBJECT driver;
    struct devnode *root;
    NTSTATUS status = pnp_load_driver("PnpManager", &driver);

    if (!NT_SUCCESS(status))
        fail("pnp-root", "the root bus cannot be made (status 0x%08x)", (unsigned)status);
    root = devnode_create(NULL, root_device(driver));
    root->device_id = image_strdup("HTREE\\ROOT");
    root->instance_id = image_strdup("0");
    root->instance_path = image_strdup("HTREE\\ROOT\\0");
    root->drivers[root->driver_count++] = driver; /* with the reference of pnp_load_driver() */
    root->state = DEVNODE_RESOURCES_ASSIGNED;     /* needs none; the worker starts it */
}

void pnp_start_boot_drivers(void)
{
    struct cm_key *services = cm_key_create(CM_SERVICES);
    struct boot_service *list = NULL;
    unsigned count = 0;
    struct cm_key *key;

    write_group_order();
    for (unsigned i = 0; (key = cm_key_child(services, i)) != NULL; i++) {
        struct boot_service service = {cm_key_name(key), group_position(key), tag_position(key)};
        unsigned at;

        if (!is_boot_driver(key))
            continue;
        list = image_realloc(list, (count + 1) * sizeof(*list));
        /* Equal ones stay in the order of their keys. */
        for (at = count; at > 0 && earlier(&service, &list[at - 1]); at--)
            list[at] = list[at - 1];
        list[at] = service;
        count++;
    }
    for (unsigned i = 0; i < count; i++) {
        PDRIVER_OBJECT driver;
        NTSTATUS status = pnp_load_driver(list[i].name, &driver);

        if (NT_SUCCESS(status))
            ob_dereference(driver); /* loaded until its last device goes, or the shutdown */
        else
            log_line(LOG_ERROR, "pnp", "boot driver %s did not load (status 0x%08x)", list[i].name, (unsigned)status);
    }
    image_free(list);
    create_root();
}
