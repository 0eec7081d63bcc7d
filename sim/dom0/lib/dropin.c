/* The connection of a handle of a drop-in library. */
#include "dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DOMID_MAX 0x7fefu

void dropin_error(struct dropin *dropin, const char *format, ...)
{
    int error = errno;
    va_list arguments;

    if (dropin->logger == NULL) /* no memory for one */
        return;
    va_start(arguments, format);
    xtl_logv(dropin->logger, XTL_ERROR, error, dropin->library, format, arguments);
    va_end(arguments);
    errno = error;
}

/* ---- open and close ---- */

static bool set_logger(struct dropin *dropin, xentoollog_logger *logger)
{
    dropin->own_logger = NULL;
    dropin->logger = logger;
    if (logger != NULL)
        return true;
    dropin->own_logger = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_PROGRESS, 0);
    dropin->logger = dropin->own_logger;
    return dropin->own_logger != NULL;
}

static int connect_to_gate(struct dropin *dropin)
{
    const char *path = getenv(GATE_SOCKET_VARIABLE);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (path == NULL || strlen(path) >= sizeof(address.sun_path)) {
        errno = ENOENT;
        dropin_error(dropin,
                     GATE_SOCKET_VARIABLE " does not name a machine's dom0.sock: run the program by pvsim dom0");
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    dropin_error(dropin, "no machine answers at %s", path);
    if (fd >= 0) {
        int error = errno;

        close(fd);
        errno = error;
    }
    return -1;
}

static bool own_domid(struct dropin *dropin, uint32_t *domid)
{
    const char *text = getenv(GATE_DOMID_VARIABLE);
    unsigned long number;
    char *end;

    *domid = 0;
    if (text == NULL)
        return true;
    number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && number <= DOMID_MAX) {
        *domid = (uint32_t)number;
        return true;
    }
    errno = EINVAL;
    dropin_error(dropin, GATE_DOMID_VARIABLE "=%s is not the number of a domain", text);
    return false;
}

static int arena_make(struct dropin_arena *arena)
{
    int fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *start;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)arena->bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0) {
        start = mmap(NULL, arena->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (start != MAP_FAILED) {
            (void)madvise(start, arena->bytes, MADV_DONTFORK);
            arena->start = start;
            return fd;
        }
    }
    close(fd);
    return -1;
}

void dropin_arena_close(struct dropin_arena *arena)
{
    if (arena->start != NULL)
        munmap(arena->start, arena->bytes);
    arena->start = NULL;
}

static ssize_t send_packet(int fd, const void *packet, size_t bytes, int with)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)packet, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (with >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.room);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(with));
        memcpy(CMSG_DATA(&control.header), &with, sizeof(with));
    }
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == ENOTSOCK) /* xentoolcore_restrict_all() has put /dev/null there */
        errno = ENOTTY;
    return sent;
}

/* The answer; -1 with errno when the connection has ended. `brought`: a descriptor that came with it, or -1. */
static int receive_reply(int fd, struct gate_reply *reply, void *more, size_t room, int *brought)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part[2] = {{reply, sizeof(*reply)}, {more, room}};
    struct msghdr message = {.msg_iov = part, .msg_iovlen = 2};
    const struct cmsghdr *rights;
    ssize_t count;

    message.msg_control = &control;
    message.msg_controllen = sizeof(control.room);
    do
        count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    if (count < (ssize_t)sizeof(*reply)) {
        errno = count < 0 ? errno : EIO;
        return -1;
    }
    rights = CMSG_FIRSTHDR(&message);
    *brought = -1;
    if (rights != NULL && rights->cmsg_type == SCM_RIGHTS)
        memcpy(brought, CMSG_DATA(rights), sizeof(*brought));
    return 0;
}

static bool say_hello(struct dropin *dropin, enum gate_kind kind, const struct dropin_arena *arena, int memory,
                      int *brought)
{
    struct gate_hello hello = {.type = GATE_HELLO, .version = GATE_VERSION, .kind = kind};
    struct gate_reply reply;
    int came = -1;

    if (!own_domid(dropin, &hello.domid))
        return false;
    if (arena != NULL) {
        hello.arena_address = (uintptr_t)arena->start;
        hello.arena_bytes = arena->bytes;
    }
    if (send_packet(dropin->fd, &hello, sizeof(hello), memory) < 0 ||
        receive_reply(dropin->fd, &reply, NULL, 0, &came) < 0) {
        dropin_error(dropin, "the machine has ended the connection");
        return false;
    }
    if (reply.error != 0) {
        errno = reply.error;
        dropin_error(dropin, "the machine refuses a program of domain %u", hello.domid);
        return false;
    }
    if (brought != NULL)
        *brought = came;
    else if (came >= 0)
        close(came);
    return true;
}

void dropin_adopt(struct dropin *dropin, const char *library, xentoollog_logger *logger,
                  int (*restrict_callback)(struct toolcore_handle *handle, domid_t domid), int fd)
{
    dropin->library = library;
    dropin->fd = fd;
    dropin->kept = -1;
    pthread_mutex_init(&dropin->lock, NULL);
    (void)set_logger(dropin, logger);
    dropin->active.restrict_callback = restrict_callback;
    xentoolcore__register_active_handle(&dropin->active);
}

bool dropin_open(struct dropin *dropin, const char *library, xentoollog_logger *logger,
                 int (*restrict_callback)(struct toolcore_handle *handle, domid_t domid), enum gate_kind kind,
                 struct dropin_arena *arena, int *brought)
{
    int memory = -1;
    bool good;
    int error;

    dropin_adopt(dropin, library, logger, restrict_callback, -1);
    if (arena != NULL)
        memory = arena_make(arena);
    good = arena == NULL || memory >= 0;
    if (good) {
        dropin->fd = connect_to_gate(dropin);
        good = dropin->fd >= 0 && say_hello(dropin, kind, arena, memory, brought);
    }
    error = errno;
    if (memory >= 0)
        close(memory);
    if (!good) {
        if (arena != NULL)
            dropin_arena_close(arena);
        dropin_close(dropin);
    }
    errno = error;
    return good;
}

void dropin_close(struct dropin *dropin)
{
    int error = errno;

    xentoolcore__deregister_active_handle(&dropin->active);
    if (dropin->fd >= 0)
        close(dropin->fd);
    if (dropin->kept >= 0)
        close(dropin->kept);
    xtl_logger_destroy(dropin->own_logger);
    pthread_mutex_destroy(&dropin->lock);
    errno = error;
}

/* ---- requests ---- */

int dropin_ask(struct dropin *dropin, const void *request, size_t bytes, int64_t *value, void *more, size_t room)
{
    struct gate_reply reply = {0};
    int result = -1;
    int brought = -1;

    pthread_mutex_lock(&dropin->lock);
    if (send_packet(dropin->fd, request, bytes, -1) >= 0)
        result = receive_reply(dropin->fd, &reply, more, room, &brought);
    pthread_mutex_unlock(&dropin->lock);
    if (brought >= 0)
        close(brought);
    if (result < 0)
        return -1;
    if (value != NULL)
        *value = reply.value;
    if (reply.error == 0)
        return 0;
    errno = reply.error;
    return -1;
}

int dropin_tell(struct dropin *dropin, const void *request, size_t bytes)
{
    ssize_t sent;

    pthread_mutex_lock(&dropin->lock);
    sent = send_packet(dropin->fd, request, bytes, -1);
    pthread_mutex_unlock(&dropin->lock);
    return sent < 0 ? -1 : 0;
}

int dropin_restrict(struct dropin *dropin, domid_t domid)
{
    const struct gate_port request = {.type = GATE_RESTRICT, .domid = domid};

    return dropin_ask(dropin, &request, sizeof(request), NULL, NULL, 0);
}

int dropin_retire(struct toolcore_handle *handle, domid_t domid)
{
    struct dropin *dropin = (struct dropin *)handle;
    int result;

    (void)domid;
    pthread_mutex_lock(&dropin->lock);
    if (dropin->kept < 0)
        dropin->kept = fcntl(dropin->fd, F_DUPFD_CLOEXEC, 0);
    result = dropin->kept < 0 ? -1 : xentoolcore__restrict_by_dup2_null(dropin->fd);
    pthread_mutex_unlock(&dropin->lock);
    return result;
}

int dropin_restrict_active(struct toolcore_handle *handle, domid_t domid)
{
    return dropin_restrict((struct dropin *)handle, domid);
}
