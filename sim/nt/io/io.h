/*
 * The I/O manager inside the simulator: driver, device and file objects, IRPs, interrupts. Drivers see only the
 * routines of <ntddk.h>; the PnP manager and the harness also see these.
 */
#ifndef NT_IO_H
#define NT_IO_H

#include "image/loader.h"
#include "nt/nt.h"

/* ---- drivers (driver.c) ---- */

/*
 * Load the driver of a service: its image, a driver object \Driver\<service>, its DriverEntry. `service` is the name of
 * its key. PASSIVE_LEVEL, in a guest thread. On success, and with STATUS_IMAGE_ALREADY_LOADED, *driver carries a
 * reference of the caller's. STATUS_OBJECT_NAME_NOT_FOUND: no such service; STATUS_CONFLICTING_ADDRESSES: the image is
 * the driver of another service; STATUS_FAILED_DRIVER_ENTRY: DriverEntry refused (the log has its status); otherwise
 * what the image loader says (loader.h).
 */
NTSTATUS io_load_driver(const char *service, PDRIVER_OBJECT *driver);

/*
 * Call DriverUnload and let the image go. STATUS_INVALID_DEVICE_REQUEST: it has no DriverUnload; STATUS_DEVICE_BUSY: it
 * has device objects. Everything that the driver left behind and that would call into its image later is a violation.
 */
NTSTATUS io_unload_driver(PDRIVER_OBJECT driver);

/* A driver that is part of the kernel image (the root bus, PCI): as IoCreateDriver. The reference is the caller's. */
NTSTATUS io_create_builtin_driver(const char *service, PDRIVER_INITIALIZE entry, PDRIVER_OBJECT *driver);

/* The driver object of a service, referenced, or NULL. */
PDRIVER_OBJECT io_find_driver(const char *service);
/* Drivers in order of loading; NULL starts, NULL ends. No reference is taken. */
PDRIVER_OBJECT io_next_driver(PDRIVER_OBJECT driver);
/* Service name; valid as long as the driver object. */
const char *io_driver_name(PDRIVER_OBJECT driver);
/*
 * Reinitialization routines of drivers that are loaded between these two are called by the second, those for boot
 * drivers first; those of drivers that are loaded later, after their DriverEntry.
 */
void io_begin_boot(void);
void io_end_boot(void);

/* ---- devices (device.c, stack.c) ---- */

struct devnode;

/* What hangs behind DEVICE_OBJECT.DeviceObjectExtension. */
struct io_device {
    DEVOBJ_EXTENSION extension;
    LIST_ENTRY entry;             /* io_state.devices, in order of creation */
    struct devnode *devnode;      /* of a PDO that the PnP manager knows */
    bool delete_pending;          /* IoDeleteDevice was called, but handles or references are left */
    bool given_up;                /* the reference that its driver had is gone */
    unsigned number;              /* of this machine, in order of creation */
    unsigned shutdown_registered; /* registrations for shutdown notification */
    const void *caller;           /* who created it */
};

/* DEVOBJ_EXTENSION.ExtensionFlags of a stack's lowest device: it can not be opened now. */
#define IO_DEVICE_REMOVE_PENDING 0x00000004
#define IO_DEVICE_REMOVE_PROCESSED 0x00000008
#define IO_DEVICE_START_PENDING 0x00000010

struct io_device *io_device(PDEVICE_OBJECT device);
/* Lowest device of the stack that the device is part of. */
PDEVICE_OBJECT io_stack_bottom(PDEVICE_OBJECT device);
/* Next higher device, NULL at the top. */
PDEVICE_OBJECT io_stack_above(PDEVICE_OBJECT device);
/* File objects open on the devices of the stack from `bottom` up. */
unsigned io_stack_open_count(PDEVICE_OBJECT bottom);

/* ---- IRPs (call.c) ---- */

/*
 * A DMA adapter as every bus here gives it, for the driver at `caller`; what a bus's GetDmaAdapter is made of. NULL: no
 * memory, or a version that is not known.
 */
PDMA_ADAPTER dma_adapter_create(const DEVICE_DESCRIPTION *description, ULONG *map_registers, const void *caller);

/*
 * Send a request of the kernel's own to the top of the stack that `device` is part of and wait for it: an IRP with the
 * functions, flags and parameters of `stack`, initial status `status` and Information `*information` (NULL: 0). Returns
 * the final status and *information. PASSIVE_LEVEL.
 */
NTSTATUS io_send_synchronous(PDEVICE_OBJECT device, const IO_STACK_LOCATION *stack, NTSTATUS status,
                             ULONG_PTR *information);

/* ---- interfaces and notification (interface.c, notification.c), for the PnP manager ---- */

/* The device has started: interfaces that were enabled before take effect. */
void io_interfaces_started(PDEVICE_OBJECT pdo);
/* The device goes away: its interfaces are disabled; once its stack is gone, forgotten. */
void io_interfaces_removed(PDEVICE_OBJECT pdo);
void io_interfaces_forget(PDEVICE_OBJECT pdo);

/*
 * Tell those who registered for target device changes of the stack of `pdo`. `event` is GUID_TARGET_DEVICE_...; for a
 * query the first refusal ends it and *veto names the driver. A cancellation goes to those who were asked.
 */
NTSTATUS io_notify_target(PDEVICE_OBJECT pdo, const GUID *event, const char **veto);

/* Deliver device interface changes that wait (PnP worker, PASSIVE_LEVEL). True if there were some. */
bool io_deliver_notifications(void);

/* Entry `index` of the error log, oldest first; NULL behind the last (error_log.c). */
const IO_ERROR_LOG_PACKET *io_error_log(unsigned index);

/* ---- shutdown (shutdown.c) ---- */

/* Send IRP_MJ_SHUTDOWN to the devices that registered, the last first, then to the last-chance ones. PASSIVE_LEVEL. */
void io_shutdown_notify(void);

#endif
