/*
 * Hypercalls at random, with pointers to where a guest has no business and structures full of nonsense. It may do
 * itself harm, never Xen. What it toys with is its own: frames of one block and of the hole, a buffer that Xen may
 * scribble on; so that it survives to be asked whether Xen still works. For tests/xen/test_fuzz.c and
 * tests/fuzz/hypercall.c.
 */
#ifndef TESTS_XEN_RANDOM_CALLS_H
#define TESTS_XEN_RANDOM_CALLS_H

#include "xen/xen_guest.h"

#include "machine/clock.h"

#define BLOCK_PAGES 1024u /* frames to toy with: extents of the largest order, and ranges, stay inside */
#define FIRST_FRAMES 256u
#define ORDER_MAX 9u
#define RANGE_MAX 200u

/* Pages of the buffer: areas that Xen writes now and then; lists; structures; and one that is given back. */
enum { PAGE_AREAS, PAGE_LISTS, PAGE_STRUCTURES, PAGE_NONE, BUFFER_PAGES };
#define PART_WORDS 32u

static uint8_t host_memory[GUEST_PAGE_SIZE]; /* the simulator's, and not the guest's */

static struct {
    uint64_t (*next)(void); /* what everything is drawn from */
    uint8_t *buffer;
    uint64_t block; /* first frame */
    void *store;
} fuzz;

static inline uint64_t below(uint64_t limit)
{
    return (fuzz.next() >> 11) % limit;
}

static inline uint64_t own_frame(void)
{
    return (below(2) != 0 ? fuzz.block : HOLE) + below(FIRST_FRAMES);
}

static inline uint8_t *buffer_page(unsigned page)
{
    return fuzz.buffer + page * GUEST_PAGE_SIZE;
}

/* Where a structure can be: the beginning of its page, or its end, so that it reaches into nothing. */
static inline uint8_t *structure(void)
{
    uint8_t *at_end = buffer_page(PAGE_NONE) - 8 * (1 + below(PART_WORDS));

    return below(4) != 0 ? buffer_page(PAGE_STRUCTURES) : at_end;
}

static inline uint64_t hostile_pointer(void)
{
    static int here;

    switch (below(10)) {
    case 0:
        return 0;
    case 1:
        return below(GUEST_PAGE_SIZE);
    case 2:
        return UINT64_MAX - below(64);
    case 3:
        return UINT64_C(0x8000000000000000) + below(1u << 20); /* not canonical */
    case 4:
        return at(host_memory) + below(sizeof(host_memory));
    case 5:
        return at(machine) + below(512);
    case 6:
        return at(fuzz.store) + below(64); /* Xen's view of a page, not the guest's */
    case 7:
        return at(&here) & ~UINT64_C(0xFFF);
    case 8:
        return at((const void *)(uintptr_t)xen_hypercall) + below(64);
    default:
        return at(buffer_page(PAGE_NONE)) + below(GUEST_PAGE_SIZE);
    }
}

/*
 * A word of a structure. As a frame number or an address it means something of the fuzzer's own, or nothing at all: no
 * value lies in the guest's RAM otherwise.
 */
static inline uint64_t word(void)
{
    static const uint16_t domids[] = {0, 1, 2, NO_DOMAIN, DOMID_SELF, DOMID_IO, DOMID_XEN, 0xFFFF};

    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return own_frame();
    case 3:
        return own_frame() << GUEST_PAGE_SHIFT;
    case 4:
        return below(200); /* small: a port, a reference, an order, an index */
    case 5:
        return domids[below(sizeof(domids) / sizeof(domids[0]))] | below(RANGE_MAX) << 16 | below(6) << 32;
    case 6:
        return below(40) << 32 | below(40);
    case 7:
        return at(buffer_page(PAGE_LISTS) + GUEST_PAGE_SIZE - 8 * below(16));
    case 8:
        return at(buffer_page(PAGE_AREAS) + below(2048));
    case 9:
        return hostile_pointer();
    case 10:
        return UINT64_C(1) << below(8) | UINT64_C(1) << (48 + below(16));
    default:
        return below(200) << 32 | DOMID_SELF;
    }
}

static inline void fill(uint8_t *start, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        uint64_t value = word();

        memcpy(start + 8 * i, &value, sizeof(value));
    }
}

static inline void refill(void)
{
    uint64_t about_itself = below(12) << 32 | DOMID_SELF; /* how many structures begin, with a port or so */

    fill(buffer_page(PAGE_LISTS) + GUEST_PAGE_SIZE - 8 * 16, 16);
    fill(buffer_page(PAGE_STRUCTURES), PART_WORDS);
    fill(buffer_page(PAGE_NONE) - 8 * PART_WORDS, PART_WORDS);
    if (below(2) != 0)
        memcpy(buffer_page(PAGE_STRUCTURES), &about_itself, sizeof(about_itself));
}

struct call {
    uint64_t operation;
    uint64_t argument[5];
};

static inline uint64_t pointer(void)
{
    return below(4) != 0 ? at(structure()) : hostile_pointer();
}

/* A domain that is down, or a vCPU that waits for an interrupt, would end the test. */
static inline bool stops_the_guest(uint64_t sub)
{
    return (uint32_t)sub == SCHEDOP_block || (uint32_t)sub == SCHEDOP_shutdown || (uint32_t)sub == SCHEDOP_watchdog;
}

/* Ranges end within the block, whatever else is in the structure. */
static inline void bound_memory(uint64_t sub, uint64_t where)
{
    struct xen_add_to_physmap add;
    struct xen_memory_reservation reservation;
    uint64_t offset = where - at(fuzz.buffer);
    void *in_buffer;

    if (offset > PAGE_NONE * GUEST_PAGE_SIZE - sizeof(reservation))
        return; /* Xen will not read it */
    in_buffer = fuzz.buffer + offset;
    if ((sub & 63) == XENMEM_add_to_physmap) {
        memcpy(&add, in_buffer, sizeof(add));
        add.size %= RANGE_MAX;
        memcpy(in_buffer, &add, sizeof(add));
    } else if ((sub & 63) == XENMEM_populate_physmap || (sub & 63) == XENMEM_decrease_reservation) {
        memcpy(&reservation, in_buffer, sizeof(reservation));
        if (reservation.extent_order > ORDER_MAX && below(4) != 0)
            reservation.extent_order %= ORDER_MAX + 1;
        reservation.nr_extents = below(8) != 0 ? below(16) : reservation.nr_extents;
        memcpy(in_buffer, &reservation, sizeof(reservation));
    }
}

static inline struct call random_call(void)
{
    static const uint8_t likely[] = {
        __HYPERVISOR_memory_op, __HYPERVISOR_event_channel_op, __HYPERVISOR_grant_table_op, __HYPERVISOR_hvm_op,
        __HYPERVISOR_vcpu_op,   __HYPERVISOR_sched_op,         __HYPERVISOR_xen_version,    __HYPERVISOR_set_timer_op,
        __HYPERVISOR_vm_assist, __HYPERVISOR_event_channel_op, __HYPERVISOR_grant_table_op, __HYPERVISOR_memory_op,
    };
    struct call call = {.operation = below(16) != 0 ? likely[below(sizeof(likely))] : below(80)};
    uint64_t sub = below(8) != 0 ? below(32) : fuzz.next();

    for (unsigned i = 0; i < 5; i++)
        call.argument[i] = word();
    call.argument[0] = sub;
    call.argument[1] = pointer();
    switch (call.operation) {
    case __HYPERVISOR_memory_op:
        if (below(8) != 0)
            call.argument[0] = below(28);
        bound_memory(call.argument[0], call.argument[1]);
        break;
    case __HYPERVISOR_sched_op:
        if (stops_the_guest(sub))
            call.argument[0] = SCHEDOP_yield;
        break;
    case __HYPERVISOR_grant_table_op:
        call.argument[2] = below(8) != 0 ? below(4) : fuzz.next();
        break;
    case __HYPERVISOR_vcpu_op:
        call.argument[1] = below(8) != 0 ? below(GUEST_VCPUS + 1) : fuzz.next();
        call.argument[2] = pointer();
        if ((uint32_t)sub == VCPUOP_down || (uint32_t)sub == VCPUOP_send_nmi)
            call.argument[0] = VCPUOP_is_up;
        break;
    case __HYPERVISOR_set_timer_op:
        call.argument[0] = below(2) != 0 ? clock_now() + below(1000000) : word();
        break;
    case __HYPERVISOR_multicall: /* structures are not those of its calls here: random_batch() makes good ones */
        call.argument[0] = hostile_pointer();
        call.argument[1] = fuzz.next();
        break;
    default:
        break;
    }
    return call;
}

static inline int64_t make(const struct call *call)
{
    return xen_hypercall(call->operation, call->argument[0], call->argument[1], call->argument[2], call->argument[3],
                         call->argument[4]);
}

/* Some calls in one; it lies where lists do not reach. */
static inline int64_t random_batch(void)
{
    multicall_entry_t *entries = (multicall_entry_t *)(void *)(buffer_page(PAGE_LISTS) + 512);
    unsigned count = (unsigned)below(4);

    memset(entries, 0, (count + 1) * sizeof(*entries));
    for (unsigned i = 0; i < count; i++) {
        struct call call = random_call();

        entries[i].op = call.operation;
        for (unsigned j = 0; j < 5; j++)
            entries[i].args[j] = call.argument[j];
    }
    return xen_hypercall(__HYPERVISOR_multicall, at(entries), count, 0, 0, 0);
}

/* No result is anything but a count, an identifier or one of Xen's errors. */
static inline void assert_plausible(const struct call *call, int64_t result)
{
    ck_assert_msg(result > -200, "hypercall %llu (%#llx, %#llx, %#llx) gave %lld", (unsigned long long)call->operation,
                  (unsigned long long)call->argument[0], (unsigned long long)call->argument[1],
                  (unsigned long long)call->argument[2], (long long)result);
}

/* Domain 0 does at the same time what a backend does with a guest's grants and ports. */
static inline void domain0_works(void)
{
    void *address;
    uint32_t handle;

    if (xen_grant_map(XEN_DOM0, 1, (uint32_t)below(64), below(2) != 0, &address, &handle) == 0) {
        ck_assert_uint_le(*(volatile uint8_t *)address, 255);
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    }
    (void)xen_evtchn_send(XEN_DOM0, (uint32_t)below(20));
}

/* Xen works as on the first day: ports, memory, what it says of itself. */
static inline void assert_alive(void)
{
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    volatile struct shared_info *shared;
    struct evtchn_bind_ipi ipi = {.vcpu = 1};

    ck_assert_int_eq(call_version(XENVER_version, NULL) >> 16, 4);
    ck_assert_int_eq(call_evtchn(EVTCHNOP_reset, &reset), 0);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE + 2000), 0);
    shared = map_frames(HOLE + 2000, 1);
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &ipi), 0);
    ck_assert_uint_eq(ipi.port, 1);
    shared->evtchn_pending[0] = 0;
    ck_assert_int_eq(port_send(1), 0);
    ck_assert_uint_eq(shared->evtchn_pending[0], 2);
    ck_assert_int_eq(physmap_take(HOLE + 2000), 0);
    for (unsigned i = 0; i < sizeof(host_memory); i++)
        ck_assert_uint_eq(host_memory[i], 0xA5);
}

/* What all of this needs of the guest: call in its thread, once. */
static inline void random_calls_begin(uint64_t (*next)(void))
{
    struct xen_memory_reservation decrease = {.nr_extents = 1, .domid = DOMID_SELF};
    uint8_t *block = pages_take(BLOCK_PAGES, 0);
    uint64_t gfn;

    memset(host_memory, 0xA5, sizeof(host_memory));
    fuzz.next = next;
    fuzz.block = frame_of(block);
    fuzz.store = xen_foreign_frame(1, param(HVM_PARAM_STORE_PFN));
    fuzz.buffer = pages_take(BUFFER_PAGES, 0);
    gfn = frame_of(buffer_page(PAGE_NONE));
    set_xen_guest_handle(decrease.extent_start, &gfn);
    ck_assert_int_eq(call_memory(XENMEM_decrease_reservation, &decrease), 1);
}

/* One call, or some in one, and whether it did anything. */
static inline bool random_step(void)
{
    struct call call;
    int64_t result;

    refill();
    if (below(16) == 0) {
        ck_assert_int_eq(random_batch(), 0);
        return true;
    }
    call = random_call();
    result = make(&call);
    assert_plausible(&call, result);
    return result >= 0;
}

#endif
