// SPDX-License-Identifier: GPL-2.0

//! Files at the root of debugfs, where the kernel crate has directories only.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use crate::bindings;
use core::ptr;
use kernel::{
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::Arc,
    ThisModule, //
};

/// What a file shows.
pub trait Show: Send + Sync + 'static {
    /// The module that has the code, which stays while a file is open.
    const MODULE: ThisModule;

    /// Writes the file's content.
    ///
    /// # Errors
    ///
    /// Those of the formatter.
    fn show(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A file that all may read. Dropping it removes it, and waits for those who read; the module cannot
/// be unloaded while somebody has it open. On a kernel without debugfs there is nothing.
pub struct RootFile<T: Show> {
    entry: *mut bindings::dentry,
    _shown: Arc<T>,
}

// SAFETY: The entry belongs to no thread; `T` is `Send` and `Sync`.
unsafe impl<T: Show> Send for RootFile<T> {}

// SAFETY: Nothing can be done by a shared reference.
unsafe impl<T: Show> Sync for RootFile<T> {}

impl<T: Show> RootFile<T> {
    const OPERATIONS: &'static bindings::file_operations = &bindings::file_operations {
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        owner: T::MODULE.as_ptr(),
        open: Some(open::<T>),
        ..pin_init::zeroed()
    };

    /// A file of this name. Nobody is told if there cannot be one.
    pub fn new(name: &'static CStr, shown: Arc<T>) -> Self {
        let entry = if cfg!(CONFIG_DEBUG_FS) {
            // SAFETY: What is shown is there until the entry is removed.
            unsafe {
                bindings::debugfs_create_file_full(
                    name.as_char_ptr(),
                    0o444,
                    ptr::null_mut(),
                    Arc::as_ptr(&shown).cast_mut().cast(),
                    ptr::null(),
                    Self::OPERATIONS,
                )
            }
        } else {
            ptr::null_mut()
        };
        Self {
            entry,
            _shown: shown,
        }
    }
}

impl<T: Show> Drop for RootFile<T> {
    fn drop(&mut self) {
        // SAFETY: Made by `new`; an error or null is ignored.
        unsafe { bindings::debugfs_remove(self.entry) };
    }
}

/// # Safety
///
/// `inode` must be that of a [`RootFile<T>`], `file` one that is being opened.
unsafe extern "C" fn open<T: Show>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: By the safety requirement; what is shown is there for as long as the entry.
    unsafe { bindings::single_open(file, Some(show::<T>), (*inode).i_private) }
}

/// # Safety
///
/// `seq` must be that of a file which [`open`] has opened.
unsafe extern "C" fn show<T: Show>(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: By the safety requirement; debugfs calls only while there is the entry.
    let shown = unsafe { &*(*seq).private.cast::<T>() };
    // SAFETY: By the safety requirement.
    let file = unsafe { SeqFile::from_raw(seq) };
    seq_print!(file, "{}", Shown(shown));
    0
}

struct Shown<'a, T>(&'a T);

impl<T: Show> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}
