// SPDX-License-Identifier: GPL-2.0

//! Requests that the host has, and the numbers by which it answers them.
//!
//! The number of a request, its *id*, is made of a place in a table and of how often that place
//! was used. A host that answers what it has answered before, or what it was never asked, has an
//! id that is in no place.
//!
//! The ids with the highest bit set are the driver's, for packets with nothing in the table, and
//! 0 is what a host sends by itself.

use core::{
    cell::UnsafeCell,
    convert::Infallible,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicU64,
        Ordering, //
    }, //
};
use kernel::prelude::*;

/// What a host is asked for, which the channels own until it is answered.
///
/// # Safety
///
/// - No two requests that are there at the same time, for the same [`Channels`](super::Channels),
///   have the same index.
/// - Memory that the host is told of is the request's, until the pointer of `into_raw` has become
///   a request again and that was dropped or changed.
pub unsafe trait Request: Sized + Send + 'static {
    /// A number below the size of the table. It does not change.
    fn index(&self) -> usize;

    /// Gives up the request for a pointer.
    fn into_raw(self) -> NonNull<c_void>;

    /// Makes the request of a pointer again.
    ///
    /// # Safety
    ///
    /// `ptr` must come from `into_raw` of the same type, and be used only once.
    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self;
}

// For a handler without requests.
// SAFETY: There is none.
unsafe impl Request for Infallible {
    fn index(&self) -> usize {
        match *self {}
    }

    fn into_raw(self) -> NonNull<c_void> {
        match self {}
    }

    unsafe fn from_raw(_ptr: NonNull<c_void>) -> Self {
        // SAFETY: By the safety requirement `into_raw` has made the pointer, but nothing is there
        // that it could have been made of.
        unsafe { core::hint::unreachable_unchecked() }
    }
}

/// A table of requests.
///
/// # Invariants
///
/// Each slot is as its type says, with a request of type `T`.
pub(super) struct Requests<T: Request> {
    slots: KVVec<Slot>,
    _request: PhantomData<T>,
}

/// A place for a request.
///
/// The kernel crate's atomics are calls of C functions as long as its helpers are not inlined, and
/// this is on the way of each request: hence the one of `core`.
///
/// # Invariants
///
/// `id` is 0, or `request` is a pointer of `into_raw` that belongs to who sets `id` to 0. While
/// `id` is 0, `request` and `uses` belong to who has a request with this index.
struct Slot {
    id: AtomicU64,
    request: UnsafeCell<*mut c_void>,
    uses: UnsafeCell<u32>,
}

// SAFETY: By the type invariant, one thread at a time has what is in the cells, and requests may
// go from one to another.
unsafe impl Sync for Slot {}

// SAFETY: As above.
unsafe impl Send for Slot {}

/// Uses of a place wrap around here, so that the highest bit of an id is never set.
const USES: u32 = 0x7fff_ffff;

impl<T: Request> Requests<T> {
    /// A table with so many places.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(places: usize) -> Result<Self> {
        let mut slots = KVVec::with_capacity(places, GFP_KERNEL)?;
        for _ in 0..places {
            // INVARIANT: There is no request.
            let slot = Slot {
                id: AtomicU64::new(0),
                request: UnsafeCell::new(ptr::null_mut()),
                uses: UnsafeCell::new(0),
            };
            slots.push_within_capacity(slot).map_err(|_| ENOMEM)?;
        }
        Ok(Self {
            slots,
            _request: PhantomData,
        })
    }

    /// Puts a request in. Returns its id.
    ///
    /// # Errors
    ///
    /// The request, if there is no such place, or one is there that cannot be by the rules for
    /// [`Request`].
    #[inline]
    pub(super) fn put(&self, request: T) -> core::result::Result<u64, T> {
        let index = request.index();
        let Some(slot) = self.slots.get(index) else {
            return Err(request);
        };
        if slot.id.load(Ordering::Acquire) != 0 {
            return Err(request);
        }
        // SAFETY: The place is empty, and of all requests this one alone has it, by the rules for
        // `Request`. So the cells are ours by the type invariant.
        let uses = unsafe {
            *slot.request.get() = request.into_raw().as_ptr();
            let uses = (*slot.uses.get()).wrapping_add(1) & USES;
            *slot.uses.get() = uses;
            uses
        };
        let id = u64::from(uses) << u32::BITS | index.wrapping_add(1) as u64;
        // INVARIANT: The request is there.
        slot.id.store(id, Ordering::Release);
        Ok(id)
    }

    /// Takes the request with this id out, if it is there.
    #[inline]
    pub(super) fn take(&self, id: u64) -> Option<T> {
        // An id of 0 has no place, as the next is below all.
        let index = (id as u32).wrapping_sub(1);
        let slot = self.slots.get(index as usize)?;
        slot.take(id)
    }

    /// Takes any request out of those that are there.
    pub(super) fn drain(&self, mut f: impl FnMut(T)) {
        for slot in &self.slots {
            if let Some(request) = slot.take(slot.id.load(Ordering::Relaxed)) {
                f(request);
            }
        }
    }

    /// Number of requests that are there.
    pub(super) fn count(&self) -> usize {
        let is_used = |slot: &&Slot| slot.id.load(Ordering::Acquire) != 0;
        self.slots.iter().filter(is_used).count()
    }
}

impl Slot {
    #[inline]
    fn take<T: Request>(&self, id: u64) -> Option<T> {
        if id == 0 {
            return None;
        }
        self.id
            .compare_exchange(id, 0, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        // SAFETY: We have just set the id to 0, so by the type invariant the pointer is ours. It is
        // read before the place can be used again: that takes another request with this index,
        // which there is not before this one is gone.
        let request = NonNull::new(unsafe { *self.request.get() })?;
        // SAFETY: As above, and of this type by the invariant of the table.
        Some(unsafe { T::from_raw(request) })
    }
}

impl<T: Request> Drop for Requests<T> {
    fn drop(&mut self) {
        self.drain(drop);
    }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_vmbus_requests)]
mod tests {
    use super::*;

    struct Numbered(KBox<usize>);

    // SAFETY: Each test makes one request of each number at a time. Hosts are told of nothing.
    unsafe impl Request for Numbered {
        fn index(&self) -> usize {
            *self.0
        }

        fn into_raw(self) -> NonNull<c_void> {
            // CAST: It is a pointer to what was in the box.
            NonNull::from(KBox::leak(self.0)).cast()
        }

        unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
            // SAFETY: By the safety requirement it was a box.
            Self(unsafe { KBox::from_raw(ptr.as_ptr().cast()) })
        }
    }

    fn numbered(number: usize) -> Result<Numbered> {
        Ok(Numbered(KBox::new(number, GFP_KERNEL)?))
    }

    #[test]
    fn a_request_comes_out_once() -> Result {
        let requests = Requests::new(2)?;
        let first = requests.put(numbered(0)?).map_err(|_| EINVAL)?;
        let second = requests.put(numbered(1)?).map_err(|_| EINVAL)?;
        assert_eq!(requests.count(), 2);
        assert_eq!(requests.take(second).map(|request| *request.0), Some(1));
        assert!(requests.take(second).is_none());
        assert_eq!(requests.take(first).map(|request| *request.0), Some(0));
        assert_eq!(requests.count(), 0);
        Ok(())
    }

    #[test]
    fn a_late_answer_finds_nothing() -> Result {
        let requests = Requests::new(1)?;
        let first = requests.put(numbered(0)?).map_err(|_| EINVAL)?;
        drop(requests.take(first));
        let second = requests.put(numbered(0)?).map_err(|_| EINVAL)?;
        assert!(first != second);
        assert!(requests.take(first).is_none());
        assert_eq!(requests.count(), 1);
        Ok(())
    }

    #[test]
    fn ids_of_no_place_find_nothing() -> Result {
        let requests = Requests::new(1)?;
        let id = requests.put(numbered(0)?).map_err(|_| EINVAL)?;
        for other in [0, 2, id + 1, u64::MAX, u64::MAX - 2, id | 1 << 63] {
            assert!(requests.take(other).is_none());
        }
        assert_eq!(requests.count(), 1);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_given_back() -> Result {
        let requests = Requests::new(1)?;
        assert!(requests.put(numbered(1)?).is_err());
        assert!(requests.put(numbered(0)?).is_ok());
        let mut drained = 0;
        requests.drain(|_| drained += 1);
        assert_eq!((drained, requests.count()), (1, 0));
        Ok(())
    }
}
