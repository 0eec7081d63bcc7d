/* A connection as its service has it: what came in, what is sent, and the end. */
#include "machine/peer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "machine/image.h"
#include "machine/log.h"

static void discard(struct peer *peer)
{
    struct peer **link = &peer_state()->peers;

    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    close(peer->fd);
    peer_process_remove(peer);
    peer_buffer_free(&peer->input, peer->packets);
    peer_buffer_free(&peer->output, peer->packets);
    image_free(peer);
}

void peer_dispatch(struct peer *peer)
{
    peer->in_call = true;
    if (!peer->process->turns)
        (void)peer_flush(peer);
    if (!peer->announced) {
        peer->announced = true;
        if (peer->service->opened != NULL)
            peer->service->opened(peer, peer->argument);
    }
    if (peer->news && !peer->closing) {
        peer->news = false;
        peer->service->input(peer);
    }
    if (peer->ended && !peer->news && !peer->closing) {
        peer->closing = true;
        if (peer->service->closed != NULL)
            peer->service->closed(peer);
    }
    peer->in_call = false;
    if (peer->closing) {
        (void)peer_flush(peer);
        if (peer->ended || peer_buffer_used(&peer->output) == 0)
            discard(peer);
        return;
    }
    if (peer->news || peer->ended || peer->is_ready)
        peer_make_ready(peer); /* its task may have become another one */
}

void peer_close(struct peer *peer)
{
    peer->closing = true;
    peer_make_ready(peer);
}

void peer_set_data(struct peer *peer, void *data)
{
    peer->data = data;
}

void *peer_data(const struct peer *peer)
{
    return peer->data;
}

pid_t peer_pid(const struct peer *peer)
{
    return peer->pid;
}

const char *peer_name(const struct peer *peer)
{
    return peer->name;
}

const void *peer_input(struct peer *peer, size_t *bytes)
{
    *bytes = peer_buffer_used(&peer->input);
    if (*bytes == 0)
        return NULL;
    if (!peer->ended && peer_buffer_used(&peer->output) >= PEER_OUTPUT_HELD) {
        peer->held = true;
        *bytes = 0;
        return NULL;
    }
    if (!peer->packets)
        return peer->input.bytes + peer->input.start;
    *bytes = peer_buffer_first(&peer->input).length;
    return peer->input.bytes + peer->input.start + sizeof(struct peer_packet);
}

int peer_take_fd(struct peer *peer)
{
    struct peer_packet packet;
    int fd;

    if (!peer->packets || peer_buffer_used(&peer->input) == 0)
        return -1;
    packet = peer_buffer_first(&peer->input);
    fd = packet.fd;
    packet.fd = -1;
    memcpy(peer->input.bytes + peer->input.start, &packet, sizeof(packet));
    return fd;
}

void peer_consume(struct peer *peer, size_t bytes)
{
    if (peer->packets) {
        int fd = peer_take_fd(peer);

        if (fd >= 0)
            close(fd);
        bytes = sizeof(struct peer_packet) + peer_buffer_first(&peer->input).length;
    }
    peer->input.start += bytes;
    if (peer->paused && peer_buffer_used(&peer->input) < PEER_INPUT_MAX) {
        peer->paused = false;
        if (!peer->ended)
            peer_watch(peer);
    }
}

void peer_again(struct peer *peer)
{
    peer->news = true;
    peer_make_ready(peer);
}

/* Bytes that the host took of these; 0: none now. A peer that is gone takes all. */
static size_t send_some(struct peer *peer, const void *bytes, size_t count, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t done;

    if (fd >= 0) {
        struct cmsghdr *rights;

        memset(control, 0, sizeof(control));
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
    }
    do
        done = peer->is_socket ? sendmsg(peer->fd, &message, MSG_NOSIGNAL) : write(peer->fd, bytes, count);
    while (done < 0 && errno == EINTR);
    if (done < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return 0;
    return done < 0 ? count : (size_t)done;
}

/* Send from the buffer; false when the socket is full. */
static bool flush_some(struct peer *peer)
{
    struct peer_buffer *output = &peer->output;
    const uint8_t *from = output->bytes + output->start;
    size_t done;

    if (peer->packets) {
        struct peer_packet packet = peer_buffer_first(output);

        if (send_some(peer, from + sizeof(packet), packet.length, packet.fd) == 0)
            return false;
        if (packet.fd >= 0)
            close(packet.fd);
        output->start += sizeof(packet) + packet.length;
        return true;
    }
    done = send_some(peer, from, peer_buffer_used(output), -1);
    output->start += done;
    return done != 0;
}

/* Replay: everything goes, but what a socket did not take then. */
static bool drop_output(struct peer *peer)
{
    const struct peer_entry *entry;
    const uint8_t *payload;
    size_t used = peer_buffer_used(&peer->output);

    entry = peer_next(&payload);
    if (entry == NULL || entry->type != PEER_ENTRY_FULL || entry->a != peer->id) {
        if (peer->packets)
            peer_buffer_free(&peer->output, true);
        else
            peer->output.start = peer->output.end;
        return used != 0;
    }
    if (entry->b > used)
        peer_replay_ends("less is written than was then");
    peer->output.start += entry->b;
    peer->blocked = true;
    used = entry->b;
    peer_taken();
    return used != 0;
}

static bool flush_output(struct peer *peer)
{
    size_t before = peer_buffer_used(&peer->output);

    if (before == 0 || peer->blocked)
        return false;
    peer_state()->moment++;
    if (peers_are_replayed())
        return drop_output(peer);
    while (peer_buffer_used(&peer->output) != 0 && !peer->blocked)
        if (!flush_some(peer)) {
            peer->blocked = true;
            peer_note(PEER_ENTRY_FULL, peer->id, before - peer_buffer_used(&peer->output), NULL, 0);
            peer_watch(peer);
        }
    return before != peer_buffer_used(&peer->output);
}

bool peer_flush(struct peer *peer)
{
    bool sent = flush_output(peer);

    if (peer->held && peer_buffer_used(&peer->output) < PEER_OUTPUT_HELD) {
        peer->held = false;
        peer_again(peer);
    }
    return sent;
}

/* It does not read what it is told. Nobody can say how long it will not: the machine must not pay for it. */
static void give_up(struct peer *peer)
{
    log_line(LOG_WARNING, peer->service->name, "%s has let %zu bytes lie unread: its connection is closed", peer->name,
             peer_buffer_used(&peer->output));
    peer_buffer_free(&peer->output, peer->packets);
    peer_end(peer);
    peer_make_ready(peer);
}

void peer_write_fd(struct peer *peer, const void *bytes, size_t count, int fd)
{
    if (peer->ended)
        return;
    if (peer->packets)
        peer_buffer_add_packet(&peer->output, bytes, count, fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1);
    else
        peer_buffer_add(&peer->output, bytes, count);
    if (peer->process->turns)
        task_unpark(peer->process->task);
    else
        (void)peer_flush(peer);
    if (peer_buffer_used(&peer->output) > PEER_OUTPUT_MAX)
        give_up(peer);
}

void peer_write(struct peer *peer, const void *bytes, size_t count)
{
    peer_write_fd(peer, bytes, count, -1);
}
