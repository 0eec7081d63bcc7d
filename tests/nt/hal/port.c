/*
 * I/O ports and device registers, after the READ_ and WRITE_ pages of wdm.h; the intrinsics of the compiler that do the
 * same to ports have no page of the driver kit. All at any level: these run at HIGH_LEVEL on one processor.
 *
 * The ports are PCI's configuration mechanism #1, which every PC has: doublewords at 0xCF8 choose what 0xCFC is. What
 * is written there is the interrupt line register of a function that uses an interrupt pin, which means nothing to
 * hardware, and gets back what it held. A driver that is no device's has no registers: plain memory stands for them.
 */
#include "nttest.h"

/* Of Windows' headers, not of mingw-w64's. */
#if defined(__MINGW32__)
#define READ_REGISTER_ULONG64(_Register) (*(volatile ULONG64 *)(_Register))
#define WRITE_REGISTER_ULONG64(_Register, _Value) ((VOID)(*(volatile ULONG64 *)(_Register) = (_Value)))
#endif

#define ADDRESS 0xCF8
#define DATA 0xCFC
#define ENABLE 0x80000000UL
#define INTERRUPT_LINE 0x3C /* a byte; behind it the pin, read only */

#define PORT_OF(_Type, _Port) ((_Type *)(ULONG_PTR)(_Port))

static ULONG PortAddress; /* of the first function with an interrupt pin, at its interrupt line */
static ULONG PortBefore, PortLine;

/* Holds the processor until EndPorts(). FALSE: no function of the first bus has a pin. */
static BOOLEAN BeginPorts(KIRQL *Irql)
{
    ULONG Function;

    KeRaiseIrql(HIGH_LEVEL, Irql);
    PortBefore = READ_PORT_ULONG(PORT_OF(ULONG, ADDRESS));
    for (Function = 0; Function < 256; Function++) {
        PortAddress = ENABLE | Function << 8 | INTERRUPT_LINE;
        WRITE_PORT_ULONG(PORT_OF(ULONG, ADDRESS), PortAddress);
        PortLine = READ_PORT_ULONG(PORT_OF(ULONG, DATA));
        if (PortLine != 0xFFFFFFFF && (PortLine & 0xFF00) != 0)
            return TRUE;
    }
    WRITE_PORT_ULONG(PORT_OF(ULONG, ADDRESS), PortBefore);
    KeLowerIrql(*Irql);
    return FALSE;
}

static VOID EndPorts(KIRQL Irql)
{
    WRITE_PORT_ULONG(PORT_OF(ULONG, ADDRESS), PortAddress);
    WRITE_PORT_UCHAR(PORT_OF(UCHAR, DATA), (UCHAR)PortLine);
    WRITE_PORT_ULONG(PORT_OF(ULONG, ADDRESS), PortBefore);
    KeLowerIrql(Irql);
}

/* One value there and back, by the routines of one size. The register behind the first byte does not change. */
static VOID PortSingle(VOID)
{
    ULONG Address[2], Data[2];
    USHORT Words[2];
    UCHAR Bytes[3];
    KIRQL Irql;

    REQUIRE(BeginPorts(&Irql));
    WRITE_PORT_UCHAR(PORT_OF(UCHAR, DATA), 0x5A);
    Bytes[0] = READ_PORT_UCHAR(PORT_OF(UCHAR, DATA));
    Bytes[1] = READ_PORT_UCHAR(PORT_OF(UCHAR, DATA + 1));
    Words[0] = READ_PORT_USHORT(PORT_OF(USHORT, DATA));
    Data[0] = READ_PORT_ULONG(PORT_OF(ULONG, DATA));
    WRITE_PORT_USHORT(PORT_OF(USHORT, DATA), (USHORT)((PortLine & 0xFF00) | 0xA5));
    Bytes[2] = READ_PORT_UCHAR(PORT_OF(UCHAR, DATA));
    WRITE_PORT_ULONG(PORT_OF(ULONG, DATA), (PortLine & 0xFFFFFF00) | 0x3C);
    Data[1] = READ_PORT_ULONG(PORT_OF(ULONG, DATA));
    Words[1] = READ_PORT_USHORT(PORT_OF(USHORT, DATA + 2));
    Address[0] = READ_PORT_ULONG(PORT_OF(ULONG, ADDRESS));
    WRITE_PORT_ULONG(PORT_OF(ULONG, ADDRESS), ENABLE);
    Address[1] = READ_PORT_ULONG(PORT_OF(ULONG, ADDRESS));
    EndPorts(Irql);
    EXPECT_EQUAL(Bytes[0], 0x5A);
    EXPECT_EQUAL(Bytes[1], PortLine >> 8 & 0xFF);
    EXPECT_EQUAL(Words[0], (PortLine & 0xFF00) | 0x5A);
    EXPECT_TRUE(Data[0] == ((PortLine & 0xFFFFFF00) | 0x5A));
    EXPECT_EQUAL(Bytes[2], 0xA5);
    EXPECT_TRUE(Data[1] == ((PortLine & 0xFFFFFF00) | 0x3C));
    EXPECT_TRUE(Words[1] == PortLine >> 16);
    EXPECT_TRUE(Address[0] == PortAddress);
    EXPECT_TRUE(Address[1] == ENABLE);
}

/* As many values as are asked for, all to or from the one port: of those written, the last stays. */
static VOID PortBuffers(VOID)
{
    UCHAR Bytes[4] = {9, 9, 9, 9}, OutBytes[3] = {1, 2, 0x5A};
    USHORT Words[3] = {9, 9, 9}, OutWords[2];
    ULONG Data[3] = {9, 9, 9}, Addresses[2], Last;
    KIRQL Irql;

    REQUIRE(BeginPorts(&Irql));
    Addresses[0] = ENABLE;
    Addresses[1] = PortAddress;
    WRITE_PORT_BUFFER_ULONG(PORT_OF(ULONG, ADDRESS), Addresses, 2);
    Last = READ_PORT_ULONG(PORT_OF(ULONG, ADDRESS));
    WRITE_PORT_BUFFER_UCHAR(PORT_OF(UCHAR, DATA), OutBytes, 3);
    READ_PORT_BUFFER_UCHAR(PORT_OF(UCHAR, DATA), Bytes, 3);
    OutWords[0] = (USHORT)(PortLine & 0xFF00);
    OutWords[1] = (USHORT)((PortLine & 0xFF00) | 0xA5);
    WRITE_PORT_BUFFER_USHORT(PORT_OF(USHORT, DATA), OutWords, 2);
    READ_PORT_BUFFER_USHORT(PORT_OF(USHORT, DATA), Words, 2);
    READ_PORT_BUFFER_ULONG(PORT_OF(ULONG, DATA), Data, 2);
    EndPorts(Irql);
    EXPECT_TRUE(Last == PortAddress);
    EXPECT_EQUAL(Bytes[0], 0x5A);
    EXPECT_EQUAL(Bytes[2], 0x5A);
    EXPECT_EQUAL(Bytes[3], 9);
    EXPECT_TRUE(Words[0] == OutWords[1] && Words[1] == OutWords[1]);
    EXPECT_EQUAL(Words[2], 9);
    EXPECT_TRUE(Data[0] == ((PortLine & 0xFFFFFF00) | 0xA5) && Data[1] == Data[0]);
    EXPECT_EQUAL(Data[2], 9);
}

static VOID PortIntrinsics(VOID)
{
    ULONG Data[2], Address;
    USHORT Word;
    UCHAR Bytes[2];
    KIRQL Irql;

    REQUIRE(BeginPorts(&Irql));
    __outdword(ADDRESS, PortAddress);
    Address = __indword(ADDRESS);
    __outbyte(DATA, 0x5A);
    Bytes[0] = __inbyte(DATA);
    Data[0] = __indword(DATA);
    __outword(DATA, (USHORT)((PortLine & 0xFF00) | 0xA5));
    Word = __inword(DATA);
    Bytes[1] = __inbyte(DATA + 1);
    __outdword(DATA, (PortLine & 0xFFFFFF00) | 0x3C);
    Data[1] = __indword(DATA);
    EndPorts(Irql);
    EXPECT_TRUE(Address == PortAddress);
    EXPECT_EQUAL(Bytes[0], 0x5A);
    EXPECT_TRUE(Data[0] == ((PortLine & 0xFFFFFF00) | 0x5A));
    EXPECT_TRUE(Word == ((PortLine & 0xFF00) | 0xA5));
    EXPECT_EQUAL(Bytes[1], PortLine >> 8 & 0xFF);
    EXPECT_TRUE(Data[1] == ((PortLine & 0xFFFFFF00) | 0x3C));
}

static VOID PortStringIntrinsics(VOID)
{
    UCHAR Bytes[4] = {9, 9, 9, 9}, OutBytes[3] = {1, 2, 0x5A};
    USHORT Words[3] = {9, 9, 9}, OutWords[2];
    ULONG Data[3] = {9, 9, 9}, Addresses[2], Last;
    KIRQL Irql;

    REQUIRE(BeginPorts(&Irql));
    Addresses[0] = ENABLE;
    Addresses[1] = PortAddress;
    __outdwordstring(ADDRESS, Addresses, 2);
    Last = __indword(ADDRESS);
    __outbytestring(DATA, OutBytes, 3);
    __inbytestring(DATA, Bytes, 3);
    OutWords[0] = (USHORT)(PortLine & 0xFF00);
    OutWords[1] = (USHORT)((PortLine & 0xFF00) | 0xA5);
    __outwordstring(DATA, OutWords, 2);
    __inwordstring(DATA, Words, 2);
    __indwordstring(DATA, Data, 2);
    EndPorts(Irql);
    EXPECT_TRUE(Last == PortAddress);
    EXPECT_EQUAL(Bytes[0], 0x5A);
    EXPECT_EQUAL(Bytes[2], 0x5A);
    EXPECT_EQUAL(Bytes[3], 9);
    EXPECT_TRUE(Words[0] == OutWords[1] && Words[1] == OutWords[1]);
    EXPECT_EQUAL(Words[2], 9);
    EXPECT_TRUE(Data[0] == ((PortLine & 0xFFFFFF00) | 0xA5) && Data[1] == Data[0]);
    EXPECT_EQUAL(Data[2], 9);
}

/* ---- registers ---- */

static DECLSPEC_ALIGN(16) UCHAR Registers[16];

static VOID RegisterSingle(VOID)
{
    UCHAR Byte;
    USHORT Word;
    ULONG Long;
    ULONG64 LongLong;
    KIRQL Irql;

    RtlZeroMemory(Registers, sizeof(Registers));
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    WRITE_REGISTER_UCHAR(&Registers[1], 0x5A);
    Byte = READ_REGISTER_UCHAR(&Registers[1]);
    WRITE_REGISTER_USHORT((PUSHORT)&Registers[2], 0x1234);
    Word = READ_REGISTER_USHORT((PUSHORT)&Registers[2]);
    WRITE_REGISTER_ULONG((PULONG)&Registers[4], 0x12345678);
    Long = READ_REGISTER_ULONG((PULONG)&Registers[4]);
    WRITE_REGISTER_ULONG64((volatile ULONG64 *)&Registers[8], 0x123456789ABCDEF0ULL);
    LongLong = READ_REGISTER_ULONG64((volatile ULONG64 *)&Registers[8]);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Byte, 0x5A);
    EXPECT_EQUAL(Word, 0x1234);
    EXPECT_EQUAL(Long, 0x12345678);
    EXPECT_EQUAL(LongLong, 0x123456789ABCDEF0LL);
    EXPECT_EQUAL(RtlCompareMemory(Registers, "\x00\x5A\x34\x12\x78\x56\x34\x12\xF0\xDE\xBC\x9A\x78\x56\x34\x12", 16),
                 16);
}

static VOID RegisterBuffers(VOID)
{
    UCHAR Bytes[4] = {1, 2, 3, 4}, InBytes[4] = {9, 9, 9, 9};
    USHORT Words[3] = {0x1111, 0x2222, 0x3333}, InWords[3] = {9, 9, 9};
    ULONG Longs[3] = {5, 6, 7}, InLongs[3] = {9, 9, 9};
    KIRQL Irql;

    RtlFillMemory(Registers, sizeof(Registers), 0xEE);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    WRITE_REGISTER_BUFFER_UCHAR(&Registers[0], Bytes, 3);
    READ_REGISTER_BUFFER_UCHAR(&Registers[0], InBytes, 3);
    WRITE_REGISTER_BUFFER_USHORT((PUSHORT)&Registers[4], Words, 2);
    READ_REGISTER_BUFFER_USHORT((PUSHORT)&Registers[4], InWords, 2);
    WRITE_REGISTER_BUFFER_ULONG((PULONG)&Registers[8], Longs, 2);
    READ_REGISTER_BUFFER_ULONG((PULONG)&Registers[8], InLongs, 2);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(InBytes[0], 1);
    EXPECT_EQUAL(InBytes[2], 3);
    EXPECT_EQUAL(InBytes[3], 9); /* no more than the count */
    EXPECT_EQUAL(Registers[3], 0xEE);
    EXPECT_EQUAL(InWords[0], 0x1111);
    EXPECT_EQUAL(InWords[1], 0x2222);
    EXPECT_EQUAL(InWords[2], 9);
    EXPECT_EQUAL(InLongs[0], 5);
    EXPECT_EQUAL(InLongs[1], 6);
    EXPECT_EQUAL(InLongs[2], 9);
}

TEST_TABLE(hal_port){
    TEST(PortSingle, 0),
    TEST(PortBuffers, 0),
    TEST(PortIntrinsics, 0),
    TEST(PortStringIntrinsics, 0),
    TEST(RegisterSingle, 0),
    TEST(RegisterBuffers, 0),
    TEST_END,
};
