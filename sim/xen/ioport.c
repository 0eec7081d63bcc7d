/* I/O port dispatch: claimed ranges, then the I/O BARs of PCI functions. */
#include "machine/fail.h"
#include "xen/platform_device.h"

void ioport_claim(uint16_t first, uint16_t count, ioport_read_t read, ioport_write_t write, void *device)
{
    struct platform_state *platform = platform_state();

    for (unsigned i = 0; i < platform->claims; i++) {
        const struct ioport_claim *claim = &platform->claim[i];

        if (first < claim->first + claim->count && claim->first < first + count)
            fail("ioport", "ports %#x to %#x are claimed twice", first, first + count - 1);
    }
    platform->claim = image_realloc(platform->claim, (platform->claims + 1) * sizeof(*platform->claim));
    platform->claim[platform->claims++] =
        (struct ioport_claim){.first = first, .count = count, .read = read, .write = write, .device = device};
}

static const struct ioport_claim *find_claim(uint16_t port)
{
    const struct platform_state *platform = platform_state();

    for (unsigned i = 0; i < platform->claims; i++)
        if (port >= platform->claim[i].first && port - platform->claim[i].first < platform->claim[i].count)
            return &platform->claim[i];
    return NULL;
}

/* False: nothing has a register of this size at the port. */
static bool read_one(uint16_t port, unsigned size, uint32_t *value)
{
    const struct ioport_claim *claim = find_claim(port);
    struct pci_function *function;
    uint16_t offset;
    unsigned bar;

    if (claim != NULL)
        return claim->read != NULL && claim->read(claim->device, (uint16_t)(port - claim->first), size, value);
    function = pci_find_io(port, &bar, &offset);
    return function != NULL && function->model->io_read != NULL &&
           function->model->io_read(function, bar, offset, size, value);
}

static bool write_one(uint16_t port, unsigned size, uint32_t value)
{
    const struct ioport_claim *claim = find_claim(port);
    struct pci_function *function;
    uint16_t offset;
    unsigned bar;

    if (claim != NULL)
        return claim->write != NULL && claim->write(claim->device, (uint16_t)(port - claim->first), size, value);
    function = pci_find_io(port, &bar, &offset);
    return function != NULL && function->model->io_write != NULL &&
           function->model->io_write(function, bar, offset, size, value);
}

static uint32_t ones(unsigned size)
{
    return UINT32_MAX >> (32 - 8 * size);
}

static uint32_t read_split(uint16_t port, unsigned size)
{
    uint32_t value;
    unsigned half = size / 2;

    if (read_one(port, size, &value))
        return value & ones(size);
    if (size == 1)
        return ones(size);
    return read_split(port, half) | read_split((uint16_t)(port + half), half) << (8 * half);
}

static void write_split(uint16_t port, unsigned size, uint32_t value)
{
    unsigned half = size / 2;

    if (write_one(port, size, value & ones(size)) || size == 1)
        return;
    write_split(port, half, value & ones(half));
    write_split((uint16_t)(port + half), half, value >> (8 * half));
}

static void check_size(uint16_t port, unsigned size)
{
    if (size != 1 && size != 2 && size != 4)
        fail("ioport", "access of %u bytes at port %#x: the processor has none", size, port);
}

uint32_t ioport_read(uint16_t port, unsigned size)
{
    check_size(port, size);
    return read_split(port, size);
}

void ioport_write(uint16_t port, unsigned size, uint32_t value)
{
    check_size(port, size);
    write_split(port, size, value);
}
