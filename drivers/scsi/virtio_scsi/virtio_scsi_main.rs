// SPDX-License-Identifier: GPL-2.0

//! Driver for virtio-scsi devices (VIRTIO 1.3, section 5.6): a SCSI host adapter (HBA) whose
//! commands, responses and events travel through virtqueues.
//!
//! - [`hba`]: the adapter: its queues, and what their interrupts do;
//! - [`command`]: how a SCSI command becomes a request, and a response its result;
//! - [`task`]: ending commands and resetting units by task management functions;
//! - [`event`]: units that come, go, or change;
//! - [`host`]: the callbacks of the SCSI layer;
//! - [`probe`]: how a device is set up, and how it is left;
//! - [`config`]: its configuration space.
//!
//! What is on the wire, and whether it makes sense, is the crate `protocol`'s. Each request queue
//! has a lock of its own and is used by the CPUs whose interrupts it gets, so that there is none
//! shared on the way of a command, and nothing is allocated there either: a request is built in
//! the memory that the SCSI layer has behind each command.

#![deny(unsafe_code)]

mod command;
mod config;
mod event;
mod hba;
mod host;
mod probe;
mod task;

guest::module_virtio_driver! {
    type: probe::VirtioScsi,
    name: "virtio_scsi",
    authors: ["The Hospes authors"],
    description: "Virtio SCSI HBA driver",
    license: "GPL",
}
