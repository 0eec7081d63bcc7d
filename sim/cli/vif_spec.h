/*
 * A network interface as xl's users describe it (xl-network-configuration(5)): in the list `vif` of a configuration
 * file and behind 'network-attach', keys with values and flags.
 */
#ifndef CLI_VIF_SPEC_H
#define CLI_VIF_SPEC_H

#include "machine/machine.h"
#include "toolstack.h"

struct vif_spec {
    struct toolstack_vif vif; /* its strings are those of the words, or the rate below */
    bool mac_given;
    bool devid_given;
    const char *backend; /* domain by number or name; NULL: not said */
    const char *type;    /* "vif" or "ioemu"; NULL: not said */
    const char *model;   /* NULL: not said */
    char rate[40];
};

/* What became of a word: something that has no meaning here is left alone. */
enum vif_word { VIF_WORD_TAKEN, VIF_WORD_IGNORED, VIF_WORD_REFUSED };

/* Take "key=value" or a flag; the word must stay. Refused: why is in `error`, to be followed by nothing. */
enum vif_word vif_spec_take(struct vif_spec *spec, const char *word, char *error, size_t error_size);

/* An emulated network card by the name of its model; false: there is none. */
bool vif_model(const char *name, enum machine_nic_model *model);

/* "00:16:3e:01:02:03" */
bool vif_read_mac(const char *text, uint8_t mac[6]);
/* A decimal number up to the limit. */
bool vif_read_number(const char *text, unsigned limit, unsigned *number);

#endif
