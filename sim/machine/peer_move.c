/* Connections of a machine that goes on in another process than that which they came to. */
#include <string.h>

#include "machine/image.h"
#include "machine/peer_internal.h"

/* The numbers of descriptors mean nothing there. */
static void forget_descriptors(const struct peer *peer, const struct peer_buffer *buffer)
{
    for (size_t at = buffer->start; peer->packets && at < buffer->end;) {
        struct peer_packet packet;

        memcpy(&packet, buffer->bytes + at, sizeof(packet));
        packet.fd = -1;
        memcpy(buffer->bytes + at, &packet, sizeof(packet));
        at += sizeof(packet) + packet.length;
    }
}

static void lose(struct peer *peer)
{
    forget_descriptors(peer, &peer->input);
    image_free(peer->output.bytes);
    peer->output = (struct peer_buffer){0};
    peer->fd = -1;
    peer->blocked = false;
    peer->paused = false;
    peer->ended = true;
    peer_make_ready(peer);
}

void peers_on_new_host(void)
{
    struct peer_state *state = peer_state();

    if (state == NULL)
        return;
    state->epoll = peer_open_epoll();
    while (state->listeners != NULL) {
        struct peer_listener *listener = state->listeners;

        state->listeners = listener->next;
        image_free(listener);
    }
    for (struct peer_process *process = state->processes; process != NULL; process = process->next) {
        process->stat_fd = -1;
        process->running = false;
        process->busy_since = 0;
    }
    for (struct peer *peer = state->peers; peer != NULL; peer = peer->next)
        lose(peer);
}

bool peers_settled(void)
{
    if (machine->peer == NULL)
        return true;
    for (const struct peer *peer = peer_state()->peers; peer != NULL; peer = peer->next)
        if (peer->in_call || peer->ended)
            return false;
    return true;
}
