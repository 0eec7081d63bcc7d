/* Failure handling as machine.c sets it up. */
#ifndef MACHINE_FAIL_INTERNAL_H
#define MACHINE_FAIL_INTERNAL_H

#include "machine/fail.h"

/* A signal stack for the calling host thread, so that an overrun of a fiber's stack can be reported; and back. */
void *fail_adopt_thread(void);
void fail_release_thread(void *signal_stack);

/* Turn access violations and the like of guest code into failures of the machine. Once a process. */
void fail_catch_faults(void);

/* Fill in the failure's backtrace text. On the host's stack. */
void fail_symbolise(struct failure *failure);

#endif
