/*
 * The layout of Xen's structures, as static assertions: the same numbers hold in every build, whatever the size of a
 * long there. They are those of the x86-64 ABI, from Xen's own headers as its own compiler lays them out.
 */
#ifndef DRIVER_XEN_LAYOUT_H
#define DRIVER_XEN_LAYOUT_H

#include "compat.h"

#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/netif.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xen.h>

#define ASSERT_XEN_SIZE(_Type, _Size) C_ASSERT(sizeof(_Type) == (_Size))
#define ASSERT_XEN_OFFSET(_Type, _Field, _Offset) C_ASSERT(offsetof(_Type, _Field) == (_Offset))
#define ASSERT_XEN_VALUE(_Name, _Value) C_ASSERT((_Name) == (_Value))

/* xen.h */
ASSERT_XEN_SIZE(shared_info_t, 3136);
ASSERT_XEN_OFFSET(shared_info_t, vcpu_info, 0);
ASSERT_XEN_OFFSET(shared_info_t, evtchn_pending, 2048);
ASSERT_XEN_OFFSET(shared_info_t, evtchn_mask, 2560);
ASSERT_XEN_OFFSET(shared_info_t, wc_version, 3072);
ASSERT_XEN_OFFSET(shared_info_t, wc_sec, 3076);
ASSERT_XEN_OFFSET(shared_info_t, wc_nsec, 3080);
ASSERT_XEN_OFFSET(shared_info_t, wc_sec_hi, 3084);
ASSERT_XEN_OFFSET(shared_info_t, arch, 3088);

ASSERT_XEN_SIZE(vcpu_info_t, 64);
ASSERT_XEN_OFFSET(vcpu_info_t, evtchn_upcall_pending, 0);
ASSERT_XEN_OFFSET(vcpu_info_t, evtchn_upcall_mask, 1);
ASSERT_XEN_OFFSET(vcpu_info_t, evtchn_pending_sel, 8);
ASSERT_XEN_OFFSET(vcpu_info_t, arch, 16);
ASSERT_XEN_OFFSET(vcpu_info_t, time, 32);

ASSERT_XEN_SIZE(vcpu_time_info_t, 32);
ASSERT_XEN_OFFSET(vcpu_time_info_t, version, 0);
ASSERT_XEN_OFFSET(vcpu_time_info_t, tsc_timestamp, 8);
ASSERT_XEN_OFFSET(vcpu_time_info_t, system_time, 16);
ASSERT_XEN_OFFSET(vcpu_time_info_t, tsc_to_system_mul, 24);
ASSERT_XEN_OFFSET(vcpu_time_info_t, tsc_shift, 28);
ASSERT_XEN_OFFSET(vcpu_time_info_t, flags, 29);
ASSERT_XEN_SIZE(xen_pfn_t, 8);
ASSERT_XEN_SIZE(xen_ulong_t, 8);
ASSERT_XEN_SIZE(domid_t, 2);
ASSERT_XEN_SIZE(evtchn_port_t, 4);
ASSERT_XEN_SIZE(grant_ref_t, 4);
ASSERT_XEN_SIZE(XEN_GUEST_HANDLE(void), 8);

/* event_channel.h */
ASSERT_XEN_SIZE(evtchn_alloc_unbound_t, 8);
ASSERT_XEN_OFFSET(evtchn_alloc_unbound_t, dom, 0);
ASSERT_XEN_OFFSET(evtchn_alloc_unbound_t, remote_dom, 2);
ASSERT_XEN_OFFSET(evtchn_alloc_unbound_t, port, 4);
ASSERT_XEN_SIZE(evtchn_bind_interdomain_t, 12);
ASSERT_XEN_OFFSET(evtchn_bind_interdomain_t, remote_dom, 0);
ASSERT_XEN_OFFSET(evtchn_bind_interdomain_t, remote_port, 4);
ASSERT_XEN_OFFSET(evtchn_bind_interdomain_t, local_port, 8);
ASSERT_XEN_SIZE(evtchn_bind_virq_t, 12);
ASSERT_XEN_OFFSET(evtchn_bind_virq_t, virq, 0);
ASSERT_XEN_OFFSET(evtchn_bind_virq_t, vcpu, 4);
ASSERT_XEN_OFFSET(evtchn_bind_virq_t, port, 8);
ASSERT_XEN_SIZE(evtchn_bind_vcpu_t, 8);
ASSERT_XEN_OFFSET(evtchn_bind_vcpu_t, port, 0);
ASSERT_XEN_OFFSET(evtchn_bind_vcpu_t, vcpu, 4);
ASSERT_XEN_SIZE(evtchn_close_t, 4);
ASSERT_XEN_OFFSET(evtchn_close_t, port, 0);
ASSERT_XEN_SIZE(evtchn_send_t, 4);
ASSERT_XEN_OFFSET(evtchn_send_t, port, 0);
ASSERT_XEN_SIZE(evtchn_status_t, 24);
ASSERT_XEN_OFFSET(evtchn_status_t, dom, 0);
ASSERT_XEN_OFFSET(evtchn_status_t, port, 4);
ASSERT_XEN_OFFSET(evtchn_status_t, status, 8);
ASSERT_XEN_OFFSET(evtchn_status_t, vcpu, 12);
ASSERT_XEN_OFFSET(evtchn_status_t, u.unbound.dom, 16);
ASSERT_XEN_OFFSET(evtchn_status_t, u.interdomain.dom, 16);
ASSERT_XEN_OFFSET(evtchn_status_t, u.interdomain.port, 20);
ASSERT_XEN_OFFSET(evtchn_status_t, u.pirq, 16);
ASSERT_XEN_OFFSET(evtchn_status_t, u.virq, 16);
ASSERT_XEN_SIZE(evtchn_unmask_t, 4);
ASSERT_XEN_OFFSET(evtchn_unmask_t, port, 0);
ASSERT_XEN_SIZE(evtchn_reset_t, 2);
ASSERT_XEN_OFFSET(evtchn_reset_t, dom, 0);
ASSERT_XEN_SIZE(evtchn_init_control_t, 24);
ASSERT_XEN_OFFSET(evtchn_init_control_t, control_gfn, 0);
ASSERT_XEN_OFFSET(evtchn_init_control_t, offset, 8);
ASSERT_XEN_OFFSET(evtchn_init_control_t, vcpu, 12);
ASSERT_XEN_OFFSET(evtchn_init_control_t, link_bits, 16);
ASSERT_XEN_SIZE(evtchn_expand_array_t, 8);
ASSERT_XEN_OFFSET(evtchn_expand_array_t, array_gfn, 0);
ASSERT_XEN_SIZE(evtchn_set_priority_t, 8);
ASSERT_XEN_OFFSET(evtchn_set_priority_t, port, 0);
ASSERT_XEN_OFFSET(evtchn_set_priority_t, priority, 4);
ASSERT_XEN_SIZE(event_word_t, 4);
ASSERT_XEN_SIZE(struct evtchn_fifo_control_block, 72);
ASSERT_XEN_OFFSET(struct evtchn_fifo_control_block, ready, 0);
ASSERT_XEN_OFFSET(struct evtchn_fifo_control_block, head, 8);

/* grant_table.h */
ASSERT_XEN_SIZE(grant_entry_v1_t, 8);
ASSERT_XEN_OFFSET(grant_entry_v1_t, flags, 0);
ASSERT_XEN_OFFSET(grant_entry_v1_t, domid, 2);
ASSERT_XEN_OFFSET(grant_entry_v1_t, frame, 4);
ASSERT_XEN_SIZE(grant_entry_header_t, 4);
ASSERT_XEN_OFFSET(grant_entry_header_t, flags, 0);
ASSERT_XEN_OFFSET(grant_entry_header_t, domid, 2);
ASSERT_XEN_SIZE(grant_entry_v2_t, 16);
ASSERT_XEN_OFFSET(grant_entry_v2_t, full_page.frame, 8);
ASSERT_XEN_OFFSET(grant_entry_v2_t, sub_page.page_off, 4);
ASSERT_XEN_OFFSET(grant_entry_v2_t, sub_page.frame, 8);
ASSERT_XEN_OFFSET(grant_entry_v2_t, transitive.gref, 8);
ASSERT_XEN_SIZE(grant_status_t, 2);
ASSERT_XEN_SIZE(gnttab_query_size_t, 16);
ASSERT_XEN_OFFSET(gnttab_query_size_t, dom, 0);
ASSERT_XEN_OFFSET(gnttab_query_size_t, nr_frames, 4);
ASSERT_XEN_OFFSET(gnttab_query_size_t, max_nr_frames, 8);
ASSERT_XEN_OFFSET(gnttab_query_size_t, status, 12);
ASSERT_XEN_SIZE(gnttab_set_version_t, 4);
ASSERT_XEN_OFFSET(gnttab_set_version_t, version, 0);
ASSERT_XEN_SIZE(gnttab_get_version_t, 8);
ASSERT_XEN_OFFSET(gnttab_get_version_t, dom, 0);
ASSERT_XEN_OFFSET(gnttab_get_version_t, version, 4);
ASSERT_XEN_SIZE(gnttab_copy_t, 40);
ASSERT_XEN_OFFSET(gnttab_copy_t, source, 0);
ASSERT_XEN_OFFSET(gnttab_copy_t, dest, 16);
ASSERT_XEN_OFFSET(gnttab_copy_t, len, 32);
ASSERT_XEN_OFFSET(gnttab_copy_t, flags, 34);
ASSERT_XEN_OFFSET(gnttab_copy_t, status, 36);
ASSERT_XEN_SIZE(gnttab_map_grant_ref_t, 32);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, host_addr, 0);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, flags, 8);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, ref, 12);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, dom, 16);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, status, 18);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, handle, 20);
ASSERT_XEN_OFFSET(gnttab_map_grant_ref_t, dev_bus_addr, 24);
ASSERT_XEN_SIZE(gnttab_unmap_grant_ref_t, 24);
ASSERT_XEN_OFFSET(gnttab_unmap_grant_ref_t, host_addr, 0);
ASSERT_XEN_OFFSET(gnttab_unmap_grant_ref_t, dev_bus_addr, 8);
ASSERT_XEN_OFFSET(gnttab_unmap_grant_ref_t, handle, 16);
ASSERT_XEN_OFFSET(gnttab_unmap_grant_ref_t, status, 20);

/* memory.h */
ASSERT_XEN_SIZE(xen_add_to_physmap_t, 24);
ASSERT_XEN_OFFSET(xen_add_to_physmap_t, domid, 0);
ASSERT_XEN_OFFSET(xen_add_to_physmap_t, size, 2);
ASSERT_XEN_OFFSET(xen_add_to_physmap_t, space, 4);
ASSERT_XEN_OFFSET(xen_add_to_physmap_t, idx, 8);
ASSERT_XEN_OFFSET(xen_add_to_physmap_t, gpfn, 16);
ASSERT_XEN_SIZE(xen_remove_from_physmap_t, 16);
ASSERT_XEN_OFFSET(xen_remove_from_physmap_t, domid, 0);
ASSERT_XEN_OFFSET(xen_remove_from_physmap_t, gpfn, 8);
ASSERT_XEN_SIZE(xen_memory_reservation_t, 32);
ASSERT_XEN_OFFSET(xen_memory_reservation_t, extent_start, 0);
ASSERT_XEN_OFFSET(xen_memory_reservation_t, nr_extents, 8);
ASSERT_XEN_OFFSET(xen_memory_reservation_t, extent_order, 16);
ASSERT_XEN_OFFSET(xen_memory_reservation_t, mem_flags, 20);
ASSERT_XEN_OFFSET(xen_memory_reservation_t, domid, 24);

/* sched.h */
ASSERT_XEN_SIZE(sched_shutdown_t, 4);
ASSERT_XEN_OFFSET(sched_shutdown_t, reason, 0);
ASSERT_XEN_SIZE(sched_watchdog_t, 8);
ASSERT_XEN_OFFSET(sched_watchdog_t, id, 0);
ASSERT_XEN_OFFSET(sched_watchdog_t, timeout, 4);

/* vcpu.h */
ASSERT_XEN_SIZE(vcpu_register_vcpu_info_t, 16);
ASSERT_XEN_OFFSET(vcpu_register_vcpu_info_t, mfn, 0);
ASSERT_XEN_OFFSET(vcpu_register_vcpu_info_t, offset, 8);
ASSERT_XEN_OFFSET(vcpu_register_vcpu_info_t, rsvd, 12);

/* hvm/params.h */
ASSERT_XEN_SIZE(xen_hvm_param_t, 16);
ASSERT_XEN_OFFSET(xen_hvm_param_t, domid, 0);
ASSERT_XEN_OFFSET(xen_hvm_param_t, pad, 2);
ASSERT_XEN_OFFSET(xen_hvm_param_t, index, 4);
ASSERT_XEN_OFFSET(xen_hvm_param_t, value, 8);

/* hvm/hvm_op.h */
ASSERT_XEN_SIZE(xen_hvm_evtchn_upcall_vector_t, 8);
ASSERT_XEN_OFFSET(xen_hvm_evtchn_upcall_vector_t, vcpu, 0);
ASSERT_XEN_OFFSET(xen_hvm_evtchn_upcall_vector_t, vector, 4);

/* version.h */
ASSERT_XEN_SIZE(xen_feature_info_t, 8);
ASSERT_XEN_OFFSET(xen_feature_info_t, submap_idx, 0);
ASSERT_XEN_OFFSET(xen_feature_info_t, submap, 4);

/* io/netif.h */
ASSERT_XEN_SIZE(netif_tx_request_t, 12);
ASSERT_XEN_OFFSET(netif_tx_request_t, gref, 0);
ASSERT_XEN_OFFSET(netif_tx_request_t, offset, 4);
ASSERT_XEN_OFFSET(netif_tx_request_t, flags, 6);
ASSERT_XEN_OFFSET(netif_tx_request_t, id, 8);
ASSERT_XEN_OFFSET(netif_tx_request_t, size, 10);
ASSERT_XEN_SIZE(netif_extra_info_t, 8);
ASSERT_XEN_OFFSET(netif_extra_info_t, type, 0);
ASSERT_XEN_OFFSET(netif_extra_info_t, flags, 1);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.gso.size, 2);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.gso.type, 4);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.gso.features, 6);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.mcast.addr, 2);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.hash.type, 2);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.hash.algorithm, 3);
ASSERT_XEN_OFFSET(netif_extra_info_t, u.hash.value, 4);
ASSERT_XEN_SIZE(netif_tx_response_t, 4);
ASSERT_XEN_OFFSET(netif_tx_response_t, id, 0);
ASSERT_XEN_OFFSET(netif_tx_response_t, status, 2);
ASSERT_XEN_SIZE(netif_rx_request_t, 8);
ASSERT_XEN_OFFSET(netif_rx_request_t, id, 0);
ASSERT_XEN_OFFSET(netif_rx_request_t, pad, 2);
ASSERT_XEN_OFFSET(netif_rx_request_t, gref, 4);
ASSERT_XEN_SIZE(netif_rx_response_t, 8);
ASSERT_XEN_OFFSET(netif_rx_response_t, id, 0);
ASSERT_XEN_OFFSET(netif_rx_response_t, offset, 2);
ASSERT_XEN_OFFSET(netif_rx_response_t, flags, 4);
ASSERT_XEN_OFFSET(netif_rx_response_t, status, 6);
ASSERT_XEN_SIZE(struct xen_netif_ctrl_request, 16);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_request, id, 0);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_request, type, 2);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_request, data, 4);
ASSERT_XEN_SIZE(struct xen_netif_ctrl_response, 12);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_response, id, 0);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_response, type, 2);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_response, status, 4);
ASSERT_XEN_OFFSET(struct xen_netif_ctrl_response, data, 8);
ASSERT_XEN_SIZE(netif_tx_sring_t, 76);
ASSERT_XEN_OFFSET(netif_tx_sring_t, req_prod, 0);
ASSERT_XEN_OFFSET(netif_tx_sring_t, req_event, 4);
ASSERT_XEN_OFFSET(netif_tx_sring_t, rsp_prod, 8);
ASSERT_XEN_OFFSET(netif_tx_sring_t, rsp_event, 12);
ASSERT_XEN_OFFSET(netif_tx_sring_t, ring, 64);
ASSERT_XEN_SIZE(netif_rx_sring_t, 72);
ASSERT_XEN_OFFSET(netif_rx_sring_t, req_prod, 0);
ASSERT_XEN_OFFSET(netif_rx_sring_t, req_event, 4);
ASSERT_XEN_OFFSET(netif_rx_sring_t, rsp_prod, 8);
ASSERT_XEN_OFFSET(netif_rx_sring_t, rsp_event, 12);
ASSERT_XEN_OFFSET(netif_rx_sring_t, ring, 64);

/* io/xs_wire.h */
ASSERT_XEN_SIZE(struct xsd_sockmsg, 16);
ASSERT_XEN_OFFSET(struct xsd_sockmsg, type, 0);
ASSERT_XEN_OFFSET(struct xsd_sockmsg, req_id, 4);
ASSERT_XEN_OFFSET(struct xsd_sockmsg, tx_id, 8);
ASSERT_XEN_OFFSET(struct xsd_sockmsg, len, 12);
ASSERT_XEN_SIZE(struct xenstore_domain_interface, 2076);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, req, 0);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, rsp, 1024);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, req_cons, 2048);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, req_prod, 2052);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, rsp_cons, 2056);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, rsp_prod, 2060);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, server_features, 2064);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, connection, 2068);
ASSERT_XEN_OFFSET(struct xenstore_domain_interface, error, 2072);

/* io/console.h */
ASSERT_XEN_SIZE(struct xencons_interface, 3088);
ASSERT_XEN_OFFSET(struct xencons_interface, in, 0);
ASSERT_XEN_OFFSET(struct xencons_interface, out, 1024);
ASSERT_XEN_OFFSET(struct xencons_interface, in_cons, 3072);
ASSERT_XEN_OFFSET(struct xencons_interface, in_prod, 3076);
ASSERT_XEN_OFFSET(struct xencons_interface, out_cons, 3080);
ASSERT_XEN_OFFSET(struct xencons_interface, out_prod, 3084);

/* numbers that the drivers compute with */
ASSERT_XEN_VALUE(XENMAPSPACE_shared_info, 0);
ASSERT_XEN_VALUE(XENMAPSPACE_grant_table, 1);
ASSERT_XEN_VALUE(XENMAPIDX_grant_table_status, 0x80000000);
ASSERT_XEN_VALUE(EVTCHN_2L_NR_CHANNELS, 4096);
ASSERT_XEN_VALUE(XEN_LEGACY_MAX_VCPUS, 32);
ASSERT_XEN_VALUE(XENSTORE_RING_SIZE, 1024);
ASSERT_XEN_VALUE(XENSTORE_PAYLOAD_MAX, 4096);
ASSERT_XEN_VALUE(HVM_PARAM_CALLBACK_IRQ, 0);
ASSERT_XEN_VALUE(HVM_PARAM_STORE_PFN, 1);
ASSERT_XEN_VALUE(HVM_PARAM_STORE_EVTCHN, 2);
ASSERT_XEN_VALUE(HVM_PARAM_CONSOLE_PFN, 17);
ASSERT_XEN_VALUE(HVM_PARAM_CONSOLE_EVTCHN, 18);
ASSERT_XEN_VALUE(DOMID_SELF, 0x7ff0);
ASSERT_XEN_VALUE(DOMID_INVALID, 0x7ff4);

#endif /* DRIVER_XEN_LAYOUT_H */
