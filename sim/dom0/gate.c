/* The gate's connections: hellos, requests, and the end of a program. */
#include "dom0/gate_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dom0/shares.h"
#include "machine/census.h"
#include "machine/guest_ram.h"
#include "machine/guest_ram_internal.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "xen/xen.h"

#define ARENA_MAX (UINT64_C(1) << 30)

void gate_reply(struct gate_handle *handle, int error, int64_t value, const void *more, size_t bytes)
{
    struct gate_reply reply = {.error = error < 0 ? -error : error, .value = value};
    uint8_t *packet;

    if (bytes == 0) {
        peer_write(handle->peer, &reply, sizeof(reply));
        return;
    }
    packet = image_alloc(sizeof(reply) + bytes);
    memcpy(packet, &reply, sizeof(reply));
    memcpy(packet + sizeof(reply), more, bytes);
    peer_write(handle->peer, packet, sizeof(reply) + bytes);
    image_free(packet);
}

uint32_t gate_page_number(const void *page)
{
    return (uint32_t)(((uintptr_t)page - IMAGE_DIRECTMAP_BASE) >> GUEST_PAGE_SHIFT);
}

bool gate_may(const struct gate_handle *handle, unsigned domid)
{
    return handle->restricted == GATE_NONE || handle->restricted == domid;
}

/* ---- the end ---- */

static void give_back(struct gate_handle *handle)
{
    struct gate_handle **link = &machine->gate->handles;

    gate_evtchn_close(handle);
    gate_mappings_close(handle);
    if (handle->arena != NULL)
        munmap(handle->arena, handle->arena_bytes);
    while (*link != handle)
        link = &(*link)->next;
    *link = handle->next;
    image_free(handle);
    shares_revoke_left();
}

static void closed(struct peer *peer)
{
    give_back(peer_data(peer));
}

static void break_off(struct gate_handle *handle, const char *why)
{
    log_line(LOG_WARNING, "gate", "%s: %s: the connection ends", peer_name(handle->peer), why);
    peer_close(handle->peer);
    give_back(handle);
}

/* ---- hello ---- */

/* The program's memory can't become smaller under us: then a look at it can't fault. */
static int map_arena(struct gate_handle *handle, const struct gate_hello *hello, int fd)
{
    int seals = fcntl(fd, F_GET_SEALS); /* -1: of a file that can have none */
    struct stat status;
    void *arena;

    if (hello->arena_bytes == 0 || hello->arena_bytes > ARENA_MAX || hello->arena_bytes % GUEST_PAGE_SIZE != 0 ||
        hello->arena_address % GUEST_PAGE_SIZE != 0)
        return EINVAL;
    if (fstat(fd, &status) != 0 || (uint64_t)status.st_size < hello->arena_bytes || seals < 0 ||
        (seals & F_SEAL_SHRINK) == 0)
        return EBADF;
    arena = mmap(NULL, hello->arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (arena == MAP_FAILED)
        return errno;
    handle->arena = arena;
    handle->arena_address = hello->arena_address;
    handle->arena_bytes = hello->arena_bytes;
    return 0;
}

static int accept_hello(struct gate_handle *handle, const struct gate_hello *hello, int arena_fd)
{
    int error;

    if (hello->version != GATE_VERSION)
        return EPROTONOSUPPORT;
    if (hello->kind < GATE_EVTCHN || hello->kind > GATE_CALL)
        return EINVAL;
    if (!xen_domain_exists(hello->domid))
        return ESRCH;
    if (arena_fd >= 0) {
        error = map_arena(handle, hello, arena_fd);
        if (error != 0)
            return error;
    }
    handle->domid = hello->domid;
    handle->kind = hello->kind;
    return 0;
}

static bool hello(struct gate_handle *handle, const void *packet, size_t bytes, int arena_fd)
{
    struct gate_hello request;
    struct gate_reply reply = {0};
    int fd = -1;
    int events = -1;

    if (bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    if (request.type != GATE_HELLO)
        return false;
    reply.error = accept_hello(handle, &request, arena_fd);
    if (reply.error == 0 && handle->kind == GATE_EVTCHN) {
        fd = events = gate_evtchn_open(handle);
        reply.error = events < 0 ? errno : 0;
    } else if (reply.error == 0 && handle->kind != GATE_CALL) {
        fd = guest_ram_memfd();
        reply.value = guest_ram_pages();
    }
    if (reply.error != 0)
        log_line(LOG_WARNING, "gate", "%s: a handle of kind %u in domain %u is refused: %s", peer_name(handle->peer),
                 request.kind, request.domid, strerror(reply.error));
    peer_write_fd(handle->peer, &reply, sizeof(reply), fd);
    if (events >= 0)
        close(events);
    return true;
}

/* ---- requests ---- */

static bool restrict_handle(struct gate_handle *handle, const void *packet, size_t bytes)
{
    struct gate_port request;

    if (bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    if (handle->kind == GATE_GNTTAB || handle->kind == GATE_GNTSHR) { /* as the kernel's devices */
        gate_reply(handle, EOPNOTSUPP, 0, NULL, 0);
    } else if (handle->restricted != GATE_NONE && handle->restricted != request.domid) {
        gate_reply(handle, handle->kind == GATE_EVTCHN ? EACCES : EINVAL, 0, NULL, 0);
    } else {
        handle->restricted = request.domid;
        gate_reply(handle, 0, 0, NULL, 0);
    }
    return true;
}

static bool request(struct gate_handle *handle, const void *packet, size_t bytes, int fd)
{
    uint32_t type;

    if (bytes < sizeof(type))
        return false;
    if (handle->kind == 0)
        return hello(handle, packet, bytes, fd);
    memcpy(&type, packet, sizeof(type));
    if (type == GATE_RESTRICT)
        return restrict_handle(handle, packet, bytes);
    switch (handle->kind) {
    case GATE_EVTCHN:
        return gate_evtchn_request(handle, type, packet, bytes);
    case GATE_GNTTAB:
        return gate_gnttab_request(handle, type, packet, bytes);
    case GATE_GNTSHR:
        return gate_gntshr_request(handle, type, packet, bytes);
    case GATE_FOREIGN:
        return gate_foreign_request(handle, type, packet, bytes);
    default:
        return gate_call_request(handle, type, packet, bytes);
    }
}

static void opened(struct peer *peer, void *argument)
{
    struct gate_handle *handle = image_alloc(sizeof(*handle));
    struct gate_handle **link = &machine->gate->handles;

    (void)argument;
    handle->peer = peer;
    handle->restricted = GATE_NONE;
    while (*link != NULL)
        link = &(*link)->next;
    *link = handle;
    peer_set_data(peer, handle);
}

static void input(struct peer *peer)
{
    struct gate_handle *handle = peer_data(peer);
    const void *packet;
    size_t bytes;

    while ((packet = peer_input(peer, &bytes)) != NULL) {
        int fd = peer_take_fd(peer);
        void *copy = image_alloc(bytes); /* aligned, and ours while the request is served */
        bool good;

        memcpy(copy, packet, bytes);
        peer_consume(peer, bytes);
        good = request(handle, copy, bytes, fd);
        image_free(copy);
        if (fd >= 0)
            close(fd);
        if (!good) {
            break_off(handle, "a packet that breaks the protocol");
            return;
        }
    }
}

static const struct peer_service service = {
    .name = "gate", .turns = true, .opened = opened, .input = input, .closed = closed};

bool gate_open(const char *path)
{
    int fd = peer_socket(path, SOCK_SEQPACKET);

    if (fd < 0)
        return false;
    if (machine->gate == NULL)
        machine->gate = image_alloc(sizeof(*machine->gate));
    return peer_listen(fd, &service, NULL) != NULL;
}

void gate_on_new_host(void)
{
    if (machine->gate == NULL)
        return;
    for (struct gate_handle *handle = machine->gate->handles; handle != NULL; handle = handle->next) {
        handle->arena = NULL;
        handle->arena_bytes = 0;
    }
}

void gate_census(struct census *census)
{
    if (machine->gate == NULL)
        return;
    for (const struct gate_handle *handle = machine->gate->handles; handle != NULL; handle = handle->next) {
        for (const struct gate_bound *port = handle->ports; port != NULL; port = port->next)
            census_item(census, "gate", 1, NULL, "port %u of domain %u, %s", port->number, handle->domid,
                        peer_name(handle->peer));
        for (const struct gate_mapping *mapping = handle->mappings; mapping != NULL; mapping = mapping->next)
            census_item(census, "gate", mapping->count, NULL, "pages of a mapping, %s", peer_name(handle->peer));
    }
}
