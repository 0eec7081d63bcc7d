/*
 * Interrupt vectors as the HAL hands them out. A vector belongs to one processor; IRQL is vector >> 4 as on x64
 * Windows. Device vectors are 0x30 to 0xBF, so that a service routine runs at IRQL 3 to 11, below clock (13) and IPI
 * (14).
 */
#include "nt/io/interrupt.h"

#define VECTOR_FIRST 0x30u
#define VECTOR_LAST 0xBFu
#define VECTOR_NORMAL 0x60u
#define VECTOR_HIGH 0x90u

/* Inputs of the I/O APIC. Input 0 is nobody's. */
#define LINE_COUNT 48u

struct io_vectors {
    uint8_t *used; /* [processor * 256 + vector] */
    struct {
        uint8_t vector;
        unsigned users;
    } line[LINE_COUNT];
};

void io_vectors_init(void)
{
    machine->io->vectors = image_alloc(sizeof(*machine->io->vectors));
    machine->io->vectors->used = image_alloc((size_t)machine->config.vcpus * 256);
}

static bool vector_is_free(const struct io_processor_set *processors, unsigned vector)
{
    for (unsigned i = 0; i < machine->config.vcpus; i++) {
        if (io_processor_set_has(processors, i) && machine->io->vectors->used[i * 256 + vector])
            return false;
    }
    return true;
}

static uint8_t claim(const struct io_processor_set *processors, unsigned first, unsigned last)
{
    for (unsigned vector = first; vector <= last; vector++) {
        if (!vector_is_free(processors, vector))
            continue;
        for (unsigned i = 0; i < machine->config.vcpus; i++) {
            if (io_processor_set_has(processors, i))
                machine->io->vectors->used[i * 256 + vector] = 1;
        }
        return (uint8_t)vector;
    }
    return 0;
}

uint8_t io_vector_allocate(const struct io_processor_set *processors, IRQ_PRIORITY priority)
{
    unsigned wanted = priority == IrqPriorityLow    ? VECTOR_FIRST
                      : priority == IrqPriorityHigh ? VECTOR_HIGH
                                                    : VECTOR_NORMAL;
    uint8_t vector = claim(processors, wanted, VECTOR_LAST);

    /* A priority is a wish: with its range full a lower one is better than no interrupt. */
    return vector != 0 ? vector : claim(processors, VECTOR_FIRST, wanted - 1);
}

void io_vector_free(const struct io_processor_set *processors, uint8_t vector)
{
    for (unsigned i = 0; i < machine->config.vcpus; i++) {
        if (io_processor_set_has(processors, i))
            machine->io->vectors->used[i * 256 + vector] = 0;
    }
}

uint8_t io_line_acquire(unsigned irq)
{
    struct io_processor_set first = {.mask = {1}};
    struct io_vectors *vectors = machine->io->vectors;

    if (irq == 0 || irq >= LINE_COUNT)
        return 0;
    if (vectors->line[irq].users == 0) {
        vectors->line[irq].vector = io_vector_allocate(&first, IrqPriorityUndefined);
        if (vectors->line[irq].vector == 0)
            return 0;
    }
    vectors->line[irq].users++;
    return vectors->line[irq].vector;
}

void io_line_release(unsigned irq)
{
    struct io_processor_set first = {.mask = {1}};
    struct io_vectors *vectors = machine->io->vectors;

    if (--vectors->line[irq].users != 0)
        return;
    io_vector_free(&first, vectors->line[irq].vector);
    vectors->line[irq].vector = 0;
}

int io_line_of_vector(unsigned processor, uint8_t vector)
{
    if (processor != 0) /* the same number is another vector there */
        return -1;
    for (unsigned i = 0; i < LINE_COUNT; i++) {
        if (machine->io->vectors->line[i].users != 0 && machine->io->vectors->line[i].vector == vector)
            return (int)i;
    }
    return -1;
}

void vectors_census(struct census *census)
{
    for (unsigned i = 0; i < machine->config.vcpus * 256; i++) {
        if (machine->io->vectors->used[i])
            census_item(census, "interrupt vector", 1, NULL, "0x%02x of processor %u", i % 256, i / 256);
    }
}
