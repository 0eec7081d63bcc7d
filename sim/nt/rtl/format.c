/*
 * Windows' printf family for the kernel: _vsnprintf, _vsnwprintf and what is built on them. After Microsoft's "Format
 * specification syntax: printf and wprintf functions" and the DbgPrint page: int and long are 32-bit, %I64 and %ll
 * 64-bit, %p is 16 upper-case digits, %s is of the function's own width and %S of the other, %hs and %ws say which,
 * %Z is an ANSI_STRING and %wZ a UNICODE_STRING.
 */
#include "nt/ke/ke.h"
#include "nt/rtl/rtl.h"

enum length_modifier { LENGTH_NONE, LENGTH_CHAR, LENGTH_SHORT, LENGTH_LONG, LENGTH_WIDE, LENGTH_64 };

struct printer {
    char *narrow; /* one of the two */
    WCHAR *wide;
    size_t capacity;
    size_t length;
    bool is_wide;
};

struct specification {
    bool left, plus, space, alternate, zero;
    int width;
    int precision; /* -1: none given */
    enum length_modifier modifier;
    WCHAR conversion;
};

static void put_wide(struct printer *out, WCHAR character)
{
    if (out->length < out->capacity) {
        if (out->is_wide)
            out->wide[out->length] = character;
        else
            out->narrow[out->length] = rtl_ansi_from_wide(character);
    }
    out->length++;
}

static void put(struct printer *out, char character)
{
    if (out->length < out->capacity) {
        if (out->is_wide)
            out->wide[out->length] = rtl_wide_from_ansi(character);
        else
            out->narrow[out->length] = character;
    }
    out->length++;
}

static void pad(struct printer *out, int count, char character)
{
    while (count-- > 0)
        put(out, character);
}

/* The tables behind Unicode conversions are paged on Windows. */
static void unicode_allowed(const struct printer *out, const struct specification *spec)
{
    if (!out->is_wide && ke_vcpu() != NULL && ke_irql() > PASSIVE_LEVEL)
        nt_violation_sub("format-irql", ke_irql(), 0, 0,
                         "a Unicode conversion (%%%c) is formatted at IRQL %u, allowed at PASSIVE_LEVEL only",
                         (char)spec->conversion, ke_irql());
}

static void print_narrow(struct printer *out, const struct specification *spec, const char *string, size_t length)
{
    int padding = spec->width > 0 && (size_t)spec->width > length ? spec->width - (int)length : 0;

    if (!spec->left)
        pad(out, padding, spec->zero ? '0' : ' ');
    for (size_t i = 0; i < length; i++)
        put(out, string[i]);
    if (spec->left)
        pad(out, padding, ' ');
}

static void print_wide(struct printer *out, const struct specification *spec, const WCHAR *string, size_t length)
{
    int padding = spec->width > 0 && (size_t)spec->width > length ? spec->width - (int)length : 0;

    unicode_allowed(out, spec);
    if (!spec->left)
        pad(out, padding, spec->zero ? '0' : ' ');
    for (size_t i = 0; i < length; i++)
        put_wide(out, string[i]);
    if (spec->left)
        pad(out, padding, ' ');
}

static void print_string(struct printer *out, const struct specification *spec, const void *string, bool wide)
{
    size_t limit = spec->precision < 0 ? SIZE_MAX : (size_t)spec->precision;
    size_t length = 0;

    if (string == NULL)
        print_narrow(out, spec, "(null)", limit < 6 ? limit : 6);
    else if (wide) {
        while (length < limit && ((const WCHAR *)string)[length] != 0)
            length++;
        print_wide(out, spec, string, length);
    } else {
        while (length < limit && ((const char *)string)[length] != 0)
            length++;
        print_narrow(out, spec, string, length);
    }
}

static void print_counted(struct printer *out, const struct specification *spec, const void *string, bool wide)
{
    size_t limit = spec->precision < 0 ? SIZE_MAX : (size_t)spec->precision;
    const UNICODE_STRING *counted = string; /* a STRING has the same layout */

    if (counted == NULL || counted->Buffer == NULL) {
        print_narrow(out, spec, "(null)", limit < 6 ? limit : 6);
    } else if (wide) {
        size_t length = counted->Length / sizeof(WCHAR);

        print_wide(out, spec, counted->Buffer, length < limit ? length : limit);
    } else {
        print_narrow(out, spec, (const char *)counted->Buffer, counted->Length < limit ? counted->Length : limit);
    }
}

static void print_number(struct printer *out, const struct specification *spec, ULONG64 magnitude, unsigned base,
                         bool upper, char sign, const char *prefix)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[72];
    int length = 0, zeros, padding, prefix_length = (int)strlen(prefix) + (sign != 0);

    for (; magnitude > 0; magnitude /= base)
        text[sizeof(text) - 1 - (size_t)length++] = digits[magnitude % base];
    zeros = (spec->precision < 0 ? 1 : spec->precision) - length;
    if (zeros < 0)
        zeros = 0;
    if (base == 8 && spec->alternate && zeros == 0)
        zeros = 1;
    padding = spec->width - prefix_length - zeros - length;
    if (padding > 0 && spec->zero && !spec->left && spec->precision < 0) {
        zeros += padding;
        padding = 0;
    }
    if (!spec->left)
        pad(out, padding, ' ');
    if (sign != 0)
        put(out, sign);
    while (*prefix != 0)
        put(out, *prefix++);
    pad(out, zeros, '0');
    for (int i = length; i > 0; i--)
        put(out, text[sizeof(text) - (size_t)i]);
    if (spec->left)
        pad(out, padding, ' ');
}

/* va_list is an array on this host: handing it on by pointer needs a structure around it. */
struct arguments {
    va_list list;
};

static ULONG64 take_unsigned(const struct specification *spec, struct arguments *arguments)
{
    switch (spec->modifier) {
    case LENGTH_64:
        return va_arg(arguments->list, ULONG64);
    case LENGTH_CHAR:
        return (UCHAR)va_arg(arguments->list, int);
    case LENGTH_SHORT:
        return (USHORT)va_arg(arguments->list, int);
    default:
        return va_arg(arguments->list, ULONG);
    }
}

static LONG64 take_signed(const struct specification *spec, struct arguments *arguments)
{
    switch (spec->modifier) {
    case LENGTH_64:
        return va_arg(arguments->list, LONG64);
    case LENGTH_CHAR:
        return (SCHAR)va_arg(arguments->list, int);
    case LENGTH_SHORT:
        return (SHORT)va_arg(arguments->list, int);
    default:
        return va_arg(arguments->list, LONG);
    }
}

static void print_signed(struct printer *out, const struct specification *spec, struct arguments *arguments)
{
    LONG64 value = take_signed(spec, arguments);
    ULONG64 magnitude = value < 0 ? 0 - (ULONG64)value : (ULONG64)value;

    print_number(out, spec, magnitude, 10, false, value < 0 ? '-' : spec->plus ? '+' : spec->space ? ' ' : 0, "");
}

static void print_hexadecimal(struct printer *out, const struct specification *spec, struct arguments *arguments)
{
    bool upper = spec->conversion == 'X';
    ULONG64 value = take_unsigned(spec, arguments);

    print_number(out, spec, value, 16, upper, 0, !spec->alternate || value == 0 ? "" : upper ? "0X" : "0x");
}

static void print_pointer(struct printer *out, struct specification *spec, struct arguments *arguments)
{
    spec->precision = 2 * sizeof(PVOID);
    print_number(out, spec, (ULONG64)(uintptr_t)va_arg(arguments->list, PVOID), 16, true, 0,
                 spec->alternate ? "0X" : "");
}

static void print_character(struct printer *out, const struct specification *spec, struct arguments *arguments,
                            bool wide)
{
    int value = va_arg(arguments->list, int);
    WCHAR character = (WCHAR)value;
    char byte = (char)value;

    if (wide)
        print_wide(out, spec, &character, 1);
    else
        print_narrow(out, spec, &byte, 1);
}

/* Is the string or character of this conversion wide? Lower case follows the function, upper case is the other. */
static bool is_wide(const struct printer *out, const struct specification *spec)
{
    if (spec->modifier == LENGTH_SHORT)
        return false;
    if (spec->modifier == LENGTH_LONG || spec->modifier == LENGTH_WIDE)
        return true;
    return out->is_wide == (spec->conversion == 's' || spec->conversion == 'c');
}

static void convert(struct printer *out, struct specification *spec, struct arguments *arguments)
{
    switch (spec->conversion) {
    case 'd':
    case 'i':
        print_signed(out, spec, arguments);
        break;
    case 'u':
        print_number(out, spec, take_unsigned(spec, arguments), 10, false, 0, "");
        break;
    case 'o':
        print_number(out, spec, take_unsigned(spec, arguments), 8, false, 0, "");
        break;
    case 'x':
    case 'X':
        print_hexadecimal(out, spec, arguments);
        break;
    case 'p':
        print_pointer(out, spec, arguments);
        break;
    case 'c':
    case 'C':
        print_character(out, spec, arguments, is_wide(out, spec));
        break;
    case 's':
    case 'S':
        print_string(out, spec, va_arg(arguments->list, const void *), is_wide(out, spec));
        break;
    case 'Z':
        print_counted(out, spec, va_arg(arguments->list, const void *),
                      spec->modifier == LENGTH_LONG || spec->modifier == LENGTH_WIDE);
        break;
    case '%':
        put(out, '%');
        break;
    case 0:
        nt_violation("format", "a format ends in the middle of a conversion");
    default:
        nt_violation("format", "the kernel's printf has no conversion %%%c", (char)spec->conversion);
    }
}

/* The format, of either width. */
struct reader {
    const char *narrow;
    const WCHAR *wide;
};

static WCHAR peek(const struct reader *in)
{
    return in->wide != NULL ? *in->wide : (UCHAR)*in->narrow;
}

static void advance(struct reader *in)
{
    if (in->wide != NULL)
        in->wide++;
    else
        in->narrow++;
}

static bool accept(struct reader *in, char character)
{
    if (peek(in) != (WCHAR)character)
        return false;
    advance(in);
    return true;
}

static void read_flags(struct reader *in, struct specification *spec)
{
    for (;;) {
        if (accept(in, '-'))
            spec->left = true;
        else if (accept(in, '+'))
            spec->plus = true;
        else if (accept(in, ' '))
            spec->space = true;
        else if (accept(in, '#'))
            spec->alternate = true;
        else if (accept(in, '0'))
            spec->zero = true;
        else
            return;
    }
}

static int read_number(struct reader *in, struct arguments *arguments)
{
    int value = 0;

    if (accept(in, '*'))
        return va_arg(arguments->list, int);
    while (peek(in) >= '0' && peek(in) <= '9') {
        if (value < 100000)
            value = value * 10 + (peek(in) - '0');
        advance(in);
    }
    return value;
}

static enum length_modifier read_modifier(struct reader *in)
{
    if (accept(in, 'h'))
        return accept(in, 'h') ? LENGTH_CHAR : LENGTH_SHORT;
    if (accept(in, 'l'))
        return accept(in, 'l') ? LENGTH_64 : LENGTH_LONG;
    if (accept(in, 'w'))
        return LENGTH_WIDE;
    if (accept(in, 'z') || accept(in, 't') || accept(in, 'j'))
        return LENGTH_64;
    if (accept(in, 'I')) {
        struct reader rest = *in;

        if (accept(&rest, '6') && accept(&rest, '4')) {
            *in = rest;
            return LENGTH_64;
        }
        rest = *in;
        if (accept(&rest, '3') && accept(&rest, '2')) {
            *in = rest;
            return LENGTH_LONG;
        }
        return LENGTH_64; /* %Id, %Iu, %Ix: of pointer size */
    }
    return LENGTH_NONE;
}

static void format_all(struct printer *out, struct reader *in, va_list list)
{
    struct arguments arguments;

    va_copy(arguments.list, list);
    while (peek(in) != 0) {
        struct specification spec = {.precision = -1};

        if (!accept(in, '%')) {
            if (in->wide != NULL)
                put_wide(out, *in->wide);
            else
                put(out, *in->narrow);
            advance(in);
            continue;
        }
        read_flags(in, &spec);
        spec.width = read_number(in, &arguments);
        if (spec.width < 0) {
            spec.left = true;
            spec.width = -spec.width;
        }
        if (accept(in, '.')) {
            spec.precision = read_number(in, &arguments);
            if (spec.precision < 0)
                spec.precision = -1;
        }
        spec.modifier = read_modifier(in);
        spec.conversion = peek(in);
        convert(out, &spec, &arguments);
        advance(in);
    }
    va_end(arguments.list);
}

size_t rtl_format(char *buffer, size_t capacity, const char *format, va_list arguments)
{
    struct printer out = {.narrow = buffer, .capacity = capacity};
    struct reader in = {.narrow = format};

    format_all(&out, &in, arguments);
    return out.length;
}

size_t rtl_format_wide(WCHAR *buffer, size_t capacity, const WCHAR *format, va_list arguments)
{
    struct printer out = {.wide = buffer, .capacity = capacity, .is_wide = true};
    struct reader in = {.wide = format};

    format_all(&out, &in, arguments);
    return out.length;
}

/* Room for a NUL: it is written. Exactly full: it is not. More than full: -1. NULL and 0: the length it would have. */
int NTAPI _vsnprintf(char *Buffer, size_t Count, const char *Format, va_list Arguments)
{
    size_t length = rtl_format(Buffer, Count, Format, Arguments);

    if (Buffer == NULL && Count == 0)
        return (int)length;
    if (length > Count)
        return -1;
    if (length < Count)
        Buffer[length] = 0;
    return (int)length;
}

int NTAPI _vsnwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, va_list Arguments)
{
    size_t length = rtl_format_wide(Buffer, Count, Format, Arguments);

    if (Buffer == NULL && Count == 0)
        return (int)length;
    if (length > Count)
        return -1;
    if (length < Count)
        Buffer[length] = 0;
    return (int)length;
}

int NTAPI _snprintf(char *Buffer, size_t Count, const char *Format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, Format);
    length = _vsnprintf(Buffer, Count, Format, arguments);
    va_end(arguments);
    return length;
}

int NTAPI _snwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, Format);
    length = _vsnwprintf(Buffer, Count, Format, arguments);
    va_end(arguments);
    return length;
}
