/*
 * Shared by the components of the simulated Windows kernel (sim/nt). Includes the Windows headers of sim/include.
 */
#ifndef NT_NT_H
#define NT_NT_H

#include <ntddk.h>

#include <stdbool.h>
#include <stdint.h>

#include "machine/census.h"
#include "machine/clock.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/fault.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/sched.h"

/*
 * First statement of every kernel routine that a driver can call: enters the kernel until the routine returns, checks
 * the caller's IRQL against the documented maximum (a violation is bugcheck DRIVER_VERIFIER_DETECTED_VIOLATION with
 * rule "irql" and the routine's name), then is a switch point. NT_CALL_ANY for routines that may be called at any IRQL;
 * NT_CALL_RANGE where a minimum is documented. What the kernel calls in a driver goes through KERNEL_CALLOUT
 * (machine/kernel_lock.h).
 */
#define NT_CALL(max_irql) NT_CALL_RANGE_AT(0, max_irql, POINT_CALL)
#define NT_CALL_ANY() NT_CALL_RANGE_AT(0, HIGH_LEVEL, POINT_CALL)
#define NT_CALL_RANGE(min_irql, max_irql) NT_CALL_RANGE_AT(min_irql, max_irql, POINT_CALL)
/* As NT_CALL, with the kind of switch point. */
#define NT_CALL_AT(max_irql, point) NT_CALL_RANGE_AT(0, max_irql, point)
#define NT_CALL_RANGE_AT(min_irql, max_irql, point)                                                                    \
    KERNEL_SCOPE();                                                                                                    \
    nt_call(__func__, __builtin_return_address(0), (min_irql), (max_irql), (point))

/*
 * First statement of a routine that touches nothing of the simulator but the IRQL of its vCPU: under the parallel
 * engine it does not enter the kernel, so that drivers contend for nothing but what they share themselves.
 */
#define NT_CALL_LIGHT(max_irql, point) NT_CALL_LIGHT_RANGE(0, max_irql, point)
#define NT_CALL_LIGHT_RANGE(min_irql, max_irql, point)                                                                 \
    nt_call(__func__, __builtin_return_address(0), (min_irql), (max_irql), (point))

/* First statement of what stands for an instruction of the processor: enters the kernel, then is a switch point. */
#define NT_INSTRUCTION(point)                                                                                          \
    KERNEL_SCOPE();                                                                                                    \
    sched_point(point)

/*
 * Does the plan of faults want this call to fail? Asked by every routine of nt/fault/points.def, named as there, where
 * it would take what can run out: FAULT(POOL).
 */
#define FAULT(kind) fault_inject(FAULT_##kind, __func__, __builtin_return_address(0))

void nt_call(const char *routine, const void *caller, unsigned min_irql, unsigned max_irql, enum sched_point point);

/*
 * A broken driver rule: a bugcheck. `rule` is the name of a line of nt/verifier/rules.def ("pool-double-free"), which
 * gives the bugcheck code and its first parameter; nt_violation_sub() gives parameters 2 to 4 of a rule whose first one
 * is a sub-code that Windows documents; nt_violation_code() gives all, of a rule with several codes any.
 */
_Noreturn void nt_violation(const char *rule, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
_Noreturn void nt_violation_sub(const char *rule, uint64_t parameter2, uint64_t parameter3, uint64_t parameter4,
                                const char *format, ...) __attribute__((noreturn, format(printf, 5, 6)));
_Noreturn void nt_violation_code(uint32_t bugcheck_code, const uint64_t parameter[4], const char *rule,
                                 const char *format, ...) __attribute__((noreturn, format(printf, 4, 5)));

/* "xenvif.so!ReceiverPoll+0x12" for a code address; the module's name alone when it has no symbol. sim/image. */
void loader_describe(char *buffer, size_t size, const void *address);

/* A case of a routine that pvsim does not have: names the routine and the case, and fails the run. */
#define NT_UNIMPLEMENTED(what) nt_violation("not-implemented", "%s: %s is not implemented", __func__, (what))

/* Initialisation and the end, in order of machine.c. Each allocates its own slot of struct machine. */
void ke_init(void);
void mm_init(void);
void ex_init(void);
void ob_init(void);
void cm_init(void);
void rtl_init(void);
void hal_init(void);
void io_init(void);
void pnp_init(void);
void po_init(void);
void cng_init(void);
void loader_init(void);
void loader_close(void); /* unload every driver module that is still there */

#endif
