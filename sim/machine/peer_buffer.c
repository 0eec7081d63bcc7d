#include "machine/peer_internal.h"

#include <string.h>
#include <unistd.h>

#include "machine/image.h"

#define BUFFER_MIN 256u

size_t peer_buffer_used(const struct peer_buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* Room for `count` more bytes behind the end. */
static void *buffer_room(struct peer_buffer *buffer, size_t count)
{
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
    if (buffer->capacity - buffer->end < count && buffer->start != 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, peer_buffer_used(buffer));
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->capacity - buffer->end < count) {
        size_t capacity = buffer->capacity == 0 ? BUFFER_MIN : buffer->capacity;

        while (capacity - buffer->end < count)
            capacity *= 2;
        buffer->bytes = image_realloc(buffer->bytes, capacity);
        buffer->capacity = capacity;
    }
    return buffer->bytes + buffer->end;
}

void peer_buffer_add(struct peer_buffer *buffer, const void *bytes, size_t count)
{
    memcpy(buffer_room(buffer, count), bytes, count);
    buffer->end += count;
}

void peer_buffer_add_packet(struct peer_buffer *buffer, const void *bytes, size_t count, int fd)
{
    struct peer_packet packet = {(uint32_t)count, fd};

    peer_buffer_add(buffer, &packet, sizeof(packet));
    peer_buffer_add(buffer, bytes, count);
}

struct peer_packet peer_buffer_first(const struct peer_buffer *buffer)
{
    struct peer_packet packet;

    memcpy(&packet, buffer->bytes + buffer->start, sizeof(packet));
    return packet;
}

void peer_buffer_free(struct peer_buffer *buffer, bool packets)
{
    while (packets && peer_buffer_used(buffer) != 0) {
        struct peer_packet packet = peer_buffer_first(buffer);

        if (packet.fd >= 0)
            close(packet.fd);
        buffer->start += sizeof(packet) + packet.length;
    }
    image_free(buffer->bytes);
    *buffer = (struct peer_buffer){0};
}
