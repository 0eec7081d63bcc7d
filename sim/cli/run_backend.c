/*
 * The main job with a backend that is no part of the machine: a program that the run starts, or one of somebody's that
 * comes by 'pvsim dom0'. It is let in when the guest's readers wait, so that nothing is lost of what it sends as soon
 * as it is connected. What it does goes into a record, which takes its place at a replay.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/beside.h"
#include "cli/dom0_environment.h"
#include "cli/guest_domain.h"
#include "cli/run_internal.h"
#include "dom0/gate.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/peer.h"
#include "machine/sched.h"
#include "store/store.h"
#include "xen/xen.h"

#include <xen/io/xenbus.h>

#define NODES_TIMEOUT_MS 10000
#define END_NS UINT64_C(10000000000)
#define LEAVE_NS UINT64_C(1000000000) /* for the connections of a program that has ended */
#define LEAVE_LOOK_NS UINT64_C(100000)

/* The program that the run has started. Machine heap. */
struct run_program {
    struct beside *beside; /* dead when it has ended */
    bool asked;            /* to end */
    bool ended;
    int status;
    struct task *waiter;
};

/* What a VIF's task is about. Likewise. */
struct attachment {
    const struct backend_logger *logger;
    struct toolstack_vif vif;
};

/* ---- on the host ---- */

static void start_record(struct run *run)
{
    if (asprintf(&run->record, "%s/pvsim-%" PRIu64 "-%d.peers", run->options.bundle_dir, run->options.machine.seed,
                 (int)getpid()) < 0)
        abort();
    peers_record(run->record);
    run->report.peers = run->record;
}

/* A folder that somebody finds, or one for the run alone. */
static int take_folder(struct run *run)
{
    int status;

    run->dir_is_made = run->options.run_dir == NULL && run->options.backend.kind == BACKEND_EXEC;
    if (run->dir_is_made)
        status = run_dir_make(&run->dir);
    else
        status = run_dir_find(&run->dir, run->options.run_dir) ? run_dir_take(&run->dir) : EXIT_USAGE;
    run->dir_is_taken = status == 0;
    return status;
}

int run_backend_open(struct run *run)
{
    if (!backend_is_outside(&run->options.backend))
        return 0;
    if (run->peers != NULL) {
        peers_replay(run->peers);
        return 0;
    }
    if (!run->options.no_bundle && run->options.machine.clock == CLOCK_PACED)
        start_record(run);
    return take_folder(run);
}

void run_backend_leave(const struct run *run)
{
    if (run->program != NULL && !run->program->ended)
        beside_stop(run->program->beside);
}

void run_backend_close(struct run *run)
{
    if (run->record != NULL)
        (void)unlink(run->record); /* unless a bundle has it */
    free(run->record);
    if (!run->dir_is_taken)
        return;
    if (run->dir_is_made)
        run_dir_remove(&run->dir);
    else
        run_dir_leave(&run->dir);
    close(run->dir.lock);
}

/* ---- in the machine ---- */

/* Whenever the backend comes. */
static void attach_main(void *argument)
{
    struct attachment *attachment = argument;
    struct toolstack *toolstack = toolstack_open(attachment->logger);

    if (toolstack == NULL || !toolstack_network_attach(toolstack, &attachment->vif, TOOLSTACK_NO_TIMEOUT))
        give_up("VIF %u was not attached", attachment->vif.handle);
    toolstack_close(toolstack);
    image_free(attachment);
}

void run_backend_attach(const struct run *run, struct toolstack *toolstack, const struct backend_logger *logger)
{
    for (unsigned index = 0; index < run->options.vifs; index++) {
        struct attachment *attachment = image_alloc(sizeof(*attachment));

        attachment->logger = logger;
        attachment->vif = guest_domain_vif(run->domain.domid, index);
        attachment->vif.backend_domid = run->options.backend.domid;
        (void)task_create("attach", attach_main, attachment);
    }
    for (unsigned index = 0; index < run->options.vifs; index++) {
        char state[128];

        snprintf(state, sizeof(state), "/local/domain/%u/device/vif/%u/state", run->domain.domid, index);
        if (!toolstack_wait_number(toolstack, state, XenbusStateInitialising, NODES_TIMEOUT_MS))
            give_up("VIF %u is not in the store: %s", index, toolstack_error(toolstack));
    }
}

/* The stores first: who finds the gate finds them. */
static void open_sockets(const struct run *run)
{
    unsigned domid = run->options.backend.domid;
    char path[RUN_DIR_PATH_MAX];
    char name[DOM0_STORE_NAME_MAX];
    bool good = store_listen(run_dir_path(&run->dir, RUN_DIR_STORE, path), XEN_DOM0);

    if (good && domid != XEN_DOM0)
        good = store_listen(run_dir_path(&run->dir, dom0_store_name(domid, name), path), domid);
    if (!good || !gate_open(run_dir_path(&run->dir, RUN_DIR_GATE, path)))
        give_up("%s cannot be opened: %s", path, strerror(errno));
}

static void program_ended(void *context, int status)
{
    const struct run *run = context;
    struct run_program *program = run->program;
    char text[32];

    if (!program->asked)
        give_up("the backend '%s' has ended: %s", run->options.backend.command, beside_status(status, text));
    program->status = status;
    program->ended = true;
    task_unpark(program->waiter);
}

void run_backend_admit(struct run *run)
{
    const struct backend_choice *backend = &run->options.backend;

    open_sockets(run);
    if (backend->kind == BACKEND_EXEC) {
        run->program = image_alloc(sizeof(*run->program));
        run->program->beside = beside_start(&run->dir, backend->domid, backend->command, program_ended, run);
    } else if (!peers_are_replayed()) {
        fprintf(stderr, "pvsim: the guest waits for its backend: pvsim dom0 --run-dir %s --domid %u -- COMMAND\n",
                run->dir.path, backend->domid);
    }
}

void run_backend_end(struct run *run)
{
    struct run_program *program = run->program;
    uint64_t deadline = clock_now() + END_NS;
    char text[32];

    if (program == NULL)
        return;
    program->asked = true;
    program->waiter = task_current();
    beside_stop(program->beside);
    while (!program->ended && clock_now() < deadline)
        (void)task_park(deadline, "the backend's end");
    if (!program->ended)
        give_up("the backend '%s' has not ended within 10 s of a SIGTERM", run->options.backend.command);
    for (deadline = clock_now() + LEAVE_NS; peers_are_connected() && clock_now() < deadline;)
        (void)task_park(clock_now() + LEAVE_LOOK_NS, "the end of the backend's connections");
    if (program->status == 0 || (WIFSIGNALED(program->status) && WTERMSIG(program->status) == SIGTERM))
        return;
    snprintf(run->report.complaint, sizeof(run->report.complaint), "the backend '%.400s' has ended: %s",
             run->options.backend.command, beside_status(program->status, text));
}
