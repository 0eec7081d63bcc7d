/* RtlCaptureContext, RtlLookupFunctionEntry, RtlVirtualUnwind: a stack walked by hand. */
#include "nttest.h"

#if defined(__MINGW32__) /* its driver headers (version 10) lack most of these */
TEST_TABLE(rtl_unwind){TEST_END};
#else

#define FRAMES 8

static CONTEXT Reached; /* of the fourth frame, where Seen[] has it */
static ULONG64 Frames[FRAMES];
static KNONVOLATILE_CONTEXT_POINTERS Places;

static __attribute__((noinline)) ULONG Walk(ULONG_PTR *Seen, PCONTEXT Context)
{
    ULONG Count = 0;

    while (Count < FRAMES && Context->Rip != 0) {
        ULONG64 ImageBase = 0;
        PRUNTIME_FUNCTION Function;
        PVOID Handler = Context;

        if (Count == 3)
            Reached = *Context;
        Seen[Count++] = Context->Rip;
        Function = RtlLookupFunctionEntry(Context->Rip, &ImageBase, NULL);
        if (Function == NULL)
            break;
        CHECK(Context->Rip - ImageBase >= Function->BeginAddress && Context->Rip - ImageBase < Function->EndAddress);
        CHECK(RtlVirtualUnwind(UNW_FLAG_NHANDLER, ImageBase, Context->Rip, Function, Context, &Handler,
                               &Frames[Count - 1], &Places) == NULL);
        CHECK(Handler == NULL);
    }
    return Count;
}

static volatile ULONG Depth; /* keeps the calls from being tail calls */

static __attribute__((noinline)) ULONG Third(ULONG_PTR *Seen, PCONTEXT Captured)
{
    CONTEXT Context;
    ULONG Count;

    RtlCaptureContext(&Context);
    *Captured = Context;
    Count = Walk(Seen, &Context);
    Depth++;
    return Count;
}

static __attribute__((noinline)) ULONG Second(ULONG_PTR *Seen, PCONTEXT Captured)
{
    ULONG Count = Third(Seen, Captured);

    Depth++;
    return Count;
}

static __attribute__((noinline)) ULONG First(ULONG_PTR *Seen, PCONTEXT Captured)
{
    ULONG Count = Second(Seen, Captured);

    Depth++;
    return Count;
}

static BOOLEAN LiesIn(ULONG_PTR Address, PVOID Function)
{
    ULONG64 ImageBase = 0;
    PRUNTIME_FUNCTION Entry = RtlLookupFunctionEntry(Address, &ImageBase, NULL);

    return Entry != NULL && ImageBase + Entry->BeginAddress == (ULONG_PTR)Function;
}

static VOID UnwindWalksToTheCaller(VOID)
{
    ULONG_PTR Seen[FRAMES] = {0};
    CONTEXT Captured;
    ULONG Count = First(Seen, &Captured);

    EXPECT_TRUE(Count >= 4);
    EXPECT_TRUE(LiesIn(Seen[0], (PVOID)(ULONG_PTR)Third));
    EXPECT_TRUE(LiesIn(Seen[1], (PVOID)(ULONG_PTR)Second));
    EXPECT_TRUE(LiesIn(Seen[2], (PVOID)(ULONG_PTR)First));
    EXPECT_TRUE(LiesIn(Seen[3], (PVOID)(ULONG_PTR)UnwindWalksToTheCaller));
    EXPECT_TRUE(Captured.Rsp < (ULONG_PTR)&Count && (ULONG_PTR)&Count - Captured.Rsp < PAGE_SIZE);
    EXPECT_EQUAL(Captured.ContextFlags & CONTEXT_FULL, CONTEXT_FULL);
    EXPECT_TRUE((Captured.EFlags & 2) != 0); /* a bit that is always set */
    EXPECT_EQUAL(Captured.SegCs & 3, Captured.SegSs & 3);
    EXPECT_TRUE(Captured.MxCsr == Captured.FltSave.MxCsr);
}

/* The registers that a function must preserve come back as its caller had them. */
static VOID UnwindRestoresRegisters(VOID)
{
    ULONG_PTR Seen[FRAMES] = {0};
    CONTEXT Here, Inner;

    RtlCaptureContext(&Here);
    REQUIRE(First(Seen, &Inner) >= 4);
    EXPECT_TRUE(LiesIn(Reached.Rip, (PVOID)(ULONG_PTR)UnwindRestoresRegisters));
    EXPECT_TRUE(Reached.Rsp == Here.Rsp);
    EXPECT_TRUE(Reached.Rbp == Here.Rbp);
    EXPECT_TRUE(Frames[0] > Inner.Rsp && Frames[0] < Frames[1] && Frames[1] < Frames[2]);
    /* Where the frame pointer was saved: above what is live in the innermost frame. */
    EXPECT_TRUE((ULONG_PTR)Places.IntegerContext[5] > Inner.Rsp);
}

static VOID UnwindOfUnknownAddresses(VOID)
{
    ULONG64 ImageBase = 1;

    EXPECT_TRUE(RtlLookupFunctionEntry(0x1000, &ImageBase, NULL) == NULL);
    EXPECT_TRUE(RtlLookupFunctionEntry((ULONG_PTR)&Depth, &ImageBase, NULL) == NULL); /* data */
}

static VOID UnwindAtHighLevel(VOID)
{
    ULONG_PTR Seen[FRAMES] = {0};
    CONTEXT Context;
    ULONG Count;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Count = First(Seen, &Context);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Count >= 4);
}

static VOID UnwindWithAForeignEntry(VOID)
{
    ULONG64 ImageBase = 0, Frame;
    PRUNTIME_FUNCTION Function = RtlLookupFunctionEntry((ULONG_PTR)First, &ImageBase, NULL);
    PVOID Handler;
    CONTEXT Context;

    RtlCaptureContext(&Context);
    (VOID) RtlVirtualUnwind(UNW_FLAG_NHANDLER, ImageBase, Context.Rip, Function, &Context, &Handler, &Frame, NULL);
}

TEST_TABLE(rtl_unwind){TEST(UnwindWalksToTheCaller, 0),
                       TEST(UnwindRestoresRegisters, 0),
                       TEST(UnwindOfUnknownAddresses, 0),
                       TEST(UnwindAtHighLevel, 0),
                       TEST_VIOLATION(UnwindWithAForeignEntry, "unwind", 0),
                       TEST_END};
#endif
