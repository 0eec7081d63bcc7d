/* Structured exception handling. */

#ifndef PVSIM_EXCPT_H
#define PVSIM_EXCPT_H

#include <wdm.h>

#endif
