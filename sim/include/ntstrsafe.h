/*
 * Safe strings for the kernel, after Microsoft's "ntstrsafe.h header".
 *
 * Cb routines count bytes, Cch routines characters, both with the terminating NUL. Destinations are always terminated.
 * STATUS_INVALID_PARAMETER: no room at all or more than NTSTRSAFE_MAX_CCH; STATUS_BUFFER_OVERFLOW: the text was cut to
 * fit. Formats are Windows formats (sim/nt/rtl/format.c): %lu is 32-bit, %hs/%ws/%wZ/%Z/%I64x as in the kernel's
 * DbgPrint.
 */

#ifndef PVSIM_NTSTRSAFE_H
#define PVSIM_NTSTRSAFE_H

#include <wdm/base.h>

#define NTSTRSAFE_MAX_CCH 2147483647
#define NTSTRSAFE_UNICODE_STRING_MAX_CCH (0xffff / sizeof(WCHAR))
#define STRSAFE_IGNORE_NULLS 0x00000100
#define STRSAFE_FILL_BEHIND_NULL 0x00000200
#define STRSAFE_FILL_ON_FAILURE 0x00000400
#define STRSAFE_NULL_ON_FAILURE 0x00000800
#define STRSAFE_NO_TRUNCATION 0x00001000
#define STRSAFE_FILL_BYTE(byte) ((ULONG)(((byte)&0x000000FF) | STRSAFE_FILL_BEHIND_NULL))
#define STRSAFE_FAILURE_BYTE(byte) ((ULONG)(((byte)&0x000000FF) | STRSAFE_FILL_ON_FAILURE))

typedef char *NTSTRSAFE_PSTR;
typedef const char *NTSTRSAFE_PCSTR;
typedef WCHAR *NTSTRSAFE_PWSTR;
typedef const WCHAR *NTSTRSAFE_PCWSTR;

#define PVSIM_STRSAFE_FLAGS                                                                                            \
    (0xFFu | STRSAFE_IGNORE_NULLS | STRSAFE_FILL_BEHIND_NULL | STRSAFE_FILL_ON_FAILURE | STRSAFE_NULL_ON_FAILURE |     \
     STRSAFE_NO_TRUNCATION)

/* 8-bit strings. */

/* Characters before the NUL within Maximum; STATUS_INVALID_PARAMETER when there is none. */
FORCEINLINE NTSTATUS RtlStringCchLengthA(_In_ const char *String, _In_ size_t Maximum, _Out_opt_ size_t *Length)
{
    size_t Index;

    if (Length != NULL)
        *Length = 0;
    if (String == NULL || Maximum > NTSTRSAFE_MAX_CCH)
        return STATUS_INVALID_PARAMETER;
    for (Index = 0; Index < Maximum; Index++) {
        if (String[Index] == 0) {
            if (Length != NULL)
                *Length = Index;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_INVALID_PARAMETER;
}

FORCEINLINE NTSTATUS RtlStringCbLengthA(_In_ const char *String, _In_ size_t Maximum, _Out_opt_ size_t *Length)
{
    size_t Count;
    NTSTATUS Status = RtlStringCchLengthA(String, Maximum / sizeof(char), &Count);

    if (Length != NULL)
        *Length = Count * sizeof(char);
    return Status;
}

/* What the flags ask for at the end; the index of the NUL may change. */
FORCEINLINE NTSTATUS PvsimStrsafeEndA(_Inout_updates_(Size) char *Destination, _In_ size_t Size, _In_ NTSTATUS Status,
                                      _Inout_ size_t *Length, _In_ ULONG Flags)
{
    if (Destination == NULL || Size == 0 || Size > NTSTRSAFE_MAX_CCH)
        return Status;
    if (Status == STATUS_SUCCESS) {
        if ((Flags & STRSAFE_FILL_BEHIND_NULL) != 0)
            __builtin_memset(Destination + *Length + 1, (UCHAR)Flags, (Size - *Length - 1) * sizeof(*Destination));
        return Status;
    }
    if ((Flags & STRSAFE_FILL_ON_FAILURE) != 0) {
        __builtin_memset(Destination, (UCHAR)Flags, Size * sizeof(*Destination));
        Destination[Size - 1] = 0;
        *Length = (UCHAR)Flags == 0 ? 0 : Size - 1;
    }
    if ((Flags & STRSAFE_NULL_ON_FAILURE) != 0) {
        Destination[0] = 0;
        *Length = 0;
    }
    return Status;
}

/* STATUS_SUCCESS for what may be written to: NULL has no room, and NULL or no room needs STRSAFE_IGNORE_NULLS. */
FORCEINLINE NTSTATUS PvsimStrsafeCheckA(_In_opt_ const char *Destination, _In_ size_t Size, _In_ ULONG Flags)
{
    if ((Flags & ~PVSIM_STRSAFE_FLAGS) != 0 || Size > NTSTRSAFE_MAX_CCH || (Destination == NULL && Size != 0))
        return STATUS_INVALID_PARAMETER;
    if (Size == 0 && (Flags & STRSAFE_IGNORE_NULLS) == 0)
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

/* Copies at most Maximum characters of Source; *End and *Left tell where the NUL is and what room is from there on. */
FORCEINLINE NTSTATUS RtlStringCchCopyNExA(_Out_writes_(Size) char *Destination, _In_ size_t Size,
                                          _In_z_ const char *Source, _In_ size_t Maximum,
                                          _Outptr_opt_result_z_ char **End, _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    NTSTATUS Status = PvsimStrsafeCheckA(Destination, Size, Flags);
    size_t Count = 0;
    size_t Index;

    if (Maximum > NTSTRSAFE_MAX_CCH || (Source == NULL && (Flags & STRSAFE_IGNORE_NULLS) == 0))
        Status = STATUS_INVALID_PARAMETER;
    if (Status == STATUS_SUCCESS) {
        while (Source != NULL && Count < Maximum && Count < Size && Source[Count] != 0)
            Count++;
        if (Size == 0 && Source != NULL && Maximum != 0 && Source[0] != 0)
            Status = Destination == NULL ? STATUS_INVALID_PARAMETER : STATUS_BUFFER_OVERFLOW;
        else if (Size != 0 && Count == Size)
            Status = STATUS_BUFFER_OVERFLOW;
        if (Status == STATUS_BUFFER_OVERFLOW && (Flags & STRSAFE_NO_TRUNCATION) != 0) {
            (void)RtlStringCchLengthA(Destination, Size, &Count);
        } else if (Size != 0) {
            if (Count == Size)
                Count--;
            for (Index = 0; Index < Count; Index++)
                Destination[Index] = Source[Index];
            Destination[Count] = 0;
        }
    }
    Status = PvsimStrsafeEndA(Destination, Size, Status, &Count, Flags);
    if (Status != STATUS_INVALID_PARAMETER && End != NULL)
        *End = Destination + Count;
    if (Status != STATUS_INVALID_PARAMETER && Left != NULL)
        *Left = Size - Count;
    return Status;
}

FORCEINLINE NTSTATUS RtlStringCchCopyNA(_Out_writes_(Size) char *Destination, _In_ size_t Size,
                                        _In_z_ const char *Source, _In_ size_t Maximum)
{
    return RtlStringCchCopyNExA(Destination, Size, Source, Maximum, NULL, NULL, 0);
}

FORCEINLINE NTSTATUS RtlStringCbCopyNA(_Out_writes_bytes_(Size) char *Destination, _In_ size_t Size,
                                       _In_z_ const char *Source, _In_ size_t Maximum)
{
    return RtlStringCchCopyNA(Destination, Size / sizeof(char), Source, Maximum / sizeof(char));
}

FORCEINLINE NTSTATUS RtlStringCbCopyNExA(_Out_writes_bytes_(Size) char *Destination, _In_ size_t Size,
                                         _In_z_ const char *Source, _In_ size_t Maximum,
                                         _Outptr_opt_result_z_ char **End, _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    size_t Count = 0;
    NTSTATUS Status =
        RtlStringCchCopyNExA(Destination, Size / sizeof(char), Source, Maximum / sizeof(char), End, &Count, Flags);

    if (Left != NULL)
        *Left = Count * sizeof(char) + Size % sizeof(char);
    return Status;
}

FORCEINLINE NTSTATUS RtlStringCchCopyA(_Out_writes_(Size) char *Destination, _In_ size_t Size,
                                       _In_z_ const char *Source)
{
    return RtlStringCchCopyNA(Destination, Size, Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCbCopyA(_Out_writes_bytes_(Size) char *Destination, _In_ size_t Size,
                                      _In_z_ const char *Source)
{
    return RtlStringCchCopyNA(Destination, Size / sizeof(char), Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCchCopyExA(_Out_writes_(Size) char *Destination, _In_ size_t Size,
                                         _In_z_ const char *Source, _Outptr_opt_result_z_ char **End,
                                         _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    return RtlStringCchCopyNExA(Destination, Size, Source, NTSTRSAFE_MAX_CCH, End, Left, Flags);
}

FORCEINLINE NTSTATUS RtlStringCbCopyExA(_Out_writes_bytes_(Size) char *Destination, _In_ size_t Size,
                                        _In_z_ const char *Source, _Outptr_opt_result_z_ char **End,
                                        _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    return RtlStringCbCopyNExA(Destination, Size, Source, (size_t)NTSTRSAFE_MAX_CCH * sizeof(char), End, Left, Flags);
}

FORCEINLINE NTSTATUS RtlStringCchCatNA(_Inout_updates_(Size) char *Destination, _In_ size_t Size,
                                       _In_z_ const char *Source, _In_ size_t Maximum)
{
    size_t Length;
    NTSTATUS Status = RtlStringCchLengthA(Destination, Size, &Length);

    if (!NT_SUCCESS(Status))
        return Status;
    return RtlStringCchCopyNA(Destination + Length, Size - Length, Source, Maximum);
}

FORCEINLINE NTSTATUS RtlStringCbCatNA(_Inout_updates_bytes_(Size) char *Destination, _In_ size_t Size,
                                      _In_z_ const char *Source, _In_ size_t Maximum)
{
    return RtlStringCchCatNA(Destination, Size / sizeof(char), Source, Maximum / sizeof(char));
}

FORCEINLINE NTSTATUS RtlStringCchCatA(_Inout_updates_(Size) char *Destination, _In_ size_t Size,
                                      _In_z_ const char *Source)
{
    return RtlStringCchCatNA(Destination, Size, Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCbCatA(_Inout_updates_bytes_(Size) char *Destination, _In_ size_t Size,
                                     _In_z_ const char *Source)
{
    return RtlStringCchCatNA(Destination, Size / sizeof(char), Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCchVPrintfA(_Out_writes_(Size) char *Destination, _In_ size_t Size,
                                          _In_z_ _Printf_format_string_ const char *Format, _In_ va_list Arguments)
{
    int Length;

    if (Size == 0 || Size > NTSTRSAFE_MAX_CCH || Destination == NULL || Format == NULL)
        return STATUS_INVALID_PARAMETER;
    Length = _vsnprintf(Destination, Size - 1, Format, Arguments);
    if (Length < 0 || (size_t)Length > Size - 1) {
        Destination[Size - 1] = 0;
        return STATUS_BUFFER_OVERFLOW;
    }
    Destination[Length] = 0;
    return STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS RtlStringCbVPrintfA(_Out_writes_bytes_(Size) char *Destination, _In_ size_t Size,
                                         _In_z_ _Printf_format_string_ const char *Format, _In_ va_list Arguments)
{
    return RtlStringCchVPrintfA(Destination, Size / sizeof(char), Format, Arguments);
}

static inline __attribute__((unused)) NTSTATUS RtlStringCchPrintfA(char *Destination, size_t Size, const char *Format,
                                                                   ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCchVPrintfA(Destination, Size, Format, Arguments);
    va_end(Arguments);
    return Status;
}

static inline __attribute__((unused)) NTSTATUS RtlStringCbPrintfA(char *Destination, size_t Size, const char *Format,
                                                                  ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCchVPrintfA(Destination, Size / sizeof(char), Format, Arguments);
    va_end(Arguments);
    return Status;
}

static inline __attribute__((unused)) NTSTATUS
RtlStringCchVPrintfExA(_Out_writes_(Size) char *Destination, _In_ size_t Size, _Outptr_opt_result_z_ char **End,
                       _Out_opt_ size_t *Left, _In_ ULONG Flags, _In_z_ _Printf_format_string_ const char *Format,
                       _In_ va_list Arguments)
{
    NTSTATUS Status = PvsimStrsafeCheckA(Destination, Size, Flags);
    size_t Count = 0;
    va_list Again;

    if (Format == NULL && (Flags & STRSAFE_IGNORE_NULLS) == 0)
        Status = STATUS_INVALID_PARAMETER;
    if (Format == NULL)
        Format = "";
    if (Status == STATUS_SUCCESS) {
        va_copy(Again, Arguments);
        Count = (size_t)_vsnprintf(NULL, 0, Format, Again);
        va_end(Again);
        if (Size == 0 && Count != 0)
            Status = Destination == NULL ? STATUS_INVALID_PARAMETER : STATUS_BUFFER_OVERFLOW;
        else if (Size != 0 && Count >= Size)
            Status = STATUS_BUFFER_OVERFLOW;
        if (Status == STATUS_BUFFER_OVERFLOW && (Flags & STRSAFE_NO_TRUNCATION) != 0) {
            (void)RtlStringCchLengthA(Destination, Size, &Count);
        } else if (Size != 0) {
            (void)RtlStringCchVPrintfA(Destination, Size, Format, Arguments);
            Count = Count < Size ? Count : Size - 1;
        }
    }
    Status = PvsimStrsafeEndA(Destination, Size, Status, &Count, Flags);
    if (Status != STATUS_INVALID_PARAMETER && End != NULL)
        *End = Destination + Count;
    if (Status != STATUS_INVALID_PARAMETER && Left != NULL)
        *Left = Size - Count;
    return Status;
}

static inline __attribute__((unused)) NTSTATUS RtlStringCchPrintfExA(char *Destination, size_t Size, char **End,
                                                                     size_t *Left, ULONG Flags, const char *Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCchVPrintfExA(Destination, Size, End, Left, Flags, Format, Arguments);
    va_end(Arguments);
    return Status;
}

FORCEINLINE NTSTATUS RtlStringCbVPrintfExA(_Out_writes_bytes_(Size) char *Destination, _In_ size_t Size,
                                           _Outptr_opt_result_z_ char **End, _Out_opt_ size_t *Left, _In_ ULONG Flags,
                                           _In_z_ _Printf_format_string_ const char *Format, _In_ va_list Arguments)
{
    size_t Count = 0;
    NTSTATUS Status = RtlStringCchVPrintfExA(Destination, Size / sizeof(char), End, &Count, Flags, Format, Arguments);

    if (Left != NULL)
        *Left = Count * sizeof(char) + Size % sizeof(char);
    return Status;
}

static inline __attribute__((unused)) NTSTATUS RtlStringCbPrintfExA(char *Destination, size_t Size, char **End,
                                                                    size_t *Left, ULONG Flags, const char *Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCbVPrintfExA(Destination, Size, End, Left, Flags, Format, Arguments);
    va_end(Arguments);
    return Status;
}

/* 16-bit strings. */

/* Characters before the NUL within Maximum; STATUS_INVALID_PARAMETER when there is none. */
FORCEINLINE NTSTATUS RtlStringCchLengthW(_In_ const WCHAR *String, _In_ size_t Maximum, _Out_opt_ size_t *Length)
{
    size_t Index;

    if (Length != NULL)
        *Length = 0;
    if (String == NULL || Maximum > NTSTRSAFE_MAX_CCH)
        return STATUS_INVALID_PARAMETER;
    for (Index = 0; Index < Maximum; Index++) {
        if (String[Index] == 0) {
            if (Length != NULL)
                *Length = Index;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_INVALID_PARAMETER;
}

FORCEINLINE NTSTATUS RtlStringCbLengthW(_In_ const WCHAR *String, _In_ size_t Maximum, _Out_opt_ size_t *Length)
{
    size_t Count;
    NTSTATUS Status = RtlStringCchLengthW(String, Maximum / sizeof(WCHAR), &Count);

    if (Length != NULL)
        *Length = Count * sizeof(WCHAR);
    return Status;
}

/* What the flags ask for at the end; the index of the NUL may change. */
FORCEINLINE NTSTATUS PvsimStrsafeEndW(_Inout_updates_(Size) WCHAR *Destination, _In_ size_t Size, _In_ NTSTATUS Status,
                                      _Inout_ size_t *Length, _In_ ULONG Flags)
{
    if (Destination == NULL || Size == 0 || Size > NTSTRSAFE_MAX_CCH)
        return Status;
    if (Status == STATUS_SUCCESS) {
        if ((Flags & STRSAFE_FILL_BEHIND_NULL) != 0)
            __builtin_memset(Destination + *Length + 1, (UCHAR)Flags, (Size - *Length - 1) * sizeof(*Destination));
        return Status;
    }
    if ((Flags & STRSAFE_FILL_ON_FAILURE) != 0) {
        __builtin_memset(Destination, (UCHAR)Flags, Size * sizeof(*Destination));
        Destination[Size - 1] = 0;
        *Length = (UCHAR)Flags == 0 ? 0 : Size - 1;
    }
    if ((Flags & STRSAFE_NULL_ON_FAILURE) != 0) {
        Destination[0] = 0;
        *Length = 0;
    }
    return Status;
}

/* STATUS_SUCCESS for what may be written to: NULL has no room, and NULL or no room needs STRSAFE_IGNORE_NULLS. */
FORCEINLINE NTSTATUS PvsimStrsafeCheckW(_In_opt_ const WCHAR *Destination, _In_ size_t Size, _In_ ULONG Flags)
{
    if ((Flags & ~PVSIM_STRSAFE_FLAGS) != 0 || Size > NTSTRSAFE_MAX_CCH || (Destination == NULL && Size != 0))
        return STATUS_INVALID_PARAMETER;
    if (Size == 0 && (Flags & STRSAFE_IGNORE_NULLS) == 0)
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

/* Copies at most Maximum characters of Source; *End and *Left tell where the NUL is and what room is from there on. */
FORCEINLINE NTSTATUS RtlStringCchCopyNExW(_Out_writes_(Size) WCHAR *Destination, _In_ size_t Size,
                                          _In_z_ const WCHAR *Source, _In_ size_t Maximum,
                                          _Outptr_opt_result_z_ WCHAR **End, _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    NTSTATUS Status = PvsimStrsafeCheckW(Destination, Size, Flags);
    size_t Count = 0;
    size_t Index;

    if (Maximum > NTSTRSAFE_MAX_CCH || (Source == NULL && (Flags & STRSAFE_IGNORE_NULLS) == 0))
        Status = STATUS_INVALID_PARAMETER;
    if (Status == STATUS_SUCCESS) {
        while (Source != NULL && Count < Maximum && Count < Size && Source[Count] != 0)
            Count++;
        if (Size == 0 && Source != NULL && Maximum != 0 && Source[0] != 0)
            Status = Destination == NULL ? STATUS_INVALID_PARAMETER : STATUS_BUFFER_OVERFLOW;
        else if (Size != 0 && Count == Size)
            Status = STATUS_BUFFER_OVERFLOW;
        if (Status == STATUS_BUFFER_OVERFLOW && (Flags & STRSAFE_NO_TRUNCATION) != 0) {
            (void)RtlStringCchLengthW(Destination, Size, &Count);
        } else if (Size != 0) {
            if (Count == Size)
                Count--;
            for (Index = 0; Index < Count; Index++)
                Destination[Index] = Source[Index];
            Destination[Count] = 0;
        }
    }
    Status = PvsimStrsafeEndW(Destination, Size, Status, &Count, Flags);
    if (Status != STATUS_INVALID_PARAMETER && End != NULL)
        *End = Destination + Count;
    if (Status != STATUS_INVALID_PARAMETER && Left != NULL)
        *Left = Size - Count;
    return Status;
}

FORCEINLINE NTSTATUS RtlStringCchCopyNW(_Out_writes_(Size) WCHAR *Destination, _In_ size_t Size,
                                        _In_z_ const WCHAR *Source, _In_ size_t Maximum)
{
    return RtlStringCchCopyNExW(Destination, Size, Source, Maximum, NULL, NULL, 0);
}

FORCEINLINE NTSTATUS RtlStringCbCopyNW(_Out_writes_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                       _In_z_ const WCHAR *Source, _In_ size_t Maximum)
{
    return RtlStringCchCopyNW(Destination, Size / sizeof(WCHAR), Source, Maximum / sizeof(WCHAR));
}

FORCEINLINE NTSTATUS RtlStringCbCopyNExW(_Out_writes_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                         _In_z_ const WCHAR *Source, _In_ size_t Maximum,
                                         _Outptr_opt_result_z_ WCHAR **End, _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    size_t Count = 0;
    NTSTATUS Status =
        RtlStringCchCopyNExW(Destination, Size / sizeof(WCHAR), Source, Maximum / sizeof(WCHAR), End, &Count, Flags);

    if (Left != NULL)
        *Left = Count * sizeof(WCHAR) + Size % sizeof(WCHAR);
    return Status;
}

FORCEINLINE NTSTATUS RtlStringCchCopyW(_Out_writes_(Size) WCHAR *Destination, _In_ size_t Size,
                                       _In_z_ const WCHAR *Source)
{
    return RtlStringCchCopyNW(Destination, Size, Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCbCopyW(_Out_writes_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                      _In_z_ const WCHAR *Source)
{
    return RtlStringCchCopyNW(Destination, Size / sizeof(WCHAR), Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCchCopyExW(_Out_writes_(Size) WCHAR *Destination, _In_ size_t Size,
                                         _In_z_ const WCHAR *Source, _Outptr_opt_result_z_ WCHAR **End,
                                         _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    return RtlStringCchCopyNExW(Destination, Size, Source, NTSTRSAFE_MAX_CCH, End, Left, Flags);
}

FORCEINLINE NTSTATUS RtlStringCbCopyExW(_Out_writes_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                        _In_z_ const WCHAR *Source, _Outptr_opt_result_z_ WCHAR **End,
                                        _Out_opt_ size_t *Left, _In_ ULONG Flags)
{
    return RtlStringCbCopyNExW(Destination, Size, Source, (size_t)NTSTRSAFE_MAX_CCH * sizeof(WCHAR), End, Left, Flags);
}

FORCEINLINE NTSTATUS RtlStringCchCatNW(_Inout_updates_(Size) WCHAR *Destination, _In_ size_t Size,
                                       _In_z_ const WCHAR *Source, _In_ size_t Maximum)
{
    size_t Length;
    NTSTATUS Status = RtlStringCchLengthW(Destination, Size, &Length);

    if (!NT_SUCCESS(Status))
        return Status;
    return RtlStringCchCopyNW(Destination + Length, Size - Length, Source, Maximum);
}

FORCEINLINE NTSTATUS RtlStringCbCatNW(_Inout_updates_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                      _In_z_ const WCHAR *Source, _In_ size_t Maximum)
{
    return RtlStringCchCatNW(Destination, Size / sizeof(WCHAR), Source, Maximum / sizeof(WCHAR));
}

FORCEINLINE NTSTATUS RtlStringCchCatW(_Inout_updates_(Size) WCHAR *Destination, _In_ size_t Size,
                                      _In_z_ const WCHAR *Source)
{
    return RtlStringCchCatNW(Destination, Size, Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCbCatW(_Inout_updates_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                     _In_z_ const WCHAR *Source)
{
    return RtlStringCchCatNW(Destination, Size / sizeof(WCHAR), Source, NTSTRSAFE_MAX_CCH);
}

FORCEINLINE NTSTATUS RtlStringCchVPrintfW(_Out_writes_(Size) WCHAR *Destination, _In_ size_t Size,
                                          _In_z_ _Printf_format_string_ const WCHAR *Format, _In_ va_list Arguments)
{
    int Length;

    if (Size == 0 || Size > NTSTRSAFE_MAX_CCH || Destination == NULL || Format == NULL)
        return STATUS_INVALID_PARAMETER;
    Length = _vsnwprintf(Destination, Size - 1, Format, Arguments);
    if (Length < 0 || (size_t)Length > Size - 1) {
        Destination[Size - 1] = 0;
        return STATUS_BUFFER_OVERFLOW;
    }
    Destination[Length] = 0;
    return STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS RtlStringCbVPrintfW(_Out_writes_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                         _In_z_ _Printf_format_string_ const WCHAR *Format, _In_ va_list Arguments)
{
    return RtlStringCchVPrintfW(Destination, Size / sizeof(WCHAR), Format, Arguments);
}

static inline __attribute__((unused)) NTSTATUS RtlStringCchPrintfW(WCHAR *Destination, size_t Size, const WCHAR *Format,
                                                                   ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCchVPrintfW(Destination, Size, Format, Arguments);
    va_end(Arguments);
    return Status;
}

static inline __attribute__((unused)) NTSTATUS RtlStringCbPrintfW(WCHAR *Destination, size_t Size, const WCHAR *Format,
                                                                  ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCchVPrintfW(Destination, Size / sizeof(WCHAR), Format, Arguments);
    va_end(Arguments);
    return Status;
}

static inline __attribute__((unused)) NTSTATUS
RtlStringCchVPrintfExW(_Out_writes_(Size) WCHAR *Destination, _In_ size_t Size, _Outptr_opt_result_z_ WCHAR **End,
                       _Out_opt_ size_t *Left, _In_ ULONG Flags, _In_z_ _Printf_format_string_ const WCHAR *Format,
                       _In_ va_list Arguments)
{
    NTSTATUS Status = PvsimStrsafeCheckW(Destination, Size, Flags);
    size_t Count = 0;
    va_list Again;

    if (Format == NULL && (Flags & STRSAFE_IGNORE_NULLS) == 0)
        Status = STATUS_INVALID_PARAMETER;
    if (Format == NULL)
        Format = L"";
    if (Status == STATUS_SUCCESS) {
        va_copy(Again, Arguments);
        Count = (size_t)_vsnwprintf(NULL, 0, Format, Again);
        va_end(Again);
        if (Size == 0 && Count != 0)
            Status = Destination == NULL ? STATUS_INVALID_PARAMETER : STATUS_BUFFER_OVERFLOW;
        else if (Size != 0 && Count >= Size)
            Status = STATUS_BUFFER_OVERFLOW;
        if (Status == STATUS_BUFFER_OVERFLOW && (Flags & STRSAFE_NO_TRUNCATION) != 0) {
            (void)RtlStringCchLengthW(Destination, Size, &Count);
        } else if (Size != 0) {
            (void)RtlStringCchVPrintfW(Destination, Size, Format, Arguments);
            Count = Count < Size ? Count : Size - 1;
        }
    }
    Status = PvsimStrsafeEndW(Destination, Size, Status, &Count, Flags);
    if (Status != STATUS_INVALID_PARAMETER && End != NULL)
        *End = Destination + Count;
    if (Status != STATUS_INVALID_PARAMETER && Left != NULL)
        *Left = Size - Count;
    return Status;
}

static inline __attribute__((unused)) NTSTATUS
RtlStringCchPrintfExW(WCHAR *Destination, size_t Size, WCHAR **End, size_t *Left, ULONG Flags, const WCHAR *Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCchVPrintfExW(Destination, Size, End, Left, Flags, Format, Arguments);
    va_end(Arguments);
    return Status;
}

FORCEINLINE NTSTATUS RtlStringCbVPrintfExW(_Out_writes_bytes_(Size) WCHAR *Destination, _In_ size_t Size,
                                           _Outptr_opt_result_z_ WCHAR **End, _Out_opt_ size_t *Left, _In_ ULONG Flags,
                                           _In_z_ _Printf_format_string_ const WCHAR *Format, _In_ va_list Arguments)
{
    size_t Count = 0;
    NTSTATUS Status = RtlStringCchVPrintfExW(Destination, Size / sizeof(WCHAR), End, &Count, Flags, Format, Arguments);

    if (Left != NULL)
        *Left = Count * sizeof(WCHAR) + Size % sizeof(WCHAR);
    return Status;
}

static inline __attribute__((unused)) NTSTATUS RtlStringCbPrintfExW(WCHAR *Destination, size_t Size, WCHAR **End,
                                                                    size_t *Left, ULONG Flags, const WCHAR *Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlStringCbVPrintfExW(Destination, Size, End, Left, Flags, Format, Arguments);
    va_end(Arguments);
    return Status;
}

/* UNICODE_STRING forms. The result is not terminated. */

FORCEINLINE BOOLEAN PvsimUnicodeIsValid(_In_opt_ PCUNICODE_STRING String)
{
    return (BOOLEAN)(String != NULL && String->Length % sizeof(WCHAR) == 0 &&
                     String->MaximumLength % sizeof(WCHAR) == 0 && String->Length <= String->MaximumLength &&
                     (String->Buffer != NULL || String->MaximumLength == 0));
}

/* Puts Count characters of Source behind the first Index ones of Destination, as far as there is room. */
FORCEINLINE NTSTATUS PvsimUnicodePut(_Inout_ PUNICODE_STRING Destination, _In_ size_t Index, _In_ const WCHAR *Source,
                                     _In_ size_t Count)
{
    size_t Room = Destination->MaximumLength / sizeof(WCHAR) - Index;
    NTSTATUS Status = Count > Room ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;

    if (Destination->MaximumLength == 0 && Count != 0)
        return STATUS_INVALID_PARAMETER;
    if (Count > Room)
        Count = Room;
    if (Count != 0)
        __builtin_memmove(Destination->Buffer + Index, Source, Count * sizeof(WCHAR));
    Destination->Length = (USHORT)((Index + Count) * sizeof(WCHAR));
    return Status;
}

/* The length of text of which at most Maximum characters count. */
FORCEINLINE size_t PvsimWideLength(_In_ const WCHAR *Source, _In_ size_t Maximum)
{
    size_t Length = 0;

    while (Length < Maximum && Source[Length] != 0)
        Length++;
    return Length;
}

FORCEINLINE NTSTATUS RtlUnicodeStringInit(_Out_ PUNICODE_STRING Destination, _In_opt_z_ const WCHAR *Source)
{
    size_t Length = 0;

    if (Destination == NULL)
        return STATUS_INVALID_PARAMETER;
    Destination->Length = Destination->MaximumLength = 0;
    Destination->Buffer = NULL;
    if (Source == NULL)
        return STATUS_SUCCESS;
    if (!NT_SUCCESS(RtlStringCchLengthW(Source, NTSTRSAFE_UNICODE_STRING_MAX_CCH, &Length)))
        return STATUS_INVALID_PARAMETER;
    Destination->Length = (USHORT)(Length * sizeof(WCHAR));
    Destination->MaximumLength = (USHORT)((Length + 1) * sizeof(WCHAR));
    Destination->Buffer = (PWCH)Source;
    return STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS RtlUnicodeStringCbCopyStringN(_Inout_ PUNICODE_STRING Destination, _In_z_ const WCHAR *Source,
                                                   _In_ size_t Maximum)
{
    Maximum /= sizeof(WCHAR);
    if (!PvsimUnicodeIsValid(Destination) || Source == NULL || Maximum > NTSTRSAFE_UNICODE_STRING_MAX_CCH)
        return STATUS_INVALID_PARAMETER;
    return PvsimUnicodePut(Destination, 0, Source, PvsimWideLength(Source, Maximum));
}

FORCEINLINE NTSTATUS RtlUnicodeStringCopyString(_Inout_ PUNICODE_STRING Destination, _In_z_ const WCHAR *Source)
{
    if (!PvsimUnicodeIsValid(Destination) || Source == NULL)
        return STATUS_INVALID_PARAMETER;
    return PvsimUnicodePut(Destination, 0, Source, PvsimWideLength(Source, NTSTRSAFE_MAX_CCH));
}

FORCEINLINE NTSTATUS RtlUnicodeStringCopy(_Inout_ PUNICODE_STRING Destination, _In_ PCUNICODE_STRING Source)
{
    if (!PvsimUnicodeIsValid(Destination) || !PvsimUnicodeIsValid(Source))
        return STATUS_INVALID_PARAMETER;
    return PvsimUnicodePut(Destination, 0, Source->Buffer, Source->Length / sizeof(WCHAR));
}

FORCEINLINE NTSTATUS RtlUnicodeStringCatString(_Inout_ PUNICODE_STRING Destination, _In_z_ const WCHAR *Source)
{
    if (!PvsimUnicodeIsValid(Destination) || Source == NULL)
        return STATUS_INVALID_PARAMETER;
    return PvsimUnicodePut(Destination, Destination->Length / sizeof(WCHAR), Source,
                           PvsimWideLength(Source, NTSTRSAFE_MAX_CCH));
}

FORCEINLINE NTSTATUS RtlUnicodeStringCat(_Inout_ PUNICODE_STRING Destination, _In_ PCUNICODE_STRING Source)
{
    if (!PvsimUnicodeIsValid(Destination) || !PvsimUnicodeIsValid(Source))
        return STATUS_INVALID_PARAMETER;
    return PvsimUnicodePut(Destination, Destination->Length / sizeof(WCHAR), Source->Buffer,
                           Source->Length / sizeof(WCHAR));
}

FORCEINLINE NTSTATUS RtlUnicodeStringVPrintf(_Inout_ PUNICODE_STRING Destination,
                                             _In_z_ _Printf_format_string_ const WCHAR *Format, _In_ va_list Arguments)
{
    size_t Room;
    int Length;

    if (!PvsimUnicodeIsValid(Destination) || Format == NULL)
        return STATUS_INVALID_PARAMETER;
    Room = Destination->MaximumLength / sizeof(WCHAR);
    if (Room == 0)
        return Format[0] == 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    Length = _vsnwprintf(Destination->Buffer, Room, Format, Arguments);
    Destination->Length = (USHORT)((Length < 0 ? Room : (size_t)Length) * sizeof(WCHAR));
    return Length < 0 ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static inline __attribute__((unused)) NTSTATUS RtlUnicodeStringPrintf(PUNICODE_STRING Destination, const WCHAR *Format,
                                                                      ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlUnicodeStringVPrintf(Destination, Format, Arguments);
    va_end(Arguments);
    return Status;
}

#endif
