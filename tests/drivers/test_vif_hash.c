/*
 * The hash methods of XENVIF_VIF against a control ring that the test plays: what is asked of a backend is what
 * io/netif.h says, in an order in which no frame is hashed by half of it; what a backend refuses, answers wrongly or
 * does not answer costs the call, within a bounded time, and nothing more.
 */
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "common/vif_control.h"
#include "machine/clock.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#define PLAYED                                                                                                         \
    .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .vcpus = QUEUES, .before_boot = vif_backend_make,                \
    .restored = vif_backend_restored
#define FEATURES "feature-sg=1,feature-ctrl-ring=1,multi-queue-max-queues=4"
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\1"
#define BUS "XENBUS\\VEN_XP0001&DEV_VIF"
#define QUEUES 4u
#define SECOND UINT64_C(1000000000)

#define NONE XENVIF_PACKET_HASH_ALGORITHM_NONE
#define TOEPLITZ XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ
#define ALL_TYPES 0x1eu /* bits of XENVIF_PACKET_HASH_TYPE */
#define ALL_FLAGS 0x0fu /* bits of XEN_NETIF_CTRL_HASH_TYPE */

/* shared/facts/toeplitz.md: from 66.9.149.187:2794 to 161.142.100.80:1766, by TCP. */
static const uint8_t key[VIF_CONTROL_KEY] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                             0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                             0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                             0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
#define HASH_BY_PORTS 0x51ccc178u

static uint8_t frame[INET_FRAME_MAX];

/* ---- the calls ---- */

static NTSTATUS set_algorithm(unsigned algorithm)
{
    return XENVIF_VIF_CALL(&vif_client, ReceiverSetHashAlgorithm, (XENVIF_PACKET_HASH_ALGORITHM)algorithm);
}

static NTSTATUS query_types(ULONG *types)
{
    *types = 0xdead;
    return XENVIF_VIF_CALL(&vif_client, ReceiverQueryHashCapabilities, types);
}

static NTSTATUS set_parameters(ULONG types, const uint8_t *with)
{
    return XENVIF_VIF_CALL(&vif_client, ReceiverUpdateHashParameters, types, (PUCHAR)with);
}

/* To `count` processors in turn, from the last one down. */
static NTSTATUS set_mapping(ULONG size, unsigned count)
{
    PROCESSOR_NUMBER mapping[256] = {0};

    for (unsigned i = 0; i < size; i++)
        mapping[i].Number = (UCHAR)(count - 1 - i % count);
    return XENVIF_VIF_CALL(&vif_client, UpdateHashMapping, mapping, size);
}

/* All of it, as a network driver does when it is told how to scale. */
static void set_all(void)
{
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    ck_assert_int_eq(set_parameters(ALL_TYPES, key), STATUS_SUCCESS);
    ck_assert_int_eq(set_mapping(8, QUEUES), STATUS_SUCCESS);
}

/* ---- the connection ---- */

static void connect_both(void)
{
    vif_control_start();
    vif_backend_connect();
    vif_client_await_link(true);
    stack_sleep_us(20000); /* for what a new backend is told at once */
}

static void disconnect_both(void)
{
    vif_control_stop();
    vif_backend_disconnect();
}

static void begin_with(const char *features)
{
    vif_control = (struct vif_control){.types = ALL_FLAGS, .largest_mapping = 128, .queues = QUEUES};
    vif_backend_features(features);
    vif_client_acquire();
    vif_client_enable();
    connect_both();
}

static void begin(void)
{
    begin_with(FEATURES);
}

static void finish(void)
{
    vif_control_stop();
    vif_client_finish();
}

/* The requests since the last time, which are of these types (0: no more). */
static const struct vif_control_told *asked(const unsigned *types)
{
    const struct vif_control_told *told = vif_control_told();
    unsigned count = 0;

    for (; types[count] != 0; count++) {
        ck_assert_uint_lt(count, told->asked);
        ck_assert_msg(told->request[count].type == types[count], "request %u is of type %u, not %u", count,
                      told->request[count].type, types[count]);
    }
    ck_assert_uint_eq(told->asked, count);
    vif_control_forget();
    return told;
}

#define ASKED(...) asked((const unsigned[]){__VA_ARGS__, 0})
#define NOTHING_ASKED() asked((const unsigned[]){0})

static void assert_data(const struct vif_control_request *request, uint32_t first, uint32_t second, uint32_t third)
{
    ck_assert_uint_eq(request->data[0], first);
    ck_assert_uint_eq(request->data[1], second);
    ck_assert_uint_eq(request->data[2], third);
}

#define ALGORITHM XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM
#define GET_FLAGS XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS
#define FLAGS XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS
#define KEY XEN_NETIF_CTRL_TYPE_SET_HASH_KEY
#define GET_SIZE XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE
#define SIZE XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE
#define MAPPING XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING

static void assert_told_all(const struct vif_control_told *told)
{
    ck_assert_uint_eq(told->algorithm, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
    ck_assert_uint_eq(told->types, ALL_FLAGS);
    ck_assert_mem_eq(told->key, key, sizeof(key));
    ck_assert_uint_eq(told->mapping_size, 8);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(told->mapping[i], i % QUEUES);
}

/* A frame each way, whatever there is of hashing. */
static void carry(void)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 300};
    struct vif_backend_frame given = {.data = frame, .length = inet_make(frame, &kind)};
    const XENVIF_PACKET_HASH first = {.Algorithm = TOEPLITZ, .Type = XENVIF_PACKET_HASH_TYPE_IPV4}; /* queue */
    struct vif_client_packet sent = {.data = frame, .length = given.length, .hash = &first};
    static struct vif_backend_packet taken;

    vif_client_forget();
    vif_backend_give(&given);
    vif_client_await_received(1);
    ck_assert_mem_eq(vif_client_received(0)->data, frame, given.length);
    ck_assert_int_eq(vif_client_send(&sent), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert_uint_eq(taken.length, given.length);
    ck_assert_mem_eq(taken.data, frame, given.length);
}

/* ---- what is asked ---- */

STACK_TEST(algorithm_is_asked_for, PLAYED)
{
    const struct vif_control_told *told;
    ULONG types;

    begin();
    NOTHING_ASKED();
    ck_assert_int_eq(query_types(&types), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_parameters(ALL_TYPES, key), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_algorithm(TOEPLITZ + 1), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
    ck_assert_int_eq(set_algorithm(XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED), STATUS_SUCCESS);
    NOTHING_ASKED();
    for (unsigned round = 0; round < 2; round++) {
        ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
        told = ASKED(ALGORITHM);
        assert_data(&told->request[0], XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ, 0, 0);
        ck_assert_int_eq(set_algorithm(round == 0 ? NONE : XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED), STATUS_SUCCESS);
        told = ASKED(ALGORITHM);
        assert_data(&told->request[0], XEN_NETIF_CTRL_HASH_ALGORITHM_NONE, 0, 0);
        ck_assert_int_eq(query_types(&types), STATUS_NOT_SUPPORTED);
    }
    NOTHING_ASKED();
    carry();
    finish();
}

/* Of what a backend has, what the interface has a name for. */
STACK_TEST(capabilities_are_the_backends, PLAYED)
{
    const struct vif_control_told *told;
    ULONG types;

    begin();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    vif_control_forget();
    for (uint32_t flags = 0; flags <= ALL_FLAGS; flags++) {
        vif_control.types = flags | (flags % 2 != 0 ? 0xfffffff0 : 0);
        ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
        ck_assert_uint_eq(types, flags << 1);
        told = ASKED(GET_FLAGS);
        assert_data(&told->request[0], 0, 0, 0);
    }
    finish();
}

STACK_TEST(parameters_are_sent_key_first, PLAYED)
{
    const struct vif_control_told *told;
    uint8_t other[VIF_CONTROL_KEY];

    begin();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    vif_control_forget();
    for (ULONG types = 0; types <= ALL_TYPES; types += 2) {
        memset(other, 0x80 | (int)types, sizeof(other));
        ck_assert_int_eq(set_parameters(types, other), STATUS_SUCCESS);
        told = ASKED(KEY, FLAGS);
        ck_assert_uint_eq(told->request[0].data[1], VIF_CONTROL_KEY);
        ck_assert_uint_eq(told->request[0].data[2], 0);
        assert_data(&told->request[1], types >> 1, 0, 0);
        ck_assert_uint_eq(told->types, types >> 1);
        ck_assert_mem_eq(told->key, other, sizeof(other));
        ck_assert_msg(!vif_control_is_granted(told->request[0].data[0]), "the key's page is granted still");
    }
    ck_assert_int_eq(set_parameters(1, key), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(set_parameters(ALL_TYPES | 0x20, key), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(set_parameters(0xffffffff, key), STATUS_INVALID_PARAMETER);
    NOTHING_ASKED();

    /* What it does not have it refuses. */
    vif_control.types = XEN_NETIF_CTRL_HASH_TYPE_IPV4;
    ck_assert_int_eq(set_parameters(ALL_TYPES, key), STATUS_INVALID_PARAMETER);
    ASKED(KEY, FLAGS, KEY, FLAGS); /* nor does it take what was accepted any more */
    carry();
    finish();
}

STACK_TEST(mappings_of_every_size, PLAYED)
{
    const struct vif_control_told *told;

    begin();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    vif_control_forget();
    for (ULONG size = 1; size <= 128; size *= 2)
        for (unsigned count = 1; count <= QUEUES; count++) {
            ck_assert_int_eq(set_mapping(size, count), STATUS_SUCCESS);
            told = ASKED(GET_SIZE, SIZE, MAPPING);
            assert_data(&told->request[0], 0, 0, 0);
            assert_data(&told->request[1], size, 0, 0);
            ck_assert_uint_eq(told->request[2].data[1], size);
            ck_assert_uint_eq(told->request[2].data[2], 0);
            ck_assert_uint_eq(told->mapping_size, size);
            for (unsigned i = 0; i < size; i++)
                ck_assert_uint_eq(told->mapping[i], i % count);
            ck_assert_msg(!vif_control_is_granted(told->request[2].data[0]), "the mapping's page is granted still");
        }
    for (ULONG size = 0; size <= 256; size++)
        if (size == 0 || size > 128 || (size & (size - 1)) != 0)
            ck_assert_int_eq(set_mapping(size, 1), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(set_mapping(8, QUEUES + 1), STATUS_INVALID_PARAMETER); /* no such processor */
    NOTHING_ASKED();

    /* A backend with a smaller table; with none. */
    vif_control.largest_mapping = 64;
    ck_assert_int_eq(set_mapping(128, QUEUES), STATUS_BUFFER_OVERFLOW);
    ASKED(GET_SIZE);
    ck_assert_int_eq(set_mapping(64, QUEUES), STATUS_SUCCESS);
    ASKED(GET_SIZE, SIZE, MAPPING);
    vif_control.largest_mapping = 0;
    ck_assert_int_eq(set_mapping(1, 1), STATUS_BUFFER_OVERFLOW);
    ASKED(GET_SIZE);
    carry();
    finish();
}

/* One that was there before the algorithm goes with it; the backend has no use for it without. */
STACK_TEST(mapping_before_the_algorithm, PLAYED)
{
    const struct vif_control_told *told;

    begin();
    ck_assert_int_eq(set_mapping(8, QUEUES), STATUS_SUCCESS);
    NOTHING_ASKED();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    ASKED(ALGORITHM, GET_SIZE, SIZE, MAPPING);
    ck_assert_int_eq(set_parameters(ALL_TYPES, key), STATUS_SUCCESS);
    told = ASKED(KEY, FLAGS);
    assert_told_all(told);

    /* Off and on again: it is all told anew. */
    ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
    ASKED(ALGORITHM);
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    told = ASKED(ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
    assert_told_all(told);
    finish();
}

/* ---- again, with every connection ---- */

STACK_TEST(told_again_on_each_connection, PLAYED)
{
    const struct vif_control_told *told;
    ULONG types;

    begin();
    set_all();
    for (unsigned round = 0; round < 3; round++) {
        disconnect_both();
        connect_both();
        told = ASKED(ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
        assert_told_all(told);
        ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
        ck_assert_uint_eq(types, ALL_TYPES);
        vif_control_forget();
        carry();
    }

    /* While there is no connection they are taken for the next. */
    disconnect_both();
    ck_assert_int_eq(query_types(&types), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(set_parameters(0x06, key), STATUS_SUCCESS);
    ck_assert_int_eq(set_mapping(2, 2), STATUS_SUCCESS);
    connect_both();
    told = ASKED(ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
    ck_assert_uint_eq(told->types, 0x03);
    ck_assert_uint_eq(told->mapping_size, 2);
    disconnect_both();
    ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
    connect_both();
    NOTHING_ASKED();
    finish();
}

STACK_TEST(told_again_after_a_resume, PLAYED)
{
    struct stack_resumer resumer = {.rounds = 1, .meanwhile = vif_backend_suspended};
    const struct vif_control_told *told;

    begin();
    set_all();
    vif_control_stop();
    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    connect_both();
    told = ASKED(ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
    assert_told_all(told);
    carry();
    finish();
}

/* ---- refusals ---- */

static const struct refusal {
    uint32_t status;
    NTSTATUS means;
} refusals[] = {{XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED, STATUS_NOT_SUPPORTED},
                {XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER},
                {XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_OVERFLOW}};

/* Refuses requests of this type from here on; 0: none. */
static void refuse(unsigned type, uint32_t status)
{
    vif_control.type = type;
    vif_control.status = type != 0 ? status : XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* A backend that refuses nothing, and hears of what is in force. */
static void reconnect(void)
{
    refuse(0, 0);
    disconnect_both();
    connect_both();
    assert_told_all(ASKED(ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING));
}

/* What is refused is not in force: the next backend hears of what was, and the refused call is all that failed. */
STACK_TEST(every_refusal, PLAYED)
{
    static const uint8_t other[VIF_CONTROL_KEY] = {1, 2, 3};
    ULONG types;

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(refusals); i++) {
        uint32_t status = refusals[i].status;
        NTSTATUS means = refusals[i].means;

        refuse(ALGORITHM, status);
        ck_assert_int_eq(set_algorithm(TOEPLITZ), means == STATUS_INVALID_PARAMETER ? STATUS_NOT_SUPPORTED : means);
        ck_assert_int_eq(query_types(&types), STATUS_NOT_SUPPORTED);
        ASKED(ALGORITHM);
        refuse(0, 0);
        set_all();
        vif_control_forget();

        refuse(GET_FLAGS, status);
        ck_assert_int_eq(query_types(&types), means);
        ck_assert_uint_eq(types, 0);
        ASKED(GET_FLAGS);

        refuse(KEY, status);
        ck_assert_int_eq(set_parameters(0x02, other), means);
        ASKED(KEY);
        refuse(FLAGS, status);
        ck_assert_int_eq(set_parameters(0x02, other), means);
        ASKED(KEY, FLAGS, KEY, FLAGS); /* it does not take back what it took before either */
        reconnect();

        refuse(GET_SIZE, status);
        ck_assert_int_eq(set_mapping(2, 2), means);
        ASKED(GET_SIZE);
        refuse(SIZE, status);
        ck_assert_int_eq(set_mapping(2, 2), means);
        ASKED(GET_SIZE, SIZE);
        refuse(MAPPING, status);
        ck_assert_int_eq(set_mapping(2, 2), means);
        ASKED(GET_SIZE, SIZE, MAPPING, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
        reconnect();
        carry();

        /* Nor can a client be kept from having no hash. */
        refuse(ALGORITHM, status);
        ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
        refuse(0, 0);
        vif_control_forget();
    }
    finish();
}

static netif_extra_info_t hash_extra(uint8_t type, uint8_t algorithm, uint32_t value)
{
    netif_extra_info_t extra = {.type = XEN_NETIF_EXTRA_TYPE_HASH, .u.hash = {.type = type, .algorithm = algorithm}};

    memcpy(extra.u.hash.value, &value, sizeof(value));
    return extra;
}

/* A frame of the published vector, to which the backend has added this much: what the driver makes of it. */
static void assert_vector(unsigned extras, const netif_extra_info_t *extra, bool here)
{
    static const uint8_t addresses[] = {66, 9, 149, 187, 161, 142, 100, 80};
    const struct inet_packet kind = {.version = 4,
                                     .protocol = INET_TCP,
                                     .flags = INET_ACK,
                                     .source_port = 2794,
                                     .destination_port = 1766,
                                     .payload = 10};
    struct vif_backend_frame given = {.data = frame, .length = inet_make(frame, &kind), .extras = extras};
    const XENVIF_PACKET_HASH *hash;

    if (extras != 0)
        given.extra[0] = *extra;
    memcpy(frame + 14 + 12, addresses, sizeof(addresses));
    vif_client_forget();
    vif_backend_give(&given);
    vif_client_await_received(1);
    hash = &vif_client_received(0)->hash;
    ck_assert_uint_eq(hash->Algorithm, here ? TOEPLITZ : NONE);
    ck_assert_uint_eq(hash->Value, here ? HASH_BY_PORTS : 0);
}

static void assert_hashed_here(bool here)
{
    assert_vector(0, NULL, here);
}

/* A call of several requests, the last of which is refused: the backend has what was accepted before. */
STACK_TEST(refused_half_way, PLAYED)
{
    static const uint8_t other[VIF_CONTROL_KEY] = {1, 2, 3};
    const struct vif_control_told *told;

    begin();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    vif_control_forget();

    /* Nothing was: the backend chooses by modulo. */
    vif_control.queues = 1;
    ck_assert_int_eq(set_mapping(8, QUEUES), STATUS_INVALID_PARAMETER);
    told = ASKED(GET_SIZE, SIZE, MAPPING, GET_SIZE, SIZE);
    ck_assert_uint_eq(told->mapping_size, 0);

    vif_control.queues = QUEUES;
    set_all();
    vif_control_forget();
    vif_control.queues = QUEUES - 1;
    vif_control.types = ALL_FLAGS & ~1u;
    ck_assert_int_eq(set_parameters(0x1c, key), STATUS_SUCCESS);
    ck_assert_int_eq(set_mapping(8, 2), STATUS_SUCCESS);
    ASKED(KEY, FLAGS, GET_SIZE, SIZE, MAPPING);

    ck_assert_int_eq(set_parameters(ALL_TYPES, other), STATUS_INVALID_PARAMETER);
    told = ASKED(KEY, FLAGS, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
    ck_assert_uint_eq(told->types, 0x0e);
    ck_assert_mem_eq(told->key, key, sizeof(key));

    ck_assert_int_eq(set_mapping(16, QUEUES), STATUS_INVALID_PARAMETER);
    told = ASKED(GET_SIZE, SIZE, MAPPING, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
    ck_assert_uint_eq(told->mapping_size, 8);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(told->mapping[i], i % 2);
    assert_hashed_here(false);
    carry();
    finish();
}

/* And one that does not take that back: what it makes of a frame is not what was asked for, and is replaced. */
STACK_TEST(not_taken_back, PLAYED)
{
    static const uint8_t other[VIF_CONTROL_KEY] = {1, 2, 3};
    netif_extra_info_t extra = hash_extra(3, 1, 7);

    begin();
    set_all();
    refuse(FLAGS, XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_parameters(0x02, other), STATUS_NOT_SUPPORTED);
    assert_vector(1, &extra, true);
    assert_hashed_here(true);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), 0);
    vif_control_forget();
    reconnect();
    assert_hashed_here(false);
    finish();
}

/* One that does not take what another has accepted: the driver hashes, until there is one that does. */
STACK_TEST(refused_on_a_new_connection, PLAYED)
{
    static const unsigned types[] = {ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING};
    const struct vif_control_told *told;

    begin();
    set_all();
    assert_hashed_here(false);
    for (unsigned i = 0; i < ARRAYSIZE(types); i++) {
        disconnect_both();
        refuse(types[i], refusals[i % ARRAYSIZE(refusals)].status);
        connect_both();
        told = vif_control_told();
        ck_assert_uint_eq(told->asked, i + 1);
        ck_assert_uint_eq(told->request[i].type, types[i]);
        assert_hashed_here(true);

        disconnect_both();
        refuse(0, 0);
        connect_both();
        told = ASKED(ALGORITHM, KEY, FLAGS, GET_SIZE, SIZE, MAPPING);
        assert_told_all(told);
        assert_hashed_here(false);
    }
    finish();
}

/* ---- answers that are none ---- */

static const enum vif_control_fault faults[] = {VIF_CONTROL_WRONG_ID, VIF_CONTROL_WRONG_TYPE, VIF_CONTROL_TWICE,
                                                VIF_CONTROL_BACKWARDS, VIF_CONTROL_FAR};

/*
 * The ring is given up for this connection, and it is done here what was accepted, and what is asked for later,
 * whatever the backend makes of the request that it has had; the next connection is a new beginning.
 */
static void assert_given_up(void)
{
    netif_extra_info_t extra = hash_extra(3, 1, 7);
    uint64_t start = clock_now();
    ULONG types;

    vif_control.fault = VIF_CONTROL_RIGHT;
    vif_control_forget();
    assert_vector(1, &extra, true);
    ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
    ck_assert_uint_eq(types, ALL_TYPES);
    ck_assert_int_eq(set_parameters(0x02, key), STATUS_SUCCESS); /* addresses only */
    ck_assert_int_eq(set_mapping(4, 2), STATUS_SUCCESS);
    ck_assert_int_eq(set_parameters(ALL_TYPES, key), STATUS_SUCCESS);
    assert_hashed_here(true);
    NOTHING_ASKED();
    ck_assert_uint_lt(clock_now() - start, SECOND / 2);
    carry();
    disconnect_both();
    connect_both();
    vif_control_forget();
    ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
    ASKED(GET_FLAGS);
}

STACK_TEST(wrong_answers, PLAYED, .quiet = true)
{
    ULONG types;

    begin();
    set_all();
    for (unsigned i = 0; i < ARRAYSIZE(faults); i++) {
        uint64_t start = clock_now();

        vif_control.fault = faults[i];
        ck_assert_int_eq(query_types(&types), STATUS_DEVICE_PROTOCOL_ERROR);
        ck_assert_uint_eq(types, 0);
        ck_assert_uint_lt(clock_now() - start, SECOND / 2);
        assert_given_up();
    }

    /* Not a status of io/netif.h. */
    for (unsigned i = 0; i < 3; i++) {
        refuse(GET_FLAGS, i == 0 ? 4 : i == 1 ? 0x80000000 : 0xffffffff);
        ck_assert_int_eq(query_types(&types), STATUS_DEVICE_PROTOCOL_ERROR);
        refuse(0, 0);
        assert_given_up();
    }

    /* An answer too many is found when the next is awaited. */
    vif_control.fault = VIF_CONTROL_ADDED;
    ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
    stack_sleep_us(10000);
    ck_assert_int_eq(query_types(&types), STATUS_DEVICE_PROTOCOL_ERROR);
    assert_given_up();
    finish();
}

/* ---- no answer ---- */

static KEVENT calling, called;

static VOID NTAPI call_in_vain(PVOID unused)
{
    ULONG types;

    (void)unused;
    (void)KeSetEvent(&calling, IO_NO_INCREMENT, FALSE);
    ck_assert_int_eq(query_types(&types), STATUS_IO_TIMEOUT);
    (void)KeSetEvent(&called, IO_NO_INCREMENT, FALSE);
}

/* A call that waits keeps nobody else waiting, least of all at DISPATCH_LEVEL. */
static void look_around(void)
{
    NET_IF_MEDIA_CONNECT_STATE state;
    ETHERNET_ADDRESS address;
    uint64_t start = clock_now();
    ULONG64 speed;
    ULONG count;
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    XENVIF_VIF_CALL(&vif_client, MacQueryState, &state, &speed, NULL);
    XENVIF_VIF_CALL(&vif_client, MacQueryCurrentAddress, &address);
    XENVIF_VIF_CALL(&vif_client, QueryRingCount, &count);
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, MacSetFilterLevel, ETHERNET_ADDRESS_MULTICAST, XENVIF_MAC_FILTER_ALL),
                     STATUS_SUCCESS);
    (void)vif_client_statistic(XENVIF_RECEIVER_PACKETS_DROPPED);
    KeLowerIrql(irql);
    ck_assert_uint_lt(clock_now() - start, SECOND / 100);
    ck_assert_int_eq(state, MediaConnectStateConnected);
    ck_assert_uint_eq(count, QUEUES);
}

STACK_TEST(silence_is_bounded, PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    PKTHREAD thread;
    uint64_t start;

    begin();
    set_all();
    KeInitializeEvent(&calling, NotificationEvent, FALSE);
    KeInitializeEvent(&called, NotificationEvent, FALSE);
    vif_control.fault = VIF_CONTROL_SILENT;
    start = clock_now();
    thread = stack_thread(call_in_vain, NULL);
    (void)KeWaitForSingleObject(&calling, Executive, KernelMode, FALSE, NULL);
    for (unsigned i = 0; i < 10; i++) {
        look_around();
        carry();
    }
    ck_assert_int_eq(KeReadStateEvent(&called), 0);
    (void)KeWaitForSingleObject(&called, Executive, KernelMode, FALSE, NULL);
    ck_assert_uint_ge(clock_now() - start, SECOND);
    ck_assert_uint_lt(clock_now() - start, 2 * SECOND);
    stack_join(thread);
    assert_given_up();

    /* The client's Disable, and the backend's close, wait no longer than for the one answer. */
    KeClearEvent(&calling);
    KeClearEvent(&called);
    vif_control.fault = VIF_CONTROL_SILENT;
    thread = stack_thread(call_in_vain, NULL);
    (void)KeWaitForSingleObject(&calling, Executive, KernelMode, FALSE, NULL);
    stack_sleep_us(20000);
    start = clock_now();
    vif_control_stop();
    vif_backend_close();
    ck_assert_uint_lt(clock_now() - start, 2 * SECOND);
    (void)KeWaitForSingleObject(&called, Executive, KernelMode, FALSE, NULL);
    stack_join(thread);
    start = clock_now();
    vif_client_disable();
    ck_assert_uint_lt(clock_now() - start, SECOND);
    vif_client_release();
    vif_backend_end();
}

/* Silent when it is to cease: the hashes that it goes on to send spoil no frame, and are not passed on. */
STACK_TEST(silence_at_the_end, PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    netif_extra_info_t extra = hash_extra(3, 1, 7);

    begin();
    set_all();
    vif_control.fault = VIF_CONTROL_SILENT;
    ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
    assert_vector(1, &extra, false);
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_IO_TIMEOUT);
    assert_vector(1, &extra, false);
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    assert_vector(1, &extra, true);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), 0);
    finish();
}

/* Silent from the connection on: what was accepted is done here. */
STACK_TEST(silence_on_a_new_connection, PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    begin();
    set_all();
    disconnect_both();
    vif_control.fault = VIF_CONTROL_SILENT;
    connect_both();
    ASKED(ALGORITHM);
    carry();
    stack_sleep_us(1500000);
    NOTHING_ASKED();
    assert_hashed_here(true);
    carry();
    finish();
}

/* ---- pages that are kept ---- */

#define HELD_MAX (2u * 256u) /* what a backend may keep of one ring's before the frontend gives it no more */

/* As many as it may keep: what takes another page is refused, and the next connection waits until it lets go. */
STACK_TEST(kept_pages_of_requests, PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    unsigned kept = 0;
    NTSTATUS status;

    begin();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    vif_control.keep = true;
    do {
        status = set_parameters(ALL_TYPES, key);
        vif_control_forget();
    } while (NT_SUCCESS(status) && ++kept < VIF_CONTROL_KEPT);
    ck_assert_int_eq(status, STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_uint_eq(kept, HELD_MAX + 1);
    assert_hashed_here(false);
    ck_assert_int_eq(set_mapping(8, QUEUES), STATUS_INSUFFICIENT_RESOURCES);
    ASKED(GET_SIZE, SIZE, GET_SIZE, SIZE);
    assert_hashed_here(true); /* the backend cannot be told what was in force */
    carry();

    vif_backend_disconnect();
    stack_sleep_us(5000000);
    stack_store_await(stack_path("device/vif/1/state"), "1", 1);
    vif_control_release();
    vif_control_stop();
    vif_control.keep = false;
    connect_both();
    ASKED(ALGORITHM, KEY, FLAGS);
    ck_assert_int_eq(set_mapping(8, QUEUES), STATUS_SUCCESS);
    assert_hashed_here(false);
    carry();
    finish();
}

static uint32_t begin_and_close(void)
{
    uint32_t reference;

    begin();
    reference = vif_backend_front_number("ctrl-ring-ref");
    vif_backend_close();
    vif_client_disable();
    vif_client_release();
    return reference;
}

/* The device goes before the ring: its page stands until the backend lets go, and no longer. */
STACK_TEST(kept_ring, PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    uint32_t reference = begin_and_close();

    ck_assert_int_eq(pnp_remove_device(pnp_find(CHILD), false), STATUS_SUCCESS);
    stack_sleep_us(2500000);
    ck_assert(vif_control_is_granted(reference));
    vif_control_stop();
    stack_sleep_us(2500000);
    ck_assert(!vif_control_is_granted(reference));
    vif_backend_end();
}

/* The bus goes before it: it waits for a bounded time, says so, and goes; what is lost is the page and what it needs.
 */
#define LOST "a backend does not let go of pages, which are lost to this system"

static volatile bool waited;

static VOID NTAPI watch_patience(PVOID unused)
{
    (void)unused;
    stack_sleep_us(4900000);
    waited = !stack_is_logged(LOST);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void bus_goes(void *unused)
{
    PKTHREAD thread;

    (void)unused;
    (void)begin_and_close();
    thread = stack_thread(watch_patience, NULL);
    (void)pnp_remove_device(stack_device(BUS), false);
    stack_join(thread);
}

START_TEST(kept_ring_of_a_bus)
{
    static const struct stack_options options = {PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC};
    const struct failure *failure = stack_must_fail(&options, bus_goes, NULL, "pool-leak-at-unload");

    ck_assert_msg(strstr(failure->text, "driver xenvif is unloaded") != NULL &&
                      strstr(failure->text, "1 with tag \"Vgnt\"") != NULL,
                  "%s", failure->text);
    ck_assert(waited);
    STACK_ASSERT_LOGGED(LOST);
}
END_TEST

/* ---- hashes that go along with frames ---- */

STACK_TEST(hashes_from_the_backend, PLAYED)
{
    static const struct {
        uint8_t type, algorithm;
        bool right;
    } cases[] = {{0, 1, true},  {1, 1, true},    {2, 1, true},  {3, 1, true},
                 {4, 1, false}, {255, 1, false}, {0, 0, false}, {0, 2, false}};
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 3000};
    struct vif_backend_frame given = {.data = frame, .length = inet_make(frame, &kind), .extras = 1};
    uint64_t errors = 0;

    begin();
    set_all();
    for (unsigned i = 0; i < ARRAYSIZE(cases); i++) {
        uint32_t value = 0x80c0ffee + i;

        vif_client_forget();
        given.extras = 2;
        given.extra[i % 2] = vif_backend_gso(XEN_NETIF_GSO_TYPE_TCPV4, 1400);
        given.extra[1 - i % 2] = hash_extra(cases[i].type, cases[i].algorithm, value);
        vif_backend_give(&given);
        if (!cases[i].right) {
            errors++;
            continue;
        }
        vif_client_await_received(3);
        for (unsigned j = 0; j < 3; j++) {
            ck_assert_uint_eq(vif_client_received(j)->hash.Algorithm, TOEPLITZ);
            ck_assert_uint_eq(vif_client_received(j)->hash.Type, cases[i].type + 1);
            ck_assert_uint_eq(vif_client_received(j)->hash.Value, value);
        }
    }
    given.extra[0] = given.extra[1] = hash_extra(0, 1, 1); /* twice */
    vif_backend_give(&given);
    errors++;
    carry();
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), errors);
    finish();
}

/* No hash is made where there is one; none is passed on that the client does not want any more. */
STACK_TEST(hashes_after_the_end, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 300};
    struct vif_backend_frame given = {.data = frame, .length = inet_make(frame, &kind), .extras = 1};

    begin();
    set_all();
    ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
    vif_client_forget();
    given.extra[0] = hash_extra(1, 1, 7); /* it was on its way */
    vif_backend_give(&given);
    vif_client_await_received(1);
    ck_assert_uint_eq(vif_client_received(0)->hash.Algorithm, NONE);
    ck_assert_uint_eq(vif_client_received(0)->hash.Type, XENVIF_PACKET_HASH_TYPE_NONE);
    ck_assert_uint_eq(vif_client_received(0)->hash.Value, 0);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), 0);
    finish();
}

static struct vif_backend_packet taken;

static void send_hashed(const XENVIF_PACKET_HASH *hash)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 300};
    struct vif_client_packet sent = {.data = frame, .length = inet_make(frame, &kind), .hash = hash};

    ck_assert_int_eq(vif_client_send(&sent), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
}

/* Of a value that goes by the first queue. */
STACK_TEST(hashes_to_the_backend, PLAYED)
{
    XENVIF_PACKET_HASH hash = {.Algorithm = TOEPLITZ, .Type = XENVIF_PACKET_HASH_TYPE_IPV4_TCP, .Value = 0x80c0ffe8};

    begin();
    send_hashed(&hash);
    ck_assert(!taken.hashed); /* nobody has asked for one */
    set_all();
    for (unsigned type = 0; type <= XENVIF_PACKET_HASH_TYPE_IPV6_TCP + 1; type++) {
        bool right = type != 0 && type <= XENVIF_PACKET_HASH_TYPE_IPV6_TCP;

        hash.Type = (XENVIF_PACKET_HASH_TYPE)type;
        send_hashed(&hash);
        ck_assert_int_eq(taken.hashed, right);
        if (right) {
            ck_assert_uint_eq(taken.hash_type, type - 1);
            ck_assert_uint_eq(taken.hash_algorithm, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
            ck_assert_uint_eq(taken.hash, hash.Value);
        }
    }
    hash.Type = XENVIF_PACKET_HASH_TYPE_IPV4;
    hash.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED;
    send_hashed(&hash);
    ck_assert(!taken.hashed);

    /* The backend is told to have no more of it. */
    hash.Algorithm = TOEPLITZ;
    ck_assert_int_eq(set_algorithm(NONE), STATUS_SUCCESS);
    send_hashed(&hash);
    ck_assert(!taken.hashed);
    finish();
}

/* The hash goes with what the backend is to cut, behind the extra info that says so, and with each segment else. */
static void large_and_hashed(void *features)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 30000};
    const XENVIF_PACKET_HASH hash = {TOEPLITZ, XENVIF_PACKET_HASH_TYPE_IPV4_TCP, 0x80c0ffe8};
    struct vif_client_packet sent = {.data = frame, .length = inet_make(frame, &kind), .hash = &hash, .mss = 1000};
    bool whole = strstr(features, "gso") != NULL;

    sent.options.Value = OPTION(OffloadIpVersion4LargePacket);
    begin_with(features);
    set_all();
    for (unsigned round = 0; round < 20; round++) { /* more than the ring has entries */
        ck_assert_int_eq(vif_client_send(&sent), STATUS_SUCCESS);
        for (unsigned k = 0; k < (whole ? 1 : 30); k++) {
            vif_backend_await(&taken, NETIF_RSP_OKAY);
            ck_assert_uint_eq(taken.length, 54 + (whole ? 30000 : 1000));
            ck_assert_uint_eq(taken.gso_type, whole ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_NONE);
            ck_assert_uint_eq(taken.gso_size, whole ? 1000 : 0);
            ck_assert(taken.hashed);
            ck_assert_uint_eq(taken.hash_type, _XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
            ck_assert_uint_eq(taken.hash_algorithm, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
            ck_assert_uint_eq(taken.hash, hash.Value);
        }
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
        ck_assert(!vif_backend_take(&taken, NETIF_RSP_OKAY));
    }
    finish();
}

START_TEST(hashes_of_large_packets)
{
    static const struct stack_options options = {PLAYED};
    static char features[][128] = {FEATURES, FEATURES ",feature-gso-tcpv4=1"};

    stack_run(&options, large_and_hashed, features[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIF's hashing");
    TCase *tcase = tcase_create("asked");

    tcase_add_test(tcase, algorithm_is_asked_for);
    tcase_add_test(tcase, capabilities_are_the_backends);
    tcase_add_test(tcase, parameters_are_sent_key_first);
    tcase_add_test(tcase, mappings_of_every_size);
    tcase_add_test(tcase, mapping_before_the_algorithm);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("again");
    tcase_add_test(tcase, told_again_on_each_connection);
    tcase_add_test(tcase, told_again_after_a_resume);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("refused");
    tcase_add_test(tcase, every_refusal);
    tcase_add_test(tcase, refused_half_way);
    tcase_add_test(tcase, not_taken_back);
    tcase_add_test(tcase, refused_on_a_new_connection);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("answers");
    tcase_add_test(tcase, wrong_answers);
    tcase_add_test(tcase, silence_is_bounded);
    tcase_add_test(tcase, silence_at_the_end);
    tcase_add_test(tcase, silence_on_a_new_connection);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("pages");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, kept_pages_of_requests);
    tcase_add_test(tcase, kept_ring);
    tcase_add_test(tcase, kept_ring_of_a_bus);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("frames");
    tcase_add_test(tcase, hashes_from_the_backend);
    tcase_add_test(tcase, hashes_after_the_end);
    tcase_add_test(tcase, hashes_to_the_backend);
    tcase_add_loop_test(tcase, hashes_of_large_packets, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
