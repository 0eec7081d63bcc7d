/* For the tests of the gate: a program of dom0 that speaks gate_protocol.h itself. Each call that fails ends it. */
#ifndef TESTS_PEER_GATE_CLIENT_H
#define TESTS_PEER_GATE_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dom0/gate_protocol.h"

#define CLIENT_PAGE 4096u
#define CLIENT_PACKET 65536u

struct client_handle {
    int fd;
    int other; /* what the hello brought: the RAM memfd, or the stream of fired ports; -1: nothing */
    uint8_t *arena;
    uint64_t pages;
};

/* The child's way to say what was wrong. */
#define CLIENT_CHECK(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "client: line %d: %s (errno %d)\n", __LINE__, #condition, errno);                          \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static inline int client_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    CLIENT_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static inline void client_send(int fd, const void *bytes, size_t count, int with)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (with >= 0) {
        struct cmsghdr *rights;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(with));
        memcpy(CMSG_DATA(rights), &with, sizeof(with));
    }
    CLIENT_CHECK(sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)count);
}

/* The answer; what follows it goes into `more`. 0 bytes: the connection has ended. */
static inline ssize_t client_receive(int fd, struct gate_reply *reply, void *more, size_t bytes, int *with)
{
    static uint8_t packet[CLIENT_PACKET];
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {packet, sizeof(packet)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    if (count <= 0)
        return 0;
    CLIENT_CHECK((size_t)count >= sizeof(*reply));
    memcpy(reply, packet, sizeof(*reply));
    count -= (ssize_t)sizeof(*reply);
    if (more != NULL)
        memcpy(more, packet + sizeof(*reply), (size_t)count < bytes ? (size_t)count : bytes);
    if (with != NULL) {
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

        *with = -1;
        if (rights != NULL)
            memcpy(with, CMSG_DATA(rights), sizeof(*with));
    }
    return count + (ssize_t)sizeof(*reply);
}

static inline struct gate_reply client_ask(const struct client_handle *handle, const void *request, size_t bytes,
                                           void *more, size_t room)
{
    struct gate_reply reply = {0};

    client_send(handle->fd, request, bytes, -1);
    CLIENT_CHECK(client_receive(handle->fd, &reply, more, room, NULL) != 0);
    return reply;
}

/* A handle; `arena` bytes of memory for it, at the address where it lies here. */
static inline struct client_handle client_open(const char *path, uint32_t kind, uint32_t domid, size_t arena)
{
    struct client_handle handle = {.fd = client_connect(path), .other = -1};
    struct gate_hello hello = {.type = GATE_HELLO, .version = GATE_VERSION, .kind = kind, .domid = domid};
    struct gate_reply reply = {0};
    int memory = -1;

    if (arena != 0) {
        memory = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        CLIENT_CHECK(ftruncate(memory, (off_t)arena) == 0 && fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
        handle.arena = mmap(NULL, arena, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        CLIENT_CHECK(handle.arena != MAP_FAILED);
        hello.arena_address = (uintptr_t)handle.arena;
        hello.arena_bytes = arena;
    }
    client_send(handle.fd, &hello, sizeof(hello), memory);
    CLIENT_CHECK(client_receive(handle.fd, &reply, NULL, 0, &handle.other) != 0);
    CLIENT_CHECK(reply.error == 0);
    handle.pages = (uint64_t)reply.value;
    return handle;
}

static inline struct gate_reply client_port(const struct client_handle *handle, uint32_t type, uint32_t domid,
                                            uint32_t port)
{
    struct gate_port request = {.type = type, .domid = domid, .port = port};

    return client_ask(handle, &request, sizeof(request), NULL, 0);
}

static inline void client_tell(const struct client_handle *handle, uint32_t type, uint32_t port)
{
    struct gate_port request = {.type = type, .port = port};

    client_send(handle->fd, &request, sizeof(request), -1);
}

static inline uint32_t client_pending(const struct client_handle *handle)
{
    uint32_t port = 0;

    CLIENT_CHECK(read(handle->other, &port, sizeof(port)) == (ssize_t)sizeof(port));
    return port;
}

static inline struct gate_reply client_map_grant(const struct client_handle *handle, uint32_t domid, uint32_t reference,
                                                 bool writable, uint32_t notify_offset, uint32_t notify_port,
                                                 uint32_t *page)
{
    struct {
        struct gate_map_grants request;
        struct gate_reference grant;
    } packet = {{.type = GATE_MAP_GRANTS,
                 .count = 1,
                 .writable = writable,
                 .notify_offset = notify_offset,
                 .notify_port = notify_port},
                {domid, reference}};

    return client_ask(handle, &packet, sizeof(packet), page, sizeof(*page));
}

static inline uint8_t *client_show(const struct client_handle *handle, uint32_t page)
{
    void *at = mmap(NULL, CLIENT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, handle->other, (off_t)page * CLIENT_PAGE);

    CLIENT_CHECK(at != MAP_FAILED);
    return at;
}

#endif
