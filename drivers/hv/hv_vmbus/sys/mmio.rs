// SPDX-License-Identifier: GPL-2.0

//! The functions by which drivers get addresses for registers.

use super::{
    bindings,
    resource, //
};
use crate::device::mmio;
use kernel::{
    error::from_result,
    prelude::*, //
};
use protocol::vmbus::mmio::{
    Span,
    Wish, //
};

/// Gives a driver `size` addresses between `min` and `max`.
///
/// # Safety
///
/// `device` must be a device of this bus, there until what `new` is set to is freed again.
#[no_mangle]
unsafe extern "C" fn vmbus_allocate_mmio(
    new: *mut *mut bindings::resource,
    device: *mut bindings::hv_device,
    min: bindings::resource_size_t,
    max: bindings::resource_size_t,
    size: bindings::resource_size_t,
    align: bindings::resource_size_t,
    over_framebuffer: bool,
) -> c_int {
    let within = Span {
        first: min,
        last: max,
    };
    let wish = Wish {
        within,
        size,
        align,
    };
    from_result(|| {
        // SAFETY: By the safety requirement.
        let name = unsafe { bindings::dev_name(&raw const (*device).device) };
        let claimed = mmio::allocate(wish, over_framebuffer, |place| {
            // SAFETY: The name of the device, which is there by the safety requirement.
            unsafe { resource::claim_memory(place, name) }
        })?;
        // SAFETY: By the safety requirement.
        unsafe { *new = claimed.as_ptr() };
        Ok(0)
    })
}

/// Takes back what `vmbus_allocate_mmio()` gave.
#[no_mangle]
extern "C" fn vmbus_free_mmio(start: bindings::resource_size_t, size: bindings::resource_size_t) {
    if let Some(place) = Span::sized(start, size) {
        mmio::free(place);
    }
}
