/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trace events of the bus: /sys/kernel/tracing/events/hyperv/vmbus_*.
 *
 * Names, fields and texts are what programs read; they are those of the kernel's
 * own driver.  sys/trace.rs fires them.  Three groups:
 *
 *	channels	an interrupt, a callback, a signal
 *	answers		what the host has sent, when it is looked at
 *	requests	what the host was sent, and what came of that: 0 or an errno
 *
 * Messages are passed as they are on the wire.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM hyperv

#if !defined(HV_VMBUS_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define HV_VMBUS_EVENTS_H

#include <linux/hyperv.h>
#include <linux/tracepoint.h>
#include <linux/uuid.h>

/* Channels */

DECLARE_EVENT_CLASS(vmbus_channel,
	TP_PROTO(const struct vmbus_channel *it),
	TP_ARGS(it),
	TP_STRUCT__entry(__field(u32, relid)),
	TP_fast_assign(__entry->relid = it->offermsg.child_relid;),
	TP_printk("relid 0x%x", __entry->relid)
);

/* The host has interrupted for it. */
DEFINE_EVENT(vmbus_channel, vmbus_chan_sched,
	TP_PROTO(const struct vmbus_channel *it), TP_ARGS(it));

/* Its tasklet runs. */
DEFINE_EVENT(vmbus_channel, vmbus_on_event,
	TP_PROTO(const struct vmbus_channel *it), TP_ARGS(it));

/* The host is signalled. */
DEFINE_EVENT(vmbus_channel, vmbus_setevent,
	TP_PROTO(const struct vmbus_channel *it), TP_ARGS(it));

/* Answers */

DECLARE_EVENT_CLASS(vmbus_hdr_msg,
	TP_PROTO(const struct vmbus_channel_message_header *it),
	TP_ARGS(it),
	TP_STRUCT__entry(__field(unsigned int, msgtype)),
	TP_fast_assign(__entry->msgtype = it->msgtype;),
	TP_printk("msgtype=%u", __entry->msgtype)
);

/* A message is in its slot: any message. */
DEFINE_EVENT(vmbus_hdr_msg, vmbus_on_msg_dpc,
	TP_PROTO(const struct vmbus_channel_message_header *it), TP_ARGS(it));

/* One that has been queued is handled. */
DEFINE_EVENT(vmbus_hdr_msg, vmbus_on_message,
	TP_PROTO(const struct vmbus_channel_message_header *it), TP_ARGS(it));

TRACE_EVENT(vmbus_onoffer,
	TP_PROTO(const struct vmbus_channel_offer_channel *it),
	TP_ARGS(it),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u8, monitorid)
		__field(u16, is_ddc_int)
		__field(u32, connection_id)
		__array(char, if_type, 16)
		__array(char, if_instance, 16)
		__field(u16, chn_flags)
		__field(u16, mmio_mb)
		__field(u16, sub_idx)
	),
	TP_fast_assign(
		export_guid(__entry->if_type, &it->offer.if_type);
		export_guid(__entry->if_instance, &it->offer.if_instance);
		__entry->chn_flags = it->offer.chn_flags;
		__entry->mmio_mb = it->offer.mmio_megabytes;
		__entry->sub_idx = it->offer.sub_channel_index;
		__entry->child_relid = it->child_relid;
		__entry->monitorid = it->monitorid;
		__entry->is_ddc_int = it->is_dedicated_interrupt;
		__entry->connection_id = it->connection_id;
	),
	TP_printk("child_relid 0x%x, monitorid 0x%x, is_dedicated %d, connection_id 0x%x, if_type %pUl, if_instance %pUl, chn_flags 0x%x, mmio_megabytes %d, sub_channel_index %d",
		  __entry->child_relid, __entry->monitorid, __entry->is_ddc_int,
		  __entry->connection_id, __entry->if_type, __entry->if_instance,
		  __entry->chn_flags, __entry->mmio_mb, __entry->sub_idx)
);

TRACE_EVENT(vmbus_onoffer_rescind,
	TP_PROTO(const struct vmbus_channel_rescind_offer *it),
	TP_ARGS(it),
	TP_STRUCT__entry(__field(u32, child_relid)),
	TP_fast_assign(__entry->child_relid = it->child_relid;),
	TP_printk("child_relid 0x%x", __entry->child_relid)
);

TRACE_EVENT(vmbus_onopen_result,
	TP_PROTO(const struct vmbus_channel_open_result *it),
	TP_ARGS(it),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, openid)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->openid = it->openid;
		__entry->status = it->status;
	),
	TP_printk("child_relid 0x%x, openid %d, status %d",
		  __entry->child_relid, __entry->openid, __entry->status)
);

TRACE_EVENT(vmbus_ongpadl_created,
	TP_PROTO(const struct vmbus_channel_gpadl_created *it),
	TP_ARGS(it),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, gpadl)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->gpadl = it->gpadl;
		__entry->status = it->creation_status;
	),
	TP_printk("child_relid 0x%x, gpadl 0x%x, creation_status %d",
		  __entry->child_relid, __entry->gpadl, __entry->status)
);

TRACE_EVENT(vmbus_ongpadl_torndown,
	TP_PROTO(const struct vmbus_channel_gpadl_torndown *it),
	TP_ARGS(it),
	TP_STRUCT__entry(__field(u32, gpadl)),
	TP_fast_assign(__entry->gpadl = it->gpadl;),
	TP_printk("gpadl 0x%x", __entry->gpadl)
);

TRACE_EVENT(vmbus_onmodifychannel_response,
	TP_PROTO(const struct vmbus_channel_modifychannel_response *it),
	TP_ARGS(it),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->status = it->status;
	),
	TP_printk("child_relid 0x%x, status %d",
		  __entry->child_relid, __entry->status)
);

TRACE_EVENT(vmbus_onversion_response,
	TP_PROTO(const struct vmbus_channel_version_response *it),
	TP_ARGS(it),
	TP_STRUCT__entry(__field(u8, ver)),
	TP_fast_assign(__entry->ver = it->version_supported;),
	TP_printk("version_supported %d", __entry->ver)
);

/* Requests */

TRACE_EVENT(vmbus_negotiate_version,
	TP_PROTO(const struct vmbus_channel_initiate_contact *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, ver)
		__field(u32, target_vcpu)
		__field(int, ret)
		__field(u64, int_page)
		__field(u64, mon_page1)
		__field(u64, mon_page2)
	),
	TP_fast_assign(
		__entry->ver = it->vmbus_version_requested;
		__entry->target_vcpu = it->target_vcpu;
		__entry->int_page = it->interrupt_page;
		__entry->mon_page1 = it->monitor_page1;
		__entry->mon_page2 = it->monitor_page2;
		__entry->ret = ret;
	),
	TP_printk("sending vmbus_version_requested %d, target_vcpu 0x%x, pages %llx:%llx:%llx, ret %d",
		  __entry->ver, __entry->target_vcpu, __entry->int_page,
		  __entry->mon_page1, __entry->mon_page2, __entry->ret)
);

TRACE_EVENT(vmbus_request_offers,
	TP_PROTO(int ret),
	TP_ARGS(ret),
	TP_STRUCT__entry(__field(int, ret)),
	TP_fast_assign(__entry->ret = ret;),
	TP_printk("sending ret %d", __entry->ret)
);

TRACE_EVENT(vmbus_establish_gpadl_header,
	TP_PROTO(const struct vmbus_channel_gpadl_header *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, gpadl)
		__field(u16, range_buflen)
		__field(u16, rangecount)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->gpadl = it->gpadl;
		__entry->range_buflen = it->range_buflen;
		__entry->rangecount = it->rangecount;
		__entry->ret = ret;
	),
	TP_printk("sending child_relid 0x%x, gpadl 0x%x, range_buflen %d rangecount %d, ret %d",
		  __entry->child_relid, __entry->gpadl, __entry->range_buflen,
		  __entry->rangecount, __entry->ret)
);

TRACE_EVENT(vmbus_establish_gpadl_body,
	TP_PROTO(const struct vmbus_channel_gpadl_body *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, msgnumber)
		__field(u32, gpadl)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->msgnumber = it->msgnumber;
		__entry->gpadl = it->gpadl;
		__entry->ret = ret;
	),
	TP_printk("sending msgnumber %d, gpadl 0x%x, ret %d",
		  __entry->msgnumber, __entry->gpadl, __entry->ret)
);

TRACE_EVENT(vmbus_teardown_gpadl,
	TP_PROTO(const struct vmbus_channel_gpadl_teardown *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, gpadl)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->gpadl = it->gpadl;
		__entry->ret = ret;
	),
	TP_printk("sending child_relid 0x%x, gpadl 0x%x, ret %d",
		  __entry->child_relid, __entry->gpadl, __entry->ret)
);

TRACE_EVENT(vmbus_open,
	TP_PROTO(const struct vmbus_channel_open_channel *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, openid)
		__field(u32, gpadlhandle)
		__field(u32, target_vp)
		__field(u32, offset)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->openid = it->openid;
		__entry->gpadlhandle = it->ringbuffer_gpadlhandle;
		__entry->target_vp = it->target_vp;
		__entry->offset = it->downstream_ringbuffer_pageoffset;
		__entry->ret = ret;
	),
	TP_printk("sending child_relid 0x%x, openid %d, gpadlhandle 0x%x, target_vp 0x%x, offset 0x%x, ret %d",
		  __entry->child_relid, __entry->openid, __entry->gpadlhandle,
		  __entry->target_vp, __entry->offset, __entry->ret)
);

TRACE_EVENT(vmbus_close_internal,
	TP_PROTO(const struct vmbus_channel_close_channel *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->ret = ret;
	),
	TP_printk("sending child_relid 0x%x, ret %d",
		  __entry->child_relid, __entry->ret)
);

TRACE_EVENT(vmbus_release_relid,
	TP_PROTO(const struct vmbus_channel_relid_released *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->ret = ret;
	),
	TP_printk("sending child_relid 0x%x, ret %d",
		  __entry->child_relid, __entry->ret)
);

TRACE_EVENT(vmbus_send_modifychannel,
	TP_PROTO(const struct vmbus_channel_modifychannel *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__field(u32, child_relid)
		__field(u32, target_vp)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->child_relid = it->child_relid;
		__entry->target_vp = it->target_vp;
		__entry->ret = ret;
	),
	TP_printk("binding child_relid 0x%x to target_vp 0x%x, ret %d",
		  __entry->child_relid, __entry->target_vp, __entry->ret)
);

TRACE_EVENT(vmbus_send_tl_connect_request,
	TP_PROTO(const struct vmbus_channel_tl_connect_request *it, int ret),
	TP_ARGS(it, ret),
	TP_STRUCT__entry(
		__array(char, guest_id, 16)
		__array(char, host_id, 16)
		__field(int, ret)
	),
	TP_fast_assign(
		export_guid(__entry->guest_id, &it->guest_endpoint_id);
		export_guid(__entry->host_id, &it->host_service_id);
		__entry->ret = ret;
	),
	TP_printk("sending guest_endpoint_id %pUl, host_service_id %pUl, ret %d",
		  __entry->guest_id, __entry->host_id, __entry->ret)
);

#endif /* HV_VMBUS_EVENTS_H */

/* What reads this file again, as often as there are parts of an event. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE events
#include <trace/define_trace.h>
