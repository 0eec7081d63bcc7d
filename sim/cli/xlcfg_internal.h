/* Between xlcfg.c (the file and its keys) and xlcfg_devices.c (its lists of interfaces and disks). */
#ifndef CLI_XLCFG_INTERNAL_H
#define CLI_XLCFG_INTERNAL_H

#include <libxlutil.h>

#include "cli/xlcfg.h"

/* A key that the file sets, by its last assignment. */
struct xlcfg_key {
    char *name;
    unsigned line;
};

struct xlcfg {
    const char *path;
    struct create_options *options;
    char *text;
    size_t length;
    XLU_Config *config;
    FILE *report; /* what the library has to say, which is only read after failures */
    char *report_text;
    size_t report_size;
    struct xlcfg_key *key;
    unsigned keys;
    char uuid[37];
    long memory; /* 0: not said; likewise */
    long max_memory;
    long vcpus;
    long max_vcpus;
    struct vif_spec *vif;
    char **vif_text; /* whose words the specifications hold */
    int vifs;
};

/* A line on what a key says. False, for a value that is refused. */
bool xlcfg_refuse(const struct xlcfg *file, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Likewise on what is left alone. */
void xlcfg_note(const struct xlcfg *file, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A list of strings; false after a line. */
bool xlcfg_list(const struct xlcfg *file, const char *key, const char *example, XLU_ConfigList **list, int *count);
/* Where the library's report goes on, and what it then said, without the file's name. */
size_t xlcfg_report_mark(struct xlcfg *file);
const char *xlcfg_report_since(struct xlcfg *file, size_t mark);

bool xlcfg_take_vif(struct xlcfg *file, const char *key);
bool xlcfg_take_disk(struct xlcfg *file, const char *key);
void xlcfg_free_devices(struct xlcfg *file);

#endif
