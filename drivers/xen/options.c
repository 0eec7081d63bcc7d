/*
 * Start options: words of the form XEN:NAME=VALUE among those that the machine was started with.
 */
#include "driver.h"
#include "registry.h"
#include "text.h"

static const PCWSTR ControlKey = L"\\Registry\\Machine\\SYSTEM\\CurrentControlSet\\Control";

/* Where the value in Options of the option Name begins, or NULL. */
PAGED_FUNCTION static PCSTR FindOption(_In_ PCSTR Options, _In_ PCSTR Name)
{
    static const CHAR Prefix[] = "XEN:";
    CHAR Wanted[64];
    CHAR Start[sizeof(Wanted)];
    SIZE_T Length;

    if (!NT_SUCCESS(TextPrint(Wanted, sizeof(Wanted), "%s%s=", Prefix, Name)))
        return NULL;
    Length = TextLength(Wanted, sizeof(Wanted));

    for (;;) {
        while (*Options == ' ')
            Options++;
        if (*Options == '\0')
            return NULL;

        if (TextLength(Options, Length) == Length) {
            RtlCopyMemory(Start, Options, Length);
            Start[Length] = '\0';
            if (TextEqual(Start, Wanted, TRUE))
                return Options + Length;
        }

        while (*Options != ' ' && *Options != '\0')
            Options++;
    }
}

PAGED_FUNCTION NTSTATUS NTAPI XenQueryStartOption(_In_ PCSTR Name, _Out_writes_(Size) PSTR Value, _In_ SIZE_T Size)
{
    PSTR Options;
    PCSTR Found;
    SIZE_T Length;
    HANDLE Key;
    NTSTATUS Status;

    PAGED_CODE();

    /* Not cut, but not read at all: options that are too long for the registry's strings. */
    Value[0] = '\0';

    Status = RegistryOpenKey(NULL, ControlKey, KEY_READ, &Key);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = RegistryQueryString(Key, L"SystemStartOptions", &Options);
    RegistryCloseKey(Key);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = STATUS_OBJECT_NAME_NOT_FOUND;
    Found = FindOption(Options, Name);
    if (Found != NULL) {
        for (Length = 0; Length < Size - 1 && Found[Length] != ' ' && Found[Length] != '\0'; Length++)
            Value[Length] = Found[Length];
        Value[Length] = '\0';

        Status = Found[Length] == ' ' || Found[Length] == '\0' ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
    }

    RegistryFree(Options);
    return Status;
}
