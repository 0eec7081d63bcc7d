#include "cli/frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct part {
    uint32_t first;
    uint32_t last;
};

static bool take_number(const char **text, uint32_t *number)
{
    size_t digits = strspn(*text, "0123456789");

    if (digits == 0 || digits > 9)
        return false;
    *number = (uint32_t)strtoul(*text, NULL, 10);
    *text += digits;
    return true;
}

/* The next frame or range of a list, and the comma behind it. */
static bool take_part(const char **text, struct part *part)
{
    if (!take_number(text, &part->first))
        return false;
    part->last = part->first;
    if (**text == '-') {
        (*text)++;
        if (!take_number(text, &part->last))
            return false;
    }
    if (**text != ',')
        return **text == '\0';
    (*text)++;
    return **text != '\0';
}

bool frames_check(const char *option, const char *text)
{
    const char *at = text;
    struct part part = {0, 0};
    uint32_t before = 0;
    bool good = true;

    if (strcmp(text, "none") == 0)
        return true;
    do {
        good = take_part(&at, &part) && part.first > before && part.last >= part.first;
        before = part.last;
    } while (good && *at != '\0');
    if (!good)
        complain(
            "--%s takes frames and ranges in rising order such as 1-100,117 (both ends included), or none, not '%s'",
            option, text);
    return good;
}

bool frames_select(const char *option, const char *text, uint32_t frames, struct frame_set *set)
{
    struct part part = {1, frames};

    *set = (struct frame_set){.number = calloc((size_t)frames + 1, sizeof(*set->number))};
    if (set->number == NULL)
        abort();
    if (text != NULL && strcmp(text, "none") == 0)
        return true;
    do {
        if (text != NULL)
            (void)take_part(&text, &part);
        if (part.last > frames) {
            complain("--%s: the capture has %" PRIu32 " frames", option, frames);
            return false;
        }
        for (uint32_t number = part.first; number <= part.last; number++)
            set->number[set->count++] = number;
    } while (text != NULL && *text != '\0');
    return true;
}

char *frames_text(const struct frame_set *set)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    if (file == NULL)
        abort();
    if (set->count == 0)
        fputs("none", file);
    for (uint32_t index = 0, next; index < set->count; index = next) {
        for (next = index + 1; next < set->count && set->number[next] == set->number[next - 1] + 1; next++)
            ;
        fprintf(file, "%s%" PRIu32, index != 0 ? "," : "", set->number[index]);
        if (next - index > 1)
            fprintf(file, "-%" PRIu32, set->number[next - 1]);
    }
    if (fclose(file) != 0)
        abort();
    return text;
}

void frames_copy(struct frame_set *to, const struct frame_set *from)
{
    size_t bytes = from->count * sizeof(*from->number);

    *to = (struct frame_set){.number = malloc(bytes + 1), .count = from->count};
    if (to->number == NULL)
        abort();
    if (bytes != 0)
        memcpy(to->number, from->number, bytes);
}

void frames_drop(struct frame_set *set, size_t first, size_t count)
{
    memmove(set->number + first, set->number + first + count, (set->count - first - count) * sizeof(*set->number));
    set->count -= (uint32_t)count;
}

void frames_free(struct frame_set *set)
{
    free(set->number);
    *set = (struct frame_set){.number = NULL};
}
