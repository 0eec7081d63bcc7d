/* Bugchecks and broken rules: run the registered callbacks, then end the run with a report. */
#include <stdio.h>
#include <string.h>

#include "nt/ke/ke.h"

struct bugcheck_name {
    uint32_t code;
    const char *name;
};

static const struct bugcheck_name names[] = {
    {0x0A, "IRQL_NOT_LESS_OR_EQUAL"},
    {0x09, "IRQL_NOT_GREATER_OR_EQUAL"},
    {0x0C, "MAXIMUM_WAIT_OBJECTS_EXCEEDED"},
    {0x0F, "SPIN_LOCK_ALREADY_OWNED"},
    {0x10, "SPIN_LOCK_NOT_OWNED"},
    {0x19, "BAD_POOL_HEADER"},
    {0x1E, "KMODE_EXCEPTION_NOT_HANDLED"},
    {0x35, "NO_MORE_IRP_STACK_LOCATIONS"},
    {0x44, "MULTIPLE_IRP_COMPLETE_REQUESTS"},
    {0x50, "PAGE_FAULT_IN_NONPAGED_AREA"},
    {0x7F, "UNEXPECTED_KERNEL_MODE_TRAP"},
    {0x9F, "DRIVER_POWER_STATE_FAILURE"},
    {0xC2, "BAD_POOL_CALLER"},
    {0xC4, "DRIVER_VERIFIER_DETECTED_VIOLATION"},
    {0xC5, "DRIVER_CORRUPTED_EXPOOL"},
    {0xC7, "TIMER_OR_DPC_INVALID"},
    {0xC9, "DRIVER_VERIFIER_IOMANAGER_VIOLATION"},
    {0xCA, "PNP_DETECTED_FATAL_ERROR"},
    {0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL"},
    {0xE2, "MANUALLY_INITIATED_CRASH"},
    {0xE6, "DRIVER_VERIFIER_DMA_VIOLATION"},
    {0x18, "REFERENCE_BY_POINTER"},
    {0x4E, "PFN_LIST_CORRUPT"},
    {0x76, "PROCESS_HAS_LOCKED_PAGES"},
    {0x8A, "THREAD_TERMINATE_HELD_MUTEX"},
    {0x139, "KERNEL_SECURITY_CHECK_FAILURE"},
    {0x133, "DPC_WATCHDOG_VIOLATION"},
    {0xDA, "SYSTEM_PTE_MISUSE"},
};

const char *ke_bugcheck_name(uint32_t code)
{
    for (size_t index = 0; index < ARRAYSIZE(names); index++)
        if (names[index].code == code)
            return names[index].name;
    return "(bugcheck without a name here)";
}

static void run_callbacks(void)
{
    struct ke_state *ke = machine->ke;

    while (!IsListEmpty(&ke->bugcheck_callbacks)) {
        PKBUGCHECK_CALLBACK_RECORD record =
            CONTAINING_RECORD(RemoveHeadList(&ke->bugcheck_callbacks), KBUGCHECK_CALLBACK_RECORD, Entry);

        record->State = BufferStarted;
        record->CallbackRoutine(record->Buffer, record->Length);
        record->State = BufferFinished;
    }
}

static _Noreturn void end(uint32_t code, const uint64_t parameter[4], const char *rule, const char *text)
{
    struct vcpu *vcpu = ke_vcpu();

    if (vcpu != NULL && machine->ke != NULL && machine->failure == NULL) {
        /* Every other processor is frozen from here on: no switch point of a callback may leave this one. */
        vcpu->irql = HIGH_LEVEL;
        sched_freeze();
        run_callbacks();
    }
    fail_bugcheck(code, ke_bugcheck_name(code), parameter, rule, "%s", text);
}

_Noreturn void ke_bugcheck(uint32_t code, const uint64_t parameter[4], const char *rule, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    end(code, parameter, rule, text);
}

_Noreturn void nt_violation(const char *rule, const char *format, ...)
{
    static const uint64_t none[4];
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    end(DRIVER_VERIFIER_DETECTED_VIOLATION, none, rule, text);
}

_Noreturn void nt_violation_code(uint32_t bugcheck_code, const uint64_t parameter[4], const char *rule,
                                 const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    end(bugcheck_code, parameter, rule, text);
}

VOID NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                        ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4)
{
    const uint64_t parameter[4] = {BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4};

    ke_bugcheck(BugCheckCode, parameter, "bugcheck", "KeBugCheckEx called from %p", __builtin_return_address(0));
}

VOID NTAPI KeBugCheck(ULONG BugCheckCode)
{
    static const uint64_t none[4];

    ke_bugcheck(BugCheckCode, none, "bugcheck", "KeBugCheck called from %p", __builtin_return_address(0));
}

BOOLEAN NTAPI KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord,
                                         PKBUGCHECK_CALLBACK_ROUTINE CallbackRoutine, PVOID Buffer, ULONG Length,
                                         PUCHAR Component)
{
    NT_CALL_ANY();
    if (CallbackRecord->State != BufferEmpty)
        return FALSE;
    CallbackRecord->CallbackRoutine = CallbackRoutine;
    CallbackRecord->Buffer = Buffer;
    CallbackRecord->Length = Length;
    CallbackRecord->Component = Component;
    CallbackRecord->State = BufferInserted;
    InsertTailList(&machine->ke->bugcheck_callbacks, &CallbackRecord->Entry);
    return TRUE;
}

BOOLEAN NTAPI KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord)
{
    NT_CALL_ANY();
    if (CallbackRecord->State != BufferInserted)
        return FALSE;
    RemoveEntryList(&CallbackRecord->Entry);
    CallbackRecord->State = BufferEmpty;
    return TRUE;
}

BOOLEAN NTAPI KeRegisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord,
                                               PKBUGCHECK_REASON_CALLBACK_ROUTINE CallbackRoutine,
                                               KBUGCHECK_CALLBACK_REASON Reason, PUCHAR Component)
{
    NT_CALL_ANY();
    if (CallbackRecord->State != BufferEmpty)
        return FALSE;
    CallbackRecord->CallbackRoutine = CallbackRoutine;
    CallbackRecord->Reason = Reason;
    CallbackRecord->Component = Component;
    CallbackRecord->State = BufferInserted;
    InsertTailList(&machine->ke->bugcheck_reason_callbacks, &CallbackRecord->Entry);
    return TRUE;
}

BOOLEAN NTAPI KeDeregisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord)
{
    NT_CALL_ANY();
    if (CallbackRecord->State != BufferInserted)
        return FALSE;
    RemoveEntryList(&CallbackRecord->Entry);
    CallbackRecord->State = BufferEmpty;
    return TRUE;
}
