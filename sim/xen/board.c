/*
 * The board that Xen's device model shows: what is on it is a matter of the toolstack's configuration (--board,
 * --unplug).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/fail.h"
#include "xen/board.h"
#include "xen/platform_device.h"

#define CDROM_UNIT 2u
#define FIRST_NIC_SLOT 4u

/* ---- names ---- */

static bool word_is(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

static bool parse_mac(const char *text, size_t length, uint8_t mac[6])
{
    char copy[18];
    char end;
    unsigned byte[6];

    if (length != 17)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (sscanf(copy, "%2x:%2x:%2x:%2x:%2x:%2x%c", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5], &end) !=
            6 ||
        strspn(copy, "0123456789abcdefABCDEF:") != length || (byte[0] & 1) != 0) /* that would be a group's */
        return false;
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)byte[i];
    return true;
}

static bool take_nic(const char *word, size_t length, struct machine_board *board)
{
    static const char *const names[] = {[MACHINE_NIC_RTL8139] = "rtl8139", [MACHINE_NIC_E1000] = "e1000"};
    size_t name_length = 0;
    struct machine_nic *nic;

    while (name_length < length && word[name_length] != '=')
        name_length++;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!word_is(word, name_length, names[i]))
            continue;
        if (board->nics == MACHINE_MAX_NICS)
            return false;
        nic = &board->nic[board->nics];
        *nic = (struct machine_nic){.model = (enum machine_nic_model)i, .mac = MACHINE_VIF_MAC(board->nics)};
        board->nics++;
        return name_length == length || parse_mac(word + name_length + 1, length - name_length - 1, nic->mac);
    }
    return false;
}

static bool take_word(const char *word, size_t length, struct machine_board *board)
{
    if (word_is(word, length, "0002"))
        board->xenserver_platform = true;
    else if (word_is(word, length, "c000"))
        board->vendor_device = true;
    else if (length == 3 && memcmp(word, "hd", 2) == 0 && word[2] >= 'a' && word[2] <= 'd')
        board->disks |= (uint8_t)(1u << (word[2] - 'a'));
    else if (word_is(word, length, "cdrom"))
        board->cdroms |= 1u << CDROM_UNIT;
    else if (!take_nic(word, length, board))
        return false;
    return (board->disks & board->cdroms) == 0; /* one place, one drive */
}

bool xen_board_parse(const char *text, struct machine_board *board)
{
    struct machine_board parsed = {.unplug = board->unplug,
                                   .blacklist_product = board->blacklist_product,
                                   .blacklist_build = board->blacklist_build};

    for (;;) {
        size_t length = strcspn(text, ",");

        if (!take_word(text, length, &parsed))
            return false;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *board = parsed;
    return true;
}

bool xen_unplug_parse(const char *text, struct machine_board *board)
{
    static const char blacklist[] = "blacklist=";
    unsigned long product;
    unsigned long build = UINT32_MAX;
    char *end;

    if (strcmp(text, "absent") == 0) {
        board->unplug = MACHINE_UNPLUG_ABSENT;
        return true;
    }
    if (strcmp(text, "refuse") == 0) {
        board->unplug = MACHINE_UNPLUG_REFUSED;
        return true;
    }
    if (strncmp(text, blacklist, strlen(blacklist)) != 0)
        return false;
    text += strlen(blacklist);
    product = strtoul(text, &end, 0);
    if (end == text || text[0] == '-' || product > UINT16_MAX)
        return false;
    if (*end == ':') {
        text = end + 1;
        build = strtoul(text, &end, 0);
        if (end == text || text[0] == '-' || build > UINT32_MAX)
            return false;
    }
    if (*end != '\0')
        return false;
    board->unplug = MACHINE_UNPLUG_BLACKLISTED;
    board->blacklist_product = (uint32_t)product;
    board->blacklist_build = (uint32_t)build;
    return true;
}

/* ---- the board ---- */

static void add_block(struct platform_state *platform, void *block, size_t size)
{
    platform->block = image_realloc(platform->block, (platform->blocks + 1) * sizeof(*platform->block));
    platform->block[platform->blocks++] = (struct board_block){.block = block, .size = size};
}

void *board_alloc(size_t size)
{
    void *block = image_alloc(size);

    add_block(platform_state(), block, size);
    return block;
}

static void note_power_on(struct platform_state *platform)
{
    for (unsigned i = 0; i < platform->blocks; i++)
        platform->block[i].power_on = image_alloc(platform->block[i].size);
    for (unsigned i = 0; i < platform->blocks; i++)
        memcpy(platform->block[i].power_on, platform->block[i].block, platform->block[i].size);
}

void xen_power_cycle(void)
{
    const struct platform_state *platform = platform_state();

    if (xen_state()->guest != NULL)
        fail("xen", "domain %u still has the machine's memory", xen_state()->guest->domid);
    for (unsigned i = 0; i < platform->blocks; i++)
        memcpy(platform->block[i].block, platform->block[i].power_on, platform->block[i].size);
    xen_memory_power_cycle();
    acpi_put_tables();
}

void xen_platform_init(void)
{
    const struct machine_board *board = &machine->config.board;

    xen_state()->platform = image_alloc(sizeof(struct platform_state));
    add_block(platform_state(), platform_state(), sizeof(struct platform_state));
    pci_init();
    platform_device_init();
    acpi_init();
    for (unsigned i = 0; i < board->nics; i++) {
        if (board->nic[i].model == MACHINE_NIC_E1000)
            e1000_add(FIRST_NIC_SLOT + i, board->nic[i].mac);
        else
            rtl8139_add(FIRST_NIC_SLOT + i, board->nic[i].mac);
    }
    if (board->disks != 0 || board->cdroms != 0)
        ide_init(board->disks, board->cdroms);
    note_power_on(platform_state());
}
