#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "xen/abi.h"

#include <xen/sched.h>

#include "cli/guest_domain.h"
#include "cli/xlcfg_internal.h"
#include "xen/xen.h"

#define LINE_MAX_BYTES 512
#define MEMORY_MIN 64 /* MiB, as --memory */
#define MEMORY_MAX 4096
#define EVENT_CHANNELS_MIN 2 /* the store's and the console's */

/* ---- lines ---- */

static unsigned line_of(const struct xlcfg *file, const char *key)
{
    for (unsigned index = 0; index < file->keys; index++)
        if (strcmp(file->key[index].name, key) == 0)
            return file->key[index].line;
    return 0;
}

static void say(const struct xlcfg *file, const char *key, const char *format, va_list arguments)
{
    char text[LINE_MAX_BYTES];

    vsnprintf(text, sizeof(text), format, arguments);
    complain("%s:%u: %s", file->path, line_of(file, key), text);
}

bool xlcfg_refuse(const struct xlcfg *file, const char *key, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(file, key, format, arguments);
    va_end(arguments);
    return false;
}

void xlcfg_note(const struct xlcfg *file, const char *key, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(file, key, format, arguments);
    va_end(arguments);
}

size_t xlcfg_report_mark(struct xlcfg *file)
{
    fflush(file->report);
    return file->report_size;
}

const char *xlcfg_report_since(struct xlcfg *file, size_t mark)
{
    size_t length = strlen(file->path);
    char *text;

    fflush(file->report);
    text = file->report_text + mark;
    text[strcspn(text, "\n")] = '\0';
    return strncmp(text, file->path, length) == 0 && text[length] == ':' && text[length + 1] == ' ' ? text + length + 2
                                                                                                    : text;
}

/* ---- values ---- */

static bool text_of(const struct xlcfg *file, const char *key, const char **value)
{
    if (xlu_cfg_get_string(file->config, key, value, 1) == 0)
        return true;
    return xlcfg_refuse(file, key, "%s takes a single value, not a list", key);
}

static bool number_of(const struct xlcfg *file, const char *key, long low, long high, long *value)
{
    const char *text;

    if (!text_of(file, key, &text))
        return false;
    if (xlu_cfg_get_bounded_long(file->config, key, low, high, value, 1) == 0)
        return true;
    return xlcfg_refuse(file, key, "%s takes a whole number from %ld to %ld, not '%s'", key, low, high, text);
}

bool xlcfg_list(const struct xlcfg *file, const char *key, const char *example, XLU_ConfigList **list, int *count)
{
    if (xlu_cfg_get_list(file->config, key, list, count, 1) != 0)
        return xlcfg_refuse(file, key, "%s takes a list, such as %s = %s", key, key, example);
    for (int index = 0; index < *count; index++)
        if (xlu_cfg_get_listitem(*list, index) == NULL)
            return xlcfg_refuse(file, key, "%s[%d] is a list: %s takes a list of strings, such as %s = %s", key, index,
                                key, key, example);
    return true;
}

/* ---- the domain ---- */

static bool take_kind(struct xlcfg *file, const char *key)
{
    const char *value;

    if (!text_of(file, key, &value))
        return false;
    return strcmp(value, "hvm") == 0 ||
           xlcfg_refuse(file, key, "%s takes hvm here, for the guest is a whole machine, not '%s'", key, value);
}

static bool take_name(struct xlcfg *file, const char *key)
{
    const char *value;
    const char *refused;

    if (!text_of(file, key, &value))
        return false;
    refused = domain_name_refused(value);
    if (refused != NULL)
        return xlcfg_refuse(file, key, "name takes %s, not '%s'", refused, value);
    file->options->name = value;
    return true;
}

static bool take_uuid(struct xlcfg *file, const char *key)
{
    const char *value;
    uint8_t bytes[16];

    if (!text_of(file, key, &value))
        return false;
    if (!guest_domain_read_uuid(value, bytes))
        return xlcfg_refuse(file, key, "uuid takes a UUID as uuidgen prints them, not '%s'", value);
    for (size_t index = 0; index < sizeof(file->uuid); index++)
        file->uuid[index] = (char)tolower((unsigned char)value[index]);
    file->options->uuid = file->uuid;
    return true;
}

static bool take_memory(struct xlcfg *file, const char *key)
{
    return number_of(file, key, MEMORY_MIN, MEMORY_MAX, &file->memory);
}

static bool take_maxmem(struct xlcfg *file, const char *key)
{
    return number_of(file, key, MEMORY_MIN, MEMORY_MAX, &file->max_memory);
}

static bool take_vcpus(struct xlcfg *file, const char *key)
{
    return number_of(file, key, 1, MACHINE_MAX_VCPUS, &file->vcpus);
}

static bool take_maxvcpus(struct xlcfg *file, const char *key)
{
    return number_of(file, key, 1, MACHINE_MAX_VCPUS, &file->max_vcpus);
}

static bool take_max_grant_frames(struct xlcfg *file, const char *key)
{
    long value;

    if (!number_of(file, key, 1, XEN_GRANT_FRAMES_LIMIT, &value))
        return false;
    file->options->run.machine.max_grant_frames = (unsigned)value;
    return true;
}

static bool take_max_grant_version(struct xlcfg *file, const char *key)
{
    long value;

    if (!number_of(file, key, 1, 2, &value))
        return false;
    file->options->run.machine.host.grant_v1 = value == 1;
    return true;
}

static bool take_event_channels(struct xlcfg *file, const char *key)
{
    long value;

    if (!number_of(file, key, EVENT_CHANNELS_MIN, XEN_EVENT_CHANNELS_LIMIT, &value))
        return false;
    file->options->run.machine.event_channels = (unsigned)value;
    return true;
}

static bool take_vendor_device(struct xlcfg *file, const char *key)
{
    const char *value;

    if (!text_of(file, key, &value))
        return false;
    if (strcmp(value, "none") != 0 && strcmp(value, "xenserver") != 0)
        return xlcfg_refuse(file, key, "vendor_device takes none or xenserver, not '%s'", value);
    file->options->run.machine.board.vendor_device = *value == 'x';
    return true;
}

/* Groups of enlightenments, and those that can be had or not one by one; here they come together. */
static bool take_viridian_list(struct xlcfg *file, const char *key)
{
    static const char *const whole[] = {"base", "defaults", "all"};
    static const char *const parts[] = {"freq",        "time_ref_count",     "reference_tsc", "hcall_remote_tlb_flush",
                                        "apic_assist", "crash_ctl",          "synic",         "stimer",
                                        "hcall_ipi",   "ex_processor_masks", "no_vp_limit",   "cpu_hotplug"};
    bool on = false;
    bool off = false;
    XLU_ConfigList *list;
    int count;

    if (!xlcfg_list(file, key, "[ 'defaults' ]", &list, &count))
        return false;
    for (int index = 0; index < count; index++) {
        const char *word = xlu_cfg_get_listitem(list, index);
        const char *name = *word == '!' ? word + 1 : word;
        unsigned found = 0;

        while (found < sizeof(whole) / sizeof(whole[0]) && strcmp(name, whole[found]) != 0)
            found++;
        if (found < sizeof(whole) / sizeof(whole[0])) {
            *(*word == '!' ? &off : &on) = true;
            continue;
        }
        found = 0;
        while (found < sizeof(parts) / sizeof(parts[0]) && strcmp(name, parts[found]) != 0)
            found++;
        if (found == sizeof(parts) / sizeof(parts[0]))
            return xlcfg_refuse(file, key, "viridian[%d]: there is no enlightenment '%s'; see xl.cfg(5)", index, name);
        xlcfg_note(file, key, "viridian[%d]: '%s' is ignored: the interface is there as a whole or not at all", index,
                   word);
    }
    file->options->run.machine.host.viridian = on && !off;
    return true;
}

static bool take_viridian(struct xlcfg *file, const char *key)
{
    const char *text;
    long value;

    if (xlu_cfg_get_string(file->config, key, &text, 1) != 0)
        return take_viridian_list(file, key);
    if (!number_of(file, key, 0, 1, &value))
        return false;
    file->options->run.machine.host.viridian = value == 1;
    return true;
}

/* What is done with a domain that has ended; `reason` is its SHUTDOWN_x. */
static bool take_action(struct xlcfg *file, const char *key, unsigned reason)
{
    static const char *const others[] = {"rename-restart", "coredump-destroy", "coredump-restart", "soft-reset"};
    struct create_options *options = file->options;
    const char *value;

    if (!text_of(file, key, &value))
        return false;
    options->restarted &= ~(1u << reason);
    if (strcmp(value, "preserve") == 0) {
        options->preserved |= 1u << reason;
        return true;
    }
    if (strcmp(value, "restart") == 0) {
        options->restarted |= 1u << reason;
        return true;
    }
    if (strcmp(value, "destroy") == 0)
        return true;
    for (unsigned index = 0; index < sizeof(others) / sizeof(others[0]); index++)
        if (strcmp(value, others[index]) == 0) {
            xlcfg_note(file, key, "%s = \"%s\" can't be done here and is ignored: the domain is destroyed", key, value);
            return true;
        }
    return xlcfg_refuse(file, key, "%s takes destroy, restart or preserve here, not '%s'", key, value);
}

static bool take_on_poweroff(struct xlcfg *file, const char *key)
{
    return take_action(file, key, SHUTDOWN_poweroff);
}

static bool take_on_reboot(struct xlcfg *file, const char *key)
{
    return take_action(file, key, SHUTDOWN_reboot);
}

static bool take_on_crash(struct xlcfg *file, const char *key)
{
    return take_action(file, key, SHUTDOWN_crash);
}

static bool take_on_watchdog(struct xlcfg *file, const char *key)
{
    return take_action(file, key, SHUTDOWN_watchdog);
}

static const struct {
    const char *name;
    bool (*take)(struct xlcfg *file, const char *key);
} rules[] = {
    {"builder", take_kind},
    {"disk", xlcfg_take_disk},
    {"event_channels", take_event_channels},
    {"max_grant_frames", take_max_grant_frames},
    {"max_grant_version", take_max_grant_version},
    {"maxmem", take_maxmem},
    {"maxvcpus", take_maxvcpus},
    {"memory", take_memory},
    {"name", take_name},
    {"on_crash", take_on_crash},
    {"on_poweroff", take_on_poweroff},
    {"on_reboot", take_on_reboot},
    {"on_watchdog", take_on_watchdog},
    {"type", take_kind},
    {"uuid", take_uuid},
    {"vcpus", take_vcpus},
    {"vendor_device", take_vendor_device},
    {"vif", xlcfg_take_vif},
    {"viridian", take_viridian},
};

static bool take_key(struct xlcfg *file, const char *key)
{
    for (size_t index = 0; index < sizeof(rules) / sizeof(rules[0]); index++)
        if (strcmp(rules[index].name, key) == 0)
            return rules[index].take(file, key);
    xlcfg_note(file, key, "'%s' has no meaning here and is ignored", key);
    return true;
}

/* What keys say together. */
static bool settle(struct xlcfg *file)
{
    struct machine_config *machine_config = &file->options->run.machine;
    long most = file->max_memory != 0 ? file->max_memory : file->memory;

    if (file->memory > most)
        return xlcfg_refuse(file, "maxmem", "maxmem = %ld is less than memory = %ld", most, file->memory);
    if (most != 0)
        machine_config->ram_bytes = (uint64_t)most << 20;
    if (file->memory != 0 && file->memory < most)
        file->options->target_kib = (uint32_t)file->memory << 10;
    if (file->max_vcpus != 0 && file->vcpus > file->max_vcpus)
        return xlcfg_refuse(file, "maxvcpus", "maxvcpus = %ld is less than vcpus = %ld", file->max_vcpus, file->vcpus);
    if (file->vcpus != 0)
        machine_config->vcpus = (unsigned)file->vcpus;
    else if (file->max_vcpus != 0 && machine_config->vcpus > (unsigned)file->max_vcpus)
        machine_config->vcpus = (unsigned)file->max_vcpus;
    file->options->max_vcpus = (unsigned)file->max_vcpus;
    file->options->run.vifs = (unsigned)file->vifs; /* none without the key, as xl has it */
    file->options->vif = file->vif;
    return true;
}

/* ---- the file ---- */

bool xlcfg_load(const char *path, char *text, size_t *length, char *refused, size_t size)
{
    FILE *stream = fopen(path, "re");
    bool good = stream != NULL;

    if (good) {
        errno = 0;
        *length = fread(text, 1, XLCFG_MAX + 1, stream);
        good = ferror(stream) == 0;
    }
    if (!good)
        snprintf(refused, size, "%.500s cannot be read: %s", path, strerror(errno));
    if (stream != NULL)
        fclose(stream);
    if (!good)
        return false;
    if (*length > XLCFG_MAX) {
        snprintf(refused, size, "%.500s is no configuration file: it is longer than 1 MiB", path);
        return false;
    }
    text[*length] = '\0';
    return true;
}

static bool load(struct xlcfg *file)
{
    char refused[LINE_MAX_BYTES + 128];

    file->text = malloc(XLCFG_MAX + 1);
    if (xlcfg_load(file->path, file->text, &file->length, refused, sizeof(refused)))
        return true;
    complain("%s; name a file as of xl.cfg(5), or give options alone", refused);
    return false;
}

static bool parse(struct xlcfg *file)
{
    int error;

    file->report = open_memstream(&file->report_text, &file->report_size);
    file->config = file->report != NULL ? xlu_cfg_init(file->report, file->path) : NULL;
    error = file->config != NULL ? xlu_cfg_readdata(file->config, file->text, (int)file->length) : ENOMEM;
    if (error == 0)
        return true;
    if (file->config != NULL)
        fflush(file->report);
    if (file->report_size != 0) /* "FILE:LINE: config parsing error near ...", and perhaps more */
        complain("%.*s; see xl.cfg(5)", (int)strcspn(file->report_text, "\n"), file->report_text);
    else
        complain("%s cannot be read: %s", file->path, strerror(error));
    return false;
}

static void add_key(struct xlcfg *file, const char *name, size_t length, unsigned line)
{
    unsigned index = 0;

    while (index < file->keys &&
           (strlen(file->key[index].name) != length || strncmp(file->key[index].name, name, length) != 0))
        index++;
    if (index == file->keys) {
        file->key = realloc(file->key, (file->keys + 1) * sizeof(*file->key));
        file->key[index].name = strndup(name, length);
        file->keys++;
    }
    file->key[index].line = line;
}

static const char *behind_string(const char *at, const char *end)
{
    char quote = *at++;

    while (at < end && *at != quote)
        at += *at == '\\' ? 2 : 1;
    return at < end ? at + 1 : end;
}

/* The library has a value for a key that one knows; it lists none. The text is one that it has understood. */
static void find_keys(struct xlcfg *file)
{
    const char *at = file->text;
    const char *end = at + file->length;
    unsigned line = 1;
    unsigned depth = 0; /* of lists */
    bool begins = true; /* a statement does, here */

    while (at < end) {
        if (*at == '#') {
            const char *newline = memchr(at, '\n', (size_t)(end - at));

            at = newline != NULL ? newline : end;
        } else if (*at == '\'' || *at == '"') {
            at = behind_string(at, end);
        } else if (begins && islower((unsigned char)*at)) {
            const char *name = at;

            while (at < end && (islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '_'))
                at++;
            add_key(file, name, (size_t)(at - name), line);
            begins = false;
        } else {
            depth += *at == '[' ? 1u : *at == ']' ? -1u : 0;
            line += *at == '\n';
            if (depth == 0 && (*at == '\n' || *at == ';'))
                begins = true;
            at++;
        }
    }
}

static struct xlcfg *open_file(const char *path, struct create_options *options)
{
    struct xlcfg *file = calloc(1, sizeof(*file));

    options->file = file;
    file->path = path;
    file->options = options;
    return file;
}

static int take_text(struct xlcfg *file)
{
    if (!parse(file))
        return EXIT_USAGE;
    find_keys(file);
    for (unsigned index = 0; index < file->keys; index++)
        if (!take_key(file, file->key[index].name))
            return EXIT_USAGE;
    return settle(file) ? 0 : EXIT_USAGE;
}

int xlcfg_read(const char *path, struct create_options *options)
{
    struct xlcfg *file = open_file(path, options);

    return load(file) ? take_text(file) : EXIT_USAGE;
}

int xlcfg_read_text(const char *name, const char *text, struct create_options *options)
{
    struct xlcfg *file = open_file(name, options);

    file->text = strdup(text);
    file->length = strlen(text);
    return take_text(file);
}

void xlcfg_close(struct xlcfg *file)
{
    if (file == NULL)
        return;
    xlcfg_free_devices(file);
    for (unsigned index = 0; index < file->keys; index++)
        free(file->key[index].name);
    free(file->key);
    if (file->config != NULL)
        xlu_cfg_destroy(file->config);
    if (file->report != NULL)
        fclose(file->report);
    free(file->report_text);
    free(file->text);
    free(file);
}
