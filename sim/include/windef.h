/* Base types; all in <ntdef.h>. */

#ifndef PVSIM_WINDEF_H
#define PVSIM_WINDEF_H

#include <ntdef.h>

#endif
