/* Cryptography API: Next Generation, as far as kernel-mode drivers hash with it (bcrypt.h, cng.sys). */

#ifndef PVSIM_BCRYPT_H
#define PVSIM_BCRYPT_H

#include <wdm.h>

typedef PVOID BCRYPT_HANDLE;
typedef PVOID BCRYPT_ALG_HANDLE;
typedef PVOID BCRYPT_HASH_HANDLE;

#define BCRYPT_SHA1_ALGORITHM L"SHA1"
#define BCRYPT_SHA256_ALGORITHM L"SHA256"
#define MS_PRIMITIVE_PROVIDER L"Microsoft Primitive Provider"

#define BCRYPT_OBJECT_LENGTH L"ObjectLength"
#define BCRYPT_HASH_LENGTH L"HashDigestLength"
#define BCRYPT_HASH_BLOCK_LENGTH L"HashBlockLength"
#define BCRYPT_ALGORITHM_NAME L"AlgorithmName"

#define BCRYPT_PROV_DISPATCH 0x00000001
#define BCRYPT_ALG_HANDLE_HMAC_FLAG 0x00000008
#define BCRYPT_HASH_REUSABLE_FLAG 0x00000020

#ifndef BCRYPT_SUCCESS
#define BCRYPT_SUCCESS(status) (((NTSTATUS)(status)) >= 0)
#endif

_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptOpenAlgorithmProvider(_Out_ BCRYPT_ALG_HANDLE *phAlgorithm, _In_ PCWSTR pszAlgId,
                                                       _In_opt_ PCWSTR pszImplementation, _In_ ULONG dwFlags);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptCloseAlgorithmProvider(_Inout_ BCRYPT_ALG_HANDLE hAlgorithm, _In_ ULONG dwFlags);

/* DISPATCH_LEVEL, if the provider was opened with BCRYPT_PROV_DISPATCH; else PASSIVE_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptGetProperty(_In_ BCRYPT_HANDLE hObject, _In_ PCWSTR pszProperty,
                                             _Out_opt_ PUCHAR pbOutput, _In_ ULONG cbOutput, _Out_ ULONG *pcbResult,
                                             _In_ ULONG dwFlags);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptCreateHash(_Inout_ BCRYPT_ALG_HANDLE hAlgorithm, _Out_ BCRYPT_HASH_HANDLE *phHash,
                                            _Out_opt_ PUCHAR pbHashObject, _In_ ULONG cbHashObject,
                                            _In_opt_ PUCHAR pbSecret, _In_ ULONG cbSecret, _In_ ULONG dwFlags);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptDuplicateHash(_In_ BCRYPT_HASH_HANDLE hHash, _Out_ BCRYPT_HASH_HANDLE *phNewHash,
                                               _Out_opt_ PUCHAR pbHashObject, _In_ ULONG cbHashObject,
                                               _In_ ULONG dwFlags);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptHashData(_Inout_ BCRYPT_HASH_HANDLE hHash, _In_ PUCHAR pbInput, _In_ ULONG cbInput,
                                          _In_ ULONG dwFlags);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptFinishHash(_Inout_ BCRYPT_HASH_HANDLE hHash, _Out_ PUCHAR pbOutput,
                                            _In_ ULONG cbOutput, _In_ ULONG dwFlags);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI BCryptDestroyHash(_Inout_ BCRYPT_HASH_HANDLE hHash);

#endif
