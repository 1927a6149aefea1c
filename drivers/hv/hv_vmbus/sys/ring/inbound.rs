// SPDX-License-Identifier: GPL-2.0

//! The ring from the host.

use super::{
    Ring,
    DESCRIPTOR,
    MOST_SKIPS, //
};
use crate::{
    bus::ring::{
        Indices,
        Judged, //
    },
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
        FEATURES,
        FEATURE_PENDING_SEND_SIZE,
        INTERRUPT_MASK,
        PENDING_SEND_SIZE,
        READ_INDEX,
        TRAILER_SIZE,
        WRITE_INDEX, //
    }, //
};

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

    /// Tells the host that signals are needed. Says whether a packet has come before that, by what
    /// [`Inbound::first`] goes by: if that finds nothing there is no use in looking again.
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
        // SAFETY: As above.
        match unsafe { self.indices() } {
            Some(indices) if indices.read != indices.write => self.holds_packet(indices),
            _ => false,
        }
    }

    /// Whether there is a packet in a ring that is not empty.
    #[inline(never)]
    fn holds_packet(self, indices: Indices) -> bool {
        let has_packet = indices.has_packet() == Some(true);
        if !has_packet {
            self.complain_of(indices);
        }
        has_packet
    }

    #[cold]
    fn complain_of(self, indices: Indices) {
        crate::bus::complain(|| {
            pr_err!(
                "channel {}: nothing can be read at {}, write {} of {}\n",
                self.channel.relid_now(),
                indices.read,
                indices.write,
                indices.size
            );
        });
    }

    /// The packet that is next, copied out of the ring, or null. What makes no sense is left out.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::mask`], and nobody else may read from the channel.
    #[inline]
    pub(crate) unsafe fn first(self) -> *mut bindings::vmpacket_descriptor {
        self.channel.delay_packet();
        // SAFETY: By the safety requirement.
        unsafe {
            let Some(indices) = self.indices() else {
                return ptr::null_mut();
            };
            match indices.used() {
                Some(available) if available < DESCRIPTOR => ptr::null_mut(),
                Some(available) => self.take_first(indices.read, available),
                None => self.first_behind(indices, Judged::BadIndex),
            }
        }
    }

    /// The packet that is first of what is there: that many bytes, from `read` on.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`], and this must be what is there.
    #[inline(never)] // That there is nothing is found out in a few instructions.
    unsafe fn take_first(self, read: u32, available: u32) -> *mut bindings::vmpacket_descriptor {
        // SAFETY: By the safety requirement.
        unsafe {
            let (start, word, judged) = self.judge(read, available);
            if let Judged::Good { len } = judged {
                return self.copy_out(start, word, len);
            }
            let mut indices = Indices {
                read,
                write: read,
                size: self.ring.size(),
            };
            indices.write = indices.after(available);
            self.first_behind(indices, judged)
        }
    }

    /// The packet that is next behind what makes no sense.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`].
    #[cold]
    #[inline(never)]
    unsafe fn first_behind(
        self,
        mut indices: Indices,
        mut bad: Judged,
    ) -> *mut bindings::vmpacket_descriptor {
        for _ in 0..MOST_SKIPS {
            // SAFETY: By the safety requirement.
            unsafe {
                if !self.skip(indices, bad) {
                    break;
                }
                let Some(next) = self.indices() else {
                    break;
                };
                indices = next;
                bad = match next.used() {
                    Some(available) if available < DESCRIPTOR => break,
                    Some(available) => {
                        let (start, word, judged) = self.judge(next.read, available);
                        if let Judged::Good { len } = judged {
                            return self.copy_out(start, word, len);
                        }
                        judged
                    }
                    None => Judged::BadIndex,
                };
            }
        }
        ptr::null_mut()
    }

    /// Where the ring stands.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`].
    #[inline]
    unsafe fn indices(self) -> Option<Indices> {
        // SAFETY: By the safety requirement.
        unsafe {
            let control = self.ring.control()?;
            Some(Indices {
                read: (*self.ring.info).priv_read_index,
                write: control.load_acquire(WRITE_INDEX),
                size: self.ring.size(),
            })
        }
    }

    /// Where the packet at `read` is, its first word, and what is to be thought of it.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::take_first`].
    #[inline]
    unsafe fn judge(self, read: u32, available: u32) -> (*const u8, u64, Judged) {
        // SAFETY: By the safety requirement. The index for reading is the guest's own.
        unsafe {
            let start = self.ring.data(read).cast_const();
            let word = u64::from_le(start.cast::<u64>().read_volatile());
            let judged = Judged::new(available, word, (*self.ring.info).pkt_buffer_size);
            (start, word, judged)
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
            if wanted != 0 {
                self.tell_of_room(control.load(WRITE_INDEX), read, before, wanted);
            }
        }
    }

    /// Tells a host that waits for more than `wanted` bytes of room, if it has them only since the
    /// index for reading is not `before` any more.
    ///
    /// # Safety
    ///
    /// As for [`Inbound::first`].
    #[cold]
    #[inline(never)]
    unsafe fn tell_of_room(self, write: u32, read: u32, before: u32, wanted: u32) {
        // SAFETY: By the safety requirement.
        unsafe {
            let size = self.ring.size();
            if (Indices { read, write, size }).host_waits(before, wanted) {
                let raw = self.channel.as_raw();
                (*raw).intr_in_full = (*raw).intr_in_full.wrapping_add(1);
                self.channel.signal();
            }
        }
    }
}
