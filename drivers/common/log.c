#include "log.h"
#include "registry.h"
#include "text.h"

typedef struct _LOG_LEVEL_NAME {
    PCSTR Name;
    ULONG Level;
} LOG_LEVEL_NAME;

static const LOG_LEVEL_NAME LogLevelNames[] = {
    {"TRACE", XEN_LOG_TRACE}, {"INFO", XEN_LOG_INFO},         {"WARNING", XEN_LOG_WARNING},
    {"ERROR", XEN_LOG_ERROR}, {"CRITICAL", XEN_LOG_CRITICAL},
};

static ULONG LogLevelFromName(_In_ PCSTR Name)
{
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(LogLevelNames); Index++)
        if (TextEqual(LogLevelNames[Index].Name, Name, TRUE))
            return LogLevelNames[Index].Level;

    return 0;
}

PAGED_FUNCTION NTSTATUS LogQueryLevels(_In_ HANDLE Key, _In_ PCWSTR Name, _Out_ PULONG Mask)
{
    NTSTATUS Status;
    PSTR List;
    PCSTR Entry;
    ULONG Levels;

    PAGED_CODE();

    Status = RegistryQueryMultiString(Key, Name, &List);
    if (!NT_SUCCESS(Status))
        return Status;

    Levels = 0;
    for (Entry = TextListFirst(List); Entry != NULL; Entry = TextListNext(Entry)) {
        ULONG Level = LogLevelFromName(Entry);

        if (Level == 0)
            Warning("'%s' is not a log level", Entry);
        Levels |= Level;
    }

    RegistryFree(List);
    *Mask = Levels;

    return STATUS_SUCCESS;
}
