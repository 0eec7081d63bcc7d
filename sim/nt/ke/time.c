/* Time as the kernel tells it: all from the machine's clock. */
#include "nt/ke/ke.h"

#define TICK_100NS 156250u /* the clock interrupt's period, 15.625 ms */

/* Since the system was started. */
static ULONGLONG interrupt_time(void)
{
    return (clock_now() - machine->booted_at) / 100;
}

static LONGLONG system_time(void)
{
    return (LONGLONG)(CLOCK_BOOT_SYSTEM_TIME + clock_now() / 100);
}

VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    CurrentTime->QuadPart = system_time();
}

VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    CurrentTime->QuadPart = system_time();
}

VOID NTAPI KeQueryTickCount(PLARGE_INTEGER CurrentCount)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    CurrentCount->QuadPart = (LONGLONG)(interrupt_time() / TICK_100NS);
}

ULONG NTAPI KeQueryTimeIncrement(VOID)
{
    NT_CALL_ANY();
    return TICK_100NS;
}

ULONGLONG NTAPI KeQueryInterruptTime(VOID)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    return interrupt_time();
}

ULONGLONG NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    *QpcTimeStamp = interrupt_time();
    return interrupt_time();
}

ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    return interrupt_time();
}

LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)
{
    LARGE_INTEGER counter;

    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CLOCK);
    if (PerformanceFrequency != NULL)
        PerformanceFrequency->QuadPart = 10000000;
    counter.QuadPart = (LONGLONG)interrupt_time();
    return counter;
}
