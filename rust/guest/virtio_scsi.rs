// SPDX-License-Identifier: GPL-2.0

//! SCSI commands as requests of a virtqueue.
//!
//! A command whose private data is an [`Exchange`] can be given to a virtqueue: the device reads
//! the request and the data that goes out, and writes the response and the data that comes in.
//! All of that memory belongs to the command: the exchange is in the memory behind it, the data in
//! pages that its request holds until it is completed.

use crate::{
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
    pin::Pin,
    ptr::NonNull, //
};
use kernel::prelude::*;
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

// SAFETY:
// - The exchange is behind the command, in memory of the block layer; the scatterlist is the
//   command's. Both stay until it is completed, and only its owner can complete it. The error
//   handling takes a command away that is not completed only after its callbacks claim success,
//   which they cannot while the command has an owner.
// - The exchange is written only through the command.
unsafe impl<T, Q, R> Token for Command<T>
where
    T: Driver<Private = Exchange<Q, R>>,
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
    fn readable(&self, mut segments: Pin<&mut Segments>) {
        // SAFETY: The memory behind a command is in whole pages or comes from kmalloc.
        unsafe { segments.as_mut().push_cell(&self.private().request) };
        if self.direction() == Direction::Out {
            push_data(self, segments);
        }
    }

    #[inline]
    fn writable(&self, mut segments: Pin<&mut Segments>) {
        // SAFETY: The memory behind a command is in whole pages or comes from kmalloc.
        unsafe { segments.as_mut().push_cell(&self.private().response) };
        if self.direction() == Direction::In {
            push_data(self, segments);
        }
    }
}

#[inline]
fn push_data<T: Driver>(command: &Command<T>, segments: Pin<&mut Segments>) {
    if let Some(list) = command.data() {
        // SAFETY: The SCSI layer has made the list, with an end mark, and keeps it for as long
        // as the command is not completed.
        unsafe { segments.push_list(list.as_ptr()) };
    }
}
