/* Between the files of rtl/. */
#ifndef NT_RTL_H
#define NT_RTL_H

#include <string.h>

#include "machine/rng.h"
#include "nt/nt.h"

/* Of every buffer that RtlFreeUnicodeString() and RtlFreeAnsiString() free. */
#define RTL_STRING_TAG ((ULONG)'S' | (ULONG)'t' << 8 | (ULONG)'r' << 16 | (ULONG)'g' << 24)

/* The ANSI code page: Windows-1252. What it does not have becomes '?'. */
CHAR rtl_ansi_from_wide(WCHAR character);
WCHAR rtl_wide_from_ansi(CHAR character);

/* Simple case mapping of the basic multilingual plane (Unicode 15), as Windows does it: one unit to one unit. */
WCHAR rtl_upcase(WCHAR character);
WCHAR rtl_downcase(WCHAR character);

/*
 * Windows' printf. Returns the number of characters that the text has; the first `capacity` of them are stored, no NUL.
 * Unicode conversions in 8-bit text are PASSIVE_LEVEL only (they use paged tables on Windows); %n, floating point and
 * unknown conversions are violations.
 */
size_t rtl_format(char *buffer, size_t capacity, const char *format, va_list arguments);
size_t rtl_format_wide(WCHAR *buffer, size_t capacity, const WCHAR *format, va_list arguments);

/* Wide text as UTF-8 for messages; a NUL-terminated string of at most size - 1 bytes. */
void rtl_utf8(char *buffer, size_t size, const WCHAR *string, size_t length);

/* One line of 8-bit text (code page above) to the log. */
void rtl_log(int level, const char *text, size_t length);

struct rtl_debug_callback;

struct rtl_state {
    ULONG debug_mask[256];                      /* by component: DbgSetDebugFilterState */
    struct rtl_debug_callback *debug_callbacks; /* DbgSetDebugPrintCallback, in order of registration */
    unsigned debug_printing;                    /* messages that they are being told of now */
    char partial[512];                          /* debug output that has not ended its line yet */
    size_t partial_length;
    ULONG random[128]; /* RtlRandom's table */
};

void rtl_random_init(struct rtl_state *rtl);

#endif
