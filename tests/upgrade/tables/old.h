/* A package from before the newest versions of UNPLUG and EMULATED; see drivers/include/revision.h. */
/* clang-format off */
#define XENBUS_REVISION_TABLE(_Row)                   \
    _Row(0x09000008, 1, 3, 9, 1, 2, 1, 2, 4, 1, 1, 2) \
    _Row(0x09000009, 1, 4, 9, 1, 2, 1, 2, 4, 1, 1, 2) \
    _Row(0x0900000A, 1, 4, 9, 1, 2, 1, 2, 4, 2, 1, 2)

#define XENBUS_REVISION_REMOVED(_Row)

#define XENVIF_REVISION_TABLE(_Row)  \
    _Row(0x09000001, 2, 8, 2, 1, 1)  \
    _Row(0x09000002, 2, 9, 2, 1, 1)  \
    _Row(0x09000003, 2, 10, 2, 1, 1)

#define XENVIF_REVISION_REMOVED(_Row)
