// SPDX-License-Identifier: GPL-2.0

//! What the kernel and user space see of the bus.

use crate::sys::{
    Channel,
    Device, //
};
use kernel::prelude::*;

/// Makes the device of a primary channel, with type, instance and device id of its offer, and
/// its reference. It is not registered yet.
pub(crate) fn create(_channel: Channel) -> Result<Device> {
    Err(ENODEV)
}

/// Registers a device and its primary channel's directory. If this fails, the device is gone.
pub(crate) fn register(_device: Device) -> Result {
    Err(ENODEV)
}

/// Unregisters a device. Its release calls `bus::released(channel)`.
pub(crate) fn unregister(_device: Device) {}

/// The directory of a channel, whose kobject keeps the channel.
pub(crate) mod directory {
    use super::*;

    /// Initialises the kobject (`kobject_init`): the channel is freed (`kfree_rcu`) with the last
    /// reference, and not otherwise. Called once, when the channel is made.
    pub(crate) fn init(_channel: Channel) {}

    /// Makes the directory of a sub-channel below that of its device.
    pub(crate) fn add(_device: Device, _channel: Channel) -> Result {
        Err(ENODEV)
    }

    /// Removes the directory, if there is one, and gives up the reference of `init`.
    pub(crate) fn remove_and_put(_channel: Channel) {}
}
