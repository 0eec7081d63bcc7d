/*
 * The daemon's Unix socket: what libxenstore and the xenstore-* tools connect to. A connection is a client of the
 * domain that the socket is for; its requests are handled where they come in, its replies and events go out at once,
 * header and payload together.
 */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/machine.h"
#include "machine/peer.h"

#include <string.h>
#include <sys/socket.h>

static void send_messages(void *argument)
{
    struct peer *peer = argument;
    struct store_connection *connection = peer_data(peer);
    struct store_message *message;

    while ((message = store_receive(connection))) {
        peer_write(peer, &message->header, sizeof(message->header) + message->header.len);
        image_free(message);
    }
}

static void opened(struct peer *peer, void *argument)
{
    peer_set_data(peer, store_connect((unsigned)(uintptr_t)argument, send_messages, peer));
}

static void closed(struct peer *peer)
{
    store_disconnect(peer_data(peer));
}

int64_t store_stream(struct store_connection *connection, const uint8_t *bytes, size_t count)
{
    struct xsd_sockmsg header;

    if (count < sizeof(header))
        return 0;
    memcpy(&header, bytes, sizeof(header));
    if (header.len > XENSTORE_PAYLOAD_MAX)
        return -1;
    if (count < sizeof(header) + header.len)
        return 0;
    store_serve(connection, &header, bytes + sizeof(header));
    return (int64_t)(sizeof(header) + header.len);
}

static void input(struct peer *peer)
{
    struct store_connection *connection = peer_data(peer);
    const uint8_t *bytes;
    size_t count;

    /* One by one: the answers to some may be all that the peer can be given. */
    while ((bytes = peer_input(peer, &count)) != NULL) {
        int64_t taken = store_stream(connection, bytes, count);

        if (taken < 0) {
            store_disconnect(connection);
            peer_close(peer);
            return;
        }
        if (taken == 0)
            return;
        peer_consume(peer, (size_t)taken);
    }
}

bool store_listen(const char *path, unsigned domid)
{
    static const struct peer_service service = {.name = "store", .opened = opened, .input = input, .closed = closed};
    int fd = peer_socket(path, SOCK_STREAM);

    return fd >= 0 && peer_listen(fd, &service, (void *)(uintptr_t)domid) != NULL;
}
