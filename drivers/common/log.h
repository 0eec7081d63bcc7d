/*
 * Messages of the drivers, through xen.sys to wherever the registry sends their level. Any IRQL.
 *
 *     Warning("%s: no answer in %u ms", Node, Milliseconds);
 *
 * prints "xenbus|FunctionName: ..." as one line; the format has no line feed at the end. Formats mean the same in every
 * build if ULONG, LONG and NTSTATUS are printed with %u, %d and %08x, 64-bit numbers with %llu and %llx (a SIZE_T,
 * ULONG_PTR or PFN_NUMBER cast to ULONGLONG), pointers with %p, PSTR with %s. Wide strings are not printed.
 *
 * MODULE_NAME is the driver's name, defined by the build.
 */
#ifndef DRIVER_LOG_H
#define DRIVER_LOG_H

#include "compat.h"
#include "xen.h"

#ifndef MODULE_NAME
#error "the build must define MODULE_NAME, the name of the driver as a string"
#endif

#if defined(__GNUC__) && !defined(_WIN32)
#define LOG_FORMAT_CHECK __attribute__((format(printf, 1, 2)))
#else
#define LOG_FORMAT_CHECK /* printf's idea of long differs there from the compiler's idea of ULONG */
#endif

LOG_FORMAT_CHECK static inline VOID LogCheckFormat(_In_ PCSTR Format, ...)
{
    UNREFERENCED_PARAMETER(Format);
}

#define LogMessage(_Level, _Format, ...)                                                                               \
    do {                                                                                                               \
        if (0)                                                                                                         \
            LogCheckFormat(_Format, ##__VA_ARGS__);                                                                    \
        XenLogPrintf((_Level), "%s|%s: " _Format, MODULE_NAME, __FUNCTION__, ##__VA_ARGS__);                           \
    } while (0)

#define Trace(_Format, ...) LogMessage(XEN_LOG_TRACE, _Format, ##__VA_ARGS__)
#define Info(_Format, ...) LogMessage(XEN_LOG_INFO, _Format, ##__VA_ARGS__)
#define Warning(_Format, ...) LogMessage(XEN_LOG_WARNING, _Format, ##__VA_ARGS__)
#define Error(_Format, ...) LogMessage(XEN_LOG_ERROR, _Format, ##__VA_ARGS__)
#define Critical(_Format, ...) LogMessage(XEN_LOG_CRITICAL, _Format, ##__VA_ARGS__)

/*
 * Reads a REG_MULTI_SZ of level names (TRACE, INFO, WARNING, ERROR, CRITICAL, in any case) into a mask of XEN_LOG_
 * bits. PASSIVE_LEVEL. Names that are none of these are ignored with a warning. The registry's error, and then *Mask is
 * as it was.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS LogQueryLevels(_In_ HANDLE Key, _In_ PCWSTR Name, _Out_ PULONG Mask);

#endif /* DRIVER_LOG_H */
