/* Between the files of the stack fixture: what runs in dom0 tasks. */
#ifndef TESTS_COMMON_STACK_DOM0_H
#define TESTS_COMMON_STACK_DOM0_H

#include "log.h"

extern const struct backend_logger stack_logger;

void stack_read_ports(void);
void stack_create_domain(void);
/*
 * The guest stands still wherever it is. Then: its domain is destroyed, and it starts again in another one. The last
 * waits until every VIF is connected as well.
 */
void stack_stop_now(void);
void stack_boot_again_now(void);
void stack_power_cycle_now(void);
void stack_netback_start(void);
void stack_netback_stop(void);
void stack_attach_now(unsigned vif);
void stack_detach_now(unsigned vif);
void stack_wait_connected_now(unsigned vif);

void stack_store_start(const char *command);
void stack_store_end(void);

#endif
