#include "insist.h"

#define INSIST_ATTEMPTS 100u
#define INSIST_PAUSE 50u /* microseconds */

NTSTATUS Insist(_In_ INSIST_ROUTINE Routine, _In_ const VOID *Argument)
{
    NTSTATUS Status = Routine(Argument);
    ULONG Attempt;

    for (Attempt = 1; !NT_SUCCESS(Status) && Attempt < INSIST_ATTEMPTS; Attempt++) {
        KeStallExecutionProcessor(INSIST_PAUSE);
        Status = Routine(Argument);
    }

    return Status;
}
