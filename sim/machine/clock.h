/*
 * The machine's clock, in nanoseconds since power-on, and deadlines on it. Under CLOCK_VIRTUAL time moves by what
 * switch points cost and jumps to the next deadline when nothing can run; under CLOCK_PACED it moves by the same costs,
 * and when nothing can run it goes to the next deadline as fast as the host's clock does; under CLOCK_WALL it is the
 * host's.
 */
#ifndef MACHINE_CLOCK_H
#define MACHINE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX

uint64_t clock_now(void);
uint64_t
clock_recent(void); /* what somebody was told last: costs nothing on the wall clock, and is a little late there */
void clock_charge(uint64_t nanoseconds); /* no effect on the wall clock */

/* System time (UTC) at power-on in 100 ns units since 1601, fixed so that runs are equal. */
#define CLOCK_BOOT_SYSTEM_TIME UINT64_C(133801632000000000) /* 2025-01-01 00:00:00 UTC */

/*
 * A deadline: `function` is called once with `argument` when the clock has reached `when`, in the context of whatever
 * runner is at a switch point then; it must not block and must not itself be a switch point (it marks things runnable).
 * Equal times fire in the order of setting. The structure belongs to the caller and must stay until fired or cancelled.
 */
struct deadline {
    uint64_t when;
    uint64_t order;
    void (*function)(void *argument);
    void *argument;
    unsigned slot; /* index in the heap + 1; 0: not set */
};

void deadline_set(struct deadline *deadline, uint64_t when, void (*function)(void *), void *argument);
bool deadline_cancel(struct deadline *deadline); /* true if it was set */
static inline bool deadline_is_set(const struct deadline *deadline)
{
    return deadline->slot != 0;
}

#endif
