/*
 * The network end of a VIF: where frames for the guest come from and where the guest's frames go. An end belongs to one
 * VIF and is called from netback's loop only. Frames are whole Ethernet frames without FCS.
 */
#ifndef BACKEND_PORT_H
#define BACKEND_PORT_H

#include <stdbool.h>
#include <stdint.h>

#define PORT_FRAME_MIN 14u
#define PORT_FRAME_MAX 65535u

struct port;

struct port_frame {
    const uint8_t *data;
    uint32_t length;
};

struct port_ops {
    /* The VIF is connected: frames may flow. Called again after each reconnection. */
    void (*start)(struct port *port);
    /* It no longer is. */
    void (*stop)(struct port *port);
    /* The next frame for the guest, false when there is none now. The bytes stay until the next call. */
    bool (*receive)(struct port *port, struct port_frame *frame);
    /* A frame from the guest. */
    void (*transmit)(struct port *port, const struct port_frame *frame);
    void (*destroy)(struct port *port);
};

/* First member of every end's structure. */
struct port {
    const struct port_ops *ops;
    struct port *outer; /* the end that passes frames on to this one, NULL if none */
    bool wake;          /* set by port_wake(); netback clears it and asks for frames */
};

/* The end has frames again after receive() had none. Callable from another thread of control than netback's. */
void port_wake(struct port *port);

static inline void port_destroy(struct port *port)
{
    if (port)
        port->ops->destroy(port);
}

#endif
