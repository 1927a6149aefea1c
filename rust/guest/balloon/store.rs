// SPDX-License-Identifier: GPL-2.0

//! The balloon: pages that the host has.
//!
//! Small pages are in the kernel's own list of such pages, so that they can be migrated: the kernel
//! takes one out ("isolates" it), has the driver exchange it for another one, and puts back what it
//! has then. Large pages are in a list of ours.

use super::{
    Lent,
    Pages, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr,
    ptr::NonNull, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};
use protocol::vmballoon::PageSize;

/// How many pages are taken out at once when a balloon is given up.
const AT_ONCE: usize = 64;

/// What owns a balloon, and exchanges its pages.
pub trait Migrate: Send + Sync + 'static {
    /// Exchanges a page of the balloon for another one, or says why not. May sleep, but must not
    /// allocate.
    fn migrate(&self, pages: Migration<'_>) -> Moved;
}

/// A page of the balloon, and one that is to take its place.
pub struct Migration<'a> {
    pub(crate) old: NonNull<bindings::page>,
    pub(crate) new: NonNull<bindings::page>,
    _lifetime: PhantomData<&'a ()>,
}

/// What became of a [`Migration`]. What the host had to do with is only made by what talks to it.
pub struct Moved(
    #[cfg_attr(
        not(CONFIG_BALLOON_MIGRATION),
        expect(dead_code, reason = "nobody migrates")
    )]
    pub(crate) Outcome,
);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The new page is the host's, the old one the guest's.
    Whole,
    /// The old page is the guest's, and so is the new one.
    OldOnly,
    /// All is as before, and it may be tried again.
    Later,
    /// All is as before.
    Refused,
}

impl Moved {
    /// Not now.
    pub const fn later() -> Self {
        Self(Outcome::Later)
    }
}

/// A balloon. Dropping it loses the pages that the host still has.
///
/// # Invariants
///
/// All pages in `small` and `large` were put there by [`put`](Balloon::put) or by a migration; there
/// are `frames` of 4 KiB of them, those included that are isolated.
#[pin_data(PinnedDrop)]
pub struct Balloon<T: Migrate> {
    #[pin]
    small: Opaque<bindings::balloon_dev_info>,
    #[pin]
    large: SpinLock<Stack>,
    frames: Atomic<u64>,
    #[pin]
    owner: T,
}

// SAFETY: The kernel's list has a lock of its own; `T` is `Send`.
unsafe impl<T: Migrate> Send for Balloon<T> {}

// SAFETY: As above; `T` is `Sync`.
unsafe impl<T: Migrate> Sync for Balloon<T> {}

impl<T: Migrate> Balloon<T> {
    /// An empty balloon.
    pub fn new(owner: impl PinInit<T>) -> impl PinInit<Self> {
        pin_init!(Self {
            small <- Opaque::ffi_init(|slot: *mut bindings::balloon_dev_info| {
                // SAFETY: `slot` is valid for writes and pinned.
                unsafe { bindings::balloon_devinfo_init(slot) };
                #[cfg(CONFIG_BALLOON_MIGRATION)]
                // SAFETY: As above.
                unsafe { (*slot).migratepage = Some(migrate::<T>) };
            }),
            large <- new_spinlock!(Stack::new(), "Balloon::large"),
            frames: Atomic::new(0),
            owner <- owner,
        })
    }

    /// What owns it.
    #[inline]
    pub fn owner(&self) -> &T {
        &self.owner
    }

    /// How many pages of 4 KiB are in it.
    #[inline]
    pub fn len(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Whether it is empty, and nobody migrates a page of it.
    pub fn is_empty(&self) -> bool {
        // SAFETY: Initialised; the kernel changes the count under a lock of its own.
        let isolated = unsafe { ptr::read_volatile(&raw const (*self.small.get()).isolated_pages) };
        isolated == 0 && self.len() == 0
    }

    /// Puts pages into it, all of them.
    pub fn put(&self, pages: &mut Pages<Lent>) {
        let frames = frames(pages.size(), pages.len());
        // Before somebody finds one of them, migrates it, and counts it as gone.
        self.frames.add(frames, Relaxed);
        match pages.size() {
            PageSize::Small => self.put_small(pages),
            PageSize::Large => self.put_large(pages, frames),
        }
    }

    fn put_small(&self, pages: &mut Pages<Lent>) {
        with_list(|head| {
            while let Some(page) = pages.pop() {
                // SAFETY: The page was just taken out, and is in no list.
                unsafe { link(head, page) };
            }
            // SAFETY: All entries are small pages with one owner. The kernel takes all of them.
            unsafe { bindings::balloon_page_list_enqueue(self.small.get(), head) };
        });
    }

    fn put_large(&self, pages: &mut Pages<Lent>, frames: u64) {
        let mut stack = self.large.lock();
        while let Some(page) = pages.pop() {
            // SAFETY: All of a large page that is ours.
            unsafe {
                bindings::set_pages_offline(page.as_ptr(), PageSize::Large.pages() as u32);
                stack.push(page);
            }
        }
        drop(stack);
        // SAFETY: No requirements.
        unsafe { bindings::count_balloon_inflate(frames as usize) };
    }

    /// Takes up to `count` pages of this size out of it, as far as there are any and there is room.
    /// Returns how many there were.
    pub fn take(&self, size: PageSize, count: usize, into: &mut Pages<Lent>) -> usize {
        let count = count.min(into.room(size));
        let taken = match size {
            PageSize::Small => self.take_small(count, into),
            PageSize::Large => self.take_large(count, into),
        };
        self.frames.fetch_sub(frames(size, taken), Relaxed);
        taken
    }

    fn take_small(&self, count: usize, into: &mut Pages<Lent>) -> usize {
        with_list(|head| {
            // SAFETY: The list is empty, and the kernel puts up to so many pages into it.
            let taken =
                unsafe { bindings::balloon_page_list_dequeue(self.small.get(), head, count) };
            // SAFETY: All entries are pages.
            while let Some(page) = unsafe { unlink(head) } {
                // SAFETY: By the type's invariants it is the host's, and it was the balloon's.
                unsafe { into.push(page, PageSize::Small) };
            }
            taken
        })
    }

    fn take_large(&self, count: usize, into: &mut Pages<Lent>) -> usize {
        let mut taken = 0usize;
        let mut stack = self.large.lock();
        while taken < count {
            let Some(page) = stack.pop() else {
                break;
            };
            // SAFETY: All of a large page that was in the balloon, which `into` owns now.
            unsafe {
                bindings::clear_pages_offline(page.as_ptr(), PageSize::Large.pages() as u32);
                into.push(page, PageSize::Large);
            }
            taken = taken.wrapping_add(1);
        }
        drop(stack);
        // SAFETY: No requirements.
        unsafe { bindings::count_balloon_deflate(frames(PageSize::Large, taken) as usize) };
        taken
    }

    /// Waits a moment for pages that somebody migrates.
    pub fn wait_for_migration(&self) {
        fsleep(Delta::from_millis(1));
    }
}

#[pinned_drop]
impl<T: Migrate> PinnedDrop for Balloon<T> {
    fn drop(self: Pin<&mut Self>) {
        // No page may be in a list that is gone. Whoever migrates one gives it back, or says that it
        // is gone; after that nobody looks at the list.
        while !self.is_empty() {
            // Without memory there is nothing but to try again.
            let Ok(mut lost) = Pages::with_room_for(AT_ONCE) else {
                self.wait_for_migration();
                continue;
            };
            let small = self.take(PageSize::Small, AT_ONCE, &mut lost);
            if small == 0 && self.take(PageSize::Large, AT_ONCE, &mut lost) == 0 {
                self.wait_for_migration();
            }
        }
    }
}

/// So many pages in pages of 4 KiB.
#[inline]
fn frames(size: PageSize, count: usize) -> u64 {
    (count as u64).wrapping_mul(size.pages())
}

/// The kernel wants a page exchanged.
///
/// # Safety
///
/// `info` must be that of a [`Balloon<T>`], `new` a page for it, `old` one that is isolated of it.
#[cfg(CONFIG_BALLOON_MIGRATION)]
unsafe extern "C" fn migrate<T: Migrate>(
    info: *mut bindings::balloon_dev_info,
    new: *mut bindings::page,
    old: *mut bindings::page,
    _mode: bindings::migrate_mode,
) -> c_int {
    // CAST: `Opaque` is transparent.
    let small = info.cast::<Opaque<bindings::balloon_dev_info>>();
    // SAFETY: By the safety requirement; a balloon is not dropped while a page of it is isolated.
    let balloon = unsafe { &*kernel::container_of!(small, Balloon<T>, small) };
    let (Some(new), Some(old)) = (NonNull::new(new), NonNull::new(old)) else {
        return EBUSY.to_errno();
    };
    let pages = Migration {
        old,
        new,
        _lifetime: PhantomData,
    };
    match balloon.owner.migrate(pages).0 {
        Outcome::Whole => 0,
        Outcome::OldOnly => {
            // INVARIANT: The kernel frees the page.
            balloon.frames.fetch_sub(1u64, Relaxed);
            ENOENT.to_errno()
        }
        Outcome::Later => EAGAIN.to_errno(),
        Outcome::Refused => EBUSY.to_errno(),
    }
}

/// Calls `f` with an empty list, which is gone afterwards.
#[inline]
fn with_list<R>(f: impl FnOnce(*mut bindings::list_head) -> R) -> R {
    let mut head = MaybeUninit::<bindings::list_head>::uninit();
    let head = head.as_mut_ptr();
    // SAFETY: On the stack, and not moved before `f` has returned.
    unsafe {
        (&raw mut (*head).next).write(head);
        (&raw mut (*head).prev).write(head);
    }
    f(head)
}

/// Puts a page into a list.
///
/// # Safety
///
/// The list must be valid, and the page in none.
#[inline]
unsafe fn link(head: *mut bindings::list_head, page: NonNull<bindings::page>) {
    // SAFETY: By the safety requirement, all pointers are those of entries or of the head.
    unsafe {
        let entry = bindings::page_lru(page.as_ptr());
        let first = (*head).next;
        (*entry).next = first;
        (*entry).prev = head;
        (*first).prev = entry;
        (*head).next = entry;
    }
}

/// Takes a page out of a list.
///
/// # Safety
///
/// The list must be valid, and all of its entries pages.
#[inline]
unsafe fn unlink(head: *mut bindings::list_head) -> Option<NonNull<bindings::page>> {
    // SAFETY: By the safety requirement, all pointers are those of entries or of the head.
    unsafe {
        let entry = (*head).next;
        if entry == head {
            return None;
        }
        let next = (*entry).next;
        (*head).next = next;
        (*next).prev = head;
        NonNull::new(bindings::lru_page(entry))
    }
}

/// Large pages, each of which has the next one's place where a list would have it.
///
/// # Invariants
///
/// All are large pages that nobody else has.
struct Stack {
    first: *mut bindings::page,
}

// SAFETY: The pages belong to this alone, and to no thread.
unsafe impl Send for Stack {}

impl Stack {
    const fn new() -> Self {
        Self {
            first: ptr::null_mut(),
        }
    }

    /// # Safety
    ///
    /// The page must be a large one that is in no list, and the caller's.
    #[inline]
    unsafe fn push(&mut self, page: NonNull<bindings::page>) {
        // SAFETY: The field is free for whoever has the page.
        unsafe { (*bindings::page_lru(page.as_ptr())).next = self.first.cast() };
        // INVARIANT: By the safety requirement.
        self.first = page.as_ptr();
    }

    #[inline]
    fn pop(&mut self) -> Option<NonNull<bindings::page>> {
        let page = NonNull::new(self.first)?;
        // SAFETY: By the type's invariants; `push` has stored it.
        self.first = unsafe { (*bindings::page_lru(page.as_ptr())).next }.cast();
        Some(page)
    }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_balloon)]
mod tests {
    use super::*;
    use crate::{
        balloon::{
            Offered,
            Refused,
            Returned, //
        },
        vmware::Forgotten, //
    };

    struct Nobody;

    impl Migrate for Nobody {
        fn migrate(&self, _pages: Migration<'_>) -> Moved {
            Moved::later()
        }
    }

    /// Allocates pages and puts them into a balloon. Returns how many there were.
    fn put(balloon: &Balloon<Nobody>, size: PageSize, count: usize) -> Result<usize> {
        let mut offered = Pages::<Offered>::with_room_for(count)?;
        let mut lent = Pages::with_room_for(count)?;
        let found = offered.allocate(size, count);
        // SAFETY: Taken out of the other, and there is no host that could do with them what it wants.
        offered.retain(|_, page| unsafe {
            lent.push(page, size);
            false
        });
        assert_eq!(lent.len(), found);
        balloon.put(&mut lent);
        assert!(lent.is_empty());
        Ok(found)
    }

    #[test]
    fn what_goes_in_comes_out() -> Result {
        let balloon = KBox::pin_init(Balloon::new(Nobody), GFP_KERNEL)?;
        let mut lent = Pages::with_room_for(8)?;
        let mut returned = Pages::<Returned>::with_room_for(8)?;
        assert!(balloon.is_empty());
        assert_eq!(put(&balloon, PageSize::Small, 10)?, 10);
        let large = put(&balloon, PageSize::Large, 1)?;
        assert_eq!(balloon.len(), 10 + 512 * large as u64);
        // No more than there is room for, and of one size.
        assert_eq!(balloon.take(PageSize::Small, 100, &mut lent), 8);
        assert_eq!(balloon.take(PageSize::Large, 1, &mut lent), 0);
        lent.reclaim(&Forgotten(()), &mut returned);
        returned.free();
        assert_eq!(balloon.take(PageSize::Large, 9, &mut lent), large);
        lent.reclaim(&Forgotten(()), &mut returned);
        assert_eq!(returned.len(), large);
        returned.free();
        assert_eq!(balloon.take(PageSize::Small, 1, &mut lent), 1);
        balloon.put(&mut lent);
        assert_eq!(balloon.take(PageSize::Small, 9, &mut lent), 2);
        lent.reclaim(&Forgotten(()), &mut returned);
        assert!(balloon.is_empty());
        Ok(())
    }

    #[test]
    fn a_large_page_that_was_refused_makes_small_ones() -> Result {
        let mut offered = Pages::<Offered>::with_room_for(1)?;
        let mut refused = Pages::<Refused>::with_room_for(1)?;
        let mut pieces = Pages::<Offered>::with_room_for(512)?;
        assert!(!refused.split_one(&mut pieces));
        let found = offered.allocate(PageSize::Large, 1);
        // SAFETY: Taken out of the other.
        offered.retain(|_, page| unsafe {
            refused.push(page, PageSize::Large);
            false
        });
        assert_eq!(refused.split_one(&mut pieces), found == 1);
        assert_eq!(pieces.len(), 512 * found);
        assert!(refused.is_empty());
        Ok(())
    }
}
