/*
 * Peers: everything that comes into the machine from outside of its process. A peer is a connection (a Unix socket, a
 * pseudo-terminal, a signalfd: any descriptor that can be polled) to a program on the host, with a service of the
 * machine at this end: the store's socket, the gate of dom0's libraries, the control socket.
 *
 * The deterministic engine looks at them at places that are counted: every PEER_LOOK_NS of the machine's clock while
 * something runs, and when nothing can run; then it sleeps until a peer speaks or the next deadline has come by the
 * host's clock (the clock is paced, clock.h). Only there does anything enter the machine, so that what was found at
 * each look is all that a replay needs. A service's callbacks run in a dom0 task, one after the other: they may use
 * everything that tasks may, but must not wait for what another peer's input brings about (start a task for that).
 *
 * Turns. A program that acts as a part of the host (a backend, a store: a service with `turns`) runs while the guest
 * stands still and the other way round: what it is to be told is kept until the scheduler picks it; then it gets that,
 * and the machine waits until each of its threads sleeps again and it has said nothing more. The machine's clock stands
 * meanwhile, so that no bounded wait of the guest ends while a peer works on the answer. It stands still as well while
 * nothing can run and the peer owes something (peer_owe()). A program that does not come to rest or answer for
 * config.peer_timeout_ns of the host's time fails the machine by its name.
 *
 * Under the parallel engine peers run free: there are no turns.
 */
#ifndef MACHINE_PEER_H
#define MACHINE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_LOOK_NS 50000u         /* of the machine's clock, between two looks while something runs */
#define PEER_INPUT_MAX (1u << 20)   /* unread bytes of one peer; what is more waits on the host */
#define PEER_OUTPUT_HELD (1u << 20) /* unsent bytes of one peer from which on nothing of its input is served */
#define PEER_OUTPUT_MAX (1u << 23)  /* unsent bytes from which on, asked for or not, the connection ends */
#define PEER_PACKET_MAX (1u << 16)  /* of a SOCK_SEQPACKET socket; a longer one ends the connection */

struct peer;
struct peer_listener;

/* One end of the machine's. Any callback but `input` may be NULL. */
struct peer_service {
    const char *name; /* "store", "gate", "control": for reports */
    bool turns;       /* the programs that connect, with all their connections, take turns with the guest */
    /* A peer has connected to the listener that was made with this argument; peer_set_data() is for here. */
    void (*opened)(struct peer *peer, void *argument);
    /* Something new can be read. Called again only when more comes, or after peer_again(). */
    void (*input)(struct peer *peer);
    /* The peer has closed its end or died; what it sent before has been offered to `input`. The last callback. */
    void (*closed)(struct peer *peer);
};

/*
 * Take connections of a listening socket, or take over a descriptor that is open already; it is the peers' from now on
 * and non-blocking. The first of these makes a virtual clock a paced one. From a task, or the host's stack before the
 * machine runs.
 */
struct peer_listener *peer_listen(int fd, const struct peer_service *service, void *argument);
void peer_unlisten(struct peer_listener *listener);
struct peer *peer_open(int fd, const struct peer_service *service, void *data);
/* The same for a descriptor whose far end the program of `other` has, or gets. */
struct peer *peer_open_beside(struct peer *other, int fd, const struct peer_service *service, void *data);

/* A listening Unix socket at this path for peer_listen(), mode 0600; -1 with errno. type: SOCK_STREAM, _SEQPACKET. */
int peer_socket(const char *path, int type);

/*
 * End the connection from this end: no callback comes any more, the service frees its own data, what was written is
 * still sent, and the pointer is dead when the callback that runs now, if any, has returned.
 */
void peer_close(struct peer *peer);

void peer_set_data(struct peer *peer, void *data);
void *peer_data(const struct peer *peer);
pid_t peer_pid(const struct peer *peer);        /* of the program that connected; 0: unknown */
const char *peer_name(const struct peer *peer); /* "xenstored (process 4711)" */

/*
 * What can be read: the bytes so far of a stream, the oldest packet of a SOCK_SEQPACKET socket. NULL: nothing. Valid
 * until the next peer_consume() of this peer or the return from the callback. Of a packet, peer_consume() takes all.
 * A peer that does not read its answers has nothing more to say (PEER_OUTPUT_HELD): `input` is called again once it
 * has.
 */
const void *peer_input(struct peer *peer, size_t *bytes);
void peer_consume(struct peer *peer, size_t bytes);
/* A descriptor that came with the packet that peer_input() gives; the caller's from now on. -1: none. */
int peer_take_fd(struct peer *peer);
/* Have `input` called again though nothing new may have come: the service can go on. */
void peer_again(struct peer *peer);

/*
 * Never blocks: what the socket does not take waits here. On a SOCK_SEQPACKET socket a call is a packet. A peer that
 * lets more than PEER_OUTPUT_MAX wait is taken as gone, as its service is told by `closed`.
 */
void peer_write(struct peer *peer, const void *bytes, size_t count);
/* The same with a descriptor, which stays the caller's and must stay open until the machine goes on. */
void peer_write_fd(struct peer *peer, const void *bytes, size_t count, int fd);
/*
 * The peer has been told something (change 1) that it will answer or acknowledge, or has done so (-1). What it owes
 * ends with the connection.
 */
void peer_owe(struct peer *peer, int change);

/*
 * The record of a run under the deterministic engine: what comes in goes to a file, too; or the file that a run of the
 * same configuration has left takes the place of all programs, and nothing is opened. Before the first peer or
 * listener. Exits with status 2 when the file cannot be used.
 */
void peers_record(const char *path);
void peers_replay(const char *path);
/* All that has come so far is in the file. False with errno: it is not. Without a record there is nothing to do. */
bool peers_record_flush(void);
/* It is a replay: no descriptor that is given to peer_open() is looked at, and nobody is to be started. */
bool peers_are_replayed(void);

/*
 * What a program and the machine both see, for the record: a page of guest RAM that the
 * program may write from now on, or no more; and `bytes` of memory of the program's own that are about to be read,
 * which a replay brings back in its place.
 */
void peer_share(struct peer *peer, uint32_t backing);
void peer_unshare(struct peer *peer, uint32_t backing);
void peers_read_memory(void *at, size_t bytes);

/* Any listener or connection; and any connection. */
bool peers_exist(void);
/* No callback is under way, and every connection that has ended has been taken leave of. */
bool peers_settled(void);
bool peers_are_connected(void);

#endif
