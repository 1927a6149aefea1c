// SPDX-License-Identifier: GPL-2.0

//! A command whose data is mapped for a device that reads and writes memory by itself.

use super::{
    Command,
    Driver, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref, //
};

/// A [`Command`] whose data the device can reach. Unmapping gives the command back; one that is
/// just dropped is unmapped, and completed as failed.
///
/// # Invariants
///
/// The data of the command is mapped for the device of its host, as `segments` segments.
pub struct Mapped<T: Driver> {
    command: ManuallyDrop<Command<T>>,
    segments: u32,
}

impl<T: Driver> Command<T> {
    /// Maps the data for the device that does DMA for the host. In any context. A command without
    /// data has no segments then.
    ///
    /// # Errors
    ///
    /// The command, if there is no room for the mapping at the moment.
    #[inline]
    pub fn map(self) -> core::result::Result<Mapped<T>, Self> {
        // SAFETY: The command is valid, and its data is not mapped yet: by this there is no
        // other way, and a `Mapped` unmaps it.
        let segments = unsafe { bindings::scsi_dma_map(self.as_raw()) };
        match u32::try_from(segments) {
            // INVARIANT: It was just mapped.
            Ok(segments) => Ok(Mapped {
                command: ManuallyDrop::new(self),
                segments,
            }),
            Err(_) => Err(self),
        }
    }
}

impl<T: Driver> Mapped<T> {
    /// Gives the command back when the device does not use its data any more.
    #[inline]
    pub fn unmap(self) -> Command<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more.
        unsafe { this.take() }
    }

    /// # Safety
    ///
    /// `self` must not be used afterwards, not even be dropped.
    #[inline]
    unsafe fn take(&mut self) -> Command<T> {
        // SAFETY: Mapped by the type invariant.
        unsafe { bindings::scsi_dma_unmap(self.command.as_raw()) };
        // SAFETY: By the safety requirement it is taken only once.
        unsafe { ManuallyDrop::take(&mut self.command) }
    }

    /// The pieces of the data as the device sees them. There may be fewer than the data has in
    /// memory.
    #[inline]
    pub fn segments(&self) -> Segments<'_> {
        let list = self
            .data()
            .map_or(core::ptr::null_mut(), |list| list.as_ptr());
        Segments {
            next: list,
            left: self.segments,
            _command: PhantomData,
        }
    }
}

impl<T: Driver> Deref for Mapped<T> {
    type Target = Command<T>;

    #[inline]
    fn deref(&self) -> &Command<T> {
        &self.command
    }
}

impl<T: Driver> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: `self` is being dropped.
        drop(unsafe { self.take() });
    }
}

/// A piece of memory as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is.
    pub address: u64,
    /// Bytes.
    pub len: u32,
}

/// The segments of a mapped command.
///
/// # Invariants
///
/// `next` is an entry of a mapped scatterlist that is valid during `'a`, with `left` mapped entries
/// from it on; if `left` is not 0.
pub struct Segments<'a> {
    next: *mut bindings::scatterlist,
    left: u32,
    _command: PhantomData<&'a ()>,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    #[inline]
    fn next(&mut self) -> Option<Segment> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: By the type invariant there is an entry, and it is mapped.
        let segment = unsafe {
            Segment {
                address: (*self.next).dma_address,
                len: (*self.next).dma_length,
            }
        };
        if self.left != 0 {
            // SAFETY: By the type invariant there is another one.
            self.next = unsafe { bindings::sg_next(self.next) };
        }
        Some(segment)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Segments<'_> {}
