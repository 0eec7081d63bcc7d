#include "bug.h"
#include "frontend.h"
#include "transmitter_ring.h"

VOID TransmitterHold(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);

    Transmitter->Holding = TRUE;

    TransmitterUnlock(Transmitter, Irql);
}

BOOLEAN TransmitterIsIdle(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);
    BOOLEAN Idle = TransmitterIsQuiet(Transmitter);

    TransmitterUnlock(Transmitter, Irql);

    return Idle;
}

/* Takes the packets that wait off all queues, in each queue's order. With all locks. */
static VOID TransmitterTakeQueues(_In_ PXENVIF_FRONTEND Frontend,
                                  _Out_writes_(FRONTEND_MAXIMUM_QUEUES) PLIST_ENTRY Lists)
{
    ULONG Index;

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++) {
        PXENVIF_TRANSMITTER Transmitter = FrontendGetTransmitter(Frontend, Index);

        TransmitterUnprepare(Transmitter);

        InitializeListHead(&Lists[Index]);
        while (!IsListEmpty(&Transmitter->Queue))
            InsertTailList(&Lists[Index], RemoveHeadList(&Transmitter->Queue));
        Transmitter->QueueLength = 0;
    }
}

/* The queue that a packet belongs to now. */
static ULONG TransmitterPlace(_In_ PXENVIF_FRONTEND Frontend, _In_ PTRANSMITTER_PACKET Packet)
{
    const TRANSMITTER_DESCRIPTION *Description = &Packet->Description;
    ULONG Version;

    return SteeringSelect(FrontendGetSteering(Frontend), &Description->Flow, Description->Header, &Description->Layout,
                          &Version);
}

/* Puts a packet at the end of its new queue, as an object of that queue's. With both locks. */
static VOID TransmitterMove(_Inout_ PXENVIF_TRANSMITTER From, _Inout_ PXENVIF_TRANSMITTER To,
                            _Inout_ PTRANSMITTER_PACKET Packet)
{
    PTRANSMITTER_PACKET Moved = Packet;

    if (From != To)
        Moved = TransmitterGetPacket(To, &Packet->Description);

    if (Moved == NULL) {
        Packet->Status = XENVIF_TRANSMITTER_PACKET_ERROR;
        Packet->Failed = TRUE;
        TransmitterFinish(From, Packet);
        return;
    }

    InsertTailList(&To->Queue, &Moved->ListEntry);
    To->QueueLength++;

    if (Moved != Packet)
        TransmitterPutPacket(From, Packet);
}

static VOID TransmitterLockAll(_In_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    /* In the order of their numbers, and nobody else takes two. */
    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++)
        KeAcquireSpinLockAtDpcLevel(&FrontendGetTransmitter(Frontend, Index)->Granter->Lock);
}

/* Goes on after a change, queue by queue. */
static VOID TransmitterUnlockAll(_In_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    for (Index = FrontendGetQueueCount(Frontend); Index-- != 0;) {
        PXENVIF_TRANSMITTER Transmitter = FrontendGetTransmitter(Frontend, Index);

        Transmitter->Holding = FALSE;
        KeReleaseSpinLockFromDpcLevel(&Transmitter->Granter->Lock);
    }

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++) {
        PXENVIF_TRANSMITTER Transmitter = FrontendGetTransmitter(Frontend, Index);

        KeAcquireSpinLockAtDpcLevel(&Transmitter->Granter->Lock);

        if (Transmitter->Running)
            TransmitterRingFill(Transmitter);
        TransmitterReturnDone(Transmitter);

        KeReleaseSpinLockFromDpcLevel(&Transmitter->Granter->Lock);
    }
}

VOID TransmitterSteer(_In_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count, _In_ const STEERING_MAPPING *Mapping)
{
    LIST_ENTRY Lists[FRONTEND_MAXIMUM_QUEUES];
    ULONG Index;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    TransmitterLockAll(Frontend);

    TransmitterTakeQueues(Frontend, Lists);
    SteeringSet(FrontendGetSteering(Frontend), Count, Mapping);

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++)
        while (!IsListEmpty(&Lists[Index])) {
            PTRANSMITTER_PACKET Packet =
                CONTAINING_RECORD(RemoveHeadList(&Lists[Index]), TRANSMITTER_PACKET, ListEntry);

            TransmitterMove(FrontendGetTransmitter(Frontend, Index),
                            FrontendGetTransmitter(Frontend, TransmitterPlace(Frontend, Packet)), Packet);
        }

    TransmitterUnlockAll(Frontend);
    KeLowerIrql(Irql);
}
