/* Structures that follow are packed to 1 bytes, until <poppack.h>. No guard: it may come again. */
#pragma pack(push, 1)
