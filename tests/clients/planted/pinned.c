/*
 * Two threads of one processor, and the bug of racer: what the publisher announces is not there yet. It is found only
 * when the processor goes from the publisher to the reader between the two operations.
 */
#include "planted.h"

#define ROUNDS 4

typedef struct _PINNED {
    LONG Announced;
    PVOID Record;
    ULONG Storage;
} PINNED;

static PINNED Pinned;

static KSTART_ROUTINE PinnedPublisher;
static KSTART_ROUTINE PinnedReader;

static VOID Yield(VOID)
{
    LARGE_INTEGER Nothing;

    Nothing.QuadPart = 0;
    (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Nothing);
}

static VOID NTAPI PinnedPublisher(PVOID Argument)
{
    ULONG Round;

    UNREFERENCED_PARAMETER(Argument);
    KeSetSystemAffinityThread(1);
    for (Round = 0; Round < ROUNDS; Round++) {
        (VOID) InterlockedExchange(&Pinned.Announced, 1); /* the bug: this belongs behind the next line */
        (VOID) InterlockedExchangePointer(&Pinned.Record, &Pinned.Storage);
        while (InterlockedCompareExchange(&Pinned.Announced, 0, 0) != 0)
            Yield();
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI PinnedReader(PVOID Argument)
{
    ULONG Round;

    UNREFERENCED_PARAMETER(Argument);
    KeSetSystemAffinityThread(1);
    for (Round = 0; Round < ROUNDS; Round++) {
        while (InterlockedCompareExchange(&Pinned.Announced, 0, 0) != 1)
            Yield();
        if (InterlockedExchangePointer(&Pinned.Record, NULL) == NULL)
            KeBugCheckEx(PLANTED_BUG, BugPinned, Round, 0, 0);
        (VOID) InterlockedExchange(&Pinned.Announced, 0);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

VOID PlantedPinned(VOID)
{
    static PKSTART_ROUTINE const Routines[] = {PinnedReader, PinnedPublisher};

    PlantedRunThreads(Routines, ARRAYSIZE(Routines));
}
