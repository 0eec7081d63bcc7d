/* Random streams derived from the machine's seed; a stream a purpose, so that one component's draws don't move
 * another's. */
#ifndef MACHINE_RNG_H
#define MACHINE_RNG_H

#include <stdint.h>

enum rng_stream { RNG_SCHEDULE, RNG_FRAMES, RNG_GUEST, RNG_XEN, RNG_DELAY, RNG_STREAMS };

/* All streams start afresh from this seed; at power-on it is the machine's. */
void rng_seed(uint64_t seed);
uint64_t rng_next(enum rng_stream stream);
uint64_t rng_below(enum rng_stream stream, uint64_t bound); /* uniform in [0, bound), bound > 0 */

#endif
