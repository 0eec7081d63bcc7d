/* Base types; all in <ntdef.h>. */

#ifndef PVSIM_BASETSD_H
#define PVSIM_BASETSD_H

#include <ntdef.h>

#endif
