/*
 * What the protocol itself allows: the operations of a netif queue on grants, ring, data and notifications in plain
 * loops of two pinned threads, with no kernel and no driver. And a copy of the same bytes that the other core has
 * written.
 *
 * Grants are those of version 1 (xen/grant_table.h). A grant copy takes an entry into use and out of it again, as Xen
 * has to: the marks in the entry are how its owner knows that it may be taken back. A client's frames lie in memory
 * once. This is a limit, so the loops are as fast as can be: a thread writes to no line of the other's but where the
 * protocol has one for both, and what it copies next is on its way to it. As tx and rx nothing in the guest touches the
 * bytes: a frame is granted where it lies, nobody writes it before it is sent or reads it when it has come.
 *
 * As tx-clean and rx-clean nothing is granted but a packet's bytes and zeroes, for which a guest has to copy or to
 * zero. What does not fill its page goes from a page of the guest's own, which stays granted; whole pages go from where
 * they lie. What has come in one slot, and is no longer than a frame of the usual MTU, is copied out of a page that
 * stays granted, and any other page is zeroed before it is granted again: a client has had it.
 *
 *     bench_ring tx|rx|tx-clean|rx-clean|copy BYTES MILLISECONDS
 *
 * writes frames a second to standard output, and the share of two processors that the threads got: where that is well
 * below 1 something else ran, and the figure says nothing. Exit status 125: there are not two processors.
 */
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xen/xen.h>

#include <xen/grant_table.h>
#include <xen/io/netif.h>

#define PAGE 4096u
#define LINE 64u
#define RING_BYTES 4096u
#define SLOTS 256u
#define BACKEND 0
#define BATCH 64u           /* slots of which the other side is told at once, unless a frame ends later */
#define COPY_MAX 1536u      /* bytes of the longest frame that is copied when it has come */
#define CLIENT_PAGES 128u   /* in which the client's frames lie, */
#define CLIENT_FRAMES 1024u /* so many of them at most */
#define FETCH_MAX 1536u     /* of a page that is copied in order the processor fetches the rest by itself */
#define FETCH_AHEAD 2048u   /* bytes on their way while others are copied, */
#define FETCH_SLOTS 8u      /* of so many slots at most */

/* What a thread writes while the others run lies in lines of its own. */
struct word {
    alignas(LINE) _Atomic uint32_t value;
};

/* What a side's loop is given, and what it leaves when it ends. */
struct side {
    alignas(LINE) unsigned bytes;
    uint64_t frames;
};

static struct netif_tx_sring *tx_ring;
static struct netif_rx_sring *rx_ring;
static uint8_t *guest;                                   /* a page for each slot, and the client's pages */
static alignas(LINE) grant_entry_v1_t grants[2 * SLOTS]; /* one for what a slot has, and one for its page for life */
static alignas(LINE) uint8_t network[65536 + 64];        /* where frames go to, and come from */
static struct word guest_event, back_event;              /* notifications: a bit that the other side takes */
static struct word stop;

/* ---- the shared fields ---- */

static uint32_t look(const uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void publish(uint32_t *index, uint32_t value)
{
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

static bool stopped(void)
{
    return atomic_load_explicit(&stop.value, memory_order_relaxed);
}

/* Does the other side want to hear of it, by its event index, that the producer went from `old` to `new`? */
static void notify(const uint32_t *event, uint32_t old, uint32_t new, struct word *pending)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (new - look(event) < new - old)
        atomic_fetch_or(&pending->value, 1);
}

/*
 * Nothing has come: the other side is to tell of what comes `next`, and what it has told is taken. `awaited` is what it
 * knows of already. The caller looks once more.
 */
static void await(uint32_t *event, uint32_t *awaited, uint32_t next, struct word *pending)
{
    if (*awaited != next) {
        __atomic_store_n(event, next, __ATOMIC_SEQ_CST);
        *awaited = next;
    }
    if (atomic_load_explicit(&pending->value, memory_order_relaxed))
        atomic_exchange(&pending->value, 0);
    __builtin_ia32_pause();
}

static void grant(grant_ref_t ref, unsigned page, bool readonly)
{
    grants[ref].domid = BACKEND;
    grants[ref].frame = page;
    __atomic_store_n(&grants[ref].flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)),
                     __ATOMIC_RELEASE);
}

/* An entry that is in use stays; there is none here once the response is there. */
static void revoke(grant_ref_t ref)
{
    uint16_t flags = __atomic_load_n(&grants[ref].flags, __ATOMIC_RELAXED);

    do {
        if (flags & (GTF_reading | GTF_writing)) {
            fprintf(stderr, "bench_ring: grant %u is answered and in use\n", ref);
            exit(1);
        }
    } while (!__atomic_compare_exchange_n(&grants[ref].flags, &flags, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

/* Flags (low half) and grantee, which are judged and marked as one. */
static uint32_t *grant_word(grant_ref_t ref)
{
    return (uint32_t *)&grants[ref];
}

/* The page of a grant, taken into use for a grant copy; a request that has none ends the measurement. */
static uint8_t *pin(grant_ref_t ref, unsigned offset, unsigned length, bool readonly)
{
    uint32_t marks = GTF_reading | (readonly ? 0 : GTF_writing), word;

    if (ref >= 2 * SLOTS || offset + length > PAGE)
        goto none;
    word = __atomic_load_n(grant_word(ref), __ATOMIC_ACQUIRE);
    do {
        if ((word & GTF_type_mask) != GTF_permit_access || word >> 16 != BACKEND ||
            (!readonly && (word & GTF_readonly)))
            goto none;
    } while (
        !__atomic_compare_exchange_n(grant_word(ref), &word, word | marks, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
    return guest + (size_t)grants[ref].frame * PAGE;

none:
    fprintf(stderr, "bench_ring: request for grant %u, which is none\n", ref);
    exit(1);
}

static void unpin(grant_ref_t ref)
{
    __atomic_fetch_and(grant_word(ref), ~(uint32_t)(GTF_reading | GTF_writing), __ATOMIC_SEQ_CST);
}

/* ---- what will be copied next is fetched from the other processor meanwhile ---- */

static unsigned fetched_slots(unsigned bytes)
{
    unsigned slots = FETCH_AHEAD / bytes + 1;

    return slots < FETCH_SLOTS ? slots : FETCH_SLOTS;
}

static void fetch_to_read(const uint8_t *data, unsigned length)
{
    for (unsigned at = 0; at < length && at < FETCH_MAX; at += LINE)
        __builtin_prefetch(data + at);
}

/* What __builtin_prefetch() makes of a write without a choice of processors fetches for reading. */
static void fetch_to_write(uint8_t *data, unsigned length)
{
    for (unsigned at = 0; at < length && at < FETCH_MAX; at += LINE)
        __asm__ volatile("prefetchw %0" : : "m"(data[at]));
}

/* The data of a grant that a request names, if it is one. */
static uint8_t *granted(grant_ref_t ref, unsigned offset)
{
    return guest + (size_t)grants[ref % (2 * SLOTS)].frame * PAGE + offset % PAGE;
}

/* ---- frames ---- */

static unsigned slots_of(unsigned bytes)
{
    return (bytes + PAGE - 1) / PAGE;
}

/* Of a frame of so many bytes what is in its slot with this number. */
static unsigned part(unsigned bytes, unsigned number)
{
    unsigned left = bytes - number * PAGE;

    return left < PAGE ? left : PAGE;
}

/* The client's frames, in turn, from the guest's memory's beginning on: none goes on in a page that it could do
 * without.
 */
struct frames {
    uint32_t stride, at, end;
};

static struct frames client_frames(unsigned bytes)
{
    struct frames frames = {.stride = LINE, .at = SLOTS * PAGE};
    unsigned count;

    while (frames.stride < bytes)
        frames.stride += frames.stride < PAGE ? frames.stride : PAGE;
    count = CLIENT_PAGES * PAGE / frames.stride;
    frames.end = frames.at + (count < CLIENT_FRAMES ? count : CLIENT_FRAMES) * frames.stride;
    return frames;
}

static uint32_t next_frame(struct frames *frames)
{
    uint32_t at = frames->at;

    frames->at = at + frames->stride == frames->end ? SLOTS * PAGE : at + frames->stride;
    return at;
}

/* ---- from the guest ---- */

/* `clean`, which is constant where this is called: what does not fill its page goes from the slot's page. */
static inline __attribute__((always_inline)) void send_frames(const struct side *side, bool clean)
{
    struct netif_tx_sring *const ring = tx_ring;
    uint8_t *const memory = guest;
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES), need = slots_of(bytes),
                   ahead = fetched_slots(bytes);
    struct frames frames = client_frames(bytes);
    uint32_t produced = 0, consumed = 0, awaited = 1, freed = size, taken = 0;
    uint16_t free_slots[SLOTS];
    grant_ref_t refs[SLOTS];

    for (unsigned slot = 0; slot < size; slot++) {
        free_slots[slot] = (uint16_t)slot;
        if (clean)
            grant(SLOTS + slot, slot, true);
    }
    while (!stopped()) {
        uint32_t old = produced, ready;

        while (freed - taken >= need && produced - old < BATCH) {
            uint32_t at = next_frame(&frames);

            for (unsigned number = 0; number < need; number++, at += PAGE) {
                unsigned slot = free_slots[taken++ % SLOTS], length = part(bytes, number);
                netif_tx_request_t *request = &ring->ring[produced++ & (size - 1)].req;

                if (clean && length < PAGE) {
                    if (freed - taken >= ahead)
                        fetch_to_write(memory + free_slots[(taken + ahead - 1) % SLOTS] * PAGE, length);
                    memcpy(memory + slot * PAGE, memory + at, length);
                    refs[slot] = SLOTS + slot;
                    request->offset = 0;
                } else {
                    grant(slot, at / PAGE, true);
                    refs[slot] = slot;
                    request->offset = (uint16_t)(at % PAGE);
                }
                request->gref = refs[slot];
                request->flags = number + 1 < need ? NETTXF_more_data : 0;
                request->id = (uint16_t)slot;
                request->size = (uint16_t)(number == 0 ? bytes : length);
            }
        }
        if (produced != old) {
            publish(&ring->req_prod, produced);
            notify(&ring->req_event, old, produced, &back_event);
        }
        ready = look(&ring->rsp_prod);
        if (consumed == ready)
            await(&ring->rsp_event, &awaited, consumed + 1, &guest_event);
        while (consumed != ready) {
            unsigned slot = ring->ring[consumed++ & (size - 1)].rsp.id;

            if (!clean || refs[slot] < SLOTS)
                revoke(slot);
            free_slots[freed++ % SLOTS] = (uint16_t)slot;
        }
    }
}

static void *tx_guest(void *side)
{
    send_frames(side, false);
    return NULL;
}

static void *tx_guest_clean(void *side)
{
    send_frames(side, true);
    return NULL;
}

static void *tx_back(void *argument)
{
    struct side *side = argument;
    struct netif_tx_sring *const ring = tx_ring;
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES), ahead = fetched_slots(bytes);
    uint32_t consumed = 0, awaited = 1;
    uint64_t frames = 0;

    while (!stopped()) {
        uint32_t ready = look(&ring->req_prod), old = consumed;
        unsigned at = 0;

        while (consumed != ready) {
            union netif_tx_sring_entry *entry = &ring->ring[consumed & (size - 1)];
            netif_tx_request_t request = entry->req;
            unsigned length = part(bytes, at / PAGE);

            if (ready - consumed > ahead) {
                const netif_tx_request_t *next = &ring->ring[(consumed + ahead) & (size - 1)].req;

                fetch_to_read(granted(next->gref, next->offset), length);
            }
            memcpy(network + at, pin(request.gref, request.offset, length, true) + request.offset, length);
            unpin(request.gref);
            at += length;
            entry->rsp.id = request.id;
            entry->rsp.status = NETIF_RSP_OKAY;
            consumed++;
            if (!(request.flags & NETTXF_more_data)) {
                frames++;
                at = 0;
            }
        }
        if (consumed != old) {
            publish(&ring->rsp_prod, consumed);
            notify(&ring->rsp_event, old, consumed, &guest_event);
        } else {
            await(&ring->req_event, &awaited, consumed + 1, &back_event);
        }
    }
    side->frames = frames;
    return NULL;
}

/* ---- to the guest ---- */

/* `clean`, which is constant where this is called: copied to the client's frames, or zeroed when the client has had it.
 */
static inline __attribute__((always_inline)) void receive_frames(struct side *side, bool clean)
{
    struct netif_rx_sring *const ring = rx_ring;
    uint8_t *const memory = guest;
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES), ahead = fetched_slots(bytes);
    const bool copied = clean && bytes <= COPY_MAX;
    struct frames client = client_frames(bytes);
    uint32_t produced = 0, consumed = 0, awaited = 1;
    uint64_t frames = 0;

    for (; produced < size; produced++) {
        ring->ring[produced].req = (netif_rx_request_t){.id = (uint16_t)produced, .gref = produced};
        grant(produced, produced, false);
    }
    publish(&ring->req_prod, produced);
    while (!stopped()) {
        uint32_t ready = look(&ring->rsp_prod), old = produced;

        while (consumed != ready) {
            netif_rx_response_t response = ring->ring[consumed++ & (size - 1)].rsp;
            netif_rx_request_t *request = &ring->ring[produced++ & (size - 1)].req;
            uint8_t *page = memory + response.id * PAGE;
            unsigned length = (unsigned)response.status;

            if (copied) {
                if (ready - consumed >= ahead)
                    fetch_to_read(memory + ring->ring[(consumed + ahead - 1) & (size - 1)].rsp.id * PAGE, length);
                memcpy(memory + next_frame(&client), page + response.offset, length);
            } else {
                revoke(response.id);
                if (clean)
                    memset(page, 0, response.offset + length);
                grant(response.id, response.id, false);
            }
            frames += !(response.flags & NETRXF_more_data);
            request->id = response.id;
            request->gref = response.id;
        }
        if (produced != old) {
            publish(&ring->req_prod, produced);
            notify(&ring->req_event, old, produced, &back_event);
        } else {
            await(&ring->rsp_event, &awaited, consumed + 1, &guest_event);
        }
    }
    side->frames = frames;
}

static void *rx_guest(void *side)
{
    receive_frames(side, false);
    return NULL;
}

static void *rx_guest_clean(void *side)
{
    receive_frames(side, true);
    return NULL;
}

static void *rx_back(void *argument)
{
    const struct side *side = argument;
    struct netif_rx_sring *const ring = rx_ring;
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES), need = slots_of(bytes),
                   ahead = fetched_slots(bytes);
    uint32_t consumed = 0, awaited = 1;

    while (!stopped()) {
        uint32_t ready = look(&ring->req_prod), old = consumed;

        while (ready - consumed >= need && consumed - old < BATCH) {
            for (unsigned number = 0; number < need; number++) {
                union netif_rx_sring_entry *entry = &ring->ring[consumed++ & (size - 1)];
                netif_rx_request_t request = entry->req;
                unsigned length = part(bytes, number);

                if (ready - consumed >= ahead)
                    fetch_to_write(granted(ring->ring[(consumed + ahead - 1) & (size - 1)].req.gref, 0), length);
                memcpy(pin(request.gref, 0, length, false), network + number * PAGE, length);
                unpin(request.gref);
                entry->rsp = (netif_rx_response_t){
                    .id = request.id, .flags = number + 1 < need ? NETRXF_more_data : 0, .status = (int16_t)length};
            }
        }
        if (consumed != old) {
            publish(&ring->rsp_prod, consumed);
            notify(&ring->rsp_event, old, consumed, &guest_event);
        } else {
            await(&ring->req_event, &awaited, consumed + 1, &back_event);
        }
    }
    return NULL;
}

/* ---- a copy of what the other core has written ---- */

static struct word written, copied;

/* Buffers in a row, as many as a ring has slots, or as its pages hold. */
struct buffers {
    unsigned stride, count, next;
};

static struct buffers buffers_of(unsigned bytes)
{
    struct buffers buffers = {.stride = (bytes + LINE - 1) / LINE * LINE};

    buffers.count = SLOTS * PAGE / buffers.stride;
    if (buffers.count > SLOTS)
        buffers.count = SLOTS;
    return buffers;
}

static uint8_t *next_buffer(struct buffers *buffers)
{
    unsigned number = buffers->next;

    buffers->next = number + 1 == buffers->count ? 0 : number + 1;
    return guest + number * buffers->stride;
}

static uint32_t count_of(const struct word *word)
{
    return atomic_load_explicit(&word->value, memory_order_acquire);
}

static void *copy_writer(void *argument)
{
    const struct side *side = argument;
    const unsigned bytes = side->bytes;
    struct buffers buffers = buffers_of(bytes);
    uint32_t count = 0, room = buffers.count;
    uint8_t value = 0;

    while (!stopped()) {
        if (count == room) {
            room = count_of(&copied) + buffers.count;
            continue;
        }
        memset(next_buffer(&buffers), ++value, bytes);
        atomic_store_explicit(&written.value, ++count, memory_order_release);
    }
    return NULL;
}

static void *copy_reader(void *argument)
{
    struct side *side = argument;
    const unsigned bytes = side->bytes;
    struct buffers buffers = buffers_of(bytes);
    uint32_t count = 0, ready = 0;

    while (!stopped()) {
        if (count == ready) {
            ready = count_of(&written);
            continue;
        }
        memcpy(network, next_buffer(&buffers), bytes);
        atomic_store_explicit(&copied.value, ++count, memory_order_release);
    }
    side->frames = count;
    return NULL;
}

/* ---- */

static pthread_t start(void *(*loop)(void *), struct side *side, int processor)
{
    cpu_set_t set;
    pthread_t thread;

    if (pthread_create(&thread, NULL, loop, side) != 0)
        abort();
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    if (pthread_setaffinity_np(thread, sizeof(set), &set) != 0) {
        fprintf(stderr, "bench_ring: needs processors 0 and 1\n");
        exit(125);
    }
    return thread;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void *(*guest)(void *), *(*back)(void *);
    } kinds[] = {{"tx", tx_guest, tx_back},
                 {"rx", rx_guest, rx_back},
                 {"tx-clean", tx_guest_clean, tx_back},
                 {"rx-clean", rx_guest_clean, rx_back},
                 {"copy", copy_writer, copy_reader}};
    const unsigned count = sizeof(kinds) / sizeof(kinds[0]);
    unsigned kind = 0, bytes = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
    int milliseconds = argc == 4 ? atoi(argv[3]) : 0;
    static struct side guest_side, back_side;
    struct timespec used;
    pthread_t guest_thread, back_thread;
    double begin, took;

    while (argc == 4 && kind < count && strcmp(argv[1], kinds[kind].name) != 0)
        kind++;
    if (kind == count || bytes < 14 || bytes > 65535 || milliseconds < 1) {
        fprintf(stderr, "usage: bench_ring tx|rx|tx-clean|rx-clean|copy BYTES MILLISECONDS (BYTES from 14 to 65535)\n");
        return 2;
    }
    tx_ring = aligned_alloc(PAGE, PAGE);
    rx_ring = aligned_alloc(PAGE, PAGE);
    guest = aligned_alloc(PAGE, (size_t)(SLOTS + CLIENT_PAGES) * PAGE);
    memset(tx_ring, 0, PAGE);
    memset(rx_ring, 0, PAGE);
    memset(guest, 0, (size_t)SLOTS * PAGE);
    memset(guest + (size_t)SLOTS * PAGE, 0x5A, (size_t)CLIENT_PAGES * PAGE);
    memset(network, 0xA5, sizeof(network));
    tx_ring->req_event = tx_ring->rsp_event = rx_ring->req_event = rx_ring->rsp_event = 1;
    guest_side.bytes = back_side.bytes = bytes;
    begin = now();
    back_thread = start(kinds[kind].back, &back_side, 1);
    guest_thread = start(kinds[kind].guest, &guest_side, 0);
    while (now() - begin < milliseconds / 1e3)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_store(&stop.value, 1);
    pthread_join(guest_thread, NULL);
    pthread_join(back_thread, NULL);
    took = now() - begin;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("%.0f %.3f\n", (double)(guest_side.frames + back_side.frames) / took,
           ((double)used.tv_sec + (double)used.tv_nsec / 1e9) / took / 2);
    return 0;
}
