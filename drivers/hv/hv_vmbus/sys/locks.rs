// SPDX-License-Identifier: GPL-2.0

//! Locks that are static, and hence have to be initialised by somebody.

use super::directory::DIRECTORIES;
use crate::device::{
    matching::ADDED,
    mmio::BROKER, //
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Initialises them. To be called before there is a device or a driver.
pub(crate) fn init() {
    if !INITIALISED.swap(true, Ordering::AcqRel) {
        // SAFETY: Once, by the flag; nobody has used them before.
        unsafe {
            ADDED.init();
            BROKER.init();
            DIRECTORIES.init();
        }
    }
}
