// SPDX-License-Identifier: GPL-2.0

//! The rings of a channel, as the kernel's structures have them.
//!
//! Drivers look into `struct hv_ring_buffer_info` and into the control page themselves (flow
//! control, the interrupt mask), so what a ring knows is kept there. Data is mapped twice, one
//! behind the other, so that no packet has to be split. Indices come from memory that the host
//! writes: each is read once, and checked by [`crate::bus::ring`].

mod inbound;
mod outbound;

pub(crate) use inbound::Inbound;
pub(crate) use outbound::{
    Outbound,
    Parts, //
};

use super::bindings;
use crate::bus::ring::Indices;
use core::ptr::NonNull;
use guest::hyperv::page::Memory;
use protocol::{
    hyperv::shared::Shared,
    vmbus::ring::control::{
        DATA,
        INTERRUPT_MASK,
        READ_INDEX,
        WRITE_INDEX, //
    }, //
};

/// Bytes of a packet's descriptor.
pub(crate) const DESCRIPTOR: u32 = 16;
/// Where its transaction id is.
const TRANSACTION: usize = 8;
/// How much that makes no sense is left out at a time.
const MOST_SKIPS: u32 = 1000;
/// Flag of a packet: it is to be answered.
const WANTS_COMPLETION: u16 = 1;
/// There is no table of requests.
pub(crate) const NO_REQUESTOR: u64 = u64::MAX;
/// There is no place in the table, or nothing in the place.
pub(crate) const REQUEST_ERROR: u64 = u64::MAX - 1;

type Info = bindings::hv_ring_buffer_info;

/// What both rings have.
#[derive(Clone, Copy)]
struct Ring {
    info: *mut Info,
}

impl Ring {
    /// The control page.
    ///
    /// # Safety
    ///
    /// The ring must be mapped, and stay so for the lifetime.
    #[inline]
    unsafe fn control<'a>(self) -> Option<Memory<'a>> {
        // SAFETY: By the safety requirement.
        unsafe {
            let base = NonNull::new((*self.info).ring_buffer.cast::<u8>())?;
            Some(Memory::new(base, DATA))
        }
    }

    /// # Safety
    ///
    /// As for [`Ring::control`].
    #[inline]
    unsafe fn size(self) -> u32 {
        // SAFETY: Set when the ring was mapped.
        unsafe { (*self.info).ring_datasize }
    }

    /// # Safety
    ///
    /// As for [`Ring::control`], and `index` must be below the size.
    #[inline]
    unsafe fn data(self, index: u32) -> *mut u8 {
        // SAFETY: The data follows the control page.
        unsafe {
            (*self.info)
                .ring_buffer
                .cast::<u8>()
                .add(DATA as usize + index as usize)
        }
    }
}

/// What there is to see of a ring, if it is mapped.
///
/// # Safety
///
/// The ring must stay mapped during the call, if it is.
pub(super) unsafe fn look(info: *mut Info) -> Option<bindings::hv_ring_buffer_debug_info> {
    let ring = Ring { info };
    // SAFETY: By the safety requirement.
    let (control, size) = unsafe { (ring.control()?, ring.size()) };
    let indices = Indices {
        read: control.load(READ_INDEX),
        write: control.load(WRITE_INDEX),
        size,
    };
    Some(bindings::hv_ring_buffer_debug_info {
        current_interrupt_mask: control.load(INTERRUPT_MASK),
        current_read_index: indices.read,
        current_write_index: indices.write,
        bytes_avail_toread: indices.used().unwrap_or(0),
        bytes_avail_towrite: indices.free().unwrap_or(0),
    })
}
