/*
 * The event log: what happened, in order. Its hash proves that two runs were the same; it holds events alone, no seed,
 * no configuration, no addresses, no frame numbers. The last events are kept for reports.
 */
#ifndef MACHINE_EVENTLOG_H
#define MACHINE_EVENTLOG_H

#include <stddef.h>
#include <stdint.h>

enum event_type {
    EVENT_NONE,
    EVENT_RUNNER,    /* a: runner that goes on */
    EVENT_THREAD,    /* a: vCPU, b: thread that it switches to */
    EVENT_INTERRUPT, /* a: vCPU, b: vector */
    EVENT_DPC,       /* a: vCPU, b: number of the DPC on this vCPU */
    EVENT_TIMER,     /* a: number of the expiry */
    EVENT_WAKE,      /* a: thread, b: wait status */
    EVENT_HYPERCALL, /* a: operation, b: sub-operation, c: result */
    EVENT_EVTCHN,    /* a: domain, b: port, c: kind of change */
    EVENT_GRANT,     /* a: domain, b: reference, c: kind of change */
    EVENT_STORE,     /* a: domain or connection, b: message type, c: result */
    EVENT_PNP,       /* a: device number, b: minor function, c: status */
    EVENT_DRIVER,    /* a: driver number, b: load or unload */
    EVENT_FRAME,     /* a: VIF, b: direction, c: length */
    EVENT_REGISTRY,  /* a: operation, b: status */
    EVENT_APC,       /* a: thread, b: 0 special, 1 normal */
    EVENT_FAILURE,   /* a: code */
    EVENT_FAULT,     /* a: number of the call that fails by the plan, b: kind */
    EVENT_RESET,     /* a: number of the guest's reset */
    EVENT_TYPE_COUNT
};

/*
 * Append. Counts from 1. Under the parallel engine also from outside the kernel, once anything was appended from inside
 * it.
 */
void eventlog_add(enum event_type type, uint64_t a, uint64_t b, uint64_t c);
/* The same for `count` events in a row that differ in b. */
void eventlog_add_row(enum event_type type, uint64_t a, const uint32_t *b, unsigned count, uint64_t c);

uint64_t eventlog_count(void);
uint64_t eventlog_hash(void);
/* Print the last `count` events, oldest first, one a line, into a buffer; returns the length. */
size_t eventlog_tail(char *buffer, size_t size, unsigned count);

#endif
