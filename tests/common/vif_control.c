#include "common/vif_control.h"

#include <string.h>
#include <sys/mman.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include <xen/io/ring.h>

#include "machine/clock.h"
#include "machine/sched.h"

#define PAGE 4096u
#define RING 128u
#define LOOK_NS 20000u
#define LATER_NS 2000000u

struct vif_control vif_control;

static struct {
    xenevtchn_handle *events;
    xengnttab_handle *grants;
    evtchn_port_t port;
    struct xen_netif_ctrl_sring *ring;
    RING_IDX taken;
    unsigned channel, reference;
    bool stop, stopped;
    void *kept[VIF_CONTROL_KEPT];
    unsigned kept_count;
    struct vif_control_told told;
} control;

/* ---- what a backend does that hashes ---- */

/* The page of a request, which must be granted for reading and for nothing more, and is zero behind `size` bytes. */
static uint32_t read_page(uint32_t reference, void *content, size_t size)
{
    uint8_t *page;

    ck_assert_ptr_null(xengnttab_map_grant_ref(control.grants, stack.domain.domid, reference, PROT_READ | PROT_WRITE));
    page = xengnttab_map_grant_ref(control.grants, stack.domain.domid, reference, PROT_READ);
    if (page == NULL)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    memcpy(content, page, size);
    for (size_t i = size; i < PAGE; i++)
        ck_assert_msg(page[i] == 0, "byte %zu of a request's page is not the request's", i);
    if (vif_control.keep) {
        ck_assert_uint_lt(control.kept_count, VIF_CONTROL_KEPT);
        control.kept[control.kept_count++] = page;
    } else {
        ck_assert_int_eq(xengnttab_unmap(control.grants, page, 1), 0);
    }
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_algorithm(uint32_t algorithm)
{
    if (algorithm > XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    control.told.algorithm = algorithm;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_types(uint32_t types)
{
    if (types & ~vif_control.types)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    control.told.types = types;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_key(const struct xen_netif_ctrl_request *request)
{
    if (request->data[1] > VIF_CONTROL_KEY)
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    memset(control.told.key, 0, sizeof(control.told.key));
    return read_page(request->data[0], control.told.key, request->data[1]);
}

static uint32_t set_mapping_size(uint32_t size)
{
    if (size > vif_control.largest_mapping)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    control.told.mapping_size = size;
    memset(control.told.mapping, 0, sizeof(control.told.mapping));
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_mapping(const struct xen_netif_ctrl_request *request)
{
    uint32_t count = request->data[1], first = request->data[2], status;

    if (count > PAGE / 4)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    if (first > control.told.mapping_size || count > control.told.mapping_size - first)
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    status = read_page(request->data[0], &control.told.mapping[first], count * 4);
    for (uint32_t i = first; i < first + count; i++)
        if (control.told.mapping[i] >= vif_control.queues)
            status = XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    return status;
}

/* The operations that need an algorithm, as io/netif.h says. */
static bool is_early(unsigned type)
{
    return control.told.algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE &&
           (type == XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS || type == XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS);
}

static uint32_t serve(const struct xen_netif_ctrl_request *request, uint32_t *data)
{
    if (is_early(request->type))
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    switch (request->type) {
    case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
        return set_algorithm(request->data[0]);
    case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
        *data = vif_control.types;
        return XEN_NETIF_CTRL_STATUS_SUCCESS;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
        return set_types(request->data[0]);
    case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
        return set_key(request);
    case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
        *data = vif_control.largest_mapping;
        return XEN_NETIF_CTRL_STATUS_SUCCESS;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
        return set_mapping_size(request->data[0]);
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
        return set_mapping(request);
    default:
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    }
}

/* ---- the ring ---- */

static void put(RING_IDX index, const struct xen_netif_ctrl_response *response)
{
    memcpy(&control.ring->ring[index % RING], response, sizeof(*response));
}

static void produce(RING_IDX index)
{
    __atomic_store_n(&control.ring->rsp_prod, index, __ATOMIC_RELEASE);
    ck_assert_int_eq(xenevtchn_notify(control.events, control.port), 0);
}

static void answer(struct xen_netif_ctrl_response response, enum vif_control_fault fault)
{
    RING_IDX index = control.taken++;

    if (fault == VIF_CONTROL_SILENT)
        return;
    response.id ^= fault == VIF_CONTROL_WRONG_ID ? 1 : 0;
    response.type ^= fault == VIF_CONTROL_WRONG_TYPE ? 1 : 0;
    put(index, &response);
    switch (fault) {
    case VIF_CONTROL_TWICE:
        put(index + 1, &response);
        produce(index + 2);
        break;
    case VIF_CONTROL_ADDED:
        produce(index + 1);
        (void)task_park(clock_now() + LATER_NS, "the time for an answer too many");
        put(index + 1, &response);
        produce(index + 2);
        break;
    case VIF_CONTROL_BACKWARDS:
        produce(index - 1);
        break;
    case VIF_CONTROL_FAR:
        produce(index + 0x80000000);
        break;
    default:
        produce(index + 1);
    }
}

static void take(void)
{
    struct xen_netif_ctrl_request request;
    struct xen_netif_ctrl_response response;
    bool meant;

    memcpy(&request, &control.ring->ring[control.taken % RING], sizeof(request));
    ck_assert_uint_lt(control.told.asked, VIF_CONTROL_ASKED);
    control.told.request[control.told.asked++] =
        (struct vif_control_request){request.type, {request.data[0], request.data[1], request.data[2]}};
    response = (struct xen_netif_ctrl_response){.id = request.id, .type = request.type};
    meant = vif_control.type == 0 || vif_control.type == request.type;
    if (meant && vif_control.status != XEN_NETIF_CTRL_STATUS_SUCCESS)
        response.status = vif_control.status;
    else
        response.status = serve(&request, &response.data);
    answer(response, meant ? vif_control.fault : VIF_CONTROL_RIGHT);
}

static void serve_ring(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&control.stop, __ATOMIC_ACQUIRE)) {
        if (control.taken != __atomic_load_n(&control.ring->req_prod, __ATOMIC_ACQUIRE))
            take();
        __atomic_store_n(&control.ring->req_event, control.taken + 1, __ATOMIC_RELEASE);
        (void)task_park(clock_now() + LOOK_NS, "a request on the control ring");
    }
    ck_assert_int_eq(xengnttab_unmap(control.grants, control.ring, 1), 0);
    (void)xenevtchn_unbind(control.events, control.port);
    xengnttab_close(control.grants);
    xenevtchn_close(control.events);
    __atomic_store_n(&control.stopped, true, __ATOMIC_RELEASE);
}

static void connect_ring(void *unused)
{
    int port;

    (void)unused;
    control.events = xenevtchn_open(NULL, 0);
    control.grants = xengnttab_open(NULL, 0);
    port = xenevtchn_bind_interdomain(control.events, stack.domain.domid, control.channel);
    ck_assert_int_ge(port, 0);
    control.port = (evtchn_port_t)port;
    control.ring =
        xengnttab_map_grant_ref(control.grants, stack.domain.domid, control.reference, PROT_READ | PROT_WRITE);
    ck_assert_ptr_nonnull(control.ring);
    (void)task_create("control ring", serve_ring, NULL);
}

void vif_control_start(void)
{
    stack_store_await(stack_path("device/vif/1/state"), "4", 20000);
    memset(&control, 0, sizeof(control));
    control.channel = vif_backend_front_number("event-channel-ctrl");
    control.reference = vif_backend_front_number("ctrl-ring-ref");
    stack_in_dom0(connect_ring, NULL);
}

void vif_control_stop(void)
{
    __atomic_store_n(&control.stop, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&control.stopped, __ATOMIC_ACQUIRE))
        stack_sleep_us(100);
}

static void release_kept(void *unused)
{
    (void)unused;
    while (control.kept_count != 0)
        ck_assert_int_eq(xengnttab_unmap(control.grants, control.kept[--control.kept_count], 1), 0);
}

void vif_control_release(void)
{
    stack_in_dom0(release_kept, NULL);
}

static void copy_told(void *told)
{
    *(struct vif_control_told *)told = control.told;
}

const struct vif_control_told *vif_control_told(void)
{
    static struct vif_control_told told;

    stack_in_dom0(copy_told, &told);
    return &told;
}

static void forget_requests(void *unused)
{
    (void)unused;
    control.told.asked = 0;
}

void vif_control_forget(void)
{
    stack_in_dom0(forget_requests, NULL);
}

struct grant_look {
    uint32_t reference;
    bool granted;
};

static void look_at_grant(void *argument)
{
    struct grant_look *look = argument;
    xengnttab_handle *grants = xengnttab_open(NULL, 0);
    void *page = xengnttab_map_grant_ref(grants, stack.domain.domid, look->reference, PROT_READ);

    look->granted = page != NULL;
    if (page != NULL)
        ck_assert_int_eq(xengnttab_unmap(grants, page, 1), 0);
    xengnttab_close(grants);
}

bool vif_control_is_granted(uint32_t reference)
{
    struct grant_look look = {.reference = reference};

    stack_in_dom0(look_at_grant, &look);
    return look.granted;
}
