/* libxenstore on the built-in store: watches and their events. */
#include "dom0/heap.h"

#include "dom0/xenstore_handle.h"

#include "machine/kernel_lock.h"
#include "machine/sched.h"

#include <errno.h>

int xs_fileno(struct xs_handle *h)
{
    return h->fd.number;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    struct xs_part part[2] = {xs_string(path), xs_string(token)};

    return xs_command(h, XBT_NULL, XS_WATCH, part, 2);
}

static struct store_message *take_event(struct xs_handle *h, struct store_message **link)
{
    struct store_message *event = *link;

    *link = event->next;
    if (h->events_tail == &event->next)
        h->events_tail = link;
    if (!h->events && !store_connection_broken(h->connection))
        dom0_fd_set_readable(&h->fd, false);
    return event;
}

/* Forget events that wait for a watch which is no more. */
static void filter_events(struct xs_handle *h, const char *path, const char *token)
{
    struct store_message **link = &h->events;

    while (*link) {
        const char *event_path = (const char *)(*link)->payload;
        const char *event_token = event_path + strlen(event_path) + 1;

        if (strcmp(event_token, token) == 0 && xs_path_is_subpath(path, event_path))
            free(take_event(h, link));
        else
            link = &(*link)->next;
    }
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    struct xs_part part[2] = {xs_string(path), xs_string(token)};
    KERNEL_SCOPE();

    if (!xs_command(h, XBT_NULL, XS_UNWATCH, part, 2))
        return false;
    if (h->filter_unwatched)
        filter_events(h, path, token);
    return true;
}

/* The oldest event as the two strings behind an array of pointers to them, or NULL with errno. */
static char **next_event(struct xs_handle *h)
{
    struct store_message *event;
    char **array, *strings;

    if (!h->events) {
        errno = store_connection_broken(h->connection) ? EIO : EAGAIN;
        return NULL;
    }
    event = take_event(h, &h->events);
    array = malloc(2 * sizeof(*array) + event->header.len);
    strings = (char *)(array + 2);
    memcpy(strings, event->payload, event->header.len);
    array[XS_WATCH_PATH] = strings;
    array[XS_WATCH_TOKEN] = strings + strlen(strings) + 1;
    free(event);
    return array;
}

char **xs_check_watch(struct xs_handle *h)
{
    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    return next_event(h);
}

char **xs_read_watch(struct xs_handle *h, unsigned int *num)
{
    unsigned tries = 0;
    char **event;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    while (!(event = next_event(h))) {
        if (errno != EAGAIN)
            return NULL;
        if (!dom0_wait(&h->fd.waiters, "store watch", &tries)) {
            errno = ETIMEDOUT;
            return NULL;
        }
    }
    *num = 2;
    return event;
}
