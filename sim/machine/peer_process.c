/* The programs behind the connections: their tasks, their turns, and whether they are at work. */
#include "machine/peer_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/clock_internal.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/runner.h"

#define SHORT_SLEEP_NS 5000u  /* while an answer may be a moment away */
#define LONG_SLEEP_NS 100000u /* while it works on something longer */
#define SHORT_SLEEPS 20u
#define SILENCE_NS 2000000u /* of a program that we cannot look at: it sleeps */
#define BUSY_NS 50000000u   /* how long one that is at work keeps others waiting */
#define TIMEOUT_NS UINT64_C(60000000000)

/* ---- is it at work? ---- */

/* Does this state of a thread (proc(5), stat) mean that it waits or is over? A stopped one has not had its turn. */
static bool state_sleeps(char state)
{
    return state == 'S' || state == 'Z' || state == 'X' || state == 'x' || state == 'I';
}

/* State and number of threads from a stat file; false: there is no such thread. */
static bool read_stat(int fd, char *state, unsigned *threads)
{
    char text[512];
    ssize_t count = pread(fd, text, sizeof(text) - 1, 0);
    const char *at;

    if (count <= 0)
        return false;
    text[count] = '\0';
    at = strrchr(text, ')'); /* the name may contain anything */
    if (at == NULL || at[1] == '\0')
        return false;
    *state = at[2];
    return sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u", threads) == 1;
}

/* How often the thread has been given a processor; 0 where the host does not count. */
static unsigned long long read_turns(int folder, const char *thread)
{
    char path[64];
    char text[128];
    unsigned long long turns = 0;
    ssize_t count;
    int fd;

    snprintf(path, sizeof(path), "%.20s/schedstat", thread);
    fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    count = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[count > 0 ? count : 0] = '\0';
    (void)sscanf(text, "%*u %*u %llu", &turns);
    return turns;
}

/* Do all threads sleep, and how often have they run? */
static bool threads_sleep(pid_t pid, unsigned long long *turns)
{
    char path[64];
    struct dirent *entry;
    bool sleep = true;
    DIR *folder;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    folder = opendir(path);
    if (folder == NULL)
        return true;
    *turns = 0;
    while (sleep && (entry = readdir(folder)) != NULL) {
        unsigned threads = 0;
        char state = 'X';
        int fd;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%.20s/stat", entry->d_name);
        fd = openat(dirfd(folder), path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (read_stat(fd, &state, &threads))
            sleep = state_sleeps(state);
        close(fd);
        *turns += read_turns(dirfd(folder), entry->d_name);
    }
    closedir(folder);
    return sleep;
}

bool peer_process_sleeps(struct peer_process *process)
{
    unsigned long long before = 0;
    unsigned long long after = 0;
    unsigned threads = 0;
    char state = 'X';

    if (!read_stat(process->stat_fd, &state, &threads))
        return true; /* it is gone */
    if (!state_sleeps(state))
        return false;
    /* One thread may wake another after that one was looked at: none may have run between two rounds. */
    return threads <= 1 ||
           (threads_sleep(process->pid, &before) && threads_sleep(process->pid, &after) && before == after);
}

/* ---- patience ---- */

static uint64_t timeout(void)
{
    return machine->config.peer_timeout_ns != 0 ? machine->config.peer_timeout_ns : TIMEOUT_NS;
}

static _Noreturn void fails(const struct peer_process *process)
{
    fail("peer", "%s has %s for %llu ms while the machine waits for it", process->name,
         process->running ? "been at work" : "not acknowledged an event", (unsigned long long)(timeout() / 1000000u));
}

/* It is at work, or owes something, from now on if it was not before; too long is too long. */
static bool is_too_long(struct peer_process *process)
{
    uint64_t now = clock_host();

    if (process->busy_since == 0)
        process->busy_since = now;
    return now - process->busy_since >= timeout();
}

bool peers_owe(void)
{
    bool owe = false;

    for (struct peer_process *process = peer_state()->processes; process != NULL; process = process->next)
        if (process->owes != 0) {
            if (!peers_are_replayed() && is_too_long(process))
                fails(process);
            owe = true;
        }
    return owe;
}

uint64_t peers_patience(void)
{
    uint64_t now = clock_host();
    uint64_t left = UINT64_MAX;

    for (struct peer_process *process = peer_state()->processes; process != NULL; process = process->next)
        if (process->owes != 0) {
            uint64_t waited = now - process->busy_since;
            uint64_t its = waited < timeout() ? timeout() - waited : 0;

            left = its < left ? its : left;
        }
    return left;
}

void peer_owe(struct peer *peer, int change)
{
    if (!peer->process->turns)
        return;
    peer->owes += (uint32_t)change;
    peer->process->owes += (uint32_t)change;
    if (peer->process->owes == 0)
        peer->process->busy_since = 0;
}

/* ---- its task ---- */

/*
 * On the host until the program sleeps. One that never does is not waited for while it or another wants an answer.
 */
static enum peer_turn watch_program(struct peer_process *process)
{
    struct peer_state *state = peer_state();
    uint64_t inputs = state->inputs;
    uint64_t start = clock_host();

    for (unsigned sleeps = 0;; sleeps++) {
        uint64_t waited = clock_host() - start;
        bool asleep = process->stat_fd >= 0 ? peer_process_sleeps(process) : waited >= SILENCE_NS;

        peer_collect(); /* after that: what it said before it slept is here */
        if (asleep)
            return PEER_TURN_SLEEPS;
        if (state->inputs != inputs && waited >= BUSY_NS)
            return PEER_TURN_GOES_ON;
        if (is_too_long(process))
            return PEER_TURN_TIMEOUT;
        peers_sleep(sleeps < SHORT_SLEEPS ? SHORT_SLEEP_NS : LONG_SLEEP_NS);
    }
}

/* Give the program what has been kept for it. */
static void deliver(struct peer_process *process)
{
    for (struct peer *peer = peer_state()->peers; peer != NULL; peer = peer->next)
        if (peer->process == process && peer_flush(peer))
            process->running = true;
}

/* The program's turn, or what the record says of it. */
static void take_turn(struct peer_process *process)
{
    uint64_t end = PEER_TURN_SLEEPS;

    peer_state()->moment++;
    if (peers_are_replayed()) {
        if (!peer_apply(PEER_ENTRY_TURN, &end))
            peer_replay_ends("a program is waited for that was not waited for then");
    } else {
        end = watch_program(process);
        peer_note(PEER_ENTRY_TURN, end, 0, NULL, 0);
    }
    if (end == PEER_TURN_TIMEOUT)
        fails(process);
    peer_pages_look(process);
    if (end == PEER_TURN_GOES_ON) {
        sched_point(POINT_PAUSE); /* others' turn */
        return;
    }
    process->running = false;
    if (process->owes == 0)
        process->busy_since = 0;
}

static void ready_remove(struct peer *peer)
{
    struct peer_process *process = peer->process;
    struct peer **link = &process->ready;

    if (!peer->is_ready)
        return;
    while (*link != peer)
        link = &(*link)->next_ready;
    *link = peer->next_ready;
    if (process->ready_tail == &peer->next_ready)
        process->ready_tail = link;
    peer->is_ready = false;
}

static struct peer *take_ready(struct peer_process *process)
{
    struct peer *peer = process->ready;

    if (peer == NULL || peer->in_call) /* the other programs' task is about it: comes back when it is done */
        return NULL;
    ready_remove(peer);
    return peer;
}

static void process_end(struct peer_process *process)
{
    struct peer_process **link = &peer_state()->processes;

    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
    peer_process_close(process);
    image_free(process);
}

static void process_main(void *argument)
{
    struct peer_process *process = argument;

    while (process->peers != 0 || !process->turns) {
        struct peer *peer;

        if (process->turns) {
            peer_pages_look(process);
            deliver(process);
            if (process->running)
                take_turn(process); /* before what it has said is looked at: it may be in the middle of more */
        }
        peer = take_ready(process);
        if (peer != NULL) {
            peer_dispatch(peer);
            sched_point(POINT_DOM0);
        } else if (!process->running || !process->turns) {
            task_park(CLOCK_NEVER, process->turns ? "its program" : "other programs");
        }
    }
    process_end(process);
}

/* ---- the list ---- */

void peer_process_name(pid_t pid, char name[PEER_NAME_MAX])
{
    char path[64];
    char comm[32];
    ssize_t count;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    count = fd >= 0 ? read(fd, comm, sizeof(comm) - 1) : 0;
    if (fd >= 0)
        close(fd);
    comm[count > 0 ? count : 0] = '\0';
    comm[strcspn(comm, "\n")] = '\0';
    if (pid == 0)
        snprintf(name, PEER_NAME_MAX, "a program");
    else
        snprintf(name, PEER_NAME_MAX, "%s (process %d)", comm[0] != '\0' ? comm : "a program", (int)pid);
}

static struct peer_process *process_new(pid_t pid, const char *name, bool turns)
{
    struct peer_process *process = image_alloc(sizeof(*process));
    struct peer_process **link = &peer_state()->processes;
    char path[64];
    char task[RUNNER_NAME_MAX];

    process->pid = pid;
    process->turns = turns;
    process->ready_tail = &process->ready;
    snprintf(process->name, sizeof(process->name), "%s", name);
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    process->stat_fd = turns && pid > 0 && !peers_are_replayed() ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    while (*link != NULL)
        link = &(*link)->next;
    *link = process;
    snprintf(task, sizeof(task), turns ? "peer %.32s" : "peers", process->name);
    process->task = task_create(task, process_main, process);
    return process;
}

/* What the other programs' task did for connections of this program, this one does from now on. */
static void take_over(struct peer_process *process)
{
    struct peer_process *others = peer_state()->others;

    for (struct peer *peer = peer_state()->peers; peer != NULL; peer = peer->next) {
        bool was_ready = peer->is_ready;

        if (peer->process != others || peer->pid != process->pid || peer->pid == 0)
            continue;
        peer_process_remove(peer);
        peer_process_add(process, peer);
        if (was_ready)
            peer_make_ready(peer);
    }
}

struct peer_process *peer_process_of(pid_t pid, const char *name, bool turns)
{
    struct peer_process *process;

    for (process = peer_state()->processes; process != NULL && pid != 0; process = process->next)
        if (process->turns && process->pid == pid && process->peers != 0)
            return process;
    if (!turns) {
        if (peer_state()->others == NULL)
            peer_state()->others = process_new(0, "other programs", false);
        return peer_state()->others;
    }
    process = process_new(pid, name, true);
    take_over(process);
    return process;
}

void peer_process_add(struct peer_process *process, struct peer *peer)
{
    peer->process = process;
    process->peers++;
    process->owes += peer->owes;
}

void peer_process_remove(struct peer *peer)
{
    struct peer_process *process = peer->process;

    ready_remove(peer);
    process->peers--;
    process->owes -= peer->owes;
    if (process->owes == 0)
        process->busy_since = 0;
    task_unpark(process->task); /* the last one may be gone */
}

void peer_process_close(struct peer_process *process)
{
    if (process->stat_fd >= 0)
        close(process->stat_fd);
}
