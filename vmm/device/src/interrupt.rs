// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Message-signalled interrupts, as a device sees them.

use std::io;
use std::sync::Arc;

/// The message that a guest programmed for one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsiMessage {
    /// Bits 63:0 of the address that the function would write to.
    pub address: u64,
    /// The data that it would write there.
    pub data: u32,
}

/// One interrupt vector of the machine.
///
/// Signalling it costs one eventfd write and no lock; KVM turns that into the
/// message last given to [`MsiVector::set_message`].
pub trait MsiVector: Send + Sync {
    /// Sends the message once. Callers have checked that the vector is neither
    /// masked nor without a message.
    fn signal(&self) -> io::Result<()>;

    /// Sets the message that [`signal`](MsiVector::signal) stands for.
    fn set_message(&self, message: MsiMessage) -> io::Result<()>;
}

/// Where vectors come from: KVM's irqfds, or a model in tests.
pub trait MsiAllocator: Send + Sync {
    /// A new vector, with no message yet.
    fn allocate(&self) -> io::Result<Arc<dyn MsiVector>>;
}
