/*
 * The bus and what is kept of its children's twins (settings.h): a twin's settings are the user's to change until it is
 * unplugged, and netio tells when addresses change.
 */
#include "bug.h"
#include "fdo_private.h"
#include "netio.h"
#include "pdo.h"
#include "xen.h"

static VOID NETIOAPI_API_ FdoAddressesChanged(_In_ PVOID CallerContext, _In_opt_ PMIB_UNICASTIPADDRESS_ROW Row,
                                              _In_ MIB_NOTIFICATION_TYPE NotificationType)
{
    PXENVIF_FDO Fdo = CallerContext;

    UNREFERENCED_PARAMETER(Row);
    UNREFERENCED_PARAMETER(NotificationType);

    (VOID) InterlockedExchange(&Fdo->AddressesChanged, TRUE);
    ThreadWake(Fdo->Thread);
}

PAGED_FUNCTION VOID FdoWatchAddresses(_Inout_ PXENVIF_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    /* Where emulated cards have been unplugged there are no twins in this boot. */
    if (XenUnplugIsDone(XEN_UNPLUG_NICS))
        return;

    Status = NotifyUnicastIpAddressChange(AF_UNSPEC, FdoAddressesChanged, Fdo, FALSE, &Fdo->AddressWatch);
    if (NT_SUCCESS(Status))
        return;

    Warning("netio does not tell of addresses (%08x): an emulated card's are kept as they are when its VIF is refused",
            Status);
    Fdo->AddressWatch = NULL;
}

PAGED_FUNCTION VOID FdoStopWatchingAddresses(_Inout_ PXENVIF_FDO Fdo)
{
    PAGED_CODE();

    if (Fdo->AddressWatch == NULL)
        return;

    (VOID) CancelMibChangeNotify2(Fdo->AddressWatch);
    Fdo->AddressWatch = NULL;
}

PAGED_FUNCTION VOID FdoKeepSettings(_Inout_ PXENVIF_FDO Fdo)
{
    PLIST_ENTRY ListEntry;

    PAGED_CODE();

    if (InterlockedExchange(&Fdo->AddressesChanged, FALSE) == FALSE)
        return;

    FdoLock(Fdo);

    for (ListEntry = Fdo->Children.Flink; ListEntry != &Fdo->Children; ListEntry = ListEntry->Flink)
        PdoKeepSettings(PdoFromListEntry(ListEntry));

    FdoUnlock(Fdo);
}
