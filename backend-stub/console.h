/*
 * The guests' PV consoles, as xenconsoled has them: each domain that the store shows with a console of that type has
 * its ring emptied and its output kept, and what is typed put into its ring. Over the public libraries only.
 */
#ifndef BACKEND_CONSOLE_H
#define BACKEND_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define CONSOLE_HISTORY 65536u /* bytes of output that are kept */
#define CONSOLE_TYPED 4096u    /* bytes of input that wait for room in the ring */

struct consoles;

struct consoles_options {
    const struct backend_logger *logger;
    void (*news)(void *context); /* there is output, room for input, or a console has come or gone */
    void *context;
};

/* TAKEN: another program has bound its port. It is tried again by consoles_retry() and when a domain comes or goes. */
enum console_state { CONSOLE_NONE, CONSOLE_OPEN, CONSOLE_TAKEN };

/* NULL with a line in the log. */
struct consoles *consoles_create(const struct consoles_options *options);
void consoles_destroy(struct consoles *consoles);
/* The loop; ends, with true, by consoles_stop(), which may be called from elsewhere. */
bool consoles_run(struct consoles *consoles);
void consoles_stop(struct consoles *consoles);

enum console_state consoles_state(const struct consoles *consoles, unsigned domid);
/* Nobody says when another program has let go of a console: try to have it. What it comes to is consoles_state(). */
void consoles_retry(struct consoles *consoles, unsigned domid);
/*
 * Output from *position on, or from the oldest that is kept: how many bytes; *position is behind them. 0 is the
 * beginning.
 */
size_t consoles_read(const struct consoles *consoles, unsigned domid, uint64_t *position, char *buffer, size_t size);
/* Type; how many bytes were taken. */
size_t consoles_write(struct consoles *consoles, unsigned domid, const char *bytes, size_t count);

#endif
