/* What netback offers to frontends (io/netif.h), and the words in which a user says so. */
#ifndef BACKEND_NETBACK_FEATURES_H
#define BACKEND_NETBACK_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#define FEATURES_QUEUES_MAX 16u
#define FEATURES_ERROR_MAX 256

struct netback_features {
    bool rx_copy;                   /* feature-rx-copy: without it no frontend can connect */
    bool sg;                        /* feature-sg; without it frames to and from the guest fit one page */
    bool gso_tcpv4;                 /* feature-gso-tcpv4, in both directions */
    bool gso_tcpv6;                 /* feature-gso-tcpv6, likewise */
    bool csum_offload;              /* not feature-no-csum-offload, likewise */
    bool ipv6_csum_offload;         /* feature-ipv6-csum-offload, likewise */
    bool split_event_channels;      /* feature-split-event-channels */
    bool multicast_control;         /* feature-multicast-control */
    bool dynamic_multicast_control; /* feature-dynamic-multicast-control */
    bool ctrl_ring;                 /* feature-ctrl-ring */
    bool carrier;                   /* carrier, as the network end says */
    unsigned max_queues;            /* multi-queue-max-queues */
    bool wire; /* no key: what the guest sends is cut and its checksums completed, whatever the port takes */
};

/* What is offered when nobody says otherwise. */
extern const struct netback_features features_default;

/*
 * Words with commas between them, each of which changes what was said before, from the default on: "all", "none" (but
 * for rx-copy), "default", a NAME to offer, -NAME not to, queues=N; "wire" and "-wire", which all and none leave as it
 * is. False, with one line in `error`, when a word is none of these.
 */
bool features_parse(const char *text, struct netback_features *features, char error[FEATURES_ERROR_MAX]);

#endif
