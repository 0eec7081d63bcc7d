/*
 * The driver store and the installation of devices: which package has the best driver for a device ("How Windows
 * selects a driver for a device"), and what its INF writes into the registry. The reading of INFs is inf.c's.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nt/disk.h"
#include "nt/pnp/pnp_internal.h"

#define CONFIGFLAG_REINSTALL 0x20u
#define CONFIGFLAG_FAILEDINSTALL 0x40u

struct driver_package {
    struct driver_package *next; /* in order of installation */
    struct inf *inf;
};

/* [Version] DriverVer = mm/dd/yyyy,a.b.c.d; anything missing counts as 0. */
struct driver_version {
    unsigned date; /* yyyymmdd */
    unsigned part[4];
};

static struct driver_version package_version(const struct inf *inf)
{
    const char *date = inf_value(inf, "Version", "DriverVer", 0);
    const char *number = inf_value(inf, "Version", "DriverVer", 1);
    struct driver_version version = {0};
    unsigned month;
    unsigned day;
    unsigned year;

    if (date != NULL && sscanf(date, "%u/%u/%u", &month, &day, &year) == 3)
        version.date = year * 10000 + month * 100 + day;
    if (number != NULL)
        (void)sscanf(number, "%u.%u.%u.%u", &version.part[0], &version.part[1], &version.part[2], &version.part[3]);
    return version;
}

static bool newer(const struct inf *a, const struct inf *b)
{
    struct driver_version first = package_version(a);
    struct driver_version second = package_version(b);

    if (first.date != second.date)
        return first.date > second.date;
    for (unsigned i = 0; i < 4; i++) {
        if (first.part[i] != second.part[i])
            return first.part[i] > second.part[i];
    }
    return false;
}

/* ---- putting packages into the store ---- */

/*
 * What stays of an installed device after it has been uninstalled: services and machine-wide settings. The device is
 * installed under an instance of its own and taken out again, so that everything goes the way of a real installation.
 */
static bool leave_traces(const struct inf_match *match, struct inf_error *error)
{
    char *instance = image_printf("%s\\0", match->id);
    char *path = image_printf("%s\\%s", CM_ENUM, instance);
    bool existed = cm_key_open(path) != NULL;
    bool good = existed || inf_install_device(match, instance, error);
    struct cm_key *device = cm_key_open(path);

    if (!existed && device != NULL) {
        char *driver = cm_value_get_string(device, "Driver");
        char *software = image_printf("%s\\%s", CM_CLASS, driver != NULL ? driver : "");
        struct cm_key *key = driver != NULL ? cm_key_open(software) : NULL;
        char *end = strrchr(path, '\\');
        struct cm_key *parent;

        if (key != NULL)
            cm_key_delete(key);
        cm_key_delete(device);
        *end = 0;
        parent = cm_key_open(path);
        if (parent != NULL && cm_key_child(parent, 0) == NULL)
            cm_key_delete(parent);
        image_free(software);
        image_free(driver);
    }
    image_free(path);
    image_free(instance);
    return good;
}

/* Install for each hardware ID that the INF's Models sections name. */
static bool install_models(const struct inf *inf, struct inf_error *error)
{
    const struct inf_section *manufacturers = inf_section(inf, "Manufacturer");

    for (unsigned i = 0; manufacturers != NULL && i < inf_section_lines(manufacturers); i++) {
        const char *models_name = inf_field(manufacturers, i, 0);

        /* Field 0 is the section's name, the others are the targets that decorate it. */
        for (unsigned field = 0; inf_field(manufacturers, i, field) != NULL; field++) {
            const char *target = inf_field(manufacturers, i, field);
            char *name = field == 0 ? image_strdup(models_name) : image_printf("%s.%s", models_name, target);
            const struct inf_section *models = inf_section(inf, name);

            image_free(name);
            for (unsigned line = 0; models != NULL && line < inf_section_lines(models); line++) {
                const char *id = inf_field(models, line, 1);
                const char *const ids[2] = {id, NULL};
                struct inf_match match;

                if (id != NULL && *id != 0 && inf_match(inf, ids, NULL, &match) && !leave_traces(&match, error))
                    return false;
            }
        }
    }
    return true;
}

static void append_package(struct inf *inf)
{
    struct driver_package **last = &machine->pnp->packages;
    struct driver_package *package = image_alloc(sizeof(*package));

    package->inf = inf;
    while (*last != NULL)
        last = &(*last)->next;
    *last = package;
}

static bool add_package(struct inf *inf, char *error, size_t error_size)
{
    struct inf_error problem = {.text = ""};

    if (inf_has_default_install(inf) && !inf_install_default(inf, &problem)) {
        snprintf(error, error_size, "%s", problem.text);
        return false;
    }
    if (!install_models(inf, &problem)) {
        snprintf(error, error_size, "%s", problem.text);
        return false;
    }
    append_package(inf);
    return true;
}

bool pnp_install_inf(const char *path, char *error, size_t error_size)
{
    struct inf_error problem = {.text = ""};
    struct inf *inf = inf_load(path, &problem);

    if (inf == NULL) {
        snprintf(error, error_size, "%s", problem.text);
        return false;
    }
    if (!add_package(inf, error, error_size)) {
        inf_free(inf);
        return false;
    }
    return true;
}

bool pnp_uninstall_inf(const char *name, char *error, size_t error_size)
{
    struct driver_package **link = &machine->pnp->packages;
    struct driver_package *package;
    bool found = false;

    while ((package = *link) != NULL) {
        struct inf_error problem = {.text = ""};

        if (_stricmp(inf_name(package->inf), name) != 0) {
            link = &package->next;
            continue;
        }
        if (!inf_uninstall_default(package->inf, &problem)) {
            snprintf(error, error_size, "%s", problem.text);
            return false;
        }
        found = true;
        *link = package->next;
        inf_free(package->inf);
        image_free(package);
    }
    if (!found)
        snprintf(error, error_size, "%s: the driver store has no such package", name);
    return found;
}

bool pnp_install_driver(const struct machine_driver *driver, char *error, size_t error_size)
{
    struct inf_error problem = {.text = ""};
    struct inf *inf = inf_load(driver->inf, &problem);
    char *file = image_printf("%s.sys", driver->name);
    char *others = NULL;
    bool good = false;

    if (inf == NULL)
        snprintf(error, error_size, "%s", problem.text);
    else if (!inf_names_binary(inf, file, &others))
        snprintf(error, error_size, "%s installs no %s, which is what %s stands for here; binaries that it names: %s",
                 driver->inf, file, driver->module, others);
    else
        good = add_package(inf, error, error_size);
    if (!good && inf != NULL)
        inf_free(inf);
    image_free(others);
    image_free(file);
    return good;
}

/* Does a driver that was brought along stand for the one that this INF of the folder installs? */
static bool replaced(const char *file)
{
    size_t length = strlen(file) - 4;

    for (unsigned i = 0; i < machine->config.driver_count; i++) {
        const struct machine_driver *driver = &machine->config.driver[i];
        const char *slash = driver->inf != NULL ? strrchr(driver->inf, '/') : NULL;

        if (driver->inf == NULL)
            continue;
        if (_stricmp(slash != NULL ? slash + 1 : driver->inf, file) == 0 ||
            (strlen(driver->name) == length && _strnicmp(driver->name, file, length) == 0))
            return true;
    }
    return false;
}

static int is_inf(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 4 && _stricmp(entry->d_name + length - 4, ".inf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

bool pnp_install_directory(const char *folder, char *error, size_t error_size)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_inf, by_name);
    bool good = true;

    if (count < 0) {
        snprintf(error, error_size, "%s: cannot be read as a folder of drivers", folder);
        return false;
    }
    for (int i = 0; i < count; i++) {
        char *path = image_printf("%s/%s", folder, entries[i]->d_name);

        good = good && (replaced(entries[i]->d_name) || pnp_install_inf(path, error, error_size));
        image_free(path);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static void install_machine_inf(void)
{
    struct inf_error problem = {.text = ""};
    struct inf *inf = inf_parse("machine.inf", machine_inf, strlen(machine_inf), &problem);
    char error[sizeof(problem.text)];

    if (inf == NULL)
        fail("machine-inf", "%s", problem.text);
    if (!add_package(inf, error, sizeof(error)))
        fail("machine-inf", "%s", error);
}

/* What they have installed is in the registry. */
static bool load_packages(void)
{
    struct disk_reader reader;

    if (!disk_open(DISK_PACKAGES, &reader))
        return false;
    for (uint64_t count = disk_get_number(&reader); count > 0; count--) {
        const char *name = disk_get_string(&reader);
        struct inf_error problem = {.text = ""};
        size_t size;
        const void *data = disk_get_block(&reader, &size);
        struct inf *inf = inf_parse(name, data, size, &problem);

        if (inf == NULL)
            fail("internal", "a package of the driver store cannot be read again: %s", problem.text);
        append_package(inf);
    }
    return true;
}

void packages_init(void)
{
    if (!load_packages())
        install_machine_inf();
}

void pnp_save(void)
{
    const struct driver_package *package;
    uint64_t count = 0;

    for (package = machine->pnp->packages; package != NULL; package = package->next)
        count++;
    disk_truncate(DISK_PACKAGES);
    disk_put_number(DISK_PACKAGES, count);
    for (package = machine->pnp->packages; package != NULL; package = package->next) {
        size_t size;
        const void *data = inf_data(package->inf, &size);

        disk_put_string(DISK_PACKAGES, inf_name(package->inf));
        disk_put_block(DISK_PACKAGES, data, size);
    }
}

/* ---- devices ---- */

static bool best_match(const struct devnode *node, struct inf_match *best)
{
    static const char *const none[1] = {NULL};
    const char *const *hardware = node->hardware_ids != NULL ? (const char *const *)node->hardware_ids : none;
    const struct driver_package *package;
    bool found = false;

    for (package = machine->pnp->packages; package != NULL; package = package->next) {
        struct inf_match match;

        if (!inf_match(package->inf, hardware, (const char *const *)node->compatible_ids, &match))
            continue;
        if (found && (match.rank > best->rank || (match.rank == best->rank && !newer(match.inf, best->inf))))
            continue;
        *best = match;
        found = true;
    }
    return found;
}

bool devnode_install(struct devnode *node)
{
    struct cm_key *key = devnode_key(node);
    struct inf_error problem = {.text = ""};
    struct inf_match match;
    ULONG flags = 0;
    char *driver = cm_value_get_string(key, "Driver");
    bool installed = driver != NULL;

    image_free(driver);
    (void)cm_value_get_dword(key, "ConfigFlags", &flags);
    if (installed && !(flags & (CONFIGFLAG_REINSTALL | CONFIGFLAG_FAILEDINSTALL)))
        return true;
    if (!best_match(node, &match)) {
        if (node->capabilities.RawDeviceOK)
            return true;
        cm_value_set_dword(key, "ConfigFlags", flags | CONFIGFLAG_REINSTALL);
        devnode_set_problem(node, PROBLEM_FAILED_INSTALL, STATUS_NOT_FOUND);
        return false;
    }
    if (!inf_install_device(&match, node->instance_path, &problem)) {
        log_line(LOG_ERROR, "pnp", "%s: %s", node->instance_path, problem.text);
        cm_value_set_dword(key, "ConfigFlags", flags | CONFIGFLAG_FAILEDINSTALL);
        devnode_set_problem(node, PROBLEM_FAILED_INSTALL, STATUS_UNSUCCESSFUL);
        return false;
    }
    log_line(LOG_INFO, "pnp", "%s installed from %s, section %s (rank 0x%04x)", node->instance_path,
             inf_name(match.inf), match.install_section, match.rank);
    net_class_install(node);
    return true;
}
