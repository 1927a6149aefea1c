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

pub(crate) fn released(_channel: Channel) {}
pub(crate) fn synic_off(_cpu: u32) {}
pub(crate) fn synic_on(_cpu: u32) {}
pub(crate) fn forget_cpus() {}
pub(crate) enum Side {
    Host,
    Guest,
}
pub(crate) struct Monitor {
    pub(crate) pending: u32,
    pub(crate) latency: u16,
    pub(crate) connection_id: u32,
}
pub(crate) fn monitor(_channel: Channel, _side: Side) -> Monitor {
    Monitor {
        pending: 0,
        latency: 0,
        connection_id: 0,
    }
}
pub(crate) fn each_of_device(_primary: Channel, _f: impl FnMut(Channel)) {}
