/*
 * Device interfaces: IoRegisterDeviceInterface, IoSetDeviceInterfaceState, IoGetDeviceInterfaces,
 * IoOpenDeviceInterfaceRegistryKey (wdm.h). An active interface is a symbolic link to the physical device's name; its
 * keys are below Control\DeviceClasses as on Windows.
 */
#include <stdio.h>
#include <string.h>

#include <wdmguid.h>

#include "nt/cm/cm.h"
#include "nt/io/io_internal.h"
#include "nt/pnp/pnp.h"

#define INTERFACE_INCLUDE_NONACTIVE 1u
#define LINK_PREFIX "\\??\\"

struct interface {
    LIST_ENTRY entry;
    PDEVICE_OBJECT pdo;
    GUID class;
    char *link;  /* "\??\PCI#VEN_...#3&...#{guid}\reference" */
    bool wanted; /* by IoSetDeviceInterfaceState */
    bool active; /* wanted, and the device runs */
};

static void guid_text(const GUID *guid, char text[40])
{
    snprintf(text, 40, "{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", guid->Data1, guid->Data2, guid->Data3,
             guid->Data4[0], guid->Data4[1], guid->Data4[2], guid->Data4[3], guid->Data4[4], guid->Data4[5],
             guid->Data4[6], guid->Data4[7]);
}

static char *narrow(PCUNICODE_STRING string)
{
    return cm_utf8_from_utf16(string->Buffer, string->Length / sizeof(WCHAR));
}

static UNICODE_STRING widen(const char *string)
{
    UNICODE_STRING wide;
    size_t length;

    wide.Buffer = cm_utf16_from_utf8(string, &length);
    wide.Length = (USHORT)(length * sizeof(WCHAR));
    wide.MaximumLength = (USHORT)(wide.Length + sizeof(WCHAR));
    return wide;
}

static struct interface *find(const char *link)
{
    for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces; entry = entry->Flink) {
        struct interface *interface = CONTAINING_RECORD(entry, struct interface, entry);

        if (_stricmp(interface->link, link) == 0)
            return interface;
    }
    return NULL;
}

/* "\??\A#B#{guid}\ref" lies in DeviceClasses\{guid}\##?#A#B#{guid}\#ref. */
static struct cm_key *interface_key(const char *link)
{
    char *name = image_strdup(link);
    char *reference = strchr(name + strlen(LINK_PREFIX), '\\');
    char *guid;
    char *path;
    struct cm_key *key;

    if (reference != NULL)
        *reference++ = 0;
    guid = strrchr(name, '#');
    memcpy(name, "##?#", strlen(LINK_PREFIX));
    path = image_printf("%s\\DeviceClasses\\%s\\%s\\#%s", CM_CONTROL, guid != NULL ? guid + 1 : "", name,
                        reference != NULL ? reference : "");
    key = guid != NULL ? cm_key_create(path) : NULL;
    image_free(path);
    image_free(name);
    return key;
}

/* ---- activation ---- */

static NTSTATUS activate(struct interface *interface)
{
    UNICODE_STRING link;
    UNICODE_STRING target;
    NTSTATUS status;

    if (ob_name(interface->pdo) == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND; /* nothing that the link could lead to */
    link = widen(interface->link);
    target = widen(ob_name(interface->pdo));
    status = ob_symbolic_link_create(&link, &target);
    image_free(link.Buffer);
    image_free(target.Buffer);
    if (!NT_SUCCESS(status))
        return status;
    interface->active = true;
    cm_value_set_dword(cm_key_create_volatile_at(interface_key(interface->link), "Control"), "Linked", 1);
    notify_interface(&GUID_DEVICE_INTERFACE_ARRIVAL, &interface->class, interface->link);
    return STATUS_SUCCESS;
}

static void deactivate(struct interface *interface)
{
    UNICODE_STRING link = widen(interface->link);

    (void)ob_symbolic_link_delete(&link);
    image_free(link.Buffer);
    interface->active = false;
    cm_value_set_dword(cm_key_create_volatile_at(interface_key(interface->link), "Control"), "Linked", 0);
    notify_interface(&GUID_DEVICE_INTERFACE_REMOVAL, &interface->class, interface->link);
}

void io_interfaces_started(PDEVICE_OBJECT pdo)
{
    for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces; entry = entry->Flink) {
        struct interface *interface = CONTAINING_RECORD(entry, struct interface, entry);

        if (interface->pdo == pdo && interface->wanted && !interface->active && !NT_SUCCESS(activate(interface)))
            log_line(LOG_WARNING, "io", "interface %s cannot be enabled", interface->link);
    }
}

void io_interfaces_removed(PDEVICE_OBJECT pdo)
{
    for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces; entry = entry->Flink) {
        struct interface *interface = CONTAINING_RECORD(entry, struct interface, entry);

        if (interface->pdo != pdo)
            continue;
        interface->wanted = false;
        if (interface->active)
            deactivate(interface);
    }
}

void io_interfaces_forget(PDEVICE_OBJECT pdo)
{
    PLIST_ENTRY entry = machine->io->interfaces.Flink;

    io_interfaces_removed(pdo);
    while (entry != &machine->io->interfaces) {
        struct interface *interface = CONTAINING_RECORD(entry, struct interface, entry);

        entry = entry->Flink;
        if (interface->pdo != pdo)
            continue;
        RemoveEntryList(&interface->entry);
        image_free(interface->link);
        image_free(interface);
    }
}

void interface_for_each(const GUID *class, void (*visit)(void *context, const char *link), void *context)
{
    for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces; entry = entry->Flink) {
        const struct interface *interface = CONTAINING_RECORD(entry, struct interface, entry);

        if (interface->active && IsEqualGUID(&interface->class, class))
            visit(context, interface->link);
    }
}

/* ---- what drivers call ---- */

NTSTATUS NTAPI IoRegisterDeviceInterface(PDEVICE_OBJECT PhysicalDeviceObject, const GUID *InterfaceClassGuid,
                                         PUNICODE_STRING ReferenceString, PUNICODE_STRING SymbolicLinkName)
{
    const struct devnode *node;
    struct interface *interface;
    UNICODE_STRING wide;
    struct cm_key *key;
    char *reference = NULL;
    BOOLEAN created;
    char guid[40];
    char *path;
    char *link;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    node = pnp_node_of(PhysicalDeviceObject);
    if (node == NULL)
        return STATUS_INVALID_DEVICE_REQUEST; /* not enumerated (yet) */
    if (ReferenceString != NULL && ReferenceString->Length != 0) {
        reference = narrow(ReferenceString);
        if (strpbrk(reference, "\\/") != NULL) {
            image_free(reference);
            return STATUS_INVALID_PARAMETER;
        }
    }
    guid_text(InterfaceClassGuid, guid);
    path = image_strdup(pnp_instance_path(node));
    for (char *c = path; *c != 0; c++) {
        if (*c == '\\')
            *c = '#';
    }
    link = image_printf(LINK_PREFIX "%s#%s%s%s", path, guid, reference != NULL ? "\\" : "",
                        reference != NULL ? reference : "");
    image_free(path);
    image_free(reference);

    /* The caller frees it with RtlFreeUnicodeString(). */
    wide = widen(link);
    created = RtlCreateUnicodeString(SymbolicLinkName, wide.Buffer);
    image_free(wide.Buffer);
    if (!created) {
        image_free(link);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    if (find(link) != NULL) {
        image_free(link);
        return STATUS_SUCCESS;
    }
    interface = image_alloc(sizeof(*interface));
    interface->pdo = PhysicalDeviceObject;
    interface->class = *InterfaceClassGuid;
    interface->link = link;
    InsertTailList(&machine->io->interfaces, &interface->entry);
    key = interface_key(link);
    cm_value_set_string(key, "SymbolicLink", REG_SZ, link);
    cm_value_set_string(key, "DeviceInstance", REG_SZ, pnp_instance_path(node));
    return STATUS_SUCCESS;
}

static struct interface *find_named(const UNICODE_STRING *name)
{
    char *link = narrow(name);
    struct interface *interface = find(link);

    image_free(link);
    return interface;
}

NTSTATUS NTAPI IoSetDeviceInterfaceState(PUNICODE_STRING SymbolicLinkName, BOOLEAN Enable)
{
    struct interface *interface;

    NT_CALL(PASSIVE_LEVEL);
    interface = find_named(SymbolicLinkName);
    if (interface == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (Enable) {
        if (interface->wanted)
            return STATUS_OBJECT_NAME_EXISTS;
        interface->wanted = true;
        return pnp_is_started(interface->pdo) ? activate(interface) : STATUS_SUCCESS;
    }
    if (!interface->wanted)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    interface->wanted = false;
    if (interface->active)
        deactivate(interface);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoOpenDeviceInterfaceRegistryKey(PUNICODE_STRING SymbolicLinkName, ACCESS_MASK DesiredAccess,
                                                PHANDLE DeviceInterfaceRegKey)
{
    const struct interface *interface;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    (void)DesiredAccess; /* kernel callers are granted what they ask for */
    interface = find_named(SymbolicLinkName);
    if (interface == NULL)
        return STATUS_OBJECT_PATH_NOT_FOUND;
    return cm_key_handle(cm_key_create_at(interface_key(interface->link), "Device Parameters"), DeviceInterfaceRegKey);
}

/* What follows the class in a link: "\\reference", or nothing. */
static const char *reference_of(const char *link)
{
    const char *reference = strchr(link + strlen(LINK_PREFIX), '\\');

    return reference != NULL ? reference : "";
}

NTSTATUS NTAPI IoGetDeviceInterfaceAlias(PUNICODE_STRING SymbolicLinkName, const GUID *AliasInterfaceClassGuid,
                                         PUNICODE_STRING AliasSymbolicLinkName)
{
    const struct interface *interface;

    NT_CALL(PASSIVE_LEVEL);
    interface = find_named(SymbolicLinkName);
    if (interface == NULL)
        return STATUS_INVALID_HANDLE;
    for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces; entry = entry->Flink) {
        const struct interface *other = CONTAINING_RECORD(entry, struct interface, entry);
        UNICODE_STRING wide;
        BOOLEAN created;

        if (other->pdo != interface->pdo || !IsEqualGUID(&other->class, AliasInterfaceClassGuid) ||
            _stricmp(reference_of(other->link), reference_of(interface->link)) != 0)
            continue;
        wide = widen(other->link);
        created = RtlCreateUnicodeString(AliasSymbolicLinkName, wide.Buffer);
        image_free(wide.Buffer);
        return created ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI IoGetDeviceInterfaces(const GUID *InterfaceClassGuid, PDEVICE_OBJECT PhysicalDeviceObject, ULONG Flags,
                                     PZZWSTR *SymbolicLinkList)
{
    size_t characters = 1;
    WCHAR *block = NULL;
    WCHAR *to = NULL;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    /* Once to count, once to copy. */
    for (unsigned round = 0; round < 2; round++) {
        for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces;
             entry = entry->Flink) {
            const struct interface *interface = CONTAINING_RECORD(entry, struct interface, entry);

            if (!IsEqualGUID(&interface->class, InterfaceClassGuid) ||
                (PhysicalDeviceObject != NULL && interface->pdo != PhysicalDeviceObject) ||
                (!interface->active && !(Flags & INTERFACE_INCLUDE_NONACTIVE)))
                continue;
            if (round == 0) {
                characters += strlen(interface->link) + 1;
                continue;
            }
            for (const char *from = interface->link; *from != 0; from++)
                *to++ = (WCHAR)*from;
            *to++ = 0;
        }
        if (round == 0) {
            block = ExAllocatePoolWithTag(PagedPool, characters * sizeof(WCHAR), IO_TAG_GENERAL);
            if (block == NULL)
                return STATUS_INSUFFICIENT_RESOURCES;
            to = block;
        }
    }
    *to = 0;
    *SymbolicLinkList = block;
    return STATUS_SUCCESS;
}

void interface_census(struct census *census)
{
    for (PLIST_ENTRY entry = machine->io->interfaces.Flink; entry != &machine->io->interfaces; entry = entry->Flink)
        census_item(census, "device interface", 1, NULL, "%s", CONTAINING_RECORD(entry, struct interface, entry)->link);
}
