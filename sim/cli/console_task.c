#include "cli/console_task.h"

#include <stdlib.h>

#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/sched.h"

struct attached {
    struct attached *next;
    struct task *task;
};

struct console_task {
    const struct backend_logger *logger;
    struct consoles *consoles; /* NULL until the task has begun */
    struct attached *attached;
};

static void tell_attached(void *context)
{
    const struct console_task *task = context;

    for (const struct attached *attached = task->attached; attached != NULL; attached = attached->next)
        task_unpark(attached->task);
}

static void console_main(void *argument)
{
    struct console_task *task = argument;
    const struct consoles_options options = {.logger = task->logger, .news = tell_attached, .context = task};

    task->consoles = consoles_create(&options);
    if (task->consoles == NULL || !consoles_run(task->consoles))
        fail("scenario", "the guest's console cannot be kept: its store or event channels failed");
}

struct console_task *console_task_start(const struct backend_logger *logger)
{
    struct console_task *task = calloc(1, sizeof(*task)); /* of the machine's heap (dom0/heap.h) */

    task->logger = logger;
    (void)task_create("consoles", console_main, task);
    return task;
}

struct consoles *console_task_consoles(const struct console_task *task)
{
    return task->consoles;
}

void console_task_wait(struct console_task *task)
{
    struct attached here = {.next = task->attached, .task = task_current()};
    struct attached **link = &task->attached;

    /* cppcheck-suppress autoVariables ; it is taken out before this returns */
    task->attached = &here;
    (void)task_park(CLOCK_NEVER, "the guest's console");
    while (*link != &here)
        link = &(*link)->next;
    *link = here.next;
}
