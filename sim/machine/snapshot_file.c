/* The records of a machine's file. */
#include "machine/snapshot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SNAPSHOT_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SNAPSHOT_SHADOW 1
#endif
#endif

#ifdef SNAPSHOT_SHADOW
#include <sanitizer/asan_interface.h>
#endif

static void note_failure(struct snapshot_file *file, bool not_here, const char *format, va_list arguments)
{
    if (!file->result.good)
        return;
    file->result.good = false;
    file->result.not_here = not_here;
    vsnprintf(file->result.text, sizeof(file->result.text), format, arguments);
}

bool snapshot_fail(struct snapshot_file *file, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    note_failure(file, false, format, arguments);
    va_end(arguments);
    return false;
}

bool snapshot_fail_here(struct snapshot_file *file, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    note_failure(file, true, format, arguments);
    va_end(arguments);
    return false;
}

/* Every step is one-to-one in both what it adds and what was there: one word that is another one is always noticed. */
static uint64_t add_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ hash >> 32;
}

uint64_t snapshot_hash(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    uint64_t word;

    for (; count >= sizeof(word); count -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = add_word(hash, word);
    }
    word = 0;
    if (count != 0) /* otherwise there may be no bytes to point to */
        memcpy(&word, at, count);
    return add_word(add_word(hash, word), count);
}

static uint64_t sum_of(const struct snapshot_file *file, const struct snapshot_record *record, const void *payload)
{
    uint64_t sum = snapshot_hash(file->sum, record, offsetof(struct snapshot_record, sum));

    return snapshot_hash(sum, payload, record->bytes);
}

/* ---- writing ---- */

static bool put_bytes(struct snapshot_file *file, const void *bytes, size_t count)
{
    while (count != 0) {
        ssize_t done = write(file->fd, bytes, count);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return snapshot_fail(file, "%s", strerror(errno));
        bytes = (const uint8_t *)bytes + done;
        count -= (size_t)done;
        file->bytes += (uint64_t)done;
    }
    return true;
}

bool snapshot_put(struct snapshot_file *file, enum snapshot_record_type type, uint64_t a, uint64_t b,
                  const void *payload, size_t bytes)
{
    struct snapshot_record record = {.type = type, .bytes = (uint32_t)bytes, .a = a, .b = b};

    if (!file->result.good)
        return false;
    record.sum = sum_of(file, &record, payload);
    file->sum = record.sum;
    file->records++;
    return put_bytes(file, &record, sizeof(record)) && put_bytes(file, payload, bytes);
}

/* ---- reading ---- */

/* How many of them there were; fewer at the end. */
static size_t get_bytes(struct snapshot_file *file, void *bytes, size_t count)
{
    size_t got = 0;

    while (got < count) {
        ssize_t done = read(file->fd, (uint8_t *)bytes + got, count - got);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            snapshot_fail(file, "it cannot be read: %s", strerror(errno));
        if (done <= 0)
            break;
        got += (size_t)done;
    }
    file->bytes += got;
    return got;
}

bool snapshot_get(struct snapshot_file *file, struct snapshot_record *record, void *payload)
{
    if (!file->result.good)
        return false;
    if (get_bytes(file, record, sizeof(*record)) != sizeof(*record))
        return snapshot_fail(file, "it is not complete: it ends after %llu bytes", (unsigned long long)file->bytes);
    if (file->records == 0 && (record->type != SNAPSHOT_HEAD || record->a != SNAPSHOT_MAGIC))
        return snapshot_fail(file, "it is no machine that 'pvsim save' wrote");
    if (record->bytes > SNAPSHOT_PAYLOAD_MAX)
        return snapshot_fail(file, "it is damaged in record %llu", (unsigned long long)file->records);
    if (get_bytes(file, payload, record->bytes) != record->bytes)
        return snapshot_fail(file, "it is not complete: it ends after %llu bytes", (unsigned long long)file->bytes);
    if (record->sum != sum_of(file, record, payload))
        return snapshot_fail(file, "it is damaged in record %llu", (unsigned long long)file->records);
    file->sum = record->sum;
    file->records++;
    return true;
}

/* ---- this process's memory ---- */

static int memory = -1; /* the host's */

bool snapshot_memory_open(struct snapshot_file *file)
{
    memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    return memory >= 0 || snapshot_fail_here(file, "/proc/self/mem cannot be opened: %s", strerror(errno));
}

void snapshot_memory_close(void)
{
    if (memory >= 0)
        close(memory);
    memory = -1;
}

bool snapshot_memory_read(uint64_t address, void *bytes, size_t count)
{
    return pread(memory, bytes, count, (off_t)address) == (ssize_t)count;
}

bool snapshot_memory_write(uint64_t address, const void *bytes, size_t count)
{
    return pwrite(memory, bytes, count, (off_t)address) == (ssize_t)count;
}

uint64_t snapshot_shadow(uint64_t address)
{
#ifdef SNAPSHOT_SHADOW
    size_t scale;
    size_t offset;

    __asan_get_shadow_mapping(&scale, &offset);
    return (address >> scale) + offset;
#else
    (void)address;
    return 0;
#endif
}

/* The C library's interface to the compiler (x86-64): at this place behind the thread's pointer. */
uint64_t snapshot_protector(void)
{
    uint64_t protector;

    __asm__ volatile("movq %%fs:0x28, %0" : "=r"(protector));
    return protector;
}
