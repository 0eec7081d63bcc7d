/* Return addresses of the calling thread: RtlCaptureStackBackTrace, RtlWalkFrameChain. */
#include "machine/backtrace.h"
#include "nt/rtl/rtl.h"

#define FRAMES_MAX 128 /* how deep a walk goes */

/*
 * Frame 0 of the result is whoever called the routine, after FramesToSkip more. A stack that is deeper than FRAMES_MAX,
 * and a request for more than MAXUSHORT frames, get what there is.
 */
USHORT NTAPI RtlCaptureStackBackTrace(ULONG FramesToSkip, ULONG FramesToCapture, PVOID *BackTrace, PULONG BackTraceHash)
{
    void *frames[FRAMES_MAX];
    int count, first = 0;
    ULONG captured = 0, hash = 0;

    NT_CALL(DISPATCH_LEVEL);
    count = backtrace_collect(frames, FRAMES_MAX);
    while (first < count && frames[first] != __builtin_return_address(0))
        first++;
    for (ULONG64 index = (ULONG64)first + FramesToSkip; index < (ULONG64)count && captured < FramesToCapture; index++) {
        BackTrace[captured++] = frames[index];
        hash += (ULONG)(uintptr_t)frames[index];
    }
    if (BackTraceHash != NULL)
        *BackTraceHash = hash;
    return (USHORT)captured;
}

ULONG NTAPI RtlWalkFrameChain(PVOID *Callers, ULONG Count, ULONG Flags)
{
    void *frames[FRAMES_MAX];
    int count = backtrace_collect(frames, FRAMES_MAX), first = 0;
    ULONG captured = 0;

    if ((Flags & 1) != 0)
        return 0; /* the user's part of the stack: system threads have none */
    while (first < count && frames[first] != __builtin_return_address(0))
        first++;
    while (first < count && captured < Count)
        Callers[captured++] = frames[first++];
    return captured;
}
