#include "capture.h"

#include "packet.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_SNAPLEN 262144
#define STORAGE_ALIGNMENT 4096u
#define WIRE_MTU 1500u /* of the network where segments would have gone */

/* The loading of one file. */
struct loading {
    const char *path;
    char *error;
    struct capture *capture;
    size_t storage_size;
    size_t storage_used;
    unsigned frames_max;
    size_t *offset; /* of each frame in the storage, while that still moves; see resolve() */
    /* Frames by their bytes, those that are in the storage: numbers, from 1 on. More than half of the places are free.
     */
    unsigned *place;
    unsigned places;
    unsigned distinct;
};

static size_t align(size_t size)
{
    return (size + STORAGE_ALIGNMENT - 1) / STORAGE_ALIGNMENT * STORAGE_ALIGNMENT;
}

static uint64_t hash_of(const uint8_t *data, uint32_t length)
{
    uint64_t hash = length, word;

    for (; length >= sizeof(word); data += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    for (; length; data++, length--)
        hash = (hash ^ *data) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

/* Where a frame of these bytes has its number, or is to have it. */
static unsigned *place_of(const struct loading *loading, const uint8_t *data, uint32_t length)
{
    const struct capture *capture = loading->capture;
    unsigned at = (unsigned)hash_of(data, length) & (loading->places - 1);

    while (loading->place[at]) {
        unsigned number = loading->place[at] - 1;

        if (capture->frame[number].length == length &&
            memcmp(capture->storage + loading->offset[number], data, length) == 0)
            break;
        at = (at + 1) & (loading->places - 1);
    }
    return &loading->place[at];
}

static void add_places(struct loading *loading)
{
    unsigned *before = loading->place, count = loading->places;

    loading->places = count ? count * 2 : 512;
    loading->place = calloc(loading->places, sizeof(*loading->place));
    for (unsigned i = 0; i < count; i++) {
        if (before[i]) {
            unsigned number = before[i] - 1;

            *place_of(loading, loading->capture->storage + loading->offset[number],
                      loading->capture->frame[number].length) = number + 1;
        }
    }
    free(before);
}

/* A frame of more than a page starts at one: see resolve(). Returns where. */
static size_t store(struct loading *loading, const uint8_t *data, uint32_t length)
{
    struct capture *capture = loading->capture;
    size_t offset;

    if (length > STORAGE_ALIGNMENT)
        loading->storage_used = align(loading->storage_used);
    if (loading->storage_used + length > loading->storage_size) {
        loading->storage_size = loading->storage_size * 2 + length + 65536;
        capture->storage = realloc(capture->storage, loading->storage_size);
    }
    offset = loading->storage_used;
    memcpy(capture->storage + offset, data, length);
    loading->storage_used += length;
    return offset;
}

/* What comes again is kept once: long traffic of few frames stays in a processor's cache. */
static void append(struct loading *loading, const uint8_t *data, uint32_t length)
{
    struct capture *capture = loading->capture;
    unsigned *place;

    if (capture->count == loading->frames_max) {
        loading->frames_max = loading->frames_max * 2 + 256;
        capture->frame = realloc(capture->frame, loading->frames_max * sizeof(*capture->frame));
        loading->offset = realloc(loading->offset, loading->frames_max * sizeof(*loading->offset));
    }
    if (loading->distinct * 2 >= loading->places)
        add_places(loading);
    place = place_of(loading, data, length);
    if (*place) {
        loading->offset[capture->count] = loading->offset[*place - 1];
    } else {
        loading->offset[capture->count] = store(loading, data, length);
        *place = capture->count + 1;
        loading->distinct++;
    }
    capture->frame[capture->count++] = (struct port_frame){.length = length};
    capture->bytes += length;
}

/*
 * A capture does not say which frames were on a wire and which were handed to a card that offloads; the frames do. A
 * checksum that is the pseudo-header's sum, and not by chance the right one too, was left to the card, and a TCP packet
 * with such a checksum that is too large for the wire was to be cut.
 */
static void classify(struct port_frame *frame)
{
    struct packet packet;
    uint32_t size;

    packet_parse(frame->data, frame->length, &packet);
    if (!packet.checksum || !packet_is_partial(frame->data, &packet) || packet_is_right(frame->data, &packet))
        return;
    frame->checksum = PORT_CHECKSUM_BLANK;
    size = WIRE_MTU - (uint32_t)(packet.payload - packet.network);
    if (packet.protocol != PACKET_TCP || packet.end - packet.payload <= size)
        return;
    frame->gso = packet.version == 4 ? PORT_GSO_TCPV4 : PORT_GSO_TCPV6;
    frame->gso_size = (uint16_t)size;
}

/*
 * Frames get their place, in memory that starts at a page: a grant copy that crosses a page of ours is two for Xen, and
 * how many there are must not depend on where the heap put the capture.
 */
static void resolve(const struct loading *loading)
{
    struct capture *capture = loading->capture;
    uint8_t *data = aligned_alloc(STORAGE_ALIGNMENT, align(loading->storage_used));

    memcpy(data, capture->storage, loading->storage_used);
    free(capture->storage);
    capture->storage = data;
    for (unsigned i = 0; i < capture->count; i++) {
        capture->frame[i].data = data + loading->offset[i];
        classify(&capture->frame[i]);
    }
}

static bool check_frame(const struct loading *loading, const struct pcap_pkthdr *header)
{
    unsigned number = loading->capture->count + 1;

    if (header->caplen < header->len)
        snprintf(
            loading->error, CAPTURE_ERROR_MAX,
            "%s: frame %u was cut short when it was captured (%u of %u bytes): capture with a snapshot length of 0",
            loading->path, number, header->caplen, header->len);
    else if (header->len < PORT_FRAME_MIN || header->len > PORT_FRAME_MAX || header->caplen > header->len)
        snprintf(loading->error, CAPTURE_ERROR_MAX, "%s: frame %u has %u bytes: an Ethernet frame has %u to %u",
                 loading->path, number, header->len, PORT_FRAME_MIN, PORT_FRAME_MAX);
    else
        return true;
    return false;
}

static bool load_frames(struct loading *loading, pcap_t *pcap)
{
    struct pcap_pkthdr *header;
    const uint8_t *data;
    int result;

    if (pcap_datalink(pcap) != DLT_EN10MB) {
        const char *name = pcap_datalink_val_to_name(pcap_datalink(pcap));

        snprintf(loading->error, CAPTURE_ERROR_MAX, "%s: link type %s: only Ethernet (EN10MB) can be used",
                 loading->path, name ? name : "unknown");
        return false;
    }
    while ((result = pcap_next_ex(pcap, &header, &data)) == 1) {
        if (!check_frame(loading, header))
            return false;
        append(loading, data, header->len);
    }
    if (result != PCAP_ERROR_BREAK) { /* which is the end of the file */
        snprintf(loading->error, CAPTURE_ERROR_MAX, "%s: damaged after frame %u: %s", loading->path,
                 loading->capture->count, pcap_geterr(pcap));
        return false;
    }
    if (!loading->capture->count) {
        snprintf(loading->error, CAPTURE_ERROR_MAX, "%s: the capture holds no frame", loading->path);
        return false;
    }
    return true;
}

struct capture *capture_load(const char *path, char error[CAPTURE_ERROR_MAX])
{
    struct loading loading = {.path = path, .error = error};
    char reason[PCAP_ERRBUF_SIZE] = "";
    FILE *file = fopen(path, "rb");
    pcap_t *pcap;
    bool loaded;

    if (!file) {
        snprintf(error, CAPTURE_ERROR_MAX, "%s: %s", path, strerror(errno));
        return NULL;
    }
    pcap = pcap_fopen_offline(file, reason);
    if (!pcap) {
        snprintf(error, CAPTURE_ERROR_MAX, "%s: no capture: %s", path, reason);
        fclose(file);
        return NULL;
    }
    loading.capture = calloc(1, sizeof(*loading.capture));
    loaded = load_frames(&loading, pcap);
    pcap_close(pcap); /* and the file */
    if (loaded)
        resolve(&loading);
    free(loading.place);
    free(loading.offset);
    if (!loaded) {
        capture_free(loading.capture);
        return NULL;
    }
    return loading.capture;
}

void capture_free(struct capture *capture)
{
    if (!capture)
        return;
    free(capture->frame);
    free(capture->storage);
    free(capture);
}

struct capture_writer {
    pcap_t *pcap;
    pcap_dumper_t *dumper;
    uint64_t (*clock)(void);
    char *path;
};

struct capture_writer *capture_writer_open(const char *path, uint64_t (*clock)(void), char error[CAPTURE_ERROR_MAX])
{
    struct capture_writer *writer;
    pcap_t *pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, WRITE_SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
    pcap_dumper_t *dumper = pcap ? pcap_dump_open(pcap, path) : NULL;

    if (!dumper) {
        snprintf(error, CAPTURE_ERROR_MAX, "%s", pcap ? pcap_geterr(pcap) : "libpcap gives no handle to write with");
        if (pcap)
            pcap_close(pcap);
        return NULL;
    }
    writer = calloc(1, sizeof(*writer));
    writer->pcap = pcap;
    writer->dumper = dumper;
    writer->clock = clock;
    writer->path = strdup(path);
    return writer;
}

void capture_writer_put(struct capture_writer *writer, const struct port_frame *frame)
{
    uint64_t now = writer->clock();
    struct pcap_pkthdr header = {.caplen = frame->length, .len = frame->length};

    header.ts.tv_sec = (time_t)(now / 1000000000u);
    header.ts.tv_usec = (suseconds_t)(now % 1000000000u); /* nanoseconds, as the handle was opened for */
    pcap_dump((uint8_t *)writer->dumper, &header, frame->data);
}

bool capture_writer_close(struct capture_writer *writer, char error[CAPTURE_ERROR_MAX])
{
    FILE *file = pcap_dump_file(writer->dumper);
    bool good = fflush(file) == 0 && !ferror(file);

    if (!good)
        snprintf(error, CAPTURE_ERROR_MAX, "%s: not everything could be written: %s", writer->path, strerror(errno));
    pcap_dump_close(writer->dumper);
    pcap_close(writer->pcap);
    free(writer->path);
    free(writer);
    return good;
}
