// SPDX-License-Identifier: GPL-2.0

//! Driver for VMware's paravirtual SCSI host adapter: requests, completions and messages travel
//! through three rings in memory, and registers are there to set them up and to kick.
//!
//! - [`adapter`]: the adapter: its state, its interrupt, how it is started and stopped;
//! - [`registers`]: its registers, and the commands that go through them;
//! - [`rings`]: its rings;
//! - [`flight`]: what the device has, by context;
//! - [`command`]: how a SCSI command becomes a request, and a completion its result;
//! - [`recovery`]: aborts and resets;
//! - [`message`]: targets that come and go;
//! - [`host`]: the callbacks of the SCSI layer;
//! - [`probe`]: how a device is set up, put to sleep, and left;
//! - [`parameters`]: what the module can be told.
//!
//! What is on the wire, and whether it makes sense, is the crate `protocol`'s. One lock covers the
//! rings and the registers that commands go through; data is mapped before it is taken, and the
//! device is kicked after it was released. Nothing is allocated on the way of a command: each tag of
//! the block layer has a page for its list of data and for sense data, and names the request to the
//! device.

#![deny(unsafe_code)]

mod adapter;
mod command;
mod flight;
mod host;
mod message;
mod parameters;
mod probe;
mod recovery;
mod registers;
mod rings;

guest::module_info!("version=", "1.0.7.0-k");

guest::module_pci_driver! {
    type: probe::Pvscsi,
    name: "vmw_pvscsi",
    authors: ["The Hospes authors"],
    description: "VMware PVSCSI driver",
    license: "GPL",
}
