/* A package that has given up SHARED_INFO 3 and UNPLUG 1; see drivers/include/revision.h. */
/* clang-format off */
#define XENBUS_REVISION_TABLE(_Row)                   \
    _Row(0x0900000A, 1, 4, 9, 1, 2, 1, 2, 4, 2, 1, 2) \
    _Row(0x0900000B, 1, 4, 9, 1, 2, 1, 2, 4, 3, 1, 2) \
    _Row(0x0900000C, 1, 4, 9, 1, 2, 1, 2, 4, 3, 1, 3)

#define XENBUS_REVISION_REMOVED(_Row)                 \
    _Row(0x09000008, 1, 3, 9, 1, 2, 1, 2, 4, 1, 1, 2) \
    _Row(0x09000009, 1, 4, 9, 1, 2, 1, 2, 4, 1, 1, 2)

#define XENVIF_REVISION_TABLE(_Row)  \
    _Row(0x09000004, 2, 10, 2, 1, 2) \
    _Row(0x09000005, 2, 10, 2, 1, 3)

#define XENVIF_REVISION_REMOVED(_Row) \
    _Row(0x09000001, 2, 8, 2, 1, 1)   \
    _Row(0x09000002, 2, 9, 2, 1, 1)   \
    _Row(0x09000003, 2, 10, 2, 1, 1)
