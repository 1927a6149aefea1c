// SPDX-License-Identifier: GPL-2.0

//! SCSI commands as requests of VMBus channels.
//!
//! A host gets at the data of a command by the numbers of its pages, without a copy (unless the
//! machine's memory is hidden from the host, when the kernel's DMA layer makes one). Hence a
//! command whose packet is sent goes into a [`Lent`], which has its data mapped for that.

use crate::{
    bindings,
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
    }, //
};
use kernel::prelude::*;

/// Pages that are named without memory being allocated for that: 128 KiB.
const FEW_PAGES: usize = 32;

/// A command that the host has, or may get.
///
/// # Invariants
///
/// The data is mapped for DMA.
pub struct Lent<T: Driver>(ManuallyDrop<Command<T>>);

impl<T: Driver> Lent<T> {
    /// Lends the data of a command. Returns how many pieces it has, as well.
    ///
    /// # Errors
    ///
    /// The command, if there is no memory for that.
    #[inline]
    fn new(mut command: Command<T>) -> core::result::Result<(Self, u32), Command<T>> {
        match command.map_data() {
            // INVARIANT: Just mapped.
            Ok(pieces) => Ok((Self(ManuallyDrop::new(command)), pieces)),
            Err(_) => Err(command),
        }
    }

    /// The command, whose data the host does not use any more.
    #[inline]
    pub fn into_command(self) -> Command<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more, nor dropped.
        let mut command = unsafe { ManuallyDrop::take(&mut this.0) };
        // SAFETY: Mapped by the type invariant. Whoever has this has it from the channels, which
        // give it back when the host has answered, cannot be asked, or is cut off.
        unsafe { command.unmap_data() };
        command
    }

    /// Lists the pages of the data, which is in so many pieces. Returns whether they are all there.
    #[inline]
    fn list(&self, pieces: u32, list: &mut PageList<'_>) -> bool {
        let mut next = self.0.data().map_or(ptr::null_mut(), NonNull::as_ptr);
        for _ in 0..pieces {
            if next.is_null() {
                return false;
            }
            // SAFETY: The list has so many pieces that are mapped.
            let (address, len) = unsafe { ((*next).dma_address, piece_len(next)) };
            if !list.push(address, len) {
                return false;
            }
            // SAFETY: As above.
            next = unsafe { bindings::sg_next(next) };
        }
        true
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

/// Length of a piece that is mapped.
///
/// # Safety
///
/// `piece` must be valid, and mapped.
#[inline]
unsafe fn piece_len(piece: *const bindings::scatterlist) -> u32 {
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
        // SAFETY: What is left of it is not used any more.
        let mut command = unsafe { ManuallyDrop::take(&mut self.0) };
        // SAFETY: As in `into_command`.
        unsafe { command.unmap_data() };
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
    let len = command.data_len();
    let (lent, pieces) = match Lent::new(command) {
        Ok(lent) => lent,
        Err(command) => {
            let reason = Refusal::Full;
            return Err(Unsent { command, reason });
        }
    };
    let result = if pieces == 0 {
        channels.send(lent, Payload::InBand, packet, low_water)
    } else if PageList::pages(lent.offset(), len) <= FEW_PAGES as u64 {
        let mut room = [const { MaybeUninit::uninit() }; PageList::HEADER + FEW_PAGES];
        send_data(channels, lent, pieces, &mut room, packet, low_water)
    } else {
        send_much(channels, lent, pieces, packet, low_water)
    };
    result.map_err(|Refused { request, reason }| Unsent {
        command: request.into_command(),
        reason,
    })
}

/// Sends a command with data, whose pages are listed in `room`.
#[inline]
fn send_data<T, H>(
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
    let (offset, len) = (lent.offset(), lent.0.data_len());
    if let Some(mut list) = PageList::new(room, offset, len) {
        // The host counts the pages by itself.
        if lent.list(pieces, &mut list) && list.count() == PageList::pages(offset, len) {
            return channels.send(lent, Payload::Pages(&mut list), packet, low_water);
        }
    }
    Err(Refused {
        request: lent,
        reason: Refusal::Broken(EINVAL),
    })
}

/// Sends a command with so much data that the list of its pages needs memory of its own.
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
    send_data(channels, lent, pieces, room, packet, low_water)
}
