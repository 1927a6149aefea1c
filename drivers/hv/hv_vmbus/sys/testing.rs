// SPDX-License-Identifier: GPL-2.0

//! Delays on request, for tests of drivers: files in debugfs.
//!
//! ```text
//! hyperv/DEVICE/fuzz_test_state                          0 or 1: whether there are any
//! hyperv/DEVICE/delay/fuzz_test_buffer_interrupt_delay   before each callback, 0 to 1000 µs
//! hyperv/DEVICE/delay/fuzz_test_message_delay            before each look at a ring, the same
//! ```
//!
//! They are for all channels of a device. Kernels without `CONFIG_HYPERV_TESTING` do not have the
//! fields for them in a channel: `testing_off.rs` takes the place of this there.
//!
//! The files of a device go when it is unregistered, not with its last reference: its channel is
//! there until after that, and its name is free for whoever comes next. An open file keeps the
//! module, and has nothing but errors once it was removed.

use super::{
    bindings,
    Channel,
    Device, //
};
use core::{
    ptr,
    sync::atomic::{
        AtomicBool,
        AtomicPtr,
        AtomicU32,
        Ordering, //
    }, //
};
use kernel::{
    prelude::*,
    time::{
        delay::udelay,
        Delta, //
    },
    ModuleMetadata, //
};

/// The longest delay.
const MOST_US: u32 = 1000;

/// The directory of all devices, null while there is none. It may be an error of the kernel's.
static ROOT: AtomicPtr<bindings::dentry> = AtomicPtr::new(ptr::null_mut());

/// The directory of all devices. Nobody is told if there cannot be one. Dropping it removes it.
pub(crate) struct Directory(());

impl Directory {
    pub(crate) fn new() -> Self {
        ROOT.store(directory(c"hyperv", ptr::null_mut()), Ordering::Release);
        Self(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let root = ROOT.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: Made by `new`; an error is ignored.
        unsafe { bindings::debugfs_remove(root) };
    }
}

/// Makes a directory. A parent that is an error makes another of it.
fn directory(name: &CStr, parent: *mut bindings::dentry) -> *mut bindings::dentry {
    // SAFETY: A name, and a directory that is not removed meanwhile.
    unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), parent) }
}

/// Makes the files of a device that was registered.
pub(super) fn add(device: Device) {
    let (root, raw) = (ROOT.load(Ordering::Acquire), device.as_raw());
    if root.is_null() {
        return;
    }
    // SAFETY: A device that has its name; its channel, whose fields these are, is there for longer
    // than the files.
    unsafe {
        let name = CStr::from_char_ptr(bindings::dev_name(device.generic()));
        let own = directory(name, root);
        let channel = device.channel().as_raw();
        let state = &raw mut (*channel).fuzz_testing_state;
        file(c"fuzz_test_state", own, state.cast(), &STATE);
        let delays = directory(c"delay", own);
        let interrupt = &raw mut (*channel).fuzz_testing_interrupt_delay;
        file(
            c"fuzz_test_buffer_interrupt_delay",
            delays,
            interrupt.cast(),
            &DELAY,
        );
        let message = &raw mut (*channel).fuzz_testing_message_delay;
        file(c"fuzz_test_message_delay", delays, message.cast(), &DELAY);
        AtomicPtr::from_ptr(&raw mut (*raw).debug_dir).store(own, Ordering::Release);
    }
}

/// Removes the files of a device, if it has any, and waits for those who read or write one.
pub(super) fn remove(device: Device) {
    // SAFETY: A field that only this and `add` use, and what that has put there; an error is
    // ignored.
    unsafe {
        let own = AtomicPtr::from_ptr(&raw mut (*device.as_raw()).debug_dir);
        bindings::debugfs_remove(own.swap(ptr::null_mut(), Ordering::AcqRel));
    }
}

/// Makes a file for a value. Nobody is told if there cannot be one.
///
/// # Safety
///
/// The value must be what `operations` are for, and be there for longer than the file.
unsafe fn file(
    name: &CStr,
    parent: *mut bindings::dentry,
    value: *mut c_void,
    operations: &'static Operations,
) {
    // SAFETY: By the safety requirement.
    unsafe {
        bindings::debugfs_create_file_full(
            name.as_char_ptr(),
            0o644,
            parent,
            value,
            ptr::null(),
            &raw const operations.0,
        )
    };
}

impl Channel {
    /// Passes the time that is asked for before a callback. The channel must be open.
    #[inline]
    pub(super) fn delay_callback(self) {
        // SAFETY: A field of a valid channel.
        self.delay(|first| unsafe { &raw mut (*first).fuzz_testing_interrupt_delay });
    }

    /// Passes the time that is asked for before a look at a ring. The channel must be open.
    #[inline]
    pub(super) fn delay_packet(self) {
        // SAFETY: A field of a valid channel.
        self.delay(|first| unsafe { &raw mut (*first).fuzz_testing_message_delay });
    }

    /// The first channel of a device has the values for all of them. It is there as long as one of
    /// the others is open.
    #[inline]
    fn delay(self, which: impl FnOnce(*mut bindings::vmbus_channel) -> *mut u32) {
        let first = self.primary().unwrap_or(self).as_raw();
        // SAFETY: Fields of a valid channel, which all access atomically.
        let (is_on, delay_us) = unsafe {
            (
                AtomicBool::from_ptr(&raw mut (*first).fuzz_testing_state).load(Ordering::Relaxed),
                AtomicU32::from_ptr(which(first)).load(Ordering::Relaxed),
            )
        };
        if is_on {
            udelay(Delta::from_micros(delay_us.min(MOST_US).into()));
        }
    }
}

/// Wraps what only debugfs looks at.
struct Operations(bindings::file_operations);

// SAFETY: A constant; nobody writes it, nor what it points to.
unsafe impl Sync for Operations {}

static STATE: Operations = Operations::new(open_state);
static DELAY: Operations = Operations::new(open_delay);

type Open = unsafe extern "C" fn(*mut bindings::inode, *mut bindings::file) -> c_int;

impl Operations {
    const fn new(open: Open) -> Self {
        Self(bindings::file_operations {
            owner: <crate::LocalModule as ModuleMetadata>::THIS_MODULE.as_ptr(),
            open: Some(open),
            release: Some(bindings::simple_attr_release),
            read: Some(bindings::debugfs_attr_read),
            write: Some(bindings::debugfs_attr_write),
            ..pin_init::zeroed()
        })
    }
}

/// How the kernel prints a value.
const FORMAT: &CStr = c"%llu\n";

/// Opens the file of a switch.
///
/// # Safety
///
/// debugfs must call it, for a file that was made with it.
unsafe extern "C" fn open_state(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    let format = FORMAT.as_char_ptr();
    // SAFETY: debugfs calls with a file that is being opened.
    unsafe { bindings::simple_attr_open(inode, file, Some(get_state), Some(set_state), format) }
}

/// Opens the file of a delay.
///
/// # Safety
///
/// debugfs must call it, for a file that was made with it.
unsafe extern "C" fn open_delay(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    let format = FORMAT.as_char_ptr();
    // SAFETY: As above.
    unsafe { bindings::simple_attr_open(inode, file, Some(get_delay), Some(set_delay), format) }
}

/// Reads a switch.
///
/// # Safety
///
/// `data` must be what the file was made for, and `value` valid for writes.
unsafe extern "C" fn get_state(data: *mut c_void, value: *mut u64) -> c_int {
    // SAFETY: By the safety requirement; what a file is made for is there as long as that.
    unsafe {
        let state = AtomicBool::from_ptr(data.cast());
        value.write(state.load(Ordering::Relaxed).into());
    }
    0
}

/// Writes a switch, 0 or 1.
///
/// # Safety
///
/// `data` must be what the file was made for.
unsafe extern "C" fn set_state(data: *mut c_void, value: u64) -> c_int {
    let is_on = match value {
        0 => false,
        1 => true,
        _ => return EINVAL.to_errno(),
    };
    // SAFETY: As above.
    unsafe { AtomicBool::from_ptr(data.cast()) }.store(is_on, Ordering::Relaxed);
    0
}

/// Reads a delay in microseconds.
///
/// # Safety
///
/// `data` must be what the file was made for, and `value` valid for writes.
unsafe extern "C" fn get_delay(data: *mut c_void, value: *mut u64) -> c_int {
    // SAFETY: As above.
    unsafe {
        let delay = AtomicU32::from_ptr(data.cast());
        value.write(delay.load(Ordering::Relaxed).into());
    }
    0
}

/// Writes a delay in microseconds.
///
/// # Safety
///
/// `data` must be what the file was made for.
unsafe extern "C" fn set_delay(data: *mut c_void, value: u64) -> c_int {
    let delay_us = match u32::try_from(value) {
        Ok(delay_us) if delay_us <= MOST_US => delay_us,
        _ => return EINVAL.to_errno(),
    };
    // SAFETY: As above.
    unsafe { AtomicU32::from_ptr(data.cast()) }.store(delay_us, Ordering::Relaxed);
    0
}
