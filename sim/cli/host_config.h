/* What a configuration file makes of the domain of a machine that goes on (xlcfg.h). */
#ifndef CLI_HOST_CONFIG_H
#define CLI_HOST_CONFIG_H

#include "cli/cli.h"

#define HOST_CONFIG_REFUSED_MAX 512

struct operator_state;

/*
 * The options of the machine as saved, and on them what the file says; options->file is the caller's then, also after a
 * failure. The machine itself stays as it is: the board starts empty, for the file to say what is on it. False, for a
 * file that does not fit the machine: `refused` has a line, "": it has been said.
 */
bool host_config_read(const struct operator_state *state, const char *name, const char *text,
                      struct create_options *options, char refused[HOST_CONFIG_REFUSED_MAX]);
/* Say what it says of the machine otherwise than that is, without being refused for it. */
void host_config_note(const char *name, const struct create_options *options);

#endif
