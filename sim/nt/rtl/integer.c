/* Numbers and strings: RtlIntegerToUnicodeString and the routines around it. Bases 2, 8, 10 and 16. */
#include "nt/rtl/rtl.h"

/* 0 stands for decimal where a number is printed and for "look at the prefix" where one is read. */
static bool base_is_known(ULONG base)
{
    return base == 0 || base == 2 || base == 8 || base == 10 || base == 16;
}

static NTSTATUS print_number(ULONGLONG value, ULONG base, PUNICODE_STRING string)
{
    WCHAR digits[64];
    size_t count = 0;

    if (!base_is_known(base))
        return STATUS_INVALID_PARAMETER;
    if (base == 0)
        base = 10;
    do {
        digits[count++] = (WCHAR) "0123456789ABCDEF"[value % base];
        value /= base;
    } while (value != 0);
    if (count * sizeof(WCHAR) > string->MaximumLength)
        return STATUS_BUFFER_OVERFLOW;
    for (size_t index = 0; index < count; index++)
        string->Buffer[index] = digits[count - 1 - index];
    string->Length = (USHORT)(count * sizeof(WCHAR));
    if ((count + 1) * sizeof(WCHAR) <= string->MaximumLength)
        string->Buffer[count] = 0;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String)
{
    NT_CALL(PASSIVE_LEVEL);
    return print_number(Value, Base, String);
}

NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONGLONG Value, ULONG Base, PUNICODE_STRING String)
{
    NT_CALL(PASSIVE_LEVEL);
    return print_number(Value, Base, String);
}

/* Text of either width that a number is read from. */
struct source {
    const WCHAR *wide;
    const char *narrow; /* if wide is NULL */
    size_t length;
};

/* The unit at the index, 0 behind the end. */
static WCHAR unit(const struct source *source, size_t index)
{
    if (index >= source->length)
        return 0;
    return source->wide != NULL ? source->wide[index] : (UCHAR)source->narrow[index];
}

static ULONG prefix_base(WCHAR letter)
{
    return letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
}

static ULONG digit_value(WCHAR character)
{
    if (character >= '0' && character <= '9')
        return character - (ULONG)'0';
    if (character >= 'a' && character <= 'f')
        return character - (ULONG)'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - (ULONG)'A' + 10;
    return 16;
}

/*
 * White space, a sign, with base 0 a prefix (0x, 0o, 0b; else decimal), digits as far as they go; modulo 2^64. Returns
 * the index behind what was read.
 */
static size_t read_number(const struct source *source, ULONG base, ULONGLONG *value)
{
    size_t index = 0;
    bool negative = false;

    *value = 0;
    while (unit(source, index) != 0 && unit(source, index) <= ' ')
        index++;
    if (unit(source, index) == '+' || unit(source, index) == '-')
        negative = unit(source, index++) == '-';
    if (base == 0) {
        base = 10;
        if (unit(source, index) == '0' && prefix_base(unit(source, index + 1)) != 0) {
            base = prefix_base(unit(source, index + 1));
            index += 2;
        }
    }
    while (digit_value(unit(source, index)) < base)
        *value = *value * base + digit_value(unit(source, index++));
    if (negative)
        *value = 0 - *value;
    return index;
}

NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value)
{
    struct source source = {.wide = String->Buffer, .length = String->Length / sizeof(WCHAR)};
    ULONGLONG value;

    NT_CALL(PASSIVE_LEVEL);
    if (!base_is_known(Base) || source.length == 0)
        return STATUS_INVALID_PARAMETER;
    read_number(&source, Base, &value);
    *Value = (ULONG)value;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlUnicodeStringToInt64(PCUNICODE_STRING String, ULONG Base, PLONG64 Number, PWSTR *EndPointer)
{
    struct source source = {.wide = String->Buffer, .length = String->Length / sizeof(WCHAR)};
    ULONGLONG value;
    size_t end;

    NT_CALL(PASSIVE_LEVEL);
    if (!base_is_known(Base) || source.length == 0)
        return STATUS_INVALID_PARAMETER;
    end = read_number(&source, Base, &value);
    *Number = (LONG64)value;
    if (EndPointer != NULL)
        *EndPointer = String->Buffer + end;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value)
{
    struct source source = {.narrow = String, .length = strlen(String)};
    ULONGLONG value;

    NT_CALL(PASSIVE_LEVEL);
    if (!base_is_known(Base))
        return STATUS_INVALID_PARAMETER;
    read_number(&source, Base, &value);
    *Value = (ULONG)value;
    return STATUS_SUCCESS;
}
