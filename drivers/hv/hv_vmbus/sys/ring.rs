// SPDX-License-Identifier: GPL-2.0

//! The rings of a channel, as the kernel's structures have them.
//!
//! Drivers look into `struct hv_ring_buffer_info` and into the control page themselves (flow
//! control, the interrupt mask), so what a ring knows is kept there. Data is mapped twice, one
//! behind the other, so that no packet has to be split. Indices come from memory that the host
//! writes: each is read once, and checked by [`crate::bus::ring`].

use super::{
    bindings,
    Channel, //
};
use crate::bus::ring::{
    Indices,
    Judged, //
};
use core::ptr::{
    self,
    NonNull, //
};
use guest::hyperv::page::Memory;
use kernel::prelude::*;
use protocol::{
    hyperv::shared::Shared,
    vmbus::ring::control::{
        DATA,
        FEATURES,
        FEATURE_PENDING_SEND_SIZE,
        INTERRUPT_MASK,
        PENDING_SEND_SIZE,
        READ_INDEX,
        TRAILER_SIZE,
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

/// The ring to the host.
#[derive(Clone, Copy)]
pub(crate) struct Outbound {
    ring: Ring,
    channel: Channel,
}

/// A packet in parts, which are written one behind the other, and its flags.
pub(crate) struct Parts<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) padding: usize,
    pub(crate) flags: u16,
}

impl Parts<'_> {
    fn len(&self) -> Option<u32> {
        let len = self.head.len().checked_add(self.body.len())?;
        u32::try_from(len.checked_add(self.padding)?).ok()
    }
}

impl Outbound {
    #[inline]
    pub(crate) fn of(channel: Channel) -> Self {
        Self {
            ring: Ring {
                // SAFETY: A field of a valid channel.
                info: unsafe { &raw mut (*channel.as_raw()).outbound },
            },
            channel,
        }
    }

    /// Writes a packet, and signals the host if it has to. The transaction id is `request`, or
    /// what the channel's driver makes of that. In any context.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is no room now, `ENODEV` if the channel was taken away, `EIO` if the host
    /// has broken the ring.
    ///
    /// # Safety
    ///
    /// The channel must be open, and stay so.
    #[inline]
    pub(crate) unsafe fn write(self, parts: &Parts<'_>, request: u64) -> Result<u64> {
        if self.channel.is_rescinded() {
            return Err(ENODEV);
        }
        let needed = parts.len().and_then(|len| len.checked_add(TRAILER_SIZE));
        let needed = needed.ok_or(EAGAIN)?;
        // SAFETY: By the safety requirement; the lock is taken and released here.
        let (id, old_write) = unsafe {
            let lock = &raw mut (*self.ring.info).ring_lock;
            let flags = bindings::spin_lock_irqsave(lock);
            let result = self.write_locked(parts, request, needed);
            bindings::spin_unlock_irqrestore(lock, flags);
            result?
        };
        // SAFETY: As above.
        unsafe { self.signal_if_needed(old_write) };
        if !self.channel.is_rescinded() {
            return Ok(id);
        }
        // SAFETY: As above.
        unsafe { self.give_back(parts, id) };
        Err(ENODEV)
    }

    /// # Safety
    ///
    /// As for [`Outbound::write`], and the lock must be the caller's.
    #[inline]
    unsafe fn write_locked(
        self,
        parts: &Parts<'_>,
        request: u64,
        needed: u32,
    ) -> Result<(u64, u32)> {
        // SAFETY: By the safety requirement.
        unsafe {
            let control = self.ring.control().ok_or(ENODEV)?;
            let indices = Indices {
                read: control.load_acquire(READ_INDEX),
                write: control.load(WRITE_INDEX),
                size: self.ring.size(),
            };
            let Some(free) = indices.free() else {
                return Err(self.broken(indices));
            };
            let raw = self.channel.as_raw();
            if free <= needed {
                self.count_full();
                return Err(EAGAIN);
            }
            (*raw).out_full_flag = false;
            let start = self.ring.data(indices.write);
            self.copy(start, parts);
            // From here on the answer may come: what belongs to the request is in place.
            let id = self.transaction(parts, request)?;
            start.add(TRANSACTION).cast::<u64>().write_volatile(id);
            let trailer = start.add((needed - TRAILER_SIZE) as usize).cast::<u64>();
            trailer.write_volatile(u64::from(indices.write) << 32);
            control.store_release(WRITE_INDEX, indices.after(needed));
            Ok((id, indices.write))
        }
    }

    /// # Safety
    ///
    /// There must be room for the packet.
    #[inline]
    unsafe fn copy(self, start: *mut u8, parts: &Parts<'_>) {
        // SAFETY: By the safety requirement; the data is mapped twice.
        unsafe {
            ptr::copy_nonoverlapping(parts.head.as_ptr(), start, parts.head.len());
            let body = start.add(parts.head.len());
            ptr::copy_nonoverlapping(parts.body.as_ptr(), body, parts.body.len());
            ptr::write_bytes(body.add(parts.body.len()), 0, parts.padding);
        }
    }

    /// # Safety
    ///
    /// The channel must be valid.
    #[inline]
    unsafe fn transaction(self, parts: &Parts<'_>, request: u64) -> Result<u64> {
        if parts.flags != WANTS_COMPLETION {
            return Ok(request);
        }
        // SAFETY: By the safety requirement; the driver has set the callback.
        unsafe {
            let Some(next) = (*self.channel.as_raw()).next_request_id_callback else {
                return Ok(request);
            };
            match next(self.channel.as_raw(), request) {
                REQUEST_ERROR => Err(EAGAIN),
                NO_REQUESTOR => Ok(request),
                id => Ok(id),
            }
        }
    }

    /// Takes a request that the host will not answer out of the driver's table.
    ///
    /// # Safety
    ///
    /// The channel must be valid.
    #[cold]
    unsafe fn give_back(self, parts: &Parts<'_>, id: u64) {
        let raw = self.channel.as_raw();
        // SAFETY: By the safety requirement; the driver has set the callbacks.
        unsafe {
            let has_table = (*raw).next_request_id_callback.is_some() && (*raw).rqstor_size != 0;
            if parts.flags != WANTS_COMPLETION || !has_table {
                return;
            }
            if let Some(forget) = (*raw).request_addr_callback {
                forget(raw, id);
            }
        }
    }

    /// # Safety
    ///
    /// The lock must be the caller's.
    unsafe fn count_full(self) {
        let raw = self.channel.as_raw();
        // SAFETY: By the safety requirement.
        unsafe {
            (*raw).out_full_total = (*raw).out_full_total.wrapping_add(1);
            if !(*raw).out_full_flag {
                (*raw).out_full_flag = true;
                (*raw).out_full_first = (*raw).out_full_first.wrapping_add(1);
            }
        }
    }

    #[cold]
    fn broken(self, indices: Indices) -> Error {
        crate::bus::complain(|| {
            pr_err!(
                "channel {}: the host has broken the ring to it: read {}, write {} of {}\n",
                self.channel.relid_now(),
                indices.read,
                indices.write,
                indices.size
            );
        });
        EIO
    }

    /// # Safety
    ///
    /// The channel must be open.
    #[inline]
    unsafe fn signal_if_needed(self, old_write: u32) {
        // SAFETY: By the safety requirement.
        let Some(control) = (unsafe { self.ring.control() }) else {
            return;
        };
        control.fence();
        // The host looks once more after it has cleared the mask, and expects a signal only if
        // the ring was empty.
        if control.load(INTERRUPT_MASK) != 0 || control.load_acquire(READ_INDEX) != old_write {
            return;
        }
        let raw = self.channel.as_raw();
        // SAFETY: A valid channel; the counter is only for reading.
        unsafe { (*raw).intr_out_empty = (*raw).intr_out_empty.wrapping_add(1) };
        self.channel.signal();
    }
}

/// The ring from the host.
#[derive(Clone, Copy)]
pub(crate) struct Inbound {
    ring: Ring,
    channel: Channel,
}

impl Inbound {
    #[inline]
    pub(crate) fn of(channel: Channel) -> Self {
        Self {
            ring: Ring {
                // SAFETY: A field of a valid channel.
                info: unsafe { &raw mut (*channel.as_raw()).inbound },
            },
            channel,
        }
    }

    /// Tells the host that no signal is needed.
    ///
    /// # Safety
    ///
    /// The channel must be open, and stay so.
    #[inline]
    pub(crate) unsafe fn mask(self) {
        // SAFETY: By the safety requirement.
        if let Some(control) = unsafe { self.ring.control() } {
            control.store(INTERRUPT_MASK, 1);
            control.fence();
        }
    }

    /// Tells the host that signals are needed. Says whether something has come before that.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::mask`].
    #[inline]
    pub(crate) unsafe fn unmask(self) -> bool {
        // SAFETY: By the safety requirement.
        let Some(control) = (unsafe { self.ring.control() }) else {
            return false;
        };
        control.store(INTERRUPT_MASK, 0);
        control.fence();
        control.load_acquire(READ_INDEX) != control.load(WRITE_INDEX)
    }

    /// The packet that is next, copied out of the ring, or null. What makes no sense is left out.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::mask`], and nobody else may read from the channel.
    #[inline]
    pub(crate) unsafe fn first(self) -> *mut bindings::vmpacket_descriptor {
        for _ in 0..MOST_SKIPS {
            // SAFETY: By the safety requirement.
            unsafe {
                let Some((indices, start, word, judged)) = self.look_at_first() else {
                    break;
                };
                match judged {
                    Judged::Good { len } => return self.copy_out(start, word, len),
                    bad if !self.skip(indices, bad) => break,
                    _ => {}
                }
            }
        }
        ptr::null_mut()
    }

    /// The first word of what is there, and what is to be thought of it.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`].
    #[inline]
    unsafe fn look_at_first(self) -> Option<(Indices, *const u8, u64, Judged)> {
        // SAFETY: By the safety requirement.
        unsafe {
            let control = self.ring.control()?;
            let indices = Indices {
                read: (*self.ring.info).priv_read_index,
                write: control.load_acquire(WRITE_INDEX),
                size: self.ring.size(),
            };
            let available = indices.used();
            if available.is_some_and(|available| available < DESCRIPTOR) {
                return None;
            }
            let start = self.ring.data(indices.read).cast_const();
            let word = u64::from_le(start.cast::<u64>().read_volatile());
            let judged = Judged::new(available, word, (*self.ring.info).pkt_buffer_size);
            Some((indices, start, word, judged))
        }
    }

    /// # Safety
    ///
    /// There must be that many bytes in the ring, and room for them.
    #[inline]
    unsafe fn copy_out(
        self,
        start: *const u8,
        word: u64,
        len: u32,
    ) -> *mut bindings::vmpacket_descriptor {
        // SAFETY: By the safety requirement. The host may change what is copied meanwhile, but
        // for the first word, which is the one that was checked.
        unsafe {
            let copy = (*self.ring.info).pkt_buffer.cast::<u8>();
            ptr::copy_nonoverlapping(start.add(8), copy.add(8), len as usize - 8);
            copy.cast::<u64>().write_unaligned(word.to_le());
            copy.cast()
        }
    }

    /// Leaves out what makes no sense, so that the ring goes on behind it, if that is possible.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`].
    #[cold]
    unsafe fn skip(self, indices: Indices, bad: Judged) -> bool {
        crate::bus::complain(|| {
            pr_err!(
                "channel {}: a packet at {} makes no sense: {:?}, write {} of {}\n",
                self.channel.relid_now(),
                indices.read,
                bad,
                indices.write,
                indices.size
            );
        });
        let next = match bad {
            Judged::TooLong { len } => indices.read_after(len + TRAILER_SIZE),
            Judged::Nonsense => indices.write,
            Judged::BadIndex | Judged::Good { .. } => return false,
        };
        // SAFETY: By the safety requirement.
        unsafe {
            (*self.ring.info).priv_read_index = next;
            self.release();
        }
        true
    }

    /// The packet behind `packet`, or null.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`], and `packet` must be what that has returned.
    #[inline]
    pub(crate) unsafe fn next(
        self,
        packet: *const bindings::vmpacket_descriptor,
    ) -> *mut bindings::vmpacket_descriptor {
        // SAFETY: By the safety requirement.
        unsafe {
            let len = u32::from((*packet).len8) << 3;
            let indices = Indices {
                read: (*self.ring.info).priv_read_index,
                write: 0,
                size: self.ring.size(),
            };
            (*self.ring.info).priv_read_index = indices.read_after(len + TRAILER_SIZE);
            self.first()
        }
    }

    /// Gives the room of all that was read back to the host, and tells it if it waits for that.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`].
    #[inline]
    pub(crate) unsafe fn release(self) {
        // SAFETY: By the safety requirement.
        unsafe {
            let Some(control) = self.ring.control() else {
                return;
            };
            let read = (*self.ring.info).priv_read_index;
            // The guest is the only one to write it, so that a wrong value only misleads the
            // host.
            let before = control.load(READ_INDEX);
            control.store_release(READ_INDEX, read);
            if control.load(FEATURES) & FEATURE_PENDING_SEND_SIZE == 0 {
                return;
            }
            control.fence();
            let wanted = control.load_acquire(PENDING_SEND_SIZE);
            if wanted == 0 {
                return;
            }
            let indices = Indices {
                read,
                write: control.load(WRITE_INDEX),
                size: self.ring.size(),
            };
            if indices.host_waits(before, wanted) {
                let raw = self.channel.as_raw();
                (*raw).intr_in_full = (*raw).intr_in_full.wrapping_add(1);
                self.channel.signal();
            }
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
