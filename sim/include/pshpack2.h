/* Structures that follow are packed to 2 bytes, until <poppack.h>. No guard: it may come again. */
#pragma pack(push, 2)
