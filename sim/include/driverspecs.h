/* Driver annotations; all in <sal.h>. */

#ifndef PVSIM_DRIVERSPECS_H
#define PVSIM_DRIVERSPECS_H

#include <sal.h>

#endif
