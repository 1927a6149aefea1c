// SPDX-License-Identifier: GPL-2.0

//! The two hypercalls of VMBus: posting a message and signalling an event.
//!
//! A guest that is isolated and has a paravisor calls the host by other means, unless its VMBus
//! is the paravisor's (`confidential`).

use super::{
    page::SharedPage,
    platform, //
};
use crate::bindings;
use core::ptr;
use kernel::types::NotThreadSafe;
use protocol::hyperv::hypercall::{
    PostMessage,
    Status,
    POST_MESSAGE,
    POST_MESSAGE_SIZE,
    SIGNAL_EVENT, //
};

/// Bit of a control word: the input is in registers.
const FAST: u64 = 1 << 16;
/// Bit of a control word: for the hypervisor below a nested one.
const NESTED: u64 = 1 << 31;

/// Interrupts are off as long as this is there.
struct InterruptsOff(usize, NotThreadSafe);

impl InterruptsOff {
    fn new() -> Self {
        // SAFETY: Allowed at any time; undone by the drop, on the same processor.
        Self(unsafe { bindings::local_irq_save() }, NotThreadSafe)
    }
}

impl Drop for InterruptsOff {
    fn drop(&mut self) {
        // SAFETY: The flags are those of when interrupts were turned off.
        unsafe { bindings::local_irq_restore(self.0) };
    }
}

fn status(result: u64) -> Status {
    Status(result as u16)
}

#[inline]
fn is_nested() -> bool {
    // SAFETY: Set at boot and only read since.
    unsafe { bindings::hv_nested }
}

/// Posts a message. `own_page` says where this processor has to put the input, if not in the page
/// that it has for inputs. In any context.
pub fn post_message<'a>(
    message: PostMessage<'_>,
    own_page: impl FnOnce() -> Option<&'a SharedPage>,
    confidential: bool,
) -> Status {
    let mut input = [0; POST_MESSAGE_SIZE];
    if message.encode(&mut input).is_none() {
        return Status::INVALID_PARAMETER;
    }
    let _off = InterruptsOff::new();
    let page = match own_page() {
        Some(page) => page.as_ptr(),
        // SAFETY: The caller stays on this processor while interrupts are off.
        None => unsafe { bindings::hv_input_page() }.cast(),
    };
    if page.is_null() {
        return Status::INVALID_PARAMETER;
    }
    // SAFETY: The page is this processor's and nobody else uses it while interrupts are off.
    unsafe {
        ptr::copy_nonoverlapping(input.as_ptr(), page, input.len());
        status(call_with_page(page, confidential))
    }
}

/// # Safety
///
/// `page` must be a page with the input in it.
unsafe fn call_with_page(page: *mut u8, confidential: bool) -> u64 {
    let page = page.cast();
    // SAFETY: By the safety requirement.
    unsafe {
        if !platform::has_paravisor() || confidential {
            let control = u64::from(POST_MESSAGE) | if is_nested() { NESTED } else { 0 };
            bindings::hv_do_hypercall(control, page, ptr::null_mut())
        } else if bindings::hv_isolation_type_tdx() {
            let address = (bindings::address_to_pfn(page) as u64) << 12;
            bindings::hv_tdx_hypercall(u64::from(POST_MESSAGE), address, 0)
        } else if bindings::hv_isolation_type_snp() {
            let size = POST_MESSAGE_SIZE as u32;
            bindings::hv_ghcb_hypercall(u64::from(POST_MESSAGE), page, ptr::null_mut(), size)
        } else {
            u64::from(Status::INVALID_PARAMETER.0)
        }
    }
}

/// Signals this connection. In any context.
#[inline]
pub fn signal_event(connection: u64) {
    if platform::has_paravisor() {
        return signal_past_paravisor(connection);
    }
    // SAFETY: The input is in a register. There is nothing to be done about a failure.
    unsafe {
        if is_nested() {
            bindings::_hv_do_fast_hypercall8(u64::from(SIGNAL_EVENT) | FAST | NESTED, connection);
        } else {
            bindings::hv_do_fast_hypercall8(SIGNAL_EVENT, connection);
        }
    }
}

#[cold]
fn signal_past_paravisor(connection: u64) {
    // SAFETY: The input is a word that is there during the call, or in a register.
    unsafe {
        if bindings::hv_isolation_type_snp() {
            let mut input = connection;
            let input = (&raw mut input).cast();
            bindings::hv_ghcb_hypercall(u64::from(SIGNAL_EVENT), input, ptr::null_mut(), 8);
        } else if bindings::hv_isolation_type_tdx() {
            bindings::hv_tdx_hypercall(u64::from(SIGNAL_EVENT) | FAST, connection, 0);
        }
    }
}
