/* The machine heap, for those who look for what stays in it. */
#ifndef MACHINE_IMAGE_INTERNAL_H
#define MACHINE_IMAGE_INTERNAL_H

#include "machine/image.h"

/* Bytes that were asked for and not given back. */
size_t image_arena_use(enum image_arena arena);

#endif
