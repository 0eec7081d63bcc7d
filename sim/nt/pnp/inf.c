/*
 * Reading an INF: lines, sections, quotes, continued lines and %tokens%, after "General Syntax Rules for INF Files" and
 * "INF Strings Section". What Windows would let pass in silence though it can only be a mistake (a token that is
 * nowhere defined, a quotation mark without its partner) is an error here.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "machine/fnv.h"
#include "nt/pnp/inf_internal.h"

#define MAX_SECTION_NAME 255u
#define MAX_STRING 4095u /* MAX_INF_STRING_LENGTH without the terminating zero */
#define MAX_FILE (16 << 20)
#define LANGUAGE "Strings.0409"

bool inf_fail(const struct inf *inf, unsigned line, struct inf_error *error, const char *format, ...)
{
    va_list arguments;
    int used = line != 0 ? snprintf(error->text, sizeof(error->text), "%s:%u: ", inf->name, line)
                         : snprintf(error->text, sizeof(error->text), "%s: ", inf->name);

    if (used < 0 || (size_t)used >= sizeof(error->text))
        return false;
    va_start(arguments, format);
    vsnprintf(error->text + used, sizeof(error->text) - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- a growing string ---- */

struct buffer {
    char *text;
    size_t used;
    size_t size;
};

static void buffer_add(struct buffer *buffer, const char *text, size_t length)
{
    if (buffer->used + length + 1 > buffer->size) {
        buffer->size = (buffer->used + length + 1) * 2;
        buffer->text = image_realloc(buffer->text, buffer->size);
    }
    memcpy(buffer->text + buffer->used, text, length);
    buffer->used += length;
    buffer->text[buffer->used] = 0;
}

/* ---- lines ---- */

struct parser {
    struct inf *inf;
    const char *at;
    unsigned line;
    struct inf_section *section;
    struct inf_error *error;
};

enum item_end { ITEM_LINE_END, ITEM_COMMA, ITEM_EQUALS, ITEM_ERROR };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n' || c == 0;
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

static const char *skip_line(const char *at)
{
    while (!is_line_end(*at))
        at++;
    return at;
}

static void next_line(struct parser *parser)
{
    if (*parser->at == 0)
        return;
    parser->at += parser->at[0] == '\r' && parser->at[1] == '\n' ? 2 : 1;
    parser->line++;
}

/* A backslash with nothing but blanks or a comment behind it joins the next line to this one. */
static bool continues(const char *backslash)
{
    const char *next = skip_blanks(backslash + 1);

    return *next == ';' || is_line_end(*next);
}

static enum item_end quoted_part(struct parser *parser, struct buffer *item)
{
    const unsigned line = parser->line;

    for (parser->at++;; parser->at++) {
        if (is_line_end(*parser->at)) {
            inf_fail(parser->inf, line, parser->error, "a quotation mark without its partner");
            return ITEM_ERROR;
        }
        if (*parser->at == '"') {
            if (parser->at[1] != '"')
                break;
            parser->at++;
        }
        buffer_add(item, parser->at, 1);
    }
    parser->at++;
    return ITEM_LINE_END;
}

/* One item up to a comma, an equals sign (where one may be) or the end of the line. `text` is NULL if there is none. */
static enum item_end read_item(struct parser *parser, bool key_possible, char **text)
{
    struct buffer item = {NULL, 0, 0};
    enum item_end end = ITEM_LINE_END;
    size_t keep = 0; /* blanks behind this are not part of it */

    *text = NULL;
    for (;;) {
        char c = *parser->at;

        if (c == '\\' && continues(parser->at)) {
            parser->at = skip_line(parser->at);
            if (*parser->at == 0) {
                inf_fail(parser->inf, parser->line, parser->error, "the file ends in a continued line");
                end = ITEM_ERROR;
                break;
            }
            next_line(parser);
            parser->at = skip_blanks(parser->at);
            continue;
        }
        if (c == ';')
            parser->at = skip_line(parser->at);
        if (c == ';' || is_line_end(c))
            break;
        if (c == '"') {
            buffer_add(&item, "", 0);
            if (quoted_part(parser, &item) == ITEM_ERROR) {
                end = ITEM_ERROR;
                break;
            }
            keep = item.used;
            continue;
        }
        parser->at++;
        if (c == ',' || (c == '=' && key_possible)) {
            end = c == ',' ? ITEM_COMMA : ITEM_EQUALS;
            break;
        }
        if (is_blank(c) && item.text == NULL)
            continue;
        buffer_add(&item, &c, 1);
        if (!is_blank(c))
            keep = item.used;
    }
    if (end == ITEM_ERROR) {
        image_free(item.text);
        return end;
    }
    if (item.text != NULL)
        item.text[keep] = 0;
    *text = item.text;
    return end;
}

static void add_field(struct inf_line *line, char *text)
{
    line->fields = image_realloc(line->fields, (line->field_count + 1) * sizeof(*line->fields));
    line->fields[line->field_count++] = text != NULL ? text : image_strdup("");
}

static struct inf_line *add_line(struct inf_section *section, unsigned number)
{
    if (section->line_count == section->line_capacity) {
        section->line_capacity = section->line_capacity * 2 + 8;
        section->lines = image_realloc(section->lines, section->line_capacity * sizeof(*section->lines));
    }
    section->lines[section->line_count] = (struct inf_line){.number = number};
    return &section->lines[section->line_count++];
}

static bool parse_entry(struct parser *parser)
{
    struct inf_line *line;
    enum item_end end;
    char *text;

    if (parser->section == NULL)
        return inf_fail(parser->inf, parser->line, parser->error, "an entry before the first section");
    line = add_line(parser->section, parser->line);
    end = read_item(parser, true, &text);
    if (end == ITEM_EQUALS) {
        if (text == NULL || *text == 0) {
            image_free(text);
            return inf_fail(parser->inf, line->number, parser->error, "nothing before the equals sign");
        }
        line->key = text;
        end = read_item(parser, false, &text);
    }
    while (end == ITEM_COMMA) {
        add_field(line, text);
        end = read_item(parser, false, &text);
        if (end != ITEM_ERROR && end != ITEM_COMMA)
            add_field(line, text);
    }
    if (end == ITEM_ERROR)
        return false;
    if (line->field_count == 0 && text != NULL)
        add_field(line, text);
    /* Nothing but a continued blank line. */
    if (line->field_count == 0 && line->key == NULL)
        parser->section->line_count--;
    return true;
}

static struct inf_section *find_section(const struct inf *inf, const char *name, size_t length)
{
    struct inf_section *section;

    for (section = inf->sections; section != NULL; section = section->next) {
        if (strlen(section->name) == length && strncasecmp(section->name, name, length) == 0)
            return section;
    }
    return NULL;
}

static bool parse_header(struct parser *parser)
{
    const char *name = skip_blanks(parser->at + 1);
    const char *end = name;
    const char *behind;
    size_t length;
    struct inf_section **last;

    while (*end != ']' && !is_line_end(*end))
        end++;
    if (*end != ']')
        return inf_fail(parser->inf, parser->line, parser->error, "a section's name without its closing bracket");
    behind = skip_blanks(end + 1);
    if (*behind != ';' && !is_line_end(*behind))
        return inf_fail(parser->inf, parser->line, parser->error, "text behind a section's name");
    parser->at = skip_line(behind);
    while (end > name && is_blank(end[-1]))
        end--;
    if (end - name >= 2 && *name == '"' && end[-1] == '"') {
        name++;
        end--;
    }
    length = (size_t)(end - name);
    if (length == 0 || length > MAX_SECTION_NAME)
        return inf_fail(parser->inf, parser->line, parser->error,
                        "a section's name must have 1 to %u characters, this one has %zu", MAX_SECTION_NAME, length);
    parser->section = find_section(parser->inf, name, length);
    if (parser->section != NULL)
        return true;
    last = &parser->inf->sections;
    while (*last != NULL)
        last = &(*last)->next;
    *last = image_alloc(sizeof(**last));
    (*last)->name = image_alloc(length + 1);
    memcpy((*last)->name, name, length);
    (*last)->number = parser->line;
    parser->section = *last;
    return true;
}

static bool parse_lines(struct parser *parser)
{
    while (*parser->at != 0) {
        bool good = true;

        parser->at = skip_blanks(parser->at);
        if (*parser->at == ';')
            parser->at = skip_line(parser->at);
        else if (*parser->at == '[')
            good = parse_header(parser);
        else if (!is_line_end(*parser->at))
            good = parse_entry(parser);
        if (!good)
            return false;
        next_line(parser);
    }
    return true;
}

/* ---- tokens ---- */

/* [Strings] and [Strings.<language>]. */
static bool holds_strings(const struct inf_section *section)
{
    const char *rest = section->name + strlen("Strings");

    return strncasecmp(section->name, "Strings", strlen("Strings")) == 0 && (*rest == 0 || *rest == '.');
}

static bool check_strings(const struct inf *inf, const struct inf_section *section, struct inf_error *error)
{
    for (unsigned i = 0; i < section->line_count; i++) {
        const struct inf_line *line = &section->lines[i];

        if (line->key == NULL)
            return inf_fail(inf, line->number, error, "a line of [%s] is not of the form token = text", section->name);
        if (line->field_count > 1)
            return inf_fail(inf, line->number, error, "the text of %s has a comma and must be in quotation marks",
                            line->key);
        for (unsigned before = 0; before < i; before++) {
            if (strcasecmp(section->lines[before].key, line->key) == 0)
                return inf_fail(inf, line->number, error, "%s is in [%s] already, in line %u", line->key, section->name,
                                section->lines[before].number);
        }
    }
    return true;
}

/* The machine speaks English (United States); what its own section has not is looked up in the neutral one. */
static const char *find_string(const struct inf *inf, const char *token)
{
    static const char *const sections[] = {LANGUAGE, "Strings"};

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const struct inf_section *section = inf_section(inf, sections[i]);

        for (unsigned line = 0; section != NULL && line < section->line_count; line++) {
            if (strcasecmp(section->lines[line].key, token) == 0)
                return inf_text(section, line, 0);
        }
    }
    return NULL;
}

/* What a token stands for: a directory's path for a number, else a string. Machine heap. */
static char *expand_token(const struct inf *inf, const char *token)
{
    const char *string = find_string(inf, token);
    uint32_t identifier;

    if (string != NULL)
        return image_strdup(string);
    if (token[strspn(token, "0123456789")] == 0 && inf_number(token, &identifier))
        return inf_directory(inf, identifier);
    return NULL;
}

static bool substitute(const struct inf *inf, unsigned line, char **text, struct inf_error *error)
{
    struct buffer result = {NULL, 0, 0};
    const char *at = *text;
    bool good = true;

    buffer_add(&result, "", 0);
    while (good && *at != 0) {
        size_t plain = strcspn(at, "%");
        size_t length;
        char *token;
        char *value;

        buffer_add(&result, at, plain);
        at += plain;
        if (*at == 0)
            break;
        if (at[1] == '%') {
            buffer_add(&result, "%", 1);
            at += 2;
            continue;
        }
        length = strcspn(at + 1, "%");
        if (at[1 + length] == 0) {
            good = inf_fail(inf, line, error, "a %% without its partner (the character itself is written %%%%)");
            break;
        }
        token = image_printf("%.*s", (int)length, at + 1);
        value = expand_token(inf, token);
        if (value != NULL)
            buffer_add(&result, value, strlen(value));
        else
            good = inf_fail(inf, line, error, "%%%s%% is neither in [Strings] nor a directory", token);
        image_free(value);
        image_free(token);
        at += length + 2;
    }
    if (good && result.used > MAX_STRING)
        good = inf_fail(inf, line, error, "a string has %zu characters, more than %u", result.used, MAX_STRING);
    if (!good) {
        image_free(result.text);
        return false;
    }
    image_free(*text);
    *text = result.text;
    return true;
}

static bool substitute_all(struct inf *inf, struct inf_error *error)
{
    struct inf_section *section;

    for (section = inf->sections; section != NULL; section = section->next) {
        if (holds_strings(section) && !check_strings(inf, section, error))
            return false;
    }
    for (section = inf->sections; section != NULL; section = section->next) {
        for (unsigned i = 0; !holds_strings(section) && i < section->line_count; i++) {
            struct inf_line *line = &section->lines[i];

            if (line->key != NULL && !substitute(inf, line->number, &line->key, error))
                return false;
            for (unsigned field = 0; field < line->field_count; field++) {
                if (!substitute(inf, line->number, &line->fields[field], error))
                    return false;
            }
        }
    }
    return true;
}

/* ---- files ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

struct inf *inf_parse(const char *name, const void *data, size_t size, struct inf_error *error)
{
    struct inf *inf = image_alloc(sizeof(*inf));
    struct parser parser = {.inf = inf, .line = 1, .error = error};
    char *text;
    bool good;

    inf->name = image_strdup(base_name(name));
    inf->hash = fnv1a(FNV1A_START, data, size);
    inf->data = memcpy(image_alloc(size + 1), data, size);
    inf->size = size;
    text = inf_decode(inf, data, size, error);
    parser.at = text;
    good = text != NULL && parse_lines(&parser) && substitute_all(inf, error) && inf_check(inf, error);
    image_free(text);
    if (good)
        return inf;
    inf_free(inf);
    return NULL;
}

struct inf *inf_load(const char *path, struct inf_error *error)
{
    FILE *file = fopen(path, "rb");
    struct inf *inf = NULL;
    uint8_t *data;
    struct stat status;
    size_t size;

    if (file == NULL || fstat(fileno(file), &status) != 0) {
        snprintf(error->text, sizeof(error->text), "%s: cannot be read: %s", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > MAX_FILE) {
        snprintf(error->text, sizeof(error->text), "%s: is no file of at most %d bytes", path, MAX_FILE);
        fclose(file);
        return NULL;
    }
    data = image_alloc((size_t)status.st_size + 1);
    size = fread(data, 1, (size_t)status.st_size, file);
    if (size == (size_t)status.st_size)
        inf = inf_parse(path, data, size, error);
    else
        snprintf(error->text, sizeof(error->text), "%s: ends after %zu of %lld bytes", path, size,
                 (long long)status.st_size);
    image_free(data);
    fclose(file);
    return inf;
}

const void *inf_data(const struct inf *inf, size_t *size)
{
    *size = inf->size;
    return inf->data;
}

void inf_free(struct inf *inf)
{
    struct inf_section *next;

    if (inf == NULL)
        return;
    for (struct inf_section *section = inf->sections; section != NULL; section = next) {
        next = section->next;
        for (unsigned i = 0; i < section->line_count; i++) {
            for (unsigned field = 0; field < section->lines[i].field_count; field++)
                image_free(section->lines[i].fields[field]);
            image_free(section->lines[i].fields);
            image_free(section->lines[i].key);
        }
        image_free(section->lines);
        image_free(section->name);
        image_free(section);
    }
    image_free(inf->data);
    image_free(inf->name);
    image_free(inf);
}

/* ---- access ---- */

const char *inf_name(const struct inf *inf)
{
    return inf->name;
}

const struct inf_section *inf_section(const struct inf *inf, const char *name)
{
    return find_section(inf, name, strlen(name));
}

unsigned inf_section_lines(const struct inf_section *section)
{
    return section->line_count;
}

const char *inf_key(const struct inf_section *section, unsigned line)
{
    return line < section->line_count ? section->lines[line].key : NULL;
}

const char *inf_field(const struct inf_section *section, unsigned line, unsigned field)
{
    if (line >= section->line_count || field >= section->lines[line].field_count)
        return NULL;
    return section->lines[line].fields[field];
}

const char *inf_text(const struct inf_section *section, unsigned line, unsigned field)
{
    const char *text = inf_field(section, line, field);

    return text != NULL ? text : "";
}

unsigned inf_line_number(const struct inf_section *section, unsigned line)
{
    return section->lines[line].number;
}

const char *inf_value(const struct inf *inf, const char *section_name, const char *key, unsigned field)
{
    const struct inf_section *section = inf_section(inf, section_name);

    for (unsigned i = 0; section != NULL && i < section->line_count; i++) {
        if (section->lines[i].key != NULL && strcasecmp(section->lines[i].key, key) == 0)
            return inf_field(section, i, field);
    }
    return NULL;
}

bool inf_number(const char *text, uint32_t *value)
{
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hexadecimal ? text + 2 : text;
    unsigned long long number;
    char *end;

    if (!(hexadecimal ? isxdigit((unsigned char)*digits) : isdigit((unsigned char)*digits)))
        return false;
    errno = 0;
    number = strtoull(digits, &end, hexadecimal ? 16 : 10);
    if (*end != 0 || errno != 0 || number > UINT32_MAX)
        return false;
    *value = (uint32_t)number;
    return true;
}

bool inf_number_field(const struct inf *inf, const struct inf_section *section, unsigned line, unsigned field,
                      const char *what, uint32_t *value, struct inf_error *error)
{
    const char *text = inf_text(section, line, field);

    *value = 0;
    if (*text == 0 || inf_number(text, value))
        return true;
    return inf_fail(inf, inf_line_number(section, line), error, "%s is not a number but \"%s\"", what, text);
}

const char *inf_display_text(const char *value)
{
    const char *text = *value == '@' ? strchr(value, ';') : NULL;

    return text != NULL ? text + 1 : value;
}
