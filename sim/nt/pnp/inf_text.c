/* Encodings of INFs: UTF-16LE with a byte-order mark, else UTF-8. */
#include <string.h>

#include "nt/pnp/inf_internal.h"

static unsigned line_at(const char *text, size_t length)
{
    unsigned line = 1;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' || (text[i] == '\r' && (i + 1 == length || text[i + 1] != '\n')))
            line++;
    }
    return line;
}

static size_t put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    to[0] = (char)(0xe0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 0x3f));
    to[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

/* The character at `at` and its length in bytes; length 0 if it is malformed. */
static unsigned get_utf8(const uint8_t *data, size_t size, size_t at, size_t *length)
{
    static const unsigned smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned c = data[at];
    size_t count = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;

    *length = 0;
    if (count == 0 || count > size - at)
        return 0;
    if (count > 1)
        c &= 0x7fu >> count;
    for (size_t i = 1; i < count; i++) {
        if ((data[at + i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (data[at + i] & 0x3fu);
    }
    if (c < smallest[count] || c > 0x10ffff)
        return 0;
    *length = count;
    return c;
}

/* The registry's own conversions stop at U+FFFF, so that nothing above it is let in. */
static bool acceptable(const struct inf *inf, const char *text, size_t used, unsigned c, struct inf_error *error)
{
    if (c == 0)
        return inf_fail(inf, line_at(text, used), error, "a zero character in the text");
    if (c > 0xffff || (c >= 0xd800 && c <= 0xdfff))
        return inf_fail(inf, line_at(text, used), error,
                        "a character outside the Basic Multilingual Plane, which is not implemented");
    return true;
}

static char *decode_utf16(const struct inf *inf, const uint8_t *data, size_t size, struct inf_error *error)
{
    char *text = image_alloc(size / 2 * 3 + 1);
    size_t used = 0;

    if (size % 2 != 0) {
        inf_fail(inf, 0, error, "an odd number of bytes, though its byte-order mark says UTF-16");
        image_free(text);
        return NULL;
    }
    for (size_t at = 0; at < size; at += 2) {
        unsigned c = data[at] | (unsigned)data[at + 1] << 8;

        if (!acceptable(inf, text, used, c, error)) {
            image_free(text);
            return NULL;
        }
        used += put_utf8(text + used, c);
    }
    return text;
}

static char *decode_utf8(const struct inf *inf, const uint8_t *data, size_t size, struct inf_error *error)
{
    char *text = image_alloc(size + 1);
    size_t length;

    for (size_t at = 0; at < size; at += length) {
        unsigned c = get_utf8(data, size, at, &length);
        bool good = length != 0 ? acceptable(inf, text, at, c, error)
                                : inf_fail(inf, line_at(text, at), error, "byte 0x%02x is not UTF-8", data[at]);

        if (!good) {
            image_free(text);
            return NULL;
        }
        memcpy(text + at, data + at, length);
    }
    return text;
}

char *inf_decode(const struct inf *inf, const uint8_t *data, size_t size, struct inf_error *error)
{
    if (size >= 2 && data[0] == 0xff && data[1] == 0xfe)
        return decode_utf16(inf, data + 2, size - 2, error);
    if (size >= 2 && data[0] == 0xfe && data[1] == 0xff) {
        inf_fail(inf, 0, error, "is UTF-16 with the high byte first; an INF is UTF-16LE or UTF-8");
        return NULL;
    }
    if (size >= 3 && data[0] == 0xef && data[1] == 0xbb && data[2] == 0xbf)
        return decode_utf8(inf, data + 3, size - 3, error);
    return decode_utf8(inf, data, size, error);
}
