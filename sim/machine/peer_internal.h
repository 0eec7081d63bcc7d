/* Peers as the scheduler, the engines and the files of peer_*.c see them. */
#ifndef MACHINE_PEER_INTERNAL_H
#define MACHINE_PEER_INTERNAL_H

#include "machine/machine.h"
#include "machine/peer.h"
#include "machine/sched.h"

#define PEER_NAME_MAX 64

/* A queue of bytes; packets lie in it each behind its header. */
struct peer_buffer {
    uint8_t *bytes;
    size_t start;
    size_t end;
    size_t capacity;
};

struct peer_packet {
    uint32_t length;
    int32_t fd; /* the host's, -1: none */
};

/* A program on the host; one stands for all that take no turns. */
struct peer_process {
    struct peer_process *next;
    pid_t pid; /* 0: hidden from us */
    uint32_t peers;
    bool turns;
    bool running; /* it may be at work: the next turn finds out */
    uint32_t owes;
    struct task *task;
    struct peer *ready, **ready_tail; /* in the order of their news */
    int stat_fd;                      /* /proc/PID/stat, -1: none */
    uint64_t busy_since;              /* host clock: since when it has been at work or owing, 0: it is not */
    char name[PEER_NAME_MAX];
};

struct peer {
    struct peer *next; /* in the order of opening */
    pid_t pid;         /* 0: unknown */
    struct peer *next_ready;
    uint32_t id;
    int fd; /* -1: closed */
    bool is_socket;
    bool packets;
    bool announced; /* `opened` has been called, or is not to be */
    bool news;      /* for `input` */
    bool is_ready;
    bool ended;   /* the other end is closed */
    bool closing; /* this end is */
    bool paused;  /* not polled for input: PEER_INPUT_MAX is reached */
    bool blocked; /* polled for output */
    bool in_call; /* a callback runs */
    uint32_t owes;
    struct peer_buffer input;
    struct peer_buffer output;
    struct peer_process *process;
    const struct peer_service *service;
    void *argument;
    void *data;
    char name[PEER_NAME_MAX];
};

struct peer_listener {
    struct peer_listener *next;
    uint32_t id;
    int fd;
    bool packets;
    const struct peer_service *service;
    void *argument;
};

struct peer_state {
    int epoll;
    int wake; /* eventfd that ends the parallel engine's waits, -1: none */
    uint32_t next_id;
    struct peer_listener *listeners;
    struct peer *peers;
    struct peer_process *processes;
    struct peer_process *others; /* stands for the programs without turns */
    uint64_t look_at;            /* machine clock: when the next look is due */
    uint64_t looks;
    uint64_t inputs; /* what has come in so far */
    uint8_t *scratch;
};

static inline struct peer_state *peer_state(void)
{
    return machine->peer;
}

/* ---- for the engines ---- */

/* When the next look is due by the machine's clock; CLOCK_NEVER without peers. */
static inline uint64_t peers_look_at(void)
{
    return machine->peer != NULL ? machine->peer->look_at : UINT64_MAX;
}
/* Take in what has come. */
void peers_look(void);
/*
 * Nothing can run: sleep until something comes in, or until the clock's next deadline, and move the clock. False:
 * there is neither, and nobody is there who could still speak.
 */
bool peers_wait(void);
/* The parallel engine: sleep without the kernel lock until input, the deadline or peers_wake(). */
void peers_doze(uint64_t until);
void peers_wake(void);
void peers_close(void); /* machine_destroy() */
/* Somebody is connected, or the machine is to stay up. */
bool peers_may_speak(void);
/* Some program owes something or is at work: time stands still while nothing can run. */
bool peers_owe(void);
/* How long on the host until that is too long, ns. */
uint64_t peers_patience(void);

/* ---- peer.c to the others ---- */

void peer_make_ready(struct peer *peer);
/* The task's work on a peer that has news. */
void peer_dispatch(struct peer *peer);
bool peer_flush(struct peer *peer); /* true: there was something to send, and the socket took some */
/* Sleep on the host for up to so many ns (UINT64_MAX: no end) until a look would find something. */
void peers_sleep(uint64_t nanoseconds);

/* ---- peer_process.c ---- */

/* The process that a connection of this program belongs to; with turns, its other connections move there. */
struct peer_process *peer_process_of(pid_t pid, bool turns);
void peer_process_add(struct peer_process *process, struct peer *peer);
void peer_process_remove(struct peer *peer);
void peer_process_close(struct peer_process *process); /* what the host holds */
/* "name (process N)". */
void peer_process_name(pid_t pid, char name[PEER_NAME_MAX]);
/* Each thread of it sleeps, or it is gone. */
bool peer_process_sleeps(struct peer_process *process);

#endif
