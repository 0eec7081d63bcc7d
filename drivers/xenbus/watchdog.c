#include "watchdog.h"

#include "bug.h"
#include "clock.h"
#include "pool.h"
#include "text.h"
#include "thread.h"
#include "xen.h"

#define WATCHDOG_TAG POOL_TAG('W', 'D', 'O', 'G')

#define WATCHDOG_PATS 3 /* in the time that Xen waits for one */

struct _XENBUS_WATCHDOG {
    XENBUS_DEBUG_INTERFACE DebugInterface;
    PXENBUS_DEBUG_CALLBACK DebugCallback;
    PDRIVER_THREAD Thread;
    ULONG Seconds;

    KSPIN_LOCK Lock; /* guards what follows */
    ULONG Id;        /* Xen's number of the watchdog, 0: it is not armed */
    BOOLEAN Held;
};

/* Starts Xen's time anew, of a watchdog that is there or of a new one. */
static NTSTATUS WatchdogPat(_In_ PXENBUS_WATCHDOG Watchdog)
{
    NTSTATUS Status = STATUS_SUCCESS;
    KIRQL Irql;

    KeAcquireSpinLock(&Watchdog->Lock, &Irql);

    if (!Watchdog->Held) {
        Status = XenSchedWatchdog(&Watchdog->Id, Watchdog->Seconds);

        /* A Xen that has never heard of it: the guest's memory was restored there without a word to the guest. */
        if (!NT_SUCCESS(Status) && Watchdog->Id != 0) {
            Watchdog->Id = 0;
            Status = XenSchedWatchdog(&Watchdog->Id, Watchdog->Seconds);
        }
    }

    KeReleaseSpinLock(&Watchdog->Lock, Irql);

    return Status;
}

/* Called with the lock held, or alone. */
static VOID WatchdogStop(_In_ PXENBUS_WATCHDOG Watchdog)
{
    NTSTATUS Status;

    if (Watchdog->Id == 0)
        return;

    Status = XenSchedWatchdog(&Watchdog->Id, 0);
    if (!NT_SUCCESS(Status))
        Warning("watchdog %u is not stopped (%08x)", Watchdog->Id, Status);

    Watchdog->Id = 0;
}

static NTSTATUS NTAPI WatchdogThread(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
{
    PXENBUS_WATCHDOG Watchdog = Context;
    BOOLEAN Refused = FALSE;

    /* Before all that is not of real time, so that a guest with much to do is not taken for one that hangs. */
    (VOID) KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY);

    while (!ThreadIsAlerted(Self)) {
        LARGE_INTEGER Timeout;
        NTSTATUS Status;

        Status = WatchdogPat(Watchdog);
        if (!NT_SUCCESS(Status) && !Refused)
            Warning("no watchdog (%08x)", Status);
        Refused = !NT_SUCCESS(Status);

        Timeout.QuadPart = -(LONGLONG)(CLOCK_SECONDS(Watchdog->Seconds) / WATCHDOG_PATS);
        (VOID) ThreadWait(Self, &Timeout);
    }

    return STATUS_SUCCESS;
}

/* Writing a dump takes longer than a watchdog waits. */
static VOID NTAPI WatchdogDebug(_In_opt_ PVOID Argument, _In_ BOOLEAN Crashing)
{
    PXENBUS_WATCHDOG Watchdog = Argument;

    XENBUS_DEBUG_CALL(&Watchdog->DebugInterface, Printf, "%u s, number %u%s%s", Watchdog->Seconds, Watchdog->Id,
                      Watchdog->Held ? ", held" : "", Crashing ? ", stopped" : "");

    if (Crashing)
        WatchdogStop(Watchdog);
}

PAGED_FUNCTION ULONG WatchdogQuerySeconds(VOID)
{
    CHAR Value[16];
    ULONG Seconds = 0;
    NTSTATUS Status;

    PAGED_CODE();

    Status = XenQueryStartOption("WATCHDOG", Value, sizeof(Value));
    if (Status == STATUS_OBJECT_NAME_NOT_FOUND)
        return 0;

    if (NT_SUCCESS(Status))
        Status = TextToUlong(Value, 10, &Seconds);
    if (!NT_SUCCESS(Status)) {
        Warning("XEN:WATCHDOG is a number of seconds: no watchdog (%08x)", Status);
        return 0;
    }

    if (Seconds != 0 && Seconds < WATCHDOG_MINIMUM_SECONDS) {
        Warning("XEN:WATCHDOG=%u is too short: %u s it is", Seconds, WATCHDOG_MINIMUM_SECONDS);
        Seconds = WATCHDOG_MINIMUM_SECONDS;
    }

    return Seconds;
}

PAGED_FUNCTION NTSTATUS WatchdogBegin(_In_ ULONG Seconds, _In_ const XENBUS_DEBUG_INTERFACE *Debug,
                                      _Outptr_ PXENBUS_WATCHDOG *Watchdog)
{
    static CHAR Prefix[] = "WATCHDOG";
    PXENBUS_WATCHDOG New;
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENBUS_WATCHDOG), WATCHDOG_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->DebugInterface = *Debug;
    New->Seconds = Seconds;
    KeInitializeSpinLock(&New->Lock);

    Status = XENBUS_DEBUG_CALL(&New->DebugInterface, Register, Prefix, WatchdogDebug, New, &New->DebugCallback);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = WatchdogPat(New);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = ThreadCreate(WatchdogThread, New, &New->Thread);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Info("the domain ends when this guest does nothing for %u s", Seconds);

    *Watchdog = New;

    return STATUS_SUCCESS;

fail3:
    WatchdogStop(New);

fail2:
    XENBUS_DEBUG_CALL(&New->DebugInterface, Deregister, New->DebugCallback);

fail1:
    PoolFree(New, WATCHDOG_TAG);

    return Status;
}

PAGED_FUNCTION VOID WatchdogEnd(_In_ PXENBUS_WATCHDOG Watchdog)
{
    PAGED_CODE();

    ThreadAlert(Watchdog->Thread);
    (VOID) ThreadJoin(Watchdog->Thread);

    WatchdogHold(Watchdog);

    XENBUS_DEBUG_CALL(&Watchdog->DebugInterface, Deregister, Watchdog->DebugCallback);
    PoolFree(Watchdog, WATCHDOG_TAG);
}

VOID WatchdogHold(_In_ PXENBUS_WATCHDOG Watchdog)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Watchdog->Lock, &Irql);
    Watchdog->Held = TRUE;
    WatchdogStop(Watchdog);
    KeReleaseSpinLock(&Watchdog->Lock, Irql);
}

VOID WatchdogGoOn(_In_ PXENBUS_WATCHDOG Watchdog)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Watchdog->Lock, &Irql);
    Watchdog->Held = FALSE;
    KeReleaseSpinLock(&Watchdog->Lock, Irql);

    ThreadWake(Watchdog->Thread);
}

VOID WatchdogSuspend(_In_ PXENBUS_WATCHDOG Watchdog)
{
    KeAcquireSpinLockAtDpcLevel(&Watchdog->Lock);
    WatchdogStop(Watchdog);
    KeReleaseSpinLockFromDpcLevel(&Watchdog->Lock);

    ThreadWake(Watchdog->Thread);
}
