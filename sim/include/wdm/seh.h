/*
 * Structured exception handling in C: __try, __except, __finally, __leave, GetExceptionCode(),
 * GetExceptionInformation(), AbnormalTermination(), after Microsoft's "Structured Exception Handling (C/C++)".
 *
 * Macros over a chain of frames that belongs to the flow of control. What can be handled: what ExRaiseStatus and the
 * like raise (and with it ProbeForRead, ProbeForWrite, MmProbeAndLockPages and allocations that raise), and access
 * violations at addresses that are not the kernel's, below DISPATCH_LEVEL. A fault at a kernel address is a bugcheck,
 * as on Windows.
 *
 * The order is that of Windows: filters first, from the inside out, while everything below them still stands; then the
 * inner __finally blocks; then the handler. `return`, `goto`, `break` and `continue` may leave a body: the __finally
 * block runs, with AbnormalTermination() TRUE, and then control goes where it was going. A __finally block may itself
 * be left by `return` or `goto`, which ends whatever led to it. EXCEPTION_CONTINUE_EXECUTION raises
 * STATUS_NONCONTINUABLE_EXCEPTION, since whatever a routine of the kernel raises is noncontinuable.
 *
 * Differences: EXCEPTION_CONTINUE_EXECUTION after a fault stops the machine, and so does saying it again about
 * STATUS_NONCONTINUABLE_EXCEPTION; a `break` or `continue` of a __finally block that means a loop outside ends the
 * block instead; GetExceptionCode() in a handler is the code of the last exception that was handled.
 *
 * The local variables are those of the moment when the exception came, or the body was left: this needs -O0, which
 * pvsim-cc uses for a file that has __try.
 * gcc, optimising: as for __builtin_setjmp it knows of a way from every call in the body to the receiver. So __except
 * works for exceptions that come out of a call (not for faults of the code in the body itself). But it does not know of
 * the way from the end of a __finally block back to where the body was being left: registers and stack slots of what
 * is left could be taken for others in between. __finally is an error then.
 * clang, optimising: knows none of these ways. Locals become SSA values, which the receiver sees as they were when the
 * body was entered, whatever was assigned since. Only volatile locals or the attribute optnone would help, and
 * the one belongs to declarations, the other to the function, neither of which a macro inside the function can reach; a
 * function of its own that "returns twice" in the place of __builtin_setjmp changes nothing, since that orders no more
 * than the C standard does for setjmp. __try is an error then.
 */

#ifndef PVSIM_WDM_SEH_H
#define PVSIM_WDM_SEH_H

#include <wdm/context.h>

#define EXCEPTION_EXECUTE_HANDLER 1
#define EXCEPTION_CONTINUE_SEARCH 0
#define EXCEPTION_CONTINUE_EXECUTION (-1)
#define EXCEPTION_NONCONTINUABLE 0x1
#define EXCEPTION_MAXIMUM_PARAMETERS 15

typedef struct _EXCEPTION_RECORD {
    NTSTATUS ExceptionCode;
    ULONG ExceptionFlags;
    struct _EXCEPTION_RECORD *ExceptionRecord;
    PVOID ExceptionAddress;
    ULONG NumberParameters;
    ULONG_PTR ExceptionInformation[EXCEPTION_MAXIMUM_PARAMETERS];
} EXCEPTION_RECORD, *PEXCEPTION_RECORD;

typedef struct _EXCEPTION_POINTERS {
    PEXCEPTION_RECORD ExceptionRecord;
    PCONTEXT ContextRecord;
} EXCEPTION_POINTERS, *PEXCEPTION_POINTERS;

/* One __try that control is in. */
typedef struct _KX_TRY {
    struct _KX_TRY *Previous;
    PVOID Buffer[5]; /* __builtin_setjmp's */
    PVOID Back[8];   /* the registers where the body was left, see KxTryCleanup */
    PVOID Frame;     /* of the function */
    PEXCEPTION_POINTERS Pointers;
    struct _KX_TRY *Target; /* of the unwinding that passes here */
    NTSTATUS Code;
    ULONG Level; /* of nested interrupts */
    BOOLEAN Linked;
    BOOLEAN Inside; /* the simulator: this is a function of its own */
    UCHAR State;
} KX_TRY, *PKX_TRY;

/* What brings control to the end of a body. */
#define KX_TRY_BODY 0    /* nothing yet, or it came by itself */
#define KX_TRY_FILTER 1  /* to ask the filter; the frames below still stand */
#define KX_TRY_UNWIND 2  /* on the way to an outer frame */
#define KX_TRY_HANDLE 3  /* to the handler */
#define KX_TRY_LEAVING 4 /* by return, goto, break or continue */

/* A __finally that runs. */
typedef struct _KX_FINALLY {
    PVOID Back[8];
    PKX_TRY Target;
    BOOLEAN Entered;
    BOOLEAN Abnormal;
} KX_FINALLY, *PKX_FINALLY;

_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryEnter(_Out_ PKX_TRY Try, _In_ PVOID Frame);
/* Off the chain, if it is on it. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryPop(_Inout_ PKX_TRY Try);
/*
 * Control leaves a body. If not at its end, where the frame is off the chain, then that comes next, and this returns to
 * where it was called from when the end of the body, or the __finally there, is done with.
 */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryCleanup(_In_ PKX_TRY const *Guard) __attribute__((returns_twice));
/* The end of the body; TRUE if the filter is to be asked. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI KxTryEnd(_Inout_ PKX_TRY Try);
/* What the filter said. */
_IRQL_requires_max_(HIGH_LEVEL)
DECLSPEC_NORETURN NTKERNELAPI VOID NTAPI KxTryDecide(_In_ PKX_TRY Try, _In_ LONG Disposition);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI KxTryHandled(VOID);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI KxExceptionCode(VOID);
/* The end of the body of a __try with __finally. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryEndFinally(_Inout_ PKX_TRY Try);
/* TRUE once; then goes on with the exception, or with leaving, if there was any. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI KxFinallyNext(_Inout_ PKX_FINALLY Finally);

/* Control leaves the body of a __try with __except. */
FORCEINLINE VOID KxTryLeft(_In_ PKX_TRY const *Guard)
{
    KxTryPop(*Guard);
}

#define KX_TRY_CHECK
#define KX_FINALLY_CHECK
#ifdef __OPTIMIZE__
#define KX_TRY_CLEANUP KxTryLeft
#ifdef __clang__
#undef KX_TRY_CHECK
#define KX_TRY_CHECK                                                                                                   \
    _Pragma(                                                                                                           \
        "GCC error \"clang: compile files that use __try with -O0 (pvsim-cc does): else handlers see stale locals\"")
#else
#undef KX_FINALLY_CHECK
#define KX_FINALLY_CHECK                                                                                               \
    _Pragma(                                                                                                           \
        "GCC error \"compile files that use __finally with -O0 (pvsim-cc does): else it cannot go back to a return\"")
#endif
#else
#define KX_TRY_CLEANUP KxTryCleanup
#ifndef __clang__
/* What KxTryCleanup comes back to has its stack slots to itself. */
#pragma GCC optimize("no-ira-share-spill-slots", "stack-reuse=none")
#endif
#endif

/*
 * A filter runs in its function's frame, but with the stack pointer below all that the filter's exception left there:
 * the function must reach its locals through a frame pointer. Asking for the frame's address makes gcc keep one. clang
 * has another register for over-aligned frames, if there is an alloca (which never runs).
 */
#ifdef __clang__
#define KX_TRY_FRAME                                                                                                   \
    if (!KxTry.Linked)                                                                                                 \
        (void)__builtin_alloca(KxTry.Level);
#else
#define KX_TRY_FRAME
#endif

/*
 * Blocks that one macro opens and the next one closes. Control that leaves the inner one, which is the body's, comes
 * past KxGuard; the end of the body is behind that, so that it is reached without leaving a second time.
 */
/* clang-format off */
#define __try                                                                                                          \
    {                                                                                                                  \
        KX_TRY_CHECK KX_TRY KxTry;                                                                                     \
        KxTryEnter(&KxTry, __builtin_frame_address(0));                                                                \
        KX_TRY_FRAME                                                                                                   \
        if (__builtin_setjmp(KxTry.Buffer) == 0) {                                                                     \
            __label__ KxLeave;                                                                                         \
            PKX_TRY KxGuard __attribute__((cleanup(KX_TRY_CLEANUP))) = &KxTry;

#define KX_TRY_END                                                                                                     \
        KxLeave: __attribute__((unused));                                                                              \
            KxTryPop(KxGuard);                                                                                         \
        }

#define __except(filter)                                                                                               \
        KX_TRY_END                                                                                                     \
        if (KxTryEnd(&KxTry))                                                                                          \
            KxTryDecide(&KxTry, (filter));                                                                             \
    }                                                                                                                  \
    if (KxTryHandled())

#define __finally                                                                                                      \
        KX_TRY_END                                                                                                     \
        KX_FINALLY_CHECK KxTryEndFinally(&KxTry);                                                                      \
    }                                                                                                                  \
    for (KX_FINALLY KxFinally = {.Entered = FALSE}; KxFinallyNext(&KxFinally);)
/* clang-format on */

#define __leave goto KxLeave

#define GetExceptionCode() KxExceptionCode()
#define GetExceptionInformation() (KxTry.Pointers)
#define AbnormalTermination() (KxFinally.Abnormal)
#define exception_code GetExceptionCode
#define exception_info GetExceptionInformation
#define abnormal_termination AbnormalTermination
#define _exception_code GetExceptionCode
#define _exception_info GetExceptionInformation
#define _abnormal_termination AbnormalTermination

#endif
