/*
 * KeIpiGenericCall: a routine on every processor at once, at IPI_LEVEL. The caller's processor takes part; nobody
 * starts before all have arrived, and the call returns when all are done.
 */
#include "nt/ke/ke.h"

struct ke_ipi {
    PKIPI_BROADCAST_WORKER function;
    ULONG_PTR context;
    unsigned count; /* processors, at its beginning */
    unsigned arrived;
    unsigned done;
};

static ULONG_PTR take_part(struct ke_ipi *ipi)
{
    ULONG_PTR result;

    ipi->arrived++;
    while (ipi->arrived < ipi->count)
        sched_point(POINT_PAUSE);
    result = DRIVER_CALLOUT("broadcast function", ipi->function, ipi->context);
    ipi->done++;
    return result;
}

void ke_ipi_deliver(struct vcpu *vcpu)
{
    struct ke_ipi *ipi = machine->ke->ipi;

    (void)vcpu;
    if (ipi != NULL)
        (void)take_part(ipi);
}

ULONG_PTR NTAPI KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context)
{
    struct ke_ipi ipi = {.function = BroadcastFunction, .context = Context};
    KIRQL old;
    ULONG_PTR result;

    NT_CALL(IPI_LEVEL - 1);
    while (machine->ke->ipi != NULL)
        sched_point(POINT_PAUSE);
    ipi.count = ke_processors();
    machine->ke->ipi = &ipi;
    old = ke_irql();
    ke_set_irql(IPI_LEVEL);
    for (unsigned index = 0; index < ipi.count; index++)
        if (index != ke_vcpu()->index)
            vcpu_raise_vector(index, KE_VECTOR_IPI);
    result = take_part(&ipi);
    while (ipi.done < ipi.count)
        sched_point(POINT_PAUSE);
    machine->ke->ipi = NULL;
    ke_set_irql(old);
    return result;
}
