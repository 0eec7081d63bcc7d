#include "machine/fail.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "machine/backtrace.h"
#include "machine/clock.h"
#include "machine/eventlog.h"
#include "machine/fail_internal.h"
#include "machine/fiber.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/machine.h"
#include "machine/runner.h"
#include "machine/vcpu.h"

#define FRAMES_MAX ((int)(sizeof(((struct failure *)NULL)->frames) / sizeof(void *)))

void fail_symbolise(struct failure *failure)
{
    if (failure->backtrace[0] == '\0')
        backtrace_print(failure->backtrace, sizeof(failure->backtrace), failure->frames, failure->frame_count);
    for (int index = 0; index < failure->stacks.count; index++)
        if (failure->stacks.stack[index].text[0] == '\0')
            backtrace_print(failure->stacks.stack[index].text, sizeof(failure->stacks.stack[index].text),
                            failure->stacks.stack[index].frames, failure->stacks.stack[index].frame_count);
}

void fail_note_stack(void *const *frames, int count, const char *title, ...)
{
    struct failure_stacks *noted = machine->noted;
    va_list arguments;

    if (noted == NULL)
        noted = machine->noted = image_alloc(sizeof(*noted));
    if (noted->count == FAILURE_STACKS) {
        snprintf(noted->stack[FAILURE_STACKS - 1].title, sizeof(noted->stack->title), "and more, the last:");
        noted->count--;
    } else {
        va_start(arguments, title);
        vsnprintf(noted->stack[noted->count].title, sizeof(noted->stack->title), title, arguments);
        va_end(arguments);
    }
    if (count > (int)(sizeof(noted->stack->frames) / sizeof(void *)))
        count = (int)(sizeof(noted->stack->frames) / sizeof(void *));
    memcpy(noted->stack[noted->count].frames, frames, (size_t)count * sizeof(*frames));
    noted->stack[noted->count++].frame_count = count;
}

static void print_and_exit(struct failure *failure)
{
    fail_symbolise(failure);
    fprintf(stderr, "pvsim: %s: %s\n%s", failure->rule, failure->text, failure->backtrace);
    for (int index = 0; index < failure->stacks.count; index++)
        fprintf(stderr, "%s\n%s", failure->stacks.stack[index].title, failure->stacks.stack[index].text);
    exit(1);
}

_Noreturn static void raise_failure(struct failure *failure)
{
    if (machine == NULL || machine->sched == NULL || runner_current() == NULL) {
        print_and_exit(failure);
        abort();
    }
    (void)kernel_enter(); /* for good */
    if (machine->failure == NULL) {
        failure->time = clock_now();
        failure->vcpu = vcpu_current_index();
        failure->event = eventlog_count() + 1;
        machine->failure = failure;
        machine->config.stop_at_event = 0;
        eventlog_add(EVENT_FAILURE, failure->code, 0, 0);
    }
    sched_leave();
}

static struct failure *record(const char *rule)
{
    struct failure *failure = calloc(1, sizeof(*failure));

    if (failure == NULL)
        abort();
    image_holds_host_block(failure);
    snprintf(failure->rule, sizeof(failure->rule), "%s", rule);
    if (machine != NULL && machine->noted != NULL)
        failure->stacks = *machine->noted;
    return failure;
}

_Noreturn void fail(const char *rule, const char *format, ...)
{
    struct failure *failure = record(rule);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(failure->text, sizeof(failure->text), format, arguments);
    va_end(arguments);
    failure->frame_count = backtrace_collect(failure->frames, FRAMES_MAX);
    raise_failure(failure);
}

_Noreturn void fail_bugcheck(uint32_t code, const char *name, const uint64_t parameter[4], const char *rule,
                             const char *format, ...)
{
    struct failure *failure = record(rule);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(failure->text, sizeof(failure->text), format, arguments);
    va_end(arguments);
    failure->code = code;
    snprintf(failure->title, sizeof(failure->title), "%s", name);
    memcpy(failure->parameter, parameter, sizeof(failure->parameter));
    failure->frame_count = backtrace_collect(failure->frames, FRAMES_MAX);
    raise_failure(failure);
}

const struct failure *machine_failure(void)
{
    return machine != NULL ? machine->failure : NULL;
}

/* ---- faults of guest code ---- */

static const char *signal_title(int number)
{
    switch (number) {
    case SIGSEGV:
    case SIGBUS:
        return "PAGE_FAULT_IN_NONPAGED_AREA";
    case SIGFPE:
        return "KMODE_EXCEPTION_NOT_HANDLED: arithmetic";
    default:
        return "KMODE_EXCEPTION_NOT_HANDLED: illegal instruction";
    }
}

#define RED_ZONE 128
#define PAGE_FAULT_WRITE 2 /* of the processor's error code */

/* Go on behind the handler as if the faulting instruction had called vcpu_raise_fault(). */
static void raise_behind_handler(ucontext_t *registers, const void *address)
{
    greg_t *set = registers->uc_mcontext.gregs;
    bool write = (set[REG_ERR] & PAGE_FAULT_WRITE) != 0;

    set[REG_RDI] = set[REG_RIP];
    set[REG_RSI] = (greg_t)(uintptr_t)address;
    set[REG_RDX] = write;
    set[REG_RSP] = ((set[REG_RSP] - RED_ZONE) & ~(greg_t)15) - (greg_t)sizeof(greg_t);
    set[REG_RIP] = (greg_t)(uintptr_t)vcpu_raise_fault;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const ucontext_t *registers = context;
    struct failure *failure;
    const char *guard;
    char what[160];
    sigset_t set;

    if (machine == NULL || machine->sched == NULL || runner_current() == NULL || machine->failure != NULL) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    if (number == SIGSEGV && info->si_code != SI_KERNEL && vcpu_fault_is_exception(info->si_addr)) {
        raise_behind_handler(context, info->si_addr);
        return;
    }
    failure = record("fault");
    failure->code = number == SIGSEGV || number == SIGBUS ? 0x50 : 0x1e;
    snprintf(failure->title, sizeof(failure->title), "%s", signal_title(number));
    failure->parameter[0] = (uint64_t)(uintptr_t)info->si_addr;
    failure->parameter[2] = (uint64_t)registers->uc_mcontext.gregs[REG_RIP];
    guard = fiber_guard_owner(info->si_addr);
    if (guard != NULL) {
        snprintf(failure->rule, sizeof(failure->rule), "stack-overflow");
        snprintf(failure->title, sizeof(failure->title), "UNEXPECTED_KERNEL_MODE_TRAP (double fault)");
        failure->code = 0x7f;
        snprintf(failure->text, sizeof(failure->text), "the stack of %s ran into its guard page", guard);
    } else {
        size_t length = (size_t)snprintf(failure->text, sizeof(failure->text), "%s at address %p", strsignal(number),
                                         info->si_addr);

        if (guest_address_describe(info->si_addr, what, sizeof(what)))
            snprintf(failure->text + length, sizeof(failure->text) - length, ": %s", what);
    }
    failure->frame_count = backtrace_collect_context(failure->frames, FRAMES_MAX, registers);

    /* We leave this handler by a switch of stacks: the signal must be open for the next time. */
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise_failure(failure);
}

void *fail_adopt_thread(void)
{
    stack_t stack = {.ss_size = 256 * 1024};

    stack.ss_sp = malloc(stack.ss_size);
    if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) != 0) {
        fprintf(stderr, "pvsim: no signal stack: %s\n", strerror(errno));
        exit(125);
    }
    return stack.ss_sp;
}

void fail_release_thread(void *signal_stack)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    sigaltstack(&none, NULL);
    free(signal_stack);
}

void fail_catch_faults(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

#ifdef PVSIM_SANITIZE
    /* The sanitizer's own report of a wild access says more. */
    return;
#endif
    (void)fail_adopt_thread();
    sigemptyset(&action.sa_mask);
    for (size_t index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++)
        sigaction(numbers[index], &action, NULL);
}
