#include "port_pktgen.h"

#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Frames that are not the one expected are looked for in so many cases: it takes long. */
#define SEARCHES 100u

struct port_pktgen {
    struct port port;
    const struct capture *to_guest;
    uint64_t left; /* frames for the guest */
    unsigned next_out;
    bool go;

    const struct capture *expected;
    struct port_pktgen_form *form; /* of each frame of it */
    uint64_t total;
    uint64_t position; /* of the frame that is next, over all rounds */
    unsigned next;     /* the same in the capture */
    unsigned searches;
    struct checker_verdict verdict; /* but for `lost` */
    char difference[PORT_PKTGEN_DIFFERENCE];
};

struct port_pktgen_form port_pktgen_form(const struct port_frame *frame)
{
    struct port_pktgen_form form = {0};
    uint8_t headers[PACKET_HEADERS_MAX];
    struct packet packet;
    uint32_t end;

    packet_parse(frame->data, frame->length, &packet);
    end = packet.checksum ? packet.checksum + (uint32_t)sizeof(form.complete) : 0;
    form.size = (uint16_t)(frame->length < PORT_PKTGEN_HEAD ? frame->length : PORT_PKTGEN_HEAD);
    if (end > form.size && end <= PORT_PKTGEN_HEAD_MAX)
        form.size = (uint16_t)end;
    if (frame->checksum != PORT_CHECKSUM_BLANK || !end || end > form.size)
        return form;
    memcpy(headers, frame->data, packet.payload);
    packet_complete(headers, &packet, frame->data + packet.payload, packet.end - packet.payload);
    form.checksum = packet.checksum;
    memcpy(form.complete, headers + packet.checksum, sizeof(form.complete));
    return form;
}

void port_pktgen_describe(char line[PORT_PKTGEN_DIFFERENCE], const char *from, const struct capture *expected,
                          uint64_t number, const uint8_t *data, uint32_t length)
{
    const struct port_frame *frame = &expected->frame[number % expected->count];
    uint32_t at = 0, size = port_pktgen_form(frame).size;
    char where[64] = "";

    if (size > length)
        size = length;
    while (at < size && data[at] == frame->data[at])
        at++;
    if (at < size)
        snprintf(where, sizeof(where), "; they differ from byte %u on: 0x%02X for 0x%02X", at, data[at],
                 frame->data[at]);
    snprintf(line, PORT_PKTGEN_DIFFERENCE,
             "in the place of frame %llu %s, which is frame %u of the capture in round %llu and has %u bytes, came one "
             "of %u bytes%s",
             (unsigned long long)number + 1, from, (unsigned)(number % expected->count) + 1,
             (unsigned long long)(number / expected->count) + 1, frame->length, length, where);
}

/* ---- to the guest ---- */

static void start(struct port *port)
{
    (void)port; /* goes on where it was */
}

static void stop(struct port *port)
{
    (void)port;
}

static bool receive(struct port *port, struct port_frame *frame)
{
    struct port_pktgen *generator = (struct port_pktgen *)port;

    if (!generator->go || !generator->left)
        return false;
    *frame = generator->to_guest->frame[generator->next_out++];
    if (generator->next_out == generator->to_guest->count)
        generator->next_out = 0;
    generator->left--;
    return true;
}

/* ---- from the guest ---- */

/* A frame that is blank has to say so, and one that does not has to have the right checksum. */
static bool matches(const struct port_pktgen *generator, unsigned number, const struct port_frame *frame)
{
    const struct port_frame *expected = &generator->expected->frame[number];
    const struct port_pktgen_form *form = &generator->form[number];
    uint32_t behind = form->checksum + (uint32_t)sizeof(form->complete);

    if (frame->length != expected->length || frame->gso != expected->gso)
        return false;
    if (!form->checksum || frame->checksum == PORT_CHECKSUM_BLANK)
        return memcmp(frame->data, expected->data, form->size) == 0;
    return memcmp(frame->data, expected->data, form->checksum) == 0 &&
           memcmp(frame->data + form->checksum, form->complete, sizeof(form->complete)) == 0 &&
           memcmp(frame->data + behind, expected->data + behind, form->size - behind) == 0;
}

/*
 * A frame that is not the one expected may be found further on: those between are missing so far; or behind: it is
 * late, or there a second time. Half of the capture is looked through each way.
 */
static void place(struct port_pktgen *generator, const struct port_frame *frame)
{
    unsigned count = generator->expected->count;

    for (unsigned places = 1; generator->searches < SEARCHES && places <= count / 2; places++) {
        if (places < generator->total - generator->position &&
            matches(generator, (generator->next + places) % count, frame)) {
            generator->position += places + 1;
            generator->next = (generator->next + places + 1) % count;
            generator->verdict.good++;
            return;
        }
        if (places <= generator->position && matches(generator, (generator->next + count - places) % count, frame)) {
            generator->verdict.reordered++;
            return;
        }
    }
    generator->searches++;
    generator->verdict.corrupt++;
    generator->position++;
    generator->next = (generator->next + 1) % count;
}

static void transmit(struct port *port, const struct port_frame *frame)
{
    struct port_pktgen *generator = (struct port_pktgen *)port;

    generator->verdict.frames++;
    generator->verdict.bytes += frame->length;
    if (generator->position == generator->total) {
        if (!generator->difference[0])
            snprintf(generator->difference, sizeof(generator->difference),
                     "a frame of %u bytes from the guest is more than the %llu expected", frame->length,
                     (unsigned long long)generator->total);
        generator->verdict.extra++;
        return;
    }
    if (!matches(generator, generator->next, frame)) {
        if (!generator->difference[0])
            port_pktgen_describe(generator->difference, "from the guest", generator->expected, generator->position,
                                 frame->data, frame->length);
        place(generator, frame);
        return;
    }
    generator->verdict.good++;
    generator->position++;
    if (++generator->next == generator->expected->count)
        generator->next = 0;
}

static void destroy(struct port *port)
{
    free(((struct port_pktgen *)port)->form);
    free(port);
}

static const struct port_ops ops = {
    .start = start,
    .stop = stop,
    .receive = receive,
    .transmit = transmit,
    .destroy = destroy,
};

struct port *port_pktgen_create(const struct capture *to_guest, const struct capture *from_guest, uint64_t rounds)
{
    struct port_pktgen *generator = calloc(1, sizeof(*generator));

    if (!generator)
        return NULL;
    generator->port = (struct port){.ops = &ops, .offload = true};
    generator->to_guest = to_guest;
    generator->left = to_guest ? rounds * to_guest->count : 0;
    if (!from_guest)
        return &generator->port;
    generator->expected = from_guest;
    generator->total = rounds * from_guest->count;
    generator->form = calloc(from_guest->count, sizeof(*generator->form));
    if (!generator->form) {
        free(generator);
        return NULL;
    }
    for (unsigned i = 0; i < from_guest->count; i++)
        generator->form[i] = port_pktgen_form(&from_guest->frame[i]);
    return &generator->port;
}

void port_pktgen_go(struct port *port)
{
    ((struct port_pktgen *)port)->go = true;
    port_wake(port);
}

struct checker_verdict port_pktgen_verdict(const struct port *port)
{
    const struct port_pktgen *generator = (const struct port_pktgen *)port;
    struct checker_verdict verdict = generator->verdict;

    verdict.lost = generator->total > verdict.good + verdict.corrupt + verdict.reordered
                       ? generator->total - verdict.good - verdict.corrupt - verdict.reordered
                       : 0;
    return verdict;
}

const char *port_pktgen_difference(const struct port *port)
{
    return ((const struct port_pktgen *)port)->difference;
}
