/*
 * A program beside the machine that the machine itself starts: as one of dom0 or of a driver domain, with what 'pvsim
 * dom0' gives to such a program. A replay of a recorded run starts none; the record has its end and its status.
 */
#ifndef CLI_BESIDE_H
#define CLI_BESIDE_H

#include "cli/run_dir.h"

struct beside;

/*
 * Have a shell run the command, its output on the machine's standard error. From a dom0 task; fails the machine if no
 * process can be had. `ended` is called in a task, with the status of wait(2), and the pointer is dead after it.
 */
struct beside *beside_start(const struct run_dir *dir, unsigned domid, const char *command,
                            void (*ended)(void *context, int status), void *context);
/* Ask it to end (SIGTERM). */
void beside_stop(const struct beside *beside);
/* "exit status 1", "signal 9", in a buffer of 32 bytes. */
const char *beside_status(int status, char *buffer);

#endif
