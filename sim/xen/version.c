/* XEN_VERSION (public/version.h, public/features.h). */
#include <string.h>

#include "xen/hypervisor.h"
#include "xen/profile.h"

#define CAPABILITIES "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "
#define DENIED "<denied>" /* what an unprivileged domain reads of what is none of its business */

/* A string into an array of the ABI, zero-filled. */
static int64_t put_string(uint64_t arg, const char *text, size_t size)
{
    char field[1024];

    memset(field, 0, size);
    strncpy(field, text, size - 1);
    return xen_copy_out(arg, field, size) ? 0 : -XEN_EFAULT;
}

static int64_t get_features(uint64_t arg)
{
    struct xen_feature_info info;

    if (!xen_copy_in(&info, arg, sizeof(info)))
        return -XEN_EFAULT;
    if (info.submap_idx != 0)
        return -XEN_EINVAL;
    info.submap = 1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_writable_page_tables |
                  1u << XENFEAT_auto_translated_physmap | 1u << XENFEAT_hvm_safe_pvclock |
                  1u << XENFEAT_hvm_callback_vector;
    if (xen_profile()->direct_map_features)
        info.submap |= 1u << XENFEAT_not_direct_mapped;
    return xen_copy_out(arg, &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

static int64_t compile_info(uint64_t arg)
{
    struct xen_compile_info info;

    memset(&info, 0, sizeof(info));
    strncpy(info.compiler, __VERSION__, sizeof(info.compiler) - 1);
    strncpy(info.compile_by, "pvsim", sizeof(info.compile_by) - 1);
    strncpy(info.compile_domain, "localhost", sizeof(info.compile_domain) - 1);
    return xen_copy_out(arg, &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

int64_t version_op(const struct domain *domain, uint64_t cmd, uint64_t arg)
{
    static const struct xen_platform_parameters parameters = {.virt_start = HYPERVISOR_VIRT_START};

    switch ((int)cmd) {
    case XENVER_version:
        return XEN_VERSION_MAJOR << 16 | xen_profile()->minor;
    case XENVER_extraversion:
        return put_string(arg, xen_profile()->extra, XEN_EXTRAVERSION_LEN);
    case XENVER_compile_info:
        return compile_info(arg);
    case XENVER_capabilities:
        return put_string(arg, CAPABILITIES, XEN_CAPABILITIES_INFO_LEN);
    case XENVER_changeset:
        return put_string(arg, "", XEN_CHANGESET_INFO_LEN);
    case XENVER_platform_parameters:
        return xen_copy_out(arg, &parameters, sizeof(parameters)) ? 0 : -XEN_EFAULT;
    case XENVER_get_features:
        return get_features(arg);
    case XENVER_pagesize:
        return arg != 0 ? -XEN_EINVAL : (int64_t)GUEST_PAGE_SIZE;
    case XENVER_guest_handle:
        return xen_copy_out(arg, domain->handle, sizeof(domain->handle)) ? 0 : -XEN_EFAULT;
    case XENVER_commandline:
        return put_string(arg, DENIED, sizeof(xen_commandline_t));
    case XENVER_build_id:
        return -XEN_EPERM;
    default:
        return -XEN_ENOSYS;
    }
}
