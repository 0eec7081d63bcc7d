#include "netback_features.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct netback_features features_default = {
    .rx_copy = true,
    .sg = true,
    .max_queues = 1,
};

static const struct {
    const char *name;
    size_t offset;
} words[] = {
    {"rx-copy", offsetof(struct netback_features, rx_copy)},
    {"sg", offsetof(struct netback_features, sg)},
    {"gso-tcpv4", offsetof(struct netback_features, gso_tcpv4)},
    {"gso-tcpv6", offsetof(struct netback_features, gso_tcpv6)},
    {"csum-offload", offsetof(struct netback_features, csum_offload)},
    {"ipv6-csum-offload", offsetof(struct netback_features, ipv6_csum_offload)},
    {"split-event-channels", offsetof(struct netback_features, split_event_channels)},
    {"multicast-control", offsetof(struct netback_features, multicast_control)},
    {"dynamic-multicast-control", offsetof(struct netback_features, dynamic_multicast_control)},
    {"ctrl-ring", offsetof(struct netback_features, ctrl_ring)},
    {"carrier", offsetof(struct netback_features, carrier)},
    {"wire", offsetof(struct netback_features, wire)},
};

#define WORDS (sizeof(words) / sizeof(words[0]))

static void set_all(struct netback_features *features, bool on)
{
    bool wire = features->wire;

    for (unsigned i = 0; i < WORDS; i++)
        *(bool *)((uint8_t *)features + words[i].offset) = on;
    features->rx_copy = true;
    features->wire = wire;
    features->max_queues = on ? FEATURES_QUEUES_MAX : 1;
}

static bool set_queues(struct netback_features *features, const char *number)
{
    char *end;
    unsigned long value = strtoul(number, &end, 10);

    if (number[0] < '0' || number[0] > '9' || *end || value < 1 || value > FEATURES_QUEUES_MAX)
        return false;
    features->max_queues = (unsigned)value;
    return true;
}

static bool take_word(struct netback_features *features, const char *word)
{
    bool on = word[0] != '-';

    if (strcmp(word, "all") == 0 || strcmp(word, "none") == 0) {
        set_all(features, word[0] == 'a');
        return true;
    }
    if (strcmp(word, "default") == 0) {
        *features = features_default;
        return true;
    }
    if (strncmp(word, "queues=", 7) == 0)
        return set_queues(features, word + 7);
    for (unsigned i = 0; i < WORDS; i++) {
        if (strcmp(words[i].name, word + !on) == 0) {
            *(bool *)((uint8_t *)features + words[i].offset) = on;
            return true;
        }
    }
    return false;
}

bool features_parse(const char *text, struct netback_features *features, char error[FEATURES_ERROR_MAX])
{
    char word[40];

    *features = features_default;
    for (;;) {
        size_t length = strcspn(text, ",");

        snprintf(word, sizeof(word), "%.*s", (int)(length < sizeof(word) ? length : sizeof(word) - 1), text);
        if (length >= sizeof(word) || !take_word(features, word)) {
            snprintf(error, FEATURES_ERROR_MAX,
                     "'%.*s' is no feature: all, none, default, queues=1 to queues=%u, or NAME or -NAME with sg, "
                     "gso-tcpv4, gso-tcpv6, csum-offload, ipv6-csum-offload, split-event-channels, multicast-control, "
                     "dynamic-multicast-control, ctrl-ring, carrier, rx-copy, wire",
                     (int)(length < 40 ? length : 40), text, FEATURES_QUEUES_MAX);
            return false;
        }
        if (!text[length])
            return true;
        text += length + 1;
    }
}
