// SPDX-License-Identifier: GPL-2.0

//! Locks that are static, and hence have to be initialised by somebody.

use super::{
    directory::DIRECTORIES,
    statics::CONNECTION,
    Driver, //
};
use crate::device::mmio::Broker;
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use kernel::prelude::*;
use protocol::vmbus::Guid;

kernel::sync::global_lock! {
    // SAFETY: `init` is called by the module's initialisation, before there is a bus.
    pub(crate) unsafe(uninit) static ADDED: Mutex<KVec<(Driver, Guid)>> = KVec::new();
}

kernel::sync::global_lock! {
    // SAFETY: `init` is called by the module's initialisation, before the bus is looked for.
    pub(crate) unsafe(uninit) static BROKER: Mutex<Broker> = Broker::EMPTY;
}

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Initialises them. To be called before there is a device or a driver.
pub(crate) fn init() {
    if !INITIALISED.swap(true, Ordering::AcqRel) {
        // SAFETY: Once, by the flag; nobody has used them before.
        unsafe {
            ADDED.init();
            BROKER.init();
            DIRECTORIES.init();
            CONNECTION.init();
        }
    }
}
