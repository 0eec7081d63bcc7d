/*
 * The packet generator's part of the application: it hands the captures to the client once, has it send and check them
 * so many times over, and reads the result.
 */
#include "cli/traffic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "cli/cli.h"
#include "cli/traffic_device.h"
#include "machine/image.h"
#include "machine/sched.h"
#include "packet.h"
#include "nt/nt_init.h"
#include "../../tests/clients/netclient/netclient_ioctl.h"

#define PART_BYTES (256u << 10) /* of a load in one request, unless one frame alone is longer */
#define PLAIN_IPV4 0x45u        /* no options */
#define TCP_FLAGS 13u
#define TCP_PLAIN 0x58u /* ACK, PSH, ECE */
#define PART_EXPECTED (PART_BYTES / sizeof(NETCLIENT_EXPECTED))

_Static_assert(NETCLIENT_PKTGEN_HEAD == PORT_PKTGEN_HEAD_MAX, "both ends compare the same bytes");
_Static_assert(NETCLIENT_PKTGEN_BATCH_MAX == PKTGEN_BATCH_MAX, "what --batch may be");

static uint32_t count_of(const struct capture *capture)
{
    return capture != NULL ? capture->count : 0;
}

/* ---- what can be carried ---- */

/* Why a frame that is to be cut into segments would be on its way between the guest and netback, NULL: it would not. */
static const char *cut(const struct port_frame *frame, const struct netback_features *features)
{
    if (frame->gso == PORT_GSO_TCPV4 && !(features->sg && features->csum_offload && features->gso_tcpv4))
        return "it is cut into segments unless sg, csum-offload and gso-tcpv4 are offered";
    if (frame->gso == PORT_GSO_TCPV6 && !(features->sg && features->ipv6_csum_offload && features->gso_tcpv6))
        return "it is cut into segments unless sg, ipv6-csum-offload and gso-tcpv6 are offered";
    return NULL;
}

/* Why the guest's frame would not come out of netback as it is, NULL if it would. */
static const char *tx_refused(const struct port_frame *frame, const struct netback_features *features)
{
    if (frame->gso != PORT_GSO_NONE && features->wire)
        return "wire has netback cut it into segments";
    return cut(frame, features);
}

/* The same of a frame for the guest. */
static const char *rx_refused(const struct port_frame *frame, const struct netback_features *features)
{
    const uint8_t *ip, *tcp;
    struct packet packet;

    if (frame->gso == PORT_GSO_NONE)
        return frame->length > PAGE_SIZE && !features->sg ? "without sg netback drops what takes more than a page"
                                                          : NULL;
    packet_parse(frame->data, frame->length, &packet);
    if (!packet.common)
        return "netback cuts it into segments for its headers";
    ip = frame->data + packet.network;
    tcp = frame->data + packet.transport;
    if ((packet.version == 4 && ip[0] != PLAIN_IPV4) || (tcp[TCP_FLAGS] & ~TCP_PLAIN) != 0)
        return "the driver gives the client segments of what is more than plain data, as for RSC";
    return cut(frame, features);
}

static bool check_frames(const char *option, const struct capture *capture, const struct netback_features *features,
                         const char *(*refused)(const struct port_frame *, const struct netback_features *))
{
    for (uint32_t number = 0; number < count_of(capture); number++) {
        const char *why = refused(&capture->frame[number], features);

        if (why == NULL)
            continue;
        complain("--pktgen: frame %" PRIu32 " of --%s would not arrive as it is: %s", number + 1, option, why);
        return false;
    }
    return true;
}

bool traffic_pktgen_check(const struct capture *tx, const struct capture *rx, const struct netback_features *features)
{
    return check_frames("tx", tx, features, tx_refused) && check_frames("rx", rx, features, rx_refused);
}

/* ---- the load ---- */

static NTSTATUS begin(const struct traffic_vif *vif, const struct traffic_device *device)
{
    NETCLIENT_PKTGEN parameters = {
        .Rounds = vif->rounds, .Send = count_of(vif->tx), .Expect = count_of(vif->rx), .Batch = vif->batch};

    return traffic_control(device, IOCTL_NETCLIENT_PKTGEN_BEGIN, &parameters, sizeof(parameters), 0);
}

static NTSTATUS load_sent(const struct capture *capture, const struct traffic_device *device)
{
    uint8_t *part = image_alloc(PART_BYTES);
    NTSTATUS status = STATUS_SUCCESS;

    _Static_assert(NETCLIENT_ENTRY_SIZE(PORT_FRAME_MAX) <= PART_BYTES, "any frame fits in a part");
    for (uint32_t number = 0; NT_SUCCESS(status) && number < count_of(capture);) {
        uint32_t at = 0;

        for (; number < capture->count; number++) {
            const struct port_frame *frame = &capture->frame[number];
            NETCLIENT_ENTRY *entry = (NETCLIENT_ENTRY *)(part + at);

            if (PART_BYTES - at < NETCLIENT_ENTRY_SIZE(frame->length))
                break;
            *entry = (NETCLIENT_ENTRY){.Length = frame->length, .Left = (uint32_t)traffic_left_to_card(frame)};
            memcpy(entry + 1, frame->data, frame->length);
            at += NETCLIENT_ENTRY_SIZE(frame->length);
        }
        status = traffic_control(device, IOCTL_NETCLIENT_PKTGEN_SEND, part, at, 0);
    }
    image_free(part);
    return status;
}

static NETCLIENT_EXPECTED expect(const struct port_frame *frame)
{
    struct port_pktgen_form form = port_pktgen_form(frame);
    NETCLIENT_EXPECTED expected = {.Length = frame->length, .Size = form.size, .OtherAt = form.checksum};

    memcpy(expected.Head, frame->data, form.size);
    memcpy(expected.Other, form.complete, sizeof(expected.Other));
    return expected;
}

static NTSTATUS load_expected(const struct capture *capture, const struct traffic_device *device)
{
    NETCLIENT_EXPECTED *part = image_alloc(PART_EXPECTED * sizeof(*part));
    NTSTATUS status = STATUS_SUCCESS;

    for (uint32_t number = 0; NT_SUCCESS(status) && number < count_of(capture);) {
        uint32_t count = 0;

        while (count < PART_EXPECTED && number < capture->count)
            part[count++] = expect(&capture->frame[number++]);
        status = traffic_control(device, IOCTL_NETCLIENT_PKTGEN_EXPECT, part, count * (ULONG)sizeof(*part), 0);
    }
    image_free(part);
    return status;
}

static NTSTATUS load(const struct traffic_vif *vif, const struct traffic_device *device)
{
    static const struct capture nothing;
    NTSTATUS status = traffic_ask_for_whole(device);

    if (NT_SUCCESS(status))
        status = traffic_ask_for_wishes(device, vif, vif->rx != NULL ? vif->rx : &nothing);
    if (NT_SUCCESS(status))
        status = begin(vif, device);
    if (NT_SUCCESS(status))
        status = load_sent(vif->tx, device);
    return NT_SUCCESS(status) ? load_expected(vif->rx, device) : status;
}

static void load_main(void *argument)
{
    struct traffic_vif *vif = argument;
    struct traffic_device device;

    vif->open_status = traffic_open(vif->index, &device);
    if (NT_SUCCESS(vif->open_status)) {
        vif->load_status = load(vif, &device);
        ObDereferenceObject(device.file);
    }
    vif->ready = true;
    vif->running--;
    task_unpark(vif->waiter);
}

/* ---- the run ---- */

/* Why the run is not good, if the client's result says so by itself. */
static void explain(struct traffic_vif *vif, const NETCLIENT_PKTGEN_RESULT *result)
{
    char line[PORT_PKTGEN_DIFFERENCE];

    if (result->Different < vif->rounds * count_of(vif->rx)) {
        port_pktgen_describe(line, "to the guest", vif->rx, result->Different, result->DifferentHead,
                             result->DifferentLength);
        snprintf(vif->complaint, sizeof(vif->complaint), "VIF %u: %s", vif->index, line);
    } else if (result->Different != ~UINT64_C(0)) {
        snprintf(vif->complaint, sizeof(vif->complaint),
                 "VIF %u: a frame of %u bytes came behind the last one expected", vif->index,
                 (unsigned)result->DifferentLength);
    } else if (result->Status == STATUS_IO_TIMEOUT) {
        snprintf(vif->complaint, sizeof(vif->complaint),
                 "VIF %u: nothing moves any more: of %" PRIu64 " frames sent %" PRIu64 " have come back, of %" PRIu64
                 " to be received %" PRIu64 " have come",
                 vif->index, (uint64_t)result->Sent,
                 (uint64_t)(result->SentOk + result->SentDropped + result->SentError), vif->rounds * count_of(vif->rx),
                 (uint64_t)result->Received);
    } else if (!NT_SUCCESS(result->Status)) {
        snprintf(vif->complaint, sizeof(vif->complaint),
                 "VIF %u: frame %" PRIu64 ", frame %" PRIu64 " of the capture, could not be sent: status 0x%08X",
                 vif->index, (uint64_t)result->Sent + 1, (uint64_t)(result->Sent % vif->tx->count) + 1,
                 (unsigned)result->Status);
    }
}

static void account(struct traffic_vif *vif, const NETCLIENT_PKTGEN_RESULT *result)
{
    vif->sent.frames = result->SentOk;
    vif->sent.failed = result->SentDropped + result->SentError;
    vif->got.frames = result->ReceivedGood;
    vif->got.bytes = result->ReceivedBytes;
    vif->got.corrupt = result->ReceivedCorrupt + result->ReceivedLate;
    explain(vif, result);
}

static void run_main(void *argument)
{
    struct traffic_vif *vif = argument;
    struct traffic_device device;
    NETCLIENT_PKTGEN_RESULT result;
    NTSTATUS status = traffic_open(vif->index, &device);

    if (NT_SUCCESS(status)) {
        status = traffic_control(&device, IOCTL_NETCLIENT_PKTGEN_RUN, &result, 0, sizeof(result));
        ObDereferenceObject(device.file);
    }
    if (NT_SUCCESS(status))
        account(vif, &result);
    else
        snprintf(vif->complaint, sizeof(vif->complaint), "VIF %u: the packet generator ended with status 0x%08X",
                 vif->index, (unsigned)status);
    vif->running--;
    task_unpark(vif->waiter);
}

void traffic_start_load(struct traffic_vif *vif)
{
    vif->running++;
    nt_thread_start("traffic load", load_main, vif);
}

void traffic_start_pktgen(struct traffic_vif *vif)
{
    vif->running++;
    nt_thread_start("traffic generator", run_main, vif);
}
