/* Small routines of the executive: the driver's run time, processor mode, time zone, exceptions raised by software. */
#include "nt/ex/ex.h"
#include "nt/ke/ke.h"

/*
 * DrvRtPoolNxOptIn makes NonPagedPool mean NonPagedPoolNx in a driver that is built with POOL_NX_OPTIN. No pool of this
 * machine is ever executable, so that the opt-in holds whether asked for or not.
 */
VOID NTAPI ExInitializeDriverRuntime(ULONG RuntimeFlags)
{
    NT_CALL(PASSIVE_LEVEL);
    if ((RuntimeFlags & ~(ULONG)DrvRtPoolNxOptIn) != 0)
        nt_violation("driver-runtime", "ExInitializeDriverRuntime: flags %#x are none that are documented",
                     RuntimeFlags);
}

/* All threads of the machine are the system's. */
KPROCESSOR_MODE NTAPI ExGetPreviousMode(VOID)
{
    NT_CALL(DISPATCH_LEVEL);
    return KernelMode;
}

/* The machine keeps UTC as its local time, as a guest in a cloud does. */
VOID NTAPI ExSystemTimeToLocalTime(PLARGE_INTEGER SystemTime, PLARGE_INTEGER LocalTime)
{
    NT_CALL_ANY();
    *LocalTime = *SystemTime;
}

VOID NTAPI ExLocalTimeToSystemTime(PLARGE_INTEGER LocalTime, PLARGE_INTEGER SystemTime)
{
    NT_CALL_ANY();
    *SystemTime = *LocalTime;
}
