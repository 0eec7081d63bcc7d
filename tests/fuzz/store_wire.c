/*
 * The store's wire protocol under libFuzzer: bytes on a guest's ring and on a socket's connection, whole requests, and
 * indices of the ring page written by a hostile guest. After each input the store's invariants hold, and it still
 * answers. `make fuzz TARGET=store_wire TIME=60`.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "store/store_internal.h"
#include "xen/hypervisor.h"

#define INPUTS_PER_MACHINE 2000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

struct scene {
    struct store_connection *host, *client; /* of domain 0: the fuzzer's own, and the one that is fed */
    struct xenstore_domain_interface *ring;
    unsigned domid;
    uint8_t stream[2 * (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)]; /* what has come and is not whole */
    size_t streamed;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "store_wire: %s\n", what);
    abort();
}

static void woken(void *argument)
{
    (void)argument;
}

static uint8_t take_byte(struct input *input)
{
    if (!input->left)
        return 0;
    input->left--;
    return *input->at++;
}

static const uint8_t *take_bytes(struct input *input, size_t *count)
{
    const uint8_t *bytes = input->at;

    if (*count > input->left)
        *count = input->left;
    input->at += *count;
    input->left -= *count;
    return bytes;
}

static void drain(struct store_connection *connection)
{
    struct store_message *message;

    while ((message = store_receive(connection)))
        image_free(message);
}

/* A request of the fuzzer's own; it must be answered. */
static bool request(struct scene *scene, uint32_t type, const char *payload, size_t length)
{
    struct store_message *reply;
    bool good = false, answered = false;

    drain(scene->host);
    store_submit(scene->host, type, 1, 0, payload, (uint32_t)length);
    store_pump();
    while ((reply = store_receive(scene->host))) {
        answered = true;
        good = reply->header.type == type;
        image_free(reply);
    }
    if (!answered)
        fail("the store does not answer");
    return good;
}

static void set_up(struct scene *scene)
{
    struct xen_domain_config config = xen_domain_default_config(1);
    uint64_t pfn, port;
    char introduce[32], home[64];
    int domid, length;

    memset(scene, 0, sizeof(*scene));
    scene->host = store_connect(0, woken, NULL);
    scene->client = store_connect(0, woken, NULL);
    domid = xen_domain_create(&config);
    if (domid < 0 || xen_hvm_param_get((unsigned)domid, HVM_PARAM_STORE_PFN, &pfn) ||
        xen_hvm_param_get((unsigned)domid, HVM_PARAM_STORE_EVTCHN, &port))
        fail("no guest");
    scene->domid = (unsigned)domid;
    scene->ring = xen_foreign_frame(scene->domid, pfn);
    length = snprintf(introduce, sizeof(introduce), "%d%c1%c%u", domid, 0, 0, (unsigned)port) + 1;
    if (!request(scene, XS_INTRODUCE, introduce, (size_t)length))
        fail("no introduction");
    length = snprintf(home, sizeof(home), "/local/domain/%d/data", domid) + 1;
    request(scene, XS_WRITE, home, (size_t)length);
    length += snprintf(home + length, sizeof(home) - (size_t)length, "n%d", domid) + 1;
    request(scene, XS_SET_PERMS, home, (size_t)length);
}

static void feed_stream(struct scene *scene, const void *bytes, size_t count)
{
    size_t served = 0;
    int64_t taken;

    if (!scene->client)
        return;
    if (count > sizeof(scene->stream) - scene->streamed)
        count = sizeof(scene->stream) - scene->streamed;
    memcpy(scene->stream + scene->streamed, bytes, count);
    scene->streamed += count;
    while ((taken = store_stream(scene->client, scene->stream + served, scene->streamed - served)) > 0)
        served += (size_t)taken;
    if (taken < 0) {
        store_disconnect(scene->client);
        scene->client = NULL;
        return;
    }
    scene->streamed -= served;
    memmove(scene->stream, scene->stream + served, scene->streamed);
}

static void feed_ring(struct scene *scene, const uint8_t *bytes, size_t count)
{
    struct xenstore_domain_interface *ring = scene->ring;

    for (size_t i = 0; i < count; i++) {
        if (ring->req_prod - ring->req_cons >= XENSTORE_RING_SIZE)
            store_pump();
        ring->req[MASK_XENSTORE_IDX(ring->req_prod)] = (char)bytes[i];
        ring->req_prod++;
    }
}

/* One thing that a client or the guest does. */
static void act(struct scene *scene, struct input *input)
{
    struct xenstore_domain_interface *ring = scene->ring;
    uint32_t *const fields[] = {&ring->req_cons, &ring->req_prod,   &ring->rsp_cons,
                                &ring->rsp_prod, &ring->connection, &ring->error};
    uint8_t what = take_byte(input);
    size_t count = take_byte(input);
    struct xsd_sockmsg header = {.req_id = 7};
    const uint8_t *bytes;
    uint32_t value = 0;

    switch (what & 7) {
    case 0: /* bytes */
        bytes = take_bytes(input, &count);
        if (what & 8)
            feed_stream(scene, bytes, count);
        else
            feed_ring(scene, bytes, count);
        break;
    case 1: /* a word of the ring page */
        bytes = take_bytes(input, &(size_t){sizeof(value)});
        if (input->left)
            memcpy(&value, bytes, sizeof(value));
        *fields[count % (sizeof(fields) / sizeof(fields[0]))] = value;
        break;
    case 2: /* the guest reads what it was sent, and the client too */
        ring->rsp_cons = ring->rsp_prod;
        if (scene->client)
            drain(scene->client);
        break;
    default: /* a whole request */
        header.type = take_byte(input) % (XS_TYPE_COUNT + 1);
        header.tx_id = take_byte(input) % 4;
        bytes = take_bytes(input, &count);
        header.len = (uint32_t)count;
        if (header.type == XS_CONTROL) /* it may name files of the host's */
            break;
        if (what & 8) {
            feed_stream(scene, &header, sizeof(header));
            feed_stream(scene, bytes, count);
        } else {
            feed_ring(scene, (const uint8_t *)&header, sizeof(header));
            feed_ring(scene, bytes, count);
        }
        break;
    }
    if (!(what & 16))
        store_pump();
}

/* Everything goes; what is left must add up. */
static void tear_down(struct scene *scene)
{
    static const char *const first[] = {"tool"};
    const struct store_node *root;
    char *breach;

    store_pump();
    breach = store_check();
    if (breach)
        fail(breach);
    if (!request(scene, XS_GET_DOMAIN_PATH, "0", 2))
        fail("a good request fails");
    if (scene->client)
        store_disconnect(scene->client);
    xen_domain_destroy(scene->domid);
    store_pump();
    root = store_table_find(&machine->store->tree, "/");
    for (uint32_t at = 0; at < root->children_length;) {
        char *path = image_printf("/%s", root->children + at);

        if (strcmp(root->children + at, first[0]) == 0)
            at += (uint32_t)strlen(root->children + at) + 1;
        else if (!request(scene, XS_RM, path, strlen(path) + 1))
            fail("a node can't be removed");
        image_free(path);
    }
    breach = store_check();
    if (breach)
        fail(breach);
    store_disconnect(scene->host);
    store_pump();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned inputs;
    struct input input = {data, size};
    struct scene scene;

    if (inputs++ % INPUTS_PER_MACHINE == 0) {
        struct machine_config config = machine_default_config();

        if (inputs > 1)
            machine_destroy();
        config.log_level = LOG_NONE;
        machine_create(&config);
    }
    set_up(&scene);
    while (input.left)
        act(&scene, &input);
    tear_down(&scene);
    return 0;
}
