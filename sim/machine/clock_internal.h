/* The clock as the scheduler drives it. */
#ifndef MACHINE_CLOCK_INTERNAL_H
#define MACHINE_CLOCK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"

void clock_init(void);
/* The machine goes on in another process, at the time at which it was saved. */
void clock_on_new_host(uint64_t now);
bool clock_due(void);
void clock_fire_due(void);
/* Nothing can run: go to the next deadline and fire it. False: there is none. */
bool clock_advance(void);
/* Cancel every deadline that lies in the guest's memory (machine_is_guests()). */
void clock_forget_guest(void);
/* When the earliest deadline is, CLOCK_NEVER if none; whether this one is all there is, or there is none. */
uint64_t clock_next(void);
bool clock_only_deadline(const struct deadline *deadline);
/* The host's monotonic clock in nanoseconds, for reports. */
uint64_t clock_host(void);

#endif
