#include "cli/traffic_counters.h"

#include <stdio.h>

#include "cli/traffic.h"

/* XENVIF_VIF_STATISTIC: packets and octets of unicast, multicast and broadcast follow one another. */
enum { SENT_PACKETS = 3, RECEIVED_PACKETS = 12 };

/* A received frame is counted when the poll that gives it to the client is at its end. */
#define SETTLE 1000u /* 100 ns */
#define TRIES 200u

static NTSTATUS query(const struct traffic_device *device, NETCLIENT_STATISTICS *statistics)
{
    return traffic_control(device, IOCTL_NETCLIENT_QUERY_STATISTICS, statistics, 0, sizeof(*statistics));
}

void traffic_counters_begin(struct traffic_counters *counters, const struct traffic_device *device)
{
    counters->known = NT_SUCCESS(query(device, &counters->before));
}

static uint64_t of_all_kinds(const NETCLIENT_STATISTICS *statistics, unsigned first)
{
    return statistics->Vif[first] + statistics->Vif[first + 2] + statistics->Vif[first + 4];
}

static bool all_read(const NETCLIENT_STATISTICS *statistics)
{
    return statistics->Received == statistics->ReceivedRead;
}

/* What was counted, and what is known of it otherwise. */
struct sums {
    uint64_t packets, client_packets;
    uint64_t octets, read_octets;
    bool octets_known; /* each frame was a request of this application's */
};

static struct sums sums_of(const NETCLIENT_STATISTICS *before, const NETCLIENT_STATISTICS *after, bool received,
                           const struct traffic_count *count)
{
    unsigned first = received ? RECEIVED_PACKETS : SENT_PACKETS;

    return (struct sums){
        .packets = of_all_kinds(after, first) - of_all_kinds(before, first),
        .client_packets = received ? after->Received - before->Received : after->WrittenOk - before->WrittenOk,
        .octets = of_all_kinds(after, first + 1) - of_all_kinds(before, first + 1),
        .read_octets = count->bytes,
        .octets_known = count->failed == 0 && (!received || (all_read(before) && all_read(after))),
    };
}

static bool agree(const struct sums *sums)
{
    return sums->packets == sums->client_packets && (!sums->octets_known || sums->octets == sums->read_octets);
}

static void complain_of(const struct sums *sums, bool received, struct traffic_vif *vif)
{
    if (vif->complaint[0] != '\0')
        return;
    snprintf(vif->complaint, sizeof(vif->complaint),
             "VIF %u has counted %llu packets %s, %llu octets; its client has had %llu, %llu octets", vif->index,
             (unsigned long long)sums->packets, received ? "received" : "sent", (unsigned long long)sums->octets,
             (unsigned long long)sums->client_packets, (unsigned long long)sums->read_octets);
}

void traffic_counters_end(const struct traffic_counters *counters, const struct traffic_device *device, bool received,
                          const struct traffic_count *count, struct traffic_vif *vif)
{
    const NETCLIENT_STATISTICS *before = &counters->before;
    LARGE_INTEGER settle = {.QuadPart = -(LONGLONG)SETTLE};
    NETCLIENT_STATISTICS after;
    struct sums sums;

    if (!counters->known)
        return;
    for (unsigned tries = 0;; tries++) {
        if (!NT_SUCCESS(query(device, &after)) || after.Written < before->Written || after.Received < before->Received)
            return;
        sums = sums_of(before, &after, received, count);
        if (agree(&sums))
            return;
        if (tries == TRIES)
            break;
        (void)KeDelayExecutionThread(KernelMode, FALSE, &settle);
    }
    complain_of(&sums, received, vif);
}
