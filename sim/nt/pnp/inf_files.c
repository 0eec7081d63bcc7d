/*
 * Directories and file lists: "Using Dirids", "INF DestinationDirs Section", "INF CopyFiles Directive". Windows is on
 * C:\Windows.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "nt/pnp/inf_internal.h"

#define WINDOWS "C:\\Windows"
#define SYSTEM WINDOWS "\\System32"

#define DIRID_SOURCE 1u
#define DIRID_DRIVER_STORE 13u

static const struct {
    uint32_t identifier;
    const char *path;
} directories[] = {
    {10, WINDOWS},
    {11, SYSTEM},
    {12, SYSTEM "\\drivers"},
    {17, WINDOWS "\\INF"},
    {18, WINDOWS "\\Help"},
    {20, WINDOWS "\\Fonts"},
    {24, "C:"},
    {30, "C:"},
    {50, WINDOWS "\\System"},
    {54, "C:"},
    {16419, "C:\\ProgramData"},
    {16422, "C:\\Program Files"},
    {16427, "C:\\Program Files\\Common Files"},
};

char *inf_package_name(const struct inf *inf)
{
    return image_printf("%s_amd64_%016" PRIx64, inf->name, inf->hash);
}

char *inf_directory(const struct inf *inf, uint32_t identifier)
{
    if (identifier == DIRID_SOURCE || identifier == DIRID_DRIVER_STORE) {
        char *package = inf_package_name(inf);
        char *path = image_printf(SYSTEM "\\DriverStore\\FileRepository\\%s", package);

        image_free(package);
        return path;
    }
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        if (directories[i].identifier == identifier)
            return image_strdup(directories[i].path);
    }
    return NULL;
}

char *inf_kernel_path(const char *path)
{
    size_t length = strlen(WINDOWS);

    if (strncasecmp(path, WINDOWS, length) == 0 && (path[length] == '\\' || path[length] == 0))
        return image_printf("\\SystemRoot%s", path + length);
    if (path[0] != 0 && path[1] == ':')
        return image_printf("\\??\\%s", path);
    return image_strdup(path);
}

/* The line of [DestinationDirs] for a file list (NULL: the default alone). */
static bool destination_line(const struct inf_section *destinations, const char *list, unsigned *line)
{
    for (unsigned i = 0; list != NULL && i < inf_section_lines(destinations); i++) {
        if (inf_key(destinations, i) != NULL && strcasecmp(inf_key(destinations, i), list) == 0) {
            *line = i;
            return true;
        }
    }
    return list == NULL || strcasecmp(list, "DefaultDestDir") != 0
               ? destination_line(destinations, "DefaultDestDir", line)
               : false;
}

/* The folder that a file list goes to, as the kernel names it (machine heap); NULL and the error if there is none. */
static char *destination(const struct inf *inf, const char *list, unsigned number, struct inf_error *error)
{
    const struct inf_section *destinations = inf_section(inf, "DestinationDirs");
    const char *below;
    uint32_t identifier;
    unsigned line;
    char *directory;
    char *path;
    char *result;

    if (destinations == NULL || !destination_line(destinations, list, &line)) {
        inf_fail(inf, number, error, "[DestinationDirs] has neither %s nor DefaultDestDir",
                 list != NULL ? list : "a list of this name");
        return NULL;
    }
    if (!inf_number_field(inf, destinations, line, 0, "the directory identifier", &identifier, error))
        return NULL;
    directory = inf_directory(inf, identifier);
    if (directory == NULL) {
        inf_fail(inf, inf_line_number(destinations, line), error, "directory identifier %u is not known", identifier);
        return NULL;
    }
    below = inf_text(destinations, line, 1);
    path = image_printf("%s%s%s", directory, *below != 0 ? "\\" : "", below);
    result = inf_kernel_path(path);
    image_free(path);
    image_free(directory);
    return result;
}

/* One item of CopyFiles: a list's section, or @file. */
static bool copy_item(const struct inf *inf, const char *item, unsigned number,
                      void (*visit)(void *context, const char *file, const char *folder), void *context,
                      struct inf_error *error)
{
    const struct inf_section *list = *item == '@' ? NULL : inf_section(inf, item);
    char *folder;

    if (*item == '@' && item[1] == 0)
        return inf_fail(inf, number, error, "CopyFiles has an @ without a file's name");
    if (*item != '@' && list == NULL)
        return inf_fail(inf, number, error, "section [%s] is not there", item);
    folder = destination(inf, list != NULL ? item : NULL, number, error);
    if (folder == NULL)
        return false;
    if (list == NULL && visit != NULL)
        visit(context, item + 1, folder);
    for (unsigned i = 0; list != NULL && i < inf_section_lines(list); i++) {
        if (inf_key(list, i) != NULL || *inf_text(list, i, 0) == 0) {
            image_free(folder);
            return inf_fail(inf, inf_line_number(list, i), error, "a line of the file list [%s] names no file", item);
        }
        if (visit != NULL)
            visit(context, inf_field(list, i, 0), folder);
    }
    image_free(folder);
    return true;
}

bool inf_copy_files_line(const struct inf *inf, const struct inf_section *section, unsigned line,
                         void (*visit)(void *context, const char *file, const char *folder), void *context,
                         struct inf_error *error)
{
    const char *item;

    for (unsigned field = 0; (item = inf_field(section, line, field)) != NULL; field++) {
        if (*item != 0 && !copy_item(inf, item, inf_line_number(section, line), visit, context, error))
            return false;
    }
    return true;
}

bool inf_copy_files(const struct inf *inf, const char *install_section,
                    void (*visit)(void *context, const char *file, const char *folder), void *context,
                    struct inf_error *error)
{
    const char *extension;
    const struct inf_section *section = inf_actual_section(inf, install_section, &extension);

    if (section == NULL)
        return inf_fail(inf, 0, error, "section [%s] is not there", install_section);
    for (unsigned i = 0; i < inf_section_lines(section); i++) {
        const char *key = inf_key(section, i);

        if (key != NULL && strcasecmp(key, "CopyFiles") == 0 &&
            !inf_copy_files_line(inf, section, i, visit, context, error))
            return false;
    }
    return true;
}

/* Note a text that is, or ends in, the name of a driver binary. */
static bool note_binary(const char *text, const char *file, char **others)
{
    const char *name;
    size_t length;
    char *more;

    if (text == NULL)
        return false;
    name = strrchr(text, '\\') != NULL ? strrchr(text, '\\') + 1 : text;
    length = strlen(name);
    if (length < 5 || _stricmp(name + length - 4, ".sys") != 0)
        return false;
    if (_stricmp(name, file) == 0)
        return true;
    if (others != NULL && (*others == NULL || strstr(*others, name) == NULL)) {
        more = *others == NULL ? image_strdup(name) : image_printf("%s, %s", *others, name);
        image_free(*others);
        *others = more;
    }
    return false;
}

bool inf_names_binary(const struct inf *inf, const char *file, char **others)
{
    if (others != NULL)
        *others = NULL;
    for (const struct inf_section *section = inf->sections; section != NULL; section = section->next)
        for (unsigned line = 0; line < section->line_count; line++) {
            bool found = note_binary(section->lines[line].key, file, others);

            for (unsigned field = 0; !found && field < section->lines[line].field_count; field++)
                found = note_binary(section->lines[line].fields[field], file, others);
            if (found) {
                if (others != NULL) {
                    image_free(*others);
                    *others = NULL;
                }
                return true;
            }
        }
    if (others != NULL && *others == NULL)
        *others = image_strdup("none");
    return false;
}
