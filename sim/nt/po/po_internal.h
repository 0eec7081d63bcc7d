/* What the files of sim/nt/po share. */
#ifndef NT_PO_INTERNAL_H
#define NT_PO_INTERNAL_H

#include "nt/io/io_internal.h"
#include "nt/po/po.h"

/* PowerFlags of DEVOBJ_EXTENSION: system state in bits 0 to 3, device state in bits 4 to 7. */
#define POWER_FLAGS_SYSTEM 0x0Fu
#define POWER_FLAGS_DEVICE 0xF0u
#define POWER_FLAGS_DEVICE_SHIFT 4

struct po_state {
    LIST_ENTRY requests;       /* struct power_request, in order */
    LIST_ENTRY settings;       /* struct power_setting */
    SYSTEM_POWER_STATE system; /* PowerSystemWorking unless asleep or shut down */
    POWER_ACTION action;       /* under way */
    LIST_ENTRY idle;           /* struct idle_device, in order of registration */
    KTIMER idle_timer;         /* ticks while there are some */
    KDPC idle_dpc;
};

/* The requests of PoRequestPowerIrp for device states that are under way, by number; NULL ends. */
PIRP po_device_request(unsigned index, PDEVICE_OBJECT *device);

void po_idle_init(void);
void po_idle_census(struct census *census);

#endif
