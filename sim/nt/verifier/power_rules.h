/*
 * The order of power requests ("Rules for Handling Power IRPs", "Managing Device Power Policy"): a bus is up before its
 * children and goes down after them; a device has gone down when the system's request for sleep is completed; who asks
 * whether a device may change its state then sets it. Called by nt/po.
 */
#ifndef NT_VERIFIER_POWER_RULES_H
#define NT_VERIFIER_POWER_RULES_H

#include "nt/po/po_internal.h"

/* PoRequestPowerIrp: a request for a device state is sent to the stack of `device`. */
void power_rule_requested(PDEVICE_OBJECT device, UCHAR minor);
/* It is completed. */
void power_rule_done(PDEVICE_OBJECT device, PIRP irp, UCHAR minor, POWER_STATE state, NTSTATUS status);
/* The stack of a PDO has completed a request for a system state. */
void power_rule_system_done(PDEVICE_OBJECT pdo, UCHAR minor, SYSTEM_POWER_STATE state, NTSTATUS status);
/* A driver deletes its device object. */
void power_rule_device_gone(PDEVICE_OBJECT device);

#endif
