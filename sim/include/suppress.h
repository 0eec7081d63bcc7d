/* Annotations; all in <sal.h>. */

#ifndef PVSIM_SUPPRESS_H
#define PVSIM_SUPPRESS_H

#include <sal.h>

#endif
