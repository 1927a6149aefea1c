// SPDX-License-Identifier: GPL-2.0

//! SCSI hosts: drivers of what SCSI commands are sent through.
//!
//! - [`Driver`]: what a driver does, from which the host template is made;
//! - [`Host`] and [`Limits`]: a host that is registered with the SCSI layer;
//! - [`Command`]: a command to carry out, which *is* the obligation to complete it;
//! - [`Mapped`]: a command whose data a device can reach, piece by piece ([`Segment`]);
//! - [`EhCommand`]: a command that the error handling (EH) of the SCSI layer looks at;
//! - [`HostRef`] and [`Device`]: hosts and devices as the SCSI layer knows them;
//! - [`fibre_channel`]: hosts that are ports of Fibre Channel;
//! - [`QueueMaps`]: which CPU uses which hardware queue;
//! - [`HostByte`] and [`Status`]: how a command ended.
//!
//! Not obvious: the SCSI layer owns the memory of a command for ever, and lends the command to the
//! driver between `queue_command` and completion. The error handling can take a command away that
//! the driver has not completed. A flag beside the driver's private data of each command says
//! whether the driver has it; a driver's EH callbacks must not claim success while it is set.
//!
//! C headers: [`include/scsi/scsi_host.h`](srctree/include/scsi/scsi_host.h),
//! [`include/scsi/scsi_cmnd.h`](srctree/include/scsi/scsi_cmnd.h)

mod command;
mod device;
mod driver;
mod eh;
pub mod fibre_channel;
mod host;
mod mapped;
mod queue_map;
mod result;
mod template;

pub use self::command::{
    Busy,
    Command,
    Direction,
    Unit,
    CDB_ROOM, //
};
pub use self::device::{
    Device,
    HostRef,
    Presence, //
};
pub use self::driver::{
    DeviceConfig,
    DeviceSetup,
    Driver,
    Geometry,
    Timeout, //
};
pub use self::eh::{
    EhCommand,
    Recovery, //
};
pub use self::host::{
    Host,
    Limits,
    Protection, //
};
pub use self::mapped::{
    Mapped,
    Segment,
    Segments, //
};
pub use self::queue_map::{
    usable_queues,
    QueueKind,
    QueueMap,
    QueueMaps, //
};
pub use self::result::{
    HostByte,
    Status, //
};
