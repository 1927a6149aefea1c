// SPDX-License-Identifier: GPL-2.0

//! What there is to know of a channel and of a device.

use super::{
    bindings,
    Channel,
    Device, //
};
use core::mem::MaybeUninit;
use kernel::{
    error::to_result,
    prelude::*, //
};
use protocol::vmbus::{
    message::{
        body::{
            MONITOR_ALLOCATED,
            OFFER_SOCKET, //
        },
        Offer, //
    },
    Guid, //
};

/// Bytes of a message before its body.
const HEADER_SIZE: usize = 8;

/// A ring, as it was at some moment.
pub(crate) struct Ring {
    pub(crate) interrupt_mask: u32,
    pub(crate) read_index: u32,
    pub(crate) write_index: u32,
    pub(crate) to_read: u32,
    pub(crate) to_write: u32,
}

/// Something that is counted for each channel.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    Interrupts,
    Signals,
    InboundFull,
    OutboundEmpty,
    FullFirst,
    FullTotal,
}

/// Reads a field that others may be writing.
macro_rules! field {
    ($self:expr, $($field:ident).+) => {{
        let raw = $self.as_raw();
        // SAFETY: There as long as there is a handle. What others write while this is read is one
        // aligned value.
        unsafe { (&raw const (*raw).$($field).+).read() }
    }};
}

impl Channel {
    /// What the host has said when it offered the channel.
    fn offered(self) -> Offer {
        // SAFETY: The field is a whole message: a header and an offer, which has no alignment and
        // of which all bytes are valid.
        unsafe {
            let message = (&raw const (*self.as_raw()).offermsg).cast::<u8>();
            message.add(HEADER_SIZE).cast::<Offer>().read()
        }
    }

    /// The number that host and guest call it by.
    pub(crate) fn relid(self) -> u32 {
        self.offered().relid.get()
    }

    /// How far it is opened (`enum vmbus_channel_state`).
    pub(crate) fn state_number(self) -> u32 {
        field!(self, state)
    }

    /// Which CPU the host interrupts.
    pub(crate) fn target_cpu(self) -> u32 {
        field!(self, target_cpu)
    }

    /// Its place in the monitor pages, if it has one.
    pub(crate) fn monitor_id(self) -> u8 {
        self.offered().monitor_id
    }

    /// Whether it has a place in the monitor pages.
    pub(crate) fn is_monitored(self) -> bool {
        self.offered().monitor_allocated & MONITOR_ALLOCATED != 0
    }

    /// The kind of its device.
    pub(crate) fn class(self) -> Guid {
        self.offered().class
    }

    /// Which one of its kind its device is.
    pub(crate) fn instance(self) -> Guid {
        self.offered().instance
    }

    /// Whether it is one end of a socket, and its device none in earnest.
    pub(crate) fn is_socket(self) -> bool {
        self.offered().flags.get() & OFFER_SOCKET != 0
    }

    /// 0, or which sub-channel it is.
    pub(crate) fn sub_channel_index(self) -> u16 {
        self.offered().sub_channel_index.get()
    }

    /// How often something has happened.
    pub(crate) fn count(self, counter: Counter) -> u64 {
        match counter {
            Counter::Interrupts => field!(self, interrupts),
            Counter::Signals => field!(self, sig_events),
            Counter::InboundFull => field!(self, intr_in_full),
            Counter::OutboundEmpty => field!(self, intr_out_empty),
            Counter::FullFirst => field!(self, out_full_first),
            Counter::FullTotal => field!(self, out_full_total),
        }
    }

    /// The ring to the host. `EINVAL` if there is none now.
    pub(crate) fn outbound(self) -> Result<Ring> {
        // SAFETY: There as long as there is a handle.
        look(unsafe { &raw mut (*self.as_raw()).outbound })
    }

    /// The ring from the host. `EINVAL` if there is none now.
    pub(crate) fn inbound(self) -> Result<Ring> {
        // SAFETY: As above.
        look(unsafe { &raw mut (*self.as_raw()).inbound })
    }
}

fn look(ring: *mut bindings::hv_ring_buffer_info) -> Result<Ring> {
    let mut info = MaybeUninit::<bindings::hv_ring_buffer_debug_info>::zeroed();
    // SAFETY: The ring is part of a channel, whose lock keeps its memory during the call.
    to_result(unsafe { bindings::hv_ringbuffer_get_debuginfo(ring, info.as_mut_ptr()) })?;
    // SAFETY: Five integers, zeroed.
    let info = unsafe { info.assume_init() };
    Ok(Ring {
        interrupt_mask: info.current_interrupt_mask,
        read_index: info.current_read_index,
        write_index: info.current_write_index,
        to_read: info.bytes_avail_toread,
        to_write: info.bytes_avail_towrite,
    })
}

impl Device {
    /// Its first channel.
    pub(crate) fn channel(self) -> Channel {
        let channel = field!(self, channel);
        // SAFETY: Set by `create`, with a reference that goes with the device.
        unsafe { Channel::from_valid(channel) }
    }

    /// Its kind.
    pub(crate) fn class(self) -> Guid {
        Guid(field!(self, dev_type.b))
    }

    /// Microsoft's number, as PCI has it.
    pub(crate) fn vendor(self) -> u16 {
        field!(self, vendor_id)
    }

    /// The number of its kind among those that the bus knows.
    pub(crate) fn id(self) -> u16 {
        field!(self, device_id)
    }

    /// What the driver core has of it.
    pub(super) fn generic(self) -> *mut bindings::device {
        // SAFETY: There as long as there is a handle.
        unsafe { &raw mut (*self.as_raw()).device }
    }
}
