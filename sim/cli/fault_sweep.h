/* pvsim sweep --fail-all: each call that can fail, failed once. */
#ifndef CLI_FAULT_SWEEP_H
#define CLI_FAULT_SWEEP_H

#include <stdbool.h>

/* Is --fail-all among the sweep's own options? */
bool fault_sweep_asked_for(int argc, char **argv);
int command_fault_sweep(int argc, char **argv);

#endif
