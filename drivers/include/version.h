/*
 * Who ships the package and which version it is. The build may define each of these; a driver's resources, its
 * version check (XenTouch) and its PDOs' IDs all take them from here.
 */
#ifndef XEN_PACKAGE_VERSION_H
#define XEN_PACKAGE_VERSION_H

#ifndef VENDOR_NAME_STR
#define VENDOR_NAME_STR "pvsim"
#endif

/* The two letters after VEN_ in the hardware IDs of children. */
#ifndef VENDOR_PREFIX_STR
#define VENDOR_PREFIX_STR "XP"
#endif

#ifndef PRODUCT_NAME_STR
#define PRODUCT_NAME_STR "PV drivers for Xen"
#endif

#ifndef COPYRIGHT_STR
#define COPYRIGHT_STR "BSD-2-Clause"
#endif

#ifndef MAJOR_VERSION
#define MAJOR_VERSION 9
#endif

#ifndef MINOR_VERSION
#define MINOR_VERSION 2
#endif

#ifndef MICRO_VERSION
#define MICRO_VERSION 0
#endif

#ifndef BUILD_NUMBER
#define BUILD_NUMBER 0
#endif

/*
 * The number under which the package announces itself to the emulator before it unplugs devices; the public list
 * (xen/hvm/pvdrivers.h) keeps 0xFFFF for drivers that have no number of their own.
 */
#ifndef PRODUCT_NUMBER
#define PRODUCT_NUMBER 0xFFFF
#endif

#define VERSION_STRINGIFY_TOKEN(_Token) #_Token
#define VERSION_STRINGIFY(_Macro) VERSION_STRINGIFY_TOKEN(_Macro)

#define VERSION_STR                                                                                                    \
    VERSION_STRINGIFY(MAJOR_VERSION)                                                                                   \
    "." VERSION_STRINGIFY(MINOR_VERSION) "." VERSION_STRINGIFY(MICRO_VERSION) "." VERSION_STRINGIFY(BUILD_NUMBER)

#endif /* XEN_PACKAGE_VERSION_H */
