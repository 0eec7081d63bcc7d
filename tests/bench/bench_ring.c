/*
 * What the protocol itself allows: the operations of a netif queue on grants, ring, data and notifications in plain
 * loops of two pinned threads, with no kernel and no driver. And a copy of the same bytes that the other core has
 * written.
 *
 * Grants are those of version 2 (xen/grant_table.h), as the drivers have them. A grant copy takes an entry into use and
 * out of it again, as Xen has to: the marks in its status word are how its owner knows that it may be taken back. A
 * thread writes to no line of the other's but where the protocol has one for both. Beyond that the loops are plain
 * ones, as the compiler makes them: a turn takes what is there, answers, and asks for the next event. As tx and rx
 * nothing in the guest touches the bytes: a frame is granted where it lies, nobody writes it before it is sent or reads
 * it when it has come.
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
static alignas(LINE) grant_entry_v2_t grants[2 * SLOTS]; /* one for what a slot has, and one for its page for life */
static alignas(LINE) grant_status_t status[2 * SLOTS];
static alignas(LINE) uint8_t network[65536 + 64]; /* where frames go to, and come from */
static struct word guest_event, back_event;       /* notifications: a bit that the other side takes */
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

/* The end of a turn: the other side is to tell of what comes `next`, and what it has told is taken. */
static void await(uint32_t *event, uint32_t next, struct word *pending)
{
    publish(event, next);
    atomic_exchange(&pending->value, 0);
}

static void grant(grant_ref_t ref, unsigned page, bool readonly)
{
    grants[ref].hdr.domid = BACKEND;
    grants[ref].full_page.frame = page;
    __atomic_store_n(&grants[ref].hdr.flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)),
                     __ATOMIC_RELEASE);
}

/* An entry that is in use stays; there is none here once the response is there. */
static void revoke(grant_ref_t ref)
{
    __atomic_store_n(&grants[ref].hdr.flags, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&status[ref], __ATOMIC_SEQ_CST) & (GTF_reading | GTF_writing)) {
        fprintf(stderr, "bench_ring: grant %u is answered and in use\n", ref);
        exit(1);
    }
}

/* Flags (low half) and grantee, which are judged as one. */
static bool permits(grant_ref_t ref, bool readonly)
{
    uint32_t word = __atomic_load_n((const uint32_t *)&grants[ref], __ATOMIC_SEQ_CST);

    return (word & GTF_type_mask) == GTF_permit_access && word >> 16 == BACKEND && (readonly || !(word & GTF_readonly));
}

/* The page of a grant, taken into use for a grant copy; a request that has none ends the measurement. */
static uint8_t *pin(grant_ref_t ref, unsigned offset, unsigned length, bool readonly)
{
    if (ref < 2 * SLOTS && offset + length <= PAGE && permits(ref, readonly)) {
        __atomic_fetch_or(&status[ref], (grant_status_t)(GTF_reading | (readonly ? 0 : GTF_writing)), __ATOMIC_SEQ_CST);
        if (permits(ref, readonly)) /* its owner may have taken it back before it saw the mark */
            return guest + (size_t)grants[ref].full_page.frame * PAGE;
    }
    fprintf(stderr, "bench_ring: request for grant %u, which is none\n", ref);
    exit(1);
}

static void unpin(grant_ref_t ref)
{
    __atomic_fetch_and(&status[ref], (grant_status_t) ~(GTF_reading | GTF_writing), __ATOMIC_SEQ_CST);
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

/* Where the client's frames are in the guest's memory, in turn: none goes on in a page that it could do without. */
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
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES), need = slots_of(bytes);
    struct frames frames = client_frames(bytes);
    uint32_t produced = 0, consumed = 0, free_count = size;
    uint16_t free_slots[SLOTS];
    grant_ref_t refs[SLOTS];

    for (unsigned slot = 0; slot < size; slot++) {
        free_slots[slot] = (uint16_t)slot;
        if (clean)
            grant(SLOTS + slot, slot, true);
    }
    while (!stopped()) {
        uint32_t old = produced, ready;

        while (free_count >= need && produced - old < BATCH) {
            uint32_t at = next_frame(&frames);

            for (unsigned number = 0; number < need; number++, at += PAGE) {
                unsigned slot = free_slots[--free_count], length = part(bytes, number);
                netif_tx_request_t *request = &ring->ring[produced++ & (size - 1)].req;

                if (clean && length < PAGE) {
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
        while (consumed != ready) {
            unsigned slot = ring->ring[consumed++ & (size - 1)].rsp.id;

            if (!clean || refs[slot] < SLOTS)
                revoke(slot);
            free_slots[free_count++] = (uint16_t)slot;
        }
        await(&ring->rsp_event, consumed + 1, &guest_event);
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
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES);
    uint32_t consumed = 0;
    uint64_t frames = 0;

    while (!stopped()) {
        uint32_t ready = look(&ring->req_prod), old = consumed;
        unsigned at = 0;

        while (consumed != ready) {
            union netif_tx_sring_entry *entry = &ring->ring[consumed & (size - 1)];
            netif_tx_request_t request = entry->req;
            unsigned length = part(bytes, at / PAGE);

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
        }
        await(&ring->req_event, consumed + 1, &back_event);
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
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES);
    const bool copied = clean && bytes <= COPY_MAX;
    struct frames client = client_frames(bytes);
    uint32_t produced = 0, consumed = 0;
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
        }
        await(&ring->rsp_event, consumed + 1, &guest_event);
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
    const unsigned bytes = side->bytes, size = __RING_SIZE(ring, RING_BYTES), need = slots_of(bytes);
    uint32_t consumed = 0;

    while (!stopped()) {
        uint32_t ready = look(&ring->req_prod), old = consumed;

        while (ready - consumed >= need && consumed - old < BATCH) {
            for (unsigned number = 0; number < need; number++) {
                union netif_rx_sring_entry *entry = &ring->ring[consumed++ & (size - 1)];
                netif_rx_request_t request = entry->req;
                unsigned length = part(bytes, number);

                memcpy(pin(request.gref, 0, length, false), network + number * PAGE, length);
                unpin(request.gref);
                entry->rsp = (netif_rx_response_t){
                    .id = request.id, .flags = number + 1 < need ? NETRXF_more_data : 0, .status = (int16_t)length};
            }
        }
        if (consumed != old) {
            publish(&ring->rsp_prod, consumed);
            notify(&ring->rsp_event, old, consumed, &guest_event);
        }
        await(&ring->req_event, consumed + 1, &back_event);
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
