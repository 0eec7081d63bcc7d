/* The registry keys of a device, of its driver and of its interfaces, after the IoOpenXxxRegistryKey pages of wdm.h. */
#include "nttest.h"

#include <initguid.h>

DEFINE_GUID(InterfaceOfTheCases, 0x5d6b2c1e, 0x7d0a, 0x4a6c, 0x9e, 0x0f, 0x2b, 0x63, 0x51, 0xc4, 0x88, 0x17);

/* Since Windows 10, version 1803; in no import library of mingw-w64. */
typedef NTSTATUS(NTAPI *OPEN_DRIVER_KEY)(PDRIVER_OBJECT DriverObject, ULONG RegKeyType, ACCESS_MASK DesiredAccess,
                                         ULONG Flags, PHANDLE DriverRegKey);

#define KEY_TYPES_BOTH (PLUGPLAY_REGKEY_DEVICE | PLUGPLAY_REGKEY_DRIVER)

typedef struct _VALUE {
    KEY_VALUE_PARTIAL_INFORMATION Partial;
    UCHAR Room[16];
} VALUE;

static const UNICODE_STRING ValueName = RTL_CONSTANT_STRING(L"NttestCase");

static VOID Write(HANDLE Key, ULONG Value)
{
    EXPECT_STATUS(ZwSetValueKey(Key, (PUNICODE_STRING)&ValueName, 0, REG_DWORD, &Value, sizeof(Value)), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Key), STATUS_SUCCESS);
}

/* What was written is there under a new handle; it is deleted. */
static VOID ReadBack(HANDLE Key, ULONG Value)
{
    VALUE Information;
    ULONG Length, Found = 0;

    EXPECT_STATUS(ZwQueryValueKey(Key, (PUNICODE_STRING)&ValueName, KeyValuePartialInformation, &Information,
                                  sizeof(Information), &Length),
                  STATUS_SUCCESS);
    RtlCopyMemory(&Found, Information.Partial.Data, sizeof(Found));
    EXPECT_EQUAL(Found, Value);
    EXPECT_STATUS(ZwDeleteValueKey(Key, (PUNICODE_STRING)&ValueName), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Key), STATUS_SUCCESS);
}

static VOID DeviceKeys(VOID)
{
    static const ULONG Types[] = {PLUGPLAY_REGKEY_DEVICE, PLUGPLAY_REGKEY_DRIVER,
                                  PLUGPLAY_REGKEY_DEVICE | PLUGPLAY_REGKEY_CURRENT_HWPROFILE,
                                  PLUGPLAY_REGKEY_DRIVER | PLUGPLAY_REGKEY_CURRENT_HWPROFILE};
    HANDLE Key;
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Types); Index++) {
        EXPECT_STATUS(IoOpenDeviceRegistryKey(TestPhysicalDevice(), Types[Index], KEY_ALL_ACCESS, &Key),
                      STATUS_SUCCESS);
        Write(Key, 7 + Index);
    }
    for (Index = 0; Index < ARRAYSIZE(Types); Index++) { /* each its own */
        EXPECT_STATUS(IoOpenDeviceRegistryKey(TestPhysicalDevice(), Types[Index], KEY_ALL_ACCESS, &Key),
                      STATUS_SUCCESS);
        ReadBack(Key, 7 + Index);
    }
}

static VOID DeviceKeyRefused(VOID)
{
    HANDLE Key;

    EXPECT_STATUS(IoOpenDeviceRegistryKey(TestPhysicalDevice(), KEY_TYPES_BOTH, KEY_READ, &Key),
                  STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(IoOpenDeviceRegistryKey(TestPhysicalDevice(), 0, KEY_READ, &Key), STATUS_INVALID_PARAMETER);
}

/* The page: STATUS_INVALID_DEVICE_REQUEST. With Driver Verifier, as of all that wants a PDO, bug check 0xCA. */
static VOID DeviceKeyOfNoPhysicalDevice(VOID)
{
    HANDLE Key;

    OBSERVE("STATUS_INVALID_DEVICE_REQUEST, or no return",
            IoOpenDeviceRegistryKey(TestDevice(), PLUGPLAY_REGKEY_DEVICE, KEY_READ, &Key));
}

static VOID InterfaceKey(VOID)
{
    UNICODE_STRING Link;
    HANDLE Key;

    EXPECT_STATUS(IoRegisterDeviceInterface(TestPhysicalDevice(), &InterfaceOfTheCases, NULL, &Link), STATUS_SUCCESS);
    EXPECT_STATUS(IoOpenDeviceInterfaceRegistryKey(&Link, KEY_ALL_ACCESS, &Key), STATUS_SUCCESS);
    Write(Key, 11);
    EXPECT_STATUS(IoOpenDeviceInterfaceRegistryKey(&Link, KEY_ALL_ACCESS, &Key), STATUS_SUCCESS);
    ReadBack(Key, 11);
    RtlFreeUnicodeString(&Link);
}

/* Which of three statuses it is, the page leaves open. */
static VOID InterfaceKeyOfNothing(VOID)
{
    UNICODE_STRING Link = RTL_CONSTANT_STRING(L"\\??\\ROOT#NTTEST#9999#{5d6b2c1e-7d0a-4a6c-9e0f-2b6351c48817}");
    HANDLE Key;
    NTSTATUS Status = IoOpenDeviceInterfaceRegistryKey(&Link, KEY_READ, &Key);

    EXPECT_TRUE(Status == STATUS_OBJECT_NAME_NOT_FOUND || Status == STATUS_OBJECT_PATH_NOT_FOUND ||
                Status == STATUS_INVALID_PARAMETER);
    OBSERVE("status", Status);
}

static VOID DriverKey(VOID)
{
    PDRIVER_OBJECT Driver = TestDevice()->DriverObject;
    UNICODE_STRING Name;
    OPEN_DRIVER_KEY Open;
    HANDLE Key;

    RtlInitUnicodeString(&Name, L"IoOpenDriverRegistryKey");
    Open = (OPEN_DRIVER_KEY)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    REQUIRE(Open != NULL);
    EXPECT_STATUS(Open(Driver, 0, KEY_ALL_ACCESS, 0, &Key), STATUS_SUCCESS);
    Write(Key, 13);
    EXPECT_STATUS(Open(Driver, 0, KEY_ALL_ACCESS, 0, &Key), STATUS_SUCCESS);
    ReadBack(Key, 13);
    for (ULONG Type = 1; Type <= 2; Type++) { /* DriverRegKeyPersistentState, DriverRegKeySharedPersistentState */
        EXPECT_STATUS(Open(Driver, Type, KEY_ALL_ACCESS, 0, &Key), STATUS_SUCCESS);
        Write(Key, 20 + Type);
    }
    for (ULONG Type = 1; Type <= 2; Type++) { /* each a key of its own */
        EXPECT_STATUS(Open(Driver, Type, KEY_ALL_ACCESS, 0, &Key), STATUS_SUCCESS);
        ReadBack(Key, 20 + Type);
    }
    OBSERVE("a type that there is not", Open(Driver, 77, KEY_READ, 0, &Key));
    OBSERVE("flags, which must be zero", Open(Driver, 0, KEY_READ, 1, &Key));
}

TEST_TABLE(cm_device_key){
    TEST(DeviceKeys, TEST_DEVICE),
    TEST(DeviceKeyRefused, TEST_DEVICE),
    TEST_VIOLATION_DEVICE(DeviceKeyOfNoPhysicalDevice, "pnp-not-a-pdo", 0xCA),
    TEST(InterfaceKey, TEST_DEVICE),
    TEST(InterfaceKeyOfNothing, 0),
    TEST(DriverKey, TEST_DEVICE),
    TEST_END,
};
