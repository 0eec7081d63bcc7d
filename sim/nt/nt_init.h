/* The simulated Windows kernel as the machine starts and ends it; free of Windows types. */
#ifndef NT_NT_INIT_H
#define NT_NT_INIT_H

#include <stdbool.h>

/*
 * Initialise every component; no guest thread runs yet. With machine->disk from what lies there: the registry but its
 * volatile keys, the files, the packages of the driver store with the devices that were installed.
 */
void nt_init(void);
/* Write the disk: what there is now of those is what the next nt_init() finds. From a task. */
void nt_disk_save(void);
/* Release what the kernel holds of the host (driver modules). */
void nt_close(void);
/* Start a guest thread of the simulator's own at PASSIVE_LEVEL. */
void nt_thread_start(const char *name, void (*function)(void *), void *argument);
/*
 * From a task: have a guest thread run the function, and wait for its end. False: the guest was reset meanwhile, and
 * the thread is no more.
 */
bool nt_thread_run(const char *name, void (*function)(void *), void *argument);
/* The guest was reset: whoever waits there goes on. */
void nt_waiters_go_on(void);

#endif
