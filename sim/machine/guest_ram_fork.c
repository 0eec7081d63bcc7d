/*
 * Guest RAM in a forked child. The memfd is shared memory, with aliases; a child that goes on from a booted machine
 * must not write into its parent's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/guest_ram.h"
#include "machine/guest_ram_internal.h"
#include "machine/machine.h"

#define COPY_BYTES 65536u

_Noreturn static void give_up(const char *what)
{
    fprintf(stderr, "pvsim: guest RAM after a fork: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void copy_range(int from, int to, off_t start, off_t end)
{
    uint8_t bytes[COPY_BYTES];

    while (start < end) {
        size_t want = end - start < (off_t)sizeof(bytes) ? (size_t)(end - start) : sizeof(bytes);
        ssize_t count = pread(from, bytes, want, start);

        if (count <= 0 || pwrite(to, bytes, (size_t)count, start) != count)
            give_up("cannot copy");
        start += count;
    }
}

/* A copy of what was ever written; the rest of the file stays a hole. */
static int copy_memfd(int old)
{
    off_t end = lseek(old, 0, SEEK_END);
    int copy = end < 0 ? -1 : guest_ram_new_memfd((uint64_t)end);
    off_t data = 0;

    if (copy < 0)
        give_up("cannot make another memfd");
    while ((data = lseek(old, data, SEEK_DATA)) >= 0) {
        off_t hole = lseek(old, data, SEEK_HOLE);

        copy_range(old, copy, data, hole);
        data = hole;
    }
    return copy;
}

struct mapping {
    uintptr_t start;
    uintptr_t end;
    int protection;
    off_t offset;
};

/* Every mapping of a file in this process, by the kernel's own list. Free the result. */
static struct mapping *list_mappings(ino_t inode, size_t *count)
{
    FILE *file = fopen("/proc/self/maps", "r");
    struct mapping *list = NULL;
    size_t capacity = 0;
    char line[512];

    if (file == NULL)
        give_up("/proc/self/maps");
    *count = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        struct mapping mapping;
        char access[5];
        uint64_t found;
        uint64_t offset;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %*s %" SCNu64, &mapping.start, &mapping.end, access,
                   &offset, &found) != 5 ||
            found != inode || strstr(line, "memfd:pvsim-ram") == NULL)
            continue;
        mapping.offset = (off_t)offset;
        mapping.protection = (access[0] == 'r' ? PROT_READ : 0) | (access[1] == 'w' ? PROT_WRITE : 0) |
                             (access[2] == 'x' ? PROT_EXEC : 0);
        if (*count == capacity) {
            capacity = capacity * 2 + 64;
            list = realloc(list, capacity * sizeof(*list));
            if (list == NULL)
                abort();
        }
        list[(*count)++] = mapping;
    }
    fclose(file);
    return list;
}

void guest_ram_after_fork(void)
{
    int old = guest_ram_memfd();
    struct mapping *list;
    struct stat status;
    size_t count;
    int copy;

    if (fstat(old, &status) != 0)
        give_up("fstat");
    copy = copy_memfd(old);
    list = list_mappings(status.st_ino, &count);
    for (size_t index = 0; index < count; index++) {
        const struct mapping *mapping = &list[index];

        if (mmap((void *)mapping->start, mapping->end - mapping->start, mapping->protection,
                 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, copy, mapping->offset) == MAP_FAILED)
            give_up("cannot map the copy");
    }
    free(list);
    close(old);
    guest_ram_set_memfd(copy);
}
