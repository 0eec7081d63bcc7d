/* Structures that follow are packed to 8 bytes, until <poppack.h>. No guard: it may come again. */
#pragma pack(push, 8)
