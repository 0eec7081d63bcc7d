/* netback as a dom0 task of the machine, with the ends that the main job needs: a capture for the guest and a checker
 * for what it sends, or a packet generator's. */
#ifndef CLI_NETBACK_TASK_H
#define CLI_NETBACK_TASK_H

#include "capture.h"
#include "cli/cli.h"
#include "cli/report.h"

struct netback_task;

/*
 * From a dom0 task; in domain 0 or in a driver domain that is there. With `rounds` its ends are a packet generator's:
 * so many times the captures go, and are to come (port_pktgen.h).
 */
struct netback_task *netback_task_start(const struct backend_choice *backend, uint64_t rounds);
/* What VIF `handle` of the domain is to carry; before it is created. Captures and writer stay the caller's; NULL: none.
 */
void netback_task_expect(struct netback_task *task, unsigned domid, unsigned handle, const struct capture *rx,
                         const struct capture *tx, struct capture_writer *out_tx);
/* The guest goes on as another domain; before its VIFs are created. */
void netback_task_follow(struct netback_task *task, unsigned domid);
/* The guest is ready: let the captures flow. */
void netback_task_go(struct netback_task *task);
/* From the first frame again, once netback_task_go() is called again; what came so far is forgotten. */
void netback_task_again(struct netback_task *task);
/* Stop it and wait until it has ended. */
void netback_task_stop(struct netback_task *task);

/* netback's part of the report on a VIF: everything of tx, the ring of rx, what was dropped, what the guest
 * has asked for. From any context. */
void netback_task_report(const struct netback_task *task, unsigned handle, struct report_vif *vif);
/* Likewise a packet generator's line on the first frame from the guest that was not the one expected, "" if all were.
 */
const char *netback_task_difference(const struct netback_task *task, unsigned handle);

#endif
