/* Some frames of a capture: what --tx-frames and --rx-frames name, and what pvsim minimize leaves out. */
#ifndef CLI_FRAMES_H
#define CLI_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of frames, from 1 as the user counts them, rising. */
struct frame_set {
    uint32_t *number;
    uint32_t count;
};

/* Is it "none", or frames and ranges, both ends included, that rise, such as 1-100,117? False after one line on stderr.
 */
bool frames_check(const char *option, const char *text);
/* The frames that a checked text (NULL: all) names of a capture with so many. False after one line on stderr. */
bool frames_select(const char *option, const char *text, uint32_t frames, struct frame_set *set);
/* The text that names them; the caller frees it. */
char *frames_text(const struct frame_set *set);

void frames_copy(struct frame_set *to, const struct frame_set *from);
/* Leave out `count` of the set's members from the one at `first`. */
void frames_drop(struct frame_set *set, size_t first, size_t count);
void frames_free(struct frame_set *set);

#endif
