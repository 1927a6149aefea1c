// SPDX-License-Identifier: GPL-2.0 OR MIT

//! virtio-scsi (VIRTIO 1.3, section 5.6): configuration space and requests.
//!
//! A virtio-scsi device is a SCSI host adapter that has one channel, up to 256
//! targets and up to 16384 logical units a target. It is driven through three
//! kinds of virtqueue, each with formats of its own:
//!
//! - [`mod@config`]: what the device tells about itself, and the limits that follow;
//! - [`mod@command`]: SCSI commands and their responses (the request queues);
//! - [`mod@control`]: task management and notification control (the control queue);
//! - [`mod@event`]: what the device reports by itself (the event queue);
//! - [`mod@lun`]: how all of these name a logical unit (LUN).
//!
//! Not obvious: all integers are little-endian, as VIRTIO 1.x has it. A legacy
//! device uses the guest's own byte order, which is the same thing on x86. The
//! integer types of `zerocopy` used here have an alignment of one byte, hence
//! the structures have no padding and need no `packed`.

pub mod command;
pub mod config;
pub mod control;
pub mod event;
pub mod lun;

pub use command::{
    Anomaly, CommandHeader, CommandHeaderPi, CommandRequest, CommandRequestPi, CommandResponse,
    Outcome,
};
pub use command::{ResponseCode, ResponseHeader, TaskAttribute};
pub use config::{Config, Limits};
pub use control::{ControlType, TmfRequest, TmfResponse, TmfSubtype};
pub use event::{Event, EventKind, Notice};
pub use lun::{BadLun, Lun, LunField};

/// The virtio device id of a SCSI host (VIRTIO 1.3, section 5, table of device types).
pub const DEVICE_ID: u32 = 8;

/// Index of the queue for task management and notification control (5.6.2).
pub const CONTROL_QUEUE: u16 = 0;
/// Index of the queue for events (5.6.2).
pub const EVENT_QUEUE: u16 = 1;
/// Index of the first request queue; the others follow it (5.6.2).
pub const FIRST_REQUEST_QUEUE: u16 = 2;

/// Feature bit: a command may have both data-out and data-in (5.6.3).
pub const F_INOUT: u32 = 0;
/// Feature bit: the device reports units that come and go (5.6.3).
pub const F_HOTPLUG: u32 = 1;
/// Feature bit: the device reports changed parameters of a unit (5.6.3).
pub const F_CHANGE: u32 = 2;
/// Feature bit: protection information travels with the data (5.6.3).
pub const F_T10_PI: u32 = 3;

/// Size of a command descriptor block (CDB) until the driver asks for another (5.6.4).
pub const CDB_SIZE: usize = 32;
/// Size of the sense buffer until the driver asks for another (5.6.4).
pub const SENSE_SIZE: usize = 96;
