/* Hypercalls of programs: as /dev/xen/privcmd passes them on. */
#include "dom0/gate_internal.h"

#include <errno.h>
#include <string.h>

#include <xen/event_channel.h> /* for Xen's own xen.h: <xen/xen.h> is the simulator's in this build */

#include "machine/log.h"
#include "xen/xen.h"

/* A handle that is restricted to a domain may do to it what a device model does, and nothing else. */
static bool permitted(const struct gate_handle *handle, const struct gate_hypercall *request)
{
    return handle->restricted == GATE_NONE ||
           (request->op == __HYPERVISOR_dm_op && request->argument[0] == handle->restricted);
}

bool gate_call_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes)
{
    struct gate_hypercall request;
    struct xen_memory memory = {.base = handle->arena_address, .bytes = handle->arena_bytes, .host = handle->arena};
    int64_t result;

    if (type != GATE_HYPERCALL || bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    if (!permitted(handle, &request)) {
        gate_reply(handle, EPERM, 0, NULL, 0);
        return true;
    }
    result = xen_host_hypercall(handle->domid, request.op, request.argument, handle->arena != NULL ? &memory : NULL);
    log_line(LOG_DEBUG, "gate", "%s: hypercall %u (%#llx, %#llx): %lld", peer_name(handle->peer), request.op,
             (unsigned long long)request.argument[0], (unsigned long long)request.argument[1], (long long)result);
    gate_reply(handle, 0, result, NULL, 0);
    return true;
}
