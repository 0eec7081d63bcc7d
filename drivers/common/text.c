#include "text.h"
#include "pool.h"

static CHAR TextLower(_In_ CHAR Character)
{
    return (Character >= 'A' && Character <= 'Z') ? (CHAR)(Character + ('a' - 'A')) : Character;
}

BOOLEAN
TextEqual(_In_ PCSTR A, _In_ PCSTR B, _In_ BOOLEAN IgnoreCase)
{
    while (*A == *B || (IgnoreCase && TextLower(*A) == TextLower(*B))) {
        if (*A == '\0')
            return TRUE;
        A++;
        B++;
    }

    return FALSE;
}

SIZE_T
TextLength(_In_ PCSTR Text, _In_ SIZE_T Limit)
{
    SIZE_T Length = 0;

    while (Length < Limit && Text[Length] != '\0')
        Length++;

    return Length;
}

/* The value of a digit, 16 or more for what is not a digit of any base. */
static ULONG TextDigit(_In_ CHAR Character)
{
    CHAR Lower = TextLower(Character);

    if (Lower >= '0' && Lower <= '9')
        return (ULONG)(Lower - '0');
    if (Lower >= 'a' && Lower <= 'f')
        return 10 + (ULONG)(Lower - 'a');

    return MAXULONG;
}

NTSTATUS
TextToUlonglongPrefix(_In_ PCSTR Text, _In_ ULONG Base, _Out_ PULONGLONG Value, _Outptr_ PCSTR *End)
{
    ULONGLONG Number = 0;

    if (TextDigit(*Text) >= Base)
        return STATUS_INVALID_PARAMETER;

    for (; TextDigit(*Text) < Base; Text++) {
        ULONG Digit = TextDigit(*Text);

        if (Number > ((ULONGLONG)-1 - Digit) / Base)
            return STATUS_INTEGER_OVERFLOW;
        Number = Number * Base + Digit;
    }

    *Value = Number;
    *End = Text;

    return STATUS_SUCCESS;
}

static NTSTATUS TextToUlonglong(_In_ PCSTR Text, _In_ ULONG Base, _Out_ PULONGLONG Value)
{
    ULONGLONG Number;
    PCSTR End;
    NTSTATUS Status;

    Status = TextToUlonglongPrefix(Text, Base, &Number, &End);
    if (!NT_SUCCESS(Status))
        return Status;

    if (*End != '\0')
        return STATUS_INVALID_PARAMETER;

    *Value = Number;

    return STATUS_SUCCESS;
}

NTSTATUS
TextToUlong(_In_ PCSTR Text, _In_ ULONG Base, _Out_ PULONG Value)
{
    ULONGLONG Number;
    NTSTATUS Status;

    Status = TextToUlonglong(Text, Base, &Number);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Number > MAXULONG)
        return STATUS_INTEGER_OVERFLOW;

    *Value = (ULONG)Number;

    return STATUS_SUCCESS;
}

PCSTR
TextListFirst(_In_ PCSTR List)
{
    return (*List != '\0') ? List : NULL;
}

PCSTR
TextListNext(_In_ PCSTR Entry)
{
    while (*Entry != '\0')
        Entry++;

    return TextListFirst(Entry + 1);
}

BOOLEAN
TextListHas(_In_ PCSTR List, _In_ PCSTR Name, _In_ BOOLEAN IgnoreCase)
{
    PCSTR Entry;

    for (Entry = TextListFirst(List); Entry != NULL; Entry = TextListNext(Entry))
        if (TextEqual(Entry, Name, IgnoreCase))
            return TRUE;

    return FALSE;
}

PSTR TextDuplicate(_In_ PCSTR Text, _In_ ULONG Tag)
{
    SIZE_T Length = TextLength(Text, (SIZE_T)-1);
    PSTR Copy;

    Copy = PoolAllocate(Length + 1, Tag);
    if (Copy != NULL)
        RtlCopyMemory(Copy, Text, Length);

    return Copy;
}
