/*
 * Connections to programs on the host: what comes in at a look is put into buffers of the machine's and given to the
 * services from a task.
 */
#include "machine/peer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "machine/clock_internal.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/parallel.h"
#include "machine/point.h"

#define EVENTS_MAX 64
#define WAKE_ID 0u
#define PAUSE_NS 100000u
#define TIMER_SLACK_NS 1000ul

/* ---- the set ---- */

int peer_open_epoll(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0) {
        fprintf(stderr, "pvsim: no descriptor for the connections of other programs: %s\n", strerror(errno));
        exit(125);
    }
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0); /* short sleeps end when they should */
    return epoll;
}

static int open_wake(int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_ID};
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (wake < 0) {
        fprintf(stderr, "pvsim: no descriptor to wake the machine by: %s\n", strerror(errno));
        exit(125);
    }
    epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event);
    return wake;
}

struct peer_state *peer_open_state(void)
{
    struct peer_state *state;

    if (machine->peer != NULL)
        return machine->peer;
    state = image_alloc(sizeof(*state));
    state->epoll = peer_open_epoll();
    state->wake = engine_is_parallel() ? open_wake(state->epoll) : -1;
    state->scratch = image_alloc(PEER_PACKET_MAX);
    machine->peer = state;
    if (machine->config.clock == CLOCK_VIRTUAL)
        machine->config.clock = CLOCK_PACED;
    state->next_id = WAKE_ID + 1;
    state->look_at = clock_now() + PEER_LOOK_NS;
    point_look();
    if (engine_is_parallel())
        parallel_peers_opened();
    return state;
}

static uint32_t interest(const struct peer *peer)
{
    return (peer->paused || peer->ended ? 0u : (uint32_t)EPOLLIN) | (peer->blocked ? (uint32_t)EPOLLOUT : 0u);
}

void peer_watch(struct peer *peer)
{
    struct epoll_event event = {.events = interest(peer), .data.u64 = peer->id};

    if (peer->ended)
        epoll_ctl(peer_state()->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
    else
        epoll_ctl(peer_state()->epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

/* 0 or the reason why the host cannot poll the descriptor. */
static int watch_new(int fd, uint32_t id)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = id};

    if (peers_are_replayed())
        return 0;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return epoll_ctl(peer_state()->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

static int socket_type(int fd)
{
    int type = -1;
    socklen_t size = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 ? type : -1;
}

static struct peer *peer_new(int fd, int type, pid_t pid, const char *name, const struct peer_service *service)
{
    struct peer_state *state = peer_state();
    struct peer *peer = image_alloc(sizeof(*peer));
    struct peer **link = &state->peers;

    peer->id = state->next_id++;
    peer->fd = fd;
    peer->is_socket = type >= 0;
    peer->packets = type == SOCK_SEQPACKET;
    peer->service = service;
    peer->pid = pid;
    snprintf(peer->name, sizeof(peer->name), "%s", name);
    peer_process_add(peer_process_of(pid, name, service->turns && !engine_is_parallel()), peer);
    while (*link != NULL)
        link = &(*link)->next;
    *link = peer;
    return peer;
}

static struct peer *open_for(pid_t pid, const char *name, int fd, const struct peer_service *service, void *data)
{
    int error = watch_new(fd, peer_open_state()->next_id);
    struct peer *peer;

    if (error != 0) {
        errno = error;
        return NULL;
    }
    peer = peer_new(fd, socket_type(fd), pid, name, service);
    peer->announced = true;
    peer->data = data;
    return peer;
}

struct peer *peer_open_beside(struct peer *other, int fd, const struct peer_service *service, void *data)
{
    return open_for(other->pid, other->name, fd, service, data);
}

struct peer *peer_open(int fd, const struct peer_service *service, void *data)
{
    struct ucred credentials = {0};
    socklen_t size = sizeof(credentials);
    char name[PEER_NAME_MAX];

    /* The far end of a socket pair of our own is whoever it was given to. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 || credentials.pid == getpid())
        credentials.pid = 0;
    peer_process_name(credentials.pid, name);
    return open_for(credentials.pid, name, fd, service, data);
}

struct peer_listener *peer_listen(int fd, const struct peer_service *service, void *argument)
{
    struct peer_state *state = peer_open_state();
    struct peer_listener *listener;
    int error = watch_new(fd, state->next_id);

    if (error != 0) {
        errno = error;
        return NULL;
    }
    listener = image_alloc(sizeof(*listener));
    listener->id = state->next_id++;
    listener->fd = fd;
    listener->packets = socket_type(fd) == SOCK_SEQPACKET;
    listener->service = service;
    listener->argument = argument;
    listener->next = state->listeners;
    state->listeners = listener;
    return listener;
}

void peer_unlisten(struct peer_listener *listener)
{
    struct peer_listener **link = &peer_state()->listeners;

    while (*link != listener)
        link = &(*link)->next;
    *link = listener->next;
    close(listener->fd);
    image_free(listener);
}

int peer_socket(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    int error;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (machine->peer != NULL && peers_are_replayed())) /* nobody comes there */
        return fd;
    if (fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, SOMAXCONN) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

bool peers_exist(void)
{
    return machine->peer != NULL && (machine->peer->listeners != NULL || machine->peer->peers != NULL);
}

bool peers_are_connected(void)
{
    return machine->peer != NULL && machine->peer->peers != NULL;
}

bool peers_may_speak(void)
{
    return machine->config.stay_up || peers_are_connected();
}

/* ---- news ---- */

void peer_make_ready(struct peer *peer)
{
    struct peer_process *process = peer->process;

    if (!peer->is_ready) {
        peer->is_ready = true;
        peer->next_ready = NULL;
        *process->ready_tail = peer;
        process->ready_tail = &peer->next_ready;
    }
    task_unpark(process->task);
}

/* What a look has found. The peer's program is at work, or was. */
static void has_news(struct peer *peer)
{
    peer_state()->inputs++;
    peer->process->running = true;
    peer->process->busy_since = 0;
    peer_make_ready(peer);
}

static void came_in(struct peer *peer, const void *bytes, size_t count, int fd)
{
    if (peer->packets)
        peer_buffer_add_packet(&peer->input, bytes, count, fd);
    else
        peer_buffer_add(&peer->input, bytes, count);
    peer->news = true;
    if (peer_buffer_used(&peer->input) >= PEER_INPUT_MAX) {
        peer->paused = true;
        peer_watch(peer);
    }
    has_news(peer);
}

void peer_end(struct peer *peer)
{
    peer->ended = true;
    peer->news = peer->news || peer->held;
    peer->held = false;
    peer_watch(peer);
}

static void has_ended(struct peer *peer)
{
    peer_end(peer);
    has_news(peer);
}

static void has_connected(struct peer_listener *listener, int fd, pid_t pid, const char *name)
{
    struct peer *peer = peer_new(fd, listener->packets ? SOCK_SEQPACKET : SOCK_STREAM, pid, name, listener->service);

    peer->argument = listener->argument;
    has_news(peer);
}

static void accept_one(struct peer_listener *listener, int fd)
{
    struct ucred credentials = {0};
    socklen_t size = sizeof(credentials);
    char name[PEER_NAME_MAX];

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        credentials.pid = 0;
    if (watch_new(fd, peer_state()->next_id) != 0) {
        close(fd);
        return;
    }
    peer_process_name(credentials.pid, name);
    peer_note(PEER_ENTRY_ACCEPT, listener->id, (uint64_t)credentials.pid, name, sizeof(name));
    has_connected(listener, fd, credentials.pid, name);
}

static void accept_all(struct peer_listener *listener)
{
    int fd;

    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        accept_one(listener, fd);
}

/* The descriptor that came with a message, -1: none; more than one are not asked for and go. */
static int received_fd(struct msghdr *message)
{
    int fd = -1;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t index = 0; index < count; index++) {
            int one;

            memcpy(&one, CMSG_DATA(part) + index * sizeof(int), sizeof(one));
            if (fd < 0)
                fd = one;
            else
                close(one);
        }
    }
    return fd;
}

static void read_packets(struct peer *peer)
{
    uint8_t *scratch = peer_state()->scratch;

    while (!peer->paused && !peer->ended) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {scratch, PEER_PACKET_MAX};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
        ssize_t count = recvmsg(peer->fd, &message, MSG_CMSG_CLOEXEC);
        int fd;

        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        fd = count >= 0 ? received_fd(&message) : -1;
        if (count <= 0 || (message.msg_flags & MSG_TRUNC) != 0) {
            if (fd >= 0)
                close(fd);
            peer_note(PEER_ENTRY_END, peer->id, 0, NULL, 0);
            has_ended(peer);
            return;
        }
        peer_note(PEER_ENTRY_INPUT, peer->id, peer_fd_size(fd), scratch, (size_t)count);
        came_in(peer, scratch, (size_t)count, fd);
    }
}

static void read_stream(struct peer *peer)
{
    uint8_t *scratch = peer_state()->scratch;

    while (!peer->paused && !peer->ended) {
        ssize_t count = read(peer->fd, scratch, PEER_PACKET_MAX);

        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (count <= 0) {
            peer_note(PEER_ENTRY_END, peer->id, 0, NULL, 0);
            has_ended(peer);
            return;
        }
        peer_note(PEER_ENTRY_INPUT, peer->id, 0, scratch, (size_t)count);
        came_in(peer, scratch, (size_t)count, -1);
        if ((size_t)count < PEER_PACKET_MAX)
            return;
    }
}

static void can_be_written(struct peer *peer)
{
    peer->blocked = false;
    peer_watch(peer);
    peer_make_ready(peer); /* its task sends what waits */
}

static void look_at_peer(struct peer *peer, uint32_t events)
{
    if ((events & EPOLLOUT) != 0 && peer->blocked) {
        peer_note(PEER_ENTRY_WRITABLE, peer->id, 0, NULL, 0);
        can_be_written(peer);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || peer->ended)
        return;
    if (peer->paused && (events & (EPOLLHUP | EPOLLERR)) != 0) {
        peer_note(PEER_ENTRY_END, peer->id, 0, NULL, 0);
        has_ended(peer); /* what it still had to say nobody has asked for */
        return;
    }
    if (peer->packets)
        read_packets(peer);
    else
        read_stream(peer);
}

static struct peer *find_peer(uint64_t id)
{
    struct peer *peer = peer_state()->peers;

    while (peer != NULL && peer->id != id)
        peer = peer->next;
    return peer;
}

static struct peer_listener *find_listener(uint64_t id)
{
    struct peer_listener *listener = peer_state()->listeners;

    while (listener != NULL && listener->id != id)
        listener = listener->next;
    return listener;
}

static void look_at(uint64_t id, uint32_t events)
{
    struct peer *peer = find_peer(id);
    struct peer_listener *listener = find_listener(id);
    uint64_t count;

    if (id == WAKE_ID)
        while (read(peer_state()->wake, &count, sizeof(count)) > 0)
            ;
    else if (peer != NULL)
        look_at_peer(peer, events);
    else if (listener != NULL)
        accept_all(listener);
}

void peer_collect(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(peer_state()->epoll, events, EVENTS_MAX, 0);

    for (int index = 0; index < count; index++)
        look_at(events[index].data.u64, events[index].events);
}

static void apply_one(const struct peer_entry *entry, const uint8_t *payload)
{
    bool of_peer =
        entry->type == PEER_ENTRY_INPUT || entry->type == PEER_ENTRY_END || entry->type == PEER_ENTRY_WRITABLE;
    struct peer *peer = of_peer ? find_peer(entry->a) : NULL;
    struct peer_listener *listener = entry->type == PEER_ENTRY_ACCEPT ? find_listener(entry->a) : NULL;

    if (listener != NULL && entry->bytes == PEER_NAME_MAX)
        has_connected(listener, -1, (pid_t)entry->b, (const char *)payload);
    else if (entry->type == PEER_ENTRY_MEMORY)
        peer_apply_memory(entry, payload);
    else if (peer == NULL)
        peer_replay_ends("somebody speaks who was not there then");
    else if (entry->type == PEER_ENTRY_INPUT)
        came_in(peer, payload, entry->bytes, peer_fd_stand_in(entry->b));
    else if (entry->type == PEER_ENTRY_END)
        has_ended(peer);
    else
        can_be_written(peer);
}

bool peer_apply(enum peer_entry_type type, uint64_t *a)
{
    const struct peer_entry *entry;
    const uint8_t *payload;
    bool found = false;

    while ((entry = peer_next(&payload)) != NULL) {
        if (entry->type == type) {
            *a = entry->a;
            found = true;
        } else {
            apply_one(entry, payload);
        }
        peer_taken();
    }
    return found;
}

void peers_look(void)
{
    struct peer_state *state = peer_state();
    uint64_t none;

    state->moment++;
    state->look_at = clock_now() + PEER_LOOK_NS;
    if (peers_are_replayed())
        (void)peer_apply(PEER_ENTRY_NONE, &none);
    else
        peer_collect();
}

void peers_sleep(uint64_t nanoseconds)
{
    struct pollfd poll = {.fd = peer_state()->epoll, .events = POLLIN};
    struct timespec time = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};

    (void)ppoll(&poll, 1, nanoseconds == UINT64_MAX ? NULL : &time, NULL);
}

/* Sleep until the deadline that is so far away, or until something comes; how far the clock moves. */
static uint64_t wait_on_host(uint64_t left, bool stands)
{
    uint64_t start = clock_host();
    uint64_t passed;

    peers_sleep(stands ? peers_patience() : left);
    passed = clock_host() - start;
    if (stands)
        return 0;
    return passed < left ? passed : left;
}

bool peers_wait(void)
{
    uint64_t next = clock_next();
    bool stands = peers_owe();
    uint64_t now = clock_now();
    uint64_t left = next == CLOCK_NEVER ? UINT64_MAX : next > now ? next - now : 0;
    uint64_t passed = 0;

    if (next == CLOCK_NEVER && !stands && !peers_may_speak())
        return false;
    peer_state()->moment++;
    peer_state()->look_at = clock_now() + PEER_LOOK_NS;
    if (peers_are_replayed()) {
        if (!peer_apply(PEER_ENTRY_CLOCK, &passed))
            peer_replay_ends("the machine waits where it did not wait then");
    } else {
        passed = left != 0 ? wait_on_host(left, stands) : 0;
        peer_note(PEER_ENTRY_CLOCK, passed, 0, NULL, 0);
        peer_collect();
    }
    clock_charge(passed);
    if (clock_due())
        clock_fire_due();
    return true;
}

void peers_pause(void)
{
    if (!peers_are_replayed())
        peers_sleep(PAUSE_NS);
    peers_look();
}

void peers_doze(uint64_t until)
{
    uint64_t now = clock_now();

    kernel_lock_release();
    peers_sleep(until == CLOCK_NEVER ? UINT64_MAX : until > now ? until - now : 0);
    kernel_lock_acquire();
    peers_look();
}

void peers_wake(void)
{
    const uint64_t one = 1;

    if (write(peer_state()->wake, &one, sizeof(one)) != sizeof(one))
        return; /* its counter is full: it is awake */
}

/* ---- the end ---- */

void peers_close(void)
{
    struct peer_state *state = peer_state();

    if (state == NULL)
        return;
    for (struct peer *peer = state->peers; peer != NULL; peer = peer->next) {
        peer_buffer_free(&peer->input, peer->packets);
        peer_buffer_free(&peer->output, peer->packets);
        close(peer->fd);
    }
    for (struct peer_listener *listener = state->listeners; listener != NULL; listener = listener->next)
        close(listener->fd);
    for (struct peer_process *process = state->processes; process != NULL; process = process->next)
        peer_process_close(process);
    peer_record_close(state);
    if (state->wake >= 0)
        close(state->wake);
    close(state->epoll);
    machine->peer = NULL;
}
