// SPDX-License-Identifier: GPL-2.0

//! Driver for the disks, CD drives and controllers of Hyper-V: SCSI over VMBus, which is called
//! storvsp on the host's side and storvsc on this one.
//!
//! - [`hba`]: a controller, and what its host says;
//! - [`mailbox`]: packets that somebody waits for the answer to;
//! - [`handshake`]: what guest and host agree on before anything else;
//! - [`command`]: how a SCSI command becomes a packet, and an answer its result;
//! - [`reset`]: ending all commands at once, which is all there is for recovery;
//! - [`follow_up`]: units that come, go, or change;
//! - [`host`]: the callbacks of the SCSI layer;
//! - [`settings`]: module parameters, and the limits that follow from them;
//! - [`probe`]: how a device is set up, and how it is left.
//!
//! What is on the wire, and what an answer means, is the crate `protocol`'s. A command is in the
//! table of the channels from when it is sent, and comes out of there once. On its way there is no
//! lock but that of a channel's ring, and nothing is allocated up to 128 KiB of data.

#![deny(unsafe_code)]

mod command;
mod follow_up;
mod handshake;
mod hba;
mod host;
mod mailbox;
mod probe;
mod reset;
mod settings;

use guest::{
    scsi::fibre_channel::Attachment,
    vmbus, //
};
use kernel::{
    driver::Registration,
    prelude::*,
    InPlaceModule,
    ModuleMetadata, //
};

module! {
    type: HvStorvsc,
    name: "hv_storvsc",
    authors: ["The Hospes authors"],
    description: "Microsoft Hyper-V virtual storage driver",
    license: "GPL",
}

/// What the module is while it is loaded.
///
/// Order of drop: first the driver, and with it all hosts.
#[pin_data]
struct HvStorvsc {
    #[pin]
    _driver: Registration<vmbus::Adapter<probe::Storvsc>>,
    _fibre_channel: Attachment,
}

impl InPlaceModule for HvStorvsc {
    /// Devices are probed as soon as there is a driver, so that comes last.
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _fibre_channel: probe::FIBRE_CHANNEL.attach()?,
            _driver <- Registration::new(<Self as ModuleMetadata>::NAME, module),
        })
    }
}
