/* A suspension of the guest as its drivers ask for it. */
#include <initguid.h>

#include "common/stack.h"

#include "suspend_interface.h"

void stack_suspend(struct stack_resumer *resumer)
{
    XENBUS_SUSPEND_INTERFACE_V1 suspend;

    resumer->rounds = 1;
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    stack_resume_when_suspended(resumer);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    stack_await_resumer(resumer);
    XENBUS_SUSPEND_CALL(&suspend, Release);
}
