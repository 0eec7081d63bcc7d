/*
 * The registry, as the drivers use it. All routines at PASSIVE_LEVEL. Names are wide, values come and go as ANSI text.
 *
 * What is read is checked: a value of another type gives STATUS_OBJECT_TYPE_MISMATCH, a name that is not there
 * STATUS_OBJECT_NAME_NOT_FOUND. Text is always NUL-terminated, lists always end with an empty string, whatever the
 * registry holds.
 */
#ifndef DRIVER_REGISTRY_H
#define DRIVER_REGISTRY_H

#include "compat.h"

/* Where service keys are, for a key of another service. */
#define REGISTRY_SERVICES L"\\Registry\\Machine\\SYSTEM\\CurrentControlSet\\Services\\"

/* Opens a key by its full path: DriverEntry's RegistryPath, or a constant. Closed by RegistryCloseKey. */
NTSTATUS RegistryOpenPath(_In_ PCUNICODE_STRING Path, _In_ ACCESS_MASK Access, _Out_ PHANDLE Key);

/* Opens, or creates with its missing parents, the key at Name below Parent. A NULL Parent: Name is a full path. */
NTSTATUS RegistryOpenKey(_In_opt_ HANDLE Parent, _In_ PCWSTR Name, _In_ ACCESS_MASK Access, _Out_ PHANDLE Key);
NTSTATUS RegistryCreateKey(_In_opt_ HANDLE Parent, _In_ PCWSTR Name, _In_ ACCESS_MASK Access, _Out_ PHANDLE Key);

/* A driver's own Parameters, for reading, made if they are not there; Service: DriverEntry's RegistryPath. */
NTSTATUS RegistryCreateParameters(_In_ PCUNICODE_STRING Service, _Out_ PHANDLE Key);

VOID RegistryCloseKey(_In_ HANDLE Key);

/* REG_DWORD. */
NTSTATUS RegistryQueryDword(_In_ HANDLE Key, _In_ PCWSTR Name, _Out_ PULONG Value);
NTSTATUS RegistryStoreDword(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ ULONG Value);

/* REG_SZ (or REG_EXPAND_SZ, not expanded). *Value is freed by RegistryFree. */
NTSTATUS RegistryQueryString(_In_ HANDLE Key, _In_ PCWSTR Name, _Outptr_ PSTR *Value);
NTSTATUS RegistryStoreString(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ PCSTR Value);

/* REG_MULTI_SZ, also a REG_SZ as a list of one; walked with TextListFirst. *List is freed by RegistryFree. */
NTSTATUS RegistryQueryMultiString(_In_ HANDLE Key, _In_ PCWSTR Name, _Outptr_ PSTR *List);

NTSTATUS RegistryDeleteValue(_In_ HANDLE Key, _In_ PCWSTR Name);

/* Frees text that a query returned. */
VOID RegistryFree(_In_ PSTR Text);

#endif /* DRIVER_REGISTRY_H */
