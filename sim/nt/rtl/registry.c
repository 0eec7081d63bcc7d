/*
 * Registry helpers on top of the Zw routines: the keys that RelativeTo stands for, RtlWriteRegistryValue,
 * RtlDeleteRegistryValue, RtlCheckRegistryKey, RtlCreateRegistryKey. RtlQueryRegistryValues is in registry_query.c. All
 * at PASSIVE_LEVEL.
 */
#include "nt/rtl/registry.h"

/* By RTL_REGISTRY_ number; the system process's current user is the local system account. */
static const WCHAR *const bases[RTL_REGISTRY_MAXIMUM] = {
    [RTL_REGISTRY_ABSOLUTE] = L"",
    [RTL_REGISTRY_SERVICES] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Services",
    [RTL_REGISTRY_CONTROL] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Control",
    [RTL_REGISTRY_WINDOWS_NT] = L"\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion",
    [RTL_REGISTRY_DEVICEMAP] = L"\\Registry\\Machine\\Hardware\\DeviceMap",
    [RTL_REGISTRY_USER] = L"\\Registry\\User\\.Default",
};

/* base\path in paged pool (tag RTL_REGISTRY_TAG), the path alone if the base is empty. */
static NTSTATUS join(ULONG base, PCWSTR path, PUNICODE_STRING name)
{
    size_t base_length = nt_wcslen(bases[base]), path_length = path != NULL ? nt_wcslen(path) : 0;
    size_t size = (base_length + 1 + path_length + 1) * sizeof(WCHAR);

    if (size > UNICODE_STRING_MAX_BYTES)
        return STATUS_NAME_TOO_LONG;
    name->Buffer = ExAllocatePoolWithTag(PagedPool, size, RTL_REGISTRY_TAG);
    if (name->Buffer == NULL)
        return STATUS_NO_MEMORY;
    nt_wcscpy(name->Buffer, bases[base]);
    if (base_length != 0 && path_length != 0 && path[0] != L'\\')
        nt_wcscat(name->Buffer, L"\\");
    if (path_length != 0)
        nt_wcscat(name->Buffer, path);
    name->Length = (USHORT)(nt_wcslen(name->Buffer) * sizeof(WCHAR));
    name->MaximumLength = (USHORT)size;
    return STATUS_SUCCESS;
}

NTSTATUS rtl_registry_open(ULONG relative_to, PCWSTR path, bool create, HANDLE *handle)
{
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    NTSTATUS status;

    relative_to &= ~RTL_REGISTRY_OPTIONAL;
    if ((relative_to & RTL_REGISTRY_HANDLE) != 0) {
        *handle = (HANDLE)(ULONG_PTR)path;
        return STATUS_SUCCESS;
    }
    if (relative_to >= RTL_REGISTRY_MAXIMUM)
        return STATUS_INVALID_PARAMETER;
    status = join(relative_to, path, &name);
    if (!NT_SUCCESS(status))
        return status;
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    if (create)
        status = ZwCreateKey(handle, KEY_READ | KEY_WRITE, &attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL);
    else
        status = ZwOpenKey(handle, KEY_READ | KEY_WRITE, &attributes);
    ExFreePoolWithTag(name.Buffer, RTL_REGISTRY_TAG);
    return status;
}

void rtl_registry_close(ULONG relative_to, HANDLE handle)
{
    if ((relative_to & RTL_REGISTRY_HANDLE) == 0)
        ZwClose(handle);
}

/* The key is made if only its last component is missing. */
NTSTATUS NTAPI RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName, ULONG ValueType, PVOID ValueData,
                                     ULONG ValueLength)
{
    UNICODE_STRING name;
    HANDLE key;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = rtl_registry_open(RelativeTo, Path, true, &key);
    if (!NT_SUCCESS(status))
        return status;
    RtlInitUnicodeString(&name, ValueName);
    status = ZwSetValueKey(key, &name, 0, ValueType, ValueData, ValueLength);
    rtl_registry_close(RelativeTo, key);
    return status;
}

NTSTATUS NTAPI RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName)
{
    UNICODE_STRING name;
    HANDLE key;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = rtl_registry_open(RelativeTo, Path, false, &key);
    if (!NT_SUCCESS(status))
        return status;
    RtlInitUnicodeString(&name, ValueName);
    status = ZwDeleteValueKey(key, &name);
    rtl_registry_close(RelativeTo, key);
    return status;
}

NTSTATUS NTAPI RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path)
{
    HANDLE key;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = rtl_registry_open(RelativeTo, Path, false, &key);
    if (NT_SUCCESS(status))
        rtl_registry_close(RelativeTo, key);
    return status;
}

NTSTATUS NTAPI RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path)
{
    HANDLE key;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = rtl_registry_open(RelativeTo, Path, true, &key);
    if (NT_SUCCESS(status))
        rtl_registry_close(RelativeTo, key);
    return status;
}
