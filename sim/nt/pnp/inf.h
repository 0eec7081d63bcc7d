/*
 * Setup information files: reading an INF, choosing the driver for a device, and installing it, after Microsoft's
 * "INF File Sections and Directives" and "How Windows ranks drivers". What SetupAPI would write is written into the
 * registry through cm.h; nothing else happens (no file is copied, no device is started).
 *
 * Text is UTF-8 in this interface. An INF may be UTF-8 (with or without byte-order mark) or UTF-16LE with one. The
 * target is x64 Windows 10 (10.0, workstation): section decorations are chosen for it. Memory is the machine heap's;
 * call from guest context or while the machine does not run, not from two runners at once.
 */
#ifndef NT_PNP_INF_H
#define NT_PNP_INF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inf;
struct inf_section;

/* What is wrong, as one line: "xenvif.inf:41: ..." */
struct inf_error {
    char text[512];
};

/* Read and parse a file, or the bytes of one (`name` is for messages and the registry). NULL and the error if
 * malformed. */
struct inf *inf_load(const char *path, struct inf_error *error);
struct inf *inf_parse(const char *name, const void *data, size_t size, struct inf_error *error);
/* The bytes that it was parsed from. */
const void *inf_data(const struct inf *inf, size_t *size);
void inf_free(struct inf *inf);

/* The file's name without folders ("xenvif.inf"). */
const char *inf_name(const struct inf *inf);
/* [Version]: the setup class. Class GUID as written, in braces. */
const char *inf_class(const struct inf *inf);
const char *inf_class_guid(const struct inf *inf);

/*
 * Raw access. Section names are not case-sensitive; sections of one name are one. A line is `key = field, field, ...`,
 * or fields alone (key NULL). %tokens% and quotes are gone. Field 0 is the first after the equals sign; NULL behind the
 * last.
 */
const struct inf_section *inf_section(const struct inf *inf, const char *name);
unsigned inf_section_lines(const struct inf_section *section);
const char *inf_key(const struct inf_section *section, unsigned line);
const char *inf_field(const struct inf_section *section, unsigned line, unsigned field);
/* The first line with the key: its field, NULL if there is none. */
const char *inf_value(const struct inf *inf, const char *section, const char *key, unsigned field);

/* The driver chosen for a device. Strings belong to the INF. */
struct inf_match {
    const struct inf *inf;
    const char *description; /* of the device, from the Models entry */
    const char *manufacturer;
    const char *install_section; /* DDInstall, undecorated */
    const char *id;              /* the INF's hardware or compatible ID that matched */
    uint32_t rank;               /* lower is better; see inf_match() */
    const struct inf_section *models;
    unsigned models_line;
    unsigned manufacturer_line;
};

/*
 * Does the INF have a driver for a device with these IDs (most specific first, each list closed by NULL; compatible_ids
 * may be NULL)? Fills in the best entry. Rank is the identifier score: 0x0000 + i device hardware ID i is an INF
 * hardware ID, 0x1000 + i it is an INF compatible ID, 0x2000 + i compatible ID i of the device is an INF hardware ID,
 * 0x3000 + 0x100 * j + i it is the INF's compatible ID j. Among equal ranks the entry that comes first wins.
 */
bool inf_match(const struct inf *inf, const char *const *hardware_ids, const char *const *compatible_ids,
               struct inf_match *match);

/*
 * Install the chosen driver for the device instance ("PCI\\VEN_5853&DEV_0001&SUBSYS_00015853&REV_01\\3&267a616a&0&10").
 * Stages the INF as oem<n>.inf, makes the class key (with [ClassInstall32]) and a software key
 * Control\Class\{guid}\<nnnn> (the device's own if it has one), does AddReg and DelReg of the install, .HW, .Services
 * and service-install sections, and sets in Enum\<instance>: ClassGUID, Driver, DeviceDesc, Mfg, ConfigFlags and, with
 * a function driver (AddService flag SPSVCINST_ASSOCSERVICE), Service. Include and Needs are an error (no system INFs
 * here). On an error keys written before it stay.
 */
bool inf_install_device(const struct inf_match *match, const char *instance, struct inf_error *error);

/* Whether there is a [DefaultInstall], decorated (.NTamd64, .NT) or not. */
bool inf_has_default_install(const struct inf *inf);
/* [DefaultInstall]: AddReg, DelReg, Services of an INF that installs a driver without a device. */
bool inf_install_default(const struct inf *inf, struct inf_error *error);
/* [DefaultUninstall], decorated or not: the same directives, and the INF leaves the driver store. */
bool inf_uninstall_default(const struct inf *inf, struct inf_error *error);

/*
 * The files that the install section copies (CopyFiles): calls back with each destination name and the folder
 * ("\\SystemRoot\\System32\\drivers").
 */
bool inf_copy_files(const struct inf *inf, const char *install_section,
                    void (*visit)(void *context, const char *file, const char *folder), void *context,
                    struct inf_error *error);

/*
 * Does any line name this driver binary ("xenvif.sys", any case), as a file or at the end of a path? If not and
 * `others` is not NULL, that gets the binaries that are named, as text ("a.sys, b.sys"; "none"; machine heap).
 */
bool inf_names_binary(const struct inf *inf, const char *file, char **others);

/* DeviceDesc, Mfg and the like may be "@oem0.inf,%token%;text": the text to show. */
const char *inf_display_text(const char *value);

#endif
