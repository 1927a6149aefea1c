// SPDX-License-Identifier: GPL-2.0
/*
 * What the drivers of VMBus devices are linked to.  The functions are in Rust
 * (sys/); this file has their prototypes, so that symbol versions are made of
 * the same types as ever, and their EXPORT_SYMBOL lines.
 */

#include <linux/export.h>
#include <linux/hyperv.h>
#include <hyperv/hvhdk.h>

/*
 * What drivers/hv/hyperv_vmbus.h declares, which no package of headers has.
 */
struct vmbus_connection;
struct hv_context;
extern struct vmbus_connection vmbus_connection;
extern struct hv_context hv_context;
extern const struct vmbus_device vmbus_devs[];
void vmbus_isr(void);
bool vmbus_is_confidential(void);
int hv_post_message(union hv_connection_id connection, enum hv_message_type type,
		    void *payload, size_t payload_size);

/* The core: sys/exports.rs, sys/requests.rs, sys/rings.rs, sys/statics.rs. */
EXPORT_SYMBOL_GPL(vmbus_connection);
EXPORT_SYMBOL_GPL(vmbus_proto_version);
EXPORT_SYMBOL_GPL(vmbus_devs);
EXPORT_SYMBOL_FOR_MODULES(hv_context, "mshv_vtl");
EXPORT_SYMBOL_FOR_MODULES(hv_post_message, "mshv_vtl");
EXPORT_SYMBOL_FOR_MODULES(vmbus_isr, "mshv_vtl");
EXPORT_SYMBOL_GPL(vmbus_is_confidential);
EXPORT_SYMBOL_GPL(vmbus_initiate_unload);
EXPORT_SYMBOL_GPL(vmbus_hvsock_device_unregister);
EXPORT_SYMBOL_GPL(vmbus_set_sc_create_callback);
EXPORT_SYMBOL_GPL(vmbus_set_chn_rescind_callback);
EXPORT_SYMBOL_GPL(vmbus_setevent);
EXPORT_SYMBOL_GPL(vmbus_set_event);
EXPORT_SYMBOL_GPL(vmbus_free_ring);
EXPORT_SYMBOL_GPL(vmbus_alloc_ring);
EXPORT_SYMBOL_GPL(vmbus_send_tl_connect_request);
EXPORT_SYMBOL_GPL(vmbus_send_modifychannel);
EXPORT_SYMBOL_GPL(vmbus_establish_gpadl);
EXPORT_SYMBOL_GPL(vmbus_establish_gpadl_caller_decrypted);
EXPORT_SYMBOL_GPL(vmbus_teardown_gpadl);
EXPORT_SYMBOL_GPL(vmbus_free_buffer);
EXPORT_SYMBOL_GPL(vmbus_alloc_buffer);
EXPORT_SYMBOL_GPL(vmbus_connect_ring);
EXPORT_SYMBOL_GPL(vmbus_open);
EXPORT_SYMBOL_GPL(vmbus_disconnect_ring);
EXPORT_SYMBOL_GPL(vmbus_close);
EXPORT_SYMBOL(vmbus_sendpacket_getid);
EXPORT_SYMBOL(vmbus_sendpacket);
EXPORT_SYMBOL_GPL(vmbus_sendpacket_mpb_desc);
EXPORT_SYMBOL(vmbus_recvpacket);
EXPORT_SYMBOL_GPL(vmbus_recvpacket_raw);
EXPORT_SYMBOL_GPL(vmbus_next_request_id);
EXPORT_SYMBOL_GPL(__vmbus_request_addr_match);
EXPORT_SYMBOL_GPL(vmbus_request_addr_match);
EXPORT_SYMBOL_GPL(vmbus_request_addr);
EXPORT_SYMBOL_GPL(hv_ringbuffer_get_debuginfo);
EXPORT_SYMBOL_GPL(hv_ringbuffer_spinlock_busy);
EXPORT_SYMBOL_GPL(hv_pkt_iter_first);
EXPORT_SYMBOL_GPL(__hv_pkt_iter_next);
EXPORT_SYMBOL_GPL(hv_pkt_iter_close);

/* The surface: devices and drivers, sysfs, memory. */

/* As in drivers/hv/hyperv_vmbus.h, which is not among a kernel's headers. */
int hv_create_ring_sysfs(struct vmbus_channel *channel,
			 int (*mmap_prepare)(struct vmbus_channel *channel,
					     struct vm_area_desc *desc));
int hv_remove_ring_sysfs(struct vmbus_channel *channel);
void vmbus_device_unregister(struct hv_device *device);
EXPORT_SYMBOL_GPL(__vmbus_driver_register);
EXPORT_SYMBOL_GPL(hv_create_ring_sysfs);
EXPORT_SYMBOL_GPL(hv_get_vmbus_root_device);
EXPORT_SYMBOL_GPL(hv_remove_ring_sysfs);
EXPORT_SYMBOL_GPL(hv_vmbus_exists);
EXPORT_SYMBOL_GPL(vmbus_allocate_mmio);
EXPORT_SYMBOL_GPL(vmbus_device_unregister);
EXPORT_SYMBOL_GPL(vmbus_driver_unregister);
EXPORT_SYMBOL_GPL(vmbus_free_mmio);
EXPORT_SYMBOL_GPL(vmbus_prep_negotiate_resp);
EXPORT_SYMBOL_GPL(vmbus_set_skip_unload);
