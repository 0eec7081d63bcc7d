/*
 * Between the files that read INFs and install from them: inf_text.c (encodings), inf.c (syntax), inf_match.c (Version,
 * Manufacturer, Models), inf_install.c (DDInstall), inf_registry.c (AddReg, DelReg), inf_service.c (Services),
 * inf_files.c (directories, CopyFiles).
 *
 * Functions with an inf_error return false (or NULL) when they have filled it in. The target machine is x64 Windows 10,
 * version 22H2, workstation.
 */
#ifndef NT_PNP_INF_INTERNAL_H
#define NT_PNP_INF_INTERNAL_H

#include "nt/cm/cm.h"
#include "nt/pnp/inf.h"

#define INF_TARGET_MAJOR 10u
#define INF_TARGET_MINOR 0u
#define INF_TARGET_BUILD 19045u
#define INF_TARGET_PRODUCT 1u   /* VER_NT_WORKSTATION */
#define INF_TARGET_SUITE 0x100u /* VER_SUITE_SINGLEUSERTS */

struct inf_line {
    char *key; /* NULL: fields alone */
    char **fields;
    unsigned field_count;
    unsigned number; /* in the file, from 1: the first of a continued line */
};

struct inf_section {
    struct inf_section *next; /* in the order of the file */
    char *name;
    unsigned number; /* line of its first header */
    struct inf_line *lines;
    unsigned line_count;
    unsigned line_capacity;
};

struct inf {
    char *name;
    uint64_t hash; /* FNV-1a over the bytes of the file: names its package in the driver store */
    struct inf_section *sections;
    uint8_t *data; /* the file's bytes */
    size_t size;
};

/* Says "name:line: ..." (without the line if it is 0). Always false. */
bool inf_fail(const struct inf *inf, unsigned line, struct inf_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The line's number in the file. */
unsigned inf_line_number(const struct inf_section *section, unsigned line);
/* The field, "" if it is missing. */
const char *inf_text(const struct inf_section *section, unsigned line, unsigned field);
/* Decimal or 0x hexadecimal, the whole text. */
bool inf_number(const char *text, uint32_t *value);
/* The field as a number; missing or empty is 0. `what` is for the message. */
bool inf_number_field(const struct inf *inf, const struct inf_section *section, unsigned line, unsigned field,
                      const char *what, uint32_t *value, struct inf_error *error);

/* inf_text.c: the file's bytes as UTF-8 without byte-order mark (machine heap, closed by a zero). */
char *inf_decode(const struct inf *inf, const uint8_t *data, size_t size, struct inf_error *error);

/* inf_match.c: [Version], [Manufacturer] and the Models sections that apply here are well-formed. */
bool inf_check(const struct inf *inf, struct inf_error *error);
/* DriverVer. False without an error if there is none. */
struct inf_version {
    uint32_t month, day, year;
    char *number; /* "1.2.3.4"; machine heap, image_free() it; "" if there is none */
};
bool inf_driver_version(const struct inf *inf, struct inf_version *version, struct inf_error *error);

/*
 * inf_files.c: the Win32 path of a directory identifier ("C:\\Windows\\System32"; machine heap), NULL if there is none.
 */
char *inf_directory(const struct inf *inf, uint32_t identifier);
/* The kernel's name for a Win32 path: "\\SystemRoot\\..." below C:\Windows, "\\??\\..." elsewhere. Machine heap. */
char *inf_kernel_path(const char *path);
/* The package's folder in the driver store: "xenvif.inf_amd64_0123456789abcdef". Machine heap. */
char *inf_package_name(const struct inf *inf);
/* Walk over one CopyFiles directive; `visit` NULL: check it only. */
bool inf_copy_files_line(const struct inf *inf, const struct inf_section *section, unsigned line,
                         void (*visit)(void *context, const char *file, const char *folder), void *context,
                         struct inf_error *error);

/*
 * inf_install.c: the section to use of name.NTamd64, name.NT and name; NULL if there is none. `extension` gets
 * ".NTamd64",
 * ".NT" or "".
 */
const struct inf_section *inf_actual_section(const struct inf *inf, const char *name, const char **extension);

/* Where an install section works. Paths, since what a section deletes may be the key itself. */
struct inf_scope {
    const struct inf *inf;
    const char *oem_name;   /* "oem0.inf" */
    const char *relative;   /* HKR; NULL: there is none */
    const char *properties; /* .HW: the key for the values that are properties of the device; NULL elsewhere */
    struct inf_error *error;
};

/* One section that AddReg or DelReg names. */
bool inf_add_reg(const struct inf_scope *scope, const struct inf_section *section);
bool inf_del_reg(const struct inf_scope *scope, const struct inf_section *section);
/* All DelReg, then all AddReg directives of a section. */
bool inf_registry_directives(const struct inf_scope *scope, const struct inf_section *section);
/* Add a string to a REG_MULTI_SZ unless it is in it. */
void inf_append_string(struct cm_key *key, const char *name, const char *string);

/*
 * inf_service.c: AddService and DelService of a section. `function` (NULL: there is no device) gets the name of the
 * service with SPSVCINST_ASSOCSERVICE, "" for the null driver, and is left alone if there is none.
 */
bool inf_install_services(const struct inf_scope *scope, const struct inf_section *services, const char **function);

#endif
