/*
 * Frames of every size that the protocol has, 14 to 65,535 bytes, at all offsets in a page, both ways through netback:
 * each size at one offset, and at each offset the sizes that end before, at and behind the boundary of a page. And from
 * a backend that the test plays at all offsets in the guest's pages, which netback does not use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"

#include <initguid.h>

#include "vif_interface.h"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true
#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make
#define SIZE_MIN 14u
#define SIZE_MAX_ 65535u
#define SLOTS_MAX 18u /* of a frame: XEN_NETIF_NR_SLOTS_MIN */
#define FRAMES_MAX 64u

/* Under a sanitizer each is ten times as dear. */
#ifdef PVSIM_SANITIZE
#define STEP 61u
#else
#define STEP 1u
#endif

static struct capture *frames;

static void reset(void)
{
    frames->count = 0;
    frames->bytes = 0;
}

/* Bytes that tell a frame, and each place in it, from others. */
static void add(unsigned length)
{
    uint8_t *frame = frames->storage + frames->bytes;

    for (unsigned at = 0; at < length; at++)
        frame[at] = (uint8_t)(at * 7 + at / 251 + length + length / 256);
    memcpy(frame, "\x00\x16\x3e\x5a\x00\x00\x02\x00\x00\x00\x00\x01\x88\xb5", 14);
    frames->frame[frames->count++] = (struct port_frame){.data = frame, .length = length};
    frames->bytes += length;
}

static void set_offset(unsigned offset)
{
    NETCLIENT_SHAPE shape = {.FragmentSize = 65536, .PageOffset = offset};

    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_SHAPE, &shape, sizeof(shape), NULL, 0), STATUS_SUCCESS);
}

static void longest_frames(void)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_store_write(stack_path("device/vif/0/mtu"), "65521");
    for (unsigned tries = 0; stack_link(0).MaximumFrameSize != SIZE_MAX_ && tries < 1000; tries++)
        stack_sleep_us(200);
    ck_assert_uint_eq(stack_link(0).MaximumFrameSize, SIZE_MAX_);
}

/* The 16 sizes, 4,096 apart, that fall to an offset; each offset has its turn. */
STACK_TEST(every_size, NET)
{
    unsigned total = 0;

    longest_frames();
    for (unsigned offset = 0; offset < PAGE_SIZE; offset += STEP) {
        reset();
        for (unsigned length = offset; length <= SIZE_MAX_; length += PAGE_SIZE)
            if (length >= SIZE_MIN)
                add(length);
        set_offset((offset * 1365) % PAGE_SIZE);
        stack_carry(0, frames, frames);
        total += frames->count;
    }
    if (STEP == 1)
        ck_assert_uint_eq(total, SIZE_MAX_ - SIZE_MIN + 1);
}

/* Ends of frames one byte before, at and behind the ends of the first pages and of the last. */
STACK_TEST(every_offset, NET)
{
    static const unsigned pages[] = {1, 2, 3, 15, 16};

    longest_frames();
    for (unsigned offset = 0; offset < PAGE_SIZE; offset += STEP) {
        reset();
        for (unsigned i = 0; i < ARRAYSIZE(pages); i++)
            for (unsigned length = pages[i] * PAGE_SIZE - offset - 1; length <= pages[i] * PAGE_SIZE - offset + 1;
                 length++)
                if (length >= SIZE_MIN && length <= SIZE_MAX_)
                    add(length);
        set_offset(offset);
        stack_carry(0, frames, NULL);
    }
}

/* What ends before, at and behind a boundary, from each offset in a page of the guest's. */
STACK_TEST(every_offset_of_a_response, PLAYED)
{
    vif_backend_features("feature-sg=1");
    vif_client_begin();
    for (unsigned offset = 0; offset < PAGE_SIZE; offset += STEP) {
        const unsigned slot = PAGE_SIZE - offset;
        const unsigned lengths[] = {SIZE_MIN,     slot - 1,         slot, slot + 1, 2 * slot - 1,
                                    2 * slot + 1, SLOTS_MAX * slot, 1514};
        unsigned given = 0;

        reset();
        vif_client_forget();
        for (unsigned i = 0; i < ARRAYSIZE(lengths); i++) {
            unsigned length = lengths[i];

            if (length < SIZE_MIN || length > 1514 || length > SLOTS_MAX * slot)
                continue;
            add(length);
            vif_backend_give(&(struct vif_backend_frame){
                .data = frames->frame[given].data, .length = length, .offset = offset, .slot = slot});
            vif_client_await_received(++given);
        }
        for (unsigned i = 0; i < given; i++) {
            const struct vif_client_received *got = vif_client_received(i);

            ck_assert_uint_eq(got->length, frames->frame[i].length);
            ck_assert_mem_eq(got->data, frames->frame[i].data, got->length);
        }
    }
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("sizes of frames");
    TCase *tcase = tcase_create("sizes");

    frames = calloc(1, sizeof(*frames));
    frames->frame = calloc(FRAMES_MAX, sizeof(*frames->frame));
    frames->storage = malloc((size_t)FRAMES_MAX * (SIZE_MAX_ + 1));
    tcase_add_test(tcase, every_size);
    tcase_add_test(tcase, every_offset);
    tcase_add_test(tcase, every_offset_of_a_response);
    tcase_set_timeout(tcase, 600);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
