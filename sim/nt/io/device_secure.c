/*
 * IoCreateDeviceSecure (wdmsec.h): a device object with the descriptor of an SDDL string, or with what the registry
 * holds for the device class: Control\Class\{guid}\Properties, values Security, DeviceType, DeviceCharacteristics,
 * Exclusive. Kernel callers are granted any access, so that the descriptor is kept and never asked here.
 */
#include <stdio.h>
#include <string.h>

#include "nt/cm/cm.h"
#include "nt/io/io_internal.h"
#include "nt/io/sddl.h"

#define DESCRIPTOR_MAX 4096u

static struct cm_key *class_properties(const GUID *class)
{
    char path[256];

    if (class == NULL)
        return NULL;
    snprintf(path, sizeof(path), "%s\\{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}\\Properties", CM_CLASS,
             class->Data1, class->Data2, class->Data3, class->Data4[0], class->Data4[1], class->Data4[2],
             class->Data4[3], class->Data4[4], class->Data4[5], class->Data4[6], class->Data4[7]);
    return cm_key_open(path);
}

NTSTATUS NTAPI IoCreateDeviceSecure(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
                                    DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive,
                                    PCUNICODE_STRING DefaultSDDLString, const GUID *DeviceClassGuid,
                                    PDEVICE_OBJECT *DeviceObject)
{
    ULONG descriptor[DESCRIPTOR_MAX / sizeof(ULONG)];
    const struct cm_key *class;
    const void *stored = NULL;
    size_t size = 0;
    ULONG exclusive = Exclusive;
    NTSTATUS status;
    char *text;

    NT_CALL(PASSIVE_LEVEL);
    *DeviceObject = NULL;
    text = cm_utf8_from_utf16(DefaultSDDLString->Buffer, DefaultSDDLString->Length / sizeof(WCHAR));
    size = sddl_parse(text, descriptor, sizeof(descriptor));
    image_free(text);
    if (size == 0)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    class = class_properties(DeviceClassGuid);
    if (class != NULL) {
        ULONG type;

        (void)cm_value_get_dword(class, "DeviceType", &DeviceType);
        (void)cm_value_get_dword(class, "DeviceCharacteristics", &DeviceCharacteristics);
        (void)cm_value_get_dword(class, "Exclusive", &exclusive);
        stored = cm_value_get(class, "Security", &type, &size);
    }
    status = IoCreateDevice(DriverObject, DeviceExtensionSize, DeviceName, DeviceType, DeviceCharacteristics,
                            exclusive != 0, DeviceObject);
    if (!NT_SUCCESS(status))
        return status;
    (*DeviceObject)->SecurityDescriptor = ExAllocatePoolWithTag(NonPagedPoolNx, size, IO_TAG_GENERAL);
    if ((*DeviceObject)->SecurityDescriptor == NULL) {
        IoDeleteDevice(*DeviceObject);
        *DeviceObject = NULL;
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    memcpy((*DeviceObject)->SecurityDescriptor, stored != NULL ? stored : descriptor, size);
    return STATUS_SUCCESS;
}
