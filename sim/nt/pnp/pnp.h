/*
 * The Plug and Play manager: device nodes from the root bus down, driver installation and matching, resources, and the
 * state machine of starting and removing devices. Follows Microsoft's "Plug and Play minor IRPs" and "PnP" pages.
 *
 * One system thread, the PnP worker, sends every PnP request; what callers ask for below is queued to it, and the calls
 * that say so wait for it. It lives from pnp_boot() to pnp_shutdown_all().
 */
#ifndef NT_PNP_H
#define NT_PNP_H

#include "nt/nt.h"

struct devnode;

enum devnode_state {
    DEVNODE_UNINITIALIZED, /* the bus has reported it; nothing has been asked yet */
    DEVNODE_INITIALIZED,   /* identified and in the registry; no drivers */
    DEVNODE_DRIVERS_ADDED, /* AddDevice of every driver has returned */
    DEVNODE_RESOURCES_ASSIGNED,
    DEVNODE_STARTED,
    DEVNODE_STOPPED,          /* between IRP_MN_STOP_DEVICE and the next start */
    DEVNODE_SURPRISE_REMOVED, /* IRP_MN_REMOVE_DEVICE waits for open handles */
    DEVNODE_REMOVED           /* drivers are gone; the bus may still report it */
};

/* Problem codes as Device Manager shows them (cfg.h). */
enum devnode_problem {
    PROBLEM_NONE = 0,
    PROBLEM_INVALID_DATA = 9, /* the bus driver's IDs are unusable */
    PROBLEM_FAILED_START = 10,
    PROBLEM_NORMAL_CONFLICT = 12, /* no resources left for it */
    PROBLEM_NEED_RESTART = 14,    /* start failed with STATUS_PNP_REBOOT_REQUIRED */
    PROBLEM_REGISTRY = 19,        /* the registry names a service that is not there */
    PROBLEM_WILL_BE_REMOVED = 21,
    PROBLEM_DISABLED = 22,
    PROBLEM_DEVICE_NOT_THERE = 24, /* removed by request; a rescan brings it back */
    PROBLEM_FAILED_INSTALL = 28,   /* no INF has a driver for it */
    PROBLEM_FAILED_ADD = 31,       /* AddDevice failed */
    PROBLEM_DISABLED_SERVICE = 32,
    PROBLEM_FAILED_DRIVER_ENTRY = 37,
    PROBLEM_DRIVER_FAILED_LOAD = 39, /* image missing, damaged, or an import of it is */
    PROBLEM_DUPLICATE_DEVICE = 42,
    PROBLEM_FAILED_POST_START = 43 /* the driver reported PNP_DEVICE_FAILED */
};

/* ---- installation (install.c); before the machine runs, or in a guest thread ---- */

/*
 * Put an INF, or every *.inf of a folder in the order of their names, into the machine's driver store, and write what
 * its installation leaves in the registry of a machine on which the devices were there before: services and
 * machine-wide settings. False: one line in `error`.
 */
bool pnp_install_inf(const char *path, char *error, size_t error_size);
/*
 * Undo that, by the [DefaultUninstall] of every package whose INF has the name ("xenfilt.inf"), which leaves the store.
 * A driver that runs stays until its devices go. False, also if there is no such package or section: one line in
 * `error`.
 */
bool pnp_uninstall_inf(const char *name, char *error, size_t error_size);
/* The INF of a driver that was brought along; it has to name the driver's binary. */
bool pnp_install_driver(const struct machine_driver *driver, char *error, size_t error_size);
/* INFs whose driver, or whose own name, is among those brought along are left out. */
bool pnp_install_directory(const char *folder, char *error, size_t error_size);

/* ---- life of the tree; guest threads at PASSIVE_LEVEL but the PnP worker ---- */

/*
 * Power-on: start the worker, build the root, initialise boot-start drivers in the order of their groups, enumerate,
 * and return when everything that was found has been dealt with.
 */
void pnp_boot(void);

/*
 * The end: every device that is left is removed in an orderly way, children first, then every driver is unloaded and
 * the worker ends. False when a driver or an open handle refuses, or a driver cannot be unloaded; pnp_refusal() says
 * which. The tree then stays as it is.
 */
bool pnp_shutdown_all(void);

/* Return when the worker has nothing left to do. */
void pnp_wait_quiet(void);
/* Is that so now? Any context. */
bool pnp_quiet(void);
/*
 * The tree stays as it is from when the manager has nothing more to do until the release: what is asked for meanwhile
 * waits. One holder at a time, no worker thread's.
 */
void pnp_hold(void);
void pnp_release(void);

/*
 * Orderly removal (query first; STATUS_UNSUCCESSFUL and pnp_refusal() when somebody refuses) or surprise removal of a
 * device and everything below it. After an orderly removal the bus still reports the device: pnp_rescan() of its parent
 * brings it back. Waits.
 */
NTSTATUS pnp_remove_device(struct devnode *node, bool surprise);
/* Have the bus report its children again. Waits for the enumeration and all that follows from it. */
NTSTATUS pnp_rescan(struct devnode *node);
/* Stop the device and start it again with resources assigned afresh, as a rebalance does. Waits. */
NTSTATUS pnp_restart_device(struct devnode *node);
/* Orderly removal, then IRP_MN_EJECT. Waits. */
NTSTATUS pnp_eject_device(struct devnode *node);
/* Clear a problem and try to bring the device up again. Waits. */
NTSTATUS pnp_retry_device(struct devnode *node);
/* Why the last orderly removal was refused: one line. */
const char *pnp_refusal(void);

/* Write the driver store's packages to the disk (nt/disk.h). */
void pnp_save(void);

/* ---- looking at the tree; any context, while no worker changes it ---- */

struct devnode *pnp_root(void);
/* The tree in preorder; NULL behind the last. */
struct devnode *pnp_next(struct devnode *node);
/* The first node whose instance path, or one of whose hardware IDs, is `id` (not case-sensitive); NULL if none is. */
struct devnode *pnp_find(const char *id);
struct devnode *pnp_parent(struct devnode *node);

const char *pnp_instance_path(const struct devnode *node); /* "XENBUS\\VEN_XP0001&...\\_" */
const char *pnp_service(const struct devnode *node);       /* function driver's service, NULL if it has none */
enum devnode_state pnp_state(const struct devnode *node);
enum devnode_problem pnp_problem(const struct devnode *node);
NTSTATUS pnp_problem_status(const struct devnode *node);
const char *pnp_problem_name(enum devnode_problem problem);
const char *pnp_state_name(enum devnode_state state);
PDEVICE_OBJECT pnp_pdo(const struct devnode *node);
/* Whether `other` must be on before `node` is, and off only after it: its parent, or one of its power relations. */
bool pnp_needs_power_of(const struct devnode *node, const struct devnode *other);

/* ---- for nt/io ---- */

/* What was assigned to the device at its start, NULL if nothing. `pdo` may be NULL or no PDO: NULL. */
const CM_RESOURCE_LIST *pnp_translated_resources(PDEVICE_OBJECT pdo);
/* The node of a PDO, NULL if it has none. */
struct devnode *pnp_node_of(PDEVICE_OBJECT pdo);
/* The same for a routine that takes nothing but a PDO which its bus has reported: anything else is a violation. */
struct devnode *pnp_require_pdo(PDEVICE_OBJECT device, const char *routine);
/* What the bus said of the device; the bus information may be NULL. */
const PNP_BUS_INFORMATION *pnp_bus_information(const struct devnode *node);
/* The device's boot configuration as its processor sees it; machine heap, NULL if there is none (yet). */
PCM_RESOURCE_LIST pnp_translate_boot_resources(const struct devnode *node, size_t *size);
const DEVICE_CAPABILITIES *pnp_capabilities(const struct devnode *node);
/* Is the device started? */
bool pnp_is_started(PDEVICE_OBJECT pdo);
/* The last open handle to a device that is waiting for its removal was closed, or a notification waits. Any IRQL up to
 * DISPATCH_LEVEL. */
void pnp_kick(void);

#endif
