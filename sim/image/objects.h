/* What this process is made of: the program, the libraries and the driver modules in it, and what tells them apart. */
#ifndef IMAGE_OBJECTS_H
#define IMAGE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/image.h"

struct object {
    const char *path; /* "" for the program */
    uint64_t address; /* where it was loaded; of a driver module, its base */
    uint64_t hash;    /* of all that is not written to */
};

/* Each of them in the dynamic linker's order, less what the kernel put there. From the host's stack. */
void objects_list(void (*see)(void *context, const struct object *object), void *context);

/*
 * A part of an object that is written to: neither its code, nor what is the dynamic linker's: what is read-only once
 * that has done its work, and the addresses that calls to other objects go by, which differ among processors.
 */
struct object_data {
    uint64_t address;
    uint64_t bytes;
};

#define OBJECT_DATA_MAX 8

/* The parts of the object that is loaded at this address; their number. */
unsigned object_data(uint64_t address, struct object_data data[OBJECT_DATA_MAX]);
/* Its hash; 0: there is none. */
uint64_t object_hash(uint64_t address);

/*
 * A part of the image that is for modules of machines that may go on in another process (machine/snapshot.h): there
 * they lie at the same addresses, which nothing else takes.
 */
#define OBJECTS_BASE (IMAGE_RAM_BASE + IMAGE_RAM_MAX)
#define OBJECTS_END IMAGE_SYSPTE_BASE
#define OBJECTS_STEP (UINT64_C(2) << 20)

/*
 * dlopen() with nothing but one place free for the object: `bytes` from `address` of that part. NULL: dlerror() has the
 * reason. That it has come to lie there is for the caller to see.
 */
void *object_open_at(const char *path, uint64_t address, uint64_t bytes);
/* It has been closed: nobody else gets its place. */
void object_keep_place(uint64_t address, uint64_t bytes);

#endif
