/* I/O ports and device memory: what the guest's instructions become. */
#include "nt/ke/ke.h"
#include "xen/platform.h"

static uint32_t port_in(const volatile void *port, unsigned size)
{
    NT_INSTRUCTION(POINT_HYPERCALL);
    return ioport_read((uint16_t)(uintptr_t)port, size);
}

static void port_out(const volatile void *port, unsigned size, uint32_t value)
{
    NT_INSTRUCTION(POINT_HYPERCALL);
    ioport_write((uint16_t)(uintptr_t)port, size, value);
}

#define PORT_ROUTINES(SUFFIX, TYPE)                                                                                    \
    TYPE NTAPI READ_PORT_##SUFFIX(P##TYPE Port)                                                                        \
    {                                                                                                                  \
        return (TYPE)port_in(Port, sizeof(TYPE));                                                                      \
    }                                                                                                                  \
    VOID NTAPI WRITE_PORT_##SUFFIX(P##TYPE Port, TYPE Value)                                                           \
    {                                                                                                                  \
        port_out(Port, sizeof(TYPE), Value);                                                                           \
    }                                                                                                                  \
    VOID NTAPI READ_PORT_BUFFER_##SUFFIX(P##TYPE Port, P##TYPE Buffer, ULONG Count)                                    \
    {                                                                                                                  \
        for (ULONG index = 0; index < Count; index++)                                                                  \
            Buffer[index] = (TYPE)port_in(Port, sizeof(TYPE));                                                         \
    }                                                                                                                  \
    VOID NTAPI WRITE_PORT_BUFFER_##SUFFIX(P##TYPE Port, P##TYPE Buffer, ULONG Count)                                   \
    {                                                                                                                  \
        for (ULONG index = 0; index < Count; index++)                                                                  \
            port_out(Port, sizeof(TYPE), Buffer[index]);                                                               \
    }

PORT_ROUTINES(UCHAR, UCHAR)
PORT_ROUTINES(USHORT, USHORT)
PORT_ROUTINES(ULONG, ULONG)

#define PORT_INTRINSICS(NAME, TYPE)                                                                                    \
    TYPE NTAPI __in##NAME(USHORT Port)                                                                                 \
    {                                                                                                                  \
        return (TYPE)port_in((const void *)(uintptr_t)Port, sizeof(TYPE));                                             \
    }                                                                                                                  \
    VOID NTAPI __out##NAME(USHORT Port, TYPE Value)                                                                    \
    {                                                                                                                  \
        port_out((const void *)(uintptr_t)Port, sizeof(TYPE), Value);                                                  \
    }                                                                                                                  \
    VOID NTAPI __in##NAME##string(USHORT Port, P##TYPE Buffer, ULONG Count)                                            \
    {                                                                                                                  \
        for (ULONG index = 0; index < Count; index++)                                                                  \
            Buffer[index] = (TYPE)port_in((const void *)(uintptr_t)Port, sizeof(TYPE));                                \
    }                                                                                                                  \
    VOID NTAPI __out##NAME##string(USHORT Port, P##TYPE Buffer, ULONG Count)                                           \
    {                                                                                                                  \
        for (ULONG index = 0; index < Count; index++)                                                                  \
            port_out((const void *)(uintptr_t)Port, sizeof(TYPE), Buffer[index]);                                      \
    }

PORT_INTRINSICS(byte, UCHAR)
PORT_INTRINSICS(word, USHORT)
PORT_INTRINSICS(dword, ULONG)

/* Device memory is memory here (the platform device has nothing behind its BAR but frames of Xen); accesses are
 * ordered. */
#define REGISTER_ROUTINES(SUFFIX, TYPE)                                                                                \
    TYPE NTAPI READ_REGISTER_##SUFFIX(volatile TYPE *Register)                                                         \
    {                                                                                                                  \
        NT_INSTRUCTION(POINT_HYPERCALL);                                                                               \
        return __atomic_load_n(Register, __ATOMIC_SEQ_CST);                                                            \
    }                                                                                                                  \
    VOID NTAPI WRITE_REGISTER_##SUFFIX(volatile TYPE *Register, TYPE Value)                                            \
    {                                                                                                                  \
        NT_INSTRUCTION(POINT_HYPERCALL);                                                                               \
        __atomic_store_n(Register, Value, __ATOMIC_SEQ_CST);                                                           \
    }

#define REGISTER_BUFFER_ROUTINES(SUFFIX, TYPE)                                                                         \
    VOID NTAPI READ_REGISTER_BUFFER_##SUFFIX(volatile TYPE *Register, P##TYPE Buffer, ULONG Count)                     \
    {                                                                                                                  \
        for (ULONG index = 0; index < Count; index++)                                                                  \
            Buffer[index] = READ_REGISTER_##SUFFIX(Register + index);                                                  \
    }                                                                                                                  \
    VOID NTAPI WRITE_REGISTER_BUFFER_##SUFFIX(volatile TYPE *Register, P##TYPE Buffer, ULONG Count)                    \
    {                                                                                                                  \
        for (ULONG index = 0; index < Count; index++)                                                                  \
            WRITE_REGISTER_##SUFFIX(Register + index, Buffer[index]);                                                  \
    }

REGISTER_ROUTINES(UCHAR, UCHAR)
REGISTER_ROUTINES(USHORT, USHORT)
REGISTER_ROUTINES(ULONG, ULONG)
REGISTER_ROUTINES(ULONG64, ULONG64)
REGISTER_BUFFER_ROUTINES(UCHAR, UCHAR)
REGISTER_BUFFER_ROUTINES(USHORT, USHORT)
REGISTER_BUFFER_ROUTINES(ULONG, ULONG)
