// SPDX-License-Identifier: GPL-2.0

//! The usual request: something that the device reads, something that it writes.

use super::{
    Segments,
    Token, //
};
use crate::{
    completion::Completion,
    device_cell::Exchange, //
};
use core::{
    mem::ManuallyDrop,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// A request and its response, with an `extra` of which the device knows nothing.
///
/// There are two ways to give it to a virtqueue:
///
/// - as a [`KBox`], when only one side needs it at a time;
/// - as an [`Asked`], when somebody waits for the answer but not for ever.
#[pin_data]
pub struct Message<Q, R, X = ()> {
    /// The memory for the device.
    pub exchange: Exchange<Q, R>,
    /// What goes with it.
    #[pin]
    pub extra: X,
}

impl<Q: IntoBytes, R: FromBytes + IntoBytes, X> Message<Q, R, X> {
    /// A message whose response is `response` until the device has written it.
    pub fn new(request: Q, response: R, extra: impl PinInit<X>) -> impl PinInit<Self> {
        pin_init!(Self {
            exchange: Exchange::new(request, response),
            extra <- extra,
        })
    }
}

impl<Q, R, X> Message<Q, R, X> {
    /// The memory for the device, to be changed; the `extra` stays pinned.
    pub fn exchange_mut(self: Pin<&mut Self>) -> &mut Exchange<Q, R> {
        // SAFETY: The exchange is not pinned structurally, and nothing else is reached.
        unsafe { &mut self.get_unchecked_mut().exchange }
    }
}

/// The queue's side of a message for whose answer somebody waits.
///
/// Its reference keeps the memory for as long as the device may write to it, whatever becomes of
/// who waits. That one is woken when this is dropped, whether the device has returned the message
/// or the queue gives it up: if there is an answer is seen from the response.
pub struct Asked<Q, R>(Arc<Message<Q, R, Completion>>);

impl<Q, R> Asked<Q, R> {
    /// What to give to the queue, so that `message` can be waited for.
    pub fn new(message: &Arc<Message<Q, R, Completion>>) -> Self {
        Self(message.clone())
    }
}

impl<Q, R> Drop for Asked<Q, R> {
    #[inline]
    fn drop(&mut self) {
        self.0.extra.complete_all();
    }
}

// SAFETY: An `Arc`'s memory comes from kmalloc, is not moved, and is there until the reference
// that became the raw pointer is dropped. The cells in it are written by the CPU only through
// `&mut`, which nobody has while there are several references or this one is raw.
unsafe impl<Q, R> Token for Asked<Q, R>
where
    Q: IntoBytes + Send,
    R: FromBytes + Send,
{
    fn into_raw(self) -> NonNull<c_void> {
        let ptr = Arc::as_ptr(&ManuallyDrop::new(self).0);
        // SAFETY: An `Arc`'s pointer is never null.
        unsafe { NonNull::new_unchecked(ptr.cast_mut().cast()) }
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // SAFETY: `into_raw` has kept a reference for this pointer, which is used once by the
        // caller's promise.
        Self(unsafe { Arc::from_raw(ptr.as_ptr().cast_const().cast()) })
    }

    fn readable(&self, segments: &mut Segments<'_>) {
        // SAFETY: An `Arc`'s memory comes from kmalloc.
        unsafe { segments.push_cell(&self.0.exchange.request) };
    }

    fn writable(&self, segments: &mut Segments<'_>) {
        // SAFETY: An `Arc`'s memory comes from kmalloc.
        unsafe { segments.push_cell(&self.0.exchange.response) };
    }
}

// SAFETY: A `KBox`'s memory comes from kmalloc, is not moved, and is there until the box that
// became the raw pointer is dropped. While it is raw, nobody has it.
unsafe impl<Q, R, X> Token for Pin<KBox<Message<Q, R, X>>>
where
    Q: IntoBytes + Send,
    R: FromBytes + Send,
    X: Send,
{
    fn into_raw(self) -> NonNull<c_void> {
        // SAFETY: The box is not moved out of; it is a pinned box again before it is used.
        let ptr = KBox::into_raw(unsafe { Pin::into_inner_unchecked(self) });
        // SAFETY: A box's pointer is never null.
        unsafe { NonNull::new_unchecked(ptr.cast()) }
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // SAFETY: From `into_raw`, and used once, by the caller's promise; pinned before.
        unsafe { Pin::new_unchecked(KBox::from_raw(ptr.as_ptr().cast())) }
    }

    fn readable(&self, segments: &mut Segments<'_>) {
        // SAFETY: A `KBox`'s memory comes from kmalloc.
        unsafe { segments.push_cell(&self.exchange.request) };
    }

    fn writable(&self, segments: &mut Segments<'_>) {
        // SAFETY: A `KBox`'s memory comes from kmalloc.
        unsafe { segments.push_cell(&self.exchange.response) };
    }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_virtio_message)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_woken_when_the_queue_lets_go() -> Result {
        let message = Message::new([1u8], [2u8], Completion::new());
        let message = Arc::pin_init(message, GFP_KERNEL)?;
        let raw = Asked::new(&message).into_raw();
        assert_eq!(message.extra.wait_timeout(1), Err(ETIMEDOUT));
        // SAFETY: Just made by `into_raw`, and used once.
        drop(unsafe { Asked::<[u8; 1], [u8; 1]>::from_raw(raw) });
        assert_eq!(message.extra.wait_timeout(1), Ok(()));
        Ok(())
    }
}
