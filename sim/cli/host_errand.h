/* What a machine's process does on its own stack for the operator, while the machine stands still. */
#ifndef CLI_HOST_ERRAND_H
#define CLI_HOST_ERRAND_H

struct host;
struct operator_errand;

void host_run_errand(const struct host *host, struct operator_errand *errand);

#endif
