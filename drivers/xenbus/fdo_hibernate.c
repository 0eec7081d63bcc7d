/*
 * Hibernation and fast startup: the guest's memory is written to disk in the middle of a change of power, and read back
 * under what may be another Xen, which knows nothing of this domain. No suspend is called for. Nor does it have to
 * happen: the system can go back to work where it is. In any other sleep the toolstack may have suspended the domain
 * without asking it, and restored it elsewhere.
 *
 * A bus that nobody uses is off meanwhile and comes up as at any other time. One that is used stays, without a word to
 * the store, and finds out when it has power again whether its Xen is still the one it knows.
 */
#include "fdo.h"

#include "log.h"

VOID FdoHold(_In_ PXENBUS_FDO Fdo)
{
    StoreHold(Fdo->Providers.Store);
    EvtchnSleep(Fdo->Providers.Evtchn);
    Fdo->Held = TRUE;
}

VOID FdoGoOn(_In_ PXENBUS_FDO Fdo)
{
    Fdo->Held = FALSE;
    EvtchnGoOn(Fdo->Providers.Evtchn);
    StoreGoOn(Fdo->Providers.Store);
}

PAGED_FUNCTION NTSTATUS FdoWake(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (EvtchnIsForgotten()) {
        Info("the domain's memory goes on under another Xen");

        Status = SuspendRecover(Fdo->Providers.Suspend);
        if (!NT_SUCCESS(Status)) {
            Error("the bus does not come back from sleep (%08x)", Status);
            return Status;
        }

        Fdo->Held = FALSE;
        if (Fdo->Hibernating && Fdo->Balloon != NULL)
            BalloonForget(Fdo->Balloon);
    } else {
        FdoGoOn(Fdo);
    }

    if (Fdo->Watchdog != NULL)
        WatchdogGoOn(Fdo->Watchdog);
    if (Fdo->Hibernating)
        FdoBalloonBegin(Fdo);
    return STATUS_SUCCESS;
}
