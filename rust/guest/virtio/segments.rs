// SPDX-License-Identifier: GPL-2.0

//! The pieces of memory of one request, in the form that a virtqueue takes them.

use crate::bindings;
use crate::device_cell::DeviceCell;
use core::mem::{
    size_of,
    MaybeUninit, //
};

/// Room for what [`Segments`] collects. It is on the stack of who queues a request, and apart
/// from the counts, which so need not be in memory.
pub(super) struct Room {
    cells: [MaybeUninit<bindings::scatterlist>; Self::CELLS],
    lists: [MaybeUninit<*mut bindings::scatterlist>; Self::LISTS],
}

impl Room {
    /// Most single cells of a request: one that the device reads and one that it writes.
    const CELLS: usize = 2;
    /// Most lists: those, or a request and a response, and data with its protection information.
    const LISTS: usize = 4;

    /// Room with nothing in it.
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            cells: [const { MaybeUninit::uninit() }; Self::CELLS],
            lists: [const { MaybeUninit::uninit() }; Self::LISTS],
        }
    }

    /// Begins to collect.
    #[inline]
    pub(super) fn segments(&mut self) -> Segments<'_> {
        // INVARIANT: There is nothing yet.
        Segments {
            room: self,
            cells_len: 0,
            lists_len: 0,
        }
    }
}

/// A list of scatterlists.
///
/// # Invariants
///
/// The first `lists_len` of the room's lists are written and point to scatterlists that are valid
/// as long as this is, some of them among its cells. Both lengths are at most those of the arrays.
pub struct Segments<'a> {
    room: &'a mut Room,
    cells_len: usize,
    lists_len: usize,
}

impl Segments<'_> {
    /// Adds a cell; one without size adds nothing. What does not fit is left out, which cannot
    /// be with the tokens of this crate.
    ///
    /// # Safety
    ///
    /// `cell` must be in memory that has a `struct page` (from kmalloc or a whole page).
    #[inline]
    pub(crate) unsafe fn push_cell<T>(&mut self, cell: &DeviceCell<T>) {
        // SAFETY: By the safety requirement.
        unsafe { self.push_bytes(cell.as_ptr().cast(), size_of::<T>()) };
    }

    /// # Safety
    ///
    /// There must be `len` bytes at `at`, in memory that has a `struct page`.
    #[inline(never)]
    unsafe fn push_bytes(&mut self, at: *const u8, len: usize) {
        let Some(slot) = self.room.cells.get_mut(self.cells_len) else {
            return;
        };
        if len == 0 {
            return;
        }
        let sg = slot.as_mut_ptr();
        // SAFETY: `sg` is valid for writes, and the memory has a page by the safety requirement.
        unsafe { bindings::sg_init_one(sg, at.cast(), len as u32) };
        self.cells_len = self.cells_len.wrapping_add(1);
        self.push(sg);
    }

    /// Adds a scatterlist.
    ///
    /// # Safety
    ///
    /// `list` must be valid for as long as this is, and end with an end mark.
    #[inline]
    pub(crate) unsafe fn push_list(&mut self, list: *mut bindings::scatterlist) {
        self.push(list);
    }

    #[inline]
    fn push(&mut self, list: *mut bindings::scatterlist) {
        if let Some(slot) = self.room.lists.get_mut(self.lists_len) {
            slot.write(list);
            self.lists_len = self.lists_len.wrapping_add(1);
        }
    }

    /// Number of lists so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.lists_len
    }

    /// The lists, valid as long as this is.
    #[inline]
    pub(super) fn as_mut_ptr(&mut self) -> *mut *mut bindings::scatterlist {
        self.room.lists.as_mut_ptr().cast()
    }
}
