/*
 * Structured exceptions: the frames of sim/include/wdm/seh.h, the routines that raise, and faults of driver code that
 * somebody may handle. The chain of frames belongs to the flow of control, that is to the fiber (a DPC has its own); an
 * interrupt service routine borrows a fiber and must not find the frames of what it interrupts, so a frame has the
 * depth of interrupts at which it came.
 */
#include "machine/fiber.h"
#include "machine/guest_ram.h"
#include "machine/kernel_lock.h"
#include "machine/runner.h"
#include "machine/vcpu.h"
#include "nt/ke/ke.h"

static struct fiber *current(void)
{
    return runner_current()->fiber;
}

static ULONG interrupt_depth(void)
{
    const struct vcpu *vcpu = ke_vcpu();

    return vcpu != NULL ? vcpu->isr_depth : 0;
}

static void note(struct fiber *fiber, const EXCEPTION_RECORD *record)
{
    fiber->exception = (struct fiber_exception){
        .code = record->ExceptionCode,
        .parameters = record->NumberParameters,
        .address = record->ExceptionAddress,
        .parameter = {record->ExceptionInformation[0], record->ExceptionInformation[1]},
    };
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

/* Hand the exception to the innermost frame. Control leaves whatever routines of the kernel lie between. */
static _Noreturn void dispatch(const EXCEPTION_RECORD *record)
{
    struct fiber *fiber = current();
    PKX_TRY frame = reachable(fiber);

    if (frame == NULL)
        unhandled(record);
    frame->Record = *record;
    frame->Raised = TRUE;
    frame->Linked = FALSE;
    frame->StackPointer = (uintptr_t)__builtin_frame_address(0);
    fiber->try_chain = frame->Previous;
    if (fiber->in_kernel)
        kernel_lock_leave(fiber);
    __builtin_longjmp(frame->Buffer, 1);
}

static EXCEPTION_RECORD record_of(const struct fiber_exception *exception)
{
    return (EXCEPTION_RECORD){.ExceptionCode = exception->code,
                              .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
                              .ExceptionAddress = exception->address,
                              .NumberParameters = exception->parameters,
                              .ExceptionInformation = {exception->parameter[0], exception->parameter[1]}};
}

static _Noreturn void raise_exception(struct fiber_exception exception)
{
    EXCEPTION_RECORD record = record_of(&exception);

    dispatch(&record);
}

_Noreturn void ke_raise_status(NTSTATUS status, const void *address)
{
    raise_exception((struct fiber_exception){.code = status, .address = (void *)(uintptr_t)address});
}

/* ---- raising ---- */

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
    raise_exception((struct fiber_exception){.code = STATUS_ACCESS_VIOLATION,
                                             .address = __builtin_return_address(0),
                                             .parameters = 2,
                                             .parameter = {1, (uintptr_t)Address}});
}

/* ---- faults ---- */

bool vcpu_fault_is_exception(const void *address)
{
    const struct runner *runner = runner_current();

    return runner != NULL && ke_vcpu() != NULL && ke_irql() < DISPATCH_LEVEL && reachable(runner->fiber) != NULL &&
           !kernel_address(address);
}

_Noreturn void vcpu_raise_fault(const void *instruction, const void *address, bool write)
{
    raise_exception((struct fiber_exception){.code = STATUS_ACCESS_VIOLATION,
                                             .address = (void *)(uintptr_t)instruction,
                                             .parameters = 2,
                                             .parameter = {write, (uintptr_t)address}});
}

/* ---- the frames ---- */

VOID NTAPI KxTryEnter(PKX_TRY Try, const VOID *Leave)
{
    struct fiber *fiber = current();

    Try->Previous = fiber->try_chain;
    Try->Leave = Leave;
    Try->Level = interrupt_depth();
    Try->Linked = TRUE;
    Try->Raised = FALSE;
    Try->Ended = FALSE;
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

BOOLEAN NTAPI KxTryEnd(PKX_TRY Try)
{
    struct fiber *fiber = current();

    KxTryPop(Try);
    Try->Ended = TRUE;
    fiber->exception_handled = false;
    if (Try->Raised)
        note(fiber, &Try->Record);
    return Try->Raised;
}

VOID NTAPI KxTryDecide(PKX_TRY Try, LONG Disposition)
{
    struct fiber *fiber = current();

    if (Disposition < 0)
        nt_violation("exception-continue",
                     "a filter wants to go on after exception %#x (EXCEPTION_CONTINUE_EXECUTION), which is not "
                     "continuable here",
                     (unsigned)Try->Record.ExceptionCode);
    if (Disposition == EXCEPTION_CONTINUE_SEARCH)
        dispatch(&Try->Record);
    note(fiber, &Try->Record);
    fiber->exception_handled = true;
}

BOOLEAN NTAPI KxTryHandled(VOID)
{
    struct fiber *fiber = current();
    BOOLEAN handled = fiber->exception_handled;

    fiber->exception_handled = false;
    return handled;
}

NTSTATUS NTAPI KxExceptionCode(VOID)
{
    return current()->exception.code;
}

PEXCEPTION_POINTERS NTAPI KxExceptionPointers(PKX_TRY Try, PEXCEPTION_POINTERS Pointers, PCONTEXT Context)
{
    Context->ContextFlags = CONTEXT_CONTROL;
    Context->Rip = (uintptr_t)Try->Record.ExceptionAddress;
    Context->Rsp = Try->StackPointer;
    Pointers->ExceptionRecord = &Try->Record;
    Pointers->ContextRecord = Context;
    return Pointers;
}

VOID NTAPI KxTryEndFinally(PKX_TRY Try)
{
    struct fiber *fiber = current();

    KxTryPop(Try);
    Try->Ended = TRUE;
    fiber->exception_handled = Try->Raised;
    if (Try->Raised)
        note(fiber, &Try->Record);
}

BOOLEAN NTAPI KxFinallyNext(PKX_FINALLY Finally)
{
    struct fiber *fiber = current();

    if (!Finally->Entered) {
        Finally->Entered = TRUE;
        Finally->Abnormal = fiber->exception_handled;
        if (Finally->Abnormal)
            Finally->Record = record_of(&fiber->exception);
        fiber->exception_handled = false;
        return TRUE;
    }
    if (Finally->Abnormal)
        dispatch(&Finally->Record);
    return FALSE;
}

VOID NTAPI KxFinallyLeft(VOID)
{
    nt_violation("finally-left",
                 "control left the body of a __try with a __finally by return, goto, break or continue: "
                 "use __leave");
}
