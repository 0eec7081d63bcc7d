/*
 * GUIDs.
 *
 * DEFINE_GUID declares; in the one source file that includes <initguid.h> first, it defines. A GUID is 16 bytes: a
 * 32-bit, two 16-bit little-endian numbers and eight bytes, as in RFC 4122 text order.
 */

#ifndef PVSIM_GUIDDEF_H
#define PVSIM_GUIDDEF_H

typedef struct _GUID {
    unsigned int Data1;
    unsigned short Data2;
    unsigned short Data3;
    unsigned char Data4[8];
} GUID;

typedef GUID *LPGUID, *PGUID;
typedef const GUID *LPCGUID, *PCGUID, *REFGUID;
typedef GUID CLSID, IID;
typedef const GUID *REFCLSID, *REFIID;

_Static_assert(sizeof(GUID) == 16, "GUID");

#define IsEqualGUID(a, b) (__builtin_memcmp((a), (b), sizeof(GUID)) == 0)
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)
#define IsEqualIID(a, b) IsEqualGUID(a, b)
#define IsEqualCLSID(a, b) IsEqualGUID(a, b)

#endif

/* Outside the guard: <initguid.h> may come after a first inclusion of this header. */
#undef DEFINE_GUID
#ifdef INITGUID
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8)                                                   \
    extern const GUID name;                                                                                            \
    __attribute__((weak)) const GUID name = {(l), (w1), (w2), {(b1), (b2), (b3), (b4), (b5), (b6), (b7), (b8)}}
#else
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) extern const GUID name
#endif
