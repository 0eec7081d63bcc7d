/* The ANSI code page of the machine, Windows-1252, and UTF-8. */
#include "nt/rtl/rtl.h"

/* 0x80 to 0x9F; the five bytes without a character map to the C1 control of the same number, as on Windows. */
static const WCHAR high_controls[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
};

WCHAR rtl_wide_from_ansi(CHAR character)
{
    UCHAR byte = (UCHAR)character;

    return byte >= 0x80 && byte < 0xA0 ? high_controls[byte - 0x80] : byte;
}

CHAR rtl_ansi_from_wide(WCHAR character)
{
    if (character < 0x80 || (character >= 0xA0 && character <= 0xFF))
        return (CHAR)character;
    for (unsigned i = 0; i < 32; i++)
        if (high_controls[i] == character)
            return (CHAR)(0x80 + i);
    return '?';
}

/* One code point from UTF-16; a surrogate without its partner is U+FFFD, and *broken is set. */
static uint32_t utf16_next(const WCHAR *string, size_t length, size_t *index, bool *broken)
{
    uint32_t unit = string[(*index)++];

    if (unit < 0xD800 || unit >= 0xE000)
        return unit;
    if (unit < 0xDC00 && *index < length && string[*index] >= 0xDC00 && string[*index] < 0xE000)
        return 0x10000 + ((unit - 0xD800) << 10) + (string[(*index)++] - 0xDC00u);
    *broken = true;
    return 0xFFFD;
}

static size_t utf8_encode(uint32_t point, char bytes[4])
{
    if (point < 0x80) {
        bytes[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        bytes[0] = (char)(0xC0 | point >> 6);
        bytes[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        bytes[0] = (char)(0xE0 | point >> 12);
        bytes[1] = (char)(0x80 | (point >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    bytes[0] = (char)(0xF0 | point >> 18);
    bytes[1] = (char)(0x80 | (point >> 12 & 0x3F));
    bytes[2] = (char)(0x80 | (point >> 6 & 0x3F));
    bytes[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

void rtl_utf8(char *buffer, size_t size, const WCHAR *string, size_t length)
{
    size_t used = 0, index = 0;
    bool broken = false;

    while (index < length) {
        char bytes[4];
        size_t count = utf8_encode(utf16_next(string, length, &index, &broken), bytes);

        if (used + count >= size)
            break;
        memcpy(buffer + used, bytes, count);
        used += count;
    }
    buffer[used] = 0;
}

/* One code point from UTF-8; anything malformed is U+FFFD, of the longest valid beginning. */
static uint32_t utf8_next(const char *string, size_t length, size_t *index, bool *broken)
{
    static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
    UCHAR lead = (UCHAR)string[(*index)++];
    unsigned more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    uint32_t point = lead & (0x3Fu >> more);
    unsigned got = 0;

    if (lead < 0x80)
        return lead;
    if (lead >= 0xC2 && lead <= 0xF4) {
        while (got < more && *index < length && ((UCHAR)string[*index] & 0xC0) == 0x80) {
            point = point << 6 | ((UCHAR)string[*index] & 0x3F);
            got++;
            (*index)++;
        }
        if (got == more && point >= least[more] && point <= 0x10FFFF && (point < 0xD800 || point >= 0xE000))
            return point;
    }
    *broken = true;
    return 0xFFFD;
}

NTSTATUS NTAPI RtlUTF8ToUnicodeN(PWSTR UnicodeStringDestination, ULONG UnicodeStringMaxByteCount,
                                 PULONG UnicodeStringActualByteCount, PCCH UTF8StringSource, ULONG UTF8StringByteCount)
{
    size_t room = UnicodeStringMaxByteCount / sizeof(WCHAR), used = 0, index = 0;
    bool broken = false;

    NT_CALL(PASSIVE_LEVEL);
    if (UTF8StringSource == NULL)
        return STATUS_INVALID_PARAMETER_4;
    if (UnicodeStringDestination == NULL && UnicodeStringActualByteCount == NULL)
        return STATUS_INVALID_PARAMETER;
    while (index < UTF8StringByteCount) {
        uint32_t point = utf8_next(UTF8StringSource, UTF8StringByteCount, &index, &broken);
        size_t units = point >= 0x10000 ? 2 : 1;

        if (UnicodeStringDestination != NULL) {
            if (used + units > room) {
                if (UnicodeStringActualByteCount != NULL)
                    *UnicodeStringActualByteCount = (ULONG)(used * sizeof(WCHAR));
                return STATUS_BUFFER_TOO_SMALL;
            }
            if (units == 2) {
                UnicodeStringDestination[used] = (WCHAR)(0xD800 + ((point - 0x10000) >> 10));
                UnicodeStringDestination[used + 1] = (WCHAR)(0xDC00 + ((point - 0x10000) & 0x3FF));
            } else {
                UnicodeStringDestination[used] = (WCHAR)point;
            }
        }
        used += units;
    }
    if (UnicodeStringActualByteCount != NULL)
        *UnicodeStringActualByteCount = (ULONG)(used * sizeof(WCHAR));
    return broken ? STATUS_SOME_NOT_MAPPED : STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlUnicodeToUTF8N(PCHAR UTF8StringDestination, ULONG UTF8StringMaxByteCount,
                                 PULONG UTF8StringActualByteCount, PCWCH UnicodeStringSource,
                                 ULONG UnicodeStringByteCount)
{
    size_t length = UnicodeStringByteCount / sizeof(WCHAR), used = 0, index = 0;
    bool broken = false;

    NT_CALL(PASSIVE_LEVEL);
    if (UnicodeStringSource == NULL)
        return STATUS_INVALID_PARAMETER_4;
    if (UTF8StringDestination == NULL && UTF8StringActualByteCount == NULL)
        return STATUS_INVALID_PARAMETER;
    if (UnicodeStringByteCount % sizeof(WCHAR) != 0)
        return STATUS_INVALID_PARAMETER_5;
    while (index < length) {
        char bytes[4];
        size_t count = utf8_encode(utf16_next(UnicodeStringSource, length, &index, &broken), bytes);

        if (UTF8StringDestination != NULL) {
            if (used + count > UTF8StringMaxByteCount) {
                if (UTF8StringActualByteCount != NULL)
                    *UTF8StringActualByteCount = (ULONG)used;
                return STATUS_BUFFER_TOO_SMALL;
            }
            memcpy(UTF8StringDestination + used, bytes, count);
        }
        used += count;
    }
    if (UTF8StringActualByteCount != NULL)
        *UTF8StringActualByteCount = (ULONG)used;
    return broken ? STATUS_SOME_NOT_MAPPED : STATUS_SUCCESS;
}

/* Both stop where the destination ends, and do not say so but by the length. */
NTSTATUS NTAPI RtlUnicodeToMultiByteN(PCHAR MultiByteString, ULONG MaxBytesInMultiByteString,
                                      PULONG BytesInMultiByteString, PCWCH UnicodeString, ULONG BytesInUnicodeString)
{
    ULONG count = BytesInUnicodeString / sizeof(WCHAR);
    ULONG copied = count < MaxBytesInMultiByteString ? count : MaxBytesInMultiByteString;

    NT_CALL(APC_LEVEL);
    for (ULONG i = 0; i < copied; i++)
        MultiByteString[i] = rtl_ansi_from_wide(UnicodeString[i]);
    if (BytesInMultiByteString != NULL)
        *BytesInMultiByteString = copied;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlMultiByteToUnicodeN(PWCH UnicodeString, ULONG MaxBytesInUnicodeString, PULONG BytesInUnicodeString,
                                      const CHAR *MultiByteString, ULONG BytesInMultiByteString)
{
    ULONG room = MaxBytesInUnicodeString / sizeof(WCHAR);
    ULONG copied = BytesInMultiByteString < room ? BytesInMultiByteString : room;

    NT_CALL(APC_LEVEL);
    for (ULONG i = 0; i < copied; i++)
        UnicodeString[i] = rtl_wide_from_ansi(MultiByteString[i]);
    if (BytesInUnicodeString != NULL)
        *BytesInUnicodeString = copied * (ULONG)sizeof(WCHAR);
    return STATUS_SUCCESS;
}
