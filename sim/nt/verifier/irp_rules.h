/*
 * Rules of IRPs and device objects that need more than the call at hand: stack locations, invariant MDLs, unknown minor
 * functions, devices that go while requests are inside. Called by nt/io.
 */
#ifndef NT_VERIFIER_IRP_RULES_H
#define NT_VERIFIER_IRP_RULES_H

#include "nt/io/io_internal.h"

/* A driver completes the IRP: it must do so with the stack location that it was called with. */
void irp_rule_location(PIRP irp, const struct irp_record *record);

/*
 * The buffer of a write request (its MDL) is nobody's to change from the first IoCallDriver until it is completed
 * ("Invariant MDL Checking for Driver"). Called whenever the IRP changes hands; `driver` has had it until now, NULL for
 * its creator when it is first sent.
 */
void irp_rule_mdl(PIRP irp, struct irp_record *record, UCHAR major, PDRIVER_OBJECT driver);

/* IoCancelIrp: whoever has the request must complete it in time. */
void irp_rule_cancelled(struct irp_record *record);

/* IoDeleteDevice: no request may be with the device. */
void irp_rule_device_gone(PDEVICE_OBJECT device);

/*
 * Send a PnP, power and WMI request with a minor function that nobody knows to the top of a device's stack, as Driver
 * Verifier does: it must come back with the status and information that it was sent with.
 */
void irp_rule_unknown_minors(PDEVICE_OBJECT device);
/* Completion leaves the location of a dispatch call: of such a request, nothing may have changed. */
void irp_rule_unchanged(PIRP irp, const struct irp_record *record, const struct irp_pass *pass);

#endif
