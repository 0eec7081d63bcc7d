#include "keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_path(char path[KEY_PATH_MAX], const char *format, va_list arguments)
{
    int length = vsnprintf(path, KEY_PATH_MAX, format, arguments);

    if (length < 0 || length >= KEY_PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

static char *read_path(struct xs_handle *xs, xs_transaction_t transaction, const char *path)
{
    unsigned length;
    char *value = xs_read(xs, transaction, path, &length);

    if (value && memchr(value, '\0', length)) { /* what the other domain wrote need not be a string */
        free(value);
        errno = EINVAL;
        return NULL;
    }
    return value;
}

char *key_read(struct xs_handle *xs, xs_transaction_t transaction, const char *format, ...)
{
    char path[KEY_PATH_MAX];
    va_list arguments;
    bool made;

    va_start(arguments, format);
    made = make_path(path, format, arguments);
    va_end(arguments);
    return made ? read_path(xs, transaction, path) : NULL;
}

/* Digits only: no sign, no space, no overflow. */
static bool parse_number(const char *text, uint32_t limit, uint32_t *value)
{
    uint64_t number = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > limit)
            return false;
    }
    *value = (uint32_t)number;
    return true;
}

bool key_read_number(struct xs_handle *xs, xs_transaction_t transaction, uint32_t limit, uint32_t *value,
                     const char *format, ...)
{
    char path[KEY_PATH_MAX], *text;
    va_list arguments;
    bool good;

    va_start(arguments, format);
    good = make_path(path, format, arguments);
    va_end(arguments);
    if (!good)
        return false;
    text = read_path(xs, transaction, path);
    if (!text)
        return false;
    good = parse_number(text, limit, value);
    free(text);
    if (!good)
        errno = EINVAL;
    return good;
}

bool key_write(struct xs_handle *xs, xs_transaction_t transaction, const char *value, const char *format, ...)
{
    char path[KEY_PATH_MAX];
    va_list arguments;
    bool made;

    va_start(arguments, format);
    made = make_path(path, format, arguments);
    va_end(arguments);
    return made && xs_write(xs, transaction, path, value, (unsigned)strlen(value));
}

bool key_write_number(struct xs_handle *xs, xs_transaction_t transaction, uint32_t value, const char *format, ...)
{
    char path[KEY_PATH_MAX], text[16];
    va_list arguments;
    bool made;

    va_start(arguments, format);
    made = make_path(path, format, arguments);
    va_end(arguments);
    return made && xs_write(xs, transaction, path, text, (unsigned)snprintf(text, sizeof(text), "%u", value));
}
