/* The main job in its parts: what run.c and the scenario with faults share. The calls are from the harness's task. */
#ifndef CLI_RUN_INTERNAL_H
#define CLI_RUN_INTERNAL_H

#include "capture.h"
#include "cli/netback_task.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/run_dir.h"
#include "cli/traffic.h"
#include "log.h"
#include "machine/census.h"
#include "toolstack.h"

/* Everything of one run that is not machine state; host memory. */
struct run {
    struct run_options options;
    int argc;
    char **argv;
    bool pausing;                                                                /* stop when every VIF is connected */
    int start_status;                                                            /* of power-on, if it went wrong */
    void (*seen)(void *context, const struct fault_stack *stack, bool fallible); /* for fault_observe(); may be NULL */
    void *seen_context;
    struct capture *tx;
    struct capture *rx;
    struct frame_set tx_set; /* the frames of the file that the capture above still has */
    struct frame_set rx_set;
    struct toolstack_domain domain;
    struct capture_writer *out_tx[VIFS_MAX];
    struct capture_writer *out_rx[VIFS_MAX];
    struct report report;
    struct census *before;
    uint64_t start_host;
    uint64_t progress_host; /* when progress was shown last, 0: not yet */
    uint64_t moved;         /* frames so far, for progress */
    bool terminal;
    char unconnected[512]; /* what run_connected() waited for in vain */
    char not_down[512];    /* why run_go_down() failed */

    struct run_dir dir; /* where a program that is the backend comes in */
    bool dir_is_taken;
    bool dir_is_made;  /* for this run alone */
    char *record;      /* of what that program does, NULL: none is written */
    const char *peers; /* the record that takes its place */

    /* machine heap */
    struct run_program *program; /* the backend that the run has started */
    struct traffic_vif *traffic;
    struct netback_task *netback;
};

/* The scenario went wrong in a way that is nobody's broken rule: the run ends as FAIL with this as the reason. */
__attribute__((format(printf, 1, 2))) void give_up(const char *format, ...);

void run_attach_vifs(struct run *run, struct toolstack *toolstack);
/* Is every VIF Connected on both sides, or within the time? If not run->unconnected says which is not. */
bool run_connected(struct run *run, struct toolstack *toolstack, int timeout_ms);
/* For the report: every VIF is. */
void run_note_connected(struct run *run, uint64_t power_on);
/* Every VIF must connect, since power_on. */
void run_wait_connected(struct run *run, struct toolstack *toolstack, uint64_t power_on);
/* From here the run is that of its own seed, whatever the boot's was; this is where a sweep may fork. */
void run_leave_boot(const struct run *run);
/* Carry the captures both ways; what takes longer than `patience` (ns; 0: any time) is given up. False: a device was
 * not there. */
bool run_carry_traffic(struct run *run, uint64_t patience);
/* All of it, from devices that must be there. */
void run_carry_all(struct run *run);

/*
 * Ask the guest to suspend, and wait until it has. False: not within the time; run->unconnected says so, and the
 * request is withdrawn.
 */
bool run_suspend(struct run *run, struct toolstack *toolstack, unsigned timeout_ms);
/* What --through says, from connected to connected. run_through.c */
void run_go_through(struct run *run, struct toolstack *toolstack);

/*
 * Migrate the guest: ask it to suspend, and resume it under what amounts to a new Xen. False: it did not suspend within
 * the time; run->unconnected says so, and the request is withdrawn.
 */
bool run_migrate(struct run *run, struct toolstack *toolstack, unsigned timeout_ms);

/*
 * A backend that is no part of the machine, run_backend.c. Host: open before the machine runs (0 or an exit status
 * after one line; nothing without such a backend), leave when it has run, close when it is gone.
 */
int run_backend_open(struct run *run);
void run_backend_leave(const struct run *run);
void run_backend_close(struct run *run);
/* From the harness: give the guest its VIFs, whoever serves them later; let the program in; have it end, with a
 * complaint in the report if it found something wrong. */
void run_backend_attach(const struct run *run, struct toolstack *toolstack, const struct backend_logger *logger);
void run_backend_admit(struct run *run);
void run_backend_end(struct run *run);

/* Detach the VIFs and shut the guest down. False: not in order; run->not_down says why. */
bool run_go_down(struct run *run, struct toolstack *toolstack);

/* Boot, connect, traffic, teardown. */
void run_scenario(struct run *run, struct toolstack *toolstack);
/* The same under the plan of faults, with the proofs that the devices come back. run_faults.c */
void run_with_faults(struct run *run, struct toolstack *toolstack);

#endif
