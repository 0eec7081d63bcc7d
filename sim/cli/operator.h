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

struct console_task;
struct control;
struct operator_state; /* lies in the machine */
struct run_dir;
struct toolstack;

/*
 * To be called before the machine runs; `up` is called when the guest has booted, with a line for the user or NULL.
 * Options stay the caller's until then. A machine that ends by itself first lets the verbs that came by `control` end.
 */
struct operator_state *operator_start(const struct create_options *options, const struct run_dir *dir,
                                      struct control *control, void (*up)(void *context, const char *note),
                                      void *context);
/* End the machine; the status is that of operator_status(). Does not return. */
_Noreturn void operator_stop(struct operator_state *state, int status);
/* A time limit of libxl's, or that of --toolstack-timeout. */
int operator_timeout(const struct operator_state *state, int libxl_ms);
/* The guest is to have so many vCPUs from now on, as another domain too. */
void operator_note_vcpus(struct operator_state *state, unsigned count);
/* The consoles that the machine keeps; NULL: they are left to a program. */
struct console_task *operator_consoles(const struct operator_state *state);
/* From a task: until every vCPU of a domain that was paused, or shut down by a toolstack, stands still, or it is gone.
 */
void operator_wait_standing(unsigned domid);
/*
 * The suspended guest goes on as a new domain with the old one's interfaces, so many of them `without` a backend (see
 * toolstack_domain_restore()); the old one is destroyed. The new number, or an errno: -EIO is for toolstack_error(),
 * and the new domain stays paused, as it does if that is wanted.
 */
int operator_restore(struct operator_state *state, struct toolstack *toolstack, bool paused, unsigned *without);
/* An interface has no backend yet. */
bool operator_waits(const struct operator_state *state);
/* From a verb's task: until no connection is half done and no other verb is at work; a lasting one only for a second.
 */
void operator_wait_alone(const struct operator_state *state);
/* Why the machine cannot be saved, a line for the user; NULL: it can. */
const char *operator_save_refused(const struct operator_state *state);

/*
 * What the host's stack does for a task, on the paused machine (operator_errand()). SEND starts a second host in the
 * run-dir `path`, which goes on with the machine when it says GOOD: this one must not.
 */
enum operator_errand_kind {
    OPERATOR_ERRAND_NONE,
    OPERATOR_ERRAND_SAVE, /* the machine, to the file `path` */
    OPERATOR_ERRAND_SEND, /* the machine, to another host */
    OPERATOR_ERRAND_START /* ask the host that sent it whether the guest may go on here */
};

struct operator_errand {
    enum operator_errand_kind kind;
    void *machine; /* what snapshot_write() is to be given: the operator */
    char path[4096];
    bool paused; /* the guest stays so on the other host */
    bool good;
    char text[600]; /* why not */
};

enum operator_outcome {
    OPERATOR_MOVED,  /* to a file, or another host */
    OPERATOR_STAYED, /* operator_error() has a line */
    OPERATOR_ARRIVED /* this is the other host, and the guest runs: the call has returned in both */
};

/* Where a machine goes. */
struct operator_journey {
    enum operator_errand_kind kind; /* OPERATOR_ERRAND_SAVE or _SEND */
    const char *path;
    const char *config; /* a file that the domain is made by there (xlcfg.h), NULL: as it is now */
    bool paused;        /* it stays so there; of OPERATOR_ERRAND_SEND */
};

/*
 * From a task, with the guest suspended and standing still. What the machine's programs and users were in the middle of
 * does not go with it. On the new host the guest is a new domain with new event channels, grants and backends, and
 * store and backend have started anew.
 */
enum operator_outcome operator_move(struct operator_state *state, struct toolstack *toolstack,
                                    const struct operator_journey *journey);
const char *operator_error(const struct operator_state *state);

/* For the host's stack: what is to be done on the machine that has paused. */
struct operator_errand *operator_errand(struct operator_state *state);
/*
 * For the host's stack, on a new host, before the machine goes on. `paused`: the domain stays so; `asks`: with
 * OPERATOR_ERRAND_START before the guest goes on.
 */
void operator_on_new_host(struct operator_state *state, const struct run_dir *dir, bool paused, bool asks,
                          void (*up)(void *context, const char *note), void *context);
/* The same, before that: that file, false if there is none; and what it says, for which options->vif must stay. */
bool operator_config(const struct operator_state *state, const char **name, const char **text);
void operator_use_options(struct operator_state *state, const struct create_options *options);
struct control *operator_control(const struct operator_state *state);
const struct create_options *operator_options(const struct operator_state *state);

/* Of a machine that has ended and did not fail, before it is destroyed. */
int operator_status(const struct operator_state *state);

#endif
