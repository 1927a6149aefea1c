// SPDX-License-Identifier: GPL-2.0

//! The ring to the host.

use super::{
    Ring,
    NO_REQUESTOR,
    REQUEST_ERROR,
    TRANSACTION,
    WANTS_COMPLETION, //
};
use crate::{
    bus::ring::Indices,
    sys::{
        bindings,
        Channel, //
    }, //
};
use core::ptr;
use kernel::prelude::*;
use protocol::{
    hyperv::shared::Shared,
    vmbus::ring::control::{
        INTERRUPT_MASK,
        READ_INDEX,
        TRAILER_SIZE,
        WRITE_INDEX, //
    }, //
};

/// The ring to the host.
#[derive(Clone, Copy)]
pub(crate) struct Outbound {
    ring: Ring,
    channel: Channel,
}

/// A packet in parts, which are written one behind the other, and its flags. `len` is how long
/// they are, all three.
pub(crate) struct Parts<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) padding: usize,
    pub(crate) len: u32,
    pub(crate) flags: u16,
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
    #[inline(always)] // Each packet's way, and both callers know much of the parts.
    pub(crate) unsafe fn write(self, parts: &Parts<'_>, request: u64) -> Result<u64> {
        if self.channel.is_rescinded() {
            return Err(ENODEV);
        }
        let needed = parts.len.checked_add(TRAILER_SIZE).ok_or(EAGAIN)?;
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
    #[inline(always)] // As for `write`.
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
            if parts.padding != 0 {
                ptr::write_bytes(body.add(parts.body.len()), 0, parts.padding);
            }
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
