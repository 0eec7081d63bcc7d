/* What a program of dom0, or of a driver domain, finds a machine by. Host code; nothing here is machine state. */
#ifndef CLI_DOM0_ENVIRONMENT_H
#define CLI_DOM0_ENVIRONMENT_H

#include "cli/run_dir.h"

#define DOM0_DOMID_MAX 0x7fefu /* of a driver domain */

#define DOM0_STORE_NAME_MAX 20

/* The store's socket for programs of this domain, in the folder of the machine (RUN_DIR_DOMAIN_STORES); in a buffer of
 * DOM0_STORE_NAME_MAX. */
const char *dom0_store_name(unsigned domid, char *buffer);
/*
 * Set this process's environment, for the program that it is to become: the paths of gate and store, the drop-in
 * libraries, the preload. 0, or an exit status after one line on stderr.
 */
int dom0_environment(const struct run_dir *dir, unsigned domid);

#endif
