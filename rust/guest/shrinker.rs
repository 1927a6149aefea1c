// SPDX-License-Identifier: GPL-2.0

//! Who can do with less memory when there is none.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// `SHRINK_STOP`: nothing can be done now.
const STOP: usize = usize::MAX;

/// What can do with less.
pub trait Shrink: Send + Sync + 'static {
    /// How many pages it could free.
    fn count(&self) -> usize;

    /// Frees up to about so many pages, and says how many. `None` if it cannot now. Called by whoever
    /// looks for memory: must not allocate, nor wait for somebody who does.
    fn shrink(&self, pages: usize) -> Option<usize>;
}

/// A shrinker. Dropping it waits until nobody calls it any more.
pub struct Shrinker<T: Shrink> {
    inner: NonNull<bindings::shrinker>,
    _owner: Arc<T>,
}

// SAFETY: A `struct shrinker` belongs to no thread; `T` is `Send` and `Sync`.
unsafe impl<T: Shrink> Send for Shrinker<T> {}

// SAFETY: Nothing can be done by a shared reference.
unsafe impl<T: Shrink> Sync for Shrinker<T> {}

impl<T: Shrink> Shrinker<T> {
    /// Has `owner` asked from now on. The name is for debugging.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(name: &'static CStr, owner: Arc<T>) -> Result<Self> {
        // SAFETY: The name has a format without arguments in front of it.
        let inner = unsafe { bindings::shrinker_alloc(0, c"%s".as_char_ptr(), name.as_char_ptr()) };
        let inner = NonNull::new(inner).ok_or(ENOMEM)?;
        // SAFETY: Allocated and not registered yet, so nobody else has it.
        unsafe {
            let shrinker = inner.as_ptr();
            (*shrinker).count_objects = Some(count::<T>);
            (*shrinker).scan_objects = Some(scan::<T>);
            (*shrinker).private_data = Arc::as_ptr(&owner).cast_mut().cast();
            bindings::shrinker_register(shrinker);
        }
        Ok(Self {
            inner,
            _owner: owner,
        })
    }
}

impl<T: Shrink> Drop for Shrinker<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`. It waits for calls that are under way.
        unsafe { bindings::shrinker_free(self.inner.as_ptr()) };
    }
}

/// # Safety
///
/// `shrinker` must be that of a [`Shrinker<T>`] which is not dropped yet.
unsafe extern "C" fn count<T: Shrink>(
    shrinker: *mut bindings::shrinker,
    _control: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the safety requirement.
    unsafe { &*(*shrinker).private_data.cast::<T>() }.count()
}

/// # Safety
///
/// As that of [`count`], and `control` must be valid.
unsafe extern "C" fn scan<T: Shrink>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> usize {
    // SAFETY: By the safety requirement.
    let (owner, pages) = unsafe {
        let owner = &*(*shrinker).private_data.cast::<T>();
        (owner, (*control).nr_to_scan)
    };
    owner.shrink(pages).unwrap_or(STOP)
}
