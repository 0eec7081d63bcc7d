/* Processor groups; on Windows routines that older kernels do without, here the kernel's own. */

#ifndef PVSIM_PROCGRP_H
#define PVSIM_PROCGRP_H

#include <wdm.h>

#endif
