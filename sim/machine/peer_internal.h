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
    bool held;    /* has input that is not served before it has read more of the output */
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

/* ---- the record ---- */

enum peer_entry_type {
    PEER_ENTRY_NONE,
    PEER_ENTRY_ACCEPT,   /* a: listener, b: process; payload: name */
    PEER_ENTRY_INPUT,    /* a: peer, b: size of a descriptor's file + 1, 0: none; payload */
    PEER_ENTRY_END,      /* a: peer */
    PEER_ENTRY_WRITABLE, /* a: peer */
    PEER_ENTRY_FULL,     /* a: peer, b: bytes that its socket took before */
    PEER_ENTRY_CLOCK,    /* a: ns that passed */
    PEER_ENTRY_TURN,     /* a: enum peer_turn, how it ended */
    PEER_ENTRY_MEMORY,   /* a: backing page, b: offset; payload */
    PEER_ENTRY_READ      /* payload */
};

/* It sleeps; it does not, but it or somebody else waits for an answer; it is too long. */
enum peer_turn { PEER_TURN_SLEEPS, PEER_TURN_GOES_ON, PEER_TURN_TIMEOUT };

struct peer_entry {
    uint64_t moment;
    uint32_t type;
    uint32_t bytes; /* of the payload behind it */
    uint64_t a;
    uint64_t b;
};

struct peer_record;

struct peer_state {
    struct peer_record *record; /* the host's; NULL: the run is neither recorded nor replayed */
    uint64_t moment;
    int epoll;
    int wake; /* eventfd that ends the parallel engine's waits, -1: none */
    uint32_t next_id;
    struct peer_listener *listeners;
    struct peer *peers;
    struct peer_process *processes;
    struct peer_process *others; /* stands for the programs without turns */
    uint64_t look_at;            /* machine clock: when the next look is due */
    uint64_t inputs;             /* what has come in so far */
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
/* Somebody spins: let a program that owes something get on with it. */
void peers_pause(void);
/* The parallel engine: sleep without the kernel lock until input, the deadline or peers_wake(). */
void peers_doze(uint64_t until);
void peers_wake(void);
void peers_close(void); /* machine_destroy() */
/* The machine goes on in another process: nobody is connected there. To the services every program has died. */
void peers_on_new_host(void);
/* Somebody is connected, or the machine is to stay up. */
bool peers_may_speak(void);
/* Some program owes something or is at work: time stands still while nothing can run. */
bool peers_owe(void);
/* How long on the host until that is too long, ns. */
uint64_t peers_patience(void);

/* ---- peer_buffer.c ---- */

size_t peer_buffer_used(const struct peer_buffer *buffer);
void peer_buffer_add(struct peer_buffer *buffer, const void *bytes, size_t count);
/* The descriptor is the buffer's from now on. */
void peer_buffer_add_packet(struct peer_buffer *buffer, const void *bytes, size_t count, int fd);
/* The header of the oldest packet; there is one. */
struct peer_packet peer_buffer_first(const struct peer_buffer *buffer);
void peer_buffer_free(struct peer_buffer *buffer, bool packets);

/* ---- peer_service.c ---- */

/* The task's work on a peer that has news. */
void peer_dispatch(struct peer *peer);
bool peer_flush(struct peer *peer); /* true: there was something to send, and the socket took some */

/* ---- peer.c to the others ---- */

/* Have the host tell of what the peer can use now. A hang-up is told of always: nothing more is asked after one. */
void peer_watch(struct peer *peer);
/* What it had to say before is served, whatever it has read. */
void peer_end(struct peer *peer);
void peer_make_ready(struct peer *peer);
/* Sleep on the host for up to so many ns (UINT64_MAX: no end) until a look would find something. */
void peers_sleep(uint64_t nanoseconds);

int peer_open_epoll(void);
/* What has come to the descriptors, without counting as a moment. */
void peer_collect(void);
/* Replay: what came at this moment. True: an entry of this type was among it, with its first number. */
bool peer_apply(enum peer_entry_type type, uint64_t *a);

/* ---- peer_record.c ---- */

struct peer_state *peer_open_state(void); /* in peer.c */
void peer_record_close(struct peer_state *state);
void peer_note(enum peer_entry_type type, uint64_t a, uint64_t b, const void *payload, size_t bytes);
/* The next entry of the present moment, NULL if there is none (left); it stays the next until peer_taken(). */
const struct peer_entry *peer_next(const uint8_t **payload);
void peer_taken(void);
/* The machine asks for something that the record does not have: fails. */
_Noreturn void peer_replay_ends(const char *what);
uint64_t peer_fd_size(int fd);
int peer_fd_stand_in(uint64_t size);
/* What the program has written since the last time to the pages that it shares with the machine; a moment. */
void peer_pages_look(const struct peer_process *process);
void peer_apply_memory(const struct peer_entry *entry, const uint8_t *payload);

/* ---- peer_process.c ---- */

/* The process that a connection of this program belongs to; with turns, its other connections move there. */
struct peer_process *peer_process_of(pid_t pid, const char *name, bool turns);
void peer_process_add(struct peer_process *process, struct peer *peer);
void peer_process_remove(struct peer *peer);
void peer_process_close(struct peer_process *process); /* what the host holds */
/* "name (process N)". */
void peer_process_name(pid_t pid, char name[PEER_NAME_MAX]);
/* Each thread of it sleeps, or it is gone. */
bool peer_process_sleeps(struct peer_process *process);

#endif
