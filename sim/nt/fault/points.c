/* The table of fault points as data. */
#include "machine/fault.h"

#include <string.h>

#define NEVER(routine, reason)
#define POINT(kind, routine, answer) {FAULT_##kind, #routine, answer},
static const struct fault_point points[] = {
#include "nt/fault/points.def"
};
#undef POINT
#undef NEVER

_Static_assert(sizeof(points) / sizeof(points[0]) <= FAULT_POINTS_MAX, "each has a counter");

#define POINT(kind, routine, answer)
#define NEVER(routine, reason) {#routine, reason},
static const struct fault_never nevers[] = {
#include "nt/fault/points.def"
};

const struct fault_point *fault_point(unsigned index)
{
    return index < sizeof(points) / sizeof(points[0]) ? &points[index] : NULL;
}

const struct fault_never *fault_never(unsigned index)
{
    return index < sizeof(nevers) / sizeof(nevers[0]) ? &nevers[index] : NULL;
}

const struct fault_point *fault_point_find(const char *routine)
{
    const struct fault_point *point;

    for (unsigned index = 0; (point = fault_point(index)) != NULL; index++)
        if (strcmp(point->routine, routine) == 0)
            return point;
    return NULL;
}

const struct fault_never *fault_never_find(const char *routine)
{
    const struct fault_never *never;

    for (unsigned index = 0; (never = fault_never(index)) != NULL; index++)
        if (strcmp(never->routine, routine) == 0)
            return never;
    return NULL;
}
