/*
 * The firmware's ACPI tables (Advanced Configuration and Power Interface 4.0, chapter 5) as Xen's hvmloader leaves them
 * for an HVM guest, in the page below 1 MiB where a guest searches for their pointer, and the registers that they name:
 * PM1 event and control, the power management timer, general-purpose events. Nothing raises their interrupt.
 */
#include <stddef.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/guest_ram.h"
#include "xen/platform_device.h"

#define FIRMWARE_GFN UINT64_C(0xEA)
#define FIRMWARE_ADDRESS 0xEA020u /* of the root pointer */

#define PM1_EVENT_PORT 0xB000 /* status and enable, 16 bits each */
#define PM1_CONTROL_PORT 0xB004
#define PM_TIMER_PORT 0xB008
#define GPE0_PORT 0xAFE0 /* status and enable, 16 bits each */
#define PM_TIMER_HZ UINT64_C(3579545)
#define NS_PER_S UINT64_C(1000000000)
#define SCI_INTERRUPT 9

#define PM1_CONTROL_SCI_ENABLE 0x0001
#define PM1_CONTROL_SLEEP_TYPE 0x1C00
#define PM1_CONTROL_SLEEP 0x2000 /* written only; type 0 is S5, as \_S5 in the DSDT says */

#define LOCAL_APIC_ADDRESS 0xFEE00000u
#define IO_APIC_ADDRESS 0xFEC00000u
#define IO_APIC_ID 1
#define ISA_IRQS 16u
#define PCI_ISA_IRQS 0x0C20u /* where the firmware routes the PCI links: 5, 10, 11 */
#define ACTIVE_LOW_LEVEL 0xF
#define TIMER_INPUT 2 /* of the I/O APIC: where IRQ 0 is */

struct __attribute__((packed)) root_pointer {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
};

struct __attribute__((packed)) header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem[6];
    char oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
};

struct __attribute__((packed)) address {
    uint8_t space; /* 1: ports */
    uint8_t bits;
    uint8_t offset;
    uint8_t access; /* 2: 16 bits, 3: 32 */
    uint64_t address;
};

struct __attribute__((packed)) fixed_description {
    struct header header;
    uint32_t facs, dsdt;
    uint8_t reserved0;
    uint8_t profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4bios, pstate;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
    uint8_t gpe0_length, gpe1_length, gpe1_base, cstate;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t reserved1;
    uint32_t flags;
    struct address reset;
    uint8_t reset_value;
    uint8_t reserved2[3];
    uint64_t x_facs, x_dsdt;
    struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer, x_gpe0,
        x_gpe1;
};

_Static_assert(sizeof(struct root_pointer) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");
_Static_assert(sizeof(struct fixed_description) == 244, "ACPI 5.2.9, revision 4");

#define FIXED_WBINVD 0x1u
#define FIXED_PROC_C1 0x4u
#define FIXED_SLEEP_BUTTON 0x20u /* there is none */
#define FIXED_TIMER_32 0x100u

struct __attribute__((packed)) madt {
    struct header header;
    uint32_t local_apic;
    uint32_t flags; /* 1: there are also two 8259 */
};

struct __attribute__((packed)) madt_processor {
    uint8_t type, length; /* 0 */
    uint8_t processor;
    uint8_t apic;
    uint32_t flags; /* 1: enabled */
};

struct __attribute__((packed)) madt_io_apic {
    uint8_t type, length; /* 1 */
    uint8_t id;
    uint8_t reserved;
    uint32_t address;
    uint32_t first_input;
};

struct __attribute__((packed)) madt_override {
    uint8_t type, length; /* 2 */
    uint8_t bus;
    uint8_t irq;
    uint32_t input;
    uint16_t flags;
};

/* Name (\_S5, Package () {0, 0, 0, 0}), Scope (\_SB) {Device (PCI0) {Name (_HID, EisaId ("PNP0A03"))}} */
static const uint8_t dsdt_body[] = {
    0x08, '_',  'S',  '5',  '_', 0x12, 0x06, 0x04, 0x00, 0x00, 0x00, 0x00, 0x10, 0x17, '\\', '_',  'S',  'B',
    '_',  0x5B, 0x82, 0x0F, 'P', 'C',  'I',  '0',  0x08, '_',  'H',  'I',  'D',  0x0C, 0x41, 0xD0, 0x0A, 0x03,
};

#define LISTED_TABLES 2u
#define OVERRIDES_MAX ISA_IRQS

/* Everything, with what it takes to begin each table at a multiple of 16. */
_Static_assert(FIRMWARE_ADDRESS % GUEST_PAGE_SIZE + sizeof(struct root_pointer) + sizeof(struct header) +
                       sizeof(dsdt_body) + sizeof(struct fixed_description) + sizeof(struct madt) +
                       OVERRIDES_MAX * sizeof(struct madt_override) + sizeof(struct madt_io_apic) +
                       MACHINE_MAX_VCPUS * sizeof(struct madt_processor) + 2 * sizeof(struct header) +
                       LISTED_TABLES * (sizeof(uint32_t) + sizeof(uint64_t)) + 5 * 15 <=
                   GUEST_PAGE_SIZE,
               "the tables are in one page");

struct acpi {
    uint16_t pm1_status, pm1_enable, pm1_control;
    uint16_t gpe0_status, gpe0_enable;
};

/* ---- tables ---- */

/* A page under construction. */
struct page {
    uint8_t *start;
    size_t used;
};

static uint8_t checksum(const void *start, size_t bytes)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum += ((const uint8_t *)start)[i];
    return (uint8_t)-sum;
}

static void *take(struct page *page, size_t bytes)
{
    void *start = page->start + page->used;

    page->used += bytes;
    return start;
}

static uint32_t address_of(const struct page *page, const void *table)
{
    return (uint32_t)(FIRMWARE_GFN << GUEST_PAGE_SHIFT) + (uint32_t)((const uint8_t *)table - page->start);
}

static void *table_begin(struct page *page, const char *signature, uint8_t revision, size_t bytes)
{
    struct header *header;

    page->used = (page->used + 15) & ~(size_t)15;
    header = take(page, bytes);
    memcpy(header->signature, signature, sizeof(header->signature));
    header->revision = revision;
    memcpy(header->oem, "Xen\0\0\0", sizeof(header->oem));
    memcpy(header->oem_table, "HVM\0\0\0\0\0", sizeof(header->oem_table));
    memcpy(header->creator, "HVML", sizeof(header->creator));
    return header;
}

static void table_end(struct page *page, struct header *header)
{
    header->length = (uint32_t)(page->start + page->used - (uint8_t *)header);
    header->checksum = checksum(header, header->length);
}

static void put_ports(struct address *address, uint16_t port, uint8_t bytes)
{
    *address = (struct address){.space = 1, .bits = 8 * bytes, .access = bytes == 4 ? 3 : 2, .address = port};
}

static uint32_t put_dsdt(struct page *page)
{
    struct header *header = table_begin(page, "DSDT", 2, sizeof(*header) + sizeof(dsdt_body));

    memcpy(header + 1, dsdt_body, sizeof(dsdt_body));
    table_end(page, header);
    return address_of(page, header);
}

static uint32_t put_fixed_description(struct page *page, uint32_t dsdt)
{
    struct fixed_description *fixed = table_begin(page, "FACP", 4, sizeof(*fixed));

    fixed->dsdt = dsdt;
    fixed->x_dsdt = dsdt;
    fixed->sci = SCI_INTERRUPT;
    fixed->pm1a_event = PM1_EVENT_PORT;
    fixed->pm1a_control = PM1_CONTROL_PORT;
    fixed->pm_timer = PM_TIMER_PORT;
    fixed->gpe0 = GPE0_PORT;
    fixed->pm1_event_length = 4;
    fixed->pm1_control_length = 2;
    fixed->pm_timer_length = 4;
    fixed->gpe0_length = 4;
    fixed->c2_latency = 0x0FFF; /* no such state */
    fixed->c3_latency = 0x0FFF;
    fixed->boot_flags = 3; /* old devices and a keyboard controller may be there */
    fixed->flags = FIXED_WBINVD | FIXED_PROC_C1 | FIXED_SLEEP_BUTTON | FIXED_TIMER_32;
    put_ports(&fixed->x_pm1a_event, PM1_EVENT_PORT, 4);
    put_ports(&fixed->x_pm1a_control, PM1_CONTROL_PORT, 2);
    put_ports(&fixed->x_pm_timer, PM_TIMER_PORT, 4);
    put_ports(&fixed->x_gpe0, GPE0_PORT, 4);
    table_end(page, &fixed->header);
    return address_of(page, fixed);
}

static void put_override(struct page *page, unsigned irq, unsigned input, uint16_t flags)
{
    struct madt_override *override = take(page, sizeof(*override));

    *override = (struct madt_override){
        .type = 2, .length = sizeof(*override), .irq = (uint8_t)irq, .input = input, .flags = flags};
}

/* Processors have two local APIC numbers each, of which the first is used. */
static uint32_t put_madt(struct page *page)
{
    struct madt *madt = table_begin(page, "APIC", 2, sizeof(*madt));
    struct madt_io_apic *io_apic;

    madt->local_apic = LOCAL_APIC_ADDRESS;
    madt->flags = 1;
    put_override(page, 0, TIMER_INPUT, 0);
    for (unsigned irq = 1; irq < ISA_IRQS; irq++)
        if ((PCI_ISA_IRQS & 1u << irq) != 0)
            put_override(page, irq, irq, ACTIVE_LOW_LEVEL);
    io_apic = take(page, sizeof(*io_apic));
    *io_apic =
        (struct madt_io_apic){.type = 1, .length = sizeof(*io_apic), .id = IO_APIC_ID, .address = IO_APIC_ADDRESS};
    for (unsigned i = 0; i < machine->config.vcpus; i++) {
        struct madt_processor *processor = take(page, sizeof(*processor));

        *processor =
            (struct madt_processor){.length = sizeof(*processor),
                                    .processor = (uint8_t)i,
                                    .apic = (uint8_t)(2 * i),
                                    .flags = machine->config.start_vcpus == 0 || i < machine->config.start_vcpus};
    }
    table_end(page, &madt->header);
    return address_of(page, madt);
}

/* A list of tables, by addresses of so many bytes. */
static uint32_t put_list(struct page *page, const char *signature, size_t width, const uint32_t *tables, unsigned count)
{
    struct header *header = table_begin(page, signature, 1, sizeof(*header) + count * width);

    for (unsigned i = 0; i < count; i++)
        memcpy((uint8_t *)(header + 1) + i * width, &tables[i], sizeof(tables[i]));
    table_end(page, header);
    return address_of(page, header);
}

static void put_tables(struct page *page)
{
    struct root_pointer *root = take(page, sizeof(*root));
    uint32_t tables[LISTED_TABLES];

    tables[0] = put_fixed_description(page, put_dsdt(page));
    tables[1] = put_madt(page);
    memcpy(root->signature, "RSD PTR ", sizeof(root->signature));
    memcpy(root->oem, "Xen\0\0\0", sizeof(root->oem));
    root->revision = 2;
    root->length = sizeof(*root);
    root->rsdt = put_list(page, "RSDT", sizeof(uint32_t), tables, LISTED_TABLES);
    root->xsdt = put_list(page, "XSDT", sizeof(uint64_t), tables, LISTED_TABLES);
    root->checksum = checksum(root, offsetof(struct root_pointer, length));
    root->extended_checksum = checksum(root, sizeof(*root));
}

/* ---- registers ---- */

static bool pm1_event_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    const struct acpi *acpi = device;

    if (size != 2 || offset % 2 != 0)
        return false;
    *value = offset == 0 ? acpi->pm1_status : acpi->pm1_enable;
    return true;
}

/* Bits of the status go when ones are written to them. */
static bool pm1_event_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    struct acpi *acpi = device;

    if (size != 2 || offset % 2 != 0)
        return false;
    if (offset == 0)
        acpi->pm1_status &= (uint16_t)~value;
    else
        acpi->pm1_enable = (uint16_t)value;
    return true;
}

static bool gpe0_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    const struct acpi *acpi = device;

    if (size != 2 || offset % 2 != 0)
        return false;
    *value = offset == 0 ? acpi->gpe0_status : acpi->gpe0_enable;
    return true;
}

static bool gpe0_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    struct acpi *acpi = device;

    if (size != 2 || offset % 2 != 0)
        return false;
    if (offset == 0)
        acpi->gpe0_status &= (uint16_t)~value;
    else
        acpi->gpe0_enable = (uint16_t)value;
    return true;
}

static bool pm1_control_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    const struct acpi *acpi = device;

    if (size != 2 || offset != 0)
        return false;
    *value = acpi->pm1_control | PM1_CONTROL_SCI_ENABLE; /* there is no mode but ACPI's */
    return true;
}

static bool pm1_control_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    struct acpi *acpi = device;

    if (size != 2 || offset != 0)
        return false;
    acpi->pm1_control = (uint16_t)value & (uint16_t)~PM1_CONTROL_SLEEP;
    if ((value & PM1_CONTROL_SLEEP) != 0 && (value & PM1_CONTROL_SLEEP_TYPE) == 0 && xen_state()->guest != NULL)
        xen_guest_ends(false);
    else if ((value & PM1_CONTROL_SLEEP) != 0)
        log_line(LOG_INFO, "qemu", "no sleep state is behind %#x", value);
    return true;
}

static bool pm_timer_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    uint64_t now = clock_now();

    (void)device; /* the machine's clock */
    if (size != 4 || offset != 0)
        return false;
    *value = (uint32_t)(now / NS_PER_S * PM_TIMER_HZ + now % NS_PER_S * PM_TIMER_HZ / NS_PER_S);
    return true;
}

void acpi_put_tables(void)
{
    uint32_t backing = backing_alloc();
    struct page page = {.start = backing_page(backing), .used = FIRMWARE_ADDRESS % GUEST_PAGE_SIZE};

    put_tables(&page);
    p2m_set(FIRMWARE_GFN, backing);
}

void acpi_init(void)
{
    struct acpi *acpi = board_alloc(sizeof(*acpi));

    acpi_put_tables();
    ioport_claim(PM1_EVENT_PORT, 4, pm1_event_read, pm1_event_write, acpi);
    ioport_claim(PM1_CONTROL_PORT, 2, pm1_control_read, pm1_control_write, acpi);
    ioport_claim(PM_TIMER_PORT, 4, pm_timer_read, NULL, NULL);
    ioport_claim(GPE0_PORT, 4, gpe0_read, gpe0_write, acpi);
}
