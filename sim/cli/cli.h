/* The pvsim command: what its files share. Host code; nothing here is machine state. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "netback_features.h"
#include "machine/machine.h"

/* Exit statuses of every command. */
enum { EXIT_PASSED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_HERE = 125 };

enum format { FORMAT_TEXT, FORMAT_JSON };

#define VIFS_MAX 128

enum backend_kind { BACKEND_STUB, BACKEND_NONE, BACKEND_EXEC };

/* Who serves the guest's interfaces, and in which domain. */
struct backend_choice {
    enum backend_kind kind;
    const char *command; /* BACKEND_EXEC */
    unsigned domid;
    struct netback_features features; /* BACKEND_STUB: what it offers */
    bool features_given;              /* by an option */
    unsigned busy_poll_us;            /* BACKEND_STUB: as of struct netback_options */
};

/* It is no part of the machine. */
static inline bool backend_is_outside(const struct backend_choice *backend)
{
    return backend->kind != BACKEND_STUB;
}

/* What the guest of a run goes through before its traffic (--through; run_through.c). */
enum through { THROUGH_SLEEP, THROUGH_HIBERNATE, THROUGH_SUSPEND, THROUGH_SLOW, THROUGH_MIGRATE, THROUGH_KINDS };

#define THROUGH_MAX 32u

struct through_list {
    enum through stage[THROUGH_MAX];
    unsigned count;
};

/* False after one line on stderr. */
bool through_parse(const char *text, struct through_list *list);

#define REQUEST_FRAMES_MAX 1024u
#define PKTGEN_BATCH_MAX 256u
#define PKTGEN_ROUNDS_MAX UINT64_C(1000000000)

struct run_options {
    struct machine_config machine;
    struct backend_choice backend;
    const char *run_dir; /* NULL: the user's, or a temporary one (run_dir.h) */
    bool virtual_clock;  /* asked for by name */
    bool seed_given;
    bool delay_list;      /* show the table and be done */
    bool boot_seed_given; /* another seed until every VIF is connected */
    uint64_t boot_seed;
    unsigned vifs; /* none on a machine without Xen */
    bool vifs_given;
    const char *tx; /* captures to send and to receive; NULL: nothing that way */
    const char *rx;
    const char *tx_frames; /* of the captures only these (cli/frames.h); NULL: all */
    const char *rx_frames;
    unsigned batch;        /* frames that a request of the guest's application carries, or a row of the generator's */
    uint64_t rounds;       /* of the packet generator; 0: an application carries the captures once */
    bool rss;              /* it has received frames hashed and spread */
    bool multicast_filter; /* it wants the groups of the capture alone */
    struct through_list through;
    const char *out_tx;
    const char *out_rx;
    enum format format;
    const char *bundle_dir;  /* where a failed run leaves its bundle */
    const char *bundle_path; /* the file, NULL: named for seed and event */
    bool no_bundle;
    bool core;      /* a failure of the machine leaves a core file too */
    unsigned views; /* of the machine where it stopped (nt/debugger/views.h) */
};

/*
 * Parse the arguments behind "run". 0: go on; otherwise an exit status plus one line on stderr (or the help on stdout
 * and -1).
 */
int options_parse_run(int argc, char **argv, struct run_options *options);

#define DOMAIN_NAME_MAX 40 /* as wide as the column of 'list' */

enum store_kind { STORE_BUILTIN, STORE_EXTERNAL, STORE_EXEC };

struct xlcfg;
struct vif_spec;

#define CREATE_RESTARTED (1u << SHUTDOWN_reboot) /* create_options.restarted, unless a file has another */

/* Of a machine that stays up; of `run` what is the machine's. */
struct create_options {
    enum store_kind store;
    const char *store_command; /* STORE_EXEC */
    struct run_options run;
    const char *name;           /* the domain's */
    const char *uuid;           /* NULL: none of its own */
    uint32_t target_kib;        /* of its memory what it is to have; 0: all of it */
    unsigned max_vcpus;         /* with those that are offline; 0: there are none */
    bool max_vcpus_given;       /* by an option */
    bool board_given;           /* likewise */
    unsigned preserved;         /* bit SHUTDOWN_x: a domain that ends so stays where it is, ... */
    unsigned restarted;         /* ... is started again; otherwise it is destroyed */
    const struct vif_spec *vif; /* its interfaces, run.vifs of them; NULL: with nothing particular about them */
    struct xlcfg *file;         /* that owns what was read from a configuration file; NULL: none was */
    unsigned timeout_ms;        /* of the toolstack's waits for guest and backend; 0: libxl's */
    bool paused;                /* it does not begin before it is unpaused */
    bool attach;                /* to its console, once it is there */
    bool agent;                 /* the guest has one (guest_agent.h) */
    bool console;               /* its console is kept by the machine (console_task.h), not left to a program */
};

/* The same for the arguments behind "create". What it allocated goes with xlcfg_close(options->file). */
int options_parse_create(int argc, char **argv, struct create_options *options);

/* What is to be said of a domain's name, NULL: nothing. */
const char *domain_name_refused(const char *name);

/* Values as every command reads them; false after one line on stderr. */
bool parse_number(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *value);
bool parse_time(const char *option, const char *text, uint64_t *nanoseconds);

/* Print a command's help. */
void help_print(FILE *file, const char *command);
bool help_has(const char *command);

/* The verbs. Each returns an exit status. */
int command_run(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_verifier(int argc, char **argv);
int command_sweep(int argc, char **argv);
int command_minimize(int argc, char **argv);
int command_create(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_migrate_receive(int argc, char **argv);
int command_dom0(int argc, char **argv);

/* "12.345 ms" */
const char *format_time(char *buffer, size_t size, uint64_t nanoseconds);

/* "  again: pvsim run ...", quoted for a shell, and how to replay the bundle if there is one ("": none). */
void command_print_again(int argc, char **argv, const char *bundle);

/* One line on stderr: "pvsim: ..." */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
