/* An end whose frames for the guest come from a capture, and that records the guest's frames in another. */
#ifndef BACKEND_PORT_CAPTURE_H
#define BACKEND_PORT_CAPTURE_H

#include "capture.h"
#include "port.h"

/*
 * Either may be NULL: nothing for the guest, nothing recorded. Both stay the caller's, who frees them after the end.
 * The guest gets nothing before port_capture_go(). Frames are recorded as the guest sent them, offloaded ones too.
 */
struct port *port_capture_create(const struct capture *frames, struct capture_writer *writer);
/* The guest is ready for frames. Callable from any thread of control of the machine. */
void port_capture_go(struct port *port);

#endif
