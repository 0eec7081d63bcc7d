/*
 * Hashing: what the client wants of it, and how that reaches queues and backend.
 *
 * The client's calls leave a request and wait for the frontend's thread, which alone talks to the backend. What has
 * been accepted is kept, and is in force again with each connection, as far as that backend goes along. A mapping is
 * the client's word on processors: each processor that it names gets a queue, and the hash values with it; if there are
 * more processors than queues they share them.
 *
 * Frames of a backend without a control ring, or that has not taken on a connection what was accepted earlier, are
 * hashed here. Which queue they come by is that backend's choice.
 */
#include "bug.h"
#include "frontend_state.h"

/* XENVIF_PACKET_HASH_TYPE t is bit t of a client's mask, and bit t - 1 of the backend's. */
C_ASSERT(1 << XENVIF_PACKET_HASH_TYPE_IPV4 == XEN_NETIF_CTRL_HASH_TYPE_IPV4 << 1);
C_ASSERT(1 << XENVIF_PACKET_HASH_TYPE_IPV4_TCP == XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP << 1);
C_ASSERT(1 << XENVIF_PACKET_HASH_TYPE_IPV6 == XEN_NETIF_CTRL_HASH_TYPE_IPV6 << 1);
C_ASSERT(1 << XENVIF_PACKET_HASH_TYPE_IPV6_TCP == XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP << 1);

#define HASH_TYPES                                                                                                     \
    (1u << XENVIF_PACKET_HASH_TYPE_IPV4 | 1u << XENVIF_PACKET_HASH_TYPE_IPV4_TCP |                                     \
     1u << XENVIF_PACKET_HASH_TYPE_IPV6 | 1u << XENVIF_PACKET_HASH_TYPE_IPV6_TCP)

/* How long packets may wait on the rings for those that were sent by an older mapping. */
#define HASH_STEER_TIME 1000 /* ms */

static BOOLEAN HashIsConnected(_In_ PXENVIF_FRONTEND Frontend)
{
    return Frontend->State == FRONTEND_CONNECTED;
}

/* Whether the backend is to be told: it hashes. */
static BOOLEAN HashIsBackends(_In_ PXENVIF_FRONTEND Frontend)
{
    return HashIsConnected(Frontend) && !Frontend->HashesHere;
}

static VOID HashStopPollers(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    for (Index = 0; Index < Frontend->Active; Index++)
        PollerDisable(QueueGetPoller(Frontend->Queues[Index]));
}

/* Not before there is a connection, nor on one that a suspension has ended. */
static VOID HashStartPollers(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;
    KIRQL Irql;

    if (!HashIsConnected(Frontend))
        return;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    if (!FrontendIsResumed(Frontend))
        for (Index = 0; Index < Frontend->Active; Index++)
            PollerEnable(QueueGetPoller(Frontend->Queues[Index]));

    KeLowerIrql(Irql);
}

/* Has our own hasher do what the client wants and this connection's backend does not. */
static VOID HashUpdateHasher(_Inout_ PXENVIF_FRONTEND Frontend)
{
    const FRONTEND_HASH *Hash = &Frontend->Hash;
    BOOLEAN Wanted = FrontendWantsHash(Frontend) && Hash->HasParameters && Frontend->HashesHere;

    if (!Wanted && !HasherIsSet(&Frontend->Hasher))
        return;

    HashStopPollers(Frontend);

    if (Wanted)
        HasherSet(&Frontend->Hasher, Hash->Types, Hash->Key);
    else
        HasherClear(&Frontend->Hasher);

    HashStartPollers(Frontend);
}

/* The backend does not hash as it was asked to. */
static VOID HashDoHere(_Inout_ PXENVIF_FRONTEND Frontend, _In_ NTSTATUS Status)
{
    Warning("vif %u: the backend does not hash as it was asked to (%08x): that is done here", Frontend->Number, Status);
    Frontend->HashesHere = TRUE;
}

static NTSTATUS HashStart(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status;
    LONG Before;

    /* From here on frames may come with a hash. */
    Before = InterlockedExchange(&Frontend->Hashing, TRUE);

    Status = ControllerSetHashAlgorithm(Frontend->Controller, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
    if (!NT_SUCCESS(Status))
        (VOID) InterlockedExchange(&Frontend->Hashing, Before);

    /* That is how it says that it does not know the algorithm. */
    return (Status == STATUS_INVALID_PARAMETER) ? STATUS_NOT_SUPPORTED : Status;
}

static NTSTATUS HashQueryCapabilities(_Inout_ PXENVIF_FRONTEND Frontend, _Out_ PULONG Types)
{
    NTSTATUS Status;
    ULONG Flags;

    *Types = 0;

    if (!FrontendWantsHash(Frontend))
        return STATUS_NOT_SUPPORTED;
    if (!HashIsConnected(Frontend))
        return STATUS_DEVICE_NOT_READY;

    if (Frontend->HashesHere) {
        *Types = HASH_TYPES;
        return STATUS_SUCCESS;
    }

    Status = ControllerGetHashFlags(Frontend->Controller, &Flags);
    if (NT_SUCCESS(Status))
        *Types = (Flags << 1) & HASH_TYPES;

    return Status;
}

/* The key first: no hash is then made with the old one and the new types. Half: it has failed, and the key is new. */
static NTSTATUS HashSendParameters(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Types, _In_ const UCHAR *Key,
                                   _Out_ PBOOLEAN Half)
{
    NTSTATUS Status;

    *Half = FALSE;

    Status = ControllerSetHashKey(Frontend->Controller, Key, XENVIF_VIF_HASH_KEY_SIZE);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = ControllerSetHashFlags(Frontend->Controller, Types >> 1);
    *Half = !NT_SUCCESS(Status);

    return Status;
}

/* The number of a processor among those that the mapping names, in their order there. */
static ULONG HashRank(_Inout_ PPROCESSOR_NUMBER Known, _Inout_ PULONG Count, _In_ const PROCESSOR_NUMBER *Processor)
{
    ULONG Index;

    for (Index = 0; Index < *Count; Index++)
        if (Known[Index].Group == Processor->Group && Known[Index].Number == Processor->Number)
            return Index;

    Known[(*Count)++] = *Processor;

    return Index;
}

/* Makes of a mapping to processors one to queues, and chooses the queues' processors. */
static VOID HashMap(_In_ PXENVIF_FRONTEND Frontend, _In_reads_(Size) const PROCESSOR_NUMBER *Processors,
                    _In_ ULONG Size, _Out_ PSTEERING_MAPPING Mapping, _Inout_ PPROCESSOR_NUMBER Known,
                    _Out_ PULONG Count)
{
    ULONG Index;

    *Count = 0;
    Mapping->Size = Size;

    for (Index = 0; Index < Size; Index++)
        Mapping->Queue[Index] = HashRank(Known, Count, &Processors[Index]) % Frontend->Active;
}

static VOID HashMoveQueues(_Inout_ PXENVIF_FRONTEND Frontend, _In_ const PROCESSOR_NUMBER *Known, _In_ ULONG Count)
{
    ULONG Index;

    HashStopPollers(Frontend);

    for (Index = 0; Index < Frontend->Active; Index++)
        QueueSetProcessor(Frontend->Queues[Index], (Index < Count) ? &Known[Index] : NULL);

    HashStartPollers(Frontend);
}

VOID FrontendSteer(_Inout_ PXENVIF_FRONTEND Frontend)
{
    PROCESSOR_NUMBER Known[STEERING_MAXIMUM_MAPPING];
    STEERING_MAPPING Mapping;
    ULONG Count;

    HashMap(Frontend, Frontend->Hash.Mapping, Frontend->Hash.MappingSize, &Mapping, Known, &Count);
    HashMoveQueues(Frontend, Known, Count);
    TransmitterSteer(Frontend, Frontend->Active, &Mapping);

    Frontend->SteerDeadline = 0;
}

VOID FrontendContinueSteering(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    if (Frontend->SteerDeadline == 0)
        return;

    if (FrontendNow() < Frontend->SteerDeadline)
        for (Index = 0; Index < Frontend->Active; Index++)
            if (!TransmitterIsIdle(QueueGetTransmitter(Frontend->Queues[Index])))
                return;

    /* Without a connection the next one does it. */
    if (Frontend->Active != 0)
        FrontendSteer(Frontend);
    else
        Frontend->SteerDeadline = 0;
}

/* Packets of a flow that changes queues must not overtake those that are on a ring already. */
static VOID HashBeginSteering(_Inout_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    if (Frontend->Active == 0)
        return;

    for (Index = 0; Index < Frontend->Active; Index++)
        TransmitterHold(QueueGetTransmitter(Frontend->Queues[Index]));

    Frontend->SteerDeadline = FrontendLater(HASH_STEER_TIME);
}

/* Half: it has failed, and the backend has a mapping to queue 0 in place of the one before. */
static NTSTATUS HashSendMapping(_Inout_ PXENVIF_FRONTEND Frontend, _In_ const PROCESSOR_NUMBER *Processors,
                                _In_ ULONG Size, _Out_ PBOOLEAN Half)
{
    PROCESSOR_NUMBER Known[STEERING_MAXIMUM_MAPPING];
    STEERING_MAPPING Mapping;
    NTSTATUS Status;
    ULONG Count;

    *Half = FALSE;
    HashMap(Frontend, Processors, Size, &Mapping, Known, &Count);

    Status = ControllerSetHashMappingSize(Frontend->Controller, Size);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = ControllerSetHashMapping(Frontend->Controller, Mapping.Queue, Size);
    *Half = !NT_SUCCESS(Status);

    return Status;
}

/* Tells a backend that has the algorithm what else has been accepted. What it does not take is done here. */
static VOID HashSendAccepted(_Inout_ PXENVIF_FRONTEND Frontend)
{
    const FRONTEND_HASH *Hash = &Frontend->Hash;
    NTSTATUS Status = STATUS_SUCCESS;
    BOOLEAN Half;

    if (Hash->HasParameters)
        Status = HashSendParameters(Frontend, Hash->Types, Hash->Key, &Half);
    if (NT_SUCCESS(Status) && Hash->MappingSize != 0)
        Status = HashSendMapping(Frontend, Hash->Mapping, Hash->MappingSize, &Half);

    if (!NT_SUCCESS(Status))
        HashDoHere(Frontend, Status);
}

/* What failed half way is not to be in force: what was accepted is told again. */
static VOID HashRestore(_Inout_ PXENVIF_FRONTEND Frontend)
{
    HashSendAccepted(Frontend);
    HashUpdateHasher(Frontend);
}

static NTSTATUS HashSetParameters(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Types, _In_ const UCHAR *Key)
{
    FRONTEND_HASH *Hash = &Frontend->Hash;
    NTSTATUS Status = STATUS_SUCCESS;
    BOOLEAN Half = FALSE;

    if (!FrontendWantsHash(Frontend))
        return STATUS_NOT_SUPPORTED;
    if ((Types & ~HASH_TYPES) != 0)
        return STATUS_INVALID_PARAMETER;

    if (HashIsBackends(Frontend))
        Status = HashSendParameters(Frontend, Types, Key, &Half);

    if (NT_SUCCESS(Status)) {
        Hash->Types = Types;
        RtlCopyMemory(Hash->Key, Key, sizeof(Hash->Key));
        Hash->HasParameters = TRUE;
        HashUpdateHasher(Frontend);
    } else if (Half) {
        HashRestore(Frontend);
    }

    return Status;
}

static NTSTATUS HashSetMapping(_Inout_ PXENVIF_FRONTEND Frontend, _In_ const PROCESSOR_NUMBER *Mapping, _In_ ULONG Size)
{
    FRONTEND_HASH *Hash = &Frontend->Hash;
    NTSTATUS Status = STATUS_SUCCESS;
    BOOLEAN Half = FALSE;
    ULONG Index;

    if (Size == 0 || Size > STEERING_MAXIMUM_MAPPING || (Size & (Size - 1)) != 0)
        return STATUS_INVALID_PARAMETER;

    for (Index = 0; Index < Size; Index++) {
        PROCESSOR_NUMBER Processor = Mapping[Index];

        if (KeGetProcessorIndexFromNumber(&Processor) == INVALID_PROCESSOR_INDEX)
            return STATUS_INVALID_PARAMETER;
    }

    /* Without hashing it is the backend that chooses. */
    if (FrontendWantsHash(Frontend) && HashIsBackends(Frontend))
        Status = HashSendMapping(Frontend, Mapping, Size, &Half);

    if (NT_SUCCESS(Status)) {
        RtlCopyMemory(Hash->Mapping, Mapping, Size * sizeof(PROCESSOR_NUMBER));
        Hash->MappingSize = Size;
        HashBeginSteering(Frontend);
    } else if (Half) {
        if (Hash->MappingSize == 0)
            (VOID) ControllerSetHashMappingSize(Frontend->Controller, 0);
        HashRestore(Frontend);
    }

    return Status;
}

static NTSTATUS HashSetAlgorithm(_Inout_ PXENVIF_FRONTEND Frontend, _In_ XENVIF_PACKET_HASH_ALGORITHM Algorithm)
{
    NTSTATUS Status;

    switch (Algorithm) {
    case XENVIF_PACKET_HASH_ALGORITHM_NONE:
    case XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED:
        if (FrontendWantsHash(Frontend) && HashIsBackends(Frontend))
            (VOID) ControllerSetHashAlgorithm(Frontend->Controller, XEN_NETIF_CTRL_HASH_ALGORITHM_NONE);
        (VOID) InterlockedExchange(&Frontend->Hash.Toeplitz, FALSE);
        HashUpdateHasher(Frontend);
        return STATUS_SUCCESS;

    case XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ:
        if (Frontend->DisableToeplitz)
            return STATUS_NOT_SUPPORTED;
        if (HashIsBackends(Frontend)) {
            Status = HashStart(Frontend);
            if (!NT_SUCCESS(Status))
                return Status;
            HashSendAccepted(Frontend);
        }
        (VOID) InterlockedExchange(&Frontend->Hash.Toeplitz, TRUE);
        HashUpdateHasher(Frontend);
        return STATUS_SUCCESS;

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

VOID FrontendSendHash(_Inout_ PXENVIF_FRONTEND Frontend)
{
    NTSTATUS Status;

    Frontend->HashesHere = !ControllerIsConnected(Frontend->Controller);

    if (FrontendWantsHash(Frontend) && !Frontend->HashesHere) {
        Status = HashStart(Frontend);
        if (NT_SUCCESS(Status))
            HashSendAccepted(Frontend);
        else
            HashDoHere(Frontend, Status);
    }

    HashUpdateHasher(Frontend);
}

static NTSTATUS HashServe(_Inout_ PXENVIF_FRONTEND Frontend, _Inout_ FRONTEND_HASH_REQUEST *Request)
{
    switch (Request->Type) {
    case FRONTEND_HASH_SET_ALGORITHM:
        return HashSetAlgorithm(Frontend, Request->Algorithm);
    case FRONTEND_HASH_QUERY_CAPABILITIES:
        return HashQueryCapabilities(Frontend, &Request->Types);
    case FRONTEND_HASH_SET_PARAMETERS:
        return HashSetParameters(Frontend, Request->Types, Request->Key);
    default:
        return HashSetMapping(Frontend, Request->Mapping, Request->Size);
    }
}

VOID FrontendServeHash(_Inout_ PXENVIF_FRONTEND Frontend)
{
    FRONTEND_HASH_REQUEST *Request = ReadPointerAcquire((PVOID volatile *)&Frontend->HashRequest);

    if (Request == NULL)
        return;

    Request->Status = HashServe(Frontend, Request);

    /* Nobody knows what the backend has taken of it. */
    if (HashIsBackends(Frontend) &&
        (Request->Status == STATUS_IO_TIMEOUT || Request->Status == STATUS_DEVICE_PROTOCOL_ERROR)) {
        HashDoHere(Frontend, Request->Status);
        HashUpdateHasher(Frontend);
    }

    WritePointerRelease((PVOID volatile *)&Frontend->HashRequest, NULL);
    (VOID) KeSetEvent(&Request->Done, IO_NO_INCREMENT, FALSE);
}

PAGED_FUNCTION NTSTATUS FrontendRequestHash(_Inout_ PXENVIF_FRONTEND Frontend, _Inout_ FRONTEND_HASH_REQUEST *Request)
{
    PAGED_CODE();

    KeInitializeEvent(&Request->Done, NotificationEvent, FALSE);

    WritePointerRelease((PVOID volatile *)&Frontend->HashRequest, Request);
    FrontendWake(Frontend);

    (VOID) KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, NULL);

    return Request->Status;
}
