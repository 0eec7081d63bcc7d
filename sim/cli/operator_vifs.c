/* What has become of the guest's interfaces once it is up. */
#include "cli/operator_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include "cli/guest.h"
#include "dom0/heap.h"
#include "keys.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "store/store.h"
#include "xen/abi.h"
#include "xen/xen.h"

#include <xen/grant_table.h>
#include <xen/io/xenbus.h>

#define SETTLE_NS UINT64_C(2000000000)
#define LOOK_NS UINT64_C(1000000)
#define TEXT_MAX 120

/* STATUS_INSUFFICIENT_RESOURCES in the guest's words. */
static const char number_of_shortage[] = "3221225626";

/* Of those that have not connected the first one that says why, else the first one. */
struct tally {
    unsigned count;
    unsigned missing;
    unsigned silent; /* of these, those that may still connect */
    bool starved;    /* one of them says that the guest has no memory for it, or what else a driver may mean by that */
    unsigned first;
    char text[TEXT_MAX];
};

/* The guest's own words. */
static void read_error(struct xs_handle *xs, unsigned domid, unsigned handle, char text[TEXT_MAX])
{
    char *said = key_read(xs, XBT_NULL, "/local/domain/%u/error/device/vif/%u/error", domid, handle);

    snprintf(text, TEXT_MAX, "%s", said != NULL ? said : "");
    for (char *letter = text; *letter != '\0'; letter++)
        if (!isprint((unsigned char)*letter))
            *letter = '?';
    free(said);
}

static void look_at(struct xs_handle *xs, unsigned domid, unsigned handle, struct tally *tally)
{
    char text[TEXT_MAX];
    uint32_t state;

    tally->count++;
    if (key_read_number(xs, XBT_NULL, XenbusStateReconfigured, &state, "/local/domain/%u/device/vif/%u/state", domid,
                        handle) &&
        state == XenbusStateConnected)
        return;
    read_error(xs, domid, handle, text);
    tally->silent += text[0] == '\0';
    tally->starved = tally->starved || strstr(text, number_of_shortage) != NULL;
    if (tally->missing++ == 0 || (tally->text[0] == '\0' && text[0] != '\0')) {
        tally->first = handle;
        memcpy(tally->text, text, sizeof(text));
    }
}

static struct tally look_at_all(struct xs_handle *xs, unsigned domid, const struct toolstack_vifs *vifs)
{
    struct tally tally = {.count = 0};
    const struct toolstack_vif *vif;

    for (unsigned index = 0; (vif = toolstack_vifs_item(vifs, index)) != NULL; index++)
        look_at(xs, domid, vif->handle, &tally);
    return tally;
}

/* As GNTTABOP_query_size has it for domain 0. */
static bool is_table_full(unsigned domid, unsigned *frames)
{
    struct gnttab_query_size *op = calloc(1, sizeof(*op)); /* memory that is a caller's */
    const struct xen_memory memory = {.base = (uintptr_t)op, .bytes = sizeof(*op), .host = op};
    const uint64_t arg[5] = {GNTTABOP_query_size, (uintptr_t)op, 1};
    bool full;

    op->dom = (domid_t)domid;
    full = xen_host_hypercall(XEN_DOM0, __HYPERVISOR_grant_table_op, arg, &memory) == 0 && op->status == GNTST_okay &&
           op->nr_frames == op->max_nr_frames;
    *frames = op->max_nr_frames;
    free(op);
    return full;
}

/* Enough for all of a limit that was so much too little for the others: a power of two. */
static unsigned enough(const struct tally *tally, unsigned limit)
{
    unsigned connected = tally->count > tally->missing ? tally->count - tally->missing : 1;
    unsigned wanted = 1;

    while (wanted * connected < limit * tally->count)
        wanted *= 2;
    return wanted;
}

/* That memory was short once, of which the guest may have got over, is not why an interface has not connected. */
static bool is_for_memory(const struct tally *tally)
{
    return guest_memory_ran_out() && (tally->starved || guest_memory_is_short() || guest_has_starved_device());
}

/* With the way out where the machine knows one. */
static void describe(unsigned domid, const struct tally *tally, char *note, size_t size)
{
    unsigned watches = store_quota()->watches;
    unsigned memory = (unsigned)(machine->config.ram_bytes >> 20);
    unsigned frames;
    int length;

    length = snprintf(note, size, "%u of the guest's %u interfaces have not connected; VIF %u: %s", tally->missing,
                      tally->count, tally->first, tally->text[0] != '\0' ? tally->text : "nothing is heard of it");
    if (is_table_full(domid, &frames))
        snprintf(note + length, size - (size_t)length,
                 "; its grant table is full, %u frames: give it more, --max-grant-frames %u", frames,
                 enough(tally, frames));
    else if (store_watches_are_used_up(domid))
        snprintf(note + length, size - (size_t)length,
                 "; it has all the watches in the store that it may have, %u: give it more, --store-quota watches=%u",
                 watches, enough(tally, watches));
    else if (is_for_memory(tally))
        snprintf(note + length, size - (size_t)length, "; the guest's memory was used up: give it more, --memory %u",
                 enough(tally, memory));
}

bool operator_vifs_missing(const struct operator_state *state, char *note, size_t size)
{
    struct toolstack *toolstack = toolstack_open(&operator_logger);
    struct xs_handle *xs = xs_open(0);
    uint64_t deadline = clock_now() + SETTLE_NS;
    unsigned domid = state->domain.domid;
    struct toolstack_vifs *vifs = toolstack != NULL ? toolstack_vifs_read(toolstack, domid) : NULL;
    struct tally tally = {.count = 0};

    while (xs != NULL && vifs != NULL) {
        tally = look_at_all(xs, domid, vifs);
        if (tally.silent == 0 || clock_now() >= deadline)
            break;
        (void)task_park(clock_now() + LOOK_NS, "the guest's interfaces");
    }
    if (tally.missing != 0)
        describe(domid, &tally, note, size);
    if (vifs != NULL)
        toolstack_vifs_free(vifs);
    if (xs != NULL)
        xs_close(xs);
    toolstack_close(toolstack);
    return tally.missing != 0;
}
