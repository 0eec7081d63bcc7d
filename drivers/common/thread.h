/*
 * System threads that sleep on an event and end when they are told to.
 *
 *     static NTSTATUS NTAPI
 *     Worker(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context)
 *     {
 *         for (;;) {
 *             ThreadWait(Self, NULL);
 *             if (ThreadIsAlerted(Self))
 *                 break;
 *             ... work ...
 *         }
 *         return STATUS_SUCCESS;
 *     }
 */
#ifndef DRIVER_THREAD_H
#define DRIVER_THREAD_H

#include "compat.h"

/* A thread; opaque, owned by its creator, released by ThreadJoin. */
typedef struct _DRIVER_THREAD DRIVER_THREAD, *PDRIVER_THREAD;

/* The body. PASSIVE_LEVEL. Its result is that of ThreadJoin. */
typedef NTSTATUS(NTAPI *DRIVER_THREAD_FUNCTION)(_In_ PDRIVER_THREAD Self, _In_opt_ PVOID Context);

/* Starts a thread; returns when it runs. PASSIVE_LEVEL. No memory, or the kernel's error. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS
ThreadCreate(_In_ DRIVER_THREAD_FUNCTION Function, _In_opt_ PVOID Context, _Outptr_ PDRIVER_THREAD *Thread);

/* The thread's synchronization event, for a watch or for anyone who wakes it. Lives until ThreadJoin. */
PKEVENT ThreadGetEvent(_In_ PDRIVER_THREAD Thread);

/* Sets the event. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ThreadWake(_In_ PDRIVER_THREAD Thread);

/* Tells the thread to end, and wakes it. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID ThreadAlert(_In_ PDRIVER_THREAD Thread);

/* TRUE once the thread has been told to end. */
BOOLEAN ThreadIsAlerted(_In_ PDRIVER_THREAD Self);

/*
 * Waits for the event, at most until Timeout (as for KeWaitForSingleObject; NULL is for ever). By the thread itself.
 * STATUS_SUCCESS or STATUS_TIMEOUT.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ThreadWait(_In_ PDRIVER_THREAD Self, _In_opt_ PLARGE_INTEGER Timeout);

/*
 * Waits until the thread has ended, and releases it; it must have been alerted, and this is not called by itself.
 * PASSIVE_LEVEL. Once it returns no instruction of the thread's body runs or will run. The body's result.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ThreadJoin(_In_ PDRIVER_THREAD Thread);

#endif /* DRIVER_THREAD_H */
