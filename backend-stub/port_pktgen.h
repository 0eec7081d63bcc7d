/*
 * A packet generator's end: the frames of one capture go to the guest so many times over, and those of another are
 * expected from it as often. Nothing is copied or looked for as long as every frame is the one expected: of each its
 * length and its first bytes are compared, the checksum of TCP or UDP among them, of those with one that was left to a
 * card that it is one of the two that it may be.
 */
#ifndef BACKEND_PORT_PKTGEN_H
#define BACKEND_PORT_PKTGEN_H

#include "capture.h"
#include "checker.h"

#define PORT_PKTGEN_HEAD 64u        /* bytes of each frame that are compared, */
#define PORT_PKTGEN_HEAD_MAX 96u    /* unless its checksum ends behind them, and within these */
#define PORT_PKTGEN_DIFFERENCE 256u /* of a line on a frame */

/* What is to come of a frame, but for its bytes. */
struct port_pktgen_form {
    uint16_t size;     /* of its first bytes, which are compared */
    uint16_t checksum; /* where in the first bytes it is, if it may be complete as well as blank; 0: nowhere there */
    uint8_t complete[2];
};

/*
 * Either may be NULL: nothing for the guest, nothing from it. Both stay the caller's, who frees them after the end. The
 * guest gets nothing before port_pktgen_go(). NULL: no memory.
 */
struct port *port_pktgen_create(const struct capture *to_guest, const struct capture *from_guest, uint64_t rounds);
/* The guest is ready for frames. Callable from any thread of control of the machine. */
void port_pktgen_go(struct port *port);

/*
 * `reordered` are frames that came behind their place, or a second time; `extra` those behind the last. Frames in all:
 * rounds times the capture.
 */
struct checker_verdict port_pktgen_verdict(const struct port *port);
/* A line on the first frame that was not the one expected, "" if all were. */
const char *port_pktgen_difference(const struct port *port);

struct port_pktgen_form port_pktgen_form(const struct port_frame *frame);
/*
 * The same line, of a frame from `from` that came in the place of number `number`, from 0 over all rounds; `data` has
 * its first bytes.
 */
void port_pktgen_describe(char line[PORT_PKTGEN_DIFFERENCE], const char *from, const struct capture *expected,
                          uint64_t number, const uint8_t *data, uint32_t length);

#endif
