/*
 * Structured exceptions: the frames of sim/include/wdm/seh.h, the routines that raise, and faults of driver code that
 * somebody may handle. The chain of frames belongs to the flow of control, that is to the fiber (a DPC has its own); an
 * interrupt service routine borrows a fiber and must not find the frames of what it interrupts, so a frame has the
 * depth of interrupts at which it came.
 */
#include <string.h>

#include "machine/fiber.h"
#include "machine/guest_ram.h"
#include "machine/kernel_lock.h"
#include "machine/runner.h"
#include "machine/vcpu.h"
#include "nt/ke/ke.h"

/* try_cleanup.S has the offset of Back. */
_Static_assert(offsetof(KX_TRY, Back) == 48, "KxTryCleanup");

void ke_try_left(PKX_TRY try);
/* KxTryCleanup, which filled this, returns. */
_Noreturn void ke_try_back(PVOID const back[8]);

static struct fiber *current(void)
{
    return runner_current()->fiber;
}

static ULONG interrupt_depth(void)
{
    const struct vcpu *vcpu = ke_vcpu();

    return vcpu != NULL ? vcpu->isr_depth : 0;
}

/* The innermost frame that an exception raised now would reach, or NULL. */
static PKX_TRY reachable(const struct fiber *fiber)
{
    return fiber->try_chain != NULL && fiber->try_chain->Level == interrupt_depth() ? fiber->try_chain : NULL;
}

static _Noreturn void unhandled(const EXCEPTION_RECORD *record)
{
    const uint64_t parameter[4] = {(uint32_t)record->ExceptionCode, (uintptr_t)record->ExceptionAddress,
                                   record->ExceptionInformation[0], record->ExceptionInformation[1]};
    char name[256];

    loader_describe(name, sizeof(name), record->ExceptionAddress);
    nt_violation_code(KMODE_EXCEPTION_NOT_HANDLED, parameter, "exception",
                      "exception %#x raised at %s, and nobody handles it", (unsigned)record->ExceptionCode, name);
}

/* ---- search and unwinding ---- */

/* Who waits for a filter's answer. */
struct ke_filter {
    struct ke_filter *outer;
    const void *stack; /* its own; the structure itself may be elsewhere (AddressSanitizer) */
    void *buffer[5];
    PEXCEPTION_POINTERS pointers; /* the frame's before */
    LONG disposition;
    UCHAR state;
    bool inside;
};

/* Parallel engine: code of drivers runs outside the simulator, and nothing may lie in between that would leave it. */
static void go_inside(struct fiber *fiber, bool inside)
{
    if (!engine_is_parallel() || fiber->in_kernel == inside)
        return;
    if (inside)
        kernel_lock_return(fiber);
    else
        kernel_lock_leave(fiber);
}

/*
 * To the end of the frame's body, in its function's frame, but on the stack below everything that stands now. What the
 * function passes on the stack, it puts above its stack pointer, in a part of its frame that must be there again.
 */
static _Noreturn void enter_below(const KX_TRY *frame)
{
    uintptr_t size = (uintptr_t)frame->Frame - (uintptr_t)frame->Buffer[2];

    __asm__ volatile("subq %0, %%rsp\n\t"
                     "andq $-64, %%rsp\n\t"
                     "movq %1, %%rbp\n\t"
                     "jmp *%2"
                     :
                     : "r"(size + 128), "r"(frame->Buffer[0]), "r"(frame->Buffer[1])
                     : "memory");
    __builtin_unreachable();
}

static __attribute__((noinline)) LONG ask(struct fiber *fiber, PKX_TRY frame, PEXCEPTION_POINTERS pointers)
{
    struct ke_filter filter = {.outer = fiber->filter,
                               .stack = __builtin_frame_address(0),
                               .pointers = frame->Pointers,
                               .state = frame->State,
                               .inside = fiber->in_kernel};

    if (__builtin_setjmp(filter.buffer) == 0) {
        /* cppcheck-suppress autoVariables ; answer() takes it out before this returns */
        fiber->filter = &filter;
        fiber->exception.code = pointers->ExceptionRecord->ExceptionCode;
        frame->Pointers = pointers;
        frame->State = KX_TRY_FILTER;
        go_inside(fiber, frame->Inside);
        enter_below(frame);
    }
    return filter.disposition;
}

static _Noreturn void answer(PKX_TRY frame, LONG disposition)
{
    struct fiber *fiber = current();
    struct ke_filter *filter = fiber->filter;

    filter->disposition = disposition;
    frame->Pointers = filter->pointers;
    frame->State = filter->state;
    fiber->filter = filter->outer;
    go_inside(fiber, filter->inside);
    __builtin_longjmp(filter->buffer, 1);
}

/* To the end of the frame's body; what was called from there is gone, and routines of the kernel among it. */
static _Noreturn void enter(struct fiber *fiber, PKX_TRY frame, UCHAR state)
{
    KxTryPop(frame);
    frame->State = state;
    while (fiber->filter != NULL && (uintptr_t)fiber->filter->stack < (uintptr_t)frame->Buffer[2])
        fiber->filter = fiber->filter->outer;
    go_inside(fiber, frame->Inside);
    __builtin_longjmp(frame->Buffer, 1);
}

/* One step on the way to the handler of `target`: each frame between has a __finally, or passes it on at once. */
static _Noreturn void unwind(PKX_TRY target)
{
    struct fiber *fiber = current();
    PKX_TRY frame = fiber->try_chain;

    frame->Target = target;
    enter(fiber, frame, frame == target ? KX_TRY_HANDLE : KX_TRY_UNWIND);
}

static _Noreturn void dispatch(PEXCEPTION_RECORD record);

/* A filter said EXCEPTION_CONTINUE_EXECUTION. */
static _Noreturn void refuse_continuation(PEXCEPTION_RECORD record)
{
    EXCEPTION_RECORD refusal = {.ExceptionCode = STATUS_NONCONTINUABLE_EXCEPTION,
                                .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                                .ExceptionRecord = record,
                                .ExceptionAddress = record->ExceptionAddress};

    if ((record->ExceptionFlags & EXCEPTION_NONCONTINUABLE) == 0)
        nt_violation("exception-continue",
                     "a filter wants to go on after the fault %#x (EXCEPTION_CONTINUE_EXECUTION), which is not "
                     "possible here",
                     (unsigned)record->ExceptionCode);
    if (record->ExceptionCode == STATUS_NONCONTINUABLE_EXCEPTION)
        nt_violation("exception-continue",
                     "a filter wants to go on after STATUS_NONCONTINUABLE_EXCEPTION (EXCEPTION_CONTINUE_EXECUTION)");
    dispatch(&refusal);
}

/* Ask the filters, the innermost first. */
static _Noreturn void dispatch(PEXCEPTION_RECORD record)
{
    struct fiber *fiber = current();
    CONTEXT context = {.ContextFlags = CONTEXT_CONTROL,
                       .Rip = (uintptr_t)record->ExceptionAddress,
                       .Rsp = (uintptr_t)__builtin_frame_address(0)};
    EXCEPTION_POINTERS pointers = {record, &context};

    for (PKX_TRY frame = reachable(fiber); frame != NULL && frame->Level == interrupt_depth();
         frame = frame->Previous) {
        LONG disposition = ask(fiber, frame, &pointers);

        if (disposition < 0)
            refuse_continuation(record);
        if (disposition > 0) {
            frame->Code = record->ExceptionCode;
            unwind(frame);
        }
    }
    unhandled(record);
}

/* ---- raising ---- */

_Noreturn void ke_raise_status(NTSTATUS status, const void *address)
{
    EXCEPTION_RECORD record = {.ExceptionCode = status,
                               .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                               .ExceptionAddress = (void *)(uintptr_t)address};

    dispatch(&record);
}

VOID NTAPI ExRaiseStatus(NTSTATUS Status)
{
    NT_CALL(APC_LEVEL);
    ke_raise_status(Status, __builtin_return_address(0));
}

VOID NTAPI ExRaiseAccessViolation(VOID)
{
    NT_CALL(PASSIVE_LEVEL);
    ke_raise_status(STATUS_ACCESS_VIOLATION, __builtin_return_address(0));
}

VOID NTAPI ExRaiseDatatypeMisalignment(VOID)
{
    NT_CALL(PASSIVE_LEVEL);
    ke_raise_status(STATUS_DATATYPE_MISALIGNMENT, __builtin_return_address(0));
}

/* What the processor raises. */
_Noreturn void vcpu_raise_fault(const void *instruction, const void *address, bool write)
{
    EXCEPTION_RECORD record = {.ExceptionCode = STATUS_ACCESS_VIOLATION,
                               .ExceptionAddress = (void *)(uintptr_t)instruction,
                               .NumberParameters = 2,
                               .ExceptionInformation = {write, (uintptr_t)address}};

    dispatch(&record);
}

/*
 * Where the user half of the address space would be. There is no process here, so nothing lies in it; the simulated
 * kernel's own memory, which a Linux process has down there, is not part of it.
 */
#define USER_PROBE_ADDRESS UINT64_C(0x7FFFFFFF0000)

static bool kernel_address(const void *address)
{
    char what[160];

    return (uintptr_t)address >= USER_PROBE_ADDRESS || guest_range_valid(address, 1) ||
           guest_address_describe(address, what, sizeof(what)) || fiber_guard_owner(address) != NULL ||
           fiber_stack_contains(address, 1);
}

static void probe(const void *address, SIZE_T length, ULONG alignment, const void *caller)
{
    if (((uintptr_t)address & (alignment - 1)) != 0)
        ke_raise_status(STATUS_DATATYPE_MISALIGNMENT, caller);
    if ((uintptr_t)address + length < (uintptr_t)address || (uintptr_t)address + length > USER_PROBE_ADDRESS ||
        kernel_address(address))
        ke_raise_status(STATUS_ACCESS_VIOLATION, caller);
}

VOID NTAPI ProbeForRead(const volatile VOID *Address, SIZE_T Length, ULONG Alignment)
{
    NT_CALL(APC_LEVEL);
    if (Length != 0)
        probe((const void *)(uintptr_t)Address, Length, Alignment, __builtin_return_address(0));
}

VOID NTAPI ProbeForWrite(volatile VOID *Address, SIZE_T Length, ULONG Alignment)
{
    NT_CALL(APC_LEVEL);
    if (Length == 0)
        return;
    probe((const void *)(uintptr_t)Address, Length, Alignment, __builtin_return_address(0));
    /* It touches every page; no page of the user half is there. */
    vcpu_raise_fault(__builtin_return_address(0), (const void *)(uintptr_t)Address, true);
}

/* ---- faults ---- */

bool vcpu_fault_is_exception(const void *address)
{
    const struct runner *runner = runner_current();

    return runner != NULL && ke_vcpu() != NULL && ke_irql() < DISPATCH_LEVEL && reachable(runner->fiber) != NULL &&
           !kernel_address(address);
}

/* ---- the frames ---- */

VOID NTAPI KxTryEnter(PKX_TRY Try, PVOID Frame)
{
    struct fiber *fiber = current();

    Try->Previous = fiber->try_chain;
    Try->Frame = Frame;
    Try->Pointers = NULL;
    Try->Level = interrupt_depth();
    Try->Linked = TRUE;
    Try->Inside = fiber->in_kernel;
    Try->State = KX_TRY_BODY;
    fiber->try_chain = Try;
}

VOID NTAPI KxTryPop(PKX_TRY Try)
{
    struct fiber *fiber = current();

    if (!Try->Linked)
        return;
    fiber->try_chain = Try->Previous;
    Try->Linked = FALSE;
}

void ke_try_left(PKX_TRY try)
{
    if (try->Linked)
        enter(current(), try, KX_TRY_LEAVING);
}

BOOLEAN NTAPI KxTryEnd(PKX_TRY Try)
{
    struct fiber_exception *exception = &current()->exception;

    switch (Try->State) {
    case KX_TRY_FILTER:
        return TRUE;
    case KX_TRY_LEAVING:
        ke_try_back(Try->Back);
    case KX_TRY_UNWIND:
        unwind(Try->Target);
    case KX_TRY_HANDLE:
        exception->code = Try->Code;
        break;
    default:
        break;
    }
    exception->handled = Try->State == KX_TRY_HANDLE;
    return FALSE;
}

VOID NTAPI KxTryDecide(PKX_TRY Try, LONG Disposition)
{
    answer(Try, Disposition);
}

BOOLEAN NTAPI KxTryHandled(VOID)
{
    struct fiber *fiber = current();
    BOOLEAN handled = fiber->exception.handled;

    fiber->exception.handled = false;
    return handled;
}

NTSTATUS NTAPI KxExceptionCode(VOID)
{
    return current()->exception.code;
}

VOID NTAPI KxTryEndFinally(PKX_TRY Try)
{
    struct fiber_exception *exception = &current()->exception;

    if (Try->State == KX_TRY_FILTER)
        answer(Try, EXCEPTION_CONTINUE_SEARCH);
    exception->abnormal = Try->State != KX_TRY_BODY;
    exception->target = Try->State == KX_TRY_UNWIND ? Try->Target : NULL;
    if (Try->State == KX_TRY_LEAVING)
        memcpy(exception->back, Try->Back, sizeof(Try->Back));
}

BOOLEAN NTAPI KxFinallyNext(PKX_FINALLY Finally)
{
    const struct fiber_exception *exception = &current()->exception;

    if (!Finally->Entered) {
        Finally->Entered = TRUE;
        Finally->Abnormal = exception->abnormal;
        Finally->Target = exception->target;
        memcpy(Finally->Back, exception->back, sizeof(Finally->Back));
        return TRUE;
    }
    if (Finally->Target != NULL)
        unwind(Finally->Target);
    if (Finally->Abnormal)
        ke_try_back(Finally->Back);
    return FALSE;
}
