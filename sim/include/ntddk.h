/* Kernel-mode drivers include this; everything is in <wdm.h>. */

#ifndef PVSIM_NTDDK_H
#define PVSIM_NTDDK_H

#include <wdm.h>

#endif
