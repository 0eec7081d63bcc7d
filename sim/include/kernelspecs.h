/* Annotations; all in <sal.h>. */

#ifndef PVSIM_KERNELSPECS_H
#define PVSIM_KERNELSPECS_H

#include <sal.h>

#endif
