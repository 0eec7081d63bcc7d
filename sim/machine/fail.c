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
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/machine.h"
#include "machine/runner.h"
#include "machine/vcpu.h"

#define FRAMES_MAX ((int)(sizeof(((struct failure *)NULL)->frames) / sizeof(void *)))
#define TRAP_STACK_SIZE (64u * 1024)
#define SIGNAL_STACK_SIZE (256u * 1024)

/* What trap_entry finds on its stack: where the fault was, in the order that its unwind rules name (trap_entry.S). */
struct trap_frame {
    greg_t rip, rsp, rbp, rbx, r12, r13, r14, r15;
};

/* A host thread's: stacks for the signal's handler and for what comes of it, and what the handler saw. */
struct trap_area {
    struct trap trap;
    uint8_t trap_stack[TRAP_STACK_SIZE] __attribute__((aligned(16)));
    uint8_t signal_stack[SIGNAL_STACK_SIZE];
};

static _Thread_local struct trap_area *area;

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

/* ---- the record ---- */

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        abort();
    image_holds_host_block(copy);
    return copy;
}

static struct failure *record(const char *rule, const char *text)
{
    struct failure *failure = calloc(1, sizeof(*failure));

    if (failure == NULL)
        abort();
    image_holds_host_block(failure);
    snprintf(failure->rule, sizeof(failure->rule), "%s", rule);
    if (machine != NULL && machine->noted != NULL)
        failure->stacks = *machine->noted;
    failure->text = copy_text(text);
    failure->notes = copy_text("");
    failure->backtrace = copy_text("");
    failure->state = copy_text("");
    return failure;
}

void fail_free(struct failure *failure)
{
    if (failure == NULL)
        return;
    free(failure->text);
    free(failure->notes);
    free(failure->backtrace);
    free(failure->state);
    for (int index = 0; index < failure->stacks.count; index++)
        free(failure->stacks.stack[index].text);
    free(failure);
}

/* A machine that hangs: who waits for what is the report. */
static bool is_hang(const struct failure *failure)
{
    return strcmp(failure->rule, "no-progress") == 0 || strcmp(failure->rule, "timeout") == 0;
}

static void find_driver(struct failure *failure)
{
    for (int index = 0; index < failure->frame_count && failure->driver[0] == '\0'; index++)
        nt_driver_of(failure->frames[index], failure->driver, sizeof(failure->driver));
}

void fail_complete(struct failure *failure)
{
    if (failure->backtrace[0] != '\0')
        return;
    free(failure->backtrace);
    free(failure->state);
    failure->backtrace = backtrace_text(failure->frames, failure->frame_count);
    failure->state = sched_describe(is_hang(failure));
    image_holds_host_block(failure->backtrace);
    image_holds_host_block(failure->state);
    for (int index = 0; index < failure->stacks.count; index++) {
        struct failure_stack *stack = &failure->stacks.stack[index];

        stack->text = backtrace_text(stack->frames, stack->frame_count);
        image_holds_host_block(stack->text);
    }
}

/* ---- raising ---- */

/* The machine's failure from now on, if it has none. */
static bool install(struct failure *failure)
{
    if (machine == NULL || machine->sched == NULL || runner_current() == NULL) {
        char *frames = backtrace_text(failure->frames, failure->frame_count);

        fprintf(stderr, "pvsim: %s: %s\n%s", failure->rule, failure->text, frames);
        exit(1);
    }
    (void)kernel_enter(); /* for good */
    if (machine->failure != NULL)
        return false;
    find_driver(failure);
    failure->time = clock_now();
    failure->vcpu = vcpu_current_index();
    failure->event = eventlog_count() + 1;
    machine->failure = failure;
    machine->config.stop_at_event = 0;
    eventlog_add(EVENT_FAILURE, failure->code, 0, 0);
    return true;
}

_Noreturn void fail_leave(void)
{
    sched_leave();
}

_Noreturn void fail(const char *rule, const char *format, ...)
{
    struct failure *failure;
    va_list arguments;
    char *text;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    failure = record(rule, text);
    free(text);
    failure->frame_count = backtrace_collect(failure->frames, FRAMES_MAX);
    if (!install(failure))
        fail_free(failure);
    fail_leave();
}

static bool record_bugcheck(uint32_t code, const char *name, const uint64_t parameter[4], const char *rule,
                            const char *text, void *const *frames, int count)
{
    struct failure *failure = record(rule, text);

    failure->code = code;
    snprintf(failure->title, sizeof(failure->title), "%s", name);
    memcpy(failure->parameter, parameter, sizeof(failure->parameter));
    if (frames != NULL) {
        memcpy(failure->frames, frames, (size_t)count * sizeof(*frames));
        failure->frame_count = count;
    } else {
        failure->frame_count = backtrace_collect(failure->frames, FRAMES_MAX);
    }
    if (install(failure))
        return true;
    fail_free(failure);
    return false;
}

bool fail_record_bugcheck(uint32_t code, const char *name, const uint64_t parameter[4], const char *rule,
                          const char *text, const struct trap *trap)
{
    return record_bugcheck(code, name, parameter, rule, text, trap != NULL ? trap->frames : NULL,
                           trap != NULL ? trap->frame_count : 0);
}

void fail_note(const char *format, ...)
{
    struct failure *failure = machine->failure;
    va_list arguments;
    char *line;
    char *notes;

    va_start(arguments, format);
    if (vasprintf(&line, format, arguments) < 0 || asprintf(&notes, "%s%s\n", failure->notes, line) < 0)
        abort();
    va_end(arguments);
    free(line);
    free(failure->notes);
    failure->notes = notes;
    image_holds_host_block(notes);
}

const struct failure *machine_failure(void)
{
    return machine != NULL ? machine->failure : NULL;
}

/* ---- faults of guest code ---- */

/*
 * The handler runs on the host's signal stack. It takes down what it saw and sends the interrupted context to
 * trap_continue() on a stack of its own: the context's own may be what overflowed. Whoever unwinds that stack comes to
 * the instruction at fault, as behind a trap frame of Windows.
 */
_Noreturn void trap_entry(void);
__attribute__((visibility("hidden"))) _Noreturn void trap_continue(void);

_Noreturn void trap_continue(void)
{
    const struct trap *trap = &area->trap;

    (void)kernel_enter(); /* for good */
    if (vcpu_current_index() >= 0)
        nt_trap(trap);
    fail("fault", "%s at address %p in a task of dom0; the instruction is at %p", strsignal(trap->signal),
         trap->address, trap->instruction);
}

bool fail_on_trap_stack(const void *address, size_t size)
{
    return area != NULL && (uintptr_t)address >= (uintptr_t)area->trap_stack &&
           (uintptr_t)address + size <= (uintptr_t)area->trap_stack + TRAP_STACK_SIZE;
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
    ucontext_t *registers = context;
    greg_t *general = registers->uc_mcontext.gregs;
    struct trap_frame *frame;
    struct trap *trap;

    if (machine == NULL || machine->sched == NULL || area == NULL) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    if (number == SIGSEGV && info->si_code != SI_KERNEL && nt_trap_resolve(info->si_addr))
        return;
    if (number == SIGSEGV && info->si_code != SI_KERNEL && vcpu_fault_is_exception(info->si_addr)) {
        raise_behind_handler(context, info->si_addr);
        return;
    }
    trap = &area->trap;
    trap->signal = number;
    trap->address = info->si_addr;
    trap->instruction = (void *)(uintptr_t)general[REG_RIP];
    trap->access = (general[REG_ERR] & 0x10) != 0   ? TRAP_EXECUTE
                   : (general[REG_ERR] & 0x02) != 0 ? TRAP_WRITE
                                                    : TRAP_READ;
    if (runner_current() == NULL) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    trap->frame_count = backtrace_collect_context(trap->frames, FRAMES_MAX, registers);
    frame = (struct trap_frame *)(area->trap_stack + TRAP_STACK_SIZE) - 1;
    *frame = (struct trap_frame){general[REG_RIP], general[REG_RSP], general[REG_RBP], general[REG_RBX],
                                 general[REG_R12], general[REG_R13], general[REG_R14], general[REG_R15]};
    general[REG_RIP] = (greg_t)(uintptr_t)trap_entry;
    general[REG_RSP] = (greg_t)(uintptr_t)frame;
}

void *fail_adopt_thread(void)
{
    stack_t stack = {.ss_size = SIGNAL_STACK_SIZE};

    area = malloc(sizeof(*area));
    if (area != NULL)
        stack.ss_sp = area->signal_stack;
    if (area == NULL || sigaltstack(&stack, NULL) != 0) {
        fprintf(stderr, "pvsim: no signal stack: %s\n", strerror(errno));
        exit(125);
    }
    return area;
}

void fail_release_thread(void *adopted)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    sigaltstack(&none, NULL);
    area = NULL;
    free(adopted);
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
