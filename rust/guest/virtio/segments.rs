// SPDX-License-Identifier: GPL-2.0

//! The pieces of memory of one request, in the form that a virtqueue takes them.

use crate::bindings;
use crate::device_cell::DeviceCell;
use core::{
    marker::PhantomPinned,
    mem::{
        size_of,
        MaybeUninit, //
    },
    pin::Pin, //
};

/// A list of scatterlists. It is on the stack of who queues the request, and allocates nothing.
///
/// # Invariants
///
/// The first `lists_len` of `lists` are written and point to valid scatterlists, some of them into `cells`, which
/// is why it is pinned. `cells_len` is at most the length of `cells`, likewise for `lists`.
pub struct Segments {
    cells: [MaybeUninit<bindings::scatterlist>; Self::CELLS],
    cells_len: usize,
    lists: [MaybeUninit<*mut bindings::scatterlist>; Self::LISTS],
    lists_len: usize,
    _pin: PhantomPinned,
}

impl Segments {
    /// Most single cells of a request: one that the device reads and one that it writes.
    const CELLS: usize = 2;
    /// Most lists: those, or a request and a response, and data with its protection information.
    const LISTS: usize = 4;

    #[inline]
    pub(super) fn new() -> Self {
        // INVARIANT: There is nothing yet.
        Self {
            cells: [const { MaybeUninit::uninit() }; Self::CELLS],
            cells_len: 0,
            lists: [const { MaybeUninit::uninit() }; Self::LISTS],
            lists_len: 0,
            _pin: PhantomPinned,
        }
    }

    /// Adds a cell; one without size adds nothing. What does not fit is left out, which cannot
    /// be with the tokens of this crate.
    ///
    /// # Safety
    ///
    /// `cell` must be in memory that has a `struct page` (from kmalloc or a whole page).
    #[inline]
    pub(crate) unsafe fn push_cell<T>(self: Pin<&mut Self>, cell: &DeviceCell<T>) {
        if size_of::<T>() == 0 {
            return;
        }
        // SAFETY: Nothing is moved out of it here.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(slot) = this.cells.get_mut(this.cells_len) else {
            return;
        };
        let sg = slot.as_mut_ptr();
        // SAFETY: `sg` is valid for writes, and the memory has a page by the safety requirement.
        unsafe { bindings::sg_init_one(sg, cell.as_ptr().cast(), size_of::<T>() as u32) };
        this.cells_len = this.cells_len.wrapping_add(1);
        this.push(sg);
    }

    /// Adds a scatterlist.
    ///
    /// # Safety
    ///
    /// `list` must be valid for as long as this is, and end with an end mark.
    #[inline]
    pub(crate) unsafe fn push_list(self: Pin<&mut Self>, list: *mut bindings::scatterlist) {
        // SAFETY: Nothing is moved out of it here.
        unsafe { self.get_unchecked_mut() }.push(list);
    }

    #[inline]
    fn push(&mut self, list: *mut bindings::scatterlist) {
        if let Some(slot) = self.lists.get_mut(self.lists_len) {
            slot.write(list);
            self.lists_len = self.lists_len.wrapping_add(1);
        }
    }

    /// Number of lists so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.lists_len
    }

    /// The lists.
    #[inline]
    pub(super) fn as_mut_ptr(self: Pin<&mut Self>) -> *mut *mut bindings::scatterlist {
        // SAFETY: Nothing is moved out of it; the pointer is to an array of pointers.
        unsafe { self.get_unchecked_mut() }
            .lists
            .as_mut_ptr()
            .cast()
    }
}
