/*
 * Formatted printing of our own. The kernel's is documented for PASSIVE_LEVEL only, while store requests are made up to
 * DISPATCH_LEVEL and messages up to HIGH_LEVEL; and a format means the same in every build.
 */
#include "text.h"

/* Where the output goes: Length counts what would have been written, the buffer takes Size - 1 characters of it. */
typedef struct _FORMAT_OUTPUT {
    PSTR Buffer;
    SIZE_T Size;
    SIZE_T Length;
} FORMAT_OUTPUT, *PFORMAT_OUTPUT;

typedef enum _FORMAT_WIDTH {
    FORMAT_WIDTH_8,
    FORMAT_WIDTH_16,
    FORMAT_WIDTH_32,
    FORMAT_WIDTH_64,
    FORMAT_WIDTH_WIDE /* w: wide characters; an l means so too for s and c */
} FORMAT_WIDTH;

/* One conversion specification. */
typedef struct _FORMAT_SPECIFICATION {
    BOOLEAN LeftAlign;
    BOOLEAN ZeroPad;
    BOOLEAN PlusSign;
    BOOLEAN SpaceSign;
    BOOLEAN Alternate;
    BOOLEAN HasPrecision;
    BOOLEAN HasLong;
    SIZE_T FieldWidth;
    SIZE_T Precision;
    FORMAT_WIDTH Width;
    CHAR Conversion;
} FORMAT_SPECIFICATION, *PFORMAT_SPECIFICATION;

/* Field widths and precisions are cut to this, so that no format can keep a processor busy. */
#define FORMAT_MAXIMUM_FIELD 1024

#define FORMAT_DIGITS 32 /* of a 64-bit number in any base from 8 up */

static VOID FormatPut(_Inout_ PFORMAT_OUTPUT Output, _In_ CHAR Character)
{
    if (Output->Length + 1 < Output->Size)
        Output->Buffer[Output->Length] = Character;
    Output->Length++;
}

static VOID FormatPutRepeated(_Inout_ PFORMAT_OUTPUT Output, _In_ CHAR Character, _In_ SIZE_T Count)
{
    while (Count-- != 0)
        FormatPut(Output, Character);
}

static SIZE_T FormatParseNumber(_Inout_ PCSTR *Format)
{
    SIZE_T Number = 0;

    for (; **Format >= '0' && **Format <= '9'; (*Format)++)
        if (Number < FORMAT_MAXIMUM_FIELD)
            Number = Number * 10 + (SIZE_T)(**Format - '0');

    return min(Number, FORMAT_MAXIMUM_FIELD);
}

static PCSTR FormatParseFlags(_In_ PCSTR Format, _Inout_ PFORMAT_SPECIFICATION Specification)
{
    for (;; Format++) {
        switch (*Format) {
        case '-':
            Specification->LeftAlign = TRUE;
            break;
        case '0':
            Specification->ZeroPad = TRUE;
            break;
        case '+':
            Specification->PlusSign = TRUE;
            break;
        case ' ':
            Specification->SpaceSign = TRUE;
            break;
        case '#':
            Specification->Alternate = TRUE;
            break;
        default:
            return Format;
        }
    }
}

/* A size prefix, as in Windows: a long has 32 bits. */
static PCSTR FormatParseWidth(_In_ PCSTR Format, _Inout_ PFORMAT_SPECIFICATION Specification)
{
    Specification->Width = FORMAT_WIDTH_32;

    if (Format[0] == 'h' && Format[1] == 'h') {
        Specification->Width = FORMAT_WIDTH_8;
        return Format + 2;
    }
    if (Format[0] == 'h') {
        Specification->Width = FORMAT_WIDTH_16;
        return Format + 1;
    }
    if (Format[0] == 'l' && Format[1] == 'l') {
        Specification->Width = FORMAT_WIDTH_64;
        return Format + 2;
    }
    if (Format[0] == 'I' && Format[1] == '6' && Format[2] == '4') {
        Specification->Width = FORMAT_WIDTH_64;
        return Format + 3;
    }
    if (Format[0] == 'I' && Format[1] == '3' && Format[2] == '2')
        return Format + 3;
    if (Format[0] == 'I' || Format[0] == 'z' || Format[0] == 't' || Format[0] == 'j') {
        Specification->Width = FORMAT_WIDTH_64;
        return Format + 1;
    }
    if (Format[0] == 'w') {
        Specification->Width = FORMAT_WIDTH_WIDE;
        return Format + 1;
    }
    if (Format[0] == 'l') {
        Specification->HasLong = TRUE;
        return Format + 1;
    }

    return Format;
}

/* Prints Length characters of a string, narrow or wide; a wide one that is not ASCII is printed as a question mark. */
static VOID FormatString(_Inout_ PFORMAT_OUTPUT Output, _In_ const FORMAT_SPECIFICATION *Specification,
                         _In_ const VOID *Text, _In_ BOOLEAN Wide, _In_ SIZE_T Length)
{
    const CHAR *Narrow = Text;
    const WCHAR *Unicode = Text;
    SIZE_T Padding;
    SIZE_T Index;

    Padding = (Specification->FieldWidth > Length) ? Specification->FieldWidth - Length : 0;

    if (!Specification->LeftAlign)
        FormatPutRepeated(Output, ' ', Padding);

    for (Index = 0; Index < Length; Index++) {
        if (!Wide)
            FormatPut(Output, Narrow[Index]);
        else
            FormatPut(Output, (Unicode[Index] < 0x80) ? (CHAR)Unicode[Index] : '?');
    }

    if (Specification->LeftAlign)
        FormatPutRepeated(Output, ' ', Padding);
}

static VOID FormatTerminatedString(_Inout_ PFORMAT_OUTPUT Output, _In_ const FORMAT_SPECIFICATION *Specification,
                                   _In_opt_ const VOID *Text, _In_ BOOLEAN Wide)
{
    SIZE_T Limit = Specification->HasPrecision ? Specification->Precision : (SIZE_T)-1;
    SIZE_T Length = 0;

    if (Text == NULL) {
        Text = "(null)";
        Wide = FALSE;
    }

    if (Wide) {
        const WCHAR *Unicode = Text;

        while (Length < Limit && Unicode[Length] != L'\0')
            Length++;
    } else {
        Length = TextLength(Text, Limit);
    }

    FormatString(Output, Specification, Text, Wide, Length);
}

static VOID FormatNumber(_Inout_ PFORMAT_OUTPUT Output, _In_ const FORMAT_SPECIFICATION *Specification,
                         _In_ ULONGLONG Number, _In_ ULONG Base, _In_ BOOLEAN Upper, _In_ CHAR Sign)
{
    PCSTR Digits = Upper ? "0123456789ABCDEF" : "0123456789abcdef";
    BOOLEAN Prefix = Specification->Alternate && Base == 16 && Number != 0;
    CHAR Reversed[FORMAT_DIGITS];
    SIZE_T Count = 0;
    SIZE_T Zeros = 0;
    SIZE_T Length;
    SIZE_T Padding;

    for (; Number != 0; Number /= Base)
        Reversed[Count++] = Digits[Number % Base];
    if (Count == 0 && !(Specification->HasPrecision && Specification->Precision == 0))
        Reversed[Count++] = '0';

    if (Specification->HasPrecision && Specification->Precision > Count)
        Zeros = Specification->Precision - Count;

    Length = Count + Zeros + (Sign != '\0' ? 1 : 0) + (Prefix ? 2 : 0);
    Padding = (Specification->FieldWidth > Length) ? Specification->FieldWidth - Length : 0;

    if (Specification->ZeroPad && !Specification->LeftAlign && !Specification->HasPrecision) {
        Zeros += Padding;
        Padding = 0;
    }

    if (!Specification->LeftAlign)
        FormatPutRepeated(Output, ' ', Padding);
    if (Sign != '\0')
        FormatPut(Output, Sign);
    if (Prefix) {
        FormatPut(Output, '0');
        FormatPut(Output, Upper ? 'X' : 'x');
    }
    FormatPutRepeated(Output, '0', Zeros);
    while (Count != 0)
        FormatPut(Output, Reversed[--Count]);
    if (Specification->LeftAlign)
        FormatPutRepeated(Output, ' ', Padding);
}

static VOID FormatSigned(_Inout_ PFORMAT_OUTPUT Output, _In_ const FORMAT_SPECIFICATION *Specification,
                         _In_ LONGLONG Number)
{
    CHAR Sign = '\0';

    if (Number < 0)
        Sign = '-';
    else if (Specification->PlusSign)
        Sign = '+';
    else if (Specification->SpaceSign)
        Sign = ' ';

    /* Negated as an unsigned number, which the smallest signed one has a negative of. */
    FormatNumber(Output, Specification, (Number < 0) ? 0 - (ULONGLONG)Number : (ULONGLONG)Number, 10, FALSE, Sign);
}

static LONGLONG FormatTruncateSigned(_In_ LONGLONG Number, _In_ FORMAT_WIDTH Width)
{
    if (Width == FORMAT_WIDTH_8)
        return (signed char)Number;
    if (Width == FORMAT_WIDTH_16)
        return (SHORT)Number;

    return Number;
}

static ULONGLONG FormatTruncateUnsigned(_In_ ULONGLONG Number, _In_ FORMAT_WIDTH Width)
{
    if (Width == FORMAT_WIDTH_8)
        return (UCHAR)Number;
    if (Width == FORMAT_WIDTH_16)
        return (USHORT)Number;

    return Number;
}

/*
 * Prints to the output what Format and its arguments say. A conversion that is not known ends the printing with a mark:
 * the arguments after it cannot be told apart.
 */
static VOID FormatPrint(_Inout_ PFORMAT_OUTPUT Output, _In_ PCSTR Format, _In_ va_list Arguments)
{
    while (*Format != '\0') {
        FORMAT_SPECIFICATION Specification;
        BOOLEAN Wide;

        if (*Format != '%') {
            FormatPut(Output, *Format++);
            continue;
        }
        Format++;

        RtlZeroMemory(&Specification, sizeof(Specification));
        Format = FormatParseFlags(Format, &Specification);

        if (*Format == '*') {
            int Width = va_arg(Arguments, int);

            if (Width < 0)
                Specification.LeftAlign = TRUE;
            Specification.FieldWidth = min((SIZE_T)((Width < 0) ? -(LONGLONG)Width : Width), FORMAT_MAXIMUM_FIELD);
            Format++;
        } else {
            Specification.FieldWidth = FormatParseNumber(&Format);
        }

        if (*Format == '.') {
            Format++;
            Specification.HasPrecision = TRUE;
            if (*Format == '*') {
                int Precision = va_arg(Arguments, int);

                Specification.HasPrecision = (Precision >= 0);
                Specification.Precision = (Precision >= 0) ? (SIZE_T)Precision : 0;
                Format++;
            } else {
                Specification.Precision = FormatParseNumber(&Format);
            }
        }

        Format = FormatParseWidth(Format, &Specification);
        Wide = (Specification.Width == FORMAT_WIDTH_WIDE || Specification.HasLong);
        Specification.Conversion = *Format;

        switch (Specification.Conversion) {
        case '%':
            FormatPut(Output, '%');
            break;
        case 'd':
        case 'i':
            Specification.Precision = min(Specification.Precision, FORMAT_MAXIMUM_FIELD);
            FormatSigned(Output, &Specification,
                         (Specification.Width == FORMAT_WIDTH_64)
                             ? va_arg(Arguments, LONGLONG)
                             : FormatTruncateSigned(va_arg(Arguments, int), Specification.Width));
            break;
        case 'u':
        case 'x':
        case 'X':
        case 'o': {
            ULONGLONG Number = (Specification.Width == FORMAT_WIDTH_64)
                                   ? va_arg(Arguments, ULONGLONG)
                                   : FormatTruncateUnsigned(va_arg(Arguments, unsigned int), Specification.Width);
            ULONG Base = (Specification.Conversion == 'u') ? 10 : (Specification.Conversion == 'o') ? 8 : 16;

            Specification.Precision = min(Specification.Precision, FORMAT_MAXIMUM_FIELD);
            FormatNumber(Output, &Specification, Number, Base, Specification.Conversion == 'X', '\0');
            break;
        }
        case 'p':
            Specification.HasPrecision = TRUE;
            Specification.Precision = 2 * sizeof(PVOID);
            FormatNumber(Output, &Specification, (ULONG_PTR)va_arg(Arguments, PVOID), 16, TRUE, '\0');
            break;
        case 'c': {
            WCHAR Character = (WCHAR)va_arg(Arguments, int);
            CHAR Narrow = (CHAR)Character;

            if (Wide)
                FormatString(Output, &Specification, &Character, TRUE, 1);
            else
                FormatString(Output, &Specification, &Narrow, FALSE, 1);
            break;
        }
        case 's':
            FormatTerminatedString(Output, &Specification, va_arg(Arguments, const VOID *), Wide);
            break;
        case 'S':
            FormatTerminatedString(Output, &Specification, va_arg(Arguments, const VOID *), TRUE);
            break;
        case 'Z': {
            /* ANSI_STRING and UNICODE_STRING have one layout. */
            const UNICODE_STRING *String = va_arg(Arguments, const UNICODE_STRING *);

            if (String == NULL || String->Buffer == NULL)
                FormatTerminatedString(Output, &Specification, NULL, FALSE);
            else
                FormatString(Output, &Specification, String->Buffer, Wide,
                             Wide ? String->Length / sizeof(WCHAR) : String->Length);
            break;
        }
        default:
            FormatPut(Output, '%');
            FormatPut(Output, '?');
            return;
        }

        Format++;
    }
}

NTSTATUS
TextVPrint(_Out_writes_(Size) PSTR Buffer, _In_ SIZE_T Size, _In_ PCSTR Format, _In_ va_list Arguments)
{
    FORMAT_OUTPUT Output;
    va_list Copy;

    if (Size == 0)
        return STATUS_INVALID_PARAMETER;

    Output.Buffer = Buffer;
    Output.Size = Size;
    Output.Length = 0;

    va_copy(Copy, Arguments);
    FormatPrint(&Output, Format, Copy);
    va_end(Copy);

    Buffer[min(Output.Length, Size - 1)] = '\0';

    return (Output.Length < Size) ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}

NTSTATUS
TextPrint(_Out_writes_(Size) PSTR Buffer, _In_ SIZE_T Size, _In_ PCSTR Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = TextVPrint(Buffer, Size, Format, Arguments);
    va_end(Arguments);

    return Status;
}
