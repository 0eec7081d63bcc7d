/*
 * What the bus does between start and stop, and between D0 and D3: Xen's pages mapped, interrupts connected, providers
 * enabled, threads running. Each step is undone in reverse.
 */
#include "fdo.h"

#include "bug.h"
#include "log.h"
#include "xen.h"

/* What the bus itself uses. */
PAGED_FUNCTION static NTSTATUS FdoAcquireInterfaces(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = XENBUS_DEBUG_CALL(&Fdo->DebugInterface, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = XENBUS_EVTCHN_CALL(&Fdo->EvtchnInterface, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail4;

    return STATUS_SUCCESS;

fail4:
    XENBUS_EVTCHN_CALL(&Fdo->EvtchnInterface, Release);

fail3:
    XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, Release);

fail2:
    XENBUS_DEBUG_CALL(&Fdo->DebugInterface, Release);

fail1:
    return Status;
}

PAGED_FUNCTION static VOID FdoReleaseInterfaces(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    XENBUS_STORE_CALL(&Fdo->StoreInterface, Release);
    XENBUS_EVTCHN_CALL(&Fdo->EvtchnInterface, Release);
    XENBUS_SUSPEND_CALL(&Fdo->SuspendInterface, Release);
    XENBUS_DEBUG_CALL(&Fdo->DebugInterface, Release);
}

PAGED_FUNCTION static NTSTATUS FdoEnableProviders(_In_ PXENBUS_FDO Fdo)
{
    PXENBUS_PROVIDERS Providers = &Fdo->Providers;
    NTSTATUS Status;

    PAGED_CODE();

    Status = HoleCreate(&Fdo->RangeSetInterface, Fdo->Resources->MemoryStart,
                        Fdo->UseHole ? Fdo->Resources->MemoryLength : 0, &Fdo->Hole);
    if (!NT_SUCCESS(Status))
        goto fail1;

    SuspendEnable(Providers->Suspend);

    Status = SharedInfoEnable(Providers->SharedInfo, Fdo->Hole);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = EvtchnEnable(Providers->Evtchn, Fdo->PhysicalDeviceObject, Fdo->Resources, Providers->SharedInfo,
                          &Fdo->EvtchnOptions);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Status = GnttabEnable(Providers->Gnttab, Fdo->Hole, &Fdo->CacheInterface, &Fdo->RangeSetInterface);
    if (!NT_SUCCESS(Status))
        goto fail4;

    Status = StoreEnable(Providers->Store, &Fdo->EvtchnInterface);
    if (!NT_SUCCESS(Status))
        goto fail5;

    Status = ConsoleEnable(Providers->Console, &Fdo->EvtchnInterface);
    if (!NT_SUCCESS(Status))
        goto fail6;

    return STATUS_SUCCESS;

fail6:
    StoreDisable(Providers->Store);

fail5:
    GnttabDisable(Providers->Gnttab);

fail4:
    EvtchnDisable(Providers->Evtchn);

fail3:
    SharedInfoDisable(Providers->SharedInfo);

fail2:
    SuspendDisable(Providers->Suspend);
    HoleDestroy(Fdo->Hole);
    Fdo->Hole = NULL;

fail1:
    return Status;
}

PAGED_FUNCTION static VOID FdoDisableProviders(_In_ PXENBUS_FDO Fdo)
{
    PXENBUS_PROVIDERS Providers = &Fdo->Providers;

    PAGED_CODE();

    ConsoleDisable(Providers->Console);
    StoreDisable(Providers->Store);
    GnttabDisable(Providers->Gnttab);
    EvtchnDisable(Providers->Evtchn);
    SharedInfoDisable(Providers->SharedInfo);
    SuspendDisable(Providers->Suspend);

    HoleDestroy(Fdo->Hole);
    Fdo->Hole = NULL;
}

/* Acquisitions of what goes with the power, our own and those of one provider of another among them. */
static ULONG FdoCountUsers(_In_ PXENBUS_FDO Fdo)
{
    PXENBUS_PROVIDERS Providers = &Fdo->Providers;

    return ConsoleCountUsers(Providers->Console) + StoreCountUsers(Providers->Store) +
           GnttabCountUsers(Providers->Gnttab) + EvtchnCountUsers(Providers->Evtchn) +
           SharedInfoCountUsers(Providers->SharedInfo) + SuspendCountUsers(Providers->Suspend);
}

BOOLEAN FdoHasClients(_In_ PXENBUS_FDO Fdo)
{
    return Fdo->Powered && FdoCountUsers(Fdo) > Fdo->OwnUsers;
}

/* The machine is better off without a watchdog than without the bus. */
PAGED_FUNCTION static VOID FdoWatchdogBegin(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (Fdo->WatchdogSeconds == 0)
        return;

    Status = WatchdogBegin(Fdo->WatchdogSeconds, &Fdo->DebugInterface, &Fdo->Watchdog);
    if (!NT_SUCCESS(Status))
        Warning("no watchdog (%08x)", Status);
}

PAGED_FUNCTION static VOID FdoWatchdogEnd(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    if (Fdo->Watchdog != NULL)
        WatchdogEnd(Fdo->Watchdog);
    Fdo->Watchdog = NULL;
}

PAGED_FUNCTION NTSTATUS FdoPowerUp(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    ASSERT(Fdo->Active && !Fdo->Powered);

    /* After a sleep the emulator may be a new one, as after a resume. */
    if (Fdo->Asleep) {
        Status = XenUnplugRepeat();
        if (!NT_SUCCESS(Status))
            Error("emulated devices are back (%08x)", Status);
    }

    Status = FdoEnableProviders(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = FdoAcquireInterfaces(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail2;

    FdoDebugOpen(Fdo);
    FdoWatchdogBegin(Fdo);

    Status = FdoSuspendBegin(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail3;

    FdoBalloonBegin(Fdo);

    /* No child has had a chance to acquire anything yet. */
    Fdo->OwnUsers = FdoCountUsers(Fdo);

    Status = FdoChildrenBegin(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail4;

    Fdo->Powered = TRUE;
    return STATUS_SUCCESS;

fail4:
    FdoBalloonEnd(Fdo);
    FdoSuspendEnd(Fdo);

fail3:
    FdoWatchdogEnd(Fdo);
    FdoDebugClose(Fdo);
    FdoReleaseInterfaces(Fdo);

fail2:
    FdoDisableProviders(Fdo);

fail1:
    Error("the bus does not come up (%08x)", Status);
    return Status;
}

PAGED_FUNCTION VOID FdoPowerDown(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    if (!Fdo->Powered)
        return;

    if (Fdo->Held)
        FdoGoOn(Fdo);

    FdoChildrenEnd(Fdo);
    FdoBalloonEnd(Fdo);
    FdoSuspendEnd(Fdo);
    FdoWatchdogEnd(Fdo);
    FdoDebugClose(Fdo);
    FdoReleaseInterfaces(Fdo);
    FdoDisableProviders(Fdo);

    Fdo->Powered = FALSE;
}

PAGED_FUNCTION NTSTATUS FdoStart(_In_ PXENBUS_FDO Fdo, _In_ PIO_STACK_LOCATION Location)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (!Fdo->Active)
        return STATUS_SUCCESS;

    Status = ResourceParse(Location->Parameters.StartDevice.AllocatedResources,
                           Location->Parameters.StartDevice.AllocatedResourcesTranslated, &Fdo->Resources);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = FdoPowerUp(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail2;

    return STATUS_SUCCESS;

fail2:
    ResourceFree(Fdo->Resources);
    Fdo->Resources = NULL;

fail1:
    Error("the bus does not start (%08x)", Status);
    return Status;
}

PAGED_FUNCTION VOID FdoStop(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    FdoPowerDown(Fdo);

    if (Fdo->Resources != NULL)
        ResourceFree(Fdo->Resources);
    Fdo->Resources = NULL;
}
