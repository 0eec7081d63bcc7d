#include "common/source_scan.h"

#include <check.h>
#include <ctype.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    void (*see)(const char *path, const char *text, void *context);
    void *context;
} walk;

/* Comments become blanks; line breaks stay. */
static void blank_comments(char *text)
{
    bool quoted = false;

    for (char *at = text; *at != '\0'; at++) {
        if (quoted) {
            if (*at == '\\' && at[1] != '\0')
                at++;
            else if (*at == '"')
                quoted = false;
        } else if (*at == '\'' && at[1] != '\0' && at[2] == '\'') {
            at += 2;
        } else if (*at == '"') {
            quoted = true;
        } else if (at[0] == '/' && at[1] == '*') {
            char *end = strstr(at + 2, "*/");

            ck_assert(end != NULL);
            for (; at < end + 2; at++)
                if (*at != '\n')
                    *at = ' ';
            at--;
        }
    }
}

static int see_file(const char *path, const struct stat *status, int type, struct FTW *position)
{
    size_t length = strlen(path);
    FILE *file;
    char *text;
    size_t size;

    (void)position;
    if (type != FTW_F || length < 2 || (strcmp(path + length - 2, ".c") != 0 && strcmp(path + length - 2, ".h") != 0))
        return 0;
    file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot read %s", path);
    text = malloc((size_t)status->st_size + 1);
    ck_assert(text != NULL);
    size = fread(text, 1, (size_t)status->st_size, file);
    text[size] = '\0';
    fclose(file);
    blank_comments(text);
    walk.see(path, text, walk.context);
    free(text);
    return 0;
}

void scan_files(const char *folder, void (*see)(const char *path, const char *text, void *context), void *context)
{
    walk.see = see;
    walk.context = context;
    ck_assert_msg(nftw(folder, see_file, 16, FTW_PHYS) == 0, "cannot walk through %s", folder);
}

static void add_argument(struct scan_call *call, const char *start, const char *end)
{
    while (start < end && isspace((unsigned char)*start))
        start++;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    if (call->arguments < SCAN_ARGUMENTS_MAX)
        call->argument[call->arguments++] = strndup(start, (size_t)(end - start));
}

/* From behind the opening parenthesis; false if it never closes. */
static bool split_arguments(const char *at, struct scan_call *call)
{
    const char *start = at;
    int depth = 1;
    bool quoted = false;

    for (; *at != '\0'; at++) {
        if (quoted) {
            if (*at == '\\' && at[1] != '\0')
                at++;
            else if (*at == '"')
                quoted = false;
        } else if (*at == '"') {
            quoted = true;
        } else if (*at == '(' || *at == '{' || *at == '[') {
            depth++;
        } else if (*at == ')' || *at == '}' || *at == ']') {
            if (--depth == 0) {
                add_argument(call, start, at);
                return true;
            }
        } else if (*at == ',' && depth == 1) {
            add_argument(call, start, at);
            start = at + 1;
        }
    }
    return false;
}

void scan_calls(const char *path, const char *text, const char *routine,
                void (*see)(const struct scan_call *call, void *context), void *context)
{
    size_t length = strlen(routine);
    unsigned line = 1;
    const char *counted = text;

    for (const char *at = strstr(text, routine); at != NULL; at = strstr(at + length, routine)) {
        struct scan_call call = {.path = path, .routine = routine};

        if ((at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_')) || at[length] != '(')
            continue;
        for (; counted < at; counted++)
            line += *counted == '\n';
        call.line = line;
        if (split_arguments(at + length + 1, &call))
            see(&call, context);
        for (unsigned index = 0; index < call.arguments; index++)
            free(call.argument[index]);
    }
}

bool scan_literal(const char *argument, char *buffer, size_t size)
{
    size_t length = strlen(argument);

    if (length < 2 || argument[0] != '"' || argument[length - 1] != '"' || length - 2 >= size ||
        strchr(argument + 1, '"') != argument + length - 1)
        return false;
    memcpy(buffer, argument + 1, length - 2);
    buffer[length - 2] = '\0';
    return true;
}
