/*
 * A clock for bounded waits: it runs at any IRQL, also while interrupts are held off.
 */
#ifndef XENBUS_CLOCK_H
#define XENBUS_CLOCK_H

#include "compat.h"

#define CLOCK_MILLISECONDS(_Count) ((ULONGLONG)(_Count)*10000)
#define CLOCK_SECONDS(_Count) CLOCK_MILLISECONDS((ULONGLONG)(_Count)*1000)

/* In units of 100 ns, from a start of no meaning. Any IRQL. */
ULONGLONG ClockNow(VOID);

/* When a wait ends that has Timeout as KeWaitForSingleObject takes it; NULL: never. */
ULONGLONG ClockDeadline(_In_opt_ const LARGE_INTEGER *Timeout);

/* What is left until Deadline, as a relative timeout; 0 when it has passed. */
LARGE_INTEGER ClockRemaining(_In_ ULONGLONG Deadline);

/*
 * Whether half of the time is over that Windows lets this processor spend at DISPATCH_LEVEL, or those that it may hold
 * in DPCs meanwhile: FALSE below DISPATCH_LEVEL, and where Windows sets no limit. Any IRQL.
 */
BOOLEAN ClockIsLate(VOID);

#endif /* XENBUS_CLOCK_H */
