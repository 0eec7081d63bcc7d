/*
 * Network adapters: the values by which the class installer names an adapter in its software key (NetCfgInstanceId,
 * NetLuidIndex, *IfType), and the interface that it has while it is started. Its driver is asked for the addresses of
 * the card as NDIS passes such a question on, by IOCTL_NDIS_QUERY_GLOBAL_STATS.
 */
#include <ntddndis.h>
#include <string.h>

#include "nt/ex/pool.h"
#include "nt/netio/netio.h"
#include "nt/pnp/pnp_internal.h"

#define NET_CLASS "{4d36e972-e325-11ce-bfc1-08002be10318}"
#define IF_TYPE_ETHERNET 6u
#define TAG POOL_TAG('N', 'd', 'i', 's')
#define FIRST_LUID_INDEX 0x8000u /* those below are for interfaces of NDIS's own */

/* NULL: it is no network adapter, or none that a driver was installed for. */
static struct cm_key *software_key(const struct devnode *node)
{
    char *driver = cm_value_get_string(devnode_key(node), "Driver");
    struct cm_key *key = NULL;

    if (driver != NULL && _strnicmp(driver, NET_CLASS "\\", strlen(NET_CLASS) + 1) == 0) {
        char *path = image_printf("%s\\%s", CM_CLASS, driver);

        key = cm_key_open(path);
        image_free(path);
    }
    image_free(driver);
    return key;
}

static bool luid_index_taken(const struct cm_key *class, ULONG index)
{
    const struct cm_key *adapter;
    ULONG other;

    for (unsigned i = 0; (adapter = cm_key_child(class, i)) != NULL; i++)
        if (cm_value_get_dword(adapter, "NetLuidIndex", &other) && other == index)
            return true;
    return false;
}

void net_class_install(const struct devnode *node)
{
    struct cm_key *key = software_key(node);
    ULONG index = FIRST_LUID_INDEX;
    GUID guid;
    char *name;

    if (key == NULL || cm_value_get(key, "NetCfgInstanceId", NULL, NULL) != NULL) /* a new driver, the adapter stays */
        return;
    (void)ExUuidCreate(&guid);
    name = image_printf("{%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X}", (unsigned)guid.Data1, guid.Data2,
                        guid.Data3, guid.Data4[0], guid.Data4[1], guid.Data4[2], guid.Data4[3], guid.Data4[4],
                        guid.Data4[5], guid.Data4[6], guid.Data4[7]);
    cm_value_set_string(key, "NetCfgInstanceId", REG_SZ, name);
    image_free(name);
    while (luid_index_taken(cm_key_open(CM_CLASS "\\" NET_CLASS), index))
        index++;
    cm_value_set_dword(key, "NetLuidIndex", index);
    cm_value_set_dword(key, "*IfType", IF_TYPE_ETHERNET);
}

/* Sends one question to the top of the adapter's stack, as of an open file. The buffer is locked in memory. */
static bool ask(PDEVICE_OBJECT top, PFILE_OBJECT file, ULONG oid, void *buffer, ULONG length)
{
    IO_STATUS_BLOCK block = {.Information = 0};
    NTSTATUS status;
    KEVENT event;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(IOCTL_NDIS_QUERY_GLOBAL_STATS, top, &oid, sizeof(oid), buffer, length, FALSE,
                                        &event, &block);
    if (irp == NULL)
        return false;
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    status = IoCallDriver(top, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        status = block.Status;
    }
    return NT_SUCCESS(status) && block.Information == length;
}

/* The adapter's stack, opened by the name of its device; the caller dereferences the file. */
static bool open_adapter(PDEVICE_OBJECT pdo, PFILE_OBJECT *file, PDEVICE_OBJECT *top)
{
    UNICODE_STRING name;
    WCHAR text[128];
    ULONG length;

    if (!NT_SUCCESS(IoGetDeviceProperty(pdo, DevicePropertyPhysicalDeviceObjectName, sizeof(text), text, &length)))
        return false;
    RtlInitUnicodeString(&name, text);
    return NT_SUCCESS(IoGetDeviceObjectPointer(&name, FILE_READ_DATA, file, top));
}

/* An adapter whose driver answers one of the two questions only, or does not let itself be opened, has no addresses. */
static struct netio_physical ask_for_addresses(PDEVICE_OBJECT pdo)
{
    struct netio_physical physical = {.length = 0};
    PDEVICE_OBJECT top;
    PFILE_OBJECT file;
    UCHAR *buffer;

    if (!open_adapter(pdo, &file, &top))
        return physical;
    buffer = pool_allocate(NonPagedPoolNx, sizeof(physical.current), TAG, __builtin_return_address(0));
    if (buffer != NULL && ask(top, file, OID_802_3_CURRENT_ADDRESS, buffer, sizeof(physical.current))) {
        memcpy(physical.current, buffer, sizeof(physical.current));
        if (ask(top, file, OID_802_3_PERMANENT_ADDRESS, buffer, sizeof(physical.permanent))) {
            memcpy(physical.permanent, buffer, sizeof(physical.permanent));
            physical.length = sizeof(physical.current);
        }
    }
    if (buffer != NULL)
        ExFreePoolWithTag(buffer, TAG);
    ObDereferenceObject(file);
    return physical;
}

void net_class_started(const struct devnode *node)
{
    const struct cm_key *key = software_key(node);

    if (key != NULL && node->service != NULL) {
        struct netio_physical physical = ask_for_addresses(node->pdo);

        netio_adapter_started(node->pdo, key, &physical);
    }
}

void net_class_gone(const struct devnode *node)
{
    netio_adapter_gone(node->pdo);
}
