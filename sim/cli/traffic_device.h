/* The client driver's device, and what is asked of it before frames move. From guest threads. */
#ifndef CLI_TRAFFIC_DEVICE_H
#define CLI_TRAFFIC_DEVICE_H

#include "nt/ke/ke.h"

struct capture;
struct port_frame;
struct traffic_vif;

struct traffic_device {
    PFILE_OBJECT file; /* to be dereferenced */
    PDEVICE_OBJECT object;
};

NTSTATUS traffic_open(unsigned index, struct traffic_device *device);
/* A request of the device's own, to its end; what comes out takes the place of what goes in. */
NTSTATUS traffic_control(const struct traffic_device *device, ULONG code, void *buffer, ULONG input, ULONG output);

/*
 * What a frame's sender leaves to the card, as a write's byte offset has it: the options in the lowest 16 bits, the
 * maximum segment size in the next.
 */
uint64_t traffic_left_to_card(const struct port_frame *frame);

/* What is large is to come whole, and checksums that netback vouches for as they are, as XENNET has it. */
NTSTATUS traffic_ask_for_whole(const struct traffic_device *device);
/* What the VIF's `rss` and `multicast_filter` say, of frames of this capture. */
NTSTATUS traffic_ask_for_wishes(const struct traffic_device *device, const struct traffic_vif *vif,
                                const struct capture *capture);

#endif
