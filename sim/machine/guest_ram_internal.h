/* The file behind guest RAM, for guest_ram_fork.c. */
#ifndef MACHINE_GUEST_RAM_INTERNAL_H
#define MACHINE_GUEST_RAM_INTERNAL_H

int guest_ram_memfd(void);
void guest_ram_set_memfd(int memfd);

#endif
