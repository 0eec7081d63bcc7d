/*
 * The VIF's counters against what its client and the application had, over one direction of the traffic: frames that
 * were counted twice or not at all fail a run, as those do that are lost. From guest threads.
 */
#ifndef CLI_TRAFFIC_COUNTERS_H
#define CLI_TRAFFIC_COUNTERS_H

#include <stdbool.h>

#include "cli/traffic_device.h"
#include "../../tests/clients/netclient/netclient_ioctl.h"

struct traffic_count;

struct traffic_counters {
    bool known; /* the device has told of them */
    NETCLIENT_STATISTICS before;
};

/* Before the first request. */
void traffic_counters_begin(struct traffic_counters *counters, const struct traffic_device *device);
/*
 * After the last one: `count` is what became of them. What does not agree is `vif`'s complaint, if it has no other.
 * Nothing is said of a device that has gone, or has been started anew meanwhile.
 */
void traffic_counters_end(const struct traffic_counters *counters, const struct traffic_device *device, bool received,
                          const struct traffic_count *count, struct traffic_vif *vif);

#endif
