/* Security descriptors from SDDL strings. */
#ifndef NT_IO_SDDL_H
#define NT_IO_SDDL_H

#include "nt/nt.h"

/*
 * Make a self-relative SECURITY_DESCRIPTOR of the string in `buffer`, aligned to 4 bytes. Returns its size; 0: the
 * string is malformed, has something that device objects do not take, or does not fit.
 */
size_t sddl_parse(const char *text, void *buffer, size_t size);

#endif
