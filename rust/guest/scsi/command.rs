// SPDX-License-Identifier: GPL-2.0

//! A command that the driver has to carry out.

use super::{
    result::combine,
    Driver,
    HostByte,
    Status, //
};
use crate::{
    bindings,
    word::Word, //
};
use core::{
    marker::PhantomData,
    mem::{
        align_of,
        size_of,
        ManuallyDrop, //
    },
    ptr::NonNull,
    slice, //
};
use kernel::prelude::*;

/// What is behind each `struct scsi_cmnd`: the wrapper's own, then the driver's private data.
///
/// All zeros, as the block layer allocates it, is a valid slot.
///
/// # Invariants
///
/// `owned` is not 0 if and only if a [`Command`] exists for the command, perhaps as a raw pointer.
/// `private` is accessed by that alone.
#[repr(C)]
pub(super) struct Slot<P> {
    owned: Word,
    tag: Word,
    private: P,
}

impl<P> Slot<P> {
    /// The room that the SCSI layer has to leave behind each command.
    pub(super) const SIZE: usize = {
        // A `struct scsi_cmnd` is as aligned as a pointer, and so is its end.
        assert!(align_of::<Self>() <= align_of::<usize>());
        // What the SCSI layer puts behind the slot has to be aligned as well.
        size_of::<Self>().next_multiple_of(align_of::<usize>())
    };

    /// The slot of a command.
    ///
    /// # Safety
    ///
    /// `cmd` must be a valid command of a host whose template has the size of this slot.
    #[inline]
    pub(super) unsafe fn of(cmd: *mut bindings::scsi_cmnd) -> *mut Self {
        // SAFETY: The slot is in the same allocation, behind the command.
        unsafe { cmd.add(1).cast() }
    }

    /// The tag of the command, if the driver has it.
    pub(super) fn tag_if_owned(owned: &Word, tag: &Word) -> Option<u32> {
        (owned.load_acquire() != 0).then(|| tag.load_acquire())
    }

    /// The two fields that anyone may look at.
    ///
    /// # Safety
    ///
    /// `slot` must be a valid slot for `'a`.
    pub(super) unsafe fn header<'a>(slot: *mut Self) -> (&'a Word, &'a Word) {
        // SAFETY: Valid by the requirement, and atomic.
        unsafe { (&(*slot).owned, &(*slot).tag) }
    }
}

/// Which logical unit of which target a command is for, in the integers of the SCSI layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The bus, of those that the host has.
    pub channel: u32,
    /// The target.
    pub id: u32,
    /// The logical unit number, with the address method in it.
    pub lun: u64,
}

impl Unit {
    /// The first unit of the first target of the first bus.
    pub const FIRST: Self = Self {
        channel: 0,
        id: 0,
        lun: 0,
    };

    /// # Safety
    ///
    /// `cmd` must be a valid command.
    #[inline]
    pub(super) unsafe fn of(cmd: *mut bindings::scsi_cmnd) -> Self {
        // SAFETY: A valid command has a device, for which it holds a reference.
        let (channel, id, lun) = unsafe {
            let sdev = (*cmd).device;
            ((*sdev).channel, (*sdev).id, (*sdev).lun)
        };
        Self { channel, id, lun }
    }
}

/// Room for a command descriptor block.
pub const CDB_ROOM: usize = 32;

/// Which way the data of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// There is none.
    None,
    /// To the device.
    Out,
    /// From the device.
    In,
    /// Both ways, which no command in use does.
    Both,
}

/// A command that the driver has to carry out.
///
/// Whoever has it must get rid of it, in one of three ways: [`complete`](Command::complete) it,
/// hand it to a device queue that will return it, or, in `queue_command` only, refuse it with
/// [`busy`](Command::busy). One that is just dropped is completed as failed, since the SCSI layer
/// would wait for it for ever.
///
/// # Invariants
///
/// `cmd` is a valid command of a host of `T`, and this is the only `Command` for it.
pub struct Command<T: Driver> {
    cmd: NonNull<bindings::scsi_cmnd>,
    _driver: PhantomData<T>,
}

// SAFETY: A command is not tied to a thread, and the private data is `Send`.
unsafe impl<T: Driver> Send for Command<T> {}

/// A command that `queue_command` refuses for the moment.
pub struct Busy<T: Driver>(Command<T>);

impl<T: Driver> Command<T> {
    /// Takes over a command, unless the driver has it already.
    ///
    /// # Safety
    ///
    /// `cmd` must be a valid command of a host of `T`, passed to the driver by the SCSI layer.
    #[inline]
    pub(super) unsafe fn take(cmd: *mut bindings::scsi_cmnd) -> Option<Self> {
        // SAFETY: By the safety requirement.
        let slot = unsafe { Slot::<T::Private>::of(cmd) };
        // SAFETY: The slot is valid with the command.
        let (owned, tag) = unsafe { Slot::header(slot) };
        if owned.load_acquire() != 0 {
            return None;
        }
        // SAFETY: By the safety requirement.
        tag.store_release(unsafe { unique_tag(cmd) });
        owned.store_release(1);
        Some(Self {
            // INVARIANT: The flag was clear, hence there was no other; a command is not queued
            // twice at the same time.
            // SAFETY: Not null by the safety requirement.
            cmd: unsafe { NonNull::new_unchecked(cmd) },
            _driver: PhantomData,
        })
    }

    #[inline]
    fn slot(&self) -> *mut Slot<T::Private> {
        // SAFETY: Valid by the type invariant.
        unsafe { Slot::of(self.cmd.as_ptr()) }
    }

    /// The data, if there is any.
    #[inline]
    pub(crate) fn data(&self) -> Option<NonNull<bindings::scatterlist>> {
        // SAFETY: Valid by the type invariant; nobody changes the data while the driver has the
        // command.
        unsafe { list(&raw const (*self.cmd.as_ptr()).sdb) }
    }

    /// The protection information of the data, if there is any.
    #[inline]
    pub(crate) fn protection(&self) -> Option<NonNull<bindings::scatterlist>> {
        // SAFETY: Valid by the type invariant.
        let buffer = unsafe { (*self.cmd.as_ptr()).prot_sdb };
        if buffer.is_null() {
            return None;
        }
        // SAFETY: What a command has is valid; as in `data` otherwise.
        unsafe { list(buffer) }
    }

    /// Length of the protection information in bytes.
    #[inline]
    pub fn protection_len(&self) -> u32 {
        let mut len = 0u32;
        let mut next = self
            .protection()
            .map_or(core::ptr::null_mut(), NonNull::as_ptr);
        while !next.is_null() {
            // SAFETY: A list that was not at its end is valid, and has an end mark.
            unsafe {
                len = len.saturating_add((*next).length);
                next = bindings::sg_next(next);
            }
        }
        len
    }

    /// The command as C has it.
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::scsi_cmnd {
        self.cmd.as_ptr()
    }

    /// The command for a pointer, leaving nobody with the obligation.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::scsi_cmnd> {
        ManuallyDrop::new(self).cmd
    }

    /// The reverse of `into_raw`.
    ///
    /// # Safety
    ///
    /// `cmd` must come from `into_raw` of the same `T`, and be used only once.
    #[inline]
    pub(crate) unsafe fn from_raw(cmd: NonNull<bindings::scsi_cmnd>) -> Self {
        // INVARIANT: It held for the command that `cmd` was made of.
        Self {
            cmd,
            _driver: PhantomData,
        }
    }

    /// The command descriptor block.
    #[inline]
    pub fn cdb(&self) -> &[u8] {
        // SAFETY: Valid by the type invariant; nobody changes these fields while the driver has
        // the command. Others may change other fields: hence no reference to all of it.
        let (bytes, len) = unsafe {
            let cmd = self.cmd.as_ptr();
            (&(*cmd).cmnd, (*cmd).cmd_len)
        };
        bytes.get(..usize::from(len)).unwrap_or(bytes)
    }

    /// All of the memory for the command descriptor block, with zeros behind it.
    #[inline]
    pub fn cdb_padded(&self) -> [u8; CDB_ROOM] {
        // SAFETY: As in `cdb`. The SCSI layer clears it before it makes a command in it.
        unsafe { (*self.cmd.as_ptr()).cmnd }
    }

    /// Bytes of the command descriptor block, which may be more than there is room for.
    #[inline]
    pub fn cdb_len(&self) -> u8 {
        // SAFETY: As in `cdb`.
        u8::try_from(unsafe { (*self.cmd.as_ptr()).cmd_len }).unwrap_or(u8::MAX)
    }

    /// What the command is for.
    #[inline]
    pub fn unit(&self) -> Unit {
        // SAFETY: Valid by the type invariant.
        unsafe { Unit::of(self.cmd.as_ptr()) }
    }

    /// The number of its host in the system.
    #[inline]
    pub fn host_number(&self) -> u32 {
        // SAFETY: Valid by the type invariant; a valid command has a device, and that a host.
        unsafe { (*(*(*self.cmd.as_ptr()).device).host).host_no }
    }

    /// The tag of the command: no other command of the host has it at the same time.
    #[inline]
    pub fn tag(&self) -> u32 {
        // SAFETY: The slot is valid with the command.
        unsafe { Slot::header(self.slot()) }.1.load_acquire()
    }

    /// The hardware queue that the command was given to.
    #[inline]
    pub fn queue(&self) -> u16 {
        (self.tag() >> bindings::BLK_MQ_UNIQUE_TAG_BITS) as u16
    }

    /// Whether there is nothing more to come for now, so that the device should be told.
    #[inline]
    pub fn is_last(&self) -> bool {
        // SAFETY: As in `cdb`.
        let flags = unsafe { (*self.cmd.as_ptr()).flags };
        flags & bindings::SCMD_LAST as i32 != 0
    }

    /// Which way the data goes.
    #[inline]
    pub fn direction(&self) -> Direction {
        // SAFETY: As in `cdb`.
        match unsafe { (*self.cmd.as_ptr()).sc_data_direction } {
            bindings::dma_data_direction::DMA_TO_DEVICE => Direction::Out,
            bindings::dma_data_direction::DMA_FROM_DEVICE => Direction::In,
            bindings::dma_data_direction::DMA_BIDIRECTIONAL => Direction::Both,
            _ => Direction::None,
        }
    }

    /// Whether the device takes several commands at a time.
    #[inline]
    pub fn is_tagged(&self) -> bool {
        // SAFETY: Valid by the type invariant; a valid command has a device. Others may change
        // other bits of the same word, hence no reference that lasts.
        unsafe { (*(*self.cmd.as_ptr()).device).tagged_supported() != 0 }
    }

    /// A number for the command that no other of the host has at the same time, below the number
    /// of hardware queues times the depth of each.
    #[inline]
    pub(crate) fn index(&self) -> usize {
        let tag = self.tag() & bindings::BLK_MQ_UNIQUE_TAG_MASK;
        // SAFETY: Valid by the type invariant; a valid command has a device, and that a host.
        let depth = unsafe { (*(*(*self.cmd.as_ptr()).device).host).can_queue };
        usize::from(self.queue())
            .wrapping_mul(depth as usize)
            .wrapping_add(tag as usize)
    }

    /// Number of pieces of the data as it is in memory, 0 if there is no data.
    #[inline]
    pub(crate) fn pieces(&self) -> u32 {
        // SAFETY: As in `data`.
        unsafe { (*self.cmd.as_ptr()).sdb.table.nents }
    }

    /// Maps the data for DMA. Returns the number of pieces, 0 if there is no data.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    #[inline]
    pub(crate) fn map_data(&mut self) -> Result<u32> {
        // SAFETY: Valid by the type invariant, and the data is the driver's.
        let count = unsafe { bindings::scsi_dma_map(self.cmd.as_ptr()) };
        u32::try_from(count).map_err(|_| ENOMEM)
    }

    /// Undoes `map_data`.
    ///
    /// # Safety
    ///
    /// The data must be mapped, and nobody use it by that any more.
    #[inline]
    pub(crate) unsafe fn unmap_data(&mut self) {
        // SAFETY: Valid by the type invariant; the rest is by the safety requirement.
        unsafe { bindings::scsi_dma_unmap(self.cmd.as_ptr()) };
    }

    /// Length of the data in bytes.
    #[inline]
    pub fn data_len(&self) -> u32 {
        // SAFETY: As in `cdb`.
        unsafe { (*self.cmd.as_ptr()).sdb.length }
    }

    /// Copies `from` to the data of the command, from `offset` on. Returns how much fits.
    ///
    /// For a driver that carries out commands by itself. In any context.
    pub fn write_data(&mut self, offset: usize, from: &[u8]) -> usize {
        // SAFETY: The list is the command's, with as many entries. The buffer is only read.
        self.data().map_or(0, |list| unsafe {
            let count = (*self.cmd.as_ptr()).sdb.table.nents;
            let (from, len) = (from.as_ptr().cast_mut().cast(), from.len());
            bindings::sg_copy_buffer(list.as_ptr(), count, from, len, offset as isize, false)
        })
    }

    /// Copies the data of the command, from `offset` on, to `to`. Returns how much there is.
    ///
    /// For a driver that carries out commands by itself. In any context.
    pub fn read_data(&self, offset: usize, to: &mut [u8]) -> usize {
        // SAFETY: The list is the command's, with as many entries.
        self.data().map_or(0, |list| unsafe {
            let count = (*self.cmd.as_ptr()).sdb.table.nents;
            let (to, len) = (to.as_mut_ptr().cast(), to.len());
            bindings::sg_copy_buffer(list.as_ptr(), count, to, len, offset as isize, true)
        })
    }

    /// The driver's private data. It has what the last command in this slot has left there.
    #[inline]
    pub fn private(&self) -> &T::Private {
        // SAFETY: The slot is valid with the command, and ours by its invariant. Its private data
        // was zeroes at first, which are valid for it.
        unsafe { &(*self.slot()).private }
    }

    /// The driver's private data, to be changed. It never moves.
    #[inline]
    pub fn private_mut(&mut self) -> Pin<&mut T::Private> {
        // SAFETY: As in `private`. The memory behind a command is always that of this command.
        unsafe { Pin::new_unchecked(&mut (*self.slot()).private) }
    }

    /// Says how many bytes of data were not transferred.
    #[inline]
    pub fn set_residual(&mut self, residual: u32) {
        // SAFETY: Valid by the type invariant; the field is the driver's while it has the command.
        unsafe { (*self.cmd.as_ptr()).resid_len = residual };
    }

    /// Where sense data goes.
    #[inline]
    pub fn sense_mut(&mut self) -> &mut [u8] {
        // SAFETY: As in `cdb`.
        let buffer = unsafe { (*self.cmd.as_ptr()).sense_buffer };
        if buffer.is_null() {
            return &mut [];
        }
        // SAFETY: The buffer of a command has this size, and is the driver's while it has the
        // command.
        unsafe { slice::from_raw_parts_mut(buffer, bindings::SCSI_SENSE_BUFFERSIZE as usize) }
    }

    /// Has the kernel's log say what the sense data means, if it is any, as from `who`. In any
    /// context.
    pub fn print_sense(&self, who: &CStr) {
        let mut header = bindings::scsi_sense_hdr::default();
        // SAFETY: The command is valid, with its device and its buffer for sense data, which has
        // this size and is the driver's while it has the command; none is read as none.
        unsafe {
            let cmd = self.cmd.as_ptr();
            let size = bindings::SCSI_SENSE_BUFFERSIZE as c_int;
            if bindings::scsi_normalize_sense((*cmd).sense_buffer, size, &mut header) {
                bindings::scsi_print_sense_hdr((*cmd).device, who.as_char_ptr(), &header);
            }
        }
    }

    /// The driver's private data, and where sense data goes.
    #[inline]
    pub fn private_and_sense(&mut self) -> (&T::Private, &mut [u8]) {
        // SAFETY: As in `private`; the sense buffer is elsewhere.
        (unsafe { &(*self.slot()).private }, self.sense_mut())
    }

    /// Gives the command back, done. In any context.
    #[inline]
    pub fn complete(self, host: HostByte, status: Status) {
        let cmd = self.release().as_ptr();
        // SAFETY: The command is valid. The SCSI layer has passed it to the driver, and this is
        // the only time that it is given back, as there was only one `Command`; until then, the
        // result is the driver's.
        unsafe {
            (*cmd).result = combine(host, status);
            bindings::scsi_done(cmd);
        }
    }

    /// Gives the command back as failed by the target, with sense data that says why. What is
    /// longer than the field for it is cut. In any context.
    pub fn check_condition(mut self, sense: &[u8]) {
        for (to, from) in self.sense_mut().iter_mut().zip(sense) {
            *to = *from;
        }
        self.complete(HostByte::OK, Status::CHECK_CONDITION);
    }

    /// Refuses the command for the moment; the SCSI layer tries again. In `queue_command` only.
    pub fn busy(self) -> Busy<T> {
        Busy(self)
    }

    /// Clears the flag that the driver has the command.
    #[inline]
    fn release(self) -> NonNull<bindings::scsi_cmnd> {
        // SAFETY: The slot is valid with the command.
        unsafe { Slot::header(self.slot()) }.0.store_release(0);
        // INVARIANT: From here on there is no `Command`.
        self.into_raw()
    }
}

/// A tag that no other command of the host has at the same time, as `blk_mq_unique_tag()` makes
/// it: the hardware queue, and the tag in that.
///
/// # Safety
///
/// `cmd` must be a valid command that is being queued.
#[inline]
unsafe fn unique_tag(cmd: *mut bindings::scsi_cmnd) -> u32 {
    // SAFETY: A command is always part of a request, which is right ahead of it, and one that is
    // being queued has a hardware queue and a tag.
    let (queue, tag) = unsafe {
        let rq = cmd.cast::<bindings::request>().sub(1);
        ((*(*rq).mq_hctx).queue_num, (*rq).tag as u32)
    };
    queue << bindings::BLK_MQ_UNIQUE_TAG_BITS | tag & bindings::BLK_MQ_UNIQUE_TAG_MASK
}

/// The scatterlist of a buffer, if there is anything in it.
///
/// # Safety
///
/// `buffer` must be valid.
#[inline]
unsafe fn list(
    buffer: *const bindings::scsi_data_buffer,
) -> Option<NonNull<bindings::scatterlist>> {
    // SAFETY: By the safety requirement.
    let (count, list) = unsafe { ((*buffer).table.nents, (*buffer).table.sgl) };
    // SAFETY: A table that has entries has a list of them.
    (count != 0).then(|| unsafe { NonNull::new_unchecked(list) })
}

impl<T: Driver> Busy<T> {
    /// Whether it is this command.
    pub(super) fn is(&self, cmd: *mut bindings::scsi_cmnd) -> bool {
        self.0.cmd.as_ptr() == cmd
    }

    /// Leaves the command to the SCSI layer.
    pub(super) fn refuse(self) {
        self.0.release();
    }
}

impl<T: Driver> Drop for Command<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; what is left of `self` is not used any more.
        let command = unsafe { Self::from_raw(self.cmd) };
        command.complete(HostByte::ERROR, Status::GOOD);
    }
}
