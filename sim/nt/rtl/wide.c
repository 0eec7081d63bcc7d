/*
 * ntoskrnl's 16-bit string functions (wcslen and its like), under names of our own because the host's wchar_t functions
 * are of another width; <wdm/base.h> maps the Windows names to these. Case is folded for ASCII letters only, as the
 * kernel's _wcsicmp does.
 */
#include "nt/rtl/rtl.h"

size_t NTAPI nt_wcslen(const WCHAR *String)
{
    size_t length = 0;

    while (String[length] != 0)
        length++;
    return length;
}

size_t NTAPI nt_wcsnlen(const WCHAR *String, size_t Maximum)
{
    size_t length = 0;

    while (length < Maximum && String[length] != 0)
        length++;
    return length;
}

static WCHAR fold(WCHAR character)
{
    return character >= 'A' && character <= 'Z' ? (WCHAR)(character - 'A' + 'a') : character;
}

static WCHAR keep(WCHAR character)
{
    return character;
}

static int compare(const WCHAR *first, const WCHAR *second, size_t count, WCHAR (*map)(WCHAR))
{
    for (size_t index = 0; index < count; index++) {
        WCHAR a = map(first[index]), b = map(second[index]);

        if (a != b)
            return a < b ? -1 : 1;
        if (a == 0)
            break;
    }
    return 0;
}

int NTAPI nt_wcscmp(const WCHAR *First, const WCHAR *Second)
{
    return compare(First, Second, SIZE_MAX, keep);
}

int NTAPI nt_wcsncmp(const WCHAR *First, const WCHAR *Second, size_t Count)
{
    return compare(First, Second, Count, keep);
}

int NTAPI nt_wcsicmp(const WCHAR *First, const WCHAR *Second)
{
    return compare(First, Second, SIZE_MAX, fold);
}

int NTAPI nt_wcsnicmp(const WCHAR *First, const WCHAR *Second, size_t Count)
{
    return compare(First, Second, Count, fold);
}

WCHAR *NTAPI nt_wcscpy(WCHAR *Destination, const WCHAR *Source)
{
    memcpy(Destination, Source, (nt_wcslen(Source) + 1) * sizeof(WCHAR));
    return Destination;
}

/* The rest of the destination is filled with zeros; no zero at the end if the source fills it. */
WCHAR *NTAPI nt_wcsncpy(WCHAR *Destination, const WCHAR *Source, size_t Count)
{
    size_t length = nt_wcsnlen(Source, Count);

    memcpy(Destination, Source, length * sizeof(WCHAR));
    memset(Destination + length, 0, (Count - length) * sizeof(WCHAR));
    return Destination;
}

WCHAR *NTAPI nt_wcscat(WCHAR *Destination, const WCHAR *Source)
{
    nt_wcscpy(Destination + nt_wcslen(Destination), Source);
    return Destination;
}

WCHAR *NTAPI nt_wcschr(const WCHAR *String, WCHAR Character)
{
    while (*String != Character) {
        if (*String == 0)
            return NULL;
        String++;
    }
    return (WCHAR *)(uintptr_t)String;
}

WCHAR *NTAPI nt_wcsrchr(const WCHAR *String, WCHAR Character)
{
    size_t index = nt_wcslen(String) + 1;

    while (index-- > 0)
        if (String[index] == Character)
            return (WCHAR *)(uintptr_t)(String + index);
    return NULL;
}

WCHAR *NTAPI nt_wcsstr(const WCHAR *String, const WCHAR *Pattern)
{
    size_t length = nt_wcslen(Pattern);

    for (;; String++) {
        if (nt_wcsncmp(String, Pattern, length) == 0)
            return (WCHAR *)(uintptr_t)String;
        if (*String == 0)
            return NULL;
    }
}
