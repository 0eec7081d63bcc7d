#include "port_capture.h"

#include <stdlib.h>

struct port_capture {
    struct port port;
    const struct capture *frames;
    struct capture_writer *writer;
    unsigned next;
    bool go;
};

static void capture_start(struct port *port)
{
    (void)port; /* goes on where it was: what the guest has not taken is not lost by a reconnection */
}

static void capture_stop(struct port *port)
{
    (void)port;
}

static bool capture_receive(struct port *port, struct port_frame *frame)
{
    struct port_capture *capture = (struct port_capture *)port;

    if (!capture->go || !capture->frames || capture->next == capture->frames->count)
        return false;
    *frame = capture->frames->frame[capture->next++];
    return true;
}

static void capture_transmit(struct port *port, const struct port_frame *frame)
{
    struct port_capture *capture = (struct port_capture *)port;

    if (capture->writer)
        capture_writer_put(capture->writer, frame);
}

static void capture_destroy(struct port *port)
{
    free(port);
}

static const struct port_ops capture_ops = {
    .start = capture_start,
    .stop = capture_stop,
    .receive = capture_receive,
    .transmit = capture_transmit,
    .destroy = capture_destroy,
};

struct port *port_capture_create(const struct capture *frames, struct capture_writer *writer)
{
    struct port_capture *capture = calloc(1, sizeof(*capture));

    capture->port = (struct port){.ops = &capture_ops, .offload = true};
    capture->frames = frames;
    capture->writer = writer;
    return &capture->port;
}

void port_capture_go(struct port *port)
{
    ((struct port_capture *)port)->go = true;
    port_wake(port);
}
