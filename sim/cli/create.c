/*
 * pvsim create: boot a machine and keep it up. The machine is a process of its own; the command ends when the guest has
 * booted, or could not, and then its one line and its exit status say why.
 */
#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/guest_agent.h"
#include "cli/host.h"
#include "cli/verb.h"
#include "cli/xlcfg.h"

static int start(struct host *host)
{
    int status;

    host->options.run.machine.stay_up = true;
    if (host->options.max_vcpus > host->options.run.machine.vcpus) {
        host->options.run.machine.start_vcpus = host->options.run.machine.vcpus;
        host->options.run.machine.vcpus = host->options.max_vcpus;
    }
    if (!run_dir_find(&host->dir, host->options.run.run_dir))
        return EXIT_USAGE;
    status = guest_check_drivers(&host->options.run.machine);
    if (status == 0 && host->options.agent)
        status = guest_agent_add(&host->options.run.machine);
    if (status == 0 && host->options.run.machine.preempt_memory)
        status = guest_check_memory_hooks(&host->options.run.machine);
    if (status == 0)
        status = run_dir_take(&host->dir);
    return status != 0 ? status : host_start(host, host_create);
}

static int attach_console(const struct host *host)
{
    const char *const argv[] = {"console", "--run-dir", host->dir.path, host->options.name, NULL};

    return verb_console_command(verb_find("console"), 4, (char **)(uintptr_t)argv);
}

int command_create(int argc, char **argv)
{
    struct host host = {.command = -1};
    int status = options_parse_create(argc, argv, &host.options);

    if (status == 0)
        status = start(&host);
    if (status == 0 && host.options.attach)
        status = attach_console(&host);
    xlcfg_close(host.options.file);
    return status == -1 ? EXIT_PASSED : status;
}
