/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers that the crate guest_bindings is generated from: what the
 * drivers need and kernel::bindings does not have.  bindgen_parameters says
 * which of their items are taken.
 *
 * Sorted alphabetically.
 */

/*
 * First what declares an enum that later headers only name: bindgen would give
 * a forward-declared enum the wrong integer type.
 */
#include <scsi/scsi_device.h>

#include <linux/balloon.h>
#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/hyperv.h>
#include <linux/interrupt.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/panic_notifier.h>
#include <linux/scatterlist.h>
#include <linux/set_memory.h>
#include <linux/syscore_ops.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/vmalloc.h>
#include <linux/vmw_vmci_defs.h>
#include <linux/vmw_vmci_api.h>
#include <linux/workqueue.h>
#include <scsi/scsi.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_common.h>
#include <scsi/scsi_dbg.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_devinfo.h>
#include <scsi/scsi_driver.h>
#include <scsi/scsi_eh.h>
#include <scsi/scsi_host.h>
#include <scsi/scsi_status.h>
#include <scsi/scsi_tcq.h>
#include <scsi/scsi_transport.h>
#include <scsi/scsi_transport_fc.h>
#include <asm/mshyperv.h>
#include <clocksource/hyperv_timer.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ring.h>

/* Constants that bindgen does not see through. */
const gfp_t RUST_CONST_HELPER___GFP_COMP = __GFP_COMP;
const gfp_t RUST_CONST_HELPER___GFP_NOMEMALLOC = __GFP_NOMEMALLOC;
const gfp_t RUST_CONST_HELPER___GFP_NORETRY = __GFP_NORETRY;
const gfp_t RUST_CONST_HELPER_GFP_HIGHUSER = GFP_HIGHUSER;
const gfp_t RUST_CONST_HELPER_GFP_HIGHUSER_MOVABLE = GFP_HIGHUSER_MOVABLE;
const blist_flags_t RUST_CONST_HELPER_BLIST_REPORTLUN2 = BLIST_REPORTLUN2;
const blist_flags_t RUST_CONST_HELPER_BLIST_TRY_VPD_PAGES = BLIST_TRY_VPD_PAGES;
const u32 RUST_CONST_HELPER_VMCI_FLAG_DELAYED_CB = VMCI_FLAG_DELAYED_CB;
const u32 RUST_CONST_HELPER_VMCI_PRIVILEGE_FLAG_RESTRICTED = VMCI_PRIVILEGE_FLAG_RESTRICTED;
