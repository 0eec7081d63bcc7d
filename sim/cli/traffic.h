/*
 * The guest's application: for each VIF it opens the client driver's device and has one thread write every frame of a
 * capture and one read every frame that comes. It speaks I/O requests only, as any program in the guest would. Or it
 * has the client's packet generator do both in the kernel.
 */
#ifndef CLI_TRAFFIC_H
#define CLI_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "port_pktgen.h"

struct capture;
struct checker;
struct netback_features;
struct task;

/* Totals of one direction of one VIF as the guest sees them. */
struct traffic_count {
    uint64_t frames;      /* sent and completed with success; received and right */
    uint64_t bytes;       /* of those sent, of all that were received */
    uint64_t failed;      /* writes or reads that ended with an error */
    uint64_t corrupt;     /* received frames that differ from what was sent, or came out of order or too often */
    uint32_t first_bad;   /* number of the first request that failed, or whose frame was bad, from 1 */
    int32_t first_status; /* its NTSTATUS, or 0 for a difference */
};

struct traffic_vif {
    unsigned index;
    const struct capture *tx;                                              /* NULL: nothing is to go */
    const struct capture *rx;                                              /* what has to come; NULL: nothing */
    void (*received)(void *context, const uint8_t *data, uint32_t length); /* each frame read; may be NULL */
    void *received_context;
    void (*progress)(void *context); /* after each frame, either way; may be NULL */
    void *progress_context;
    bool by_flow;    /* frames of different flows may overtake one another, as they do on several queues */
    unsigned batch;  /* frames that a request carries at most; 1: requests carry frames as they are */
    uint64_t rounds; /* of the packet generator: each of them carries all frames */
    bool rss;        /* have received frames hashed, and spread over the processors where there are several queues */
    bool multicast_filter; /* let in multicast frames of the groups in `rx` alone */
    uint64_t patience;     /* ns after which a request is given up; 0: never */
    struct task *waiter;   /* unparked when a thread of ours is ready or ends */

    struct traffic_count sent;
    struct traffic_count got;
    unsigned running;        /* threads that have not ended */
    struct checker *checker; /* the reader's own */
    bool ready;              /* the reader has its requests posted, or the load is there (or the device was not) */
    int32_t open_status;
    int32_t load_status;
    char complaint[PORT_PKTGEN_DIFFERENCE + 64]; /* of the packet generator or the counters, "" if all was right */
};

/* Start the threads (from a guest thread or a dom0 task), both or one at a time. `vif` stays until running is 0. */
void traffic_start(struct traffic_vif *vif);
void traffic_start_reader(struct traffic_vif *vif);
void traffic_start_writer(struct traffic_vif *vif);

/* Can a packet generator carry the frames, each as it is? False after one line on stderr. */
bool traffic_pktgen_check(const struct capture *tx, const struct capture *rx, const struct netback_features *features);
/*
 * The packet generator's two steps, each over when running is 0 again: load the captures, and carry them `rounds`
 * times. Frames may come from the end of the first on.
 */
void traffic_start_load(struct traffic_vif *vif);
void traffic_start_pktgen(struct traffic_vif *vif);

#endif
