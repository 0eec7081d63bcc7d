/* Device objects and their stacks. */
#include "nttest.h"

static VOID DeviceStackOfTheDriver(VOID)
{
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(TestPhysicalDevice());
    PDEVICE_OBJECT Same = IoGetAttachedDeviceReference(TestDevice());

    EXPECT_TRUE(Top == Same);
    EXPECT_TRUE(Top->StackSize > TestPhysicalDevice()->StackSize);
    ObDereferenceObject(Same);
    ObDereferenceObject(Top);
}

TEST_TABLE(io_device){
    TEST(DeviceStackOfTheDriver, TEST_DEVICE),
    TEST_END,
};
