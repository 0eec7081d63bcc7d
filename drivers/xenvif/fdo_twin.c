/*
 * The bus, emulated network cards and VIFs: a card is not to be there twice (field bug FB15). A VIF whose emulated twin
 * is in service does not start, or is taken out of service when the twin comes later; what unplugs the twin is another
 * boot.
 */
#include "bug.h"
#include "fdo_private.h"
#include "pdo.h"
#include "twin.h"
#include "version.h"
#include "xen.h"

#include <wdmguid.h>

/* The drivers' way of having the emulated cards gone, at the next boot. Once in a boot, if it can be noted. */
static PAGED_FUNCTION VOID FdoAskForUnplug(_Inout_ PXENVIF_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (InterlockedExchange(&Fdo->UnplugAsked, TRUE) != FALSE)
        return;

    Status = XenUnplugRequest(XEN_UNPLUG_NICS, TRUE);
    if (!NT_SUCCESS(Status)) {
        Error("emulated cards will be there at the next boot (%08x)", Status);
        (VOID) InterlockedExchange(&Fdo->UnplugAsked, FALSE);
    }
}

PAGED_FUNCTION VOID FdoWithdrawUnplug(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    if (InterlockedExchange(&Fdo->UnplugAsked, FALSE) != FALSE)
        (VOID) XenUnplugRequest(XEN_UNPLUG_NICS, FALSE);
}

/* A twin has been found. */
static PAGED_FUNCTION VOID FdoAskForReboot(_Inout_ PXENVIF_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    FdoAskForUnplug(Fdo);

    if (InterlockedExchange(&Fdo->RebootAsked, TRUE) != FALSE)
        return;

    if (XenUnplugQueryPolicy() == XEN_UNPLUG_NEVER) {
        Warning("no reboot is asked for: an administrator wants the emulated devices");
        return;
    }

    if (XenUnplugIsRequested(XEN_UNPLUG_NICS)) {
        Warning("no reboot is asked for: this host does not unplug emulated cards");
        return;
    }

    Status = XenRequestReboot(MODULE_NAME);
    if (!NT_SUCCESS(Status))
        Error("a reboot is needed, and cannot be asked for (%08x)", Status);
}

PAGED_FUNCTION NTSTATUS FdoCheckTwin(_Inout_ PXENVIF_FDO Fdo, _In_ const ETHERNET_ADDRESS *Address, _Out_ PLONG Changes)
{
    TWIN_LIST Twins;
    BOOLEAN Has;
    NTSTATUS Status;

    PAGED_CODE();

    *Changes = ReadAcquire(&Fdo->TwinChanges);

    if (XenUnplugIsDone(XEN_UNPLUG_NICS))
        return STATUS_SUCCESS;

    Status = TwinListCreate(&Twins);
    if (!NT_SUCCESS(Status)) {
        Error("emulated cards cannot be looked for (%08x)", Status);
        return Status;
    }

    Has = TwinListHas(&Twins, Address);
    TwinListDestroy(&Twins);

    if (!Has)
        return STATUS_SUCCESS;

    FdoAskForReboot(Fdo);

    return STATUS_PNP_REBOOT_REQUIRED;
}

/* With the mutex: takes out of service each child that has a twin. TRUE: there was one. */
static PAGED_FUNCTION BOOLEAN FdoFailTwins(_In_ PXENVIF_FDO Fdo, _In_ const TWIN_LIST *Twins)
{
    PLIST_ENTRY ListEntry;
    BOOLEAN Failed = FALSE;

    PAGED_CODE();

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink) {
        PXENVIF_PDO Pdo = PdoFromListEntry(ListEntry);

        if (PdoIsStarted(Pdo) && TwinListHas(Twins, PdoGetAddress(Pdo))) {
            PdoFail(Pdo);
            Failed = TRUE;
        }
    }

    return Failed;
}

PAGED_FUNCTION BOOLEAN FdoLookForTwins(_Inout_ PXENVIF_FDO Fdo)
{
    TWIN_LIST Twins;
    BOOLEAN Failed;
    NTSTATUS Status;

    PAGED_CODE();

    if (InterlockedExchange(&Fdo->TwinsDue, FALSE) == FALSE || XenUnplugIsDone(XEN_UNPLUG_NICS))
        return FALSE;

    Status = TwinListCreate(&Twins);
    if (!NT_SUCCESS(Status)) {
        Warning("emulated cards cannot be looked for (%08x)", Status);
        (VOID) InterlockedExchange(&Fdo->TwinsDue, TRUE);
        return TRUE;
    }

    FdoLock(Fdo);
    Failed = FdoFailTwins(Fdo, &Twins);
    FdoUnlock(Fdo);

    TwinListDestroy(&Twins);

    if (Failed)
        FdoAskForReboot(Fdo);

    return FALSE;
}

/* An adapter has come, or is going. */
static DRIVER_NOTIFICATION_CALLBACK_ROUTINE FdoAdaptersChanged;

static NTSTATUS NTAPI FdoAdaptersChanged(_In_ PVOID NotificationStructure, _Inout_opt_ PVOID Context)
{
    PDEVICE_INTERFACE_CHANGE_NOTIFICATION Notification = NotificationStructure;
    PXENVIF_FDO Fdo = Context;

    PAGED_CODE();

    if (!IsEqualGUID(&Notification->Event, &GUID_DEVICE_INTERFACE_ARRIVAL))
        return STATUS_SUCCESS;

    (VOID) InterlockedIncrement(&Fdo->TwinChanges);
    (VOID) InterlockedExchange(&Fdo->TwinsDue, TRUE);
    ThreadWake(Fdo->Thread);

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS FdoWatchTwins(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    return TwinWatch(DriverGetObject(), FdoAdaptersChanged, Fdo, &Fdo->TwinWatch);
}

PAGED_FUNCTION VOID FdoStopWatchingTwins(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    TwinStopWatching(Fdo->TwinWatch);
    Fdo->TwinWatch = NULL;
}

PAGED_FUNCTION VOID FdoHasStarted(_Inout_ PXENVIF_FDO Fdo, _In_ LONG Changes)
{
    PAGED_CODE();

    if (XenUnplugIsRequested(XEN_UNPLUG_NICS))
        FdoAskForUnplug(Fdo);

    /* Those that came before the child counted as started have not been compared with it. */
    KeMemoryBarrier();
    if (ReadAcquire(&Fdo->TwinChanges) == Changes)
        return;

    (VOID) InterlockedExchange(&Fdo->TwinsDue, TRUE);
    FdoLock(Fdo);
    FdoWakeScanner(Fdo);
    FdoUnlock(Fdo);
}
