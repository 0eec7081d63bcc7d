#include "machine/fault.h"

#include <string.h>

#include "image/loader.h"
#include "machine/backtrace.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"

#define UNWIND_MAX 24

static const char *const kind_names[FAULT_KINDS] = {"pool",      "mdl",     "workitem", "thread",
                                                    "interrupt", "mapping", "registry", "hypercall"};
static const char *const phase_names[FAULT_PHASES] = {"boot", "connect", "traffic", "teardown"};

const char *fault_kind_name(enum fault_kind kind)
{
    return kind_names[kind];
}

const char *fault_phase_name(enum fault_phase phase)
{
    return phase_names[phase];
}

void fault_init(void)
{
    const struct fault_plan *plan = &machine->config.faults;
    struct fault_state *state = image_alloc(sizeof(*state));

    for (unsigned index = 0; index < plan->count; index++)
        state->random[index] = plan->rule[index].seeded ? plan->rule[index].seed : machine->config.seed;
    state->on = plan->count != 0;
    machine->fault = state;
}

bool fault_is_on(void)
{
    return machine->fault->on;
}

void fault_suspend(void)
{
    machine->fault->on = false;
}

void fault_resume(void)
{
    machine->fault->on = machine->config.faults.count != 0;
}

void fault_enter(enum fault_phase phase)
{
    machine->fault->phase = phase;
}

uint64_t fault_calls(void)
{
    return machine->fault->calls;
}

uint64_t fault_kind_calls(enum fault_kind kind)
{
    return machine->fault->kind_calls[kind];
}

uint64_t fault_injected(void)
{
    return machine->fault->injected;
}

const struct fault_record *fault_record(unsigned index)
{
    const struct fault_state *state = machine->fault;

    return index < FAULT_RECORDS_MAX && index < state->injected ? &state->record[index] : NULL;
}

void fault_observe(void (*seen)(void *context, const struct fault_stack *stack, bool fallible), void *context)
{
    machine->fault->seen = seen;
    machine->fault->seen_context = context;
}

/* The driver's frames of the stack that runs. The kernel's own stay out, those between two drivers too. */
static void collect(struct fault_stack *stack)
{
    void *address[UNWIND_MAX];
    int count = backtrace_collect(address, UNWIND_MAX);

    stack->count = 0;
    for (int index = 0; index < count && stack->count < FAULT_FRAMES_MAX; index++) {
        const struct loader_module *module = loader_find(address[index]);
        struct fault_frame *frame = &stack->frame[stack->count];

        if (module == NULL)
            continue;
        strncpy(frame->module, loader_module_name(module), sizeof(frame->module) - 1);
        frame->module[sizeof(frame->module) - 1] = '\0';
        frame->offset = (uint64_t)((const char *)address[index] - (const char *)loader_module_base(module));
        stack->count++;
    }
}

/* splitmix64: a stream of the rule's own, so that the machine's is not touched. */
static uint32_t roll(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((value ^ (value >> 31)) >> 32);
}

static bool rule_fires(unsigned index, enum fault_kind kind, const char *routine)
{
    const struct fault_rule *rule = &machine->config.faults.rule[index];
    struct fault_state *state = machine->fault;

    if ((rule->kinds >> kind & 1) == 0 || (rule->phases >> state->phase & 1) == 0 ||
        (rule->call[0] != '\0' && strcmp(rule->call, routine) != 0))
        return false;
    state->matched[index]++;
    if (rule->rate != 0 && roll(&state->random[index]) >= rule->rate)
        return false;
    return rule->nth == 0 || rule->nth == state->matched[index];
}

static void record(enum fault_kind kind, const struct fault_point *point, const struct fault_stack *stack)
{
    struct fault_state *state = machine->fault;

    eventlog_add(EVENT_FAULT, state->calls, kind, 0);
    log_line(LOG_WARNING, "fault", "call %llu, %s (%s), fails during %s: called at %s.so+0x%llx",
             (unsigned long long)state->calls, point->routine, kind_names[kind], phase_names[state->phase],
             stack->count != 0 ? stack->frame[0].module : "?",
             stack->count != 0 ? (unsigned long long)stack->frame[0].offset : 0ull);
    if (state->injected < FAULT_RECORDS_MAX)
        state->record[state->injected] = (struct fault_record){
            .number = state->calls,
            .routine_number = state->routine_calls[point - fault_point(0)],
            .event = eventlog_count(),
            .kind = kind,
            .phase = state->phase,
            .routine = point->routine,
            .stack = *stack,
        };
    state->injected++;
}

bool fault_ask(enum fault_kind kind, const char *routine, const void *caller)
{
    struct fault_state *state = machine->fault;
    const struct fault_point *point;
    struct fault_stack stack;
    bool fires = false;

    if (caller != NULL && loader_find(caller) == NULL)
        return false;
    stack.count = 0;
    if (caller == NULL || state->seen != NULL) {
        collect(&stack);
        if (caller == NULL && stack.count == 0)
            return false;
    }
    point = fault_point_find(routine);
    if (point == NULL || point->kind != kind)
        fail("internal", "%s asks for faults of kind %s and is not in the table of fault points so", routine,
             kind_names[kind]);
    state->calls++;
    state->kind_calls[kind]++;
    state->routine_calls[point - fault_point(0)]++;
    if (state->seen != NULL)
        state->seen(state->seen_context, &stack, true);
    /* Each rule counts for itself, whatever the others say. */
    for (unsigned index = 0; index < machine->config.faults.count; index++)
        fires = rule_fires(index, kind, routine) || fires;
    if (!fires)
        return false;
    if (stack.count == 0)
        collect(&stack);
    record(kind, point, &stack);
    return true;
}

void fault_note_infallible(void)
{
    const struct fault_state *state = machine->fault;
    struct fault_stack stack;

    if (!state->on || state->seen == NULL)
        return;
    collect(&stack);
    if (stack.count != 0)
        state->seen(state->seen_context, &stack, false);
}
