/*
 * The record of what came into the machine from its peers, and its replay without them. What enters does so at moments
 * that both runs count alike: looks, waits, turns, full sockets, and reads of a peer's own memory. An entry of the
 * record says at which moment it came; between two entries nothing did.
 */
#include "machine/peer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/fail.h"
#include "machine/guest_ram.h"
#include "machine/image.h"

#define MAGIC UINT64_C(0x3130737265657076) /* "vpeers01" */

/* A page that a program may write, with what was in it when it was looked at last. Host memory: no part of the run. */
struct shared_page {
    struct shared_page *next;
    const struct peer_process *process;
    uint32_t backing;
    uint32_t uses;
    uint8_t copy[GUEST_PAGE_SIZE];
};

/* The host's: the same run has one whether or not it is recorded. */
struct peer_record {
    FILE *file;
    bool replays;
    bool has_next; /* read, and not applied yet */
    struct peer_entry next;
    uint8_t *payload; /* of `next`, or of the last one taken */
    size_t capacity;
    struct shared_page *pages;
};

static _Noreturn void cannot(const char *path)
{
    fprintf(stderr, "pvsim: %s: %s\n", path, errno != 0 ? strerror(errno) : "not a record of peers");
    exit(2);
}

static void open_record(const char *path, bool replays)
{
    struct peer_record *record = calloc(1, sizeof(*record));
    uint64_t magic = MAGIC;

    if (record == NULL)
        abort();
    errno = 0;
    record->replays = replays;
    record->file = fopen(path, replays ? "rbe" : "wbe");
    if (record->file == NULL)
        cannot(path);
    if (replays) {
        if (fread(&magic, sizeof(magic), 1, record->file) != 1 || magic != MAGIC)
            cannot(path);
    } else if (fwrite(&magic, sizeof(magic), 1, record->file) != 1) {
        cannot(path);
    }
    image_holds_host_block(record);
    peer_open_state()->record = record;
}

void peers_record(const char *path)
{
    open_record(path, false);
}

void peers_replay(const char *path)
{
    open_record(path, true);
}

void peer_record_close(struct peer_state *state)
{
    struct peer_record *record = state->record;

    if (record == NULL)
        return;
    if (fclose(record->file) != 0)
        fprintf(stderr, "pvsim: the record of peers is incomplete: %s\n", strerror(errno));
    while (record->pages != NULL) {
        struct shared_page *page = record->pages;

        record->pages = page->next;
        free(page);
    }
    free(record->payload);
    free(record);
    state->record = NULL;
}

bool peers_record_flush(void)
{
    return machine->peer == NULL || peer_state()->record == NULL || fflush(peer_state()->record->file) == 0;
}

bool peers_are_replayed(void)
{
    return peer_state()->record != NULL && peer_state()->record->replays;
}

static bool recording(void)
{
    return peer_state()->record != NULL && !peer_state()->record->replays;
}

/* ---- writing ---- */

void peer_note(enum peer_entry_type type, uint64_t a, uint64_t b, const void *payload, size_t bytes)
{
    struct peer_entry entry = {.moment = peer_state()->moment, .type = type, .bytes = (uint32_t)bytes, .a = a, .b = b};
    FILE *file;

    if (!recording())
        return;
    file = peer_state()->record->file;
    if (fwrite(&entry, sizeof(entry), 1, file) != 1 || (bytes != 0 && fwrite(payload, bytes, 1, file) != 1))
        fail("peer-record", "the record of peers cannot be written: %s", strerror(errno));
}

/* ---- reading ---- */

static _Noreturn void parts(const char *why)
{
    fail("replay", "the run parts from the record of its peers at moment %llu: %s",
         (unsigned long long)peer_state()->moment, why);
}

static bool read_next(struct peer_record *record)
{
    if (record->has_next)
        return true;
    if (fread(&record->next, sizeof(record->next), 1, record->file) != 1)
        return false;
    if (record->next.bytes > record->capacity) {
        record->payload = realloc(record->payload, record->next.bytes);
        if (record->payload == NULL)
            abort();
        record->capacity = record->next.bytes;
    }
    if (record->next.bytes != 0 && fread(record->payload, record->next.bytes, 1, record->file) != 1)
        return false;
    record->has_next = true;
    return true;
}

const struct peer_entry *peer_next(const uint8_t **payload)
{
    struct peer_record *record = peer_state()->record;

    if (!read_next(record))
        return NULL;
    if (record->next.moment < peer_state()->moment)
        parts("something came in that was not asked for");
    if (record->next.moment > peer_state()->moment)
        return NULL;
    *payload = record->payload;
    return &record->next;
}

void peer_taken(void)
{
    peer_state()->record->has_next = false;
}

void peer_replay_ends(const char *what)
{
    struct peer_record *record = peer_state()->record;

    parts(read_next(record) ? what : "the record is at its end");
}

/* ---- descriptors that came: what a program shares is not there at a replay, but something of the size is ---- */

uint64_t peer_fd_size(int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 ? (uint64_t)status.st_size + 1 : 0;
}

int peer_fd_stand_in(uint64_t size)
{
    int fd;

    if (size == 0)
        return -1;
    fd = memfd_create("pvsim-peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)(size - 1)) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
        fail("peer-record", "no memory in the place of a program's: %s", strerror(errno));
    return fd;
}

/* ---- memory of a program's own ---- */

void peers_read_memory(void *at, size_t bytes)
{
    const uint8_t *payload;
    const struct peer_entry *entry;

    if (machine->peer == NULL || peer_state()->record == NULL || bytes == 0)
        return;
    peer_state()->moment++;
    if (recording()) {
        peer_note(PEER_ENTRY_READ, 0, 0, at, bytes);
        return;
    }
    entry = peer_next(&payload);
    if (entry == NULL || entry->type != PEER_ENTRY_READ || entry->bytes != bytes)
        peer_replay_ends("a program's memory is read that was not read then");
    memcpy(at, payload, bytes);
    peer_taken();
}

/* ---- pages of the machine that programs write ---- */

void peer_share(struct peer *peer, uint32_t backing)
{
    struct shared_page *page;

    if (!recording())
        return;
    for (page = peer_state()->record->pages; page != NULL; page = page->next)
        if (page->process == peer->process && page->backing == backing) {
            page->uses++;
            return;
        }
    page = calloc(1, sizeof(*page));
    if (page == NULL)
        abort();
    page->process = peer->process;
    page->backing = backing;
    page->uses = 1;
    memcpy(page->copy, backing_page(backing), GUEST_PAGE_SIZE);
    page->next = peer_state()->record->pages;
    peer_state()->record->pages = page;
}

void peer_unshare(struct peer *peer, uint32_t backing)
{
    struct shared_page **link;

    if (!recording())
        return;
    for (link = &peer_state()->record->pages; *link != NULL; link = &(*link)->next) {
        struct shared_page *page = *link;

        if (page->process != peer->process || page->backing != backing)
            continue;
        if (--page->uses == 0) {
            *link = page->next;
            free(page);
        }
        return;
    }
}

/* Each run of changed bytes of a page is an entry. */
static void note_changes(struct shared_page *page)
{
    uint8_t now[GUEST_PAGE_SIZE];
    size_t start = 0;

    memcpy(now, backing_page(page->backing), GUEST_PAGE_SIZE);
    while (start < GUEST_PAGE_SIZE) {
        size_t end;

        if (now[start] == page->copy[start]) {
            start++;
            continue;
        }
        for (end = start; end < GUEST_PAGE_SIZE && now[end] != page->copy[end]; end++)
            ;
        peer_note(PEER_ENTRY_MEMORY, page->backing, start, now + start, end - start);
        start = end;
    }
    memcpy(page->copy, now, GUEST_PAGE_SIZE);
}

/* What the guest has written is among it: at a replay it is there already, and is the same. */
void peer_pages_look(const struct peer_process *process)
{
    uint64_t none;

    if (peer_state()->record == NULL)
        return;
    peer_state()->moment++;
    if (!recording()) {
        (void)peer_apply(PEER_ENTRY_NONE, &none);
        return;
    }
    for (struct shared_page *page = peer_state()->record->pages; page != NULL; page = page->next)
        if (page->process == process && memcmp(page->copy, backing_page(page->backing), GUEST_PAGE_SIZE) != 0)
            note_changes(page);
}

void peer_apply_memory(const struct peer_entry *entry, const uint8_t *payload)
{
    if (entry->b > GUEST_PAGE_SIZE || entry->bytes > GUEST_PAGE_SIZE - entry->b)
        parts("the record is damaged");
    memcpy((uint8_t *)backing_page((uint32_t)entry->a) + entry->b, payload, entry->bytes);
}
