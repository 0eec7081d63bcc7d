/*
 * A device's registry keys and properties: IoOpenDeviceRegistryKey, IoOpenDriverRegistryKey, IoGetDeviceProperty
 * (wdm.h).
 */
#include <string.h>

#include "nt/cm/cm.h"
#include "nt/io/io_internal.h"
#include "nt/pnp/pnp.h"

static struct cm_key *enum_key(const struct devnode *node)
{
    char *path = image_printf("%s\\%s", CM_ENUM, pnp_instance_path(node));
    struct cm_key *key = cm_key_open(path);

    image_free(path);
    return key;
}

/* Control\Class\{guid}\<nnnn>, NULL before the device is installed. */
static struct cm_key *software_key(struct cm_key *device)
{
    char *driver = cm_value_get_string(device, "Driver");
    struct cm_key *key = NULL;
    char *path;

    if (driver == NULL)
        return NULL;
    path = image_printf("%s\\%s", CM_CLASS, driver);
    key = cm_key_open(path);
    image_free(path);
    image_free(driver);
    return key;
}

/* The same key below the current hardware profile, made when it is first opened there. */
static struct cm_key *profile_key(const struct devnode *node, struct cm_key *device, ULONG type)
{
    char *driver = NULL;
    struct cm_key *key;
    char *path;

    if (type == PLUGPLAY_REGKEY_DRIVER) {
        driver = cm_value_get_string(device, "Driver");
        if (driver == NULL)
            return NULL;
        path = image_printf("%s\\Control\\Class\\%s", CM_CURRENT_PROFILE, driver);
    } else {
        path = image_printf("%s\\Enum\\%s\\Device Parameters", CM_CURRENT_PROFILE, pnp_instance_path(node));
    }
    key = cm_key_create(path);
    image_free(path);
    image_free(driver);
    return key;
}

NTSTATUS NTAPI IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG DevInstKeyType, ACCESS_MASK DesiredAccess,
                                       PHANDLE DeviceRegKey)
{
    ULONG type = DevInstKeyType & ~(ULONG)PLUGPLAY_REGKEY_CURRENT_HWPROFILE;
    const struct devnode *node;
    struct cm_key *key;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    (void)DesiredAccess; /* kernel callers are granted what they ask for */
    node = pnp_require_pdo(DeviceObject, __func__);
    if (type != PLUGPLAY_REGKEY_DEVICE && type != PLUGPLAY_REGKEY_DRIVER)
        return STATUS_INVALID_PARAMETER;
    key = enum_key(node);
    if (key == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (DevInstKeyType & PLUGPLAY_REGKEY_CURRENT_HWPROFILE)
        key = profile_key(node, key, type);
    else
        key = type == PLUGPLAY_REGKEY_DEVICE ? cm_key_create_at(key, "Device Parameters") : software_key(key);
    if (key == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    return cm_key_handle(key, DeviceRegKey);
}

NTSTATUS NTAPI IoOpenDriverRegistryKey(PDRIVER_OBJECT DriverObject, DRIVER_REGKEY_TYPE RegKeyType,
                                       ACCESS_MASK DesiredAccess, ULONG Flags, PHANDLE DriverRegKey)
{
    /* Where the two for state are, the documentation does not say; that they are there for every driver, it does. */
    static const char *const names[] = {[DriverRegKeyParameters] = "Parameters",
                                        [DriverRegKeyPersistentState] = "PersistentState",
                                        [DriverRegKeySharedPersistentState] = "SharedPersistentState"};
    struct cm_key *key;
    char *path;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    (void)DesiredAccess;
    if (Flags != 0)
        return STATUS_INVALID_PARAMETER;
    if ((ULONG)RegKeyType >= ARRAYSIZE(names))
        return STATUS_INVALID_PARAMETER;
    path = image_printf("%s\\%s\\%s", CM_SERVICES, io_driver_name(DriverObject), names[RegKeyType]);
    key = cm_key_create(path);
    image_free(path);
    return cm_key_handle(key, DriverRegKey);
}

/* ---- properties ---- */

static NTSTATUS give(const void *data, size_t size, ULONG length, PVOID buffer, PULONG result)
{
    *result = (ULONG)size;
    if (size > length)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(buffer, data, size);
    return STATUS_SUCCESS;
}

static NTSTATUS give_string(const char *string, ULONG length, PVOID buffer, PULONG result)
{
    size_t characters;
    WCHAR *wide = cm_utf16_from_utf8(string, &characters);
    NTSTATUS status = give(wide, (characters + 1) * sizeof(WCHAR), length, buffer, result);

    image_free(wide);
    return status;
}

static NTSTATUS give_value(const struct cm_key *key, const char *name, ULONG length, PVOID buffer, PULONG result)
{
    const void *data;
    size_t size;
    ULONG type;

    data = key != NULL ? cm_value_get(key, name, &type, &size) : NULL;
    *result = 0;
    if (data == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    return give(data, size, length, buffer, result);
}

/* Names shown to people may be kept as "@oem0.inf,%token%;text". */
static NTSTATUS give_text(const struct cm_key *key, const char *name, ULONG length, PVOID buffer, PULONG result)
{
    char *value = cm_value_get_string(key, name);
    const char *text = value;
    NTSTATUS status;

    *result = 0;
    if (value == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (value[0] == '@' && strchr(value, ';') != NULL)
        text = strchr(value, ';') + 1;
    status = give_string(text, length, buffer, result);
    image_free(value);
    return status;
}

/* The name of the setup class is a value of the class's key. */
static NTSTATUS give_class_name(const struct cm_key *device, ULONG length, PVOID buffer, PULONG result)
{
    char *guid = cm_value_get_string(device, "ClassGUID");
    const struct cm_key *class = NULL;
    char *path;

    *result = 0;
    if (guid != NULL) {
        path = image_printf("%s\\%s", CM_CLASS, guid);
        class = cm_key_open(path);
        image_free(path);
        image_free(guid);
    }
    return class != NULL ? give_text(class, "Class", length, buffer, result) : STATUS_OBJECT_NAME_NOT_FOUND;
}

static NTSTATUS give_object_name(PDEVICE_OBJECT device, ULONG length, PVOID buffer, PULONG result)
{
    *result = 0;
    if (ob_name(device) == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    return give_string(ob_name(device), length, buffer, result);
}

static NTSTATUS give_enumerator(const struct devnode *node, ULONG length, PVOID buffer, PULONG result)
{
    char *enumerator = image_strdup(pnp_instance_path(node));
    NTSTATUS status;

    *strchr(enumerator, '\\') = 0;
    status = give_string(enumerator, length, buffer, result);
    image_free(enumerator);
    return status;
}

static NTSTATUS give_boot_translated(const struct devnode *node, ULONG length, PVOID buffer, PULONG result)
{
    size_t size;
    PCM_RESOURCE_LIST list = pnp_translate_boot_resources(node, &size);
    NTSTATUS status;

    *result = 0;
    if (list == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    status = give(list, size, length, buffer, result);
    image_free(list);
    return status;
}

NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, DEVICE_REGISTRY_PROPERTY DeviceProperty,
                                   ULONG BufferLength, PVOID PropertyBuffer, PULONG ResultLength)
{
    const PNP_BUS_INFORMATION *bus;
    DEVICE_REMOVAL_POLICY policy;
    DEVICE_INSTALL_STATE install;
    const DEVICE_CAPABILITIES *capabilities;
    const struct devnode *node;
    struct cm_key *key;
    char *driver;

    NT_CALL(PASSIVE_LEVEL);
    node = pnp_require_pdo(DeviceObject, __func__);
    key = enum_key(node);
    *ResultLength = 0;
    if (key == NULL)
        return STATUS_INVALID_DEVICE_REQUEST;
    bus = pnp_bus_information(node);
    switch (DeviceProperty) {
    case DevicePropertyDeviceDescription:
        return give_text(key, "DeviceDesc", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyHardwareID:
        return give_value(key, "HardwareID", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyCompatibleIDs:
        return give_value(key, "CompatibleIDs", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBootConfiguration:
        return give_value(cm_key_open_at(key, "LogConf"), "BootConfig", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyClassName:
        return give_class_name(key, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyClassGuid:
        return give_value(key, "ClassGUID", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyDriverKeyName:
        return give_value(key, "Driver", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyManufacturer:
        return give_text(key, "Mfg", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyFriendlyName:
        return give_text(key, "FriendlyName", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyLocationInformation:
        return give_text(key, "LocationInformation", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyPhysicalDeviceObjectName:
        return give_object_name(DeviceObject, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBusTypeGuid:
        if (bus == NULL)
            return STATUS_OBJECT_NAME_NOT_FOUND;
        return give(&bus->BusTypeGuid, sizeof(bus->BusTypeGuid), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyLegacyBusType:
        if (bus == NULL)
            return STATUS_OBJECT_NAME_NOT_FOUND;
        return give(&bus->LegacyBusType, sizeof(bus->LegacyBusType), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBusNumber:
        if (bus == NULL)
            return STATUS_OBJECT_NAME_NOT_FOUND;
        return give(&bus->BusNumber, sizeof(bus->BusNumber), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyEnumeratorName:
        return give_enumerator(node, BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyAddress:
        return give_value(key, "Address", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyUINumber:
        return give_value(key, "UINumber", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyInstallState:
        driver = cm_value_get_string(key, "Driver");
        install = driver != NULL ? InstallStateInstalled : InstallStateNeedsReinstall;
        image_free(driver);
        return give(&install, sizeof(install), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyRemovalPolicy:
        capabilities = pnp_capabilities(node);
        policy = !capabilities->Removable          ? RemovalPolicyExpectNoRemoval
                 : capabilities->SurpriseRemovalOK ? RemovalPolicyExpectSurpriseRemoval
                                                   : RemovalPolicyExpectOrderlyRemoval;
        return give(&policy, sizeof(policy), BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyResourceRequirements:
        return give_value(cm_key_open_at(key, "LogConf"), "BasicConfigVector", BufferLength, PropertyBuffer,
                          ResultLength);
    case DevicePropertyAllocatedResources:
        return give_value(cm_key_open_at(key, "Control"), "AllocConfig", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyContainerID:
        return give_value(key, "ContainerID", BufferLength, PropertyBuffer, ResultLength);
    case DevicePropertyBootConfigurationTranslated:
        return give_boot_translated(node, BufferLength, PropertyBuffer, ResultLength);
    }
    return STATUS_INVALID_PARAMETER_2;
}
