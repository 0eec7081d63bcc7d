#include "bug.h"
#include "poller.h"
#include "pool.h"

#define POLLER_TAG POOL_TAG('V', 'p', 'o', 'l')

#define POLLER_CHANNELS 2

/*
 * Rounds that a channel may run without a response to show for them, and what each response adds to what is left. An
 * event comes of a response, so that an honest backend never uses it up.
 */
#define POLLER_CREDIT 64
#define POLLER_CREDIT_PER_RESPONSE 8

/* How long a channel stays masked that has used it up or is to let threads run, and after which it has it anew. */
#define POLLER_HOLD_TIME 1 /* ms */

/* Rounds between two looks at how long the processor has been at DISPATCH_LEVEL. */
#define POLLER_WATCHDOG_ROUNDS 64

typedef struct _POLLER_CHANNEL {
    PXENVIF_POLLER Poller;
    ULONG Work; /* the rings that the channel serves; 0 while it is closed */
    PXENBUS_EVTCHN_CHANNEL Channel;
    LONG Masked; /* an event has masked the channel and nobody has unmasked it */
    /* One of two, since the processor of a DPC cannot be changed while it may be queued. */
    KDPC Dpcs[2];
    LONG Current;

    KTIMER Timer; /* goes on with a channel that is held */
    KDPC TimerDpc;

    /* The DPC's. */
    ULONG Responses; /* as of the last round */
    ULONG Credit;
    ULONGLONG CreditSince; /* interrupt time */
    ULONG Rounds;
} POLLER_CHANNEL, *PPOLLER_CHANNEL;

struct _XENVIF_POLLER {
    PXENBUS_EVTCHN_INTERFACE_V9 Evtchn;
    XENVIF_POLLER_FUNCTION Function;
    PVOID Context;
    PROCESSOR_NUMBER Processor;
    LONG Enabled;
    POLLER_CHANNEL Channels[POLLER_CHANNELS];
};

/* At DISPATCH_LEVEL or above, so that whoever flushes DPCs after a change of Current waits for it. */
static VOID PollerQueueDpc(_Inout_ PPOLLER_CHANNEL Channel)
{
    (VOID) KeInsertQueueDpc(&Channel->Dpcs[ReadAcquire(&Channel->Current)], NULL, NULL);
}

static BOOLEAN NTAPI PollerInterrupt(_In_ PKINTERRUPT Interrupt, _In_ PVOID Argument)
{
    PPOLLER_CHANNEL Channel = Argument;

    UNREFERENCED_PARAMETER(Interrupt);

    (VOID) InterlockedExchange(&Channel->Masked, TRUE);
    PollerQueueDpc(Channel);

    return TRUE;
}

/*
 * Unmasks the channel if an event had masked it. TRUE: another event has come in since, and the channel is masked
 * still. The flag goes first: once the channel is unmasked its next event may set it again at any time.
 */
static BOOLEAN PollerUnmask(_Inout_ PPOLLER_CHANNEL Channel)
{
    if (InterlockedExchange(&Channel->Masked, FALSE) == FALSE)
        return FALSE;

    if (!XENBUS_EVTCHN_CALL(Channel->Poller->Evtchn, Unmask, Channel->Channel, FALSE, FALSE))
        return FALSE;

    (VOID) InterlockedExchange(&Channel->Masked, TRUE);

    return TRUE;
}

/* Accounts for a round. TRUE: it was one of too many that found nothing. */
static BOOLEAN PollerIsStorm(_Inout_ PPOLLER_CHANNEL Channel, _In_ ULONG Responses)
{
    ULONG Taken = min(Responses - Channel->Responses, (ULONG)POLLER_CREDIT);
    ULONGLONG Now;

    Channel->Responses = Responses;
    Channel->Credit = min(Channel->Credit + Taken * POLLER_CREDIT_PER_RESPONSE, (ULONG)POLLER_CREDIT);

    if (Channel->Credit != 0) {
        Channel->Credit--;
        return FALSE;
    }

    Now = KeQueryInterruptTime();
    if (Now - Channel->CreditSince < POLLER_HOLD_TIME * 10000)
        return TRUE;

    Channel->CreditSince = Now;
    Channel->Credit = POLLER_CREDIT;

    return FALSE;
}

/* Whether half of the time is over that this processor may spend at DISPATCH_LEVEL before Windows gives it up. */
static BOOLEAN PollerIsLong(_Inout_ PPOLLER_CHANNEL Channel)
{
    KDPC_WATCHDOG_INFORMATION Watchdog;

    if (++Channel->Rounds % POLLER_WATCHDOG_ROUNDS != 0 || !NT_SUCCESS(KeQueryDpcWatchdogInformation(&Watchdog)))
        return FALSE;

    return Watchdog.DpcWatchdogLimit != 0 && Watchdog.DpcWatchdogCount < Watchdog.DpcWatchdogLimit / 2;
}

static VOID NTAPI PollerTimerDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Context, _In_opt_ PVOID Argument1,
                                 _In_opt_ PVOID Argument2)
{
    PPOLLER_CHANNEL Channel = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    PollerQueueDpc(Channel);
}

/* Leaves the channel as it is, masked or not, and goes on in a while: threads get the processor meanwhile. */
static VOID PollerHold(_Inout_ PPOLLER_CHANNEL Channel)
{
    LARGE_INTEGER DueTime;

    DueTime.QuadPart = -(LONGLONG)POLLER_HOLD_TIME * 10000;
    (VOID) KeSetTimer(&Channel->Timer, DueTime, &Channel->TimerDpc);
}

static VOID NTAPI PollerDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Context, _In_opt_ PVOID Argument1, _In_opt_ PVOID Argument2)
{
    PPOLLER_CHANNEL Channel = Context;
    PXENVIF_POLLER Poller = Channel->Poller;
    ULONG Responses;
    BOOLEAN More;

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    if (ReadAcquire(&Poller->Enabled) == FALSE)
        return;

    /* Queued by someone who had not seen yet that the processor is another one. */
    if (Dpc != &Channel->Dpcs[ReadAcquire(&Channel->Current)]) {
        PollerQueueDpc(Channel);
        return;
    }

    More = Poller->Function(Poller->Context, Channel->Work, &Responses);

    if (PollerIsStorm(Channel, Responses) || PollerIsLong(Channel)) {
        PollerHold(Channel);
        return;
    }

    /* One round a run: other DPCs of this processor get their turn in between. */
    if (More || PollerUnmask(Channel))
        PollerQueueDpc(Channel);
}

PAGED_FUNCTION NTSTATUS PollerInitialize(_In_ PXENBUS_EVTCHN_INTERFACE_V9 Evtchn,
                                         _In_ const PROCESSOR_NUMBER *Processor, _In_ XENVIF_POLLER_FUNCTION Function,
                                         _In_ PVOID Context, _Outptr_ PXENVIF_POLLER *Poller)
{
    PXENVIF_POLLER New;
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_POLLER), POLLER_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Evtchn = Evtchn;
    New->Function = Function;
    New->Context = Context;

    for (Index = 0; Index < POLLER_CHANNELS; Index++) {
        PPOLLER_CHANNEL Channel = &New->Channels[Index];

        Channel->Poller = New;
        Channel->Credit = POLLER_CREDIT;
        KeInitializeDpc(&Channel->Dpcs[0], PollerDpc, Channel);
        KeInitializeDpc(&Channel->Dpcs[1], PollerDpc, Channel);
        KeInitializeTimer(&Channel->Timer);
        KeInitializeDpc(&Channel->TimerDpc, PollerTimerDpc, Channel);
    }

    Status = PollerSetProcessor(New, Processor);
    if (!NT_SUCCESS(Status))
        goto fail;

    *Poller = New;

    return STATUS_SUCCESS;

fail:
    Error("no processor %u:%u for a poller (%08x)", Processor->Group, Processor->Number, Status);
    PoolFree(New, POLLER_TAG);

    return Status;
}

/* Its events then find the DPC's processor without a detour; where it cannot be bound the detour is taken. */
static PAGED_FUNCTION VOID PollerBind(_Inout_ PPOLLER_CHANNEL Channel)
{
    PXENVIF_POLLER Poller = Channel->Poller;
    NTSTATUS Status;

    PAGED_CODE();

    Status =
        XENBUS_EVTCHN_CALL(Poller->Evtchn, Bind, Channel->Channel, Poller->Processor.Group, Poller->Processor.Number);
    if (!NT_SUCCESS(Status))
        Trace("port %u stays where it is (%08x)", XENBUS_EVTCHN_CALL(Poller->Evtchn, GetPort, Channel->Channel),
              Status);
}

PAGED_FUNCTION NTSTATUS PollerSetProcessor(_Inout_ PXENVIF_POLLER Poller, _In_ const PROCESSOR_NUMBER *Processor)
{
    PROCESSOR_NUMBER Target = *Processor;
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    PAGED_CODE();

    ASSERT(ReadAcquire(&Poller->Enabled) == FALSE);

    for (Index = 0; NT_SUCCESS(Status) && Index < POLLER_CHANNELS; Index++) {
        PPOLLER_CHANNEL Channel = &Poller->Channels[Index];
        PKDPC Other = &Channel->Dpcs[ReadAcquire(&Channel->Current) ^ 1];

        /* What it may have been queued for is looked at when the poller is enabled. */
        (VOID) KeRemoveQueueDpc(Other);
        Status = KeSetTargetProcessorDpcEx(Other, &Target);
    }

    if (!NT_SUCCESS(Status))
        return Status;

    Poller->Processor = Target;

    for (Index = 0; Index < POLLER_CHANNELS; Index++) {
        PPOLLER_CHANNEL Channel = &Poller->Channels[Index];

        (VOID) InterlockedXor(&Channel->Current, 1);
        if (Channel->Channel != NULL)
            PollerBind(Channel);
    }

    /* Those that are no longer current have run out when this returns, and the next change may take them. */
    KeFlushQueuedDpcs();

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION NTSTATUS PollerOpen(_Inout_ PPOLLER_CHANNEL Channel, _In_ USHORT Domain, _In_ ULONG Work)
{
    PXENVIF_POLLER Poller = Channel->Poller;

    PAGED_CODE();

    Channel->Masked = TRUE;
    Channel->Channel =
        XENBUS_EVTCHN_CALL(Poller->Evtchn, Open, XENBUS_EVTCHN_TYPE_UNBOUND, PollerInterrupt, Channel, Domain, TRUE);
    if (Channel->Channel == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Channel->Work = Work;

    PollerBind(Channel);

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION VOID PollerClose(_Inout_ PPOLLER_CHANNEL Channel)
{
    PAGED_CODE();

    XENBUS_EVTCHN_CALL(Channel->Poller->Evtchn, Close, Channel->Channel);
    Channel->Channel = NULL;
    Channel->Work = 0;
}

PAGED_FUNCTION NTSTATUS PollerConnect(_Inout_ PXENVIF_POLLER Poller, _In_ USHORT Domain, _In_ BOOLEAN Split)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (!Split)
        return PollerOpen(&Poller->Channels[0], Domain, POLLER_TRANSMIT | POLLER_RECEIVE);

    Status = PollerOpen(&Poller->Channels[0], Domain, POLLER_TRANSMIT);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = PollerOpen(&Poller->Channels[1], Domain, POLLER_RECEIVE);
    if (!NT_SUCCESS(Status))
        goto fail2;

    return STATUS_SUCCESS;

fail2:
    PollerClose(&Poller->Channels[0]);

fail1:
    return Status;
}

VOID PollerEnable(_Inout_ PXENVIF_POLLER Poller)
{
    (VOID) InterlockedExchange(&Poller->Enabled, TRUE);

    PollerKick(Poller, POLLER_TRANSMIT | POLLER_RECEIVE);
}

VOID PollerKick(_Inout_ PXENVIF_POLLER Poller, _In_ ULONG Work)
{
    ULONG Index;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    for (Index = 0; Index < POLLER_CHANNELS; Index++)
        if (Poller->Channels[Index].Work & Work)
            PollerQueueDpc(&Poller->Channels[Index]);

    KeLowerIrql(Irql);
}

static PPOLLER_CHANNEL PollerChannel(_In_ PXENVIF_POLLER Poller, _In_ ULONG Work)
{
    return (Poller->Channels[0].Work & Work) ? &Poller->Channels[0] : &Poller->Channels[1];
}

VOID PollerSend(_In_ PXENVIF_POLLER Poller, _In_ ULONG Work)
{
    XENBUS_EVTCHN_CALL(Poller->Evtchn, Send, PollerChannel(Poller, Work)->Channel);
}

ULONG PollerPort(_In_ PXENVIF_POLLER Poller, _In_ ULONG Work)
{
    return XENBUS_EVTCHN_CALL(Poller->Evtchn, GetPort, PollerChannel(Poller, Work)->Channel);
}

BOOLEAN PollerIsSplit(_In_ PXENVIF_POLLER Poller)
{
    return Poller->Channels[1].Work != 0;
}

VOID PollerHalt(_Inout_ PXENVIF_POLLER Poller)
{
    (VOID) InterlockedExchange(&Poller->Enabled, FALSE);
}

PAGED_FUNCTION VOID PollerDisable(_Inout_ PXENVIF_POLLER Poller)
{
    ULONG Index;

    PAGED_CODE();

    PollerHalt(Poller);

    /* A DPC that still saw the poller enabled has run to its end when this returns. */
    KeFlushQueuedDpcs();

    /* It may have set its timer. One that has expired finds the poller disabled. */
    for (Index = 0; Index < POLLER_CHANNELS; Index++)
        (VOID) KeCancelTimer(&Poller->Channels[Index].Timer);
}

PAGED_FUNCTION VOID PollerDisconnect(_Inout_ PXENVIF_POLLER Poller)
{
    ULONG Index;

    PAGED_CODE();

    ASSERT(ReadAcquire(&Poller->Enabled) == FALSE);

    for (Index = 0; Index < POLLER_CHANNELS; Index++)
        if (Poller->Channels[Index].Channel != NULL)
            PollerClose(&Poller->Channels[Index]);

    /* Events may have queued DPCs up to the close; they must be gone before the memory is. */
    KeFlushQueuedDpcs();
}

PAGED_FUNCTION VOID PollerTeardown(_In_ PXENVIF_POLLER Poller)
{
    ULONG Index;

    PAGED_CODE();

    PollerDisable(Poller);

    /* Timers that had expired have queued their channels' DPCs when this returns. */
    KeFlushQueuedDpcs();

    for (Index = 0; Index < POLLER_CHANNELS; Index++) {
        (VOID) KeRemoveQueueDpc(&Poller->Channels[Index].Dpcs[0]);
        (VOID) KeRemoveQueueDpc(&Poller->Channels[Index].Dpcs[1]);
    }

    KeFlushQueuedDpcs();

    PoolFree(Poller, POLLER_TAG);
}
