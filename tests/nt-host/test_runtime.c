/*
 * The run-time library beyond the cases of tests/nt/rtl: random numbers and the machine's seed, formats that Windows'
 * pages do not list, the C library's routines that mingw-w64 cannot name, the clocks together.
 */
#include "guest_threads.h"

#include <ntstrsafe.h>

/* ---- random numbers ---- */

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

/* ---- formatting ---- */

static void formats(void *argument)
{
    CHAR buffer[64];

    (void)argument;
    ck_assert_int_eq(RtlStringCbPrintfA(buffer, sizeof(buffer), "%zu %hhu", (SIZE_T)5000000000, 0xFF), STATUS_SUCCESS);
    ck_assert_str_eq(buffer, "5000000000 255");
}

START_TEST(test_formats)
{
    guest_run(formats, NULL);
}
END_TEST

/* ---- 16-bit strings ---- */

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
    ck_assert_int_eq(_stricmp("Abc", "aBC"), 0);
    ck_assert_int_ne(_strnicmp("Abc", "aBD", 3), 0);
    ck_assert_int_eq(_strnicmp("Abc", "aBD", 2), 0);
}
END_TEST

/* ---- clocks ---- */

/* System, interrupt and tick time run together, forward and at the documented rates. */
static void clocks(void *argument)
{
    LARGE_INTEGER system[2], ticks[2], counter[2], frequency;
    ULONGLONG interrupt[2];

    (void)argument;
    for (unsigned i = 0; i < 2; i++) {
        KeQuerySystemTimePrecise(&system[i]);
        interrupt[i] = KeQueryInterruptTime();
        KeQueryTickCount(&ticks[i]);
        counter[i] = KeQueryPerformanceCounter(&frequency);
        if (i == 0)
            sleep_ms(1000);
    }
    ck_assert_int_ge(system[1].QuadPart - system[0].QuadPart, 980 * MILLISECOND);
    ck_assert_int_le(system[1].QuadPart - system[0].QuadPart, 1040 * MILLISECOND);
    ck_assert_int_ge((LONGLONG)(interrupt[1] - interrupt[0]), 980 * MILLISECOND);
    ck_assert_int_le((LONGLONG)(interrupt[1] - interrupt[0]), 1040 * MILLISECOND);
    ck_assert_int_ge((ticks[1].QuadPart - ticks[0].QuadPart + 1) * KeQueryTimeIncrement(), 980 * MILLISECOND);
    ck_assert_int_le((ticks[1].QuadPart - ticks[0].QuadPart - 1) * KeQueryTimeIncrement(), 1040 * MILLISECOND);
    ck_assert_int_ge((counter[1].QuadPart - counter[0].QuadPart) * 100, 98 * frequency.QuadPart);
    ck_assert_int_le((counter[1].QuadPart - counter[0].QuadPart) * 100, 104 * frequency.QuadPart);
}

START_TEST(test_clocks)
{
    over_schedules(2, 3, clocks, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/runtime");
    TCase *tcase = tcase_create("rtl");

    tcase_add_test(tcase, test_random_follows_the_seed);
    tcase_add_test(tcase, test_formats);
    tcase_add_test(tcase, test_wide_functions);
    tcase_add_test(tcase, test_clocks);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
