/* Store keys as backends and toolstacks use them: paths made by printf, values as numbers. */
#ifndef BACKEND_KEYS_H
#define BACKEND_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#define KEY_PATH_MAX 256

/* The value as a string to be freed, NULL with errno when it can't be read. */
char *key_read(struct xs_handle *xs, xs_transaction_t transaction, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A decimal number up to `limit`. False when the key is absent; also, with errno EINVAL, when it is no such number. */
bool key_read_number(struct xs_handle *xs, xs_transaction_t transaction, uint32_t limit, uint32_t *value,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));
/* "path" made by printf from the format; the value is a string. */
bool key_write(struct xs_handle *xs, xs_transaction_t transaction, const char *value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool key_write_number(struct xs_handle *xs, xs_transaction_t transaction, uint32_t value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
