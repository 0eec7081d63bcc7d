/* The file behind guest RAM, for guest_ram_fork.c. */
#ifndef MACHINE_GUEST_RAM_INTERNAL_H
#define MACHINE_GUEST_RAM_INTERNAL_H

int guest_ram_memfd(void);
/*
 * One of this size, which programs that get it can neither shrink nor grow: no access of ours faults for them. -1 with
 * errno.
 */
int guest_ram_new_memfd(uint64_t bytes);
void guest_ram_set_memfd(int memfd);

#endif
