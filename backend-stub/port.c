#include "port.h"

#include "wait.h"

void port_set_link(struct port *port, bool up)
{
    for (struct port *each = port; each; each = each->outer)
        __atomic_store_n(&each->link_down, !up, __ATOMIC_RELEASE);
    port_wake(port);
}

void port_wake(struct port *port)
{
    for (; port; port = port->outer)
        __atomic_store_n(&port->wake, true, __ATOMIC_RELEASE);
    backend_interrupt();
}
