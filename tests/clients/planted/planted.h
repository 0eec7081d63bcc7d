/* What the files of the driver share. */
#ifndef PLANTED_H
#define PLANTED_H

#include <ntddk.h>

#define PLANTED_BUG 0x504C4E54u /* bugcheck code; the first parameter is the bug */
#define PLANTED_TAG 0x6E616C50u /* "Plan" */

enum {
    BugNone,
    BugMemory,      /* two plain stores in the wrong order */
    BugDelay,       /* a DPC of low importance is taken to have run after a millisecond */
    BugHang,        /* a loop without an end and without a call */
    BugDie,         /* a breakpoint that no debugger takes */
    BugScene,       /* a bugcheck with something of everything under way */
    BugDouble,      /* pool that is freed twice */
    BugLeak,        /* pool that is left behind at unload */
    BugPinned,      /* two interlocked stores in the wrong order, of threads that share a processor */
    BugMemoryFails, /* the machine must have contiguous memory */
    BugScramble,    /* a filter above the client that changes a frame */
    BugWait,        /* a wait for what never comes */
    BugFallible,    /* calls that can fail, and which of them did */
    BugPair,        /* a filter above the client that does not survive two frames */
    BugLoad         /* a filter above the client that changes the load of its packet generator */
};

#define PLANTED_THREADS_MAX 2

/* System threads of these routines, at most PLANTED_THREADS_MAX; returns when they have ended. */
VOID PlantedRunThreads(PKSTART_ROUTINE const *Routines, ULONG Count);

VOID PlantedPinned(VOID);
VOID PlantedScramble(PDRIVER_OBJECT DriverObject);
VOID PlantedPair(PDRIVER_OBJECT DriverObject);
VOID PlantedLoad(PDRIVER_OBJECT DriverObject);
/* These do not return. */
VOID PlantedFallible(PDRIVER_OBJECT DriverObject);
VOID PlantedScene(PDRIVER_OBJECT DriverObject);

#endif
