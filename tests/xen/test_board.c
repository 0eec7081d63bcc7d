/*
 * What a toolstack can have on the board beside the chipset: platform devices side by side, emulated network cards and
 * IDE disks that go when the guest's drivers say so (Xen's docs/misc/hvm-emulated-unplug.pandoc), and an emulator that
 * does not listen.
 */
#include "xen/board.h"
#include "xen/hypervisor.h"
#include "xen/xen_guest.h"

#include <stdio.h>

#define VENDOR 0x00
#define COMMAND 0x04
#define CLASS_REVISION 0x08
#define BAR0 0x10
#define SUBSYSTEM 0x2C
#define INTERRUPT_PIN 0x3D

#define ABSENT 0xFFFFFFFF
#define FIRST_NIC 4u
#define MAGIC 0x49D2
#define BLACKLISTED 0xD249

static void on_board(const char *board, const char *unplug, void (*function)(void))
{
    struct machine_config config = guest_config(GUEST_VCPUS);
    struct domain_test test = {.vcpus = GUEST_VCPUS, .function = function};

    if (board != NULL)
        ck_assert(xen_board_parse(board, &config.board));
    if (unplug != NULL)
        ck_assert(xen_unplug_parse(unplug, &config.board));
    guest_run_with(&config, domain_enter, &test);
}

#define BOARD_TEST(name, board, unplug)                                                                                \
    static void name##_in_guest(void);                                                                                 \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        on_board(board, unplug, name##_in_guest);                                                                      \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_in_guest(void)

static uint32_t identity(unsigned device, unsigned function)
{
    return pci_config_read(0, device, function, VENDOR, 4);
}

/* The device of this identity, which is there once. */
static unsigned find(uint32_t wanted)
{
    unsigned found = 0;
    unsigned count = 0;

    for (unsigned device = 0; device < 32; device++) {
        if (identity(device, 0) == wanted) {
            found = device;
            count++;
        }
    }
    ck_assert_msg(count == 1, "%u devices are %08x", count, wanted);
    return found;
}

static uint32_t bar_address(unsigned device, unsigned bar)
{
    uint32_t value = pci_config_read(0, device, 0, BAR0 + 4 * bar, 4);

    return value & ((value & 1) != 0 ? ~3u : ~15u);
}

static uint32_t bar_size(unsigned device, unsigned bar)
{
    uint32_t before = pci_config_read(0, device, 0, BAR0 + 4 * bar, 4);
    uint32_t mask;

    pci_config_write(0, device, 0, BAR0 + 4 * bar, 4, 0xFFFFFFFF);
    mask = pci_config_read(0, device, 0, BAR0 + 4 * bar, 4);
    pci_config_write(0, device, 0, BAR0 + 4 * bar, 4, before);
    return ~(mask & ((before & 1) != 0 ? ~3u : ~15u)) + 1;
}

/* ---- platform devices ---- */

BOARD_TEST(vendor_device, "c000", NULL)
{
    unsigned device = find(0xC0005853);

    ck_assert_uint_eq(find(0x00015853), 2); /* stays beside it, and owns the ports */
    ck_assert_uint_eq(__inword(0x10), MAGIC);
    ck_assert_uint_eq(pci_config_read(0, device, 0, CLASS_REVISION, 4), 0x08800001);
    ck_assert_uint_eq(pci_config_read(0, device, 0, SUBSYSTEM, 4), 0xC0005853);
    ck_assert_uint_eq(pci_config_read(0, device, 0, INTERRUPT_PIN, 1), 1);
    ck_assert_uint_eq(pci_config_read(0, device, 0, BAR0, 4), 0);
    ck_assert_uint_eq(pci_config_read(0, device, 0, BAR0 + 4, 4) & 15, 8); /* memory, prefetchable */
    ck_assert_uint_eq(bar_size(device, 1), 4u << 20);
    ck_assert_uint_ge(bar_address(device, 1), (HOLE + GUEST_HOLE_PAGES) << GUEST_PAGE_SHIFT);
    ck_assert_uint_eq(bar_address(device, 1) % (4u << 20), 0);
    ck_assert_uint_eq(pci_config_read(0, device, 0, COMMAND, 2) & 3, 2);
}

BOARD_TEST(xenserver_device, "0002", NULL)
{
    unsigned device = find(0x00025853);

    for (unsigned other = 0; other < 32; other++)
        ck_assert_uint_ne(identity(other, 0), 0x00015853); /* it is in its place */
    ck_assert_uint_eq(pci_config_read(0, device, 0, SUBSYSTEM, 4), 0x00025853);
    ck_assert_uint_eq(bar_size(device, 0), 0x100);
    ck_assert_uint_eq(bar_address(device, 1), HOLE << GUEST_PAGE_SHIFT);
    ck_assert_uint_eq(bar_size(device, 1), 16u << 20);
    ck_assert_uint_eq(__inbyte((uint16_t)bar_address(device, 0)), 0);
}

/* Nothing is there that nobody asked for. */
BOARD_TEST(bare, NULL, NULL)
{
    unsigned devices = 0;

    for (unsigned device = 0; device < 32; device++)
        devices += identity(device, 0) != ABSENT;
    ck_assert_uint_eq(devices, 3);
    ck_assert_uint_eq(identity(1, 1), ABSENT);
    ck_assert_uint_eq(__inbyte(0x1F7), 0xFF);
}

/* ---- network cards ---- */

#define MAC "\x00\x16\x3E\x00\xAB\xCD"

static const uint16_t mac_words[] = {0x1600, 0x003E, 0xCDAB};

#define EEPROM_SELECT 0x88 /* programming mode, chip select */
#define EEPROM_CLOCK 4
#define EEPROM_IN 2

/* As drivers read the RTL8139's serial EEPROM (its data sheet, 9346CR). */
static uint16_t serial_word(uint16_t port, unsigned word)
{
    unsigned command = 6u << 6 | word;
    uint16_t value = 0;

    __outbyte(port, EEPROM_SELECT & 0x80);
    __outbyte(port, EEPROM_SELECT);
    for (int bit = 10; bit >= 0; bit--) {
        uint8_t in = (command >> bit & 1) != 0 ? EEPROM_IN : 0;

        __outbyte(port, EEPROM_SELECT | in);
        __outbyte(port, EEPROM_SELECT | EEPROM_CLOCK | in);
    }
    __outbyte(port, EEPROM_SELECT);
    ck_assert_uint_eq(__inbyte(port) & 1, 0); /* a zero comes first */
    for (int bit = 0; bit < 16; bit++) {
        __outbyte(port, EEPROM_SELECT | EEPROM_CLOCK);
        value = (uint16_t)(value << 1 | (__inbyte(port) & 1));
        __outbyte(port, EEPROM_SELECT);
    }
    __outbyte(port, 0);
    return value;
}

BOARD_TEST(rtl8139, "rtl8139=00:16:3e:00:AB:cd", NULL)
{
    uint16_t base = (uint16_t)bar_address(FIRST_NIC, 0);

    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x813910EC);
    ck_assert_uint_eq(pci_config_read(0, FIRST_NIC, 0, CLASS_REVISION, 4), 0x02000020);
    ck_assert_uint_eq(pci_config_read(0, FIRST_NIC, 0, INTERRUPT_PIN, 1), 1);
    ck_assert_uint_eq(bar_size(FIRST_NIC, 0), 0x100);
    ck_assert_uint_eq(bar_size(FIRST_NIC, 1), 0x100);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(__inbyte((uint16_t)(base + i)), (uint8_t)MAC[i]);
    ck_assert_uint_eq(__indword(base), 0x003E1600);                     /* by any size */
    ck_assert_uint_eq(__indword(base + 0x40) & 0x7CC00000, 0x74800000); /* an 8139C+ */
    ck_assert_uint_eq(serial_word(base + 0x50, 0), 0x8129);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(serial_word(base + 0x50, 7 + i), mac_words[i]);

    __outbyte(base, 0x02); /* the address is locked, unless configuration is open */
    ck_assert_uint_eq(__inbyte(base), 0x00);
    __outbyte(base + 0x50, 0xC0);
    __outbyte(base, 0x02);
    ck_assert_uint_eq(__inbyte(base), 0x02);
    __outbyte(base + 0x37, 0x0C);
    ck_assert_uint_eq(__inbyte(base + 0x37), 0x0D);
    __outbyte(base + 0x37, 0x10); /* a reset is over at once and loads the address */
    ck_assert_uint_eq(__inbyte(base + 0x37), 0x01);
    ck_assert_uint_eq(__inbyte(base), 0x00);
    ck_assert_uint_eq(__inbyte(base + 0x58) & 4, 4); /* no cable */
}

static uint32_t e1000_read(uint16_t base, uint32_t offset)
{
    __outdword(base, offset);
    return __indword(base + 4);
}

static void e1000_write(uint16_t base, uint32_t offset, uint32_t value)
{
    __outdword(base, offset);
    __outdword(base + 4, value);
}

static uint16_t e1000_word(uint16_t base, unsigned word)
{
    e1000_write(base, 0x14, word << 8 | 1);
    ck_assert_uint_eq(e1000_read(base, 0x14) & 0x10, 0x10);
    return (uint16_t)(e1000_read(base, 0x14) >> 16);
}

BOARD_TEST(e1000, "e1000=00:16:3e:00:ab:cd", NULL)
{
    uint16_t base = (uint16_t)bar_address(FIRST_NIC, 1);
    uint16_t sum = 0;

    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x100E8086);
    ck_assert_uint_eq(pci_config_read(0, FIRST_NIC, 0, CLASS_REVISION, 4), 0x02000003);
    ck_assert_uint_eq(bar_size(FIRST_NIC, 0), 128u << 10);
    ck_assert_uint_eq(bar_size(FIRST_NIC, 1), 0x40);
    ck_assert_uint_eq(e1000_read(base, 0x5400), 0x003E1600);
    ck_assert_uint_eq(e1000_read(base, 0x5404), 0x8000CDAB);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(e1000_word(base, i), mac_words[i]);
    for (unsigned i = 0; i < 64; i++)
        sum = (uint16_t)(sum + e1000_word(base, i));
    ck_assert_uint_eq(sum, 0xBABA);
    ck_assert_uint_eq(e1000_read(base, 8) & 2, 0); /* no cable */
    e1000_write(base, 0x5400, 0x01020304);
    ck_assert_uint_eq(e1000_read(base, 0x5400), 0x01020304);
    e1000_write(base, 0, 1u << 26);
    ck_assert_uint_eq(e1000_read(base, 0) & 1u << 26, 0);
    ck_assert_uint_eq(e1000_read(base, 0x5400), 0x003E1600);
    ck_assert_uint_eq(e1000_read(base, 0x1234), 0); /* no register of this one's */
}

/* Each has an address, ports and memory of its own; card n has the MAC of VIF n. */
BOARD_TEST(several_cards, "rtl8139,e1000,rtl8139", NULL)
{
    uint16_t first = (uint16_t)bar_address(FIRST_NIC, 0);
    uint16_t third = (uint16_t)bar_address(FIRST_NIC + 2, 0);

    ck_assert_uint_eq(identity(FIRST_NIC + 1, 0), 0x100E8086);
    ck_assert_uint_eq(identity(FIRST_NIC + 3, 0), ABSENT);
    ck_assert_uint_ne(first, third);
    ck_assert_uint_ne(bar_address(FIRST_NIC, 1), bar_address(FIRST_NIC + 2, 1));
    ck_assert_uint_eq(__inword(first + 4), 0x0000);
    ck_assert_uint_eq(e1000_read((uint16_t)bar_address(FIRST_NIC + 1, 1), 0x5404) & 0xFFFF, 0x0100);
    ck_assert_uint_eq(__inword(third + 4), 0x0200);
}

/* ---- disks ---- */

#define PRIMARY 0x1F0
#define SECONDARY 0x170

static uint8_t drive_status(uint16_t base, unsigned second)
{
    __outbyte(base + 6, (UCHAR)(0xE0 | second << 4));
    return __inbyte(base + 7);
}

static void drive_command(uint16_t base, unsigned second, uint32_t block, uint8_t sectors, uint8_t command)
{
    __outbyte(base + 6, (UCHAR)(0xE0 | second << 4 | block >> 24));
    __outbyte(base + 2, sectors);
    __outbyte(base + 3, (UCHAR)block);
    __outbyte(base + 4, (UCHAR)(block >> 8));
    __outbyte(base + 5, (UCHAR)(block >> 16));
    __outbyte(base + 7, command);
}

static void drive_read(uint16_t base, uint16_t words[256])
{
    for (unsigned i = 0; i < 256; i++) {
        ck_assert_uint_eq(__inbyte(base + 7) & 0x09, 0x08); /* data, no error */
        words[i] = __inword(base);
    }
}

BOARD_TEST(disks, "hda,hdb,cdrom", NULL)
{
    uint16_t words[256];

    ck_assert_uint_eq(identity(1, 1), 0x70108086);
    ck_assert_uint_eq(pci_config_read(0, 1, 1, CLASS_REVISION + 1, 2), 0x0180);
    ck_assert_uint_eq(pci_config_read(0, 1, 1, CLASS_REVISION + 3, 1), 0x01);
    ck_assert_uint_eq(drive_status(PRIMARY, 0), 0x50);
    ck_assert_uint_eq(drive_status(PRIMARY, 1), 0x50);
    ck_assert_uint_eq(drive_status(SECONDARY, 1), 0); /* nobody there */

    drive_command(PRIMARY, 1, 0, 0, 0xEC);
    drive_read(PRIMARY, words);
    ck_assert_uint_eq(__inbyte(PRIMARY + 7), 0x50); /* that was all */
    ck_assert_mem_eq(&words[27], "EQUMH RADDSI K", 14);
    ck_assert_mem_eq(&words[10], "MQ0000 2", 6);
    ck_assert_uint_eq(words[60] | (uint32_t)words[61] << 16, 64u << 11);

    drive_command(SECONDARY, 0, 0, 0, 0xEC); /* a CD drive says that it is one */
    ck_assert_uint_eq(__inbyte(SECONDARY + 7) & 1, 1);
    ck_assert_uint_eq(__inbyte(SECONDARY + 1), 4);
    ck_assert_uint_eq(__inbyte(SECONDARY + 4), 0x14);
    ck_assert_uint_eq(__inbyte(SECONDARY + 5), 0xEB);
    drive_command(SECONDARY, 0, 0, 0, 0xA1);
    drive_read(SECONDARY, words);
    ck_assert_uint_eq(words[0] >> 8, 0x85);

    drive_command(PRIMARY, 0, 0, 1, 0xC8); /* by the bus master: not here */
    ck_assert_uint_eq(__inbyte(PRIMARY + 7) & 1, 1);
    ck_assert_uint_eq(__inbyte(PRIMARY + 1), 4);
}

BOARD_TEST(disk_keeps_data, "hda,hdb", NULL)
{
    uint16_t words[256];

    drive_command(PRIMARY, 0, 70007, 2, 0x30);
    for (unsigned i = 0; i < 512; i++)
        __outword(PRIMARY, (USHORT)(i * 3));
    ck_assert_uint_eq(__inbyte(PRIMARY + 7), 0x50);
    drive_command(PRIMARY, 0, 70007, 3, 0x20);
    for (unsigned sector = 0; sector < 3; sector++) {
        drive_read(PRIMARY, words);
        for (unsigned i = 0; i < 256; i++)
            ck_assert_uint_eq(words[i], sector < 2 ? (sector * 256 + i) * 3 : 0);
    }
    ck_assert_uint_eq(__inbyte(PRIMARY + 7), 0x50);
    drive_command(PRIMARY, 1, 70007, 1, 0x20); /* the other one has data of its own */
    ck_assert_uint_eq(__indword(PRIMARY), 0);
    __outbyte(0x3F6, 4); /* a reset ends it, and selects the first */
    __outbyte(0x3F6, 0);
    ck_assert_uint_eq(__inbyte(PRIMARY + 7), 0x50);
    ck_assert_uint_eq(__inbyte(PRIMARY + 3), 1);

    drive_command(PRIMARY, 0, (64u << 11) - 1, 2, 0x20); /* reaches beyond its end */
    ck_assert_uint_eq(__inbyte(PRIMARY + 7), 0x51);
    ck_assert_uint_eq(__inbyte(PRIMARY + 1), 0x10);
    drive_command(PRIMARY, 0, (64u << 11) - 1, 1, 0x20);
    drive_read(PRIMARY, words);
    ck_assert_uint_eq(words[255], 0);
}

/* ---- unplug ---- */

BOARD_TEST(unplug_nics, "rtl8139,e1000,hda", NULL)
{
    uint16_t base = (uint16_t)bar_address(FIRST_NIC, 0);

    __outword(0x10, XEN_UNPLUG_NVME_DISKS);
    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x813910EC);
    __outword(0x10, XEN_UNPLUG_NICS);
    ck_assert_uint_eq(identity(FIRST_NIC, 0), ABSENT);
    ck_assert_uint_eq(identity(FIRST_NIC + 1, 0), ABSENT);
    ck_assert_uint_eq(__inbyte(base), 0xFF);
    pci_config_write(0, FIRST_NIC, 0, COMMAND, 2, 0); /* reaches nobody */
    ck_assert_uint_eq(identity(2, 0), 0x00015853);
    ck_assert_uint_eq(drive_status(PRIMARY, 0), 0x50);
}

BOARD_TEST(unplug_disks, "hda,hdb,cdrom,hdd,rtl8139", NULL)
{
    __outword(0x10, XEN_UNPLUG_AUX_IDE_DISKS);
    ck_assert_uint_eq(drive_status(PRIMARY, 0), 0x50); /* it may have the system on it */
    ck_assert_uint_eq(drive_status(PRIMARY, 1), 0);
    ck_assert_uint_eq(drive_status(SECONDARY, 1), 0);
    __outword(0x10, XEN_UNPLUG_IDE_DISKS);
    ck_assert_uint_eq(drive_status(PRIMARY, 0), 0);
    drive_command(PRIMARY, 0, 0, 0, 0xEC);
    ck_assert_uint_eq(__inbyte(PRIMARY + 7), 0);
    ck_assert_uint_eq(identity(1, 1), 0x70108086);
    drive_command(SECONDARY, 0, 0, 0, 0xA1); /* CD drives stay */
    ck_assert_uint_eq(__inbyte(SECONDARY + 7) & 9, 8);
    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x813910EC);
}

/* After a suspend there is a new device model, and everything on it. */
BOARD_TEST(new_model, "e1000,hda", NULL)
{
    __outword(0x10, XEN_UNPLUG_NICS | XEN_UNPLUG_IDE_DISKS);
    ck_assert_uint_eq(identity(FIRST_NIC, 0), ABSENT);
    xen_platform_new_model();
    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x100E8086);
    ck_assert_uint_eq(drive_status(PRIMARY, 0), 0x50);
    ck_assert_uint_eq(xen_platform_unplugged(), 0);
}

static uint16_t announce(uint16_t product, uint32_t build)
{
    ck_assert_uint_eq(__inbyte(0x12), 1);
    __outword(0x12, product);
    __outdword(0x10, build);
    return __inword(0x10);
}

BOARD_TEST(blacklisted_drivers, "rtl8139", "blacklist=0xFFFF:99")
{
    ck_assert_uint_eq(__inword(0x10), MAGIC);
    ck_assert_uint_eq(announce(0xFFFF, 99), BLACKLISTED);
    ck_assert_uint_eq(announce(0xFFFF, 100), MAGIC);
    ck_assert_uint_eq(announce(0xFFFF, 0x10063), MAGIC); /* of 32 bits */
    ck_assert_uint_eq(announce(0xFFFE, 1), MAGIC);
    __outword(0x10, XEN_UNPLUG_NICS);
    ck_assert_uint_eq(identity(FIRST_NIC, 0), ABSENT);
}

BOARD_TEST(blacklisted_product, NULL, "blacklist=3")
{
    ck_assert_uint_eq(announce(3, 0xFFFFFFFF), BLACKLISTED);
    ck_assert_uint_eq(announce(1, 0), MAGIC);
}

BOARD_TEST(refused, "rtl8139,hda", "refuse")
{
    ck_assert_uint_eq(__inword(0x10), MAGIC);
    __outword(0x10, XEN_UNPLUG_NICS); /* without announcing itself */
    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x813910EC);
    ck_assert_uint_eq(announce(1, 1), BLACKLISTED);
    __outword(0x10, XEN_UNPLUG_NICS | XEN_UNPLUG_IDE_DISKS);
    __outbyte((uint16_t)(bar_address(2, 0) + 4), 1); /* nor in the old way */
    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x813910EC);
    ck_assert_uint_eq(drive_status(PRIMARY, 0), 0x50);
    ck_assert_uint_eq(xen_platform_unplugged(), 0);
}

BOARD_TEST(no_protocol, "rtl8139", "absent")
{
    ck_assert_uint_eq(__inword(0x10), 0xFFFF);
    ck_assert_uint_eq(__inbyte(0x12), 0xFF);
    __outword(0x10, XEN_UNPLUG_NICS);
    ck_assert_uint_eq(identity(FIRST_NIC, 0), 0x813910EC);
}

/* ---- names ---- */

START_TEST(names)
{
    static const char *const bad_boards[] = {
        "",          ",",          "c000,",           "C001",   "hde",           "hda,,hdb",
        "hdc,cdrom", "rtl8139=",   "rtl8139=00:16",   "e1001",  "hda=1",         "e1000=01:16:3e:00:00:00",
        "vif",       "e1000=0016", "cdrom,hda,hdc,x", "rtl813", "0002 ,rtl8139", "e1000,e1000,e1000,e1000,e1000",
    };
    static const char *const bad_unplugs[] = {
        "",
        "allow",
        "blacklist",
        "blacklist=",
        "blacklist=65536",
        "blacklist=1:",
        "blacklist=1:x",
        "blacklist=-1",
        "refused",
        "blacklist=1:4294967296",
    };
    struct machine_board board = {0};
    struct machine_board before;

    ck_assert(xen_unplug_parse("blacklist=7:0x10", &board));
    ck_assert_uint_eq(board.blacklist_product, 7);
    ck_assert_uint_eq(board.blacklist_build, 16);
    ck_assert(xen_board_parse("hdd,e1000,c000", &board));
    ck_assert(board.vendor_device && !board.xenserver_platform);
    ck_assert_uint_eq(board.disks, 8);
    ck_assert_uint_eq(board.nics, 1);
    ck_assert_int_eq(board.unplug, MACHINE_UNPLUG_BLACKLISTED);
    before = board;
    for (unsigned i = 0; i < sizeof(bad_boards) / sizeof(bad_boards[0]); i++)
        ck_assert_msg(!xen_board_parse(bad_boards[i], &board), "board '%s' is taken", bad_boards[i]);
    for (unsigned i = 0; i < sizeof(bad_unplugs) / sizeof(bad_unplugs[0]); i++)
        ck_assert_msg(!xen_unplug_parse(bad_unplugs[i], &board), "unplug '%s' is taken", bad_unplugs[i]);
    ck_assert_mem_eq(&board, &before, sizeof(board));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("devices");

    tcase_add_test(tcase, bare);
    tcase_add_test(tcase, vendor_device);
    tcase_add_test(tcase, xenserver_device);
    tcase_add_test(tcase, rtl8139);
    tcase_add_test(tcase, e1000);
    tcase_add_test(tcase, several_cards);
    tcase_add_test(tcase, disks);
    tcase_add_test(tcase, disk_keeps_data);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("unplug");
    tcase_add_test(tcase, unplug_nics);
    tcase_add_test(tcase, unplug_disks);
    tcase_add_test(tcase, new_model);
    tcase_add_test(tcase, blacklisted_drivers);
    tcase_add_test(tcase, blacklisted_product);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, no_protocol);
    tcase_add_test(tcase, names);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
