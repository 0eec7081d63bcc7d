/*
 * The FIFO ABI of event channels (public/event_channel.h): a word a port in pages of the guest's, and for each vCPU 16
 * queues by priority, whose heads are in a control block of the guest's. Where a queue ends is Xen's own knowledge; of
 * what the guest can write, only flags and links are believed, and a link is never followed.
 */
#include <string.h>

#include "xen/hypervisor.h"

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED (1u << EVTCHN_FIFO_MASKED)
#define LINKED (1u << EVTCHN_FIFO_LINKED)
#define BUSY (1u << EVTCHN_FIFO_BUSY)

#define WORDS_PER_PAGE ((uint32_t)(GUEST_PAGE_SIZE / sizeof(event_word_t)))
#define ARRAY_PAGES_MAX (EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE)
#define LINK_TRIES 4u /* changes that a guest can make to a linked word while it is BUSY */

struct fifo_vcpu {
    evtchn_fifo_control_block_t *control; /* NULL: the vCPU has none yet */
    uint32_t backing;
    uint32_t tail[EVTCHN_FIFO_MAX_QUEUES]; /* the port that was linked last, 0: none */
};

struct evtchn_fifo {
    struct fifo_vcpu *vcpu;
    uint32_t page[ARRAY_PAGES_MAX]; /* backing */
    uint32_t pages;
};

/* ---- words ---- */

/* NULL: its page of the array is not there yet. */
static event_word_t *word_of(const struct domain *domain, uint32_t port)
{
    const struct evtchn_fifo *fifo = domain->fifo;

    if (port / WORDS_PER_PAGE >= fifo->pages)
        return NULL;
    return (event_word_t *)backing_page(fifo->page[port / WORDS_PER_PAGE]) + port % WORDS_PER_PAGE;
}

static bool word_has(const event_word_t *word, event_word_t flag)
{
    return (__atomic_load_n(word, __ATOMIC_SEQ_CST) & flag) != 0;
}

/* Whether the flag was set before. */
static bool word_set(event_word_t *word, event_word_t flag)
{
    return (__atomic_fetch_or(word, flag, __ATOMIC_SEQ_CST) & flag) != 0;
}

static void word_clear(event_word_t *word, event_word_t flag)
{
    __atomic_fetch_and(word, ~flag, __ATOMIC_SEQ_CST);
}

/* ---- queues ---- */

/*
 * Have the word at a queue's end name `port` as the next. False when the guest has taken the word off its queue, which
 * is empty then.
 */
static bool link_behind(const struct domain *domain, event_word_t *word, uint32_t port)
{
    event_word_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);

    for (unsigned tries = 0; tries <= LINK_TRIES; tries++) {
        event_word_t new = (old & ~(BUSY | EVTCHN_FIFO_LINK_MASK)) | port;

        if ((old & LINKED) == 0) {
            word_clear(word, BUSY);
            return false;
        }
        if (__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
        /* The guest does not unmask a word that is BUSY: from here on its changes to it are few. */
        if (tries == 0)
            old = __atomic_or_fetch(word, BUSY, __ATOMIC_SEQ_CST);
    }
    word_clear(word, BUSY);
    log_line(LOG_WARNING, "xen", "domain %u: port %u is not linked, the guest keeps changing the word before it",
             domain->domid, port);
    return true;
}

/* Put a port whose LINKED flag has just been set at the end of its queue; true if the queue was empty. */
static bool enqueue(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    struct fifo_vcpu *vcpu = &domain->fifo->vcpu[channel->vcpu];
    uint32_t *tail = &vcpu->tail[channel->priority];
    uint32_t *old_tail = &domain->fifo->vcpu[channel->last_vcpu].tail[channel->last_priority];
    bool linked = false;

    /* A tail that moves leaves its queue empty; what comes there next must not be linked behind it. */
    if (*old_tail == port)
        *old_tail = 0;
    channel->last_vcpu = channel->vcpu;
    channel->last_priority = channel->priority;
    if (*tail != 0)
        linked = link_behind(domain, word_of(domain, *tail), port);
    if (!linked)
        __atomic_store_n(&vcpu->control->head[channel->priority], port, __ATOMIC_SEQ_CST);
    *tail = port;
    return !linked;
}

/* ---- the ABI's operations ---- */

static void bind(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    (void)domain;
    (void)port;
    channel->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
}

static bool set_pending(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    struct fifo_vcpu *vcpu = &domain->fifo->vcpu[channel->vcpu];
    event_word_t *word = word_of(domain, port);
    uint32_t queue = 1u << channel->priority;
    bool news;

    if (word == NULL) {
        channel->pending = true; /* until the page comes */
        return false;
    }
    news = !word_set(word, PENDING);
    if (vcpu->control == NULL)
        log_line(LOG_WARNING, "xen", "domain %u: an event for vCPU %u, which has no FIFO control block, is dropped",
                 domain->domid, channel->vcpu);
    else if (!word_has(word, MASKED) && !word_set(word, LINKED) && enqueue(domain, port, channel) &&
             (__atomic_fetch_or(&vcpu->control->ready, queue, __ATOMIC_SEQ_CST) & queue) == 0)
        evtchn_mark_upcall(&domain->vcpu[channel->vcpu]);
    return news;
}

/* The guest takes a port off its queue that is not pending any more, and passes over it. */
static void clear_pending(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    event_word_t *word = word_of(domain, port);

    (void)channel;
    if (word != NULL)
        word_clear(word, PENDING);
}

static void unmask(struct domain *domain, uint32_t port, struct evtchn *channel)
{
    event_word_t *word = word_of(domain, port);

    if (word == NULL)
        return;
    word_clear(word, MASKED);
    if (word_has(word, PENDING))
        (void)set_pending(domain, port, channel);
}

static bool is_pending(const struct domain *domain, uint32_t port)
{
    const event_word_t *word = word_of(domain, port);

    return word != NULL && word_has(word, PENDING);
}

/* A port on a queue is not given to anybody else: the first event would come by the old owner's queue. */
static bool is_busy(const struct domain *domain, uint32_t port)
{
    const event_word_t *word = word_of(domain, port);

    return word != NULL && word_has(word, LINKED);
}

static int set_priority(struct domain *domain, struct evtchn *channel, uint32_t priority)
{
    (void)domain;
    if (priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -XEN_EINVAL;
    channel->priority = (uint8_t)priority; /* of events to come; one that is on a queue stays there */
    return 0;
}

const struct evtchn_abi evtchn_fifo = {
    .ports = EVTCHN_FIFO_NR_CHANNELS,
    .bind = bind,
    .set_pending = set_pending,
    .clear_pending = clear_pending,
    .unmask = unmask,
    .is_pending = is_pending,
    .is_busy = is_busy,
    .set_priority = set_priority,
};

/* ---- pages of the guest's ---- */

static int take_page(const struct domain *domain, uint64_t gfn, uint32_t *backing)
{
    *backing = physmap_own_page(domain, gfn);
    if (*backing == BACKING_NONE)
        return -XEN_EINVAL;
    xen_page_hold(*backing);
    return 0;
}

static int place_control(const struct domain *domain, struct fifo_vcpu *vcpu, uint64_t gfn, uint32_t offset)
{
    uint32_t backing;
    int error;

    if (vcpu->control != NULL)
        return -XEN_EINVAL;
    error = take_page(domain, gfn, &backing);
    if (error != 0)
        return error;
    vcpu->backing = backing;
    vcpu->control = (evtchn_fifo_control_block_t *)((uint8_t *)backing_page(backing) + offset);
    return 0;
}

/* The whole domain goes over; what is pending by the 2-level bits is raised when its word comes. */
static void switch_ports(struct domain *domain)
{
    for (uint32_t port = 1; port < EVTCHN_2L_NR_CHANNELS; port++) {
        struct evtchn *channel = evtchn_find(domain, port);

        if (channel == NULL)
            break;
        channel->pending = evtchn_two_level.is_pending(domain, port);
        channel->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    }
}

int evtchn_fifo_init_control(struct domain *domain, struct evtchn_init_control *op)
{
    struct evtchn_fifo *fifo = domain->fifo;
    int error;

    op->link_bits = EVTCHN_FIFO_LINK_BITS;
    if (domain_vcpu(domain, op->vcpu) == NULL)
        return -XEN_ENOENT;
    if (op->offset > GUEST_PAGE_SIZE - sizeof(evtchn_fifo_control_block_t) || op->offset % 8 != 0)
        return -XEN_EINVAL;
    if (fifo == NULL) {
        fifo = image_alloc(sizeof(*fifo));
        fifo->vcpu = image_alloc(domain->vcpus * sizeof(*fifo->vcpu));
    }
    error = place_control(domain, &fifo->vcpu[op->vcpu], op->control_gfn, op->offset);
    if (domain->fifo != NULL)
        return error;
    if (error != 0) {
        image_free(fifo->vcpu);
        image_free(fifo);
        return error;
    }
    switch_ports(domain);
    domain->fifo = fifo;
    return 0;
}

int evtchn_fifo_expand(struct domain *domain, uint64_t gfn)
{
    struct evtchn_fifo *fifo = domain->fifo;
    uint32_t first;
    int error;

    if (fifo == NULL)
        return -XEN_EOPNOTSUPP;
    if (fifo->pages == ARRAY_PAGES_MAX)
        return -XEN_ENOSPC;
    error = take_page(domain, gfn, &fifo->page[fifo->pages]);
    if (error != 0)
        return error;
    first = fifo->pages++ * WORDS_PER_PAGE;
    for (uint32_t port = first; port < first + WORDS_PER_PAGE; port++) {
        struct evtchn *channel = evtchn_find(domain, port);

        if (channel == NULL)
            break;
        if (channel->pending)
            (void)set_pending(domain, port, channel);
        channel->pending = false;
    }
    return 0;
}

void evtchn_fifo_destroy(struct domain *domain)
{
    struct evtchn_fifo *fifo = domain->fifo;

    if (fifo == NULL)
        return;
    for (unsigned i = 0; i < domain->vcpus; i++)
        if (fifo->vcpu[i].control != NULL)
            xen_page_drop(fifo->vcpu[i].backing);
    for (uint32_t i = 0; i < fifo->pages; i++)
        xen_page_drop(fifo->page[i]);
    image_free(fifo->vcpu);
    image_free(fifo);
    domain->fifo = NULL;
}
