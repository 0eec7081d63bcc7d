/*
 * What an INF is for: [Version], [Manufacturer], Models, and the entry that fits a device best. After "INF Manufacturer
 * Section", "Combining Platform Extensions with Operating System Versions" and "How Windows Ranks Drivers".
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "nt/pnp/inf_internal.h"

#define RANK_HARDWARE_HARDWARE 0x0000u
#define RANK_HARDWARE_COMPATIBLE 0x1000u
#define RANK_COMPATIBLE_HARDWARE 0x2000u
#define RANK_COMPATIBLE_COMPATIBLE 0x3000u
#define RANK_STEP 0x1000u

/* ---- TargetOSVersion decorations ---- */

/* NT[architecture][.major[.minor[.product[.suite[.build]]]]]; fields may be left out. */
enum { TARGET_MAJOR, TARGET_MINOR, TARGET_PRODUCT, TARGET_SUITE, TARGET_BUILD, TARGET_NUMBERS };

struct target {
    bool any_architecture;
    bool amd64;
    bool given[TARGET_NUMBERS];
    uint32_t number[TARGET_NUMBERS];
};

static bool parse_architecture(const char *text, size_t length, struct target *target)
{
    static const char *const others[] = {"x86", "ia64", "arm", "arm64"};

    target->any_architecture = length == 0;
    target->amd64 = length == strlen("amd64") && strncasecmp(text, "amd64", length) == 0;
    if (target->any_architecture || target->amd64)
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (length == strlen(others[i]) && strncasecmp(text, others[i], length) == 0)
            return true;
    }
    return false;
}

static bool parse_target(const char *text, struct target *target)
{
    size_t length;

    *target = (struct target){.amd64 = false};
    if (strncasecmp(text, "NT", 2) != 0)
        return false;
    text += 2;
    length = strcspn(text, ".");
    if (!parse_architecture(text, length, target))
        return false;
    text += length;
    for (unsigned i = 0; *text == '.'; i++) {
        char digits[16];

        text++;
        length = strcspn(text, ".");
        if (i == TARGET_NUMBERS || length >= sizeof(digits))
            return false;
        memcpy(digits, text, length);
        digits[length] = 0;
        target->given[i] = length != 0;
        if (length != 0 && !inf_number(digits, &target->number[i]))
            return false;
        text += length;
    }
    return target->number[TARGET_MAJOR] <= UINT16_MAX && target->number[TARGET_MINOR] <= UINT16_MAX;
}

/* Major, minor and build as one number; what is not given is the lowest. */
static uint64_t version_of(const struct target *target)
{
    return (uint64_t)target->number[TARGET_MAJOR] << 48 | (uint64_t)target->number[TARGET_MINOR] << 32 |
           target->number[TARGET_BUILD];
}

static bool applies(const struct target *target)
{
    uint64_t here = (uint64_t)INF_TARGET_MAJOR << 48 | (uint64_t)INF_TARGET_MINOR << 32 | INF_TARGET_BUILD;

    return (target->any_architecture || target->amd64) && version_of(target) <= here &&
           (!target->given[TARGET_PRODUCT] || target->number[TARGET_PRODUCT] == INF_TARGET_PRODUCT) &&
           (target->number[TARGET_SUITE] & ~INF_TARGET_SUITE) == 0;
}

static bool closer(const struct target *a, const struct target *b)
{
    if (a->amd64 != b->amd64)
        return a->amd64;
    if (version_of(a) != version_of(b))
        return version_of(a) > version_of(b);
    if (a->given[TARGET_PRODUCT] != b->given[TARGET_PRODUCT])
        return a->given[TARGET_PRODUCT];
    return a->given[TARGET_SUITE] && !b->given[TARGET_SUITE];
}

/*
 * The name of the Models section that a line of [Manufacturer] has for this machine (machine heap). An entry without
 * decorations is for every system, one with decorations only for those. NULL: none, or an error.
 */
static char *models_name(const struct inf *inf, const struct inf_section *manufacturers, unsigned line,
                         struct inf_error *error, bool *good)
{
    const char *models = inf_text(manufacturers, line, 0);
    const char *best_text = NULL;
    struct target best = {0};
    const char *text;

    *good = true;
    if (inf_field(manufacturers, line, 1) == NULL)
        return image_strdup(models);
    for (unsigned field = 1; (text = inf_field(manufacturers, line, field)) != NULL; field++) {
        struct target target;

        if (!parse_target(text, &target)) {
            *good = inf_fail(inf, inf_line_number(manufacturers, line), error, "\"%s\" is no target system", text);
            return NULL;
        }
        if (applies(&target) && (best_text == NULL || closer(&target, &best))) {
            best = target;
            best_text = text;
        }
    }
    return best_text != NULL ? image_printf("%s.%s", models, best_text) : NULL;
}

/* ---- checks ---- */

static bool is_guid(const char *text)
{
    static const char form[] = "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}";

    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i] != 0; i++) {
        if (form[i] == 'x' ? strchr("0123456789abcdefABCDEF", text[i]) == NULL : text[i] != form[i])
            return false;
    }
    return true;
}

static unsigned version_line(const struct inf *inf)
{
    const struct inf_section *version = inf_section(inf, "Version");

    return version != NULL ? version->number : 0;
}

bool inf_driver_version(const struct inf *inf, struct inf_version *version, struct inf_error *error)
{
    const char *date = inf_value(inf, "Version", "DriverVer", 0);
    const char *number = inf_value(inf, "Version", "DriverVer", 1);
    unsigned part[4] = {0};
    int used = -1;

    error->text[0] = 0;
    if (date == NULL)
        return false;
    if (sscanf(date, "%2u/%2u/%4u%n", &version->month, &version->day, &version->year, &used) != 3 || date[used] != 0 ||
        version->month < 1 || version->month > 12 || version->day < 1 || version->day > 31 || version->year < 1601)
        return inf_fail(inf, version_line(inf), error, "the date \"%s\" of DriverVer is not of the form mm/dd/yyyy",
                        date);
    if (number != NULL && *number != 0) {
        used = -1;
        if (sscanf(number, "%5u.%5u.%5u.%5u%n", &part[0], &part[1], &part[2], &part[3], &used) != 4 ||
            number[used] != 0 || part[0] > 65535 || part[1] > 65535 || part[2] > 65535 || part[3] > 65535)
            return inf_fail(inf, version_line(inf), error,
                            "the version \"%s\" of DriverVer is not of the form w.x.y.z, each up to 65535", number);
    }
    version->number = image_strdup(number != NULL ? number : "");
    return true;
}

static bool check_version(const struct inf *inf, struct inf_error *error)
{
    const char *signature = inf_value(inf, "Version", "Signature", 0);
    const char *guid = inf_class_guid(inf);
    struct inf_version version;

    if (inf_section(inf, "Version") == NULL)
        return inf_fail(inf, 0, error, "has no section [Version]");
    if (signature == NULL || (strcasecmp(signature, "$Windows NT$") != 0 && strcasecmp(signature, "$Chicago$") != 0))
        return inf_fail(inf, version_line(inf), error, "Signature is \"%s\", not \"$Windows NT$\"",
                        signature != NULL ? signature : "");
    if (inf_section(inf, "Manufacturer") != NULL && (guid == NULL || inf_class(inf) == NULL))
        return inf_fail(inf, version_line(inf), error, "installs devices and has no Class and ClassGuid");
    if (guid != NULL && !is_guid(guid))
        return inf_fail(inf, version_line(inf), error, "ClassGuid \"%s\" is no GUID in braces", guid);
    if (inf_driver_version(inf, &version, error))
        image_free(version.number);
    else if (error->text[0] != 0)
        return false;
    return true;
}

static bool check_models(const struct inf *inf, const struct inf_section *models, struct inf_error *error)
{
    for (unsigned i = 0; i < inf_section_lines(models); i++) {
        bool identified = false;

        for (unsigned field = 1; inf_field(models, i, field) != NULL; field++)
            identified = identified || *inf_text(models, i, field) != 0;
        if (inf_key(models, i) == NULL || *inf_text(models, i, 0) == 0 || !identified)
            return inf_fail(inf, inf_line_number(models, i), error,
                            "a line of [%s] is not of the form description = install-section, hardware-id, ...",
                            models->name);
    }
    return true;
}

bool inf_check(const struct inf *inf, struct inf_error *error)
{
    const struct inf_section *manufacturers = inf_section(inf, "Manufacturer");

    if (!check_version(inf, error))
        return false;
    for (unsigned i = 0; manufacturers != NULL && i < inf_section_lines(manufacturers); i++) {
        const struct inf_section *models = NULL;
        bool good;
        char *name;

        if (*inf_text(manufacturers, i, 0) == 0)
            return inf_fail(inf, inf_line_number(manufacturers, i), error, "names no Models section");
        name = models_name(inf, manufacturers, i, error, &good);
        if (name != NULL) {
            models = inf_section(inf, name);
            if (models == NULL)
                good = inf_fail(inf, inf_line_number(manufacturers, i), error, "section [%s] is not there", name);
        }
        image_free(name);
        if (!good || (models != NULL && !check_models(inf, models, error)))
            return false;
    }
    return true;
}

const char *inf_class(const struct inf *inf)
{
    return inf_value(inf, "Version", "Class", 0);
}

const char *inf_class_guid(const struct inf *inf)
{
    return inf_value(inf, "Version", "ClassGuid", 0);
}

/* ---- matching ---- */

/* The best rank that one ID of the INF has with a list of the device's; false if it is not in the list. */
static bool rank_of(const char *const *ids, const char *id, uint32_t base, uint32_t *rank)
{
    for (unsigned i = 0; ids != NULL && ids[i] != NULL; i++) {
        if (strcasecmp(ids[i], id) == 0) {
            *rank = base + i;
            return true;
        }
    }
    return false;
}

/* The rank of field `field` (1: the hardware ID, further ones: compatible IDs) of a Models line. */
static bool field_rank(const char *id, unsigned field, const char *const *hardware_ids,
                       const char *const *compatible_ids, uint32_t *rank)
{
    uint32_t compatible = RANK_COMPATIBLE_HARDWARE;
    uint32_t hardware = RANK_HARDWARE_HARDWARE;
    uint32_t limit;

    if (field > 1) {
        hardware = RANK_HARDWARE_COMPATIBLE;
        compatible = RANK_COMPATIBLE_COMPATIBLE + 0x100 * (field - 2);
    }
    if (rank_of(hardware_ids, id, hardware, rank))
        limit = hardware + RANK_STEP - 1;
    else if (rank_of(compatible_ids, id, compatible, rank))
        limit = (compatible < RANK_COMPATIBLE_COMPATIBLE ? compatible : RANK_COMPATIBLE_COMPATIBLE) + RANK_STEP - 1;
    else
        return false;
    if (*rank > limit)
        *rank = limit;
    return true;
}

static bool match_models(const struct inf_section *models, const char *const *hardware_ids,
                         const char *const *compatible_ids, struct inf_match *match)
{
    bool found = false;

    for (unsigned line = 0; line < inf_section_lines(models); line++) {
        const char *id;

        for (unsigned field = 1; (id = inf_field(models, line, field)) != NULL; field++) {
            uint32_t rank;

            if (*id == 0 || !field_rank(id, field, hardware_ids, compatible_ids, &rank) ||
                (found && rank >= match->rank))
                continue;
            match->rank = rank;
            match->id = id;
            match->description = inf_key(models, line);
            match->install_section = inf_field(models, line, 0);
            match->models = models;
            match->models_line = line;
            found = true;
        }
    }
    return found;
}

bool inf_match(const struct inf *inf, const char *const *hardware_ids, const char *const *compatible_ids,
               struct inf_match *match)
{
    const struct inf_section *manufacturers = inf_section(inf, "Manufacturer");
    bool found = false;

    for (unsigned i = 0; manufacturers != NULL && i < inf_section_lines(manufacturers); i++) {
        struct inf_match candidate = {.inf = inf};
        struct inf_error unused;
        bool good;
        char *name = models_name(inf, manufacturers, i, &unused, &good);
        const struct inf_section *models = name != NULL ? inf_section(inf, name) : NULL;

        image_free(name);
        if (models == NULL || !match_models(models, hardware_ids, compatible_ids, &candidate) ||
            (found && candidate.rank >= match->rank))
            continue;
        candidate.manufacturer =
            inf_key(manufacturers, i) != NULL ? inf_key(manufacturers, i) : inf_field(manufacturers, i, 0);
        candidate.manufacturer_line = i;
        *match = candidate;
        found = true;
    }
    return found;
}
