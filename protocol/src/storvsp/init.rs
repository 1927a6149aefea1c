// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The handshake, for either side (`storvsc_channel_init` of `drivers/scsi/storvsc_drv.c`).
//!
//! It runs on the first channel of a controller, one packet at a time, each
//! answered before the next:
//!
//! 1. begin;
//! 2. a version, and another one as long as they are refused;
//! 3. properties;
//! 4. for Fibre Channel, names;
//! 5. end;
//! 6. so many more channels, if the properties allow for it.
//!
//! Channels that are offered because of the last step have no handshake at all.
//!
//! [`Handshake`] is the guest's side, [`Server`] the host's.

pub mod guest;
pub mod host;

pub use guest::{Agreed, Controller, Handshake, HandshakeError};
pub use host::{Action, Server};

#[cfg(test)]
mod tests;
