#include "clock.h"

#define CLOCK_UNITS 10000000ull

ULONGLONG ClockNow(VOID)
{
    LARGE_INTEGER Frequency;
    ULONGLONG Count = (ULONGLONG)KeQueryPerformanceCounter(&Frequency).QuadPart;
    ULONGLONG PerSecond = (ULONGLONG)Frequency.QuadPart;

    /* Seconds and the rest apart, so that no product overflows. */
    return Count / PerSecond * CLOCK_UNITS + Count % PerSecond * CLOCK_UNITS / PerSecond;
}

ULONGLONG ClockDeadline(_In_opt_ const LARGE_INTEGER *Timeout)
{
    LARGE_INTEGER Now;

    if (Timeout == NULL)
        return (ULONGLONG)-1;

    if (Timeout->QuadPart <= 0)
        return ClockNow() + (ULONGLONG)-Timeout->QuadPart;

    KeQuerySystemTime(&Now);
    return Timeout->QuadPart > Now.QuadPart ? ClockNow() + (ULONGLONG)(Timeout->QuadPart - Now.QuadPart) : ClockNow();
}

LARGE_INTEGER ClockRemaining(_In_ ULONGLONG Deadline)
{
    ULONGLONG Now = ClockNow();
    LARGE_INTEGER Timeout;

    Timeout.QuadPart = Deadline > Now ? -(LONGLONG)(Deadline - Now) : 0;
    return Timeout;
}

/* Windows gives no unit, so that only parts of a limit have a meaning; both limits are of one unit. */
BOOLEAN ClockIsLate(VOID)
{
    KDPC_WATCHDOG_INFORMATION Watchdog;
    ULONG Limit;

    if (!NT_SUCCESS(KeQueryDpcWatchdogInformation(&Watchdog)))
        return FALSE;

    if (Watchdog.DpcTimeCount < Watchdog.DpcTimeLimit / 2)
        return TRUE;

    /* Another processor that waits for this one has been in its DPC for as long at most. */
    Limit = Watchdog.DpcWatchdogLimit;
    if (Watchdog.DpcTimeLimit != 0)
        Limit = min(Limit, Watchdog.DpcTimeLimit);

    return Watchdog.DpcWatchdogLimit - Watchdog.DpcWatchdogCount > Limit / 2;
}
