/*
 * The FIFO event-channel ABI (xen/event_channel.h): a word a port, in pages that are given to Xen as ports need them,
 * and for each vCPU queues by priority, which Xen links through those words.
 *
 * Xen puts a port at a queue's end and the processor takes it off the head, each by one compare-and-exchange of a word;
 * where a queue's head is only the processor knows once it has begun to take. A word that is off its queue is put on
 * one again by the next event, or when Xen is asked to unmask it while it is pending.
 */
#include "evtchn_abi.h"

#include "bug.h"
#include "pool.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/event_channel.h>

#define EVTCHN_FIFO_TAG POOL_TAG('F', 'I', 'F', 'O')

#define WORD_PENDING (1u << EVTCHN_FIFO_PENDING)
#define WORD_MASKED (1u << EVTCHN_FIFO_MASKED)
#define WORD_LINKED (1u << EVTCHN_FIFO_LINKED)
#define WORD_BUSY (1u << EVTCHN_FIFO_BUSY)

#define WORDS_A_PAGE ((ULONG)(PAGE_SIZE / sizeof(event_word_t)))
#define WORD_PAGES (EVTCHN_FIFO_NR_CHANNELS / WORDS_A_PAGE)

/* Control blocks, each in cache lines of its own. */
#define CONTROL_STRIDE 128u
#define CONTROLS_A_PAGE ((ULONG)(PAGE_SIZE / CONTROL_STRIDE))

C_ASSERT(sizeof(evtchn_fifo_control_block_t) <= CONTROL_STRIDE);
C_ASSERT(sizeof(event_word_t) == sizeof(LONG));

typedef struct _EVTCHN_FIFO_PROCESSOR {
    ULONG VcpuId;
    evtchn_fifo_control_block_t *Control;

    /* The dispatcher's. */
    ULONG Head[EVTCHN_FIFO_MAX_QUEUES]; /* the next port to take, 0: Xen says which is the first */
    ULONG Ready;                        /* queues that a poll has left something on */
} EVTCHN_FIFO_PROCESSOR, *PEVTCHN_FIFO_PROCESSOR;

struct _EVTCHN_FIFO {
    PXENBUS_SHARED_INFO_CONTEXT SharedInfo;
    ULONG LinkMask;
    PUCHAR *ControlPage;
    ULONG ControlPageCount;

    KSPIN_LOCK Lock; /* makes expansions one at a time; up to DISPATCH_LEVEL */
    LONG volatile *Page[WORD_PAGES];
    ULONG volatile PageCount;

    ULONG ProcessorCount;
    EVTCHN_FIFO_PROCESSOR Processor[1];
};

static PFN_NUMBER EvtchnFifoFrame(_In_ const volatile VOID *Page)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress((PVOID)(ULONG_PTR)Page).QuadPart >> PAGE_SHIFT);
}

static LONG volatile *EvtchnFifoWord(_In_ PEVTCHN_FIFO Fifo, _In_ ULONG Port)
{
    /* Xen has no other words to name. */
    if (Port / WORDS_A_PAGE >= ReadULongAcquire(&Fifo->PageCount))
        BUG("an event channel beyond the event array");

    return &Fifo->Page[Port / WORDS_A_PAGE][Port % WORDS_A_PAGE];
}

/* ---- the ABI's routines ---- */

static BOOLEAN EvtchnFifoIsProcessorSupported(_In_ PVOID Context, _In_ ULONG Index)
{
    PEVTCHN_FIFO Fifo = Context;

    return Index < Fifo->ProcessorCount && SharedInfoIsUpcallSupported(Fifo->SharedInfo, Index);
}

static BOOLEAN EvtchnFifoTakeUpcall(_In_ PVOID Context, _In_ ULONG Index)
{
    PEVTCHN_FIFO Fifo = Context;

    return SharedInfoTakeUpcall(Fifo->SharedInfo, Index);
}

/* Takes a linked word off its queue; what it was. */
static ULONG EvtchnFifoUnlink(_In_ PEVTCHN_FIFO Fifo, _In_ LONG volatile *Word)
{
    LONG Old = ReadAcquire(Word);

    for (;;) {
        LONG Seen = InterlockedCompareExchange(Word, (LONG)((ULONG)Old & ~(WORD_LINKED | Fifo->LinkMask)), Old);

        if (Seen == Old)
            return (ULONG)Old;
        Old = Seen;
    }
}

/*
 * Takes the first port off a queue, 0 if there is none. *Last: it was the only one; what comes after it makes the queue
 * ready anew.
 */
static ULONG EvtchnFifoTake(_In_ PEVTCHN_FIFO Fifo, _In_ PEVTCHN_FIFO_PROCESSOR Processor, _In_ ULONG Queue,
                            _Out_ PBOOLEAN Last)
{
    ULONG Port = Processor->Head[Queue];
    ULONG Word;

    *Last = TRUE;

    if (Port == 0)
        Port = ReadULongAcquire((ULONG volatile *)&Processor->Control->head[Queue]);
    if (Port == 0)
        return 0;

    Word = EvtchnFifoUnlink(Fifo, EvtchnFifoWord(Fifo, Port));

    Processor->Head[Queue] = Word & Fifo->LinkMask;
    *Last = (Processor->Head[Queue] == 0);
    return Port;
}

static ULONG EvtchnFifoTakeReady(_In_ PEVTCHN_FIFO_PROCESSOR Processor)
{
    return (ULONG)InterlockedExchange((LONG volatile *)&Processor->Control->ready, 0);
}

static BOOLEAN EvtchnFifoPoll(_In_ PVOID Context, _In_ ULONG Index, _In_ EVTCHN_ABI_EVENT Event, _In_ PVOID Argument,
                              _Inout_ PULONG Budget)
{
    PEVTCHN_FIFO Fifo = Context;
    PEVTCHN_FIFO_PROCESSOR Processor = &Fifo->Processor[Index];
    ULONG Ready = Processor->Ready | EvtchnFifoTakeReady(Processor);
    BOOLEAN Done = FALSE;

    while (Ready != 0 && *Budget != 0) {
        BOOLEAN Last;
        ULONG Queue = 0;
        ULONG Port;

        while ((Ready & (1u << Queue)) == 0)
            Queue++;

        Port = EvtchnFifoTake(Fifo, Processor, Queue, &Last);
        if (Last)
            Ready &= ~(1u << Queue);

        if (Port != 0) {
            --*Budget;
            if (((ULONG)ReadAcquire(EvtchnFifoWord(Fifo, Port)) & (WORD_PENDING | WORD_MASKED)) == WORD_PENDING)
                Done |= Event(Argument, Port);
        }

        Ready |= EvtchnFifoTakeReady(Processor);
    }

    Processor->Ready = Ready;
    return Done;
}

static VOID EvtchnFifoAck(_In_ PVOID Context, _In_ ULONG Port)
{
    InterlockedAnd(EvtchnFifoWord(Context, Port), (LONG)~WORD_PENDING);
}

static BOOLEAN EvtchnFifoMask(_In_ PVOID Context, _In_ ULONG Port)
{
    return ((ULONG)InterlockedOr(EvtchnFifoWord(Context, Port), (LONG)WORD_MASKED) & WORD_MASKED) != 0;
}

static BOOLEAN EvtchnFifoUnmask(_In_ PVOID Context, _In_ ULONG Port)
{
    LONG volatile *Word = EvtchnFifoWord(Context, Port);
    ULONG Old = (ULONG)ReadAcquire(Word);

    for (;;) {
        BOOLEAN Pending = (Old & WORD_PENDING) != 0;
        ULONG New = Pending ? Old & ~WORD_PENDING : Old & ~WORD_MASKED;
        ULONG Seen;

        /* Somebody else has unmasked it: what is pending then is raised. */
        if ((Old & WORD_MASKED) == 0)
            return FALSE;

        /* Xen is about to link another port behind this one, and does not want to be disturbed: that is short. */
        if (!Pending && (Old & WORD_BUSY) != 0) {
            YieldProcessor();
            Old = (ULONG)ReadAcquire(Word);
            continue;
        }

        Seen = (ULONG)InterlockedCompareExchange(Word, (LONG)New, (LONG)Old);
        if (Seen == Old)
            return Pending;
        Old = Seen;
    }
}

static VOID EvtchnFifoSetPending(_In_ PVOID Context, _In_ ULONG Port)
{
    InterlockedOr(EvtchnFifoWord(Context, Port), (LONG)WORD_PENDING);
}

static VOID EvtchnFifoMaskPage(_Out_ LONG volatile *Page)
{
    ULONG Index;

    for (Index = 0; Index < WORDS_A_PAGE; Index++)
        WriteRelease(&Page[Index], (LONG)WORD_MASKED);
}

/* Gives Xen one more page of words. Called with the lock held, or by the one user there is. */
static NTSTATUS EvtchnFifoExpand(_In_ PEVTCHN_FIFO Fifo)
{
    LONG volatile *Page;
    NTSTATUS Status;

    if (Fifo->PageCount == WORD_PAGES)
        return STATUS_INSUFFICIENT_RESOURCES;

    Page = PoolAllocate(PAGE_SIZE, EVTCHN_FIFO_TAG);
    if (Page == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    EvtchnFifoMaskPage(Page);

    Status = XenEventExpandArray(EvtchnFifoFrame(Page));
    if (!NT_SUCCESS(Status)) {
        PoolFree((PVOID)(ULONG_PTR)Page, EVTCHN_FIFO_TAG);
        return Status;
    }

    Fifo->Page[Fifo->PageCount] = Page;
    WriteULongRelease(&Fifo->PageCount, Fifo->PageCount + 1);
    return STATUS_SUCCESS;
}

static NTSTATUS EvtchnFifoReserve(_In_ PEVTCHN_FIFO Fifo, _In_ ULONG Port)
{
    NTSTATUS Status = STATUS_SUCCESS;
    KIRQL Irql;

    if (Port / WORDS_A_PAGE < ReadULongAcquire(&Fifo->PageCount))
        return STATUS_SUCCESS;

    KeAcquireSpinLock(&Fifo->Lock, &Irql);
    while (NT_SUCCESS(Status) && Port / WORDS_A_PAGE >= Fifo->PageCount)
        Status = EvtchnFifoExpand(Fifo);
    KeReleaseSpinLock(&Fifo->Lock, Irql);

    return Status;
}

static NTSTATUS EvtchnFifoPrepare(_In_ PVOID Context, _In_ ULONG Port, _In_ BOOLEAN Urgent)
{
    NTSTATUS Status;

    Status = EvtchnFifoReserve(Context, Port);
    if (!NT_SUCCESS(Status))
        return Status;

    (VOID) EvtchnFifoMask(Context, Port);

    /* A port begins with the default. */
    if (Urgent) {
        Status = XenEventSetPriority(Port, EVTCHN_FIFO_PRIORITY_MAX);
        if (!NT_SUCCESS(Status))
            Warning("port %u keeps its priority (%08x)", Port, Status);
    }

    return STATUS_SUCCESS;
}

VOID EvtchnFifoGetAbi(_In_ PEVTCHN_FIFO Fifo, _Out_ PEVTCHN_ABI Abi)
{
    Abi->Context = Fifo;
    Abi->PortCount = EVTCHN_FIFO_NR_CHANNELS;
    Abi->IsProcessorSupported = EvtchnFifoIsProcessorSupported;
    Abi->Prepare = EvtchnFifoPrepare;
    Abi->TakeUpcall = EvtchnFifoTakeUpcall;
    Abi->Poll = EvtchnFifoPoll;
    Abi->Ack = EvtchnFifoAck;
    Abi->Mask = EvtchnFifoMask;
    Abi->Unmask = EvtchnFifoUnmask;
    Abi->SetPending = EvtchnFifoSetPending;
    Abi->PollTakes = TRUE;
}

/* ---- life ---- */

static NTSTATUS EvtchnFifoPlaceControl(_In_ PEVTCHN_FIFO Fifo, _In_ ULONG Index)
{
    PEVTCHN_FIFO_PROCESSOR Processor = &Fifo->Processor[Index];
    UCHAR LinkBits;
    NTSTATUS Status;

    RtlZeroMemory(Processor->Control, sizeof(evtchn_fifo_control_block_t));
    RtlZeroMemory(Processor->Head, sizeof(Processor->Head));
    Processor->Ready = 0;

    Status = XenEventInitControl(Processor->VcpuId, EvtchnFifoFrame(Fifo->ControlPage[Index / CONTROLS_A_PAGE]),
                                 Index % CONTROLS_A_PAGE * CONTROL_STRIDE, &LinkBits);
    if (!NT_SUCCESS(Status))
        return Status;

    Fifo->LinkMask = (1u << LinkBits) - 1;
    return STATUS_SUCCESS;
}

static NTSTATUS EvtchnFifoPlaceControls(_In_ PEVTCHN_FIFO Fifo)
{
    ULONG Index;
    NTSTATUS Status = STATUS_SUCCESS;

    for (Index = 0; NT_SUCCESS(Status) && Index < Fifo->ProcessorCount; Index++)
        Status = EvtchnFifoPlaceControl(Fifo, Index);

    return Status;
}

static NTSTATUS EvtchnFifoAllocateControls(_In_ PEVTCHN_FIFO Fifo)
{
    ULONG Count = (Fifo->ProcessorCount + CONTROLS_A_PAGE - 1) / CONTROLS_A_PAGE;
    ULONG Index;

    Fifo->ControlPage = PoolAllocateArray(Count, sizeof(PUCHAR), EVTCHN_FIFO_TAG);
    if (Fifo->ControlPage == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    while (Fifo->ControlPageCount < Count) {
        PUCHAR Page = PoolAllocate(PAGE_SIZE, EVTCHN_FIFO_TAG);

        if (Page == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
        Fifo->ControlPage[Fifo->ControlPageCount++] = Page;
    }

    for (Index = 0; Index < Fifo->ProcessorCount; Index++)
        Fifo->Processor[Index].Control =
            (evtchn_fifo_control_block_t *)(Fifo->ControlPage[Index / CONTROLS_A_PAGE] +
                                            (SIZE_T)(Index % CONTROLS_A_PAGE) * CONTROL_STRIDE);

    return STATUS_SUCCESS;
}

/* Frees what Xen has let go of. */
static VOID EvtchnFifoFree(_In_ PEVTCHN_FIFO Fifo)
{
    while (Fifo->PageCount != 0)
        PoolFree((PVOID)(ULONG_PTR)Fifo->Page[--Fifo->PageCount], EVTCHN_FIFO_TAG);

    while (Fifo->ControlPageCount != 0)
        PoolFree(Fifo->ControlPage[--Fifo->ControlPageCount], EVTCHN_FIFO_TAG);

    if (Fifo->ControlPage != NULL)
        PoolFree(Fifo->ControlPage, EVTCHN_FIFO_TAG);

    PoolFree(Fifo, EVTCHN_FIFO_TAG);
}

VOID EvtchnFifoDestroy(_In_ PEVTCHN_FIFO Fifo)
{
    NTSTATUS Status;

    Status = EvtchnResetPorts();
    if (!NT_SUCCESS(Status)) {
        Critical("Xen keeps the pages of the event channels (%08x): they are lost to Windows", Status);
        return;
    }

    EvtchnFifoFree(Fifo);
}

NTSTATUS EvtchnFifoCreate(_In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo, _In_ ULONG Count, _Outptr_ PEVTCHN_FIFO *Fifo)
{
    PEVTCHN_FIFO New;
    ULONG Index;
    NTSTATUS Status;

    *Fifo = NULL;

    New = PoolAllocate(FIELD_OFFSET(EVTCHN_FIFO, Processor) + (SIZE_T)Count * sizeof(EVTCHN_FIFO_PROCESSOR),
                       EVTCHN_FIFO_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->SharedInfo = SharedInfo;
    New->ProcessorCount = Count;
    KeInitializeSpinLock(&New->Lock);

    Status = EvtchnFifoAllocateControls(New);
    for (Index = 0; NT_SUCCESS(Status) && Index < Count; Index++)
        Status = XenQueryVcpuId(Index, &New->Processor[Index].VcpuId);
    if (!NT_SUCCESS(Status))
        goto fail1;

    /* Whoever was here before may have left the domain with its own control blocks. */
    Status = EvtchnFifoPlaceControls(New);
    if (Status == STATUS_INVALID_PARAMETER) {
        Status = EvtchnResetPorts();
        if (NT_SUCCESS(Status))
            Status = EvtchnFifoPlaceControls(New);
    }
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = EvtchnFifoExpand(New);
    if (!NT_SUCCESS(Status))
        goto fail2;

    *Fifo = New;
    return STATUS_SUCCESS;

fail2:
    /* Some of the processors' may be in place. A Xen that does not know them has none. */
    if (Status != STATUS_NOT_IMPLEMENTED) {
        EvtchnFifoDestroy(New);
        return Status;
    }

fail1:
    EvtchnFifoFree(New);
    return Status;
}

NTSTATUS EvtchnFifoResume(_In_ PEVTCHN_FIFO Fifo)
{
    ULONG Index;
    NTSTATUS Status;

    /* Resumed in the same place Xen still has it all: to begin anew in either is simplest, as no port of ours counts.
     */
    Status = EvtchnResetPorts();
    if (!NT_SUCCESS(Status))
        return Status;

    Status = EvtchnFifoPlaceControls(Fifo);
    if (!NT_SUCCESS(Status))
        goto fail1;

    for (Index = 0; Index < Fifo->PageCount; Index++) {
        EvtchnFifoMaskPage(Fifo->Page[Index]);

        Status = XenEventExpandArray(EvtchnFifoFrame(Fifo->Page[Index]));
        if (!NT_SUCCESS(Status))
            goto fail1;
    }

    return STATUS_SUCCESS;

fail1:
    Error("no FIFO event channels after a resume (%08x)", Status);

    (VOID) EvtchnResetPorts();
    return Status;
}
