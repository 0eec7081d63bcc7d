/* The packing before the last <pshpack*.h>. No guard: it may come again. */
#pragma pack(pop)
