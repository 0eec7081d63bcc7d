/*
 * For scenarios (common/stack.h): what a routine of a driver does when one of the calls that it makes of the kernel or
 * of Xen fails, for each of them.
 */
#ifndef TESTS_COMMON_RUNS_OUT_H
#define TESTS_COMMON_RUNS_OUT_H

#include "common/stack.h"

/* Among the options: the plan by which nothing fails unless runs_out_each() says so. The scenario begins with _off().
 */
#define RUNS_OUT .fail = "kind=pool+mdl+workitem+thread+mapping+registry+hypercall,nth=100000000"

void runs_out_off(void);

/*
 * Call `routine` again and again, the nth time with its nth such call failing, until it makes no more: it fails then,
 * and works when nothing does. How many calls there were. `routine` leaves everything as it was when it has worked.
 */
unsigned runs_out_each(const char *name, NTSTATUS (*routine)(void));
/* The same for a routine that knows another way out of some failures: how many it has failed by. */
unsigned runs_out_some(const char *name, NTSTATUS (*routine)(void));

#endif
