/* The kernel's components in the order of their start. */
#include "nt/nt_init.h"

#include "nt/ke/ke.h"
#include "nt/nt.h"
#include "nt/ob/ob.h"
#include "nt/netio/netio.h"
#include "nt/ps/ps.h"
#include "nt/wmi/wmi.h"

void nt_init(void)
{
    ke_init();
    ob_init();
    mm_init();
    ex_init();
    rtl_init();
    cm_init();
    hal_init();
    ps_init();
    cng_init();
    netio_init();
    wmi_init();
    loader_init();
    io_init();
    po_init();
    pnp_init();
}

void nt_close(void)
{
    loader_close();
}

void nt_thread_start(const char *name, void (*function)(void *), void *argument)
{
    ob_dereference(ke_thread_create_host(name, function, argument));
}
