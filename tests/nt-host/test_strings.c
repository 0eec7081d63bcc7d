/* Counted strings, conversions and safe strings, after the Rtl string routines of wdm.h and "Using Safe String
 * Functions". */
#include "guest_threads.h"

#include <ntstrsafe.h>

static UNICODE_STRING wide(const WCHAR *text)
{
    UNICODE_STRING result;

    RtlInitUnicodeString(&result, text);
    return result;
}

static bool same(PCUNICODE_STRING string, const WCHAR *text)
{
    UNICODE_STRING other = wide(text);

    return string->Length == other.Length && memcmp(string->Buffer, other.Buffer, other.Length) == 0;
}

/* ---- formatting ---- */

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
    X("%zu", "5000000000", (SIZE_T)5000000000)                                                                         \
    X("%p", "0000000000001234", (PVOID)0x1234)                                                                         \
    X("%s|%.2s|%5s|%-5s|", "abc|ab|  abc|abc  |", "abc", "abc", "abc", "abc")                                          \
    X("%ws|%ls|%S", "wide|wide|wide", L"wide", L"wide", L"wide")                                                       \
    X("%hs", "narrow", "narrow")                                                                                       \
    X("%wZ", "counted", &counted)                                                                                      \
    X("%Z", "ansi", &ansi)                                                                                             \
    X("%c%c%%", "ab%", 'a', 'b')                                                                                       \
    X("%#x %#o", "0xff 0377", 255, 255)                                                                                \
    X("%*d|%.*s", "   42|ab", 5, 42, 2, "abc")                                                                         \
    X("%02X:%02X", "00:FF", 0, 255)                                                                                    \
    X("%hu %hhu", "65535 255", 0xFFFF, 0xFF)

static void formats(void *argument)
{
    UNICODE_STRING counted = wide(L"counted, but not this");
    ANSI_STRING ansi;
    CHAR buffer[128];

    (void)argument;
    counted.Length = 7 * sizeof(WCHAR); /* no zero ends it: the length does */
    RtlInitAnsiString(&ansi, "ansi and more");
    ansi.Length = 4;
#define CHECK_FORMAT(format, expected, ...)                                                                            \
    ck_assert_int_eq(RtlStringCbPrintfA(buffer, sizeof(buffer), format, __VA_ARGS__), STATUS_SUCCESS);                 \
    ck_assert_str_eq(buffer, expected);
    FORMATS(CHECK_FORMAT)
}

START_TEST(test_formats)
{
    guest_run(formats, NULL);
}
END_TEST

/* ---- counted strings ---- */

static void initialisation(void *argument)
{
    UNICODE_STRING string;
    ANSI_STRING ansi;

    (void)argument;
    RtlInitUnicodeString(&string, L"four");
    ck_assert_uint_eq(string.Length, 8); /* bytes, without the zero */
    ck_assert_uint_eq(string.MaximumLength, 10);
    RtlInitUnicodeString(&string, NULL);
    ck_assert_uint_eq(string.Length, 0);
    ck_assert_uint_eq(string.MaximumLength, 0);
    ck_assert_ptr_null(string.Buffer);
    RtlInitAnsiString(&ansi, "four");
    ck_assert_uint_eq(ansi.Length, 4);
    ck_assert_uint_eq(ansi.MaximumLength, 5);
}

START_TEST(test_initialisation)
{
    guest_run(initialisation, NULL);
}
END_TEST

static void copy_and_append(void *argument)
{
    WCHAR buffer[8];
    UNICODE_STRING string = {.MaximumLength = 5 * sizeof(WCHAR), .Buffer = buffer};
    UNICODE_STRING source = wide(L"abcdefgh");

    (void)argument;
    memset(buffer, 0x7E, sizeof(buffer));
    RtlCopyUnicodeString(&string, &source); /* as much as fits */
    ck_assert_uint_eq(string.Length, 10);
    ck_assert(same(&string, L"abcde"));
    ck_assert_uint_eq(buffer[5], 0x7E7E);
    RtlCopyUnicodeString(&string, NULL);
    ck_assert_uint_eq(string.Length, 0);

    ck_assert_int_eq(RtlAppendUnicodeToString(&string, L"ab"), STATUS_SUCCESS);
    source = wide(L"cde");
    ck_assert_int_eq(RtlAppendUnicodeStringToString(&string, &source), STATUS_SUCCESS);
    ck_assert(same(&string, L"abcde"));
    ck_assert_int_eq(RtlAppendUnicodeToString(&string, L"f"), STATUS_BUFFER_TOO_SMALL); /* and nothing is appended */
    ck_assert(same(&string, L"abcde"));
}

START_TEST(test_copy_and_append)
{
    guest_run(copy_and_append, NULL);
}
END_TEST

static void comparison(void *argument)
{
    UNICODE_STRING lower = wide(L"device\x00E9");
    UNICODE_STRING upper = wide(L"DEVICE\x00C9");
    UNICODE_STRING prefix = wide(L"Dev");
    UNICODE_STRING longer = wide(L"device\x00E9s");
    ANSI_STRING first;
    ANSI_STRING second;

    (void)argument;
    ck_assert(RtlEqualUnicodeString(&lower, &upper, TRUE));
    ck_assert(!RtlEqualUnicodeString(&lower, &upper, FALSE));
    ck_assert_int_eq(RtlCompareUnicodeString(&lower, &upper, TRUE), 0);
    ck_assert_int_gt(RtlCompareUnicodeString(&lower, &upper, FALSE), 0); /* 'd' is behind 'D' */
    ck_assert_int_lt(RtlCompareUnicodeString(&lower, &longer, TRUE), 0);
    ck_assert_int_gt(RtlCompareUnicodeString(&longer, &upper, TRUE), 0);
    ck_assert(RtlPrefixUnicodeString(&prefix, &lower, TRUE));
    ck_assert(!RtlPrefixUnicodeString(&prefix, &lower, FALSE));
    ck_assert(!RtlPrefixUnicodeString(&longer, &lower, TRUE)); /* longer than what it should begin */
    ck_assert(RtlPrefixUnicodeString(&lower, &lower, FALSE));
    RtlInitAnsiString(&first, "VIF");
    RtlInitAnsiString(&second, "vif");
    ck_assert(RtlEqualString(&first, &second, TRUE));
    ck_assert(!RtlEqualString(&first, &second, FALSE));
    ck_assert_int_eq(_stricmp("Abc", "aBC"), 0);
    ck_assert_int_ne(_strnicmp("Abc", "aBD", 3), 0);
    ck_assert_int_eq(_strnicmp("Abc", "aBD", 2), 0);
}

START_TEST(test_comparison)
{
    guest_run(comparison, NULL);
}
END_TEST

static void case_conversion(void *argument)
{
    UNICODE_STRING source = wide(L"abc-\x00E9\x03B1\x0444");
    WCHAR buffer[4];
    UNICODE_STRING small = {.MaximumLength = sizeof(buffer), .Buffer = buffer};
    UNICODE_STRING result;

    (void)argument;
    ck_assert_int_eq(RtlUpcaseUnicodeString(&result, &source, TRUE), STATUS_SUCCESS);
    ck_assert(same(&result, L"ABC-\x00C9\x0391\x0424"));
    RtlFreeUnicodeString(&result);
    ck_assert_ptr_null(result.Buffer);
    ck_assert_int_eq(RtlUpcaseUnicodeString(&small, &source, FALSE), STATUS_BUFFER_OVERFLOW);
    source.Length = 4 * sizeof(WCHAR);
    ck_assert_int_eq(RtlUpcaseUnicodeString(&small, &source, FALSE), STATUS_SUCCESS);
    ck_assert(same(&small, L"ABC-"));
    ck_assert_int_eq(RtlUpcaseUnicodeString(&small, &small, FALSE), STATUS_SUCCESS); /* in place */
    ck_assert_uint_eq(RtlUpcaseUnicodeChar(L'\x00FF'), 0x0178);
    ck_assert_uint_eq(RtlDowncaseUnicodeChar(L'\x0178'), 0x00FF);
    ck_assert_int_eq(RtlUpperChar('q'), 'Q');
    ck_assert_int_eq(RtlUpperChar('1'), '1');
}

/* ---- conversions ---- */

static void conversions(void *argument)
{
    UNICODE_STRING source = wide(L"eth0/mac");
    CHAR small_buffer[4];
    ANSI_STRING small = {.MaximumLength = sizeof(small_buffer), .Buffer = small_buffer};
    UNICODE_STRING back;
    ANSI_STRING ansi;

    (void)argument;
    ck_assert_int_eq(RtlUnicodeStringToAnsiString(&ansi, &source, TRUE), STATUS_SUCCESS);
    ck_assert_uint_eq(ansi.Length, 8);
    ck_assert_uint_ge(ansi.MaximumLength, 9);
    ck_assert_str_eq(ansi.Buffer, "eth0/mac"); /* ended by a zero */
    ck_assert_uint_eq(RtlUnicodeStringToAnsiSize(&source), 9);
    ck_assert_uint_eq(RtlAnsiStringToUnicodeSize(&ansi), 18);
    ck_assert_int_eq(RtlAnsiStringToUnicodeString(&back, &ansi, TRUE), STATUS_SUCCESS);
    ck_assert(same(&back, L"eth0/mac"));
    ck_assert_int_eq(RtlUnicodeStringToAnsiString(&small, &source, FALSE), STATUS_BUFFER_OVERFLOW);
    back.MaximumLength = 6;
    ck_assert_int_eq(RtlAnsiStringToUnicodeString(&back, &ansi, FALSE), STATUS_BUFFER_OVERFLOW);
    RtlFreeUnicodeString(&back);
    RtlFreeAnsiString(&ansi);
    ck_assert_ptr_null(ansi.Buffer);
}

START_TEST(test_conversions)
{
    guest_run(conversions, NULL);
}
END_TEST

START_TEST(test_case_conversion)
{
    guest_run(case_conversion, NULL);
}
END_TEST

static void utf8(void *argument)
{
    static const WCHAR text[] = L"a\x00E9\x20AC\xD83D\xDE00"; /* one to four bytes; the last is a surrogate pair */
    static const CHAR expected[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    CHAR narrow[16];
    WCHAR back[8];
    ULONG length;

    (void)argument;
    ck_assert_int_eq(RtlUnicodeToUTF8N(narrow, sizeof(narrow), &length, text, sizeof(text) - sizeof(WCHAR)),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(length, sizeof(expected) - 1);
    ck_assert(memcmp(narrow, expected, length) == 0);
    ck_assert_int_eq(RtlUTF8ToUnicodeN(back, sizeof(back), &length, narrow, length), STATUS_SUCCESS);
    ck_assert_uint_eq(length, sizeof(text) - sizeof(WCHAR));
    ck_assert(memcmp(back, text, length) == 0);
    ck_assert_int_eq(RtlUTF8ToUnicodeN(back, sizeof(back), &length, "a\xFFz", 3), STATUS_SOME_NOT_MAPPED);
    ck_assert_uint_eq(back[1], 0xFFFD);
    ck_assert_int_eq(RtlUnicodeToUTF8N(narrow, 2, &length, text, sizeof(text) - sizeof(WCHAR)),
                     STATUS_BUFFER_TOO_SMALL);
}

START_TEST(test_utf8)
{
    guest_run(utf8, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/strings");
    TCase *tcase = tcase_create("strings");

    tcase_add_test(tcase, test_formats);
    tcase_add_test(tcase, test_initialisation);
    tcase_add_test(tcase, test_copy_and_append);
    tcase_add_test(tcase, test_comparison);
    tcase_add_test(tcase, test_case_conversion);
    tcase_add_test(tcase, test_conversions);
    tcase_add_test(tcase, test_utf8);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
