/*
 * Services of an INF: "INF DDInstall.Services Section", "INF AddService Directive", "INF DelService Directive". A
 * service that is there already becomes what the INF says, except where NOCLOBBER flags keep a setting.
 */
#include <string.h>
#include <strings.h>

#include "nt/pnp/inf_internal.h"

#define SPSVCINST_TAGTOFRONT 0x0001u
#define SPSVCINST_ASSOCSERVICE 0x0002u
#define SPSVCINST_DELETEEVENTLOGENTRY 0x0004u
#define SPSVCINST_NOCLOBBER_DISPLAYNAME 0x0008u
#define SPSVCINST_NOCLOBBER_STARTTYPE 0x0010u
#define SPSVCINST_NOCLOBBER_ERRORCONTROL 0x0020u
#define SPSVCINST_NOCLOBBER_LOADORDERGROUP 0x0040u
#define SPSVCINST_NOCLOBBER_DEPENDENCIES 0x0080u
#define SPSVCINST_NOCLOBBER_DESCRIPTION 0x0100u
#define SPSVCINST_NOCLOBBER                                                                                            \
    (SPSVCINST_NOCLOBBER_DISPLAYNAME | SPSVCINST_NOCLOBBER_STARTTYPE | SPSVCINST_NOCLOBBER_ERRORCONTROL |              \
     SPSVCINST_NOCLOBBER_LOADORDERGROUP | SPSVCINST_NOCLOBBER_DEPENDENCIES | SPSVCINST_NOCLOBBER_DESCRIPTION)
#define ADDSERVICE_FLAGS (SPSVCINST_TAGTOFRONT | SPSVCINST_ASSOCSERVICE | SPSVCINST_NOCLOBBER)

#define SERVICE_KERNEL_DRIVER 0x1u
#define SERVICE_FILE_SYSTEM_DRIVER 0x2u
#define SERVICE_WIN32 0x30u /* in its own or a shared process */
#define SERVICE_INTERACTIVE_PROCESS 0x100u
#define SERVICE_SYSTEM_START 1u
#define SERVICE_DISABLED 4u
#define ERROR_CONTROL_CRITICAL 3u

#define EVENTLOG CM_SERVICES "\\EventLog"

/* Fields of AddService and DelService. */
enum { ADD_NAME, ADD_FLAGS, ADD_SECTION, ADD_EVENT_SECTION, ADD_EVENT_TYPE, ADD_EVENT_NAME };
enum { DEL_NAME, DEL_FLAGS, DEL_EVENT_TYPE, DEL_EVENT_NAME };

/* What a service-install section says. */
struct service {
    const char *name;
    uint32_t flags;
    const struct inf_section *section;
    uint32_t type;
    uint32_t start;
    uint32_t error_control;
    const char *binary;
};

/* ---- reading ---- */

static const struct inf_line *find_line(const struct inf_section *section, const char *directive)
{
    for (unsigned i = 0; i < section->line_count; i++) {
        if (section->lines[i].key != NULL && strcasecmp(section->lines[i].key, directive) == 0)
            return &section->lines[i];
    }
    return NULL;
}

/* The first field of a directive, NULL if it is missing or empty. */
static const char *find_text(const struct inf_section *section, const char *directive)
{
    const struct inf_line *line = find_line(section, directive);

    return line != NULL && line->field_count != 0 && *line->fields[0] != 0 ? line->fields[0] : NULL;
}

static bool needed_number(const struct inf_scope *scope, const struct inf_section *section, const char *directive,
                          uint32_t *value)
{
    const char *text = find_text(section, directive);

    if (text == NULL)
        return inf_fail(scope->inf, section->number, scope->error, "[%s] has no %s", section->name, directive);
    if (!inf_number(text, value))
        return inf_fail(scope->inf, find_line(section, directive)->number, scope->error, "%s is \"%s\", not a number",
                        directive, text);
    return true;
}

/* Directives that may be in a service-install section. */
static bool check_directives(const struct inf_scope *scope, const struct inf_section *section)
{
    static const char *const known[] = {"AddReg",         "BootFlags",     "DelReg",         "DelayedAutoStart",
                                        "Dependencies",   "Description",   "DisplayName",    "ErrorControl",
                                        "LoadOrderGroup", "ServiceBinary", "ServiceSidType", "ServiceType",
                                        "StartName",      "StartType"};

    for (unsigned i = 0; i < section->line_count; i++) {
        const struct inf_line *line = &section->lines[i];
        bool found = false;

        if (line->key == NULL)
            return inf_fail(scope->inf, line->number, scope->error, "a line of [%s] has no directive", section->name);
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            found = found || strcasecmp(line->key, known[k]) == 0;
        if (!found)
            return inf_fail(scope->inf, line->number, scope->error,
                            "%s is not implemented in a service-install section", line->key);
    }
    return true;
}

static bool is_driver(const struct service *service)
{
    return service->type == SERVICE_KERNEL_DRIVER || service->type == SERVICE_FILE_SYSTEM_DRIVER;
}

static bool read_service(const struct inf_scope *scope, struct service *service)
{
    const struct inf_section *section = service->section;
    uint32_t process;

    if (!check_directives(scope, section) || !needed_number(scope, section, "ServiceType", &service->type) ||
        !needed_number(scope, section, "StartType", &service->start) ||
        !needed_number(scope, section, "ErrorControl", &service->error_control))
        return false;
    process = service->type & ~SERVICE_INTERACTIVE_PROCESS;
    if (!is_driver(service) && ((process & SERVICE_WIN32) == 0 || (process & ~SERVICE_WIN32) != 0))
        return inf_fail(scope->inf, find_line(section, "ServiceType")->number, scope->error, "ServiceType 0x%x is none",
                        service->type);
    if (service->start > SERVICE_DISABLED || (service->start <= SERVICE_SYSTEM_START && !is_driver(service)))
        return inf_fail(scope->inf, find_line(section, "StartType")->number, scope->error,
                        "StartType %u is none for this type of service", service->start);
    if (service->error_control > ERROR_CONTROL_CRITICAL)
        return inf_fail(scope->inf, find_line(section, "ErrorControl")->number, scope->error, "ErrorControl %u is none",
                        service->error_control);
    service->binary = find_text(section, "ServiceBinary");
    if (service->binary == NULL)
        return inf_fail(scope->inf, section->number, scope->error, "[%s] has no ServiceBinary", section->name);
    return true;
}

/* ---- load-order groups ---- */

/* The tag that no other service of the group has. */
static ULONG new_tag(const char *group)
{
    struct cm_key *services = cm_key_create(CM_SERVICES);
    struct cm_key *key;
    ULONG highest = 0;

    for (unsigned i = 0; (key = cm_key_child(services, i)) != NULL; i++) {
        char *other = cm_value_get_string(key, "Group");
        ULONG tag;

        if (other != NULL && strcasecmp(other, group) == 0 && cm_value_get_dword(key, "Tag", &tag) && tag > highest)
            highest = tag;
        image_free(other);
    }
    return highest + 1;
}

/* The group's vector in GroupOrderList (number of tags, then the tags) with this tag first. */
static void tag_to_front(const char *group, ULONG tag)
{
    struct cm_key *key = cm_key_create(CM_CONTROL "\\GroupOrderList");
    size_t size = 0;
    ULONG type;
    const ULONG *old = cm_value_get(key, group, &type, &size);
    ULONG *vector = image_alloc(size + 2 * sizeof(*vector));
    ULONG count = 1;

    vector[1] = tag;
    for (size_t i = 1; old != NULL && i < size / sizeof(*old) && i <= old[0]; i++) {
        if (old[i] != tag)
            vector[++count] = old[i];
    }
    vector[0] = count;
    cm_value_set(key, group, REG_BINARY, vector, (count + 1) * sizeof(*vector));
    image_free(vector);
}

/* Boot and system drivers of a group have a tag, so that they can be put in an order. */
static void write_group(const struct service *service, struct cm_key *key)
{
    const char *group = find_text(service->section, "LoadOrderGroup");
    char *old = cm_value_get_string(key, "Group");
    ULONG tag;

    if (group == NULL) {
        cm_value_delete(key, "Group");
        cm_value_delete(key, "Tag");
    } else {
        if (old == NULL || strcasecmp(old, group) != 0)
            cm_value_delete(key, "Tag");
        cm_value_set_string(key, "Group", REG_SZ, group);
        if (is_driver(service) && service->start <= SERVICE_SYSTEM_START) {
            if (!cm_value_get_dword(key, "Tag", &tag)) {
                tag = new_tag(group);
                cm_value_set_dword(key, "Tag", tag);
            }
            if (service->flags & SPSVCINST_TAGTOFRONT)
                tag_to_front(group, tag);
        }
    }
    image_free(old);
}

/* ---- writing ---- */

static void write_text(struct cm_key *key, const char *value, const char *text)
{
    if (text != NULL)
        cm_value_set_string(key, value, REG_SZ, text);
    else
        cm_value_delete(key, value);
}

/* Names with a plus sign are load-order groups. */
static void write_dependencies(const struct service *service, struct cm_key *key)
{
    const struct inf_line *line = find_line(service->section, "Dependencies");

    cm_value_delete(key, "DependOnService");
    cm_value_delete(key, "DependOnGroup");
    for (unsigned i = 0; line != NULL && i < line->field_count; i++) {
        const char *name = line->fields[i];

        if (*name == '+' && name[1] != 0)
            inf_append_string(key, "DependOnGroup", name + 1);
        else if (*name != 0)
            inf_append_string(key, "DependOnService", name);
    }
}

static bool write_number(const struct inf_scope *scope, const struct service *service, struct cm_key *key,
                         const char *directive, const char *value)
{
    uint32_t number;

    if (find_line(service->section, directive) == NULL) {
        cm_value_delete(key, value);
        return true;
    }
    if (!needed_number(scope, service->section, directive, &number))
        return false;
    cm_value_set_dword(key, value, number);
    return true;
}

static bool write_service(const struct inf_scope *scope, const struct service *service, struct cm_key *key)
{
    /* What NOCLOBBER flags keep is there only if the service was. */
    uint32_t keep = cm_value_get(key, "Type", NULL, NULL) != NULL ? service->flags & SPSVCINST_NOCLOBBER : 0;
    char *image = is_driver(service) ? inf_kernel_path(service->binary) : image_strdup(service->binary);

    cm_value_set_dword(key, "Type", service->type);
    if (!(keep & SPSVCINST_NOCLOBBER_STARTTYPE))
        cm_value_set_dword(key, "Start", service->start);
    if (!(keep & SPSVCINST_NOCLOBBER_ERRORCONTROL))
        cm_value_set_dword(key, "ErrorControl", service->error_control);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, image);
    image_free(image);
    if (!(keep & SPSVCINST_NOCLOBBER_DISPLAYNAME))
        write_text(key, "DisplayName", find_text(service->section, "DisplayName"));
    if (!(keep & SPSVCINST_NOCLOBBER_DESCRIPTION))
        write_text(key, "Description", find_text(service->section, "Description"));
    if (!(keep & SPSVCINST_NOCLOBBER_LOADORDERGROUP))
        write_group(service, key);
    if (!(keep & SPSVCINST_NOCLOBBER_DEPENDENCIES))
        write_dependencies(service, key);
    write_text(key, "ObjectName", find_text(service->section, "StartName"));
    inf_append_string(key, "Owners", scope->oem_name);
    return write_number(scope, service, key, "BootFlags", "BootFlags") &&
           write_number(scope, service, key, "ServiceSidType", "ServiceSidType") &&
           write_number(scope, service, key, "DelayedAutoStart", "DelayedAutostart");
}

static bool service_registry(const struct inf_scope *scope, const struct service *service)
{
    char *path = image_printf("%s\\%s", CM_SERVICES, service->name);
    struct inf_scope inner = {scope->inf, scope->oem_name, path, NULL, scope->error};
    bool good = write_service(scope, service, cm_key_create(path)) && inf_registry_directives(&inner, service->section);

    image_free(path);
    return good;
}

/* The key below EventLog: [type,] "System" if it is left out, [name,] the service's if it is left out. */
static char *eventlog_path(const char *type, const char *name, const char *service)
{
    return image_printf("%s\\%s\\%s", EVENTLOG, *type != 0 ? type : "System", *name != 0 ? name : service);
}

static bool install_eventlog(const struct inf_scope *scope, const struct inf_section *services, unsigned line,
                             const char *service)
{
    const char *name = inf_text(services, line, ADD_EVENT_SECTION);
    const struct inf_section *section = inf_section(scope->inf, name);
    struct inf_scope inner = {scope->inf, scope->oem_name, NULL, NULL, scope->error};
    char *path;
    bool good;

    if (*name == 0)
        return true;
    if (section == NULL)
        return inf_fail(scope->inf, inf_line_number(services, line), scope->error, "section [%s] is not there", name);
    for (unsigned i = 0; i < section->line_count; i++) {
        const char *key = section->lines[i].key;

        if (key == NULL || (strcasecmp(key, "AddReg") != 0 && strcasecmp(key, "DelReg") != 0))
            return inf_fail(scope->inf, section->lines[i].number, scope->error,
                            "%s is not implemented in an event-log-install section", key != NULL ? key : "this line");
    }
    path = eventlog_path(inf_text(services, line, ADD_EVENT_TYPE), inf_text(services, line, ADD_EVENT_NAME), service);
    inner.relative = path;
    (void)cm_key_create(path);
    good = inf_registry_directives(&inner, section);
    image_free(path);
    return good;
}

/* ---- directives ---- */

/* A service's name is a key's name. */
static bool is_service_name(const char *name)
{
    return *name != 0 && strlen(name) <= 256 && strpbrk(name, "\\/") == NULL;
}

/* Reads the line; name "" is the null driver, which has no section. */
static bool read_add(const struct inf *inf, const struct inf_section *services, unsigned line, struct service *service,
                     struct inf_error *error)
{
    unsigned number = inf_line_number(services, line);
    const char *section = inf_text(services, line, ADD_SECTION);

    *service = (struct service){.name = inf_text(services, line, ADD_NAME)};
    if (!inf_number_field(inf, services, line, ADD_FLAGS, "the flags field", &service->flags, error))
        return false;
    if (service->flags & ~ADDSERVICE_FLAGS)
        return inf_fail(inf, number, error, "AddService flags 0x%x are not implemented",
                        service->flags & ~ADDSERVICE_FLAGS);
    if (*service->name == 0 && service->flags == SPSVCINST_ASSOCSERVICE && *section == 0)
        return true;
    if (!is_service_name(service->name))
        return inf_fail(inf, number, error, "\"%s\" is no service's name", service->name);
    service->section = inf_section(inf, section);
    if (service->section == NULL)
        return inf_fail(inf, number, error, "section [%s] is not there", section);
    return true;
}

static bool add_service(const struct inf_scope *scope, const struct inf_section *services, unsigned line,
                        const char **function)
{
    struct service service;

    if (!read_add(scope->inf, services, line, &service, scope->error))
        return false;
    if (service.flags & SPSVCINST_ASSOCSERVICE) {
        if (function == NULL)
            return inf_fail(scope->inf, inf_line_number(services, line), scope->error,
                            "SPSVCINST_ASSOCSERVICE where no device is installed");
        if (*function != NULL)
            return inf_fail(scope->inf, inf_line_number(services, line), scope->error,
                            "a second function driver (SPSVCINST_ASSOCSERVICE) for one device");
        *function = service.name;
    }
    if (*service.name == 0)
        return true;
    return read_service(scope, &service) && service_registry(scope, &service) &&
           install_eventlog(scope, services, line, service.name);
}

static bool delete_service(const struct inf_scope *scope, const struct inf_section *services, unsigned line)
{
    const char *name = inf_text(services, line, DEL_NAME);
    struct cm_key *key;
    uint32_t flags;
    char *path;

    if (!inf_number_field(scope->inf, services, line, DEL_FLAGS, "the flags field", &flags, scope->error))
        return false;
    if (!is_service_name(name))
        return inf_fail(scope->inf, inf_line_number(services, line), scope->error, "\"%s\" is no service's name", name);
    if (flags & ~SPSVCINST_DELETEEVENTLOGENTRY)
        return inf_fail(scope->inf, inf_line_number(services, line), scope->error,
                        "DelService flags 0x%x are not implemented", flags & ~SPSVCINST_DELETEEVENTLOGENTRY);
    path = image_printf("%s\\%s", CM_SERVICES, name);
    key = cm_key_open(path);
    if (key != NULL)
        cm_key_delete(key);
    image_free(path);
    if (flags & SPSVCINST_DELETEEVENTLOGENTRY) {
        path = eventlog_path(inf_text(services, line, DEL_EVENT_TYPE), inf_text(services, line, DEL_EVENT_NAME), name);
        key = cm_key_open(path);
        if (key != NULL)
            cm_key_delete(key);
        image_free(path);
    }
    return true;
}

bool inf_install_services(const struct inf_scope *scope, const struct inf_section *services, const char **function)
{
    for (unsigned line = 0; line < inf_section_lines(services); line++) {
        const char *key = inf_key(services, line);

        if (key != NULL && strcasecmp(key, "AddService") == 0) {
            if (!add_service(scope, services, line, function))
                return false;
        } else if (key != NULL && strcasecmp(key, "DelService") == 0) {
            if (!delete_service(scope, services, line))
                return false;
        } else {
            return inf_fail(scope->inf, inf_line_number(services, line), scope->error,
                            "%s is not implemented in a Services section", key != NULL ? key : "this line");
        }
    }
    return true;
}
