// SPDX-License-Identifier: GPL-2.0

//! SCSI commands as requests of VMBus channels.
//!
//! A host gets at the data of a command by the numbers of its pages, without a copy. Only where the
//! machine's memory is hidden from the host does it take the kernel's DMA layer, which makes one:
//! elsewhere that would come to the same numbers, by many more instructions. A command whose packet
//! is sent goes into a [`Lent`], which has seen to that.

use crate::{
    bindings,
    hyperv,
    scsi::{
        Command,
        Driver, //
    },
    vmbus::{
        Channels,
        Handler,
        PageList,
        Payload,
        Refusal,
        Refused,
        Request, //
    }, //
};
use core::{
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicU8,
        Ordering, //
    }, //
};
use kernel::prelude::*;

/// Pages that are named without memory being allocated for that: 128 KiB, wherever they begin.
const FEW_PAGES: usize = 33;

/// Whether memory is hidden from the host: not known yet, or no, or yes.
static HIDDEN: AtomicU8 = AtomicU8::new(0);

/// Whether the host reaches no memory but what the DMA layer has copied to. Always the same.
#[inline]
fn is_hidden() -> bool {
    match HIDDEN.load(Ordering::Relaxed) {
        0 => find_out(),
        known => known == 2,
    }
}

#[cold]
#[inline(never)]
fn find_out() -> bool {
    let is_hidden = hyperv::platform::is_isolated();
    HIDDEN.store(1 + u8::from(is_hidden), Ordering::Relaxed);
    is_hidden
}

/// A command that the host has, or may get.
///
/// # Invariants
///
/// The data is mapped for DMA, if memory is hidden.
pub struct Lent<T: Driver>(ManuallyDrop<Command<T>>);

impl<T: Driver> Lent<T> {
    /// Lends the data of a command. Returns how many pieces it has, as well.
    ///
    /// # Errors
    ///
    /// The command, if there is no memory for that.
    #[inline]
    fn new(mut command: Command<T>) -> core::result::Result<(Self, u32), Command<T>> {
        let pieces = if is_hidden() {
            command.map_data()
        } else {
            Ok(command.pieces())
        };
        match pieces {
            // INVARIANT: Just mapped, if it has to be.
            Ok(pieces) => Ok((Self(ManuallyDrop::new(command)), pieces)),
            Err(_) => Err(command),
        }
    }

    /// Takes the command out.
    ///
    /// # Safety
    ///
    /// What is left must not be used any more, nor dropped. Nobody but its owner may use the data.
    #[inline]
    unsafe fn take(&mut self) -> Command<T> {
        // SAFETY: By the safety requirement.
        let mut command = unsafe { ManuallyDrop::take(&mut self.0) };
        if is_hidden() {
            // SAFETY: Mapped by the type invariant; the rest is by the safety requirement.
            unsafe { command.unmap_data() };
        }
        command
    }

    /// The command, whose data the host does not use any more.
    #[inline]
    pub fn into_command(self) -> Command<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more, nor dropped. Whoever has this has it from the
        // channels, which give it back when the host has answered, cannot be asked, or is cut off.
        unsafe { this.take() }
    }

    /// Lists the pages of the data, which is in so many pieces. Returns whether they are all there.
    #[inline]
    fn list(&self, pieces: u32, pages: u64, list: &mut PageList<'_>) -> bool {
        let first = self.0.data().map_or(ptr::null_mut(), NonNull::as_ptr);
        if pieces != 1 || first.is_null() {
            // The host counts the pages by itself.
            return Self::list_each(first, pieces, list) && list.count() == pages;
        }
        // Most commands have one piece, which is all of the data.
        // SAFETY: The piece is there, and mapped if it has to be.
        let (address, len) = unsafe { place(first) };
        len == self.0.data_len() && list.push_pages(address, pages)
    }

    /// Lists the pages of pieces.
    #[inline(never)]
    fn list_each(first: *mut bindings::scatterlist, pieces: u32, list: &mut PageList<'_>) -> bool {
        let (mut next, mut left) = (first, pieces);
        while !next.is_null() {
            // SAFETY: The list has so many pieces, which are mapped if they have to be.
            let (address, len) = unsafe { place(next) };
            left = left.wrapping_sub(1);
            if !list.push(address, len) || left == 0 {
                return left == 0;
            }
            // SAFETY: As above; there is another one.
            next = unsafe { bindings::sg_next(next) };
        }
        false
    }

    /// How far into its page the data begins.
    #[inline]
    fn offset(&self) -> u32 {
        let Some(list) = self.0.data() else {
            return 0;
        };
        // SAFETY: A list that is there has an entry.
        unsafe { (*list.as_ptr()).offset }
    }
}

/// Where a piece is for the host, and its length.
///
/// # Safety
///
/// `piece` must be valid, and mapped if memory is hidden.
#[inline]
unsafe fn place(piece: *mut bindings::scatterlist) -> (u64, u32) {
    // SAFETY: By the safety requirement.
    unsafe {
        if is_hidden() {
            ((*piece).dma_address, mapped_len(piece))
        } else {
            (bindings::sg_phys(piece), (*piece).length)
        }
    }
}

/// Length of a piece that is mapped.
///
/// # Safety
///
/// `piece` must be valid, and mapped.
#[inline]
unsafe fn mapped_len(piece: *const bindings::scatterlist) -> u32 {
    // SAFETY: By the safety requirement.
    #[cfg(CONFIG_NEED_SG_DMA_LENGTH)]
    unsafe {
        (*piece).dma_length
    }
    // SAFETY: By the safety requirement.
    #[cfg(not(CONFIG_NEED_SG_DMA_LENGTH))]
    unsafe {
        (*piece).length
    }
}

impl<T: Driver> Drop for Lent<T> {
    /// Fails the command.
    fn drop(&mut self) {
        // SAFETY: As in `into_command`.
        drop(unsafe { self.take() });
    }
}

// SAFETY:
// - No two commands of a host have the same index at the same time.
// - The data is in pages that the command holds until it is completed, and only its owner can
//   complete it. The error handling takes a command away that is not completed only after its
//   callbacks claim success, which they cannot while the command has an owner.
unsafe impl<T: Driver> Request for Lent<T> {
    #[inline]
    fn index(&self) -> usize {
        self.0.index()
    }

    #[inline]
    fn into_raw(self) -> NonNull<c_void> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more, nor dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }.into_raw().cast()
    }

    #[inline]
    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: It was mapped when the pointer was made of it.
        // SAFETY: By the caller's promise.
        Self(ManuallyDrop::new(unsafe { Command::from_raw(ptr.cast()) }))
    }
}

/// A command that was not sent.
pub struct Unsent<T: Driver> {
    /// The command.
    pub command: Command<T>,
    /// Why.
    pub reason: Refusal,
}

/// Sends `packet`, which is for a command, together with its data, as [`Channels::send`] does.
///
/// # Errors
///
/// The command, with the [`Refusal`]: `Full` if there is no memory, too.
#[inline]
pub fn send<T, H>(
    channels: &Channels<H>,
    command: Command<T>,
    packet: &[u8],
    low_water: u32,
) -> core::result::Result<(), Unsent<T>>
where
    T: Driver,
    H: Handler<Request = Lent<T>>,
{
    let (lent, pieces) = match Lent::new(command) {
        Ok(lent) => lent,
        Err(command) => {
            let reason = Refusal::Full;
            return Err(Unsent { command, reason });
        }
    };
    send_lent(channels, lent, pieces, packet, low_water).map_err(|Refused { request, reason }| {
        Unsent {
            command: request.into_command(),
            reason,
        }
    })
}

/// Sends a command whose data is in so many pieces.
#[inline]
fn send_lent<T, H>(
    channels: &Channels<H>,
    lent: Lent<T>,
    pieces: u32,
    packet: &[u8],
    low_water: u32,
) -> core::result::Result<(), Refused<Lent<T>>>
where
    T: Driver,
    H: Handler<Request = Lent<T>>,
{
    let pages = PageList::pages(lent.offset(), lent.0.data_len());
    if pages > FEW_PAGES as u64 {
        return send_much(channels, lent, pieces, packet, low_water);
    }
    let mut room = [const { MaybeUninit::uninit() }; PageList::HEADER + FEW_PAGES];
    send_listed(channels, lent, pieces, &mut room, packet, low_water)
}

/// Sends a command with so much data that the list of its pages needs memory of its own.
#[cold]
#[inline(never)]
fn send_much<T, H>(
    channels: &Channels<H>,
    lent: Lent<T>,
    pieces: u32,
    packet: &[u8],
    low_water: u32,
) -> core::result::Result<(), Refused<Lent<T>>>
where
    T: Driver,
    H: Handler<Request = Lent<T>>,
{
    let pages = PageList::pages(lent.offset(), lent.0.data_len()) as usize;
    let words = pages.saturating_add(PageList::HEADER);
    let Ok(mut room) = KVec::with_capacity(words, GFP_ATOMIC) else {
        return Err(Refused {
            request: lent,
            reason: Refusal::Full,
        });
    };
    let room = room.spare_capacity_mut();
    send_listed(channels, lent, pieces, room, packet, low_water)
}

/// Sends a command, the pages of whose data are listed in `room`.
#[inline(always)] // The usual room is of a known size, and this is each command's way.
fn send_listed<T, H>(
    channels: &Channels<H>,
    lent: Lent<T>,
    pieces: u32,
    room: &mut [MaybeUninit<u64>],
    packet: &[u8],
    low_water: u32,
) -> core::result::Result<(), Refused<Lent<T>>>
where
    T: Driver,
    H: Handler<Request = Lent<T>>,
{
    if pieces == 0 {
        return channels.send(lent, Payload::InBand, packet, low_water);
    }
    let (offset, len) = (lent.offset(), lent.0.data_len());
    if let Some(mut list) = PageList::new(room, offset, len) {
        if lent.list(pieces, PageList::pages(offset, len), &mut list) {
            return channels.send(lent, Payload::Pages(&mut list), packet, low_water);
        }
    }
    Err(Refused {
        request: lent,
        reason: Refusal::Broken(EINVAL),
    })
}
