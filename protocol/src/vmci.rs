// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VMCI: the device by which guests of VMware's hypervisors talk to them.
//!
//! A PCI function through which datagrams go. What is here is what a doorbell needs: a
//! guest has the hypervisor tie a handle to a byte of a page of its memory, the
//! notification bitmap; whoever rings the handle has the byte set and an interrupt raised.
//! The source is Linux' driver (`include/linux/vmw_vmci_defs.h`, `drivers/misc/vmw_vmci`).
//!
//! - [`mod@register`]: the BAR of I/O ports;
//! - [`mod@datagram`]: how datagrams begin, and those that the hypervisor itself answers.
//!
//! Not obvious: the bitmap is no bitmap. It has a byte for each doorbell, of which bit 0
//! counts, and its page limits how many doorbells there are.

use crate::hyperv::wire::wire;
use zerocopy::little_endian::U32;

pub mod datagram;
pub mod register;

pub use datagram::{Code, DatagramHeader, Service};

/// The PCI vendor.
pub const VENDOR_ID: u16 = 0x15ad;
/// The PCI device.
pub const DEVICE_ID: u16 = 0x0740;

/// The hypervisor, as the context of a handle.
pub const HYPERVISOR: u32 = 0;
/// The lowest context of a guest: those below are for what is part of a host.
pub const FIRST_GUEST: u32 = 16;

/// How far the address of the notification bitmap is shifted to be the number of its page.
pub const PAGE_SHIFT: u32 = 12;
/// Doorbells that there can be.
pub const DOORBELLS: usize = 4096;
/// What a byte of the notification bitmap is set to.
pub const RUNG: u8 = 1;

/// Somebody who can be talked to: a resource in a context, which is a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The machine.
    pub context: u32,
    /// What of it.
    pub resource: u32,
}

impl Handle {
    /// Nobody.
    pub const INVALID: Self = Self::new(u32::MAX, u32::MAX);

    /// The handle of this resource.
    #[inline]
    pub const fn new(context: u32, resource: u32) -> Self {
        Self { context, resource }
    }

    /// `None` if it is nobody's.
    #[inline]
    pub fn valid(self) -> Option<Self> {
        (self != Self::INVALID).then_some(self)
    }
}

wire! {
    /// A [`Handle`] in a datagram.
    pub struct WireHandle: 8 {
        /// The machine.
        pub context: U32,
        /// What of it.
        pub resource: U32,
    }
}

impl From<WireHandle> for Handle {
    fn from(wire: WireHandle) -> Self {
        Self::new(wire.context.get(), wire.resource.get())
    }
}

impl From<Handle> for WireHandle {
    fn from(handle: Handle) -> Self {
        Self {
            context: handle.context.into(),
            resource: handle.resource.into(),
        }
    }
}
