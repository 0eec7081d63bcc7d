/*
 * The package's configuration beyond the service's own key: which platform device is active, and requests for a reboot.
 */
#include "driver.h"
#include "log.h"
#include "pool.h"
#include "registry.h"
#include "text.h"

#define FILTER_PARAMETERS REGISTRY_SERVICES L"XENFILT\\Parameters"
#define MONITOR_SERVICE REGISTRY_SERVICES L"xenbus_monitor"
#define MONITOR_REQUEST L"Request\\"

/* Longest name of a module that may ask for a reboot. */
#define MODULE_NAME_CHARACTERS 64

static const PCWSTR ActiveDeviceValue = L"ActiveDeviceID";
static const PCWSTR ActiveInstanceValue = L"ActiveInstanceID";
static const PCWSTR ActiveLocationValue = L"ActiveLocationInformation";

/* TRUE for the vendor's own device, which wins over the platform device that stays beside it. */
static BOOLEAN IsVendorDevice(_In_ PCSTR DeviceId)
{
    static const CHAR Wanted[] = "DEV_C000";
    SIZE_T Index;

    for (; *DeviceId != '\0'; DeviceId++) {
        for (Index = 0; Index < sizeof(Wanted) - 1; Index++) {
            CHAR Character = DeviceId[Index];

            if (Character >= 'a' && Character <= 'z')
                Character = (CHAR)(Character - ('a' - 'A'));
            if (Character != Wanted[Index])
                break;
        }
        if (Index == sizeof(Wanted) - 1)
            return TRUE;
    }

    return FALSE;
}

PAGED_FUNCTION static NTSTATUS RecordActiveDevice(_In_ HANDLE Key, _In_ PCSTR DeviceId, _In_ PCSTR InstanceId,
                                                  _In_opt_ PCSTR Location)
{
    NTSTATUS Status;

    Status = RegistryStoreString(Key, ActiveDeviceValue, DeviceId);
    if (NT_SUCCESS(Status))
        Status = RegistryStoreString(Key, ActiveInstanceValue, InstanceId);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Location != NULL)
        return RegistryStoreString(Key, ActiveLocationValue, Location);

    Status = RegistryDeleteValue(Key, ActiveLocationValue);

    return (Status == STATUS_OBJECT_NAME_NOT_FOUND) ? STATUS_SUCCESS : Status;
}

/* TRUE if the record names a vendor device. */
PAGED_FUNCTION static BOOLEAN RecordIsVendorDevice(_In_ HANDLE Key)
{
    BOOLEAN Vendor;
    PSTR Recorded;
    NTSTATUS Status;

    Status = RegistryQueryString(Key, ActiveDeviceValue, &Recorded);
    if (!NT_SUCCESS(Status))
        return FALSE;

    Vendor = IsVendorDevice(Recorded);
    RegistryFree(Recorded);

    return Vendor;
}

/* Takes the record away. What stays of it is found by the next boot, which does the same. */
PAGED_FUNCTION static VOID ForgetActiveDevice(_In_ HANDLE Key)
{
    const PCWSTR Values[] = {ActiveDeviceValue, ActiveInstanceValue, ActiveLocationValue};
    NTSTATUS Status;
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(Values); Index++) {
        Status = RegistryDeleteValue(Key, Values[Index]);
        if (!NT_SUCCESS(Status) && Status != STATUS_OBJECT_NAME_NOT_FOUND)
            Warning("%ls is not deleted (%08x)", Values[Index], Status);
    }
}

/*
 * TRUE if a platform device has to leave the part to a vendor device: one that has come in this boot, or one that an
 * earlier boot has recorded. That one is waited for once: it is recorded again when it comes, and if it does not (the
 * guest has moved to a host without it), the next boot does not wait any more.
 */
PAGED_FUNCTION static BOOLEAN IsVendorDeviceAwaited(_Inout_ PXEN_ACTIVE_DEVICE Device, _In_ HANDLE Key)
{
    if (!Device->VendorDevice && RecordIsVendorDevice(Key)) {
        ForgetActiveDevice(Key);
        Device->VendorDevice = TRUE;
    }

    return Device->VendorDevice;
}

/* Takes the part for this boot. Called with the configuration held and the part free. */
PAGED_FUNCTION static NTSTATUS TakeActiveDevice(_Inout_ PXEN_ACTIVE_DEVICE Device, _In_ HANDLE Key, _In_ PCSTR DeviceId,
                                                _In_ PCSTR InstanceId, _In_opt_ PCSTR Location)
{
    NTSTATUS Status;

    Device->DeviceId = TextDuplicate(DeviceId, XEN_TAG);
    Device->InstanceId = TextDuplicate(InstanceId, XEN_TAG);

    Status = STATUS_INSUFFICIENT_RESOURCES;
    if (Device->DeviceId == NULL || Device->InstanceId == NULL)
        goto fail1;

    Status = RecordActiveDevice(Key, DeviceId, InstanceId, Location);
    if (!NT_SUCCESS(Status))
        goto fail1;

    return STATUS_SUCCESS;

fail1:
    Error("fail1 (%08x)", Status);
    if (Device->InstanceId != NULL)
        PoolFree(Device->InstanceId, XEN_TAG);
    if (Device->DeviceId != NULL)
        PoolFree(Device->DeviceId, XEN_TAG);
    Device->DeviceId = NULL;
    Device->InstanceId = NULL;

    return Status;
}

PAGED_FUNCTION NTSTATUS NTAPI XenActiveDeviceClaim(_In_ PCSTR DeviceId, _In_ PCSTR InstanceId,
                                                   _In_opt_ PCSTR LocationInformation, _Out_ PBOOLEAN Active)
{
    PXEN_ACTIVE_DEVICE Device = &XenGetContext()->ActiveDevice;
    HANDLE Key;
    NTSTATUS Status;

    PAGED_CODE();

    *Active = FALSE;
    ConfigurationAcquire();

    Status = RegistryCreateKey(NULL, FILTER_PARAMETERS, KEY_READ | KEY_WRITE, &Key);
    if (!NT_SUCCESS(Status))
        goto fail1;

    if (Device->DeviceId == NULL) {
        if (IsVendorDevice(DeviceId) || !IsVendorDeviceAwaited(Device, Key)) {
            Status = TakeActiveDevice(Device, Key, DeviceId, InstanceId, LocationInformation);
            if (!NT_SUCCESS(Status))
                goto fail2;
            *Active = TRUE;
        }
    } else if (TextEqual(Device->DeviceId, DeviceId, TRUE) && TextEqual(Device->InstanceId, InstanceId, TRUE)) {
        *Active = TRUE;
    } else if (IsVendorDevice(DeviceId) && !IsVendorDevice(Device->DeviceId)) {
        Status = RecordActiveDevice(Key, DeviceId, InstanceId, LocationInformation);
        if (!NT_SUCCESS(Status))
            goto fail2;
        Warning("%s takes over from %s at the next boot", DeviceId, Device->DeviceId);
    }

    if (IsVendorDevice(DeviceId))
        Device->VendorDevice = TRUE;

    Info("%s\\%s is %s", DeviceId, InstanceId, *Active ? "active" : "not active");

    RegistryCloseKey(Key);
    ConfigurationRelease();

    return STATUS_SUCCESS;

fail2:
    Error("fail2");
    RegistryCloseKey(Key);

fail1:
    Error("fail1 (%08x)", Status);
    ConfigurationRelease();

    return Status;
}

PAGED_FUNCTION VOID NTAPI XenActiveDeviceRelease(VOID)
{
    PXEN_ACTIVE_DEVICE Device = &XenGetContext()->ActiveDevice;

    PAGED_CODE();

    ConfigurationAcquire();

    if (Device->DeviceId != NULL) {
        PoolFree(Device->InstanceId, XEN_TAG);
        PoolFree(Device->DeviceId, XEN_TAG);
        Device->DeviceId = NULL;
        Device->InstanceId = NULL;
    }

    ConfigurationRelease();
}

/* The name of the key in which Module asks, below the monitor's service key. ASCII only. */
PAGED_FUNCTION static NTSTATUS RequestKeyName(_Out_writes_(Characters) PWSTR Name, _In_ SIZE_T Characters,
                                              _In_ PCSTR Module)
{
    static const WCHAR Prefix[] = MONITOR_REQUEST;
    SIZE_T Length = TextLength(Module, MODULE_NAME_CHARACTERS + 1);
    SIZE_T Index;

    if (Length == 0 || RTL_NUMBER_OF(Prefix) + Length > Characters)
        return STATUS_INVALID_PARAMETER;

    RtlCopyMemory(Name, Prefix, sizeof(Prefix));
    Name += RTL_NUMBER_OF(Prefix) - 1;

    for (Index = 0; Index < Length; Index++) {
        if ((UCHAR)Module[Index] < 0x20 || (UCHAR)Module[Index] > 0x7E || Module[Index] == '\\')
            return STATUS_INVALID_PARAMETER;
        Name[Index] = (WCHAR)Module[Index];
    }
    Name[Length] = L'\0';

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS NTAPI XenRequestReboot(_In_ PCSTR Module)
{
    WCHAR Name[RTL_NUMBER_OF(MONITOR_REQUEST) + MODULE_NAME_CHARACTERS];
    HANDLE Monitor;
    HANDLE Key;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RequestKeyName(Name, RTL_NUMBER_OF(Name), Module);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = RegistryOpenKey(NULL, MONITOR_SERVICE, KEY_READ | KEY_WRITE, &Monitor);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = RegistryCreateKey(Monitor, Name, KEY_READ | KEY_WRITE, &Key);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = RegistryStoreDword(Key, L"Reboot", 1);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Info("%s needs a reboot", Module);

    RegistryCloseKey(Key);
    RegistryCloseKey(Monitor);

    return STATUS_SUCCESS;

fail3:
    Error("fail3");
    RegistryCloseKey(Key);

fail2:
    Error("fail2");
    RegistryCloseKey(Monitor);

fail1:
    Error("fail1 (%s, %08x)", Module, Status);

    return Status;
}
