// SPDX-License-Identifier: GPL-2.0

//! Pages on their way into a balloon or out of it.
//!
//! | type | who has a claim on them | where from | where to |
//! |---|---|---|---|
//! | [`Offered`] | the guest | its free memory | the host, who takes or refuses them |
//! | [`Refused`] | the guest | the host | its free memory, or offered again in pieces |
//! | [`Lent`] | the host | the host, or the balloon | the balloon, or the host |
//! | [`Returned`] | the guest | the host | its free memory |
//!
//! All room for them is allocated beforehand: they are moved where nothing may be.

use crate::{
    bindings,
    vmware::Forgotten, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::prelude::*;
use protocol::vmballoon::PageSize;

/// How a page is allocated.
type Page = NonNull<bindings::page>;

/// The order of a large page in the page allocator.
const LARGE_ORDER: u32 = 9;
const _: () = assert!(1 << LARGE_ORDER == PageSize::Large.pages());

/// As the kernel allocates pages for balloons (`balloon_page_alloc()`).
const SMALL_FLAGS: bindings::gfp_t = bindings::__GFP_NOMEMALLOC
    | bindings::__GFP_NORETRY
    | bindings::__GFP_NOWARN
    | if cfg!(CONFIG_BALLOON_MIGRATION) {
        bindings::GFP_HIGHUSER_MOVABLE
    } else {
        bindings::GFP_HIGHUSER
    };

/// Large pages are not worth waiting for, nor any reserve.
const LARGE_FLAGS: bindings::gfp_t =
    bindings::__GFP_HIGHMEM | bindings::__GFP_NOWARN | bindings::__GFP_NOMEMALLOC;

fn order(size: PageSize) -> u32 {
    match size {
        PageSize::Small => 0,
        PageSize::Large => LARGE_ORDER,
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Who has a claim on pages.
pub trait Claim: sealed::Sealed {
    /// Whether nobody but the guest has, so that they may be freed.
    const IS_GUESTS: bool;
}

/// A claim that nobody but the guest has.
pub trait Guests: Claim {}

macro_rules! claim {
    ($($(#[$attr:meta])* $name:ident: $is_guests:literal,)*) => {$(
        $(#[$attr])*
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Claim for $name {
            const IS_GUESTS: bool = $is_guests;
        }
    )*};
}

claim! {
    /// Pages that the host is to get, and does not know of yet.
    Offered: true,
    /// Pages that it did not want.
    Refused: true,
    /// Pages that it has.
    Lent: false,
    /// Pages that it has given back.
    Returned: true,
}

impl Guests for Offered {}
impl Guests for Refused {}
impl Guests for Returned {}

/// Pages of one size. Dropping it frees what the guest has a claim on; what the host has is lost
/// then.
///
/// # Invariants
///
/// Each page was allocated with the order of `size`, is in no list, has no other owner, and is the
/// host's, or may be, only if the type says so.
pub struct Pages<C: Claim> {
    size: PageSize,
    pages: KVec<Page>,
    _claim: PhantomData<C>,
}

// SAFETY: The pages belong to this alone, and to no thread.
unsafe impl<C: Claim> Send for Pages<C> {}

impl<C: Claim> Pages<C> {
    /// Room for so many pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn with_room_for(pages: usize) -> Result<Self> {
        // INVARIANT: There is no page.
        Ok(Self {
            size: PageSize::Small,
            pages: KVec::with_capacity(pages, GFP_KERNEL)?,
            _claim: PhantomData,
        })
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Their size, if there are any.
    #[inline]
    pub fn size(&self) -> PageSize {
        self.size
    }

    /// For how many pages of this size there is room left.
    #[inline]
    pub(crate) fn room(&self, size: PageSize) -> usize {
        if self.is_empty() || self.size == size {
            self.pages.capacity() - self.len()
        } else {
            0
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Page] {
        &self.pages
    }

    /// Adds a page. If there is no room it is freed, or lost if it may be the host's.
    ///
    /// # Safety
    ///
    /// The page must be as the type's invariants say of one in here, but for its place.
    #[inline]
    pub(crate) unsafe fn push(&mut self, page: Page, size: PageSize) {
        if self.is_empty() {
            self.size = size;
        }
        // INVARIANT: By the safety requirement, and the size is the same.
        if self.size != size || self.pages.push_within_capacity(page).is_err() {
            // SAFETY: By the safety requirement; it is nowhere else.
            unsafe { Self::let_go(page, size) };
        }
    }

    /// Takes a page out, which is the caller's then.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Page> {
        self.pages.pop()
    }

    /// Takes out all pages for which `stays` says no, which are the caller's then. It is called with
    /// each page and its index.
    #[inline]
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(usize, Page) -> bool) {
        let mut index = 0usize;
        self.pages.retain(|page| {
            let stays = stays(index, *page);
            index = index.wrapping_add(1);
            stays
        });
    }

    /// # Safety
    ///
    /// The page must be as the type's invariants say, and nobody may have it any more.
    #[inline]
    unsafe fn let_go(page: Page, size: PageSize) {
        if C::IS_GUESTS {
            // SAFETY: Allocated with this order, by the safety requirement.
            unsafe { bindings::__free_pages(page.as_ptr(), order(size)) };
        }
    }

    fn let_all_go(&mut self) {
        if C::IS_GUESTS && self.size == PageSize::Small {
            self.release_small();
        }
        while let Some(page) = self.pop() {
            // SAFETY: By the type's invariants; it was just taken out.
            unsafe { Self::let_go(page, self.size) };
        }
    }

    /// Frees all, which are small ones and the guest's: at once, as it costs less so.
    fn release_small(&mut self) {
        // INVARIANT: None is in here any more.
        let (pages, count) = (self.pages.as_mut_ptr(), self.len());
        self.pages.clear();
        // SAFETY: So many pages of order 0, by the type's invariants, which were just taken out; the
        // memory with their places is still there.
        unsafe {
            let pages = bindings::release_pages_arg {
                pages: pages.cast(),
            };
            bindings::release_pages(pages, count as c_int);
        }
    }
}

impl<C: Claim> Drop for Pages<C> {
    fn drop(&mut self) {
        self.let_all_go();
    }
}

impl Pages<Offered> {
    /// Allocates up to so many pages of this size, as far as there is room. Returns how many there
    /// were. Sleeps.
    pub fn allocate(&mut self, size: PageSize, count: usize) -> usize {
        let count = count.min(self.room(size));
        match size {
            PageSize::Small => self.allocate_small(count),
            PageSize::Large => self.allocate_large(count),
        }
    }

    /// The kernel gives many for little more than the price of one, but not always all that it has.
    fn allocate_small(&mut self, count: usize) -> usize {
        self.size = PageSize::Small;
        let mut found = 0usize;
        while found < count {
            let room = self.pages.spare_capacity_mut().as_mut_ptr();
            let missing = count.wrapping_sub(found);
            // SAFETY: There is room for so many. The kernel fills as many places as it says, from
            // the first on, where there was nothing before.
            let more = unsafe {
                ptr::write_bytes(room, 0, missing);
                bindings::alloc_pages_bulk(SMALL_FLAGS, missing, room.cast()).min(missing)
            };
            if more == 0 {
                break;
            }
            // INVARIANT: Just allocated with this order.
            // SAFETY: As above: so many are there.
            unsafe { self.pages.inc_len(more) };
            found = found.wrapping_add(more);
        }
        found
    }

    fn allocate_large(&mut self, count: usize) -> usize {
        for done in 0..count {
            // SAFETY: No requirements.
            let page = unsafe { bindings::alloc_pages(LARGE_FLAGS, LARGE_ORDER) };
            let Some(page) = NonNull::new(page) else {
                return done;
            };
            // SAFETY: Just allocated with this order.
            unsafe { self.push(page, PageSize::Large) };
        }
        count
    }

    /// Moves up to so many pages here, as far as there is room. Returns how many there were.
    pub fn fill_from(&mut self, other: &mut Self, count: usize) -> usize {
        let count = count.min(self.room(other.size));
        for done in 0..count {
            let Some(page) = other.pop() else {
                return done;
            };
            // SAFETY: By the invariants of the other, from where it was just taken.
            unsafe { self.push(page, other.size) };
        }
        count
    }
}

impl Pages<Refused> {
    /// Makes small pages to be offered of one large one. Returns whether there was one, and room.
    pub fn split_one(&mut self, into: &mut Pages<Offered>) -> bool {
        let pieces = PageSize::Large.pages() as usize;
        if self.size != PageSize::Large || into.room(PageSize::Small) < pieces {
            return false;
        }
        let Some(page) = self.pop() else {
            return false;
        };
        // SAFETY: A page of this order that is no compound page and has one owner.
        unsafe { bindings::split_page(page.as_ptr(), LARGE_ORDER) };
        for piece in 0..pieces {
            // SAFETY: The structures of a large page's parts follow each other. Each is a page that
            // was allocated with order 0 now, and is ours.
            unsafe { into.push(page.add(piece), PageSize::Small) };
        }
        true
    }
}

impl<C: Guests> Pages<C> {
    /// Frees them.
    pub fn free(&mut self) {
        self.let_all_go();
    }
}

impl Pages<Lent> {
    /// Takes all of them back, since the host has forgotten them. Those for which there is no room
    /// are freed.
    pub fn reclaim(&mut self, _forgotten: &Forgotten, into: &mut Pages<Returned>) {
        while let Some(page) = self.pop() {
            // SAFETY: By the invariants of this, and the host has no claim on anything.
            unsafe { into.push(page, self.size) };
        }
    }
}
