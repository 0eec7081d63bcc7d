/*
 * Integer arithmetic that says when it overflows. Each routine returns STATUS_SUCCESS, or STATUS_INTEGER_OVERFLOW with
 * the result set to all ones (Microsoft's "ntintsafe.h" behaviour).
 */

#ifndef PVSIM_NTINTSAFE_H
#define PVSIM_NTINTSAFE_H

#include <ntdef.h>
#include <ntstatus.h>

#define PVSIM_INTSAFE_BINARY(name, type, operation)                                                                    \
    FORCEINLINE NTSTATUS name(_In_ type First, _In_ type Second, _Out_ type *Result)                                   \
    {                                                                                                                  \
        if (__builtin_##operation##_overflow(First, Second, Result)) {                                                 \
            *Result = (type)-1;                                                                                        \
            return STATUS_INTEGER_OVERFLOW;                                                                            \
        }                                                                                                              \
        return STATUS_SUCCESS;                                                                                         \
    }
#define PVSIM_INTSAFE_TYPE(prefix, type)                                                                               \
    PVSIM_INTSAFE_BINARY(prefix##Add, type, add)                                                                       \
    PVSIM_INTSAFE_BINARY(prefix##Sub, type, sub)                                                                       \
    PVSIM_INTSAFE_BINARY(prefix##Mult, type, mul)

PVSIM_INTSAFE_TYPE(RtlUInt8, UINT8)
PVSIM_INTSAFE_TYPE(RtlUShort, USHORT)
PVSIM_INTSAFE_TYPE(RtlUInt, UINT)
PVSIM_INTSAFE_TYPE(RtlULong, ULONG)
PVSIM_INTSAFE_TYPE(RtlULongLong, ULONGLONG)
PVSIM_INTSAFE_TYPE(RtlULongPtr, ULONG_PTR)
PVSIM_INTSAFE_TYPE(RtlUIntPtr, UINT_PTR)
PVSIM_INTSAFE_TYPE(RtlSIZET, SIZE_T)
PVSIM_INTSAFE_TYPE(RtlInt8, INT8)
PVSIM_INTSAFE_TYPE(RtlShort, SHORT)
PVSIM_INTSAFE_TYPE(RtlInt, INT)
PVSIM_INTSAFE_TYPE(RtlLong, LONG)
PVSIM_INTSAFE_TYPE(RtlLongLong, LONGLONG)
PVSIM_INTSAFE_TYPE(RtlLongPtr, LONG_PTR)
#define RtlSizeTAdd RtlSIZETAdd
#define RtlSizeTSub RtlSIZETSub
#define RtlSizeTMult RtlSIZETMult
#define RtlULong64Add RtlULongLongAdd
#define RtlULong64Sub RtlULongLongSub
#define RtlULong64Mult RtlULongLongMult

/* Conversions; the operand is taken in its own type. */
#define PVSIM_INTSAFE_CONVERT(name, from, to)                                                                          \
    FORCEINLINE NTSTATUS name(_In_ from Operand, _Out_ to *Result)                                                     \
    {                                                                                                                  \
        if (__builtin_add_overflow(Operand, (from)0, Result)) {                                                        \
            *Result = (to)-1;                                                                                          \
            return STATUS_INTEGER_OVERFLOW;                                                                            \
        }                                                                                                              \
        return STATUS_SUCCESS;                                                                                         \
    }

PVSIM_INTSAFE_CONVERT(RtlULongToUShort, ULONG, USHORT)
PVSIM_INTSAFE_CONVERT(RtlULongToUChar, ULONG, UCHAR)
PVSIM_INTSAFE_CONVERT(RtlULongToLong, ULONG, LONG)
PVSIM_INTSAFE_CONVERT(RtlULongToInt, ULONG, INT)
PVSIM_INTSAFE_CONVERT(RtlLongToULong, LONG, ULONG)
PVSIM_INTSAFE_CONVERT(RtlLongToUShort, LONG, USHORT)
PVSIM_INTSAFE_CONVERT(RtlIntToULong, INT, ULONG)
PVSIM_INTSAFE_CONVERT(RtlIntToUShort, INT, USHORT)
PVSIM_INTSAFE_CONVERT(RtlUShortToUChar, USHORT, UCHAR)
PVSIM_INTSAFE_CONVERT(RtlULongLongToULong, ULONGLONG, ULONG)
PVSIM_INTSAFE_CONVERT(RtlULongLongToUShort, ULONGLONG, USHORT)
PVSIM_INTSAFE_CONVERT(RtlULongLongToLong, ULONGLONG, LONG)
PVSIM_INTSAFE_CONVERT(RtlULongLongToLongLong, ULONGLONG, LONGLONG)
PVSIM_INTSAFE_CONVERT(RtlULongLongToSIZET, ULONGLONG, SIZE_T)
PVSIM_INTSAFE_CONVERT(RtlLongLongToULong, LONGLONG, ULONG)
PVSIM_INTSAFE_CONVERT(RtlLongLongToLong, LONGLONG, LONG)
PVSIM_INTSAFE_CONVERT(RtlLongLongToULongLong, LONGLONG, ULONGLONG)
PVSIM_INTSAFE_CONVERT(RtlSIZETToULong, SIZE_T, ULONG)
PVSIM_INTSAFE_CONVERT(RtlSIZETToUShort, SIZE_T, USHORT)
PVSIM_INTSAFE_CONVERT(RtlULongPtrToULong, ULONG_PTR, ULONG)
PVSIM_INTSAFE_CONVERT(RtlULongPtrToUShort, ULONG_PTR, USHORT)
PVSIM_INTSAFE_CONVERT(RtlPtrdiffTToULong, SSIZE_T, ULONG)
#define RtlSizeTToULong RtlSIZETToULong
#define RtlSizeTToUShort RtlSIZETToUShort

#endif
