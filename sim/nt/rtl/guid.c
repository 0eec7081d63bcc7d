/* GUIDs as text: {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}, braces and upper-case digits as Windows writes it. */
#include <ntstrsafe.h>

#include "nt/rtl/rtl.h"

#define GUID_LENGTH 38

/* The buffer comes from paged pool; RtlFreeUnicodeString() frees it. */
NTSTATUS NTAPI RtlStringFromGUID(const GUID *Guid, PUNICODE_STRING GuidString)
{
    PWSTR text;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    text = ExAllocatePoolWithTag(PagedPool, (GUID_LENGTH + 1) * sizeof(WCHAR), RTL_STRING_TAG);
    if (text == NULL)
        return STATUS_NO_MEMORY;
    (void)RtlStringCchPrintfW(text, GUID_LENGTH + 1, L"{%08X-%04hX-%04hX-%02X%02X-%02X%02X%02X%02X%02X%02X}",
                              Guid->Data1, Guid->Data2, Guid->Data3, Guid->Data4[0], Guid->Data4[1], Guid->Data4[2],
                              Guid->Data4[3], Guid->Data4[4], Guid->Data4[5], Guid->Data4[6], Guid->Data4[7]);
    GuidString->Buffer = text;
    GuidString->Length = GUID_LENGTH * sizeof(WCHAR);
    GuidString->MaximumLength = (GUID_LENGTH + 1) * sizeof(WCHAR);
    return STATUS_SUCCESS;
}

static int hex_digit(WCHAR character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

NTSTATUS NTAPI RtlGUIDFromString(PCUNICODE_STRING GuidString, GUID *Guid)
{
    static const char shape[] = "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}";
    UCHAR nibbles[32];
    UCHAR bytes[16];
    unsigned count = 0;

    NT_CALL(PASSIVE_LEVEL);
    if (GuidString->Length != GUID_LENGTH * sizeof(WCHAR))
        return STATUS_INVALID_PARAMETER;
    for (unsigned index = 0; index < GUID_LENGTH; index++) {
        WCHAR character = GuidString->Buffer[index];

        if (shape[index] != 'x') {
            if (character != (WCHAR)shape[index])
                return STATUS_INVALID_PARAMETER;
            continue;
        }
        if (hex_digit(character) < 0)
            return STATUS_INVALID_PARAMETER;
        nibbles[count++] = (UCHAR)hex_digit(character);
    }
    for (unsigned index = 0; index < 16; index++)
        bytes[index] = (UCHAR)(nibbles[2 * index] << 4 | nibbles[2 * index + 1]);
    Guid->Data1 = (ULONG)bytes[0] << 24 | (ULONG)bytes[1] << 16 | (ULONG)bytes[2] << 8 | bytes[3];
    Guid->Data2 = (USHORT)(bytes[4] << 8 | bytes[5]);
    Guid->Data3 = (USHORT)(bytes[6] << 8 | bytes[7]);
    memcpy(Guid->Data4, bytes + 8, 8);
    return STATUS_SUCCESS;
}
