/* XENVIF with several queues, hashing and the control ring, against netback with these features and without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/inet.h"
#include "common/stack.h"
#include "machine/clock.h"
#include "nt/cm/cm.h"

#include <xenstore.h>

#include <initguid.h>

#include "vif_interface.h"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true
#define FLOWS 48u
#define EACH 4u /* frames of a flow */

static struct capture *lan;
static struct capture *flows; /* of many flows, one frame of each after the other */

static void link_up(void)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
}

static NTSTATUS set(ULONG code, void *input, size_t length)
{
    return stack_netclient(0, code, input, (ULONG)length, NULL, 0);
}

/* ---- how many there are ---- */

static ULONG cap;

static void set_cap(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "FrontendMaxQueues", cap);
}

/* RAM in which sixteen queues do not fit. */
#ifdef PVSIM_SANITIZE
#define SHORT_MIB 32u
#else
#define SHORT_MIB 24u
#endif

static const struct count_case {
    const char *features;
    unsigned vcpus;
    ULONG cap; /* 99: none is set */
    unsigned queues;
} counts[] = {
    {"default", 2, 99, 1},
    {"queues=1", 4, 99, 1},
    {"queues=2", 1, 99, 1},
    {"queues=2", 4, 99, 2},
    {"queues=3", 2, 99, 2},
    {"queues=16", 4, 99, 4},
    {"queues=4,split-event-channels", 4, 99, 4},
    {"queues=4", 4, 3, 3},
    {"queues=4", 4, 1, 1},
    {"queues=4", 4, 0, 1},
    {"queues=16", 16, 99, 16},
};

static void assert_node(bool there, const char *node)
{
    char value[32];

    ck_assert_msg(stack_store_read(stack_path("device/vif/0/%s", node), value, sizeof(value)) == there, "%s", node);
}

static void count_main(void *argument)
{
    const struct count_case *expected = argument;
    bool several = expected->queues > 1;
    bool split = strstr(expected->features, "split") != NULL;

    link_up();
    ck_assert_uint_eq(stack_link(0).RingCount, expected->queues);
    ck_assert_uint_eq(stack_netback_statistics(0)->queues, expected->queues);
    assert_node(!several, "tx-ring-ref");
    assert_node(!several, "rx-ring-ref");
    assert_node(!several && !split, "event-channel");
    assert_node(several, "queue-1/tx-ring-ref");
    assert_node(several && split, "queue-1/event-channel-rx");
    assert_node(several && !split, "queue-1/event-channel");
    stack_carry(0, lan, lan);
    stack_carry(0, flows, flows);
}

START_TEST(as_many_as_all_allow)
{
    struct stack_options options = {NET, .features = counts[_i].features, .vcpus = counts[_i].vcpus, .ram_mib = 128};

    cap = counts[_i].cap;
    options.prepare = cap != 99 ? set_cap : NULL;
    stack_run(&options, count_main, (void *)&counts[_i]);
}
END_TEST

/* Sixteen do not fit, and what comes after them has its memory. */
STACK_TEST(as_many_as_memory_allows, NET, .features = "queues=16", .vcpus = 16, .ram_mib = SHORT_MIB)
{
    link_up();
    ck_assert_uint_gt(stack_link(0).RingCount, 1);
    ck_assert_uint_lt(stack_link(0).RingCount, 16);
    stack_carry(0, lan, lan);
}

/* The key is taken away before the guest starts: there is one queue, and the start does not wait for more. */
static void remove_key(void *unused)
{
    struct xs_handle *xs = xs_open(0);

    (void)unused;
    ck_assert(xs_rm(xs, XBT_NULL, stack_backend_path(0, "multi-queue-max-queues")));
    xs_close(xs);
}

START_TEST(fb5_no_multi_queue_key)
{
    static const struct stack_options options = {NET, .features = "queues=1", .vcpus = 4, .before_boot = remove_key};
    static const struct count_case expected = {"queues=1", 4, 99, 1};

    stack_run(&options, count_main, (void *)&expected);
}
END_TEST

/* ---- where packets go ---- */

STACK_TEST(all_queues_carry, NET, .features = "queues=4", .vcpus = 4)
{
    static NETCLIENT_FRAMES frames;
    const struct netback_statistics *statistics;
    unsigned seen[4] = {0};

    link_up();
    stack_carry(0, flows, flows);
    statistics = stack_netback_statistics(0);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(frames.Total, flows->count);
    for (unsigned i = 0; i < flows->count; i++) {
        ck_assert_uint_lt(frames.Frame[i].Index, 4);
        ck_assert_uint_eq(frames.Frame[i].Processor, frames.Frame[i].Index);
        seen[frames.Frame[i].Index]++;
    }
    for (unsigned queue = 0; queue < 4; queue++) {
        ck_assert_msg(statistics->queue[queue].tx_frames != 0, "nothing was sent on queue %u", queue);
        ck_assert_uint_eq(statistics->queue[queue].rx_frames, seen[queue]);
        ck_assert_uint_ne(seen[queue], 0);
    }
}

/* A bound and a mapping that there cannot be are refused, and change nothing. */
static NTSTATUS map(const unsigned char *processor, unsigned size)
{
    PROCESSOR_NUMBER mapping[256];

    memset(mapping, 0, sizeof(mapping));
    for (unsigned i = 0; i < size; i++)
        mapping[i].Number = processor[i];
    return set(IOCTL_NETCLIENT_SET_HASH_MAPPING, mapping, size * sizeof(*mapping));
}

static void carry_flows(PVOID rounds)
{
    for (unsigned i = 0; i < (unsigned)(uintptr_t)rounds; i++)
        stack_carry(0, flows, flows);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void remap_under_load(void *unused)
{
    PKTHREAD thread;

    (void)unused;
    link_up();
    thread = stack_thread(carry_flows, (PVOID)(uintptr_t)4);
    for (unsigned round = 0; round < 12; round++) {
        unsigned char processor[8];

        for (unsigned i = 0; i < 8; i++)
            processor[i] = (unsigned char)((i * (round + 1) + round) % 4);
        ck_assert_int_eq(map(processor, 8), STATUS_SUCCESS);
        stack_sleep_us(300);
    }
    stack_join(thread);
    stack_carry(0, lan, lan);
}

START_TEST(fb8_fewer_queues_than_vcpus)
{
    struct stack_options options = {NET, .features = _i == 0 ? "queues=2" : "queues=3,split-event-channels",
                                    .vcpus = 4};

    stack_run(&options, remap_under_load, NULL);
    options.policy = POLICY_PCT;
    stack_run(&options, remap_under_load, NULL);
}
END_TEST

STACK_TEST(mapping_is_checked, NET, .features = "queues=2", .vcpus = 2)
{
    static const unsigned char one[] = {0, 1, 1, 0}, other[] = {0, 2, 0, 0};
    unsigned char many[256] = {0};

    link_up();
    ck_assert_int_eq(map(one, 4), STATUS_SUCCESS);
    ck_assert_int_eq(map(one, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(map(one, 3), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(map(other, 4), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(map(many, 128), STATUS_SUCCESS);
    ck_assert_int_eq(map(many, 256), STATUS_INVALID_PARAMETER);
    stack_carry(0, flows, flows);
}

/* The pollers are where the mapping wants them. */
STACK_TEST(mapping_moves_the_pollers, NET, .features = "queues=2", .vcpus = 4)
{
    static const unsigned char processor[] = {3, 2, 3, 2};
    static NETCLIENT_FRAMES frames;

    link_up();
    ck_assert_int_eq(map(processor, 4), STATUS_SUCCESS);
    stack_carry(0, flows, NULL); /* the steering waits for the ring, and nothing else is to be on it */
    stack_sleep_us(2000);
    stack_carry(0, NULL, flows);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(frames.Total, flows->count);
    for (unsigned i = 0; i < flows->count; i++)
        ck_assert_uint_eq(frames.Frame[i].Processor, frames.Frame[i].Index == 0 ? 3 : 2);
}

/* ---- processors that come ---- */

#define STARTED 2u
#define PROCESSORS 4u

static void announce(void *count)
{
    ke_processors_announce(*(const unsigned *)count);
}

static void add_processors(void)
{
    for (unsigned count = STARTED + 1; count <= PROCESSORS; count++) {
        stack_in_dom0(announce, &count);
        while (!ke_processors_settled())
            stack_sleep_us(50);
    }
    ck_assert_uint_eq(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), PROCESSORS);
}

static NTSTATUS map_on(unsigned vif, const unsigned char *processor, unsigned size)
{
    PROCESSOR_NUMBER mapping[8] = {{0}};

    for (unsigned i = 0; i < size; i++)
        mapping[i].Number = processor[i];
    return stack_netclient(vif, IOCTL_NETCLIENT_SET_HASH_MAPPING, mapping, size * (ULONG)sizeof(*mapping), NULL, 0);
}

static VOID NTAPI carry_on_vif_1(PVOID rounds)
{
    for (unsigned i = 0; i < (unsigned)(uintptr_t)rounds; i++)
        stack_carry(1, flows, flows);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Frames that come, with all of the VIF's queues in use, each queue on its processor. */
static void carry_by_processors(unsigned vif, const unsigned char *processor, unsigned queues)
{
    static NETCLIENT_FRAMES frames;
    uint64_t sent[PROCESSORS], before;
    unsigned seen[PROCESSORS] = {0};

    ck_assert_int_eq(stack_netclient(vif, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                     STATUS_SUCCESS);
    before = frames.Total;
    for (unsigned queue = 0; queue < queues; queue++)
        sent[queue] = stack_netback_statistics(vif)->queue[queue].tx_frames;
    stack_carry(vif, flows, NULL);
    stack_sleep_us(2000); /* steering waits for the rings */
    stack_carry(vif, NULL, flows);
    ck_assert_int_eq(stack_netclient(vif, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(frames.Total - before, flows->count);
    for (uint64_t i = before; i < frames.Total; i++) {
        const NETCLIENT_FRAME_INFO *info = &frames.Frame[i % NETCLIENT_FRAMES_KEPT];

        ck_assert_uint_lt(info->Index, queues);
        ck_assert_uint_eq(info->Processor, processor[info->Index]);
        seen[info->Index]++;
    }
    for (unsigned queue = 0; queue < queues; queue++) {
        ck_assert_msg(seen[queue] != 0, "nothing was received on queue %u", queue);
        ck_assert_msg(stack_netback_statistics(vif)->queue[queue].tx_frames > sent[queue],
                      "nothing was sent on queue %u", queue);
    }
}

static bool has_all_processors(void *vif)
{
    NETCLIENT_LINK link = stack_link((unsigned)(uintptr_t)vif);

    return link.Connected && link.RingCount == PROCESSORS;
}

/*
 * A connection keeps the number of its queues; their processors may be new ones as soon as these are there, and the
 * next connection has as many queues as there are processors then, each on one of its own.
 */
static void processors_come(void *unused)
{
    static const unsigned char first[] = {1, 0}, anew[] = {3, 2}, last[] = {1, 2, 3, 0};
    struct stack_resumer resumer = {.rounds = 1};
    PKTHREAD thread;

    (void)unused;
    for (unsigned vif = 0; vif < 2; vif++) {
        ck_assert_int_eq(stack_wait_link(vif, true), STATUS_SUCCESS);
        ck_assert_uint_eq(stack_link(vif).RingCount, STARTED);
    }
    carry_by_processors(1, first, STARTED);
    ck_assert_int_eq(map_on(0, anew, 2), STATUS_INVALID_PARAMETER);
    thread = stack_thread(carry_on_vif_1, (PVOID)(uintptr_t)4);
    stack_sleep_us(100);
    add_processors();
    stack_join(thread);
    ck_assert_uint_eq(stack_link(1).RingCount, STARTED);
    carry_by_processors(1, first, STARTED);
    ck_assert_int_eq(map_on(0, anew, 2), STATUS_SUCCESS);
    carry_by_processors(0, anew, STARTED);
    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    for (unsigned vif = 0; vif < 2; vif++) {
        ck_assert_msg(stack_wait(has_all_processors, (void *)(uintptr_t)vif, 10000), "VIF %u has %u queues", vif,
                      stack_link(vif).RingCount);
        ck_assert_uint_eq(stack_netback_statistics(vif)->queues, PROCESSORS);
    }
    carry_by_processors(1, last, PROCESSORS);
}

START_TEST(processors_that_come)
{
    struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                    .vifs = 2,
                                    .wait = true,
                                    .features = _i == 0 ? "queues=4" : "queues=4,split-event-channels",
                                    .start_vcpus = STARTED,
                                    .vcpus = PROCESSORS,
                                    .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, processors_come, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, processors_come, NULL);
}
END_TEST

/* ---- connections ---- */

/*
 * On the parallel engine the new backend may connect to the old frontend's keys, and the frontend may take that for an
 * answer to its new ones: they need more than one attempt then, and what is looked at here is between two of them.
 */
#ifndef MACHINE_THREAD_SANITIZER
static bool has_queues(void *number)
{
    NETCLIENT_LINK link = stack_link(0);

    return link.Connected && link.RingCount == *(const unsigned *)number;
}

/*
 * Another backend has another number of queues. It may connect to what the frontend still has from the one before,
 * until each has seen that the other is new.
 */
static void change_of_backend(void *unused)
{
    static const unsigned numbers[] = {4, 1, 3, 2};

    (void)unused;
    link_up();
    for (unsigned i = 0; i < ARRAYSIZE(numbers); i++) {
        stack.features.max_queues = numbers[i];
        stack_in_dom0(stack_netback_restart, NULL);
        ck_assert_msg(stack_wait(has_queues, (void *)&numbers[i], 10000), "%u queues, not %u", stack_link(0).RingCount,
                      numbers[i]);
        assert_node(numbers[i] > 1, "queue-0/tx-ring-ref");
        assert_node(false, "queue-4/tx-ring-ref");
        stack.features.max_queues = 4; /* for the checkers: flows may overtake one another */
        stack_carry(0, flows, flows);
    }
}

START_TEST(another_number_of_queues)
{
    /* What goes wrong until both sides have seen of one another that they are new is logged. */
    struct stack_options options = {NET, .features = "queues=2", .vcpus = 4, .quiet = true};

    stack_run(&options, change_of_backend, NULL);
}
END_TEST
#endif

static void suspended(void *cancelled)
{
    struct stack_resumer resumer = {.cancelled = cancelled != NULL, .rounds = 3};

    link_up();
    stack_resume_when_suspended(&resumer);
    for (unsigned round = 1; round <= 3; round++) {
        stack_ask_shutdown("suspend");
        while (resumer.times < round)
            stack_sleep_us(1000);
        stack_wait_connected(0);
        link_up();
        ck_assert_uint_eq(stack_link(0).RingCount, 4);
        stack_carry(0, flows, flows);
    }
    stack_await_resumer(&resumer);
}

START_TEST(suspend)
{
    struct stack_options options = {NET, .features = "queues=4", .vcpus = 4};

    stack_run(&options, suspended, _i == 0 ? NULL : &options);
}
END_TEST

/* ---- hashing ---- */

static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* The vectors of Windows' receive-side scaling. */
static const struct vector {
    unsigned version;
    uint8_t source[16], destination[16];
    uint16_t source_port, destination_port;
    uint32_t addresses, ports;
} vectors[] = {
    {4, {66, 9, 149, 187}, {161, 142, 100, 80}, 2794, 1766, 0x323e8fc2, 0x51ccc178},
    {4, {199, 92, 111, 2}, {65, 69, 140, 83}, 14230, 4739, 0xd718262a, 0xc626b0ea},
    {4, {24, 19, 198, 95}, {12, 22, 207, 184}, 12898, 38024, 0xd2d0a5de, 0x5c2b394a},
    {4, {38, 27, 205, 30}, {209, 142, 163, 6}, 48228, 2217, 0x82989176, 0xafc7327f},
    {4, {153, 39, 163, 191}, {202, 188, 127, 2}, 44251, 1303, 0x5d1809c5, 0x10e828a2},
    {6,
     {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7},
     {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1},
     2794,
     1766,
     0x2cc18cd5,
     0x40207d3d},
    {6,
     {0x3f, 0xfe, 0x05, 0x01, 0, 8, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab},
     {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
     14230,
     4739,
     0x0f0c461c,
     0xdde51bbf},
    {6,
     {0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0x00, 0x03, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf},
     {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf},
     44251,
     38024,
     0x4b61e985,
     0x02d1feef},
};

static struct capture *hashed; /* TCP and UDP of each vector, in turn */

#define TOEPLITZ 2u
#define ALL_TYPES 0x1Eu

static NTSTATUS set_algorithm(ULONG algorithm)
{
    return set(IOCTL_NETCLIENT_SET_HASH_ALGORITHM, &algorithm, sizeof(algorithm));
}

static NTSTATUS query_types(ULONG *types)
{
    return stack_netclient(0, IOCTL_NETCLIENT_QUERY_HASH_TYPES, NULL, 0, types, sizeof(*types));
}

static NTSTATUS set_parameters(ULONG types)
{
    NETCLIENT_HASH hash = {.Types = types};

    memcpy(hash.Key, key, sizeof(key));
    return set(IOCTL_NETCLIENT_SET_HASH_PARAMETERS, &hash, sizeof(hash));
}

/* Of the types wanted, that of a frame: with ports if it may be, 0 if none is. */
static unsigned type_of(unsigned version, bool tcp, ULONG types)
{
    unsigned addresses = version == 4 ? 1 : 3;

    if (tcp && types & 1u << (addresses + 1))
        return addresses + 1;
    return types & 1u << addresses ? addresses : 0;
}

/* Hash values of frames that come in, and where the mapping sends them; with no queues: wherever the backend does. */
static void assert_hashed_by(ULONG types, const unsigned char *processor, unsigned size, unsigned queues)
{
    static NETCLIENT_FRAMES frames;
    static struct capture one; /* netback's end has it after the return too */
    ULONG64 before;

    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                     STATUS_SUCCESS);
    before = frames.Total;
    for (unsigned i = 0; i < hashed->count; i++) {
        const struct vector *vector = &vectors[i / 2];
        bool tcp = i % 2 == 0;
        NETCLIENT_FRAME_INFO *info;
        unsigned type = type_of(vector->version, tcp, types);
        uint32_t value = type == 0 ? 0 : type % 2 == 0 ? vector->ports : vector->addresses;

        one = (struct capture){.count = 1, .bytes = hashed->frame[i].length, .frame = &hashed->frame[i]};
        stack_carry(0, NULL, &one);
        ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                         STATUS_SUCCESS);
        ck_assert_uint_eq(frames.Total, before + i + 1);
        info = &frames.Frame[(before + i) % NETCLIENT_FRAMES_KEPT];
        ck_assert_uint_eq(info->HashAlgorithm, type == 0 ? 0 : TOEPLITZ);
        ck_assert_uint_eq(info->HashType, type);
        ck_assert_uint_eq(info->HashValue, value);
        if (size != 0)
            ck_assert_uint_eq(info->Processor, processor[value % size]);
        else if (queues != 0)
            ck_assert_uint_eq(info->Index, value % queues);
    }
}

static void assert_hashed(const unsigned char *processor, unsigned size, unsigned queues)
{
    assert_hashed_by(ALL_TYPES, processor, size, queues);
}

/* A frame that comes before the driver has told the new backend has no hash value. */
static void await_hashing(void)
{
    static NETCLIENT_FRAMES frames;
    struct capture one = {.count = 1, .bytes = hashed->frame[0].length, .frame = &hashed->frame[0]};

    for (unsigned tries = 0;; tries++) {
        stack_carry(0, NULL, &one);
        ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &frames, sizeof(frames)),
                         STATUS_SUCCESS);
        if (frames.Frame[(frames.Total - 1) % NETCLIENT_FRAMES_KEPT].HashAlgorithm == TOEPLITZ)
            return;
        ck_assert_uint_lt(tries, 1000);
        stack_sleep_us(1000);
    }
}

STACK_TEST(hashes, NET, .features = "queues=4,ctrl-ring", .vcpus = 4)
{
    static const unsigned char processor[] = {2, 0, 3, 1, 1, 0, 2, 3};
    struct stack_resumer resumer = {.rounds = 1};
    ULONG types = 0;

    link_up();
    ck_assert_int_eq(set_parameters(ALL_TYPES), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(query_types(&types), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_algorithm(7), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
    ck_assert_uint_eq(types, ALL_TYPES);
    ck_assert_int_eq(set_parameters(0x20), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(set_parameters(ALL_TYPES), STATUS_SUCCESS);
    assert_hashed(NULL, 0, 4);
    ck_assert_int_eq(map(processor, 8), STATUS_SUCCESS);
    assert_hashed(processor, 8, 4);
    stack_carry(0, flows, flows);

    /* Another life, with nothing said again. */
    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    stack_wait_connected(0);
    link_up();
    await_hashing();
    assert_hashed(processor, 8, 4);

    ck_assert_int_eq(set_algorithm(0), STATUS_SUCCESS);
    stack_carry(0, flows, flows);
}

/* The driver hashes where the backend does not, with every set of types, and no longer when nobody wants it. */
STACK_TEST(hashed_here_without_a_control_ring, NET, .features = "queues=2", .vcpus = 2)
{
    static const ULONG sets[] = {ALL_TYPES, 0x02, 0x04, 0x08, 0x10, 0x12, 0x0c, 0x00, ALL_TYPES};
    struct stack_resumer resumer = {.rounds = 1};
    ULONG types = 0;

    link_up();
    assert_hashed_by(0, NULL, 0, 0);
    ck_assert_int_eq(query_types(&types), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_parameters(ALL_TYPES), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    assert_hashed_by(0, NULL, 0, 0); /* without a key */
    ck_assert_int_eq(query_types(&types), STATUS_SUCCESS);
    ck_assert_uint_eq(types, ALL_TYPES);
    ck_assert_int_eq(set_parameters(0x20), STATUS_INVALID_PARAMETER);
    for (unsigned i = 0; i < ARRAYSIZE(sets); i++) {
        ck_assert_int_eq(set_parameters(sets[i]), STATUS_SUCCESS);
        assert_hashed_by(sets[i], NULL, 0, 0);
    }
    stack_carry(0, flows, flows);

    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    stack_wait_connected(0);
    link_up();
    assert_hashed_by(ALL_TYPES, NULL, 0, 0);

    ck_assert_int_eq(set_algorithm(0), STATUS_SUCCESS);
    assert_hashed_by(0, NULL, 0, 0);
}

/* What one backend was asked for is done here when the next has no control ring, and the other way round. */
/* Algorithm, key and flags, in this order. */
static bool is_told(void *unused)
{
    (void)unused;
    return stack_netback_statistics(0)->control >= 3;
}

static void hash_moves(void *unused)
{
    static const bool ring[] = {false, true, false};

    (void)unused;
    link_up();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS);
    ck_assert_int_eq(set_parameters(ALL_TYPES), STATUS_SUCCESS);
    for (unsigned i = 0; i < ARRAYSIZE(ring); i++) {
        stack.features.ctrl_ring = ring[i];
        stack_in_dom0(stack_netback_restart, NULL);
        stack_wait_connections(0, 1);
        ck_assert(!ring[i] || stack_wait(is_told, NULL, 20000)); /* by the requests that follow the connection */
        await_hashing();
        ck_assert_uint_eq(stack_netback_statistics(0)->control != 0, ring[i]);
        assert_hashed_by(ALL_TYPES, NULL, 0, 0);
    }
}

START_TEST(hashing_follows_the_backend)
{
    struct stack_options options = {NET, .features = "ctrl-ring", .quiet = true};

    stack_run(&options, hash_moves, NULL);
}
END_TEST

static void disable_toeplitz(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "FrontendDisableToeplitz", 1);
}

STACK_TEST(no_hash_by_registry, NET, .features = "ctrl-ring", .prepare = disable_toeplitz)
{
    link_up();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_NOT_SUPPORTED);
    stack_carry(0, lan, lan);
}

/* ---- a control ring that nobody answers on ---- */

static void promise_control_ring(void *unused)
{
    struct xs_handle *xs = xs_open(0);

    (void)unused;
    ck_assert(xs_write(xs, XBT_NULL, stack_backend_path(0, "feature-ctrl-ring"), "1", 1));
    xs_close(xs);
}

STACK_TEST(silent_control_ring, NET, .quiet = true, .features = "queues=2", .vcpus = 2, .engine = ENGINE_DETERMINISTIC,
           .before_boot = promise_control_ring)
{
    uint64_t start;

    link_up();
    assert_node(true, "ctrl-ring-ref");
    start = clock_now();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_IO_TIMEOUT);
    ck_assert_uint_lt(clock_now() - start, UINT64_C(2000000000));
    start = clock_now();
    ck_assert_int_eq(set_algorithm(TOEPLITZ), STATUS_SUCCESS); /* done here from then on */
    ck_assert_uint_lt(clock_now() - start, UINT64_C(500000000));
    ck_assert_int_eq(set_algorithm(0), STATUS_SUCCESS);
    stack_carry(0, flows, flows);
}

/* ---- shapes and sizes ---- */

static struct capture *sizes;

STACK_TEST(every_shape, NET, .features = "queues=2", .vcpus = 2)
{
    static const NETCLIENT_SHAPE shapes[] = {{0, 0, 0, 0},         {65536, 1, 0, 0},   {4096, 0, 0, 0},
                                             {4096, 4095, 3, 1},   {1500, 17, 100, 7}, {333, 4093, 1, 4095},
                                             {65536, 4082, 14, 0}, {61, 2048, 0, 3}};
    NETCLIENT_SHAPE plain = {0};

    link_up();
    stack_store_write(stack_path("device/vif/0/mtu"), "65521");
    for (unsigned tries = 0; stack_link(0).MaximumFrameSize != 65535 && tries < 1000; tries++)
        stack_sleep_us(200);
    ck_assert_uint_eq(stack_link(0).MaximumFrameSize, 65535);
    for (unsigned i = 0; i < ARRAYSIZE(shapes); i++) {
        NETCLIENT_SHAPE shape = shapes[i];

        ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_SHAPE, &shape, sizeof(shape)), STATUS_SUCCESS);
        stack_carry(0, sizes, i == 0 ? sizes : NULL);
    }
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_SHAPE, &plain, sizeof(plain)), STATUS_SUCCESS);
}

/* Frames of one byte a fragment. */
STACK_TEST(one_byte_fragments, NET)
{
    NETCLIENT_SHAPE shape = {.FragmentSize = 1, .PageOffset = 4090, .Gap = 1};
    NETCLIENT_MODE mode = {.ReverseEvery = 7, .HoldMilliseconds = 1, .PauseEvery = 5};

    link_up();
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_SHAPE, &shape, sizeof(shape)), STATUS_SUCCESS);
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode)), STATUS_SUCCESS);
    stack_carry(0, flows, flows);
}

/* A row that is not one, in 64 bytes of a write. */
static const struct {
    const char *what;
    ULONG bytes;
    ULONG length[2]; /* of the first frame, and at the place of a second of 16 bytes behind one of 16 */
    NTSTATUS status;
    ULONG taken;
} rows[] = {
    {"two frames", 64, {16, 16}, STATUS_SUCCESS, 2},
    {"a frame beyond the end", 64, {65, 0}, STATUS_INVALID_PARAMETER, 0},
    {"a length that wraps", 64, {0xfffffff8u, 0}, STATUS_INVALID_PARAMETER, 0},
    {"a second one beyond the end", 64, {16, 17}, STATUS_INVALID_PARAMETER, 0},
    {"half an entry", 40, {16, 0}, STATUS_INVALID_PARAMETER, 0},
    {"a frame too short to be one", 32, {13, 0}, STATUS_INVALID_PARAMETER, 0},
    {"a good one, and the last one too short", 64, {16, 13}, STATUS_INVALID_PARAMETER, 1},
};

STACK_TEST(each_row_is_looked_through, NET)
{
    NETCLIENT_MODE mode = {.Rows = 1, .PauseEvery = 1};
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    link_up();
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode)), STATUS_INVALID_PARAMETER);
    mode.PauseEvery = 0;
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode)), STATUS_SUCCESS);
    stack_open("NetClient0", &file, &device);
    for (unsigned i = 0; i < ARRAYSIZE(rows); i++) {
        uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, STACK_TAG);
        NTSTATUS status;
        ULONG done;

        ((NETCLIENT_ENTRY *)buffer)->Length = rows[i].length[0];
        ((NETCLIENT_ENTRY *)(buffer + 32))->Length = rows[i].length[1];
        status = stack_transfer(IRP_MJ_WRITE, file, device, buffer, rows[i].bytes, &done);
        ck_assert_msg(status == rows[i].status, "%s: %08x", rows[i].what, (unsigned)status);
        ck_assert_msg(done == rows[i].taken, "%s: %u", rows[i].what, (unsigned)done);
        ExFreePoolWithTag(buffer, STACK_TAG);
    }
    ObDereferenceObject(file);
}

/*
 * A row goes out whole when it is at its end, on whichever queues its frames are, and whatever becomes of its last:
 * nothing else comes along that would take with it what waits for more.
 */
static void send_row(bool bad)
{
    NETCLIENT_MODE mode = {.Rows = 1};
    const unsigned count = 12;
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    link_up();
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode)), STATUS_SUCCESS);
    stack_open("NetClient0", &file, &device);
    for (unsigned first = 0; first + count <= FLOWS; first += count) {
        uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, (count + 1) * 400, STACK_TAG);
        NTSTATUS status;
        ULONG bytes = 0, done;

        for (unsigned i = first; i < first + count; i++) {
            NETCLIENT_ENTRY *entry = (NETCLIENT_ENTRY *)(buffer + bytes);

            entry->Length = flows->frame[i].length;
            memcpy(entry + 1, flows->frame[i].data, entry->Length);
            bytes += NETCLIENT_ENTRY_SIZE(entry->Length);
        }
        if (bad) {
            ((NETCLIENT_ENTRY *)(buffer + bytes))->Length = 13;
            bytes += NETCLIENT_ENTRY_SIZE(13);
        }
        status = stack_transfer(IRP_MJ_WRITE, file, device, buffer, bytes, &done);
        ck_assert_int_eq(status, bad ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS);
        ck_assert_uint_eq(done, count);
        ExFreePoolWithTag(buffer, STACK_TAG);
    }
    ObDereferenceObject(file);
}

STACK_TEST(row_over_all_queues, NET, .features = "queues=4", .vcpus = 4)
{
    send_row(false);
}

STACK_TEST(row_with_a_bad_end, NET)
{
    send_row(true);
}

/* ---- frames ---- */

static struct capture *new_capture(unsigned count)
{
    struct capture *capture = calloc(1, sizeof(*capture));

    capture->frame = calloc(count, sizeof(*capture->frame));
    capture->storage = malloc((size_t)count * 65536);
    return capture;
}

static uint8_t *next_frame(struct capture *capture)
{
    return capture->storage + (size_t)capture->count * 65536;
}

static void add_frame(struct capture *capture, size_t length)
{
    capture->frame[capture->count].data = next_frame(capture);
    capture->frame[capture->count].length = (uint32_t)length;
    capture->bytes += length;
    capture->count++;
}

static void make_flows(void)
{
    flows = new_capture(FLOWS * EACH);
    for (unsigned i = 0; i < FLOWS * EACH; i++) {
        struct inet_packet packet = {.version = i % FLOWS % 2 == 0 ? 4 : 6,
                                     .protocol = INET_TCP,
                                     .flags = INET_ACK,
                                     .sequence = i / FLOWS * 1000,
                                     .source_port = (uint16_t)(1000 + i % FLOWS * 7),
                                     .destination_port = 80,
                                     .payload = 40 + i % 200,
                                     .seed = i};

        add_frame(flows, inet_make(next_frame(flows), &packet));
    }
}

static void make_sizes(void)
{
    static const unsigned around[] = {14, 60, 1514, 2048, 4096, 4100, 8192, 12288, 20000, 32768, 61440, 65534};

    sizes = new_capture(3 * ARRAYSIZE(around));
    for (unsigned i = 0; i < 3 * ARRAYSIZE(around); i++) {
        unsigned length = around[i / 3] + i % 3 - (around[i / 3] > 14 && around[i / 3] < 65534);
        uint8_t *frame = next_frame(sizes);

        if (length > 65535)
            continue;
        for (unsigned at = 0; at < length; at++)
            frame[at] = (uint8_t)(at * 7 + i);
        memcpy(frame, "\x00\x16\x3e\x5a\x00\x00\x02\x00\x00\x00\x00\x01\x88\xb5", 14);
        add_frame(sizes, length);
    }
}

/* With the vector's addresses in the place of inet_make()'s own. */
static void make_hashed(void)
{
    hashed = new_capture(2 * ARRAYSIZE(vectors));
    for (unsigned i = 0; i < 2 * ARRAYSIZE(vectors); i++) {
        const struct vector *vector = &vectors[i / 2];
        struct inet_packet packet = {.version = vector->version,
                                     .protocol = i % 2 == 0 ? INET_TCP : INET_UDP,
                                     .flags = INET_ACK,
                                     .source_port = vector->source_port,
                                     .destination_port = vector->destination_port,
                                     .payload = 100,
                                     .seed = i};
        size_t address = vector->version == 4 ? 4 : 16;
        uint8_t *frame = next_frame(hashed);
        size_t length = inet_make(frame, &packet);
        struct inet_layout layout;
        uint8_t *field;

        (void)inet_parse(frame, length, &layout);
        memcpy(frame + layout.ip + (vector->version == 4 ? 12 : 8), vector->source, address);
        memcpy(frame + layout.ip + (vector->version == 4 ? 12 : 8) + address, vector->destination, address);
        if (vector->version == 4) {
            inet_put16(frame + layout.ip + 10, 0);
            inet_put16(frame + layout.ip + 10, (uint16_t)~inet_sum(frame + layout.ip, layout.transport - layout.ip, 0));
        }
        field = inet_checksum_field(frame, &layout);
        inet_put16(field, 0);
        inet_put16(field, (uint16_t)~inet_sum(frame + layout.transport, layout.end - layout.transport,
                                              inet_pseudo_sum(frame, &layout)));
        if (inet_fault(frame, length) != NULL) {
            fprintf(stderr, "frame %u: %s\n", i, inet_fault(frame, length));
            exit(EXIT_FAILURE);
        }
        add_frame(hashed, length);
    }
}

int main(void)
{
    Suite *suite = suite_create("VIF's queues");
    TCase *tcase = tcase_create("number");

    lan = stack_capture(STACK_LAN);
    make_flows();
    make_sizes();
    make_hashed();
    tcase_add_loop_test(tcase, as_many_as_all_allow, 0, ARRAYSIZE(counts));
    tcase_add_test(tcase, as_many_as_memory_allows);
    tcase_add_test(tcase, fb5_no_multi_queue_key);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(tcase, another_number_of_queues);
#endif
    tcase_add_loop_test(tcase, suspend, 0, 2);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("steering");
    tcase_add_test(tcase, all_queues_carry);
    tcase_add_loop_test(tcase, fb8_fewer_queues_than_vcpus, 0, 2);
    tcase_add_loop_test(tcase, processors_that_come, 0, 2);
    tcase_add_test(tcase, mapping_is_checked);
    tcase_add_test(tcase, mapping_moves_the_pollers);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("hashing");
    tcase_add_test(tcase, hashes);
    tcase_add_test(tcase, hashed_here_without_a_control_ring);
    tcase_add_test(tcase, hashing_follows_the_backend);
    tcase_add_test(tcase, no_hash_by_registry);
    tcase_add_test(tcase, silent_control_ring);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("shapes");
    tcase_add_test(tcase, every_shape);
    tcase_add_test(tcase, one_byte_fragments);
    tcase_add_test(tcase, each_row_is_looked_through);
    tcase_add_test(tcase, row_over_all_queues);
    tcase_add_test(tcase, row_with_a_bad_end);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
