/* --fail: the plan of faults as the command line says it. */
#ifndef CLI_FAULT_OPTION_H
#define CLI_FAULT_OPTION_H

#include <stdbool.h>
#include <stdio.h>

#include "machine/fault.h"

/* Add the rule of one --fail to the plan; false after one line on stderr. */
bool fault_option_parse(const char *text, struct fault_plan *plan);
/* --fail list: the kinds, the routines of each, how they fail, and those that never do. */
void fault_option_list(FILE *file);

#endif
