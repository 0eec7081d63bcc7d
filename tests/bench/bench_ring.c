/*
 * What the protocol itself allows: the operations of a netif queue on grants, ring, data and notifications in plain
 * loops of two pinned threads, with no kernel and no driver. And a copy of the same bytes that the other core has
 * written.
 *
 * Grants are those of version 1 (xen/grant_table.h). A grant copy takes an entry into use and out of it again, as Xen
 * has to: the marks in the entry are how its owner knows that it may be taken back. Nothing else is done to the bytes:
 * nobody writes them before they are sent, or reads them when they have come.
 *
 *     bench_ring tx|rx|copy BYTES MILLISECONDS
 *
 * writes frames a second to standard output, and the share of two processors that the threads got: where that is well
 * below 1 something else ran, and the figure says nothing. Exit status 125: there are not two processors.
 */
#include <pthread.h>
#include <sched.h>
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
#define RING_BYTES 4096u
#define SLOTS 256u
#define BACKEND 0

static struct netif_tx_sring *tx_ring;
static struct netif_rx_sring *rx_ring;
static grant_entry_v1_t grants[SLOTS];
static uint8_t *guest_pages;                     /* one a slot */
static uint8_t network[65536 + 64];              /* where frames go to, and come from */
static _Atomic uint32_t guest_event, back_event; /* notifications: a bit that the other side takes */
static atomic_bool stop;
static unsigned bytes;
static uint64_t frames;

/* ---- the shared fields ---- */

static uint32_t look(const uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void publish(uint32_t *index, uint32_t value)
{
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* Does the other side want to hear of it, by its event index, that the producer went from `old` to `new`? */
static void notify(const uint32_t *event, uint32_t old, uint32_t new, _Atomic uint32_t *pending)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (new - look(event) < new - old)
        atomic_fetch_or(pending, 1);
}

static void grant(unsigned slot, bool readonly)
{
    grants[slot].domid = BACKEND;
    grants[slot].frame = slot;
    __atomic_store_n(&grants[slot].flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)),
                     __ATOMIC_RELEASE);
}

/* An entry that is in use stays; there is none here once the response is there. */
static void revoke(unsigned slot)
{
    uint16_t flags = __atomic_load_n(&grants[slot].flags, __ATOMIC_RELAXED);

    do {
        if (flags & (GTF_reading | GTF_writing)) {
            fprintf(stderr, "bench_ring: grant %u is answered and in use\n", slot);
            exit(1);
        }
    } while (!__atomic_compare_exchange_n(&grants[slot].flags, &flags, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
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

    if (ref >= SLOTS || offset + length > PAGE)
        goto none;
    word = __atomic_load_n(grant_word(ref), __ATOMIC_ACQUIRE);
    do {
        if ((word & GTF_type_mask) != GTF_permit_access || word >> 16 != BACKEND ||
            (!readonly && (word & GTF_readonly)))
            goto none;
    } while (
        !__atomic_compare_exchange_n(grant_word(ref), &word, word | marks, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
    return guest_pages + (size_t)grants[ref].frame * PAGE;

none:
    fprintf(stderr, "bench_ring: request for grant %u, which is none\n", ref);
    exit(1);
}

static void unpin(grant_ref_t ref)
{
    __atomic_fetch_and(grant_word(ref), ~(uint32_t)(GTF_reading | GTF_writing), __ATOMIC_SEQ_CST);
}

static unsigned slots_of_frame(void)
{
    return (bytes + PAGE - 1) / PAGE;
}

static unsigned part(unsigned slot)
{
    unsigned left = bytes - slot * PAGE;

    return left < PAGE ? left : PAGE;
}

/* ---- from the guest ---- */

static void *tx_guest(void *unused)
{
    unsigned size = __RING_SIZE(tx_ring, RING_BYTES), need = slots_of_frame();
    uint32_t produced = 0, consumed = 0, free_slot[SLOTS], free_count = size;

    (void)unused;
    for (unsigned slot = 0; slot < size; slot++)
        free_slot[slot] = slot;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint32_t old = produced, ready;

        while (free_count >= need && produced - old < 64) {
            for (unsigned part_number = 0; part_number < need; part_number++) {
                unsigned slot = free_slot[--free_count];
                netif_tx_request_t *request = &tx_ring->ring[produced++ & (size - 1)].req;

                grant(slot, true);
                request->gref = slot;
                request->offset = 0;
                request->flags = part_number + 1 < need ? NETTXF_more_data : 0;
                request->id = (uint16_t)slot;
                request->size = (uint16_t)(part_number == 0 ? bytes : part(part_number));
            }
        }
        if (produced != old) {
            publish(&tx_ring->req_prod, produced);
            notify(&tx_ring->req_event, old, produced, &back_event);
        }
        ready = look(&tx_ring->rsp_prod);
        while (consumed != ready) {
            unsigned slot = tx_ring->ring[consumed++ & (size - 1)].rsp.id;

            revoke(slot);
            free_slot[free_count++] = slot;
        }
        publish(&tx_ring->rsp_event, consumed + 1);
        atomic_exchange(&guest_event, 0);
    }
    return NULL;
}

static void *tx_back(void *unused)
{
    unsigned size = __RING_SIZE(tx_ring, RING_BYTES);
    uint32_t consumed = 0;

    (void)unused;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint32_t ready = look(&tx_ring->req_prod), old = consumed;
        unsigned at = 0;

        while (consumed != ready) {
            union netif_tx_sring_entry *entry = &tx_ring->ring[consumed & (size - 1)];
            netif_tx_request_t request = entry->req;
            unsigned length = part(at / PAGE);

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
            publish(&tx_ring->rsp_prod, consumed);
            notify(&tx_ring->rsp_event, old, consumed, &guest_event);
        }
        publish(&tx_ring->req_event, consumed + 1);
        atomic_exchange(&back_event, 0);
    }
    return NULL;
}

/* ---- to the guest ---- */

static void *rx_guest(void *unused)
{
    unsigned size = __RING_SIZE(rx_ring, RING_BYTES);
    uint32_t produced = 0, consumed = 0;

    (void)unused;
    for (; produced < size; produced++) {
        rx_ring->ring[produced].req = (netif_rx_request_t){.id = (uint16_t)produced, .gref = produced};
        grant(produced, false);
    }
    publish(&rx_ring->req_prod, produced);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint32_t ready = look(&rx_ring->rsp_prod), old = produced;

        while (consumed != ready) {
            netif_rx_response_t response = rx_ring->ring[consumed++ & (size - 1)].rsp;
            netif_rx_request_t *request = &rx_ring->ring[produced & (size - 1)].req;

            revoke(response.id);
            frames += !(response.flags & NETRXF_more_data);
            grant(response.id, false);
            request->id = response.id;
            request->gref = response.id;
            produced++;
        }
        if (produced != old) {
            publish(&rx_ring->req_prod, produced);
            notify(&rx_ring->req_event, old, produced, &back_event);
        }
        publish(&rx_ring->rsp_event, consumed + 1);
        atomic_exchange(&guest_event, 0);
    }
    return NULL;
}

static void *rx_back(void *unused)
{
    unsigned size = __RING_SIZE(rx_ring, RING_BYTES), need = slots_of_frame();
    uint32_t consumed = 0;

    (void)unused;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        uint32_t ready = look(&rx_ring->req_prod), old = consumed;

        while (ready - consumed >= need && consumed - old < 64) {
            for (unsigned slot = 0; slot < need; slot++) {
                union netif_rx_sring_entry *entry = &rx_ring->ring[consumed++ & (size - 1)];
                netif_rx_request_t request = entry->req;

                memcpy(pin(request.gref, 0, part(slot), false), network + slot * PAGE, part(slot));
                unpin(request.gref);
                entry->rsp = (netif_rx_response_t){
                    .id = request.id, .flags = slot + 1 < need ? NETRXF_more_data : 0, .status = (int16_t)part(slot)};
            }
        }
        if (consumed != old) {
            publish(&rx_ring->rsp_prod, consumed);
            notify(&rx_ring->rsp_event, old, consumed, &guest_event);
        }
        publish(&rx_ring->req_event, consumed + 1);
        atomic_exchange(&back_event, 0);
    }
    return NULL;
}

/* ---- a copy of what the other core has written ---- */

#define BUFFERS 16u

static uint32_t written, copied;

static void *copy_writer(void *unused)
{
    uint8_t value = 0;

    (void)unused;
    for (uint32_t count = 0; !atomic_load_explicit(&stop, memory_order_relaxed);) {
        if (count - look(&copied) == BUFFERS)
            continue;
        memset(guest_pages + (size_t)(count % BUFFERS) * 65536, ++value, bytes);
        publish(&written, ++count);
    }
    return NULL;
}

static void *copy_reader(void *unused)
{
    (void)unused;
    for (uint32_t count = 0; !atomic_load_explicit(&stop, memory_order_relaxed);) {
        if (count == look(&written))
            continue;
        memcpy(network, guest_pages + (size_t)(count % BUFFERS) * 65536, bytes);
        publish(&copied, ++count);
        frames++;
    }
    return NULL;
}

/* ---- */

static pthread_t start(void *(*loop)(void *), int processor)
{
    cpu_set_t set;
    pthread_t thread;

    if (pthread_create(&thread, NULL, loop, NULL) != 0)
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
    } kinds[] = {{"tx", tx_guest, tx_back}, {"rx", rx_guest, rx_back}, {"copy", copy_writer, copy_reader}};
    unsigned kind = 0;
    int milliseconds = argc == 4 ? atoi(argv[3]) : 0;
    struct timespec used;
    pthread_t guest, back;
    double begin, took;

    bytes = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
    while (argc == 4 && kind < 3 && strcmp(argv[1], kinds[kind].name) != 0)
        kind++;
    if (kind == 3 || bytes < 14 || bytes > 65535 || milliseconds < 1) {
        fprintf(stderr, "usage: bench_ring tx|rx|copy BYTES MILLISECONDS (BYTES from 14 to 65535)\n");
        return 2;
    }
    tx_ring = aligned_alloc(PAGE, PAGE);
    rx_ring = aligned_alloc(PAGE, PAGE);
    guest_pages = aligned_alloc(PAGE, (size_t)SLOTS * PAGE);
    memset(tx_ring, 0, PAGE);
    memset(rx_ring, 0, PAGE);
    memset(guest_pages, 0x5A, (size_t)SLOTS * PAGE);
    memset(network, 0xA5, sizeof(network));
    tx_ring->req_event = tx_ring->rsp_event = rx_ring->req_event = rx_ring->rsp_event = 1;
    begin = now();
    back = start(kinds[kind].back, 1);
    guest = start(kinds[kind].guest, 0);
    while (now() - begin < milliseconds / 1e3)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_store(&stop, true);
    pthread_join(guest, NULL);
    pthread_join(back, NULL);
    took = now() - begin;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("%.0f %.3f\n", (double)frames / took, ((double)used.tv_sec + (double)used.tv_nsec / 1e9) / took / 2);
    return 0;
}
