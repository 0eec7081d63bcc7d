/*
 * What a frame costs in the steady state, in what costs on Windows too: hypercalls, interrupts, DPCs, calls of other
 * processors, spin locks and pool. The whole path of the guest counts, the test client's part of it too; what is
 * allocated counts for xenvif alone, which allocates nothing. Speed here says little about Windows; these do.
 *
 * The counts are the deterministic engine's, the same in every run.
 */
#include <stdlib.h>
#include <string.h>

#include "common/inet.h"
#include "common/stack.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "xen/xen.h"

#include <xen/xen.h>

#define OPERATIONS 64u

struct counts {
    uint64_t hypercalls;
    uint64_t interrupts;
    uint64_t dpcs;
    uint64_t locks;
    uint64_t calls;       /* of one processor by another */
    uint64_t allocations; /* by xenvif */
};

static struct counts now(void)
{
    static const ULONG tags[] = {
        POOL_TAG('V', 'b', 'u', 'f'), POOL_TAG('V', 'p', 'a', 'g'), POOL_TAG('V', 'c', 't', 'l'),
        POOL_TAG('V', 'f', 'r', 'o'), POOL_TAG('V', 's', 't', 'r'), POOL_TAG('V', 'g', 'n', 't'),
        POOL_TAG('V', 'p', 'o', 'l'), POOL_TAG('V', 'q', 'u', 'e'), POOL_TAG('V', 'r', 'x', ' '),
        POOL_TAG('V', 's', 't', 'e'), POOL_TAG('V', 't', 'x', ' '), POOL_TAG('V', 'v', 'i', 'f')};
    struct counts counts = {.locks = ke_spin_acquisitions(), .calls = ke_processor_calls()};

    for (unsigned op = 0; op < OPERATIONS; op++)
        counts.hypercalls += xen_hypercall_count(op);
    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        counts.interrupts += machine->vcpu[index]->interrupts;
        counts.dpcs += machine->vcpu[index]->dpcs;
    }
    for (unsigned index = 0; index < ARRAYSIZE(tags); index++)
        counts.allocations += pool_tag_allocations(tags[index]);
    return counts;
}

/* ---- frames ---- */

#define FLOWS 16u

/* Of so many flows in turn. */
static struct capture *make_frames(unsigned count, size_t length)
{
    bool large = length > 1514;
    struct capture *capture = calloc(1, sizeof(*capture));

    capture->count = count;
    capture->bytes = count * length;
    capture->storage = malloc(capture->bytes);
    capture->frame = calloc(count, sizeof(*capture->frame));
    for (unsigned index = 0; index < count; index++) {
        struct inet_packet packet = {.version = 4,
                                     .protocol = large ? INET_TCP : INET_UDP,
                                     .flags = INET_ACK,
                                     .id = (uint16_t)index,
                                     .sequence = index,
                                     .source_port = (uint16_t)(2000 + index % FLOWS * 7),
                                     .destination_port = 4000,
                                     .seed = index,
                                     .payload = length - (large ? 54 : 42)};
        uint8_t *data = capture->storage + index * length;

        if (inet_make(data, &packet) != length)
            abort();
        capture->frame[index] = (struct port_frame){.data = data, .length = (uint32_t)length};
        if (!large)
            continue;
        inet_make_blank(data, length);
        capture->frame[index].checksum = PORT_CHECKSUM_BLANK;
        capture->frame[index].gso = PORT_GSO_TCPV4;
        capture->frame[index].gso_size = 1460;
    }
    return capture;
}

/* ---- budgets ---- */

static const struct shape {
    const char *name;
    size_t length;
    unsigned frames;
    bool to_guest;
    unsigned queues;                                   /* and so many processors */
    ULONG fragment;                                    /* bytes of it in each MDL; 0: it is one MDL */
    double hypercalls, interrupts, dpcs, locks, calls; /* a frame, at most */
} shapes[] = {
    /* as measured, and a little; by the schedule, a frame of 64 KiB is one DPC or more: one for each 32 segments, where
     * the client reads on the poller's processor and the pages run out */
    {"64 bytes from the guest", 64, 1024, false, 1, 0, 0.02, 0.02, 0.02, 9.2, 0.01},
    {"64 bytes to the guest", 64, 1024, true, 1, 0, 0.008, 0.004, 0.008, 17, 0.012},
    {"1,514 bytes from the guest", 1514, 1024, false, 1, 0, 0.02, 0.02, 0.02, 9.2, 0.01},
    {"1,514 bytes to the guest", 1514, 1024, true, 1, 0, 0.008, 0.004, 0.008, 17, 0.012},
    {"64 KiB from the guest", 64054, 128, false, 1, 0, 0.1, 0.1, 0.1, 9.6, 0.03},
    {"64 KiB to the guest", 64054, 128, true, 1, 0, 0.08, 0.08, 1.25, 720, 0.75},
    {"64 bytes from the guest, four queues", 64, 1024, false, 4, 0, 0.02, 0.02, 0.02, 9.2, 0.012},
    {"64 bytes to the guest, four queues", 64, 1024, true, 4, 0, 0.008, 0.008, 0.015, 17, 0.018},
    {"1,514 bytes from the guest, four queues", 1514, 1024, false, 4, 0, 0.02, 0.02, 0.02, 9.2, 0.012},
    {"1,514 bytes to the guest, four queues", 1514, 1024, true, 4, 0, 0.008, 0.008, 0.015, 17, 0.018},
    {"1,514 bytes from the guest, MDLs of 200 bytes", 1514, 1024, false, 1, 200, 0.02, 0.02, 0.02, 9.2, 0.02},
    {"64 KiB from the guest, MDLs of 1,460 bytes", 64054, 128, false, 1, 1460, 0.1, 0.1, 0.1, 9.6, 0.05},
};

static void assert_within(const struct shape *shape, const char *what, uint64_t count, double most)
{
    double each = (double)count / shape->frames;

    ck_assert_msg(each <= most, "%s: %.3f %s a frame, and at most %.3f are to be", shape->name, each, what, most);
}

static void carry(void *argument)
{
    const struct shape *shape = argument;
    struct capture *frames = make_frames(shape->frames, shape->length);
    struct counts before, after;

    NETCLIENT_SHAPE chain = {.FragmentSize = shape->fragment, .PageOffset = 77, .LeadingBytes = 5, .Gap = 3};

    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    ck_assert_uint_eq(stack_link(0).RingCount, shape->queues);
    if (shape->fragment != 0)
        ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_SHAPE, &chain, sizeof(chain), NULL, 0), STATUS_SUCCESS);
    for (unsigned times = 0; times < 6; times++) /* until as many pages are there as are ever under way at once */
        stack_carry(0, shape->to_guest ? NULL : frames, shape->to_guest ? frames : NULL);
    before = now();
    stack_carry(0, shape->to_guest ? NULL : frames, shape->to_guest ? frames : NULL);
    after = now();
    assert_within(shape, "hypercalls", after.hypercalls - before.hypercalls, shape->hypercalls);
    assert_within(shape, "interrupts", after.interrupts - before.interrupts, shape->interrupts);
    assert_within(shape, "DPCs", after.dpcs - before.dpcs, shape->dpcs);
    assert_within(shape, "spin locks", after.locks - before.locks, shape->locks);
    assert_within(shape, "calls of other processors", after.calls - before.calls, shape->calls);
    ck_assert_uint_eq(after.allocations - before.allocations, 0);
    capture_free(frames);
}

START_TEST(of_a_frame)
{
    struct shape shape = shapes[_i];
    struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                    .wait = true,
                                    .vifs = 1,
                                    .vcpus = shape.queues == 1 ? 2 : shape.queues,
                                    .engine = ENGINE_DETERMINISTIC,
                                    .features = shape.queues == 1 ? "all,queues=1" : "all,queues=4"};

    stack_run(&options, carry, &shape);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIF's budgets");
    TCase *tcase = tcase_create("budgets");

    tcase_add_loop_test(tcase, of_a_frame, 0, (int)ARRAYSIZE(shapes));
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
