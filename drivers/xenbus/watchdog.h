/*
 * The domain's watchdog: Xen ends the domain (SHUTDOWN_watchdog) when this guest has not run a thread of high priority
 * for so many seconds. A thread starts the time anew three times as often.
 */
#ifndef XENBUS_WATCHDOG_H
#define XENBUS_WATCHDOG_H

#include "compat.h"

#include "debug_interface.h"

/* What the start option XEN:WATCHDOG= may ask for at least, in seconds. */
#define WATCHDOG_MINIMUM_SECONDS 10

/* A watchdog that is armed; opaque, released by WatchdogEnd. */
typedef struct _XENBUS_WATCHDOG XENBUS_WATCHDOG, *PXENBUS_WATCHDOG;

/* What the start option asks for: 0 for none. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG WatchdogQuerySeconds(VOID);

/*
 * Arms a watchdog; the end of it, with the watchdog stopped. PASSIVE_LEVEL. Debug must be acquired, and stay so until
 * the end. No memory, or Xen's refusal: STATUS_QUOTA_EXCEEDED if the domain has as many as there can be.
 */
_IRQL_requires_(PASSIVE_LEVEL)
_Must_inspect_result_ NTSTATUS WatchdogBegin(_In_ ULONG Seconds, _In_ const XENBUS_DEBUG_INTERFACE *Debug,
                                             _Outptr_ PXENBUS_WATCHDOG *Watchdog);
_IRQL_requires_(PASSIVE_LEVEL)
VOID WatchdogEnd(_In_ PXENBUS_WATCHDOG Watchdog);

/*
 * Stops the watchdog until WatchdogGoOn: while the system sleeps no thread runs. IRQL <= DISPATCH_LEVEL. Either may be
 * called when it is so already.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID WatchdogHold(_In_ PXENBUS_WATCHDOG Watchdog);
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID WatchdogGoOn(_In_ PXENBUS_WATCHDOG Watchdog);

/*
 * Before a suspend, with every other processor held: stops the watchdog, since Xen's time goes on while a domain is
 * suspended. The thread starts another, of a number that is valid where the domain then is, the next time that it runs.
 * DISPATCH_LEVEL.
 */
VOID WatchdogSuspend(_In_ PXENBUS_WATCHDOG Watchdog);

#endif /* XENBUS_WATCHDOG_H */
