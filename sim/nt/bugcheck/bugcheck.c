/* Bugchecks and broken rules: run the registered callbacks, then end the run with a report. */
#include <stdio.h>
#include <string.h>

#include "image/loader.h"
#include "machine/backtrace.h"
#include "nt/ke/ke.h"
#include "nt/verifier/rules.h"

static void run_callbacks(void)
{
    struct ke_state *ke = machine->ke;

    while (!IsListEmpty(&ke->bugcheck_callbacks)) {
        PKBUGCHECK_CALLBACK_RECORD record =
            CONTAINING_RECORD(RemoveHeadList(&ke->bugcheck_callbacks), KBUGCHECK_CALLBACK_RECORD, Entry);

        record->State = BufferStarted;
        KERNEL_CALLOUT(record->CallbackRoutine, record->Buffer, record->Length);
        record->State = BufferFinished;
    }
}

static _Noreturn void end(uint32_t code, const uint64_t parameter[4], const char *rule, const char *text)
{
    struct vcpu *vcpu;

    (void)kernel_enter(); /* for good */
    vcpu = ke_vcpu();
    if (verifier_rule_with_code(rule, code) == NULL)
        fail("internal", "sim/nt/verifier/rules.def has no rule '%s' with bugcheck 0x%X; broken was: %s", rule, code,
             text);

    if (vcpu != NULL && machine->ke != NULL && machine->failure == NULL) {
        /* Every other processor is frozen from here on: no switch point of a callback may leave this one. */
        vcpu->irql = HIGH_LEVEL;
        sched_freeze();
        run_callbacks();
    }
    fail_bugcheck(code, verifier_bugcheck_name(code), parameter, rule, "%s", text);
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

/* The innermost frame of the caller's stack that lies in a driver, NULL if none does. */
static const void *driver_frame(void)
{
    void *frames[48];
    int count = backtrace_collect(frames, ARRAYSIZE(frames));

    for (int index = 0; index < count; index++)
        if (loader_find(frames[index]) != NULL)
            return frames[index];
    return NULL;
}

static _Noreturn void broken(const char *name, const uint64_t rest[3], const char *format, va_list arguments)
{
    const struct verifier_rule *rule = verifier_rule(name);
    uint64_t parameter[4] = {0};
    char text[1024];

    vsnprintf(text, sizeof(text), format, arguments);
    if (rule == NULL)
        fail("internal", "sim/nt/verifier/rules.def has no rule '%s'; broken was: %s", name, text);
    parameter[0] = rule->first;
    if (rest != NULL) {
        memcpy(&parameter[1], rest, 3 * sizeof(*rest));
    } else {
        parameter[0] = VERIFIER_OWN;
        parameter[1] = (uintptr_t)rule->name;
        parameter[2] = (uintptr_t)driver_frame();
    }
    end(rule->code, parameter, name, text);
}

_Noreturn void nt_violation(const char *rule, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    broken(rule, NULL, format, arguments);
}

_Noreturn void nt_violation_sub(const char *rule, uint64_t parameter2, uint64_t parameter3, uint64_t parameter4,
                                const char *format, ...)
{
    const uint64_t rest[3] = {parameter2, parameter3, parameter4};
    va_list arguments;

    va_start(arguments, format);
    broken(rule, rest, format, arguments);
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
