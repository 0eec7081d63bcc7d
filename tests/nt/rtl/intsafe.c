/*
 * ntintsafe.h: arithmetic and conversions that say when a result does not fit. Inline code of the headers that the
 * driver is built with. Their pages give no level, and no value to the result of a call that fails.
 */
#include "nttest.h"

#include <ntintsafe.h>

/* What the headers of mingw-w64's DDK (version 10) call otherwise, or have for ULONGLONG alone. */
#if defined(__MINGW32__)
#define RtlSIZETAdd RtlSizeTAdd
#define RtlSIZETSub RtlSizeTSub
#define RtlSIZETMult RtlSizeTMult
#define RtlULongLongToSIZET RtlULongLongToSizeT
#define RtlSIZETToULong RtlSizeTToULong
#define RtlSIZETToUShort RtlULongLongToUShort
#endif

#define LEAST32 (-0x7FFFFFFF - 1)
#define MOST64 0x7FFFFFFFFFFFFFFFLL
#define LEAST64 (-MOST64 - 1)
#define ALL64 0xFFFFFFFFFFFFFFFFULL

/*
 * Of each type, by the routines' names: its least and its greatest value, and two factors whose product is the greatest
 * value that they can make within it; one more in the first is too much.
 */
#define UNSIGNED(X)                                                                                                    \
    X(RtlUInt8Add, RtlUInt8Sub, RtlUInt8Mult, UINT8, 0xFF, 15, 17)                                                     \
    X(RtlUShortAdd, RtlUShortSub, RtlUShortMult, USHORT, 0xFFFF, 255, 257)                                             \
    X(RtlUIntAdd, RtlUIntSub, RtlUIntMult, UINT, 0xFFFFFFFFU, 65535, 65537)                                            \
    X(RtlULongAdd, RtlULongSub, RtlULongMult, ULONG, 0xFFFFFFFFU, 65535, 65537)                                        \
    X(RtlULongLongAdd, RtlULongLongSub, RtlULongLongMult, ULONGLONG, ALL64, 0xFFFFFFFFULL, 0x100000001ULL)             \
    X(RtlULongPtrAdd, RtlULongPtrSub, RtlULongPtrMult, ULONG_PTR, ALL64, 0xFFFFFFFFULL, 0x100000001ULL)                \
    X(RtlUIntPtrAdd, RtlUIntPtrSub, RtlUIntPtrMult, UINT_PTR, ALL64, 0xFFFFFFFFULL, 0x100000001ULL)                    \
    X(RtlSIZETAdd, RtlSIZETSub, RtlSIZETMult, SIZE_T, ALL64, 0xFFFFFFFFULL, 0x100000001ULL)

#define SIGNED(X)                                                                                                      \
    X(RtlInt8Add, RtlInt8Sub, RtlInt8Mult, INT8, -128, 127, 8, 16)                                                     \
    X(RtlShortAdd, RtlShortSub, RtlShortMult, SHORT, -32768, 32767, 256, 128)                                          \
    X(RtlIntAdd, RtlIntSub, RtlIntMult, INT, LEAST32, MAXLONG, 65536, 32768)                                           \
    X(RtlLongAdd, RtlLongSub, RtlLongMult, LONG, LEAST32, MAXLONG, 65536, 32768)                                       \
    X(RtlLongLongAdd, RtlLongLongSub, RtlLongLongMult, LONGLONG, LEAST64, MOST64, 0x100000000LL, 0x80000000LL)         \
    X(RtlLongPtrAdd, RtlLongPtrSub, RtlLongPtrMult, LONG_PTR, LEAST64, MOST64, 0x100000000LL, 0x80000000LL)

/* The routine's name becomes text before a macro of the headers replaces it. */
#define RESULT(_What, _Call, _Expected)                                                                                \
    Result = 99;                                                                                                       \
    TestExpectStatus(__FILE__, __LINE__, (_What), (_Call), "STATUS_SUCCESS", STATUS_SUCCESS);                          \
    TestExpectNumber(__FILE__, __LINE__, "its result", (LONGLONG)Result, (LONGLONG)(_Expected));

#define OVERFLOW(_What, _Call)                                                                                         \
    TestExpectStatus(__FILE__, __LINE__, (_What), (_Call), "STATUS_INTEGER_OVERFLOW", STATUS_INTEGER_OVERFLOW);

#define UNSIGNED_FITS(_Add, _Sub, _Mult, _Type, _Most, _First, _Second)                                                \
    {                                                                                                                  \
        _Type Result;                                                                                                  \
                                                                                                                       \
        RESULT(#_Add " to the greatest", _Add((_Type)(_Most - 1), 1, &Result), _Most)                                  \
        RESULT(#_Add " of zeros", _Add(0, 0, &Result), 0)                                                              \
        RESULT(#_Sub " to zero", _Sub(_Most, _Most, &Result), 0)                                                       \
        RESULT(#_Sub, _Sub(_Most, 1, &Result), (_Type)(_Most - 1))                                                     \
        RESULT(#_Mult " to the greatest", _Mult(_First, _Second, &Result), _Most)                                      \
        RESULT(#_Mult " by zero", _Mult(_Most, 0, &Result), 0)                                                         \
    }

#define UNSIGNED_OVERFLOWS(_Add, _Sub, _Mult, _Type, _Most, _First, _Second)                                           \
    {                                                                                                                  \
        _Type Result;                                                                                                  \
                                                                                                                       \
        OVERFLOW(#_Add " beyond the greatest", _Add(_Most, 1, &Result))                                                \
        OVERFLOW(#_Add " of the greatest", _Add(_Most, _Most, &Result))                                                \
        OVERFLOW(#_Sub " below zero", _Sub(0, 1, &Result))                                                             \
        OVERFLOW(#_Sub " of the greatest", _Sub((_Type)(_Most - 1), _Most, &Result))                                   \
        OVERFLOW(#_Mult " beyond the greatest", _Mult((_Type)(_First + 1), _Second, &Result))                          \
        OVERFLOW(#_Mult " of the greatest", _Mult(_Most, _Most, &Result))                                              \
    }

#define SIGNED_FITS(_Add, _Sub, _Mult, _Type, _Least, _Most, _First, _Second)                                          \
    {                                                                                                                  \
        _Type Result;                                                                                                  \
                                                                                                                       \
        RESULT(#_Add " to the greatest", _Add((_Type)(_Most - 1), 1, &Result), _Most)                                  \
        RESULT(#_Add " to the least", _Add((_Type)(_Least + 1), -1, &Result), _Least)                                  \
        RESULT(#_Add " of the extremes", _Add(_Least, _Most, &Result), -1)                                             \
        RESULT(#_Sub " to the least", _Sub((_Type)(_Least + 1), 1, &Result), _Least)                                   \
        RESULT(#_Sub " to the greatest", _Sub(-1, _Least, &Result), _Most)                                             \
        RESULT(#_Mult " to the least", _Mult((_Type)-_First, _Second, &Result), _Least)                                \
        RESULT(#_Mult " of two below zero", _Mult((_Type)-_First, (_Type)(1 - _Second), &Result),                      \
               (_Type)(_First * (_Second - 1)))                                                                        \
    }

#define SIGNED_OVERFLOWS(_Add, _Sub, _Mult, _Type, _Least, _Most, _First, _Second)                                     \
    {                                                                                                                  \
        _Type Result;                                                                                                  \
                                                                                                                       \
        OVERFLOW(#_Add " beyond the greatest", _Add(_Most, 1, &Result))                                                \
        OVERFLOW(#_Add " below the least", _Add(_Least, -1, &Result))                                                  \
        OVERFLOW(#_Sub " below the least", _Sub(_Least, 1, &Result))                                                   \
        OVERFLOW(#_Sub " beyond the greatest", _Sub(0, _Least, &Result))                                               \
        OVERFLOW(#_Mult " beyond the greatest", _Mult(_First, _Second, &Result))                                       \
        OVERFLOW(#_Mult " of two below zero", _Mult((_Type)-_First, (_Type)-_Second, &Result))                         \
        OVERFLOW(#_Mult " of the least", _Mult(_Least, -1, &Result))                                                   \
    }

static VOID IntsafeArithmeticFits(VOID)
{
    UNSIGNED(UNSIGNED_FITS)
    SIGNED(SIGNED_FITS)
}

static VOID IntsafeArithmeticOverflows(VOID)
{
    UNSIGNED(UNSIGNED_OVERFLOWS)
    SIGNED(SIGNED_OVERFLOWS)
}

/* ---- conversions ---- */

/* name, to which type, the least and the greatest value that it takes */
#define CONVERSIONS(X)                                                                                                 \
    X(RtlULongToUShort, USHORT, 0, 0xFFFF)                                                                             \
    X(RtlULongToUChar, UCHAR, 0, 0xFF)                                                                                 \
    X(RtlULongToLong, LONG, 0, MAXLONG)                                                                                \
    X(RtlULongToInt, INT, 0, MAXLONG)                                                                                  \
    X(RtlLongToULong, ULONG, 0, MAXLONG)                                                                               \
    X(RtlLongToUShort, USHORT, 0, 0xFFFF)                                                                              \
    X(RtlIntToULong, ULONG, 0, MAXLONG)                                                                                \
    X(RtlIntToUShort, USHORT, 0, 0xFFFF)                                                                               \
    X(RtlUShortToUChar, UCHAR, 0, 0xFF)                                                                                \
    X(RtlULongLongToULong, ULONG, 0, 0xFFFFFFFFU)                                                                      \
    X(RtlULongLongToUShort, USHORT, 0, 0xFFFF)                                                                         \
    X(RtlULongLongToLong, LONG, 0, MAXLONG)                                                                            \
    X(RtlULongLongToLongLong, LONGLONG, 0, MOST64)                                                                     \
    X(RtlULongLongToSIZET, SIZE_T, 0, ALL64)                                                                           \
    X(RtlLongLongToULong, ULONG, 0, 0xFFFFFFFFLL)                                                                      \
    X(RtlLongLongToLong, LONG, LEAST32, MAXLONG)                                                                       \
    X(RtlLongLongToULongLong, ULONGLONG, 0, MOST64)                                                                    \
    X(RtlSIZETToULong, ULONG, 0, 0xFFFFFFFFU)                                                                          \
    X(RtlSIZETToUShort, USHORT, 0, 0xFFFF)                                                                             \
    X(RtlULongPtrToULong, ULONG, 0, 0xFFFFFFFFU)                                                                       \
    X(RtlULongPtrToUShort, USHORT, 0, 0xFFFF)                                                                          \
    X(RtlPtrdiffTToULong, ULONG, 0, 0xFFFFFFFFLL)

#define CONVERSION_FITS(_Routine, _Type, _Least, _Most)                                                                \
    {                                                                                                                  \
        _Type Result;                                                                                                  \
                                                                                                                       \
        RESULT(#_Routine " of the least", _Routine(_Least, &Result), _Least)                                           \
        RESULT(#_Routine " of the greatest", _Routine(_Most, &Result), _Most)                                          \
    }

static VOID IntsafeConversionFits(VOID)
{
    CONVERSIONS(CONVERSION_FITS)
}

/* name, to which type, a value that is just too great (or too small) for it, and one that is far from it */
#define LOSSES(X)                                                                                                      \
    X(RtlULongToUShort, USHORT, 0x10000, 0xFFFFFFFFU)                                                                  \
    X(RtlULongToUChar, UCHAR, 0x100, 0xFFFFFFFFU)                                                                      \
    X(RtlULongToLong, LONG, 0x80000000U, 0xFFFFFFFFU)                                                                  \
    X(RtlULongToInt, INT, 0x80000000U, 0xFFFFFFFFU)                                                                    \
    X(RtlLongToULong, ULONG, -1, LEAST32)                                                                              \
    X(RtlLongToUShort, USHORT, 0x10000, -1)                                                                            \
    X(RtlIntToULong, ULONG, -1, LEAST32)                                                                               \
    X(RtlIntToUShort, USHORT, 0x10000, -1)                                                                             \
    X(RtlUShortToUChar, UCHAR, 0x100, 0xFFFF)                                                                          \
    X(RtlULongLongToULong, ULONG, 0x100000000ULL, ALL64)                                                               \
    X(RtlULongLongToUShort, USHORT, 0x10000, ALL64)                                                                    \
    X(RtlULongLongToLong, LONG, 0x80000000ULL, ALL64)                                                                  \
    X(RtlULongLongToLongLong, LONGLONG, 0x8000000000000000ULL, ALL64)                                                  \
    X(RtlLongLongToULong, ULONG, 0x100000000LL, -1)                                                                    \
    X(RtlLongLongToLong, LONG, 0x80000000LL, -0x80000001LL)                                                            \
    X(RtlLongLongToULongLong, ULONGLONG, -1, LEAST64)                                                                  \
    X(RtlSIZETToULong, ULONG, 0x100000000ULL, ALL64)                                                                   \
    X(RtlSIZETToUShort, USHORT, 0x10000, ALL64)                                                                        \
    X(RtlULongPtrToULong, ULONG, 0x100000000ULL, ALL64)                                                                \
    X(RtlULongPtrToUShort, USHORT, 0x10000, ALL64)                                                                     \
    X(RtlPtrdiffTToULong, ULONG, 0x100000000LL, -1)

#define CONVERSION_OVERFLOWS(_Routine, _Type, _Near, _Far)                                                             \
    {                                                                                                                  \
        _Type Result;                                                                                                  \
                                                                                                                       \
        OVERFLOW(#_Routine "(" #_Near ")", _Routine(_Near, &Result))                                                   \
        OVERFLOW(#_Routine "(" #_Far ")", _Routine(_Far, &Result))                                                     \
    }

static VOID IntsafeConversionOverflows(VOID){LOSSES(CONVERSION_OVERFLOWS)}

TEST_TABLE(rtl_intsafe){
    TEST(IntsafeArithmeticFits, 0),
    TEST(IntsafeArithmeticOverflows, 0),
    TEST(IntsafeConversionFits, 0),
    TEST(IntsafeConversionOverflows, 0),
    TEST_END,
};
