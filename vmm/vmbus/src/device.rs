// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The seam between the bus and a device.

use std::io;

use protocol::vmbus::Guid;
use vmm_sys_util::eventfd::EventFd;

use crate::channel::{Channel, MoreChannels};

/// What a device is, as it is offered to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its class, of [`protocol::vmbus::class`].
    pub class: Guid,
    /// Which of its class.
    pub instance: Guid,
}

/// What becomes of a guest's wish to open a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The device decides when it is given the channel.
    Ordinary,
    /// The guest is told that it is not open.
    Refused,
    /// The device is taken from the guest, which is told nothing else, and offered
    /// again afterwards.
    Rescinded,
}

/// A device with one channel, or more that it asks for once the first is open.
///
/// All functions are called by the bus's thread, none from a function of the
/// device's own that the bus waits for.
pub trait Device: Send + Sync {
    /// Its name, for threads and messages.
    fn name(&self) -> String;

    /// What it is.
    fn identity(&self) -> Identity;

    /// The device has its first channel. `bus` is for what it asks of the bus.
    fn offered(&self, _bus: MoreChannels) {}

    /// The guest is going to open channel number `index`. A device that does nothing
    /// wrong on purpose has nothing to say.
    fn opening(&self, _index: u16) -> Opening {
        Opening::Ordinary
    }

    /// The guest opened channel number `index`; 0 is the first. The channel is
    /// the device's until it is closed.
    ///
    /// # Errors
    ///
    /// What keeps the device from using it. The guest is told that it is not open.
    fn open(&self, index: u16, channel: Channel) -> io::Result<()>;

    /// The guest closed the channel. When this returns, nothing touches its rings
    /// any more, nor what was named by its packets.
    fn close(&self, index: u16);

    /// The guest is about to be told that these channels, which are open, are taken
    /// away; with the first one, which is the last in the list, the whole device is.
    ///
    /// A guest gives the memory of rings and of buffers to others when it hears of it.
    /// So all that it asked for ends and is answered before this returns, as far as
    /// there is room for answers, and nothing touches either after that. The channels
    /// are [closed](Self::close) then.
    fn leave(&self, channels: &[u16]) {
        for index in channels {
            self.close(*index);
        }
    }
}

/// How the bus hears of a guest's signals: KVM, or a model in tests.
pub trait Signals: Send + Sync {
    /// Has `event` signalled when the guest signals this connection.
    ///
    /// # Errors
    ///
    /// What KVM says.
    fn bind(&self, connection: u32, event: &EventFd) -> io::Result<()>;

    /// Undoes that.
    fn unbind(&self, connection: u32);
}
