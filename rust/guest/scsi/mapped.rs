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
/// The data of the command is mapped for the device of its host, as `segments` segments: by
/// `dma_map_phys()` if its list has one entry, by `scsi_dma_map()` if it has more. Either way the
/// list has the addresses.
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
        let segments = match self.entries() {
            0 => Some(0),
            // SAFETY: The command has one entry, which is not mapped yet: by this there is no other
            // way, and a `Mapped` unmaps it.
            1 => unsafe { map_one(self.as_raw()) },
            // SAFETY: The command is valid, and its data is not mapped yet, as above.
            _ => u32::try_from(unsafe { bindings::scsi_dma_map(self.as_raw()) }).ok(),
        };
        match segments {
            // INVARIANT: It was just mapped.
            Some(segments) => Ok(Mapped {
                command: ManuallyDrop::new(self),
                segments,
            }),
            None => Err(self),
        }
    }

    /// How many entries the list of the data has.
    #[inline]
    fn entries(&self) -> u32 {
        // SAFETY: A command is valid by its invariant; nobody changes the data while the driver has
        // it.
        unsafe { (*self.as_raw()).sdb.table.nents }
    }
}

/// Maps the only entry of a command's data. What `scsi_dma_map()` does, without the way through lists.
///
/// # Safety
///
/// `cmd` must be a valid command of a driver that has it, whose data has one entry, which is not
/// mapped.
#[inline]
unsafe fn map_one(cmd: *mut bindings::scsi_cmnd) -> Option<u32> {
    // SAFETY: By the safety requirement there is an entry, and it is the driver's; a host has a
    // device that does DMA for it for as long as it has commands.
    unsafe {
        let dev = (*(*(*cmd).device).host).dma_dev;
        let entry = (*cmd).sdb.table.sgl;
        let (len, direction) = ((*entry).length, (*cmd).sc_data_direction);
        let address =
            bindings::dma_map_phys(dev, bindings::sg_phys(entry), len as usize, direction, 0);
        if bindings::dma_mapping_error(dev, address) != 0 {
            return None;
        }
        (*entry).dma_address = address;
        (*entry).dma_length = len;
    }
    Some(1)
}

/// Undoes [`map_one`], or `scsi_dma_map()`, if there is anything to undo.
///
/// # Safety
///
/// `cmd` must be a valid command with data, which is mapped as the invariant of [`Mapped`] says, and
/// which the device does not use any more.
#[inline]
unsafe fn unmap(cmd: *mut bindings::scsi_cmnd) {
    // SAFETY: As in `map_one`.
    let dev = unsafe { (*(*(*cmd).device).host).dma_dev };
    // SAFETY: The device is valid, as long as the host has commands.
    if !unsafe { is_plain(dev) } {
        // SAFETY: By the safety requirement; the device is that of the command.
        unsafe { undo(cmd, dev) };
    }
}

/// # Safety
///
/// As that of [`unmap`]. `dev` must be the device that does DMA for the command's host.
#[inline(never)]
unsafe fn undo(cmd: *mut bindings::scsi_cmnd, dev: *mut bindings::device) {
    // SAFETY: Mapped by the safety requirement, in the one way or the other.
    unsafe {
        if (*cmd).sdb.table.nents != 1 {
            return bindings::scsi_dma_unmap(cmd);
        }
        let entry = (*cmd).sdb.table.sgl;
        let (address, len) = ((*entry).dma_address, (*entry).dma_length);
        bindings::dma_unmap_phys(dev, address, len as usize, (*cmd).sc_data_direction, 0);
    }
}

/// Whether all mappings that there are for a device were but numbers, and are forgotten without a
/// word. The kernel says so; it asks to be asked after the mapping was made.
///
/// # Safety
///
/// `dev` must be a valid device.
#[inline]
unsafe fn is_plain(dev: *mut bindings::device) -> bool {
    #[cfg(CONFIG_DMA_NEED_SYNC)]
    {
        // SAFETY: By the safety requirement.
        unsafe { !bindings::dma_need_unmap(dev) }
    }
    #[cfg(not(CONFIG_DMA_NEED_SYNC))]
    {
        let _ = dev;
        false
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
        if self.segments != 0 {
            // SAFETY: Mapped by the type invariant, and who gives this away does not let the device
            // use it any more.
            unsafe { unmap(self.command.as_raw()) };
        }
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
