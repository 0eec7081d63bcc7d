/* The file-system superset: nothing beyond <ntddk.h> is there yet. */

#ifndef PVSIM_NTIFS_H
#define PVSIM_NTIFS_H

#include <ntddk.h>

#endif
