/*
 * Force-included (-include dom0/heap.h) into what is built to run as dom0 inside the machine: the host's allocator
 * gives way to the machine heap, so that a backend's state is part of the machine image, at the same addresses in every
 * run. What the libraries of sim/dom0 return to be freed with free() is of this heap. What has no counterpart here must
 * not be used.
 */
#ifndef DOM0_HEAP_H
#define DOM0_HEAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <malloc.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *dom0_malloc(size_t size);
void *dom0_calloc(size_t count, size_t size);
void *dom0_realloc(void *block, size_t size);
void *dom0_reallocarray(void *block, size_t count, size_t size);
void dom0_free(void *block);
char *dom0_strdup(const char *string);
char *dom0_strndup(const char *string, size_t length);
int dom0_asprintf(char **string, const char *format, ...) __attribute__((format(printf, 2, 3)));
int dom0_vasprintf(char **string, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

#undef strdup
#undef strndup
#define malloc dom0_malloc
#define calloc dom0_calloc
#define realloc dom0_realloc
#define reallocarray dom0_reallocarray
#define free dom0_free
#define strdup dom0_strdup
#define strndup dom0_strndup
#define asprintf dom0_asprintf
#define vasprintf dom0_vasprintf

/* Programs unmap what libxenctrl's xc_map_foreign_*() have given them by this. */
int dom0_munmap(void *address, size_t bytes);

#undef munmap
#define munmap dom0_munmap

void dom0_shared_access(void);

#undef BACKEND_SHARED_ACCESS
#define BACKEND_SHARED_ACCESS() dom0_shared_access()

#pragma GCC poison aligned_alloc posix_memalign memalign valloc pvalloc getline getdelim open_memstream realpath

#endif
