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
    NT_CALL_ANY();
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

/* Exceptions have no handlers in this kernel: one that is raised is a bugcheck, as it is on Windows when nobody handles
 * it. */
static _Noreturn void unhandled(NTSTATUS status, const char *routine, const void *caller)
{
    const uint64_t parameter[4] = {(uint32_t)status, (uintptr_t)caller, 0, 0};
    char name[256];

    loader_describe(name, sizeof name, caller);
    nt_violation_code(KMODE_EXCEPTION_NOT_HANDLED, parameter, "exception", "%s raises %#x, called by %s", routine,
                      (unsigned)status, name);
}

VOID NTAPI ExRaiseStatus(NTSTATUS Status)
{
    NT_CALL_ANY();
    unhandled(Status, __func__, __builtin_return_address(0));
}

VOID NTAPI ExRaiseAccessViolation(VOID)
{
    NT_CALL_ANY();
    unhandled(STATUS_ACCESS_VIOLATION, __func__, __builtin_return_address(0));
}
