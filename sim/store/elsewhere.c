/*
 * A store that is a program beside the machine (xenstored, oxenstored) in the place of the built-in one. Each client in
 * the machine is a connection to its socket, as a program of domain 0 has one; guests are on their rings, which the
 * daemon maps by itself.
 */
#include "store/store_internal.h"

#include "machine/clock.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/peer.h"
#include "machine/sched.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FULL_QUEUE_NS 1000000u /* between attempts to connect to a daemon whose queue is full */

/* A daemon with a full queue may be waiting for this machine to answer it: nothing waits here but a task. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, error;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        error = errno;
        if (error != EAGAIN || task_current() == NULL)
            goto failed;
        (void)task_park(clock_now() + FULL_QUEUE_NS, "the store's socket");
    }
    return fd;

failed:
    close(fd);
    errno = error;
    return -1;
}

bool store_find(const char *path)
{
    int fd = connect_to(path);

    if (fd < 0)
        return false;
    close(fd);
    machine->store->elsewhere = image_strdup(path);
    return true;
}

static void lose(struct store_connection *connection, const char *why)
{
    log_line(LOG_ERROR, "store", "a connection to %s is lost: %s", machine->store->elsewhere, why);
    connection->peer = NULL;
    connection->broken = true;
    if (connection->wakeup)
        connection->wakeup(connection->argument);
}

/* The daemon's messages, as far as they are whole. */
static void input(struct peer *peer)
{
    struct store_connection *connection = peer_data(peer);
    struct xsd_sockmsg header;
    const uint8_t *bytes;
    size_t count;

    while ((bytes = peer_input(peer, &count)) != NULL && count >= sizeof(header)) {
        memcpy(&header, bytes, sizeof(header));
        if (header.len > XENSTORE_PAYLOAD_MAX) {
            peer_close(peer);
            lose(connection, "a message is longer than the protocol allows");
            return;
        }
        if (count < sizeof(header) + header.len)
            return;
        store_connection_send(connection, header.type, header.req_id, header.tx_id, bytes + sizeof(header), header.len);
        peer_consume(peer, sizeof(header) + header.len);
        if (header.type != XS_WATCH_EVENT)
            peer_owe(peer, -1);
    }
}

static void closed(struct peer *peer)
{
    lose(peer_data(peer), "the daemon has closed it");
}

void store_elsewhere_connect(struct store_connection *connection)
{
    static const struct peer_service service = {.name = "store", .turns = true, .input = input, .closed = closed};
    int fd = connect_to(machine->store->elsewhere);

    connection->peer = fd >= 0 ? peer_open(fd, &service, connection) : NULL;
    if (connection->peer == NULL)
        lose(connection, strerror(errno));
}

void store_elsewhere_submit(struct store_connection *connection, const struct xsd_sockmsg *header, const void *payload)
{
    if (connection->peer == NULL)
        return;
    peer_owe(connection->peer, 1);
    peer_write(connection->peer, header, sizeof(*header));
    peer_write(connection->peer, payload, header->len);
}

void store_elsewhere_disconnect(struct store_connection *connection)
{
    if (connection->peer != NULL)
        peer_close(connection->peer);
    connection->peer = NULL;
}
