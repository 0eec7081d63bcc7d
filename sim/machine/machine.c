#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/clock_internal.h"
#include "machine/fail.h"
#include "machine/fail_internal.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/peer_internal.h"
#include "machine/runner.h"
#include "machine/vcpu.h"
#include "nt/nt_init.h"
#include "store/store.h"
#include "xen/xen.h"

struct machine *machine;

struct machine_config machine_default_config(void)
{
    return (struct machine_config){
        .vcpus = 2,
        .seed = 1,
        .policy = POLICY_FIFO,
        .clock = CLOCK_VIRTUAL,
        .ram_bytes = UINT64_C(128) << 20,
        .log_level = 1,
        .limits = {LIMIT_DEFAULT, LIMIT_DEFAULT, LIMIT_DEFAULT},
    };
}

enum machine_engine machine_engine_of(const struct machine_config *config)
{
    if (config->engine != ENGINE_DEFAULT)
        return config->engine;
#ifdef MACHINE_THREAD_SANITIZER
    if (config->policy == POLICY_FIFO && config->stop_at_event == 0 && !config->preempt_memory &&
        config->delay_ppm == 0)
        return ENGINE_PARALLEL;
#endif
    return ENGINE_DETERMINISTIC;
}

const char *machine_config_refused(const struct machine_config *config)
{
    if (machine_engine_of(config) != ENGINE_PARALLEL)
        return NULL;
    if (config->policy != POLICY_FIFO)
        return "the parallel engine has no schedule policy: the host schedules its threads; use --engine det";
    if (config->preempt_memory)
        return "the parallel engine has no switch points at loads and stores: its threads run at once; use --engine "
               "det";
    if (config->delay_ppm != 0)
        return "the parallel engine delays nothing: the host's clock is not the machine's to move; use --engine det";
    if (config->paged_strict)
        return "the parallel engine cannot take pageable memory from one vCPU alone; use --engine det";
    if (config->stop_at_event != 0)
        return "the parallel engine cannot stop before an event: its runs are not repeatable; use --engine det";
    return NULL;
}

void machine_create(const struct machine_config *config)
{
    const char *refused = machine_config_refused(config);

    if (refused != NULL) {
        fprintf(stderr, "pvsim: %s\n", refused);
        exit(2);
    }
#ifdef PVSIM_SANITIZE
    if (config->paged_strict) {
        fprintf(stderr, "pvsim: strict paging cannot be tried in a build with sanitizers, which keep the faults for "
                        "themselves\n");
        exit(125);
    }
#endif
    image_open();
    machine = image_alloc(sizeof(*machine));
    machine->config = *config;
    machine->config.engine = machine_engine_of(config);
    if (machine->config.engine == ENGINE_PARALLEL)
        machine->config.clock = CLOCK_WALL;
    if (machine->config.ram_bytes == 0)
        machine->config.ram_bytes = UINT64_C(128) << 20;
    fail_catch_faults();
    clock_init();
    sched_init();
    kernel_lock_init();
    fault_init();
    guest_ram_init();
    xen_init();
    store_init();
    nt_init();
    machine->power_on_host = clock_host();
}

void machine_destroy(void)
{
    struct failure *failure = machine->failure;
    void *log = machine->log;

    peers_close();
    nt_close();
    guest_ram_close();
    machine = NULL;
    image_close();
    fail_free(failure);
    free(log);
}

static void timed_out(void *argument)
{
    (void)argument;
    fail("timeout", "the run did not end within %llu ms of the machine's time",
         (unsigned long long)(machine->config.timeout_ns / 1000000));
}

enum machine_result machine_run(void)
{
    if (machine->config.timeout_ns != 0 && !deadline_is_set(&machine->timeout))
        deadline_set(&machine->timeout, clock_now() + machine->config.timeout_ns, timed_out, NULL);
    if (sched_run())
        return MACHINE_PAUSED;
    if (machine->failure != NULL) {
        fail_complete(machine->failure);
        return MACHINE_FAILED;
    }
    return machine->stopped_early ? MACHINE_STOPPED : MACHINE_DONE;
}

_Noreturn void machine_stop(void)
{
    sched_leave();
}

void machine_pause(void)
{
    vcpu_show_memory(); /* to those who look at the machine, and who fork it */
    sched_pause();
    vcpu_running();
}

struct guest_call {
    void (*function)(void *);
    void *argument;
};

static void guest_call_main(void *argument)
{
    struct guest_call *call = argument;

    call->function(call->argument);
    machine_stop();
}

enum machine_result machine_run_in_guest(const struct machine_config *config, void (*function)(void *), void *argument)
{
    struct guest_call call = {function, argument};
    enum machine_result result;

    machine_create(config);
    nt_thread_start("test", guest_call_main, &call);
    result = machine_run();
    if (result == MACHINE_DONE)
        machine_destroy();
    return result;
}
