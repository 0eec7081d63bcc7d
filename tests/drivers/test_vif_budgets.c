/*
 * What a frame costs in the steady state, in what costs on Windows too: hypercalls, interrupts, DPCs, calls of other
 * processors, spin locks and pool. The whole path of the guest counts, the test client's part of it too; what is
 * allocated counts for xenvif, which allocates nothing, and for xenbus and xen, which follow what is in use. Speed here
 * says little about Windows; these do.
 *
 * The counts are the deterministic engine's, the same in every run.
 */
#include <stdlib.h>
#include <string.h>

#include "common/inet.h"
#include "common/source_scan.h"
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
    uint64_t others;      /* by xen and xenbus */
};

/* Those that the drivers' sources name. xenvif's begin with its letter. */
#define TAGS_MAX 128u
static ULONG tags[TAGS_MAX];
static unsigned tag_count;

/*
 * xenbus's caches are as large as has been in use, which varies where a frame is many, and where the client keeps so
 * many that the ring runs low: a few times in a hundred frames.
 */
#define OTHERS_THAT_VARY 0.125

static void see_tag(const struct scan_call *call, void *unused)
{
    ULONG tag = 0;

    (void)unused;
    if (call->arguments != 4 || call->argument[0][0] != '\'') /* the macro itself */
        return;
    for (unsigned index = 0; index < 4; index++)
        tag |= (ULONG)(UCHAR)call->argument[index][1] << 8 * index;
    for (unsigned index = 0; index < tag_count; index++)
        if (tags[index] == tag)
            return;
    if (tag_count == TAGS_MAX)
        abort();
    tags[tag_count++] = tag;
}

static void see_source(const char *path, const char *text, void *unused)
{
    scan_calls(path, text, "POOL_TAG", see_tag, unused);
}

static void find_tags(void)
{
    static const char *const folders[] = {"drivers/common", "drivers/xen", "drivers/xenbus", "drivers/xenvif"};

    for (unsigned index = 0; index < ARRAYSIZE(folders); index++)
        scan_files(folders[index], see_source, NULL);
}

static struct counts now(void)
{
    struct counts counts = {.locks = ke_spin_acquisitions(), .calls = ke_processor_calls()};

    for (unsigned op = 0; op < OPERATIONS; op++)
        counts.hypercalls += xen_hypercall_count(op);
    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        counts.interrupts += machine->vcpu[index]->interrupts;
        counts.dpcs += machine->vcpu[index]->dpcs;
    }
    for (unsigned index = 0; index < tag_count; index++)
        *((tags[index] & 0xFF) == 'V' ? &counts.allocations : &counts.others) += pool_tag_allocations(tags[index]);
    return counts;
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
    {"1,514 bytes to the guest", 1514, 1024, true, 1, 0, 0.008, 0.004, 0.008, 17, 0.015},
    {"64 KiB from the guest", 64054, 128, false, 1, 0, 0.1, 0.1, 0.1, 9.6, 0.03},
    {"64 KiB to the guest", 64054, 128, true, 1, 0, 0.08, 0.08, 1.25, 720, 0.75},
    {"64 bytes from the guest, four queues", 64, 1024, false, 4, 0, 0.02, 0.02, 0.02, 9.2, 0.012},
    {"64 bytes to the guest, four queues", 64, 1024, true, 4, 0, 0.008, 0.008, 0.015, 17, 0.018},
    {"1,514 bytes from the guest, four queues", 1514, 1024, false, 4, 0, 0.02, 0.02, 0.02, 9.2, 0.012},
    {"1,514 bytes to the guest, four queues", 1514, 1024, true, 4, 0, 0.008, 0.008, 0.015, 17, 0.018},
    {"1,514 bytes from the guest, MDLs of 200 bytes", 1514, 1024, false, 1, 200, 0.02, 0.02, 0.02, 9.2, 0.02},
    {"64 KiB from the guest, MDLs of 1,460 bytes", 64054, 128, false, 1, 1460, 0.1, 0.1, 0.1, 9.6, 0.05},
};

/* Frames of one queue that netback or the client deals with otherwise. */
static const struct variant {
    struct shape shape;
    const char *features; /* that netback has; NULL: all */
    NETCLIENT_MODE mode;
} variants[] = {
    {{"64 bytes from the guest, MDLs of a byte", 64, 1024, false, 1, 1, 0.06, 0.06, 0.06, 8, 0.06}, NULL, {0}},
    {{"64 bytes from the guest, no offloads", 64, 1024, false, 1, 0, 0.02, 0.02, 0.02, 9.5, 0.01}, "none", {0}},
    {{"64 bytes to the guest, no offloads", 64, 1024, true, 1, 0, 0.008, 0.004, 0.008, 17, 0.012}, "none", {0}},
    {{"64 KiB from the guest, cut by XENVIF", 64054, 128, false, 1, 0, 0.2, 0.2, 0.2, 11, 0.03}, "none", {0}},
    {{"64 bytes to the guest, returned last first", 64, 1024, true, 1, 0, 0.008, 0.004, 0.008, 17, 0.015},
     NULL,
     {.ReverseEvery = 16}},
    {{"64 bytes to the guest, returned late", 64, 1024, true, 1, 0, 0.015, 0.012, 0.02, 18, 0.015},
     NULL,
     {.HoldMilliseconds = 1}},
    {{"64 bytes to the guest, with pauses", 64, 1024, true, 1, 0, 0.008, 0.07, 0.14, 17, 0.14},
     NULL,
     {.PauseEvery = 16}},
};

static struct variant variant_of(unsigned index)
{
    return index < ARRAYSIZE(shapes) ? (struct variant){.shape = shapes[index]} : variants[index - ARRAYSIZE(shapes)];
}

static void assert_within(const struct shape *shape, const char *what, uint64_t count, double most)
{
    double each = (double)count / shape->frames;

    ck_assert_msg(each <= most, "%s: %.3f %s a frame, and at most %.3f are to be", shape->name, each, what, most);
}

static void carry(void *argument)
{
    const struct variant *variant = argument;
    const struct shape *shape = &variant->shape;
    NETCLIENT_MODE mode = variant->mode;
    struct capture *frames = inet_make_flows(shape->frames, shape->length);
    struct counts before, after;

    NETCLIENT_SHAPE chain = {.FragmentSize = shape->fragment, .PageOffset = 77, .LeadingBytes = 5, .Gap = 3};

    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    ck_assert_uint_eq(stack_link(0).RingCount, shape->queues);
    if (shape->fragment != 0)
        ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_SHAPE, &chain, sizeof(chain), NULL, 0), STATUS_SUCCESS);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode), NULL, 0), STATUS_SUCCESS);
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
    assert_within(shape, "allocations by xenvif", after.allocations - before.allocations, 0);
    assert_within(shape, "allocations by xenbus", after.others - before.others,
                  shape->length > 1514 || mode.HoldMilliseconds != 0 ? OTHERS_THAT_VARY : 0);
    capture_free(frames);
}

static void allocate_for_a_connection(void *unused)
{
    struct counts before = now(), after;

    (void)unused;
    stack_attach(1);
    stack_wait_connected(1);
    after = now();
    ck_assert_uint_ge(after.allocations - before.allocations, 300); /* at least the pages of a ring */
    ck_assert_uint_ge(after.others - before.others, 10);
}

START_TEST(of_a_frame)
{
    struct variant variant = variant_of((unsigned)_i);
    const bool one = variant.shape.queues == 1;
    struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                    .wait = true,
                                    .vifs = 1,
                                    .vcpus = one ? 2 : variant.shape.queues,
                                    .engine = ENGINE_DETERMINISTIC,
                                    .features = variant.features != NULL ? variant.features
                                                : one                    ? "all,queues=1"
                                                                         : "all,queues=4"};

    find_tags();
    stack_run(&options, carry, &variant);
}
END_TEST

/* Else nothing that is allocated would be counted. */
START_TEST(tags_are_those_of_the_drivers)
{
    static const struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT, .wait = true, .vifs = 1};

    find_tags();
    ck_assert_uint_ge(tag_count, 40);
    stack_run(&options, allocate_for_a_connection, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIF's budgets");
    TCase *tcase = tcase_create("budgets");

    tcase_add_test(tcase, tags_are_those_of_the_drivers);
    tcase_add_loop_test(tcase, of_a_frame, 0, (int)(ARRAYSIZE(shapes) + ARRAYSIZE(variants)));
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
