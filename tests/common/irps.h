/*
 * For scenarios (common/stack.h): IRPs to a device of a stack, and a look at, or an answer to, those on their way to
 * one before its driver has them.
 */
#ifndef TESTS_COMMON_IRPS_H
#define TESTS_COMMON_IRPS_H

#include "common/stack.h"

/* Of the stack of the first device whose instance path begins so: the bottom, and the device object of a driver. */
PDEVICE_OBJECT irps_bottom(const char *path);
PDEVICE_OBJECT irps_of_driver(const char *path, const char *driver);

/* Send an IRP and wait for its end: its status. *information is in and out. IRQL PASSIVE_LEVEL. */
NTSTATUS irps_send(PDEVICE_OBJECT target, UCHAR major, const IO_STACK_LOCATION *what, ULONG_PTR *information);
/* The same of a minor of PnP's without parameters and without information. */
NTSTATUS irps_send_minor(PDEVICE_OBJECT target, UCHAR minor);

/* Before a driver handles an IRP; true: the routine has dealt with it, and *status is what the driver is to return. */
typedef bool (*irps_interceptor)(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status);

/*
 * IRPs of this kind for `device`, with `all` for every device of its driver's, go through `routine` first, until
 * irps_let_pass(), which wants that there was one. One interception at a time.
 */
void irps_intercept(PDEVICE_OBJECT device, bool all, UCHAR major, UCHAR minor, irps_interceptor routine);
void irps_let_pass(void);
unsigned irps_intercepted(void);                      /* how many so far, the present one included */
NTSTATUS irps_go_on(PDEVICE_OBJECT device, PIRP irp); /* the driver's own routine */
bool irps_answer(PIRP irp, NTSTATUS wanted, ULONG_PTR information, NTSTATUS *status); /* complete it; true */

/*
 * A device goes while an IRP is under way below it. `send` sends that one, a PnP IRP of this minor, which is kept
 * before the driver of `below` has it; then the device of this instance path is asked to go, in an orderly way;
 * `meanwhile` is called while it waits, and must not end that. Then the IRP goes on, and so does the device. All are
 * called once.
 */
struct irps_going {
    const char *path;
    PDEVICE_OBJECT below;
    UCHAR minor;
    void (*send)(void);
    void (*meanwhile)(void);
};
void irps_go_during(const struct irps_going *going);

#endif
