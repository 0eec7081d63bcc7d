/*
 * A reset of the guest inside a running machine. The order matters: what points into the guest's memory from outside
 * (host threads, runners, deadlines, mappings) goes first, then the memory.
 */
#include <stddef.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/clock_internal.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/fiber.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/runner.h"
#include "machine/sched.h"
#include "machine/vcpu.h"
#include "nt/nt_init.h"
#include "xen/xen.h"

#define STAND_POLL_NS UINT64_C(100000)

bool machine_is_guests(const void *address)
{
    const struct fiber *owner;

    if (image_arena_contains(IMAGE_GUEST, address) || guest_ram_address(address) ||
        (uintptr_t)address - IMAGE_SYSPTE_BASE < IMAGE_SYSPTE_SIZE)
        return true;
    owner = fiber_stack_owner(address);
    return owner != NULL && machine_is_guests(owner);
}

static void check_caller(void)
{
    if (task_current() == NULL)
        fail("internal", "the guest is reset outside a dom0 task");
    if (xen_guest_domid() >= 0)
        fail("internal", "the guest is reset while it has domain %d", xen_guest_domid());
}

/* They do, but one of the parallel engine that was woken may not have noticed yet that it is held. */
static void await_vcpus(void)
{
    for (unsigned index = 0; index < machine->config.vcpus; index++)
        while (!vcpu_stands(index))
            (void)task_park(clock_now() + STAND_POLL_NS, "the guest's vCPUs");
}

static void empty_slots(void)
{
    const size_t first = offsetof(struct machine, MACHINE_FIRST_GUEST_SLOT);

    memset((char *)machine + first, 0, sizeof(*machine) - first);
}

void machine_reset_guest(void)
{
    check_caller();
    await_vcpus();
    vcpu_show_memory();
    nt_disk_save();
    runner_remove_vcpus();
    nt_close();
    clock_forget_guest();
    fiber_destroy_guest();
    guest_ram_forget_guest();
    xen_power_cycle();
    empty_slots();
    image_clear_guest();
    machine->reboots++;
    machine->booted_at = clock_now();
    eventlog_add(EVENT_RESET, machine->reboots, 0, 0);
    nt_init();
    nt_waiters_go_on();
    runner_start_vcpus();
    log_line(LOG_INFO, "machine", "the guest was reset");
}
