/* What both sides do alike with a ring page. */
#include "store/conformance/side.h"

#include <xen/xen.h>

uint32_t side_ring_put(struct xenstore_domain_interface *interface, const void *bytes, uint32_t length)
{
    uint32_t producer = interface->req_prod;
    uint32_t room = XENSTORE_RING_SIZE - (producer - __atomic_load_n(&interface->req_cons, __ATOMIC_ACQUIRE));

    if (length > room)
        length = room;
    for (uint32_t i = 0; i < length; i++)
        interface->req[MASK_XENSTORE_IDX(producer + i)] = ((const char *)bytes)[i];
    __atomic_store_n(&interface->req_prod, producer + length, __ATOMIC_RELEASE);
    return length;
}

uint32_t side_ring_get(struct xenstore_domain_interface *interface, void *bytes, uint32_t length)
{
    uint32_t consumer = interface->rsp_cons;
    uint32_t available = __atomic_load_n(&interface->rsp_prod, __ATOMIC_ACQUIRE) - consumer;

    if (length > available)
        length = available;
    for (uint32_t i = 0; i < length; i++)
        ((char *)bytes)[i] = interface->rsp[MASK_XENSTORE_IDX(consumer + i)];
    __atomic_store_n(&interface->rsp_cons, consumer + length, __ATOMIC_RELEASE);
    return length;
}
