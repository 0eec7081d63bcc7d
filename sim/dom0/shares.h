/* Pages that programs of dom0 have shared and give back. */
#ifndef DOM0_SHARES_H
#define DOM0_SHARES_H

#include <stdint.h>

/* Take a shared page back, now or when the other domain has unmapped it. */
void share_revoke(unsigned domid, uint32_t reference);
/* Those that could not be taken back before. */
void shares_revoke_left(void);

#endif
