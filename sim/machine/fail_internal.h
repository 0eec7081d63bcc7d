/* Failure handling as machine.c sets it up. */
#ifndef MACHINE_FAIL_INTERNAL_H
#define MACHINE_FAIL_INTERNAL_H

#include <stddef.h>

#include "machine/fail.h"

/* A signal stack for the calling host thread, so that an overrun of a fiber's stack can be reported; and back. */
void *fail_adopt_thread(void);
void fail_release_thread(void *adopted);

/* Turn access violations and the like of guest code into failures of the machine. Called by machine_create(). */
void fail_catch_faults(void);

/*
 * The memory is on the stack on which faults become failures: the host's, and to be read like the guest's by whoever
 * unwinds it to the code at fault.
 */
bool fail_on_trap_stack(const void *address, size_t size);

/* Fill in the failure's backtrace and state. On the host's stack. */
void fail_complete(struct failure *failure);
void fail_free(struct failure *failure);

/* ---- implemented by nt ---- */

/* A fault of code that a vCPU runs: a bugcheck. */
_Noreturn void nt_trap(const struct trap *trap);
/* In the signal's handler: whether the access can be tried again now. */
bool nt_trap_resolve(const void *address);
/* The name of the driver module that the address lies in; `buffer` is left alone if there is none. */
void nt_driver_of(const void *address, char *buffer, size_t size);

#endif
