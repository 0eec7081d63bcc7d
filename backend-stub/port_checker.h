/* An end that compares what the guest sends with a capture, and passes everything on to another end. */
#ifndef BACKEND_PORT_CHECKER_H
#define BACKEND_PORT_CHECKER_H

#include "capture.h"
#include "log.h"
#include "port.h"

struct checker_verdict {
    uint64_t frames; /* that came */
    uint64_t bytes;
    uint64_t good;      /* equal to the expected one, in its place */
    uint64_t lost;      /* expected, and not come so far */
    uint64_t corrupt;   /* came in the place of an expected one, with other bytes or another length */
    uint64_t reordered; /* equal to an expected one, but later than its place */
    uint64_t extra;     /* more than were expected */
};

/* The checker owns `inner`; the capture and the logger stay the caller's. */
struct port *port_checker_create(struct port *inner, const struct capture *expected,
                                 const struct backend_logger *logger);
struct checker_verdict port_checker_verdict(const struct port *port);
/* When the end is destroyed, add its verdict to this one. */
void port_checker_keep(struct port *port, struct checker_verdict *sum);

#endif
