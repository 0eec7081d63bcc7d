/* The guests' consoles of a machine that stays up: a dom0 task that keeps them, and tasks that are attached to one. */
#ifndef CLI_CONSOLE_TASK_H
#define CLI_CONSOLE_TASK_H

#include <stdbool.h>

#include "console.h"

struct console_task; /* lies in the machine */

/* Before the machine runs, or from a task. */
struct console_task *console_task_start(const struct backend_logger *logger);
struct consoles *console_task_consoles(const struct console_task *task);
/* From a task: until there is news of any console, or the task is unparked. */
void console_task_wait(struct console_task *task);

#endif
