/*
 * The memory that the toolstack wants the domain to have, and a thread that has the balloon follow it.
 */
#include "fdo.h"

#include "clock.h"
#include "log.h"
#include "status.h"
#include "text.h"
#include "xen.h"

/* Between two attempts at a size that Windows or Xen refuses. */
#define BALLOON_PAUSE_FIRST CLOCK_MILLISECONDS(100)
#define BALLOON_PAUSE_LAST CLOCK_SECONDS(10)

/* How often, and with what pause in between, Xen is asked for the pages when the bus goes. */
#define BALLOON_END_ATTEMPTS 10
#define BALLOON_END_PAUSE CLOCK_MILLISECONDS(50)

#define KIB_PER_PAGE (PAGE_SIZE / 1024)

/* XEN:BALLOON=OFF in the start options: the domain keeps the memory that it was made with. */
PAGED_FUNCTION BOOLEAN FdoBalloonIsWanted(VOID)
{
    CHAR Value[8];

    PAGED_CODE();

    if (!NT_SUCCESS(XenQueryStartOption("BALLOON", Value, sizeof(Value))) || TextEqual(Value, "ON", TRUE))
        return TRUE;

    if (TextEqual(Value, "OFF", TRUE)) {
        Info("off by start option");
        return FALSE;
    }

    Warning("start option BALLOON: %s is neither ON nor OFF", Value);
    return TRUE;
}

PAGED_FUNCTION static NTSTATUS FdoBalloonRead(_In_ PXENBUS_FDO Fdo, _In_ PCSTR Node, _Out_ PULONGLONG Value)
{
    PCSTR End;
    PSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, Read, NULL, "memory", (PSTR)(ULONG_PTR)Node, &Text);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = TextToUlonglongPrefix(Text, 10, Value, &End);
    if (NT_SUCCESS(Status) && *End != '\0')
        Status = STATUS_INVALID_PARAMETER;

    XENBUS_STORE_CALL(&Fdo->StoreInterface, Free, Text);
    return Status;
}

/*
 * How many pages Xen is to have: what the domain was made for, less what it is to have now. The memory of its display
 * is part of the one and not of the other.
 */
PAGED_FUNCTION static NTSTATUS FdoBalloonQuerySize(_In_ PXENBUS_FDO Fdo, _Out_ PULONGLONG Size)
{
    ULONGLONG Maximum;
    ULONGLONG Target;
    ULONGLONG Video;
    NTSTATUS Status;

    PAGED_CODE();

    Status = FdoBalloonRead(Fdo, "target", &Target);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = FdoBalloonRead(Fdo, "static-max", &Maximum);
    if (!NT_SUCCESS(Status))
        return Status;

    if (!NT_SUCCESS(FdoBalloonRead(Fdo, "videoram", &Video)))
        Video = 0;

    Maximum = Maximum > Video ? Maximum - Video : 0;
    *Size = Maximum > Target ? (Maximum - Target) / KIB_PER_PAGE : 0;
    return STATUS_SUCCESS;
}

/* Goes on until the size is reached, or refused, or another is wanted. */
PAGED_FUNCTION static NTSTATUS FdoBalloonFollow(_In_ PXENBUS_FDO Fdo, _In_ PDRIVER_THREAD Self)
{
    PXENBUS_BALLOON_CONTEXT Balloon = Fdo->Balloon;
    ULONGLONG Before = BalloonGetSize(Balloon);
    ULONGLONG Size;
    NTSTATUS Status;

    PAGED_CODE();

    Status = FdoBalloonQuerySize(Fdo, &Size);
    if (!NT_SUCCESS(Status)) {
        /* Of what the store has, the next change is the next occasion; of what could not be read, the next attempt. */
        Warning("the store does not say how much memory to have (%08x)", Status);
        return StatusIsForNow(Status) ? Status : STATUS_SUCCESS;
    }

    do {
        Status = BalloonStep(Balloon, Size);
    } while (Status == STATUS_MORE_ENTRIES && KeReadStateEvent(ThreadGetEvent(Self)) == 0);

    if (Status == STATUS_MORE_ENTRIES)
        return STATUS_SUCCESS;

    if (NT_SUCCESS(Status) && Before != Size)
        Info("%llu pages are with Xen", Size);

    if (!NT_SUCCESS(Status) && Fdo->BalloonRefused != Size) {
        Warning("%llu of %llu pages are with Xen, and for the time being it stays so (%08x)", BalloonGetSize(Balloon),
                Size, Status);
        Fdo->BalloonRefused = Size; /* told once */
    }
    if (NT_SUCCESS(Status))
        Fdo->BalloonRefused = MAXULONGLONG;

    return Status;
}

/* Not every toolstack lets the guest write this. */
PAGED_FUNCTION static VOID FdoBalloonAnnounce(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = FdoFeatureAnnounce(Fdo, &Fdo->BalloonFeature);
    if (!NT_SUCCESS(Status))
        Info("the toolstack is not told that there is a balloon (%08x)", Status);
}

_Function_class_(DRIVER_THREAD_FUNCTION)
PAGED_FUNCTION static NTSTATUS NTAPI FdoBalloonThread(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
{
    PXENBUS_FDO Fdo = Context;
    ULONG Suspends = XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, GetCount);
    ULONGLONG Pause = 0;

    PAGED_CODE();

    for (;;) {
        LARGE_INTEGER Timeout;
        NTSTATUS Status;

        Timeout.QuadPart = -(LONGLONG)Pause;
        Status = ThreadWait(Self, Pause != 0 ? &Timeout : NULL);
        if (ThreadIsAlerted(Self))
            break;

        if (Status != STATUS_TIMEOUT)
            Pause = 0;

        /* The store of another place knows of no balloon. The watch is set off there by itself. */
        if (XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, GetCount) != Suspends) {
            Suspends = XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, GetCount);
            FdoBalloonAnnounce(Fdo);
        }

        Status = FdoBalloonFollow(Fdo, Self);
        if (NT_SUCCESS(Status))
            Pause = 0;
        else
            Pause = Pause == 0 ? BALLOON_PAUSE_FIRST : min(2 * Pause, BALLOON_PAUSE_LAST);
    }

    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID FdoBalloonBegin(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (Fdo->Balloon == NULL)
        return;

    Fdo->BalloonRefused = MAXULONGLONG;

    Status = ThreadCreate(FdoBalloonThread, Fdo, &Fdo->BalloonThread);
    if (!NT_SUCCESS(Status))
        goto fail1;

    /* It is set off at once. */
    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, WatchAdd, "memory", "target", ThreadGetEvent(Fdo->BalloonThread),
                               &Fdo->BalloonWatch);
    if (!NT_SUCCESS(Status))
        goto fail2;

    FdoFeatureBegin(Fdo, &Fdo->BalloonFeature, "feature-balloon");
    FdoBalloonAnnounce(Fdo);
    return;

fail2:
    ThreadAlert(Fdo->BalloonThread);
    (VOID) ThreadJoin(Fdo->BalloonThread);
    Fdo->BalloonThread = NULL;

fail1:
    Error("there is no balloon (%08x)", Status);
}

PAGED_FUNCTION static VOID FdoBalloonEmpty(_In_ PXENBUS_FDO Fdo)
{
    LARGE_INTEGER Pause;
    ULONG Attempt;
    NTSTATUS Status;

    PAGED_CODE();

    Pause.QuadPart = -(LONGLONG)BALLOON_END_PAUSE;

    for (Attempt = 0; Attempt < BALLOON_END_ATTEMPTS; Attempt++) {
        do {
            Status = BalloonStep(Fdo->Balloon, 0);
        } while (Status == STATUS_MORE_ENTRIES);

        if (NT_SUCCESS(Status))
            return;

        (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Pause);
    }

    Warning("%llu pages stay with Xen (%08x)", BalloonGetSize(Fdo->Balloon), Status);
}

/* What Xen does not give back is still in the balloon when the bus comes up again. */
PAGED_FUNCTION VOID FdoBalloonEnd(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    if (Fdo->BalloonThread == NULL)
        return;

    FdoFeatureEnd(Fdo, &Fdo->BalloonFeature);

    (VOID) XENBUS_STORE_CALL(&Fdo->StoreInterface, WatchRemove, Fdo->BalloonWatch);
    Fdo->BalloonWatch = NULL;

    ThreadAlert(Fdo->BalloonThread);
    (VOID) ThreadJoin(Fdo->BalloonThread);
    Fdo->BalloonThread = NULL;

    FdoBalloonEmpty(Fdo);
}
