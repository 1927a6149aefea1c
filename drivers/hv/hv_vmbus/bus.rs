// SPDX-License-Identifier: GPL-2.0

//! The core of the bus.

use crate::sys::Channel;
use kernel::prelude::*;

/// Sets the processors up, connects to the host and asks for its offers.
pub(crate) fn start() -> Result {
    Err(ENODEV)
}

/// Undoes [`start`]: no device is left, and the host knows nothing of us.
pub(crate) fn stop() {}

/// Tells the host that all channels are gone. `crash`: nothing may sleep, no lock be taken.
pub(crate) fn unload(_crash: bool) {}

/// All that a hibernation needs of the connection, before it.
pub(crate) fn suspend() -> Result {
    Err(ENODEV)
}

/// And after it.
pub(crate) fn resume() -> Result {
    Err(ENODEV)
}

/// Has another CPU be interrupted for a channel.
pub(crate) fn retarget(_channel: Channel, _cpu: u32) -> Result {
    Err(ENODEV)
}
