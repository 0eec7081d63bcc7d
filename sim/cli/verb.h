/*
 * The verbs: what a user asks of a machine that stays up (pvsim create), with xl's names, arguments and output.
 *
 * A verb's command line is read by the command that the user starts, which takes it to the machine's control socket;
 * there it runs as a dom0 task on the toolstack. The words go over as they are: what follows an option or an argument
 * that could not be read is never sent.
 */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "toolstack.h"

#define VERB_WORDS_MAX 32

struct verb_call;

struct verb {
    const char *name;
    const char *flags; /* letters of options without a value */
    const char *words; /* the arguments, for a line on their number */
    unsigned minimum;  /* so many of them */
    unsigned maximum;
    unsigned path;       /* this word, from 1, and those behind it name something on the host; 0: none does */
    bool path_has_slash; /* otherwise it does not */
    int (*check)(const char *const *words, unsigned count); /* by the user's command, of his files; may be NULL */
    int (*run)(struct verb_call *call);
    /* The command that the user starts, if it does more than wait for the answer; it is typed at, too. */
    int (*command)(const struct verb *verb, int argc, char **argv);
};

/* The verb of this name, NULL: there is none. */
const struct verb *verb_find(const char *name);
/* The command that the user starts; an exit status. */
int verb_command(const struct verb *verb, int argc, char **argv);
/*
 * Read the line and send it to the machine: 0 with the connection, which answers as control.h says, or an exit status
 * after a line, or -1 after the help. The folder goes to *dir unless that is NULL.
 */
struct run_dir;
int verb_send(const struct verb *verb, int argc, char **argv, struct run_dir *dir, int *fd);
/* Wait for the next answer, and print what is to be printed; false: that was the last, or the machine is gone. */
struct verb_answers {
    bool caught_up;    /* with what had been printed before the verb began (verb_write() of nothing) */
    bool ended;        /* the verb has, with this status, ... */
    bool machine_ends; /* ... and whether the machine does */
    int status;
};
bool verb_answer(int fd, struct verb_answers *answers);

/* ---- a verb at work, in the machine ---- */

bool verb_flag(const struct verb_call *call, char letter);
unsigned verb_count(const struct verb_call *call);
const char *verb_word(const struct verb_call *call, unsigned index); /* NULL behind the last one */

/* To the standard output, to the standard error, and to that as a line of an error, of the command. */
void verb_print(struct verb_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verb_note(struct verb_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verb_complain(struct verb_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

void verb_write(struct verb_call *call, const char *bytes, size_t count); /* up to 1,000, to the standard output */
/* What has been typed at a verb with a command of its own, which unparks the task that runs it. */
const char *verb_typed(const struct verb_call *call, size_t *count);
void verb_consume(struct verb_call *call, size_t count);
bool verb_is_heard(const struct verb_call *call); /* the command is still there */

/* The toolstack of this call. */
struct toolstack *verb_toolstack(struct verb_call *call);
struct operator_state *verb_operator(const struct verb_call *call);
/* The domain that a word names by its number or its name. False after a line. */
bool verb_domain(struct verb_call *call, const char *word, unsigned *domid);

/* The machine ends with this call, if it returns EXIT_PASSED. */
void verb_ends_machine(struct verb_call *call);

/* Does the guest listen to control/shutdown? As libxl finds out: its drivers have registered an upcall. */
bool verb_has_pv_control(unsigned domid);

/*
 * Suspend the guest, as libxl does; `forced`: without its drivers. And have one go on where it was, as if it had not
 * been. False after a line.
 */
bool verb_suspend_domain(struct verb_call *call, unsigned domid, bool forced);
bool verb_cancel_suspend(struct verb_call *call, unsigned domid);
/* Everything of the domain goes; it stands still. False after a line. */
bool verb_destroy_domain(struct verb_call *call, unsigned domid);

int verb_console_command(const struct verb *verb, int argc, char **argv);

/* verb_console.c, verb_domain.c, verb_power.c, verb_suspend.c, verb_save.c, verb_network.c, verb_vcpu.c */
int verb_console(struct verb_call *call);
int verb_list(struct verb_call *call);
int verb_destroy(struct verb_call *call);
int verb_pause(struct verb_call *call);
int verb_unpause(struct verb_call *call);
int verb_shutdown(struct verb_call *call);
int verb_reboot(struct verb_call *call);
int verb_trigger(struct verb_call *call);
int verb_mem_set(struct verb_call *call);
int verb_vcpu_set(struct verb_call *call);
int verb_debug_keys(struct verb_call *call);
int verb_suspend(struct verb_call *call);
int verb_resume(struct verb_call *call);
int verb_save(struct verb_call *call);
int verb_migrate(struct verb_call *call);
int verb_network_attach(struct verb_call *call);
int verb_network_detach(struct verb_call *call);

#endif
