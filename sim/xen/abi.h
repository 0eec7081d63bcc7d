/*
 * The guest ABI: Xen's public headers (package libxen-dev), at the interface version that they implement. The host is
 * LP64 as Xen's x86-64 ABI is, so their structures are used as they stand.
 *
 * sim/xen has an xen.h and a platform.h of its own, hence <xen/xen.h> and <xen/platform.h> are never named: the headers
 * below bring in the former themselves.
 */
#ifndef XEN_ABI_H
#define XEN_ABI_H

#include <stdint.h>

/* The hypervisor implements the latest interface, and with __XEN_TOOLS__ that is what the headers give. */
#undef __XEN_INTERFACE_VERSION__
#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif

#include <xen/arch-x86/cpuid.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/e820.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

_Static_assert(sizeof(struct vcpu_info) == 64, "vcpu_info is 64 bytes on x86-64");
_Static_assert(sizeof(struct shared_info) <= 4096, "shared_info fits a page");
_Static_assert(sizeof(grant_entry_v1_t) == 8, "a version 1 grant entry is 8 bytes");
_Static_assert(EVTCHN_2L_NR_CHANNELS == 4096, "the 2-level ABI has 4,096 channels on x86-64");

#endif
