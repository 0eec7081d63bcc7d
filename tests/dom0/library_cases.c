#include "library_cases.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define XC_WANT_COMPAT_MAP_FOREIGN_API /* which many programs still use */

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include <xen/memory.h>

static sigjmp_buf behind_fault;

static void on_fault(int signal)
{
    siglongjmp(behind_fault, signal);
}

static bool faults(volatile uint8_t *address, bool write)
{
    const struct sigaction catch = {.sa_handler = on_fault};
    struct sigaction old;
    volatile bool fault = true;

    sigaction(SIGSEGV, &catch, &old);
    if (sigsetjmp(behind_fault, 1) == 0) {
        if (write)
            *address = 1;
        else
            (void)*address;
        fault = false;
    }
    sigaction(SIGSEGV, &old, NULL);
    return fault;
}

/* ---- grants ---- */

static void try_mapping(xengnttab_handle *handle)
{
    uint32_t domids[2] = {GUEST, GUEST};
    uint32_t references[2] = {STORE_REFERENCE, CONSOLE_REFERENCE};
    uint8_t *page = xengnttab_map_grant_ref(handle, GUEST, CONSOLE_REFERENCE, PROT_READ | PROT_WRITE);
    uint8_t *two;

    CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0);
    memcpy(page + 200, "program", 7);
    CHECK_FAILS(xengnttab_set_max_grants(handle, 10) != 0, EBUSY);
    two = xengnttab_map_grant_refs(handle, 2, domids, references, PROT_READ);
    CHECK(two != NULL && memcmp(two + PAGE + 200, "program", 7) == 0);
    memcpy(page + 300, "seen", 4); /* the same page */
    CHECK(memcmp(two + PAGE + 300, "seen", 4) == 0);
    CHECK(!faults(two, false) && faults(two, true));
    references[1] = 77777;
    CHECK_FAILS(xengnttab_map_domain_grant_refs(handle, 2, GUEST, references, PROT_READ) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_map_grant_ref(handle, NO_DOMAIN, 0, PROT_READ) == NULL, ESRCH);
    CHECK_FAILS(xengnttab_map_grant_refs(handle, 0, domids, references, PROT_READ) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_map_grant_ref_notify(handle, GUEST, 0, PROT_READ, 5, -1u) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_map_grant_ref_notify(handle, GUEST, 0, PROT_READ | PROT_WRITE, 5, 12345) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_unmap(handle, two, 1) != 0, EINVAL);
    CHECK(xengnttab_unmap(handle, two, 2) == 0);
    CHECK_FAILS(xengnttab_unmap(handle, two, 2) != 0, EINVAL);
    CHECK(faults(two, false));
    CHECK(xengnttab_unmap(handle, page, 1) == 0);

    CHECK(xengnttab_set_max_grants(handle, 1) == 0);
    CHECK_FAILS(xengnttab_map_domain_grant_refs(handle, 2, GUEST, domids, PROT_READ) == NULL, ENOMEM);
    page = xengnttab_map_grant_ref_notify(handle, GUEST, CONSOLE_REFERENCE, PROT_READ | PROT_WRITE, 400, -1u);
    CHECK(page != NULL);
    page[400] = 1;
    CHECK(xengnttab_unmap(handle, page, 1) == 0);
    page = xengnttab_map_grant_ref(handle, GUEST, CONSOLE_REFERENCE, PROT_READ);
    CHECK(page != NULL && page[400] == 0 && memcmp(page + 300, "seen", 4) == 0);
}

static void try_copying(xengnttab_handle *handle)
{
    static uint8_t local[3 * PAGE] __attribute__((aligned(4096)));
    xengnttab_grant_copy_segment_t segments[3] = {
        {.source.foreign = {CONSOLE_REFERENCE, 100, GUEST},
         .dest.virt = local + PAGE - 2, /* across two pages */
         .len = 5,
         .flags = GNTCOPY_source_gref},
        {.source.virt = local + 2 * PAGE - 3,
         .dest.foreign = {CONSOLE_REFERENCE, 500, GUEST},
         .len = 7,
         .flags = GNTCOPY_dest_gref},
        {.source.virt = local, .dest.foreign = {77777, 0, GUEST}, .len = 5, .flags = GNTCOPY_dest_gref},
    };
    xengnttab_grant_copy_segment_t *many = calloc(3000, sizeof(*many));

    memcpy(local + 2 * PAGE - 3, "to them", 7);
    CHECK(xengnttab_grant_copy(handle, 3, segments) == 0);
    CHECK(segments[0].status == GNTST_okay && segments[1].status == GNTST_okay);
    CHECK(segments[2].status == GNTST_bad_gntref);
    CHECK(memcmp(local + PAGE - 2, "guest", 5) == 0 && local[PAGE + 3] == 0);
    segments[0].source.foreign.offset = 500;
    segments[0].len = 7;
    CHECK(xengnttab_grant_copy(handle, 1, segments) == 0 && memcmp(local + PAGE - 2, "to them", 7) == 0);
    segments[0].source.foreign.offset = PAGE - 6;
    CHECK_FAILS(xengnttab_grant_copy(handle, 1, segments) != 0, EINVAL);
    segments[0].flags = 0;
    CHECK_FAILS(xengnttab_grant_copy(handle, 1, segments) != 0, EINVAL);
    CHECK(xengnttab_grant_copy(handle, 0, segments) == 0);

    for (unsigned index = 0; index < 3000; index++) /* more than a request to the gate can have */
        many[index] = (xengnttab_grant_copy_segment_t){.source.foreign = {CONSOLE_REFERENCE, 100, GUEST},
                                                       .dest.virt = local + index,
                                                       .len = 1,
                                                       .flags = GNTCOPY_source_gref,
                                                       .status = 99};
    memset(local, 0, sizeof(local));
    CHECK(xengnttab_grant_copy(handle, 3000, many) == 0);
    for (unsigned index = 0; index < 3000; index++)
        CHECK(many[index].status == GNTST_okay && local[index] == 'g');
    free(many);
}

void library_grants(void)
{
    xengnttab_handle *handle = xengnttab_open(NULL, 0);
    uint8_t *left;

    CHECK(handle != NULL && xengnttab_fd(handle) >= 0);
    try_mapping(handle);
    try_copying(handle);
    CHECK(xengnttab_close(handle) == 0);
    handle = xengnttab_open(NULL, 0);
    left = xengnttab_map_grant_ref(handle, GUEST, STORE_REFERENCE, PROT_READ);
    CHECK(left != NULL && xengnttab_close(handle) == 0 && faults(left, false));
    CHECK_FAILS(xengnttab_open(NULL, 1) == NULL, EINVAL);
}

void library_shares(void)
{
    xengntshr_handle *handle = xengntshr_open(NULL, 0);
    xengnttab_handle *mapper = xengnttab_open(NULL, 0);
    uint32_t references[2] = {0, 0};
    uint8_t *pages = xengntshr_share_pages(handle, 0, 2, references, 1);
    uint8_t *seen;
    uint8_t *third;
    uint32_t reference;

    CHECK(pages != NULL && references[0] != references[1]);
    CHECK(pages[0] == 0 && pages[2 * PAGE - 1] == 0);
    strcpy((char *)pages + PAGE, "shared");
    seen = xengnttab_map_grant_ref(mapper, 0, references[1], PROT_READ | PROT_WRITE);
    CHECK(seen != NULL && strcmp((char *)seen, "shared") == 0);
    strcpy((char *)seen, "back");
    CHECK(strcmp((char *)pages + PAGE, "back") == 0);
    third = xengntshr_share_page_notify(handle, 0, &reference, 0, 8, -1u);
    CHECK(third != NULL);
    CHECK_FAILS(xengnttab_map_grant_ref(mapper, 0, reference, PROT_READ | PROT_WRITE) == NULL, EINVAL);
    CHECK(xengntshr_unshare(handle, third, 1) == 0 && faults(third, false));
    CHECK_FAILS(xengnttab_map_grant_ref(mapper, 0, reference, PROT_READ) == NULL, EINVAL);
    CHECK_FAILS(xengntshr_unshare(handle, pages, 1) != 0, EINVAL);
    CHECK(xengntshr_unshare(handle, pages, 2) == 0); /* one is still mapped */
    CHECK(strcmp((char *)seen, "back") == 0);
    CHECK_FAILS(xengntshr_share_pages(handle, NO_DOMAIN, 0, references, 1) == NULL, EINVAL);
    CHECK(xengntshr_close(handle) == 0 && xengnttab_close(mapper) == 0);
}

void library_foreign(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
    xenforeignmemory_resource_handle *resource;
    xen_pfn_t frames[2] = {0, UINT64_C(1) << 40};
    uint64_t frame = 0;
    int errors[2] = {1, 1};
    void *table = NULL;
    size_t bytes = 0;
    uint8_t *page;

    CHECK(xc != NULL && handle != NULL);
    CHECK(xc_hvm_param_get(xc, GUEST, HVM_PARAM_CONSOLE_PFN, &frame) == 0 && frame != 0);
    page = xc_map_foreign_range(xc, GUEST, PAGE, PROT_READ, frame);
    CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0 && munmap(page, PAGE) == 0);
    for (unsigned index = 0; index < 3; index++) { /* in the same place again: what was unmapped so is not held */
        page = xc_map_foreign_range(xc, GUEST, PAGE, PROT_READ, frame);
        CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0 && munmap(page, PAGE) == 0);
    }
    frames[0] = frame;
    page = xenforeignmemory_map(handle, GUEST, PROT_READ | PROT_WRITE, 2, frames, errors);
    CHECK(page != NULL && errors[0] == 0 && errors[1] == -EINVAL);
    CHECK(memcmp(page + 100, "guest", 5) == 0 && faults(page + PAGE, false));
    CHECK(xenforeignmemory_unmap(handle, page, 2) == 0 && faults(page, false));
    CHECK_FAILS(xenforeignmemory_unmap(handle, page, 2) != 0, EINVAL);
    CHECK_FAILS(xenforeignmemory_map(handle, GUEST, PROT_READ, 2, frames, NULL) == NULL, EINVAL);
    CHECK_FAILS(xenforeignmemory_map(handle, NO_DOMAIN, PROT_READ, 1, frames, NULL) == NULL, ESRCH);

    CHECK(xenforeignmemory_resource_size(handle, GUEST, XENMEM_resource_grant_table,
                                         XENMEM_resource_grant_table_id_shared, &bytes) == 0);
    CHECK(bytes >= PAGE && bytes % PAGE == 0);
    resource = xenforeignmemory_map_resource(handle, GUEST, XENMEM_resource_grant_table,
                                             XENMEM_resource_grant_table_id_shared, 0, 1, &table, PROT_READ, 0);
    CHECK(resource != NULL && table != NULL);
    CHECK(((const grant_entry_v1_t *)table)[STORE_REFERENCE].flags == GTF_permit_access);
    CHECK(xenforeignmemory_unmap_resource(handle, resource) == 0 && faults(table, false));
    table = NULL;
    CHECK_FAILS(xenforeignmemory_map_resource(handle, GUEST, XENMEM_resource_ioreq_server, 0, 0, 1, &table, PROT_READ,
                                              0) == NULL,
                EOPNOTSUPP);

    CHECK(xenforeignmemory_restrict(handle, 0) == 0);
    CHECK_FAILS(xenforeignmemory_map(handle, GUEST, PROT_READ, 1, frames, NULL) == NULL, EPERM);
    CHECK(xenforeignmemory_close(handle) == 0 && xc_interface_close(xc) == 0);
}

void library_information(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    struct evtchn_status status = {.dom = DOMID_SELF, .port = 1};
    xc_domaininfo_t list[4];
    xc_dominfo_t information[2];
    xen_extraversion_t extra = "";

    CHECK(xc_version(xc, XENVER_version, NULL) == (4 << 16 | 17));
    CHECK(xc_version(xc, XENVER_extraversion, extra) == 0 && extra[0] == '.');
    CHECK(xc_domain_getinfo(xc, GUEST, 1, information) == 1 && information[0].domid == GUEST && information[0].hvm);
    CHECK(xc_domain_getinfo(xc, 0, 2, information) == 2 && !information[0].hvm && information[1].domid == GUEST);
    CHECK_FAILS(xc_domain_getinfo(xc, NO_DOMAIN, 1, information) == -1, ESRCH);
    CHECK(xc_domain_getinfolist(xc, 0, 4, list) == 2 && list[0].domain == 0 && list[1].domain == GUEST);
    CHECK(xc_domain_getinfolist(xc, GUEST + 1, 4, list) == 0);
    CHECK(xc_evtchn_status(xc, &status) == 0);
    status.port = 1u << 30;
    CHECK_FAILS(xc_evtchn_status(xc, &status) != 0, EINVAL);
    CHECK(xc_interface_close(xc) == 0);
}
