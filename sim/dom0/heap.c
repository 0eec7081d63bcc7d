/* The host allocator's routines on the machine heap, and the switch point at accesses to shared rings. */
#include "dom0/heap.h"

#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/sched.h"

#include <errno.h>
#include <stdint.h>

void *dom0_malloc(size_t size)
{
    KERNEL_SCOPE();

    return image_alloc(size ? size : 1);
}

void *dom0_calloc(size_t count, size_t size)
{
    return dom0_reallocarray(NULL, count, size);
}

void *dom0_realloc(void *block, size_t size)
{
    KERNEL_SCOPE();

    return block ? image_realloc(block, size ? size : 1) : dom0_malloc(size);
}

void *dom0_reallocarray(void *block, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return dom0_realloc(block, count * size);
}

void dom0_free(void *block)
{
    KERNEL_SCOPE();

    image_free(block);
}

char *dom0_strdup(const char *string)
{
    KERNEL_SCOPE();

    return image_strdup(string);
}

char *dom0_strndup(const char *string, size_t length)
{
    size_t size = strnlen(string, length);
    char *copy = dom0_malloc(size + 1);

    memcpy(copy, string, size);
    return copy;
}

int dom0_vasprintf(char **string, const char *format, va_list arguments)
{
    va_list again;
    int length;

    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return -1;
    *string = dom0_malloc((size_t)length + 1);
    return vsnprintf(*string, (size_t)length + 1, format, arguments);
}

int dom0_asprintf(char **string, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = dom0_vasprintf(string, format, arguments);
    va_end(arguments);
    return length;
}

void dom0_shared_access(void)
{
    sched_point(POINT_INTERLOCKED);
}
