/* Functions and source lines of driver modules by offset, from their files: the modules need not be in memory. */
#ifndef CLI_DRIVER_LINES_H
#define CLI_DRIVER_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "machine/machine.h"

/* Where the module of this name comes from: the folder of drivers, or --driver. */
void driver_lines_path(char *buffer, size_t size, const struct machine_config *config, const char *name);
/* "xenbus.so!FdoCreate (fdo.c:120)" for the call that returns to this offset. */
void driver_lines_call(char *buffer, size_t size, const struct machine_config *config, const struct fault_frame *frame);
/* The frames of a stack, innermost first, joined by " < ". */
void driver_lines_stack(char *buffer, size_t size, const struct machine_config *config,
                        const struct fault_stack *stack);

#endif
