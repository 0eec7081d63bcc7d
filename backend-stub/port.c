#include "port.h"

#include "wait.h"

void port_wake(struct port *port)
{
    for (; port; port = port->outer)
        __atomic_store_n(&port->wake, true, __ATOMIC_RELEASE);
    backend_interrupt();
}
