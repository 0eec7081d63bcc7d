/* What is on the board beside its chipset, by name (--board, --unplug). */
#ifndef XEN_BOARD_H
#define XEN_BOARD_H

#include <stdbool.h>

#include "machine/machine.h"

/*
 * Words with commas between them: 0002 (the platform device is XenServer's), c000 (the vendor device is there, too),
 * rtl8139 or e1000, each with =MAC behind it if it likes (an emulated network card; card n has the MAC of VIF n
 * otherwise), hda to hdd (IDE disks), cdrom (a CD drive in the place of hdc). False: `text` is none of that, and *board
 * stays; the unplug policy always does.
 */
bool xen_board_parse(const char *text, struct machine_board *board);

/* absent, refuse, or blacklist=PRODUCT[:BUILD] (builds up to that one; all of them). */
bool xen_unplug_parse(const char *text, struct machine_board *board);

#endif
