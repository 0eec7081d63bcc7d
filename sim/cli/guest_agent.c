#include "cli/guest_agent.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_ioctl.h"
#include "cli/cli.h"
#include "cli/guest.h"
#include "machine/log.h"
#include "nt/nt.h"
#include "nt/nt_init.h"

#define NAME "agent"
#define RETRY_100NS (-10000000LL) /* a second: the device may come, or come back */

/* ---- its driver ---- */

int guest_agent_add(struct machine_config *config)
{
    static char module[PATH_MAX], inf[PATH_MAX]; /* as long as the configuration */
    struct machine_driver *driver = &config->driver[config->driver_count];

    for (unsigned index = 0; index < config->driver_count; index++)
        if (strcmp(config->driver[index].name, NAME) == 0)
            return 0;
    if (config->driver_count == MACHINE_MAX_DRIVERS) {
        complain("%u drivers leave no room for the guest agent's: use --agent off", MACHINE_MAX_DRIVERS);
        return EXIT_USAGE;
    }
    snprintf(module, sizeof(module), "%s/" NAME "/" NAME ".so", config->driver_dir);
    snprintf(inf, sizeof(inf), "%s/" NAME "/" NAME ".inf", config->driver_dir);
    if (access(module, R_OK) != 0 || access(inf, R_OK) != 0) {
        complain("%s or its INF is not there; build the drivers with 'make', or use --agent off", module);
        return EXIT_USAGE;
    }
    *driver = (struct machine_driver){.name = NAME, .module = module, .inf = inf};
    config->driver_count++;
    return 0;
}

/* ---- the program ---- */

static NTSTATUS ask(PFILE_OBJECT file, PDEVICE_OBJECT device, ULONG *request)
{
    IO_STATUS_BLOCK block = {.Information = 0};
    KEVENT event;
    NTSTATUS status;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(IOCTL_AGENT_WAIT, device, NULL, 0, request, sizeof(*request), FALSE, &event,
                                        &block);
    if (irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    status = IoCallDriver(device, irp);
    if (status == STATUS_PENDING) {
        (void)KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        status = block.Status;
    }
    return status;
}

/* Wait for the next request; while the device is not there, or goes, there is none. */
static ULONG next_request(void)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(AGENT_DEVICE_NAME);
    LARGE_INTEGER retry = {.QuadPart = RETRY_100NS};
    ULONG request = AgentNone;
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;
    NTSTATUS status = IoGetDeviceObjectPointer(&name, FILE_ALL_ACCESS, &file, &device);

    if (NT_SUCCESS(status)) {
        status = ask(file, device, &request);
        ObDereferenceObject(file);
    }
    if (NT_SUCCESS(status))
        return request;
    (void)KeDelayExecutionThread(KernelMode, FALSE, &retry);
    return AgentNone;
}

static void agent_main(void *unused)
{
    (void)unused;
    for (;;) {
        ULONG request = next_request();

        if (request == AgentNone)
            continue;
        log_line(LOG_INFO, "agent", "the toolstack asks for %s",
                 request == AgentPowerOff ? "power off"
                 : request == AgentReboot ? "a reboot"
                                          : "sleep");
        guest_power(request == AgentPowerOff ? GUEST_POWER_OFF : request == AgentReboot ? GUEST_RESET : GUEST_SLEEP);
    }
}

void guest_agent_start(void)
{
    nt_thread_start("agent", agent_main, NULL);
}
