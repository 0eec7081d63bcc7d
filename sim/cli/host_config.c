#include "cli/host_config.h"

#include <string.h>

#include "xen/abi.h"

#include <xen/sched.h>

#include "cli/operator.h"
#include "cli/xlcfg.h"

/* The machine is as it was saved. */
static bool fits(const char *name, const struct create_options *options, const struct create_options *saved,
                 char *refused)
{
    const struct machine_config *config = &machine->config;
    unsigned vcpus = options->run.machine.vcpus;

    if (vcpus < options->max_vcpus)
        vcpus = options->max_vcpus;
    if (vcpus == config->vcpus && options->run.machine.ram_bytes == config->ram_bytes &&
        options->run.backend.domid == saved->run.backend.domid)
        return true;
    snprintf(refused, HOST_CONFIG_REFUSED_MAX,
             "%.300s: the machine was saved with vcpus = %u, memory = %llu and backend = %u, and keeps them", name,
             config->vcpus, (unsigned long long)(config->ram_bytes >> 20), saved->run.backend.domid);
    return false;
}

bool host_config_read(const struct operator_state *state, const char *name, const char *text,
                      struct create_options *options, char refused[HOST_CONFIG_REFUSED_MAX])
{
    const struct create_options *saved = operator_options(state);
    struct machine_board *board = &options->run.machine.board;
    int status;

    *options = *saved;
    options->run.machine = machine->config;
    options->file = NULL;
    options->uuid = NULL;
    options->preserved = 0;
    options->restarted = CREATE_RESTARTED;
    options->target_kib = 0;
    options->max_vcpus = 0;
    board->nics = 0;
    board->disks = 0;
    board->cdroms = 0;
    refused[0] = '\0';
    status = text != NULL ? xlcfg_read_text(name, text, options) : xlcfg_read(name, options);
    return status == 0 && fits(name, options, saved, refused);
}

static bool same_cards(const struct machine_board *board, const struct machine_board *own)
{
    for (unsigned index = 0; index < board->nics && index < own->nics; index++)
        if (board->nic[index].model != own->nic[index].model ||
            memcmp(board->nic[index].mac, own->nic[index].mac, sizeof(own->nic[index].mac)) != 0)
            return false;
    return board->nics == own->nics;
}

void host_config_note(const char *name, const struct create_options *options)
{
    const struct machine_config *config = &options->run.machine;
    const struct machine_config *own = &machine->config;
    const struct {
        const char *what;
        bool same;
    } parts[] = {
        {"emulated cards", same_cards(&config->board, &own->board)},
        {"disks", config->board.disks == own->board.disks && config->board.cdroms == own->board.cdroms},
        {"vendor_device", config->board.vendor_device == own->board.vendor_device},
        {"viridian", config->host.viridian == own->host.viridian},
        {"max_grant_version", config->host.grant_v1 == own->host.grant_v1},
        {"max_grant_frames", config->max_grant_frames == own->max_grant_frames},
        {"event_channels", config->event_channels == own->event_channels},
    };
    char list[160] = "";

    for (size_t index = 0; index < sizeof(parts) / sizeof(parts[0]); index++) {
        size_t length = strlen(list);

        if (!parts[index].same)
            snprintf(list + length, sizeof(list) - length, "%s%s", length != 0 ? ", " : "", parts[index].what);
    }
    if (list[0] != '\0')
        complain("%s: the machine keeps what it was saved with, and what the file says otherwise is ignored: %s", name,
                 list);
}
