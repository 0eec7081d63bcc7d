/*
 * A machine's configuration from a file as 'xl create' takes it (xl.cfg(5)): read by libxlutil, xl's own parser; what
 * its keys mean is here, and the syntax of an interface in vif_spec.h.
 */
#ifndef CLI_XLCFG_H
#define CLI_XLCFG_H

#include "cli/cli.h"

struct xlcfg;

#define XLCFG_MAX ((size_t)1 << 20) /* bytes of a file */

/* A file's text, into XLCFG_MAX + 1 bytes, ended by a NUL; false: `refused` has the line. */
bool xlcfg_load(const char *path, char *text, size_t *length, char *refused, size_t size);
/*
 * Fill in what the file says; options->file owns the strings from then on, also after a failure. Keys without a meaning
 * here are reported in a line each. 0, or an exit status after a line that tells file and line.
 */
int xlcfg_read(const char *path, struct create_options *options);
/* The same for the text of a file of this name. */
int xlcfg_read_text(const char *name, const char *text, struct create_options *options);
void xlcfg_close(struct xlcfg *file); /* NULL: nothing to do */

#endif
