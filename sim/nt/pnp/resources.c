/*
 * Resource lists: copies of what bus drivers hand over, checked, and the raw and translated lists of
 * IRP_MN_START_DEVICE (CM_RESOURCE_LIST, IO_RESOURCE_REQUIREMENTS_LIST in wdm.h).
 */
#include <string.h>

#include "nt/pnp/pnp_internal.h"

#define RESOURCE_LIST_MAX_DESCRIPTORS 4096u

size_t resources_size(const CM_RESOURCE_LIST *list)
{
    const CM_FULL_RESOURCE_DESCRIPTOR *full = list->List;

    for (ULONG i = 0; i < list->Count; i++) {
        const CM_PARTIAL_RESOURCE_LIST *partial = &full->PartialResourceList;

        if (partial->Count > RESOURCE_LIST_MAX_DESCRIPTORS)
            nt_violation("pnp-resource-list", "a resource list claims %u descriptors", partial->Count);
        full = (const CM_FULL_RESOURCE_DESCRIPTOR *)&partial->PartialDescriptors[partial->Count];
    }
    return (size_t)((const char *)full - (const char *)list);
}

PCM_RESOURCE_LIST resources_copy(const CM_RESOURCE_LIST *list)
{
    PCM_RESOURCE_LIST copy;
    size_t size;

    if (list == NULL || list->Count == 0)
        return NULL;
    size = resources_size(list);
    copy = image_alloc(size);
    memcpy(copy, list, size);
    return copy;
}

PIO_RESOURCE_REQUIREMENTS_LIST requirements_copy(const IO_RESOURCE_REQUIREMENTS_LIST *list)
{
    PIO_RESOURCE_REQUIREMENTS_LIST copy;
    const IO_RESOURCE_LIST *alternative;
    size_t used = offsetof(IO_RESOURCE_REQUIREMENTS_LIST, List);

    if (list == NULL || list->AlternativeLists == 0)
        return NULL;
    alternative = list->List;
    for (ULONG i = 0; i < list->AlternativeLists; i++) {
        if (used + offsetof(IO_RESOURCE_LIST, Descriptors) > list->ListSize)
            nt_violation("pnp-resource-list", "a requirements list of %u bytes claims %u alternatives", list->ListSize,
                         list->AlternativeLists);
        used += offsetof(IO_RESOURCE_LIST, Descriptors) + (size_t)alternative->Count * sizeof(IO_RESOURCE_DESCRIPTOR);
        if (alternative->Count > RESOURCE_LIST_MAX_DESCRIPTORS || used > list->ListSize)
            nt_violation("pnp-resource-list", "alternative %u of a requirements list of %u bytes claims %u descriptors",
                         i, list->ListSize, alternative->Count);
        alternative = (const IO_RESOURCE_LIST *)&alternative->Descriptors[alternative->Count];
    }
    copy = image_alloc(list->ListSize);
    memcpy(copy, list, list->ListSize);
    return copy;
}

/* The requirement that one assigned resource alone meets. */
static void fix_requirement(PIO_RESOURCE_DESCRIPTOR requirement, const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource)
{
    requirement->Type = resource->Type;
    requirement->ShareDisposition = resource->ShareDisposition;
    requirement->Flags = resource->Flags;
    switch (resource->Type) {
    case CmResourceTypePort:
    case CmResourceTypeMemory:
        requirement->u.Generic.Length = resource->u.Generic.Length;
        requirement->u.Generic.Alignment = 1;
        requirement->u.Generic.MinimumAddress = resource->u.Generic.Start;
        requirement->u.Generic.MaximumAddress.QuadPart =
            resource->u.Generic.Start.QuadPart + resource->u.Generic.Length - 1;
        break;
    case CmResourceTypeInterrupt:
        requirement->u.Interrupt.MinimumVector = resource->u.Interrupt.Vector;
        requirement->u.Interrupt.MaximumVector = resource->u.Interrupt.Vector;
        break;
    case CmResourceTypeBusNumber:
        requirement->u.BusNumber.Length = resource->u.BusNumber.Length;
        requirement->u.BusNumber.MinBusNumber = resource->u.BusNumber.Start;
        requirement->u.BusNumber.MaxBusNumber = resource->u.BusNumber.Start + resource->u.BusNumber.Length - 1;
        break;
    default:
        memcpy(requirement->u.DevicePrivate.Data, resource->u.DevicePrivate.Data,
               sizeof(requirement->u.DevicePrivate.Data));
        break;
    }
}

PIO_RESOURCE_REQUIREMENTS_LIST requirements_from_resources(const CM_RESOURCE_LIST *list)
{
    const CM_PARTIAL_RESOURCE_LIST *partial = &list->List->PartialResourceList;
    size_t size = offsetof(IO_RESOURCE_REQUIREMENTS_LIST, List) + offsetof(IO_RESOURCE_LIST, Descriptors) +
                  (size_t)partial->Count * sizeof(IO_RESOURCE_DESCRIPTOR);
    PIO_RESOURCE_REQUIREMENTS_LIST requirements;
    PIO_RESOURCE_LIST alternative;

    if (size < sizeof(*requirements))
        size = sizeof(*requirements);
    requirements = image_alloc(size);
    requirements->ListSize = (ULONG)size;
    requirements->InterfaceType = list->List[0].InterfaceType;
    requirements->BusNumber = list->List[0].BusNumber;
    requirements->AlternativeLists = 1;
    alternative = requirements->List;
    alternative->Version = 1;
    alternative->Revision = 1;
    alternative->Count = partial->Count;
    for (ULONG i = 0; i < partial->Count; i++)
        fix_requirement(&alternative->Descriptors[i], &partial->PartialDescriptors[i]);
    return requirements;
}

/* ---- what was assigned, as the drivers see it ---- */

static void describe_interrupt(const struct assignment *assigned, PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor,
                               bool translated)
{
    if (assigned->interrupt.irq == 0) {
        if (translated) {
            descriptor->u.MessageInterrupt.Translated.Level = assigned->interrupt.vector >> 4;
            descriptor->u.MessageInterrupt.Translated.Group = assigned->interrupt.group;
            descriptor->u.MessageInterrupt.Translated.Vector = assigned->interrupt.vector;
            descriptor->u.MessageInterrupt.Translated.Affinity = assigned->interrupt.mask;
        } else {
            descriptor->u.MessageInterrupt.Raw.Group = assigned->interrupt.group;
            descriptor->u.MessageInterrupt.Raw.MessageCount = 1;
            descriptor->u.MessageInterrupt.Raw.Vector = assigned->interrupt.vector;
            descriptor->u.MessageInterrupt.Raw.Affinity = assigned->interrupt.mask;
        }
        return;
    }
    descriptor->u.Interrupt.Group = assigned->interrupt.group;
    descriptor->u.Interrupt.Affinity = assigned->interrupt.mask;
    descriptor->u.Interrupt.Level =
        translated ? (USHORT)(assigned->interrupt.vector >> 4) : (USHORT)assigned->interrupt.irq;
    descriptor->u.Interrupt.Vector = translated ? assigned->interrupt.vector : assigned->interrupt.irq;
}

static PCM_RESOURCE_LIST build_list(const struct devnode *node, bool translated)
{
    size_t size = offsetof(CM_RESOURCE_LIST, List) + offsetof(CM_FULL_RESOURCE_DESCRIPTOR, PartialResourceList) +
                  offsetof(CM_PARTIAL_RESOURCE_LIST, PartialDescriptors) +
                  node->assigned_count * sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR);
    PCM_PARTIAL_RESOURCE_LIST partial;
    PCM_RESOURCE_LIST list;

    if (node->assigned_count == 0)
        return NULL;
    list = image_alloc(size);
    list->Count = 1;
    list->List[0].InterfaceType = node->has_bus ? node->bus.LegacyBusType : InterfaceTypeUndefined;
    list->List[0].BusNumber = node->has_bus ? node->bus.BusNumber : 0;
    /* Through a pointer of its own: compilers take the array inside List[0] for one of one element. */
    partial = &list->List->PartialResourceList;
    partial->Version = 1;
    partial->Revision = 1;
    partial->Count = node->assigned_count;
    for (unsigned i = 0; i < node->assigned_count; i++) {
        const struct assignment *assigned = &node->assigned[i];
        PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor = &partial->PartialDescriptors[i];

        descriptor->Type = assigned->type;
        descriptor->ShareDisposition = assigned->share;
        descriptor->Flags = assigned->flags;
        switch (assigned->type) {
        case CmResourceTypePort:
        case CmResourceTypeMemory:
            descriptor->u.Generic.Start.QuadPart = (LONGLONG)assigned->range.start;
            descriptor->u.Generic.Length = (ULONG)assigned->range.length;
            break;
        case CmResourceTypeBusNumber:
            descriptor->u.BusNumber.Start = (ULONG)assigned->range.start;
            descriptor->u.BusNumber.Length = (ULONG)assigned->range.length;
            break;
        case CmResourceTypeInterrupt:
            describe_interrupt(assigned, descriptor, translated);
            break;
        default:
            memcpy(descriptor->u.DevicePrivate.Data, assigned->data, sizeof(assigned->data));
            break;
        }
    }
    return list;
}

void resources_build_lists(struct devnode *node)
{
    image_free(node->raw);
    image_free(node->translated);
    node->raw = build_list(node, false);
    node->translated = build_list(node, true);
}

/*
 * Ports, memory and what nobody translates are the same for the processor as for the bus. The vector of a line is known
 * from the start of its device on.
 */
PCM_RESOURCE_LIST pnp_translate_boot_resources(const struct devnode *node, size_t *size)
{
    PCM_PARTIAL_RESOURCE_LIST partial;
    PCM_RESOURCE_LIST list;

    if (node->boot == NULL)
        return NULL;
    *size = resources_size(node->boot);
    list = resources_copy(node->boot);
    partial = &list->List->PartialResourceList;
    for (ULONG i = 0; i < partial->Count; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor = &partial->PartialDescriptors[i];
        const struct assignment *assigned = node->assigned;
        const struct assignment *end = node->assigned + node->assigned_count;

        if (descriptor->Type != CmResourceTypeInterrupt || (descriptor->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0)
            continue;
        while (assigned != end &&
               (assigned->type != CmResourceTypeInterrupt || assigned->interrupt.irq != descriptor->u.Interrupt.Vector))
            assigned++;
        if (assigned == end) {
            image_free(list);
            return NULL;
        }
        describe_interrupt(assigned, descriptor, true);
    }
    return list;
}
