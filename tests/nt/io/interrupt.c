/*
 * Connecting interrupts: what IoConnectInterrupt(Ex) refuse. The children of the driver's bus have no interrupt:
 * tests/nt-host/test_interrupt.c holds the rest.
 */
#include "bus.h"

#define CHILD TestBusChild(0)

static KSERVICE_ROUTINE NeverCalled;

static BOOLEAN NTAPI NeverCalled(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return FALSE;
}

static VOID InterruptOnNoProcessor(VOID)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
    PKINTERRUPT Interrupt = NULL;

    EXPECT_STATUS(IoConnectInterrupt(&Interrupt, NeverCalled, NULL, NULL, 0x51, 5, 5, Latched, FALSE, 0, FALSE),
                  STATUS_INVALID_PARAMETER);
    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_FULLY_SPECIFIED;
    Parameters.FullySpecified.PhysicalDeviceObject = TestPhysicalDevice();
    Parameters.FullySpecified.InterruptObject = &Interrupt;
    Parameters.FullySpecified.ServiceRoutine = NeverCalled;
    Parameters.FullySpecified.Vector = 0x51;
    Parameters.FullySpecified.Irql = 5;
    Parameters.FullySpecified.SynchronizeIrql = 5;
    Parameters.FullySpecified.InterruptMode = Latched;
    EXPECT_STATUS(IoConnectInterruptEx(&Parameters), STATUS_INVALID_PARAMETER_10); /* which is the mask */
}

/* "The specified device has no interrupts"; and no device at all. */
static VOID InterruptOfADeviceWithout(VOID)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
    PKINTERRUPT Interrupt = NULL;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_LINE_BASED;
    Parameters.LineBased.PhysicalDeviceObject = CHILD->Pdo;
    Parameters.LineBased.InterruptObject = &Interrupt;
    Parameters.LineBased.ServiceRoutine = NeverCalled;
    EXPECT_STATUS(IoConnectInterruptEx(&Parameters), STATUS_NOT_FOUND);
    Parameters.LineBased.PhysicalDeviceObject = NULL;
    EXPECT_STATUS(IoConnectInterruptEx(&Parameters), STATUS_INVALID_PARAMETER);
    TestBusUnplug(0);
}

static VOID InterruptOfNoVersion(VOID)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;

    RtlZeroMemory(&Parameters, sizeof(Parameters));
    EXPECT_STATUS(IoConnectInterruptEx(&Parameters), STATUS_INVALID_PARAMETER_1);
    Parameters.Version = MAXULONG;
    EXPECT_STATUS(IoConnectInterruptEx(&Parameters), STATUS_INVALID_PARAMETER_1);
}

TEST_TABLE(io_interrupt){
    TEST(InterruptOnNoProcessor, TEST_DEVICE),
    TEST(InterruptOfADeviceWithout, TEST_DEVICE),
    TEST(InterruptOfNoVersion, 0),
    TEST_END,
};
