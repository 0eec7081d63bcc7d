/*
 * One of the two stores that are compared: ours in a machine, or a real xenstored in a world. Clients are letters:
 * 'A' to 'Z' connections of domain 0, '1' and up the ring of that domain.
 */
#ifndef TESTS_STORE_CONFORMANCE_SIDE_H
#define TESTS_STORE_CONFORMANCE_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

#define SIDE_LETTERS 26u

struct side_message {
    struct xsd_sockmsg header;
    uint8_t payload[UINT16_MAX];
};

struct side {
    const struct side_functions *functions;
    void *state;
};

struct side_functions {
    const char *name;
    /* Bytes into the client's stream; a socket client is connected by its first ones. */
    void (*put)(void *state, char client, const void *bytes, uint32_t length);
    /* The next message to the client, awaited; false when there is none and won't be: the connection is closed, or the
     * ring has its error set. */
    bool (*get)(void *state, char client, struct side_message *message);
    /* Nothing of the client's requests is left to be read. */
    void (*settle)(void *state, char client);
    void (*close)(void *state, char client);
    struct xenstore_domain_interface *(*ring)(void *state, unsigned domid);
    void (*domain_create)(void *state, unsigned domid);
    void (*domain_shutdown)(void *state, unsigned domid);
    void (*domain_destroy)(void *state, unsigned domid);
    uint32_t (*port)(void *state, unsigned domid); /* for XS_INTRODUCE */
    void (*stop)(void *state);
};

struct side side_ours(void);
/* `program`: see daemon.h. */
struct side side_real(const char *program);

/* A ring's guest end, the same for both: as much as there is room (or there are bytes) for. */
uint32_t side_ring_put(struct xenstore_domain_interface *interface, const void *bytes, uint32_t length);
uint32_t side_ring_get(struct xenstore_domain_interface *interface, void *bytes, uint32_t length);

#endif
