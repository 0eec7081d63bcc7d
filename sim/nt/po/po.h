/*
 * The power manager inside the simulator: states of the system, for the harness. Guest threads at PASSIVE_LEVEL.
 */
#ifndef NT_PO_H
#define NT_PO_H

#include "nt/nt.h"

/*
 * Shut the system down: IRP_MJ_SHUTDOWN to whoever registered, then IRP_MN_SET_POWER for S5 to every started device,
 * children before parents. `action` is one of PowerActionShutdown, ...Reset, ...Off, for their ShutdownType. Afterwards
 * the devices are off and the tree is as it was.
 */
void po_shutdown(POWER_ACTION action);

/*
 * Put the system to sleep (S1 to S4) or back to work (S0). Sleep is asked for first (IRP_MN_QUERY_POWER): a device that
 * refuses ends it, and those that were asked go on in S0; its status is returned. Children go to sleep before their
 * parents and wake after them.
 */
NTSTATUS po_set_system_state(SYSTEM_POWER_STATE state);
SYSTEM_POWER_STATE po_system_state(void);

/*
 * The moment of hibernation in which memory is written to disk: every processor is in a DPC, none in an interrupt's
 * service routine or in code that one could find half done, and one of them runs act(). From a thread, up to APC_LEVEL.
 */
void po_with_processors_held(void (*act)(void));

/* The device object goes: so does its registration for idle detection. */
void po_device_deleted(PDEVICE_OBJECT device);

#endif
