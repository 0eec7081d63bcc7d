/* Loads and stores of driver code as switch points: what modules compiled for --preempt=memory call. */
#ifndef IMAGE_MEMORY_HOOKS_H
#define IMAGE_MEMORY_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

/* False in a build under ThreadSanitizer, whose own run-time has these names. */
bool memory_hooks_available(void);

/* Whether a module was compiled with the hooks: 1 or 0, or -1 with errno if it cannot be read or is no ELF file. */
int memory_hooks_used(const char *path);

#endif
