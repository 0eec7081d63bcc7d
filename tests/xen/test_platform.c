/*
 * The board around the guest: the unplug protocol and the log ports (Xen's docs/misc/hvm-emulated-unplug.pandoc), port
 * accesses, and the platform device in PCI configuration space (PCI Local Bus Specification 3.0, chapter 6).
 */
#include "xen/xen_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUS 0u
#define DEVICE 2u

#define VENDOR 0x00
#define COMMAND 0x04
#define CLASS_REVISION 0x08
#define BAR0 0x10
#define BAR1 0x14
#define SUBSYSTEM 0x2C
#define INTERRUPT_LINE 0x3C
#define INTERRUPT_PIN 0x3D

/* ---- unplug ---- */

XEN_TEST(unplug_protocol)
{
    ck_assert_uint_eq(__inword(0x10), 0x49D2);
    ck_assert_uint_eq(__inbyte(0x12), 1); /* the protocol's version */
    __outword(0x12, 0x1234);              /* product */
    __outdword(0x10, 0x10203);            /* build */
    ck_assert_uint_eq(__inword(0x10), 0x49D2);
    ck_assert_uint_eq(xen_platform_unplugged(), 0);
    __outword(0x10, XEN_UNPLUG_NICS);
    ck_assert_uint_eq(xen_platform_unplugged(), XEN_UNPLUG_NICS);
    __outword(0x10, XEN_UNPLUG_IDE_DISKS | XEN_UNPLUG_NVME_DISKS); /* adds to what is gone */
    ck_assert_uint_eq(xen_platform_unplugged(), XEN_UNPLUG_NICS | XEN_UNPLUG_IDE_DISKS | XEN_UNPLUG_NVME_DISKS);
    __outword(0x10, 0xFFF0); /* bits that mean nothing */
    ck_assert_uint_eq(xen_platform_unplugged(), XEN_UNPLUG_NICS | XEN_UNPLUG_IDE_DISKS | XEN_UNPLUG_NVME_DISKS);
}

/* ---- logs ---- */

/* What a run with `function` in the guest writes to standard error. */
static char *log_of(void (*function)(void))
{
    struct machine_config config = guest_config(1);
    struct domain_test test = {.vcpus = 1, .function = function};
    FILE *file = tmpfile();
    char *text;
    long size;
    int saved;

    ck_assert_ptr_nonnull(file);
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    config.log_level = LOG_INFO;
    guest_run_with(&config, domain_enter, &test);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    size = ftell(file) >= 0 && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
    rewind(file);
    text = calloc(1, (size_t)size + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

static void out_string(uint16_t port, const char *text)
{
    for (; *text != '\0'; text++)
        __outbyte(port, (UCHAR)*text);
}

static void log_to_ports(void)
{
    out_string(0x12, "to the emu\x01lator\n");
    out_string(0xE9, "to the hypervisor\nunfinished");
    for (unsigned i = 0; i < 5000; i++)
        __outbyte(0x12, 'x'); /* a line without end */
    out_string(0x12, "\n");
}

START_TEST(log_ports)
{
    char *text = log_of(log_to_ports);
    const char *emulator = strstr(text, "to the emulator");
    const char *hypervisor = strstr(text, "to the hypervisor");

    ck_assert_msg(emulator != NULL, "port 0x12 did not reach the log:\n%s", text);
    ck_assert_msg(hypervisor != NULL, "port 0xE9 did not reach the log:\n%s", text);
    ck_assert_ptr_null(memchr(emulator, 1, strlen(emulator))); /* what cannot be printed is dropped */
    ck_assert_ptr_null(strstr(text, "unfinished"));
    ck_assert_uint_lt(strspn(strstr(text, "xxxx"), "x"), 5000); /* broken up */
    free(text);
}
END_TEST

/* ---- ports ---- */

XEN_TEST(nobody_there)
{
    ck_assert_uint_eq(__inbyte(0x350), 0xFF);
    ck_assert_uint_eq(__inword(0x350), 0xFFFF);
    ck_assert_uint_eq(__indword(0x350), 0xFFFFFFFF);
    __outdword(0x350, 5);
    ck_assert_uint_eq(__inbyte(0xFFFF), 0xFF);
}

static bool port_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    (void)device;
    if (size != 1)
        return false;
    *value = 0x10u + offset;
    return true;
}

static bool port_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    uint8_t *registers = device;

    if (size != 1)
        return false;
    registers[offset] = (uint8_t)value;
    return true;
}

/* An access wider than a register is made of narrower ones, the lowest first. */
XEN_TEST(claimed_ports)
{
    uint8_t registers[6] = {0};

    ioport_claim(0x600, 6, port_read, port_write, registers);
    ck_assert_uint_eq(__inbyte(0x603), 0x13);
    ck_assert_uint_eq(__inword(0x602), 0x1312);
    ck_assert_uint_eq(__indword(0x600), 0x13121110);
    ck_assert_uint_eq(__indword(0x604), 0xFFFF1514); /* two of them beyond its end */
    __outdword(0x601, 0xA1B2C3D4);
    ck_assert_mem_eq(registers, "\x00\xD4\xC3\xB2\xA1\x00", 6);
}

static void claim_twice(void *argument)
{
    (void)argument;
    ioport_claim(0x600, 8, port_read, NULL, NULL);
    ioport_claim(0x607, 1, port_read, NULL, NULL);
}

START_TEST(claims_overlap)
{
    struct machine_config config = guest_config(1);

    config.log_level = LOG_NONE;
    (void)guest_must_fail(&config, claim_twice, NULL, "ioport");
}
END_TEST

/* ---- PCI ---- */

static uint32_t config_read(unsigned offset, unsigned size)
{
    return pci_config_read(BUS, DEVICE, 0, offset, size);
}

XEN_TEST(identity)
{
    unsigned found = 0;

    ck_assert_uint_eq(config_read(VENDOR, 2), 0x5853);
    ck_assert_uint_eq(config_read(VENDOR + 2, 2), 0x0001);
    ck_assert_uint_eq(config_read(VENDOR, 4), 0x00015853);
    ck_assert_uint_eq(config_read(SUBSYSTEM, 4), 0x00015853);
    ck_assert_uint_eq(config_read(CLASS_REVISION, 1), 1);
    ck_assert_uint_eq(config_read(0x0E, 1), 0); /* an ordinary, single-function device */
    ck_assert_uint_eq(config_read(INTERRUPT_PIN, 1), 1);
    for (unsigned device = 0; device < 32; device++)
        found += pci_config_read(BUS, device, 0, VENDOR, 4) == 0x00015853;
    ck_assert_uint_eq(found, 1);
    ck_assert_uint_eq(pci_config_read(BUS, DEVICE, 1, VENDOR, 4), 0xFFFFFFFF);
    ck_assert_uint_eq(pci_config_read(1, DEVICE, 0, VENDOR, 4), 0xFFFFFFFF);
    ck_assert_uint_eq(pci_config_read(BUS, 31, 0, VENDOR, 2), 0xFFFF);
    ck_assert_uint_eq(pci_config_read(BUS, 31, 0, VENDOR, 1), 0xFF);
    /* Identity is read-only. */
    pci_config_write(BUS, DEVICE, 0, VENDOR, 4, 0x12345678);
    pci_config_write(BUS, DEVICE, 0, CLASS_REVISION, 4, 0x12345678);
    pci_config_write(BUS, DEVICE, 0, INTERRUPT_PIN, 1, 3);
    ck_assert_uint_eq(config_read(VENDOR, 4), 0x00015853);
    ck_assert_uint_eq(config_read(CLASS_REVISION, 1), 1);
    ck_assert_uint_eq(config_read(INTERRUPT_PIN, 1), 1);
    /* The line register is software's. */
    pci_config_write(BUS, DEVICE, 0, INTERRUPT_LINE, 1, 0x2A);
    ck_assert_uint_eq(config_read(INTERRUPT_LINE, 1), 0x2A);
}

/* The size of a BAR: write all ones, the bits that stay zero are below it. */
static uint32_t bar_size(unsigned bar, uint32_t *address)
{
    uint32_t before = config_read(bar, 4);
    uint32_t mask;

    pci_config_write(BUS, DEVICE, 0, bar, 4, 0xFFFFFFFF);
    mask = config_read(bar, 4);
    pci_config_write(BUS, DEVICE, 0, bar, 4, before);
    ck_assert_uint_eq(config_read(bar, 4), before);
    ck_assert_uint_eq((mask ^ before) & ((before & 1) != 0 ? 3 : 15), 0); /* the kind stays */
    mask &= (before & 1) != 0 ? ~3u : ~15u;
    *address = before & ((before & 1) != 0 ? ~3u : ~15u);
    return ~mask + 1;
}

XEN_TEST(bars)
{
    uint32_t address;

    ck_assert_uint_eq(config_read(BAR0, 4) & 3, 1); /* ports */
    ck_assert_uint_eq(bar_size(BAR0, &address), 0x100);
    ck_assert_uint_ne(address, 0);
    ck_assert_uint_eq(address % 0x100, 0);
    ck_assert_uint_eq(config_read(BAR1, 4) & 7, 0); /* memory, below 4 GiB */
    ck_assert_uint_eq(bar_size(BAR1, &address), 16u << 20);
    ck_assert_uint_eq(address, HOLE << GUEST_PAGE_SHIFT);
    for (unsigned bar = BAR1 + 4; bar < 0x28; bar += 4) { /* no others */
        pci_config_write(BUS, DEVICE, 0, bar, 4, 0xFFFFFFFF);
        ck_assert_uint_eq(config_read(bar, 4), 0);
    }
    ck_assert_uint_eq(config_read(COMMAND, 2) & 3, 3); /* the firmware has turned both on */
}

/* The BAR's ports go where it points, and away when the command register says so. */
XEN_TEST(bar_of_ports)
{
    uint16_t base = (uint16_t)(config_read(BAR0, 4) & ~3u);

    ck_assert_uint_eq(__inbyte(base), 0);
    pci_config_write(BUS, DEVICE, 0, COMMAND, 2, config_read(COMMAND, 2) & ~1u);
    ck_assert_uint_eq(__inbyte(base), 0xFF);
    pci_config_write(BUS, DEVICE, 0, COMMAND, 2, config_read(COMMAND, 2) | 1u);
    ck_assert_uint_eq(__inbyte(base), 0);
    pci_config_write(BUS, DEVICE, 0, BAR0, 4, 0xD000);
    ck_assert_uint_eq(__inbyte(base), 0xFF);
    ck_assert_uint_eq(__inbyte(0xD000), 0);
}

/* The same by configuration mechanism #1. */
XEN_TEST(config_ports)
{
    const uint32_t address = 1u << 31 | BUS << 16 | DEVICE << 11;

    __outdword(0xCF8, address | VENDOR);
    ck_assert_uint_eq(__indword(0xCF8), address | VENDOR);
    ck_assert_uint_eq(__indword(0xCFC), 0x00015853);
    ck_assert_uint_eq(__inword(0xCFE), 0x0001);
    ck_assert_uint_eq(__inbyte(0xCFD), 0x58);
    __outdword(0xCF8, address | INTERRUPT_LINE);
    __outbyte(0xCFC, 0x2B);
    ck_assert_uint_eq(config_read(INTERRUPT_LINE, 1), 0x2B);
    __outdword(0xCF8, 1u << 31 | 31u << 11);
    ck_assert_uint_eq(__indword(0xCFC), 0xFFFFFFFF); /* nobody there */
    __outdword(0xCF8, BUS << 16 | DEVICE << 11);
    ck_assert_uint_eq(__indword(0xCFC), 0xFFFFFFFF); /* not enabled */
    __outdword(0xCF8, address | VENDOR);
    __outbyte(0xCF8, 0x08); /* a narrow access is not one to the address register */
    ck_assert_uint_eq(__indword(0xCFC), 0x00015853);
}

/* Xen's routing: inputs 16 to 47, four lines of a device in a row. */
XEN_TEST(interrupt_routing)
{
    ck_assert_uint_eq(pci_intx_gsi(2, 0), 24);
    ck_assert_uint_eq(pci_intx_gsi(2, 3), 27);
    ck_assert_uint_eq(pci_intx_gsi(8, 0), 17); /* wraps around, one further */
    for (unsigned device = 0; device < 32; device++) {
        for (unsigned intx = 0; intx < 4; intx++) {
            ck_assert_uint_ge(pci_intx_gsi(device, intx), 16);
            ck_assert_uint_lt(pci_intx_gsi(device, intx), 48);
        }
    }
}

int main(void)
{
    Suite *suite = suite_create("platform");
    TCase *tcase = tcase_create("fixed ports");

    tcase_add_test(tcase, unplug_protocol);
    tcase_add_test(tcase, log_ports);
    tcase_add_test(tcase, nobody_there);
    tcase_add_test(tcase, claimed_ports);
    tcase_add_test(tcase, claims_overlap);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("PCI");
    tcase_add_test(tcase, identity);
    tcase_add_test(tcase, bars);
    tcase_add_test(tcase, bar_of_ports);
    tcase_add_test(tcase, config_ports);
    tcase_add_test(tcase, interrupt_routing);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
