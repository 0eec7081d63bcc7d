#include "compat.h"
#include "hasher.h"

VOID HasherSet(_Out_ PXENVIF_HASHER Hasher, _In_ ULONG Types, _In_reads_(TOEPLITZ_KEY_SIZE) const UCHAR *Key)
{
    Hasher->Types = Types;
    ToeplitzInitialize(&Hasher->Toeplitz, Key);
}

VOID HasherClear(_Inout_ PXENVIF_HASHER Hasher)
{
    Hasher->Types = 0;
}

BOOLEAN HasherIsSet(_In_ const XENVIF_HASHER *Hasher)
{
    return Hasher->Types != 0;
}

VOID HasherHash(_In_ const XENVIF_HASHER *Hasher, _In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout,
                _Inout_ PXENVIF_PACKET_HASH Hash)
{
    BOOLEAN Version4 = Layout->IpVersion == 4;
    XENVIF_PACKET_HASH_TYPE Addresses = Version4 ? XENVIF_PACKET_HASH_TYPE_IPV4 : XENVIF_PACKET_HASH_TYPE_IPV6;
    XENVIF_PACKET_HASH_TYPE Ports = Version4 ? XENVIF_PACKET_HASH_TYPE_IPV4_TCP : XENVIF_PACKET_HASH_TYPE_IPV6_TCP;
    BOOLEAN WithPorts = Layout->Info.TcpHeader.Length != 0 && (Hasher->Types & 1u << Ports) != 0;
    UCHAR Input[TOEPLITZ_INPUT_SIZE];
    ULONG Length;

    if (Layout->Info.IpHeader.Length == 0 || (!WithPorts && (Hasher->Types & 1u << Addresses) == 0))
        return;

    Length = PacketHashInput(Header, Layout, WithPorts, Input);

    Hash->Algorithm = XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ;
    Hash->Type = WithPorts ? Ports : Addresses;
    Hash->Value = ToeplitzHash(&Hasher->Toeplitz, Input, Length);
}
