/*
 * The client's chain of MDLs, piece by piece. It is long enough and mapped: TransmitterDescribe has seen to it.
 */
#include "transmitter_ring.h"

VOID TransmitterCursorInitialize(_Out_ PTRANSMITTER_CURSOR Cursor, _In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length)
{
    Cursor->Mdl = Mdl;
    Cursor->Offset = Offset;
    Cursor->Length = Length;
}

BOOLEAN TransmitterNextPiece(_Inout_ PTRANSMITTER_CURSOR Cursor, _In_ ULONG Limit, _Out_ PTRANSMITTER_PIECE Piece)
{
    ULONG ByteOffset;

    if (Cursor->Length == 0 || Limit == 0)
        return FALSE;

    while (Cursor->Offset >= MmGetMdlByteCount(Cursor->Mdl)) {
        Cursor->Offset -= MmGetMdlByteCount(Cursor->Mdl);
        Cursor->Mdl = Cursor->Mdl->Next;
    }

    ByteOffset = MmGetMdlByteOffset(Cursor->Mdl) + Cursor->Offset;

    Piece->Address =
        (PUCHAR)MmGetSystemAddressForMdlSafe(Cursor->Mdl, NormalPagePriority | MdlMappingNoExecute) + Cursor->Offset;
    Piece->Pfn = MmGetMdlPfnArray(Cursor->Mdl)[ByteOffset >> PAGE_SHIFT];
    Piece->PageOffset = ByteOffset & (PAGE_SIZE - 1);
    Piece->Length = min(MmGetMdlByteCount(Cursor->Mdl) - Cursor->Offset, PAGE_SIZE - Piece->PageOffset);
    Piece->Length = min(Piece->Length, min(Cursor->Length, Limit));

    Cursor->Offset += Piece->Length;
    Cursor->Length -= Piece->Length;

    return TRUE;
}

VOID TransmitterCopyNext(_Inout_ PTRANSMITTER_CURSOR Cursor, _Out_writes_(Length) PUCHAR Target, _In_ ULONG Length)
{
    TRANSMITTER_PIECE Piece;

    while (TransmitterNextPiece(Cursor, Length, &Piece)) {
        RtlCopyMemory(Target, Piece.Address, Piece.Length);
        Target += Piece.Length;
        Length -= Piece.Length;
    }
}

VOID TransmitterSumNext(_Inout_ PTRANSMITTER_CURSOR Cursor, _Inout_ PCHECKSUM Checksum, _In_ ULONG Length)
{
    TRANSMITTER_PIECE Piece;

    while (TransmitterNextPiece(Cursor, Length, &Piece)) {
        ChecksumAdd(Checksum, Piece.Address, Piece.Length);
        Length -= Piece.Length;
    }
}
