/* The guest's operating system as the harness works it: installation, boot, shutdown. Calls are from a dom0 task. */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

/* Is there a folder of driver modules with the drivers of the main job? 0, or an exit status after one line on stderr.
 */
int guest_check_drivers(const char *driver_dir);
/* Install every INF of the folder (before the machine runs). 0, or an exit status after one line on stderr. */
int guest_install(const char *driver_dir);

/* Run the boot, or the orderly shutdown of all devices and drivers, in a guest thread, and wait until it is done. */
void guest_boot(void);
void guest_shutdown(void);
/* Wait until Plug and Play has nothing under way. */
void guest_wait_quiet(void);

#endif
