/*
 * The folder of a machine that stays up (--run-dir): one machine a folder, which its lock stands for; in it are the
 * sockets that programs come in by, and the machine's log. Host code; nothing here is machine state.
 */
#ifndef CLI_RUN_DIR_H
#define CLI_RUN_DIR_H

#include <stdbool.h>

#define RUN_DIR_MAX 88 /* a socket's path has 108 bytes */

struct run_dir {
    char path[RUN_DIR_MAX];
    int lock; /* of the machine in it; -1: not held */
};

/* Names in the folder. */
#define RUN_DIR_CONTROL "control.sock"       /* the verbs (control.h) */
#define RUN_DIR_GATE "dom0.sock"             /* dom0's libraries (dom0/gate.h) */
#define RUN_DIR_STORE "xenstored.sock"       /* clients of the store (XENSTORED_PATH of libxenstore) */
#define RUN_DIR_DOMAIN_STORES "store-*.sock" /* the same for clients in driver domains */
#define RUN_DIR_STORE_FOLDER "xenstored"     /* what a store elsewhere keeps in /var/run/xenstored */
#define RUN_DIR_STORE_RING "xsd_kva"         /* where that one finds domain 0's ring */
#define RUN_DIR_STORE_PORT "xsd_port"        /* and its port */
#define RUN_DIR_LOG "log"

/* The folder that --run-dir names, or (NULL) the user's own. False after one line on stderr. */
bool run_dir_find(struct run_dir *dir, const char *option);
/* Make the folder if it is not there, and take it for a machine: 0, or an exit status after one line on stderr. */
int run_dir_take(struct run_dir *dir);
/* The machine ends: its sockets go. */
void run_dir_leave(const struct run_dir *dir);
/* A temporary folder for one machine, taken for it; likewise. And its end, with all that is pvsim's in it. */
int run_dir_make(struct run_dir *dir);
void run_dir_remove(const struct run_dir *dir);
/* Wait until no machine is there any more. */
void run_dir_wait(const struct run_dir *dir);

/* "DIR/name", in a buffer of RUN_DIR_PATH_MAX bytes. */
#define RUN_DIR_PATH_MAX (RUN_DIR_MAX + 20)
const char *run_dir_path(const struct run_dir *dir, const char *name, char *buffer);

#endif
