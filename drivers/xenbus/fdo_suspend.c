/*
 * Suspend: the toolstack's request for it, and what the bus does around it.
 */
#include "fdo.h"

#include "clock.h"
#include "log.h"
#include "status.h"
#include "text.h"
#include "xen.h"

#include <xen/xen.h>

/* How often an acknowledgement is tried at once that loses to another writer. */
#define SUSPEND_ATTEMPTS 16

/* What fails for a moment is tried again after this pause: the watch fires once for a request. */
#define SUSPEND_PAUSE CLOCK_SECONDS(1)

/*
 * How long libxl waits for the suspend that is acknowledged. Nobody would resume a domain that is suspended later. A
 * try can take as long as StoreDrain waits.
 */
#define SUSPEND_PATIENCE CLOCK_SECONDS(50)

static NTSTATUS FdoSuspendPrepare(_In_ PVOID Argument)
{
    PXENBUS_FDO Fdo = Argument;
    NTSTATUS Status;

    Status = StoreDrain(Fdo->Providers.Store);
    if (NT_SUCCESS(Status) && Fdo->Watchdog != NULL)
        WatchdogSuspend(Fdo->Watchdog);

    return Status;
}

static VOID FdoResumeProcessor(_In_opt_ PVOID Argument, _In_ ULONG Index)
{
    PXENBUS_FDO Fdo = Argument;

    SharedInfoResumeProcessor(Fdo->Providers.SharedInfo, Index);
}

/* The emulator is a new one, and Xen has forgotten everything: in the order in which one needs the other. */
static VOID FdoResumeEarly(_In_ PVOID Argument, _In_ PXENBUS_SYNC Sync)
{
    PXENBUS_FDO Fdo = Argument;
    NTSTATUS Status;

    ConsoleResumeEarly(Fdo->Providers.Console);

    Status = XenUnplugRepeat();
    if (!NT_SUCCESS(Status))
        Error("emulated devices are back (%08x)", Status);

    SharedInfoResume(Fdo->Providers.SharedInfo);
    SyncRun(Sync, FdoResumeProcessor, Fdo);
    GnttabResume(Fdo->Providers.Gnttab);
    EvtchnResume(Fdo->Providers.Evtchn);
}

static VOID FdoResumeLate(_In_ PVOID Argument)
{
    PXENBUS_FDO Fdo = Argument;

    StoreResume(Fdo->Providers.Store);
    ConsoleResumeLate(Fdo->Providers.Console);

    FdoDebugClose(Fdo);
    FdoDebugOpen(Fdo);
}

const XENBUS_SUSPEND_OPERATIONS FdoSuspendOperations = {
    .Prepare = FdoSuspendPrepare,
    .ResumeEarly = FdoResumeEarly,
    .ResumeLate = FdoResumeLate,
};

_Function_class_(KSERVICE_ROUTINE)
static BOOLEAN NTAPI FdoDebugEvent(_In_opt_ PKINTERRUPT Interrupt, _In_opt_ PVOID Argument)
{
    PXENBUS_FDO Fdo = Argument;

    UNREFERENCED_PARAMETER(Interrupt);

    XENBUS_DEBUG_CALL(&Fdo->DebugInterface, Trigger, NULL);
    return TRUE;
}

VOID FdoDebugOpen(_In_ PXENBUS_FDO Fdo)
{
    KIRQL Irql;

    Fdo->DebugChannel = XENBUS_EVTCHN_CALL(&Fdo->EvtchnInterface, Open, XENBUS_EVTCHN_TYPE_VIRQ, FdoDebugEvent, Fdo,
                                           (ULONG)VIRQ_DEBUG, (USHORT)0, (UCHAR)0);
    if (Fdo->DebugChannel == NULL) {
        Warning("the debug key will not be heard");
        return;
    }

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) XENBUS_EVTCHN_CALL(&Fdo->EvtchnInterface, Unmask, Fdo->DebugChannel, FALSE, TRUE);
    KeLowerIrql(Irql);
}

VOID FdoDebugClose(_In_ PXENBUS_FDO Fdo)
{
    if (Fdo->DebugChannel != NULL)
        XENBUS_EVTCHN_CALL(&Fdo->EvtchnInterface, Close, Fdo->DebugChannel);
    Fdo->DebugChannel = NULL;
}

/*
 * Once in each place: the store of another does not know of it. Nor is it said more than once in a place that it cannot
 * be written, however often it is tried.
 */
PAGED_FUNCTION static NTSTATUS FdoSuspendAnnounce(_In_ PXENBUS_FDO Fdo)
{
    ULONG Count = XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, GetCount);
    BOOLEAN Here = (Fdo->SuspendAnnouncedAt == Count);
    BOOLEAN Told = Here && Fdo->SuspendRefused;
    NTSTATUS Status;

    PAGED_CODE();

    if (Fdo->SuspendAnnounced && Here)
        return STATUS_SUCCESS;

    Status = FdoFeatureAnnounce(Fdo, &Fdo->SuspendFeature);
    if (!NT_SUCCESS(Status) && !Told)
        Warning("control/feature-suspend cannot be written (%08x)", Status);
    else if (NT_SUCCESS(Status) && Told)
        Warning("control/feature-suspend is written after all");

    Fdo->SuspendAnnounced = !StatusIsForNow(Status);
    Fdo->SuspendAnnouncedAt = Count;
    Fdo->SuspendRefused = !NT_SUCCESS(Status);
    return Status;
}

/* STATUS_CANCELLED: no suspend is asked for. */
PAGED_FUNCTION static NTSTATUS FdoSuspendIsAskedFor(_In_ PXENBUS_FDO Fdo,
                                                    _In_opt_ PXENBUS_STORE_TRANSACTION Transaction)
{
    PSTR Value;
    NTSTATUS Status;

    PAGED_CODE();

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, Read, Transaction, "control", "shutdown", &Value);
    if (!NT_SUCCESS(Status))
        return Status;

    if (!TextEqual(Value, "suspend", FALSE))
        Status = STATUS_CANCELLED;
    XENBUS_STORE_CALL(&Fdo->StoreInterface, Free, Value);

    return Status;
}

PAGED_FUNCTION static NTSTATUS FdoSuspendTryAcknowledge(_In_ PXENBUS_FDO Fdo)
{
    PXENBUS_STORE_TRANSACTION Transaction;
    NTSTATUS Status;

    PAGED_CODE();

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, TransactionStart, &Transaction);
    if (!NT_SUCCESS(Status))
        return Status;

    /* The toolstack takes a request back that was not heard in time. */
    Status = FdoSuspendIsAskedFor(Fdo, Transaction);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, Printf, Transaction, "control", "shutdown", "%s", "");
    if (!NT_SUCCESS(Status))
        goto fail1;

    return XENBUS_STORE_CALL(&Fdo->StoreInterface, TransactionEnd, Transaction, TRUE);

fail1:
    (VOID) XENBUS_STORE_CALL(&Fdo->StoreInterface, TransactionEnd, Transaction, FALSE);
    return Status;
}

/* Clears the request, which tells the toolstack that it was heard. */
PAGED_FUNCTION static NTSTATUS FdoSuspendAcknowledge(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status = STATUS_RETRY;
    ULONG Attempt;

    PAGED_CODE();

    for (Attempt = 0; Status == STATUS_RETRY && Attempt < SUSPEND_ATTEMPTS; Attempt++)
        Status = FdoSuspendTryAcknowledge(Fdo);

    if (NT_SUCCESS(Status)) {
        Fdo->SuspendAcknowledged = TRUE;
        Fdo->SuspendDeadline = ClockNow() + SUSPEND_PATIENCE;
        Fdo->SuspendCount = XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, GetCount);
    } else {
        Warning("the suspend that was asked for is not acknowledged (%08x)", Status);
    }

    return Status;
}

/* Does what was acknowledged, unless somebody has done it meanwhile or the toolstack does not wait for it any more. */
PAGED_FUNCTION static NTSTATUS FdoSuspendObey(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status = STATUS_SUCCESS;

    PAGED_CODE();

    if (ClockNow() >= Fdo->SuspendDeadline)
        Error("the suspend that was acknowledged is given up");
    else if (XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, GetCount) == Fdo->SuspendCount)
        Status = XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, Trigger);

    if (!NT_SUCCESS(Status))
        return STATUS_RETRY;

    Fdo->SuspendAcknowledged = FALSE;
    return STATUS_SUCCESS;
}

/*
 * Something was written to control/shutdown, or what was written has not been done. Requests other than suspend are for
 * the interface driver.
 */
PAGED_FUNCTION static NTSTATUS FdoSuspendPoll(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (!Fdo->SuspendAcknowledged) {
        Status = FdoSuspendIsAskedFor(Fdo, NULL);
        if (NT_SUCCESS(Status))
            Status = FdoSuspendAcknowledge(Fdo);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    return FdoSuspendObey(Fdo);
}

_Function_class_(DRIVER_THREAD_FUNCTION)
PAGED_FUNCTION static NTSTATUS NTAPI FdoSuspendThread(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;
    BOOLEAN Again = FALSE;
    LARGE_INTEGER Pause;

    PAGED_CODE();

    Pause.QuadPart = -(LONGLONG)SUSPEND_PAUSE;

    for (;;) {
        (VOID) ThreadWait(Self, Again ? &Pause : NULL);
        if (ThreadIsAlerted(Self))
            break;

        /* The watch is set off in each new place, and not again for what fails there. */
        Again = StatusIsForNow(FdoSuspendAnnounce(Fdo));
        if (StatusIsForNow(FdoSuspendPoll(Fdo)))
            Again = TRUE;
    }

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS FdoSuspendBegin(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    FdoFeatureBegin(Fdo, &Fdo->SuspendFeature, "feature-suspend");
    Fdo->SuspendAnnounced = FALSE;
    Fdo->SuspendRefused = FALSE;
    (VOID) FdoSuspendAnnounce(Fdo);
    Fdo->SuspendAcknowledged = FALSE;

    Status = ThreadCreate(FdoSuspendThread, Fdo, &Fdo->SuspendThread);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, WatchAdd, "control", "shutdown",
                               ThreadGetEvent(Fdo->SuspendThread), &Fdo->SuspendWatch);
    if (!NT_SUCCESS(Status))
        goto fail2;

    return STATUS_SUCCESS;

fail2:
    ThreadAlert(Fdo->SuspendThread);
    (VOID) ThreadJoin(Fdo->SuspendThread);
    Fdo->SuspendThread = NULL;

fail1:
    FdoFeatureEnd(Fdo, &Fdo->SuspendFeature);

    Error("no watch for requests to suspend (%08x)", Status);
    return Status;
}

PAGED_FUNCTION VOID FdoSuspendEnd(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    (VOID) XENBUS_STORE_CALL(&Fdo->StoreInterface, WatchRemove, Fdo->SuspendWatch);
    Fdo->SuspendWatch = NULL;

    ThreadAlert(Fdo->SuspendThread);
    (VOID) ThreadJoin(Fdo->SuspendThread);
    Fdo->SuspendThread = NULL;

    FdoFeatureEnd(Fdo, &Fdo->SuspendFeature);
}
