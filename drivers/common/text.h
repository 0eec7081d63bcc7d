/*
 * Strings as the store and the registry give them: ANSI, NUL-terminated, untrusted. Any IRQL unless said otherwise.
 */
#ifndef DRIVER_TEXT_H
#define DRIVER_TEXT_H

#include "compat.h"

/* TRUE if the two are equal, with ASCII letters of either case equal if IgnoreCase. */
BOOLEAN TextEqual(_In_ PCSTR A, _In_ PCSTR B, _In_ BOOLEAN IgnoreCase);

/* Bytes before the NUL, at most Limit. */
SIZE_T TextLength(_In_ PCSTR Text, _In_ SIZE_T Limit);

/*
 * The unsigned number that Text is, all of it, in digits of Base 10 or 16 alone: no sign, no prefix, no spaces.
 * STATUS_INVALID_PARAMETER: it is not a number. STATUS_INTEGER_OVERFLOW: it is too large. *Value is then as it was.
 */
NTSTATUS TextToUlong(_In_ PCSTR Text, _In_ ULONG Base, _Out_ PULONG Value);

/*
 * The number at the start of Text, up to the first character that is no digit of Base; *End is that character.
 * STATUS_INVALID_PARAMETER: there is no digit. STATUS_INTEGER_OVERFLOW: it is too large.
 */
NTSTATUS TextToUlonglongPrefix(_In_ PCSTR Text, _In_ ULONG Base, _Out_ PULONGLONG Value, _Outptr_ PCSTR *End);

/*
 * Walks a list of names, each closed by a NUL, the list by one more (REG_MULTI_SZ, StoreDirectory). NULL at the end.
 *
 *     for (Name = TextListFirst(List); Name != NULL; Name = TextListNext(Name))
 */
PCSTR TextListFirst(_In_ PCSTR List);
PCSTR TextListNext(_In_ PCSTR Entry);

/* TRUE if Name is in the list. */
BOOLEAN TextListHas(_In_ PCSTR List, _In_ PCSTR Name, _In_ BOOLEAN IgnoreCase);

/*
 * Prints to Buffer of Size bytes; always NUL-terminated. STATUS_BUFFER_OVERFLOW: cut to what fits.
 * STATUS_INVALID_PARAMETER: Size is 0. Formats as in log.h; beside those, flags, field widths and precisions as for
 * printf, sizes hh, h, l (32 bits), ll, I64, z, conversions d i u x X o p c s, and S, ws, Z, wZ for wide and counted
 * strings, of which what is not ASCII is printed as a question mark. No floating point.
 */
NTSTATUS TextPrint(_Out_writes_(Size) PSTR Buffer, _In_ SIZE_T Size, _In_ PCSTR Format, ...);
NTSTATUS TextVPrint(_Out_writes_(Size) PSTR Buffer, _In_ SIZE_T Size, _In_ PCSTR Format, _In_ va_list Arguments);

/* A copy in pool under Tag, freed by PoolFree; NULL without memory. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PSTR TextDuplicate(_In_ PCSTR Text, _In_ ULONG Tag);

#endif /* DRIVER_TEXT_H */
