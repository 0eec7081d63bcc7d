/* The two-level event-channel ABI (xen/event_channel.h, xen/xen.h): bits in the shared info page. */
#include "evtchn_abi.h"

static BOOLEAN EvtchnTwoLevelIsProcessorSupported(_In_ PVOID Context, _In_ ULONG Index)
{
    return SharedInfoIsUpcallSupported(Context, Index);
}

/* Every port is masked from the start, and again when it is closed. */
static NTSTATUS EvtchnTwoLevelPrepare(_In_ PVOID Context, _In_ ULONG Port, _In_ BOOLEAN Urgent)
{
    UNREFERENCED_PARAMETER(Urgent);

    (VOID) SharedInfoMask(Context, Port);
    return STATUS_SUCCESS;
}

static BOOLEAN EvtchnTwoLevelTakeUpcall(_In_ PVOID Context, _In_ ULONG Index)
{
    return SharedInfoTakeUpcall(Context, Index);
}

static BOOLEAN EvtchnTwoLevelPoll(_In_ PVOID Context, _In_ ULONG Index, _In_ EVTCHN_ABI_EVENT Event,
                                  _In_ PVOID Argument, _Inout_ PULONG Budget)
{
    return SharedInfoPoll(Context, Index, Event, Argument, Budget);
}

static VOID EvtchnTwoLevelAck(_In_ PVOID Context, _In_ ULONG Port)
{
    SharedInfoAck(Context, Port);
}

static BOOLEAN EvtchnTwoLevelMask(_In_ PVOID Context, _In_ ULONG Port)
{
    return SharedInfoMask(Context, Port);
}

static BOOLEAN EvtchnTwoLevelUnmask(_In_ PVOID Context, _In_ ULONG Port)
{
    if (!SharedInfoUnmask(Context, Port))
        return FALSE;

    /*
     * An event came while the port was masked, so nothing was raised for it. If the port is masked again already, the
     * interrupt was here first: it has handled the event and called its client, as if it had come after the unmask.
     */
    if (SharedInfoMask(Context, Port))
        return FALSE;

    SharedInfoAck(Context, Port);
    return TRUE;
}

static VOID EvtchnTwoLevelSetPending(_In_ PVOID Context, _In_ ULONG Port)
{
    SharedInfoSetPending(Context, Port);
}

VOID EvtchnTwoLevelGetAbi(_In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo, _Out_ PEVTCHN_ABI Abi)
{
    Abi->Context = SharedInfo;
    Abi->PortCount = SHARED_INFO_PORTS;
    Abi->IsProcessorSupported = EvtchnTwoLevelIsProcessorSupported;
    Abi->Prepare = EvtchnTwoLevelPrepare;
    Abi->TakeUpcall = EvtchnTwoLevelTakeUpcall;
    Abi->Poll = EvtchnTwoLevelPoll;
    Abi->Ack = EvtchnTwoLevelAck;
    Abi->Mask = EvtchnTwoLevelMask;
    Abi->Unmask = EvtchnTwoLevelUnmask;
    Abi->SetPending = EvtchnTwoLevelSetPending;
    Abi->PollTakes = FALSE;
}
