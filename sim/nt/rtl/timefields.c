/* System time (100 ns since 1601-01-01, proleptic Gregorian calendar) and its fields. Any IRQL. */
#include "nt/rtl/rtl.h"

#define TICKS_PER_MILLISECOND 10000ll
#define MILLISECONDS_PER_DAY 86400000ll
#define DAYS_PER_400_YEARS 146097
#define DAYS_PER_100_YEARS 36524
#define DAYS_PER_4_YEARS 1461

static const USHORT days_before_month[2][13] = {
    {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
    {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366},
};

static bool is_leap(LONG year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1601-01-01 to the first of January of the year. */
static LONG days_before_year(LONG year)
{
    LONG past = year - 1601;

    return past * 365 + past / 4 - past / 100 + past / 400;
}

/* 1601 begins a cycle of 400 years: the last years of each part are the ones with a day more or less. */
static LONG year_of_day(LONG day)
{
    LONG centuries, fours, ones, year = 1601 + day / DAYS_PER_400_YEARS * 400;

    day %= DAYS_PER_400_YEARS;
    centuries = day / DAYS_PER_100_YEARS < 3 ? day / DAYS_PER_100_YEARS : 3;
    day -= centuries * DAYS_PER_100_YEARS;
    fours = day / DAYS_PER_4_YEARS;
    day -= fours * DAYS_PER_4_YEARS;
    ones = day / 365 < 3 ? day / 365 : 3;
    return year + centuries * 100 + fours * 4 + ones;
}

VOID NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields)
{
    LONGLONG milliseconds = Time->QuadPart / TICKS_PER_MILLISECOND;
    LONG day = (LONG)(milliseconds / MILLISECONDS_PER_DAY);
    LONG of_day = (LONG)(milliseconds % MILLISECONDS_PER_DAY);
    LONG year = year_of_day(day);
    LONG of_year = day - days_before_year(year);
    LONG month = 0;

    while (of_year >= days_before_month[is_leap(year)][month + 1])
        month++;
    TimeFields->Year = (CSHORT)year;
    TimeFields->Month = (CSHORT)(month + 1);
    TimeFields->Day = (CSHORT)(of_year - days_before_month[is_leap(year)][month] + 1);
    TimeFields->Hour = (CSHORT)(of_day / 3600000);
    TimeFields->Minute = (CSHORT)(of_day / 60000 % 60);
    TimeFields->Second = (CSHORT)(of_day / 1000 % 60);
    TimeFields->Milliseconds = (CSHORT)(of_day % 1000);
    TimeFields->Weekday = (CSHORT)((day + 1) % 7); /* 1601-01-01 was a Monday; Sunday is 0 */
}

/* FALSE if a field is out of its range; Weekday is not looked at. */
BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time)
{
    const USHORT *before;
    LONGLONG day;

    if (TimeFields->Year < 1601 || TimeFields->Year > 30827 || TimeFields->Month < 1 || TimeFields->Month > 12 ||
        TimeFields->Hour < 0 || TimeFields->Hour > 23 || TimeFields->Minute < 0 || TimeFields->Minute > 59 ||
        TimeFields->Second < 0 || TimeFields->Second > 59 || TimeFields->Milliseconds < 0 ||
        TimeFields->Milliseconds > 999)
        return FALSE;
    before = days_before_month[is_leap(TimeFields->Year)];
    if (TimeFields->Day < 1 || TimeFields->Day > before[TimeFields->Month] - before[TimeFields->Month - 1])
        return FALSE;
    day = days_before_year(TimeFields->Year) + before[TimeFields->Month - 1] + TimeFields->Day - 1;
    Time->QuadPart = ((((day * 24 + TimeFields->Hour) * 60 + TimeFields->Minute) * 60 + TimeFields->Second) * 1000 +
                      TimeFields->Milliseconds) *
                     TICKS_PER_MILLISECOND;
    return TRUE;
}
