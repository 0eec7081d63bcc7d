/*
 * The operator of a machine that stays up: what stands in dom0 for as long as it does (netback, and the watch for the
 * domain's end), and the domain with its devices as 'pvsim create' asks for it.
 */
#ifndef CLI_OPERATOR_H
#define CLI_OPERATOR_H

#include "cli/cli.h"
#include "log.h"

/* Of the toolstack's lines. */
extern const struct backend_logger operator_logger;

struct control;
struct operator_state; /* lies in the machine */
struct run_dir;
struct toolstack;

/*
 * To be called before the machine runs; `up` is called when the guest has booted. Options and folder stay the
 * caller's. A machine that ends by itself first lets the verbs that came by `control` end.
 */
struct operator_state *operator_start(const struct create_options *options, const struct run_dir *dir,
                                      struct control *control, void (*up)(void *context), void *context);
/* End the machine; the status is that of operator_status(). Does not return. */
_Noreturn void operator_stop(struct operator_state *state, int status);
/* A time limit of libxl's, or that of --toolstack-timeout. */
int operator_timeout(const struct operator_state *state, int libxl_ms);
/* From a task: until every vCPU of a domain that was paused, or shut down by a toolstack, stands still. */
void operator_wait_standing(unsigned domid);
/*
 * The suspended guest goes on as a new domain with the old one's interfaces; the old one is destroyed. The new number,
 * or an errno: -EIO is for toolstack_error(), and the new domain stays paused.
 */
int operator_restore(struct operator_state *state, struct toolstack *toolstack);
/* Of a machine that has ended and did not fail, before it is destroyed. */
int operator_status(const struct operator_state *state);

#endif
