// SPDX-License-Identifier: GPL-2.0

//! SCSI commands as requests of a virtqueue.
//!
//! A command whose private data is an [`Envelope`] can be given to a virtqueue: the device reads
//! the request and the data that goes out, and writes the response and the data that comes in.
//! Protection information (PI) goes ahead of the data in either direction. All of that memory
//! belongs to the command: the envelope is in the memory behind it, the data and its PI in pages
//! that its request holds until it is completed.

use crate::{
    bindings,
    device_cell::Exchange,
    scsi::{
        Command,
        Direction,
        Driver, //
    },
    virtio::{
        Segments,
        Token, //
    }, //
};
use core::{
    marker::PhantomPinned,
    mem::size_of,
    pin::Pin,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::prelude::*;
use zerocopy::{
    FromBytes,
    IntoBytes,
    Unaligned, //
};

/// A request and its response, behind a SCSI command.
///
/// It stays where it is, and is used for one command after the other. Hence the scatterlists that
/// tell the queue where the two are have to be made only once.
///
/// # Invariants
///
/// `lists` are zeros, or name the first bytes of the request and all of the response.
pub struct Envelope<Q, R> {
    exchange: Exchange<Q, R>,
    lists: [bindings::scatterlist; 2],
    _pin: PhantomPinned,
}

// SAFETY: Zeros are valid for an exchange and for scatterlists, and are allowed by the invariant.
unsafe impl<Q: FromBytes, R: FromBytes> Zeroable for Envelope<Q, R> {}

// SAFETY: The pointers in the scatterlists are to the envelope itself.
unsafe impl<Q: Send, R: Send> Send for Envelope<Q, R> {}

impl<Q: FromBytes + IntoBytes, R: FromBytes + IntoBytes> Envelope<Q, R> {
    /// Puts a request in, which is `header` and then `cdb`, and the beginning of the response in
    /// case that the device does not write one. The request may be shorter than there is room for:
    /// the device gets no more than those two.
    #[inline]
    pub fn fill<H, C, S>(self: Pin<&mut Self>, header: H, cdb: C, response: S)
    where
        H: IntoBytes,
        C: IntoBytes + Unaligned,
        S: IntoBytes,
    {
        // SAFETY: Nothing is moved out of it here.
        let this = unsafe { self.get_unchecked_mut() };
        this.exchange.request.set_parts(header, cdb);
        this.exchange.response.set_prefix(response);
        let len = const { (size_of::<H>() + size_of::<C>()) as u32 };
        if this.lists[0].length != len {
            this.make_lists(len);
        }
    }

    #[cold]
    #[inline(never)]
    fn make_lists(&mut self, request_len: u32) {
        let [request, response] = &mut self.lists;
        // INVARIANT: Each names what it should.
        // SAFETY: The memory behind a command is in whole pages or comes from kmalloc, so that it
        // has a page. The request is as long as that or longer, by the assertion in `set_parts`.
        unsafe {
            bindings::sg_init_one(request, self.exchange.request.as_ptr().cast(), request_len);
            bindings::sg_init_one(
                response,
                self.exchange.response.as_ptr().cast(),
                size_of::<R>() as u32,
            );
        }
    }
}

impl<Q, R: FromBytes> Envelope<Q, R> {
    /// Copies the beginning of the response out.
    #[inline]
    pub fn response<P: FromBytes>(&self) -> P {
        self.exchange.response.read_prefix()
    }

    /// Copies bytes of the response from `offset` on to `to`, as many as there are in both.
    pub fn copy_response(&self, offset: usize, to: &mut [u8]) -> usize {
        self.exchange.response.copy_to(offset, to)
    }
}

// SAFETY:
// - The envelope is behind the command, in memory of the block layer; the scatterlists are the
//   command's. All stay until it is completed, and only its owner can complete it. The error
//   handling takes a command away that is not completed only after its callbacks claim success,
//   which they cannot while the command has an owner.
// - The exchange is written only through the command.
unsafe impl<T, Q, R> Token for Command<T>
where
    T: Driver<Private = Envelope<Q, R>>,
    Q: IntoBytes,
    R: FromBytes,
{
    #[inline]
    fn into_raw(self) -> NonNull<c_void> {
        Command::into_raw(self).cast()
    }

    #[inline]
    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // SAFETY: By the caller's promise.
        unsafe { Command::from_raw(ptr.cast()) }
    }

    #[inline]
    fn readable(&self, segments: &mut Segments<'_>) {
        push(self, 0, Direction::Out, segments);
    }

    #[inline]
    fn writable(&self, segments: &mut Segments<'_>) {
        push(self, 1, Direction::In, segments);
    }
}

/// Adds the envelope's list with this index, and what goes in that direction.
#[inline]
fn push<T, Q, R>(
    command: &Command<T>,
    index: usize,
    direction: Direction,
    segments: &mut Segments<'_>,
) where
    T: Driver<Private = Envelope<Q, R>>,
{
    let lists = &command.private().lists;
    if let Some(list) = lists.get(index).filter(|list| list.length != 0) {
        // SAFETY: One that is not zeros names memory of the envelope by its invariant, and is
        // there as long as the command.
        unsafe { segments.push_list(ptr::from_ref(list).cast_mut()) };
    }
    if command.direction() != direction {
        return;
    }
    // SAFETY: The SCSI layer has made both lists, with end marks, and keeps them for as long as
    // the command is not completed.
    unsafe {
        if let Some(list) = command.protection() {
            segments.push_list(list.as_ptr());
        }
        if let Some(list) = command.data() {
            segments.push_list(list.as_ptr());
        }
    }
}
