/*
 * An emulated network card, the 82540EM of Xen's device model: what a driver needs to find it, reset it and read its
 * address, in its receive address register or in its EEPROM (Intel's PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual, chapters 5 and 13). Its registers are reached through its ports. No cable is plugged in.
 */
#include <string.h>

#include "xen/platform_device.h"

#define PORT_ADDRESS 0 /* IOADDR: a register's offset */
#define PORT_DATA 4    /* IODATA: the register */

#define CTRL 0x0000
#define STATUS 0x0008
#define EECD 0x0010
#define EERD 0x0014
#define RAL0 0x5400
#define RAH0 0x5404

#define CTRL_RESET (1u << 26)
#define STATUS_LINK_DOWN 0x80080781u /* full duplex, 1000 Mb/s, bus 66 MHz; LU is not set */
#define EECD_PRESENT 0x0100u
#define EERD_START 0x01u
#define EERD_DONE 0x10u
#define EERD_ADDRESS_SHIFT 8
#define EERD_DATA_SHIFT 16
#define RAH_VALID (1u << 31)

#define EEPROM_WORDS 64u
#define EEPROM_SUM 0xBABA /* of all words */

struct e1000 {
    uint16_t eeprom[EEPROM_WORDS];
    uint32_t address; /* IOADDR */
    uint32_t ctrl;
    uint32_t eerd;
    uint32_t ral, rah;
};

static void reset(struct e1000 *card)
{
    card->ctrl = 0;
    card->eerd = 0;
    card->ral = card->eeprom[0] | (uint32_t)card->eeprom[1] << 16;
    card->rah = card->eeprom[2] | RAH_VALID;
}

/* A word is there at once. */
static void write_eerd(struct e1000 *card, uint32_t value)
{
    unsigned word = value >> EERD_ADDRESS_SHIFT & 0xFF;

    card->eerd = value & (0xFFu << EERD_ADDRESS_SHIFT);
    if ((value & EERD_START) != 0)
        card->eerd |= EERD_DONE | (uint32_t)(word < EEPROM_WORDS ? card->eeprom[word] : 0) << EERD_DATA_SHIFT;
}

static uint32_t register_read(const struct e1000 *card)
{
    switch (card->address) {
    case CTRL:
        return card->ctrl;
    case STATUS:
        return STATUS_LINK_DOWN;
    case EECD:
        return EECD_PRESENT;
    case EERD:
        return card->eerd;
    case RAL0:
        return card->ral;
    case RAH0:
        return card->rah;
    default:
        log_line(LOG_INFO, "qemu", "e1000: no register is at %#x", card->address);
        return 0;
    }
}

static void register_write(struct e1000 *card, uint32_t value)
{
    switch (card->address) {
    case CTRL:
        if ((value & CTRL_RESET) != 0)
            reset(card);
        else
            card->ctrl = value;
        break;
    case EERD:
        write_eerd(card, value);
        break;
    case RAL0:
        card->ral = value;
        break;
    case RAH0:
        card->rah = value & (RAH_VALID | 0x3FFFF);
        break;
    default:
        log_line(LOG_INFO, "qemu", "e1000: no register takes %#x at %#x", value, card->address);
        break;
    }
}

static bool io_read(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t *value)
{
    const struct e1000 *card = function->state;

    (void)bar; /* the only one of ports */
    if (size != 4)
        return false;
    if (offset == PORT_ADDRESS)
        *value = card->address;
    else if (offset == PORT_DATA)
        *value = register_read(card);
    else
        return false;
    return true;
}

static bool io_write(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t value)
{
    struct e1000 *card = function->state;

    (void)bar;
    if (size != 4)
        return false;
    if (offset == PORT_ADDRESS)
        card->address = value;
    else if (offset == PORT_DATA)
        register_write(card, value);
    else
        return false;
    return true;
}

static const struct pci_model model = {
    .vendor_id = 0x8086,
    .device_id = 0x100E,
    .revision = 3,
    .class_code = 0x020000,
    .subsystem_vendor = 0x1AF4,
    .subsystem = 0x1100,
    .interrupt_pin = 1,
    .bar = {{.kind = PCI_BAR_MEMORY, .size = 128u << 10}, {.kind = PCI_BAR_IO, .size = 0x40}},
    .io_read = io_read,
    .io_write = io_write,
};

void e1000_add(unsigned slot, const uint8_t mac[6])
{
    struct e1000 *card = board_alloc(sizeof(*card));
    uint16_t sum = 0;

    for (unsigned i = 0; i < 3; i++)
        card->eeprom[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    card->eeprom[0x0B] = 0x1100; /* subsystem, its vendor, device, vendor */
    card->eeprom[0x0C] = 0x1AF4;
    card->eeprom[0x0D] = 0x100E;
    card->eeprom[0x0E] = 0x8086;
    for (unsigned i = 0; i < EEPROM_WORDS - 1; i++)
        sum += card->eeprom[i];
    card->eeprom[EEPROM_WORDS - 1] = (uint16_t)(EEPROM_SUM - sum);
    reset(card);
    (void)pci_add(&model, slot, 0, card);
}
