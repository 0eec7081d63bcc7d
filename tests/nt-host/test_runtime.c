/*
 * The run-time library beside strings: numbers and GUIDs as text, bitmaps, time, random numbers, version, 16-bit string
 * functions; after their pages in the wdm.h and ntddk.h references.
 */
#include "guest_threads.h"

static UNICODE_STRING wide(const WCHAR *text)
{
    UNICODE_STRING result;

    RtlInitUnicodeString(&result, text);
    return result;
}

/* ---- numbers ---- */

static void check_print(ULONG value, ULONG base, const WCHAR *expected)
{
    WCHAR buffer[40];
    UNICODE_STRING string = {0, sizeof(buffer), buffer}, other = wide(expected);

    ck_assert_int_eq(RtlIntegerToUnicodeString(value, base, &string), STATUS_SUCCESS);
    ck_assert_msg(RtlEqualUnicodeString(&string, &other, FALSE), "%u in base %u", value, base);
}

static void check_read(const WCHAR *text, ULONG base, ULONG expected)
{
    UNICODE_STRING string = wide(text);
    ULONG value = 99;

    ck_assert_int_eq(RtlUnicodeStringToInteger(&string, base, &value), STATUS_SUCCESS);
    ck_assert_uint_eq(value, expected);
}

static void integers(void *argument)
{
    WCHAR room[3];
    UNICODE_STRING small = {0, sizeof(room), room}, text = wide(L"  0x1F tail");
    LONG64 number;
    PWSTR end;
    ULONG value;

    (void)argument;
    check_print(0, 0, L"0");
    check_print(4294967295u, 10, L"4294967295");
    check_print(0xC0FFEE, 16, L"C0FFEE");
    check_print(8, 8, L"10");
    check_print(5, 2, L"101");
    ck_assert_int_eq(RtlIntegerToUnicodeString(1, 7, &small), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RtlIntegerToUnicodeString(1000, 10, &small), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(RtlIntegerToUnicodeString(100, 10, &small), STATUS_SUCCESS); /* fills it: no zero behind it */
    ck_assert_uint_eq(small.Length, 6);
    check_read(L"42", 10, 42);
    check_read(L" \t-1", 0, 0xFFFFFFFF);
    check_read(L"0x10", 0, 16);
    check_read(L"0o17", 0, 15);
    check_read(L"0b11", 0, 3);
    check_read(L"010", 0, 10);  /* a zero alone is no prefix */
    check_read(L"0x10", 16, 0); /* and with a base there are none: the x ends the number */
    check_read(L"12z", 10, 12);
    ck_assert_int_eq(RtlUnicodeStringToInteger(&text, 3, &value), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RtlUnicodeStringToInt64(&text, 0, &number, &end), STATUS_SUCCESS);
    ck_assert_int_eq(number, 31);
    ck_assert_ptr_eq(end, text.Buffer + 6);
    ck_assert_int_eq(RtlCharToInteger("ff", 16, &value), STATUS_SUCCESS);
    ck_assert_uint_eq(value, 255);
}

START_TEST(test_integers)
{
    guest_run(integers, NULL);
}
END_TEST

static void guids(void *argument)
{
    const GUID guid = {0x86824C3B, 0xD34E, 0x4753, {0xB2, 0x81, 0x2F, 0x1E, 0x3A, 0xD2, 0x14, 0xD7}};
    UNICODE_STRING expected = wide(L"{86824C3B-D34E-4753-B281-2F1E3AD214D7}");
    UNICODE_STRING lower = wide(L"{86824c3b-d34e-4753-b281-2f1e3ad214d7}");
    UNICODE_STRING bad[] = {
        wide(L"86824C3B-D34E-4753-B281-2F1E3AD214D7"), wide(L"{86824C3B-D34E-4753-B281-2F1E3AD214D7"),
        wide(L"{86824C3B_D34E-4753-B281-2F1E3AD214D7}"), wide(L"{86824C3G-D34E-4753-B281-2F1E3AD214D7}")};
    UNICODE_STRING text;
    GUID back;

    (void)argument;
    ck_assert_int_eq(RtlStringFromGUID(&guid, &text), STATUS_SUCCESS);
    ck_assert(RtlEqualUnicodeString(&text, &expected, FALSE));
    RtlFreeUnicodeString(&text);
    ck_assert_int_eq(RtlGUIDFromString(&lower, &back), STATUS_SUCCESS);
    ck_assert(IsEqualGUID(&back, &guid));
    for (size_t index = 0; index < ARRAYSIZE(bad); index++)
        ck_assert_int_eq(RtlGUIDFromString(&bad[index], &back), STATUS_INVALID_PARAMETER);
}

START_TEST(test_guids)
{
    guest_run(guids, NULL);
}
END_TEST

/* ---- bitmaps ---- */

static void bitmaps(void *argument)
{
    ULONG words[4];
    RTL_BITMAP map;
    RTL_BITMAP_RUN runs[2];
    ULONG start;

    (void)argument;
    RtlInitializeBitMap(&map, words, 100);
    RtlClearAllBits(&map);
    ck_assert_uint_eq(RtlNumberOfClearBits(&map), 100);
    RtlSetBits(&map, 30, 40); /* 30 to 69: over two word boundaries */
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 40);
    ck_assert(!RtlTestBit(&map, 29) && RtlTestBit(&map, 30) && RtlTestBit(&map, 69) && !RtlTestBit(&map, 70));
    ck_assert(RtlAreBitsSet(&map, 30, 40) && !RtlAreBitsSet(&map, 30, 41) && !RtlAreBitsSet(&map, 29, 2));
    ck_assert(RtlAreBitsClear(&map, 70, 30) && !RtlAreBitsClear(&map, 70, 31) && !RtlAreBitsClear(&map, 0, 0));
    ck_assert_uint_eq(RtlFindClearBits(&map, 10, 25), 70); /* five before the run, the next ten behind it */
    ck_assert_uint_eq(RtlFindClearBits(&map, 30, 80), 0);  /* wraps around */
    ck_assert_uint_eq(RtlFindClearBits(&map, 31, 0), 0xFFFFFFFF);
    ck_assert_uint_eq(RtlFindSetBits(&map, 40, 0), 30);
    ck_assert_uint_eq(RtlFindClearBitsAndSet(&map, 5, 90), 90);
    ck_assert(RtlAreBitsSet(&map, 90, 5));
    ck_assert_uint_eq(RtlFindNextForwardRunClear(&map, 40, &start), 20);
    ck_assert_uint_eq(start, 70);
    ck_assert_uint_eq(RtlFindNextForwardRunClear(&map, 96, &start), 4); /* from the middle of a run, to the end */
    ck_assert_uint_eq(start, 96);
    ck_assert_uint_eq(RtlFindLongestRunClear(&map, &start), 30);
    ck_assert_uint_eq(start, 0);
    RtlSetBits(&map, 0, 28); /* runs are now 28+2, 70+20, 95+5 */
    ck_assert_uint_eq(RtlFindClearRuns(&map, runs, 2, FALSE), 2);
    ck_assert(runs[0].StartingIndex == 28 && runs[1].StartingIndex == 70);
    ck_assert_uint_eq(RtlFindClearRuns(&map, runs, 2, TRUE), 2);
    ck_assert(runs[0].StartingIndex == 70 && runs[0].NumberOfBits == 20);
    ck_assert(runs[1].StartingIndex == 95 && runs[1].NumberOfBits == 5);
    ck_assert_uint_eq(RtlFindSetBitsAndClear(&map, 28, 0), 0);
    RtlClearBit(&map, 31);
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 44);
    ck_assert_int_eq(RtlFindLeastSignificantBit(0), -1);
    ck_assert_int_eq(RtlFindLeastSignificantBit(0x80), 7);
    ck_assert_int_eq(RtlFindMostSignificantBit(0x8000000000000001ull), 63);
}

START_TEST(test_bitmaps)
{
    guest_run(bitmaps, NULL);
}
END_TEST

static void set_outside(void *argument)
{
    ULONG word = 0;
    RTL_BITMAP map;

    (void)argument;
    RtlInitializeBitMap(&map, &word, 20);
    RtlSetBits(&map, 10, 11);
}

START_TEST(test_bitmap_range)
{
    must_break(1, set_outside, "bitmap-range");
}
END_TEST

/* ---- time ---- */

static void check_time(LONGLONG ticks, CSHORT year, CSHORT month, CSHORT day, CSHORT hour, CSHORT weekday)
{
    LARGE_INTEGER time = {.QuadPart = ticks}, back;
    TIME_FIELDS fields;

    RtlTimeToTimeFields(&time, &fields);
    ck_assert_int_eq(fields.Year, year);
    ck_assert_int_eq(fields.Month, month);
    ck_assert_int_eq(fields.Day, day);
    ck_assert_int_eq(fields.Hour, hour);
    ck_assert_int_eq(fields.Weekday, weekday);
    ck_assert(RtlTimeFieldsToTime(&fields, &back));
    ck_assert_int_eq(back.QuadPart, ticks);
}

static void times(void *argument)
{
    const LONGLONG day = 864000000000ll;
    LARGE_INTEGER time;

    (void)argument;
    check_time(0, 1601, 1, 1, 0, 1);
    check_time(116444736000000000ll, 1970, 1, 1, 0, 4); /* the Unix epoch */
    check_time((LONGLONG)CLOCK_BOOT_SYSTEM_TIME, 2025, 1, 1, 0, 3);
    check_time(125962560000000000ll, 2000, 2, 29, 0, 2); /* a leap day at a century's turn */
    check_time(125962560000000000ll + day, 2000, 3, 1, 0, 3);
    check_time((LONGLONG)CLOCK_BOOT_SYSTEM_TIME - 36000000000ll, 2024, 12, 31, 23, 2);
    for (LONGLONG at = 0; at < 146097 * 2; at += 97) {
        TIME_FIELDS fields;
        LARGE_INTEGER back;

        time.QuadPart = at * day + 12345 * 10000;
        RtlTimeToTimeFields(&time, &fields);
        ck_assert(RtlTimeFieldsToTime(&fields, &back));
        ck_assert_int_eq(back.QuadPart, time.QuadPart);
    }
    ck_assert(!RtlTimeFieldsToTime(&(TIME_FIELDS){.Year = 2023, .Month = 2, .Day = 29}, &time));
    ck_assert(!RtlTimeFieldsToTime(&(TIME_FIELDS){.Year = 1600, .Month = 1, .Day = 1}, &time));
    ck_assert(!RtlTimeFieldsToTime(&(TIME_FIELDS){.Year = 2024, .Month = 1, .Day = 1, .Hour = 24}, &time));
    ck_assert(RtlTimeFieldsToTime(&(TIME_FIELDS){.Year = 2024, .Month = 2, .Day = 29}, &time));
}

START_TEST(test_times)
{
    guest_run(times, NULL);
}
END_TEST

/* ---- random numbers, version, stack ---- */

static void draw(void *argument)
{
    ULONG *numbers = argument;
    ULONG seed = 1;

    for (unsigned index = 0; index < 100; index++) {
        numbers[index] = RtlRandomEx(&seed);
        ck_assert_uint_lt(numbers[index], MAXLONG);
    }
}

static void draw_with_seed(uint64_t seed, ULONG numbers[100])
{
    struct machine_config config = guest_config(1);

    config.seed = seed;
    guest_run_with(&config, draw, numbers);
}

START_TEST(test_random_follows_the_seed)
{
    ULONG first[100], again[100], other[100];
    ULONG lehmer = 1;

    draw_with_seed(7, first);
    draw_with_seed(7, again);
    draw_with_seed(8, other);
    ck_assert_mem_eq(first, again, sizeof(first));
    ck_assert_mem_ne(first, other, sizeof(first));
    ck_assert_uint_eq(RtlUniform(&lehmer), (0x7FFFFFEDull + 0x7FFFFFC3ull) % 0x7FFFFFFF);
}
END_TEST

static void version(void *argument)
{
    RTL_OSVERSIONINFOEXW information = {.dwOSVersionInfoSize = sizeof(information)};
    ULONG major, minor, build;

    (void)argument;
    ck_assert_int_eq(RtlGetVersion((PRTL_OSVERSIONINFOW)&information), STATUS_SUCCESS);
    ck_assert_uint_eq(information.dwMajorVersion, 10);
    ck_assert_uint_eq(information.wProductType, VER_NT_WORKSTATION);
    ck_assert(!PsGetVersion(&major, &minor, &build, NULL));
    ck_assert(major == information.dwMajorVersion && minor == information.dwMinorVersion &&
              build == information.dwBuildNumber);
    ck_assert(RtlIsNtDdiVersionAvailable(NTDDI_WIN7) && !RtlIsNtDdiVersionAvailable(0x0B000000) &&
              !RtlIsNtDdiVersionAvailable(NTDDI_WIN7 + 0x100));
}

START_TEST(test_version)
{
    guest_run(version, NULL);
}
END_TEST

static __attribute__((noinline)) USHORT capture(ULONG skip, ULONG count, PVOID *frames)
{
    USHORT captured = RtlCaptureStackBackTrace(skip, count, frames, NULL);

    __asm__ volatile("" : : : "memory"); /* no tail call */
    return captured;
}

static void stack(void *argument)
{
    PVOID frames[8], skipped[8];
    USHORT captured = capture(0, 8, frames);

    (void)argument;
    ck_assert_uint_ge(captured, 2);
    ck_assert((PUCHAR)frames[0] > (PUCHAR)(uintptr_t)capture && (PUCHAR)frames[0] < (PUCHAR)(uintptr_t)capture + 512);
    ck_assert((PUCHAR)frames[1] > (PUCHAR)(uintptr_t)stack && (PUCHAR)frames[1] < (PUCHAR)(uintptr_t)stack + 4096);
    ck_assert_uint_eq(capture(0, 1, skipped), 1);
    ck_assert_uint_eq(capture(1000, 8, skipped), 0);
    ck_assert_uint_ge(capture(2, 8, skipped), 1);
    ck_assert_ptr_eq(skipped[0], frames[2]);
}

START_TEST(test_stack_trace)
{
    guest_run(stack, NULL);
}
END_TEST

/* ---- 16-bit strings, memory ---- */

START_TEST(test_wide_functions)
{
    WCHAR buffer[16];

    ck_assert_uint_eq(wcslen(L"four"), 4);
    ck_assert_uint_eq(wcsnlen(L"four", 2), 2);
    ck_assert_int_lt(wcscmp(L"abc", L"abd"), 0);
    ck_assert_int_eq(wcsncmp(L"abc", L"abd", 2), 0);
    ck_assert_int_eq(_wcsicmp(L"ABC", L"abc"), 0);
    ck_assert_int_gt(_wcsnicmp(L"ABZ", L"abc", 3), 0);
    wcscat(wcscpy(buffer, L"one"), L"two");
    ck_assert_int_eq(wcscmp(buffer, L"onetwo"), 0);
    memset(buffer, 0xFF, sizeof(buffer));
    wcsncpy(buffer, L"ab", 4);
    ck_assert(buffer[2] == 0 && buffer[3] == 0 && buffer[4] == 0xFFFF);
    wcscpy(buffer, L"banana");
    ck_assert_ptr_eq(wcschr(buffer, L'n'), buffer + 2);
    ck_assert_ptr_eq(wcsrchr(buffer, L'n'), buffer + 4);
    ck_assert_ptr_eq(wcsstr(buffer, L"nan"), buffer + 2);
    ck_assert_ptr_null(wcsstr(buffer, L"nab"));
    ck_assert_ptr_null(wcschr(buffer, L'x'));
    ck_assert_uint_eq(RtlCompareMemory("abcd", "abxd", 4), 2);
    ck_assert_uint_eq(RtlCompareMemory("abcd", "abcd", 4), 4);
    RtlSecureZeroMemory(buffer, sizeof(buffer));
    ck_assert_uint_eq(buffer[0], 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/runtime");
    TCase *tcase = tcase_create("rtl");

    tcase_add_test(tcase, test_integers);
    tcase_add_test(tcase, test_guids);
    tcase_add_test(tcase, test_bitmaps);
    tcase_add_test(tcase, test_bitmap_range);
    tcase_add_test(tcase, test_times);
    tcase_add_test(tcase, test_random_follows_the_seed);
    tcase_add_test(tcase, test_version);
    tcase_add_test(tcase, test_stack_trace);
    tcase_add_test(tcase, test_wide_functions);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
