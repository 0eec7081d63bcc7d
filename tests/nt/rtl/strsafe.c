/*
 * ntstrsafe.h, "Using Safe String Functions" and the pages of its functions: inline code of the headers that the driver
 * is built with. Byte counts (Cb) and character counts (Cch), ANSI (A) and Unicode (W) do the same, so each is a line
 * in a table. Destinations have 16 characters, of which the routine is told of `Room`.
 */
#include "nttest.h"

#include <ntstrsafe.h>

/* Counted routines hold either unit: the tables give the size of one. */
#define CH_A sizeof(CHAR)
#define CH_W sizeof(WCHAR)
#define CCH 1

/* Text of the table's width: A("x") or W("x"). */
#define TEXT_A(_Text) _Text
#define TEXT_W(_Text) L##_Text
#define TYPE_A CHAR
#define TYPE_W WCHAR

/* The routine's name becomes text before a macro of the headers replaces it. */
#define STATUS_IS(_What, _Call, _Expected) TestExpectStatus(__FILE__, __LINE__, (_What), (_Call), #_Expected, _Expected)
#define TEXT_IS_A(_Actual, _Expected) TestExpectText(__FILE__, __LINE__, "the text", (_Actual), _Expected)
#define TEXT_IS_W(_Actual, _Expected) TestExpectWide(__FILE__, __LINE__, "the text", (_Actual), L##_Expected)

#define ROOM 16
#define FILLED 0x7E /* in what no routine may touch */

/* ---- length ---- */

#define LENGTHS(X)                                                                                                     \
    X(RtlStringCbLengthA, A, CH_A)                                                                                     \
    X(RtlStringCbLengthW, W, CH_W)                                                                                     \
    X(RtlStringCchLengthA, A, CCH)                                                                                     \
    X(RtlStringCchLengthW, W, CCH)

#define LENGTH(_Routine, _Width, _Unit)                                                                                \
    {                                                                                                                  \
        size_t Length = 99;                                                                                            \
                                                                                                                       \
        STATUS_IS(#_Routine, _Routine(TEXT_##_Width("abc"), 4 * _Unit, &Length), STATUS_SUCCESS);                      \
        EXPECT_EQUAL(Length / _Unit, 3);                                                                               \
        STATUS_IS(#_Routine " of nothing", _Routine(TEXT_##_Width(""), _Unit, &Length), STATUS_SUCCESS);               \
        EXPECT_EQUAL(Length, 0);                                                                                       \
        STATUS_IS(#_Routine " alone", _Routine(TEXT_##_Width("abc"), 4 * _Unit, NULL), STATUS_SUCCESS);                \
    }

static VOID SafeLength(VOID)
{
    LENGTHS(LENGTH)
}

#define LENGTH_REFUSED(_Routine, _Width, _Unit)                                                                        \
    {                                                                                                                  \
        size_t Length = 99;                                                                                            \
                                                                                                                       \
        STATUS_IS(#_Routine " without a zero", _Routine(TEXT_##_Width("abc"), 3 * _Unit, &Length),                     \
                  STATUS_INVALID_PARAMETER);                                                                           \
        STATUS_IS(#_Routine " of NULL", _Routine(NULL, 3 * _Unit, &Length), STATUS_INVALID_PARAMETER);                 \
        STATUS_IS(#_Routine " of too much",                                                                            \
                  _Routine(TEXT_##_Width("abc"), ((size_t)NTSTRSAFE_MAX_CCH + 1) * _Unit, &Length),                    \
                  STATUS_INVALID_PARAMETER);                                                                           \
    }

static VOID SafeLengthRefuses(VOID)
{
    LENGTHS(LENGTH_REFUSED)
}

/* ---- copy, concatenate and print, as one ---- */

/*
 * Each line of the tables calls its routine so that it puts the text of five characters into the buffer: a copy, the
 * last two characters of it behind "abc", or a format with the text as its argument.
 */
#define WITH_MAXIMUM 64

#define COPY_2(_Routine, _Buffer, _Room, _Unit, _Text) _Routine(_Buffer, (_Room)*_Unit, _Text)
#define COPY_N(_Routine, _Buffer, _Room, _Unit, _Text) _Routine(_Buffer, (_Room)*_Unit, _Text, WITH_MAXIMUM *_Unit)

#define COPIES(X)                                                                                                      \
    X(RtlStringCbCopyA, COPY_2, A, CH_A)                                                                               \
    X(RtlStringCbCopyW, COPY_2, W, CH_W)                                                                               \
    X(RtlStringCchCopyA, COPY_2, A, CCH)                                                                               \
    X(RtlStringCchCopyW, COPY_2, W, CCH)                                                                               \
    X(RtlStringCbCopyNA, COPY_N, A, CH_A)                                                                              \
    X(RtlStringCbCopyNW, COPY_N, W, CH_W)                                                                              \
    X(RtlStringCchCopyNA, COPY_N, A, CCH)                                                                              \
    X(RtlStringCchCopyNW, COPY_N, W, CCH)                                                                              \
    X(RtlStringCbCopyExA, COPY_EX, A, CH_A)                                                                            \
    X(RtlStringCbCopyExW, COPY_EX, W, CH_W)                                                                            \
    X(RtlStringCchCopyExA, COPY_EX, A, CCH)                                                                            \
    X(RtlStringCchCopyExW, COPY_EX, W, CCH)                                                                            \
    X(RtlStringCbCopyNExA, COPY_NEX, A, CH_A)                                                                          \
    X(RtlStringCbCopyNExW, COPY_NEX, W, CH_W)                                                                          \
    X(RtlStringCchCopyNExA, COPY_NEX, A, CCH)                                                                          \
    X(RtlStringCchCopyNExW, COPY_NEX, W, CCH)

#define COPY_EX(_Routine, _Buffer, _Room, _Unit, _Text) _Routine(_Buffer, (_Room)*_Unit, _Text, NULL, NULL, 0)
#define COPY_NEX(_Routine, _Buffer, _Room, _Unit, _Text)                                                               \
    _Routine(_Buffer, (_Room)*_Unit, _Text, WITH_MAXIMUM *_Unit, NULL, NULL, 0)

#define CATS(X)                                                                                                        \
    X(RtlStringCbCatA, COPY_2, A, CH_A)                                                                                \
    X(RtlStringCbCatW, COPY_2, W, CH_W)                                                                                \
    X(RtlStringCchCatA, COPY_2, A, CCH)                                                                                \
    X(RtlStringCchCatW, COPY_2, W, CCH)                                                                                \
    X(RtlStringCbCatNA, COPY_N, A, CH_A)                                                                               \
    X(RtlStringCbCatNW, COPY_N, W, CH_W)                                                                               \
    X(RtlStringCchCatNA, COPY_N, A, CCH)                                                                               \
    X(RtlStringCchCatNW, COPY_N, W, CCH)

#define PRINT_2(_Routine, _Buffer, _Room, _Unit, _Text) _Routine(_Buffer, (_Room)*_Unit, _Text)
#define PRINT_EX(_Routine, _Buffer, _Room, _Unit, _Text) _Routine(_Buffer, (_Room)*_Unit, NULL, NULL, 0, _Text)

#define PRINTS(X)                                                                                                      \
    X(RtlStringCbPrintfA, PRINT_2, A, CH_A)                                                                            \
    X(RtlStringCbPrintfW, PRINT_2, W, CH_W)                                                                            \
    X(RtlStringCchPrintfA, PRINT_2, A, CCH)                                                                            \
    X(RtlStringCchPrintfW, PRINT_2, W, CCH)                                                                            \
    X(RtlStringCbPrintfExA, PRINT_EX, A, CH_A)                                                                         \
    X(RtlStringCbPrintfExW, PRINT_EX, W, CH_W)                                                                         \
    X(RtlStringCchPrintfExA, PRINT_EX, A, CCH)                                                                         \
    X(RtlStringCchPrintfExW, PRINT_EX, W, CCH)                                                                         \
    X(CbListA, PRINT_2, A, CH_A)                                                                                       \
    X(CbListW, PRINT_2, W, CH_W)                                                                                       \
    X(CchListA, PRINT_2, A, CCH)                                                                                       \
    X(CchListW, PRINT_2, W, CCH)                                                                                       \
    X(CbListExA, PRINT_EX, A, CH_A)                                                                                    \
    X(CbListExW, PRINT_EX, W, CH_W)                                                                                    \
    X(CchListExA, PRINT_EX, A, CCH)                                                                                    \
    X(CchListExW, PRINT_EX, W, CCH)

/* RtlString...VPrintf...: through a list of arguments. */
#define DEFINE_LIST(_Name, _Routine, _Type)                                                                            \
    static NTSTATUS _Name(_Type *Buffer, size_t Room, const _Type *Format, ...)                                        \
    {                                                                                                                  \
        va_list Arguments;                                                                                             \
        NTSTATUS Status;                                                                                               \
                                                                                                                       \
        va_start(Arguments, Format);                                                                                   \
        Status = _Routine(Buffer, Room, Format, Arguments);                                                            \
        va_end(Arguments);                                                                                             \
        return Status;                                                                                                 \
    }

#define DEFINE_LIST_EX(_Name, _Routine, _Type)                                                                         \
    static NTSTATUS _Name(_Type *Buffer, size_t Room, _Type **End, size_t *Left, ULONG Flags, const _Type *Format,     \
                          ...)                                                                                         \
    {                                                                                                                  \
        va_list Arguments;                                                                                             \
        NTSTATUS Status;                                                                                               \
                                                                                                                       \
        va_start(Arguments, Format);                                                                                   \
        Status = _Routine(Buffer, Room, End, Left, Flags, Format, Arguments);                                          \
        va_end(Arguments);                                                                                             \
        return Status;                                                                                                 \
    }

DEFINE_LIST(CbListA, RtlStringCbVPrintfA, CHAR)
DEFINE_LIST(CbListW, RtlStringCbVPrintfW, WCHAR)
DEFINE_LIST(CchListA, RtlStringCchVPrintfA, CHAR)
DEFINE_LIST(CchListW, RtlStringCchVPrintfW, WCHAR)
DEFINE_LIST_EX(CbListExA, RtlStringCbVPrintfExA, CHAR)
DEFINE_LIST_EX(CbListExW, RtlStringCbVPrintfExW, WCHAR)
DEFINE_LIST_EX(CchListExA, RtlStringCchVPrintfExA, CHAR)
DEFINE_LIST_EX(CchListExW, RtlStringCchVPrintfExW, WCHAR)

/* All into a buffer that has room for it, and the zero. */
#define FITS(_Routine, _Call, _Width, _Unit)                                                                           \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM];                                                                                    \
                                                                                                                       \
        RtlFillMemory(Buffer, sizeof(Buffer), FILLED);                                                                 \
        STATUS_IS(#_Routine, _Call(_Routine, Buffer, 6, _Unit, TEXT_##_Width("abcde")), STATUS_SUCCESS);               \
        TEXT_IS_##_Width(Buffer, "abcde");                                                                             \
        CHECK(((PUCHAR)&Buffer[6])[0] == FILLED);                                                                      \
        STATUS_IS(#_Routine " of nothing", _Call(_Routine, Buffer, 1, _Unit, TEXT_##_Width("")), STATUS_SUCCESS);      \
        CHECK(Buffer[0] == 0 && Buffer[1] == TEXT_##_Width("abcde")[1]);                                               \
    }

/* No room for the zero: as much as fits in front of one. */
#define TRUNCATES(_Routine, _Call, _Width, _Unit)                                                                      \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM];                                                                                    \
                                                                                                                       \
        RtlFillMemory(Buffer, sizeof(Buffer), FILLED);                                                                 \
        STATUS_IS(#_Routine, _Call(_Routine, Buffer, 5, _Unit, TEXT_##_Width("abcde")), STATUS_BUFFER_OVERFLOW);       \
        TEXT_IS_##_Width(Buffer, "abcd");                                                                              \
        CHECK(((PUCHAR)&Buffer[5])[0] == FILLED);                                                                      \
        STATUS_IS(#_Routine " into one", _Call(_Routine, Buffer, 1, _Unit, TEXT_##_Width("abcde")),                    \
                  STATUS_BUFFER_OVERFLOW);                                                                             \
        TEXT_IS_##_Width(Buffer, "");                                                                                  \
    }

#define REFUSES(_Routine, _Call, _Width, _Unit)                                                                        \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("old");                                                             \
                                                                                                                       \
        STATUS_IS(#_Routine " without room", _Call(_Routine, Buffer, 0, _Unit, TEXT_##_Width("abcde")),                \
                  STATUS_INVALID_PARAMETER);                                                                           \
        TEXT_IS_##_Width(Buffer, "old");                                                                               \
        STATUS_IS(#_Routine " with too much",                                                                          \
                  _Call(_Routine, Buffer, (size_t)NTSTRSAFE_MAX_CCH + 1, _Unit, TEXT_##_Width("abcde")),               \
                  STATUS_INVALID_PARAMETER);                                                                           \
    }

static VOID SafeCopyFits(VOID)
{
    COPIES(FITS)
}

static VOID SafeCopyTruncates(VOID)
{
    COPIES(TRUNCATES)
}

static VOID SafeCopyRefuses(VOID)
{
    COPIES(REFUSES)
}

static VOID SafePrintFits(VOID)
{
    PRINTS(FITS)
}

static VOID SafePrintTruncates(VOID)
{
    PRINTS(TRUNCATES)
}

static VOID SafePrintRefuses(VOID)
{
    PRINTS(REFUSES)
}

/* Arguments of a format, and one that doesn't fit. */
#define PRINT_ARGUMENTS(_Routine, _Width, _Unit)                                                                       \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM];                                                                                    \
                                                                                                                       \
        STATUS_IS(#_Routine, _Routine(Buffer, ROOM *_Unit, TEXT_##_Width("%s=%u/%x"), TEXT_##_Width("key"), 42, 255),  \
                  STATUS_SUCCESS);                                                                                     \
        TEXT_IS_##_Width(Buffer, "key=42/ff");                                                                         \
        STATUS_IS(#_Routine " too long",                                                                               \
                  _Routine(Buffer, 6 * _Unit, TEXT_##_Width("%s=%u"), TEXT_##_Width("key"), 42),                       \
                  STATUS_BUFFER_OVERFLOW);                                                                             \
        TEXT_IS_##_Width(Buffer, "key=4");                                                                             \
    }

static VOID SafePrintArguments(VOID)
{
    PRINT_ARGUMENTS(RtlStringCbPrintfA, A, CH_A)
    PRINT_ARGUMENTS(RtlStringCbPrintfW, W, CH_W)
    PRINT_ARGUMENTS(RtlStringCchPrintfA, A, CCH)
    PRINT_ARGUMENTS(RtlStringCchPrintfW, W, CCH)
    PRINT_ARGUMENTS(CbListA, A, CH_A)
    PRINT_ARGUMENTS(CbListW, W, CH_W)
    PRINT_ARGUMENTS(CchListA, A, CCH)
    PRINT_ARGUMENTS(CchListW, W, CCH)
}

#define CAT(_Routine, _Call, _Width, _Unit)                                                                            \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM];                                                                                    \
                                                                                                                       \
        RtlFillMemory(Buffer, sizeof(Buffer), FILLED);                                                                 \
        Buffer[0] = 'a';                                                                                               \
        Buffer[1] = 0;                                                                                                 \
        STATUS_IS(#_Routine, _Call(_Routine, Buffer, 4, _Unit, TEXT_##_Width("bc")), STATUS_SUCCESS);                  \
        TEXT_IS_##_Width(Buffer, "abc");                                                                               \
        CHECK(((PUCHAR)&Buffer[4])[0] == FILLED);                                                                      \
        STATUS_IS(#_Routine " of nothing", _Call(_Routine, Buffer, 4, _Unit, TEXT_##_Width("")), STATUS_SUCCESS);      \
        TEXT_IS_##_Width(Buffer, "abc");                                                                               \
    }

#define CAT_TRUNCATES(_Routine, _Call, _Width, _Unit)                                                                  \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("abc");                                                             \
                                                                                                                       \
        Buffer[6] = 'z';                                                                                               \
        STATUS_IS(#_Routine, _Call(_Routine, Buffer, 6, _Unit, TEXT_##_Width("def")), STATUS_BUFFER_OVERFLOW);         \
        TEXT_IS_##_Width(Buffer, "abcde");                                                                             \
        CHECK(Buffer[6] == 'z');                                                                                       \
    }

/* Without a zero in its size the destination is full already. */
#define CAT_REFUSES(_Routine, _Call, _Width, _Unit)                                                                    \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("abc");                                                             \
                                                                                                                       \
        STATUS_IS(#_Routine " without room", _Call(_Routine, Buffer, 0, _Unit, TEXT_##_Width("d")),                    \
                  STATUS_INVALID_PARAMETER);                                                                           \
        STATUS_IS(#_Routine " to a full one", _Call(_Routine, Buffer, 3, _Unit, TEXT_##_Width("d")),                   \
                  STATUS_INVALID_PARAMETER);                                                                           \
        STATUS_IS(#_Routine " with too much",                                                                          \
                  _Call(_Routine, Buffer, (size_t)NTSTRSAFE_MAX_CCH + 1, _Unit, TEXT_##_Width("d")),                   \
                  STATUS_INVALID_PARAMETER);                                                                           \
        TEXT_IS_##_Width(Buffer, "abc");                                                                               \
    }

static VOID SafeCat(VOID)
{
    CATS(CAT)
}

static VOID SafeCatTruncates(VOID)
{
    CATS(CAT_TRUNCATES)
}

static VOID SafeCatRefuses(VOID)
{
    CATS(CAT_REFUSES)
}

/* At most so many characters of the source, which needs no zero then, and nothing of the rest is padded. */
#define COPY_SOME(_Routine, _Width, _Unit)                                                                             \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("012345");                                                          \
                                                                                                                       \
        STATUS_IS(#_Routine, _Routine(Buffer, ROOM *_Unit, TEXT_##_Width("abcde"), 2 * _Unit), STATUS_SUCCESS);        \
        TEXT_IS_##_Width(Buffer, "ab");                                                                                \
        CHECK(Buffer[3] == '3');                                                                                       \
    }
#define COPY_SOME_EX(_Routine, _Width, _Unit)                                                                          \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("012345");                                                          \
                                                                                                                       \
        STATUS_IS(#_Routine, _Routine(Buffer, ROOM *_Unit, TEXT_##_Width("abcde"), 2 * _Unit, NULL, NULL, 0),          \
                  STATUS_SUCCESS);                                                                                     \
        TEXT_IS_##_Width(Buffer, "ab");                                                                                \
        CHECK(Buffer[3] == '3');                                                                                       \
    }
#define CAT_SOME(_Routine, _Width, _Unit)                                                                              \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("xy");                                                              \
                                                                                                                       \
        STATUS_IS(#_Routine, _Routine(Buffer, ROOM *_Unit, TEXT_##_Width("abcde"), 2 * _Unit), STATUS_SUCCESS);        \
        TEXT_IS_##_Width(Buffer, "xyab");                                                                              \
    }

static VOID SafeMaximum(VOID)
{
    COPY_SOME(RtlStringCbCopyNA, A, CH_A)
    COPY_SOME(RtlStringCbCopyNW, W, CH_W)
    COPY_SOME(RtlStringCchCopyNA, A, CCH)
    COPY_SOME(RtlStringCchCopyNW, W, CCH)
    COPY_SOME_EX(RtlStringCbCopyNExA, A, CH_A)
    COPY_SOME_EX(RtlStringCbCopyNExW, W, CH_W)
    COPY_SOME_EX(RtlStringCchCopyNExA, A, CCH)
    COPY_SOME_EX(RtlStringCchCopyNExW, W, CCH)
    CAT_SOME(RtlStringCbCatNA, A, CH_A)
    CAT_SOME(RtlStringCbCatNW, W, CH_W)
    CAT_SOME(RtlStringCchCatNA, A, CCH)
    CAT_SOME(RtlStringCchCatNW, W, CCH)
}

/* ---- the Ex forms: where it ends, what is left, flags ---- */

#define EX_2(_Routine, _Buffer, _Size, _Text, _Unit, _End, _Left, _Flags)                                              \
    _Routine(_Buffer, (_Size)*_Unit, _Text, _End, _Left, _Flags)
#define EX_N(_Routine, _Buffer, _Size, _Text, _Unit, _End, _Left, _Flags)                                              \
    _Routine(_Buffer, (_Size)*_Unit, _Text, WITH_MAXIMUM *_Unit, _End, _Left, _Flags)
#define EX_PRINT(_Routine, _Buffer, _Size, _Text, _Unit, _End, _Left, _Flags)                                          \
    _Routine(_Buffer, (_Size)*_Unit, _End, _Left, _Flags, _Text)

#define EXTENDED(X)                                                                                                    \
    X(RtlStringCbCopyExA, EX_2, A, CH_A)                                                                               \
    X(RtlStringCbCopyExW, EX_2, W, CH_W)                                                                               \
    X(RtlStringCchCopyExA, EX_2, A, CCH)                                                                               \
    X(RtlStringCchCopyExW, EX_2, W, CCH)                                                                               \
    X(RtlStringCbCopyNExA, EX_N, A, CH_A)                                                                              \
    X(RtlStringCbCopyNExW, EX_N, W, CH_W)                                                                              \
    X(RtlStringCchCopyNExA, EX_N, A, CCH)                                                                              \
    X(RtlStringCchCopyNExW, EX_N, W, CCH)                                                                              \
    X(RtlStringCbPrintfExA, EX_PRINT, A, CH_A)                                                                         \
    X(RtlStringCbPrintfExW, EX_PRINT, W, CH_W)                                                                         \
    X(RtlStringCchPrintfExA, EX_PRINT, A, CCH)                                                                         \
    X(RtlStringCchPrintfExW, EX_PRINT, W, CCH)                                                                         \
    X(CbListExA, EX_PRINT, A, CH_A)                                                                                    \
    X(CbListExW, EX_PRINT, W, CH_W)                                                                                    \
    X(CchListExA, EX_PRINT, A, CCH)                                                                                    \
    X(CchListExW, EX_PRINT, W, CCH)

#define END_AND_LEFT(_Routine, _Call, _Width, _Unit)                                                                   \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM];                                                                                    \
        TYPE_##_Width *End = NULL;                                                                                     \
        size_t Left = 99;                                                                                              \
                                                                                                                       \
        STATUS_IS(#_Routine, _Call(_Routine, Buffer, ROOM, TEXT_##_Width("abcde"), _Unit, &End, &Left, 0),             \
                  STATUS_SUCCESS);                                                                                     \
        EXPECT_EQUAL(End - Buffer, 5);                                                                                 \
        EXPECT_EQUAL(Left / _Unit, ROOM - 5); /* the zero's place is one of them */                                    \
        STATUS_IS(#_Routine " too long", _Call(_Routine, Buffer, 3, TEXT_##_Width("abcde"), _Unit, &End, &Left, 0),    \
                  STATUS_BUFFER_OVERFLOW);                                                                             \
        EXPECT_EQUAL(End - Buffer, 2);                                                                                 \
        EXPECT_EQUAL(Left / _Unit, 1);                                                                                 \
    }

static VOID SafeExEndAndLeft(VOID)
{
    EXTENDED(END_AND_LEFT)
}

/* The fill byte is the low byte of the flags; characters of two bytes get it twice. */
#define FILL_BEHIND(_Routine, _Call, _Width, _Unit)                                                                    \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM];                                                                                    \
        ULONG Index;                                                                                                   \
                                                                                                                       \
        RtlZeroMemory(Buffer, sizeof(Buffer));                                                                         \
        STATUS_IS(                                                                                                     \
            #_Routine,                                                                                                 \
            _Call(_Routine, Buffer, 8, TEXT_##_Width("abcde"), _Unit, NULL, NULL, STRSAFE_FILL_BEHIND_NULL | 0x2E),    \
            STATUS_SUCCESS);                                                                                           \
        TEXT_IS_##_Width(Buffer, "abcde");                                                                             \
        for (Index = 0; Index < 2 * sizeof(Buffer[0]); Index++)                                                        \
            CHECK(((PUCHAR)&Buffer[6])[Index] == 0x2E);                                                                \
        CHECK(Buffer[8] == 0);                                                                                         \
    }

static VOID SafeExFillBehindNull(VOID)
{
    EXTENDED(FILL_BEHIND)
}

#define FILL_FAILED(_Routine, _Call, _Width, _Unit)                                                                    \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("old");                                                             \
        ULONG Index;                                                                                                   \
                                                                                                                       \
        STATUS_IS(                                                                                                     \
            #_Routine,                                                                                                 \
            _Call(_Routine, Buffer, 4, TEXT_##_Width("abcde"), _Unit, NULL, NULL, STRSAFE_FILL_ON_FAILURE | 0x2E),     \
            STATUS_BUFFER_OVERFLOW);                                                                                   \
        for (Index = 0; Index < 3 * sizeof(Buffer[0]); Index++)                                                        \
            CHECK(((PUCHAR)Buffer)[Index] == 0x2E);                                                                    \
        CHECK(Buffer[3] == 0);                                                                                         \
    }

static VOID SafeExFillOnFailure(VOID)
{
    EXTENDED(FILL_FAILED)
}

#define NULL_FAILED(_Routine, _Call, _Width, _Unit)                                                                    \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("old");                                                             \
                                                                                                                       \
        STATUS_IS(#_Routine,                                                                                           \
                  _Call(_Routine, Buffer, 4, TEXT_##_Width("abcde"), _Unit, NULL, NULL, STRSAFE_NULL_ON_FAILURE),      \
                  STATUS_BUFFER_OVERFLOW);                                                                             \
        TEXT_IS_##_Width(Buffer, "");                                                                                  \
    }

static VOID SafeExNullOnFailure(VOID)
{
    EXTENDED(NULL_FAILED)
}

/*
 * The pages say that the buffer isn't modified; those of user mode's strsafe.h, and the headers of both kits, have an
 * empty string there then. What must not be there is a part of the text.
 */
#define NOT_CUT(_Routine, _Call, _Width, _Unit)                                                                        \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("old");                                                             \
                                                                                                                       \
        STATUS_IS(#_Routine,                                                                                           \
                  _Call(_Routine, Buffer, 4, TEXT_##_Width("abcde"), _Unit, NULL, NULL, STRSAFE_NO_TRUNCATION),        \
                  STATUS_BUFFER_OVERFLOW);                                                                             \
        CHECK(Buffer[0] == 0 || (Buffer[0] == 'o' && Buffer[1] == 'l' && Buffer[2] == 'd' && Buffer[3] == 0));         \
        OBSERVE(#_Routine ": the first character", Buffer[0]);                                                         \
    }

static VOID SafeExNoTruncation(VOID)
{
    EXTENDED(NOT_CUT)
}

/* With STRSAFE_IGNORE_NULLS, no source is an empty one, and no destination takes just that. */
#define NULLS(_Routine, _Call, _Width, _Unit)                                                                          \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("old");                                                             \
                                                                                                                       \
        STATUS_IS(#_Routine " of NULL", _Call(_Routine, Buffer, ROOM, NULL, _Unit, NULL, NULL, STRSAFE_IGNORE_NULLS),  \
                  STATUS_SUCCESS);                                                                                     \
        TEXT_IS_##_Width(Buffer, "");                                                                                  \
        STATUS_IS(#_Routine " of nothing to NULL",                                                                     \
                  _Call(_Routine, NULL, 0, TEXT_##_Width(""), _Unit, NULL, NULL, STRSAFE_IGNORE_NULLS),                \
                  STATUS_SUCCESS);                                                                                     \
    }

#define NULLS_REFUSED(_Routine, _Call, _Width, _Unit)                                                                  \
    {                                                                                                                  \
        TYPE_##_Width Buffer[ROOM] = TEXT_##_Width("old");                                                             \
                                                                                                                       \
        STATUS_IS(#_Routine " of text to NULL",                                                                        \
                  _Call(_Routine, NULL, 0, TEXT_##_Width("a"), _Unit, NULL, NULL, STRSAFE_IGNORE_NULLS),               \
                  STATUS_INVALID_PARAMETER);                                                                           \
        STATUS_IS(#_Routine " to NULL with room",                                                                      \
                  _Call(_Routine, NULL, 4, TEXT_##_Width(""), _Unit, NULL, NULL, STRSAFE_IGNORE_NULLS),                \
                  STATUS_INVALID_PARAMETER);                                                                           \
        STATUS_IS(#_Routine " with an unknown flag",                                                                   \
                  _Call(_Routine, Buffer, ROOM, TEXT_##_Width("a"), _Unit, NULL, NULL, 0x80000000),                    \
                  STATUS_INVALID_PARAMETER);                                                                           \
    }

static VOID SafeExNulls(VOID)
{
    EXTENDED(NULLS)
}

static VOID SafeExRefuses(VOID)
{
    EXTENDED(NULLS_REFUSED)
}

/* ---- formats ---- */

/* What the text of a format is; the sizes of types are those of Windows. */
#define FORMATS(X)                                                                                                     \
    X("%lu", "4294967295", (ULONG)0xFFFFFFFF)                                                                          \
    X("%ld", "-1", (LONG)-1)                                                                                           \
    X("%lx %lX", "deadbeef DEADBEEF", (ULONG)0xDEADBEEF, (ULONG)0xDEADBEEF)                                            \
    X("%08lx|%-6u|%6d|%+d", "0000001f|7     |    -5|+3", (ULONG)0x1F, 7u, -5, 3)                                       \
    X("%lu,%lu", "4294967295,1", (ULONG)0xFFFFFFFF, (ULONG)1)                                                          \
    X("%I64x", "123456789abcdef0", 0x123456789ABCDEF0ULL)                                                              \
    X("%I64u", "18446744073709551615", ~0ULL)                                                                          \
    X("%lld %llu", "-9000000000 9000000000", -9000000000LL, 9000000000ULL)                                             \
    X("%I32u", "4294967295", (ULONG)0xFFFFFFFF)                                                                        \
    X("%Ix", "ffffffffffffffff", ~(ULONG_PTR)0)                                                                        \
    X("%p", "0000000000001234", (PVOID)0x1234)                                                                         \
    X("%s|%.2s|%5s|%-5s|", "abc|ab|  abc|abc  |", "abc", "abc", "abc", "abc")                                          \
    X("%ws|%ls|%S", "wide|wide|wide", L"wide", L"wide", L"wide")                                                       \
    X("%hs", "narrow", "narrow")                                                                                       \
    X("%wZ", "counted", &Counted)                                                                                      \
    X("%Z", "ansi", &Ansi)                                                                                             \
    X("%c%c%%", "ab%", 'a', 'b')                                                                                       \
    X("%#x %#o", "0xff 0377", 255, 255)                                                                                \
    X("%*d|%.*s", "   42|ab", 5, 42, 2, "abc")                                                                         \
    X("%02X:%02X", "00:FF", 0, 255)                                                                                    \
    X("%hu", "65535", 0xFFFF)

#define FORMAT(_Format, _Expected, ...)                                                                                \
    STATUS_IS("RtlStringCbPrintfA of " _Format, RtlStringCbPrintfA(Buffer, sizeof(Buffer), _Format, __VA_ARGS__),      \
              STATUS_SUCCESS);                                                                                         \
    TestExpectText(__FILE__, __LINE__, "the text", Buffer, _Expected);

static VOID SafePrintFormats(VOID)
{
    UNICODE_STRING Counted;
    ANSI_STRING Ansi;
    CHAR Buffer[128];

    RtlInitUnicodeString(&Counted, L"counted, but not this");
    Counted.Length = 7 * sizeof(WCHAR); /* no zero ends it: the length does */
    RtlInitAnsiString(&Ansi, "ansi and more");
    Ansi.Length = 4;
    FORMATS(FORMAT)
}

/* In a wide format %s is wide and %S is narrow. */
static VOID SafePrintWideFormats(VOID)
{
    UNICODE_STRING Counted;
    WCHAR Buffer[64];

    RtlInitUnicodeString(&Counted, L"counted");
    EXPECT_STATUS(RtlStringCbPrintfW(Buffer, sizeof(Buffer), L"%s %S %hs %wZ %lu %I64x", L"wide", "narrow", "short",
                                     &Counted, (ULONG)0xFFFFFFFF, 0xABCDEF0123ULL),
                  STATUS_SUCCESS);
    EXPECT_WIDE(Buffer, L"wide narrow short counted 4294967295 abcdef0123");
}

/* ---- levels ---- */

/* Any level, if the strings are resident. */
static VOID SafeAtHighLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    SafeLength();
    SafeCopyFits();
    SafeCat();
    SafeMaximum();
    KeLowerIrql(Irql);
}

/*
 * The pages of the printing functions say PASSIVE_LEVEL: what a Unicode conversion needs is paged. Drivers print
 * numbers at DISPATCH_LEVEL all the same, and nothing stops them.
 */
static VOID PrintAtDispatchLevel(NTSTATUS (*Print)(PVOID Buffer))
{
    CHAR Buffer[ROOM];
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) Print(Buffer);
}

#define PRINTS_WIDE(X)                                                                                                 \
    X(SafePrintCbAboveLimit, RtlStringCbPrintfA(Buffer, ROOM, "%ws", L"a"))                                            \
    X(SafePrintCchAboveLimit, RtlStringCchPrintfA(Buffer, ROOM, "%ws", L"a"))                                          \
    X(SafePrintCbListAboveLimit, CbListA(Buffer, ROOM, "%ws", L"a"))                                                   \
    X(SafePrintCchListAboveLimit, CchListA(Buffer, ROOM, "%ws", L"a"))                                                 \
    X(SafePrintCbExAboveLimit, RtlStringCbPrintfExA(Buffer, ROOM, NULL, NULL, 0, "%ws", L"a"))                         \
    X(SafePrintCchExAboveLimit, RtlStringCchPrintfExA(Buffer, ROOM, NULL, NULL, 0, "%ws", L"a"))                       \
    X(SafePrintCbListExAboveLimit, CbListExA(Buffer, ROOM, NULL, NULL, 0, "%ws", L"a"))                                \
    X(SafePrintCchListExAboveLimit, CchListExA(Buffer, ROOM, NULL, NULL, 0, "%ws", L"a"))

#define PRINT_ABOVE_LIMIT(_Name, _Call)                                                                                \
    static NTSTATUS _Name##Call(PVOID Buffer)                                                                          \
    {                                                                                                                  \
        return _Call;                                                                                                  \
    }                                                                                                                  \
    static VOID _Name(VOID)                                                                                            \
    {                                                                                                                  \
        PrintAtDispatchLevel(_Name##Call);                                                                             \
    }

PRINTS_WIDE(PRINT_ABOVE_LIMIT)

TEST_TABLE(rtl_strsafe){
    TEST(SafeLength, 0),
    TEST(SafeLengthRefuses, 0),
    TEST(SafeCopyFits, 0),
    TEST(SafeCopyTruncates, 0),
    TEST(SafeCopyRefuses, 0),
    TEST(SafeCat, 0),
    TEST(SafeCatTruncates, 0),
    TEST(SafeCatRefuses, 0),
    TEST(SafeMaximum, 0),
    TEST(SafePrintFits, 0),
    TEST(SafePrintTruncates, 0),
    TEST(SafePrintRefuses, 0),
    TEST(SafePrintArguments, 0),
    TEST(SafePrintFormats, 0),
    TEST(SafePrintWideFormats, 0),
    TEST(SafeExEndAndLeft, 0),
    TEST(SafeExFillBehindNull, 0),
    TEST(SafeExFillOnFailure, 0),
    TEST(SafeExNullOnFailure, 0),
    TEST(SafeExNoTruncation, 0),
    TEST(SafeExNulls, 0),
    TEST(SafeExRefuses, 0),
    TEST(SafeAtHighLevel, 0),
    TEST_VIOLATION(SafePrintCbAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCchAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCbListAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCchListAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCbExAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCchExAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCbListExAboveLimit, "format-irql", 0),
    TEST_VIOLATION(SafePrintCchListExAboveLimit, "format-irql", 0),
    TEST_END,
};
