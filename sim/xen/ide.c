/*
 * The IDE controller of the board's PIIX3 and what hangs on its two channels: hard disks of zeros until they are
 * written, and CD drives without a disc. Commands by polling with data through the data port (ATA/ATAPI-5): a disk is
 * identified, read and written in 28-bit blocks; a CD drive is identified. The bus master and the interrupts are not
 * emulated, and commands that need them are aborted. Unplugged, a disk no longer answers; the controller stays.
 */
#include <stdio.h>
#include <string.h>

#include "xen/platform_device.h"

#define CHANNELS 2u
#define UNITS_OF_CHANNEL (IDE_UNITS / CHANNELS)

#define SECTOR_BYTES 512u
#define DISK_SECTORS (UINT32_C(64) << 11) /* 64 MiB */
#define HEADS 16u
#define SECTORS_OF_TRACK 63u
#define CHUNK_SECTORS 8u

/* Offsets from a channel's first port. */
#define PORT_DATA 0
#define PORT_ERROR 1 /* written: features */
#define PORT_COUNT 2
#define PORT_LBA_LOW 3
#define PORT_LBA_MID 4
#define PORT_LBA_HIGH 5
#define PORT_DEVICE 6
#define PORT_STATUS 7 /* written: command */
#define PORTS 8

#define STATUS_ERROR 0x01
#define STATUS_DATA 0x08
#define STATUS_SEEK_DONE 0x10
#define STATUS_READY 0x40
#define ERROR_ABORTED 0x04
#define ERROR_NO_ADDRESS 0x10
#define DIAGNOSTIC_PASSED 0x01
#define CONTROL_RESET 0x04
#define DEVICE_LBA 0x40
#define DEVICE_SECOND 0x10
#define DEVICE_OBSOLETE 0xA0 /* always set */

#define COMMAND_DEVICE_RESET 0x08
#define COMMAND_READ 0x20
#define COMMAND_WRITE 0x30
#define COMMAND_DIAGNOSTIC 0x90
#define COMMAND_IDENTIFY_PACKET 0xA1
#define COMMAND_FLUSH 0xE7
#define COMMAND_IDENTIFY 0xEC

enum unit_kind { UNIT_NONE, UNIT_DISK, UNIT_CDROM };

struct ide_unit {
    enum unit_kind kind;
    bool gone; /* unplugged */
    unsigned number;
    uint8_t reg[PORTS]; /* as they are read; of the data port nothing */
    uint8_t buffer[SECTOR_BYTES];
    unsigned at;      /* of the buffer, while there is data to transfer */
    unsigned sectors; /* to transfer yet, this one included */
    uint32_t block;   /* of this one */
    bool writing;
    uint8_t **chunk; /* of a disk: CHUNK_SECTORS each, NULL: zeros */
};

struct ide {
    struct ide_unit unit[IDE_UNITS];
    unsigned selected[CHANNELS]; /* of the channel's units */
};

/* ---- units ---- */

static bool is_there(const struct ide_unit *unit)
{
    return unit->kind != UNIT_NONE && !unit->gone;
}

/* What a driver goes by after a reset. */
static void sign(struct ide_unit *unit)
{
    bool cdrom = unit->kind == UNIT_CDROM;

    unit->reg[PORT_COUNT] = 1;
    unit->reg[PORT_LBA_LOW] = 1;
    unit->reg[PORT_LBA_MID] = cdrom ? 0x14 : 0;
    unit->reg[PORT_LBA_HIGH] = cdrom ? 0xEB : 0;
    unit->reg[PORT_DEVICE] = DEVICE_OBSOLETE;
}

static void reset(struct ide_unit *unit)
{
    sign(unit);
    unit->sectors = 0;
    unit->reg[PORT_ERROR] = DIAGNOSTIC_PASSED;
    unit->reg[PORT_STATUS] = unit->kind == UNIT_DISK ? STATUS_READY | STATUS_SEEK_DONE : 0;
}

static void finish(struct ide_unit *unit)
{
    unit->sectors = 0;
    unit->reg[PORT_ERROR] = 0;
    unit->reg[PORT_STATUS] = STATUS_READY | STATUS_SEEK_DONE;
}

static void fail_command(struct ide_unit *unit, uint8_t error)
{
    finish(unit);
    unit->reg[PORT_ERROR] = error;
    unit->reg[PORT_STATUS] |= STATUS_ERROR;
}

static void offer_data(struct ide_unit *unit, unsigned sectors, bool writing)
{
    finish(unit);
    unit->sectors = sectors;
    unit->writing = writing;
    unit->at = 0;
    unit->reg[PORT_STATUS] |= STATUS_DATA;
}

/* ---- identification ---- */

static void put_word(uint8_t *buffer, unsigned word, uint16_t value)
{
    buffer[2 * word] = (uint8_t)value;
    buffer[2 * word + 1] = (uint8_t)(value >> 8);
}

static void put_long(uint8_t *buffer, unsigned word, uint32_t value)
{
    put_word(buffer, word, (uint16_t)value);
    put_word(buffer, word + 1, (uint16_t)(value >> 16));
}

/* ATA strings: padded with spaces, the bytes of each word swapped. */
static void put_string(uint8_t *buffer, unsigned word, unsigned bytes, const char *text)
{
    for (unsigned i = 0; i < bytes; i++)
        buffer[2 * word + (i ^ 1)] = (uint8_t)(i < strlen(text) ? text[i] : ' ');
}

static void identify(struct ide_unit *unit)
{
    uint8_t *buffer = unit->buffer;
    char serial[21];
    bool disk = unit->kind == UNIT_DISK;

    memset(buffer, 0, sizeof(unit->buffer));
    snprintf(serial, sizeof(serial), "QM%05u", unit->number + 1);
    put_word(buffer, 0, disk ? 0x0040 : 0x8580); /* a fixed disk; a packet device, CD, removable, slow DRQ */
    put_string(buffer, 10, 20, serial);
    put_string(buffer, 23, 8, "2.5+");
    put_string(buffer, 27, 40, disk ? "QEMU HARDDISK" : "QEMU DVD-ROM");
    put_word(buffer, 49, disk ? 0x0200 : 0); /* by blocks */
    put_word(buffer, 80, 0x003E);            /* ATA-1 to ATA-5 */
    if (disk) {
        put_word(buffer, 1, DISK_SECTORS / (HEADS * SECTORS_OF_TRACK));
        put_word(buffer, 3, HEADS);
        put_word(buffer, 6, SECTORS_OF_TRACK);
        put_long(buffer, 60, DISK_SECTORS);
    }
    offer_data(unit, 1, false);
}

/* ---- reading and writing ---- */

static uint32_t addressed_block(const struct ide_unit *unit)
{
    return unit->reg[PORT_LBA_LOW] | (uint32_t)unit->reg[PORT_LBA_MID] << 8 | (uint32_t)unit->reg[PORT_LBA_HIGH] << 16 |
           (uint32_t)(unit->reg[PORT_DEVICE] & 0xF) << 24;
}

static uint8_t *sector_of(struct ide_unit *unit, uint32_t block, bool make)
{
    uint8_t **chunk = &unit->chunk[block / CHUNK_SECTORS];

    if (*chunk == NULL && make)
        *chunk = image_alloc(CHUNK_SECTORS * SECTOR_BYTES);
    return *chunk != NULL ? *chunk + (block % CHUNK_SECTORS) * SECTOR_BYTES : NULL;
}

static void fetch(struct ide_unit *unit)
{
    const uint8_t *sector = sector_of(unit, unit->block, false);

    if (sector != NULL)
        memcpy(unit->buffer, sector, SECTOR_BYTES);
    else
        memset(unit->buffer, 0, SECTOR_BYTES);
}

static void transfer(struct ide_unit *unit, bool writing)
{
    unsigned sectors = unit->reg[PORT_COUNT] != 0 ? unit->reg[PORT_COUNT] : 256;
    uint32_t block = addressed_block(unit);

    if ((unit->reg[PORT_DEVICE] & DEVICE_LBA) == 0) {
        fail_command(unit, ERROR_ABORTED); /* by cylinder, head and sector */
    } else if (block >= DISK_SECTORS || DISK_SECTORS - block < sectors) {
        fail_command(unit, ERROR_NO_ADDRESS);
    } else {
        unit->block = block;
        offer_data(unit, sectors, writing);
        if (!writing)
            fetch(unit);
    }
}

/* The buffer has gone through the data port. */
static void sector_done(struct ide_unit *unit)
{
    if (unit->writing)
        memcpy(sector_of(unit, unit->block, true), unit->buffer, SECTOR_BYTES);
    if (--unit->sectors == 0) {
        finish(unit);
        return;
    }
    unit->block++;
    unit->at = 0;
    if (!unit->writing)
        fetch(unit);
}

static uint16_t data_read(struct ide_unit *unit)
{
    uint16_t value;

    if (unit->sectors == 0 || unit->writing)
        return 0;
    memcpy(&value, &unit->buffer[unit->at], sizeof(value));
    unit->at += sizeof(value);
    if (unit->at == SECTOR_BYTES)
        sector_done(unit);
    return value;
}

static void data_write(struct ide_unit *unit, uint16_t value)
{
    if (unit->sectors == 0 || !unit->writing)
        return;
    memcpy(&unit->buffer[unit->at], &value, sizeof(value));
    unit->at += sizeof(value);
    if (unit->at == SECTOR_BYTES)
        sector_done(unit);
}

/* ---- commands ---- */

static void command(struct ide_unit *unit, uint8_t command)
{
    bool disk = unit->kind == UNIT_DISK;

    if (command == COMMAND_IDENTIFY && disk) {
        identify(unit);
    } else if (command == COMMAND_IDENTIFY) {
        sign(unit);
        fail_command(unit, ERROR_ABORTED);
    } else if (command == COMMAND_IDENTIFY_PACKET && !disk) {
        identify(unit);
    } else if (command == COMMAND_DEVICE_RESET && !disk) {
        reset(unit);
    } else if (command == COMMAND_READ && disk) {
        transfer(unit, false);
    } else if (command == COMMAND_WRITE && disk) {
        transfer(unit, true);
    } else if (command == COMMAND_FLUSH && disk) {
        finish(unit); /* what was written is there */
    } else {
        log_line(LOG_INFO, "qemu", "IDE unit %u: command %#x is aborted", unit->number, command);
        fail_command(unit, ERROR_ABORTED);
    }
}

/* ---- ports ---- */

static struct ide_unit *units_of(unsigned channel)
{
    return &platform_state()->ide->unit[channel * UNITS_OF_CHANNEL];
}

static struct ide_unit *selected_unit(unsigned channel)
{
    return units_of(channel) + platform_state()->ide->selected[channel];
}

static unsigned channel_of(const void *device)
{
    return (unsigned)((const struct ide_unit *)device - platform_state()->ide->unit) / UNITS_OF_CHANNEL;
}

static bool port_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    struct ide_unit *unit = selected_unit(channel_of(device));

    if (offset == PORT_DATA && size != 1) {
        *value = 0;
        for (unsigned shift = 0; shift < 8 * size; shift += 16) /* a doubleword is two of the port's */
            *value |= (uint32_t)(is_there(unit) ? data_read(unit) : 0xFFFF) << shift;
    } else if (size == 1) {
        *value = is_there(unit) && offset != PORT_DATA ? unit->reg[offset] : 0;
    } else {
        return false;
    }
    return true;
}

static void select(unsigned channel, uint8_t value)
{
    platform_state()->ide->selected[channel] = (value & DEVICE_SECOND) != 0;
    for (unsigned i = 0; i < UNITS_OF_CHANNEL; i++) /* both take what is written */
        units_of(channel)[i].reg[PORT_DEVICE] = value | DEVICE_OBSOLETE;
}

static bool port_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    unsigned channel = channel_of(device);
    struct ide_unit *unit = selected_unit(channel);

    if (offset == PORT_DATA && size != 1) {
        for (unsigned shift = 0; is_there(unit) && shift < 8 * size; shift += 16)
            data_write(unit, (uint16_t)(value >> shift));
        return true;
    }
    if (size != 1)
        return false;
    if (offset == PORT_DEVICE) {
        select(channel, (uint8_t)value);
    } else if (offset == PORT_STATUS && value == COMMAND_DIAGNOSTIC) {
        for (unsigned i = 0; i < UNITS_OF_CHANNEL; i++) /* whichever is selected */
            reset(&units_of(channel)[i]);
        platform_state()->ide->selected[channel] = 0;
    } else if (offset == PORT_STATUS) {
        if (is_there(unit))
            command(unit, (uint8_t)value);
    } else if (offset >= PORT_COUNT && offset < PORT_DEVICE) {
        for (unsigned i = 0; i < UNITS_OF_CHANNEL; i++)
            units_of(channel)[i].reg[offset] = (uint8_t)value;
    }
    return true;
}

/* The control port: read, the status; written, resets. */
static bool control_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    return size == 1 && port_read(device, offset + PORT_STATUS, 1, value);
}

static bool control_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    unsigned channel = channel_of(device);

    (void)offset; /* of one port */
    if (size != 1)
        return false;
    if ((value & CONTROL_RESET) == 0)
        return true;
    for (unsigned i = 0; i < UNITS_OF_CHANNEL; i++)
        reset(&units_of(channel)[i]);
    platform_state()->ide->selected[channel] = 0;
    return true;
}

/* ---- the controller ---- */

static const struct pci_model model = {
    .vendor_id = 0x8086,
    .device_id = 0x7010,
    .class_code = 0x010180, /* both channels at the old ports; a bus master */
    .subsystem_vendor = 0x1AF4,
    .subsystem = 0x1100,
    .bar = {[4] = {.kind = PCI_BAR_IO, .size = 16}},
};

#define ISA_BRIDGE_SLOT 1u
#define FUNCTION 1u

void ide_init(unsigned disks, unsigned cdroms)
{
    static const uint16_t ports[CHANNELS] = {0x1F0, 0x170};
    static const uint16_t control[CHANNELS] = {0x3F6, 0x376};
    struct ide *ide = board_alloc(sizeof(*ide));

    platform_state()->ide = ide;
    (void)pci_add(&model, ISA_BRIDGE_SLOT, FUNCTION, NULL);
    for (unsigned i = 0; i < IDE_UNITS; i++) {
        struct ide_unit *unit = &ide->unit[i];

        unit->number = i;
        if ((disks & 1u << i) != 0) {
            unit->kind = UNIT_DISK;
            unit->chunk = image_alloc(DISK_SECTORS / CHUNK_SECTORS * sizeof(*unit->chunk));
        } else if ((cdroms & 1u << i) != 0) {
            unit->kind = UNIT_CDROM;
        }
        reset(unit);
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        ioport_claim(ports[i], PORTS, port_read, port_write, units_of(i));
        ioport_claim(control[i], 1, control_read, control_write, units_of(i));
    }
}

void ide_unplug(unsigned units)
{
    struct ide *ide = platform_state()->ide;

    for (unsigned i = 0; ide != NULL && i < IDE_UNITS; i++)
        if ((units & 1u << i) != 0 && ide->unit[i].kind == UNIT_DISK)
            ide->unit[i].gone = true;
}

void ide_plug_all(void)
{
    struct ide *ide = platform_state()->ide;

    for (unsigned i = 0; ide != NULL && i < IDE_UNITS; i++)
        ide->unit[i].gone = false;
}
