/*
 * A vCPU as the platform sees it: something that takes interrupt vectors. What it does with them is nt/ke's business.
 */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include <stdbool.h>
#include <stdint.h>

/* The index of the vCPU that runs now, or -1 in a task or on the host's stack. */
int vcpu_current_index(void);

/* Make `vector` (0x30 to 0xFF) pending in the vCPU's interrupt controller. A vector pending twice is delivered once. */
void vcpu_raise_vector(unsigned vcpu, uint8_t vector);
/* A non-maskable interrupt, which no IRQL and no cleared interrupt flag holds off. */
void vcpu_raise_nmi(unsigned vcpu);
/* The interrupt controller is as at power-on: nothing is pending in it, in any vCPU. */
void vcpu_clear_interrupts(void);

/*
 * Line interrupts, level-triggered; `irq` is an input of the I/O APIC, of which Xen gives a guest 48, PCI's from 16 up:
 * delivered to vCPU 0 while asserted; still asserted when its service routine is done means delivered again.
 */
void vcpu_set_line(unsigned irq, bool asserted);
/* The vector that the HAL has given to a line (0: none connected). */
void vcpu_bind_line(unsigned irq, uint8_t vector);

/* The running vCPU goes on after others ran, or the host: strict paging goes by its IRQL again. */
void vcpu_running(void);
/* Nothing is out of reach until then. */
void vcpu_show_memory(void);

/*
 * Stop the current vCPU inside a hypercall (SCHEDOP_shutdown with reason suspend) until vcpu_resume() is called for it
 * by another runner. No interrupt is delivered meanwhile.
 */
void vcpu_suspend_current(void);
void vcpu_resume(unsigned vcpu);

/*
 * Have another vCPU stand still where it is, whatever it executes, and go on. No interrupt is delivered meanwhile.
 * Under the parallel engine it stands from its next switch point on.
 */
void vcpu_hold(unsigned vcpu);
void vcpu_let_go(unsigned vcpu);
bool vcpu_stands(unsigned vcpu);
/* Does it execute, or would it if it were not held? Not one that waits for an interrupt. */
bool vcpu_has_work(unsigned vcpu);

/*
 * Stop the current vCPU until an interrupt is pending that its IRQL admits, or until the clock passes `deadline`
 * (SCHEDOP_poll, SCHEDOP_block). False on deadline.
 */
bool vcpu_wait_interrupt(uint64_t deadline);

/*
 * A fault of what runs on the vCPU: may a __try of it handle that? Then vcpu_raise_fault(), on the stack that faulted,
 * takes it there.
 */
bool vcpu_fault_is_exception(const void *address);
_Noreturn void vcpu_raise_fault(const void *instruction, const void *address, bool write);

#endif
