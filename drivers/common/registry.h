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

VOID RegistryCloseKey(_In_ HANDLE Key);

/* Deletes the key at Name below Parent, which must have no subkeys. */
NTSTATUS RegistryDeleteKey(_In_ HANDLE Parent, _In_ PCWSTR Name);

/* REG_DWORD. */
NTSTATUS RegistryQueryDword(_In_ HANDLE Key, _In_ PCWSTR Name, _Out_ PULONG Value);
NTSTATUS RegistryStoreDword(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ ULONG Value);

/* REG_SZ (or REG_EXPAND_SZ, not expanded). *Value is freed by RegistryFree. */
NTSTATUS RegistryQueryString(_In_ HANDLE Key, _In_ PCWSTR Name, _Outptr_ PSTR *Value);
NTSTATUS RegistryStoreString(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ PCSTR Value);

/* REG_MULTI_SZ, also a REG_SZ as a list of one; walked with TextListFirst. *List is freed by RegistryFree. */
NTSTATUS RegistryQueryMultiString(_In_ HANDLE Key, _In_ PCWSTR Name, _Outptr_ PSTR *List);

/* REG_BINARY of at most Size bytes; *Length is how many. STATUS_BUFFER_TOO_SMALL: there are more. */
NTSTATUS RegistryQueryBinary(_In_ HANDLE Key, _In_ PCWSTR Name, _Out_writes_bytes_to_(Size, *Length) PVOID Buffer,
                             _In_ ULONG Size, _Out_ PULONG Length);

NTSTATUS RegistryDeleteValue(_In_ HANDLE Key, _In_ PCWSTR Name);

/* Frees text that a query returned. */
VOID RegistryFree(_In_ PSTR Text);

/*
 * Calls Function for each subkey of Key; stops at the first error and returns it. Name is valid during the call.
 * Function must not add or remove subkeys of Key.
 */
typedef NTSTATUS(NTAPI *REGISTRY_SUBKEY_FUNCTION)(_In_opt_ PVOID Context, _In_ HANDLE Key, _In_ PCWSTR Name);
NTSTATUS RegistryEnumerateSubKeys(_In_ HANDLE Key, _In_ REGISTRY_SUBKEY_FUNCTION Function, _In_opt_ PVOID Context);

/* Likewise for each value of Key, of which Type is the REG_ type. */
typedef NTSTATUS(NTAPI *REGISTRY_VALUE_FUNCTION)(_In_opt_ PVOID Context, _In_ HANDLE Key, _In_ PCWSTR Name,
                                                 _In_ ULONG Type);
NTSTATUS RegistryEnumerateValues(_In_ HANDLE Key, _In_ REGISTRY_VALUE_FUNCTION Function, _In_opt_ PVOID Context);

#endif /* DRIVER_REGISTRY_H */
