/* Core files of failed runs (--on-bugcheck core). */
#ifndef CLI_CORE_H
#define CLI_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this host lets a process leave a core file where we can find it; if not, one line on stderr says why. */
bool core_possible(void);

/*
 * Leave a core file of this process, machine image and all, as DIRECTORY/pvsim-SEED-EVENT.core; its path goes into
 * `path`. False after one line on stderr.
 */
bool core_leave(const char *directory, uint64_t seed, uint64_t event, char *path, size_t size);

#endif
