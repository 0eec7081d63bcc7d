/*
 * A store beside the machine (pvsim create --store external|exec:COMMAND): what such a daemon finds domain 0's ring by,
 * and the wait for it.
 */
#ifndef CLI_OUTER_STORE_H
#define CLI_OUTER_STORE_H

#include <stdbool.h>

struct run_dir;

/*
 * From a dom0 task, before anybody connects to the store. command: that starts the daemon, as a program of dom0; NULL:
 * somebody will. Fails the machine when none comes.
 */
void outer_store_open(const struct run_dir *dir, const char *command);

#endif
