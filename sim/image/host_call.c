#include "image/loader_internal.h"
#include "machine/runner.h"

static void host_call_main(void *argument)
{
    struct loader_state *state = argument;

    for (;;) {
        state->call(state->call_argument);
        runner_switch_fiber(&state->fiber, state->caller);
    }
}

void loader_host_call(void (*function)(void *), void *argument)
{
    struct loader_state *state = machine->loader;
    struct runner *runner = runner_current();

    if (runner == NULL) {
        function(argument);
        return;
    }
    if (!state->fiber_ready) {
        fiber_create(&state->fiber, "image loader", FIBER_TASK_STACK_SIZE, host_call_main, state);
        state->fiber_ready = true;
    }
    state->caller = runner->fiber;
    state->call = function;
    state->call_argument = argument;
    runner_switch_fiber(state->caller, &state->fiber);
}
