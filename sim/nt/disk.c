#include "nt/disk.h"

#include <string.h>

#include "nt/cm/cm.h"
#include "nt/fs/fs.h"
#include "nt/nt_init.h"
#include "nt/pnp/pnp.h"

struct part {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct nt_disk {
    struct part part[DISK_PARTS];
};

static void put(enum disk_part number, const void *data, size_t size)
{
    struct part *part = &machine->disk->part[number];

    if (size > part->capacity - part->size) {
        while (size > part->capacity - part->size)
            part->capacity = part->capacity == 0 ? 65536 : part->capacity * 2;
        part->data = image_arena_realloc(IMAGE_HOST, part->data, part->capacity);
    }
    if (size != 0)
        memcpy(part->data + part->size, data, size);
    part->size += size;
}

void disk_truncate(enum disk_part part)
{
    machine->disk->part[part].size = 0;
}

void disk_put_number(enum disk_part part, uint64_t number)
{
    put(part, &number, sizeof(number));
}

void disk_put_block(enum disk_part part, const void *data, size_t size)
{
    disk_put_number(part, size);
    put(part, data, size);
}

void disk_put_string(enum disk_part part, const char *string)
{
    disk_put_block(part, string, strlen(string) + 1);
}

bool disk_open(enum disk_part number, struct disk_reader *reader)
{
    const struct part *part;

    if (machine->disk == NULL)
        return false;
    part = &machine->disk->part[number];
    *reader = (struct disk_reader){part->data, part->data + part->size};
    return part->size != 0;
}

static const void *take(struct disk_reader *reader, size_t size)
{
    const uint8_t *at = reader->at;

    if (size > (size_t)(reader->end - at))
        fail("internal", "the guest's disk ends within an entry");
    reader->at += size;
    return at;
}

uint64_t disk_get_number(struct disk_reader *reader)
{
    uint64_t number;

    memcpy(&number, take(reader, sizeof(number)), sizeof(number));
    return number;
}

const void *disk_get_block(struct disk_reader *reader, size_t *size)
{
    *size = (size_t)disk_get_number(reader);
    return take(reader, *size);
}

const char *disk_get_string(struct disk_reader *reader)
{
    size_t size;

    return disk_get_block(reader, &size);
}

void nt_disk_save(void)
{
    if (machine->disk == NULL)
        machine->disk = image_arena_alloc(IMAGE_HOST, sizeof(*machine->disk));
    cm_save();
    fs_save();
    pnp_save();
}
