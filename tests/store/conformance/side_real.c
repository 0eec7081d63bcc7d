#include "store/conformance/side.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "store/conformance/daemon.h"

#define PATIENCE 10 /* seconds that an answer may take: the host may be busy */

struct real {
    struct daemon *daemon;
    int socket[SIDE_LETTERS]; /* + 1; 0: not connected */
};

static bool is_domain(char client)
{
    return client >= '0' && client <= '9';
}

static unsigned domid_of(char client)
{
    return (unsigned)(client - '0');
}

static int *socket_of(struct real *real, char client)
{
    return &real->socket[client - 'A'];
}

static int connected(struct real *real, char client)
{
    int *slot = socket_of(real, client);

    if (!*slot) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, real->daemon->socket);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        *slot = fd + 1;
    }
    return *slot - 1;
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void real_put(void *state, char client, const void *bytes, uint32_t length)
{
    struct real *real = state;
    time_t end = time(NULL) + PATIENCE;

    if (!is_domain(client)) {
        ssize_t sent = send(connected(real, client), bytes, length, MSG_NOSIGNAL);

        ck_assert_msg(sent == (ssize_t)length || errno == EPIPE || errno == ECONNRESET, "xenstored's socket: %s",
                      strerror(errno));
        return;
    }
    while (length) {
        struct xenstore_domain_interface *ring = daemon_ring(real->daemon, domid_of(client));
        uint32_t put = side_ring_put(ring, bytes, length);

        bytes = (const char *)bytes + put;
        length -= put;
        daemon_event(real->daemon, WORLD_PORT(domid_of(client)));
        if (!length || __atomic_load_n(&ring->error, __ATOMIC_ACQUIRE))
            break;
        ck_assert_msg(time(NULL) < end, "xenstored does not read the ring of domain %c", client);
        wait_a_little();
    }
}

/* All of the bytes, awaited; false when the stream has ended. */
static bool get_bytes(struct real *real, char client, void *bytes, uint32_t length)
{
    time_t end = time(NULL) + PATIENCE;

    while (length) {
        uint32_t got;

        if (is_domain(client)) {
            struct xenstore_domain_interface *ring = daemon_ring(real->daemon, domid_of(client));

            got = side_ring_get(ring, bytes, length);
            if (!got && __atomic_load_n(&ring->error, __ATOMIC_ACQUIRE))
                return false;
            daemon_event(real->daemon, WORLD_PORT(domid_of(client)));
            daemon_drain(real->daemon);
            if (!got)
                wait_a_little();
        } else {
            struct pollfd wait = {.fd = connected(real, client), .events = POLLIN};
            ssize_t received;

            poll(&wait, 1, 100);
            received = recv(wait.fd, bytes, length, MSG_DONTWAIT);
            if (received == 0 || (received < 0 && errno == ECONNRESET))
                return false;
            got = received > 0 ? (uint32_t)received : 0;
        }
        bytes = (char *)bytes + got;
        length -= got;
        ck_assert_msg(time(NULL) < end, "xenstored owes client %c an answer", client);
    }
    return true;
}

static bool real_get(void *state, char client, struct side_message *message)
{
    if (!get_bytes(state, client, &message->header, sizeof(message->header)))
        return false;
    ck_assert_uint_le(message->header.len, sizeof(message->payload));
    return get_bytes(state, client, message->payload, message->header.len);
}

static void real_settle(void *state, char client)
{
    struct real *real = state;
    struct xenstore_domain_interface *ring;
    time_t end = time(NULL) + PATIENCE;

    if (!is_domain(client))
        return;
    ring = daemon_ring(real->daemon, domid_of(client));
    while (ring->req_prod != __atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&ring->error, __ATOMIC_ACQUIRE)) {
        ck_assert_msg(time(NULL) < end, "xenstored does not read the ring of domain %c", client);
        wait_a_little();
    }
}

static void real_close(void *state, char client)
{
    int *slot = socket_of(state, client);

    if (*slot)
        close(*slot - 1);
    *slot = 0;
}

static struct xenstore_domain_interface *real_ring(void *state, unsigned domid)
{
    return daemon_ring(((struct real *)state)->daemon, domid);
}

static struct world_domain *world_domain(void *state, unsigned domid)
{
    ck_assert_uint_lt(domid, WORLD_DOMAINS);
    return &((struct real *)state)->daemon->world->domain[domid];
}

static void real_domain_create(void *state, unsigned domid)
{
    *world_domain(state, domid) = (struct world_domain){.exists = true, .port = 1};
    memset(real_ring(state, domid), 0, WORLD_PAGE);
}

static void real_domain_shutdown(void *state, unsigned domid)
{
    world_domain(state, domid)->shutdown = true;
    daemon_event(((struct real *)state)->daemon, WORLD_VIRQ_PORT);
}

static void real_domain_destroy(void *state, unsigned domid)
{
    *world_domain(state, domid) = (struct world_domain){0};
    daemon_event(((struct real *)state)->daemon, WORLD_VIRQ_PORT);
}

static uint32_t real_port(void *state, unsigned domid)
{
    return world_domain(state, domid)->port;
}

static void real_stop(void *state)
{
    struct real *real = state;
    bool lived;

    for (char client = 'A'; client <= 'Z'; client++)
        real_close(real, client);
    lived = daemon_stop(real->daemon);
    free(real);
    ck_assert_msg(lived, "xenstored has ended by itself");
}

static const struct side_functions real_functions = {
    .name = "xenstored",
    .put = real_put,
    .get = real_get,
    .settle = real_settle,
    .close = real_close,
    .ring = real_ring,
    .domain_create = real_domain_create,
    .domain_shutdown = real_domain_shutdown,
    .domain_destroy = real_domain_destroy,
    .port = real_port,
    .stop = real_stop,
};

struct side side_real(const char *program)
{
    struct real *real = calloc(1, sizeof(*real));
    const char *why = NULL;

    real->daemon = daemon_start(program, &why);
    ck_assert_msg(real->daemon != NULL, "%s: %s", program, why);
    return (struct side){&real_functions, real};
}
