/*
 * What the guest has on its disk, as bytes in the host's arena: written when the guest is reset, read by the components
 * when its next kernel starts. Each has a part of its own. Numbers are of the machine; nothing of it leaves the
 * process.
 */
#ifndef NT_DISK_H
#define NT_DISK_H

#include "nt/nt.h"

enum disk_part { DISK_REGISTRY, DISK_FILES, DISK_PACKAGES, DISK_PARTS };

/* Begin the part anew, then append to it. */
void disk_truncate(enum disk_part part);
void disk_put_number(enum disk_part part, uint64_t number);
void disk_put_block(enum disk_part part, const void *data, size_t size);
void disk_put_string(enum disk_part part, const char *string);

/* From the part's beginning on. What a pointer leads to stays until the part is written again. */
struct disk_reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* False: there is nothing, the component starts as on a new machine. */
bool disk_open(enum disk_part part, struct disk_reader *reader);
uint64_t disk_get_number(struct disk_reader *reader);
const void *disk_get_block(struct disk_reader *reader, size_t *size);
const char *disk_get_string(struct disk_reader *reader);

#endif
