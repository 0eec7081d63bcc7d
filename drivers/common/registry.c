#include "registry.h"
#include "pool.h"
#include "text.h"

#define REGISTRY_TAG POOL_TAG('D', 'r', 'e', 'g')

/* A value or name can change between asking for its size and reading it; after so many times it is an error. */
#define REGISTRY_ATTEMPTS 4

/* The text of a counted string has a 16-bit length in bytes, and an ANSI character takes up to two bytes. */
#define REGISTRY_MAXIMUM_WIDE_BYTES 0x7FF0

PAGED_FUNCTION static NTSTATUS RegistryOpen(_In_opt_ HANDLE Parent, _In_ PCUNICODE_STRING Name, _In_ ACCESS_MASK Access,
                                            _Out_ PHANDLE Key)
{
    OBJECT_ATTRIBUTES Attributes;

    InitializeObjectAttributes(&Attributes, (PUNICODE_STRING)Name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Parent,
                               NULL);

    return ZwOpenKey(Key, Access, &Attributes);
}

PAGED_FUNCTION NTSTATUS RegistryOpenPath(_In_ PCUNICODE_STRING Path, _In_ ACCESS_MASK Access, _Out_ PHANDLE Key)
{
    PAGED_CODE();

    return RegistryOpen(NULL, Path, Access, Key);
}

PAGED_FUNCTION NTSTATUS RegistryOpenKey(_In_opt_ HANDLE Parent, _In_ PCWSTR Name, _In_ ACCESS_MASK Access,
                                        _Out_ PHANDLE Key)
{
    UNICODE_STRING String;

    PAGED_CODE();

    RtlInitUnicodeString(&String, Name);

    return RegistryOpen(Parent, &String, Access, Key);
}

/* ZwCreateKey makes the last component only: the ones before it are made one after the other. */
PAGED_FUNCTION NTSTATUS RegistryCreateKey(_In_opt_ HANDLE Parent, _In_ PCWSTR Name, _In_ ACCESS_MASK Access,
                                          _Out_ PHANDLE Key)
{
    UNICODE_STRING Whole;
    UNICODE_STRING Part;
    OBJECT_ATTRIBUTES Attributes;
    NTSTATUS Status;
    USHORT Index;

    PAGED_CODE();

    RtlInitUnicodeString(&Whole, Name);

    InitializeObjectAttributes(&Attributes, &Part, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Parent, NULL);

    Part = Whole;
    Status = ZwCreateKey(Key, Access, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL);
    if (Status != STATUS_OBJECT_NAME_NOT_FOUND)
        return Status;

    for (Index = 1; Index < Whole.Length / sizeof(WCHAR); Index++) {
        HANDLE Ancestor;

        if (Name[Index] != L'\\')
            continue;

        Part.Length = (USHORT)(Index * sizeof(WCHAR));
        Status = RegistryOpen(Parent, &Part, KEY_READ, &Ancestor);
        if (Status == STATUS_OBJECT_NAME_NOT_FOUND)
            Status = ZwCreateKey(&Ancestor, KEY_READ, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL);
        if (NT_SUCCESS(Status))
            RegistryCloseKey(Ancestor);
    }

    Part = Whole;

    return ZwCreateKey(Key, Access, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL);
}

PAGED_FUNCTION NTSTATUS RegistryCreateParameters(_In_ PCUNICODE_STRING Service, _Out_ PHANDLE Key)
{
    HANDLE ServiceKey;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryOpenPath(Service, KEY_READ | KEY_WRITE, &ServiceKey);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = RegistryCreateKey(ServiceKey, L"Parameters", KEY_READ, Key);
    RegistryCloseKey(ServiceKey);

    return Status;
}

PAGED_FUNCTION VOID RegistryCloseKey(_In_ HANDLE Key)
{
    PAGED_CODE();

    (VOID) ZwClose(Key);
}

/* Reads a value of whatever type into pool; freed with PoolFree under REGISTRY_TAG. */
PAGED_FUNCTION static NTSTATUS RegistryQueryValue(_In_ HANDLE Key, _In_ PCWSTR Name,
                                                  _Outptr_ PKEY_VALUE_PARTIAL_INFORMATION *Information)
{
    UNICODE_STRING String;
    ULONG Attempt;
    ULONG Size;
    NTSTATUS Status;

    RtlInitUnicodeString(&String, Name);

    Size = FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data) + sizeof(ULONG);
    Status = STATUS_UNSUCCESSFUL;

    for (Attempt = 0; Attempt < REGISTRY_ATTEMPTS; Attempt++) {
        PKEY_VALUE_PARTIAL_INFORMATION Buffer;
        ULONG Needed;

        Buffer = PoolAllocate(Size, REGISTRY_TAG);
        if (Buffer == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;

        Needed = 0;
        Status = ZwQueryValueKey(Key, &String, KeyValuePartialInformation, Buffer, Size, &Needed);
        if (NT_SUCCESS(Status)) {
            *Information = Buffer;
            return STATUS_SUCCESS;
        }

        PoolFree(Buffer, REGISTRY_TAG);

        if (Status != STATUS_BUFFER_OVERFLOW && Status != STATUS_BUFFER_TOO_SMALL)
            return Status;

        Size = Needed;
    }

    return Status;
}

PAGED_FUNCTION static NTSTATUS RegistryStoreValue(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ ULONG Type,
                                                  _In_reads_bytes_(Size) PVOID Data, _In_ ULONG Size)
{
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Name);

    return ZwSetValueKey(Key, &String, 0, Type, Data, Size);
}

PAGED_FUNCTION NTSTATUS RegistryQueryDword(_In_ HANDLE Key, _In_ PCWSTR Name, _Out_ PULONG Value)
{
    PKEY_VALUE_PARTIAL_INFORMATION Information;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryQueryValue(Key, Name, &Information);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Information->Type == REG_DWORD && Information->DataLength == sizeof(ULONG))
        RtlCopyMemory(Value, Information->Data, sizeof(ULONG));
    else
        Status = STATUS_OBJECT_TYPE_MISMATCH;

    PoolFree(Information, REGISTRY_TAG);

    return Status;
}

PAGED_FUNCTION NTSTATUS RegistryStoreDword(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ ULONG Value)
{
    PAGED_CODE();

    return RegistryStoreValue(Key, Name, REG_DWORD, &Value, sizeof(Value));
}

/* Wide text of Bytes bytes as ANSI, closed by two NULs more than it has itself. Freed by RegistryFree. */
PAGED_FUNCTION static NTSTATUS RegistryNarrow(_In_reads_bytes_(Bytes) PVOID Wide, _In_ ULONG Bytes, _Outptr_ PSTR *Text)
{
    UNICODE_STRING Unicode;
    ANSI_STRING Ansi;
    NTSTATUS Status;

    if (Bytes > REGISTRY_MAXIMUM_WIDE_BYTES)
        return STATUS_BUFFER_OVERFLOW;

    Unicode.Buffer = Wide;
    Unicode.Length = (USHORT)(Bytes & ~(ULONG)(sizeof(WCHAR) - 1));
    Unicode.MaximumLength = Unicode.Length;

    Ansi.Length = 0;
    Ansi.MaximumLength = (USHORT)(Unicode.Length + 1);
    Ansi.Buffer = PoolAllocate((SIZE_T)Ansi.MaximumLength + 1, REGISTRY_TAG);
    if (Ansi.Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = RtlUnicodeStringToAnsiString(&Ansi, &Unicode, FALSE);
    if (!NT_SUCCESS(Status)) {
        PoolFree(Ansi.Buffer, REGISTRY_TAG);
        return Status;
    }

    *Text = Ansi.Buffer;

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS RegistryQueryString(_In_ HANDLE Key, _In_ PCWSTR Name, _Outptr_ PSTR *Value)
{
    PKEY_VALUE_PARTIAL_INFORMATION Information;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryQueryValue(Key, Name, &Information);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Information->Type == REG_SZ || Information->Type == REG_EXPAND_SZ)
        Status = RegistryNarrow(Information->Data, Information->DataLength, Value);
    else
        Status = STATUS_OBJECT_TYPE_MISMATCH;

    PoolFree(Information, REGISTRY_TAG);

    return Status;
}

PAGED_FUNCTION NTSTATUS RegistryStoreString(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ PCSTR Value)
{
    ANSI_STRING Ansi;
    UNICODE_STRING Unicode;
    SIZE_T Length;
    NTSTATUS Status;

    PAGED_CODE();

    Length = TextLength(Value, (SIZE_T)-1);
    if (Length > REGISTRY_MAXIMUM_WIDE_BYTES / sizeof(WCHAR))
        return STATUS_BUFFER_OVERFLOW;

    RtlInitAnsiString(&Ansi, Value);

    Unicode.Length = 0;
    Unicode.MaximumLength = (USHORT)((Length + 1) * sizeof(WCHAR));
    Unicode.Buffer = PoolAllocate(Unicode.MaximumLength, REGISTRY_TAG);
    if (Unicode.Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = RtlAnsiStringToUnicodeString(&Unicode, &Ansi, FALSE);
    if (NT_SUCCESS(Status))
        Status = RegistryStoreValue(Key, Name, REG_SZ, Unicode.Buffer, Unicode.Length + (ULONG)sizeof(WCHAR));

    PoolFree(Unicode.Buffer, REGISTRY_TAG);

    return Status;
}

PAGED_FUNCTION NTSTATUS RegistryQueryMultiString(_In_ HANDLE Key, _In_ PCWSTR Name, _Outptr_ PSTR *List)
{
    PKEY_VALUE_PARTIAL_INFORMATION Information;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryQueryValue(Key, Name, &Information);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Information->Type == REG_MULTI_SZ || Information->Type == REG_SZ)
        Status = RegistryNarrow(Information->Data, Information->DataLength, List);
    else
        Status = STATUS_OBJECT_TYPE_MISMATCH;

    PoolFree(Information, REGISTRY_TAG);

    return Status;
}

PAGED_FUNCTION NTSTATUS RegistryDeleteValue(_In_ HANDLE Key, _In_ PCWSTR Name)
{
    UNICODE_STRING String;

    PAGED_CODE();

    RtlInitUnicodeString(&String, Name);

    return ZwDeleteValueKey(Key, &String);
}

VOID RegistryFree(_In_ PSTR Text)
{
    PoolFree(Text, REGISTRY_TAG);
}
