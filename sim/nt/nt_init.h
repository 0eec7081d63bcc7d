/* The simulated Windows kernel as the machine starts and ends it; free of Windows types. */
#ifndef NT_NT_INIT_H
#define NT_NT_INIT_H

/* Initialise every component; no guest thread runs yet. */
void nt_init(void);
/* Release what the kernel holds of the host (driver modules). */
void nt_close(void);
/* Start a guest thread of the simulator's own at PASSIVE_LEVEL. */
void nt_thread_start(const char *name, void (*function)(void *), void *argument);

#endif
