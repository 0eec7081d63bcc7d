/* Functions and source lines of driver modules by offset, from their files: the modules need not be in memory. */
#ifndef CLI_DRIVER_LINES_H
#define CLI_DRIVER_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "machine/fault.h"

/* "xenbus.so!FdoCreate (fdo.c:120)" for the call that returns to this offset. */
void driver_lines_call(char *buffer, size_t size, const char *driver_dir, const struct fault_frame *frame);
/* The frames of a stack, innermost first, joined by " < ". */
void driver_lines_stack(char *buffer, size_t size, const char *driver_dir, const struct fault_stack *stack);

#endif
