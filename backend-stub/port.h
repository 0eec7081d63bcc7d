/*
 * The network end of a VIF: where frames for the guest come from and where the guest's frames go. An end belongs to one
 * VIF and is called from netback's loop only. Frames are whole Ethernet frames without FCS, or what a stack hands to a
 * card that offloads: TCP packets that are still to be cut into segments, checksums that are still to be completed.
 */
#ifndef BACKEND_PORT_H
#define BACKEND_PORT_H

#include <stdbool.h>
#include <stdint.h>

#define PORT_FRAME_MIN 14u
#define PORT_FRAME_MAX 65535u

/* For so many more calls of receive() a frame's bytes stay: as many frames go to the guest at once. */
#define PORT_FRAMES_KEPT 65u

struct port;

/* The checksum of TCP or UDP. */
enum port_checksum {
    PORT_CHECKSUM_NONE,      /* nobody has looked at it; it is there, or the frame has none */
    PORT_CHECKSUM_VALIDATED, /* it was found right */
    PORT_CHECKSUM_BLANK,     /* it is the pseudo-header's sum, and to be completed before the frame meets a wire */
};

/* What the frame is to be cut into segments of. */
enum port_gso { PORT_GSO_NONE, PORT_GSO_TCPV4, PORT_GSO_TCPV6 };

struct port_frame {
    const uint8_t *data;
    uint32_t length;
    uint8_t checksum;  /* enum port_checksum; BLANK wherever there is a gso */
    uint8_t gso;       /* enum port_gso */
    uint16_t gso_size; /* bytes of TCP data in a segment */
    /* The sender's hash: XEN_NETIF_CTRL_HASH_ALGORITHM_*, 0 if there is none, _XEN_NETIF_CTRL_HASH_TYPE_*, value. */
    uint8_t hash_algorithm;
    uint8_t hash_type;
    uint32_t hash;
};

struct port_ops {
    /* The VIF is connected: frames may flow. Called again after each reconnection. */
    void (*start)(struct port *port);
    /* It no longer is. */
    void (*stop)(struct port *port);
    /* The next frame for the guest, false when there is none now. */
    bool (*receive)(struct port *port, struct port_frame *frame);
    /* A frame from the guest, for the time of the call. One that `offload` does not take has been made fit for a wire.
     */
    void (*transmit)(struct port *port, const struct port_frame *frame);
    void (*destroy)(struct port *port);
};

/* First member of every end's structure. */
struct port {
    const struct port_ops *ops;
    struct port *outer; /* the end that passes frames on to this one, NULL if none */
    bool offload;       /* it takes blank checksums and gso */
    bool link_down;     /* the cable is out; by port_set_link() */
    bool wake;          /* set by port_wake(); netback clears it and asks for frames */
};

/* The end has frames again after receive() had none. Callable from another thread of control than netback's. */
void port_wake(struct port *port);

/* The end's cable is in or out, which frontends that are offered `carrier` are told. Callable like port_wake(). */
void port_set_link(struct port *port, bool up);

static inline void port_destroy(struct port *port)
{
    if (port)
        port->ops->destroy(port);
}

#endif
