/*
 * The packet generator: what moves frames as fast as the VIF does. Nothing is allocated, copied or locked for a frame;
 * the frames that are sent lie in memory once and are named by cookies, those that come are checked where they are, and
 * go back when a row of them is there.
 */
#include "netclient.h"

#define GENERATOR_HELD 64u       /* packets of a row that is not over, at most */
#define GENERATOR_PATIENCE 5000u /* ms in which something has to move */
#define GENERATOR_SEARCHES 100u  /* frames that are looked for in other places: it takes long */

/* A frame that is sent. */
typedef struct _GENERATOR_FRAME {
    PMDL Mdl;
    ULONG Length;
    USHORT MaximumSegmentSize;
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
} GENERATOR_FRAME, *PGENERATOR_FRAME;

typedef struct _NETCLIENT_GENERATOR {
    NETCLIENT_PKTGEN Parameters;
    PGENERATOR_FRAME Frames; /* Parameters.Send of them, FrameCount are there */
    ULONG FrameCount;
    PNETCLIENT_EXPECTED Expected; /* likewise */
    ULONG ExpectedCount;
    LONG Stopped; /* packets have ceased to move */

    /* The thread's that sends. */
    ULONG NextFrame;
    ULONG Sent; /* as Returned and WakeAt it wraps */

    LONG Returned; /* packets that have come back */
    LONG WakeAt;   /* the one whose coming back is waited for */
    KEVENT Room;   /* it has */
    ULONG64 Dropped;
    ULONG64 Errors;

    /* The receive callback's, which is called in one place at a time: there is one queue. */
    ULONG64 Position; /* of the frame that is next, over all rounds */
    ULONG64 Total;    /* of frames that are to come */
    ULONG NextExpected;
    ULONG Searches;
    PVOID Held[GENERATOR_HELD]; /* cookies of packets that have yet to go back */
    ULONG HeldCount;
    NETCLIENT_PKTGEN_RESULT Result; /* its part on what has come */
    BOOLEAN Complete;
    LONG Arrived; /* frames at the end of the last row; wraps */
    KEVENT Done;  /* all have come */
} NETCLIENT_GENERATOR, *PNETCLIENT_GENERATOR;

/* ---- the load ---- */

static VOID NetClientGeneratorFree(_In_ PNETCLIENT_GENERATOR Generator)
{
    ULONG Index;

    for (Index = 0; Index < Generator->FrameCount; Index++) {
        PMDL Mdl = Generator->Frames[Index].Mdl;

        ExFreePoolWithTag(MmGetMdlVirtualAddress(Mdl), NETCLIENT_TAG);
        IoFreeMdl(Mdl);
    }

    if (Generator->Expected != NULL)
        ExFreePoolWithTag(Generator->Expected, NETCLIENT_TAG);
    if (Generator->Frames != NULL)
        ExFreePoolWithTag(Generator->Frames, NETCLIENT_TAG);
    ExFreePoolWithTag(Generator, NETCLIENT_TAG);
}

/* An array of Count elements, NULL if there are none. FALSE: there is no memory for it. */
static BOOLEAN NetClientGeneratorAllocate(_In_ ULONG Count, _In_ ULONG Size, _Outptr_result_maybenull_ PVOID *Array)
{
    *Array = NULL;
    if (Count == 0)
        return TRUE;

    *Array = ExAllocatePoolWithTag(NonPagedPoolNx, (SIZE_T)Count * Size, NETCLIENT_TAG);

    return *Array != NULL;
}

NTSTATUS NetClientGeneratorBegin(_Inout_ PNETCLIENT Client, _In_ const NETCLIENT_PKTGEN *Parameters)
{
    PNETCLIENT_GENERATOR Generator;

    if (Client->Generator != NULL)
        return STATUS_INVALID_DEVICE_STATE;
    if (Parameters->Rounds == 0 || Parameters->Batch == 0 || Parameters->Batch > NETCLIENT_PKTGEN_BATCH_MAX)
        return STATUS_INVALID_PARAMETER;

    Generator = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(NETCLIENT_GENERATOR), NETCLIENT_TAG);
    if (Generator == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlZeroMemory(Generator, sizeof(NETCLIENT_GENERATOR));
    Generator->Parameters = *Parameters;
    Generator->Total = Parameters->Rounds * Parameters->Expect;
    Generator->Result.Different = ~0ULL;
    KeInitializeEvent(&Generator->Room, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Generator->Done, NotificationEvent, (BOOLEAN)(Parameters->Expect == 0));

    if (!NetClientGeneratorAllocate(Parameters->Send, sizeof(GENERATOR_FRAME), (PVOID *)&Generator->Frames) ||
        !NetClientGeneratorAllocate(Parameters->Expect, sizeof(NETCLIENT_EXPECTED), (PVOID *)&Generator->Expected)) {
        NetClientGeneratorFree(Generator);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    Client->Generator = Generator;

    return STATUS_SUCCESS;
}

/* Adds a frame, in memory as a network stack's: headers and data in one piece, which begins where pool does. */
static NTSTATUS NetClientGeneratorAddFrame(_Inout_ PNETCLIENT_GENERATOR Generator, _In_ const NETCLIENT_ENTRY *Entry)
{
    PGENERATOR_FRAME Frame = &Generator->Frames[Generator->FrameCount];
    PUCHAR Memory;

    Memory = ExAllocatePoolWithTag(NonPagedPoolNx, Entry->Length, NETCLIENT_TAG);
    if (Memory == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Frame->Mdl = IoAllocateMdl(Memory, Entry->Length, FALSE, FALSE, NULL);
    if (Frame->Mdl == NULL) {
        ExFreePoolWithTag(Memory, NETCLIENT_TAG);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    MmBuildMdlForNonPagedPool(Frame->Mdl);
    RtlCopyMemory(Memory, Entry + 1, Entry->Length);
    Frame->Length = Entry->Length;
    Frame->Options.Value = (USHORT)Entry->Left;
    Frame->MaximumSegmentSize = (USHORT)(Entry->Left >> 16);
    Generator->FrameCount++;

    return STATUS_SUCCESS;
}

NTSTATUS NetClientGeneratorAddSent(_Inout_ PNETCLIENT Client, _In_ PUCHAR Row, _In_ ULONG Length)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;
    ULONG At = 0;

    if (Generator == NULL)
        return STATUS_INVALID_DEVICE_STATE;

    while (At != Length) {
        const NETCLIENT_ENTRY *Entry = (const NETCLIENT_ENTRY *)(Row + At);
        ULONG Left = Length - At;
        NTSTATUS Status;

        if (Left < sizeof(NETCLIENT_ENTRY) || Entry->Length == 0 || Entry->Length > Left - sizeof(NETCLIENT_ENTRY) ||
            NETCLIENT_ENTRY_SIZE(Entry->Length) > Left || Generator->FrameCount == Generator->Parameters.Send)
            return STATUS_INVALID_PARAMETER;

        Status = NetClientGeneratorAddFrame(Generator, Entry);
        if (!NT_SUCCESS(Status))
            return Status;

        At += NETCLIENT_ENTRY_SIZE(Entry->Length);
    }

    return STATUS_SUCCESS;
}

NTSTATUS NetClientGeneratorAddExpected(_Inout_ PNETCLIENT Client, _In_ PVOID Expected, _In_ ULONG Length)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;
    ULONG Count = Length / (ULONG)sizeof(NETCLIENT_EXPECTED);
    PNETCLIENT_EXPECTED Place;
    ULONG Index;

    if (Generator == NULL)
        return STATUS_INVALID_DEVICE_STATE;
    if (Count == 0 || Length % sizeof(NETCLIENT_EXPECTED) != 0 ||
        Count > Generator->Parameters.Expect - Generator->ExpectedCount)
        return STATUS_INVALID_PARAMETER;

    Place = &Generator->Expected[Generator->ExpectedCount];
    RtlCopyMemory(Place, Expected, Length);
    for (Index = 0; Index < Count; Index++)
        if (Place[Index].Size > NETCLIENT_PKTGEN_HEAD || Place[Index].Size > Place[Index].Length ||
            (Place[Index].OtherAt != 0 && Place[Index].OtherAt + sizeof(Place[Index].Other) > Place[Index].Size))
            return STATUS_INVALID_PARAMETER;

    Generator->ExpectedCount += Count;
    if (Generator->ExpectedCount == Generator->Parameters.Expect)
        (VOID) InterlockedExchangePointer((PVOID volatile *)&Client->Checking, Generator);

    return STATUS_SUCCESS;
}

/* ---- sending ---- */

/* An IRP's address and that of a row have these bits clear. */
static PVOID NetClientGeneratorCookie(_In_ ULONG Index)
{
    return (PVOID)(((ULONG_PTR)Index << 2) | 2);
}

BOOLEAN NetClientIsGeneratorCookie(_In_ PVOID Cookie)
{
    return ((ULONG_PTR)Cookie & 3) == 2;
}

VOID NetClientGeneratorSent(_Inout_ PNETCLIENT Client, _In_ PVOID Cookie,
                            _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;
    const GENERATOR_FRAME *Frame = &Generator->Frames[(ULONG_PTR)Cookie >> 2];

    if (Completion->Status == XENVIF_TRANSMITTER_PACKET_DROPPED)
        NetClientCount(Client, &Generator->Dropped);
    else if (Completion->Status != XENVIF_TRANSMITTER_PACKET_OK || Completion->PacketLength != Frame->Length)
        NetClientCount(Client, &Generator->Errors);

    /* Each number once: whoever waits for this one is told of it, or has seen it. */
    if (InterlockedIncrement(&Generator->Returned) == ReadAcquire(&Generator->WakeAt))
        (VOID) KeSetEvent(&Generator->Room, IO_NETWORK_INCREMENT, FALSE);
}

/* Something that changes as long as packets move. */
static ULONG NetClientGeneratorProgress(_In_ PNETCLIENT_GENERATOR Generator)
{
    return (ULONG)ReadAcquire(&Generator->Returned) + (ULONG)ReadAcquire(&Generator->Arrived);
}

/* Waits for an event as long as something moves. */
static NTSTATUS NetClientGeneratorWait(_In_ PNETCLIENT_GENERATOR Generator, _Inout_ PKEVENT Event)
{
    LARGE_INTEGER Patience;
    ULONG Before;

    Patience.QuadPart = -(LONGLONG)GENERATOR_PATIENCE * 10000;

    do {
        Before = NetClientGeneratorProgress(Generator);
        if (KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, &Patience) != STATUS_TIMEOUT)
            return NetClientFlag(&Generator->Stopped) ? STATUS_DEVICE_NOT_READY : STATUS_SUCCESS;
    } while (NetClientGeneratorProgress(Generator) != Before);

    return STATUS_IO_TIMEOUT;
}

static ULONG NetClientGeneratorInFlight(_In_ PNETCLIENT_GENERATOR Generator)
{
    return Generator->Sent - (ULONG)ReadAcquire(&Generator->Returned);
}

/* Waits until no more than so many packets are with the VIF. */
static NTSTATUS NetClientGeneratorAwaitRoom(_Inout_ PNETCLIENT_GENERATOR Generator, _In_ ULONG InFlight)
{
    NTSTATUS Status = STATUS_SUCCESS;

    (VOID) InterlockedExchange(&Generator->WakeAt, (LONG)(Generator->Sent - InFlight));
    while (NT_SUCCESS(Status) && NetClientGeneratorInFlight(Generator) > InFlight)
        Status = NetClientGeneratorWait(Generator, &Generator->Room);

    return Status;
}

/* Gives the VIF a row of packets; how many it has taken. */
static NTSTATUS NetClientGeneratorSendRow(_Inout_ PNETCLIENT Client, _In_ ULONG Count, _Out_ PULONG Taken)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;
    NTSTATUS Status = STATUS_SUCCESS;
    KIRQL Irql;

    /* As lists come from protocols. */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    for (*Taken = 0; *Taken != Count; (*Taken)++) {
        const GENERATOR_FRAME *Frame = &Generator->Frames[Generator->NextFrame];

        Status = XENVIF_VIF_CALL(&Client->Vif, TransmitterQueuePacket, Frame->Mdl, 0, Frame->Length, Frame->Options,
                                 Frame->MaximumSegmentSize, 0, NULL, (BOOLEAN)(*Taken + 1 != Count),
                                 NetClientGeneratorCookie(Generator->NextFrame));
        if (!NT_SUCCESS(Status))
            break;

        if (++Generator->NextFrame == Generator->FrameCount)
            Generator->NextFrame = 0;
    }
    Generator->Sent += *Taken;

    KeLowerIrql(Irql);

    return Status;
}

/* Sends all frames in all rounds, or up to one that is refused, and waits for the last of them to come back. */
static NTSTATUS NetClientGeneratorSend(_Inout_ PNETCLIENT Client, _Out_ PULONG64 Sent)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;
    ULONG64 Total = Generator->Parameters.Rounds * Generator->FrameCount;
    NTSTATUS Status = STATUS_SUCCESS;
    NTSTATUS Returned;

    *Sent = 0;
    while (NT_SUCCESS(Status) && *Sent != Total) {
        ULONG Batch = Generator->Parameters.Batch;
        ULONG Taken;

        if (Batch > Total - *Sent)
            Batch = (ULONG)(Total - *Sent);

        if (NetClientGeneratorInFlight(Generator) + Batch > NETCLIENT_PKTGEN_WINDOW)
            Status = NetClientGeneratorAwaitRoom(Generator, NETCLIENT_PKTGEN_WINDOW / 2);
        if (!NT_SUCCESS(Status))
            break;

        Status = NetClientGeneratorSendRow(Client, Batch, &Taken);
        *Sent += Taken;

        /* It has room again once it has given some back. */
        if (Status == STATUS_DEVICE_BUSY && NetClientGeneratorInFlight(Generator) != 0)
            Status = NetClientGeneratorAwaitRoom(Generator, NetClientGeneratorInFlight(Generator) / 2);
    }

    Returned = NetClientGeneratorAwaitRoom(Generator, 0);

    return NT_SUCCESS(Status) ? Returned : Status;
}

/* ---- receiving ---- */

/* The first bytes of a frame that has come; if its first MDL has fewer they are in Buffer. NULL: out of reach. */
static const UCHAR *NetClientGeneratorHead(_In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters, _In_ ULONG Size,
                                           _Out_writes_(Size) PUCHAR Buffer)
{
    PMDL Mdl = Parameters->ReceiverQueuePacket.Mdl;
    ULONG Offset = Parameters->ReceiverQueuePacket.Offset;
    PUCHAR Address = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    NETCLIENT_FRAME Head;

    if (Address != NULL && MmGetMdlByteCount(Mdl) - Offset >= Size)
        return Address + Offset;

    Head.Mdl = Mdl;
    Head.Offset = Offset;
    Head.Length = Size;

    return NT_SUCCESS(NetClientCopy(&Head, Buffer)) ? Buffer : NULL;
}

/* Is it this frame, in either of its forms? Head has its first bytes, as many as are compared of any. */
static BOOLEAN NetClientGeneratorMatches(_In_ const NETCLIENT_EXPECTED *Expected, _In_ const UCHAR *Head,
                                         _In_ ULONG Length)
{
    ULONG Behind = Expected->OtherAt + (ULONG)sizeof(Expected->Other);

    if (Length != Expected->Length)
        return FALSE;
    if (RtlEqualMemory(Head, Expected->Head, Expected->Size))
        return TRUE;

    return Expected->OtherAt != 0 && RtlEqualMemory(Head, Expected->Head, Expected->OtherAt) &&
           RtlEqualMemory(Head + Expected->OtherAt, Expected->Other, sizeof(Expected->Other)) &&
           RtlEqualMemory(Head + Behind, Expected->Head + Behind, Expected->Size - Behind);
}

/* The frame so many places on is the next. */
static VOID NetClientGeneratorAdvance(_Inout_ PNETCLIENT_GENERATOR Generator, _In_ ULONG Places)
{
    Generator->Position += Places;
    Generator->NextExpected = (Generator->NextExpected + Places) % Generator->ExpectedCount;
}

static BOOLEAN NetClientGeneratorIsAt(_In_ PNETCLIENT_GENERATOR Generator, _In_ ULONG Index, _In_ const UCHAR *Head,
                                      _In_ ULONG Length)
{
    return NetClientGeneratorMatches(&Generator->Expected[Index % Generator->ExpectedCount], Head, Length);
}

/*
 * A frame that is not the one expected, which may be found further on: those between are missing so far; or behind: it
 * is late, or there a second time. Half of the capture is looked through each way.
 */
static VOID NetClientGeneratorPlace(_Inout_ PNETCLIENT_GENERATOR Generator, _In_ const UCHAR *Head, _In_ ULONG Size,
                                    _In_ ULONG Length)
{
    PNETCLIENT_PKTGEN_RESULT Result = &Generator->Result;
    ULONG Count = Generator->ExpectedCount;
    ULONG Places;

    if (Result->Different == ~0ULL) {
        Result->Different = Generator->Position;
        Result->DifferentLength = Length;
        RtlCopyMemory(Result->DifferentHead, Head, Size);
    }

    if (Generator->Position >= Generator->Total) {
        Result->ReceivedLate++;
        return;
    }

    for (Places = 1; Generator->Searches < GENERATOR_SEARCHES && Places <= Count / 2; Places++) {
        if (Places < Generator->Total - Generator->Position &&
            NetClientGeneratorIsAt(Generator, Generator->NextExpected + Places, Head, Length)) {
            Result->ReceivedGood++;
            NetClientGeneratorAdvance(Generator, Places + 1);
            return;
        }
        if (Places <= Generator->Position &&
            NetClientGeneratorIsAt(Generator, Generator->NextExpected + Count - Places, Head, Length)) {
            Result->ReceivedLate++;
            return;
        }
    }

    Generator->Searches++;
    Result->ReceivedCorrupt++;
    NetClientGeneratorAdvance(Generator, 1);
}

static VOID NetClientGeneratorCheck(_Inout_ PNETCLIENT_GENERATOR Generator,
                                    _In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    static const UCHAR Nothing[NETCLIENT_PKTGEN_HEAD];
    ULONG Length = Parameters->ReceiverQueuePacket.Length;
    ULONG Size = (Length < NETCLIENT_PKTGEN_HEAD) ? Length : NETCLIENT_PKTGEN_HEAD;
    UCHAR Buffer[NETCLIENT_PKTGEN_HEAD];
    const UCHAR *Head;

    Generator->Result.Received++;
    Generator->Result.ReceivedBytes += Length;

    Head = NetClientGeneratorHead(Parameters, Size, Buffer);
    if (Head == NULL)
        Head = Nothing;

    if (Generator->Position >= Generator->Total ||
        !NetClientGeneratorMatches(&Generator->Expected[Generator->NextExpected], Head, Length)) {
        NetClientGeneratorPlace(Generator, Head, Size, Length);
        return;
    }

    Generator->Result.ReceivedGood++;
    Generator->Position++;
    if (++Generator->NextExpected == Generator->ExpectedCount)
        Generator->NextExpected = 0;
}

static VOID NetClientGeneratorReturnHeld(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_GENERATOR Generator)
{
    ULONG Index;

    for (Index = 0; Index < Generator->HeldCount; Index++)
        XENVIF_VIF_CALL(&Client->Vif, ReceiverReturnPacket, Generator->Held[Index]);

    Generator->HeldCount = 0;
}

/* DISPATCH_LEVEL. FALSE: the frame is not the generator's. */
BOOLEAN NetClientGeneratorReceived(_Inout_ PNETCLIENT Client, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    PNETCLIENT_GENERATOR Generator = ReadPointerAcquire((PVOID *)&Client->Checking);

    if (Generator == NULL)
        return FALSE;

    NetClientGeneratorCheck(Generator, Parameters);

    Generator->Held[Generator->HeldCount++] = Parameters->ReceiverQueuePacket.Cookie;
    if (Parameters->ReceiverQueuePacket.More && Generator->HeldCount != GENERATOR_HELD)
        return TRUE;

    NetClientGeneratorReturnHeld(Client, Generator);
    WriteRelease(&Generator->Arrived, (LONG)Generator->Result.Received);

    if (Generator->Position >= Generator->Total && !Generator->Complete) {
        Generator->Complete = TRUE;
        (VOID) KeSetEvent(&Generator->Done, IO_NETWORK_INCREMENT, FALSE);
    }

    return TRUE;
}

/* ---- a run ---- */

NTSTATUS NetClientGeneratorRun(_Inout_ PNETCLIENT Client, _Out_ PNETCLIENT_PKTGEN_RESULT Result)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;
    ULONG64 Sent;
    NTSTATUS Status;

    if (Generator == NULL || Generator->FrameCount != Generator->Parameters.Send ||
        Generator->ExpectedCount != Generator->Parameters.Expect)
        return STATUS_INVALID_DEVICE_STATE;

    Status = NetClientGeneratorSend(Client, &Sent);
    if (NT_SUCCESS(Status))
        Status = NetClientGeneratorWait(Generator, &Generator->Done);

    /* What has come with the last frame is counted, too, and nobody counts meanwhile. */
    KeFlushQueuedDpcs();

    *Result = Generator->Result;
    Result->Status = Status;
    Result->Sent = Sent;
    Result->SentDropped = Generator->Dropped;
    Result->SentError = Generator->Errors;
    Result->SentOk = Sent - NetClientGeneratorInFlight(Generator) - Result->SentDropped - Result->SentError;

    return STATUS_SUCCESS;
}

/* The VIF has given back what was sent, and gives nothing more. */
VOID NetClientGeneratorDisabled(_Inout_ PNETCLIENT Client)
{
    PNETCLIENT_GENERATOR Generator = Client->Generator;

    if (Generator == NULL)
        return;

    NetClientGeneratorReturnHeld(Client, Generator);

    (VOID) InterlockedExchange(&Generator->Stopped, TRUE);
    (VOID) KeSetEvent(&Generator->Room, IO_NO_INCREMENT, FALSE);
    (VOID) KeSetEvent(&Generator->Done, IO_NO_INCREMENT, FALSE);
}

/* Nobody is at work. */
VOID NetClientGeneratorEnd(_Inout_ PNETCLIENT Client)
{
    if (Client->Generator == NULL)
        return;

    (VOID) InterlockedExchangePointer((PVOID volatile *)&Client->Checking, NULL);
    NetClientGeneratorFree(Client->Generator);
    Client->Generator = NULL;
}
