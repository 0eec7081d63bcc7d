/*
 * Installing a device or a primitive driver from its INF: "INF DDInstall Section" and the sections that go with it,
 * "INF ClassInstall32 Section", "INF DefaultInstall Section", "INF DefaultUninstall Section", "Registry Trees and Keys
 * for Devices and Drivers".
 */
#include <string.h>
#include <strings.h>

#include "nt/pnp/inf_internal.h"

#define CONFIGFLAG_REINSTALL 0x20u
#define CONFIGFLAG_FAILEDINSTALL 0x40u
#define CONFIGFLAG_FINISH_INSTALL 0x400u

#define DRIVER_DATABASE "\\Registry\\Machine\\System\\DriverDatabase"
#define TICKS_A_DAY (UINT64_C(864000000000)) /* of 100 ns */

const struct inf_section *inf_actual_section(const struct inf *inf, const char *name, const char **extension)
{
    static const char *const extensions[] = {".NTamd64", ".NT", ""};

    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        char *decorated = image_printf("%s%s", name, extensions[i]);
        const struct inf_section *section = inf_section(inf, decorated);

        image_free(decorated);
        if (section != NULL) {
            *extension = extensions[i];
            return section;
        }
    }
    return NULL;
}

/* ---- the driver store ---- */

/* The lowest n for which oem<n>.inf is not taken. */
static char *free_oem_name(void)
{
    struct cm_key *files = cm_key_create(DRIVER_DATABASE "\\DriverInfFiles");

    for (unsigned n = 0;; n++) {
        char *name = image_printf("oem%u.inf", n);

        if (cm_key_open_at(files, name) == NULL)
            return name;
        image_free(name);
    }
}

/* The package's published name (machine heap); the same file is staged once. */
static char *stage(const struct inf *inf)
{
    char *package = inf_package_name(inf);
    char *path = image_printf(DRIVER_DATABASE "\\DriverPackages\\%s", package);
    struct cm_key *key = cm_key_create(path);
    char *name = cm_value_get_string(key, "");

    if (name == NULL) {
        struct cm_key *files = cm_key_create(DRIVER_DATABASE "\\DriverInfFiles");
        const char *provider = inf_value(inf, "Version", "Provider", 0);
        const char *const packages[1] = {package};

        name = free_oem_name();
        cm_value_set_string(key, "", REG_SZ, name);
        cm_value_set_string(key, "InfName", REG_SZ, inf_name(inf));
        cm_value_set_string(key, "Provider", REG_SZ, provider != NULL ? provider : "");
        files = cm_key_create_at(files, name);
        cm_value_set_multi(files, "", packages, 1);
        cm_value_set_string(files, "Active", REG_SZ, package);
    }
    image_free(path);
    image_free(package);
    return name;
}

static void unstage(const struct inf *inf, const char *name)
{
    char *package = inf_package_name(inf);
    char *paths[] = {image_printf(DRIVER_DATABASE "\\DriverPackages\\%s", package),
                     image_printf(DRIVER_DATABASE "\\DriverInfFiles\\%s", name)};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        cm_key_delete(cm_key_create(paths[i]));
        image_free(paths[i]);
    }
    image_free(package);
}

/* ---- install sections ---- */

#define DEFAULT_INSTALL "DefaultInstall"
#define DEFAULT_UNINSTALL "DefaultUninstall"

enum directive_kind {
    DIRECTIVE_REGISTRY,   /* names sections of registry entries */
    DIRECTIVE_COPY,       /* names file lists, or a file as @file */
    DIRECTIVE_FILES,      /* names sections about files, which this machine does not have */
    DIRECTIVE_FILE_NAMES, /* names files themselves */
    DIRECTIVE_UNINSTALL /* 1: the section is for versions of Windows that do not undo the install section themselves */
};

static const struct {
    const char *name;
    enum directive_kind kind;
} directives[] = {
    {"AddReg", DIRECTIVE_REGISTRY},    {"DelReg", DIRECTIVE_REGISTRY},       {"CopyFiles", DIRECTIVE_COPY},
    {"DelFiles", DIRECTIVE_FILES},     {"RenFiles", DIRECTIVE_FILES},        {"CopyINF", DIRECTIVE_FILE_NAMES},
    {"RegisterDlls", DIRECTIVE_FILES}, {"UnregisterDlls", DIRECTIVE_FILES},  {"ProfileItems", DIRECTIVE_FILES},
    {"UpdateInis", DIRECTIVE_FILES},   {"UpdateIniFields", DIRECTIVE_FILES}, {"LegacyUninstall", DIRECTIVE_UNINSTALL},
};

static bool check_directive(const struct inf_scope *scope, const struct inf_section *section, unsigned line)
{
    const char *key = inf_key(section, line);
    const char *name;
    size_t i = 0;

    if (key == NULL)
        return inf_fail(scope->inf, inf_line_number(section, line), scope->error, "a line of [%s] has no directive",
                        section->name);
    while (i < sizeof(directives) / sizeof(directives[0]) && strcasecmp(directives[i].name, key) != 0)
        i++;
    if (i == sizeof(directives) / sizeof(directives[0]))
        return inf_fail(scope->inf, inf_line_number(section, line), scope->error,
                        "%s is not implemented in an install section", key);
    if (directives[i].kind == DIRECTIVE_UNINSTALL) {
        if (strncasecmp(section->name, DEFAULT_UNINSTALL, strlen(DEFAULT_UNINSTALL)) != 0 ||
            strcmp(inf_text(section, line, 0), "1") != 0)
            return inf_fail(scope->inf, inf_line_number(section, line), scope->error,
                            "%s is 1, in a [" DEFAULT_UNINSTALL "], or left out", key);
        return true;
    }
    if (directives[i].kind == DIRECTIVE_COPY)
        return inf_copy_files_line(scope->inf, section, line, NULL, NULL, scope->error);
    for (unsigned field = 0; (name = inf_field(section, line, field)) != NULL; field++) {
        if (directives[i].kind != DIRECTIVE_FILE_NAMES && *name != 0 && inf_section(scope->inf, name) == NULL &&
            !(directives[i].kind == DIRECTIVE_FILES && *name == '@'))
            return inf_fail(scope->inf, inf_line_number(section, line), scope->error, "section [%s] is not there",
                            name);
    }
    return true;
}

static bool process_section(const struct inf_scope *scope, const struct inf_section *section)
{
    for (unsigned line = 0; line < inf_section_lines(section); line++) {
        if (!check_directive(scope, section, line))
            return false;
    }
    return inf_registry_directives(scope, section);
}

/* A section that goes with an install section, NULL if there is none. */
static const struct inf_section *companion(const struct inf *inf, const char *install_section, const char *extension,
                                           const char *suffix)
{
    char *name = image_printf("%s%s%s", install_section, extension, suffix);
    const struct inf_section *section = inf_section(inf, name);

    image_free(name);
    return section;
}

/* Companions that would change what the system does and that are not implemented. */
static bool check_companions(const struct inf_scope *scope, const char *install_section, const char *extension)
{
    static const char *const unimplemented[] = {".Interfaces", ".LogConfigOverride", ".FactDef",  ".Wdf",
                                                ".Events",     ".Components",        ".Software", ".Filters"};

    for (size_t i = 0; i < sizeof(unimplemented) / sizeof(unimplemented[0]); i++) {
        const struct inf_section *section = companion(scope->inf, install_section, extension, unimplemented[i]);

        if (section != NULL)
            return inf_fail(scope->inf, section->number, scope->error, "a %s section is not implemented",
                            unimplemented[i]);
    }
    return true;
}

/* ---- class and software key ---- */

static bool install_class(const struct inf_scope *device, const char *path)
{
    const struct inf *inf = device->inf;
    struct inf_scope scope = {inf, device->oem_name, path, NULL, device->error};
    const char *extension;
    const struct inf_section *section = inf_actual_section(inf, "ClassInstall32", &extension);
    const struct inf_section *services;

    /* Only a class that is not there yet is installed. */
    if (cm_value_get(cm_key_create(path), "Class", NULL, NULL) != NULL)
        return true;
    if (section != NULL) {
        if (!process_section(&scope, section))
            return false;
        services = companion(inf, "ClassInstall32", extension, ".Services");
        if (services != NULL && !inf_install_services(&scope, services, NULL))
            return false;
    }
    cm_value_set_string(cm_key_create(path), "Class", REG_SZ, inf_class(inf));
    return true;
}

/*
 * "{guid}\\nnnn" (machine heap): the one that the device has, unless it changes its class, else the lowest that is
 * free.
 */
static char *software_key_name(const struct inf *inf, const char *device_path, const char *class_path)
{
    char *old = cm_value_get_string(cm_key_create(device_path), "Driver");
    const char *guid = inf_class_guid(inf);
    size_t length = strlen(guid);
    char *name = NULL;

    if (old != NULL && strncasecmp(old, guid, length) == 0 && old[length] == '\\')
        return old;
    if (old != NULL && *old != 0) {
        char *path = image_printf("%s\\%s", CM_CLASS, old);
        struct cm_key *key = cm_key_open(path);

        if (key != NULL)
            cm_key_delete(key);
        image_free(path);
    }
    image_free(old);
    for (unsigned n = 0; name == NULL; n++) {
        char *path = image_printf("%s\\%04u", class_path, n);

        if (cm_key_open(path) == NULL)
            name = image_printf("%s\\%04u", guid, n);
        image_free(path);
    }
    return name;
}

/* Days since 1 January 1601, proleptic Gregorian. */
static uint64_t days_since_1601(const struct inf_version *version)
{
    static const unsigned before_month[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    unsigned year = version->year;
    unsigned past = year - 1601;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return (uint64_t)past * 365 + past / 4 - past / 100 + past / 400 + before_month[version->month - 1] +
           (leap && version->month > 2) + version->day - 1;
}

static void write_software_key(const struct inf_match *match, const struct inf_scope *scope, const char *extension,
                               const char *path)
{
    struct cm_key *key = cm_key_create(path);
    const char *provider = inf_value(match->inf, "Version", "Provider", 0);
    struct inf_version version;

    cm_value_set_string(key, "InfPath", REG_SZ, scope->oem_name);
    cm_value_set_string(key, "InfSection", REG_SZ, match->install_section);
    if (*extension != 0)
        cm_value_set_string(key, "InfSectionExt", REG_SZ, extension);
    else
        cm_value_delete(key, "InfSectionExt");
    cm_value_set_string(key, "ProviderName", REG_SZ, provider != NULL ? provider : "");
    cm_value_set_string(key, "MatchingDeviceId", REG_SZ, match->id);
    cm_value_set_string(key, "DriverDesc", REG_SZ, match->description);
    if (inf_driver_version(match->inf, &version, scope->error)) { /* well-formed: inf_parse() has checked it */
        uint64_t filetime = days_since_1601(&version) * TICKS_A_DAY;
        char *date = image_printf("%u-%u-%u", version.month, version.day, version.year);

        cm_value_set(key, "DriverDateData", REG_BINARY, &filetime, sizeof(filetime));
        cm_value_set_string(key, "DriverDate", REG_SZ, date);
        cm_value_set_string(key, "DriverVersion", REG_SZ, version.number);
        image_free(date);
        image_free(version.number);
    }
}

/* ---- devices ---- */

/* What an earlier driver's INF set for the device; its successor starts without. */
static void forget_driver(const char *device_path)
{
    static const char *const values[] = {"Service",    "UpperFilters",          "LowerFilters", "Security",
                                         "DeviceType", "DeviceCharacteristics", "Exclusive"};
    struct cm_key *key = cm_key_create(device_path);

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        cm_value_delete(key, values[i]);
}

static bool install_sections(const struct inf_match *match, const struct inf_scope *software, const char *device_path,
                             const char *extension, const struct inf_section *section, const char **service)
{
    const struct inf *inf = match->inf;
    const struct inf_section *hardware = companion(inf, match->install_section, extension, ".HW");
    const struct inf_section *coinstallers = companion(inf, match->install_section, extension, ".CoInstallers");
    const struct inf_section *services = companion(inf, match->install_section, extension, ".Services");
    char *parameters = image_printf("%s\\Device Parameters", device_path);
    struct inf_scope scope = {inf, software->oem_name, parameters, device_path, software->error};
    bool good = check_companions(software, match->install_section, extension) && process_section(software, section) &&
                (coinstallers == NULL || process_section(software, coinstallers)) &&
                (hardware == NULL || process_section(&scope, hardware)) &&
                (services == NULL || inf_install_services(software, services, service));

    image_free(parameters);
    return good;
}

static void write_device(const struct inf_match *match, const char *device_path, const char *driver,
                         const char *service)
{
    struct cm_key *key = cm_key_create(device_path);
    ULONG flags = 0;

    (void)cm_value_get_dword(key, "ConfigFlags", &flags);
    flags &= ~(CONFIGFLAG_REINSTALL | CONFIGFLAG_FAILEDINSTALL | CONFIGFLAG_FINISH_INSTALL);
    cm_value_set_dword(key, "ConfigFlags", flags);
    cm_value_set_string(key, "ClassGUID", REG_SZ, inf_class_guid(match->inf));
    cm_value_set_string(key, "Driver", REG_SZ, driver);
    cm_value_set_string(key, "DeviceDesc", REG_SZ, match->description);
    cm_value_set_string(key, "Mfg", REG_SZ, match->manufacturer);
    if (service != NULL && *service != 0)
        cm_value_set_string(key, "Service", REG_SZ, service);
}

bool inf_install_device(const struct inf_match *match, const char *instance, struct inf_error *error)
{
    const struct inf *inf = match->inf;
    struct inf_scope scope = {.inf = inf, .error = error};
    const char *service = NULL;
    const char *extension;
    const struct inf_section *section = inf_actual_section(inf, match->install_section, &extension);
    char *device_path;
    char *class_path;
    char *software_path;
    char *driver;
    char *oem_name;
    bool good;

    if (section == NULL)
        return inf_fail(inf, inf_line_number(match->models, match->models_line), error, "section [%s] is not there",
                        match->install_section);
    device_path = image_printf("%s\\%s", CM_ENUM, instance);
    class_path = image_printf("%s\\%s", CM_CLASS, inf_class_guid(inf));
    oem_name = stage(inf);
    scope.oem_name = oem_name;
    good = install_class(&scope, class_path);
    if (good) {
        driver = software_key_name(inf, device_path, class_path);
        software_path = image_printf("%s\\%s", CM_CLASS, driver);
        (void)cm_key_create(software_path);
        /* From now on the key is the device's, also if the rest fails. */
        cm_value_set_string(cm_key_create(device_path), "Driver", REG_SZ, driver);
        scope.relative = software_path;
        forget_driver(device_path);
        good = install_sections(match, &scope, device_path, extension, section, &service);
        if (good) {
            write_software_key(match, &scope, extension, software_path);
            write_device(match, device_path, driver, service);
        }
        image_free(software_path);
        image_free(driver);
    }
    image_free(oem_name);
    image_free(class_path);
    image_free(device_path);
    return good;
}

/* ---- primitive drivers ---- */

bool inf_has_default_install(const struct inf *inf)
{
    const char *extension;

    return inf_actual_section(inf, DEFAULT_INSTALL, &extension) != NULL;
}

static bool process_default(const struct inf *inf, const char *name, const char *oem_name, struct inf_error *error)
{
    struct inf_scope scope = {.inf = inf, .oem_name = oem_name, .error = error};
    const char *extension;
    const struct inf_section *section = inf_actual_section(inf, name, &extension);
    const struct inf_section *services;

    if (section == NULL)
        return inf_fail(inf, 0, error, "section [%s] is not there", name);
    services = companion(inf, name, extension, ".Services");
    return check_companions(&scope, name, extension) && process_section(&scope, section) &&
           (services == NULL || inf_install_services(&scope, services, NULL));
}

bool inf_install_default(const struct inf *inf, struct inf_error *error)
{
    char *oem_name = stage(inf);
    bool good = process_default(inf, DEFAULT_INSTALL, oem_name, error);

    image_free(oem_name);
    return good;
}

bool inf_uninstall_default(const struct inf *inf, struct inf_error *error)
{
    char *oem_name = stage(inf); /* as it was when it was installed */
    bool good = process_default(inf, DEFAULT_UNINSTALL, oem_name, error);

    if (good)
        unstage(inf, oem_name);
    image_free(oem_name);
    return good;
}
