#include "bug.h"

DECLSPEC_NORETURN VOID BugCheckText(_In_ PCSTR Function, _In_ ULONG Line, _In_ PCSTR Text)
{
    static const CHAR Module[] = MODULE_NAME;

    XenLogPrintf(XEN_LOG_CRITICAL, "%s|%s: line %u: %s", Module, Function, Line, Text);

    KeBugCheckEx(DRIVER_BUG_CHECK_CODE, (ULONG_PTR)Module, (ULONG_PTR)Function, Line, (ULONG_PTR)Text);
}
