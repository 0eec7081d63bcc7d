/* Between the files of the operator. */
#ifndef CLI_OPERATOR_INTERNAL_H
#define CLI_OPERATOR_INTERNAL_H

#include "cli/cli.h"
#include "cli/operator.h"
#include "cli/run_dir.h"
#include "toolstack.h"

struct console_task;
struct control;
struct netback;

struct operator_state {
    struct create_options options; /* the strings that outlive the domain's creation are the machine's */
    struct run_dir dir;
    struct control *control;
    void (*up)(void *context, const char *note);
    void *context;
    struct console_task *consoles; /* NULL: left to a program */
    struct toolstack *toolstack;
    struct toolstack_domain domain;
    struct netback *netback; /* NULL: it has ended, or is none of the machine's */
    bool netback_ends;       /* it is to */
    unsigned waiting;        /* interfaces that have no backend yet */
    bool is_up;              /* or was once */
    unsigned boots_in_vain;  /* in a row: the guest shut down before it was up */
    int status;              /* of the machine's end */
    bool preserved;          /* the domain has shut down, and stays */

    /* ---- operator_move.c ---- */
    struct operator_errand errand;
    bool arrived;       /* on another host than that which paused the machine */
    bool stays_paused;  /* the domain there */
    bool asks_to_start; /* whether it may go on there */
    char *config_name;  /* of a configuration file for there, NULL: none */
    char *config;
    bool configured; /* by options, not by what the store of the old host says */
};

/* Who serves the guest's interfaces starts, on this host. */
void operator_start_backend(struct operator_state *state);
/* Attach an interface, or see to it that it is as soon as there is a backend. False: toolstack_error(). */
bool operator_attach(struct operator_state *state, struct toolstack *toolstack, const struct toolstack_vif *vif);

/* operator_vifs.c. In a task, once the guest is up: have some of its interfaces not connected? Then with a line on it.
 */
bool operator_vifs_missing(const struct operator_state *state, char *note, size_t size);

#endif
