/*
 * The guest agent: a program of the guest's user mode that does what the toolstack asks for by control/shutdown, and
 * the driver that it hears of it by (sim/agent).
 */
#ifndef CLI_GUEST_AGENT_H
#define CLI_GUEST_AGENT_H

#include "machine/machine.h"

/*
 * Have its driver installed with those of the folder, unless one of this name was brought along. 0, or an exit status
 * after one line on stderr. Before the machine is created.
 */
int guest_agent_add(struct machine_config *config);
/* The program starts; once for each boot of the guest, from a dom0 task. */
void guest_agent_start(void);

#endif
