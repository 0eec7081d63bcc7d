#include "common/runs_out.h"

#include "machine/fault.h"

void runs_out_off(void)
{
    fault_suspend();
}

static unsigned count_failures(const char *name, NTSTATUS (*routine)(void), bool each)
{
    unsigned failures = 0;

    for (unsigned nth = 1;; nth++) {
        uint64_t before = fault_injected();
        NTSTATUS status;

        machine->config.faults.rule[0].nth = nth;
        machine->fault->matched[0] = 0;
        fault_resume();
        status = routine();
        fault_suspend();
        if (fault_injected() == before) {
            ck_assert_msg(status == STATUS_SUCCESS, "%s: %08x", name, (unsigned)status);
            return failures;
        }
        ck_assert_msg(!each || !NT_SUCCESS(status), "%s works although call %u of its own has failed", name, nth);
        failures += !NT_SUCCESS(status);
    }
}

unsigned runs_out_each(const char *name, NTSTATUS (*routine)(void))
{
    return count_failures(name, routine, true);
}

unsigned runs_out_some(const char *name, NTSTATUS (*routine)(void))
{
    return count_failures(name, routine, false);
}
