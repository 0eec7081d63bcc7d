/* The guest's operating system as the harness works it: installation, boot, shutdown. Calls are from a dom0 task. */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include <stdbool.h>

#include "machine/machine.h"

/* Is there a folder of driver modules with the drivers of the main job? 0, or an exit status after one line on stderr.
 */
int guest_check_drivers(const struct machine_config *config);
/* Is every module compiled for --preempt=memory? Likewise. */
int guest_check_memory_hooks(const struct machine_config *config);
/*
 * Install every INF of the folder and those of the drivers that were brought along (before the machine runs). 0, or an
 * exit status after one line on stderr.
 */
int guest_install(const struct machine_config *config);

/*
 * Run the boot, or the orderly shutdown of all devices and drivers, in a guest thread, and wait until it is done. These
 * and the others that wait for the guest are false, too, when it was reset before.
 */
bool guest_boot(void);
/* False: the tree could not be taken down; pnp_refusal() says why. */
bool guest_shutdown(void);
bool guest_is_up(void);           /* there is a device tree */
bool guest_memory_ran_out(void);  /* at some time since its boot */
bool guest_memory_is_short(void); /* and what was not there then is not there now */
/* Is there a device that could not be brought up for want of memory, or of what else a driver may mean by that? Waits.
 */
bool guest_has_starved_device(void);
/* Wait until Plug and Play has nothing under way. */
bool guest_wait_quiet(void);

/*
 * What somebody at the guest's Device Manager does: enable every device that has a problem, scan for changes, then
 * disable and enable the network devices, or xenbus with all that is below. False: one would not go; pnp_refusal().
 */
bool guest_restart_clients(void);
bool guest_restart_bus(void);

/*
 * Ask each device that is started for its physical device object, and tell it that a dump file lies on it and then that
 * none does, as a dump driver's installation would. False: one refused or had no answer.
 */
bool guest_describe_devices(void);

/* The board has so many processors in all, and tells the system: it adds those that it does not have. From a task. */
void guest_plug_processors(unsigned count);

/*
 * What the power manager does for whoever asks: turn the guest off, reset it, put it to sleep (S3), which it comes out
 * of when its toolstack wakes it (xen_domain_wake()), or hibernate it (S4): it turns itself off, and goes on when its
 * memory is there under another Xen (xen_domain_wake_from_disk()). In a guest thread, or by a button, whose press is
 * not waited for.
 */
enum guest_power { GUEST_POWER_OFF, GUEST_RESET, GUEST_SLEEP, GUEST_HIBERNATE };
void guest_power(enum guest_power action);
void guest_press_button(enum guest_power action);

/* Put the guest to sleep (S3) and wake it up. False: a device refused to sleep. */
bool guest_sleep_and_wake(void);

#endif
