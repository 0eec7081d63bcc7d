#include "machine/schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[DECISION_TYPES] = {"run", "toss", "pick", "delay"};

void schedule_add(struct schedule *schedule, const struct decision *decision)
{
    if (schedule->count == schedule->capacity) {
        schedule->capacity = schedule->capacity * 2 + 256;
        schedule->list = realloc(schedule->list, schedule->capacity * sizeof(*schedule->list));
        if (schedule->list == NULL)
            abort();
    }
    schedule->list[schedule->count++] = *decision;
}

static int compare(const void *a, const void *b)
{
    const struct decision *left = a;
    const struct decision *right = b;

    if (left->type != right->type)
        return left->type < right->type ? -1 : 1;
    if (left->who != right->who)
        return left->who < right->who ? -1 : 1;
    return left->count < right->count ? -1 : left->count > right->count;
}

void schedule_sort(struct schedule *schedule)
{
    qsort(schedule->list, schedule->count, sizeof(*schedule->list), compare);
}

void schedule_copy(struct schedule *to, const struct schedule *from)
{
    memset(to, 0, sizeof(*to));
    for (size_t index = 0; index < from->count; index++)
        schedule_add(to, &from->list[index]);
}

void schedule_drop(struct schedule *schedule, size_t first, size_t count)
{
    memmove(schedule->list + first, schedule->list + first + count,
            (schedule->count - first - count) * sizeof(*schedule->list));
    schedule->count -= count;
}

void schedule_free(struct schedule *schedule)
{
    free(schedule->list);
    memset(schedule, 0, sizeof(*schedule));
}

const struct decision *schedule_find(const struct schedule *schedule, enum decision_type type, uint32_t who,
                                     uint64_t count)
{
    const struct decision key = {.type = type, .who = who, .count = count};

    if (schedule->count == 0)
        return NULL;
    return bsearch(&key, schedule->list, schedule->count, sizeof(key), compare);
}

void schedule_print(char *buffer, size_t size, const struct decision *decision)
{
    snprintf(buffer, size, "%s %" PRIu32 " %" PRIu64 " %" PRIu64, type_names[decision->type], decision->who,
             decision->count, decision->value);
}

bool schedule_parse(const char *text, struct decision *decision)
{
    char name[8];
    int length = 0;

    if (sscanf(text, "%7s %" SCNu32 " %" SCNu64 " %" SCNu64 "%n", name, &decision->who, &decision->count,
               &decision->value, &length) != 4 ||
        text[length] != '\0')
        return false;
    for (int type = 0; type < DECISION_TYPES; type++)
        if (strcmp(name, type_names[type]) == 0) {
            decision->type = (enum decision_type)type;
            return true;
        }
    return false;
}
