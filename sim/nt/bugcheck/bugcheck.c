/* Bugchecks and broken rules: run the registered callbacks, then end the run with a report. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/loader.h"
#include "machine/backtrace.h"
#include "machine/fail_internal.h"
#include "machine/guest_ram.h"
#include "nt/ke/ke.h"
#include "nt/mm/mm.h"
#include "nt/verifier/rules.h"

/* A failure while the callbacks of the first one run: that is noted, and no more callbacks are. */
static void note_second(const struct vcpu *vcpu, const char *rule, const char *text)
{
    char name[128];

    if (vcpu == NULL || machine->ke->bugcheck_vcpu != vcpu)
        return;
    *machine->ke->bugcheck_callback_state = BufferIncomplete;
    loader_describe(name, sizeof(name), machine->ke->bugcheck_callback);
    fail_note("the bugcheck callback %s failed itself (rule %s): %s; no more callbacks are run", name, rule, text);
}

static _Noreturn void end(uint32_t code, const uint64_t parameter[4], const char *rule, const char *text,
                          const struct trap *trap)
{
    struct vcpu *vcpu;

    (void)kernel_enter(); /* for good */
    mm_paged_show();
    vcpu = ke_vcpu();
    if (verifier_rule_with_code(rule, code) == NULL)
        fail("internal", "sim/nt/verifier/rules.def has no rule '%s' with bugcheck 0x%X; broken was: %s", rule, code,
             text);
    if (!fail_record_bugcheck(code, verifier_bugcheck_name(code), parameter, rule, text, trap)) {
        note_second(vcpu, rule, text);
        fail_leave();
    }
    if (vcpu != NULL && machine->ke != NULL) {
        /* Every other processor is frozen from here on: no switch point of a callback may leave this one. */
        machine->ke->bugcheck_vcpu = vcpu;
        machine->ke->bugcheck_irql = vcpu->irql;
        vcpu->irql = HIGH_LEVEL;
        sched_freeze();
        bugcheck_run_callbacks(code, parameter);
    }
    fail_leave();
}

/* The text is on the host's heap: stacks here are small. */
static char *format_text(const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) < 0)
        abort();
    image_holds_host_block(text);
    return text;
}

_Noreturn void ke_bugcheck(uint32_t code, const uint64_t parameter[4], const char *rule, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_text(format, arguments);
    va_end(arguments);
    end(code, parameter, rule, text, NULL);
}

#define IO_ERRORS 0x200u /* Bug Check 0xC9: from here on parameter 2 is the driver's code */

static _Noreturn void broken(const char *name, const uint64_t rest[3], const char *text)
{
    const struct verifier_rule *rule = verifier_rule(name);
    uint64_t parameter[4] = {0};

    if (rule == NULL)
        fail("internal", "sim/nt/verifier/rules.def has no rule '%s'; broken was: %s", name, text);
    parameter[0] = rule->first;
    if (rest != NULL) {
        memcpy(&parameter[1], rest, 3 * sizeof(*rest));
        if (rule->code == DRIVER_VERIFIER_IOMANAGER_VIOLATION && rule->first >= IO_ERRORS)
            parameter[1] = (uintptr_t)loader_calling_driver();
    } else {
        parameter[0] = VERIFIER_OWN;
        parameter[1] = (uintptr_t)rule->name;
        parameter[2] = (uintptr_t)loader_calling_driver();
    }
    end(rule->code, parameter, name, text, NULL);
}

_Noreturn void nt_violation(const char *rule, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_text(format, arguments);
    va_end(arguments);
    broken(rule, NULL, text);
}

_Noreturn void nt_violation_sub(const char *rule, uint64_t parameter2, uint64_t parameter3, uint64_t parameter4,
                                const char *format, ...)
{
    const uint64_t rest[3] = {parameter2, parameter3, parameter4};
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_text(format, arguments);
    va_end(arguments);
    broken(rule, rest, text);
}

_Noreturn void nt_violation_code(uint32_t bugcheck_code, const uint64_t parameter[4], const char *rule,
                                 const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_text(format, arguments);
    va_end(arguments);
    end(bugcheck_code, parameter, rule, text, NULL);
}

/* ---- faults ---- */

static const char *access_name(enum trap_access access)
{
    return access == TRAP_WRITE ? "a write to" : access == TRAP_EXECUTE ? "execution at" : "a read of";
}

_Noreturn static void page_fault(const struct trap *trap, const char *text)
{
    const uint64_t address = (uintptr_t)trap->address;
    const uint64_t instruction = (uintptr_t)trap->instruction;
    const KIRQL irql = ke_irql();

    if (irql >= DISPATCH_LEVEL) {
        static const uint64_t kinds[] = {[TRAP_READ] = 0, [TRAP_WRITE] = 1, [TRAP_EXECUTE] = 8};
        const uint64_t parameter[4] = {address, irql, kinds[trap->access], instruction};

        end(loader_find(trap->instruction) != NULL ? DRIVER_IRQL_NOT_LESS_OR_EQUAL : IRQL_NOT_LESS_OR_EQUAL, parameter,
            "fault", text, trap);
    }
    static const uint64_t kinds[] = {[TRAP_READ] = 0, [TRAP_WRITE] = 1, [TRAP_EXECUTE] = 0x10};
    const uint64_t parameter[4] = {address, kinds[trap->access], instruction, 0};

    end(PAGE_FAULT_IN_NONPAGED_AREA, parameter, "fault", text, trap);
}

_Noreturn void nt_trap(const struct trap *trap)
{
    const char *guard = fiber_guard_owner(trap->address);
    const uint64_t instruction = (uintptr_t)trap->instruction;
    char what[160];
    char *text;

    if (guard != NULL) {
        const uint64_t parameter[4] = {8 /* double fault */, (uintptr_t)trap->address, 0, instruction};

        text = image_printf("the stack of %s ran into its guard page", guard);
        end(UNEXPECTED_KERNEL_MODE_TRAP, parameter, "stack-overflow", text, trap);
    }
    if (trap->signal == SIGSEGV || trap->signal == SIGBUS) {
        const char *paged = mm_paged_fault();
        bool known = paged == NULL && guest_address_describe(trap->address, what, sizeof(what));

        if (paged != NULL)
            snprintf(what, sizeof(what), "%s, which may be paged out", paged);
        text = image_printf("%s: %s address %p at IRQL %u%s%s", strsignal(trap->signal), access_name(trap->access),
                            trap->address, ke_irql(), known || paged != NULL ? ": " : "",
                            known || paged != NULL ? what : "");
        page_fault(trap, text);
    }
    const uint64_t parameter[4] = {trap->signal == SIGFPE ? (uint32_t)STATUS_INTEGER_DIVIDE_BY_ZERO
                                                          : (uint32_t)STATUS_ILLEGAL_INSTRUCTION,
                                   instruction, 0, 0};

    text = image_printf("%s at %p", strsignal(trap->signal), trap->instruction);
    end(KMODE_EXCEPTION_NOT_HANDLED, parameter, "fault", text, trap);
}

void nt_driver_of(const void *address, char *buffer, size_t size)
{
    const struct loader_module *module = machine->loader != NULL ? loader_find(address) : NULL;

    if (module != NULL)
        snprintf(buffer, size, "%s", loader_module_name(module));
}

/* ---- what drivers call ---- */

VOID NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                        ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4)
{
    const uint64_t parameter[4] = {BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4};

    char caller[128];

    loader_describe(caller, sizeof(caller), __builtin_return_address(0));
    ke_bugcheck(BugCheckCode, parameter, "bugcheck", "KeBugCheckEx called from %s", caller);
}

VOID NTAPI KeBugCheck(ULONG BugCheckCode)
{
    static const uint64_t none[4];
    char caller[128];

    loader_describe(caller, sizeof(caller), __builtin_return_address(0));
    ke_bugcheck(BugCheckCode, none, "bugcheck", "KeBugCheck called from %s", caller);
}
