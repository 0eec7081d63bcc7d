/*
 * Structured exception handling in C: __try, __except, __finally, __leave, GetExceptionCode(),
 * GetExceptionInformation(), AbnormalTermination(), after Microsoft's "Structured Exception Handling (C/C++)".
 *
 * Macros over a chain of frames that belongs to the flow of control. What can be handled: what ExRaiseStatus and the
 * like raise (and with it ProbeForRead, ProbeForWrite, MmProbeAndLockPages and allocations that raise), and access
 * violations at addresses that are not the kernel's, below DISPATCH_LEVEL. A fault at a kernel address is a bugcheck,
 * as on Windows. `return`, `goto`, `break` and `continue` may leave the body of a __try with __except; where there is a
 * __finally, only __leave or its end may: anything else stops the machine and says so.
 *
 * Differences: a filter runs after what lies below its frame was unwound, not before, so that inner __finally blocks
 * run before it; EXCEPTION_CONTINUE_EXECUTION stops the machine; GetExceptionCode() in a handler is the code of the
 * last exception that was handled.
 *
 * The handler sees the local variables as they were when the exception came. gcc keeps that promise for exceptions that
 * come out of a call, also with optimisation; for faults of the code in the body itself, and with clang, the file has
 * to be compiled with -O0, which is what pvsim-cc does for a file that uses __try. clang with optimisation is an error.
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
    PVOID Buffer[5];   /* __builtin_setjmp's */
    const VOID *Leave; /* the label behind the body */
    EXCEPTION_RECORD Record;
    ULONG_PTR StackPointer; /* when the exception came */
    ULONG Level;            /* of nested interrupts */
    BOOLEAN Linked;
    BOOLEAN Raised;
    BOOLEAN Ended; /* control has come to the end of the body */
} KX_TRY, *PKX_TRY;

/* A __finally that runs. */
typedef struct _KX_FINALLY {
    EXCEPTION_RECORD Record;
    BOOLEAN Entered;
    BOOLEAN Abnormal;
} KX_FINALLY, *PKX_FINALLY;

_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryEnter(_Out_ PKX_TRY Try, _In_ const VOID *Leave);
/* Off the chain, if it is on it. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryPop(_Inout_ PKX_TRY Try);
/* The end of the body; TRUE if an exception led here. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI KxTryEnd(_Inout_ PKX_TRY Try);
/* What the filter said. Does not return unless the handler is to run. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryDecide(_In_ PKX_TRY Try, _In_ LONG Disposition);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI KxTryHandled(VOID);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI KxExceptionCode(VOID);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI PEXCEPTION_POINTERS NTAPI KxExceptionPointers(_In_ PKX_TRY Try, _Out_ PEXCEPTION_POINTERS Pointers,
                                                          _Out_ PCONTEXT Context);
/* The end of the body of a __try with __finally. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI KxTryEndFinally(_Inout_ PKX_TRY Try);
/* TRUE once; then goes on with the exception, if there was one. */
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI KxFinallyNext(_Inout_ PKX_FINALLY Finally);
_IRQL_requires_max_(HIGH_LEVEL)
DECLSPEC_NORETURN NTKERNELAPI VOID NTAPI KxFinallyLeft(VOID);

/* The labels of the __try bodies that a __finally follows, of this module. */
extern const VOID *const KxFinallyFirst[] __asm__("__start_kx_finally") __attribute__((weak, visibility("hidden")));
extern const VOID *const KxFinallyEnd[] __asm__("__stop_kx_finally") __attribute__((weak, visibility("hidden")));

/* Control leaves a __try, whichever way. */
FORCEINLINE VOID KxTryCleanup(_Inout_ PKX_TRY Try)
{
    const VOID *const *Mark;

    if (!Try->Ended)
        /* Both are bounds of one section, which the linker makes. */
        /* cppcheck-suppress comparePointers */
        for (Mark = KxFinallyFirst; Mark < KxFinallyEnd; Mark++)
            if (*Mark == Try->Leave)
                KxFinallyLeft();
    KxTryPop(Try);
}

#if defined(__clang__) && defined(__OPTIMIZE__)
#define KX_TRY_CHECK                                                                                                   \
    _Pragma(                                                                                                           \
        "GCC error \"clang: compile files that use __try with -O0 (pvsim-cc does): else handlers see stale locals\"")
#else
#define KX_TRY_CHECK
#endif

/* Blocks that one macro opens and the next one closes. */
/* clang-format off */
#define __try                                                                                                          \
    {                                                                                                                  \
        KX_TRY_CHECK __label__ KxLeave;                                                                                \
        KX_TRY KxTry __attribute__((cleanup(KxTryCleanup)));                                                           \
        KxTryEnter(&KxTry, __extension__ &&KxLeave);                                                                   \
        if (__builtin_setjmp(KxTry.Buffer) == 0)

#define __except(filter)                                                                                               \
    KxLeave: __attribute__((unused));                                                                                  \
        if (KxTryEnd(&KxTry))                                                                                          \
            KxTryDecide(&KxTry, (filter));                                                                             \
    }                                                                                                                  \
    if (KxTryHandled())

#define __finally                                                                                                      \
    KxLeave: __attribute__((unused));                                                                                  \
        static const VOID *KxMark __attribute__((section("kx_finally"), used)) = __extension__ &&KxLeave;              \
        KxTryEndFinally(&KxTry);                                                                                       \
    }                                                                                                                  \
    for (KX_FINALLY KxFinally = {.Entered = FALSE}; KxFinallyNext(&KxFinally);)
/* clang-format on */

#define __leave goto KxLeave

#define GetExceptionCode() KxExceptionCode()
#define GetExceptionInformation() KxExceptionPointers(&KxTry, &(EXCEPTION_POINTERS){NULL, NULL}, &(CONTEXT){0})
#define AbnormalTermination() (KxFinally.Abnormal)
#define exception_code GetExceptionCode
#define exception_info GetExceptionInformation
#define abnormal_termination AbnormalTermination
#define _exception_code GetExceptionCode
#define _exception_info GetExceptionInformation
#define _abnormal_termination AbnormalTermination

#endif
