/* An end that compares what the guest sends with a capture, and passes everything on to another end. */
#ifndef BACKEND_PORT_CHECKER_H
#define BACKEND_PORT_CHECKER_H

#include "checker.h"

/* The checker owns `inner`; the capture and the logger stay the caller's. */
struct port *port_checker_create(struct port *inner, const struct capture *expected,
                                 const struct backend_logger *logger);
struct checker_verdict port_checker_verdict(const struct port *port);
/* As checker_order_by_flow(). */
void port_checker_order_by_flow(struct port *port);
/* When the end is destroyed, add its verdict to this one. */
void port_checker_keep(struct port *port, struct checker_verdict *sum);

#endif
