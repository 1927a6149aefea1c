// SPDX-License-Identifier: GPL-2.0

//! What kind of guest this is, and what that asks for.
//!
//! C header: `asm/mshyperv.h`

use crate::bindings;

/// Whether the guest's memory is isolated from the host.
pub fn is_isolated() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::hv_is_isolation_supported() }
}

/// Whether a paravisor stands between guest and host.
#[inline]
pub fn has_paravisor() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::hv_paravisor_present() }
}

/// Whether a paravisor offers channels of its own.
pub fn has_confidential_vmbus() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::hv_confidential_vmbus_available() }
}

/// Whether this is the partition that the hypervisor's own devices belong to.
pub fn is_root_partition() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::hv_root_partition() }
}

/// Whether the guest is isolated by TDX.
pub fn is_tdx() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::hv_isolation_type_tdx() }
}

/// The bit that is set in addresses of memory that is shared, or 0.
pub fn shared_address_bit() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::hv_shared_gpa_boundary() }
}

/// The virtual trust level that the guest runs in.
pub fn trust_level() -> u8 {
    // SAFETY: No requirements.
    unsafe { bindings::hv_vtl() }
}

/// What the host calls a processor. The processor must be present.
pub fn virtual_processor(cpu: u32) -> u32 {
    let Ok(cpu) = i32::try_from(cpu) else {
        return 0;
    };
    // SAFETY: The table has an entry for each possible processor.
    unsafe { bindings::hv_cpu_number_to_vp_number(cpu) }
}

/// Whether interrupts of the paravisor's devices pass by the host.
pub fn set_interrupt_proxy(enable: bool) {
    // SAFETY: No requirements.
    unsafe { bindings::hv_para_set_sint_proxy(enable) };
}
