/* What a status code says of another attempt. */
#ifndef DRIVER_STATUS_H
#define DRIVER_STATUS_H

#include "compat.h"

/*
 * Whether what has failed so may succeed a moment later with nothing changed by anybody: for lack of memory, of an
 * answer, or of room among what others have. Everything else waits for a change. Any IRQL.
 */
static inline BOOLEAN StatusIsForNow(_In_ NTSTATUS Status)
{
    switch (Status) {
    case STATUS_INSUFFICIENT_RESOURCES:
    case STATUS_IO_TIMEOUT:
    case STATUS_RETRY:
    case STATUS_DEVICE_BUSY:
    case STATUS_QUOTA_EXCEEDED:
        return TRUE;

    default:
        return FALSE;
    }
}

#endif /* DRIVER_STATUS_H */
