/* Bitmaps, integers, GUIDs and time, after their wdm.h pages. */
#include "guest_threads.h"

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

/* ---- bitmaps ---- */

static void bitmaps(void *argument)
{
    ULONG words[4] = {~0u, ~0u, ~0u, 0xA5A5A5A5};
    RTL_BITMAP map;
    ULONG start;

    (void)argument;
    RtlInitializeBitMap(&map, words, 75); /* no multiple of a word */
    RtlClearAllBits(&map);
    ck_assert_uint_eq(words[3], 0xA5A5A5A5); /* not the bitmap's */
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 0);
    ck_assert_uint_eq(RtlNumberOfClearBits(&map), 75);
    RtlSetBits(&map, 30, 10); /* across a word */
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 10);
    ck_assert(RtlAreBitsSet(&map, 30, 10) && !RtlAreBitsSet(&map, 29, 2) && !RtlAreBitsSet(&map, 39, 2));
    ck_assert(RtlAreBitsClear(&map, 0, 30) && RtlAreBitsClear(&map, 40, 35) && !RtlAreBitsClear(&map, 25, 6));
    ck_assert(!RtlAreBitsClear(&map, 70, 6)); /* beyond the end */
    ck_assert(RtlTestBit(&map, 30) && !RtlTestBit(&map, 29));
    RtlClearBit(&map, 35);
    ck_assert(!RtlTestBit(&map, 35));
    RtlSetBit(&map, 35);

    ck_assert_uint_eq(RtlFindClearBits(&map, 5, 0), 0);
    ck_assert_uint_eq(RtlFindClearBits(&map, 5, 28), 40); /* the hint is where the search begins */
    ck_assert_uint_eq(RtlFindClearBits(&map, 30, 60), 0); /* and it goes on at the beginning */
    ck_assert_uint_eq(RtlFindClearBits(&map, 36, 0), 0xFFFFFFFF);
    ck_assert_uint_eq(RtlFindSetBits(&map, 10, 0), 30);
    ck_assert_uint_eq(RtlFindSetBits(&map, 11, 0), 0xFFFFFFFF);
    ck_assert_uint_eq(RtlFindClearBitsAndSet(&map, 35, 0), 40);
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 45);
    ck_assert_uint_eq(RtlFindSetBitsAndClear(&map, 45, 0), 30);
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 0);
    RtlSetAllBits(&map);
    ck_assert_uint_eq(RtlNumberOfSetBits(&map), 75);
    RtlClearBits(&map, 10, 3);
    RtlClearBits(&map, 50, 7);
    ck_assert_uint_eq(RtlFindLongestRunClear(&map, &start), 7);
    ck_assert_uint_eq(start, 50);
    ck_assert_uint_eq(RtlFindFirstRunClear(&map, &start), 3);
    ck_assert_uint_eq(start, 10);
    ck_assert_uint_eq(RtlFindNextForwardRunClear(&map, 13, &start), 7);
    ck_assert_uint_eq(start, 50);
    ck_assert_int_eq(RtlFindLeastSignificantBit(0x50), 4);
    ck_assert_int_eq(RtlFindMostSignificantBit(0x50), 6);
    ck_assert_int_eq(RtlFindLeastSignificantBit(0), -1);
    ck_assert_int_eq(RtlFindMostSignificantBit(0), -1);
    ck_assert_int_eq(RtlFindMostSignificantBit(1ULL << 63), 63);
}

START_TEST(test_bitmaps)
{
    guest_run(bitmaps, NULL);
}
END_TEST

/* ---- integers ---- */

static const struct {
    const WCHAR *text;
    ULONG base;
    ULONG value;
} integers[] = {
    {L"123", 10, 123},
    {L"-345", 10, (ULONG)-345},
    {L"xyz", 10, 0},
    {L"+678abc", 10, 678},
    {L"+678abc", 16, 0x678ABC},
    {L"  42", 10, 42},
    {L"0x1F", 0, 31},
    {L"0o17", 0, 15},
    {L"0b101", 0, 5},
    {L"017", 0, 17}, /* no prefix: decimal */
    {L"102", 2, 2},  /* ends at the first character that is no digit */
    {L"19", 8, 1},
    {L"4294967295", 10, 4294967295},
};

static void from_text(void *argument)
{
    UNICODE_STRING string = wide(L"");
    ULONG value;

    (void)argument;
    for (unsigned i = 0; i < RTL_NUMBER_OF(integers); i++) {
        string = wide(integers[i].text);
        value = 0xDEAD;
        ck_assert_int_eq(RtlUnicodeStringToInteger(&string, integers[i].base, &value), STATUS_SUCCESS);
        ck_assert_msg(value == integers[i].value, "number %u: %u, not %u", i, value, integers[i].value);
    }
    string = wide(L"");
    ck_assert_int_eq(RtlUnicodeStringToInteger(&string, 10, &value), STATUS_INVALID_PARAMETER);
    string = wide(L"7");
    ck_assert_int_eq(RtlUnicodeStringToInteger(&string, 7, &value), STATUS_INVALID_PARAMETER); /* no base */
}

START_TEST(test_from_text)
{
    guest_run(from_text, NULL);
}
END_TEST

static void to_text(void *argument)
{
    WCHAR buffer[40];
    UNICODE_STRING string = {.MaximumLength = sizeof(buffer), .Buffer = buffer};

    (void)argument;
    ck_assert_int_eq(RtlIntegerToUnicodeString(4294967295, 0, &string), STATUS_SUCCESS);
    ck_assert(same(&string, L"4294967295"));
    ck_assert_uint_eq(buffer[10], 0); /* ended by a zero */
    ck_assert_int_eq(RtlIntegerToUnicodeString(0, 10, &string), STATUS_SUCCESS);
    ck_assert(same(&string, L"0"));
    ck_assert_int_eq(RtlIntegerToUnicodeString(0xBEEF, 16, &string), STATUS_SUCCESS);
    ck_assert(same(&string, L"BEEF"));
    ck_assert_int_eq(RtlIntegerToUnicodeString(8, 8, &string), STATUS_SUCCESS);
    ck_assert(same(&string, L"10"));
    ck_assert_int_eq(RtlIntegerToUnicodeString(5, 2, &string), STATUS_SUCCESS);
    ck_assert(same(&string, L"101"));
    ck_assert_int_eq(RtlInt64ToUnicodeString(~0ULL, 10, &string), STATUS_SUCCESS);
    ck_assert(same(&string, L"18446744073709551615"));
    ck_assert_int_eq(RtlIntegerToUnicodeString(5, 3, &string), STATUS_INVALID_PARAMETER);
    string.MaximumLength = 4 * sizeof(WCHAR);
    ck_assert_int_eq(RtlIntegerToUnicodeString(12345, 10, &string), STATUS_BUFFER_OVERFLOW);
}

START_TEST(test_to_text)
{
    guest_run(to_text, NULL);
}
END_TEST

/* ---- GUIDs ---- */

static void guids(void *argument)
{
    static const GUID guid = {0x4D36E97D, 0xE325, 0x11CE, {0xBF, 0xC1, 0x08, 0x00, 0x2B, 0xE1, 0x03, 0x18}};
    static const WCHAR *const malformed[] = {
        L"4d36e97d-e325-11ce-bfc1-08002be10318",   L"{4d36e97d-e325-11ce-bfc1-08002be10318",
        L"{4d36e97d-e325-11ce-bfc1-08002be1031}",  L"{4d36e97d-e325-11ce-bfc1-08002be1031g}",
        L"{4d36e97de-325-11ce-bfc1-08002be10318}", L"",
    };
    UNICODE_STRING string;
    GUID parsed;

    (void)argument;
    ck_assert_int_eq(RtlStringFromGUID(&guid, &string), STATUS_SUCCESS);
    ck_assert_uint_eq(string.Length, 38 * sizeof(WCHAR));
    ck_assert_int_eq(RtlGUIDFromString(&string, &parsed), STATUS_SUCCESS);
    ck_assert(memcmp(&guid, &parsed, sizeof(guid)) == 0);
    RtlFreeUnicodeString(&string);
    string = wide(L"{4D36E97d-e325-11CE-bfc1-08002be10318}"); /* either case */
    ck_assert_int_eq(RtlGUIDFromString(&string, &parsed), STATUS_SUCCESS);
    ck_assert(memcmp(&guid, &parsed, sizeof(guid)) == 0);
    for (unsigned i = 0; i < RTL_NUMBER_OF(malformed); i++) {
        string = wide(malformed[i]);
        ck_assert_int_eq(RtlGUIDFromString(&string, &parsed), STATUS_INVALID_PARAMETER);
    }
}

START_TEST(test_guids)
{
    guest_run(guids, NULL);
}
END_TEST

/* ---- time ---- */

static const struct {
    LONGLONG time;
    TIME_FIELDS fields; /* year, month, day, hour, minute, second, ms, weekday from Sunday */
} times[] = {
    {0, {1601, 1, 1, 0, 0, 0, 0, 1}},
    {116444736000000000, {1970, 1, 1, 0, 0, 0, 0, 4}},  /* the Unix epoch */
    {125962560000000000, {2000, 2, 29, 0, 0, 0, 0, 2}}, /* a leap year, though divisible by 100 */
    {125963423999990000, {2000, 2, 29, 23, 59, 59, 999, 2}},
    {125963424000000000, {2000, 3, 1, 0, 0, 0, 0, 3}},
};

static void time_fields(void *argument)
{
    static const TIME_FIELDS wrong[] = {
        {1600, 12, 31, 0, 0, 0, 0, 0},  {2001, 2, 29, 0, 0, 0, 0, 0}, {1900, 2, 29, 0, 0, 0, 0, 0},
        {2000, 13, 1, 0, 0, 0, 0, 0},   {2000, 0, 1, 0, 0, 0, 0, 0},  {2000, 4, 31, 0, 0, 0, 0, 0},
        {2000, 1, 1, 24, 0, 0, 0, 0},   {2000, 1, 1, 0, 60, 0, 0, 0}, {2000, 1, 1, 0, 0, 60, 0, 0},
        {2000, 1, 1, 0, 0, 0, 1000, 0},
    };
    LARGE_INTEGER time;
    TIME_FIELDS fields;

    (void)argument;
    for (unsigned i = 0; i < RTL_NUMBER_OF(times); i++) {
        time.QuadPart = times[i].time;
        memset(&fields, 0xFF, sizeof(fields));
        RtlTimeToTimeFields(&time, &fields);
        ck_assert_msg(memcmp(&fields, &times[i].fields, sizeof(fields)) == 0, "time %u: %d-%d-%d weekday %d", i,
                      fields.Year, fields.Month, fields.Day, fields.Weekday);
        time.QuadPart = -1;
        fields.Weekday = 6; /* is ignored */
        ck_assert(RtlTimeFieldsToTime(&fields, &time));
        ck_assert_int_eq(time.QuadPart, times[i].time);
    }
    for (unsigned i = 0; i < RTL_NUMBER_OF(wrong); i++) {
        fields = wrong[i];
        ck_assert_msg(!RtlTimeFieldsToTime(&fields, &time), "impossible time %u was taken", i);
    }
}

START_TEST(test_time_fields)
{
    guest_run(time_fields, NULL);
}
END_TEST

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
    Suite *suite = suite_create("nt-host/rtl");
    TCase *tcase = tcase_create("rtl");

    tcase_add_test(tcase, test_bitmaps);
    tcase_add_test(tcase, test_from_text);
    tcase_add_test(tcase, test_to_text);
    tcase_add_test(tcase, test_guids);
    tcase_add_test(tcase, test_time_fields);
    tcase_add_test(tcase, test_clocks);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
