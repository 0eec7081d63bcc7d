/*
 * An emulated network card, the RTL8139C+ of Xen's device model: what a driver needs to find it, reset it and read its
 * address, in its registers or in its serial EEPROM (Realtek's RTL8139C(L)+ data sheet, chapters 6 and 7). No cable is
 * plugged in.
 */
#include <string.h>

#include "xen/platform_device.h"

#define REGISTERS 0x100u

#define IDR 0x00     /* six bytes: the address */
#define MAR 0x08     /* eight bytes: multicast filter */
#define TCR 0x40     /* transmit configuration; its version is read-only */
#define COMMAND 0x37 /* command */
#define IMR 0x3C     /* two bytes */
#define RCR 0x44     /* four bytes: receive configuration */
#define EEPROM 0x50  /* 9346CR */
#define MEDIA 0x58   /* media status */
#define BMCR 0x62    /* two bytes: basic mode control, as in a PHY */
#define BMSR 0x64    /* two bytes: basic mode status */

#define TCR_VERSION 0x74800000u /* C+ */
#define COMMAND_RESET 0x10
#define COMMAND_ENABLES 0x0C
#define COMMAND_BUFFER_EMPTY 0x01
#define MEDIA_NO_LINK 0x04
#define BMSR_ABILITIES 0x7809 /* all speeds, autonegotiation; not complete, no link */

#define EEPROM_OUT 0x01
#define EEPROM_IN 0x02
#define EEPROM_CLOCK 0x04
#define EEPROM_SELECT 0x08
#define EEPROM_MODE 0xC0
#define MODE_PROGRAM 0x80
#define MODE_WRITE_CONFIG 0xC0

/* The serial EEPROM is a 93C46: 64 words; a start bit, two of operation, six of address. */
#define EEPROM_WORDS 64u
#define EEPROM_FRAME_BITS 9u
#define EEPROM_READ 2u
#define EEPROM_SIGNATURE 0x8129
#define EEPROM_MAC 7u /* first of three words */

struct rtl8139 {
    uint8_t mac[6];
    uint8_t reg[REGISTERS];
    uint16_t eeprom[EEPROM_WORDS];
    uint32_t shifted; /* bits that came in since the start bit, it included */
    unsigned shifts;
    uint32_t out; /* to be shifted out, the next bit in bit 16 */
};

static void put_word(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void reset(struct rtl8139 *card)
{
    memset(card->reg, 0, sizeof(card->reg));
    memcpy(&card->reg[IDR], card->mac, sizeof(card->mac));
    card->reg[COMMAND] = COMMAND_BUFFER_EMPTY;
    for (unsigned i = 0; i < 4; i++)
        card->reg[TCR + i] = (uint8_t)(TCR_VERSION >> 8 * i);
    card->reg[MEDIA] = MEDIA_NO_LINK;
    put_word(&card->reg[BMSR], BMSR_ABILITIES);
    card->shifts = 0;
    card->out = 0;
}

/* ---- the serial EEPROM ---- */

/* The clock rises: a bit comes in, or the next goes out. */
static void eeprom_clock(struct rtl8139 *card, bool in)
{
    if (card->shifts == EEPROM_FRAME_BITS) {
        card->out <<= 1;
        return;
    }
    if (card->shifts == 0 && !in) /* not started */
        return;
    card->shifted = card->shifts == 0 ? 1 : card->shifted << 1 | in;
    if (++card->shifts == EEPROM_FRAME_BITS && card->shifted >> 6 == (4 | EEPROM_READ))
        card->out = card->eeprom[card->shifted % EEPROM_WORDS]; /* behind a zero bit */
}

static void write_eeprom(struct rtl8139 *card, uint8_t value)
{
    uint8_t before = card->reg[EEPROM];

    if ((value & EEPROM_MODE) == MODE_PROGRAM) {
        if ((value & EEPROM_SELECT) == 0) {
            card->shifts = 0;
            card->out = 0;
        } else if ((value & EEPROM_CLOCK) != 0 && (before & EEPROM_CLOCK) == 0) {
            eeprom_clock(card, (value & EEPROM_IN) != 0);
        }
    }
    card->reg[EEPROM] = value & (uint8_t)~EEPROM_OUT;
}

static uint8_t read_eeprom(const struct rtl8139 *card)
{
    return card->reg[EEPROM] | ((card->out >> 16 & 1) != 0 ? EEPROM_OUT : 0);
}

/* ---- registers ---- */

static bool is_between(unsigned offset, unsigned first, unsigned count)
{
    return offset >= first && offset < first + count;
}

/* All registers are made of bytes. */
static bool io_read(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t *value)
{
    const struct rtl8139 *card = function->state;

    (void)bar; /* the only one of ports */
    if (size != 1)
        return false;
    *value = offset == EEPROM ? read_eeprom(card) : card->reg[offset];
    return true;
}

static bool io_write(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t value)
{
    struct rtl8139 *card = function->state;

    (void)bar;
    if (size != 1)
        return false;
    if (offset == COMMAND && (value & COMMAND_RESET) != 0)
        reset(card);
    else if (offset == COMMAND)
        card->reg[offset] = (uint8_t)((value & COMMAND_ENABLES) | COMMAND_BUFFER_EMPTY);
    else if (offset == EEPROM)
        write_eeprom(card, (uint8_t)value);
    else if (is_between(offset, MAR, 8) || is_between(offset, IMR, 2) || is_between(offset, RCR, 4) ||
             is_between(offset, BMCR, 2) || offset == TCR || offset == TCR + 1 ||
             (is_between(offset, IDR, 6) && (card->reg[EEPROM] & EEPROM_MODE) == MODE_WRITE_CONFIG))
        card->reg[offset] = (uint8_t)value;
    else
        log_line(LOG_INFO, "qemu", "rtl8139: no register takes %#x at %#x", value, offset);
    return true;
}

static const struct pci_model model = {
    .vendor_id = 0x10EC,
    .device_id = 0x8139,
    .revision = 0x20,
    .class_code = 0x020000,
    .subsystem_vendor = 0x1AF4,
    .subsystem = 0x1100,
    .interrupt_pin = 1,
    .bar = {{.kind = PCI_BAR_IO, .size = REGISTERS}, {.kind = PCI_BAR_MEMORY, .size = REGISTERS}},
    .io_read = io_read,
    .io_write = io_write,
};

void rtl8139_add(unsigned slot, const uint8_t mac[6])
{
    struct rtl8139 *card = board_alloc(sizeof(*card));

    memcpy(card->mac, mac, sizeof(card->mac));
    card->eeprom[0] = EEPROM_SIGNATURE;
    card->eeprom[1] = 0x10EC;
    card->eeprom[2] = 0x8139;
    for (unsigned i = 0; i < 3; i++)
        card->eeprom[EEPROM_MAC + i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    reset(card);
    (void)pci_add(&model, slot, 0, card);
}
