/* Counted strings: initialise, copy, compare, append, case, free. */
#include "nt/ke/ke.h"
#include "nt/rtl/rtl.h"

#define MAX_BYTES 0xFFFEu

/* ---- 8-bit strings ---- */

VOID NTAPI RtlInitString(PSTRING DestinationString, PCSZ SourceString)
{
    size_t length = SourceString != NULL ? strlen(SourceString) : 0;

    if (length > MAX_BYTES)
        length = MAX_BYTES;
    DestinationString->Length = (USHORT)length;
    DestinationString->MaximumLength = SourceString != NULL ? (USHORT)(length + 1) : 0;
    DestinationString->Buffer = (PCHAR)(uintptr_t)SourceString;
}

VOID NTAPI RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)
{
    RtlInitString(DestinationString, SourceString);
}

NTSTATUS NTAPI RtlInitAnsiStringEx(PANSI_STRING DestinationString, PCSZ SourceString)
{
    if (SourceString != NULL && strlen(SourceString) > MAX_BYTES)
        return STATUS_NAME_TOO_LONG;
    RtlInitString(DestinationString, SourceString);
    return STATUS_SUCCESS;
}

VOID NTAPI RtlCopyString(PSTRING DestinationString, const STRING *SourceString)
{
    USHORT length = 0;

    if (SourceString != NULL)
        length = SourceString->Length < DestinationString->MaximumLength ? SourceString->Length
                                                                         : DestinationString->MaximumLength;
    if (length > 0)
        memmove(DestinationString->Buffer, SourceString->Buffer, length);
    DestinationString->Length = length;
}

static CHAR upper_ansi(CHAR character)
{
    return rtl_ansi_from_wide(rtl_upcase(rtl_wide_from_ansi(character)));
}

CHAR NTAPI RtlUpperChar(CHAR Character)
{
    NT_CALL(APC_LEVEL);
    return upper_ansi(Character);
}

/* Of the first `length` bytes. */
static LONG compare_ansi(const CHAR *first, const CHAR *second, USHORT length, BOOLEAN fold)
{
    for (USHORT index = 0; index < length; index++) {
        UCHAR a = (UCHAR)(fold ? upper_ansi(first[index]) : first[index]);
        UCHAR b = (UCHAR)(fold ? upper_ansi(second[index]) : second[index]);

        if (a != b)
            return (LONG)a - (LONG)b;
    }
    return 0;
}

LONG NTAPI RtlCompareString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    LONG order;

    NT_CALL(PASSIVE_LEVEL);
    order = compare_ansi(String1->Buffer, String2->Buffer,
                         String1->Length < String2->Length ? String1->Length : String2->Length, CaseInSensitive);
    return order != 0 ? order : (LONG)String1->Length - (LONG)String2->Length;
}

BOOLEAN NTAPI RtlEqualString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return String1->Length == String2->Length &&
           compare_ansi(String1->Buffer, String2->Buffer, String1->Length, CaseInSensitive) == 0;
}

BOOLEAN NTAPI RtlPrefixString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return String1->Length <= String2->Length &&
           compare_ansi(String1->Buffer, String2->Buffer, String1->Length, CaseInSensitive) == 0;
}

NTSTATUS NTAPI RtlAppendStringToString(PSTRING Destination, const STRING *Source)
{
    NT_CALL(APC_LEVEL);
    if (Source->Length > Destination->MaximumLength - Destination->Length)
        return STATUS_BUFFER_TOO_SMALL;
    if (Source->Length > 0) /* an empty string may have no buffer */
        memmove(Destination->Buffer + Destination->Length, Source->Buffer, Source->Length);
    Destination->Length = (USHORT)(Destination->Length + Source->Length);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlAppendAsciizToString(PSTRING Destination, PCSZ Source)
{
    STRING string;

    if (Source == NULL)
        return STATUS_SUCCESS;
    RtlInitString(&string, Source);
    return RtlAppendStringToString(Destination, &string);
}

VOID NTAPI RtlUpperString(PSTRING DestinationString, const STRING *SourceString)
{
    NT_CALL(APC_LEVEL);
    RtlCopyString(DestinationString, SourceString);
    for (USHORT index = 0; index < DestinationString->Length; index++)
        DestinationString->Buffer[index] = upper_ansi(DestinationString->Buffer[index]);
}

VOID NTAPI RtlFreeAnsiString(PANSI_STRING AnsiString)
{
    NT_CALL(APC_LEVEL);
    if (AnsiString->Buffer != NULL)
        ExFreePoolWithTag(AnsiString->Buffer, RTL_STRING_TAG);
    RtlZeroMemory(AnsiString, sizeof(*AnsiString));
}

/* ---- Unicode strings ---- */

VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    size_t bytes = SourceString != NULL ? nt_wcslen(SourceString) * sizeof(WCHAR) : 0;

    if (bytes > MAX_BYTES - sizeof(WCHAR))
        bytes = MAX_BYTES - sizeof(WCHAR);
    DestinationString->Length = (USHORT)bytes;
    DestinationString->MaximumLength = SourceString != NULL ? (USHORT)(bytes + sizeof(WCHAR)) : 0;
    DestinationString->Buffer = (PWSTR)(uintptr_t)SourceString;
}

NTSTATUS NTAPI RtlInitUnicodeStringEx(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    if (SourceString != NULL && nt_wcslen(SourceString) * sizeof(WCHAR) > MAX_BYTES - sizeof(WCHAR))
        return STATUS_NAME_TOO_LONG;
    RtlInitUnicodeString(DestinationString, SourceString);
    return STATUS_SUCCESS;
}

VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
    USHORT length = 0;

    NT_CALL_ANY();
    if (SourceString != NULL)
        length = SourceString->Length < DestinationString->MaximumLength ? SourceString->Length
                                                                         : DestinationString->MaximumLength;
    if (length > 0)
        memmove(DestinationString->Buffer, SourceString->Buffer, length);
    DestinationString->Length = length;
    if (length + sizeof(WCHAR) <= DestinationString->MaximumLength)
        DestinationString->Buffer[length / sizeof(WCHAR)] = 0;
}

static LONG compare(PCWCH a, SIZE_T a_length, PCWCH b, SIZE_T b_length, BOOLEAN fold)
{
    SIZE_T shorter = a_length < b_length ? a_length : b_length;

    for (SIZE_T index = 0; index < shorter; index++) {
        WCHAR of_a = fold ? rtl_upcase(a[index]) : a[index];
        WCHAR of_b = fold ? rtl_upcase(b[index]) : b[index];

        if (of_a != of_b)
            return (LONG)of_a - (LONG)of_b;
    }
    return (LONG)a_length - (LONG)b_length;
}

static BOOLEAN equal(PCWCH a, PCWCH b, USHORT bytes, BOOLEAN fold)
{
    return compare(a, bytes / sizeof(WCHAR), b, bytes / sizeof(WCHAR), fold) == 0;
}

LONG NTAPI RtlCompareUnicodeStrings(PCWCH String1, SIZE_T String1Length, PCWCH String2, SIZE_T String2Length,
                                    BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return compare(String1, String1Length, String2, String2Length, CaseInSensitive);
}

LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return compare(String1->Buffer, String1->Length / sizeof(WCHAR), String2->Buffer, String2->Length / sizeof(WCHAR),
                   CaseInSensitive);
}

BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return String1->Length == String2->Length &&
           equal(String1->Buffer, String2->Buffer, String1->Length, CaseInSensitive);
}

BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return String1->Length <= String2->Length &&
           equal(String1->Buffer, String2->Buffer, String1->Length, CaseInSensitive);
}

BOOLEAN NTAPI RtlSuffixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
    NT_CALL(PASSIVE_LEVEL);
    return String1->Length <= String2->Length &&
           equal(String1->Buffer, String2->Buffer + (String2->Length - String1->Length) / sizeof(WCHAR),
                 String1->Length, CaseInSensitive);
}

NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
    NT_CALL_ANY();
    if (Source->Length > Destination->MaximumLength - Destination->Length)
        return STATUS_BUFFER_TOO_SMALL;
    if (Source->Length > 0) /* an empty string may have no buffer */
        memmove((PUCHAR)Destination->Buffer + Destination->Length, Source->Buffer, Source->Length);
    Destination->Length = (USHORT)(Destination->Length + Source->Length);
    if (Destination->Length + sizeof(WCHAR) <= Destination->MaximumLength)
        Destination->Buffer[Destination->Length / sizeof(WCHAR)] = 0;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
    UNICODE_STRING string;

    if (Source == NULL)
        return STATUS_SUCCESS;
    RtlInitUnicodeString(&string, Source);
    return RtlAppendUnicodeStringToString(Destination, &string);
}

WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR SourceCharacter)
{
    NT_CALL(APC_LEVEL);
    return rtl_upcase(SourceCharacter);
}

WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR SourceCharacter)
{
    NT_CALL(PASSIVE_LEVEL);
    return rtl_downcase(SourceCharacter);
}

static NTSTATUS map_case(PUNICODE_STRING destination, PCUNICODE_STRING source, BOOLEAN allocate, WCHAR (*map)(WCHAR))
{
    if (allocate) {
        destination->Buffer = ExAllocatePoolWithTag(PagedPool, source->Length + sizeof(WCHAR), RTL_STRING_TAG);
        if (destination->Buffer == NULL)
            return STATUS_NO_MEMORY;
        destination->MaximumLength = (USHORT)(source->Length + sizeof(WCHAR));
        destination->Buffer[source->Length / sizeof(WCHAR)] = 0;
    } else {
        fault_note_infallible();
        if (source->Length > destination->MaximumLength)
            return STATUS_BUFFER_OVERFLOW;
    }
    for (USHORT index = 0; index < source->Length / sizeof(WCHAR); index++)
        destination->Buffer[index] = map(source->Buffer[index]);
    destination->Length = source->Length;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                      BOOLEAN AllocateDestinationString)
{
    NT_CALL(APC_LEVEL);
    if (AllocateDestinationString && FAULT(POOL))
        return STATUS_NO_MEMORY;
    return map_case(DestinationString, SourceString, AllocateDestinationString, rtl_upcase);
}

NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString,
                                        BOOLEAN AllocateDestinationString)
{
    NT_CALL(APC_LEVEL);
    if (AllocateDestinationString && FAULT(POOL))
        return STATUS_NO_MEMORY;
    return map_case(DestinationString, SourceString, AllocateDestinationString, rtl_downcase);
}

VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING UnicodeString)
{
    NT_CALL(APC_LEVEL);
    if (UnicodeString->Buffer != NULL)
        ExFreePoolWithTag(UnicodeString->Buffer, RTL_STRING_TAG);
    RtlZeroMemory(UnicodeString, sizeof(*UnicodeString));
}

/* A NUL-terminated copy, or none for an empty string, by the flags. */
NTSTATUS NTAPI RtlDuplicateUnicodeString(ULONG Flags, PCUNICODE_STRING SourceString, PUNICODE_STRING DestinationString)
{
    const ULONG known = RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE | RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING;
    bool terminate = (Flags & RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE) != 0;
    ULONG size = SourceString->Length + (terminate ? sizeof(WCHAR) : 0);

    NT_CALL(PASSIVE_LEVEL);
    if ((Flags & ~known) != 0 || (Flags & known) == RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING ||
        !NT_SUCCESS(RtlValidateUnicodeString(0, SourceString)))
        return STATUS_INVALID_PARAMETER;
    if (size > MAX_BYTES)
        return STATUS_NAME_TOO_LONG;
    RtlZeroMemory(DestinationString, sizeof(*DestinationString));
    if (SourceString->Length == 0 && (Flags & RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING) == 0)
        return STATUS_SUCCESS;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    DestinationString->Buffer = ExAllocatePoolWithTag(PagedPool, size, RTL_STRING_TAG);
    if (DestinationString->Buffer == NULL)
        return STATUS_NO_MEMORY;
    if (SourceString->Length > 0)
        RtlCopyMemory(DestinationString->Buffer, SourceString->Buffer, SourceString->Length);
    if (terminate)
        DestinationString->Buffer[SourceString->Length / sizeof(WCHAR)] = 0;
    DestinationString->Length = SourceString->Length;
    DestinationString->MaximumLength = (USHORT)size;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlValidateUnicodeString(ULONG Flags, PCUNICODE_STRING String)
{
    NT_CALL(PASSIVE_LEVEL);
    if (Flags != 0)
        return STATUS_INVALID_PARAMETER;
    if (String == NULL)
        return STATUS_SUCCESS;
    if (String->Length % sizeof(WCHAR) != 0 || String->MaximumLength % sizeof(WCHAR) != 0 ||
        String->Length > String->MaximumLength || (String->Buffer == NULL && String->MaximumLength != 0))
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlHashUnicodeString(PCUNICODE_STRING String, BOOLEAN CaseInSensitive, ULONG HashAlgorithm,
                                    PULONG HashValue)
{
    ULONG hash = 0;

    NT_CALL(APC_LEVEL);
    if (String == NULL || HashValue == NULL ||
        (HashAlgorithm != HASH_STRING_ALGORITHM_DEFAULT && HashAlgorithm != HASH_STRING_ALGORITHM_X65599))
        return STATUS_INVALID_PARAMETER;
    for (USHORT index = 0; index < String->Length / sizeof(WCHAR); index++)
        hash = hash * 65599 + (CaseInSensitive ? rtl_upcase(String->Buffer[index]) : String->Buffer[index]);
    *HashValue = hash;
    return STATUS_SUCCESS;
}

BOOLEAN NTAPI RtlCreateUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
    size_t bytes = (nt_wcslen(SourceString) + 1) * sizeof(WCHAR);

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return FALSE;
    if (bytes > MAX_BYTES)
        return FALSE;
    DestinationString->Buffer = ExAllocatePoolWithTag(PagedPool, bytes, RTL_STRING_TAG);
    if (DestinationString->Buffer == NULL)
        return FALSE;
    memcpy(DestinationString->Buffer, SourceString, bytes);
    DestinationString->MaximumLength = (USHORT)bytes;
    DestinationString->Length = (USHORT)(bytes - sizeof(WCHAR));
    return TRUE;
}

/* ---- between the two ---- */

ULONG NTAPI RtlxAnsiStringToUnicodeSize(PCANSI_STRING AnsiString)
{
    NT_CALL(PASSIVE_LEVEL);
    return (ULONG)(AnsiString->Length + 1) * sizeof(WCHAR);
}

ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING UnicodeString)
{
    NT_CALL(PASSIVE_LEVEL);
    return UnicodeString->Length / sizeof(WCHAR) + 1;
}

NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING DestinationString, PCANSI_STRING SourceString,
                                            BOOLEAN AllocateDestinationString)
{
    ULONG needed = (SourceString->Length + 1u) * sizeof(WCHAR);

    NT_CALL(PASSIVE_LEVEL);
    if (needed > MAX_BYTES)
        return STATUS_INVALID_PARAMETER_2;
    if (AllocateDestinationString) {
        if (FAULT(POOL))
            return STATUS_NO_MEMORY;
        DestinationString->Buffer = ExAllocatePoolWithTag(PagedPool, needed, RTL_STRING_TAG);
        if (DestinationString->Buffer == NULL)
            return STATUS_NO_MEMORY;
        DestinationString->MaximumLength = (USHORT)needed;
    } else {
        fault_note_infallible();
        if (needed > DestinationString->MaximumLength)
            return STATUS_BUFFER_OVERFLOW;
    }
    for (USHORT index = 0; index < SourceString->Length; index++)
        DestinationString->Buffer[index] = rtl_wide_from_ansi(SourceString->Buffer[index]);
    DestinationString->Length = (USHORT)(needed - sizeof(WCHAR));
    DestinationString->Buffer[SourceString->Length] = 0;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING DestinationString, PCUNICODE_STRING SourceString,
                                            BOOLEAN AllocateDestinationString)
{
    ULONG needed = SourceString->Length / sizeof(WCHAR) + 1;
    NTSTATUS status = STATUS_SUCCESS;
    ULONG count = needed - 1;

    NT_CALL(PASSIVE_LEVEL);
    if (AllocateDestinationString) {
        if (FAULT(POOL))
            return STATUS_NO_MEMORY;
        DestinationString->Buffer = ExAllocatePoolWithTag(PagedPool, needed, RTL_STRING_TAG);
        if (DestinationString->Buffer == NULL)
            return STATUS_NO_MEMORY;
        DestinationString->MaximumLength = (USHORT)needed;
    } else {
        fault_note_infallible();
        if (needed > DestinationString->MaximumLength) {
            status = STATUS_BUFFER_OVERFLOW;
            if (DestinationString->MaximumLength == 0)
                return status;
            count = DestinationString->MaximumLength - 1u;
        }
    }
    for (ULONG index = 0; index < count; index++)
        DestinationString->Buffer[index] = rtl_ansi_from_wide(SourceString->Buffer[index]);
    DestinationString->Buffer[count] = '\0';
    DestinationString->Length = (USHORT)count;
    return status;
}
