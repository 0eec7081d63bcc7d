/* The format of a machine's file, and what reads and writes its records. */
#ifndef MACHINE_SNAPSHOT_INTERNAL_H
#define MACHINE_SNAPSHOT_INTERNAL_H

#include "machine/image.h"
#include "machine/snapshot.h"

#define SNAPSHOT_MAGIC UINT64_C(0x01656e696863616d) /* "machine", 1 */
#define SNAPSHOT_PAYLOAD_MAX 65536u
#define SNAPSHOT_PATH_MAX 4096u

#define IMAGE_END (IMAGE_DIRECTMAP_BASE + IMAGE_DIRECTMAP_SIZE)

enum snapshot_record_type {
    SNAPSHOT_HEAD = 1,  /* a: SNAPSHOT_MAGIC, b: version. Its form never changes */
    SNAPSHOT_OBJECT,    /* what the process is made of. a: address, b: hash of what is not written to; payload: name */
    SNAPSHOT_MACHINE,   /* payload: struct snapshot_machine */
    SNAPSHOT_FOLDER,    /* what relative paths start from; payload */
    SNAPSHOT_STRING,    /* of the configuration. a: enum snapshot_string, b: index; payload */
    SNAPSHOT_RAM,       /* a: size of the file behind guest RAM */
    SNAPSHOT_MAP,       /* a: address, b: bytes; payload: struct snapshot_map */
    SNAPSHOT_PAGES,     /* a: address, of the image or of the sanitizer's view of it; payload: pages */
    SNAPSHOT_RAM_PAGES, /* a: offset in the file behind guest RAM; payload: pages */
    SNAPSHOT_MODULE,    /* a: address, b: hash of what is not written to; payload: absolute path */
    SNAPSHOT_DATA,      /* of the last module. a: address; payload */
    SNAPSHOT_END        /* a: number of records before it */
};

enum snapshot_string { SNAPSHOT_DRIVER_DIR, SNAPSHOT_DRIVER_MODULE, SNAPSHOT_DRIVER_INF };

struct snapshot_record {
    uint32_t type;
    uint32_t bytes; /* of the payload behind it */
    uint64_t a;
    uint64_t b;
    uint64_t sum; /* of all that, the payload, and the sum of the record before it */
};

struct snapshot_machine {
    uint64_t machine;
    uint64_t root;
    uint64_t clock; /* the machine's time */
    uint64_t protector;
};

struct snapshot_map {
    uint32_t protection;
    uint32_t is_ram; /* of the file behind guest RAM, at offset */
    uint64_t offset;
};

/* A file being written or read. */
struct snapshot_file {
    int fd;
    uint64_t sum;
    uint64_t records;
    uint64_t bytes;
    struct snapshot_result result; /* good until something fails */
};

/* False, now and from then on: result has the reason. */
bool snapshot_put(struct snapshot_file *file, enum snapshot_record_type type, uint64_t a, uint64_t b,
                  const void *payload, size_t bytes);
/* The next record, with its payload in a buffer of SNAPSHOT_PAYLOAD_MAX. */
bool snapshot_get(struct snapshot_file *file, struct snapshot_record *record, void *payload);
/* Keeps the first reason. Always false. */
bool snapshot_fail(struct snapshot_file *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool snapshot_fail_here(struct snapshot_file *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t snapshot_hash(uint64_t hash, const void *bytes, size_t count);

/* This process's own memory, past what a sanitizer makes of an access to it; open for as long as a file is at work. */
bool snapshot_memory_open(struct snapshot_file *file);
void snapshot_memory_close(void);
bool snapshot_memory_read(uint64_t address, void *bytes, size_t count);
bool snapshot_memory_write(uint64_t address, const void *bytes, size_t count);

/* Where AddressSanitizer keeps what it knows of an address; 0 in other builds. */
uint64_t snapshot_shadow(uint64_t address);

uint64_t snapshot_protector(void);

#endif
