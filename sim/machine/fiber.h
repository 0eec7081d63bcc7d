/*
 * Fibers: flows of control with guarded stacks of their own, and the switch between them. Sanitizers are told of each
 * switch. Stack memory is machine image; a stack that runs into its guard page faults, and the fault is reported with
 * the fiber's name.
 */
#ifndef MACHINE_FIBER_H
#define MACHINE_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef PVSIM_SANITIZE
#define FIBER_STACK_SIZE (256u * 1024)
#else
#define FIBER_STACK_SIZE (24u * 1024)
#endif
#define FIBER_STACK_RESERVE 1024u           /* bytes above the guard that nobody should need */
#define FIBER_TASK_STACK_SIZE (256u * 1024) /* dom0 tasks call libraries of the host */

struct fiber {
    void *stack_pointer;
    uint8_t *stack_base; /* lowest usable address */
    size_t stack_size;
    void (*function)(void *);
    void *argument;
    const char *name;
    void *sanitizer_stack;     /* fake stack handle of AddressSanitizer while switched out */
    void *sanitizer_fiber;     /* ThreadSanitizer's idea of this flow of control */
    struct _KX_TRY *try_chain; /* the __try bodies that control is in, innermost first (nt/ke/exception.c) */
    struct ke_filter *filter;  /* those who wait for a filter's answer, the last one first (nt/ke/exception.c) */
    struct fiber_exception {
        int32_t code;           /* what GetExceptionCode() says */
        bool handled;           /* the handler of an __except comes next */
        bool abnormal;          /* for the __finally that comes next */
        struct _KX_TRY *target; /* where the exception goes on after it, or NULL */
        void *back[8];          /* or where control leaves */
    } exception;
    bool in_kernel; /* parallel engine: executes the simulator, the kernel lock is its own (kernel_lock.h) */
};

/* `name` must live as long as the fiber. The function must not return. */
void fiber_create(struct fiber *fiber, const char *name, size_t stack_size, void (*function)(void *), void *argument);
/* Not while it runs. */
void fiber_destroy(struct fiber *fiber);
/* Leave `from` (which runs now) for `to`. Returns when something switches to `from` again. */
void fiber_switch(struct fiber *from, struct fiber *to);
/* The same, and `from` is never entered again. */
_Noreturn void fiber_leave(struct fiber *from, struct fiber *to);
/* Describe the host's own stack, so that fibers can be entered from it. */
void fiber_adopt_host(struct fiber *fiber);
/* Whether the fiber's stack has ever reached into its reserve; `left` are the bytes that it has never touched. */
bool fiber_stack_is_low(const struct fiber *fiber, size_t *left);
/*
 * The return addresses on the stack of a fiber that does not run now, innermost first; by frame pointers, which all
 * code of this tree keeps. Returns how many there are.
 */
int fiber_backtrace(const struct fiber *fiber, void **frames, int limit);
/* Whose stack the address is in; NULL: nobody's. */
const struct fiber *fiber_stack_owner(const void *address);
/*
 * Destroy every fiber that lies in the guest's memory (machine_is_guests()), none of which runs. Their stacks are as
 * new, and are handed out again in the order of the first time.
 */
void fiber_destroy_guest(void);
/* If the address is in a guard page, the fiber's name, else NULL. */
const char *fiber_guard_owner(const void *address);
bool fiber_stack_contains(const void *start, size_t bytes);

/* Does AddressSanitizer keep frames of fibers outside of their stacks? */
bool fiber_uses_fake_stacks(void);

#endif
