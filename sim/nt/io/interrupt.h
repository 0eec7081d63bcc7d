/* Interrupt vectors and interrupt objects, between io and the PnP manager's resource arbiter. */
#ifndef NT_IO_INTERRUPT_H
#define NT_IO_INTERRUPT_H

#include "nt/io/io_internal.h"

/* Processors by their index, in all groups. */
struct io_processor_set {
    uint64_t mask[MACHINE_MAX_VCPUS / 64];
};

static inline bool io_processor_set_has(const struct io_processor_set *set, unsigned processor)
{
    return (set->mask[processor / 64] >> (processor % 64)) & 1;
}

void io_vectors_init(void);

/* One vector that is free on each of the processors, or 0. Its IRQL is vector >> 4. */
uint8_t io_vector_allocate(const struct io_processor_set *processors, IRQ_PRIORITY priority);
void io_vector_free(const struct io_processor_set *processors, uint8_t vector);

/* The vector (on processor 0) of a shared line interrupt; each acquire needs a release. 0: no such line, or no vector
 * left. */
uint8_t io_line_acquire(unsigned irq);
void io_line_release(unsigned irq);
/* The line that has the vector, or -1. */
int io_line_of_vector(unsigned processor, uint8_t vector);

/* Is a service routine inside the range connected? Its name for reports, or NULL. */
const void *io_interrupt_in_range(const void *start, size_t bytes);

#endif
